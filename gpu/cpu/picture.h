/* picture.h - one view on its way, for the files that draw it: picture.c finds what is to be drawn
 * and goes over it band by band, picture_color.c shades a row, picture_maps.c tells what is where
 * in it. */
#ifndef STANCE_GPU_PICTURE_H
#define STANCE_GPU_PICTURE_H

#include "renderer.h"

/* Points of a row, person by person, because shading and tracing look at one mesh at a time. */
struct picture_points {
    const struct gpu_fragments *list;
    const uint32_t *slots; /* where in the list the points are, in their own order; NULL: in it */
    uint32_t starts[GPU_MAX_ACTORS], counts[GPU_MAX_ACTORS];
};

struct picture {
    struct gpu_renderer *renderer;
    const struct gpu_view *view;
    struct gpu_camera camera; /* the view's, or where it is in a moment of a blurred picture */
    const struct gpu_image *image;
    struct gpu_extent extents[GPU_MAX_ACTORS];
    struct gpu_raster raster; /* x0 .. y1: the pixels that people can touch; later the band's */
    struct gpu_shade shade;
    struct gpu_develop develop;
    struct gpu_trace trace;
    struct gpu_pattern patterns[GPU_MAX_PASSES]; /* passes over a band */
    uint32_t passes;
    struct gpu_fragments fragments, sorted; /* as they come; person by person */
    uint32_t *slots;                        /* where a fragment is in `sorted` */
    uint8_t *owners;                        /* whose it is */
    float *flow[2];                         /* of points that are traced */
    float *rows;       /* red, green, blue, coverage: [4][row_stride] a row of the band; one row in
                          all where there is one pass */
    size_t row_stride; /* width + GPU_PAD */
    float *nearest;    /* likewise: w, triangle and sample, [3][row_stride] */
    float *spare;      /* [row_stride] */
    struct gpu_timings *timings;
};

/* Red, green, blue or coverage (0..3) of row y. */
float *gpu_picture_row(const struct picture *picture, int32_t y, int plane);

/* Sorts the first `count` of picture->fragments. */
struct picture_points gpu_picture_sort(struct picture *picture, uint32_t count);

/* Where the next of `count` points begin in fragments. */
struct gpu_fragments gpu_picture_skip(const struct gpu_fragments *f, size_t count);

/* Whole vectors: fills the list up to the next. Returns its length. */
uint32_t gpu_picture_pad(const struct gpu_fragments *f, uint32_t count);

/* Shades what a row of samples shows and adds it to the row; `share`: of a pass. */
void gpu_picture_shade(struct picture *picture, int32_t y, const uint32_t *triangles, float share);

/* Only counts coverage. */
void gpu_picture_cover(struct picture *picture, int32_t y, const uint32_t *triangles, float share);

/* Puts a shaded row before what is behind it; the other makes bytes of it. */
void gpu_picture_compose(struct picture *picture, int32_t y, float *row);
void gpu_picture_develop(struct picture *picture, int32_t y, float *row);

/* Maps of nobody. */
void gpu_picture_clear_maps(const struct picture *picture);

/* Keeps a row's nearest samples, over all passes; after the last, gpu_picture_write_maps. */
void gpu_picture_find_nearest(struct picture *picture, int32_t y, uint32_t pass, const float *depth,
                              const uint32_t *triangles);
void gpu_picture_write_maps(struct picture *picture, int32_t y);

#endif
