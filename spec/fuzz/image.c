/* Pictures: PNG, JPEG and WebP are decoded whole or refused, within the limits. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <png.h>
#include <webp/encode.h>

#include "fuzz.h"
#include "jpeg_files.h"
#include "media/image.h"
#include "media/png.h"

enum { PIXELS_MAX = 1 << 20 }; /* larger ones only cost time here */

/* The size that the header tells, without decoding: large pictures are left out. */
static bool is_small(const uint8_t *bytes, size_t size) {
    if (size > 24 && memcmp(bytes, "\x89PNG", 4) == 0) {
        uint64_t width = (uint64_t)bytes[16] << 24 | bytes[17] << 16 | bytes[18] << 8 | bytes[19];
        uint64_t height = (uint64_t)bytes[20] << 24 | bytes[21] << 16 | bytes[22] << 8 | bytes[23];
        return width * height <= PIXELS_MAX || width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct image image = {0}, small = {0};
    struct err err = {0};
    if (!is_small(bytes, size))
        return 0;
    int code = image_decode(bytes, size, &image, &err);
    FUZZ_CHECK(code == 0 || (err.message[0] != 0 && image.rgba == NULL));
    if (code == 0) {
        size_t count = (size_t)image.width * image.height * 4, sum = 0; /* all of it is there */
        FUZZ_CHECK(image.width <= IMAGE_MAX_SIDE && image.height <= IMAGE_MAX_SIDE);
        for (size_t i = 0; i < count; i++)
            sum += image.rgba[i];
        if (image_scale(&image, 7, 5, &small, &err) == 0) {
            for (size_t i = 0; sum == count * 255 && i < 7 * 5 * 4; i++)
                FUZZ_CHECK(small.rgba[i] == 255); /* white stays white */
            image_deinit(&small);
        }
    }
    image_deinit(&image);
    return 0;
}

enum { WIDTH = 24, HEIGHT = 17 };

static void add_png(void (*add)(const void *bytes, size_t size), const uint8_t *pixels,
                    uint32_t channels, int level) {
    const struct png_source source = {WIDTH, HEIGHT, channels, 0, pixels};
    uint8_t *png = NULL;
    size_t size;
    if (png_encode(&source, level, &png, &size, NULL) == 0)
        add(png, size);
    free(png);
}

static void add_jpeg(void (*add)(const void *bytes, size_t size), bool progressive) {
    size_t size;
    uint8_t *file =
        jpeg_make(&(struct jpeg_recipe){WIDTH, HEIGHT, 3, .progressive = progressive}, &size);
    add(file, size);
    free(file);
}

/* Kinds that png.h does not write. */
static void add_odd_png(void (*add)(const void *bytes, size_t size), int type, int depth) {
    static uint8_t row[WIDTH * 8];
    FILE *file = tmpfile();
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_color palette[16] = {{1, 2, 3}, {200, 100, 50}};
    png_init_io(png, file);
    png_set_IHDR(png, info, WIDTH, HEIGHT, depth, type, PNG_INTERLACE_ADAM7, 0, 0);
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, 1 << depth);
    png_set_gAMA(png, info, 0.6);
    png_write_info(png, info);
    for (int pass = png_set_interlace_handling(png); pass > 0; pass--)
        for (int y = 0; y < HEIGHT; y++) {
            memset(row, y * 29, sizeof row);
            png_write_row(png, row);
        }
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    uint8_t bytes[8192];
    rewind(file);
    add(bytes, fread(bytes, 1, sizeof bytes, file));
    fclose(file);
}

static void add_webp(void (*add)(const void *bytes, size_t size), const uint8_t *pixels,
                     bool lossless) {
    uint8_t *bytes = NULL;
    size_t size = lossless ? WebPEncodeLosslessRGBA(pixels, WIDTH, HEIGHT, WIDTH * 4, &bytes)
                           : WebPEncodeRGBA(pixels, WIDTH, HEIGHT, WIDTH * 4, 60, &bytes);
    add(bytes, size);
    WebPFree(bytes);
}

void fuzz_seeds(void (*add)(const void *bytes, size_t size)) {
    static uint8_t pixels[WIDTH * HEIGHT * 4];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * i / 7 + i);
    for (int level = 0; level < 10; level += 3) {
        add_png(add, pixels, 3, level);
        add_png(add, pixels, 4, level);
    }
    add_odd_png(add, PNG_COLOR_TYPE_PALETTE, 4);
    add_odd_png(add, PNG_COLOR_TYPE_GRAY, 1);
    add_odd_png(add, PNG_COLOR_TYPE_RGB, 16);
    add_odd_png(add, PNG_COLOR_TYPE_GRAY_ALPHA, 8);
    add_jpeg(add, false);
    add_jpeg(add, true);
    add_webp(add, pixels, false);
    add_webp(add, pixels, true);
    enum { WIDE = 16000, HIGH = 60 };
    uint8_t *white = malloc((size_t)WIDE * HIGH * 3), *png = NULL;
    const struct png_source source = {WIDE, HIGH, 3, 0, white};
    size_t png_size;
    memset(white, 255, (size_t)WIDE * HIGH * 3);
    FUZZ_CHECK(png_encode(&source, PNG_LEVEL_MOST, &png, &png_size, NULL) == 0);
    add(png, png_size);
    free(png);
    free(white);
    add("", 0);
    add("\x89PNG\r\n\x1a\n", 8);
}
