/* labels_pose.c - how a person stands, bone by bone, and how long the bones are.
 *
 * A joint's drawn matrix takes bind space, whose axes are the world's, to the world: so its turn is
 * the bone's own since rest, in axes of the world, and what a bone adds to the one above it is
 * inverse(above) * own. Scales are taken out first. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "media/labels.h"
#include "media/labels_write.h"

struct turn {
    double x, y, z, w;
};

/* The nearest rotation of a matrix that turns and scales: of its axes made unit length. */
static struct turn turn_of(const float m[12]) {
    double axis[3][3];
    for (int c = 0; c < 3; c++) {
        double length = 0;
        for (int r = 0; r < 3; r++) {
            axis[c][r] = (double)m[4 * r + c];
            length += axis[c][r] * axis[c][r];
        }
        length = sqrt(length);
        for (int r = 0; r < 3; r++)
            axis[c][r] = length > 1e-12 ? axis[c][r] / length : (c == r ? 1 : 0);
    }
    double xx = axis[0][0], yy = axis[1][1], zz = axis[2][2];
    double w = sqrt(fmax(0, 1 + xx + yy + zz)) / 2, x = sqrt(fmax(0, 1 + xx - yy - zz)) / 2;
    double y = sqrt(fmax(0, 1 - xx + yy - zz)) / 2, z = sqrt(fmax(0, 1 - xx - yy + zz)) / 2;
    x = copysign(x, axis[1][2] - axis[2][1]);
    y = copysign(y, axis[2][0] - axis[0][2]);
    z = copysign(z, axis[0][1] - axis[1][0]);
    if (w < 1e-4) { /* half a turn: the signs are in the sums */
        if (x * x >= y * y && x * x >= z * z) {
            x = fabs(x);
            y = copysign(y, axis[0][1] + axis[1][0]);
            z = copysign(z, axis[0][2] + axis[2][0]);
        } else if (y * y >= z * z) {
            y = fabs(y);
            x = copysign(x, axis[0][1] + axis[1][0]);
            z = copysign(z, axis[1][2] + axis[2][1]);
        } else {
            z = fabs(z);
            x = copysign(x, axis[0][2] + axis[2][0]);
            y = copysign(y, axis[1][2] + axis[2][1]);
        }
    }
    return (struct turn){x, y, z, w};
}

/* inverse(a) * b, its w not negative. */
static struct turn turn_between(struct turn a, struct turn b) {
    struct turn out = {
        a.w * b.x - a.x * b.w - a.y * b.z + a.z * b.y,
        a.w * b.y + a.x * b.z - a.y * b.w - a.z * b.x,
        a.w * b.z - a.x * b.y + a.y * b.x - a.z * b.w,
        a.w * b.w + a.x * b.x + a.y * b.y + a.z * b.z,
    };
    double sign = out.w < 0 ? -1 : 1;
    return (struct turn){sign * out.x, sign * out.y, sign * out.z, sign * out.w};
}

static void put_rotations(FILE *out, const struct labels_person *person) {
    struct turn turns[RIG_BONES];
    bool first = true;
    fputs(",\"pose\":{\"rotations\":{", out);
    for (int bone = 0; bone < RIG_BONES; bone++) {
        int joint = scene_bone(person->scene, bone), above = rig_bone_parent(bone);
        turns[bone] = (struct turn){0, 0, 0, 1};
        if (above >= 0)
            turns[bone] = turns[above]; /* missing ones are passed on */
        if (joint < 0)
            continue;
        struct turn from = turns[bone];
        turns[bone] = turn_of(person->pose + 12 * (size_t)joint);
        struct turn local = turn_between(from, turns[bone]);
        const float values[4] = {(float)local.x, (float)local.y, (float)local.z, (float)local.w};
        fprintf(out, "%s\"%s\":", first ? "" : ",", rig_bone_name(bone));
        labels_put_row(out, values, 4, 6);
        first = false;
    }
    fputs("}", out);
}

/* Where the hips' joint is and where it faces; without hips nothing is known. */
static void put_root(FILE *out, const struct labels_person *person) {
    int hips = scene_bone(person->scene, RIG_HIPS);
    if (hips < 0) {
        fputs(",\"root\":null}", out);
        return;
    }
    const float *m = person->pose + 12 * (size_t)hips;
    float bind[12], at[3];
    scene_joint_bind(person->scene, (uint32_t)hips, bind);
    for (int r = 0; r < 3; r++)
        at[r] =
            m[4 * r] * bind[3] + m[4 * r + 1] * bind[7] + m[4 * r + 2] * bind[11] + m[4 * r + 3];
    fputs(",\"root\":{\"position\":", out);
    labels_put_row(out, at, 3, 5);
    labels_put_field(out, "yaw", atan2((double)m[2], (double)m[10]), 5);
    fputs("}}", out);
}

/* -- Measures ---------------------------------------------------------------------------------- */

static void put_measures(FILE *out, const struct scene *scene) {
    static const struct {
        const char *name;
        int from, to; /* points */
    } lengths[] = {
        {"left_upper_arm", 11, 13},
        {"right_upper_arm", 12, 14},
        {"left_forearm", 13, 15},
        {"right_forearm", 14, 16},
        {"left_hand", 15, SCENE_LEFT_KNUCKLES},
        {"right_hand", 16, SCENE_RIGHT_KNUCKLES},
        {"left_thigh", 23, 25},
        {"right_thigh", 24, 26},
        {"left_shin", 25, 27},
        {"right_shin", 26, 28},
        {"left_foot", 29, 31},
        {"right_foot", 30, 32},
        {"shoulder_width", 11, 12},
        {"hip_width", 23, 24},
        {"torso", SCENE_MID_HIP, SCENE_THORAX},
        {"neck_and_head", SCENE_THORAX, SCENE_HEAD_TOP},
    };
    const bool *known;
    const struct gpu_anchor *points = scene_landmarks(scene, &known);
    fputs(",\"measures\":{\"stature\":", out);
    labels_put_number(out, scene_report(scene)->stature, 4);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        if (!known[lengths[i].from] || !known[lengths[i].to])
            continue;
        const float *a = points[lengths[i].from].position, *b = points[lengths[i].to].position;
        double dx = (double)(a[0] - b[0]), dy = (double)(a[1] - b[1]), dz = (double)(a[2] - b[2]);
        labels_put_field(out, lengths[i].name, sqrt(dx * dx + dy * dy + dz * dz), 4);
    }
    fputs("}", out);
}

void labels_put_pose(FILE *out, const struct labels_person *person) {
    put_rotations(out, person);
    put_root(out, person);
    put_measures(out, person->scene);
}
