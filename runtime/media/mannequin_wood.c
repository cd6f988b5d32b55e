/* mannequin_wood.c - the picture of wood that the mannequin wears.
 *
 * The picture is the skin of a cylinder turned from a plank whose heart lies beside it: year rings
 * are distances to the heart, which wanders along the plank; so rings run straight where the cut
 * crosses them and in flames where it grazes them. Fibres and pores are drawn over it. All of it
 * repeats in both directions. */
#include <math.h>
#include <stdlib.h>

#include "core/err.h"
#include "media/mannequin_parts.h"
#include "media/png.h"

enum { SIDE = 512 };

static const double TURN = 6.28318530717958647692;

static const double LIGHT[3] = {232, 198, 152}, DARK[3] = {203, 157, 104};

/* -- Noise ------------------------------------------------------------------------------------- */

/* 0..1 for a lattice point. */
static double lattice(uint32_t seed, int x, int y) {
    uint32_t h = seed * 0x9E3779B1U ^ (uint32_t)x * 0x85EBCA77U ^ (uint32_t)y * 0xC2B2AE3DU;
    h = (h ^ h >> 15) * 0x2C1B3C6DU;
    h = (h ^ h >> 12) * 0x297A2D39U;
    return (double)((h ^ h >> 15) >> 8) / 16777216.0;
}

static double fade(double t) {
    return t * t * t * (t * (t * 6 - 15) + 10);
}

/* Smooth noise, -1..1, that repeats: u, v in 0..1 cover `columns` x `rows` cells. */
static double noise(uint32_t seed, double u, double v, int columns, int rows) {
    double x = u * columns, y = v * rows;
    int x0 = (int)floor(x), y0 = (int)floor(y);
    double fx = fade(x - x0), fy = fade(y - y0);
    int xa = ((x0 % columns) + columns) % columns, ya = ((y0 % rows) + rows) % rows;
    int xb = (xa + 1) % columns, yb = (ya + 1) % rows;
    double top = lattice(seed, xa, ya) * (1 - fx) + lattice(seed, xb, ya) * fx;
    double bottom = lattice(seed, xa, yb) * (1 - fx) + lattice(seed, xb, yb) * fx;
    return 2 * (top * (1 - fy) + bottom * fy) - 1;
}

/* -- Wood -------------------------------------------------------------------------------------- */

/* How dark the wood is at a point of the picture, 0..1. */
static double darkness(uint32_t seed, double u, double v) {
    double wander = 0.10 * noise(seed, 0.5, v, 1, 3) + 0.05 * noise(seed + 1, 0.5, v, 1, 7);
    double x = cos(TURN * u) - 1.35 + wander, z = sin(TURN * u) + 0.3 + 0.6 * wander;
    double radius =
        hypot(x, z) + 0.020 * noise(seed + 2, u, v, 9, 3) + 0.006 * noise(seed + 3, u, v, 40, 6);
    double ring = radius * 15 + 0.8 * noise(seed + 4, radius / 3, 0.5, 24, 1);
    double age =
        ring -
        floor(ring); /* through one year: pale spring wood, then a darker line that ends sharply */
    double line = age < 0.86 ? pow(age / 0.86, 3.0) : 1 - fade((age - 0.86) / 0.14);
    double fibre = noise(seed + 5, u, v, 180, 10) * 0.5 + noise(seed + 6, u, v, 400, 24) * 0.5;
    double cloud = noise(seed + 7, u, v, 4, 3);
    double pore = noise(seed + 8, u, v, 256, 40);
    double dark = 0.16 + 0.46 * line + 0.14 * fibre + 0.13 * cloud +
                  (pore > 0.72 ? 0.5 * (pore - 0.72) / 0.28 : 0);
    return fmin(fmax(dark, 0), 1);
}

static void draw(uint32_t seed, uint8_t *rgb) {
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            double dark = darkness(seed, (x + 0.5) / SIDE, (y + 0.5) / SIDE);
            for (int c = 0; c < 3; c++)
                rgb[(y * SIDE + x) * 3 + c] =
                    (uint8_t)lround(LIGHT[c] + (DARK[c] - LIGHT[c]) * dark);
        }
    }
}

int mannequin_draw_wood(uint32_t seed, uint8_t **png, size_t *size, struct err *err) {
    uint8_t *rgb = malloc((size_t)SIDE * SIDE * 3);
    if (!rgb)
        return err_set(err, ERR_NO_MEMORY, "no memory to draw wood");
    draw(seed * 16, rgb);
    const struct png_source source = {.width = SIDE, .height = SIDE, .channels = 3, .pixels = rgb};
    int rc = png_encode(&source, PNG_LEVEL_FAST, png, size, err);
    free(rgb);
    return rc;
}
