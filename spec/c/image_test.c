/* image_test.c - PNG and WebP of every kind; jpeg_test.c has JPEG's. */
#include "media/image.h"

#include <png.h>
#include <stdlib.h>
#include <webp/encode.h>

#include "check.h"

enum { WIDTH = 33, HEIGHT = 19 };

/* -- PNG --------------------------------------------------------------------------------------- */

struct png_recipe {
    int type, depth;
    bool interlaced, transparent; /* a tRNS chunk: sample 3, or palette entry 3 */
    double gamma;                 /* a gAMA chunk; 0: none */
};

struct written {
    uint8_t bytes[64 * 1024];
    size_t size;
};

static void append(png_structp png, png_bytep bytes, size_t size) {
    struct written *file = png_get_io_ptr(png);
    memcpy(file->bytes + file->size, bytes, size);
    file->size += size;
}

/* A sample of the file, as it is stored; alpha too. */
static unsigned sample(const struct png_recipe *recipe, uint32_t x, uint32_t y, int channel) {
    unsigned value = x * 1931u + y * 3571u + (unsigned)channel * 10007u;
    return value & ((1u << recipe->depth) - 1);
}

static int channels_of(int type) {
    return type == PNG_COLOR_TYPE_RGB          ? 3
           : type == PNG_COLOR_TYPE_RGB_ALPHA  ? 4
           : type == PNG_COLOR_TYPE_GRAY_ALPHA ? 2
                                               : 1;
}

static void fill_row(const struct png_recipe *recipe, uint32_t y, uint8_t *row) {
    int channels = channels_of(recipe->type);
    unsigned bit = 0;
    memset(row, 0, WIDTH * 8);
    for (uint32_t x = 0; x < WIDTH; x++)
        for (int c = 0; c < channels; c++, bit += (unsigned)recipe->depth) {
            unsigned value = sample(recipe, x, y, c);
            if (recipe->depth == 16)
                row[bit / 8 + 1] = (uint8_t)value;
            if (recipe->depth == 16)
                value >>= 8;
            row[bit / 8] |=
                (uint8_t)(recipe->depth >= 8 ? value
                                             : value << (8 - (bit % 8) - (unsigned)recipe->depth));
        }
}

static void write_png(const struct png_recipe *recipe, struct written *file) {
    static png_color palette[256];
    png_byte alphas[4] = {255, 255, 255, 0};
    png_color_16 hidden = {.red = 3, .green = 3, .blue = 3, .gray = 3};
    uint8_t row[WIDTH * 8];
    file->size = 0;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, file, append, NULL);
    png_set_IHDR(png, info, WIDTH, HEIGHT, recipe->depth, recipe->type,
                 recipe->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
    for (int i = 0; i < 256; i++)
        palette[i] = (png_color){(png_byte)i, (png_byte)(255 - i), (png_byte)(i * 5)};
    if (recipe->type == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, 1 << recipe->depth);
    if (recipe->transparent)
        png_set_tRNS(png, info, alphas, 4, &hidden);
    if (recipe->gamma > 0)
        png_set_gAMA(png, info, recipe->gamma);
    png_write_info(png, info);
    int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++)
        for (uint32_t y = 0; y < HEIGHT; y++) {
            fill_row(recipe, y, row);
            png_write_row(png, row);
        }
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
}

/* Eight bits of a sample. */
static int scaled(const struct png_recipe *recipe, unsigned value) {
    unsigned most = (1u << recipe->depth) - 1;
    return (int)((value * 255 + most / 2) / most);
}

static void expected_pixel(const struct png_recipe *recipe, uint32_t x, uint32_t y, int rgba[4]) {
    unsigned first = sample(recipe, x, y, 0);
    rgba[3] = 255;
    if (recipe->type == PNG_COLOR_TYPE_PALETTE) {
        rgba[0] = (int)first;
        rgba[1] = 255 - (int)first;
        rgba[2] = (int)(first * 5 & 255);
        if (recipe->transparent && first == 3)
            rgba[3] = 0;
        return;
    }
    bool color = recipe->type & PNG_COLOR_MASK_COLOR, hidden = recipe->transparent;
    for (int c = 0; c < 3; c++) {
        unsigned value = color ? sample(recipe, x, y, c) : first;
        rgba[c] = scaled(recipe, value);
        hidden = hidden && value == 3;
    }
    if (hidden)
        rgba[3] = 0;
    if (recipe->type & PNG_COLOR_MASK_ALPHA)
        rgba[3] = scaled(recipe, sample(recipe, x, y, color ? 3 : 1));
}

static int wrong_pixels(const struct png_recipe *recipe, const struct image *image) {
    int wrong = 0;
    for (uint32_t y = 0; y < HEIGHT; y++)
        for (uint32_t x = 0; x < WIDTH; x++) {
            int rgba[4];
            expected_pixel(recipe, x, y, rgba);
            for (uint32_t c = 0; c < 4; c++)
                wrong += image->rgba[4 * (y * WIDTH + x) + c] != rgba[c];
        }
    return wrong;
}

static void every_png_is_read(void) {
    static const int kinds[][2] = {{0, 1}, {0, 2}, {0, 4}, {0, 8}, {0, 16}, {2, 8}, {2, 16}, {3, 1},
                                   {3, 2}, {3, 4}, {3, 8}, {4, 8}, {4, 16}, {6, 8}, {6, 16}};
    static struct written file;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int variant = 0; variant < 4; variant++) {
            struct png_recipe recipe = {kinds[k][0], kinds[k][1], variant & 1, variant & 2, 0};
            if (recipe.transparent && (recipe.type & PNG_COLOR_MASK_ALPHA || recipe.depth == 1))
                continue;
            struct image image;
            struct err err = {0};
            write_png(&recipe, &file);
            int rc = image_decode(file.bytes, file.size, &image, &err);
            CHECK(rc == 0);
            int wrong = rc == 0 ? wrong_pixels(&recipe, &image) : 0;
            if (wrong > 0 || rc != 0)
                fprintf(stderr, "type %d, %d bits, variant %d: %d wrong %s\n", recipe.type,
                        recipe.depth, variant, wrong, err.message);
            CHECK(wrong == 0);
            image_deinit(&image);
        }
}

static void gamma_is_applied(void) {
    static struct written file;
    struct png_recipe linear = {.type = PNG_COLOR_TYPE_GRAY, .depth = 8, .gamma = 1};
    struct png_recipe plain = {.type = PNG_COLOR_TYPE_GRAY, .depth = 8, .gamma = 0.45455};
    struct image image;
    write_png(&linear, &file);
    CHECK(image_decode(file.bytes, file.size, &image, NULL) == 0);
    unsigned stored = sample(&linear, 1, 0, 0); /* 139 of 255: 0.545 of the light */
    CHECK(stored == 139 && image.rgba[4] > 188 && image.rgba[4] < 198);
    image_deinit(&image);
    write_png(&plain, &file);
    CHECK(image_decode(file.bytes, file.size, &image, NULL) == 0);
    CHECK(image.rgba[4] == stored);
    image_deinit(&image);
}

static void half_a_png_is_none(void) {
    static struct written file;
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        struct png_recipe recipe = {PNG_COLOR_TYPE_RGB, 8, interlaced, false, 0};
        write_png(&recipe, &file);
        for (size_t kept = 8; kept + 24 < file.size; kept += 7) {
            struct image image;
            struct err err;
            uint8_t *exact = malloc(kept); /* so that reading beyond its end is seen */
            memcpy(exact, file.bytes, kept);
            CHECK(image_decode(exact, kept, &image, &err) == ERR_CORRUPT && image.rgba == NULL);
            free(exact);
        }
    }
}

static void a_caller_has_limits_of_its_own(void) {
    static struct written file;
    struct png_recipe recipe = {.type = PNG_COLOR_TYPE_GRAY, .depth = 8};
    struct image_options options = {.max_pixels = WIDTH * HEIGHT - 1};
    struct image image;
    struct err err;
    write_png(&recipe, &file);
    CHECK(image_decode_with(file.bytes, file.size, &options, &image, &err) == ERR_TOO_LARGE);
    CHECK(strstr(err.message, "33 x 19 pixels") != NULL);
    options.max_pixels++;
    CHECK(image_decode_with(file.bytes, file.size, &options, &image, &err) == 0);
    image_deinit(&image);
}

/* -- WebP -------------------------------------------------------------------------------------- */

static void paint(uint8_t *rgba, bool alpha) {
    for (uint32_t y = 0; y < HEIGHT; y++)
        for (uint32_t x = 0; x < WIDTH; x++, rgba += 4) {
            rgba[0] = (uint8_t)(x * 7);
            rgba[1] = (uint8_t)(y * 13);
            rgba[2] = (uint8_t)(255 - x * 3);
            rgba[3] = alpha ? (uint8_t)(16 + x * 5) : 255;
        }
}

static void every_webp_is_read(void) {
    uint8_t rgba[WIDTH * HEIGHT * 4];
    for (int variant = 0; variant < 4; variant++) {
        bool lossless = variant & 1;
        uint8_t *file;
        paint(rgba, variant & 2);
        size_t size = lossless ? WebPEncodeLosslessRGBA(rgba, WIDTH, HEIGHT, WIDTH * 4, &file)
                               : WebPEncodeRGBA(rgba, WIDTH, HEIGHT, WIDTH * 4, 95, &file);
        struct image image = {0};
        CHECK(size > 0 && image_decode(file, size, &image, NULL) == 0);
        CHECK(image.width == WIDTH && image.height == HEIGHT);
        int worst = 0;
        for (size_t i = 0; image.rgba != NULL && i < sizeof rgba; i++)
            worst = abs(rgba[i] - image.rgba[i]) > worst ? abs(rgba[i] - image.rgba[i]) : worst;
        CHECK(lossless ? worst == 0 : worst < 40);
        image_deinit(&image);
        for (size_t kept = 12; kept + 2 < size; kept += 5) {
            uint8_t *exact = malloc(kept);
            memcpy(exact, file, kept);
            CHECK(image_decode(exact, kept, &image, NULL) == ERR_CORRUPT);
            free(exact);
        }
        struct image_options little = {.max_pixels = 100};
        CHECK(image_decode_with(file, size, &little, &image, NULL) == ERR_TOO_LARGE);
        WebPFree(file);
    }
}

static void an_animation_is_refused(void) {
    static const char file[] = "RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\x20\0\0\x12\0\0"
                               "ANIM\x06\0\0\0\0\0\0\0\0\0";
    struct image image;
    struct err err = {0};
    CHECK(image_decode(file, sizeof file - 1, &image, &err) == ERR_UNSUPPORTED);
    CHECK_TEXT(err.message, "an animated WebP is not read");
}

int main(void) {
    static const struct test tests[] = {
        TEST(every_png_is_read),  TEST(gamma_is_applied),
        TEST(half_a_png_is_none), TEST(a_caller_has_limits_of_its_own),
        TEST(every_webp_is_read), TEST(an_animation_is_refused),
    };
    return RUN(tests);
}
