/* lighting.c - the daylight studio, the sun's axes and the tone curve; see view.h. */
#include "scene.h"
#include "view.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

void gpu_lighting_default(struct gpu_lighting *lighting) {
    *lighting = (struct gpu_lighting){
        .sun_direction = {0.45f, 0.95f, 0.62f},
        .sun_color = {0.98f, 0.93f, 0.86f},
        .sky_color = {0.46f, 0.49f, 0.53f},
        .bounce_color = {0.25f, 0.23f, 0.215f},
        .shadow_softness = 0.03f,
        .exposure = 1.0f,
        .ground = true,
        .ground_y = 0.0f,
        .ground_color = {0.57f, 0.565f, 0.555f},
        .background_top = {0.60f, 0.625f, 0.655f},
        .background_bottom = {0.70f, 0.70f, 0.695f},
    };
}

int gpu_lighting_check(const struct gpu_lighting *lighting, char *why) {
    const float *sun = lighting->sun_direction;
    float length = sun[0] * sun[0] + sun[1] * sun[1] + sun[2] * sun[2];
    if (!(length > 1e-12f && length < 1e12f))
        return gpu_fail(why, GPU_EINVAL, "sun_direction (%g, %g, %g) points nowhere",
                        (double)sun[0], (double)sun[1], (double)sun[2]);
    const float *colors[] = {lighting->sun_color,      lighting->sky_color,
                             lighting->bounce_color,   lighting->ground_color,
                             lighting->background_top, lighting->background_bottom};
    for (size_t i = 0; i < sizeof colors / sizeof colors[0]; i++)
        for (int c = 0; c < 3; c++)
            if (!(colors[i][c] >= 0.0f && colors[i][c] <= 1e6f))
                return gpu_fail(why, GPU_EINVAL, "a light or background colour is not in 0..1e6");
    if (!(lighting->exposure >= 0.0f && lighting->exposure <= 1e6f))
        return gpu_fail(why, GPU_EINVAL, "exposure %g is not in 0..1e6",
                        (double)lighting->exposure);
    if (!(lighting->shadow_softness >= 0.0f && lighting->shadow_softness <= 10.0f))
        return gpu_fail(why, GPU_EINVAL, "shadow_softness %g is not in 0..10 m",
                        (double)lighting->shadow_softness);
    if (!(fabsf(lighting->ground_y) < 1e6f))
        return gpu_fail(why, GPU_EINVAL, "ground_y %g is not within 1e6 m",
                        (double)lighting->ground_y);
    return GPU_OK;
}

struct gpu_sun gpu_lighting_sun(const struct gpu_lighting *lighting) {
    struct gpu_sun sun;
    const float *d = lighting->sun_direction;
    float length = sqrtf(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    for (int i = 0; i < 3; i++)
        sun.direction[i] = d[i] / length;
    d = sun.direction;
    /* Duff et al., "Building an Orthonormal Basis, Revisited", JCGT 6(1), 2017 */
    float sign = d[2] >= 0.0f ? 1.0f : -1.0f;
    float a = -1.0f / (sign + d[2]);
    float b = d[0] * d[1] * a;
    sun.across[0] = 1.0f + sign * d[0] * d[0] * a;
    sun.across[1] = sign * b;
    sun.across[2] = -sign * d[0];
    sun.down[0] = -b;
    sun.down[1] = -(sign + d[1] * d[1] * a);
    sun.down[2] = d[1];
    return sun;
}

void gpu_lighting_taps(float x[GPU_SHADOW_TAPS], float y[GPU_SHADOW_TAPS]) {
    /* H. Vogel, "A better way to construct the sunflower head", 1979: each point is turned by the
     * golden angle, whose cosine and sine these are. */
    const double turn_cos = -0.73736887807831990, turn_sin = 0.67549029426152364;
    double c = 1.0, s = 0.0;
    for (int i = 0; i < GPU_SHADOW_TAPS; i++) {
        double radius = sqrt((i + 0.5) / GPU_SHADOW_TAPS), next = c * turn_cos - s * turn_sin;
        x[i] = (float)(radius * c);
        y[i] = (float)(radius * s);
        s = s * turn_cos + c * turn_sin;
        c = next;
    }
}

/* -- Tone ---------------------------------------------------------------------------------------
 */

/* Straight below the knee, so that colours of well lit skin and cloth stay what they are; above it
 * a shoulder that reaches white only at infinity and meets the straight part without a kink. */
static double tone(double x) {
    const double knee = 0.55;
    if (x <= knee)
        return x;
    double over = (x - knee) / (1.0 - knee);
    return knee + (1.0 - knee) * over / (1.0 + over);
}

static double srgb(double linear) {
    return linear <= 0.0031308 ? 12.92 * linear : 1.055 * pow(linear, 1.0 / 2.4) - 0.055;
}

void gpu_tone_table(uint8_t table[GPU_TONE_ENTRIES + 3]) {
    const int shift = 23 - GPU_TONE_STEPS;
    for (uint32_t i = 0; i < GPU_TONE_ENTRIES + 3; i++) {
        uint32_t entry = i < GPU_TONE_ENTRIES ? i : GPU_TONE_ENTRIES - 1;
        uint32_t bits = GPU_TONE_LOWEST + (entry << shift) + (1u << (shift - 1));
        float middle;
        memcpy(&middle, &bits, sizeof middle);
        table[i] = (uint8_t)lrint(255.0 * srgb(tone((double)middle)));
    }
    table[0] = 0;
}
