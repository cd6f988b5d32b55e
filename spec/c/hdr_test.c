/* Radiance pictures: rows in all three kinds, orientations, what is undone, what is refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "media/hdr.h"

static uint8_t file[4096];
static size_t size;

static void begin(const char *head) {
    size = strlen(head);
    memcpy(file, head, size);
}

static void add(const void *bytes, size_t count) {
    memcpy(file + size, bytes, count);
    size += count;
}

static void pixel(int r, int g, int b, int e) {
    add((uint8_t[]){(uint8_t)r, (uint8_t)g, (uint8_t)b, (uint8_t)e}, 4);
}

static int decode(float **rgb, uint32_t *width, uint32_t *height, struct err *err) {
    uint8_t *exact = malloc(size); /* a byte too far is seen by the sanitizer */
    memcpy(exact, file, size);
    int rc = hdr_decode(exact, size, rgb, width, height, err);
    free(exact);
    return rc;
}

static bool near(float a, double b) {
    return fabs((double)a - b) <= 1e-6 * fabs(b);
}

static void flat_rows(void) {
    float *rgb = NULL;
    uint32_t width, height;
    begin("#?RADIANCE\n# by hand\nFORMAT=32-bit_rle_rgbe\n\n-Y 2 +X 2\n");
    pixel(128, 64, 32, 129);
    pixel(0, 0, 0, 0);
    pixel(255, 0, 1, 136);
    pixel(1, 2, 3, 128);
    CHECK(decode(&rgb, &width, &height, NULL) == 0);
    CHECK(width == 2 && height == 2);
    CHECK(near(rgb[0], 1) && near(rgb[1], 0.5) && near(rgb[2], 0.25));
    CHECK(rgb[3] == 0 && rgb[4] == 0 && rgb[5] == 0);
    CHECK(near(rgb[6], 255) && rgb[7] == 0 && near(rgb[8], 1));
    CHECK(near(rgb[9], 1 / 256.0));
    free(rgb);
}

static void new_runs(void) {
    float *rgb = NULL;
    uint32_t width, height;
    begin("#?RGBE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 10\n");
    add((uint8_t[]){2, 2, 0, 10}, 4);
    add((uint8_t[]){138, 128}, 2);                          /* ten times 128 */
    add((uint8_t[]){10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 11); /* as they are */
    add((uint8_t[]){4, 9, 9, 9, 9, 134, 7}, 7);             /* both */
    add((uint8_t[]){138, 129}, 2);
    CHECK(decode(&rgb, &width, &height, NULL) == 0);
    CHECK(width == 10 && height == 1);
    for (int x = 0; x < 10; x++) {
        CHECK(near(rgb[x * 3], 1) && near(rgb[x * 3 + 1], x / 128.0));
        CHECK(near(rgb[x * 3 + 2], (x < 4 ? 9 : 7) / 128.0));
    }
    free(rgb);
}

static void old_runs(void) {
    float *rgb = NULL;
    uint32_t width, height;
    begin("#?RADIANCE\n\n-Y 1 +X 263\n");
    pixel(64, 64, 64, 129);
    pixel(1, 1, 1, 5);
    pixel(1, 1, 1, 1); /* 256 more */
    pixel(128, 128, 128, 129);
    CHECK(decode(&rgb, &width, &height, NULL) == 0);
    CHECK(near(rgb[0], 0.5) && near(rgb[261 * 3], 0.5) && near(rgb[262 * 3], 1));
    free(rgb);
}

static void orientations(void) {
    static const struct {
        const char *size;
        int first; /* where the file's first pixel comes to lie */
    } cases[] = {{"-Y 2 +X 2", 0}, {"-Y 2 -X 2", 1}, {"+Y 2 +X 2", 2}, {"+Y 2 -X 2", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *rgb = NULL;
        uint32_t width, height;
        char head[80];
        snprintf(head, sizeof head, "#?RADIANCE\n\n%s\n", cases[i].size);
        begin(head);
        for (int k = 0; k < 4; k++)
            pixel(k == 0 ? 128 : 0, 0, 0, 129);
        CHECK(decode(&rgb, &width, &height, NULL) == 0);
        for (int k = 0; k < 4; k++)
            CHECK((rgb[k * 3] > 0) == (k == cases[i].first));
        free(rgb);
    }
}

static void exposure_is_undone(void) {
    float *rgb = NULL;
    uint32_t width, height;
    begin("#?RADIANCE\nEXPOSURE=2\nEXPOSURE= 4\nCOLORCORR= 1 2 4\n\n-Y 1 +X 1\n");
    pixel(128, 128, 128, 132);
    CHECK(decode(&rgb, &width, &height, NULL) == 0);
    CHECK(near(rgb[0], 1) && near(rgb[1], 0.5) && near(rgb[2], 0.25));
    free(rgb);
}

static void refusals(void) {
    static const struct {
        const char *text;
        int code;
        const char *words;
    } cases[] = {
        {"P6\n", ERR_UNSUPPORTED, "no Radiance"},
        {"#?RADIANCE\nFORMAT=32-bit_rle_xyze\n\n-Y 1 +X 1\n", ERR_UNSUPPORTED, "xyze"},
        {"#?RADIANCE\n\n+X 1 -Y 1\n", ERR_UNSUPPORTED, "columns"},
        {"#?RADIANCE\n", ERR_CORRUPT, "head"},
        {"#?RADIANCE\n\nhello\n", ERR_CORRUPT, "size"},
        {"#?RADIANCE\n\n-Y 0 +X 4\n", ERR_CORRUPT, "no pixels"},
        {"#?RADIANCE\n\n-Y 99999 +X 99999\n", ERR_TOO_LARGE, "99999"},
        {"#?RADIANCE\nEXPOSURE=0\n\n-Y 1 +X 1\nabcd", ERR_CORRUPT, "EXPOSURE"},
        {"#?RADIANCE\nEXPOSURE=1e-15\nEXPOSURE=1e-15\n\n-Y 1 +X 1\nabcd", ERR_CORRUPT, "EXPOSURE"},
        {"#?RADIANCE\n\n-Y 9000 +X 3000\nabcd", ERR_CORRUPT, "early"},
        {"#?RADIANCE\n\n-Y 1 +X 2\nabcd", ERR_CORRUPT, "row 1 of 1"},
        {"#?RADIANCE\n\n-Y 1 +X 2\n\1\1\1\1", ERR_CORRUPT, "row"},
        {"#?RADIANCE\n\n-Y 1 +X 2\nabcd\1\1\1\7", ERR_CORRUPT, "row"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *rgb = NULL;
        uint32_t width, height;
        struct err err = {0};
        begin(cases[i].text);
        CHECK(decode(&rgb, &width, &height, &err) == cases[i].code);
        CHECK(strstr(err.message, cases[i].words) != NULL);
        CHECK(rgb == NULL);
    }
}

/* A run that is longer than the row, and one of nothing. */
static void runs_stay_in_their_row(void) {
    for (int count = 0; count < 256; count++) {
        float *rgb = NULL;
        uint32_t width, height;
        begin("#?RADIANCE\n\n-Y 1 +X 8\n");
        add((uint8_t[]){2, 2, 0, 8}, 4);
        for (int channel = 0; channel < 4; channel++) {
            add((uint8_t[]){(uint8_t)count}, 1);
            add((uint8_t[]){9, 9, 9, 9, 9, 9, 9, 9}, count == 8 ? 8 : 1);
        }
        CHECK((decode(&rgb, &width, &height, NULL) == 0) == (count == 8 || count == 136));
        free(rgb);
    }
}

int main(void) {
    static const struct test tests[] = {
        TEST(flat_rows),
        TEST(new_runs),
        TEST(old_runs),
        TEST(orientations),
        TEST(exposure_is_undone),
        TEST(refusals),
        TEST(runs_stay_in_their_row),
    };
    return RUN(tests);
}
