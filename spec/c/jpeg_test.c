/* jpeg_test.c - JPEG of every kind, whole and in part; what is damaged, turned, or too large. */
#include <stdlib.h>

#include "check.h"
#include "jpeg_files.h"
#include "media/image.h"
#include "media/jpeg_window.h"

static uint32_t seed = 7;

static uint32_t next_random(uint32_t below) {
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)seed * below >> 32);
}

static const struct image_options strict = {.upright = true, .whole = true};

/* -- Windows ----------------------------------------------------------------------------------- */

static const struct {
    int across, down;
} samplings[] = {{1, 1}, {2, 1}, {2, 2}, {1, 2}, {4, 1}, {4, 2}};

static bool same_pixels(const struct gpu_picture *part, const struct image *whole) {
    if (part->whole_width != whole->width || part->whole_height != whole->height)
        return false;
    for (uint32_t y = 0; y < part->height; y++)
        for (uint32_t x = 0; x < part->width; x++) {
            const uint8_t *got = part->rgb + y * part->stride + (size_t)x * part->channels;
            const uint8_t *had =
                whole->rgba + 4 * ((size_t)(part->y + y) * whole->width + part->x + x);
            if (memcmp(got, had, 3) != 0) {
                fprintf(stderr, "pixel %u %u of the part at %u %u, %u x %u\n", x, y, part->x,
                        part->y, part->width, part->height);
                return false;
            }
        }
    return true;
}

/* Random windows of one file, all with one decoder. */
static bool windows_equal(struct jpeg_window *decoder, const struct jpeg_recipe *recipe,
                          int windows) {
    size_t size;
    uint8_t *file = jpeg_make(recipe, &size);
    struct image whole;
    struct err err = {0};
    bool good = image_decode_with(file, size, &strict, &whole, &err) == 0;
    for (int i = 0; good && i < windows; i++) {
        struct gpu_picture part;
        uint32_t sides[2], x = next_random(whole.width), y = next_random(whole.height);
        uint32_t window[4] = {x, y, 1 + next_random(whole.width - x + 8),
                              1 + next_random(whole.height - y + 8)};
        if (i == 0)
            memcpy(window, (uint32_t[]){0, 0, whole.width, whole.height}, sizeof window);
        good = jpeg_window_open(decoder, file, size, 0, sides, &err) == 0 &&
               sides[0] == whole.width && sides[1] == whole.height &&
               jpeg_window_read(decoder, window, &part, &err) == 0 && part.x <= x && part.y <= y &&
               same_pixels(&part, &whole);
        if (!good)
            fprintf(stderr, "%u x %u, %d components, %d x %d%s: window %u %u %u %u %s\n",
                    recipe->width, recipe->height, recipe->components, recipe->across, recipe->down,
                    recipe->progressive ? ", progressive" : "", window[0], window[1], window[2],
                    window[3], err.message);
    }
    image_deinit(&whole);
    free(file);
    return good;
}

static void parts_have_the_pixels_of_the_whole(void) {
    struct jpeg_window *decoder;
    CHECK(jpeg_window_new(&decoder, NULL) == 0);
    for (size_t s = 0; s < sizeof samplings / sizeof *samplings; s++)
        for (uint32_t round = 0; round < 24; round++) {
            struct jpeg_recipe recipe = {
                .width = 1 + next_random(round < 4 ? 20 : 200),
                .height = 1 + next_random(round < 4 ? 20 : 200),
                .components = 3,
                .across = samplings[s].across,
                .down = samplings[s].down,
                .progressive = round % 5 == 1,
                .scans = round % 5 == 2,
                .restart = round % 5 == 3 ? 3 : 0,
                .quality = 20 + (int)next_random(80),
                .seed = round,
            };
            CHECK(windows_equal(decoder, &recipe, 12));
        }
    jpeg_window_free(decoder);
}

static void grey_cmyk_and_turned_frames_have_parts_too(void) {
    struct jpeg_window *decoder;
    struct jpeg_recipe grey = {.width = 123, .height = 77, .components = 1};
    struct jpeg_recipe cmyk = {.width = 123, .height = 77, .components = 4};
    CHECK(jpeg_window_new(&decoder, NULL) == 0);
    CHECK(windows_equal(decoder, &grey, 30));
    CHECK(windows_equal(decoder, &cmyk, 5));
    cmyk.ycck = true;
    CHECK(windows_equal(decoder, &cmyk, 5));
    for (unsigned orientation = 1; orientation <= 8; orientation++) {
        struct jpeg_recipe turned = {.width = 123, .height = 77, .components = 3, .across = 2};
        turned.orientation = orientation;
        CHECK(windows_equal(decoder, &turned, 3));
    }
    jpeg_window_free(decoder);
}

static void a_window_has_to_be_inside(void) {
    struct jpeg_window *decoder;
    struct gpu_picture part;
    struct err err;
    uint32_t sides[2];
    size_t size;
    uint8_t *file = jpeg_make(&(struct jpeg_recipe){30, 20, .components = 3}, &size);
    static const uint32_t outside[][4] = {{30, 0, 5, 5}, {0, 20, 5, 5}, {0, 0, 0, 5}, {0, 0, 5, 0}};
    CHECK(jpeg_window_new(&decoder, NULL) == 0);
    CHECK(jpeg_window_read(decoder, outside[0], &part, &err) == ERR_INVALID);
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        CHECK(jpeg_window_open(decoder, file, size, 0, sides, &err) == 0);
        CHECK(jpeg_window_read(decoder, outside[i], &part, &err) == ERR_INVALID);
    }
    const uint32_t inside[4] = {3, 4, 5, 6};
    CHECK(jpeg_window_open(decoder, file, size, 599, sides, &err) == ERR_TOO_LARGE);
    CHECK(jpeg_window_open(decoder, file, size, 600, sides, &err) == 0);
    CHECK(jpeg_window_read(decoder, inside, &part, &err) == 0);
    CHECK(jpeg_window_read(decoder, inside, &part, &err) == ERR_INVALID); /* once */
    CHECK(jpeg_window_open(decoder, "", 0, 0, sides, &err) == ERR_CORRUPT);
    jpeg_window_free(decoder);
    jpeg_window_free(NULL);
    free(file);
}

/* -- Whole pictures ---------------------------------------------------------------------------- */

static struct image decode(const struct jpeg_recipe *recipe, const struct image_options *options) {
    size_t size;
    struct err err;
    struct image image;
    uint8_t *file = jpeg_make(recipe, &size);
    CHECK(image_decode_with(file, size, options, &image, &err) == 0);
    free(file);
    return image;
}

/* Every kind shows about what was painted. */
static void every_kind_is_read(void) {
    static const struct jpeg_recipe kinds[] = {
        {.components = 3},
        {.components = 3, .across = 2},
        {.components = 3, .across = 2, .down = 2},
        {.components = 3, .down = 2},
        {.components = 3, .across = 4},
        {.components = 3, .progressive = true},
        {.components = 3, .across = 2, .down = 2, .progressive = true, .restart = 2},
        {.components = 3, .scans = true},
    };
    uint8_t row[61 * 3];
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct jpeg_recipe recipe = kinds[k];
        recipe.width = 61;
        recipe.height = 45;
        recipe.quality = 95;
        struct image image = decode(&recipe, &strict);
        double difference = 0;
        for (uint32_t y = 0; y < 45; y++) {
            jpeg_paint_row(&recipe, y, row);
            for (uint32_t x = 0; x < 61; x++)
                for (uint32_t c = 0; c < 3; c++)
                    difference += abs(row[x * 3 + c] - image.rgba[4 * (y * 61 + x) + c]);
        }
        CHECK(difference / (61 * 45 * 3) < 24); /* colours are blurred, at most */
        image_deinit(&image);
    }
}

static void grey_becomes_colours(void) {
    struct jpeg_recipe recipe = {.width = 40, .height = 30, .components = 1, .quality = 100};
    struct image image = decode(&recipe, &strict);
    uint8_t row[40];
    for (uint32_t y = 0; y < 30; y++) {
        jpeg_paint_row(&recipe, y, row);
        for (uint32_t x = 0; x < 40; x++) {
            const uint8_t *pixel = image.rgba + 4 * (y * 40 + x);
            CHECK(abs(pixel[0] - row[x]) < 4 && pixel[0] == pixel[1] && pixel[1] == pixel[2] &&
                  pixel[3] == 255);
        }
    }
    image_deinit(&image);
}

/* As Adobe stores it: 255 is no ink. */
static void inks_become_colours(void) {
    struct jpeg_recipe recipe = {.width = 40, .height = 30, .components = 4, .quality = 100};
    for (int ycck = 0; ycck < 2; ycck++) {
        recipe.ycck = ycck == 1;
        struct image image = decode(&recipe, &strict);
        uint8_t row[40 * 4];
        for (uint32_t y = 0; y < 30; y++) {
            jpeg_paint_row(&recipe, y, row);
            for (uint32_t x = 0; x < 40; x++)
                for (int c = 0; c < 3; c++) {
                    int ink = row[x * 4 + (uint32_t)c] * row[x * 4 + 3] / 255;
                    CHECK(abs(image.rgba[4 * (y * 40 + x) + (uint32_t)c] - ink) < 8);
                }
        }
        image_deinit(&image);
    }
}

/* -- Orientation ------------------------------------------------------------------------------- */

/* Where the pixel at x, y of the upright picture is stored, by the words of EXIF's table: which
 * side of the picture the first stored row and the first stored column are. */
static void stored_at(unsigned orientation, uint32_t width, uint32_t height, uint32_t x, uint32_t y,
                      uint32_t *column, uint32_t *row) {
    uint32_t right = width - 1 - x, bottom = height - 1 - y;
    static const char *const first[][2] = {
        {"", ""},           {"top", "left"}, {"top", "right"}, {"bottom", "right"},
        {"bottom", "left"}, {"left", "top"}, {"right", "top"}, {"right", "bottom"},
        {"left", "bottom"}};
    for (int i = 0; i < 2; i++) {
        const char *side = first[orientation][i];
        uint32_t distance = strcmp(side, "top") == 0      ? y
                            : strcmp(side, "bottom") == 0 ? bottom
                            : strcmp(side, "left") == 0   ? x
                                                          : right;
        *(i == 0 ? row : column) = distance;
    }
}

static void photos_are_turned_upright(void) {
    for (unsigned orientation = 1; orientation <= 8; orientation++)
        for (int order = 0; order < 2; order++) {
            struct jpeg_recipe recipe = {.width = 37, .height = 22, .components = 3};
            recipe.orientation = orientation;
            recipe.big_endian = order == 1;
            struct image stored = decode(&recipe, &(struct image_options){0});
            struct image upright = decode(&recipe, &strict);
            CHECK(stored.width == 37 && stored.height == 22);
            CHECK(upright.width == (orientation < 5 ? 37 : 22));
            int wrong = 0;
            for (uint32_t y = 0; y < upright.height; y++)
                for (uint32_t x = 0; x < upright.width; x++) {
                    uint32_t column = 0, row = 0;
                    stored_at(orientation, upright.width, upright.height, x, y, &column, &row);
                    wrong += memcmp(upright.rgba + 4 * (y * upright.width + x),
                                    stored.rgba + 4 * (row * 37 + column), 4) != 0;
                }
            CHECK(wrong == 0);
            image_deinit(&stored);
            image_deinit(&upright);
        }
}

static void nonsense_for_an_orientation_is_no_turn(void) {
    static const unsigned odd[] = {0, 9, 200};
    for (int i = 0; i < 3; i++) {
        struct jpeg_recipe recipe = {.width = 37, .height = 22, .components = 3};
        recipe.orientation = odd[i];
        struct image image = decode(&recipe, &strict);
        CHECK(image.width == 37);
        image_deinit(&image);
    }
}

/* -- Damage ------------------------------------------------------------------------------------ */

static int code_of(const uint8_t *file, size_t size, const struct image_options *options) {
    struct image image;
    struct err err;
    int rc = image_decode_with(file, size, options, &image, &err);
    CHECK(rc == 0 || (rc == err.code && image.rgba == NULL));
    image_deinit(&image);
    return rc;
}

static void half_a_photo_is_none(void) {
    static const struct jpeg_recipe kinds[] = {
        {200, 150, .components = 3, .across = 2, .down = 2},
        {200, 150, .components = 3, .progressive = true},
        {200, 150, .components = 3, .scans = true},
        {200, 150, .components = 3, .restart = 4},
        {200, 150, .components = 1},
    };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        size_t size;
        uint8_t *file = jpeg_make(&kinds[k], &size);
        CHECK(code_of(file, size, &strict) == 0);
        for (size_t kept = 3; kept < size - 4; kept += 1 + size / 60)
            CHECK(code_of(file, kept, &strict) == ERR_CORRUPT);
        CHECK(code_of(file, size / 2, &(struct image_options){0}) == 0); /* the rest is grey */
        bool several = kinds[k].progressive || kinds[k].scans;
        CHECK(code_of(file, size - 2, &strict) == (several ? ERR_CORRUPT : 0)); /* no end marker */
        free(file);
    }
}

static void bytes_after_the_end_do_no_harm(void) {
    size_t size;
    uint8_t *file = jpeg_make(&(struct jpeg_recipe){50, 40, .components = 3}, &size);
    file = realloc(file, size + 100);
    memset(file + size, 0x5a, 100);
    CHECK(code_of(file, size + 100, &strict) == 0);
    free(file);
}

/* The first scan again and again: each costs what a picture costs. */
static void scans_without_end_are_refused(void) {
    enum { TIMES = 500 };
    size_t size, scan = 2;
    uint8_t *file =
        jpeg_make(&(struct jpeg_recipe){16, 16, .components = 1, .progressive = true}, &size);
    while (file[scan + 1] != 0xda)
        scan += 2 + (size_t)(file[scan + 2] << 8 | file[scan + 3]);
    size_t end = scan + 2;
    while (file[end] != 0xff || file[end + 1] == 0)
        end++;
    size_t length = end - scan;
    uint8_t *many = malloc(size + TIMES * length);
    memcpy(many, file, end);
    for (size_t i = 0; i < TIMES; i++)
        memcpy(many + end + i * length, file + scan, length);
    memcpy(many + end + TIMES * length, file + end, size - end);
    struct image image;
    struct err err = {0};
    CHECK(image_decode_with(many, size + TIMES * length, &strict, &image, &err) == ERR_CORRUPT);
    CHECK_TEXT(err.message, "not a readable JPEG: it has more than 100 scans");
    free(many);
    free(file);
}

static void bombs_are_refused_by_their_header(void) {
    static const struct {
        uint64_t max_pixels;
        int code;
        uint8_t sides[4]; /* height, width */
    } cases[] = {
        {0, ERR_TOO_LARGE, {0x27, 0x10, 0x27, 0x10}},        /* 10000 x 10000 */
        {15999999, ERR_TOO_LARGE, {0x0f, 0xa0, 0x0f, 0xa0}}, /* 4000 x 4000 */
        {0, ERR_TOO_LARGE, {0x00, 0x01, 0x40, 0x01}},
        {0, ERR_CORRUPT, {0x00, 0x00, 0x00, 0x10}},
        {0, ERR_CORRUPT, {0x00, 0x10, 0x00, 0x00}},
    };
    size_t size, at = 2;
    uint8_t *file = jpeg_make(&(struct jpeg_recipe){16, 16, .components = 3}, &size);
    while (file[at + 1] != 0xc0) /* to the frame's header */
        at += 2 + (size_t)(file[at + 2] << 8 | file[at + 3]);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(file + at + 5, cases[i].sides, 4);
        struct image_options options = {.whole = true, .max_pixels = cases[i].max_pixels};
        CHECK(code_of(file, size, &options) == cases[i].code);
    }
    free(file);
}

/* Whatever is damaged: a picture or an error, from one decoder after the other and from the same
 * again. */
static void damaged_frames_do_no_harm(void) {
    struct jpeg_window *decoder;
    struct jpeg_recipe recipe = {70, 50, .components = 3, .across = 2, .down = 2};
    CHECK(jpeg_window_new(&decoder, NULL) == 0);
    for (int round = 0; round < 1500; round++) {
        size_t size;
        recipe.progressive = round % 3 == 0;
        recipe.orientation = round % 5 == 0 ? 6 : 0;
        uint8_t *file = jpeg_make(&recipe, &size);
        for (uint32_t i = next_random(6); i > 0; i--)
            file[next_random((uint32_t)size)] = (uint8_t)next_random(256);
        size_t kept = round % 2 ? size : 1 + next_random((uint32_t)size);
        struct image whole;
        struct gpu_picture part;
        struct err err = {0};
        struct image_options options = {.upright = true, .whole = true, .max_pixels = 1 << 20};
        uint32_t sides[2], window[4] = {next_random(60), next_random(40), 20, 10};
        int rc = image_decode_with(file, kept, &options, &whole, &err);
        CHECK(rc == 0 || (rc == err.code && whole.rgba == NULL));
        int part_rc = jpeg_window_open(decoder, file, kept, 1 << 20, sides, &err);
        if (part_rc == 0 && window[0] < sides[0] && window[1] < sides[1])
            part_rc = jpeg_window_read(decoder, window, &part, &err);
        else if (part_rc == 0)
            part = (struct gpu_picture){.whole_width = sides[0], .whole_height = sides[1]};
        CHECK(part_rc == 0 || (part_rc == err.code && rc != 0));
        CHECK(rc != 0 || same_pixels(&part, &whole)); /* nothing is left of other frames */
        image_deinit(&whole);
        free(file);
    }
    recipe = (struct jpeg_recipe){70, 50, .components = 3};
    CHECK(windows_equal(decoder, &recipe, 5)); /* it is as good as new */
    jpeg_window_free(decoder);
}

int main(void) {
    static const struct test tests[] = {
        TEST(parts_have_the_pixels_of_the_whole),
        TEST(grey_cmyk_and_turned_frames_have_parts_too),
        TEST(a_window_has_to_be_inside),
        TEST(every_kind_is_read),
        TEST(grey_becomes_colours),
        TEST(inks_become_colours),
        TEST(photos_are_turned_upright),
        TEST(nonsense_for_an_orientation_is_no_turn),
        TEST(half_a_photo_is_none),
        TEST(bytes_after_the_end_do_no_harm),
        TEST(scans_without_end_are_refused),
        TEST(bombs_are_refused_by_their_header),
        TEST(damaged_frames_do_no_harm),
    };
    return RUN(tests);
}
