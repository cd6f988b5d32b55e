/* mannequin_pose.h - poses of the mannequin and the clips made of them. Not for others.
 *
 * A pose is a rotation for each bone, relative to its parent, and the hips' position. All bind
 * rotations are identity, so an axis means the same in every bone: x to the body's left, y up, z
 * forward. Positive angles turn y to z about x (a leg's knee bends), z to x about y (the body turns
 * left), x to y about z (the left side rises).
 *
 * Ownership: a clip owns its arrays. Threads: no shared state. */
#ifndef STANCE_MEDIA_MANNEQUIN_POSE_H
#define STANCE_MEDIA_MANNEQUIN_POSE_H

#include "media/mannequin_parts.h"

enum { AXIS_X, AXIS_Y, AXIS_Z };

struct pose {
    const struct mannequin_rig *rig;
    double root[3];              /* the hips, metres */
    double local[BONE_COUNT][4]; /* x,y,z,w */
};

/* The T-pose. */
void pose_init(struct pose *pose, const struct mannequin_rig *rig);

/* Turns a bone, after what it was turned by already. */
void pose_turn(struct pose *pose, int bone, int axis, double degrees);

/* Where a bone is in the world, and how it is turned. */
void pose_find(const struct pose *pose, int bone, double position[3], double rotation[4]);

/* Where a foot stands: the ankle, metres; heading, the sole's pitch and the toes' pitch in the
 * world, degrees, positive with the heel above the toes. */
struct foothold {
    double ankle[3];
    double heading, pitch, toes;
};

/* Bends the left leg so that its foot stands there (as near as it can), the knee pointing along the
 * heading. */
void pose_place_left_foot(struct pose *pose, const struct foothold *hold);

/* The lengths of thigh and shin, metres. */
void pose_leg_lengths(const struct mannequin_rig *rig, double length[2]);

/* Gives the right limbs the left limbs' pose from `other`, mirrored. */
void pose_mirror_limbs(struct pose *pose, const struct pose *other);

/* The left arm hangs from the T-pose: forward swing, elbow bend and gentle curl of the fingers,
 * degrees. */
void pose_hang_left_arm(struct pose *pose, double swing, double elbow, double curl);

void quat_turn(double out[4], int axis, double degrees);
void quat_multiply(const double a[4], const double b[4],
                   double out[4]); /* first b, then a; out may be either */
void quat_rotate(const double q[4], const double v[3], double out[3]);

struct mannequin_clip {
    const char *name;
    uint32_t frame_count;
    float *times;     /* [frame], seconds */
    float *rotations; /* [bone][frame][4], local */
    float *root;      /* [frame][3], the hips' position */
};

/* Records pose_at(rig, phase, pose) for frame_count frames, phase 0 to 1, over `seconds`. Returns 0
 * or ERR_NO_MEMORY; the caller ends the clip with clip_deinit in either case. */
typedef void clip_pose_fn(const struct mannequin_rig *rig, double phase, struct pose *pose);
int clip_record(struct mannequin_clip *clip, const struct mannequin_rig *rig, clip_pose_fn *pose_at,
                double seconds, struct err *err);
void clip_deinit(struct mannequin_clip *clip);

/* The clips' poses at a phase of 0 to 1, which repeat: mannequin_walk.c. */
enum { CLIP_FRAME_RATE = 30 };
extern const double WALK_SECONDS, IDLE_SECONDS;
void pose_walk(const struct mannequin_rig *rig, double phase, struct pose *pose);
void pose_idle(const struct mannequin_rig *rig, double phase, struct pose *pose);

#endif
