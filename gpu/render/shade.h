/* shade.h - what shading is given: a frame's light with the shadows in it, and a view's rays. Kept
 * apart from the maths over it (surface.h, light.h, backdrop.h, develop.h), which needs lanes. */
#ifndef STANCE_GPU_SHADE_H
#define STANCE_GPU_SHADE_H

#include "scene.h"
#include "view.h"

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

/* What one body casts. A map a body, not cascades around the camera: bodies are small and the stage
 * between them is empty, so each map is spent on what can cast, whatever the distances, and all
 * views of a frame share it. */
struct gpu_cast {
    struct gpu_shadow sun;
    struct gpu_ground ground;
};

/* A frame's light. */
struct gpu_daylight {
    const struct gpu_lighting *lighting;
    struct gpu_sun sun;
    float m[12];                                          /* light = m * world: across, down and
                                                             towards the sun, in metres */
    float tap_x[GPU_SHADOW_TAPS], tap_y[GPU_SHADOW_TAPS]; /* gpu_lighting_taps */
    const struct gpu_cast *casts;
    uint32_t cast_count;
    float centre_x, centre_z, reach; /* metres: where the ground fades into the background */
};

struct gpu_shade {
    const struct gpu_scene *scene;
    const float *vertices; /* skinned */
    const struct gpu_daylight *light;
    struct gpu_rays rays;
    float pixel_size; /* of a pixel at one metre: metres */
};

/* From linear light to bytes. */
struct gpu_develop {
    const uint8_t *tone; /* gpu_tone_table */
    float exposure;
    float shot_noise, read_noise; /* standard deviations relative to full scale */
    uint32_t seed[2];
};

#endif
