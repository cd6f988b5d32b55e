/* clip.h - triangles that cross the near plane or the guard, or are large: cut into ones that can
 * be projected, in double precision, and laid over samples in 64-bit integers; for CPU and CUDA.
 *
 * The same edges and the same top-left rule as everywhere: a sample at step (x, y) is inside where
 * a * x + b * y + c >= bias for all three edges. */
#ifndef STANCE_GPU_CLIP_H
#define STANCE_GPU_CLIP_H

#include "distort.h"
#include "large.h"

#include <math.h>

/* -- Alpha --------------------------------------------------------------------------------------
 */

/* Keeps later conversions to int defined; a NaN becomes 0. */
GPU_ANY float clip_tame(float coordinate) {
    if (!(fabsf(coordinate) < 65536.0f))
        return 0.0f;
    return coordinate - floorf(coordinate);
}

GPU_ANY int32_t clip_wrap(int32_t i, int32_t size) {
    i %= size;
    return i < 0 ? i + size : i;
}

/* Alpha of a material at a texture coordinate, bilinear, of the finest level. */
GPU_ANY float clip_alpha(const struct gpu_scene *scene, uint32_t material, float u, float v) {
    float base = scene->material_rows[material * GPU_MATERIAL_ROW + GPU_MATERIAL_ALPHA];
    int32_t texture = scene->material_maps[material * GPU_MAPS + GPU_MAP_COLOR];
    if (texture < 0)
        return base;
    uint32_t level = scene->textures[texture].first;
    int32_t width = scene->level_width[level], height = scene->level_height[level];
    const uint32_t *texels = scene->texels + scene->level_offset[level];
    float x = clip_tame(u) * (float)width - 0.5f, y = clip_tame(v) * (float)height - 0.5f;
    float fx = x - floorf(x), fy = y - floorf(y);
    int32_t x0 = clip_wrap((int32_t)floorf(x), width), x1 = clip_wrap(x0 + 1, width);
    int32_t y0 = clip_wrap((int32_t)floorf(y), height), y1 = clip_wrap(y0 + 1, height);
    float a = (float)(texels[(size_t)y0 * (size_t)width + (size_t)x0] >> 24);
    float b = (float)(texels[(size_t)y0 * (size_t)width + (size_t)x1] >> 24);
    float c = (float)(texels[(size_t)y1 * (size_t)width + (size_t)x0] >> 24);
    float d = (float)(texels[(size_t)y1 * (size_t)width + (size_t)x1] >> 24);
    float top = a + (b - a) * fx, bottom = c + (d - c) * fx;
    return base * (1.0f / 255.0f) * (top + (bottom - top) * fy);
}

/* Whether a point of a triangle is above its material's cut-off. `inside` weighs its corners, at
 * any scale. */
GPU_ANY bool clip_solid(const struct gpu_raster *job, uint32_t triangle, const double inside[3]) {
    const struct gpu_scene *scene = job->scene;
    double sum = inside[0] + inside[1] + inside[2], u = 0.0, v = 0.0;
    if (!(sum > 0.0))
        return false;
    for (int c = 0; c < 3; c++) {
        const float *vertex =
            job->vertices + (size_t)scene->corners[c][triangle] * GPU_VERTEX_FLOATS;
        u += inside[c] / sum * (double)vertex[3];
        v += inside[c] / sum * (double)vertex[7];
    }
    uint32_t material = scene->materials[triangle];
    return clip_alpha(scene, material, (float)u, (float)v) >=
           scene->material_rows[material * GPU_MATERIAL_ROW + GPU_MATERIAL_CUTOFF];
}

/* -- Triangles ----------------------------------------------------------------------------------
 */

struct clip_corner {
    int64_t x, y; /* steps */
    double w;
    double inside[3]; /* weights of the original triangle's corners */
};

/* A triangle, or a piece of one, that is laid over samples. */
struct clip_fill {
    struct clip_corner p[3];    /* turned so that its area is positive */
    int64_t a[3], b[3], c[3];   /* edges */
    int64_t bias[3];            /* 1: the edge itself is outside */
    int64_t first_y, last_y;    /* rows of pixels */
    int64_t first_x, last_x;    /* columns */
    double w_x, w_y, low, high; /* what a step adds to w, and its bounds */
    uint32_t triangle;
    bool alpha;
};

GPU_ANY void clip_set_edges(struct clip_fill *fill) {
    for (int e = 0; e < 3; e++) {
        const struct clip_corner *i = &fill->p[(e + 1) % 3], *j = &fill->p[(e + 2) % 3];
        fill->a[e] = i->y - j->y;
        fill->b[e] = j->x - i->x;
        fill->c[e] = -(fill->a[e] * i->x + fill->b[e] * i->y);
        fill->bias[e] = fill->a[e] > 0 || (fill->a[e] == 0 && fill->b[e] > 0) ? 0 : 1;
    }
}

/* False: seen from behind, or without area. */
GPU_ANY bool clip_fill_init(struct clip_fill *fill, const struct gpu_raster *job, uint32_t triangle,
                            const struct clip_corner *a, const struct clip_corner *b,
                            const struct clip_corner *c) {
    int64_t area = (b->x - a->x) * (c->y - a->y) - (c->x - a->x) * (b->y - a->y);
    uint32_t flags = job->scene->flags[triangle];
    if (area == 0 || (area > 0 && !(flags & GPU_TRIANGLE_DOUBLE_SIDED)))
        return false;
    fill->triangle = triangle;
    fill->alpha = (flags & GPU_TRIANGLE_ALPHA_TEST) != 0;
    fill->p[0] = *a;
    fill->p[1] = area < 0 ? *c : *b;
    fill->p[2] = area < 0 ? *b : *c;
    clip_set_edges(fill);
    const struct clip_corner *p = fill->p;
    double x1 = (double)(p[1].x - p[0].x), y1 = (double)(p[1].y - p[0].y);
    double x2 = (double)(p[2].x - p[0].x), y2 = (double)(p[2].y - p[0].y);
    double w1 = p[1].w - p[0].w, w2 = p[2].w - p[0].w;
    double size = area < 0 ? -(double)area : (double)area;
    fill->w_x = (w1 * y2 - w2 * y1) / size;
    fill->w_y = (x1 * w2 - x2 * w1) / size;
    fill->low = fill->high = p[0].w;
    int64_t box[4] = {p[0].x, p[0].y, p[0].x, p[0].y};
    for (int i = 1; i < 3; i++) {
        fill->low = p[i].w < fill->low ? p[i].w : fill->low;
        fill->high = p[i].w > fill->high ? p[i].w : fill->high;
        box[0] = large_least(box[0], p[i].x);
        box[1] = large_least(box[1], p[i].y);
        box[2] = large_most(box[2], p[i].x);
        box[3] = large_most(box[3], p[i].y);
    }
    fill->first_x = large_most(large_floor_divide(box[0], GPU_SUBPIXEL), job->x0);
    fill->first_y = large_most(large_floor_divide(box[1], GPU_SUBPIXEL), job->y0);
    fill->last_x = large_least(large_floor_divide(box[2], GPU_SUBPIXEL), job->x1 - 1);
    fill->last_y = large_least(large_floor_divide(box[3], GPU_SUBPIXEL), job->y1 - 1);
    return true;
}

/* w at step (x, y). */
GPU_ANY float clip_depth(const struct clip_fill *fill, int64_t x, int64_t y) {
    double row = fill->p[0].w + fill->w_y * (double)(y - fill->p[0].y);
    double w = row + fill->w_x * (double)(x - fill->p[0].x);
    return (float)(w < fill->low ? fill->low : w > fill->high ? fill->high : w);
}

/* Whether alpha lets the sample at step (x, y) stand; for those with fill->alpha. */
GPU_ANY bool clip_solid_at(const struct clip_fill *fill, const struct gpu_raster *job, int64_t x,
                           int64_t y) {
    double inside[3] = {0.0, 0.0, 0.0};
    for (int c = 0; c < 3; c++) {
        double weight = (double)(fill->a[c] * x + fill->b[c] * y + fill->c[c]);
        if (job->projection.perspective)
            weight *= fill->p[c].w;
        for (int i = 0; i < 3; i++)
            inside[i] += weight * fill->p[c].inside[i];
    }
    return clip_solid(job, fill->triangle, inside);
}

/* -- Clipping -----------------------------------------------------------------------------------
 */

struct clip_point {
    double at[3];     /* camera space */
    double inside[3]; /* weights of the original corners */
};

enum { CLIP_PLANES = 5, CLIP_CORNERS = 3 + CLIP_PLANES };

/* Signed distance, inside positive, from the near plane and the four sides of the guard. */
GPU_ANY double clip_distance(const struct gpu_projection *p, int plane, const double at[3]) {
    const double guard = GPU_GUARD - 1;
    double x = (double)p->fx * at[0], y = (double)p->fy * at[1], z = at[2];
    switch (plane) {
    case 0:
        return z - (double)p->near_plane;
    case 1:
        return x + ((double)p->cx + guard) * z;
    case 2:
        return (guard - (double)p->cx) * z - x;
    case 3:
        return y + ((double)p->cy + guard) * z;
    default:
        return (guard - (double)p->cy) * z - y;
    }
}

GPU_ANY int clip_by(const struct gpu_projection *projection, int plane, struct clip_point *points,
                    int count) {
    struct clip_point out[CLIP_CORNERS + 1];
    int kept = 0;
    for (int i = 0; i < count; i++) {
        const struct clip_point *here = &points[i], *next = &points[(i + 1) % count];
        double d0 = clip_distance(projection, plane, here->at);
        double d1 = clip_distance(projection, plane, next->at);
        if (d0 >= 0.0 && kept < CLIP_CORNERS)
            out[kept++] = *here;
        if ((d0 >= 0.0) != (d1 >= 0.0) && kept < CLIP_CORNERS) {
            double t = d0 / (d0 - d1);
            struct clip_point *cut_at = &out[kept++];
            for (int c = 0; c < 3; c++) {
                cut_at->at[c] = here->at[c] + (next->at[c] - here->at[c]) * t;
                cut_at->inside[c] = here->inside[c] + (next->inside[c] - here->inside[c]) * t;
            }
        }
    }
    for (int i = 0; i < kept; i++)
        points[i] = out[i];
    return kept;
}

GPU_ANY bool clip_to_camera(const struct gpu_raster *job, uint32_t triangle,
                            struct clip_point points[3]) {
    const float *m = job->projection.m;
    for (int c = 0; c < 3; c++) {
        const float *p =
            job->vertices + (size_t)job->scene->corners[c][triangle] * GPU_VERTEX_FLOATS;
        for (int r = 0; r < 3; r++) {
            double at = (double)m[4 * r] * (double)p[0] + (double)m[4 * r + 1] * (double)p[1] +
                        (double)m[4 * r + 2] * (double)p[2] + (double)m[4 * r + 3];
            if (!(fabs(at) < 1e12)) /* not a number, or hopeless */
                return false;
            points[c].at[r] = at;
            points[c].inside[r] = c == r ? 1.0 : 0.0;
        }
    }
    return true;
}

GPU_ANY int64_t clip_to_steps(double pixels) {
    double limit = GPU_GUARD;
    pixels = pixels < -limit ? -limit : pixels > limit ? limit : pixels;
    return (int64_t)floor(pixels * GPU_SUBPIXEL + 0.5);
}

/* The corners of a triangle, or of what is left of it before the camera: a fan around the first.
 * Returns how many, below 3 where nothing is. */
GPU_ANY int clip_triangle(const struct gpu_raster *job, uint32_t triangle,
                          struct clip_corner out[CLIP_CORNERS]) {
    const struct gpu_projection *projection = &job->projection;
    bool whole = true;
    for (int c = 0; c < 3; c++) {
        uint32_t vertex = job->scene->corners[c][triangle];
        whole = whole && job->projected.w[vertex] > 0.0f;
        out[c].x = job->projected.x[vertex];
        out[c].y = job->projected.y[vertex];
        out[c].w = (double)job->projected.w[vertex];
        for (int i = 0; i < 3; i++)
            out[c].inside[i] = c == i ? 1.0 : 0.0;
    }
    if (whole)
        return 3;
    struct clip_point points[CLIP_CORNERS + 1];
    if (!projection->perspective || !clip_to_camera(job, triangle, points))
        return 0;
    int count = 3;
    for (int plane = 0; plane < CLIP_PLANES && count >= 3; plane++)
        count = clip_by(projection, plane, points, count);
    for (int i = 0; i < count && count >= 3; i++) {
        const struct clip_point *from = &points[i];
        double z = from->at[2], near = (double)projection->near_plane,
               w = 1.0 / (z > near ? z : near);
        double x = from->at[0] * w, y = from->at[1] * w;
        distort_point(&projection->lens, &x, &y);
        out[i].x = clip_to_steps((double)projection->fx * x + (double)projection->cx);
        out[i].y = clip_to_steps((double)projection->fy * y + (double)projection->cy);
        out[i].w = w;
        for (int c = 0; c < 3; c++)
            out[i].inside[c] = from->inside[c];
    }
    return count;
}

#endif
