/* raster.c - triangles into samples; see kernels.h.
 *
 * Bodies are made of triangles of about a pixel, so setting them up is most of the work: that is
 * done for a vector of triangles at once (render/triangle.h). Then each is laid over blocks of
 * GPU_BLOCK samples. What is larger than TRIANGLE_SMALL, or not projectable, goes to
 * raster_large.c. */
#include "kernels.h"
#include "raster_alpha.h"
#include "simd.h"

#include "../render/triangle.h"

/* What setup makes of a vector of triangles, a lane each; see struct triangle_setup. */
struct setup {
    int32_t edge[3][GPU_LANES];     /* a | b << 16 */
    int32_t constant[3][GPU_LANES]; /* c */
    int32_t right[3][GPU_LANES];    /* a times a block's pixels */
    int32_t down[3][GPU_LANES];     /* b times a pixel */
    float w[GPU_LANES], w_x[GPU_LANES], w_y[GPU_LANES];
    float from_x[GPU_LANES], from_y[GPU_LANES];
    float w_min[GPU_LANES], w_max[GPU_LANES];
    int32_t x[GPU_LANES], y[GPU_LANES];       /* the first pixel, from the job's corner */
    int32_t wide[GPU_LANES], high[GPU_LANES]; /* the last pixel, from the first */
    float corner_w[3][GPU_LANES];
    uint32_t swapped; /* lanes whose second and third corner were exchanged */
};

/* Sets up triangles [first, first + GPU_LANES). Returns the lanes to draw; *slow gets those for
 * raster_large.c. */
static inline uint32_t set_up(const struct gpu_raster *job, uint32_t first, struct setup *out,
                              uint32_t *slow) {
    const int32_t step = GPU_BLOCK / (int32_t)job->pattern->samples * GPU_SUBPIXEL;
    struct triangle_setup t;
    triangle_set_up(job, first, &t);
    *slow = vm_bits(t.slow);
    if (!vm_any(t.wanted))
        return 0;
    for (int e = 0; e < 3; e++) {
        const struct triangle_edge *edge = &t.edges[e];
        vi_store(out->edge[e], (edge->a & vi_set1(0xffff)) | (edge->b << 16));
        vi_store(out->constant[e], edge->c);
        vi_store(out->right[e], edge->a * vi_set1(step));
        vi_store(out->down[e], edge->b * vi_set1(GPU_SUBPIXEL));
        vf_store(out->corner_w[e], t.corners.w[e]);
    }
    vf_store(out->w, t.w);
    vf_store(out->w_x, t.w_x);
    vf_store(out->w_y, t.w_y);
    vf_store(out->w_min, t.low);
    vf_store(out->w_max, t.high);
    vf_store(out->from_x, vf_from_vi(t.pixels.from_x));
    vf_store(out->from_y, vf_from_vi(t.pixels.from_y));
    vi_store(out->x, t.pixels.x0 - vi_set1(job->x0));
    vi_store(out->y, t.pixels.y0 - vi_set1(job->y0));
    vi_store(out->wide, t.pixels.x1 - t.pixels.x0);
    vi_store(out->high, t.pixels.y1 - t.pixels.y0);
    out->swapped = vm_bits(t.front);
    return vm_bits(t.wanted);
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
