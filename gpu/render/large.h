/* large.h - triangles of more than triangle.h's TRIANGLE_SMALL, in 64-bit integers; for CPU and
 * CUDA. w at a sample is the plane's in double precision at the corner of its block (GPU_BLOCK
 * samples, whose first pixel is a whole multiple of the block's), rounded, plus the sample's share
 * from there, rounded. */
#ifndef STANCE_GPU_LARGE_H
#define STANCE_GPU_LARGE_H

#include "any.h"
#include "cpu/kernels.h"

/* Steps: an edge function changes by less than 2^31 within a block. */
enum { LARGE_LIMIT = 1023 * GPU_SUBPIXEL };

struct large_corner {
    int64_t x, y; /* steps */
    float w;
};

struct large_edge {
    int64_t a, b, c; /* a * x + b * y + c >= 0 inside, the top-left rule worked in */
};

struct large_triangle {
    struct large_corner p[3]; /* turned so that the area is positive */
    bool front;               /* second and third were exchanged */
    struct large_edge edges[3];
    double w0, w_x, w_y; /* w at (0, 0), and what a step adds */
    float low, high;
    int64_t first_x, last_x, first_y, last_y; /* pixels, within the job's */
};

enum large_kind { LARGE_NOTHING, LARGE_DRAW, LARGE_SLOW /* not projectable, or too large */ };

GPU_ANY int64_t large_least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

GPU_ANY int64_t large_most(int64_t a, int64_t b) {
    return a > b ? a : b;
}

GPU_ANY int64_t large_floor_divide(int64_t a, int64_t b) /* b > 0 */
{
    int64_t q = a / b;
    return q * b > a ? q - 1 : q;
}

GPU_ANY struct large_edge large_set_edge(const struct large_corner *i,
                                         const struct large_corner *j) {
    struct large_edge out;
    out.a = i->y - j->y;
    out.b = j->x - i->x;
    bool inclusive = out.a > 0 || (out.a == 0 && out.b > 0);
    out.c = -(out.a * i->x + out.b * i->y) - (inclusive ? 0 : 1);
    return out;
}

GPU_ANY void large_set_plane(struct large_triangle *out, double area) {
    const struct large_corner *p = out->p;
    double x1 = (double)(p[1].x - p[0].x), y1 = (double)(p[1].y - p[0].y);
    double x2 = (double)(p[2].x - p[0].x), y2 = (double)(p[2].y - p[0].y);
    double w0 = (double)p[0].w, w1 = (double)p[1].w - w0, w2 = (double)p[2].w - w0;
    out->w_x = (w1 * y2 - w2 * y1) / area;
    out->w_y = (x1 * w2 - x2 * w1) / area;
    out->w0 = w0 - out->w_x * (double)p[0].x - out->w_y * (double)p[0].y;
    out->low = out->high = p[0].w;
    for (int c = 1; c < 3; c++) {
        out->low = p[c].w < out->low ? p[c].w : out->low;
        out->high = p[c].w > out->high ? p[c].w : out->high;
    }
}

/* w at a block's corner, step (x, y). */
GPU_ANY float large_base(const struct large_triangle *t, int64_t x, int64_t y) {
    return (float)(t->w0 + t->w_x * (double)x + t->w_y * (double)y);
}

/* What it changes by to sample `s` of the block. */
GPU_ANY float large_share(const struct large_triangle *t, const struct gpu_pattern *pattern,
                          int s) {
    return (float)(t->w_x * (double)pattern->block_x[s] + t->w_y * (double)pattern->block_y[s]);
}

GPU_ANY enum large_kind large_set_up(const struct gpu_raster *job, uint32_t triangle,
                                     struct large_triangle *out) {
    int64_t box[4] = {INT32_MAX, INT32_MAX, INT32_MIN, INT32_MIN};
    struct large_corner *p = out->p;
    for (int c = 0; c < 3; c++) {
        uint32_t vertex = job->scene->corners[c][triangle];
        p[c].x = job->projected.x[vertex];
        p[c].y = job->projected.y[vertex];
        p[c].w = job->projected.w[vertex];
        if (!(p[c].w > 0.0f))
            return LARGE_SLOW;
        box[0] = large_least(box[0], p[c].x);
        box[1] = large_least(box[1], p[c].y);
        box[2] = large_most(box[2], p[c].x);
        box[3] = large_most(box[3], p[c].y);
    }
    if (!(box[2] - box[0] < LARGE_LIMIT && box[3] - box[1] < LARGE_LIMIT))
        return LARGE_SLOW;
    int64_t area = (p[1].x - p[0].x) * (p[2].y - p[0].y) - (p[2].x - p[0].x) * (p[1].y - p[0].y);
    out->front = area < 0; /* y points down: counter-clockwise is negative */
    if (area == 0 || (!out->front && !(job->scene->flags[triangle] & GPU_TRIANGLE_DOUBLE_SIDED)))
        return LARGE_NOTHING;
    if (out->front) {
        struct large_corner second = p[1];
        p[1] = p[2];
        p[2] = second;
        area = -area;
    }
    for (int e = 0; e < 3; e++)
        out->edges[e] = large_set_edge(&p[(e + 1) % 3], &p[(e + 2) % 3]);
    large_set_plane(out, (double)area);
    out->first_x = large_most(large_floor_divide(box[0], GPU_SUBPIXEL), job->x0);
    out->first_y = large_most(large_floor_divide(box[1], GPU_SUBPIXEL), job->y0);
    out->last_x = large_least(large_floor_divide(box[2], GPU_SUBPIXEL), job->x1 - 1);
    out->last_y = large_least(large_floor_divide(box[3], GPU_SUBPIXEL), job->y1 - 1);
    return LARGE_DRAW;
}

#endif
