/* shadow.c - the sun's depth map and the dark on the ground; see shadow.h. */
#include "shadow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CELL = 8,         /* texels of the sun's map a side of a ground cell */
    CONTACT = 64,     /* cells a side of the contact map */
    CONTACT_BLUR = 2, /* cells */
    BLUR_PASSES = 2,  /* of a box: a tent */
};

static const float contact_margin = 0.35f; /* metres around the body */
static const float contact_height = 0.5f;  /* metres above the ground that still darken it */

bool gpu_buffer_reserve(struct gpu_buffer *buffer, size_t count, size_t size) {
    size_t bytes = count * size;
    if (bytes <= buffer->size)
        return true;
    bytes = (bytes + bytes / 4 + 4095) / 4096 * 4096;
    void *memory = aligned_alloc(64, bytes);
    if (memory == NULL)
        return false;
    free(buffer->memory);
    *buffer = (struct gpu_buffer){memory, bytes};
    return true;
}

void gpu_buffer_deinit(struct gpu_buffer *buffer) {
    free(buffer->memory);
    *buffer = (struct gpu_buffer){NULL, 0};
}

void gpu_shadow_deinit(struct gpu_shadow_maps *maps) {
    gpu_buffer_deinit(&maps->contact);
    gpu_buffer_deinit(&maps->scratch);
    gpu_buffer_deinit(&maps->cells);
    gpu_buffer_deinit(&maps->depth);
}

/* -- The sun's map ------------------------------------------------------------------------------
 */

/* Fits the map around the body, with room for what soft edges reach. */
static void fit(struct gpu_shadow *sun, const float box[6], const struct gpu_sun *axes,
                const struct gpu_lighting *lighting, uint32_t size) {
    float margin = 2.0f * lighting->shadow_softness + 0.01f;
    float wide = box[3] - box[0] + 2.0f * margin, high = box[4] - box[1] + 2.0f * margin;
    sun->scale = (float)(size - 2) / fmaxf(wide, high);
    sun->x0 = box[0] - margin;
    sun->y0 = box[1] - margin;
    sun->width = (int32_t)(wide * sun->scale) + 2;
    sun->height = (int32_t)(high * sun->scale) + 2;
    sun->width = sun->width < (int32_t)size ? sun->width : (int32_t)size;
    sun->height = sun->height < (int32_t)size ? sun->height : (int32_t)size;
    sun->stride = (size_t)sun->width + GPU_BLOCK;
    sun->base = box[2] - 0.1f;
    sun->softness = lighting->shadow_softness;
    gpu_lighting_taps(sun->tap_x, sun->tap_y);
    for (int i = 0; i < 3; i++) {
        sun->m[i] = axes->across[i];
        sun->m[4 + i] = axes->down[i];
        sun->m[8 + i] = axes->direction[i];
    }
    sun->m[3] = sun->m[7] = sun->m[11] = 0.0f;
}

static bool draw_sun(struct gpu_shadow_maps *maps, const struct gpu_kernels *kernels,
                     const struct gpu_scene *scene, const float *vertices,
                     const struct gpu_projected *projected) {
    struct gpu_shadow *sun = &maps->sun;
    size_t texels = sun->stride * (size_t)sun->height;
    if (!gpu_buffer_reserve(&maps->depth, texels, sizeof(float)))
        return false;
    memset(maps->depth.memory, 0, texels * sizeof(float));
    sun->depth = maps->depth.memory;
    struct gpu_pattern pattern;
    gpu_pattern_init(&pattern, 1);
    struct gpu_raster job = {.scene = scene,
                             .vertices = vertices,
                             .projected = *projected,
                             .projection = {.fx = sun->scale,
                                            .fy = sun->scale,
                                            .cx = -sun->x0 * sun->scale,
                                            .cy = -sun->y0 * sun->scale,
                                            .near_plane = 0.01f},
                             .pattern = &pattern,
                             .x1 = sun->width,
                             .y1 = sun->height,
                             .depth = maps->depth.memory,
                             .stride = sun->stride};
    memcpy(job.projection.m, sun->m, sizeof sun->m);
    job.projection.m[11] -= sun->base;
    struct gpu_extent extent;
    kernels->project(vertices, scene->padded_vertices, &job.projection, projected, &extent);
    kernels->raster(&job);
    return true;
}

/* -- Blur ---------------------------------------------------------------------------------------
 */

/* A running mean of 2 * radius + 1 values; beyond the ends there is 0. */
static void blur_row(const float *from, float *to, int32_t count, int32_t radius) {
    float share = 1.0f / (float)(2 * radius + 1), sum = 0.0f;
    for (int32_t i = 0; i < radius && i < count; i++)
        sum += from[i];
    for (int32_t i = 0; i < count; i++) {
        if (i + radius < count)
            sum += from[i + radius];
        to[i] = sum * share;
        if (i - radius >= 0)
            sum -= from[i - radius];
        sum = sum > 0.0f ? sum : 0.0f; /* what rounding leaves where all is 0 */
    }
}

/* The same down all columns at once; `sums` holds a row. */
static void blur_columns(const float *from, float *to, float *sums, int32_t width, int32_t height,
                         int32_t radius) {
    float share = 1.0f / (float)(2 * radius + 1);
    memset(sums, 0, (size_t)width * sizeof *sums);
    for (int32_t y = -radius; y < height; y++) {
        const float *in = y + radius < height ? from + (size_t)(y + radius) * (size_t)width : NULL;
        const float *out = y - radius > 0 ? from + (size_t)(y - radius - 1) * (size_t)width : NULL;
        for (int32_t x = 0; out != NULL && x < width; x++)
            sums[x] = sums[x] > out[x] ? sums[x] - out[x] : 0.0f;
        for (int32_t x = 0; in != NULL && x < width; x++)
            sums[x] += in[x];
        for (int32_t x = 0; y >= 0 && x < width; x++)
            to[(size_t)y * (size_t)width + (size_t)x] = sums[x] * share;
    }
}

/* scratch: a row more than the cells. */
static void blur(float *cells, float *scratch, int32_t width, int32_t height, int32_t radius) {
    size_t count = (size_t)width * (size_t)height;
    if (radius < 1)
        return;
    for (int pass = 0; pass < BLUR_PASSES; pass++) {
        for (int32_t y = 0; y < height; y++)
            blur_row(cells + (size_t)y * (size_t)width, scratch + (size_t)y * (size_t)width, width,
                     radius);
        blur_columns(scratch, cells, scratch + count, width, height, radius);
    }
}

/* -- The ground ---------------------------------------------------------------------------------
 */

typedef float four __attribute__((vector_size(16)));
typedef int32_t four_int __attribute__((vector_size(16)));

/* The share of a cell that the body covers, and that share times the way from the body to the
 * ground, where it covers any; every other row is looked at. Beyond the map's right edge its rows
 * go on with zeros. */
static void reduce_cell(const struct gpu_shadow *sun, int32_t cell_x, int32_t cell_y, float ground,
                        float *covered, float *height) {
    four sum = {0};
    four_int hits = {0};
    for (int32_t y = cell_y * CELL; y < (cell_y + 1) * CELL && y < sun->height; y += 2) {
        const float *row = sun->depth + (size_t)y * sun->stride + (size_t)cell_x * CELL;
        for (int x = 0; x < CELL; x += 4) {
            four texels;
            memcpy(&texels, row + x, sizeof texels);
            hits -= texels > 0.0f;
            sum += texels;
        }
    }
    float number = (float)(hits[0] + hits[1] + hits[2] + hits[3]);
    if (number == 0.0f)
        return;
    float mean = (sum[0] + sum[1] + sum[2] + sum[3]) / number + sun->base - ground;
    *covered = number * (2.0f / (CELL * CELL));
    *height = mean > 0.0f ? *covered * mean : 0.0f;
}

static int32_t blur_radius(const struct gpu_ground *ground, float metres) {
    float cells = metres * ground->shadow_scale / (float)BLUR_PASSES;
    return cells < 64.0f ? (int32_t)(cells + 0.5f) : 64;
}

/* Near its feet a body's shadow is sharp, and softer the further what casts it is from the ground.
 */
static bool draw_ground_shadow(struct gpu_shadow_maps *maps, const struct gpu_sun *axes,
                               const struct gpu_lighting *lighting) {
    const struct gpu_shadow *sun = &maps->sun;
    struct gpu_ground *ground = &maps->ground;
    int32_t width = (sun->width + CELL - 1) / CELL + 2,
            height = (sun->height + CELL - 1) / CELL + 2;
    size_t cells = (size_t)width * (size_t)height;
    if (!gpu_buffer_reserve(&maps->cells, 3 * cells, sizeof(float)) ||
        !gpu_buffer_reserve(&maps->scratch, cells + (size_t)width, sizeof(float)))
        return false;
    float *sharp = maps->cells.memory, *soft = sharp + cells, *way = soft + cells;
    memset(sharp, 0, 3 * cells * sizeof(float));
    ground->shadow_scale = sun->scale / CELL;
    ground->shadow_width = width;
    ground->shadow_height = height;
    ground->shadow_x0 = sun->x0 - 1.0f / ground->shadow_scale;
    ground->shadow_y0 = sun->y0 - 1.0f / ground->shadow_scale;
    ground->shadow = sharp;
    if (axes->direction[1] < 0.05f)
        return true; /* the sun is at the horizon: there is no end to a shadow */
    for (int32_t y = 0; y < height - 2; y++) {
        for (int32_t x = 0; x < width - 2; x++) {
            /* The light's z where the sun's ray through the cell meets the ground. */
            float light_x = sun->x0 + ((float)x + 0.5f) / ground->shadow_scale;
            float light_y = sun->y0 + ((float)y + 0.5f) / ground->shadow_scale;
            float z = (lighting->ground_y - light_x * axes->across[1] - light_y * axes->down[1]) /
                      axes->direction[1];
            size_t at = (size_t)(y + 1) * (size_t)width + (size_t)x + 1;
            reduce_cell(sun, x, y, z, &sharp[at], &way[at]);
            soft[at] = sharp[at];
        }
    }
    int32_t wide = blur_radius(ground, 1.5f * sun->softness);
    blur(sharp, maps->scratch.memory, width, height, blur_radius(ground, 0.4f * sun->softness));
    blur(soft, maps->scratch.memory, width, height, wide);
    blur(way, maps->scratch.memory, width, height, wide);
    for (size_t i = 0; i < cells; i++) {
        float mean = soft[i] > 1e-4f ? way[i] / soft[i] : 1.0f;
        sharp[i] += (soft[i] - sharp[i]) * fminf(mean, 1.0f);
    }
    return true;
}

/* What is near the ground hides the sky from it. */
static bool draw_contact(struct gpu_shadow_maps *maps, const struct gpu_scene *scene,
                         const float *vertices, const float box[6], float ground_y) {
    struct gpu_ground *ground = &maps->ground;
    if (!gpu_buffer_reserve(&maps->contact, CONTACT * CONTACT, sizeof(float)) ||
        !gpu_buffer_reserve(&maps->scratch, CONTACT * (CONTACT + 1), sizeof(float)))
        return false;
    float *cells = maps->contact.memory;
    memset(cells, 0, CONTACT * CONTACT * sizeof(float));
    float size = fmaxf(box[3] - box[0], box[5] - box[2]) + 2.0f * contact_margin;
    float scale = (float)CONTACT / size;
    ground->contact_scale = scale;
    ground->contact_x0 = 0.5f * (box[0] + box[3] - size);
    ground->contact_z0 = 0.5f * (box[2] + box[5] - size);
    ground->contact_width = ground->contact_height = CONTACT;
    ground->contact = cells;
    for (uint32_t i = 0; i < scene->vertex_count; i++) {
        const float *vertex = vertices + (size_t)i * GPU_VERTEX_FLOATS;
        float near = 1.0f - fabsf(vertex[1] - ground_y) / contact_height;
        float x = (vertex[0] - ground->contact_x0) * scale;
        float z = (vertex[2] - ground->contact_z0) * scale;
        if (!(near > 0.0f && x >= 1.0f && x < CONTACT - 1 && z >= 1.0f && z < CONTACT - 1))
            continue;
        float *cell = &cells[(int)z * CONTACT + (int)x];
        *cell = fmaxf(*cell, near * near);
    }
    blur(cells, maps->scratch.memory, CONTACT, CONTACT, CONTACT_BLUR);
    for (int i = 0; i < CONTACT; i++)
        cells[i] = cells[CONTACT * (CONTACT - 1) + i] = cells[CONTACT * i] =
            cells[CONTACT * i + CONTACT - 1] = 0.0f;
    for (int i = 0; i < CONTACT * CONTACT; i++)
        cells[i] = fminf(cells[i] * 1.2f, 0.85f);
    return true;
}

bool gpu_shadow_draw(struct gpu_shadow_maps *maps, const struct gpu_kernels *kernels,
                     const struct gpu_scene *scene, const float *vertices,
                     const struct gpu_projected *projected, const struct gpu_lighting *lighting,
                     uint32_t size) {
    static const float identity[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};
    struct gpu_sun axes = gpu_lighting_sun(lighting);
    float light[12] = {0}, light_box[6], box[6];
    for (int i = 0; i < 3; i++) {
        light[i] = axes.across[i];
        light[4 + i] = axes.down[i];
        light[8 + i] = axes.direction[i];
    }
    kernels->bounds(vertices, scene->padded_vertices, light, light_box);
    kernels->bounds(vertices, scene->padded_vertices, identity, box);
    if (light_box[0] > light_box[3])
        memset(light_box, 0, sizeof light_box);
    if (box[0] > box[3])
        memset(box, 0, sizeof box);
    fit(&maps->sun, light_box, &axes, lighting, size);
    if (!draw_sun(maps, kernels, scene, vertices, projected))
        return false;
    if (!lighting->ground)
        return true;
    struct gpu_ground *ground = &maps->ground;
    ground->centre_x = 0.5f * (box[0] + box[3]);
    ground->centre_z = 0.5f * (box[2] + box[5]);
    ground->reach = fmaxf(2.5f, 1.5f * fmaxf(box[4] - box[1], box[3] - box[0]));
    return draw_ground_shadow(maps, &axes, lighting) &&
           draw_contact(maps, scene, vertices, box, lighting->ground_y);
}
