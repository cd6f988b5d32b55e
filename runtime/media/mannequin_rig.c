/* mannequin_rig.c - the mannequin's bones: names, parents, places. */
#include <stdio.h>
#include <string.h>

#include "media/mannequin_parts.h"

struct bone {
    const char *name;
    int parent;
    float position[3];
};

static const struct bone MIDDLE[] = {
    {"Hips", -1, {0, 0.955F, 0}},
    {"Spine", BONE_HIPS, {0, 1.035F, -0.004F}},
    {"Spine1", BONE_SPINE, {0, 1.115F, -0.004F}},
    {"Spine2", BONE_SPINE1, {0, 1.215F, -0.004F}},
    {"Neck", BONE_SPINE2, {0, 1.462F, -0.006F}},
    {"Head", BONE_NECK, {0, 1.535F, 0.004F}},
    {"HeadTop_End", BONE_HEAD, {0, 1.75F, 0.004F}},
};

/* The left side, without "Left" and without fingers. */
static const struct bone ARM[] = {
    {"Shoulder", BONE_SPINE2, {0.055F, 1.420F, 0}},
    {"Arm", BONE_LEFT_SHOULDER, {0.183F, 1.408F, -0.004F}},
    {"ForeArm", BONE_LEFT_ARM, {0.463F, 1.408F, -0.004F}},
    {"Hand", BONE_LEFT_FORE_ARM, {0.706F, 1.408F, -0.004F}},
};

static const struct bone LEG[] = {
    {"UpLeg", BONE_HIPS, {0.092F, 0.900F, 0}},
    {"Leg", BONE_LEFT_UP_LEG, {0.092F, 0.495F, 0}},
    {"Foot", BONE_LEFT_LEG, {0.092F, 0.085F, 0}},
    {"ToeBase", BONE_LEFT_FOOT, {0.092F, 0.021F, 0.132F}},
    {"Toe_End", BONE_LEFT_TOE_BASE, {0.092F, 0.021F, 0.208F}},
};

struct finger {
    const char *name;
    float base[3];      /* from the wrist */
    float direction[3]; /* unit length */
    float length[3];    /* from bone to bone */
};

static const struct finger FINGERS[MANNEQUIN_FINGERS] = {
    {"Thumb", {0.033F, -0.005F, 0.025F}, {0.716F, -0.240F, 0.656F}, {0.036F, 0.029F, 0.024F}},
    {"Index", {0.094F, 0, 0.0295F}, {0.9962F, 0, 0.0872F}, {0.036F, 0.022F, 0.019F}},
    {"Middle", {0.098F, 0.001F, 0.0095F}, {0.9994F, 0, 0.0349F}, {0.040F, 0.025F, 0.020F}},
    {"Ring", {0.094F, 0, -0.0105F}, {0.9994F, 0, -0.0349F}, {0.036F, 0.023F, 0.019F}},
    {"Pinky", {0.086F, -0.001F, -0.0295F}, {0.9925F, 0, -0.1219F}, {0.028F, 0.018F, 0.016F}},
};

static void set_left(struct mannequin_rig *rig, int index, const struct bone *bone) {
    snprintf(rig->name[index], sizeof rig->name[index], "mixamorig:Left%s", bone->name);
    rig->parent[index] = bone->parent;
    memcpy(rig->position[index], bone->position, sizeof bone->position);
}

static void set_finger(struct mannequin_rig *rig, int index) {
    const struct finger *finger = &FINGERS[index];
    const float *wrist = rig->position[BONE_LEFT_HAND];
    int first = BONE_LEFT_THUMB1 + 4 * index;
    float along = 0;
    for (int k = 0; k < 4; k++) {
        int bone = first + k;
        snprintf(rig->name[bone], sizeof rig->name[bone], "mixamorig:LeftHand%s%d", finger->name,
                 k + 1);
        rig->parent[bone] = k ? bone - 1 : BONE_LEFT_HAND;
        for (int c = 0; c < 3; c++)
            rig->position[bone][c] = wrist[c] + finger->base[c] + along * finger->direction[c];
        if (k < 3)
            along += finger->length[k];
    }
}

static void set_right(struct mannequin_rig *rig, int left) {
    const size_t prefix = strlen("mixamorig:Left");
    int right = left + BONE_SIDE, parent = rig->parent[left];
    char rest[17]; /* a copy: gcc 11 takes the two names for one object and forbids the print */
    snprintf(rest, sizeof rest, "%s", rig->name[left] + prefix);
    snprintf(rig->name[right], sizeof rig->name[right], "mixamorig:Right%s", rest);
    rig->parent[right] = parent < BONE_LEFT_SHOULDER ? parent : parent + BONE_SIDE;
    rig->position[right][0] = -rig->position[left][0];
    rig->position[right][1] = rig->position[left][1];
    rig->position[right][2] = rig->position[left][2];
}

void mannequin_rig_init(struct mannequin_rig *rig) {
    for (int i = 0; i < BONE_LEFT_SHOULDER; i++) {
        snprintf(rig->name[i], sizeof rig->name[i], "mixamorig:%s", MIDDLE[i].name);
        rig->parent[i] = MIDDLE[i].parent;
        memcpy(rig->position[i], MIDDLE[i].position, sizeof MIDDLE[i].position);
    }
    for (int i = 0; i < 4; i++)
        set_left(rig, BONE_LEFT_SHOULDER + i, &ARM[i]);
    for (int i = 0; i < MANNEQUIN_FINGERS; i++)
        set_finger(rig, i);
    for (int i = 0; i < 5; i++)
        set_left(rig, BONE_LEFT_UP_LEG + i, &LEG[i]);
    for (int i = BONE_LEFT_SHOULDER; i < BONE_RIGHT_SHOULDER; i++)
        set_right(rig, i);
}
