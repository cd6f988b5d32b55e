/* pattern.c - where samples lie, in a pixel, on the lens and in time; see view.h. */
#include "view.h"

#include <math.h>

/* Sixteenths of a pixel from its middle: no two samples of a pattern share a row or a column, so
 * that edges near the vertical and the horizontal get as many levels as there are samples. They are
 * the standard positions of Direct3D, which GPUs use too. */
static const int8_t points_1[1][2] = {{0, 0}};
static const int8_t points_4[4][2] = {{-2, -6}, {6, -2}, {-6, 2}, {2, 6}};
static const int8_t points_8[8][2] = {{1, -3}, {-1, 3},  {5, 1}, {-3, -5},
                                      {-5, 5}, {-7, -1}, {3, 7}, {7, -7}};
static const int8_t points_16[16][2] = {{1, 1},  {-1, -3}, {-3, 2}, {4, -1}, {-5, -2}, {2, 5},
                                        {5, 3},  {3, -5},  {-2, 6}, {0, -7}, {-4, -6}, {-6, 4},
                                        {-8, 0}, {7, -4},  {6, 7},  {-7, -8}};

/* Sobol's first two dimensions in sixty-fourths: any 16 in a row that begin at a multiple of 16 are
 * spread as evenly as 16 can be, and so are all of them together. */
static void find_sobol(uint32_t index, int32_t *x, int32_t *y) {
    static const int32_t across[6] = {32, 16, 8, 4, 2, 1}, down[6] = {32, 48, 40, 60, 34, 51};
    *x = *y = 0;
    for (int bit = 0; bit < 6; bit++) {
        *x ^= index >> bit & 1 ? across[bit] : 0;
        *y ^= index >> bit & 1 ? down[bit] : 0;
    }
}

/* Steps from the pixel's corner. */
static void find_sample(uint32_t samples, uint32_t index, int32_t *x, int32_t *y) {
    const int8_t(*points)[2] = samples == 1    ? points_1
                               : samples == 4  ? points_4
                               : samples == 8  ? points_8
                               : samples == 16 ? points_16
                                               : NULL;
    if (points != NULL) {
        *x = (points[index][0] + 8) * (GPU_SUBPIXEL / 16);
        *y = (points[index][1] + 8) * (GPU_SUBPIXEL / 16);
        return;
    }
    find_sobol(index, x, y);
    *x = *x * (GPU_SUBPIXEL / 64) + GPU_SUBPIXEL / 2 / (int32_t)samples;
    *y = *y * (GPU_SUBPIXEL / 64) + GPU_SUBPIXEL / 2 / (int32_t)samples;
}

/* A pattern of samples [first, first + count) of a pixel's `samples`. */
static void fill(struct gpu_pattern *pattern, uint32_t samples, uint32_t first, uint32_t count) {
    *pattern = (struct gpu_pattern){.samples = count, .min_x = GPU_SUBPIXEL, .min_y = GPU_SUBPIXEL};
    for (uint32_t s = 0; s < count; s++) {
        int32_t x, y;
        find_sample(samples, first + s, &x, &y);
        pattern->x[s] = x;
        pattern->y[s] = y;
        pattern->min_x = x < pattern->min_x ? x : pattern->min_x;
        pattern->max_x = x > pattern->max_x ? x : pattern->max_x;
        pattern->min_y = y < pattern->min_y ? y : pattern->min_y;
        pattern->max_y = y > pattern->max_y ? y : pattern->max_y;
    }
    for (uint32_t i = 0; i < GPU_BLOCK; i++) {
        int32_t x = pattern->x[i % count] + (int32_t)(i / count) * GPU_SUBPIXEL;
        int32_t y = pattern->y[i % count];
        pattern->block_xy[i] = x | y << 16;
        pattern->block_x[i] = (float)x;
        pattern->block_y[i] = (float)y;
        pattern->block_pixel[i] = (float)((int32_t)(i / count) * GPU_SUBPIXEL);
    }
}

uint32_t gpu_pattern_passes(uint32_t samples) {
    bool known = samples == 1 || samples == 4 || samples == 8 || samples == 16 || samples == 32 ||
                 samples == 64;
    return !known ? 0 : samples < GPU_BLOCK ? 1 : samples / GPU_BLOCK;
}

void gpu_pattern_init_pass(struct gpu_pattern *pattern, uint32_t samples, uint32_t pass) {
    fill(pattern, samples, pass * GPU_BLOCK, samples < GPU_BLOCK ? samples : GPU_BLOCK);
}

void gpu_pattern_init_single(struct gpu_pattern *pattern, uint32_t samples, uint32_t index) {
    fill(pattern, samples, index, 1);
}

bool gpu_pattern_init(struct gpu_pattern *pattern, uint32_t samples) {
    if (gpu_pattern_passes(samples) != 1)
        return false;
    gpu_pattern_init_pass(pattern, samples, 0);
    return true;
}

struct gpu_moment gpu_moment_find(uint32_t samples, uint32_t index) {
    /* H. Vogel's sunflower, as gpu_lighting_taps. Odd factors shuffle powers of two: time, lens and
     * place in the pixel must not go together. */
    const double turn_cos = -0.73736887807831990, turn_sin = 0.67549029426152364;
    uint32_t petal = (index * 3 + 1) % samples, tick = (index * 5 + 2) % samples;
    double radius = samples > 1 ? sqrt((petal + 0.5) / samples) : 0.0, c = 1.0, s = 0.0;
    for (uint32_t i = 0; i < petal; i++) {
        double next = c * turn_cos - s * turn_sin;
        s = s * turn_cos + c * turn_sin;
        c = next;
    }
    return (struct gpu_moment){.x = (float)(radius * c),
                               .y = (float)(radius * s),
                               .time = (float)((tick + 0.5) / samples)};
}
