/* body.h - scenes for the checks, made in code: a jointed body of capsules, and loose triangles at
 * random. What they point to lives in static or heap memory that body_free ends. */
#ifndef STANCE_GPU_CHECK_BODY_H
#define STANCE_GPU_CHECK_BODY_H

#include "../stance_gpu.h"

#ifdef __cplusplus
extern "C" {
#endif

struct body {
    struct gpu_scene_desc desc;
    float *positions, *normals, *uvs, *weights;
    uint16_t *joints, *materials;
    uint32_t *indices;
    uint8_t *parts; /* of the person: 1 + joint */
    struct gpu_material table[8];
    struct gpu_texture textures[2];
    uint8_t *texels[2];
};

/* A body of about 1.75 m with the feet on y = 0, of about `triangles` triangles; checks and stripes
 * where textured. */
void body_init_person(struct body *body, uint32_t triangles, bool textured);

/* Loose triangles around the origin: slivers, large ones, double-sided ones, holed ones. One joint.
 */
void body_init_random(struct body *body, uint32_t triangles, uint64_t seed);

void body_free(struct body *body);

enum { BODY_JOINTS = 17 };

/* The person's pose `phase` of a walk, 0..1: [BODY_JOINTS][12]. */
void body_pose(float phase, float *pose);

/* A point inside a limb, for labels: joint 0 .. BODY_JOINTS - 1. */
struct gpu_anchor body_anchor(uint32_t joint);

/* xorshift: 0 <= x < 1. */
double body_random(uint64_t *state);

#ifdef __cplusplus
}
#endif
#endif
