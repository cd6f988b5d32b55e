/* raster_large.c - triangles of more than raster.c's SMALL pixels, one at a time; see kernels.h.
 *
 * Low-poly bodies are made of them, and so is the near end of a close view. Each row is cut to the
 * pixels that the triangle can touch; then every block of samples gets its edges in 64 bits at its
 * corner and in 32 bits within, where an edge that passes by the block on its outer side does not
 * count at all. Blocks begin at whole multiples of their pixels, so that depths do not depend on
 * the part of the picture that is being drawn. What is beyond LARGE, or not projectable, goes to
 * raster_slow.c. */
#include "kernels.h"
#include "raster_alpha.h"
#include "simd.h"

/* Steps: an edge function changes by less than 2^31 within a block. */
enum { LARGE = 1023 * GPU_SUBPIXEL };

struct corner {
    int64_t x, y; /* steps */
    float w;
};

struct edge {
    int64_t a, b, c;          /* a * x + b * y + c >= 0 inside, the top-left rule worked in */
    int64_t low, high;        /* what it changes by within a block, at least and at most */
    int32_t lanes[GPU_BLOCK]; /* a * x + b * y of the block's samples */
};

struct large {
    const struct gpu_raster *job;
    uint32_t triangle;
    struct edge edges[3];
    double w0, w_x, w_y; /* w at (0, 0), and what a step adds */
    float w_lanes[GPU_BLOCK], w_min, w_max;
    struct alpha_test alpha;
};

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static void set_edge(struct edge *edge, const struct gpu_pattern *pattern, const struct corner *i,
                     const struct corner *j) {
    edge->a = i->y - j->y;
    edge->b = j->x - i->x;
    bool inclusive = edge->a > 0 || (edge->a == 0 && edge->b > 0);
    edge->c = -(edge->a * i->x + edge->b * i->y) - (inclusive ? 0 : 1);
    edge->low = INT32_MAX;
    edge->high = INT32_MIN;
    for (int s = 0; s < GPU_BLOCK; s++) {
        int32_t x = pattern->block_xy[s] & 0xffff, y = pattern->block_xy[s] >> 16;
        int64_t change = edge->a * x + edge->b * y;
        edge->lanes[s] = (int32_t)change;
        edge->low = least(edge->low, change);
        edge->high = most(edge->high, change);
    }
}

static void set_depth(struct large *large, const struct corner p[3], double area) {
    double x1 = (double)(p[1].x - p[0].x), y1 = (double)(p[1].y - p[0].y);
    double x2 = (double)(p[2].x - p[0].x), y2 = (double)(p[2].y - p[0].y);
    double w0 = (double)p[0].w, w1 = (double)p[1].w - w0, w2 = (double)p[2].w - w0;
    large->w_x = (w1 * y2 - w2 * y1) / area;
    large->w_y = (x1 * w2 - x2 * w1) / area;
    large->w0 = w0 - large->w_x * (double)p[0].x - large->w_y * (double)p[0].y;
    large->w_min = large->w_max = p[0].w;
    for (int c = 1; c < 3; c++) {
        large->w_min = p[c].w < large->w_min ? p[c].w : large->w_min;
        large->w_max = p[c].w > large->w_max ? p[c].w : large->w_max;
    }
    const struct gpu_pattern *pattern = large->job->pattern;
    for (int s = 0; s < GPU_BLOCK; s++)
        large->w_lanes[s] = (float)(large->w_x * (double)pattern->block_x[s] +
                                    large->w_y * (double)pattern->block_y[s]);
}

/* -- Rows ---------------------------------------------------------------------------------------
 */

static int64_t floor_divide(int64_t a, int64_t b) /* b > 0 */
{
    int64_t q = a / b;
    return q * b > a ? q - 1 : q;
}

/* Cuts [first, last] to the row's pixels any of whose samples may be inside the edge. */
static void cut_row(const struct edge *edge, const struct gpu_pattern *pattern, int64_t y,
                    int64_t *first, int64_t *last) {
    int64_t best_y = y + (edge->b > 0 ? pattern->max_y : pattern->min_y);
    int64_t best_x = edge->a > 0 ? pattern->max_x : pattern->min_x;
    int64_t best = edge->a * best_x + edge->b * best_y + edge->c;
    int64_t pixel = edge->a * GPU_SUBPIXEL;
    if (edge->a > 0)
        *first = most(*first, -floor_divide(best, pixel));
    else if (edge->a < 0)
        *last = least(*last, floor_divide(best, -pixel));
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
        const struct edge *edge = &large->edges[e];
        corner[e] = edge->a * x + edge->b * y + edge->c;
        if (corner[e] + edge->high < 0)
            return;
        through[e] = corner[e] + edge->low < 0;
        inner[e] = through[e] ? (int32_t)corner[e] : 0;
    }
    vf base = vf_set1((float)(large->w0 + large->w_x * (double)x + large->w_y * (double)y));
    for (int part = 0; part < GPU_BLOCK; part += GPU_LANES) {
        vi sign = vi_set1(0);
        for (int e = 0; e < 3; e++)
            if (through[e])
                sign |= vi_load(large->edges[e].lanes + part) + vi_set1(inner[e]);
        vf w = vf_clamp(base + vf_load(large->w_lanes + part), vf_set1(large->w_min),
                        vf_set1(large->w_max));
        float *depth = job->depth + at + part;
        vm inside = vm_and(vi_not_negative(sign), vf_less(vf_load(depth), w));
        if (vm_bits(inside) == 0)
            continue;
        if (test) {
            vf edges[3];
            for (int e = 0; e < 3; e++)
                edges[e] =
                    vf_set1((float)corner[e]) + vf_from_vi(vi_load(large->edges[e].lanes + part));
            inside = vm_and(inside,
                            alpha_solid(job->scene, &large->alpha, edges[0], edges[1], edges[2]));
        }
        vf_store_masked(depth, inside, w);
        if (job->triangle != NULL)
            vi_store_masked(job->triangle + at + part, inside,
                            vi_set1((int32_t)(job->first + large->triangle + 1)));
    }
}

static void draw_rows(const struct large *large, int64_t top, int64_t bottom, bool test) {
    const struct gpu_raster *job = large->job;
    const struct gpu_pattern *pattern = job->pattern;
    const int64_t step = GPU_BLOCK / pattern->samples;
    for (int64_t py = top; py <= bottom; py++) {
        int64_t first = job->x0, last = job->x1 - 1, y = py * GPU_SUBPIXEL;
        for (int e = 0; e < 3; e++)
            cut_row(&large->edges[e], pattern, y, &first, &last);
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

/* False: not projectable, or beyond LARGE. */
static bool load(const struct gpu_raster *job, uint32_t triangle, struct corner p[3],
                 int64_t box[4]) {
    box[0] = box[1] = INT32_MAX;
    box[2] = box[3] = INT32_MIN;
    for (int c = 0; c < 3; c++) {
        uint32_t vertex = job->scene->corners[c][triangle];
        p[c] = (struct corner){job->projected.x[vertex], job->projected.y[vertex],
                               job->projected.w[vertex]};
        if (!(p[c].w > 0.0f))
            return false;
        box[0] = least(box[0], p[c].x);
        box[1] = least(box[1], p[c].y);
        box[2] = most(box[2], p[c].x);
        box[3] = most(box[3], p[c].y);
    }
    return box[2] - box[0] < LARGE && box[3] - box[1] < LARGE;
}

void GPU_KERNEL(gpu_raster_large)(const struct gpu_raster *job, uint32_t triangle);

void GPU_KERNEL(gpu_raster_large)(const struct gpu_raster *job, uint32_t triangle) {
    struct large large = {.job = job, .triangle = triangle};
    struct corner p[3];
    int64_t box[4];
    if (!load(job, triangle, p, box)) {
        gpu_raster_slow(job, triangle);
        return;
    }
    int64_t area = (p[1].x - p[0].x) * (p[2].y - p[0].y) - (p[2].x - p[0].x) * (p[1].y - p[0].y);
    uint32_t flags = job->scene->flags[triangle];
    bool front = area < 0; /* y points down: counter-clockwise is negative */
    if (area == 0 || (!front && !(flags & GPU_TRIANGLE_DOUBLE_SIDED)))
        return;
    if (front) {
        struct corner second = p[1];
        p[1] = p[2];
        p[2] = second;
        area = -area;
    }
    for (int e = 0; e < 3; e++)
        set_edge(&large.edges[e], job->pattern, &p[(e + 1) % 3], &p[(e + 2) % 3]);
    set_depth(&large, p, (double)area);
    bool test = (flags & GPU_TRIANGLE_ALPHA_TEST) != 0;
    if (test) {
        const float w[3] = {p[0].w, p[1].w, p[2].w};
        alpha_test_init(&large.alpha, job, triangle, front, w);
    }
    int64_t top = most(floor_divide(box[1], GPU_SUBPIXEL), job->y0);
    int64_t bottom = least(floor_divide(box[3], GPU_SUBPIXEL), job->y1 - 1);
    draw_rows(&large, top, bottom, test);
}
