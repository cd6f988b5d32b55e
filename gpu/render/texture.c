/* texture.c - texture pyramids, and which triangles an alpha cut-off concerns; see scene.h. */
#include "scene.h"

#include <math.h>

/* -- Pyramids -----------------------------------------------------------------------------------
 */

static uint32_t half(uint32_t size) {
    return size > 1 ? size / 2 : 1;
}

void gpu_texture_measure(uint32_t width, uint32_t height, size_t *texels, uint32_t *levels) {
    *texels = (size_t)width * height;
    *levels = 1;
    while ((width > 1 || height > 1) && *levels < GPU_MAX_LEVELS) {
        width = half(width);
        height = half(height);
        *texels += (size_t)width * height;
        *levels += 1;
    }
}

/* What a byte of a texture becomes. */
static void encode_table(uint8_t table[256], bool linear, bool data) {
    for (int i = 0; i < 256; i++) {
        double s = i / 255.0;
        double light = linear ? s : s <= 0.04045 ? s / 12.92 : pow((s + 0.055) / 1.055, 2.4);
        table[i] = data ? (uint8_t)i : (uint8_t)lrint(255.0 * sqrt(light));
    }
}

/* The mean of four texels in linear light, each weighted by its alpha: what is invisible lends no
 * colour to the rims of what is visible. */
static uint32_t average(const uint32_t four[4]) {
    uint32_t alpha = 0, sum[3] = {0}, plain[3] = {0};
    for (int i = 0; i < 4; i++) {
        uint32_t a = four[i] >> 24;
        alpha += a;
        for (int c = 0; c < 3; c++) {
            uint32_t root = four[i] >> (8 * c) & 255;
            sum[c] += root * root * a;
            plain[c] += root * root;
        }
    }
    uint32_t out = (alpha + 2) / 4 << 24;
    for (int c = 0; c < 3; c++) {
        float mean = alpha > 0 ? (float)sum[c] / (float)alpha : (float)plain[c] * 0.25f;
        out |= (uint32_t)lrintf(sqrtf(mean)) << (8 * c);
    }
    return out;
}

static uint32_t average_data(const uint32_t four[4]) {
    uint32_t out = 0;
    for (int c = 0; c < 32; c += 8) {
        uint32_t sum = 2;
        for (int i = 0; i < 4; i++)
            sum += four[i] >> c & 255;
        out |= sum / 4 << c;
    }
    return out;
}

static void shrink(const uint32_t *from, uint32_t width, uint32_t height, bool data, uint32_t *to) {
    uint32_t out_width = half(width), out_height = half(height);
    for (uint32_t y = 0; y < out_height; y++) {
        const uint32_t *top = from + (size_t)(2 * y) * width;
        const uint32_t *bottom = height > 1 ? top + width : top;
        for (uint32_t x = 0; x < out_width; x++) {
            uint32_t left = 2 * x, right = width > 1 ? left + 1 : left;
            const uint32_t four[4] = {top[left], top[right], bottom[left], bottom[right]};
            to[(size_t)y * out_width + x] = data ? average_data(four) : average(four);
        }
    }
}

void gpu_texture_store(struct gpu_scene *scene, const struct gpu_texture *texture, bool data,
                       uint32_t level, size_t offset) {
    uint8_t table[256];
    encode_table(table, texture->linear, data);
    uint32_t width = texture->width, height = texture->height;
    uint32_t *texels = scene->texels + offset;
    for (size_t i = 0; i < (size_t)width * height; i++) {
        const uint8_t *rgba = texture->rgba + 4 * i;
        texels[i] = table[rgba[0]] | (uint32_t)table[rgba[1]] << 8 |
                    (uint32_t)table[rgba[2]] << 16 | (uint32_t)rgba[3] << 24;
    }
    for (uint32_t done = 0;; done++) {
        scene->level_offset[level + done] = (int32_t)(texels - scene->texels);
        scene->level_width[level + done] = (int32_t)width;
        scene->level_height[level + done] = (int32_t)height;
        if ((width == 1 && height == 1) || done + 1 == GPU_MAX_LEVELS)
            return;
        uint32_t *next = texels + (size_t)width * height;
        shrink(texels, width, height, data, next);
        width = half(width);
        height = half(height);
        texels = next;
    }
}

/* -- Alpha --------------------------------------------------------------------------------------
 */

static int32_t wrap(int32_t i, int32_t size) {
    i %= size;
    return i < 0 ? i + size : i;
}

static const float resolved = 1 << 20; /* texels from 0: farther, a float's steps are too wide */

/* Whether all texels that a triangle can touch are above the cut-off, or all below, or neither. */
static uint32_t classify(const struct gpu_scene *scene, uint32_t triangle) {
    uint32_t material = scene->materials[triangle];
    const float *numbers = scene->material_rows + (size_t)material * GPU_MATERIAL_ROW;
    float cutoff = numbers[GPU_MATERIAL_CUTOFF], base = numbers[GPU_MATERIAL_ALPHA];
    int32_t texture = scene->material_maps[material * GPU_MAPS + GPU_MAP_COLOR];
    if (texture < 0)
        return base < cutoff ? GPU_TRIANGLE_HOLE : 0;
    uint32_t level = scene->textures[texture].first;
    int32_t size[2] = {scene->level_width[level], scene->level_height[level]};
    float low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (int c = 0; c < 3; c++) {
        const float *vertex =
            scene->vertices + (size_t)scene->corners[c][triangle] * GPU_VERTEX_FLOATS;
        for (int axis = 0; axis < 2; axis++) {
            float at = vertex[3 + 4 * axis];
            if (!(fabsf(at) * (float)size[axis] < resolved))
                return GPU_TRIANGLE_ALPHA_TEST;
            low[axis] = fminf(low[axis], at);
            high[axis] = fmaxf(high[axis], at);
        }
    }
    int64_t from[2], to[2];
    for (int axis = 0; axis < 2; axis++) {
        from[axis] = (int64_t)floorf(low[axis] * (float)size[axis] - 0.5f) - 1;
        to[axis] = (int64_t)floorf(high[axis] * (float)size[axis] - 0.5f) + 2;
    }
    if ((to[0] - from[0]) * (to[1] - from[1]) > 4096)
        return GPU_TRIANGLE_ALPHA_TEST; /* looking would cost more than it saves */
    bool some = false, all = true;
    for (int64_t y = from[1]; y <= to[1]; y++) {
        const uint32_t *row = scene->texels + scene->level_offset[level] +
                              (size_t)wrap((int32_t)y, size[1]) * (size_t)size[0];
        for (int64_t x = from[0]; x <= to[0]; x++) {
            float alpha = (float)(row[wrap((int32_t)x, size[0])] >> 24);
            bool solid = base * (1.0f / 255.0f) * alpha >= cutoff;
            some |= solid;
            all &= solid;
        }
    }
    return all ? 0 : some ? GPU_TRIANGLE_ALPHA_TEST : GPU_TRIANGLE_HOLE;
}

void gpu_texture_classify(struct gpu_scene *scene) {
    for (uint32_t t = 0; t < scene->triangle_count; t++)
        if (scene->material_rows[scene->materials[t] * GPU_MATERIAL_ROW + GPU_MATERIAL_CUTOFF] >
            0.0f)
            scene->flags[t] |= classify(scene, t);
}
