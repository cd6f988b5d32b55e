/* mannequin_pose.c - see mannequin_pose.h: quaternions, a leg that reaches for its foothold, clips.
 */
#include "media/mannequin_pose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

static const double DEGREE = 0.017453292519943295;

/* -- Vectors and quaternions ------------------------------------------------------------------- */

static void cross(const double a[3], const double b[3], double out[3]) {
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

static double normalize(double *v, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += v[i] * v[i];
    double length = sqrt(sum);
    for (int i = 0; i < count && length > 0; i++)
        v[i] /= length;
    return length;
}

void quat_turn(double out[4], int axis, double degrees) {
    out[0] = out[1] = out[2] = 0;
    out[axis] = sin(degrees * DEGREE / 2);
    out[3] = cos(degrees * DEGREE / 2);
}

void quat_multiply(const double a[4], const double b[4], double out[4]) {
    const double q[4] = {
        a[3] * b[0] + a[0] * b[3] + a[1] * b[2] - a[2] * b[1],
        a[3] * b[1] - a[0] * b[2] + a[1] * b[3] + a[2] * b[0],
        a[3] * b[2] + a[0] * b[1] - a[1] * b[0] + a[2] * b[3],
        a[3] * b[3] - a[0] * b[0] - a[1] * b[1] - a[2] * b[2],
    };
    memcpy(out, q, sizeof q);
}

void quat_rotate(const double q[4], const double v[3], double out[3]) {
    double t[3], u[3];
    cross(q, v, t);
    for (int i = 0; i < 3; i++)
        t[i] *= 2;
    cross(q, t, u);
    for (int i = 0; i < 3; i++)
        out[i] = v[i] + q[3] * t[i] + u[i];
}

static void quat_inverse(const double q[4], double out[4]) {
    for (int i = 0; i < 3; i++)
        out[i] = -q[i];
    out[3] = q[3];
}

/* The rotation whose columns are the given axes (Shepperd's method, for traces that are not small:
 * legs turn by less than 120 degrees). */
static void quat_from_axes(double x[3], double y[3], double z[3], double out[4]) {
    double w = sqrt(fmax(1 + x[0] + y[1] + z[2], 1e-12)) / 2;
    out[0] = (y[2] - z[1]) / (4 * w);
    out[1] = (z[0] - x[2]) / (4 * w);
    out[2] = (x[1] - y[0]) / (4 * w);
    out[3] = w;
    normalize(out, 4);
}

/* -- Poses ------------------------------------------------------------------------------------- */

void pose_init(struct pose *pose, const struct mannequin_rig *rig) {
    *pose = (struct pose){.rig = rig};
    for (int i = 0; i < 3; i++)
        pose->root[i] = (double)rig->position[BONE_HIPS][i];
    for (int i = 0; i < BONE_COUNT; i++)
        pose->local[i][3] = 1;
}

void pose_turn(struct pose *pose, int bone, int axis, double degrees) {
    double turn[4];
    quat_turn(turn, axis, degrees);
    quat_multiply(turn, pose->local[bone], pose->local[bone]);
}

static void bone_offset(const struct mannequin_rig *rig, int from, int to, double out[3]) {
    for (int i = 0; i < 3; i++)
        out[i] = (double)rig->position[to][i] - (double)rig->position[from][i];
}

void pose_find(const struct pose *pose, int bone, double position[3], double rotation[4]) {
    int parent = pose->rig->parent[bone];
    if (parent < 0) {
        memcpy(position, pose->root, 3 * sizeof *position);
        memcpy(rotation, pose->local[bone], 4 * sizeof *rotation);
        return;
    }
    double offset[3], base[3];
    pose_find(pose, parent, base, rotation);
    bone_offset(pose->rig, parent, bone, offset);
    quat_rotate(rotation, offset, offset);
    for (int i = 0; i < 3; i++)
        position[i] = base[i] + offset[i];
    quat_multiply(rotation, pose->local[bone], rotation);
}

/* Turns a bone of the leg so that it points from `from` to `to` and bends about `hinge` as the knee
 * does. */
static void point_bone(const double from[3], const double to[3], const double hinge[3],
                       double rotation[4]) {
    double x[3], y[3], z[3];
    for (int i = 0; i < 3; i++)
        y[i] = from[i] - to[i];
    normalize(y, 3);
    cross(hinge, y, z);
    normalize(z, 3);
    cross(y, z, x);
    quat_from_axes(x, y, z, rotation);
}

static void set_local(struct pose *pose, int bone, const double parent[4], const double world[4]) {
    double inverse[4];
    quat_inverse(parent, inverse);
    quat_multiply(inverse, world, pose->local[bone]);
}

/* Finds the knee of a leg from hip to ankle, bent towards `forward`. The ankle is pulled in when it
 * is out of reach. */
static void find_knee(const double hip[3], double ankle[3], const double length[2],
                      const double forward[3], double knee[3], double hinge[3]) {
    double reach[3], ahead[3];
    for (int i = 0; i < 3; i++)
        reach[i] = ankle[i] - hip[i];
    double distance = normalize(reach, 3), longest = (length[0] + length[1]) * 0.99995;
    if (distance > longest) {
        distance = longest;
        for (int i = 0; i < 3; i++)
            ankle[i] = hip[i] + reach[i] * distance;
    }
    cross(forward, reach, hinge);
    normalize(hinge, 3);
    cross(reach, hinge, ahead);
    double along =
        (distance * distance + length[0] * length[0] - length[1] * length[1]) / (2 * distance);
    double aside = sqrt(fmax(length[0] * length[0] - along * along, 0));
    for (int i = 0; i < 3; i++)
        knee[i] = hip[i] + reach[i] * along + ahead[i] * aside;
}

void pose_leg_lengths(const struct mannequin_rig *rig, double length[2]) {
    for (int i = 0; i < 2; i++)
        length[i] = (double)rig->position[BONE_LEFT_UP_LEG + i][1] -
                    (double)rig->position[BONE_LEFT_LEG + i][1];
}

void pose_place_left_foot(struct pose *pose, const struct foothold *hold) {
    const struct mannequin_rig *rig = pose->rig;
    const double ahead[3] = {sin(hold->heading * DEGREE), 0, cos(hold->heading * DEGREE)};
    double hip[3], pelvis[4], ankle[3], knee[3], hinge[3], base[3], length[2], unused[4];
    pose_find(pose, BONE_LEFT_UP_LEG, hip, unused);
    pose_find(pose, BONE_HIPS, base, pelvis);
    memcpy(ankle, hold->ankle, sizeof ankle);
    pose_leg_lengths(rig, length);
    find_knee(hip, ankle, length, ahead, knee, hinge);

    double thigh[4], shin[4], foot[4], toes[4], turn[4];
    point_bone(hip, knee, hinge, thigh);
    point_bone(knee, ankle, hinge, shin);
    quat_turn(turn, AXIS_Y, hold->heading);
    quat_turn(foot, AXIS_X, hold->pitch);
    quat_multiply(turn, foot, foot);
    quat_turn(toes, AXIS_X, hold->toes);
    quat_multiply(turn, toes, toes);
    set_local(pose, BONE_LEFT_UP_LEG, pelvis, thigh);
    set_local(pose, BONE_LEFT_LEG, thigh, shin);
    set_local(pose, BONE_LEFT_FOOT, shin, foot);
    set_local(pose, BONE_LEFT_TOE_BASE, foot, toes);
}

void pose_mirror_limbs(struct pose *pose, const struct pose *other) {
    for (int left = BONE_LEFT_SHOULDER; left < BONE_RIGHT_SHOULDER; left++) {
        const double *from = other->local[left];
        const double mirrored[4] = {from[0], -from[1], -from[2], from[3]};
        memcpy(pose->local[left + BONE_SIDE], mirrored, sizeof mirrored);
    }
}

void pose_hang_left_arm(struct pose *pose, double swing, double elbow, double curl) {
    static const double SHARE[3] = {1, 1.25, 0.8};
    pose_turn(pose, BONE_LEFT_SHOULDER, AXIS_Z, -3);
    pose_turn(pose, BONE_LEFT_ARM, AXIS_Z, -78);
    pose_turn(pose, BONE_LEFT_ARM, AXIS_X, -swing);
    pose_turn(pose, BONE_LEFT_FORE_ARM, AXIS_Y, -elbow);
    pose_turn(pose, BONE_LEFT_HAND, AXIS_Z, -4);
    for (int finger = 0; finger < MANNEQUIN_FINGERS; finger++) {
        for (int k = 0; k < 3; k++) {
            int bone = BONE_LEFT_THUMB1 + 4 * finger + k;
            double bend = curl * SHARE[k] * (0.85 + 0.1 * finger);
            if (finger == 0) /* the thumb lies beside the palm and bends across it */
                pose_turn(pose, bone, AXIS_Y, k ? 0.5 * bend : 0.9 * curl);
            else
                pose_turn(pose, bone, AXIS_Z, -bend);
        }
    }
}

/* -- Clips ------------------------------------------------------------------------------------- */

/* q and -q turn alike; neighbours on the same side are interpolated the short way. */
static void store_rotation(const double q[4], const float *before, float *out) {
    double dot = 0;
    for (int i = 0; before && i < 4; i++)
        dot += q[i] * (double)before[i];
    for (int i = 0; i < 4; i++)
        out[i] = (float)(dot < 0 ? -q[i] : q[i]);
}

int clip_record(struct mannequin_clip *clip, const struct mannequin_rig *rig, clip_pose_fn *pose_at,
                double seconds, struct err *err) {
    uint32_t frames =
        (uint32_t)lround(seconds * CLIP_FRAME_RATE) + 1; /* the last frame is the first again */
    clip->frame_count = frames;
    clip->times = calloc(frames, sizeof(float));
    clip->rotations = calloc((size_t)frames * BONE_COUNT, 4 * sizeof(float));
    clip->root = calloc(frames, 3 * sizeof(float));
    if (!clip->times || !clip->rotations || !clip->root)
        return err_set(err, ERR_NO_MEMORY, "no memory for the clip %s", clip->name);
    for (uint32_t frame = 0; frame < frames; frame++) {
        struct pose pose;
        pose_at(rig, (double)(frame % (frames - 1)) / (frames - 1), &pose);
        clip->times[frame] = (float)frame / CLIP_FRAME_RATE;
        for (int i = 0; i < 3; i++)
            clip->root[3 * frame + (uint32_t)i] = (float)pose.root[i];
        for (uint32_t bone = 0; bone < BONE_COUNT; bone++) {
            float *out = clip->rotations + 4 * ((size_t)bone * frames + frame);
            store_rotation(pose.local[bone], frame ? out - 4 : NULL, out);
        }
    }
    return 0;
}

void clip_deinit(struct mannequin_clip *clip) {
    free(clip->times);
    free(clip->rotations);
    free(clip->root);
    *clip = (struct mannequin_clip){0};
}
