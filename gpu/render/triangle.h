/* triangle.h - triangles as edges and planes over the picture, for vectors of lanes; for the CPU's
 * raster.c and CUDA.
 *
 * Edges are integers: whether a sample is inside is exact, and two triangles that share an edge
 * share no sample and leave none out (top-left rule). w is a plane: 1 / z is linear in the picture,
 * and so is the sun's depth. Its bits do not depend on the part of the picture that is drawn:
 *
 *   ((w + y * w_y) + x * w_x) + (sample x * w_x + sample y * w_y), cut to [low, high]
 *
 * with x and y the steps from the triangle's own first pixel to the sample's. */
#ifndef STANCE_GPU_TRIANGLE_H
#define STANCE_GPU_TRIANGLE_H

#include "cpu/kernels.h"
#include "lanes.h"

/* Steps a small triangle may extend: an edge's parts fit 16 bits, and its value 32 bits two blocks
 * of GPU_BLOCK pixels beyond the triangle. */
enum { TRIANGLE_SMALL = 112 * GPU_SUBPIXEL };

struct triangle_corners {
    vi x[3], y[3];
    vf w[3];
};

/* The pixels any of whose samples may be inside a triangle, within the job's. */
struct triangle_pixels {
    vi x0, y0, x1, y1; /* the last ones included */
    vi from_x, from_y; /* steps from where it begins to where the job's does, or 0 */
};

/* a * x + b * y + c >= 0 inside; x, y: steps from the first pixel that is drawn. */
struct triangle_edge {
    vi a, b, c;
};

struct triangle_setup {
    vm wanted; /* to be drawn by what follows */
    vm slow;   /* large, or not projectable: to be drawn otherwise */
    vm front;  /* second and third corner were exchanged */
    struct triangle_pixels pixels;
    struct triangle_corners corners; /* from the first pixel that is drawn */
    struct triangle_edge edges[3];
    vf w, w_x, w_y, low, high;
};

GPU_LANE vi triangle_min3(const vi a[3]) {
    return vi_min(vi_min(a[0], a[1]), a[2]);
}

GPU_LANE vi triangle_max3(const vi a[3]) {
    return vi_max(vi_max(a[0], a[1]), a[2]);
}

GPU_LANE void triangle_exchange(vm mask, vi *a, vi *b) {
    vi old = *a;
    *a = vi_select(mask, *b, *a);
    *b = vi_select(mask, old, *b);
}

GPU_LANE struct triangle_edge triangle_set_edge(const struct triangle_corners *p, int i, int j) {
    const vi zero = vi_set1(0);
    struct triangle_edge out;
    out.a = p->y[i] - p->y[j];
    out.b = p->x[j] - p->x[i];
    vm inclusive = vm_or(vi_less(zero, out.a), vm_and(vi_equal(out.a, zero), vi_less(zero, out.b)));
    out.c = zero - (out.a * p->x[i] + out.b * p->y[i]);
    out.c = out.c - vi_select(inclusive, zero, vi_set1(1));
    return out;
}

GPU_LANE void triangle_set_plane(struct triangle_setup *out, vi area) {
    const struct triangle_corners *p = &out->corners;
    vf inverse = vf_set1(1.0f) / vf_from_vi(area);
    vf x1 = vf_from_vi(p->x[1] - p->x[0]), y1 = vf_from_vi(p->y[1] - p->y[0]);
    vf x2 = vf_from_vi(p->x[2] - p->x[0]), y2 = vf_from_vi(p->y[2] - p->y[0]);
    vf w1 = p->w[1] - p->w[0], w2 = p->w[2] - p->w[0];
    out->w_x = (w1 * y2 - w2 * y1) * inverse;
    out->w_y = (x1 * w2 - x2 * w1) * inverse;
    vf x0 = vf_from_vi(p->x[0] + out->pixels.from_x);
    vf y0 = vf_from_vi(p->y[0] + out->pixels.from_y);
    out->w = p->w[0] - (out->w_x * x0 + out->w_y * y0);
    out->low = vf_min(vf_min(p->w[0], p->w[1]), p->w[2]);
    out->high = vf_max(vf_max(p->w[0], p->w[1]), p->w[2]);
}

GPU_LANE struct triangle_pixels triangle_find_pixels(const struct gpu_raster *job, vi low_x,
                                                     vi high_x, vi low_y, vi high_y) {
    const struct gpu_pattern *pattern = job->pattern;
    const vi round_up = vi_set1(GPU_SUBPIXEL - 1), zero = vi_set1(0);
    struct triangle_pixels out;
    out.x0 = (low_x - vi_set1(pattern->max_x) + round_up) >> GPU_SUBPIXEL_BITS;
    out.y0 = (low_y - vi_set1(pattern->max_y) + round_up) >> GPU_SUBPIXEL_BITS;
    out.x1 = (high_x - vi_set1(pattern->min_x)) >> GPU_SUBPIXEL_BITS;
    out.y1 = (high_y - vi_set1(pattern->min_y)) >> GPU_SUBPIXEL_BITS;
    out.from_x = vi_max(vi_set1(job->x0) - out.x0, zero) << GPU_SUBPIXEL_BITS;
    out.from_y = vi_max(vi_set1(job->y0) - out.y0, zero) << GPU_SUBPIXEL_BITS;
    out.x0 = vi_max(out.x0, vi_set1(job->x0));
    out.y0 = vi_max(out.y0, vi_set1(job->y0));
    out.x1 = vi_min(out.x1, vi_set1(job->x1 - 1));
    out.y1 = vi_min(out.y1, vi_set1(job->y1 - 1));
    return out;
}

/* Turns what is seen from the front, so that all areas are positive. Returns those lanes. */
GPU_LANE vm triangle_orient(struct triangle_corners *p, vi *area) {
    const vi zero = vi_set1(0);
    vi x1 = p->x[1] - p->x[0], y1 = p->y[1] - p->y[0];
    vi x2 = p->x[2] - p->x[0], y2 = p->y[2] - p->y[0];
    *area = x1 * y2 - x2 * y1;
    vm front = vi_less(*area, zero); /* y points down: counter-clockwise is negative */
    triangle_exchange(front, &p->x[1], &p->x[2]);
    triangle_exchange(front, &p->y[1], &p->y[2]);
    vf w1 = p->w[1];
    p->w[1] = vf_select(front, p->w[2], p->w[1]);
    p->w[2] = vf_select(front, w1, p->w[2]);
    *area = vi_select(front, zero - *area, *area);
    return front;
}

GPU_LANE void triangle_load(const struct gpu_raster *job, uint32_t first,
                            struct triangle_corners *p) {
    for (int c = 0; c < 3; c++) {
        vi index = vi_load(job->scene->corners[c] + first);
        p->x[c] = vi_gather(job->projected.x, index);
        p->y[c] = vi_gather(job->projected.y, index);
        p->w[c] = vf_gather(job->projected.w, index);
    }
}

/* Sets up triangles [first, first + GPU_LANES). Where no lane is wanted, only `wanted` and `slow`
 * are set. */
GPU_LANE void triangle_set_up(const struct gpu_raster *job, uint32_t first,
                              struct triangle_setup *out) {
    const vi zero = vi_set1(0), limit = vi_set1(TRIANGLE_SMALL);
    struct triangle_corners *p = &out->corners;
    triangle_load(job, first, p);
    vi flags = vi_load(job->scene->flags + first);
    vm good = vf_less(vf_set1(0.0f), vf_min(vf_min(p->w[0], p->w[1]), p->w[2]));
    vi low_x = triangle_min3(p->x), high_x = triangle_max3(p->x);
    vi low_y = triangle_min3(p->y), high_y = triangle_max3(p->y);
    struct triangle_pixels pixels = triangle_find_pixels(job, low_x, high_x, low_y, high_y);
    vm unseen = vm_or(vi_less(pixels.x1, pixels.x0), vi_less(pixels.y1, pixels.y0));
    vm hole = vm_not(vi_equal(flags & vi_set1(GPU_TRIANGLE_HOLE), zero));
    vm small = vm_and(vi_less(high_x - low_x, limit), vi_less(high_y - low_y, limit));
    vm wanted = vm_and(good, vm_not(vm_or(unseen, hole)));
    out->slow = vm_or(vm_and(wanted, vm_not(small)), vm_not(vm_or(good, hole)));
    out->wanted = wanted = vm_and(wanted, small);
    if (!vm_any(wanted))
        return;

    /* Lanes that are not to be drawn become points, so that nothing below overflows. */
    vi origin_x = vi_select(wanted, pixels.x0 << GPU_SUBPIXEL_BITS, zero);
    vi origin_y = vi_select(wanted, pixels.y0 << GPU_SUBPIXEL_BITS, zero);
    for (int c = 0; c < 3; c++) {
        p->x[c] = vi_select(wanted, p->x[c], zero) - origin_x;
        p->y[c] = vi_select(wanted, p->y[c], zero) - origin_y;
    }
    out->pixels = pixels;
    vi area;
    out->front = triangle_orient(p, &area);
    vm both = vm_not(vi_equal(flags & vi_set1(GPU_TRIANGLE_DOUBLE_SIDED), zero));
    out->wanted = vm_and(vm_and(wanted, vm_or(out->front, both)), vi_less(zero, area));
    if (!vm_any(out->wanted))
        return;
    out->edges[0] = triangle_set_edge(p, 1, 2);
    out->edges[1] = triangle_set_edge(p, 2, 0);
    out->edges[2] = triangle_set_edge(p, 0, 1);
    triangle_set_plane(out, vi_max(area, vi_set1(1)));
}

#endif
