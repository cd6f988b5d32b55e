/* picture_color.c - the colours of a row; see picture.h. */
#include "picture.h"

#include <string.h>

/* -- Person by person ---------------------------------------------------------------------------
 */

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

struct gpu_fragments gpu_picture_skip(const struct gpu_fragments *f, size_t count) {
    return (struct gpu_fragments){.triangle = f->triangle + count,
                                  .x = f->x + count,
                                  .y = f->y + count,
                                  .red = f->red + count,
                                  .green = f->green + count,
                                  .blue = f->blue + count};
}

uint32_t gpu_picture_pad(const struct gpu_fragments *f, uint32_t count) {
    uint32_t end = (count + GPU_PAD - 1) / GPU_PAD * GPU_PAD;
    for (uint32_t i = count; i < end; i++) {
        f->triangle[i] = 0;
        f->x[i] = f->y[i] = 0.0f;
    }
    return end;
}

struct picture_points gpu_picture_sort(struct picture *picture, uint32_t count) {
    const struct gpu_renderer *renderer = picture->renderer;
    const struct gpu_fragments *f = &picture->fragments, *sorted = &picture->sorted;
    struct picture_points out = {.list = f, .counts = {count}};
    uint32_t people = renderer->person_count, end = 0;
    if (people <= 1)
        return out;
    out.list = sorted;
    out.slots = picture->slots;
    out.counts[0] = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t owner = (uint8_t)find_person(renderer, f->triangle[i]);
        picture->owners[i] = owner;
        picture->slots[i] = out.counts[owner]++;
    }
    for (uint32_t p = 0; p < people; p++) {
        out.starts[p] = end;
        end += (out.counts[p] + GPU_PAD - 1) / GPU_PAD * GPU_PAD;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t owner = picture->owners[i], slot = picture->slots[i] += out.starts[owner];
        sorted->triangle[slot] = f->triangle[i] - renderer->people[owner].first;
        sorted->x[slot] = f->x[i];
        sorted->y[slot] = f->y[i];
    }
    return out;
}

/* -- Rows ---------------------------------------------------------------------------------------
 */

float *gpu_picture_row(const struct picture *picture, int32_t y, int plane) {
    size_t row = picture->passes > 1 ? (size_t)(y - picture->raster.y0) : 0;
    return picture->rows + (4 * row + (size_t)plane) * picture->row_stride;
}

/* Lists a row's fragments and adds their coverage. Returns how many. */
static uint32_t list(struct picture *picture, int32_t y, const uint32_t *triangles, float share) {
    const struct gpu_raster *raster = &picture->raster;
    uint32_t width = (uint32_t)(raster->x1 - raster->x0);
    float *coverage = gpu_picture_row(picture, y, 3) + raster->x0;
    if (share == 1.0f)
        return picture->renderer->kernels->fragments(raster->pattern, triangles, width, raster->x0,
                                                     y, &picture->fragments, coverage);
    uint32_t count = picture->renderer->kernels->fragments(
        raster->pattern, triangles, width, raster->x0, y, &picture->fragments, picture->spare);
    for (uint32_t x = 0; x < width; x++)
        coverage[x] += picture->spare[x] * share;
    return count;
}

void gpu_picture_cover(struct picture *picture, int32_t y, const uint32_t *triangles, float share) {
    list(picture, y, triangles, share);
}

void gpu_picture_shade(struct picture *picture, int32_t y, const uint32_t *triangles, float share) {
    const struct gpu_renderer *renderer = picture->renderer;
    uint32_t count = list(picture, y, triangles, share);
    const struct picture_points points = gpu_picture_sort(picture, count);
    for (uint32_t p = 0; p < renderer->person_count; p++) {
        if (points.counts[p] == 0)
            continue;
        const struct gpu_fragments own = gpu_picture_skip(points.list, points.starts[p]);
        picture->shade.scene = renderer->people[p].scene;
        picture->shade.vertices = renderer->people[p].vertices;
        picture->shade.open = renderer->maps.light.casts[p].open;
        renderer->kernels->shade(&picture->shade, &own, gpu_picture_pad(&own, points.counts[p]));
    }
    const struct gpu_fragments *f = &picture->fragments;
    float *const planes[3] = {gpu_picture_row(picture, y, 0), gpu_picture_row(picture, y, 1),
                              gpu_picture_row(picture, y, 2)};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = points.slots != NULL ? points.slots[i] : i;
        size_t at = (size_t)picture->raster.x0 + f->pixel[i];
        float weight = f->weight[i] * share;
        planes[0][at] += points.list->red[slot] * weight;
        planes[1][at] += points.list->green[slot] * weight;
        planes[2][at] += points.list->blue[slot] * weight;
    }
}

static struct gpu_row describe(struct picture *picture, int32_t y, float *row) {
    const size_t stride = picture->row_stride;
    return (struct gpu_row){.y = y,
                            .width = picture->camera.width,
                            .height = picture->camera.height,
                            .red = row,
                            .green = row + stride,
                            .blue = row + 2 * stride,
                            .coverage = row + 3 * stride,
                            .packed = (uint32_t *)picture->spare};
}

void gpu_picture_compose(struct picture *picture, int32_t y, float *row) {
    const struct gpu_row job = describe(picture, y, row);
    picture->renderer->kernels->compose(&picture->shade, &job);
}

void gpu_picture_develop(struct picture *picture, int32_t y, float *row) {
    struct gpu_row job = describe(picture, y, row);
    job.rgb = picture->image->rgb + (size_t)3 * (size_t)y * picture->camera.width;
    picture->renderer->kernels->develop(&picture->develop, &job);
}
