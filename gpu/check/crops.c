/* crops.c - crops against a slow way in double precision, and all widths against each other. */
#include "../cpu/net_kernels.h"
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t dice = 7;

static uint32_t below(uint32_t count) {
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((dice >> 33) % count);
}

/* A picture of random pixels in a block of its exact size, or a part of a larger one. */
static struct gpu_picture random_picture(uint32_t width, uint32_t height, uint32_t channels,
                                         bool part) {
    struct gpu_picture picture = {.channels = channels,
                                  .stride = (size_t)width * channels + below(2) * below(40),
                                  .width = width,
                                  .height = height};
    picture.x = part ? below(500) : 0;
    picture.y = part ? below(500) : 0;
    picture.whole_width = picture.x + width + (part ? below(500) : 0);
    picture.whole_height = picture.y + height + (part ? below(500) : 0);
    size_t size = picture.stride * (height - 1) + (size_t)width * channels;
    uint8_t *pixels = malloc(size);
    for (size_t i = 0; i < size; i++)
        pixels[i] = (uint8_t)below(256);
    picture.rgb = pixels;
    return picture;
}

static double pixel(const struct gpu_picture *picture, double x, double y, int channel) {
    double column = fmin(fmax(x - picture->x, 0.0), picture->width - 1.0);
    double row = fmin(fmax(y - picture->y, 0.0), picture->height - 1.0);
    return picture
        ->rgb[(size_t)row * picture->stride + (size_t)column * picture->channels + (size_t)channel];
}

static double bilinear(const struct gpu_picture *picture, double x, double y, int channel) {
    double x0 = floor(x - 0.5), y0 = floor(y - 0.5), fx = x - 0.5 - x0, fy = y - 0.5 - y0;
    return (1 - fy) * ((1 - fx) * pixel(picture, x0, y0, channel) +
                       fx * pixel(picture, x0 + 1, y0, channel)) +
           fy * ((1 - fx) * pixel(picture, x0, y0 + 1, channel) +
                 fx * pixel(picture, x0 + 1, y0 + 1, channel));
}

/* The greatest error of a crop; letterboxed where roi is NULL. */
static double error(const struct gpu_picture *picture, const struct pose_roi *roi,
                    const float *out) {
    const uint32_t side = roi != NULL ? POSE_CROP : POSE_DETECTOR_CROP;
    double width = picture->whole_width, height = picture->whole_height, worst = 0.0;
    double size = roi != NULL ? (double)roi->size : fmax(width, height);
    double angle = roi != NULL ? (double)roi->rotation : 0.0;
    double middle_x = roi != NULL ? (double)roi->x : width / 2;
    double middle_y = roi != NULL ? (double)roi->y : height / 2;
    for (uint32_t i = 0; i < side * side; i++) {
        double u = (i % side + 0.5) / side - 0.5, v = (i / side + 0.5) / side - 0.5; // NOLINT
        double x = middle_x + u * size * cos(angle) - v * size * sin(angle);
        double y = middle_y + u * size * sin(angle) + v * size * cos(angle);
        bool inside = x >= 0 && y >= 0 && x <= width && y <= height;
        if (roi == NULL &&
            (fmin(fabs(x), fabs(x - width)) < 1e-3 || fmin(fabs(y), fabs(y - height)) < 1e-3))
            continue; /* on the edge rounding decides */
        for (int c = 0; c < 3; c++) {
            double value = bilinear(picture, x, y, c);
            double wanted = roi != NULL ? value / 255 : inside ? value / 127.5 - 1 : -1.0;
            double off = fabs((double)out[3 * i + (uint32_t)c] - wanted);
            worst = isnan(off) ? INFINITY : fmax(worst, off);
        }
    }
    return worst;
}

/* Crops with every width; false where their bytes differ. */
static bool crop(const struct gpu_picture *picture, const struct pose_roi *roi, float *out) {
    static const char *const widths[] = {"portable", "avx2", "avx512"};
    const size_t room = 3 * POSE_CROP * POSE_CROP * sizeof(float);
    float *other = malloc(room);
    char why[GPU_WHY_SIZE];
    bool same = true, first = true;
    for (int i = 0; i < 3; i++) {
        const struct net_kernels *kernels = net_kernels_find(widths[i]);
        if (kernels == NULL)
            continue;
        struct gpu_crop job;
        float *to = first ? out : other;
        memset(to, 0xff, room); /* no numbers */
        int code = roi != NULL ? gpu_crop_roi(&job, picture, roi, to, why)
                               : gpu_crop_letterbox(&job, picture, to, why);
        if (code != GPU_OK) {
            same = false;
            break;
        }
        kernels->crop(&job);
        same = same && (first || memcmp(out, other, room) == 0);
        first = false;
    }
    free(other);
    return same;
}

static void check_picture(uint32_t width, uint32_t height, uint32_t channels, bool part) {
    struct gpu_picture picture = random_picture(width, height, channels, part);
    float *out = malloc(3 * POSE_CROP * POSE_CROP * sizeof *out);
    char name[64];
    snprintf(name, sizeof name, "crop of %ux%u, %u channels%s", width, height, channels,
             part ? ", a part" : "");
    if (!part) {
        check_that(crop(&picture, NULL, out), "%s: letterboxes differ by width", name);
        double off = error(&picture, NULL, out);
        check_that(off < 2e-3, "%s: letterbox is off by %g", name, off);
    }
    for (int i = 0; i < 4; i++) {
        struct pose_roi roi = {
            (float)picture.x + (float)below(2 * width + 1) - 0.5f * (float)width,
            (float)picture.y + (float)below(2 * height + 1) - 0.5f * (float)height,
            0.01f * (float)(1 + below(300)) * (float)width, 0.001f * (float)below(6283)};
        check_that(crop(&picture, &roi, out), "%s: crops differ by width", name);
        double off = error(&picture, &roi, out);
        check_that(off < 2e-3, "%s: %.1f %.1f %.1f %.2f: off by %g", name, (double)roi.x,
                   (double)roi.y, (double)roi.size, (double)roi.rotation, off);
    }
    free(out);
    free((void *)(uintptr_t)picture.rgb);
}

/* Squares that no picture has: they must only not read elsewhere. */
static void check_wild(void) {
    static const float wild[] = {0.0f, 1e9f, -1e9f, 3e38f, -3e38f, INFINITY, NAN, 1e-30f};
    enum { COUNT = sizeof wild / sizeof wild[0] };
    struct gpu_picture picture = random_picture(33, 17, 3, false);
    float *out = malloc(3 * POSE_CROP * POSE_CROP * sizeof *out);
    for (int i = 0; i < COUNT * COUNT; i++) {
        struct pose_roi roi = {wild[i / COUNT], wild[i % COUNT], wild[below(COUNT)],
                               wild[below(COUNT)]};
        struct gpu_crop job;
        char why[GPU_WHY_SIZE];
        check_that(gpu_crop_roi(&job, &picture, &roi, out, why) == GPU_OK, "wild: %s", why);
        for (int w = 0; w < 3; w++) {
            const struct net_kernels *kernels =
                net_kernels_find((const char *[]){"portable", "avx2", "avx512"}[w]);
            if (kernels != NULL)
                kernels->crop(&job);
        }
        bool sound = true;
        for (int k = 0; k < 3 * POSE_CROP * POSE_CROP; k++)
            sound = sound && out[k] >= 0.0f && out[k] <= 1.0f;
        check_that(sound, "wild: numbers beyond 0..1");
    }
    free(out);
    free((void *)(uintptr_t)picture.rgb);
}

static void check_refusals(void) {
    const uint8_t pixels[64] = {0};
    const struct gpu_picture good = {.rgb = pixels,
                                     .channels = 3,
                                     .stride = 12,
                                     .width = 4,
                                     .height = 4,
                                     .whole_width = 4,
                                     .whole_height = 4};
    struct gpu_picture bad[7];
    for (int i = 0; i < 7; i++)
        bad[i] = good;
    bad[0].rgb = NULL;
    bad[1].width = 0;
    bad[2].channels = 1;
    bad[3].stride = 11;
    bad[4].x = 1;
    bad[5].height = bad[5].whole_height = 1u << 30;
    bad[6].stride = (size_t)1 << 40;
    for (int i = 0; i < 7; i++) {
        struct gpu_crop job;
        char why[GPU_WHY_SIZE] = "";
        check_that(gpu_crop_letterbox(&job, &bad[i], NULL, why) == GPU_EINVAL && why[0] != '\0',
                   "bad picture %d is taken: %s", i, why);
    }
}

void check_crops(void) {
    static const uint32_t sizes[][2] = {{1, 1},   {1, 7},     {3, 2},     {2, 1},
                                        {64, 48}, {640, 360}, {301, 777}, {1920, 1080}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (uint32_t channels = 3; channels <= 4; channels++) {
            check_picture(sizes[i][0], sizes[i][1], channels, false);
            check_picture(sizes[i][0], sizes[i][1], channels, true);
        }
    }
    check_wild();
    check_refusals();
}
