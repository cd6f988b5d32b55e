/* mannequin_parts.h - what the files of the mannequin share: bones, wooden pieces, poses, wood. Not
 * for others.
 *
 * All lengths here are those of a mannequin of 1.75 m; mannequin.c scales the result. */
#ifndef STANCE_MEDIA_MANNEQUIN_PARTS_H
#define STANCE_MEDIA_MANNEQUIN_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "media/lathe.h"

struct err;

/* -- Bones (mannequin_rig.c) ------------------------------------------------------------------- */

/* Bones on the middle, then all of the left side, then the same of the right. */
enum mannequin_bone {
    BONE_HIPS,
    BONE_SPINE,
    BONE_SPINE1,
    BONE_SPINE2,
    BONE_NECK,
    BONE_HEAD,
    BONE_HEAD_TOP,
    BONE_LEFT_SHOULDER,
    BONE_LEFT_ARM,
    BONE_LEFT_FORE_ARM,
    BONE_LEFT_HAND,
    BONE_LEFT_THUMB1, /* five fingers of four bones, the last one a tip */
    BONE_LEFT_INDEX1 = BONE_LEFT_THUMB1 + 4,
    BONE_LEFT_UP_LEG = BONE_LEFT_THUMB1 + 20,
    BONE_LEFT_LEG,
    BONE_LEFT_FOOT,
    BONE_LEFT_TOE_BASE,
    BONE_LEFT_TOE_END,
    BONE_RIGHT_SHOULDER,
    BONE_SIDE = BONE_RIGHT_SHOULDER - BONE_LEFT_SHOULDER, /* from a left bone to its right twin */
    BONE_COUNT = BONE_RIGHT_SHOULDER + BONE_SIDE,
};

enum { MANNEQUIN_FINGERS = 5 };

struct mannequin_rig {
    char name[BONE_COUNT][32];
    int parent[BONE_COUNT]; /* -1 for the hips */
    float position[BONE_COUNT][3];
};

void mannequin_rig_init(struct mannequin_rig *rig);

/* -- Pieces (mannequin_trunk.c, mannequin_limbs.c) --------------------------------------------- */

enum mannequin_tone { TONE_BODY, TONE_JOINT, TONE_EXTREMITY, TONE_EYE, TONE_COUNT };

/* Where pieces are put while the mannequin is built. */
struct mannequin_build {
    const struct mannequin_rig *rig;
    struct turned_mesh mesh[TONE_COUNT];
    uint32_t random; /* state; where each piece is cut from the wood */
    float fineness;  /* 1 for the usual detail */
};

/* A part with the build's fineness, cut from the wood at random. `segments` is for the usual
 * detail. */
struct lathe_part mannequin_part(struct mannequin_build *build, const struct lathe_ring *rings,
                                 uint32_t ring_count, uint32_t segments);

/* A frame at a bone, along `axis`, with `front` as near to `front_hint` as it can be. */
struct lathe_frame mannequin_frame(const struct mannequin_build *build, int bone,
                                   const float axis[3], const float front_hint[3]);

/* A ball of joint wood at a bone, with its poles along `axis`. */
void mannequin_add_ball(struct mannequin_build *build, int bone, const float axis[3], float radius,
                        uint32_t segments);

void mannequin_add_trunk(struct mannequin_build *build); /* pelvis, waist, chest, neck, head */
void mannequin_add_limbs(
    struct mannequin_build *build); /* the left arm and leg; mannequin.c mirrors them */
void mannequin_add_hand(struct mannequin_build *build); /* the left one */
void mannequin_add_foot(struct mannequin_build *build); /* the left one */

/* -- Wood (mannequin_wood.c) ------------------------------------------------------------------- */

/* Draws a plank's grain as a PNG file that repeats in both directions; the grain runs along the
 * height. Returns 0 and the file in *png (free()), or ERR_NO_MEMORY. */
int mannequin_draw_wood(uint32_t seed, uint8_t **png, size_t *size, struct err *err);

#endif
