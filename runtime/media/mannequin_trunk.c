/* mannequin_trunk.c - the wooden pieces on the middle: pelvis, waist, chest, neck, head; and what
 * all pieces share. */
#include <math.h>
#include <string.h>

#include "media/mannequin_parts.h"

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof(array)[0]))

static const float UP[3] = {0, 1, 0}, FORWARD[3] = {0, 0, 1};

/* -- Shared ------------------------------------------------------------------------------------ */

/* 0..1; xorshift: which plank a piece is from matters to nobody but must be the same every time. */
static float next_random(struct mannequin_build *build) {
    build->random ^= build->random << 13;
    build->random ^= build->random >> 17;
    build->random ^= build->random << 5;
    return (float)(build->random >> 8) / 16777216.0F;
}

struct lathe_part mannequin_part(struct mannequin_build *build, const struct lathe_ring *rings,
                                 uint32_t ring_count, uint32_t segments) {
    uint32_t around = 2 * (uint32_t)lroundf((float)segments * build->fineness / 2);
    struct lathe_part part = {
        .rings = rings, .ring_count = ring_count, .segments = around < 6 ? 6 : around};
    part.turn = 0.26F / build->fineness;
    part.grain[0] = next_random(build);
    part.grain[1] = next_random(build);
    return part;
}

static void cross(const float a[3], const float b[3], float out[3]) {
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

struct lathe_frame mannequin_frame(const struct mannequin_build *build, int bone,
                                   const float axis[3], const float front_hint[3]) {
    struct lathe_frame frame = {.joint = {(uint8_t)bone, 0}, .weight = {1, 0}};
    memcpy(frame.origin, build->rig->position[bone], sizeof frame.origin);
    memcpy(frame.axis, axis, sizeof frame.axis);
    cross(axis, front_hint, frame.side);
    float length = sqrtf(frame.side[0] * frame.side[0] + frame.side[1] * frame.side[1] +
                         frame.side[2] * frame.side[2]);
    for (int i = 0; i < 3; i++)
        frame.side[i] /= length;
    cross(frame.side, axis, frame.front);
    return frame;
}

void mannequin_add_ball(struct mannequin_build *build, int bone, const float axis[3], float radius,
                        uint32_t segments) {
    struct lathe_ring rings[9] = {{0}};
    for (int i = 0; i < 9; i++) {
        float angle = (float)i * 0.392699082F; /* an eighth of half a turn */
        float wide = i % 8 ? radius * sinf(angle) : 0;
        rings[i] = (struct lathe_ring){
            .at = -radius * cosf(angle), .side = wide, .front = wide, .back = wide};
    }
    const float hint[3] = {axis[1], axis[2], axis[0]}; /* any direction but the axis itself */
    struct lathe_part part = mannequin_part(build, rings, COUNT(rings), segments);
    part.frame = mannequin_frame(build, bone, axis, hint);
    lathe_turn(&build->mesh[TONE_JOINT], &part);
}

/* The smaller of a and b, rounded off over about `soft` where they meet. */
static double soft_min(double a, double b, double soft) {
    return (a + b - sqrt((a - b) * (a - b) + soft * soft)) / 2;
}

/* -- Pieces ------------------------------------------------------------------------------------ */

/* Heights are from the hips' bone at 0.955. */
static const struct lathe_ring PELVIS[] = {
    {.at = -0.118F},
    {.at = -0.108F, .side = 0.026F, .front = 0.044F, .back = 0.050F},
    {.at = -0.080F, .side = 0.050F, .front = 0.072F, .back = 0.080F},
    {.at = -0.048F, .side = 0.098F, .front = 0.092F, .back = 0.102F, .square = 2.2F},
    {.at = -0.012F, .side = 0.142F, .front = 0.099F, .back = 0.111F, .square = 2.3F},
    {.at = 0.022F, .side = 0.149F, .front = 0.096F, .back = 0.106F, .square = 2.3F},
    {.at = 0.052F, .side = 0.136F, .front = 0.089F, .back = 0.092F, .square = 2.3F},
    {.at = 0.072F, .side = 0.119F, .front = 0.080F, .back = 0.080F, .square = 2.2F, .crease = true},
    {.at = 0.077F, .side = 0.112F, .front = 0.074F, .back = 0.074F, .square = 2.2F, .crease = true},
    {.at = 0.066F, .side = 0.085F, .front = 0.058F, .back = 0.058F, .square = 2.1F},
    {.at = 0.050F},
};

/* From Spine1 at 1.115: an egg that pelvis and chest both cup. */
static const struct lathe_ring WAIST[] = {
    {.at = -0.104F},
    {.at = -0.096F, .side = 0.046F, .front = 0.033F, .back = 0.033F},
    {.at = -0.072F, .side = 0.080F, .front = 0.057F, .back = 0.056F, .square = 2.1F},
    {.at = -0.036F, .side = 0.098F, .front = 0.072F, .back = 0.069F, .square = 2.15F},
    {.at = -0.004F, .side = 0.102F, .front = 0.076F, .back = 0.072F, .square = 2.15F},
    {.at = 0.030F, .side = 0.095F, .front = 0.070F, .back = 0.067F, .square = 2.1F},
    {.at = 0.064F, .side = 0.069F, .front = 0.050F, .back = 0.049F},
    {.at = 0.080F, .side = 0.040F, .front = 0.029F, .back = 0.029F},
    {.at = 0.086F},
};

/* From Spine2 at 1.215. */
static const struct lathe_ring CHEST[] = {
    {.at = -0.030F},
    {.at = -0.046F, .side = 0.086F, .front = 0.062F, .back = 0.060F, .square = 2.1F},
    {.at = -0.056F,
     .side = 0.109F,
     .front = 0.081F,
     .back = 0.075F,
     .square = 2.2F,
     .crease = true},
    {.at = -0.051F,
     .side = 0.116F,
     .front = 0.088F,
     .back = 0.082F,
     .square = 2.2F,
     .crease = true},
    {.at = -0.010F, .side = 0.128F, .front = 0.100F, .back = 0.092F, .square = 2.25F},
    {.at = 0.055F, .side = 0.147F, .front = 0.115F, .back = 0.104F, .square = 2.3F},
    {.at = 0.115F, .side = 0.157F, .front = 0.116F, .back = 0.112F, .square = 2.35F},
    {.at = 0.165F, .side = 0.153F, .front = 0.104F, .back = 0.112F, .square = 2.35F},
    {.at = 0.205F,
     .side = 0.132F,
     .front = 0.084F,
     .back = 0.098F,
     .shift = -0.002F,
     .square = 2.3F},
    {.at = 0.232F,
     .side = 0.096F,
     .front = 0.064F,
     .back = 0.074F,
     .shift = -0.004F,
     .square = 2.2F},
    {.at = 0.248F,
     .side = 0.060F,
     .front = 0.048F,
     .back = 0.052F,
     .shift = -0.005F,
     .crease = true},
    {.at = 0.251F,
     .side = 0.054F,
     .front = 0.044F,
     .back = 0.047F,
     .shift = -0.005F,
     .crease = true},
    {.at = 0.238F},
};

/* From the neck's bone at 1.462, leaning forward to the head's. */
static const struct lathe_ring NECK[] = {
    {.at = 0.026F},
    {.at = 0.0195F, .side = 0.0415F, .front = 0.0415F, .back = 0.0415F, .crease = true},
    {.at = 0.0205F, .side = 0.0430F, .front = 0.0430F, .back = 0.0430F, .crease = true},
    {.at = 0.0230F, .side = 0.0435F, .front = 0.0435F, .back = 0.0435F},
    {.at = 0.0280F, .side = 0.0420F, .front = 0.0420F, .back = 0.0420F},
    {.at = 0.0370F, .side = 0.0385F, .front = 0.0385F, .back = 0.0385F},
    {.at = 0.0450F, .side = 0.0378F, .front = 0.0378F, .back = 0.0378F},
    {.at = 0.0510F, .side = 0.0388F, .front = 0.0388F, .back = 0.0388F, .crease = true},
    {.at = 0.0520F, .side = 0.0375F, .front = 0.0375F, .back = 0.0375F, .crease = true},
    {.at = 0.0460F},
};

/* From the head's bone at 1.535: an egg, its point the chin. */
static const struct lathe_ring HEAD[] = {
    {.at = -0.006F, .shift = 0.030F},
    {.at = 0.001F, .side = 0.026F, .front = 0.030F, .back = 0.036F, .shift = 0.030F},
    {.at = 0.020F, .side = 0.044F, .front = 0.050F, .back = 0.062F, .shift = 0.026F},
    {.at = 0.056F, .side = 0.063F, .front = 0.073F, .back = 0.088F, .shift = 0.015F},
    {.at = 0.100F,
     .side = 0.0745F,
     .front = 0.087F,
     .back = 0.102F,
     .shift = 0.006F,
     .square = 2.05F},
    {.at = 0.135F,
     .side = 0.0770F,
     .front = 0.089F,
     .back = 0.103F,
     .shift = 0.003F,
     .square = 2.05F},
    {.at = 0.168F, .side = 0.0715F, .front = 0.082F, .back = 0.093F},
    {.at = 0.196F, .side = 0.053F, .front = 0.060F, .back = 0.067F, .shift = -0.001F},
    {.at = 0.210F, .side = 0.030F, .front = 0.033F, .back = 0.037F, .shift = -0.002F},
    {.at = 0.215F, .shift = -0.002F},
};

/* The face: two planes that meet in a soft ridge, leaning back a little towards the brow. */
static void carve_face(double p[3]) {
    double up = (p[1] - 1.625) / 0.1;
    double plane = 0.0895 - 0.006 * up * up - 0.004 * up - 0.21 * sqrt(p[0] * p[0] + 2.5e-5);
    if (p[2] > 0)
        p[2] = soft_min(p[2], plane, 0.012);
}

/* The chest's lower rim rises to an arch in front, as ribs do. */
static void carve_chest(double p[3]) {
    double fade = fmin(fmax((1.300 - p[1]) / 0.135, 0), 1);
    double front = fmin(fmax((p[2] - 0.02) / 0.07, 0), 1);
    double middle = exp(-p[0] * p[0] / (0.055 * 0.055));
    p[1] += 0.030 * fade * fade * front * front * (3 - 2 * front) * middle;
}

static void add_piece(struct mannequin_build *build, int bone, enum mannequin_tone tone,
                      struct lathe_part part) {
    part.frame = mannequin_frame(build, bone, UP, FORWARD);
    lathe_turn(&build->mesh[tone], &part);
}

static void add_waist(struct mannequin_build *build) {
    struct lathe_part part = mannequin_part(build, WAIST, COUNT(WAIST), 40);
    part.frame = mannequin_frame(build, BONE_SPINE1, UP, FORWARD);
    part.frame.joint[1] = BONE_SPINE;
    part.frame.weight[0] = part.frame.weight[1] = 0.5F;
    lathe_turn(&build->mesh[TONE_JOINT], &part);
}

static void add_neck(struct mannequin_build *build) {
    const float *from = build->rig->position[BONE_NECK], *to = build->rig->position[BONE_HEAD];
    float length = hypotf(to[1] - from[1], to[2] - from[2]);
    const float axis[3] = {0, (to[1] - from[1]) / length, (to[2] - from[2]) / length};
    struct lathe_part part = mannequin_part(build, NECK, COUNT(NECK), 32);
    part.frame = mannequin_frame(build, BONE_NECK, axis, FORWARD);
    lathe_turn(&build->mesh[TONE_BODY], &part);
    mannequin_add_ball(build, BONE_NECK, UP, 0.0455F, 28);
    mannequin_add_ball(build, BONE_HEAD, UP, 0.043F, 28);
}

/* A bead on the head: an ellipsoid with half axes side, up and front. */
static void add_bead(struct mannequin_build *build, enum mannequin_tone tone, const float at[3],
                     const float half[3], uint32_t segments) {
    struct lathe_ring rings[9] = {{0}};
    for (int i = 0; i < 9; i++) {
        float angle = (float)i * 0.392699082F; /* an eighth of half a turn */
        float wide = i % 8 ? sinf(angle) : 0;
        rings[i] = (struct lathe_ring){.at = -half[1] * cosf(angle),
                                       .side = half[0] * wide,
                                       .front = half[2] * wide,
                                       .back = half[2] * wide};
    }
    struct lathe_part part = mannequin_part(build, rings, COUNT(rings), segments);
    part.frame = mannequin_frame(build, BONE_HEAD, UP, FORWARD);
    memcpy(part.frame.origin, at, sizeof part.frame.origin);
    part.turn *= 2; /* small things need few rows */
    lathe_turn(&build->mesh[tone], &part);
}

/* Eyes, nose, mouth and ears tell front from back, to people and to pose networks. */
static void add_face(struct mannequin_build *build) {
    static const float nose[3] = {0, 1.606F, 0.083F}, mouth[3] = {0, 1.572F, 0.0735F};
    add_bead(build, TONE_BODY, nose, (const float[3]){0.0105F, 0.024F, 0.018F}, 16);
    add_bead(build, TONE_JOINT, mouth, (const float[3]){0.021F, 0.0048F, 0.0085F}, 16);
    for (int i = 0; i < 2; i++) {
        float side = i == 0 ? 1 : -1;
        const float eye[3] = {side * 0.031F, 1.638F, 0.0715F};
        const float brow[3] = {side * 0.032F, 1.657F, 0.0725F};
        const float ear[3] = {side * 0.0745F, 1.624F, -0.004F};
        add_bead(build, TONE_EYE, eye, (const float[3]){0.0125F, 0.0085F, 0.0105F}, 16);
        add_bead(build, TONE_JOINT, brow, (const float[3]){0.017F, 0.0032F, 0.0095F}, 16);
        add_bead(build, TONE_BODY, ear, (const float[3]){0.0115F, 0.025F, 0.0165F}, 16);
    }
}

void mannequin_add_trunk(struct mannequin_build *build) {
    add_piece(build, BONE_HIPS, TONE_BODY, mannequin_part(build, PELVIS, COUNT(PELVIS), 48));
    add_waist(build);
    struct lathe_part chest = mannequin_part(build, CHEST, COUNT(CHEST), 52);
    chest.shape = carve_chest;
    add_piece(build, BONE_SPINE2, TONE_BODY, chest);
    add_neck(build);
    struct lathe_part head = mannequin_part(build, HEAD, COUNT(HEAD), 48);
    head.shape = carve_face;
    add_piece(build, BONE_HEAD, TONE_BODY, head);
    add_face(build);
}
