/* picture.c - one view on the CPU: every person into one buffer of samples, band after band of
 * rows; see picture.h.
 *
 * A picture is drawn in bands, so that its samples fit the cache and an 8192 x 8192 picture of 64
 * samples needs no more memory than a small one. A blurred one is a sum of sharp ones of a sample
 * each: each has its own place on the lens and its own time; that is done in slabs of rows. */
#include "picture.h"

#include <math.h>
#include <string.h>

enum {
    BAND_SAMPLES = 1 << 17, /* of 8 bytes each: half of a usual second-level cache */
    SLAB_FLOATS = 1 << 23,
};

/* -- What can be touched ------------------------------------------------------------------------
 */

static int32_t clamp_pixel(int64_t pixel, int32_t low, int32_t high) {
    return pixel < low ? low : pixel > high ? high : (int32_t)pixel;
}

/* Projects everybody and finds the pixels of rows [y0, y1) that they can touch; all of them where
 * somebody reaches behind the camera. False: none. */
static bool project_people(struct picture *picture, int32_t y0, int32_t y1) {
    const struct gpu_renderer *renderer = picture->renderer;
    const int32_t width = (int32_t)picture->camera.width;
    struct gpu_raster *raster = &picture->raster;
    struct gpu_extent all = {INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, false};
    for (uint32_t i = 0; i < renderer->person_count; i++) {
        const struct gpu_skinned *person = &renderer->people[i];
        struct gpu_extent *one = &picture->extents[i];
        renderer->kernels->project(person->vertices, person->scene->padded_vertices,
                                   &raster->projection, &person->projected, one);
        all.min_x = one->min_x < all.min_x ? one->min_x : all.min_x;
        all.max_x = one->max_x > all.max_x ? one->max_x : all.max_x;
        all.min_y = one->min_y < all.min_y ? one->min_y : all.min_y;
        all.max_y = one->max_y > all.max_y ? one->max_y : all.max_y;
        all.clipped |= one->clipped;
    }
    if (all.clipped)
        all = (struct gpu_extent){0, width * GPU_SUBPIXEL, y0 * GPU_SUBPIXEL, y1 * GPU_SUBPIXEL, 1};
    else if (all.min_x > all.max_x)
        return false;
    raster->x0 = clamp_pixel(all.min_x >> GPU_SUBPIXEL_BITS, 0, width) & -GPU_BLOCK;
    raster->y0 = clamp_pixel(all.min_y >> GPU_SUBPIXEL_BITS, y0, y1);
    raster->x1 = clamp_pixel((all.max_x >> GPU_SUBPIXEL_BITS) + 1, 0, width);
    raster->y1 = clamp_pixel((all.max_y >> GPU_SUBPIXEL_BITS) + 1, y0, y1);
    return raster->x0 < raster->x1 && raster->y0 < raster->y1;
}

static struct gpu_fragments divide(struct gpu_buffer *buffer, size_t from, size_t count) {
    float *f = (float *)buffer->memory + from;
    uint32_t *words = (uint32_t *)buffer->memory + from;
    return (struct gpu_fragments){.triangle = words,
                                  .pixel = words + count,
                                  .x = f + 2 * count,
                                  .y = f + 3 * count,
                                  .weight = f + 4 * count,
                                  .red = f + 5 * count,
                                  .green = f + 6 * count,
                                  .blue = f + 7 * count};
}

/* Room for a band of the touched pixels; *band: its rows. */
static bool reserve(struct picture *picture, int32_t *band) {
    struct gpu_renderer *renderer = picture->renderer;
    struct gpu_raster *raster = &picture->raster;
    size_t width = raster->x1 > raster->x0 ? (size_t)(raster->x1 - raster->x0) : 0;
    uint32_t samples = picture->patterns[0].samples;
    raster->stride = width * samples + GPU_BLOCK;
    size_t rows = BAND_SAMPLES / raster->stride + 1;
    size_t high = raster->y1 > raster->y0 ? (size_t)(raster->y1 - raster->y0) : 1;
    rows = rows < high ? rows : high;
    *band = (int32_t)rows;
    size_t kept = picture->passes > 1 ? rows : 1;
    size_t count = width * samples + 2 * GPU_PAD, stride = picture->row_stride;
    size_t sorted = renderer->person_count > 1 ? count + (size_t)GPU_MAX_ACTORS * GPU_PAD : 0;
    size_t traced = count > sorted ? count : sorted;
    if (!gpu_buffer_reserve(&renderer->depth, rows * raster->stride, sizeof(float)) ||
        !gpu_buffer_reserve(&renderer->triangle, rows * raster->stride, sizeof(uint32_t)) ||
        !gpu_buffer_reserve(&renderer->fragments, 8 * count + 10 * sorted + 2 * traced,
                            sizeof(float)) ||
        !gpu_buffer_reserve(&renderer->row, (7 * kept + 1) * stride, sizeof(float)))
        return false;
    raster->depth = renderer->depth.memory;
    raster->triangle = renderer->triangle.memory;
    picture->fragments = divide(&renderer->fragments, 0, count);
    picture->sorted = divide(&renderer->fragments, 8 * count, sorted);
    picture->slots = (uint32_t *)renderer->fragments.memory + 8 * count + 8 * sorted;
    picture->owners = (uint8_t *)(picture->slots + sorted);
    picture->flow[0] = (float *)renderer->fragments.memory + 8 * count + 10 * sorted;
    picture->flow[1] = picture->flow[0] + traced;
    picture->rows = renderer->row.memory;
    picture->nearest = picture->rows + 4 * kept * stride;
    picture->spare = picture->nearest + 3 * kept * stride;
    return true;
}

/* -- Bands --------------------------------------------------------------------------------------
 */

static void raster_people(struct picture *picture) {
    struct gpu_raster *raster = &picture->raster;
    const struct gpu_renderer *renderer = picture->renderer;
    size_t samples = raster->stride * (size_t)(raster->y1 - raster->y0);
    memset(raster->depth, 0, samples * sizeof *raster->depth);
    memset(raster->triangle, 0, samples * sizeof *raster->triangle);
    for (uint32_t i = 0; i < renderer->person_count; i++) {
        const struct gpu_extent *extent = &picture->extents[i];
        if (!extent->clipped && (extent->max_y < raster->y0 * GPU_SUBPIXEL ||
                                 extent->min_y > raster->y1 * GPU_SUBPIXEL))
            continue;
        raster->scene = renderer->people[i].scene;
        raster->vertices = renderer->people[i].vertices;
        raster->projected = renderer->people[i].projected;
        raster->first = renderer->people[i].first;
        renderer->kernels->raster(raster);
    }
}

static void clear_row(float *row, size_t stride) {
    memset(row, 0, 4 * stride * sizeof *row);
}

/* Rows [y0, y1) of the touched pixels. */
static void draw_band(struct picture *picture, int32_t y0, int32_t y1, bool colors) {
    struct gpu_raster *raster = &picture->raster;
    const struct gpu_image *image = picture->image;
    const float share = 1.0f / (float)picture->passes;
    const bool maps = gpu_picture_wants_maps(image), cover = image->coverage != NULL;
    raster->y0 = y0;
    raster->y1 = y1;
    for (uint32_t pass = 0; pass < picture->passes; pass++) {
        double start = gpu_renderer_clock();
        raster->pattern = &picture->patterns[pass];
        raster_people(picture);
        double middle = gpu_renderer_clock();
        bool last = pass + 1 == picture->passes;
        for (int32_t y = y0; y < y1; y++) {
            size_t at = raster->stride * (size_t)(y - y0);
            float *row = gpu_picture_row(picture, y, 0);
            if (pass == 0)
                clear_row(row, picture->row_stride);
            if (colors)
                gpu_picture_shade(picture, y, raster->triangle + at, share);
            else if (cover)
                gpu_picture_cover(picture, y, raster->triangle + at, share);
            if (cover && last)
                memcpy(image->coverage + (size_t)y * picture->camera.width,
                       gpu_picture_row(picture, y, 3), picture->camera.width * sizeof(float));
            if (colors && last) {
                gpu_picture_compose(picture, y, row);
                gpu_picture_develop(picture, y, row);
            }
            if (maps)
                gpu_picture_find_nearest(picture, y, pass, raster->depth + at,
                                         raster->triangle + at);
            if (maps && last)
                gpu_picture_write_maps(picture, y);
        }
        picture->timings->raster += middle - start;
        picture->timings->shade += gpu_renderer_clock() - middle;
    }
}

/* Rows with nobody in them. */
static void draw_open(struct picture *picture, int32_t from, int32_t to) {
    double start = gpu_renderer_clock();
    for (int32_t y = from; y < to; y++) {
        clear_row(picture->rows, picture->row_stride);
        gpu_picture_compose(picture, y, picture->rows);
        gpu_picture_develop(picture, y, picture->rows);
    }
    picture->timings->shade += gpu_renderer_clock() - start;
}

void gpu_picture_aim(const struct gpu_camera *camera, float x, float y,
                     struct gpu_projection *projection, struct gpu_shade *shade) {
    *projection = gpu_camera_projection(camera);
    shade->rays = gpu_camera_rays(camera);
    shade->pixel_size = 1.0f / sqrtf(camera->fx * camera->fy);
    if (x != 0.0f || y != 0.0f)
        gpu_camera_shift(camera, x, y, projection, &shade->rays);
}

/* The whole picture as a pinhole sees it when the shutter opens. */
static bool draw_sharp(struct picture *picture, bool colors) {
    const int32_t height = (int32_t)picture->camera.height;
    int32_t band;
    double start = gpu_renderer_clock();
    gpu_picture_aim(&picture->camera, 0.0f, 0.0f, &picture->raster.projection, &picture->shade);
    picture->trace.view = picture->raster.projection;
    picture->trace.view_next =
        gpu_camera_projection(picture->view->camera_next.width > 0 ? &picture->view->camera_next
                                                                   : &picture->view->camera);
    bool any = project_people(picture, 0, height);
    int32_t first = any ? picture->raster.y0 : height, end = any ? picture->raster.y1 : height;
    if (!reserve(picture, &band))
        return false;
    picture->timings->raster += gpu_renderer_clock() - start;
    if (colors)
        draw_open(picture, 0, first);
    for (int32_t y = first; y < end; y += band)
        draw_band(picture, y, y + band < end ? y + band : end, colors);
    if (colors)
        draw_open(picture, end, height);
    return true;
}

/* -- Blur ---------------------------------------------------------------------------------------
 */

static void add_row(const float *row, float *sum, size_t count, float share) {
    for (size_t i = 0; i < count; i++)
        sum[i] += row[i] * share;
}

/* Row y of a moment: people before what is behind them, or only where they are. */
static void draw_moment_row(struct picture *picture, int32_t y, bool anybody, bool colors) {
    const struct gpu_raster *raster = &picture->raster;
    clear_row(picture->rows, picture->row_stride);
    if (anybody) {
        const uint32_t *triangles = raster->triangle + raster->stride * (size_t)(y - raster->y0);
        if (colors)
            gpu_picture_shade(picture, y, triangles, 1.0f);
        else
            gpu_picture_cover(picture, y, triangles, 1.0f);
    }
    if (colors)
        gpu_picture_compose(picture, y, picture->rows);
}

/* Adds one moment's rows [y0, y1) to the slab's. */
static bool add_moment(struct picture *picture, float *slab, int32_t y0, int32_t y1, float share) {
    struct gpu_raster *raster = &picture->raster;
    const size_t plane = 4 * picture->row_stride;
    int32_t rows;
    double start = gpu_renderer_clock();
    bool any = project_people(picture, y0, y1);
    const int32_t first = any ? raster->y0 : y1, end = any ? raster->y1 : y1;
    if (!reserve(picture, &rows))
        return false;
    raster->pattern = &picture->patterns[0];
    raster->y1 = y0; /* nothing is in the buffer yet */
    picture->timings->raster += gpu_renderer_clock() - start;
    for (int32_t y = y0; y < y1; y++) {
        start = gpu_renderer_clock();
        if (y >= first && y < end && (y == first || y >= raster->y1)) {
            raster->y0 = y;
            raster->y1 = y + rows < end ? y + rows : end;
            raster_people(picture);
        }
        double middle = gpu_renderer_clock();
        draw_moment_row(picture, y, y >= first && y < end, picture->image->rgb != NULL);
        add_row(picture->rows, slab + plane * (size_t)(y - y0), plane, share);
        picture->timings->raster += middle - start;
        picture->timings->shade += gpu_renderer_clock() - middle;
    }
    return true;
}

struct gpu_moment gpu_picture_moment(const struct gpu_view *view, uint32_t samples, uint32_t index,
                                     float shutter, struct gpu_camera *camera) {
    struct gpu_moment moment = gpu_moment_find(samples, index);
    moment.time *= shutter;
    moment.x *= view->camera.lens_radius;
    moment.y *= view->camera.lens_radius;
    *camera = view->camera;
    if (view->camera_next.width > 0 && moment.time > 0.0f)
        gpu_camera_between(&view->camera, &view->camera_next, moment.time, camera);
    return moment;
}

static bool draw_slab(struct picture *picture, uint32_t samples, float shutter, int32_t y0,
                      int32_t y1) {
    const struct gpu_view *view = picture->view;
    const struct gpu_image *image = picture->image;
    const size_t plane = 4 * picture->row_stride;
    float *slab = picture->renderer->slab.memory;
    memset(slab, 0, (size_t)(y1 - y0) * plane * sizeof *slab);
    for (uint32_t i = 0; i < samples; i++) {
        const struct gpu_moment moment =
            gpu_picture_moment(view, samples, i, shutter, &picture->camera);
        gpu_pattern_init_single(&picture->patterns[0], samples, i);
        gpu_people_move(picture->renderer, moment.time);
        gpu_picture_aim(&picture->camera, moment.x, moment.y, &picture->raster.projection,
                        &picture->shade);
        if (!add_moment(picture, slab, y0, y1, 1.0f / (float)samples))
            return false;
    }
    for (int32_t y = y0; y < y1; y++) {
        float *row = slab + plane * (size_t)(y - y0);
        if (image->coverage != NULL)
            memcpy(image->coverage + (size_t)y * view->camera.width, row + 3 * picture->row_stride,
                   view->camera.width * sizeof(float));
        if (image->rgb != NULL)
            gpu_picture_develop(picture, y, row);
    }
    return true;
}

static bool draw_blurred(struct picture *picture, uint32_t samples, float shutter) {
    const int32_t height = (int32_t)picture->view->camera.height;
    size_t rows = SLAB_FLOATS / (4 * picture->row_stride) + 1;
    rows = rows < (size_t)height ? rows : (size_t)height;
    if (!gpu_buffer_reserve(&picture->renderer->slab, rows * 4 * picture->row_stride,
                            sizeof(float)))
        return false;
    bool ok = true;
    picture->passes = 1;
    for (int32_t y = 0; ok && y < height; y += (int32_t)rows)
        ok = draw_slab(picture, samples, shutter, y,
                       y + (int32_t)rows < height ? y + (int32_t)rows : height);
    gpu_people_move(picture->renderer, 0.0f);
    return ok;
}

static struct gpu_develop describe_sensor(const struct gpu_renderer *renderer,
                                          const struct gpu_sensor *sensor) {
    const struct gpu_lighting *lighting = renderer->lighting;
    return (struct gpu_develop){.tone = renderer->tone[lighting->tone],
                                .exposure = lighting->exposure,
                                .shot_noise = sensor->shot_noise,
                                .read_noise = sensor->read_noise,
                                .seed = {(uint32_t)sensor->seed, (uint32_t)(sensor->seed >> 32)}};
}

void gpu_picture_describe(const struct gpu_renderer *renderer, const struct gpu_view *view,
                          struct gpu_shade *shade, struct gpu_develop *develop) {
    *shade = (struct gpu_shade){.light = &renderer->maps.light,
                                .backdrop = gpu_backdrop_fit(view->background, view->camera.width,
                                                             view->camera.height, renderer->srgb)};
    *develop = describe_sensor(renderer, &view->sensor);
}

struct gpu_exposure gpu_picture_exposure(const struct gpu_renderer *renderer,
                                         const struct gpu_view *view, const struct gpu_batch *batch,
                                         const struct gpu_image *image) {
    const bool moves = batch->shutter > 0.0f && (renderer->moving || view->camera_next.width > 0);
    struct gpu_exposure out = {.blurred = (image->rgb != NULL || image->coverage != NULL) &&
                                          (moves || view->camera.lens_radius > 0.0f),
                               .shutter = moves ? batch->shutter : 0.0f};
    out.sharp = !out.blurred || gpu_picture_wants_maps(image);
    return out;
}

bool gpu_picture_draw(struct gpu_renderer *renderer, const struct gpu_view *view,
                      const struct gpu_batch *batch, const struct gpu_image *image,
                      struct gpu_timings *timings) {
    struct picture picture = {.renderer = renderer,
                              .view = view,
                              .camera = view->camera,
                              .image = image,
                              .passes = gpu_pattern_passes(batch->samples),
                              .row_stride = view->camera.width + GPU_PAD,
                              .timings = timings};
    const struct gpu_exposure exposure = gpu_picture_exposure(renderer, view, batch, image);
    gpu_picture_describe(renderer, view, &picture.shade, &picture.develop);
    for (uint32_t pass = 0; pass < picture.passes; pass++)
        gpu_pattern_init_pass(&picture.patterns[pass], batch->samples, pass);
    gpu_picture_clear_maps(&picture);
    if (exposure.sharp && !draw_sharp(&picture, image->rgb != NULL && !exposure.blurred))
        return false;
    return !exposure.blurred || draw_blurred(&picture, batch->samples, exposure.shutter);
}
