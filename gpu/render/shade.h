/* shade.h - what shading is given: a frame's light with the shadows in it, and a view's rays. Kept
 * apart from the maths over it (surface.h, light.h, backdrop.h, develop.h), which needs lanes. */
#ifndef STANCE_GPU_SHADE_H
#define STANCE_GPU_SHADE_H

#include "environment.h"
#include "scene.h"
#include "view.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The sun's view of one body. */
struct gpu_shadow {
    float scale;  /* texels a metre */
    float x0, y0; /* light metres of the map's corner */
    int32_t width, height, stride;
    const float *depth; /* [height][stride], metres towards the sun, 0: nothing */
    float base;         /* light z of depth 0 */
};

/* What darkens the ground: a body's shadow in cells of the sun's view, and its nearness in cells of
 * the plane. */
struct gpu_ground {
    float shadow_scale, shadow_x0, shadow_y0; /* cell = (light - x0) * scale */
    int32_t shadow_width, shadow_height;
    const float *shadow; /* 0..1; the outermost cells are 0 */
    float contact_scale, contact_x0, contact_z0;
    int32_t contact_width, contact_height;
    const float *contact; /* 0..1, likewise */
};

enum {
    GPU_OPEN_LOOKS = 2, /* near by, and in cells of twice the size */
    GPU_OPEN_AHEAD = 7, /* half cells before the surface: its own cells are out of reach */
};

/* How many cells around one a body's surface touches, blurred over five cells of each axis. */
struct gpu_open_cells {
    float from[3], scale; /* metres; cells a metre */
    int32_t size[3];
    const int32_t *count; /* [size z][size y][size x]; the outermost are 0 */
    float sheet;          /* 1 over the count of a sheet across the sight */
};

/* What open shares of the sky are found in (openness.h). */
struct gpu_open_grid {
    struct gpu_open_cells looks[GPU_OPEN_LOOKS];
    float strength;
};

/* What one body casts. A map a body, not cascades around the camera: bodies are small and the stage
 * between them is empty, so each map is spent on what can cast, whatever the distances, and all
 * views of a frame share it. */
struct gpu_cast {
    struct gpu_shadow sun;
    struct gpu_ground ground;
    const float *open; /* [vertex]: the share of the sky that it leaves itself; NULL: all of it */
};

/* A lamp as kernels want it. */
struct gpu_lamp {
    float position[3], direction[3], color[3]; /* direction: unit */
    float radius, nearest;                     /* metres; metres squared that it is at least off */
    float edge, fade; /* of a spot: cosine where it ends, and 1 over what it takes to full light */
};

/* A frame's light. */
struct gpu_daylight {
    const struct gpu_lighting *lighting;
    const float *gloss_table;                  /* gpu_gloss_table */
    const struct gpu_environment *environment; /* NULL: sky and bounce */
    float turn_cos, turn_sin;                  /* of the environment about y */
    struct gpu_lamp lamps[GPU_MAX_LIGHTS];
    uint32_t lamp_count;
    struct gpu_sun sun;
    float m[12];                                          /* light = m * world: across, down and
                                                             towards the sun, in metres */
    float tap_x[GPU_SHADOW_TAPS], tap_y[GPU_SHADOW_TAPS]; /* gpu_lighting_taps */
    const struct gpu_cast *casts;
    uint32_t cast_count;
    float centre_x, centre_z, reach; /* metres: where the ground fades into the background */
};

/* A picture behind everything: as large as covers the view, its middle in the view's. */
struct gpu_backdrop {
    const uint8_t *rgba; /* NULL: none */
    int32_t width, height;
    float scale, x0, y0; /* texel = x0 + pixel * scale */
    int32_t taps;        /* a side that a pixel takes */
    const float *linear; /* [256]: bytes to light */
};

struct gpu_shade {
    const struct gpu_scene *scene;
    const float *vertices; /* skinned */
    const float *open;     /* its gpu_cast's */
    const struct gpu_daylight *light;
    struct gpu_rays rays;
    float pixel_size; /* of a pixel at one metre: metres */
    struct gpu_backdrop backdrop;
};

enum {
    GPU_GLOSS_FACING = 32,
    GPU_GLOSS_ROUGH = 16,
    GPU_GLOSS_TABLE = 2 * GPU_GLOSS_FACING * GPU_GLOSS_ROUGH,
};

/* What microfacet layers send of a white world's light to the eye (gloss.h), by roughness and, in a
 * row, by the cosine of the eye's angle. Takes some milliseconds. */
void gpu_gloss_table(float table[GPU_GLOSS_TABLE]);

/* Fills in what a frame's lighting says; what bodies cast is for the caller to add. */
void gpu_daylight_init(struct gpu_daylight *light, const struct gpu_lighting *lighting,
                       const float *gloss_table);

/* Lays a picture behind a view; texture NULL: none. linear: gpu_srgb_table. */
struct gpu_backdrop gpu_backdrop_fit(const struct gpu_texture *texture, uint32_t width,
                                     uint32_t height, const float *linear);
void gpu_srgb_table(float table[256]);

/* From linear light to bytes. */
struct gpu_develop {
    const uint8_t *tone; /* gpu_tone_table */
    float exposure;
    float shot_noise, read_noise; /* standard deviations relative to full scale */
    uint32_t seed[2];
};

#ifdef __cplusplus
}
#endif
#endif
