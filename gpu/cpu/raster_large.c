/* raster_large.c - triangles of more than TRIANGLE_SMALL, one at a time; see kernels.h.
 *
 * Low-poly bodies are made of them, and so is the near end of a close view. Each row is cut to the
 * pixels that the triangle can touch; then every block of samples gets its edges in 64 bits at its
 * corner and in 32 bits within, where an edge that passes by the block on its outer side does not
 * count at all. Blocks begin at whole multiples of their pixels, so that depths do not depend on
 * the part of the picture that is being drawn. What is beyond LARGE_LIMIT, or not projectable, goes
 * to raster_slow.c. */
#include "kernels.h"
#include "raster_alpha.h"
#include "simd.h"

#include "../render/large.h"

/* What an edge changes by within a block. */
struct change {
    int64_t low, high;        /* at least and at most */
    int32_t lanes[GPU_BLOCK]; /* at the block's samples */
};

struct large {
    const struct gpu_raster *job;
    uint32_t triangle;
    struct large_triangle shape;
    struct change changes[3];
    float w_lanes[GPU_BLOCK];
    struct alpha_test alpha;
};

static void set_changes(struct large *large) {
    const struct gpu_pattern *pattern = large->job->pattern;
    for (int e = 0; e < 3; e++) {
        const struct large_edge *edge = &large->shape.edges[e];
        struct change *change = &large->changes[e];
        change->low = INT32_MAX;
        change->high = INT32_MIN;
        for (int s = 0; s < GPU_BLOCK; s++) {
            int32_t x = pattern->block_xy[s] & 0xffff, y = pattern->block_xy[s] >> 16;
            int64_t here = edge->a * x + edge->b * y;
            change->lanes[s] = (int32_t)here;
            change->low = large_least(change->low, here);
            change->high = large_most(change->high, here);
        }
    }
    for (int s = 0; s < GPU_BLOCK; s++)
        large->w_lanes[s] = large_share(&large->shape, pattern, s);
}

/* -- Rows ---------------------------------------------------------------------------------------
 */

/* Cuts [first, last] to the row's pixels any of whose samples may be inside the edge. */
static void cut_row(const struct large_edge *edge, const struct gpu_pattern *pattern, int64_t y,
                    int64_t *first, int64_t *last) {
    int64_t best_y = y + (edge->b > 0 ? pattern->max_y : pattern->min_y);
    int64_t best_x = edge->a > 0 ? pattern->max_x : pattern->min_x;
    int64_t best = edge->a * best_x + edge->b * best_y + edge->c;
    int64_t pixel = edge->a * GPU_SUBPIXEL;
    if (edge->a > 0)
        *first = large_most(*first, -large_floor_divide(best, pixel));
    else if (edge->a < 0)
        *last = large_least(*last, large_floor_divide(best, -pixel));
    else if (best < 0)
        *last = *first - 1;
}

/* One block at step (x, y), whose first sample is `at` in the buffers. */
static inline __attribute__((always_inline)) void draw_block(const struct large *large, int64_t x,
                                                             int64_t y, size_t at, bool test) {
    const struct gpu_raster *job = large->job;
    int64_t corner[3];
    int32_t
        inner[3]; /* 32 bits of it where the edge runs through the block; else it holds for all */
    bool through[3];
    for (int e = 0; e < 3; e++) {
        const struct large_edge *edge = &large->shape.edges[e];
        corner[e] = edge->a * x + edge->b * y + edge->c;
        if (corner[e] + large->changes[e].high < 0)
            return;
        through[e] = corner[e] + large->changes[e].low < 0;
        inner[e] = through[e] ? (int32_t)corner[e] : 0;
    }
    vf base = vf_set1(large_base(&large->shape, x, y));
    for (int part = 0; part < GPU_BLOCK; part += GPU_LANES) {
        vi sign = vi_set1(0);
        for (int e = 0; e < 3; e++)
            if (through[e])
                sign |= vi_load(large->changes[e].lanes + part) + vi_set1(inner[e]);
        vf w = vf_clamp(base + vf_load(large->w_lanes + part), vf_set1(large->shape.low),
                        vf_set1(large->shape.high));
        float *depth = job->depth + at + part;
        vm inside = vm_and(vi_not_negative(sign), vf_less(vf_load(depth), w));
        if (vm_bits(inside) == 0)
            continue;
        if (test) {
            vf edges[3];
            for (int e = 0; e < 3; e++)
                edges[e] =
                    vf_set1((float)corner[e]) + vf_from_vi(vi_load(large->changes[e].lanes + part));
            inside = vm_and(inside,
                            alpha_solid(job->scene, &large->alpha, edges[0], edges[1], edges[2]));
        }
        vf_store_masked(depth, inside, w);
        if (job->triangle != NULL)
            vi_store_masked(job->triangle + at + part, inside,
                            vi_set1((int32_t)(job->first + large->triangle + 1)));
    }
}

static void draw_rows(const struct large *large, bool test) {
    const struct gpu_raster *job = large->job;
    const struct gpu_pattern *pattern = job->pattern;
    const int64_t step = GPU_BLOCK / pattern->samples;
    for (int64_t py = large->shape.first_y; py <= large->shape.last_y; py++) {
        int64_t first = job->x0, last = job->x1 - 1, y = py * GPU_SUBPIXEL;
        for (int e = 0; e < 3; e++)
            cut_row(&large->shape.edges[e], pattern, y, &first, &last);
        size_t row = (size_t)(py - job->y0) * job->stride;
        for (int64_t px = first & -step; px <= last; px += step) {
            size_t at = row + (size_t)(px - job->x0) * pattern->samples;
            if (test)
                draw_block(large, px * GPU_SUBPIXEL, y, at, true);
            else
                draw_block(large, px * GPU_SUBPIXEL, y, at, false);
        }
    }
}

void GPU_KERNEL(gpu_raster_large)(const struct gpu_raster *job, uint32_t triangle);

void GPU_KERNEL(gpu_raster_large)(const struct gpu_raster *job, uint32_t triangle) {
    struct large large = {.job = job, .triangle = triangle};
    const struct large_corner *p = large.shape.p;
    enum large_kind kind = large_set_up(job, triangle, &large.shape);
    if (kind == LARGE_SLOW)
        gpu_raster_slow(job, triangle);
    if (kind != LARGE_DRAW)
        return;
    set_changes(&large);
    bool test = (job->scene->flags[triangle] & GPU_TRIANGLE_ALPHA_TEST) != 0;
    if (test) {
        const float w[3] = {p[0].w, p[1].w, p[2].w};
        alpha_test_init(&large.alpha, job, triangle, large.shape.front, w);
    }
    draw_rows(&large, test);
}
