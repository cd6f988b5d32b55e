/* shadow.c - the sun's depth maps and the dark on the ground; see shadow.h. */
#include "shadow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CELL = 8,         /* texels of the sun's map a side of a ground cell */
    CONTACT = 64,     /* cells a side of the contact map */
    CONTACT_BLUR = 2, /* cells */
    BLUR_PASSES = 2,  /* of a box: a tent */
    MIN_SIZE = 16,    /* texels a side of a body's map */
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
    gpu_buffer_deinit(&maps->grid);
    gpu_buffer_deinit(&maps->open);
    gpu_buffer_deinit(&maps->gloss);
    gpu_buffer_deinit(&maps->casts);
    gpu_buffer_deinit(&maps->contact);
    gpu_buffer_deinit(&maps->scratch);
    gpu_buffer_deinit(&maps->cells);
    gpu_buffer_deinit(&maps->depth);
}

/* -- The sun's map ------------------------------------------------------------------------------
 */

/* Fits the map around the body, with room for what soft edges reach. */
static void fit(struct gpu_shadow *sun, const float box[6], float softness, uint32_t size) {
    float margin = 2.0f * softness + 0.01f;
    float wide = box[3] - box[0] + 2.0f * margin, high = box[4] - box[1] + 2.0f * margin;
    sun->scale = (float)(size - 2) / fmaxf(wide, high);
    sun->x0 = box[0] - margin;
    sun->y0 = box[1] - margin;
    sun->width = (int32_t)(wide * sun->scale) + 2;
    sun->height = (int32_t)(high * sun->scale) + 2;
    sun->width = sun->width < (int32_t)size ? sun->width : (int32_t)size;
    sun->height = sun->height < (int32_t)size ? sun->height : (int32_t)size;
    sun->stride = sun->width + GPU_BLOCK;
    sun->base = box[2] - 0.1f;
}

static size_t texels_of(const struct gpu_shadow *sun) {
    return (size_t)sun->stride * (size_t)sun->height;
}

/* depth: room for the map. */
static void draw_sun(const struct gpu_daylight *light, struct gpu_shadow *sun, float *depth,
                     const struct gpu_kernels *kernels, const struct gpu_caster *caster,
                     const struct gpu_projected *projected) {
    memset(depth, 0, texels_of(sun) * sizeof(float));
    sun->depth = depth;
    struct gpu_pattern pattern;
    gpu_pattern_init(&pattern, 1);
    struct gpu_raster job = {.scene = caster->scene,
                             .vertices = caster->vertices,
                             .projected = *projected,
                             .projection = {.fx = sun->scale,
                                            .fy = sun->scale,
                                            .cx = -sun->x0 * sun->scale,
                                            .cy = -sun->y0 * sun->scale,
                                            .near_plane = 0.01f},
                             .pattern = &pattern,
                             .x1 = sun->width,
                             .y1 = sun->height,
                             .depth = depth,
                             .stride = (size_t)sun->stride};
    memcpy(job.projection.m, light->m, sizeof light->m);
    job.projection.m[11] -= sun->base;
    struct gpu_extent extent;
    kernels->project(caster->vertices, caster->scene->padded_vertices, &job.projection, projected,
                     &extent);
    kernels->raster(&job);
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
        const float *row = sun->depth + (size_t)y * (size_t)sun->stride + (size_t)cell_x * CELL;
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

/* A cell more on each side than the sun's map has. */
static void fit_ground(struct gpu_cast *cast) {
    struct gpu_ground *ground = &cast->ground;
    ground->shadow_scale = cast->sun.scale / CELL;
    ground->shadow_width = (cast->sun.width + CELL - 1) / CELL + 2;
    ground->shadow_height = (cast->sun.height + CELL - 1) / CELL + 2;
    ground->shadow_x0 = cast->sun.x0 - 1.0f / ground->shadow_scale;
    ground->shadow_y0 = cast->sun.y0 - 1.0f / ground->shadow_scale;
}

static size_t cells_of(const struct gpu_ground *ground) {
    return (size_t)ground->shadow_width * (size_t)ground->shadow_height;
}

/* Near its feet a body's shadow is sharp, and softer the further what casts it is from the ground.
 * sharp: room for the cells; soft: scratch of three times as many and a row. */
static void draw_ground_shadow(const struct gpu_daylight *light, struct gpu_cast *cast,
                               float *sharp, float *soft) {
    const struct gpu_shadow *sun = &cast->sun;
    const struct gpu_sun *axes = &light->sun;
    struct gpu_ground *ground = &cast->ground;
    const float softness = light->lighting->shadow_softness;
    int32_t width = ground->shadow_width, height = ground->shadow_height;
    size_t cells = cells_of(ground);
    float *way = soft + cells, *scratch = way + cells;
    memset(sharp, 0, cells * sizeof(float));
    memset(soft, 0, 2 * cells * sizeof(float));
    ground->shadow = sharp;
    if (axes->direction[1] < 0.05f)
        return; /* the sun is at the horizon: there is no end to a shadow */
    for (int32_t y = 0; y < height - 2; y++) {
        for (int32_t x = 0; x < width - 2; x++) {
            /* The light's z where the sun's ray through the cell meets the ground. */
            float light_x = sun->x0 + ((float)x + 0.5f) / ground->shadow_scale;
            float light_y = sun->y0 + ((float)y + 0.5f) / ground->shadow_scale;
            float z =
                (light->lighting->ground_y - light_x * axes->across[1] - light_y * axes->down[1]) /
                axes->direction[1];
            size_t at = (size_t)(y + 1) * (size_t)width + (size_t)x + 1;
            reduce_cell(sun, x, y, z, &sharp[at], &way[at]);
            soft[at] = sharp[at];
        }
    }
    int32_t wide = blur_radius(ground, 1.5f * softness);
    blur(sharp, scratch, width, height, blur_radius(ground, 0.4f * softness));
    blur(soft, scratch, width, height, wide);
    blur(way, scratch, width, height, wide);
    for (size_t i = 0; i < cells; i++) {
        float mean = soft[i] > 1e-4f ? way[i] / soft[i] : 1.0f;
        sharp[i] += (soft[i] - sharp[i]) * fminf(mean, 1.0f);
    }
}

/* What is near the ground hides the sky from it. cells: room for them; scratch: a row more. */
static void draw_contact(struct gpu_ground *ground, const struct gpu_caster *caster,
                         const float box[6], float ground_y, float *cells, float *scratch) {
    memset(cells, 0, CONTACT * CONTACT * sizeof(float));
    float size = fmaxf(box[3] - box[0], box[5] - box[2]) + 2.0f * contact_margin;
    float scale = (float)CONTACT / size;
    ground->contact_scale = scale;
    ground->contact_x0 = 0.5f * (box[0] + box[3] - size);
    ground->contact_z0 = 0.5f * (box[2] + box[5] - size);
    ground->contact_width = ground->contact_height = CONTACT;
    ground->contact = cells;
    for (uint32_t i = 0; i < caster->scene->vertex_count; i++) {
        const float *vertex = caster->vertices + (size_t)i * GPU_VERTEX_FLOATS;
        float near = 1.0f - fabsf(vertex[1] - ground_y) / contact_height;
        float x = (vertex[0] - ground->contact_x0) * scale;
        float z = (vertex[2] - ground->contact_z0) * scale;
        if (!(near > 0.0f && x >= 1.0f && x < CONTACT - 1 && z >= 1.0f && z < CONTACT - 1))
            continue;
        float *cell = &cells[(int)z * CONTACT + (int)x];
        *cell = fmaxf(*cell, near * near);
    }
    blur(cells, scratch, CONTACT, CONTACT, CONTACT_BLUR);
    for (int i = 0; i < CONTACT; i++)
        cells[i] = cells[CONTACT * (CONTACT - 1) + i] = cells[CONTACT * i] =
            cells[CONTACT * i + CONTACT - 1] = 0.0f;
    for (int i = 0; i < CONTACT * CONTACT; i++)
        cells[i] = fminf(cells[i] * 1.2f, 0.85f);
}

/* -- A frame ------------------------------------------------------------------------------------
 */

/* Of the vertices of m * body; of nothing: a point. */
static void measure(const struct gpu_kernels *kernels, const struct gpu_caster *caster,
                    const float m[12], float box[6]) {
    kernels->bounds(caster->vertices, caster->scene->padded_vertices, m, box);
    if (box[0] > box[3])
        memset(box, 0, 6 * sizeof *box);
}

/* The ground reaches as far beyond the outermost bodies as it does around one. */
static void place_ground(struct gpu_daylight *light, const float box[6]) {
    float wide = fmaxf(box[3] - box[0], box[5] - box[2]);
    light->centre_x = 0.5f * (box[0] + box[3]);
    light->centre_z = 0.5f * (box[2] + box[5]);
    light->reach = fmaxf(2.5f, 1.5f * fmaxf(box[4] - box[1], wide));
}

static void unite(float box[6], const float other[6]) {
    for (int i = 0; i < 3; i++) {
        box[i] = fminf(box[i], other[i]);
        box[3 + i] = fmaxf(box[3 + i], other[3 + i]);
    }
}

/* Fits all maps and makes room for them. */
static bool lay_out(struct gpu_shadow_maps *maps, const struct gpu_kernels *kernels,
                    const struct gpu_caster *casters, uint32_t count, uint32_t size) {
    struct gpu_daylight *light = &maps->light;
    size_t texels = 0, cells = 0, vertices = 0, most = CONTACT * (CONTACT + 1);
    if (!gpu_buffer_reserve(&maps->casts, count, sizeof(struct gpu_cast)))
        return false;
    struct gpu_cast *casts = maps->casts.memory;
    for (uint32_t i = 0; i < count; i++) {
        float box[6];
        measure(kernels, &casters[i], light->m, box);
        fit(&casts[i].sun, box, light->lighting->shadow_softness, size);
        fit_ground(&casts[i]);
        texels += texels_of(&casts[i].sun);
        vertices += casters[i].scene->padded_vertices;
        size_t here = cells_of(&casts[i].ground);
        cells += here;
        size_t scratch = 3 * here + (size_t)casts[i].ground.shadow_width;
        most = scratch > most ? scratch : most;
    }
    light->casts = casts;
    light->cast_count = count;
    return gpu_buffer_reserve(&maps->depth, texels, sizeof(float)) &&
           gpu_buffer_reserve(&maps->cells, cells, sizeof(float)) &&
           gpu_buffer_reserve(&maps->open, vertices, sizeof(float)) &&
           gpu_buffer_reserve(&maps->scratch, most, sizeof(float)) &&
           gpu_buffer_reserve(&maps->contact, (size_t)count * CONTACT * CONTACT, sizeof(float));
}

bool gpu_shadow_draw(struct gpu_shadow_maps *maps, const struct gpu_kernels *kernels,
                     const struct gpu_caster *casters, uint32_t count,
                     const struct gpu_projected *projected, const struct gpu_lighting *lighting,
                     uint32_t size) {
    static const float identity[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};
    struct gpu_daylight *light = &maps->light;
    float all[6] = {0};
    if (maps->gloss.memory == NULL) {
        if (!gpu_buffer_reserve(&maps->gloss, GPU_GLOSS_TABLE, sizeof(float)))
            return false;
        gpu_gloss_table(maps->gloss.memory);
    }
    gpu_daylight_init(light, lighting, maps->gloss.memory);
    if (count > 4)
        size = (uint32_t)fmaxf((float)MIN_SIZE, 2.0f * (float)size / sqrtf((float)count));
    if (!lay_out(maps, kernels, casters, count, size))
        return false;
    struct gpu_cast *casts = maps->casts.memory;
    float *depth = maps->depth.memory, *cells = maps->cells.memory, *open = maps->open.memory;
    for (uint32_t i = 0; i < count; i++) {
        float box[6];
        measure(kernels, &casters[i], identity, box);
        if (i == 0)
            memcpy(all, box, sizeof all);
        unite(all, box);
        draw_sun(light, &casts[i].sun, depth, kernels, &casters[i], projected);
        depth += texels_of(&casts[i].sun);
        casts[i].open = lighting->occlusion > 0.0f ? open : NULL;
        if (casts[i].open != NULL &&
            !gpu_open_find(&maps->grid, kernels, &casters[i], box, lighting->occlusion, open))
            return false;
        open += casters[i].scene->padded_vertices;
        if (!lighting->ground)
            continue;
        draw_ground_shadow(light, &casts[i], cells, maps->scratch.memory);
        draw_contact(&casts[i].ground, &casters[i], box, lighting->ground_y,
                     (float *)maps->contact.memory + (size_t)i * CONTACT * CONTACT,
                     maps->scratch.memory);
        cells += cells_of(&casts[i].ground);
    }
    place_ground(light, all);
    return true;
}
