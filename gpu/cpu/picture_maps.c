/* picture_maps.c - what is where in a picture; see picture.h. A pixel's maps tell of its nearest
 * sample, and of the very point that the sample shows. */
#include "picture.h"

#include <math.h>
#include <string.h>

bool gpu_picture_wants_maps(const struct gpu_image *image) {
    return image->depth != NULL || image->triangle != NULL || image->person != NULL ||
           image->part != NULL || image->cover != NULL || image->normal != NULL ||
           image->flow != NULL;
}

void gpu_picture_clear_maps(const struct picture *picture) {
    const struct gpu_image *image = picture->image;
    size_t pixels = (size_t)picture->camera.width * picture->camera.height;
    uint8_t *const bytes[] = {image->person, image->part, image->cover};
    for (size_t i = 0; image->depth != NULL && i < pixels; i++)
        image->depth[i] = INFINITY;
    for (size_t i = 0; image->flow != NULL && i < 2 * pixels; i++)
        image->flow[i] = NAN;
    if (image->triangle != NULL)
        memset(image->triangle, 0, pixels * sizeof *image->triangle);
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++)
        if (bytes[i] != NULL)
            memset(bytes[i], 0, pixels);
    if (image->coverage != NULL)
        memset(image->coverage, 0, pixels * sizeof *image->coverage);
    if (image->normal != NULL)
        memset(image->normal, 0, 3 * pixels * sizeof *image->normal);
}

static struct gpu_nearest nearest_row(const struct picture *picture, int32_t y) {
    size_t row = picture->passes > 1 ? (size_t)(y - picture->raster.y0) : 0;
    float *w = picture->nearest + 3 * row * picture->row_stride;
    uint32_t *words = (uint32_t *)w;
    return (struct gpu_nearest){.samples = picture->raster.pattern->samples,
                                .w = w,
                                .triangle = words + picture->row_stride,
                                .sample = words + 2 * picture->row_stride};
}

void gpu_picture_find_nearest(struct picture *picture, int32_t y, uint32_t pass, const float *depth,
                              const uint32_t *triangles) {
    struct gpu_nearest job = nearest_row(picture, y);
    job.pass = pass;
    picture->renderer->kernels->nearest(&job, depth, triangles,
                                        (uint32_t)(picture->raster.x1 - picture->raster.x0));
}

/* Lists the row's people: everybody's triangle and the place of the sample that shows it. */
static uint32_t list(struct picture *picture, int32_t y, const struct gpu_nearest *nearest) {
    const struct gpu_fragments *f = &picture->fragments;
    uint32_t count = 0, width = (uint32_t)(picture->raster.x1 - picture->raster.x0);
    const float step = 1.0f / (float)GPU_SUBPIXEL;
    for (uint32_t x = 0; x < width; x++) {
        if (nearest->triangle[x] == 0)
            continue;
        const struct gpu_pattern *pattern = &picture->patterns[nearest->sample[x] >> 4];
        uint32_t sample = nearest->sample[x] & 15;
        f->triangle[count] = nearest->triangle[x] - 1;
        f->pixel[count] = (uint32_t)picture->raster.x0 + x;
        f->x[count] = (float)f->pixel[count] + (float)pattern->x[sample] * step;
        f->y[count++] = (float)y + (float)pattern->y[sample] * step;
    }
    return count;
}

/* Normals and flow into the list's arrays. */
static void trace(struct picture *picture, const struct picture_points *points) {
    const struct gpu_renderer *renderer = picture->renderer;
    const struct gpu_image *image = picture->image;
    for (uint32_t p = 0; p < renderer->person_count; p++) {
        if (points->counts[p] == 0)
            continue;
        uint32_t start = points->starts[p];
        const struct gpu_fragments own = gpu_picture_skip(points->list, start);
        float *const normal[3] = {own.red, own.green, own.blue};
        float *const flow[2] = {picture->flow[0] + start, picture->flow[1] + start};
        picture->trace.now = picture->shade;
        picture->trace.now.scene = renderer->people[p].scene;
        picture->trace.now.vertices = renderer->people[p].vertices;
        picture->trace.next = renderer->people[p].next;
        renderer->kernels->trace(&picture->trace, &own, gpu_picture_pad(&own, points->counts[p]),
                                 image->normal != NULL ? normal : NULL,
                                 image->flow != NULL ? flow : NULL);
    }
}

/* What is known of a person's triangle without looking at it. */
static void write_ids(const struct picture *picture, size_t at, uint32_t person,
                      uint32_t triangle) {
    const struct gpu_image *image = picture->image;
    const struct gpu_skinned *body = &picture->renderer->people[person];
    if (image->person != NULL)
        image->person[at] = (uint8_t)(person + 1);
    if (image->part != NULL)
        image->part[at] = body->scene->parts[triangle];
    if (image->cover != NULL)
        image->cover[at] = body->scene->covers[triangle];
}

void gpu_picture_write_maps(struct picture *picture, int32_t y) {
    const struct gpu_image *image = picture->image;
    const struct gpu_fragments *f = &picture->fragments;
    struct gpu_nearest nearest = nearest_row(picture, y);
    size_t row = (size_t)y * picture->camera.width, x0 = (size_t)picture->raster.x0;
    uint32_t width = (uint32_t)(picture->raster.x1 - picture->raster.x0);
    for (uint32_t x = 0; image->depth != NULL && x < width; x++)
        image->depth[row + x0 + x] = nearest.w[x] > 0.0f ? 1.0f / nearest.w[x] : INFINITY;
    if (image->triangle != NULL)
        memcpy(image->triangle + row + x0, nearest.triangle, width * sizeof(uint32_t));
    if (image->person == NULL && image->part == NULL && image->cover == NULL &&
        image->normal == NULL && image->flow == NULL)
        return;
    uint32_t count = list(picture, y, &nearest);
    const struct picture_points points = gpu_picture_sort(picture, count);
    if (image->normal != NULL || image->flow != NULL)
        trace(picture, &points);
    for (uint32_t i = 0; i < count; i++) {
        size_t at = row + f->pixel[i], slot = points.slots != NULL ? points.slots[i] : i;
        uint32_t person = points.slots != NULL ? picture->owners[i] : 0;
        write_ids(picture, at, person, points.list->triangle[slot]);
        if (image->normal != NULL) {
            image->normal[3 * at] = points.list->red[slot];
            image->normal[3 * at + 1] = points.list->green[slot];
            image->normal[3 * at + 2] = points.list->blue[slot];
        }
        for (size_t c = 0; image->flow != NULL && c < 2; c++)
            image->flow[2 * at + c] = picture->flow[c][slot];
    }
}
