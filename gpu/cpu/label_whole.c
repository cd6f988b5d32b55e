/* label_whole.c - what a person would cover alone in a picture without end; see label.h. */
#include "label.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_CELLS = 1 << 20, /* of the drawing */
    MAX_SIDE = 4096,
    MAX_STEP = 1 << 20, /* pixels a side of a cell */
};

/* A drawing of one body: cell (x, y) is the square of `step` pixels from (x * step, y * step) on.
 */
struct drawing {
    struct gpu_raster raster;
    struct gpu_pattern pattern;
    uint32_t step;
    float *vertices;
    void *projected;
};

/* The cells that the box touches, as coarse as it takes to have few of them. */
static void fit(struct drawing *drawing, const float box[4]) {
    struct gpu_raster *raster = &drawing->raster;
    float side = (float)MAX_SIDE;
    for (drawing->step = 1; drawing->step < MAX_STEP; drawing->step *= 2) {
        float step = (float)drawing->step;
        float wide = (box[2] - box[0]) / step + 2.0f, high = (box[3] - box[1]) / step + 2.0f;
        float far = fmaxf(fmaxf(fabsf(box[0]), fabsf(box[2])), fmaxf(fabsf(box[1]), fabsf(box[3])));
        if (wide < side && high < side && wide * high < (float)MAX_CELLS &&
            far / step < (float)(GPU_GUARD - 1))
            break;
    }
    float step = (float)drawing->step, limit = (float)GPU_GUARD;
    raster->x0 = (int32_t)fmaxf(floorf(box[0] / step), -limit) & -GPU_BLOCK;
    raster->y0 = (int32_t)fmaxf(floorf(box[1] / step), -limit);
    raster->x1 = (int32_t)fminf(floorf(box[2] / step) + 1.0f, limit);
    raster->y1 = (int32_t)fminf(floorf(box[3] / step) + 1.0f, limit);
    raster->x1 = raster->x1 - raster->x0 < MAX_SIDE ? raster->x1 : raster->x0 + MAX_SIDE;
    raster->y1 = raster->y1 - raster->y0 < MAX_SIDE ? raster->y1 : raster->y0 + MAX_SIDE;
}

static bool reserve(struct drawing *drawing, const struct gpu_scene *scene) {
    struct gpu_raster *raster = &drawing->raster;
    size_t vertices = scene->padded_vertices;
    raster->stride = (size_t)(raster->x1 - raster->x0) + GPU_BLOCK;
    drawing->vertices = aligned_alloc(64, vertices * GPU_VERTEX_FLOATS * sizeof(float) + 64);
    drawing->projected = aligned_alloc(64, 3 * vertices * sizeof(float) + 64);
    raster->depth = calloc(raster->stride * (size_t)(raster->y1 - raster->y0), sizeof(float));
    if (drawing->vertices == NULL || drawing->projected == NULL || raster->depth == NULL)
        return false;
    raster->scene = scene;
    raster->vertices = drawing->vertices;
    raster->projected.x = drawing->projected;
    raster->projected.y = raster->projected.x + vertices;
    raster->projected.w = (float *)drawing->projected + 2 * vertices;
    raster->pattern = &drawing->pattern;
    return true;
}

static void draw(struct drawing *drawing, const struct gpu_posed *posed,
                 const struct gpu_camera *camera) {
    const struct gpu_kernels *kernels = gpu_kernels_find(NULL);
    struct gpu_raster *raster = &drawing->raster;
    struct gpu_camera coarse = *camera;
    struct gpu_extent extent;
    float step = (float)drawing->step;
    coarse.fx /= step;
    coarse.fy /= step;
    coarse.cx /= step;
    coarse.cy /= step;
    raster->projection = gpu_camera_projection(&coarse);
    gpu_pattern_init(&drawing->pattern, 1);
    gpu_posed_skin(posed, kernels, 0, posed->scene->padded_vertices, drawing->vertices);
    kernels->project(drawing->vertices, posed->scene->padded_vertices, &raster->projection,
                     &raster->projected, &extent);
    kernels->raster(raster);
}

/* Whether the picture shows somebody else, or nothing at all, at the middle of a cell. */
static bool is_missing(const struct drawing *drawing, uint8_t id, const struct gpu_camera *camera,
                       const struct gpu_image *image, int32_t column, int32_t row) {
    int64_t x = (int64_t)column * drawing->step + drawing->step / 2;
    int64_t y = (int64_t)row * drawing->step + drawing->step / 2;
    if (x < 0 || y < 0 || x >= camera->width || y >= camera->height)
        return true;
    return image->person != NULL && image->person[(size_t)y * camera->width + (size_t)x] != id &&
           image->person[(size_t)y * camera->width + (size_t)x] != 0;
}

static uint32_t count(const struct drawing *drawing, uint8_t id, const struct gpu_camera *camera,
                      const struct gpu_image *image) {
    const struct gpu_raster *raster = &drawing->raster;
    uint64_t cells = 0;
    for (int32_t y = raster->y0; y < raster->y1; y++) {
        const float *row = raster->depth + raster->stride * (size_t)(y - raster->y0);
        for (int32_t x = raster->x0; x < raster->x1; x++)
            if (row[x - raster->x0] > 0.0f && is_missing(drawing, id, camera, image, x, y))
                cells++;
    }
    uint64_t pixels = cells * drawing->step * drawing->step;
    return pixels < UINT32_MAX / 2 ? (uint32_t)pixels : UINT32_MAX / 2;
}

bool gpu_label_hidden(const struct gpu_posed *posed, uint8_t id, const struct gpu_camera *camera,
                      const struct gpu_image *image, const float box[4], uint32_t *hidden) {
    struct drawing drawing = {.step = 1};
    *hidden = 0;
    if (!(box[0] < box[2] && box[1] < box[3]))
        return true;
    fit(&drawing, box);
    bool done = drawing.raster.x0 >= drawing.raster.x1 || drawing.raster.y0 >= drawing.raster.y1;
    if (!done && reserve(&drawing, posed->scene)) {
        draw(&drawing, posed, camera);
        *hidden = count(&drawing, id, camera, image);
        done = true;
    }
    free(drawing.raster.depth);
    free(drawing.projected);
    free(drawing.vertices);
    return done;
}
