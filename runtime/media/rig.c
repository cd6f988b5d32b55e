#include "media/rig.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    int parent;
    bool required;
} bones[RIG_BONES] = {
    {"hips", -1, true},
    {"spine", RIG_HIPS, true},
    {"chest", RIG_SPINE, false},
    {"upperChest", RIG_CHEST, false},
    {"neck", RIG_UPPER_CHEST, false},
    {"head", RIG_NECK, true},
    {"jaw", RIG_HEAD, false},
    {"leftEye", RIG_HEAD, false},
    {"rightEye", RIG_HEAD, false},
    {"leftShoulder", RIG_UPPER_CHEST, false},
    {"rightShoulder", RIG_UPPER_CHEST, false},
    {"leftUpperArm", RIG_LEFT_SHOULDER, true},
    {"rightUpperArm", RIG_RIGHT_SHOULDER, true},
    {"leftLowerArm", RIG_LEFT_UPPER_ARM, true},
    {"rightLowerArm", RIG_RIGHT_UPPER_ARM, true},
    {"leftHand", RIG_LEFT_LOWER_ARM, true},
    {"rightHand", RIG_RIGHT_LOWER_ARM, true},
    {"leftUpperLeg", RIG_HIPS, true},
    {"rightUpperLeg", RIG_HIPS, true},
    {"leftLowerLeg", RIG_LEFT_UPPER_LEG, true},
    {"rightLowerLeg", RIG_RIGHT_UPPER_LEG, true},
    {"leftFoot", RIG_LEFT_LOWER_LEG, true},
    {"rightFoot", RIG_RIGHT_LOWER_LEG, true},
    {"leftToes", RIG_LEFT_FOOT, false},
    {"rightToes", RIG_RIGHT_FOOT, false},
    {"leftThumbMetacarpal", RIG_LEFT_HAND, false},
    {"rightThumbMetacarpal", RIG_RIGHT_HAND, false},
    {"leftThumbProximal", RIG_LEFT_THUMB_METACARPAL, false},
    {"rightThumbProximal", RIG_RIGHT_THUMB_METACARPAL, false},
    {"leftThumbDistal", RIG_LEFT_THUMB_PROXIMAL, false},
    {"rightThumbDistal", RIG_RIGHT_THUMB_PROXIMAL, false},
    {"leftIndexProximal", RIG_LEFT_HAND, false},
    {"rightIndexProximal", RIG_RIGHT_HAND, false},
    {"leftIndexIntermediate", RIG_LEFT_INDEX_PROXIMAL, false},
    {"rightIndexIntermediate", RIG_RIGHT_INDEX_PROXIMAL, false},
    {"leftIndexDistal", RIG_LEFT_INDEX_INTERMEDIATE, false},
    {"rightIndexDistal", RIG_RIGHT_INDEX_INTERMEDIATE, false},
    {"leftMiddleProximal", RIG_LEFT_HAND, false},
    {"rightMiddleProximal", RIG_RIGHT_HAND, false},
    {"leftMiddleIntermediate", RIG_LEFT_MIDDLE_PROXIMAL, false},
    {"rightMiddleIntermediate", RIG_RIGHT_MIDDLE_PROXIMAL, false},
    {"leftMiddleDistal", RIG_LEFT_MIDDLE_INTERMEDIATE, false},
    {"rightMiddleDistal", RIG_RIGHT_MIDDLE_INTERMEDIATE, false},
    {"leftRingProximal", RIG_LEFT_HAND, false},
    {"rightRingProximal", RIG_RIGHT_HAND, false},
    {"leftRingIntermediate", RIG_LEFT_RING_PROXIMAL, false},
    {"rightRingIntermediate", RIG_RIGHT_RING_PROXIMAL, false},
    {"leftRingDistal", RIG_LEFT_RING_INTERMEDIATE, false},
    {"rightRingDistal", RIG_RIGHT_RING_INTERMEDIATE, false},
    {"leftLittleProximal", RIG_LEFT_HAND, false},
    {"rightLittleProximal", RIG_RIGHT_HAND, false},
    {"leftLittleIntermediate", RIG_LEFT_LITTLE_PROXIMAL, false},
    {"rightLittleIntermediate", RIG_RIGHT_LITTLE_PROXIMAL, false},
    {"leftLittleDistal", RIG_LEFT_LITTLE_INTERMEDIATE, false},
    {"rightLittleDistal", RIG_RIGHT_LITTLE_INTERMEDIATE, false},
};

const char *rig_bone_name(int bone) {
    return bone >= 0 && bone < RIG_BONES ? bones[bone].name : NULL;
}

int rig_bone_find(const char *name) {
    for (int bone = 0; bone < RIG_BONES; bone++)
        if (strcmp(bones[bone].name, name) == 0)
            return bone;
    return -1;
}

int rig_bone_parent(int bone) {
    return bone >= 0 && bone < RIG_BONES ? bones[bone].parent : -1;
}

bool rig_bone_required(int bone) {
    return bone >= 0 && bone < RIG_BONES && bones[bone].required;
}
