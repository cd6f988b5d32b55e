/* png_test.c - run-length deflate and PNG files against zlib and libpng, and rings of cameras. */
#include <libdeflate.h>
#include <math.h>
#include <stdlib.h>
#include <zlib.h>

#include "check.h"
#include "media/deflate_runs.h"
#include "media/image.h"
#include "media/png.h"
#include "media/ring.h"

/* A generator of its own, so that every run tests the same. */
static uint32_t seed = 1;

static uint32_t next_random(uint32_t below) {
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)seed * below >> 32);
}

/* -- deflate_runs ------------------------------------------------------------------------------ */

static bool comes_back(const uint8_t *bytes, size_t size) {
    uint8_t *packed = malloc(deflate_runs_bound(size)), *back = malloc(size + 1);
    size_t packed_size = deflate_runs(bytes, size, packed), other = 0;
    uLongf got = size + 1;
    bool good = packed_size > 0 && packed_size <= deflate_runs_bound(size) &&
                uncompress(back, &got, packed, packed_size) == Z_OK && got == size &&
                memcmp(back, bytes, size) == 0;
    struct libdeflate_decompressor *second = libdeflate_alloc_decompressor();
    good = good &&
           libdeflate_zlib_decompress(second, packed, packed_size, back, size + 1, &other) ==
               LIBDEFLATE_SUCCESS &&
           other == size && memcmp(back, bytes, size) == 0;
    libdeflate_free_decompressor(second);
    free(packed);
    free(back);
    return good;
}

/* Runs of up to `longest` bytes of `values` different values. */
static void fill_runs(uint8_t *bytes, size_t size, uint32_t longest, uint32_t values) {
    for (size_t i = 0; i < size;) {
        uint8_t value = (uint8_t)next_random(values);
        for (uint32_t run = 1 + next_random(longest); run > 0 && i < size; run--)
            bytes[i++] = value;
    }
}

static void runs_come_back(void) {
    static const uint32_t longest[] = {1, 2, 5, 40, 258, 259, 600, 100000};
    static const uint32_t values[] = {1, 2, 3, 17, 256};
    uint8_t *bytes = malloc(200000);
    for (size_t l = 0; l < sizeof longest / sizeof *longest; l++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++)
            for (int round = 0; round < 12; round++) {
                size_t size = 1 + next_random(round < 8 ? 300 : 200000);
                fill_runs(bytes, size, longest[l], values[v]);
                CHECK(comes_back(bytes, size));
            }
    free(bytes);
}

/* Each run length by itself: every length symbol and its extra bits. */
static void every_length_comes_back(void) {
    uint8_t bytes[700];
    for (size_t length = 1; length < 600; length++) {
        memset(bytes, 7, sizeof bytes);
        bytes[0] = 9;
        bytes[length + 1] = 9;
        CHECK(comes_back(bytes, length + 2));
    }
}

/* Counts like Fibonacci's numbers make the deepest tree: longer codes than deflate allows. */
static void deep_trees_come_back(void) {
    uint8_t *bytes = malloc(1 << 17);
    size_t size = 0;
    for (size_t symbol = 0, a = 1, b = 1; size + a < 30000; symbol++) {
        for (size_t i = 0; i < a; i++)
            bytes[size++] = (uint8_t)(symbol * 3);
        size_t next = a + b;
        a = b;
        b = next;
    }
    for (size_t i = size; i-- > 1;) { /* shuffled, so that there are few runs */
        size_t j = next_random((uint32_t)i + 1);
        uint8_t held = bytes[i];
        bytes[i] = bytes[j];
        bytes[j] = held;
    }
    CHECK(comes_back(bytes, size));
    free(bytes);
}

/* -- png_encode -------------------------------------------------------------------------------- */

static void fill_picture(uint8_t *pixels, size_t size, uint32_t channels, int kind) {
    for (size_t i = 0; i < size; i++)
        pixels[i] = kind == 0   ? (uint8_t)next_random(256)
                    : kind == 1 ? (uint8_t)(i / 7)
                                : (uint8_t)(i % channels * 80);
}

static bool picture_comes_back(uint32_t width, uint32_t height, uint32_t channels, int level,
                               int kind) {
    size_t stride = (size_t)width * channels + 5, file_size = 0;
    uint8_t *pixels = malloc(stride * height), *file = NULL;
    fill_picture(pixels, stride * height, channels, kind);
    struct png_source source = {width, height, channels, stride, pixels};
    struct image image = {0};
    struct err err;
    bool good = png_encode(&source, level, &file, &file_size, &err) == 0 &&
                image_decode(file, file_size, &image, &err) == 0 && image.width == width &&
                image.height == height;
    for (uint32_t y = 0; good && y < height; y++)
        for (uint32_t x = 0; good && x < width; x++) {
            const uint8_t *had = pixels + y * stride + (size_t)x * channels;
            const uint8_t *got = image.rgba + ((size_t)y * width + x) * 4;
            good = memcmp(had, got, 3) == 0 && got[3] == (channels == 4 ? had[3] : 255);
        }
    image_deinit(&image);
    free(file);
    free(pixels);
    return good;
}

static void pictures_come_back(void) {
    static const uint32_t sizes[][2] = {{1, 1}, {2, 3}, {5, 1}, {16, 16}, {17, 33}, {300, 20}};
    static const int levels[] = {PNG_LEVEL_RUNS, PNG_LEVEL_FAST, 6};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t l = 0; l < 3; l++)
            for (uint32_t channels = 3; channels <= 4; channels++)
                for (int kind = 0; kind < 3; kind++)
                    CHECK(picture_comes_back(sizes[s][0], sizes[s][1], channels, levels[l], kind));
}

/* More than 255 turns of the vector loop, whose sums of sixteen bits would overflow. */
static void wide_pictures_come_back(void) {
    CHECK(picture_comes_back(9000, 3, 3, PNG_LEVEL_RUNS, 0));
    CHECK(picture_comes_back(9000, 3, 4, PNG_LEVEL_RUNS, 1));
}

static void nonsense_is_refused(void) {
    uint8_t pixels[16] = {0}, *file;
    size_t size;
    struct err err;
    struct png_source two_channels = {2, 2, 2, 0, pixels}, no_rows = {2, 0, 3, 0, pixels};
    struct png_source fine = {2, 2, 3, 0, pixels};
    CHECK(png_encode(&two_channels, 1, &file, &size, &err) == ERR_INVALID);
    CHECK(png_encode(&no_rows, 1, &file, &size, &err) == ERR_INVALID);
    CHECK(png_encode(&fine, 13, &file, &size, &err) == ERR_INVALID);
    CHECK(png_encode(&fine, -1, &file, &size, &err) == ERR_INVALID);
}

/* -- image_decode ------------------------------------------------------------------------------ */

/* Whatever bytes of a file are damaged or cut off: a picture or an error, and no more memory than
 * its header asks for. */
static void damaged_files_do_no_harm(void) {
    uint8_t pixels[32 * 32 * 3], *file;
    size_t size;
    struct err err;
    fill_picture(pixels, sizeof pixels, 3, 1);
    struct png_source source = {32, 32, 3, 0, pixels};
    CHECK(png_encode(&source, 1, &file, &size, &err) == 0);
    uint8_t *damaged = malloc(size);
    for (int round = 0; round < 2000; round++) {
        memcpy(damaged, file, size);
        size_t kept = next_random(2) ? size : next_random((uint32_t)size) + 1;
        for (uint32_t i = next_random(4); i > 0; i--)
            damaged[next_random((uint32_t)size)] = (uint8_t)next_random(256);
        struct image image;
        int rc = image_decode(damaged, kept, &image, &err);
        CHECK(rc == 0 ? image.rgba != NULL : image.rgba == NULL && rc == err.code);
        image_deinit(&image);
    }
    free(damaged);
    free(file);
}

/* -- Rings ------------------------------------------------------------------------------------- */

static void rings_have_names(void) {
    char name[VIEW_NAME_SIZE];
    ring_name(8, 3, name);
    CHECK_TEXT(name, "back_right");
    ring_name(4, 1, name);
    CHECK_TEXT(name, "right");
    ring_name(12, 11, name);
    CHECK_TEXT(name, "view_330");
    ring_name(7, 1, name);
    CHECK_TEXT(name, "view_051.43");
}

static void boxes_fit_or_not(void) {
    struct view_spec spec = {.eye = {0, 1, 4}, .target = {0, 1, 0}, .fov = 50};
    view_spec_aim(&spec, 512, 512);
    const float small[6] = {-0.5f, 0.2f, -0.5f, 0.5f, 1.8f, 0.5f};
    const float tall[6] = {-0.5f, 0.2f, -0.5f, 0.5f, 3.5f, 0.5f};
    const float around[6] = {-5, -5, -5, 5, 5, 5};
    CHECK(ring_box_fits(&spec.camera, small));
    CHECK(!ring_box_fits(&spec.camera, tall));
    CHECK(!ring_box_fits(&spec.camera, around));
}

static void lenses_have_limits(void) {
    struct err err;
    CHECK(view_spec_check(50, 512, 512, &err) == 0);
    CHECK(view_spec_check(NAN, 512, 512, &err) == ERR_INVALID);
    CHECK(view_spec_check(50, 8193, 512, &err) == ERR_INVALID);
}

int main(void) {
    static const struct test tests[] = {
        TEST(runs_come_back),           TEST(every_length_comes_back), TEST(deep_trees_come_back),
        TEST(pictures_come_back),       TEST(wide_pictures_come_back), TEST(nonsense_is_refused),
        TEST(damaged_files_do_no_harm), TEST(rings_have_names),        TEST(boxes_fit_or_not),
        TEST(lenses_have_limits),
    };
    return RUN(tests);
}
