/* picture.c - one view on the CPU: every person into one buffer of samples, band after band of
 * rows; see renderer.h.
 *
 * A picture is drawn in bands, so that its samples fit the cache and an 8192 x 8192 picture of 16
 * samples needs no more memory than a small one. */
#include "renderer.h"

#include <math.h>
#include <string.h>

enum { BAND_SAMPLES = 1 << 20 /* of 8 bytes each */ };

struct picture {
    struct gpu_renderer *renderer;
    const struct gpu_camera *camera;
    const struct gpu_image *image;
    struct gpu_extent extents[GPU_MAX_ACTORS];
    struct gpu_raster raster; /* x0 .. y1: the pixels that people can touch; later the band's */
    struct gpu_shade shade;
    struct gpu_develop develop;
    struct gpu_fragments fragments, sorted; /* as they come; person by person */
    uint32_t *slots;                        /* where a fragment is in `sorted` */
    uint8_t *owners;                        /* whose it is */
    float *row[4];                          /* red, green, blue, coverage: [width + GPU_PAD] */
    uint32_t *packed;
    struct gpu_timings *timings;
};

/* Whose triangle that is, counted over the frame. */
static uint32_t find_person(const struct gpu_renderer *renderer, uint32_t triangle) {
    uint32_t low = 0, high = renderer->person_count;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (renderer->people[middle].first <= triangle)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* -- Maps ---------------------------------------------------------------------------------------
 */

static void write_pixel(const struct picture *picture, size_t at, float w, uint32_t triangle) {
    const struct gpu_image *image = picture->image;
    if (image->depth != NULL)
        image->depth[at] = w > 0.0f ? 1.0f / w : INFINITY;
    if (image->triangle != NULL)
        image->triangle[at] = triangle;
    if (triangle == 0 || (image->person == NULL && image->part == NULL && image->cover == NULL))
        return;
    uint32_t owner = find_person(picture->renderer, triangle - 1);
    const struct gpu_skinned *person = &picture->renderer->people[owner];
    uint32_t own = triangle - 1 - person->first;
    if (image->person != NULL)
        image->person[at] = (uint8_t)(owner + 1);
    if (image->part != NULL)
        image->part[at] = person->scene->parts[own];
    if (image->cover != NULL)
        image->cover[at] = person->scene->covers[own];
}

/* Turns a band's samples of one row into the picture's maps, which were cleared. */
static void write_maps(const struct picture *picture, uint32_t y, const float *depth,
                       const uint32_t *triangle) {
    const struct gpu_image *image = picture->image;
    uint32_t samples = picture->raster.pattern->samples;
    size_t row = (size_t)y * picture->camera->width + (size_t)picture->raster.x0;
    uint32_t width = (uint32_t)(picture->raster.x1 - picture->raster.x0);
    if (image->coverage != NULL)
        memcpy(image->coverage + row, picture->row[3] + picture->raster.x0, width * sizeof(float));
    if (image->depth == NULL && image->triangle == NULL && image->person == NULL &&
        image->part == NULL && image->cover == NULL)
        return;
    for (uint32_t x = 0; x < width; x++) {
        const float *w = depth + (size_t)x * samples;
        uint32_t nearest = 0;
        for (uint32_t s = 1; s < samples; s++)
            nearest = w[s] > w[nearest] ? s : nearest;
        write_pixel(picture, row + x, w[nearest], triangle[(size_t)x * samples + nearest]);
    }
}

static void clear_maps(const struct picture *picture) {
    const struct gpu_image *image = picture->image;
    size_t pixels = (size_t)picture->camera->width * picture->camera->height;
    uint8_t *const bytes[] = {image->person, image->part, image->cover};
    for (size_t i = 0; image->depth != NULL && i < pixels; i++)
        image->depth[i] = INFINITY;
    if (image->triangle != NULL)
        memset(image->triangle, 0, pixels * sizeof *image->triangle);
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++)
        if (bytes[i] != NULL)
            memset(bytes[i], 0, pixels);
    if (image->coverage != NULL)
        memset(image->coverage, 0, pixels * sizeof *image->coverage);
}

/* -- Colours ------------------------------------------------------------------------------------
 */

static void clear_row(const struct picture *picture) {
    for (int c = 0; c < 4; c++)
        memset(picture->row[c], 0, (picture->camera->width + GPU_PAD) * sizeof(float));
}

static void finish_row(struct picture *picture, uint32_t y) {
    const struct gpu_kernels *kernels = picture->renderer->kernels;
    struct gpu_row row = {.y = (int32_t)y,
                          .width = picture->camera->width,
                          .height = picture->camera->height,
                          .red = picture->row[0],
                          .green = picture->row[1],
                          .blue = picture->row[2],
                          .coverage = picture->row[3],
                          .packed = picture->packed,
                          .rgb = picture->image->rgb + (size_t)3 * y * picture->camera->width};
    kernels->compose(&picture->shade, &row);
    kernels->develop(&picture->develop, &row);
}

static struct gpu_fragments skip(const struct gpu_fragments *f, size_t count) {
    return (struct gpu_fragments){.triangle = f->triangle + count,
                                  .x = f->x + count,
                                  .y = f->y + count,
                                  .red = f->red + count,
                                  .green = f->green + count,
                                  .blue = f->blue + count};
}

/* Shades one person's fragments; the arrays have room for whole vectors. */
static void shade_person(struct picture *picture, const struct gpu_skinned *person,
                         const struct gpu_fragments *f, uint32_t count) {
    if (count == 0)
        return;
    uint32_t end = (count + GPU_PAD - 1) / GPU_PAD * GPU_PAD;
    for (uint32_t i = count; i < end; i++) {
        f->triangle[i] = 0;
        f->x[i] = f->y[i] = 0.0f;
    }
    picture->shade.scene = person->scene;
    picture->shade.vertices = person->vertices;
    picture->renderer->kernels->shade(&picture->shade, f, end);
}

/* Shading looks at one mesh at a time: sorts a row's fragments by person, shades, and brings the
 * colours back. */
static void shade_people(struct picture *picture, uint32_t count) {
    const struct gpu_renderer *renderer = picture->renderer;
    const struct gpu_fragments *f = &picture->fragments, *sorted = &picture->sorted;
    uint32_t counts[GPU_MAX_ACTORS] = {0}, starts[GPU_MAX_ACTORS], end = 0;
    if (renderer->person_count <= 1) {
        shade_person(picture, &renderer->people[0], f, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint8_t owner = (uint8_t)find_person(renderer, f->triangle[i]);
        picture->owners[i] = owner;
        picture->slots[i] = counts[owner]++;
    }
    for (uint32_t p = 0; p < renderer->person_count; p++) {
        starts[p] = end;
        end += (counts[p] + GPU_PAD - 1) / GPU_PAD * GPU_PAD;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t owner = picture->owners[i], slot = picture->slots[i] += starts[owner];
        sorted->triangle[slot] = f->triangle[i] - renderer->people[owner].first;
        sorted->x[slot] = f->x[i];
        sorted->y[slot] = f->y[i];
    }
    for (uint32_t p = 0; p < renderer->person_count; p++) {
        const struct gpu_fragments own = skip(sorted, starts[p]);
        shade_person(picture, &renderer->people[p], &own, counts[p]);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = picture->slots[i];
        f->red[i] = sorted->red[slot];
        f->green[i] = sorted->green[slot];
        f->blue[i] = sorted->blue[slot];
    }
}

/* Shades what the samples of one row show and adds it up by pixel. */
static void shade_row(struct picture *picture, uint32_t y, const uint32_t *triangle) {
    const struct gpu_fragments *f = &picture->fragments;
    int32_t x0 = picture->raster.x0;
    uint32_t width = (uint32_t)(picture->raster.x1 - x0);
    uint32_t count = picture->renderer->kernels->fragments(picture->raster.pattern, triangle, width,
                                                           x0, (int32_t)y, f, picture->row[3] + x0);
    if (picture->image->rgb == NULL)
        return;
    shade_people(picture, count);
    for (int c = 0; c < 3; c++)
        memset(picture->row[c], 0, (picture->camera->width + GPU_PAD) * sizeof(float));
    for (uint32_t i = 0; i < count; i++) {
        size_t at = (size_t)x0 + f->pixel[i];
        picture->row[0][at] += f->red[i] * f->weight[i];
        picture->row[1][at] += f->green[i] * f->weight[i];
        picture->row[2][at] += f->blue[i] * f->weight[i];
    }
}

/* -- Bands --------------------------------------------------------------------------------------
 */

static void raster_people(struct picture *picture) {
    struct gpu_raster *raster = &picture->raster;
    const struct gpu_renderer *renderer = picture->renderer;
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

/* Rasterises and shades rows [y0, y1) of the pixels that people can touch. */
static void draw_band(struct picture *picture, int32_t y0, int32_t y1) {
    struct gpu_raster *raster = &picture->raster;
    double start = gpu_renderer_clock();
    raster->y0 = y0;
    raster->y1 = y1;
    size_t samples = raster->stride * (size_t)(y1 - y0);
    memset(raster->depth, 0, samples * sizeof *raster->depth);
    memset(raster->triangle, 0, samples * sizeof *raster->triangle);
    raster_people(picture);
    double middle = gpu_renderer_clock();
    for (int32_t y = y0; y < y1; y++) {
        size_t at = raster->stride * (size_t)(y - y0);
        shade_row(picture, (uint32_t)y, raster->triangle + at);
        write_maps(picture, (uint32_t)y, raster->depth + at, raster->triangle + at);
        if (picture->image->rgb != NULL)
            finish_row(picture, (uint32_t)y);
    }
    picture->timings->raster += middle - start;
    picture->timings->shade += gpu_renderer_clock() - middle;
}

static int32_t clamp_pixel(int64_t pixel, uint32_t side) {
    return pixel < 0 ? 0 : pixel > (int64_t)side ? (int32_t)side : (int32_t)pixel;
}

/* Projects everybody and finds the pixels that they can touch; all of them where somebody reaches
 * behind the camera. */
static void project_people(struct picture *picture) {
    const struct gpu_renderer *renderer = picture->renderer;
    const struct gpu_camera *camera = picture->camera;
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
    raster->x0 = raster->y0 = 0;
    raster->x1 = (int32_t)camera->width;
    raster->y1 = (int32_t)camera->height;
    if (all.clipped)
        return;
    if (all.min_x > all.max_x) {
        raster->x1 = raster->y1 = 0;
        return;
    }
    raster->x0 = clamp_pixel(all.min_x >> GPU_SUBPIXEL_BITS, camera->width) & -GPU_BLOCK;
    raster->y0 = clamp_pixel(all.min_y >> GPU_SUBPIXEL_BITS, camera->height);
    raster->x1 = clamp_pixel((all.max_x >> GPU_SUBPIXEL_BITS) + 1, camera->width);
    raster->y1 = clamp_pixel((all.max_y >> GPU_SUBPIXEL_BITS) + 1, camera->height);
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

static bool reserve(struct picture *picture, int32_t *band) {
    struct gpu_renderer *renderer = picture->renderer;
    struct gpu_raster *raster = &picture->raster;
    size_t width = raster->x1 > raster->x0 ? (size_t)(raster->x1 - raster->x0) : 0;
    uint32_t samples = raster->pattern->samples;
    raster->stride = width * samples + GPU_BLOCK;
    size_t rows = BAND_SAMPLES / raster->stride + 1;
    size_t high = raster->y1 > raster->y0 ? (size_t)(raster->y1 - raster->y0) : 1;
    rows = rows < high ? rows : high;
    *band = (int32_t)rows;
    size_t count = width * samples + 2 * GPU_PAD, row = picture->camera->width + GPU_PAD;
    size_t sorted = renderer->person_count > 1 ? count + (size_t)GPU_MAX_ACTORS * GPU_PAD : 0;
    if (!gpu_buffer_reserve(&renderer->depth, rows * raster->stride, sizeof(float)) ||
        !gpu_buffer_reserve(&renderer->triangle, rows * raster->stride, sizeof(uint32_t)) ||
        !gpu_buffer_reserve(&renderer->fragments, 8 * count + 10 * sorted, sizeof(float)) ||
        !gpu_buffer_reserve(&renderer->row, 5 * row, sizeof(float)))
        return false;
    raster->depth = renderer->depth.memory;
    raster->triangle = renderer->triangle.memory;
    picture->fragments = divide(&renderer->fragments, 0, count);
    picture->sorted = divide(&renderer->fragments, 8 * count, sorted);
    picture->slots = (uint32_t *)renderer->fragments.memory + 8 * count + 8 * sorted;
    picture->owners = (uint8_t *)(picture->slots + sorted);
    for (int c = 0; c < 4; c++)
        picture->row[c] = (float *)renderer->row.memory + (size_t)c * row;
    picture->packed = (uint32_t *)renderer->row.memory + 4 * row;
    return true;
}

/* What is above and below everybody. */
static void draw_open(struct picture *picture, int32_t from, int32_t to) {
    double start = gpu_renderer_clock();
    for (int32_t y = from; picture->image->rgb != NULL && y < to; y++) {
        clear_row(picture);
        finish_row(picture, (uint32_t)y);
    }
    clear_row(picture);
    picture->timings->shade += gpu_renderer_clock() - start;
}

bool gpu_picture_draw(struct gpu_renderer *renderer, const struct gpu_view *view,
                      const struct gpu_image *image, struct gpu_timings *timings) {
    const struct gpu_camera *camera = &view->camera;
    double start = gpu_renderer_clock();
    struct picture picture = {
        .renderer = renderer,
        .camera = camera,
        .image = image,
        .raster = {.projection = gpu_camera_projection(camera), .pattern = &renderer->pattern},
        .shade = {.light = &renderer->maps.light,
                  .rays = gpu_camera_rays(camera),
                  .pixel_size = 1.0f / sqrtf(camera->fx * camera->fy),
                  .backdrop = gpu_backdrop_fit(view->background, camera->width, camera->height,
                                               renderer->srgb)},
        .develop = {.tone = renderer->tone[renderer->lighting->tone],
                    .exposure = renderer->lighting->exposure,
                    .shot_noise = view->sensor.shot_noise,
                    .read_noise = view->sensor.read_noise,
                    .seed = {(uint32_t)view->sensor.seed, (uint32_t)(view->sensor.seed >> 32)}},
        .timings = timings};
    int32_t band;
    project_people(&picture);
    if (!reserve(&picture, &band))
        return false;
    int32_t first = picture.raster.y0, end = picture.raster.y1, height = (int32_t)camera->height;
    if (picture.raster.x0 >= picture.raster.x1 || first >= end)
        first = end = height;
    timings->raster += gpu_renderer_clock() - start;
    clear_maps(&picture);
    draw_open(&picture, 0, first);
    for (int32_t y = first; y < end; y += band)
        draw_band(&picture, y, y + band < end ? y + band : end);
    draw_open(&picture, end, height);
    return true;
}
