/* raster_slow.c - triangles that cross the near plane or the guard, or are large: one at a time, in
 * 64-bit integers; see kernels.h. The same edges and the same top-left rule as in raster.c, found
 * row by row as spans. */
#include "kernels.h"

#include <math.h>

struct corner {
    int64_t x, y; /* steps */
    double w;
    double inside[3]; /* weights of the original triangle's corners */
};

struct span {
    int64_t first, last; /* pixels */
};

/* -- Alpha --------------------------------------------------------------------------------------
 */

/* Whether a point of a triangle is above its material's cut-off. `inside` weighs its corners, at
 * any scale. */
static bool solid(const struct gpu_raster *job, uint32_t triangle, const double inside[3]) {
    const struct gpu_scene *scene = job->scene;
    double sum = inside[0] + inside[1] + inside[2], uv[2] = {0};
    if (!(sum > 0.0))
        return false;
    for (int c = 0; c < 3; c++) {
        const float *vertex =
            job->vertices + (size_t)scene->corners[c][triangle] * GPU_VERTEX_FLOATS;
        uv[0] += inside[c] / sum * (double)vertex[3];
        uv[1] += inside[c] / sum * (double)vertex[7];
    }
    uint32_t material = scene->materials[triangle];
    return gpu_scene_alpha(scene, material, (float)uv[0], (float)uv[1]) >=
           scene->material_cutoff[material];
}

/* -- Spans --------------------------------------------------------------------------------------
 */

static int64_t floor_divide(int64_t a, int64_t b) /* b > 0 */
{
    int64_t q = a / b;
    return q * b > a ? q - 1 : q;
}

/* Cuts `span` to the pixels whose sample, at x = pixel * GPU_SUBPIXEL + offset, has a * x + rest >=
 * 0. */
static void cut(struct span *span, int64_t a, int64_t rest, int64_t offset) {
    int64_t here = a * offset + rest, pixel = a * GPU_SUBPIXEL;
    if (a > 0) {
        int64_t first = -floor_divide(here, pixel);
        span->first = first > span->first ? first : span->first;
    } else if (a < 0) {
        int64_t last = floor_divide(here, -pixel);
        span->last = last < span->last ? last : span->last;
    } else if (here < 0) {
        span->last = span->first - 1;
    }
}

struct edges {
    int64_t a[3], b[3], c[3];
    int64_t bias[3]; /* 1: the edge itself is outside */
};

static void set_edges(struct edges *edges, const struct corner *const p[3]) {
    for (int e = 0; e < 3; e++) {
        const struct corner *i = p[(e + 1) % 3], *j = p[(e + 2) % 3];
        edges->a[e] = i->y - j->y;
        edges->b[e] = j->x - i->x;
        edges->c[e] = -(edges->a[e] * i->x + edges->b[e] * i->y);
        edges->bias[e] = edges->a[e] > 0 || (edges->a[e] == 0 && edges->b[e] > 0) ? 0 : 1;
    }
}

/* -- Filling ------------------------------------------------------------------------------------
 */

struct fill {
    const struct gpu_raster *job;
    uint32_t triangle;
    const struct corner *p[3];
    struct edges edges;
    double area, w_x, w_y, low, high;
    bool alpha;
};

static bool solid_at(const struct fill *fill, int64_t x, int64_t y) {
    double inside[3] = {0};
    for (int c = 0; c < 3; c++) {
        double weight = (double)(fill->edges.a[c] * x + fill->edges.b[c] * y + fill->edges.c[c]);
        if (fill->job->projection.perspective)
            weight *= fill->p[c]->w;
        for (int i = 0; i < 3; i++)
            inside[i] += weight * fill->p[c]->inside[i];
    }
    return solid(fill->job, fill->triangle, inside);
}

static void fill_row(const struct fill *fill, int64_t pixel_y, uint32_t sample) {
    const struct gpu_raster *job = fill->job;
    const struct edges *edges = &fill->edges;
    int64_t offset = job->pattern->x[sample];
    int64_t y = pixel_y * GPU_SUBPIXEL + job->pattern->y[sample];
    struct span span = {job->x0, job->x1 - 1};
    for (int e = 0; e < 3; e++)
        cut(&span, edges->a[e], edges->b[e] * y + edges->c[e] - edges->bias[e], offset);
    size_t row = (size_t)(pixel_y - job->y0) * job->stride + sample;
    double w_row = fill->p[0]->w + fill->w_y * (double)(y - fill->p[0]->y);
    for (int64_t px = span.first; px <= span.last; px++) {
        int64_t x = px * GPU_SUBPIXEL + offset;
        double w = w_row + fill->w_x * (double)(x - fill->p[0]->x);
        float clamped = (float)(w < fill->low ? fill->low : w > fill->high ? fill->high : w);
        size_t at = row + (size_t)(px - job->x0) * job->pattern->samples;
        if (!(clamped > job->depth[at]) || (fill->alpha && !solid_at(fill, x, y)))
            continue;
        job->depth[at] = clamped;
        if (job->triangle != NULL)
            job->triangle[at] = job->first + fill->triangle + 1;
    }
}

static void fill_triangle(const struct gpu_raster *job, uint32_t triangle, const struct corner *a,
                          const struct corner *b, const struct corner *c) {
    int64_t area = (b->x - a->x) * (c->y - a->y) - (c->x - a->x) * (b->y - a->y);
    uint32_t flags = job->scene->flags[triangle];
    if (area == 0 || (area > 0 && !(flags & GPU_TRIANGLE_DOUBLE_SIDED)))
        return;
    struct fill fill = {
        .job = job, .triangle = triangle, .p = {a, area < 0 ? c : b, area < 0 ? b : c}};
    fill.alpha = (flags & GPU_TRIANGLE_ALPHA_TEST) != 0;
    fill.area = fabs((double)area);
    set_edges(&fill.edges, fill.p);
    const struct corner *const *p = fill.p;
    double x1 = (double)(p[1]->x - p[0]->x), y1 = (double)(p[1]->y - p[0]->y);
    double x2 = (double)(p[2]->x - p[0]->x), y2 = (double)(p[2]->y - p[0]->y);
    double w1 = p[1]->w - p[0]->w, w2 = p[2]->w - p[0]->w;
    fill.w_x = (w1 * y2 - w2 * y1) / fill.area;
    fill.w_y = (x1 * w2 - x2 * w1) / fill.area;
    fill.low = fmin(fmin(p[0]->w, p[1]->w), p[2]->w);
    fill.high = fmax(fmax(p[0]->w, p[1]->w), p[2]->w);
    int64_t top = p[0]->y < p[1]->y ? p[0]->y : p[1]->y, bottom = p[0]->y + p[1]->y - top;
    top = p[2]->y < top ? p[2]->y : top;
    bottom = p[2]->y > bottom ? p[2]->y : bottom;
    int64_t first = floor_divide(top, GPU_SUBPIXEL), last = floor_divide(bottom, GPU_SUBPIXEL);
    first = first > job->y0 ? first : job->y0;
    last = last < job->y1 - 1 ? last : job->y1 - 1;
    for (int64_t y = first; y <= last; y++)
        for (uint32_t s = 0; s < job->pattern->samples; s++)
            fill_row(&fill, y, s);
}

/* -- Clipping -----------------------------------------------------------------------------------
 */

struct clip_corner {
    double at[3];     /* camera space */
    double inside[3]; /* weights of the original corners */
};

enum { CLIP_PLANES = 5, CLIP_CORNERS = 3 + CLIP_PLANES };

/* Signed distance, inside positive, from the near plane and the four sides of the guard. */
static double clip_distance(const struct gpu_projection *p, int plane, const double at[3]) {
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

static int clip_by(const struct gpu_projection *projection, int plane, struct clip_corner *corners,
                   int count) {
    struct clip_corner out[CLIP_CORNERS + 1];
    int kept = 0;
    for (int i = 0; i < count; i++) {
        const struct clip_corner *here = &corners[i], *next = &corners[(i + 1) % count];
        double d0 = clip_distance(projection, plane, here->at);
        double d1 = clip_distance(projection, plane, next->at);
        if (d0 >= 0.0 && kept < CLIP_CORNERS)
            out[kept++] = *here;
        if ((d0 >= 0.0) != (d1 >= 0.0) && kept < CLIP_CORNERS) {
            double t = d0 / (d0 - d1);
            struct clip_corner *cut_at = &out[kept++];
            for (int c = 0; c < 3; c++) {
                cut_at->at[c] = here->at[c] + (next->at[c] - here->at[c]) * t;
                cut_at->inside[c] = here->inside[c] + (next->inside[c] - here->inside[c]) * t;
            }
        }
    }
    for (int i = 0; i < kept; i++)
        corners[i] = out[i];
    return kept;
}

static bool to_camera(const struct gpu_raster *job, uint32_t triangle,
                      struct clip_corner corners[3]) {
    const float *m = job->projection.m;
    for (int c = 0; c < 3; c++) {
        const float *p =
            job->vertices + (size_t)job->scene->corners[c][triangle] * GPU_VERTEX_FLOATS;
        for (int r = 0; r < 3; r++) {
            double at = (double)m[4 * r] * (double)p[0] + (double)m[4 * r + 1] * (double)p[1] +
                        (double)m[4 * r + 2] * (double)p[2] + (double)m[4 * r + 3];
            if (!(fabs(at) < 1e12)) /* not a number, or hopeless */
                return false;
            corners[c].at[r] = at;
            corners[c].inside[r] = c == r ? 1.0 : 0.0;
        }
    }
    return true;
}

static int64_t to_steps(double pixels) {
    double limit = GPU_GUARD;
    pixels = pixels < -limit ? -limit : pixels > limit ? limit : pixels;
    return (int64_t)floor(pixels * GPU_SUBPIXEL + 0.5);
}

static void fill_clipped(const struct gpu_raster *job, uint32_t triangle) {
    const struct gpu_projection *projection = &job->projection;
    struct clip_corner corners[CLIP_CORNERS + 1];
    if (!projection->perspective || !to_camera(job, triangle, corners))
        return;
    int count = 3;
    for (int plane = 0; plane < CLIP_PLANES && count >= 3; plane++)
        count = clip_by(projection, plane, corners, count);
    if (count < 3)
        return;
    struct corner flat[CLIP_CORNERS];
    for (int i = 0; i < count; i++) {
        const struct clip_corner *from = &corners[i];
        double w = 1.0 / fmax(from->at[2], (double)projection->near_plane);
        flat[i] = (struct corner){
            .x = to_steps((double)projection->fx * from->at[0] * w + (double)projection->cx),
            .y = to_steps((double)projection->fy * from->at[1] * w + (double)projection->cy),
            .w = w,
            .inside = {from->inside[0], from->inside[1], from->inside[2]}};
    }
    for (int i = 2; i < count; i++)
        fill_triangle(job, triangle, &flat[0], &flat[i - 1], &flat[i]);
}

void gpu_raster_slow(const struct gpu_raster *job, uint32_t triangle) {
    const struct gpu_projected *projected = &job->projected;
    struct corner corners[3];
    for (int c = 0; c < 3; c++) {
        uint32_t vertex = job->scene->corners[c][triangle];
        if (!(projected->w[vertex] > 0.0f)) {
            fill_clipped(job, triangle);
            return;
        }
        corners[c] = (struct corner){.x = projected->x[vertex],
                                     .y = projected->y[vertex],
                                     .w = (double)projected->w[vertex]};
        corners[c].inside[c] = 1.0;
    }
    fill_triangle(job, triangle, &corners[0], &corners[1], &corners[2]);
}
