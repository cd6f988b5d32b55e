/* mannequin_walk.c - how the mannequin walks and stands.
 *
 * The walk is that of an adult on level ground at 1.15 m/s, seen from a camera that goes along: the
 * floor moves back under the feet. A foot's cycle begins when its heel strikes. In stance the foot
 * is bound to the floor: it rolls over the heel, stands, rolls over the toes' hinge and at last
 * over the toes' tip; the leg follows by inverse kinematics, so that nothing slides or sinks. In
 * swing the leg's angle and the knee's bend are curves that join the two ends of stance smoothly.
 * The right side does what the left does, half a cycle later.
 *
 * Shares of the cycle and ranges of the angles are the usual ones of gait analysis: 62 % stance,
 * knee bend of about 15 degrees after heel strike and 60 in swing, pelvis turning 5 degrees to each
 * side, dropping 4, moving 2 cm. */
#include <math.h>
#include <string.h>

#include "media/mannequin_pose.h"

static const double TURN = 6.28318530717958647692, DEGREE = 0.017453292519943295;

const double WALK_SECONDS = 1.1, IDLE_SECONDS = 4.0;

static const double STANCE = 0.62; /* share of the cycle with the foot on the floor */
static const double STRIDE = 1.27; /* metres a cycle */
static const double REACH = 0.294; /* metres: the ankle before the hips when the heel strikes */
static const double TRACK = 0.062; /* metres: the feet's distance from the middle line */
static const double HEADING = 5;   /* degrees: toes point outwards */
static const double STRIKE_PITCH = -17; /* degrees: the sole at heel strike */
static const double LEAVE_PITCH = 60;   /* degrees: the sole when the toes leave the floor */
static const double RISE = 0.37, RISE_POWER = 2.2; /* when the heel rises, and how suddenly */

/* The points about which a standing foot rolls, from the ankle or from the toes' hinge (y, z,
 * metres). */
static const double HEEL[3] = {0, -0.085, -0.045};
static const double TIP[3] = {0, -0.021, 0.066};

static double smooth_step(double t) {
    t = fmin(fmax(t, 0), 1);
    return t * t * (3 - 2 * t);
}

/* -- Pelvis ------------------------------------------------------------------------------------ */

static void move_pelvis(struct pose *pose, double phase) {
    pose->root[0] += 0.020 * sin(TURN * (phase - 0.04));
    pose->root[1] += -0.0262 + 0.0125 * cos(2 * TURN * (phase - 0.255));
    pose->root[2] += 0.006 * sin(2 * TURN * (phase - 0.05));
    pose_turn(pose, BONE_HIPS, AXIS_X, 3.0 + 0.8 * cos(2 * TURN * (phase - 0.05)));
    pose_turn(pose, BONE_HIPS, AXIS_Z, 3.5 * sin(TURN * (phase + 0.06)));
    pose_turn(pose, BONE_HIPS, AXIS_Y, -5.5 * cos(TURN * (phase - 0.02)));
}

static void find_left_hip(const struct mannequin_rig *rig, double phase, double hip[3]) {
    struct pose pose;
    double unused[4];
    pose_init(&pose, rig);
    move_pelvis(&pose, phase);
    pose_find(&pose, BONE_LEFT_UP_LEG, hip, unused);
}

/* -- Left foot on the floor -------------------------------------------------------------------- */

static double stance_pitch(double phase) {
    if (phase < 0.10)
        return STRIKE_PITCH * (1 - phase / 0.10) * (1 - phase / 0.10);
    double rise = fmax((phase - RISE) / (STANCE - RISE), 0);
    return LEAVE_PITCH * pow(rise, RISE_POWER);
}

/* Adds `scale` times an offset of the foot, pitched and headed. */
static void add_offset(double at[3], const double offset[3], double scale, double pitch) {
    double heading[4], turn[4], moved[3];
    quat_turn(heading, AXIS_Y, HEADING);
    quat_turn(turn, AXIS_X, pitch);
    quat_multiply(heading, turn, turn);
    quat_rotate(turn, offset, moved);
    for (int i = 0; i < 3; i++)
        at[i] += scale * moved[i];
}

/* The left foot at a phase of 0 to STANCE. */
static void stand(const struct mannequin_rig *rig, double phase, struct foothold *hold) {
    double hinge[3];
    for (int i = 0; i < 3; i++)
        hinge[i] =
            (double)rig->position[BONE_LEFT_TOE_BASE][i] - (double)rig->position[BONE_LEFT_FOOT][i];
    *hold = (struct foothold){.ankle = {TRACK, 0, REACH - STRIDE * phase}, .heading = HEADING};
    hold->ankle[1] = (double)rig->position[BONE_LEFT_FOOT][1];
    hold->pitch = stance_pitch(phase);
    if (hold->pitch < 0) {
        hold->toes = hold->pitch;
        add_offset(hold->ankle, HEEL, 1, 0);
        add_offset(hold->ankle, HEEL, -1, hold->pitch);
        return;
    }
    /* the hinge gives way first; from about 30 degrees on the toes rise too */
    double over = hold->pitch - 30;
    hold->toes = 0.5 * (over + sqrt(over * over + 36)) - 0.5 * (sqrt(36 + 900) - 30);
    add_offset(hold->ankle, hinge, 1, 0);
    add_offset(hold->ankle, TIP, 1, 0);
    add_offset(hold->ankle, TIP, -1, hold->toes);
    add_offset(hold->ankle, hinge, -1, hold->pitch);
}

/* -- Left foot in the air ---------------------------------------------------------------------- */

/* A leg seen from the side: its direction (degrees, forward of straight down) and the knee's bend
 * (degrees). */
struct leg {
    double direction, bend;
};

static struct leg leg_of(const double length[2], const double hip[3], const double ankle[3]) {
    double y = hip[1] - ankle[1], z = ankle[2] - hip[2];
    double squares = length[0] * length[0] + length[1] * length[1];
    double cosine = (y * y + z * z - squares) / (2 * length[0] * length[1]);
    return (struct leg){atan2(z, y) / DEGREE, acos(fmin(fmax(cosine, -1), 1)) / DEGREE};
}

static struct leg stance_leg(const struct mannequin_rig *rig, double phase) {
    struct foothold hold;
    double hip[3], length[2];
    stand(rig, phase, &hold);
    find_left_hip(rig, phase, hip);
    pose_leg_lengths(rig, length);
    return leg_of(length, hip, hold.ankle);
}

struct key {
    double at, value, slope;
};

/* The cubic Hermite curve through keys. */
static double curve(const struct key *keys, int count, double at) {
    int k = 0;
    while (k + 2 < count && at > keys[k + 1].at)
        k++;
    double span = keys[k + 1].at - keys[k].at, t = (at - keys[k].at) / span, t2 = t * t,
           t3 = t2 * t;
    return (2 * t3 - 3 * t2 + 1) * keys[k].value + (t3 - 2 * t2 + t) * span * keys[k].slope +
           (3 * t2 - 2 * t3) * keys[k + 1].value + (t3 - t2) * span * keys[k + 1].slope;
}

/* The left leg at a phase of STANCE to 1. */
static struct leg swing_leg(const struct mannequin_rig *rig, double phase) {
    const double h = 1e-3;
    struct leg leave = stance_leg(rig, STANCE), before = stance_leg(rig, STANCE - h);
    struct leg strike = stance_leg(rig, 0), after = stance_leg(rig, h);
    const struct key direction[] = {
        {STANCE, leave.direction, (leave.direction - before.direction) / h},
        {1, strike.direction, (after.direction - strike.direction) / h},
    };
    const struct key bend[] = {
        {STANCE, leave.bend, (leave.bend - before.bend) / h},
        {0.735, 64, 0},
        {0.968, 5, -60},
        {1, strike.bend, fmin((after.bend - strike.bend) / h, 150)},
    };
    return (struct leg){curve(direction, 2, phase), curve(bend, 4, phase)};
}

/* The left foot at a phase of STANCE to 1. */
static void swing(const struct mannequin_rig *rig, double phase, struct foothold *hold) {
    const struct key pitch[] = {
        {STANCE, LEAVE_PITCH, 0.4 * LEAVE_PITCH * RISE_POWER / (STANCE - RISE)},
        {0.86, -2, -130},
        {0.96, STRIKE_PITCH, 0},
        {1, STRIKE_PITCH, 0},
    };
    struct leg leg = swing_leg(rig, phase);
    double length[2], hip[3], angle = leg.direction * DEGREE;
    pose_leg_lengths(rig, length);
    double reach = sqrt(length[0] * length[0] + length[1] * length[1] +
                        2 * length[0] * length[1] * cos(leg.bend * DEGREE));
    find_left_hip(rig, phase, hip);
    struct foothold leave, strike;
    stand(rig, STANCE, &leave);
    stand(rig, 0, &strike);
    *hold = (struct foothold){.heading = HEADING, .pitch = curve(pitch, 4, phase)};
    /* the toes, bent when they leave the floor, straighten on the way */
    double straight = smooth_step((phase - STANCE) / 0.16);
    hold->toes = hold->pitch - (leave.pitch - leave.toes) * (1 - straight);
    double forward = smooth_step((phase - STANCE) / (1 - STANCE));
    hold->ankle[0] = leave.ankle[0] + (strike.ankle[0] - leave.ankle[0]) * forward;
    hold->ankle[1] = hip[1] - reach * cos(angle);
    hold->ankle[2] = hip[2] + reach * sin(angle);
}

/* -- Clips ------------------------------------------------------------------------------------- */

/* The trunk turns against the pelvis, and the head looks where the walk goes. */
static void move_trunk(struct pose *pose, double phase) {
    double turn = cos(TURN * (phase - 0.02)), lean = sin(TURN * (phase + 0.06));
    for (int bone = BONE_SPINE; bone <= BONE_SPINE2; bone++) {
        pose_turn(pose, bone, AXIS_X, -0.4);
        pose_turn(pose, bone, AXIS_Z, -4.6 / 3 * lean);
        pose_turn(pose, bone, AXIS_Y, 11.0 / 3 * turn);
    }
    for (int bone = BONE_NECK; bone <= BONE_HEAD; bone++) {
        pose_turn(pose, bone, AXIS_X, -0.6);
        pose_turn(pose, bone, AXIS_Z, 0.4 * lean);
        pose_turn(pose, bone, AXIS_Y, -2.4 * turn);
    }
}

/* Everything but the right limbs. */
static void walk_left(const struct mannequin_rig *rig, double phase, struct pose *pose) {
    struct foothold hold;
    phase -= floor(phase);
    pose_init(pose, rig);
    move_pelvis(pose, phase);
    move_trunk(pose, phase);
    if (phase < STANCE)
        stand(rig, phase, &hold);
    else
        swing(rig, phase, &hold);
    pose_place_left_foot(pose, &hold);
    double forward = -cos(TURN * (phase - 0.02));
    pose_hang_left_arm(pose, 1 + 21 * forward, 20 - 10 * cos(TURN * (phase - 0.06)), 16);
}

void pose_walk(const struct mannequin_rig *rig, double phase, struct pose *pose) {
    struct pose other;
    walk_left(rig, phase, pose);
    walk_left(rig, phase + 0.5, &other);
    pose_mirror_limbs(pose, &other);
}

void pose_idle(const struct mannequin_rig *rig, double phase, struct pose *pose) {
    double breath = sin(TURN * phase), sway = sin(TURN * phase + 0.7);
    struct pose other;
    for (int side = 0; side < 2; side++) {
        struct pose *half = side ? &other : pose;
        double away = side ? -1 : 1;
        pose_init(half, rig);
        half->root[0] += away * 0.006 * sway;
        half->root[1] -= 0.007 - 0.001 * breath;
        pose_turn(half, BONE_HIPS, AXIS_Z, away * 0.4 * sway);
        pose_turn(half, BONE_SPINE, AXIS_X, 0.5);
        pose_turn(half, BONE_SPINE1, AXIS_X, -0.3 - 0.4 * breath);
        pose_turn(half, BONE_SPINE2, AXIS_X, -0.2 - 0.8 * breath);
        pose_turn(half, BONE_SPINE1, AXIS_Z, away * -0.4 * sway);
        pose_turn(half, BONE_HEAD, AXIS_X, 0.9 * breath);
        pose_place_left_foot(half, &(struct foothold){{0.098, 0.085, 0.004}, 9, 0, 0});
        pose_hang_left_arm(half, 2 + 0.8 * breath, 13 + 0.8 * breath, 17);
        pose_turn(half, BONE_LEFT_SHOULDER, AXIS_Z, 0.7 * breath);
    }
    pose_mirror_limbs(pose, &other);
}
