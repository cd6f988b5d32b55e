/* environment.c - prefilters a picture of light from all around; see environment.h. */
#include "environment.h"

#include "fail.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../stance_gpu.h"

enum {
    MAX_SIDE = 16384, /* of the picture */
    LEAST_BASE = 64,  /* texels a side of level 0 */
    MOST_BASE = 1024,
    MOST_MIPS = 11,
    SAMPLES = 64, /* microfacets a texel */
};

static const double pi = 3.14159265358979323846;
static const float brightest = 65504.0f;

/* Squares that are halved again and again, to read means of parts of the sphere from. */
struct mips {
    int count;
    int32_t side[MOST_MIPS];
    float *texels[MOST_MIPS]; /* [side][side][3], no borders; the first owns all */
};

/* -- The octahedron -----------------------------------------------------------------------------
 */

/* The direction, not of unit length, at a place of the square: x and z in -1..1. */
static void unfold(double x, double z, double out[3]) {
    double y = 1.0 - fabs(x) - fabs(z);
    out[0] = y >= 0.0 ? x : (1.0 - fabs(z)) * (x < 0.0 ? -1.0 : 1.0);
    out[1] = y;
    out[2] = y >= 0.0 ? z : (1.0 - fabs(x)) * (z < 0.0 ? -1.0 : 1.0);
}

static void direction(int32_t side, double column, double row, double out[3]) {
    unfold(2.0 * column / side - 1.0, 2.0 * row / side - 1.0, out);
    double length = sqrt(out[0] * out[0] + out[1] * out[1] + out[2] * out[2]);
    for (int c = 0; c < 3; c++)
        out[c] /= length;
}

static void fold(const double toward[3], double *x, double *z) {
    double scale = 1.0 / (fabs(toward[0]) + fabs(toward[1]) + fabs(toward[2]));
    *x = toward[0] * scale;
    *z = toward[2] * scale;
    if (toward[1] < 0.0) {
        double old = *x;
        *x = (1.0 - fabs(*z)) * (old < 0.0 ? -1.0 : 1.0);
        *z = (1.0 - fabs(old)) * (toward[2] < 0.0 ? -1.0 : 1.0);
    }
}

/* -- The picture --------------------------------------------------------------------------------
 */

static float sane(float light) {
    return light > 0.0f ? fminf(light, brightest) : 0.0f; /* a NaN becomes 0 */
}

/* Bilinear; columns go round, rows end. */
static void read_picture(const float *rgb, uint32_t width, uint32_t height, const double toward[3],
                         float out[3]) {
    double u = (0.5 + atan2(toward[2], toward[0]) / (2.0 * pi)) * width - 0.5;
    double v = acos(fmax(-1.0, fmin(1.0, toward[1]))) / pi * height - 0.5;
    double column = floor(u), row = floor(v);
    float across = (float)(u - column), down = (float)(v - row);
    size_t x[2], y[2];
    for (int i = 0; i < 2; i++) {
        x[i] = (size_t)((int64_t)column + i + (int64_t)width) % width;
        double at = fmax(0.0, fmin((double)height - 1.0, row + i));
        y[i] = (size_t)at;
    }
    for (int c = 0; c < 3; c++) {
        float a = sane(rgb[3 * (y[0] * width + x[0]) + (size_t)c]);
        float b = sane(rgb[3 * (y[0] * width + x[1]) + (size_t)c]);
        float d = sane(rgb[3 * (y[1] * width + x[0]) + (size_t)c]);
        float e = sane(rgb[3 * (y[1] * width + x[1]) + (size_t)c]);
        float top = a + (b - a) * across, bottom = d + (e - d) * across;
        out[c] = top + (bottom - top) * down;
    }
}

static bool mips_init(struct mips *mips, int32_t base) {
    size_t texels = 0;
    mips->count = 0;
    for (int32_t side = base; side >= 1 && mips->count < MOST_MIPS; side /= 2) {
        mips->side[mips->count++] = side;
        texels += (size_t)side * (size_t)side;
    }
    float *memory = malloc(texels * 3 * sizeof *memory);
    mips->texels[0] = NULL;
    for (int i = 0; memory != NULL && i < mips->count; i++) {
        mips->texels[i] = memory;
        memory += 3 * (size_t)mips->side[i] * (size_t)mips->side[i];
    }
    return memory != NULL;
}

static void mips_fill(struct mips *mips, const float *rgb, uint32_t width, uint32_t height) {
    int32_t side = mips->side[0];
    for (int32_t y = 0; y < side; y++) {
        for (int32_t x = 0; x < side; x++) {
            float *out = mips->texels[0] + 3 * ((size_t)y * (size_t)side + (size_t)x);
            out[0] = out[1] = out[2] = 0.0f;
            for (int i = 0; i < 4; i++) { /* four points of a texel */
                double toward[3];
                float one[3];
                int across = i % 2, down = i / 2;
                direction(side, x + 0.25 + 0.5 * across, y + 0.25 + 0.5 * down, toward);
                read_picture(rgb, width, height, toward, one);
                for (int c = 0; c < 3; c++)
                    out[c] += 0.25f * one[c];
            }
        }
    }
    for (int i = 1; i < mips->count; i++) {
        size_t from = (size_t)mips->side[i - 1], to = (size_t)mips->side[i];
        for (size_t at = 0; at < to * to * 3; at++) {
            size_t c = at % 3, x = at / 3 % to, y = at / 3 / to;
            const float *corner = mips->texels[i - 1] + 3 * (2 * y * from + 2 * x) + c;
            mips->texels[i][at] =
                0.25f * (corner[0] + corner[3] + corner[3 * from] + corner[3 * from + 3]);
        }
    }
}

/* -- What it becomes ----------------------------------------------------------------------------
 */

/* Diffuse light (R. Ramamoorthi and P. Hanrahan, "An Efficient Representation for Irradiance
 * Environment Maps", 2001), y being the harmonics' axis. */
static void add_harmonics(struct gpu_environment *out, const struct mips *mips) {
    static const double scale[GPU_ENVIRONMENT_HARMONICS] = {
        0.282094792 * 0.282094792,         0.488602512 * 0.488602512 * 2 / 3,
        0.488602512 * 0.488602512 * 2 / 3, 0.488602512 * 0.488602512 * 2 / 3,
        1.092548431 * 1.092548431 / 4,     1.092548431 * 1.092548431 / 4,
        0.315391565 * 0.315391565 / 4,     1.092548431 * 1.092548431 / 4,
        0.546274215 * 0.546274215 / 4};
    double sums[GPU_ENVIRONMENT_HARMONICS][3] = {{0}};
    int level = 0;
    while (mips->side[level] > 64)
        level++;
    int32_t side = mips->side[level];
    for (int32_t i = 0; i < side * side; i++) {
        double d[3], n[3];
        int32_t x = i % side, y = i / side;
        unfold(2.0 * (x + 0.5) / side - 1.0, 2.0 * (y + 0.5) / side - 1.0, d);
        double length = sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
        double angle = 4.0 / ((double)side * side) / (length * length * length); /* solid */
        for (int c = 0; c < 3; c++)
            n[c] = d[c] / length;
        const double bands[GPU_ENVIRONMENT_HARMONICS] = {1.0,
                                                         n[1],
                                                         n[2],
                                                         n[0],
                                                         n[0] * n[1],
                                                         n[1] * n[2],
                                                         3.0 * n[1] * n[1] - 1.0,
                                                         n[0] * n[2],
                                                         n[0] * n[0] - n[2] * n[2]};
        for (int k = 0; k < GPU_ENVIRONMENT_HARMONICS; k++)
            for (int c = 0; c < 3; c++)
                sums[k][c] += angle * bands[k] * (double)mips->texels[level][3 * i + c];
    }
    for (int k = 0; k < GPU_ENVIRONMENT_HARMONICS; k++)
        for (int c = 0; c < 3; c++)
            out->harmonics[k][c] = (float)(sums[k][c] * scale[k]);
}

/* The nearest texel of the mip whose texels are about as large as `angle` (solid). */
static const float *read_mips(const struct mips *mips, const double toward[3], double angle) {
    double x, z, texel = 4.0 * pi / ((double)mips->side[0] * mips->side[0]);
    int level = 0;
    while (level + 1 < mips->count && texel * 2.0 < angle) {
        texel *= 4.0;
        level++;
    }
    int32_t side = mips->side[level];
    fold(toward, &x, &z);
    int32_t column = (int32_t)((x * 0.5 + 0.5) * side), row = (int32_t)((z * 0.5 + 0.5) * side);
    column = column < 0 ? 0 : column >= side ? side - 1 : column;
    row = row < 0 ? 0 : row >= side ? side - 1 : row;
    return mips->texels[level] + 3 * ((size_t)row * (size_t)side + (size_t)column);
}

/* What a rough mirror that faces `n` and is seen straight on shows (B. Karis, "Real Shading in
 * Unreal Engine 4", 2013; means by J. Krivanek and M. Colbert, 2008). */
static void blur(const struct mips *mips, const double n[3], double roughness, float out[3]) {
    const double turn_cos = -0.73736887807831990, turn_sin = 0.67549029426152364;
    double alpha = roughness * roughness, square = alpha * alpha, c = 1.0, s = 0.0;
    double sum[3] = {0}, weight = 0.0, sign = n[2] >= 0.0 ? 1.0 : -1.0;
    double a = -1.0 / (sign + n[2]), b = n[0] * n[1] * a;
    const double right[3] = {1.0 + sign * n[0] * n[0] * a, sign * b, -sign * n[0]};
    const double up[3] = {b, sign + n[1] * n[1] * a, -n[1]};
    for (int i = 0; i < SAMPLES; i++) {
        double u = (i + 0.5) / SAMPLES, next = c * turn_cos - s * turn_sin, toward[3];
        double tilt = sqrt((1.0 - u) / (1.0 + (square - 1.0) * u)),
               across = sqrt(1.0 - tilt * tilt);
        double lit = 2.0 * tilt * tilt - 1.0;
        if (lit > 0.0) {
            double spread = tilt * tilt * (square - 1.0) + 1.0;
            double density = square / (4.0 * pi * spread * spread);
            for (int k = 0; k < 3; k++)
                toward[k] = 2.0 * tilt * (across * (c * right[k] + s * up[k]) + tilt * n[k]) - n[k];
            const float *light = read_mips(mips, toward, 1.0 / (SAMPLES * density));
            for (int k = 0; k < 3; k++)
                sum[k] += lit * (double)light[k];
            weight += lit;
        }
        s = s * turn_cos + c * turn_sin;
        c = next;
    }
    for (int k = 0; k < 3; k++)
        out[k] = (float)(sum[k] / weight);
}

/* A texel of a level, counted with the border, which shows what lies beyond the fold. */
static float *texel(struct gpu_environment *all, int level, int32_t x, int32_t y) {
    return all->texels + 3 * ((size_t)all->offset[level] +
                              (size_t)y * (size_t)(all->side[level] + 2) + (size_t)x);
}

static void fill_border(struct gpu_environment *all, int level) {
    int32_t side = all->side[level];
    for (int32_t i = 0; i < side; i++) {
        memcpy(texel(all, level, i + 1, 0), texel(all, level, side - i, 1), 3 * sizeof(float));
        memcpy(texel(all, level, i + 1, side + 1), texel(all, level, side - i, side),
               3 * sizeof(float));
        memcpy(texel(all, level, 0, i + 1), texel(all, level, 1, side - i), 3 * sizeof(float));
        memcpy(texel(all, level, side + 1, i + 1), texel(all, level, side, side - i),
               3 * sizeof(float));
    }
    for (int i = 0; i < 4; i++) { /* all four corners are the same place, straight down */
        int32_t x = i % 2 * (side + 1), y = i / 2 * (side + 1);
        memcpy(texel(all, level, x, y), texel(all, level, x ? 1 : side, y ? 1 : side),
               3 * sizeof(float));
    }
}

static void fill_level(struct gpu_environment *all, const struct mips *mips, int level) {
    int32_t side = all->side[level];
    double roughness = (double)level / (GPU_ENVIRONMENT_LEVELS - 1);
    for (int32_t y = 0; y < side; y++) {
        for (int32_t x = 0; x < side; x++) {
            double n[3];
            direction(side, x + 0.5, y + 0.5, n);
            float *out = texel(all, level, x + 1, y + 1);
            if (level == 0)
                memcpy(out, mips->texels[0] + 3 * ((size_t)y * (size_t)side + (size_t)x),
                       3 * sizeof(float));
            else
                blur(mips, n, roughness, out);
        }
    }
    fill_border(all, level);
}

static int32_t choose_base(uint32_t height) {
    int32_t base = LEAST_BASE;
    while (base < MOST_BASE && (uint32_t)base < height)
        base *= 2;
    return base;
}

int gpu_environment_new(const float *rgb, uint32_t width, uint32_t height,
                        struct gpu_environment **out, char *why) {
    static const int32_t sides[GPU_ENVIRONMENT_LEVELS] = {0, 128, 64, 32, 32, 16, 16};
    *out = NULL;
    if (rgb == NULL)
        return gpu_fail(why, GPU_EINVAL, "the environment has no picture");
    if (width < 1 || width > MAX_SIDE || height < 1 || height > MAX_SIDE)
        return gpu_fail(why, GPU_EINVAL, "an environment of %u x %u: 1 to %d pixels a side", width,
                        height, MAX_SIDE);
    struct mips mips = {0};
    struct gpu_environment *all = calloc(1, sizeof *all);
    bool ok = mips_init(&mips, choose_base(height)) && all != NULL;
    for (int i = 0; ok && i < GPU_ENVIRONMENT_LEVELS; i++) {
        all->side[i] = i == 0 ? mips.side[0] : sides[i];
        all->offset[i] = (int32_t)all->texel_count;
        all->texel_count += (uint32_t)((all->side[i] + 2) * (all->side[i] + 2));
    }
    if (ok)
        all->texels = malloc((size_t)all->texel_count * 3 * sizeof(float));
    if (!ok || all->texels == NULL) {
        free(mips.texels[0]);
        gpu_environment_free(all);
        return gpu_fail(why, GPU_ENOMEM, "out of memory: an environment of %u x %u", width, height);
    }
    mips_fill(&mips, rgb, width, height);
    add_harmonics(all, &mips);
    for (int i = 0; i < GPU_ENVIRONMENT_LEVELS; i++)
        fill_level(all, &mips, i);
    free(mips.texels[0]);
    *out = all;
    return GPU_OK;
}

void gpu_environment_free(struct gpu_environment *environment) {
    if (environment == NULL)
        return;
    free(environment->texels);
    free(environment);
}
