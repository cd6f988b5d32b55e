/* mannequin_limbs.c - the left arm and leg: turned pieces between balls, the hand, the foot.
 *
 * A ball turns about its own centre, so a rim that lies on the ball stays on it however the joint
 * is bent: each limb ends in a rim of radius r at distance d from the joint with r * r + d * d a
 * little above the ball's radius squared. */
#include <math.h>
#include <string.h>

#include "media/mannequin_parts.h"

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof(array)[0]))

/* A round ring. */
#define ROUND(at_, radius)                                                                         \
    { .at = (at_), .side = (radius), .front = (radius), .back = (radius) }
#define EDGE(at_, radius)                                                                          \
    { .at = (at_), .side = (radius), .front = (radius), .back = (radius), .crease = true }
/* A fine groove cut by the tip of the tool at `at_` into a limb of that radius. */
#define GROOVE(at_, radius)                                                                        \
    EDGE((at_)-0.0022F, radius), EDGE((at_), (radius)-0.0018F), EDGE((at_) + 0.0022F, radius)

static const float DOWN[3] = {0, -1, 0}, LEFT[3] = {1, 0, 0}, FORWARD[3] = {0, 0, 1},
                   UP[3] = {0, 1, 0};

/* From the collar bone at x 0.055 to the shoulder ball at 0.183. */
static const struct lathe_ring COLLAR[] = {
    ROUND(0.020F, 0),       ROUND(0.022F, 0.026F), ROUND(0.045F, 0.041F), ROUND(0.075F, 0.0465F),
    ROUND(0.093F, 0.0440F), EDGE(0.102F, 0.0395F), EDGE(0.104F, 0.0365F), ROUND(0.098F, 0),
};

static const struct lathe_ring UPPER_ARM[] = {
    ROUND(0.033F, 0),        EDGE(0.027F, 0.0370F),  EDGE(0.0285F, 0.0405F), ROUND(0.040F, 0.0440F),
    ROUND(0.075F, 0.0468F),  ROUND(0.125F, 0.0442F), ROUND(0.185F, 0.0372F), ROUND(0.222F, 0.0338F),
    GROOVE(0.233F, 0.0332F), ROUND(0.246F, 0.0315F), EDGE(0.256F, 0.0275F),  EDGE(0.2575F, 0.0252F),
    ROUND(0.252F, 0),
};

static const struct lathe_ring FORE_ARM[] = {
    ROUND(0.028F, 0),
    EDGE(0.0225F, 0.0252F),
    EDGE(0.024F, 0.0275F),
    ROUND(0.034F, 0.0325F),
    {.at = 0.070F, .side = 0.0375F, .front = 0.0370F, .back = 0.0370F},
    {.at = 0.115F, .side = 0.0345F, .front = 0.0355F, .back = 0.0355F},
    {.at = 0.170F, .side = 0.0265F, .front = 0.0288F, .back = 0.0288F},
    {.at = 0.200F, .side = 0.0228F, .front = 0.0258F, .back = 0.0258F, .crease = true},
    {.at = 0.2022F, .side = 0.0211F, .front = 0.0241F, .back = 0.0241F, .crease = true},
    {.at = 0.2044F, .side = 0.0226F, .front = 0.0256F, .back = 0.0256F, .crease = true},
    {.at = 0.216F, .side = 0.0215F, .front = 0.0240F, .back = 0.0240F},
    EDGE(0.2245F, 0.0195F),
    EDGE(0.226F, 0.0170F),
    ROUND(0.222F, 0),
};

static const struct lathe_ring THIGH[] = {
    ROUND(0.046F, 0),
    EDGE(0.038F, 0.0475F),
    EDGE(0.040F, 0.0530F),
    {.at = 0.056F, .side = 0.0665F, .front = 0.0680F, .back = 0.0700F},
    {.at = 0.095F, .side = 0.0740F, .front = 0.0790F, .back = 0.0810F},
    {.at = 0.150F, .side = 0.0725F, .front = 0.0790F, .back = 0.0780F},
    {.at = 0.230F, .side = 0.0615F, .front = 0.0680F, .back = 0.0630F},
    {.at = 0.305F, .side = 0.0505F, .front = 0.0545F, .back = 0.0510F},
    ROUND(0.340F, 0.0475F),
    GROOVE(0.352F, 0.0467F),
    ROUND(0.364F, 0.0445F),
    EDGE(0.3745F, 0.0380F),
    EDGE(0.376F, 0.0352F),
    ROUND(0.368F, 0),
};

static const struct lathe_ring SHIN[] = {
    ROUND(0.037F, 0),
    EDGE(0.029F, 0.0352F),
    EDGE(0.0305F, 0.0380F),
    {.at = 0.043F, .side = 0.0445F, .front = 0.0435F, .back = 0.0450F},
    {.at = 0.085F, .side = 0.0525F, .front = 0.0450F, .back = 0.0600F, .square = 2.05F},
    {.at = 0.130F, .side = 0.0535F, .front = 0.0440F, .back = 0.0620F, .square = 2.05F},
    {.at = 0.200F, .side = 0.0445F, .front = 0.0400F, .back = 0.0500F},
    {.at = 0.280F, .side = 0.0335F, .front = 0.0335F, .back = 0.0355F},
    ROUND(0.335F, 0.0300F),
    GROOVE(0.352F, 0.0295F),
    ROUND(0.372F, 0.0290F),
    EDGE(0.3835F, 0.0255F),
    EDGE(0.385F, 0.0230F),
    ROUND(0.380F, 0),
};

/* From the wrist towards the fingers; the front is the back of the hand, the sides are thumb and
 * little finger. */
static const struct lathe_ring PALM[] = {
    {.at = 0.021F},
    {.at = 0.0175F, .side = 0.0170F, .front = 0.0145F, .back = 0.0145F, .crease = true},
    {.at = 0.0188F, .side = 0.0190F, .front = 0.0152F, .back = 0.0152F, .crease = true},
    {.at = 0.032F, .side = 0.0265F, .front = 0.0155F, .back = 0.0170F, .square = 2.3F},
    {.at = 0.052F, .side = 0.0345F, .front = 0.0145F, .back = 0.0170F, .square = 2.6F},
    {.at = 0.073F, .side = 0.0385F, .front = 0.0135F, .back = 0.0150F, .square = 2.8F},
    {.at = 0.086F, .side = 0.0390F, .front = 0.0120F, .back = 0.0125F, .square = 2.8F},
    {.at = 0.093F, .side = 0.0365F, .front = 0.0085F, .back = 0.0090F, .square = 2.6F},
    {.at = 0.0955F},
};

/* From the ankle forwards; the front is the instep. Heights are cut off at the floor. */
static const struct lathe_ring FOOT[] = {
    {.at = -0.062F, .shift = -0.052F},
    {.at = -0.058F, .side = 0.0170F, .front = 0.018F, .back = 0.024F, .shift = -0.053F},
    {.at = -0.046F,
     .side = 0.0265F,
     .front = 0.028F,
     .back = 0.040F,
     .shift = -0.053F,
     .square = 2.3F},
    {.at = -0.022F,
     .side = 0.0325F,
     .front = 0.038F,
     .back = 0.046F,
     .shift = -0.052F,
     .square = 2.5F},
    {.at = 0.006F,
     .side = 0.0345F,
     .front = 0.041F,
     .back = 0.046F,
     .shift = -0.052F,
     .square = 2.5F},
    {.at = 0.040F,
     .side = 0.0370F,
     .front = 0.034F,
     .back = 0.044F,
     .shift = -0.054F,
     .square = 2.5F},
    {.at = 0.080F,
     .side = 0.0425F,
     .front = 0.026F,
     .back = 0.040F,
     .shift = -0.060F,
     .square = 2.5F},
    {.at = 0.112F,
     .side = 0.0460F,
     .front = 0.021F,
     .back = 0.036F,
     .shift = -0.064F,
     .square = 2.5F,
     .crease = true},
    {.at = 0.115F,
     .side = 0.0440F,
     .front = 0.019F,
     .back = 0.033F,
     .shift = -0.064F,
     .square = 2.5F,
     .crease = true},
    {.at = 0.112F, .shift = -0.064F},
};

/* From the toes' hinge forwards. */
static const struct lathe_ring TOES[] = {
    {.at = 0.017F},
    {.at = 0.015F,
     .side = 0.0440F,
     .front = 0.018F,
     .back = 0.033F,
     .square = 2.5F,
     .crease = true},
    {.at = 0.018F,
     .side = 0.0462F,
     .front = 0.0195F,
     .back = 0.036F,
     .square = 2.5F,
     .crease = true},
    {.at = 0.036F, .side = 0.0450F, .front = 0.0160F, .back = 0.034F, .square = 2.5F},
    {.at = 0.058F, .side = 0.0385F, .front = 0.0100F, .back = 0.030F, .square = 2.4F},
    {.at = 0.072F,
     .side = 0.0230F,
     .front = 0.0030F,
     .back = 0.024F,
     .shift = -0.001F,
     .square = 2.2F},
    {.at = 0.078F, .shift = -0.006F},
};

/* The dowel about which the toes turn, along the left. */
static const struct lathe_ring DOWEL[] = {
    ROUND(-0.0420F, 0),     EDGE(-0.0420F, 0.0150F), EDGE(-0.0400F, 0.0175F),
    EDGE(0.0400F, 0.0175F), EDGE(0.0420F, 0.0150F),  ROUND(0.0420F, 0),
};

static void add_limb(struct mannequin_build *build, enum mannequin_tone tone, int bone,
                     const float axis[3], const float front[3], struct lathe_part part) {
    part.frame = mannequin_frame(build, bone, axis, front);
    lathe_turn(&build->mesh[tone], &part);
}

void mannequin_add_limbs(struct mannequin_build *build) {
    add_limb(build, TONE_BODY, BONE_LEFT_SHOULDER, (const float[3]){0.9965F, -0.0834F, 0}, UP,
             mannequin_part(build, COLLAR, COUNT(COLLAR), 32));
    mannequin_add_ball(build, BONE_LEFT_ARM, LEFT, 0.0450F, 28);
    add_limb(build, TONE_BODY, BONE_LEFT_ARM, LEFT, UP,
             mannequin_part(build, UPPER_ARM, COUNT(UPPER_ARM), 30));
    mannequin_add_ball(build, BONE_LEFT_FORE_ARM, LEFT, 0.0335F, 28);
    add_limb(build, TONE_BODY, BONE_LEFT_FORE_ARM, LEFT, UP,
             mannequin_part(build, FORE_ARM, COUNT(FORE_ARM), 30));
    mannequin_add_ball(build, BONE_LEFT_HAND, LEFT, 0.0235F, 24);

    mannequin_add_ball(build, BONE_LEFT_UP_LEG, LEFT, 0.0600F, 32);
    add_limb(build, TONE_BODY, BONE_LEFT_UP_LEG, DOWN, FORWARD,
             mannequin_part(build, THIGH, COUNT(THIGH), 40));
    mannequin_add_ball(build, BONE_LEFT_LEG, LEFT, 0.0450F, 30);
    add_limb(build, TONE_BODY, BONE_LEFT_LEG, DOWN, FORWARD,
             mannequin_part(build, SHIN, COUNT(SHIN), 36));
    mannequin_add_ball(build, BONE_LEFT_FOOT, LEFT, 0.0335F, 26);
}

/* -- Hand -------------------------------------------------------------------------------------- */

/* A finger's bone from one joint to the next: round where it meets its neighbours, so that bending
 * opens no gap, with a light waist beside each joint. `tip`: the last bone, which ends round at its
 * full length. */
static void add_phalanx(struct mannequin_build *build, int bone, float radius, bool tip) {
    const float *from = build->rig->position[bone], *to = build->rig->position[bone + 1];
    float axis[3], length = 0;
    for (int i = 0; i < 3; i++)
        length += (to[i] - from[i]) * (to[i] - from[i]);
    length = sqrtf(length);
    for (int i = 0; i < 3; i++)
        axis[i] = (to[i] - from[i]) / length;
    float r = radius, end = tip ? length : length - 0.55F * radius;
    const struct lathe_ring rings[] = {
        ROUND(-0.93F * r, 0),
        ROUND(-0.66F * r, 0.66F * r),
        ROUND(0, 0.95F * r),
        ROUND(0.55F * r, 0.88F * r),
        ROUND(1.3F * r, r),
        ROUND(end - 1.1F * r, 0.96F * r),
        ROUND(end - 0.35F * r, 0.66F * r),
        ROUND(end, 0),
    };
    struct lathe_part part = mannequin_part(build, rings, COUNT(rings), 12);
    part.turn *= 2.8F;
    add_limb(build, TONE_EXTREMITY, bone, axis, UP, part);
}

void mannequin_add_hand(struct mannequin_build *build) {
    static const float RADIUS[MANNEQUIN_FINGERS] = {0.0105F, 0.0090F, 0.0094F, 0.0088F, 0.0078F};
    add_limb(build, TONE_EXTREMITY, BONE_LEFT_HAND, LEFT, UP,
             mannequin_part(build, PALM, COUNT(PALM), 30));
    for (int finger = 0; finger < MANNEQUIN_FINGERS; finger++) {
        for (int k = 0; k < 3; k++) {
            float radius = RADIUS[finger] * (1 - 0.07F * (float)k);
            add_phalanx(build, BONE_LEFT_THUMB1 + 4 * finger + k, radius, k == 2);
        }
    }
}

/* -- Foot -------------------------------------------------------------------------------------- */

/* Flattens the sole, and bends the foot's middle line inwards towards the big toe. */
static void carve_foot(double p[3]) {
    const double edge = 0.004;
    p[1] = (p[1] + sqrt(p[1] * p[1] + edge * edge)) / 2;
    double along = (p[2] + 0.06) / 0.27;
    p[0] -= 0.012 * along * along - 0.006 * along;
}

void mannequin_add_foot(struct mannequin_build *build) {
    struct lathe_part foot = mannequin_part(build, FOOT, COUNT(FOOT), 32);
    foot.shape = carve_foot;
    add_limb(build, TONE_EXTREMITY, BONE_LEFT_FOOT, FORWARD, UP, foot);
    struct lathe_part toes = mannequin_part(build, TOES, COUNT(TOES), 32);
    toes.shape = carve_foot;
    add_limb(build, TONE_EXTREMITY, BONE_LEFT_TOE_BASE, FORWARD, UP, toes);
    struct lathe_part dowel = mannequin_part(build, DOWEL, COUNT(DOWEL), 20);
    dowel.shape = carve_foot;
    add_limb(build, TONE_JOINT, BONE_LEFT_TOE_BASE, LEFT, UP, dowel);
}
