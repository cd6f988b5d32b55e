/* renderer.c - gpu_renderer on the CPU: walks a batch pose by pose and view by view; see
 * stance_gpu.h.
 *
 * A picture is drawn in bands of rows, so that its samples fit the cache and an 8192 x 8192 picture
 * of 16 samples needs no more memory than a small one. Scratch memory grows to what the largest
 * batch needed and stays. */
#include "kernels.h"
#include "shadow.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BAND_SAMPLES = 1 << 20, /* of 8 bytes each */
    SHADOW_SIZE = 1024,
    MIN_SHADOW_SIZE = 16,
    MAX_SHADOW_SIZE = 8192,
};

struct gpu_renderer {
    const struct gpu_kernels *kernels;
    char backend[32];
    uint8_t tone[GPU_TONE_ENTRIES + 3];
    struct gpu_pattern pattern;
    struct gpu_shadow_maps maps;
    struct gpu_buffer vertices, projected, depth, triangle, fragments, row;
};

/* One view on its way. */
struct view {
    struct gpu_renderer *renderer;
    const struct gpu_camera *camera;
    const struct gpu_image *image;
    struct gpu_raster raster; /* x0 .. y1: the pixels that the body can touch; later the band's */
    struct gpu_shade shade;
    struct gpu_fragments fragments;
    float *row[4]; /* red, green, blue, coverage: [width + GPU_PAD] */
    uint32_t *packed;
    double *raster_time, *shade_time;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* -- Life ---------------------------------------------------------------------------------------
 */

int gpu_renderer_new(const char *backend, struct gpu_renderer **out, char *why) {
    *out = NULL;
    if (backend == NULL)
        return gpu_fail(why, GPU_EINVAL, "no backend named: cpu, cuda or auto");
    if (strcmp(backend, "cuda") == 0)
        return gpu_fail(why, GPU_EDEVICE, "this build has no CUDA render kernels: use cpu or auto");
    const char *width = NULL;
    if (strncmp(backend, "cpu:", 4) == 0)
        width = backend + 4;
    else if (strcmp(backend, "cpu") != 0 && strcmp(backend, "auto") != 0)
        return gpu_fail(why, GPU_EINVAL, "no backend is named %.32s: cpu, cuda or auto", backend);
    const struct gpu_kernels *kernels = gpu_kernels_find(width);
    if (kernels == NULL)
        return gpu_fail(why, GPU_EDEVICE, "this processor does not run %.32s", backend);
    struct gpu_renderer *renderer = calloc(1, sizeof *renderer);
    if (renderer == NULL)
        return gpu_fail(why, GPU_ENOMEM, "out of memory");
    renderer->kernels = kernels;
    snprintf(renderer->backend, sizeof renderer->backend, "cpu (%s)", kernels->name);
    gpu_tone_table(renderer->tone);
    *out = renderer;
    return GPU_OK;
}

void gpu_renderer_free(struct gpu_renderer *renderer) {
    if (renderer == NULL)
        return;
    gpu_buffer_deinit(&renderer->row);
    gpu_buffer_deinit(&renderer->fragments);
    gpu_buffer_deinit(&renderer->triangle);
    gpu_buffer_deinit(&renderer->depth);
    gpu_buffer_deinit(&renderer->projected);
    gpu_buffer_deinit(&renderer->vertices);
    gpu_shadow_deinit(&renderer->maps);
    free(renderer);
}

const char *gpu_renderer_backend(const struct gpu_renderer *renderer) {
    return renderer->backend;
}

/* -- A view -------------------------------------------------------------------------------------
 */

/* Turns a band's samples of one row into the picture's depth, triangle and coverage. */
static void write_maps(const struct view *view, uint32_t y, const float *depth,
                       const uint32_t *triangle) {
    const struct gpu_image *image = view->image;
    uint32_t samples = view->raster.pattern->samples;
    size_t row = (size_t)y * view->camera->width + (size_t)view->raster.x0;
    uint32_t width = (uint32_t)(view->raster.x1 - view->raster.x0);
    if (image->coverage != NULL)
        memcpy(image->coverage + row, view->row[3] + view->raster.x0, width * sizeof(float));
    if (image->depth == NULL && image->triangle == NULL)
        return;
    for (uint32_t x = 0; x < width; x++) {
        const float *w = depth + (size_t)x * samples;
        uint32_t nearest = 0;
        for (uint32_t s = 1; s < samples; s++)
            nearest = w[s] > w[nearest] ? s : nearest;
        if (image->depth != NULL)
            image->depth[row + x] = w[nearest] > 0.0f ? 1.0f / w[nearest] : INFINITY;
        if (image->triangle != NULL)
            image->triangle[row + x] = triangle[(size_t)x * samples + nearest];
    }
}

static void clear_maps(const struct view *view) {
    const struct gpu_image *image = view->image;
    size_t pixels = (size_t)view->camera->width * view->camera->height;
    if (image->depth != NULL)
        for (size_t i = 0; i < pixels; i++)
            image->depth[i] = INFINITY;
    if (image->triangle != NULL)
        memset(image->triangle, 0, pixels * sizeof *image->triangle);
    if (image->coverage != NULL)
        memset(image->coverage, 0, pixels * sizeof *image->coverage);
}

static void finish_row(const struct view *view, uint32_t y) {
    const struct gpu_kernels *kernels = view->renderer->kernels;
    struct gpu_row row = {.y = (int32_t)y,
                          .width = view->camera->width,
                          .height = view->camera->height,
                          .red = view->row[0],
                          .green = view->row[1],
                          .blue = view->row[2],
                          .coverage = view->row[3],
                          .packed = view->packed,
                          .rgb = view->image->rgb + (size_t)3 * y * view->camera->width};
    struct gpu_develop develop = {.tone = view->renderer->tone,
                                  .exposure = view->shade.light->lighting->exposure};
    kernels->compose(&view->shade, &row);
    kernels->develop(&develop, &row);
}

/* Shades what the samples of one row show and adds it up by pixel. */
static void shade_row(const struct view *view, uint32_t y, const uint32_t *triangle) {
    const struct gpu_fragments *f = &view->fragments;
    int32_t x0 = view->raster.x0;
    uint32_t width = (uint32_t)(view->raster.x1 - x0);
    uint32_t count = view->renderer->kernels->fragments(view->raster.pattern, triangle, width, x0,
                                                        (int32_t)y, f, view->row[3] + x0);
    uint32_t end = (count + GPU_PAD - 1) / GPU_PAD * GPU_PAD;
    for (uint32_t i = count; i < end; i++) {
        f->triangle[i] = 0;
        f->x[i] = f->y[i] = 0.0f;
    }
    view->renderer->kernels->shade(&view->shade, f, end);
    for (int c = 0; c < 3; c++)
        memset(view->row[c], 0, (view->camera->width + GPU_PAD) * sizeof(float));
    for (uint32_t i = 0; i < count; i++) {
        size_t at = (size_t)x0 + f->pixel[i];
        view->row[0][at] += f->red[i] * f->weight[i];
        view->row[1][at] += f->green[i] * f->weight[i];
        view->row[2][at] += f->blue[i] * f->weight[i];
    }
}

static void clear_row(const struct view *view) {
    for (int c = 0; c < 4; c++)
        memset(view->row[c], 0, (view->camera->width + GPU_PAD) * sizeof(float));
}

static void finish_empty_row(const struct view *view, uint32_t y) {
    clear_row(view);
    finish_row(view, y);
}

/* Rasterises and shades rows [y0, y1) of the pixels that the body can touch. */
static void draw_band(struct view *view, int32_t y0, int32_t y1) {
    struct gpu_raster *raster = &view->raster;
    double start = now();
    raster->y0 = y0;
    raster->y1 = y1;
    size_t samples = raster->stride * (size_t)(y1 - y0);
    memset(raster->depth, 0, samples * sizeof *raster->depth);
    memset(raster->triangle, 0, samples * sizeof *raster->triangle);
    view->renderer->kernels->raster(raster);
    double middle = now();
    for (int32_t y = y0; y < y1; y++) {
        size_t at = raster->stride * (size_t)(y - y0);
        shade_row(view, (uint32_t)y, raster->triangle + at);
        write_maps(view, (uint32_t)y, raster->depth + at, raster->triangle + at);
        finish_row(view, (uint32_t)y);
    }
    *view->raster_time += middle - start;
    *view->shade_time += now() - middle;
}

static int32_t clamp_pixel(int64_t pixel, uint32_t side) {
    return pixel < 0 ? 0 : pixel > (int64_t)side ? (int32_t)side : (int32_t)pixel;
}

/* The pixels that the body can touch; all of them where it reaches behind the camera. */
static void find_region(struct gpu_raster *raster, const struct gpu_extent *extent,
                        const struct gpu_camera *camera) {
    raster->x0 = raster->y0 = 0;
    raster->x1 = (int32_t)camera->width;
    raster->y1 = (int32_t)camera->height;
    if (extent->clipped)
        return;
    if (extent->min_x > extent->max_x) {
        raster->x1 = raster->y1 = 0;
        return;
    }
    raster->x0 = clamp_pixel(extent->min_x >> GPU_SUBPIXEL_BITS, camera->width) & -GPU_BLOCK;
    raster->y0 = clamp_pixel(extent->min_y >> GPU_SUBPIXEL_BITS, camera->height);
    raster->x1 = clamp_pixel((extent->max_x >> GPU_SUBPIXEL_BITS) + 1, camera->width);
    raster->y1 = clamp_pixel((extent->max_y >> GPU_SUBPIXEL_BITS) + 1, camera->height);
}

static bool reserve_view(struct view *view, int32_t *band) {
    struct gpu_renderer *renderer = view->renderer;
    struct gpu_raster *raster = &view->raster;
    size_t width = raster->x1 > raster->x0 ? (size_t)(raster->x1 - raster->x0) : 0;
    uint32_t samples = raster->pattern->samples;
    raster->stride = width * samples + GPU_BLOCK;
    size_t rows = BAND_SAMPLES / raster->stride + 1;
    size_t high = raster->y1 > raster->y0 ? (size_t)(raster->y1 - raster->y0) : 1;
    rows = rows < high ? rows : high;
    *band = (int32_t)rows;
    size_t fragments = width * samples + 2 * GPU_PAD, row = view->camera->width + GPU_PAD;
    if (!gpu_buffer_reserve(&renderer->depth, rows * raster->stride, sizeof(float)) ||
        !gpu_buffer_reserve(&renderer->triangle, rows * raster->stride, sizeof(uint32_t)) ||
        !gpu_buffer_reserve(&renderer->fragments, 8 * fragments, sizeof(float)) ||
        !gpu_buffer_reserve(&renderer->row, 5 * row, sizeof(float)))
        return false;
    raster->depth = renderer->depth.memory;
    raster->triangle = renderer->triangle.memory;
    float *f = renderer->fragments.memory, *r = renderer->row.memory;
    uint32_t *words = renderer->fragments.memory;
    view->fragments = (struct gpu_fragments){.triangle = words,
                                             .pixel = words + fragments,
                                             .x = f + 2 * fragments,
                                             .y = f + 3 * fragments,
                                             .weight = f + 4 * fragments,
                                             .red = f + 5 * fragments,
                                             .green = f + 6 * fragments,
                                             .blue = f + 7 * fragments};
    for (int c = 0; c < 4; c++)
        view->row[c] = r + (size_t)c * row;
    view->packed = (uint32_t *)renderer->row.memory + 4 * row;
    return true;
}

static bool draw_view(struct view *view) {
    double start = now();
    struct gpu_raster *raster = &view->raster;
    struct gpu_extent extent;
    int32_t band;
    raster->projection = gpu_camera_projection(view->camera);
    view->renderer->kernels->project(raster->vertices, raster->scene->padded_vertices,
                                     &raster->projection, &raster->projected, &extent);
    find_region(raster, &extent, view->camera);
    if (!reserve_view(view, &band))
        return false;
    view->shade.rays = gpu_camera_rays(view->camera);
    view->shade.pixel_size = 1.0f / sqrtf(view->camera->fx * view->camera->fy);
    int32_t first = raster->y0, end = raster->y1, height = (int32_t)view->camera->height;
    if (raster->x0 >= raster->x1 || first >= end)
        first = end = height;
    *view->raster_time += now() - start;
    start = now();
    clear_maps(view);
    for (int32_t y = 0; y < first; y++)
        finish_empty_row(view, (uint32_t)y);
    clear_row(view);
    *view->shade_time += now() - start;
    for (int32_t y = first; y < end; y += band)
        draw_band(view, y, y + band < end ? y + band : end);
    start = now();
    for (int32_t y = end; y < height; y++)
        finish_empty_row(view, (uint32_t)y);
    *view->shade_time += now() - start;
    return true;
}

/* -- A batch ------------------------------------------------------------------------------------
 */

static int check_batch(const struct gpu_batch *batch, const struct gpu_image *images, char *why) {
    if (batch->view_count > 0 && (batch->views == NULL || images == NULL || batch->poses == NULL))
        return gpu_fail(why, GPU_EINVAL, "views, poses or images are missing");
    for (uint32_t i = 0; i < batch->view_count; i++) {
        if (batch->views[i].pose >= batch->pose_count)
            return gpu_fail(why, GPU_EINVAL, "view %u names pose %u of %u", i, batch->views[i].pose,
                            batch->pose_count);
        if (images[i].rgb == NULL)
            return gpu_fail(why, GPU_EINVAL, "image %u has no rgb", i);
        int code = gpu_camera_check(&batch->views[i].camera, why);
        if (code != GPU_OK)
            return code;
    }
    uint32_t shadow = batch->shadow_size;
    if (shadow != 0 && (shadow < MIN_SHADOW_SIZE || shadow > MAX_SHADOW_SIZE))
        return gpu_fail(why, GPU_EINVAL, "shadow_size %u: 0 or %d to %d", shadow, MIN_SHADOW_SIZE,
                        MAX_SHADOW_SIZE);
    return gpu_lighting_check(&batch->lighting, why);
}

static bool reserve_scene(struct gpu_renderer *renderer, const struct gpu_scene *scene,
                          struct gpu_projected *projected) {
    size_t vertices = scene->padded_vertices;
    if (!gpu_buffer_reserve(&renderer->vertices, vertices * GPU_VERTEX_FLOATS, sizeof(float)) ||
        !gpu_buffer_reserve(&renderer->projected, 3 * vertices, sizeof(float)))
        return false;
    projected->x = renderer->projected.memory;
    projected->y = projected->x + vertices;
    projected->w = (float *)renderer->projected.memory + 2 * vertices;
    return true;
}

static bool has_views(const struct gpu_batch *batch, uint32_t pose) {
    for (uint32_t i = 0; i < batch->view_count; i++)
        if (batch->views[i].pose == pose)
            return true;
    return false;
}

static bool draw_pose(struct gpu_renderer *renderer, const struct gpu_scene *scene,
                      const struct gpu_batch *batch, uint32_t pose,
                      const struct gpu_projected *projected, const struct gpu_image *images,
                      struct gpu_timings *timings) {
    const struct gpu_kernels *kernels = renderer->kernels;
    double start = now();
    float *vertices = renderer->vertices.memory;
    kernels->skin(scene, batch->poses + (size_t)pose * scene->joint_count * 12, 0,
                  scene->padded_vertices, vertices);
    double skinned = now();
    uint32_t size = batch->shadow_size != 0 ? batch->shadow_size : SHADOW_SIZE;
    struct gpu_caster caster = {scene, vertices};
    if (!gpu_shadow_draw(&renderer->maps, kernels, &caster, 1, projected, &batch->lighting, size))
        return false;
    timings->skin += skinned - start;
    timings->shadow += now() - skinned;
    for (uint32_t i = 0; i < batch->view_count; i++) {
        if (batch->views[i].pose != pose)
            continue;
        struct view view = {
            .renderer = renderer,
            .camera = &batch->views[i].camera,
            .image = &images[i],
            .raster = {.scene = scene,
                       .vertices = vertices,
                       .projected = *projected,
                       .pattern = &renderer->pattern},
            .shade = {.scene = scene, .vertices = vertices, .light = &renderer->maps.light},
            .raster_time = &timings->raster,
            .shade_time = &timings->shade};
        if (!draw_view(&view))
            return false;
    }
    return true;
}

int gpu_render(struct gpu_renderer *renderer, const struct gpu_scene *scene,
               const struct gpu_batch *batch, const struct gpu_image *images,
               struct gpu_timings *timings, char *why) {
    int code = check_batch(batch, images, why);
    if (code != GPU_OK)
        return code;
    if (!gpu_pattern_init(&renderer->pattern, batch->samples))
        return gpu_fail(why, GPU_EINVAL, "%u samples a pixel: 1, 4, 8 or 16", batch->samples);
    struct gpu_timings unused = {0};
    struct gpu_projected projected;
    if (!reserve_scene(renderer, scene, &projected))
        return gpu_fail(why, GPU_ENOMEM, "out of memory: %u vertices", scene->vertex_count);
    for (uint32_t pose = 0; pose < batch->pose_count; pose++)
        if (has_views(batch, pose) && !draw_pose(renderer, scene, batch, pose, &projected, images,
                                                 timings != NULL ? timings : &unused))
            return gpu_fail(why, GPU_ENOMEM, "out of memory while drawing pose %u", pose);
    return GPU_OK;
}
