/* raster_slow.c - triangles that cross the near plane or the guard, or are large: one at a time,
 * found row by row as spans; see kernels.h, render/clip.h. */
#include "kernels.h"

#include "../render/clip.h"

struct span {
    int64_t first, last; /* pixels */
};

/* Cuts `span` to the pixels whose sample, at x = pixel * GPU_SUBPIXEL + offset, has a * x + rest >=
 * 0. */
static void cut(struct span *span, int64_t a, int64_t rest, int64_t offset) {
    int64_t here = a * offset + rest, pixel = a * GPU_SUBPIXEL;
    if (a > 0) {
        int64_t first = -large_floor_divide(here, pixel);
        span->first = first > span->first ? first : span->first;
    } else if (a < 0) {
        int64_t last = large_floor_divide(here, -pixel);
        span->last = last < span->last ? last : span->last;
    } else if (here < 0) {
        span->last = span->first - 1;
    }
}

static void fill_row(const struct gpu_raster *job, const struct clip_fill *fill, int64_t pixel_y,
                     uint32_t sample) {
    int64_t offset = job->pattern->x[sample];
    int64_t y = pixel_y * GPU_SUBPIXEL + job->pattern->y[sample];
    struct span span = {job->x0, job->x1 - 1};
    for (int e = 0; e < 3; e++)
        cut(&span, fill->a[e], fill->b[e] * y + fill->c[e] - fill->bias[e], offset);
    size_t row = (size_t)(pixel_y - job->y0) * job->stride + sample;
    for (int64_t px = span.first; px <= span.last; px++) {
        int64_t x = px * GPU_SUBPIXEL + offset;
        float w = clip_depth(fill, x, y);
        size_t at = row + (size_t)(px - job->x0) * job->pattern->samples;
        if (!(w > job->depth[at]) || (fill->alpha && !clip_solid_at(fill, job, x, y)))
            continue;
        job->depth[at] = w;
        if (job->triangle != NULL)
            job->triangle[at] = job->first + fill->triangle + 1;
    }
}

void gpu_raster_slow(const struct gpu_raster *job, uint32_t triangle) {
    struct clip_corner corners[CLIP_CORNERS];
    int count = clip_triangle(job, triangle, corners);
    for (int i = 2; i < count; i++) {
        struct clip_fill fill;
        if (!clip_fill_init(&fill, job, triangle, &corners[0], &corners[i - 1], &corners[i]))
            continue;
        for (int64_t y = fill.first_y; y <= fill.last_y; y++)
            for (uint32_t s = 0; s < job->pattern->samples; s++)
                fill_row(job, &fill, y, s);
    }
}
