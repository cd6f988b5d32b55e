/* shading.c - the shading's maths by itself: energy, light from all around, tone curves, noise. */
#define GPU_SIMD   128
#define GPU_SUFFIX portable
#include "check.h"

#include "../render/develop.h"
#include "../render/light.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- Energy -------------------------------------------------------------------------------------
 */

/* What a white surface sends to an eye at `facing` of a white world, a direction after the other.
 */
static double send_back(const float *table, float facing, float roughness, float metallic) {
    enum { DIRECTIONS = 400000 };
    struct surface s = {0};
    struct look look = {.metallic = vf_set1(metallic), .roughness = vf_set1(roughness)};
    struct gloss gloss;
    const vf even = vf_set1(4.0f / DIRECTIONS), color[3] = {even, even, even};
    s.normal[1] = vf_set1(1.0f);
    s.view[0] = vf_set1(sqrtf(1.0f - facing * facing));
    s.view[1] = vf_set1(facing);
    for (int c = 0; c < 3; c++)
        look.base[c] = vf_set1(1.0f);
    find_gloss(table, &s, &look, &gloss);
    double sum = 0.0;
    for (int i = 0; i < DIRECTIONS; i += GPU_LANES) {
        float x[GPU_LANES], y[GPU_LANES], z[GPU_LANES];
        for (int k = 0; k < GPU_LANES; k++) {
            double up = 1.0 - 2.0 * (i + k + 0.5) / DIRECTIONS, around = (i + k) * 2.39996322972865;
            double wide = sqrt(1.0 - up * up);
            x[k] = (float)(wide * cos(around));
            y[k] = (float)up;
            z[k] = (float)(wide * sin(around));
        }
        const vf toward[3] = {vf_load(x), vf_load(y), vf_load(z)};
        vf out[3] = {vf_set1(0.0f), vf_set1(0.0f), vf_set1(0.0f)};
        add_direct(&s, &gloss, toward, vf_set1(0.0f), color, out);
        for (int k = 0; k < GPU_LANES; k++)
            sum += (double)vf_lane(out[0], k);
    }
    return sum;
}

static void check_energy(void) {
    static const float facings[] = {0.15f, 0.5f, 0.95f}, roughs[] = {0.25f, 0.5f, 0.8f, 1.0f};
    static float table[GPU_GLOSS_TABLE];
    gpu_gloss_table(table);
    for (int f = 0; f < 3; f++) {
        for (int r = 0; r < 4; r++) {
            for (int metal = 0; metal < 2; metal++) {
                double back = send_back(table, facings[f], roughs[r], (float)metal);
                check_that(fabs(back - 1.0) < 0.02,
                           "white %s of roughness %g seen at %g sends %g of a white world back",
                           metal ? "metal" : "paint", (double)roughs[r], (double)facings[f], back);
            }
        }
    }
}

/* -- From all around ----------------------------------------------------------------------------
 */

enum { WIDE = 128, HIGH = 64 };

static void direction(int x, int y, double out[3]) {
    double around = ((x + 0.5) / WIDE - 0.5) * 6.283185307179586;
    double down = (y + 0.5) / HIGH * 3.141592653589793;
    out[0] = sin(down) * cos(around);
    out[1] = cos(down);
    out[2] = sin(down) * sin(around);
}

/* Light that changes smoothly, of another pattern a channel. */
static double glow(const double d[3], int c) {
    return c == 0 ? 1.0 + 0.8 * d[0] : c == 1 ? 0.5 + 0.4 * d[1] * d[2] : 1.0 + 0.9 * d[2];
}

static void make_picture(float *rgb) {
    for (int i = 0; i < WIDE * HIGH; i++) {
        double d[3];
        direction(i % WIDE, i / WIDE, d);
        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = (float)glow(d, c);
    }
}

/* What faces n, by adding up the whole sphere. */
static double add_up(const double n[3], int c) {
    double sum = 0.0;
    for (int i = 0; i < WIDE * HIGH; i++) {
        double d[3];
        direction(i % WIDE, i / WIDE, d);
        double lit = d[0] * n[0] + d[1] * n[1] + d[2] * n[2];
        int row = i / WIDE;
        double down = (row + 0.5) / HIGH * 3.141592653589793;
        double angle = sin(down) * (6.283185307179586 / WIDE) * (3.141592653589793 / HIGH);
        sum += lit > 0.0 ? glow(d, c) * lit * angle / 3.141592653589793 : 0.0;
    }
    return sum;
}

static void check_around(void) {
    static float rgb[WIDE * HIGH * 3];
    struct gpu_environment *environment;
    struct gpu_lighting lighting;
    struct gpu_daylight light;
    char why[GPU_WHY_SIZE];
    uint64_t state = 5;
    make_picture(rgb);
    check_that(gpu_environment_new(rgb, WIDE, HIGH, &environment, why) == GPU_OK, "%s", why);
    gpu_lighting_default(&lighting);
    lighting.environment = environment;
    gpu_daylight_init(&light, &lighting, NULL);
    double worst = 0.0, worst_mirror = 0.0;
    for (int i = 0; i < 40; i++) {
        double n[3], length = 0.0;
        for (int c = 0; c < 3; c++) {
            n[c] = body_random(&state) * 2.0 - 1.0;
            length += n[c] * n[c];
        }
        vf toward[3], out[3];
        for (int c = 0; c < 3; c++) {
            n[c] /= sqrt(length);
            toward[c] = vf_set1((float)n[c]);
        }
        find_diffuse(&light, toward, out);
        for (int c = 0; c < 3; c++)
            worst = fmax(worst, fabs((double)vf_lane(out[c], 0) - add_up(n, c)));
        find_reflected(&light, toward, vf_set1(0.0f), out);
        for (int c = 0; c < 3; c++)
            worst_mirror = fmax(worst_mirror, fabs((double)vf_lane(out[c], 0) - glow(n, c)));
    }
    check_that(worst < 0.01, "diffuse light from all around is off by %g", worst);
    check_that(worst_mirror < 0.02, "a mirror is off by %g", worst_mirror);

    lighting.environment_turn = 1.57079633f; /* what was at +z is at +x */
    gpu_daylight_init(&light, &lighting, NULL);
    const vf one = vf_set1(1.0f), zero = vf_set1(0.0f), right[3] = {one, zero, zero};
    vf out[3];
    find_reflected(&light, right, zero, out);
    check_that(fabsf(vf_lane(out[2], 0) - 1.9f) < 0.02f && fabsf(vf_lane(out[0], 0) - 1.0f) < 0.02f,
               "turned by a quarter, +x shows %g, %g", (double)vf_lane(out[0], 0),
               (double)vf_lane(out[2], 0));
    gpu_environment_free(environment);

    for (int i = 0; i < WIDE * HIGH * 3; i++)
        rgb[i] = i % 7 == 0 ? NAN : i % 11 == 0 ? INFINITY : i % 13 == 0 ? -1e30f : 1.0f;
    check_that(gpu_environment_new(rgb, WIDE, HIGH, &environment, why) == GPU_OK, "%s", why);
    bool sound = environment != NULL;
    for (uint32_t i = 0; sound && i < environment->texel_count * 3; i++)
        sound = environment->texels[i] >= 0.0f && environment->texels[i] <= 65504.0f;
    check_that(sound, "an environment of rubbish holds rubbish");
    gpu_environment_free(environment);
    check_that(gpu_environment_new(rgb, 0, HIGH, &environment, why) == GPU_EINVAL &&
                   gpu_environment_new(rgb, 16385, 1, &environment, why) == GPU_EINVAL &&
                   gpu_environment_new(NULL, 4, 4, &environment, why) == GPU_EINVAL &&
                   environment == NULL,
               "an environment of no size or no picture is accepted");
    check_that(gpu_environment_new(rgb, 1, 1, &environment, why) == GPU_OK, "one pixel: %s", why);
    gpu_environment_free(environment);
}

/* -- Development --------------------------------------------------------------------------------
 */

static void check_tone(void) {
    static uint8_t tables[GPU_TONE_COUNT][GPU_TONE_BYTES];
    for (int curve = 0; curve < GPU_TONE_COUNT; curve++) {
        const uint8_t *table = tables[curve];
        gpu_tone_table((enum gpu_tone)curve, tables[curve]);
        bool rising = true;
        for (int i = 1; i < GPU_TONE_BYTES; i++)
            rising &= table[i] >= table[i - 1];
        check_that(rising && table[0] == 0 && table[GPU_TONE_ENTRIES - 1] >= 250,
                   "tone curve %d falls, or goes from %d to %d", curve, table[0],
                   table[GPU_TONE_ENTRIES - 1]);
        static const float odd[] = {NAN, INFINITY, -INFINITY, -1.0f, 1e30f, 0.0f, 1e-30f, -0.0f};
        for (int i = 0; i < 8; i++) {
            int32_t byte = vi_lane(tone_byte(table, vf_set1(odd[i])), 0);
            check_that(byte == (odd[i] > 1.0f ? table[GPU_TONE_ENTRIES - 1] : 0),
                       "tone curve %d makes %d of %g", curve, byte, (double)odd[i]);
        }
    }
    int32_t grey = vi_lane(tone_byte(tables[GPU_TONE_NONE], vf_set1(0.2140f)), 0);
    check_that(abs(grey - 127) <= 1, "without a curve 0.214 is %d", grey);
    grey = vi_lane(tone_byte(tables[GPU_TONE_FILMIC], vf_set1(5.6f)), 0);
    check_that(grey == 255, "the film's white is %d", grey);
}

static void check_noise(void) {
    enum { SIDE = 256 };
    struct gpu_develop job = {.read_noise = 0.03f, .shot_noise = 0.1f, .seed = {7, 9}};
    const float light = 0.4f;
    const double expected = sqrt(0.03 * 0.03 + 0.1 * 0.1 * 0.4);
    double sum = 0.0, square = 0.0, beside = 0.0, below = 0.0, between = 0.0;
    static double noise[SIDE][SIDE];
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x += GPU_LANES) {
            vi column = vi_iota() + vi_set1(x);
            vf one = add_noise(&job, column, y, 0, vf_set1(light));
            vf other = add_noise(&job, column, y, 1, vf_set1(light));
            for (int k = 0; k < GPU_LANES; k++) {
                noise[y][x + k] = (double)vf_lane(one, k) - (double)light;
                between += noise[y][x + k] * ((double)vf_lane(other, k) - (double)light);
            }
        }
    }
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            sum += noise[y][x];
            square += noise[y][x] * noise[y][x];
            beside += noise[y][x] * noise[y][(x + 1) % SIDE];
            below += noise[y][x] * noise[(y + 1) % SIDE][x];
        }
    }
    const double count = (double)SIDE * SIDE, spread = sqrt(square / count);
    check_that(fabs(sum / count) < 5.0 * expected / SIDE, "noise has a mean of %g", sum / count);
    check_that(fabs(spread / expected - 1.0) < 0.02, "noise of %g instead of %g", spread, expected);
    check_that(fabs(beside) < 0.02 * square && fabs(below) < 0.02 * square &&
                   fabs(between) < 0.02 * square,
               "neighbours' noise goes together: %g, %g, channels' %g", beside / square,
               below / square, between / square);
    vf first = add_noise(&job, vi_iota(), 3, 0, vf_set1(light));
    job.seed[1]++;
    vf second = add_noise(&job, vi_iota(), 3, 0, vf_set1(light));
    check_that(vf_lane(first, 0) != vf_lane(second, 0), "another seed makes the same noise");
}

void check_shading(void) {
    check_energy();
    check_around();
    check_tone();
    check_noise();
}
