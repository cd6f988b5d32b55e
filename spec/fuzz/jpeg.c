/* JPEG, whole and in part: what is decoded in part has the pixels of the whole. */
#include <string.h>

#include "fuzz.h"
#include "jpeg_files.h"
#include "media/image.h"
#include "media/jpeg_window.h"

enum { PIXELS_MAX = 1 << 16 }; /* larger ones only cost time here */

static uint32_t mixed(const uint8_t *bytes, size_t size) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}

static void compare(const struct gpu_picture *part, const struct image *whole) {
    FUZZ_CHECK(part->whole_width == whole->width && part->whole_height == whole->height);
    for (uint32_t y = 0; y < part->height; y++)
        for (uint32_t x = 0; x < part->width; x++)
            FUZZ_CHECK(
                memcmp(part->rgb + y * part->stride + (size_t)x * part->channels,
                       whole->rgba + 4 * ((size_t)(part->y + y) * whole->width + part->x + x),
                       3) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static struct jpeg_window *decoder; /* goes on after damaged files */
    const struct image_options options = {.upright = true, .whole = true, .max_pixels = PIXELS_MAX};
    struct image whole;
    struct gpu_picture part;
    struct err err = {0}, part_err = {0};
    uint32_t sides[2], hash = mixed(bytes, size);
    if (decoder == NULL)
        FUZZ_CHECK(jpeg_window_new(&decoder, NULL) == 0);
    const char *kind = image_kind(bytes, size);
    if (kind == NULL || strcmp(kind, "jpeg") != 0)
        return 0;
    int rc = image_decode_with(bytes, size, &options, &whole, &err);
    FUZZ_CHECK(rc == 0 || (err.message[0] != 0 && whole.rgba == NULL));
    int part_rc = jpeg_window_open(decoder, bytes, size, PIXELS_MAX, sides, &part_err);
    if (part_rc == 0) {
        uint32_t x = hash % sides[0], y = (hash >> 8) % sides[1];
        const uint32_t window[4] = {x, y, 1 + (hash >> 16) % sides[0], 1 + (hash >> 24) % sides[1]};
        part_rc = jpeg_window_read(decoder, window, &part, &part_err);
    }
    FUZZ_CHECK(part_rc == 0 || part_err.message[0] != 0);
    FUZZ_CHECK(rc != 0 || part_rc == 0); /* what is whole has parts */
    if (rc == 0)
        compare(&part, &whole);
    image_deinit(&whole);
    return 0;
}

void fuzz_seeds(void (*add)(const void *bytes, size_t size)) {
    static const struct jpeg_recipe recipes[] = {
        {40, 30, .components = 3},
        {41, 31, 3, .across = 2},
        {42, 32, 3, .across = 2, .down = 2},
        {43, 33, 3, .down = 2},
        {44, 34, 3, .across = 4},
        {45, 35, 3, .across = 2, .down = 2, .progressive = true},
        {46, 36, 3, .scans = true},
        {47, 37, 3, .across = 2, .restart = 2},
        {48, 38, 3, .orientation = 6},
        {49, 39, 3, .orientation = 5, .big_endian = true},
        {50, 40, .components = 1},
        {51, 41, .components = 4},
        {52, 42, 4, .across = 2, .down = 2, .ycck = true},
    };
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
        size_t size;
        uint8_t *file = jpeg_make(&recipes[i], &size);
        add(file, size);
        add(file, size / 2);
        free(file);
    }
}
