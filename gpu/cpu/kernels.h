/* kernels.h - the CPU kernels' interfaces: a table of them a vector width, and the plain C that
 * they share.
 *
 * Kernels hold no state and allocate nothing; they may run on any number of threads over memory of
 * their own. All widths write the same bytes. */
#ifndef STANCE_GPU_KERNELS_H
#define STANCE_GPU_KERNELS_H

#include "../render/palette.h"
#include "../render/shade.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Vertices after projection, [padded_vertices]. */
struct gpu_projected {
    int32_t *x, *y; /* steps of a GPU_SUBPIXEL-th of a pixel */
    float *w; /* greater is nearer; -1: not projectable (behind, beyond the guard, not a number) */
};

/* What a projection covered. */
struct gpu_extent {
    int32_t min_x, max_x, min_y, max_y; /* steps; min > max: nothing */
    bool clipped;                       /* some vertices were not projectable */
};

/* One of a frame's people, skinned. */
struct gpu_skinned {
    const struct gpu_scene *scene;
    float *vertices;                /* [padded_vertices][GPU_VERTEX_FLOATS], world space */
    float *start, *moved;           /* when the shutter opens; room for those in between */
    float *next;                    /* one frame later; `start` where nothing moves */
    uint32_t first;                 /* its triangles' ids follow this one */
    struct gpu_projected projected; /* of what is being drawn */
};

/* Triangles into a buffer of samples. */
struct gpu_raster {
    const struct gpu_scene *scene;
    const float *vertices; /* skinned, [padded_vertices][GPU_VERTEX_FLOATS] */
    struct gpu_projected projected;
    struct gpu_projection projection;
    const struct gpu_pattern *pattern;
    int32_t x0, y0, x1, y1; /* pixels that are drawn, x1 and y1 not included; x0: a multiple of
                               GPU_BLOCK */
    float *depth;           /* [y1 - y0][stride]: w of each sample, 0 where there is nothing */
    uint32_t *triangle;     /* likewise: first + 1 + index; NULL: not wanted */
    uint32_t first;
    size_t stride; /* samples a row, GPU_BLOCK more than are drawn */
};

/* One pixel's share of one triangle. */
struct gpu_fragments {
    uint32_t *triangle;        /* index, among the triangles of the whole frame */
    float *x, *y;              /* pixels: the middle of the samples that it covers */
    float *weight;             /* share of the pixel's samples */
    uint32_t *pixel;           /* column in the row */
    float *red, *green, *blue; /* out: linear light, before the weight */
};

/* The nearest samples of a row's pixels, over all passes; [width + GPU_PAD]. */
struct gpu_nearest {
    uint32_t samples, pass;
    float *w;
    uint32_t *triangle; /* 1 + index; 0: nobody */
    uint32_t *sample;   /* pass << 4 | sample */
};

/* Points of the maps of one person; now: with its rays and vertices. */
struct gpu_trace {
    struct gpu_shade now;
    const float *next; /* vertices one frame later */
    struct gpu_projection view, view_next;
};

/* One row of a picture: what was shaded, which compose puts before what is behind it, and develop
 * turns into bytes. */
struct gpu_row {
    int32_t y;
    uint32_t width, height;
    float *red, *green, *blue; /* [width + GPU_PAD]: colours times coverage, then the whole row's */
    const float *coverage;     /* [width + GPU_PAD] */
    uint32_t *packed;          /* [width + GPU_PAD]: scratch */
    uint8_t *rgb;              /* out: [width][3] */
};

struct gpu_kernels {
    const char *name;
    /* Skins vertices [first, first + count) of the scene, which stand in `bind`, into out, both
     * [count][GPU_VERTEX_FLOATS]; first and count are multiples of GPU_PAD. */
    void (*skin)(const struct gpu_scene *scene, const struct gpu_palette *palette,
                 const float *bind, uint32_t first, uint32_t count, float *out);
    /* [min xyz, max xyz] of m * vertex, over those within 1e6 m of the origin; min > max if there
     * are none. */
    void (*bounds)(const float *vertices, uint32_t count, const float m[12], float box[6]);
    /* Widens box [x0 y0 x1 y1] to the pixels of the vertices before the camera. */
    void (*frame)(const float *vertices, uint32_t count, const struct gpu_projection *projection,
                  float box[4]);
    /* How many of a row's depths are finite, and the first and last that is. */
    uint32_t (*scan)(const float *depth, uint32_t width, uint32_t *first, uint32_t *last);
    void (*project)(const float *vertices, uint32_t count, const struct gpu_projection *projection,
                    const struct gpu_projected *out, struct gpu_extent *extent);
    void (*raster)(const struct gpu_raster *job);
    /* Lists the triangles in a row of samples, pixel by pixel, and writes their coverage to
     * `coverage` [width]; x0, y: the first pixel. Returns how many; `out` has room for a GPU_PAD
     * more. */
    uint32_t (*fragments)(const struct gpu_pattern *pattern, const uint32_t *triangles,
                          uint32_t width, int32_t x0, int32_t y, const struct gpu_fragments *out,
                          float *coverage);
    /* Reads and writes whole vectors: the arrays are padded to GPU_PAD. */
    void (*shade)(const struct gpu_shade *job, const struct gpu_fragments *fragments,
                  uint32_t count);
    /* Takes a pass' row of samples in; the first pass begins anew. */
    void (*nearest)(const struct gpu_nearest *job, const float *depth, const uint32_t *triangles,
                    uint32_t width);
    /* Normals (camera space) and flow (pixels) at points; either may be NULL. Whole vectors, too.
     */
    void (*trace)(const struct gpu_trace *job, const struct gpu_fragments *points, uint32_t count,
                  float *const normal[3], float *const flow[2]);
    /* The open share of sky of [count] vertices, a multiple of GPU_PAD. */
    void (*open)(const struct gpu_open_grid *grid, const float *vertices, uint32_t count,
                 float *out);
    void (*compose)(const struct gpu_shade *job, const struct gpu_row *row);
    void (*develop)(const struct gpu_develop *job, const struct gpu_row *row);
};

/* The kernels of a width by name ("avx512", "avx2", "portable"), or the widest that this processor
 * runs (NULL). NULL: unknown, or not for this processor. */
const struct gpu_kernels *gpu_kernels_find(const char *name);

/* -- Plain C, the same for every width ----------------------------------------------------------
 */

/* Rasterises one triangle of any size and place, near plane and all; the kernels leave it what does
 * not fit their vectors. raster_slow.c */
void gpu_raster_slow(const struct gpu_raster *job, uint32_t triangle);

#ifdef __cplusplus
}
#endif
#endif
