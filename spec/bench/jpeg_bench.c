/* jpeg_bench.c - what a 720p frame (quality 70, 4:2:0) costs whole, and where somebody is followed.
 * Prints JSON: CPU milliseconds, the median of many. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "media/image.h"
#include "media/jpeg_window.h"
#include "media/jpeg_write.h"

enum { WIDTH = 1280, HEIGHT = 720, ROUNDS = 200 };

static uint8_t *file;
static size_t size;
static struct jpeg_window *decoder;

/* As busy as a photo of a room: slopes, some texture, a little noise. */
static int make_file(void) {
    struct image image;
    uint32_t noise = 1;
    if (image_init(&image, WIDTH, HEIGHT, NULL) != 0)
        return -1;
    for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
        uint32_t column = i % WIDTH, row = i / WIDTH;
        float x = (float)column, y = (float)row;
        float light = 120 + 60 * sinf(x / 97 + y / 143) + 25 * sinf(x * y / 9000);
        for (uint32_t c = 0; c < 3; c++) {
            noise = noise * 1664525u + 1013904223u;
            image.rgba[i * 4 + c] =
                (uint8_t)(light + (float)c * 12 * sinf(y / 71) + (float)(noise >> 29));
        }
    }
    int rc = jpeg_encode(&image, 70, &file, &size, NULL);
    image_deinit(&image);
    return rc;
}

static double cpu_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void decode_rgba(const uint32_t window[4]) {
    struct image image;
    (void)window;
    if (image_decode(file, size, &image, NULL) != 0)
        abort();
    image_deinit(&image);
}

static void decode_part(const uint32_t window[4]) {
    struct gpu_picture picture;
    uint32_t sides[2];
    if (jpeg_window_open(decoder, file, size, 0, sides, NULL) != 0 ||
        jpeg_window_read(decoder, window, &picture, NULL) != 0)
        abort();
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(void (*decode)(const uint32_t window[4]), const uint32_t window[4]) {
    double took[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        double began = cpu_ms();
        decode(window);
        took[i] = cpu_ms() - began;
    }
    qsort(took, ROUNDS, sizeof *took, compare);
    return took[ROUNDS / 2];
}

int main(void) {
    const uint32_t whole[4] = {0, 0, WIDTH, HEIGHT};
    const uint32_t near_by[4] = {280, 0, 720, 720}, far_off[4] = {500, 250, 300, 300};
    if (make_file() != 0 || jpeg_window_new(&decoder, NULL) != 0)
        return 1;
    printf("{\"bytes\":%zu,\"rgba\":%.3f,\"whole\":%.3f,\"near\":%.3f,\"far\":%.3f}\n", size,
           median(decode_rgba, NULL), median(decode_part, whole), median(decode_part, near_by),
           median(decode_part, far_off));
    jpeg_window_free(decoder);
    free(file);
    return 0;
}
