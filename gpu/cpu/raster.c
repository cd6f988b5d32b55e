/* raster.c - triangles into samples; see kernels.h.
 *
 * Bodies are made of triangles of about a pixel, so setting them up is most of the work: that is
 * done for a vector of triangles at once. Then each is laid over blocks of GPU_BLOCK samples. Edges
 * are integers: whether a sample is inside is exact, and two triangles that share an edge share no
 * sample and leave none out (top-left rule). What is larger than SMALL pixels, or not projectable,
 * goes to raster_large.c. */
#include "kernels.h"
#include "raster_alpha.h"
#include "simd.h"

/* Steps a small triangle may extend: an edge's parts fit 16 bits, and its value 32 bits two blocks
 * of GPU_BLOCK pixels beyond the triangle. */
enum { SMALL = 112 * GPU_SUBPIXEL };

/* What setup makes of a vector of triangles, a lane each. Positions are relative to the first
 * pixel's corner. */
struct setup {
    int32_t edge[3][GPU_LANES];     /* a | b << 16 of a * x + b * y + c, which is >= 0 inside */
    int32_t constant[3][GPU_LANES]; /* c, one less where the edge itself is outside */
    int32_t right[3][GPU_LANES];    /* a times a block's pixels */
    int32_t down[3][GPU_LANES];     /* b times a pixel */
    float w[GPU_LANES], w_x[GPU_LANES], w_y[GPU_LANES]; /* w at its own pixel, and a step's share */
    float from_x[GPU_LANES], from_y[GPU_LANES];         /* steps from there to the first pixel */
    float w_min[GPU_LANES], w_max[GPU_LANES];
    int32_t x[GPU_LANES], y[GPU_LANES];       /* the first pixel, from the job's corner */
    int32_t wide[GPU_LANES], high[GPU_LANES]; /* the last pixel, from the first */
    float corner_w[3][GPU_LANES];
    uint32_t swapped; /* lanes whose second and third corner were exchanged */
};

struct corners {
    vi x[3], y[3];
    vf w[3];
};

static inline vi min3(const vi a[3]) {
    return vi_min(vi_min(a[0], a[1]), a[2]);
}

static inline vi max3(const vi a[3]) {
    return vi_max(vi_max(a[0], a[1]), a[2]);
}

static inline void exchange(vm mask, vi *a, vi *b) {
    vi old = *a;
    *a = vi_select(mask, *b, *a);
    *b = vi_select(mask, old, *b);
}

/* The edge from corner i to corner j, for corners relative to the first pixel. step: a block's
 * steps to the right. */
static inline void set_edge(struct setup *out, int slot, const struct corners *p, int i, int j,
                            int32_t step) {
    vi zero = vi_set1(0);
    vi a = p->y[i] - p->y[j], b = p->x[j] - p->x[i];
    vi c = zero - (a * p->x[i] + b * p->y[i]);
    vm inclusive = vm_or(vi_less(zero, a), vm_and(vi_equal(a, zero), vi_less(zero, b)));
    c -= vi_select(inclusive, zero, vi_set1(1));
    vi_store(out->edge[slot], (a & vi_set1(0xffff)) | (b << 16));
    vi_store(out->constant[slot], c);
    vi_store(out->right[slot], a * vi_set1(step));
    vi_store(out->down[slot], b * vi_set1(GPU_SUBPIXEL));
}

/* w is a plane over the picture: 1 / z is linear there, and so is the sun's depth. It is counted
 * from the triangle's own first pixel, from_x and from_y steps before the one that is drawn first:
 * so its bits do not depend on the part of the picture that is being drawn. */
static inline void set_depth(struct setup *out, const struct corners *p, vi area, vi from_x,
                             vi from_y) {
    vf inverse = vf_set1(1.0f) / vf_from_vi(area);
    vf x1 = vf_from_vi(p->x[1] - p->x[0]), y1 = vf_from_vi(p->y[1] - p->y[0]);
    vf x2 = vf_from_vi(p->x[2] - p->x[0]), y2 = vf_from_vi(p->y[2] - p->y[0]);
    vf w1 = p->w[1] - p->w[0], w2 = p->w[2] - p->w[0];
    vf w_x = (w1 * y2 - w2 * y1) * inverse, w_y = (x1 * w2 - x2 * w1) * inverse;
    for (int c = 0; c < 3; c++)
        vf_store(out->corner_w[c], p->w[c]);
    vf_store(out->w_x, w_x);
    vf_store(out->w_y, w_y);
    vf x0 = vf_from_vi(p->x[0] + from_x), y0 = vf_from_vi(p->y[0] + from_y);
    vf_store(out->w, p->w[0] - (w_x * x0 + w_y * y0));
    vf_store(out->from_x, vf_from_vi(from_x));
    vf_store(out->from_y, vf_from_vi(from_y));
    vf_store(out->w_min, vf_min(vf_min(p->w[0], p->w[1]), p->w[2]));
    vf_store(out->w_max, vf_max(vf_max(p->w[0], p->w[1]), p->w[2]));
}

static inline void load_corners(const struct gpu_raster *job, uint32_t first, struct corners *p) {
    for (int c = 0; c < 3; c++) {
        vi index = vi_load(job->scene->corners[c] + first);
        p->x[c] = vi_gather(job->projected.x, index);
        p->y[c] = vi_gather(job->projected.y, index);
        p->w[c] = vf_gather(job->projected.w, index);
    }
}

/* The pixels any of whose samples may be inside a triangle, within the job's. */
struct pixels {
    vi x0, y0, x1, y1; /* the last ones included */
    vi from_x, from_y; /* steps from where it begins to where the job's does, or 0 */
};

static inline struct pixels find_pixels(const struct gpu_raster *job, vi low_x, vi high_x, vi low_y,
                                        vi high_y) {
    const struct gpu_pattern *pattern = job->pattern;
    const vi round_up = vi_set1(GPU_SUBPIXEL - 1);
    struct pixels out;
    out.x0 = (low_x - vi_set1(pattern->max_x) + round_up) >> GPU_SUBPIXEL_BITS;
    out.y0 = (low_y - vi_set1(pattern->max_y) + round_up) >> GPU_SUBPIXEL_BITS;
    out.x1 = (high_x - vi_set1(pattern->min_x)) >> GPU_SUBPIXEL_BITS;
    out.y1 = (high_y - vi_set1(pattern->min_y)) >> GPU_SUBPIXEL_BITS;
    out.from_x = vi_max(vi_set1(job->x0) - out.x0, vi_set1(0)) << GPU_SUBPIXEL_BITS;
    out.from_y = vi_max(vi_set1(job->y0) - out.y0, vi_set1(0)) << GPU_SUBPIXEL_BITS;
    out.x0 = vi_max(out.x0, vi_set1(job->x0));
    out.y0 = vi_max(out.y0, vi_set1(job->y0));
    out.x1 = vi_min(out.x1, vi_set1(job->x1 - 1));
    out.y1 = vi_min(out.y1, vi_set1(job->y1 - 1));
    return out;
}

/* Turns what is seen from the front, so that all areas are positive. Returns those lanes. */
static inline vm orient(struct corners *p, vi *area) {
    const vi zero = vi_set1(0);
    vi x1 = p->x[1] - p->x[0], y1 = p->y[1] - p->y[0];
    vi x2 = p->x[2] - p->x[0], y2 = p->y[2] - p->y[0];
    *area = x1 * y2 - x2 * y1;
    vm front = vi_less(*area, zero); /* y points down: counter-clockwise is negative */
    exchange(front, &p->x[1], &p->x[2]);
    exchange(front, &p->y[1], &p->y[2]);
    vf w1 = p->w[1];
    p->w[1] = vf_select(front, p->w[2], p->w[1]);
    p->w[2] = vf_select(front, w1, p->w[2]);
    *area = vi_select(front, zero - *area, *area);
    return front;
}

/* Sets up triangles [first, first + GPU_LANES). Returns the lanes to draw; *slow gets those for
 * raster_large.c. */
static inline uint32_t set_up(const struct gpu_raster *job, uint32_t first, struct setup *out,
                              uint32_t *slow) {
    const vi zero = vi_set1(0), limit = vi_set1(SMALL);
    const int32_t step = GPU_BLOCK / (int32_t)job->pattern->samples * GPU_SUBPIXEL;
    struct corners p;
    out->swapped = 0;
    load_corners(job, first, &p);
    vi flags = vi_load(job->scene->flags + first);
    vm good = vf_less(vf_set1(0.0f), vf_min(vf_min(p.w[0], p.w[1]), p.w[2]));
    vi low_x = min3(p.x), high_x = max3(p.x), low_y = min3(p.y), high_y = max3(p.y);
    struct pixels pixels = find_pixels(job, low_x, high_x, low_y, high_y);
    vm unseen = vm_or(vi_less(pixels.x1, pixels.x0), vi_less(pixels.y1, pixels.y0));
    vm hole = vm_not(vi_equal(flags & vi_set1(GPU_TRIANGLE_HOLE), zero));
    vm small = vm_and(vi_less(high_x - low_x, limit), vi_less(high_y - low_y, limit));
    vm wanted = vm_and(good, vm_not(vm_or(unseen, hole)));
    *slow = vm_bits(vm_or(vm_and(wanted, vm_not(small)), vm_not(vm_or(good, hole))));
    wanted = vm_and(wanted, small);
    if (vm_bits(wanted) == 0)
        return 0;

    /* Lanes that are not to be drawn become points, so that nothing below overflows. */
    vi origin_x = vi_select(wanted, pixels.x0 << GPU_SUBPIXEL_BITS, zero);
    vi origin_y = vi_select(wanted, pixels.y0 << GPU_SUBPIXEL_BITS, zero);
    for (int c = 0; c < 3; c++) {
        p.x[c] = vi_select(wanted, p.x[c], zero) - origin_x;
        p.y[c] = vi_select(wanted, p.y[c], zero) - origin_y;
    }
    vi area;
    vm front = orient(&p, &area);
    vm both = vm_not(vi_equal(flags & vi_set1(GPU_TRIANGLE_DOUBLE_SIDED), zero));
    wanted = vm_and(vm_and(wanted, vm_or(front, both)), vi_less(zero, area));
    if (vm_bits(wanted) == 0)
        return 0;
    set_edge(out, 0, &p, 1, 2, step);
    set_edge(out, 1, &p, 2, 0, step);
    set_edge(out, 2, &p, 0, 1, step);
    set_depth(out, &p, vi_max(area, vi_set1(1)), pixels.from_x, pixels.from_y);
    vi_store(out->x, pixels.x0 - vi_set1(job->x0));
    vi_store(out->y, pixels.y0 - vi_set1(job->y0));
    vi_store(out->wide, pixels.x1 - pixels.x0);
    vi_store(out->high, pixels.y1 - pixels.y0);
    out->swapped = vm_bits(front);
    return vm_bits(wanted);
}

/* A triangle's three edge functions at a vector of samples. */
struct edges {
    vi e0, e1, e2;
};

static inline struct edges add(struct edges a, struct edges b) {
    return (struct edges){a.e0 + b.e0, a.e1 + b.e1, a.e2 + b.e2};
}

static inline struct edges broadcast(int32_t values[3][GPU_LANES], int lane) {
    return (struct edges){vi_set1(values[0][lane]), vi_set1(values[1][lane]),
                          vi_set1(values[2][lane])};
}

/* At samples whose coordinates from the first pixel are `xy`. */
static inline struct edges evaluate(struct setup *setup, int lane, vi xy) {
    struct edges slope = broadcast(setup->edge, lane);
    slope = (struct edges){vi_dot16(slope.e0, xy), vi_dot16(slope.e1, xy), vi_dot16(slope.e2, xy)};
    return add(slope, broadcast(setup->constant, lane));
}

/* Lays one triangle over the samples. alpha (NULL: no test) and ids are constant wherever this is
 * called, and inlining makes each call a loop of its own. */
static inline __attribute__((always_inline)) void draw(const struct gpu_raster *job,
                                                       struct setup *setup, int lane,
                                                       uint32_t triangle,
                                                       const struct alpha_test *alpha, bool ids) {
    const struct gpu_pattern *pattern = job->pattern;
    const int32_t samples = (int32_t)pattern->samples, step = GPU_BLOCK / samples;
    const int32_t wide = setup->wide[lane], high = setup->high[lane];
    const vf low = vf_set1(setup->w_min[lane]), top = vf_set1(setup->w_max[lane]);
    const float w0 = setup->w[lane], w_x = setup->w_x[lane], w_y = setup->w_y[lane];
    const struct edges right = broadcast(setup->right, lane), down = broadcast(setup->down, lane);
    const vi name = vi_set1((int32_t)(job->first + triangle + 1));
    const size_t stride = job->stride;
    float *const depths = job->depth; /* here, lest each store make the loop read the job again */
    uint32_t *const triangles = job->triangle;
    size_t corner = (size_t)setup->y[lane] * stride + (size_t)(setup->x[lane] * samples);

    for (int part = 0; part < GPU_BLOCK && part < (wide + 1) * samples; part += GPU_LANES) {
        struct edges left = evaluate(setup, lane, vi_load(pattern->block_xy + part));
        vf pixel = vf_load(pattern->block_pixel + part);
        vf within = (vf_load(pattern->block_x + part) - pixel) * vf_set1(w_x) +
                    vf_load(pattern->block_y + part) * vf_set1(w_y);
        pixel = pixel + vf_set1(setup->from_x[lane]);
        size_t row = corner + (size_t)part;
        float y_steps = setup->from_y[lane];
        for (int32_t y = 0; y <= high; y++, row += stride, y_steps += GPU_SUBPIXEL) {
            vf row_w = vf_set1(w0 + y_steps * w_y), x_steps = pixel;
            struct edges at = left;
            float *depth = depths + row;
            for (int32_t x = 0; x <= wide; x += step, depth += GPU_BLOCK) {
                vf w = vf_clamp(row_w + x_steps * vf_set1(w_x) + within, low, top);
                vm inside = vi_not_negative(at.e0 | at.e1 | at.e2);
                inside = vm_and(inside, vf_less(vf_load(depth), w));
                if (vm_bits(inside) != 0) {
                    if (alpha != NULL)
                        inside = vm_and(inside, alpha_solid(job->scene, alpha, vf_from_vi(at.e0),
                                                            vf_from_vi(at.e1), vf_from_vi(at.e2)));
                    vf_store_masked(depth, inside, w);
                    if (ids)
                        vi_store_masked(triangles + (depth - depths), inside, name);
                }
                at = add(at, right);
                x_steps = x_steps + vf_set1((float)(step * GPU_SUBPIXEL));
            }
            left = add(left, down);
        }
    }
}

static void draw_tested(const struct gpu_raster *job, struct setup *setup, int lane,
                        uint32_t triangle) {
    struct alpha_test alpha;
    const float w[3] = {setup->corner_w[0][lane], setup->corner_w[1][lane],
                        setup->corner_w[2][lane]};
    alpha_test_init(&alpha, job, triangle, (setup->swapped >> lane & 1) != 0, w);
    if (job->triangle != NULL)
        draw(job, setup, lane, triangle, &alpha, true);
    else
        draw(job, setup, lane, triangle, &alpha, false);
}

void GPU_KERNEL(gpu_raster_large)(const struct gpu_raster *job, uint32_t triangle);
void GPU_KERNEL(gpu_raster)(const struct gpu_raster *job);

void GPU_KERNEL(gpu_raster)(const struct gpu_raster *job) {
    struct setup setup;
    for (uint32_t first = 0; first < job->scene->padded_triangles; first += GPU_LANES) {
        uint32_t slow;
        uint32_t lanes = set_up(job, first, &setup, &slow);
        uint32_t all = lanes | slow;
        while (all != 0) {
            int lane = __builtin_ctz(all);
            uint32_t triangle = first + (uint32_t)lane;
            all &= all - 1;
            if (slow >> lane & 1)
                GPU_KERNEL(gpu_raster_large)(job, triangle);
            else if (job->scene->flags[triangle] & GPU_TRIANGLE_ALPHA_TEST)
                draw_tested(job, &setup, lane, triangle);
            else if (job->triangle != NULL)
                draw(job, &setup, lane, triangle, NULL, true);
            else
                draw(job, &setup, lane, triangle, NULL, false);
        }
    }
}
