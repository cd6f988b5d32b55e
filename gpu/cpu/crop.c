/* crop.c - squares out of pictures; see net_kernels.h.
 *
 * A lane is a sample. The four pixels around it come by gathering: four bytes each, of which three
 * are the colour; the fourth is whatever follows, and what would follow the picture's end is not
 * touched (`last`). */
#include "net_kernels.h"
#include "simd.h"

/* The four bytes at `offset`, which may lie up to three before the end. */
static inline vi pixel(const struct gpu_crop *job, vi offset) {
    vi safe = vi_min(offset, vi_set1(job->last));
    vi bits = vi_gather_bytes(job->rgb, safe);
    vi late = (offset - safe) << 3;
    return (bits >> late) & vi_set1(0xffffff); /* no more than a byte late: the sign is cut */
}

static inline vf channel(vi bits, int index) {
    return vf_from_vi((bits >> (8 * index)) & vi_set1(0xff));
}

/* Samples at x, y to out[3]. */
static inline void sample(const struct gpu_crop *job, vf x, vf y, vf out[3]) {
    vm inside = vm_and(vm_and(vf_less_equal(vf_set1(job->border[0]), x),
                              vf_less_equal(x, vf_set1(job->border[2]))),
                       vm_and(vf_less_equal(vf_set1(job->border[1]), y),
                              vf_less_equal(y, vf_set1(job->border[3]))));
    /* So far outside that the number has no fraction is outside all the same. */
    vf left = vf_clamp(x - vf_set1(0.5f), vf_set1((float)(job->left - 1)),
                       vf_set1((float)(job->left + job->width)));
    vf top = vf_clamp(y - vf_set1(0.5f), vf_set1((float)(job->top - 1)),
                      vf_set1((float)(job->top + job->height)));
    vf x0 = vf_floor(left), y0 = vf_floor(top);
    vf fx = left - x0, fy = top - y0;
    vi zero = vi_set1(0), one = vi_set1(1);
    vi column = vi_truncate(x0) - vi_set1(job->left);
    vi row = vi_truncate(y0) - vi_set1(job->top);
    vi end_x = vi_set1(job->width - 1), end_y = vi_set1(job->height - 1);
    vi size = vi_set1(job->channels), stride = vi_set1(job->stride);
    vi left_at = vi_clamp(column, zero, end_x) * size;
    vi right_at = vi_clamp(column + one, zero, end_x) * size;
    vi top_at = vi_clamp(row, zero, end_y) * stride;
    vi bottom_at = vi_clamp(row + one, zero, end_y) * stride;
    vi a = pixel(job, top_at + left_at), b = pixel(job, top_at + right_at);
    vi c = pixel(job, bottom_at + left_at), d = pixel(job, bottom_at + right_at);
    for (int i = 0; i < 3; i++) {
        vf upper = vf_mix(channel(a, i), channel(b, i), fx);
        vf lower = vf_mix(channel(c, i), channel(d, i), fx);
        vf value = vf_mix(upper, lower, fy) * vf_set1(job->scale) + vf_set1(job->bias);
        out[i] = vf_select(inside, value, vf_set1(job->outside));
    }
}

void GPU_KERNEL(gpu_crop)(const struct gpu_crop *job);

/* Where the samples of a row, so many rows from a plane's corner, begin. */
static inline void start(const struct gpu_crop_plane *plane, float row, float out[2]) {
    for (int axis = 0; axis < 2; axis++)
        out[axis] = plane->corner[axis] + row * plane->down[axis];
}

void GPU_KERNEL(gpu_crop)(const struct gpu_crop *job) {
    const int32_t side = (int32_t)job->side;
    const vf half = vf_set1(0.5f);
    float *out = job->out;
    for (int32_t row = 0; row < side; row++) {
        float upper[2], lower[2];
        start(&job->upper, (float)row + 0.5f - (float)side, upper);
        start(&job->lower, (float)row + 0.5f, lower);
        for (int32_t column = 0; column < side; column += GPU_LANES) {
            vi lane = vi_iota() + vi_set1(column);
            vm above = vi_less(lane, vi_set1(side - 1 - row));
            vf from_left = vf_from_vi(lane) + half;
            vf from_right = vf_from_vi(lane) + vf_set1(0.5f - (float)side);
            vf place[2], colour[3];
            for (int axis = 0; axis < 2; axis++) {
                vf high = vf_set1(upper[axis]) + from_left * vf_set1(job->upper.right[axis]);
                vf low = vf_set1(lower[axis]) + from_right * vf_set1(job->lower.right[axis]);
                place[axis] = vf_select(above, high, low) * vf_set1(job->whole[axis]);
            }
            sample(job, place[0], place[1], colour);
            vf_store_three(out, colour);
            out += 3 * GPU_LANES;
        }
    }
}
