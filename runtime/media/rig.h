/* rig.h - the bones that a human skeleton may have: VRM 1.0's humanoid, 55 of them, with VRM's
 * names. Bodies (media/scene.h) and motions tell by them what their joints are.
 *
 * Pairs stand together, left before right, so a right bone is its left one + 1. Left and right are
 * the person's. Nothing here allocates; any thread may call. */
#ifndef STANCE_MEDIA_RIG_H
#define STANCE_MEDIA_RIG_H

#include <stdbool.h>

enum rig_bone {
    RIG_HIPS,
    RIG_SPINE,
    RIG_CHEST,
    RIG_UPPER_CHEST,
    RIG_NECK,
    RIG_HEAD,
    RIG_JAW,
    RIG_LEFT_EYE, /* the first of the pairs */
    RIG_RIGHT_EYE,
    RIG_LEFT_SHOULDER, /* the collar bone */
    RIG_RIGHT_SHOULDER,
    RIG_LEFT_UPPER_ARM,
    RIG_RIGHT_UPPER_ARM,
    RIG_LEFT_LOWER_ARM,
    RIG_RIGHT_LOWER_ARM,
    RIG_LEFT_HAND,
    RIG_RIGHT_HAND,
    RIG_LEFT_UPPER_LEG,
    RIG_RIGHT_UPPER_LEG,
    RIG_LEFT_LOWER_LEG,
    RIG_RIGHT_LOWER_LEG,
    RIG_LEFT_FOOT,
    RIG_RIGHT_FOOT,
    RIG_LEFT_TOES,
    RIG_RIGHT_TOES,
    RIG_LEFT_THUMB_METACARPAL, /* the first of the fingers, each from the palm out */
    RIG_RIGHT_THUMB_METACARPAL,
    RIG_LEFT_THUMB_PROXIMAL,
    RIG_RIGHT_THUMB_PROXIMAL,
    RIG_LEFT_THUMB_DISTAL,
    RIG_RIGHT_THUMB_DISTAL,
    RIG_LEFT_INDEX_PROXIMAL,
    RIG_RIGHT_INDEX_PROXIMAL,
    RIG_LEFT_INDEX_INTERMEDIATE,
    RIG_RIGHT_INDEX_INTERMEDIATE,
    RIG_LEFT_INDEX_DISTAL,
    RIG_RIGHT_INDEX_DISTAL,
    RIG_LEFT_MIDDLE_PROXIMAL,
    RIG_RIGHT_MIDDLE_PROXIMAL,
    RIG_LEFT_MIDDLE_INTERMEDIATE,
    RIG_RIGHT_MIDDLE_INTERMEDIATE,
    RIG_LEFT_MIDDLE_DISTAL,
    RIG_RIGHT_MIDDLE_DISTAL,
    RIG_LEFT_RING_PROXIMAL,
    RIG_RIGHT_RING_PROXIMAL,
    RIG_LEFT_RING_INTERMEDIATE,
    RIG_RIGHT_RING_INTERMEDIATE,
    RIG_LEFT_RING_DISTAL,
    RIG_RIGHT_RING_DISTAL,
    RIG_LEFT_LITTLE_PROXIMAL,
    RIG_RIGHT_LITTLE_PROXIMAL,
    RIG_LEFT_LITTLE_INTERMEDIATE,
    RIG_RIGHT_LITTLE_INTERMEDIATE,
    RIG_LEFT_LITTLE_DISTAL,
    RIG_RIGHT_LITTLE_DISTAL,
    RIG_BONES,
    RIG_PAIRS = RIG_LEFT_EYE,
    RIG_FINGERS = RIG_LEFT_THUMB_METACARPAL,
};

/* "hips", "leftUpperArm", ... as VRM 1.0 names them; NULL past the last. */
const char *rig_bone_name(int bone);

/* The bone of that name, or -1. VRM 0's names of the thumb mean other bones and are not told apart
 * here. */
int rig_bone_find(const char *name);

/* The bone that it hangs on in VRM's tree; -1 of the hips. */
int rig_bone_parent(int bone);

/* Whether a humanoid must have it, by VRM 1.0: hips, spine, head, arms and legs to hand and foot.
 */
bool rig_bone_required(int bone);

#endif
