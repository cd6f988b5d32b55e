/* lighting.c - the daylight studio, what kernels read of a frame's light, and the tone curves; see
 * view.h and shade.h. */
#include "shade.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define PI 3.14159265f

void gpu_lighting_default(struct gpu_lighting *lighting) {
    *lighting = (struct gpu_lighting){
        .sun_direction = {0.45f, 0.95f, 0.62f},
        .sun_color = {0.98f, 0.93f, 0.86f},
        .sky_color = {0.46f, 0.49f, 0.53f},
        .bounce_color = {0.25f, 0.23f, 0.215f},
        .shadow_softness = 0.03f,
        .occlusion = 0.6f,
        .exposure = 1.0f,
        .ground = true,
        .ground_y = 0.0f,
        .ground_color = {0.57f, 0.565f, 0.555f},
        .background_top = {0.60f, 0.625f, 0.655f},
        .background_bottom = {0.70f, 0.70f, 0.695f},
        .environment_strength = 1.0f,
    };
}

/* -- Checks -------------------------------------------------------------------------------------
 */

static bool is_light(const float color[3]) {
    for (int c = 0; c < 3; c++)
        if (!(color[c] >= 0.0f && color[c] <= 1e6f))
            return false;
    return true;
}

static bool is_near(const float at[3], float limit) {
    return fabsf(at[0]) < limit && fabsf(at[1]) < limit && fabsf(at[2]) < limit;
}

static bool points_somewhere(const float d[3]) {
    float length = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
    return length > 1e-12f && length < 1e12f;
}

static int check_light(const struct gpu_light *light, uint32_t index, char *why) {
    if (!is_near(light->position, 1e6f))
        return gpu_fail(why, GPU_EINVAL, "light %u does not stand within 1e6 m", index);
    if (!is_light(light->color))
        return gpu_fail(why, GPU_EINVAL, "the colour of light %u is not in 0..1e6", index);
    if (!(light->radius >= 0.0f && light->radius <= 1e3f))
        return gpu_fail(why, GPU_EINVAL, "the radius of light %u is %g: 0 to 1000 m", index,
                        (double)light->radius);
    if (!(light->cone > 0.0f && light->cone < 3.2f && light->blend >= 0.0f && light->blend <= 1.0f))
        return gpu_fail(why, GPU_EINVAL,
                        "light %u has a cone of %g and a blend of %g: above 0 to pi, 0 to 1", index,
                        (double)light->cone, (double)light->blend);
    if (light->cone < PI && !points_somewhere(light->direction))
        return gpu_fail(why, GPU_EINVAL, "spot light %u points nowhere", index);
    return GPU_OK;
}

int gpu_lighting_check(const struct gpu_lighting *lighting, char *why) {
    const float *sun = lighting->sun_direction;
    if (!points_somewhere(sun))
        return gpu_fail(why, GPU_EINVAL, "sun_direction (%g, %g, %g) points nowhere",
                        (double)sun[0], (double)sun[1], (double)sun[2]);
    const float *colors[] = {lighting->sun_color,      lighting->sky_color,
                             lighting->bounce_color,   lighting->ground_color,
                             lighting->background_top, lighting->background_bottom};
    for (size_t i = 0; i < sizeof colors / sizeof colors[0]; i++)
        if (!is_light(colors[i]))
            return gpu_fail(why, GPU_EINVAL, "a light or background colour is not in 0..1e6");
    const struct {
        const char *name;
        float value, most;
    } factors[] = {{"exposure", lighting->exposure, 1e6f},
                   {"shadow_softness", lighting->shadow_softness, 10.0f},
                   {"occlusion", lighting->occlusion, 1.0f},
                   {"environment_strength", lighting->environment_strength, 1e6f}};
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++)
        if (!(factors[i].value >= 0.0f && factors[i].value <= factors[i].most))
            return gpu_fail(why, GPU_EINVAL, "%s %g is not in 0..%g", factors[i].name,
                            (double)factors[i].value, (double)factors[i].most);
    if (!(fabsf(lighting->ground_y) < 1e6f))
        return gpu_fail(why, GPU_EINVAL, "ground_y %g is not within 1e6 m",
                        (double)lighting->ground_y);
    if (!(fabsf(lighting->environment_turn) < 1e4f))
        return gpu_fail(why, GPU_EINVAL, "environment_turn %g is not within 1e4 radians",
                        (double)lighting->environment_turn);
    if ((uint32_t)lighting->tone >= GPU_TONE_COUNT)
        return gpu_fail(why, GPU_EINVAL, "there is no tone curve %d", (int)lighting->tone);
    if (lighting->light_count > GPU_MAX_LIGHTS)
        return gpu_fail(why, GPU_EINVAL, "%u lights: at most %d", lighting->light_count,
                        GPU_MAX_LIGHTS);
    for (uint32_t i = 0; i < lighting->light_count; i++) {
        int code = check_light(&lighting->lights[i], i, why);
        if (code != GPU_OK)
            return code;
    }
    return GPU_OK;
}

/* -- What kernels read --------------------------------------------------------------------------
 */

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

static struct gpu_lamp make_lamp(const struct gpu_light *light) {
    struct gpu_lamp lamp = {.radius = light->radius, .edge = -2.0f, .fade = 1.0f};
    const float *d = light->direction;
    float length = sqrtf(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    for (int i = 0; i < 3; i++) {
        lamp.position[i] = light->position[i];
        lamp.color[i] = light->color[i];
        lamp.direction[i] = length > 0.0f ? d[i] / length : 0.0f;
    }
    lamp.nearest = fmaxf(light->radius * light->radius, 1e-4f);
    if (light->cone < PI) {
        double full = cos((double)light->cone * (1.0 - (double)light->blend));
        lamp.edge = (float)cos((double)light->cone);
        lamp.fade = (float)(1.0 / fmax(full - cos((double)light->cone), 1e-4));
    }
    return lamp;
}

void gpu_daylight_init(struct gpu_daylight *light, const struct gpu_lighting *lighting,
                       const float *gloss_table) {
    struct gpu_sun axes = gpu_lighting_sun(lighting);
    *light = (struct gpu_daylight){.lighting = lighting,
                                   .gloss_table = gloss_table,
                                   .environment = lighting->environment,
                                   .turn_cos = (float)cos((double)lighting->environment_turn),
                                   .turn_sin = (float)sin((double)lighting->environment_turn),
                                   .lamp_count = lighting->light_count,
                                   .sun = axes};
    for (int i = 0; i < 3; i++) {
        light->m[i] = axes.across[i];
        light->m[4 + i] = axes.down[i];
        light->m[8 + i] = axes.direction[i];
    }
    gpu_lighting_taps(light->tap_x, light->tap_y);
    for (uint32_t i = 0; i < lighting->light_count; i++)
        light->lamps[i] = make_lamp(&lighting->lights[i]);
}

/* -- Background pictures ------------------------------------------------------------------------
 */

void gpu_srgb_table(float table[256]) {
    for (int i = 0; i < 256; i++) {
        double s = i / 255.0;
        table[i] = (float)(s <= 0.04045 ? s / 12.92 : pow((s + 0.055) / 1.055, 2.4));
    }
}

struct gpu_backdrop gpu_backdrop_fit(const struct gpu_texture *texture, uint32_t width,
                                     uint32_t height, const float *linear) {
    struct gpu_backdrop out = {.linear = linear};
    if (texture == NULL)
        return out;
    float across = (float)texture->width / (float)width;
    float down = (float)texture->height / (float)height;
    out.rgba = texture->rgba;
    out.width = (int32_t)texture->width;
    out.height = (int32_t)texture->height;
    out.scale = fminf(across, down);
    out.x0 = 0.5f * ((float)texture->width - out.scale * (float)width);
    out.y0 = 0.5f * ((float)texture->height - out.scale * (float)height);
    out.taps = out.scale <= 1.0f ? 1 : out.scale < 4.0f ? (int32_t)ceilf(out.scale) : 4;
    return out;
}

/* -- Gloss --------------------------------------------------------------------------------------
 */

/* What a microfacet layer (gloss.h) sends of a white world's light to an eye at `facing`: out[0]
 * times the reflectance straight on, plus out[1]. Microfacets are drawn by their distribution, in a
 * spiral of even steps. */
static void integrate(double facing, double roughness, float out[2]) {
    enum { STEPS = 512 };
    const double turn_cos = -0.73736887807831990, turn_sin = 0.67549029426152364;
    double alpha = roughness * roughness, square = alpha * alpha, c = 1.0, s = 0.0;
    double eye_x = sqrt(1.0 - facing * facing), sum[2] = {0};
    for (int i = 0; i < STEPS; i++) {
        double u = (i + 0.5) / STEPS, next = c * turn_cos - s * turn_sin;
        double tilt = sqrt((1.0 - u) / (1.0 + (square - 1.0) * u));
        double across = sqrt(1.0 - tilt * tilt) * c, eye = across * eye_x + tilt * facing;
        double lit = 2.0 * eye * tilt - facing;
        s = s * turn_cos + c * turn_sin;
        c = next;
        if (lit <= 0.0 || eye <= 0.0)
            continue;
        double shadowing = lit * sqrt(facing * facing * (1.0 - square) + square) +
                           facing * sqrt(lit * lit * (1.0 - square) + square);
        double weight = 2.0 * lit * eye / (shadowing * tilt), bend = 1.0 - eye;
        bend *= bend * bend * bend * bend;
        sum[0] += weight * (1.0 - bend);
        sum[1] += weight * bend;
    }
    out[0] = (float)(sum[0] / STEPS);
    out[1] = (float)(sum[1] / STEPS);
}

void gpu_gloss_table(float table[GPU_GLOSS_TABLE]) {
    for (int r = 0; r < GPU_GLOSS_ROUGH; r++)
        for (int f = 0; f < GPU_GLOSS_FACING; f++)
            integrate(fmax((double)f / (GPU_GLOSS_FACING - 1), 0.004),
                      fmax((double)r / (GPU_GLOSS_ROUGH - 1), 0.05),
                      table + 2 * (r * GPU_GLOSS_FACING + f));
}

/* -- Tone ---------------------------------------------------------------------------------------
 */

/* Straight below the knee, so that colours of well lit skin and cloth stay what they are; above it
 * a shoulder that reaches white only at infinity and meets the straight part without a kink. */
static double soft(double x) {
    const double knee = 0.55;
    if (x <= knee)
        return x;
    double over = (x - knee) / (1.0 - knee);
    return knee + (1.0 - knee) * over / (1.0 + over);
}

/* The numbers are those of J. Hable, "Filmic Tonemapping Operators", 2010 (Uncharted 2), with light
 * doubled before the curve as he does it, and white at 11.2 after. */
static double film(double x) {
    const double a = 0.15, b = 0.50, c = 0.10, d = 0.20, e = 0.02, f = 0.30;
    return (x * (a * x + c * b) + d * e) / (x * (a * x + b) + d * f) - e / f;
}

static double tone(enum gpu_tone curve, double x) {
    if (curve == GPU_TONE_SOFT)
        return soft(x);
    if (curve == GPU_TONE_FILMIC)
        return fmin(film(2.0 * x) / film(11.2), 1.0);
    return fmin(x, 1.0);
}

static double srgb(double linear) {
    return linear <= 0.0031308 ? 12.92 * linear : 1.055 * pow(linear, 1.0 / 2.4) - 0.055;
}

void gpu_tone_table(enum gpu_tone curve, uint8_t table[GPU_TONE_BYTES]) {
    const int shift = 23 - GPU_TONE_STEPS;
    for (uint32_t i = 0; i < GPU_TONE_BYTES; i++) {
        uint32_t entry = i < GPU_TONE_ENTRIES ? i : GPU_TONE_ENTRIES - 1;
        uint32_t bits = GPU_TONE_LOWEST + (entry << shift) + (1u << (shift - 1));
        float middle;
        memcpy(&middle, &bits, sizeof middle);
        table[i] = (uint8_t)lrint(255.0 * srgb(tone(curve, (double)middle)));
    }
    table[0] = 0;
}
