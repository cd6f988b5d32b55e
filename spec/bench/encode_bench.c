/* encode_bench.c - what files of a picture of 512 x 512 cost: one as it is drawn (a gradient and
 * smooth shapes) and the same with a sensor's noise. Prints JSON: CPU milliseconds, the median of
 * several, and bytes. */
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "media/encode.h"

enum { SIDE = 512, ROUNDS = 9 };

static uint8_t pixels[2][SIDE * SIDE * 3];

static void draw(void) {
    uint32_t noise = 1;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++) {
                double dx = (x - 256) / 90.0, dy = (y - 256) / 200.0, in = 1 - dx * dx - dy * dy;
                double value = in > 0 ? 60 + 30 * c + 110 * sqrt(in) + 8 * sin(x / 9.0 + c)
                                      : 150 + y / 8.0 + 4 * c;
                uint8_t *out = &pixels[0][(y * SIDE + x) * 3 + c];
                *out = (uint8_t)value;
                noise = noise * 1664525u + 1013904223u;
                pixels[1][(y * SIDE + x) * 3 + c] = (uint8_t)(value + (double)(noise >> 29));
            }
}

static double cpu_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void take(png_structp png, png_bytep bytes, size_t size) {
    (void)bytes;
    *(size_t *)png_get_io_ptr(png) += size;
}

/* libpng at its fastest that is of use: level 1, each byte less its left neighbour. */
static size_t write_libpng(const uint8_t *rgb) {
    size_t size = 0;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &size, take, NULL);
    png_set_compression_level(png, 1);
    png_set_filter(png, 0, PNG_FILTER_SUB);
    png_set_IHDR(png, info, SIDE, SIDE, 8, PNG_COLOR_TYPE_RGB, 0, 0, 0);
    png_write_info(png, info);
    for (size_t y = 0; y < SIDE; y++)
        png_write_row(png, rgb + y * SIDE * 3);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    return size;
}

static size_t write_one(int way, const uint8_t *rgb) {
    const struct encode_array array = {rgb, ENCODE_UINT8, 3, {SIDE, SIDE, 3}};
    uint8_t *file = NULL;
    size_t size = 0;
    int rc = 0;
    if (way <= 2)
        rc = encode_png(&array, &(struct encode_png_options){.level = (int[]){0, 1, 6}[way]}, &file,
                        &size, NULL);
    else if (way == 3)
        size = write_libpng(rgb);
    else if (way == 4)
        rc = encode_jpeg(&array, 95, &file, &size, NULL);
    else if (way <= 6)
        rc = encode_webp(&array, way == 5, way == 5 ? 0 : 85, &file, &size, NULL);
    else
        rc = encode_npy(&array, &file, &size, NULL);
    free(file);
    return rc == 0 ? size : 0;
}

int main(void) {
    static const char *const names[] = {"png_runs", "png_1",         "png_6",   "libpng_1",
                                        "jpeg_95",  "webp_lossless", "webp_85", "npy"};
    draw();
    printf("{");
    for (int way = 0; way < 8; way++) {
        double took[2][ROUNDS];
        size_t sizes[2];
        for (int kind = 0; kind < 2; kind++) {
            for (int i = 0; i < ROUNDS; i++) {
                double start = cpu_ms();
                sizes[kind] = write_one(way, pixels[kind]);
                took[kind][i] = cpu_ms() - start;
            }
            qsort(took[kind], ROUNDS, sizeof(double), compare);
        }
        printf("%s\"%s\":{\"smooth\":{\"ms\":%.3f,\"bytes\":%zu},\"noisy\":{\"ms\":%.3f,\"bytes\":%"
               "zu}}",
               way > 0 ? "," : "", names[way], took[0][ROUNDS / 2], sizes[0], took[1][ROUNDS / 2],
               sizes[1]);
    }
    printf("}\n");
    return 0;
}
