/* render_raster.h - people into samples, as items (kernel.h): projection, small triangles, large
 * ones; the maths is gpu/render's, which the CPU's rasteriser runs, too.
 *
 * A sample is 64 bits: w above, the triangle's id turned over below, 0 where there is nothing. The
 * greatest of them wins, whatever the order in which they come: the nearest, and among equals the
 * triangle that comes first, as on the CPU, which draws them in order.
 *
 * Triangles of a few pixels are drawn by one thread. What is larger goes to a list, as many times
 * as it has portions of RENDER_PORTION pixels, and is drawn by RENDER_TEAM threads a portion. */
#ifndef STANCE_CUDA_RENDER_RASTER_H
#define STANCE_CUDA_RENDER_RASTER_H

#include "cpu/raster_alpha.h"
#include "cuda/kernel.h"
#include "render/clip.h"
#include "render/large.h"
#include "render/project.h"
#include "render/triangle.h"

enum {
    RENDER_ALONE = 48,     /* pixels that a thread draws by itself */
    RENDER_PORTION = 2048, /* pixels of a triangle that a team draws */
    RENDER_TEAM = 32,      /* threads */
};

typedef unsigned long long render_sample;

/* One person in a part of a picture. All of it is where the kernels run. */
struct render_draw {
    struct gpu_raster job;  /* x0 .. y1: the part; depth and triangle are not used */
    render_sample *samples; /* [y1 - y0][x1 - x0][samples] */
};

/* A portion of a triangle that is waiting. */
struct render_waiting {
    uint32_t draw, triangle, portion;
};

struct render_list {
    uint32_t *count; /* may go beyond `room`: what did not fit was drawn at once */
    uint32_t room;
    struct render_waiting *items;
};

CUDA_ANY static inline void render_put(render_sample *at, float w, uint32_t id) {
    const render_sample value = (render_sample)(uint32_t)vi_bits(w) << 32 | (uint32_t)~id;
    if (*at >= value)
        return;
#ifdef __CUDA_ARCH__
    atomicMax(at, value);
#else
    *at = value;
#endif
}

/* The next `count` places of a list; less than count are left where it is nearly full. */
CUDA_ANY static inline uint32_t render_claim(uint32_t *counter, uint32_t count) {
#ifdef __CUDA_ARCH__
    return atomicAdd(counter, count);
#else
    const uint32_t first = *counter;
    *counter += count;
    return first;
#endif
}

CUDA_ANY static inline render_sample *render_pixel(const render_draw &draw, int64_t x, int64_t y) {
    const struct gpu_raster &job = draw.job;
    return draw.samples +
           ((size_t)(y - job.y0) * (size_t)(job.x1 - job.x0) + (size_t)(x - job.x0)) *
               job.pattern->samples;
}

/* -- Small triangles ----------------------------------------------------------------------------
 */

/* Pixels first, first + step, ... before `end` of a triangle's box, row by row. */
CUDA_ANY static inline void render_small(const render_draw &draw, uint32_t triangle,
                                         const triangle_setup &t, int32_t first, int32_t step,
                                         int32_t end) {
    const struct gpu_raster &job = draw.job;
    const struct gpu_pattern &pattern = *job.pattern;
    const int32_t wide = t.pixels.x1 - t.pixels.x0 + 1;
    const bool test = (job.scene->flags[triangle] & GPU_TRIANGLE_ALPHA_TEST) != 0;
    struct alpha_test alpha = {};
    if (test)
        alpha_test_init(&alpha, &job, triangle, t.front, t.corners.w);
    for (int32_t p = first; p < end; p += step) {
        const int32_t x = p % wide * GPU_SUBPIXEL, y = p / wide * GPU_SUBPIXEL;
        const float row_w = t.w + vf_from_vi(t.pixels.from_y + y) * t.w_y;
        const float pixel_w = row_w + vf_from_vi(t.pixels.from_x + x) * t.w_x;
        render_sample *const out =
            render_pixel(draw, t.pixels.x0 + p % wide, t.pixels.y0 + p / wide);
        for (uint32_t s = 0; s < pattern.samples; s++) {
            const int32_t sx = pattern.x[s], sy = pattern.y[s];
            int32_t at[3];
            for (int e = 0; e < 3; e++)
                at[e] = t.edges[e].a * (x + sx) + t.edges[e].b * (y + sy) + t.edges[e].c;
            if ((at[0] | at[1] | at[2]) < 0)
                continue;
            const float share = vf_from_vi(sx) * t.w_x + vf_from_vi(sy) * t.w_y;
            if (test && !alpha_solid(job.scene, &alpha, vf_from_vi(at[0]), vf_from_vi(at[1]),
                                     vf_from_vi(at[2])))
                continue;
            render_put(out + s, vf_clamp(pixel_w + share, t.low, t.high), job.first + triangle + 1);
        }
    }
}

/* -- Large triangles ----------------------------------------------------------------------------
 */

CUDA_ANY static inline int64_t render_area(int64_t first_x, int64_t last_x, int64_t first_y,
                                           int64_t last_y) {
    return last_x < first_x || last_y < first_y ? 0
                                                : (last_x - first_x + 1) * (last_y - first_y + 1);
}

CUDA_ANY static inline void render_large(const render_draw &draw, uint32_t triangle,
                                         const large_triangle &t, int64_t first, int64_t step,
                                         int64_t end) {
    const struct gpu_raster &job = draw.job;
    const struct gpu_pattern &pattern = *job.pattern;
    const int64_t wide = t.last_x - t.first_x + 1, block = GPU_BLOCK / pattern.samples;
    const bool test = (job.scene->flags[triangle] & GPU_TRIANGLE_ALPHA_TEST) != 0;
    const float w[3] = {t.p[0].w, t.p[1].w, t.p[2].w};
    struct alpha_test alpha = {};
    if (test)
        alpha_test_init(&alpha, &job, triangle, t.front, w);
    for (int64_t p = first; p < end; p += step) {
        const int64_t px = t.first_x + p % wide, py = t.first_y + p / wide;
        const int64_t x = (px & -block) * GPU_SUBPIXEL, y = py * GPU_SUBPIXEL;
        const float base = large_base(&t, x, y);
        render_sample *const out = render_pixel(draw, px, py);
        for (uint32_t s = 0; s < pattern.samples; s++) {
            const int lane = (int)((uint32_t)(px & (block - 1)) * pattern.samples + s);
            const int32_t sx = pattern.block_xy[lane] & 0xffff, sy = pattern.block_xy[lane] >> 16;
            int64_t corner[3], share[3];
            bool inside = true;
            for (int e = 0; e < 3; e++) {
                corner[e] = t.edges[e].a * x + t.edges[e].b * y + t.edges[e].c;
                share[e] = t.edges[e].a * sx + t.edges[e].b * sy;
                inside = inside && corner[e] + share[e] >= 0;
            }
            if (!inside)
                continue;
            float edges[3];
            for (int e = 0; test && e < 3; e++)
                edges[e] = (float)corner[e] + (float)(int32_t)share[e];
            if (test && !alpha_solid(job.scene, &alpha, edges[0], edges[1], edges[2]))
                continue;
            const float here = vf_clamp(base + large_share(&t, &pattern, lane), t.low, t.high);
            render_put(out + s, here, job.first + triangle + 1);
        }
    }
}

CUDA_ANY static inline void render_fill(const render_draw &draw, const clip_fill &fill,
                                        int64_t first, int64_t step, int64_t end) {
    const struct gpu_raster &job = draw.job;
    const struct gpu_pattern &pattern = *job.pattern;
    const int64_t wide = fill.last_x - fill.first_x + 1;
    for (int64_t p = first; p < end; p += step) {
        const int64_t px = fill.first_x + p % wide, py = fill.first_y + p / wide;
        render_sample *const out = render_pixel(draw, px, py);
        for (uint32_t s = 0; s < pattern.samples; s++) {
            const int64_t x = px * GPU_SUBPIXEL + pattern.x[s];
            const int64_t y = py * GPU_SUBPIXEL + pattern.y[s];
            bool inside = true;
            for (int e = 0; e < 3; e++)
                inside = inside && fill.a[e] * x + fill.b[e] * y + fill.c[e] >= fill.bias[e];
            if (inside && (!fill.alpha || clip_solid_at(&fill, &job, x, y)))
                render_put(out + s, clip_depth(&fill, x, y), job.first + fill.triangle + 1);
        }
    }
}

/* Pixels [from, to) of what does not fit a small triangle, of each of its pieces where it is
 * clipped: every `step`-th from first on. Returns how many there are in all. */
CUDA_ANY static inline int64_t render_slow(const render_draw &draw, uint32_t triangle,
                                           int64_t first, int64_t step, int64_t end) {
    struct large_triangle t;
    const enum large_kind kind = large_set_up(&draw.job, triangle, &t);
    if (kind == LARGE_NOTHING)
        return 0;
    if (kind == LARGE_DRAW) {
        const int64_t area = render_area(t.first_x, t.last_x, t.first_y, t.last_y);
        render_large(draw, triangle, t, first, step, large_least(end, area));
        return area;
    }
    struct clip_corner corners[CLIP_CORNERS];
    const int count = clip_triangle(&draw.job, triangle, corners);
    int64_t most = 0;
    for (int i = 2; i < count; i++) {
        struct clip_fill fill;
        if (!clip_fill_init(&fill, &draw.job, triangle, &corners[0], &corners[i - 1], &corners[i]))
            continue;
        const int64_t area = render_area(fill.first_x, fill.last_x, fill.first_y, fill.last_y);
        render_fill(draw, fill, first, step, large_least(end, area));
        most = large_most(most, area);
    }
    return most;
}

/* -- Items --------------------------------------------------------------------------------------
 */

/* Rows: draws; items: vertices. */
struct render_project {
    const render_draw *const *draws;

    CUDA_ANY void operator()(uint32_t row, uint32_t i) const {
        const struct gpu_raster &job = draws[row]->job;
        if (i >= job.scene->padded_vertices)
            return;
        const float *vertex = job.vertices + (size_t)i * GPU_VERTEX_FLOATS;
        const struct projected at = project_vertex(&job.projection, vertex);
        job.projected.x[i] = at.x;
        job.projected.y[i] = at.y;
        job.projected.w[i] = at.w;
    }
};

/* Puts all portions of a triangle of so many pixels into the list. False: there is no room, and
 * it has to be drawn at once. */
CUDA_ANY static inline bool render_defer(const render_list &list, uint32_t draw, uint32_t triangle,
                                         int64_t pixels) {
    const uint32_t portions = (uint32_t)((pixels + RENDER_PORTION - 1) / RENDER_PORTION);
    if (*static_cast<volatile uint32_t *>(list.count) >= list.room)
        return false; /* nothing more is claimed, lest the counter begin anew */
    const uint32_t first = render_claim(list.count, portions);
    const bool fits = first <= list.room && portions <= list.room - first;
    /* Where it does not fit, what was claimed is left empty. */
    const uint32_t end = fits ? first + portions : list.room;
    for (uint32_t k = first; k < end; k++)
        list.items[k] = render_waiting{draw, triangle, fits ? k - first : UINT32_MAX};
    return fits;
}

/* Rows: draws; items: triangles. */
struct render_triangles {
    const render_draw *const *draws;
    struct render_list list;
    struct render_list slow; /* for render_slows; room for all triangles of all draws */

    CUDA_ANY void operator()(uint32_t row, uint32_t i) const {
        const render_draw &draw = *draws[row];
        if (i >= draw.job.scene->triangle_count)
            return;
        struct triangle_setup t;
        triangle_set_up(&draw.job, i, &t);
        if (t.slow)
            slow.items[render_claim(slow.count, 1)] = render_waiting{row, i, 0};
        if (t.slow || !t.wanted)
            return;
        const int32_t pixels = (t.pixels.x1 - t.pixels.x0 + 1) * (t.pixels.y1 - t.pixels.y0 + 1);
        if (pixels <= RENDER_ALONE || !render_defer(list, row, i, pixels))
            render_small(draw, i, t, 0, 1, pixels);
    }
};

/* Items: what render_triangles left. A kernel by itself, as it takes many registers and is rarely
 * needed. */
struct render_slows {
    const render_draw *const *draws;
    struct render_list list, slow;

    CUDA_ANY uint32_t count() const {
        return *slow.count;
    }

    CUDA_ANY void operator()(uint32_t i) const {
        const render_waiting &waiting = slow.items[i];
        const render_draw &draw = *draws[waiting.draw];
        const int64_t pixels = render_slow(draw, waiting.triangle, 0, 1, 0);
        if (pixels > 0 &&
            (pixels <= RENDER_ALONE || !render_defer(list, waiting.draw, waiting.triangle, pixels)))
            render_slow(draw, waiting.triangle, 0, 1, pixels);
    }
};

/* Items: RENDER_TEAM for each portion in the list. */
struct render_portions {
    const render_draw *const *draws;
    struct render_list list;

    CUDA_ANY uint32_t count() const {
        return (*list.count < list.room ? *list.count : list.room) * RENDER_TEAM;
    }

    CUDA_ANY void operator()(uint32_t i) const {
        const render_waiting &waiting = list.items[i / RENDER_TEAM];
        if (waiting.portion == UINT32_MAX)
            return;
        const render_draw &draw = *draws[waiting.draw];
        const int64_t first = (int64_t)waiting.portion * RENDER_PORTION;
        struct triangle_setup t;
        triangle_set_up(&draw.job, waiting.triangle, &t);
        if (t.slow) {
            render_slow(draw, waiting.triangle, first + i % RENDER_TEAM, RENDER_TEAM,
                        first + RENDER_PORTION);
            return;
        }
        const int32_t pixels = (t.pixels.x1 - t.pixels.x0 + 1) * (t.pixels.y1 - t.pixels.y0 + 1);
        const int32_t end = (int32_t)large_least(first + RENDER_PORTION, pixels);
        render_small(draw, waiting.triangle, t, (int32_t)first + (int32_t)(i % RENDER_TEAM),
                     RENDER_TEAM, end);
    }
};

#endif
