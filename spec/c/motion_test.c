/* Motions: BVH and Acclaim as people write them, what is refused and at which line, and how bodies
 * play them: limbs point where the motion's do, feet stay where they stand and above the floor. */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "core/err.h"
#include "media/mannequin.h"
#include "media/motion_parts.h"
#include "media/scene.h"
#include "media/scene_parts.h"
#include "rigs.h"
#include "stance_gpu.h"

/* -- Files ------------------------------------------------------------------------------------- */

/* A person of 17 joints in T pose, z up, facing -y; tabs, blanks at line ends, odd orders. */
static const char tree[] =
    "HIERARCHY \r\nROOT Hips\t\r\n{ \n"
    "\tOFFSET 0 0 0\n\tCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation \n"
    "\tJOINT Spine\n\t{\n\t\tOFFSET 0 0 3\n\t\tCHANNELS 3 Zrotation Yrotation Xrotation\n"
    "\t\tJOINT Head\n\t\t{\n\t\t\tOFFSET 0 0 3\n\t\t\tCHANNELS 3 Xrotation Yrotation Zrotation\n"
    "\t\t\tEnd Site\n\t\t\t{\n\t\t\t\tOFFSET 0 0 2\n\t\t\t}\n\t\t}\n"
    "\t\tJOINT LeftArm {\n\t\t\tOFFSET 2 0 2\n"
    "\t\t\tchannels 6 Yrotation Xrotation Zrotation Xposition Yposition Zposition\n"
    "\t\t\tJOINT LeftForeArm\n\t\t\t{\n\t\t\t\tOFFSET 3 0 0\n\t\t\t\tCHANNELS 1 Zrotation\n"
    "\t\t\t\tJOINT LeftHand\n\t\t\t\t{\n\t\t\t\t\tOFFSET 3 0 0\n\t\t\t\t\tCHANNELS 0\n"
    "\t\t\t\t\tEnd Site\n\t\t\t\t\t{\n\t\t\t\t\t\tOFFSET 1 0 0\n\t\t\t\t\t}\n"
    "\t\t\t\t}\n\t\t\t}\n\t\t}\n"
    "\t\tJOINT RightArm\n\t\t{\n\t\t\tOFFSET -2 0 2\n\t\t\tCHANNELS 1 Yrotation\n"
    "\t\t\tJOINT RightForeArm\n\t\t\t{\n\t\t\t\tOFFSET -3 0 0\n\t\t\t\tCHANNELS 0\n"
    "\t\t\t\tJOINT RightHand\n\t\t\t\t{\n\t\t\t\t\tOFFSET -3 0 0\n\t\t\t\t\tCHANNELS 0\n"
    "\t\t\t\t}\n\t\t\t}\n\t\t}\n\t}\n"
    "\tJOINT LeftUpLeg\n\t{\n\t\tOFFSET 1 0 0\n\t\tCHANNELS 1 Xrotation\n"
    "\t\tJOINT LeftLeg\n\t\t{\n\t\t\tOFFSET 0 0 -4\n\t\t\tCHANNELS 0\n"
    "\t\t\tJOINT LeftFoot\n\t\t\t{\n\t\t\t\tOFFSET 0 0 -4\n\t\t\t\tCHANNELS "
    "0\n\t\t\t}\n\t\t}\n\t}\n"
    "\tJOINT RightUpLeg\n\t{\n\t\tOFFSET -1 0 0\n\t\tCHANNELS 0\n"
    "\t\tJOINT RightLeg\n\t\t{\n\t\t\tOFFSET 0 0 -4\n\t\t\tCHANNELS 0\n"
    "\t\t\tJOINT RightFoot\n\t\t\t{\n\t\t\t\tOFFSET 0 0 -4\n\t\t\t\tCHANNELS "
    "0\n\t\t\t}\n\t\t}\n\t}\n"
    "}\n";
/* Root, spine, head, left arm (turns, then its place), its elbow, right arm, left thigh. */
static const char frames[] = "MOTION\nFrames: 2\nFrame Time:\t.03333\n"
                             "5 6 9 0 0 0  0 0 0  0 0 0  0 0 0 2 0 2  0 0 0 \n"
                             "5 6 9 0 0 0  0 0 0  0 0 0  90 0 0 2 0 2.5  45 -90 -90\n";

static int open_text(const char *text, struct motion **out, struct err *err) {
    const struct motion_source source = {.rigs = rigs()};
    return motion_open_bytes(text, strlen(text), "made.bvh", &source, out, err);
}

static char *join(const char *a, const char *b) {
    char *out = malloc(strlen(a) + strlen(b) + 1);
    return strcat(strcpy(out, a), b);
}

static struct scene *mannequin(float stature) {
    const struct mannequin_options options = {.detail = 1, .stature = stature};
    const struct scene_options how = {.stature = (double)stature, .rigs = rigs()};
    struct scene *body = NULL;
    uint8_t *glb = NULL;
    size_t size;
    CHECK(mannequin_write_glb(&options, &glb, &size, NULL) == 0);
    CHECK(scene_open_bytes(glb, size, "mannequin", &how, &body, NULL) == 0);
    free(glb);
    return body;
}

static bool near(struct vec a, struct vec b, double slack) {
    return vec_distance(a, b) <= slack;
}

static void bvh_is_read_as_it_is_found(void) {
    char *text = join(tree, frames);
    struct motion *motion = NULL;
    struct err err = {0};
    CHECK(open_text(text, &motion, &err) == 0);
    CHECK_TEXT(err.message, "");
    CHECK_TEXT(motion_name(motion), "made");
    CHECK_TEXT(motion_format(motion), "bvh");
    CHECK(motion_clip_count(motion) == 1 && motion_find_clip(motion, "MADE") == 0);
    CHECK(fabs(motion_clip_rate(motion, 0) - 30) < 0.01);
    CHECK_TEXT(motion_bone(motion, RIG_LEFT_LOWER_ARM), "LeftForeArm");
    CHECK(motion_bone(motion, RIG_LEFT_TOES) == NULL);
    struct quat turns[32];
    struct vec places[32];
    const int *bones = motion->figure.bones;
    motion_sample(motion, 0, 1, turns, places, NULL);
    /* Its z is our y, its -y our z: the arm hangs down at x 7, the elbow bends forward. */
    CHECK(near(places[bones[RIG_HIPS]], (struct vec){5, 9, -6}, 1e-5));
    CHECK(near(places[bones[RIG_LEFT_UPPER_ARM]], (struct vec){7, 14.5, -6}, 1e-5));
    CHECK(near(places[bones[RIG_LEFT_LOWER_ARM]], (struct vec){7, 11.5, -6}, 1e-5));
    double half = 3 * sqrt(0.5);
    CHECK(near(places[bones[RIG_LEFT_HAND]], (struct vec){7, 11.5 - half, -6 - half}, 1e-5));
    CHECK(near(places[bones[RIG_RIGHT_HAND]], (struct vec){3, 8, -6}, 1e-5));
    motion_release(motion);
    free(text);
}

static void bad_files_say_where(void) {
    static const struct {
        const char *head, *tail, *expected;
    } cases[] = {
        {"HIERARCHY\nROOT\n{", "", "made.bvh:2: the joint has no name"},
        {"HIERARCHY\nROOT A {\nOFFSET 0 zero 0", "",
         "made.bvh:3: a number was expected, not \"zero\""},
        {"HIERARCHY\nROOT A\n{\nOFFSET 0 nan 0", "",
         "made.bvh:4: a number was expected, not \"nan\""},
        {"HIERARCHY\nROOT A\n{\nOFFSET 0 0 0\nCHANNELS 1 Wrotation", "",
         "made.bvh:5: no channel is called \"Wrotation\""},
        {"HIERARCHY\nROOT A\n{\nOFFSET 0 0 0\nCHANNELS 2 Xrotation Xrotation", "",
         "made.bvh:5: the channel Xrotation stands there twice"},
        {"HIERARCHY\nROOT A\n{\nOFFSET 0 0 0\nJOINT B\n{\n", "",
         "made.bvh:7: the file ends where \"OFFSET\" was expected"},
        {tree, "ROOT Other\n", "made.bvh:100: a second ROOT: one person a file is read"},
        {tree, "MOTION\nFrames: 0\n", "a motion has 1 to 1048576 frames, not 0"},
        {tree, "MOTION\nFrames: 1\nFrame Time: 0\n", "a frame lasts 0.0001 to 10 seconds, not 0"},
        {tree, "MOTION\nFrames: 900000\nFrame Time: .01\n1 2 3", "too short for 900000 frames"},
        {tree, "MOTION\nFrames: 1\nFrame Time: .01\n0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0x",
         "a number was expected, not \"0x\""},
        {"HIERARCHY\nROOT A\n{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n}\n",
         "MOTION\nFrames: 1\nFrame Time: .1\n0\n", "no human skeleton: its 1 joints show no head"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = join(cases[i].head, cases[i].tail);
        struct motion *motion = NULL;
        struct err err = {0};
        int rc = open_text(text, &motion, &err);
        const char *expected = cases[i].expected;
        if (strncmp(expected, "made.bvh:100", 12) == 0) /* whatever line that is */
            expected = strstr(expected, " a second");
        CHECK(rc < 0 && motion == NULL);
        if (strstr(err.message, expected) == NULL)
            CHECK_TEXT(err.message, expected);
        free(text);
    }
}

/* -- Acclaim ----------------------------------------------------------------------------------- */

static void bone(char *out, const char *name, const char *direction, const char *rest) {
    sprintf(out + strlen(out), "begin\nid 1\nname %s\ndirection %s\nlength 2\n%s\nend\n", name,
            direction, rest);
}

static char *asf(void) {
    char *out = calloc(1, 8192);
    strcpy(out, "# made\n:version 1.10\n:name made\n:units\n mass 1\n length 1\n angle deg\n"
                ":documentation\n begin what you like\n:root\n order TX TY TZ RX RY RZ\n axis XYZ\n"
                " position 1 2 3\n orientation 0 0 0\n:bonedata\n");
    bone(out, "lowerback", "0 1 0",
         "axis 0 0 0 XYZ\ndof rx ry rz\nlimits (-1 1)\n (-1 1)\n (-1 1)");
    bone(out, "head", "0 1 0", "axis 0 0 0 XYZ");
    for (int side = 0; side < 2; side++) {
        static const char *const names[] = {"clavicle", "humerus", "radius", "hand"};
        char name[20], direction[20];
        for (int i = 0; i < 4; i++) {
            sprintf(name, "%c%s", side == 0 ? 'l' : 'r', names[i]);
            sprintf(direction, "%d 0 0", side == 0 ? 1 : -1);
            bone(out, name, direction, i == 1 ? "axis 0 0 90 XYZ\ndof rx" : "axis 0 0 0 XYZ");
        }
        static const char *const legs[] = {"hipjoint", "femur", "tibia", "foot"};
        for (int i = 0; i < 4; i++) {
            sprintf(name, "%c%s", side == 0 ? 'l' : 'r', legs[i]);
            sprintf(direction, "%d %d %d", i == 0 ? (side == 0 ? 1 : -1) : 0,
                    i == 0 || i == 3 ? 0 : -1, i == 3);
            bone(out, name, direction, i == 2 ? "axis 0 0 0 XYZ\ndof rx" : "axis 0 0 0 XYZ");
        }
    }
    strcat(out,
           ":hierarchy\nbegin\nroot lowerback lhipjoint rhipjoint\nlowerback head lclavicle "
           "rclavicle\nlclavicle lhumerus\nlhumerus lradius\nlradius lhand\nrclavicle rhumerus\n"
           "rhumerus rradius\nrradius rhand\nlhipjoint lfemur\nlfemur ltibia\nltibia lfoot\n"
           "rhipjoint rfemur\nrfemur rtibia\nrtibia rfoot\nend\n");
    return out;
}

static void acclaim_turns_about_a_bones_own_axes(void) {
    static const char amc[] =
        "#!OML:ASF made\n:FULLY-SPECIFIED\n:DEGREES\n1\nroot 0 4 0 0 0 0\n"
        "lhumerus 0\nltibia 0\n2\nroot 0 4 0 0 90 0\nlhumerus 90\nltibia 90\n";
    char *skeleton = asf();
    const struct motion_source source = {
        .bones = skeleton, .bones_size = strlen(skeleton), .rigs = rigs()};
    struct motion *motion = NULL;
    struct err err = {0};
    CHECK(motion_open_bytes(amc, sizeof amc - 1, "made.amc", &source, &motion, &err) == 0);
    CHECK_TEXT(err.message, "");
    struct quat turns[64];
    struct vec places[64];
    const int *bones = motion->figure.bones;
    CHECK_TEXT(motion_format(motion), "acclaim");
    CHECK_TEXT(motion_bone(motion, RIG_LEFT_LOWER_LEG), "ltibia");
    CHECK(motion_clip_rate(motion, 0) == 120);
    motion_sample(motion, 0, 0, turns, places, NULL);
    CHECK(near(places[bones[RIG_HIPS]], (struct vec){1, 6, 3}, 1e-5));
    CHECK(near(places[bones[RIG_LEFT_FOOT]], (struct vec){3, 2, 3}, 1e-5));
    /* Turned by 90 degrees about y, the left is to -z; the humerus's x is the world's y, so its 90
     * degrees bring the forearm further round, to -x; the shin goes back, to -x. */
    motion_sample(motion, 0, 1, turns, places, NULL);
    CHECK(near(places[bones[RIG_LEFT_UPPER_ARM]], (struct vec){1, 8, 1}, 1e-5));
    CHECK(near(places[bones[RIG_LEFT_LOWER_ARM]], (struct vec){-1, 8, 1}, 1e-5));
    CHECK(near(places[bones[RIG_LEFT_LOWER_LEG]], (struct vec){1, 4, 1}, 1e-5));
    CHECK(near(places[bones[RIG_LEFT_FOOT]], (struct vec){-1, 4, 1}, 1e-5));
    motion_release(motion);

    static const struct {
        const char *amc, *expected;
    } cases[] = {
        {":DEGREES\n1\nroot 0 4 0 0 90\n", "made.amc:3: the line ends where a number was expected"},
        {":DEGREES\n1\nltibia 1 2\n",
         "made.amc:3: ltibia has 1 degrees of freedom, and more numbers"},
        {":DEGREES\n1\nltail 1\n", "made.amc:3: the skeleton has no bone \"ltail\""},
        {":DEGREES\nroot 1\n", "made.amc:1: a motion has 1 to"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = motion_open_bytes(cases[i].amc, strlen(cases[i].amc), "made.amc", &source, &motion,
                                   &err);
        CHECK(rc == ERR_CORRUPT);
        if (strstr(err.message, cases[i].expected) == NULL)
            CHECK_TEXT(err.message, cases[i].expected);
    }
    const struct motion_source none = {.rigs = rigs()};
    CHECK(motion_open_bytes(amc, sizeof amc - 1, "made.amc", &none, &motion, &err) ==
          ERR_NOT_FOUND);
    free(skeleton);
}

/* -- Playing ----------------------------------------------------------------------------------- */

struct follow {
    double arms, legs; /* radians at most between limbs of body and motion; legs: the mean */
    double low;        /* metres of the lowest skin */
    double slide;      /* metres at most that a planted foot's carrier moved in one plant */
};

static struct vec limb(const int *bones, const struct vec *places, int from, int to) {
    return vec_unit(vec_sub(places[bones[to]], places[bones[from]]));
}

static double turn_between(struct vec a, struct vec b) {
    return acos(fmin(1, vec_dot(a, b)));
}

/* How far the part of a planted foot that moved least moved since the frame before: heel, or ball
 * (of a foot without toes, its tip). */
static double slip(const struct scene_motion *bound, int side, const float *now,
                   const float *before) {
    const struct gpu_anchor *anchors = scene_landmarks(bound->body, NULL);
    const int *bones = bound->figure.bones;
    int foot = bones[RIG_LEFT_FOOT + side], toes = bones[RIG_LEFT_TOES + side];
    double least = INFINITY;
    for (int i = 0; i < 2; i++) {
        const float *p = anchors[(i == 0 ? 29 : 31) + side].position;
        int joint = i == 0 || toes < 0 ? foot : toes;
        struct vec at = {(double)p[0], 0, (double)p[2]};
        struct mat a, b;
        for (int k = 0; k < 12; k++) {
            a.m[k] = (double)now[12 * joint + k];
            b.m[k] = (double)before[12 * joint + k];
        }
        if (joint == toes)
            at = bound->figure.places[toes];
        struct vec moved = vec_sub(mat_point(&a, at), mat_point(&b, at));
        least = fmin(least, hypot(moved.x, moved.z));
    }
    return least;
}

static struct follow watch(const struct motion *motion, const struct scene_motion *bound) {
    static const int limbs[][2] = {
        {RIG_LEFT_UPPER_ARM, RIG_LEFT_LOWER_ARM},   {RIG_LEFT_LOWER_ARM, RIG_LEFT_HAND},
        {RIG_RIGHT_UPPER_ARM, RIG_RIGHT_LOWER_ARM}, {RIG_RIGHT_LOWER_ARM, RIG_RIGHT_HAND},
        {RIG_LEFT_UPPER_LEG, RIG_LEFT_LOWER_LEG},   {RIG_LEFT_LOWER_LEG, RIG_LEFT_FOOT},
        {RIG_RIGHT_UPPER_LEG, RIG_RIGHT_LOWER_LEG}, {RIG_RIGHT_LOWER_LEG, RIG_RIGHT_FOOT}};
    const struct motion_figure *figure = &bound->figure, *theirs = &motion->figure;
    const struct scene *body = scene_motion_body(bound);
    size_t joints = scene_joint_count(body), other = theirs->count + 64;
    if (motion->scene != NULL)
        other = scene_joint_count(motion->scene);
    struct quat *turns = malloc((joints + other) * sizeof *turns);
    struct vec *places = malloc(joints * sizeof *places), *source = malloc(other * sizeof *source);
    float *palette = malloc(2 * 48 * joints), *before = palette + 12 * joints,
          *scratch = malloc(48 * other), box[6];
    struct follow out = {0, 0, INFINITY, 0};
    double slid[2] = {0, 0};
    for (uint32_t frame = 0; frame < bound->frames; frame++) {
        motion_play(bound, frame, turns, places);
        motion_sample(motion, 0, frame, turns + joints, source, scratch);
        for (int i = 0; i < 8; i++) {
            double angle = turn_between(limb(figure->bones, places, limbs[i][0], limbs[i][1]),
                                        limb(theirs->bones, source, limbs[i][0], limbs[i][1]));
            if (i < 4)
                out.arms = fmax(out.arms, angle);
            else
                out.legs += angle / (4.0 * bound->frames);
        }
        memcpy(before, palette, 48 * joints);
        double time = frame / scene_motion_rate(bound);
        scene_motion_pose(bound, time, palette);
        gpu_actor_box(&(struct gpu_actor){.scene = scene_gpu(body), .pose = palette}, box);
        out.low = fmin(out.low, (double)box[1]);
        for (int side = 0; side < 2; side++) {
            bool stays = frame > 0 && (bound->planted[frame] >> side & 1) != 0 &&
                         (bound->planted[frame - 1] >> side & 1) != 0;
            slid[side] = stays ? slid[side] + slip(bound, side, palette, before) : 0;
            out.slide = fmax(out.slide, slid[side]);
        }
    }
    free(turns);
    free(places);
    free(source);
    free(palette);
    free(scratch);
    return out;
}

static void a_body_plays_its_own_clip_as_it_is(void) {
    struct scene *body = mannequin(1.75f);
    struct motion *motion = NULL;
    struct scene_motion *bound = NULL;
    struct motion_options options = motion_options_default();
    options.loose_feet = true;
    CHECK(motion_of_scene(body, &motion, NULL) == 0);
    int clip = motion_find_clip(motion, "walk");
    CHECK(clip >= 0);
    CHECK(scene_motion_new(motion, (uint32_t)clip, body, &options, &bound, NULL) == 0);
    uint32_t joints = scene_joint_count(body);
    float *expected = malloc(48 * joints), *got = malloc(48 * joints), worst = 0;
    for (int i = 0; i < 12; i++) {
        double time = scene_motion_seconds(bound) * i / 12;
        scene_pose(body, clip, time, expected);
        scene_motion_pose(bound, time, got);
        for (uint32_t k = 0; k < 12 * joints; k++) /* it starts over the origin, on its own floor */
            if (k % 4 != 3 && bound->drivers[k / 12].row >= 0)
                worst = fmaxf(worst, fabsf(got[k] - expected[k]));
    }
    CHECK(worst < 0.01f);
    CHECK(fabs(scene_motion_seconds(bound) - scene_clip_seconds(body, (uint32_t)clip)) < 1e-6);
    CHECK(fabs(scene_motion_wrap(bound, -0.25) - (scene_motion_seconds(bound) - 0.25)) < 1e-9);
    CHECK(scene_motion_wrap(bound, NAN) == 0);
    free(expected);
    free(got);
    scene_motion_release(bound);
    motion_release(motion);
    scene_release(body);
}

static void others_walk_as_well_on_their_own_legs(void) {
    struct scene *tall = mannequin(1.9f), *small = mannequin(0.9f);
    struct motion *motion = NULL;
    struct scene_motion *bound = NULL;
    struct motion_options options = motion_options_default();
    CHECK(motion_of_scene(tall, &motion, NULL) == 0);
    uint32_t walk = (uint32_t)motion_find_clip(motion, "walk");
    options.speed = 2;
    CHECK(scene_motion_new(motion, walk, small, &options, &bound, NULL) == 0);
    const struct scene_motion_report *report = scene_motion_report(bound);
    CHECK(fabs(report->scale - 0.9 / 1.9) < 0.02 && report->skipped == 0);
    CHECK(fabs(2 * scene_motion_seconds(bound) - motion_clip_seconds(motion, walk)) < 1e-6);
    float box[6];
    CHECK(scene_motion_box(bound, box, NULL) == 0);
    CHECK(box[1] > -0.01f && box[4] > 0.8f && box[4] < 0.95f);
    scene_motion_release(bound);
    struct err err = {0};
    options.speed = 0;
    CHECK(scene_motion_new(motion, walk, small, &options, &bound, &err) == ERR_INVALID);
    CHECK(strstr(err.message, "speed must be 0.01 to 100") != NULL);
    CHECK(scene_motion_new(motion, 99, small, NULL, &bound, &err) == ERR_NOT_FOUND);
    motion_release(motion);
    scene_release(tall);
    scene_release(small);
}

static void a_motion_is_mirrored_and_faces_the_front(void) {
    char *text = join(tree, frames);
    struct scene *body = mannequin(1.7f);
    struct motion *motion = NULL;
    struct scene_motion *bound = NULL;
    struct motion_options options = motion_options_default();
    options.mirror = options.loose_feet = true;
    CHECK(open_text(text, &motion, NULL) == 0);
    CHECK(scene_motion_new(motion, 0, body, &options, &bound, NULL) == 0);
    struct quat turns[256];
    struct vec places[256];
    const int *bones = bound->figure.bones;
    motion_play(bound, 1, turns, places);
    /* The motion's left arm hangs down with the hand to -z: here it is the right one. */
    CHECK(near(limb(bones, places, RIG_RIGHT_UPPER_ARM, RIG_RIGHT_LOWER_ARM),
               (struct vec){0, -1, 0}, 1e-4));
    CHECK(near(limb(bones, places, RIG_RIGHT_LOWER_ARM, RIG_RIGHT_HAND),
               (struct vec){0, -sqrt(0.5), -sqrt(0.5)}, 1e-4));
    struct vec hips = motion_figure_hips(&bound->figure, places);
    CHECK(fabs(hips.x) < 1e-5 && fabs(hips.z) < 1e-5);
    scene_motion_release(bound);
    motion_release(motion);
    scene_release(body);
    free(text);
}

/* -- Assets ------------------------------------------------------------------------------------ */

/* What the shipped motions make of the shipped bodies: in numbers that are seen to be good. */
static void shipped_bodies_follow_shipped_motions(void) {
    static const char *const bodies[] = {"mh_female_walk.fbx", "mh_male_wave.fbx",
                                         "quaternius_male_casual.fbx",
                                         "quaternius_woman_smooth.fbx", "CesiumMan.glb"};
    static const char *const motions[] = {"ad_cmu1_jumping_jacks.bvh",
                                          "ad_fair1_dab.bvh",
                                          "ad_fair1_jumping.bvh",
                                          "cmu_02_01.amc",
                                          "cmu_02_03.amc",
                                          "cmu_02_04.amc",
                                          "pymo_AV_8Walk_Meredith.bvh"};
    const char *assets = getenv("STANCE_ASSETS");
    if (assets == NULL)
        SKIP("STANCE_ASSETS is not set");
    const struct motion_source source = {.rigs = rigs()};
    const struct scene_options options = {.rigs = rigs()};
    char path[600];
    for (size_t b = 0; b < sizeof bodies / sizeof *bodies; b++) {
        struct scene *body = NULL;
        snprintf(path, sizeof path, "%s/characters/%s", assets, bodies[b]);
        if (scene_open(path, &options, &body, NULL) != 0)
            SKIP("a character of the assets is missing");
        for (size_t m = 0; m < sizeof motions / sizeof *motions; m++) {
            struct motion *motion = NULL;
            struct scene_motion *bound = NULL;
            struct err err = {0};
            snprintf(path, sizeof path, "%s/motions/%s", assets, motions[m]);
            CHECK(motion_open(path, &source, &motion, &err) == 0);
            CHECK_TEXT(err.message, "");
            if (motion == NULL)
                continue;
            CHECK(scene_motion_new(motion, 0, body, NULL, &bound, &err) == 0);
            struct follow seen = watch(motion, bound);
            bool good = seen.arms < 0.005 &&
                        seen.legs < (strstr(bodies[b], "Cesium") ? 0.17 : 0.11) &&
                        seen.low > -0.01 && seen.slide < 0.01;
            if (!good)
                fprintf(stderr, "%s on %s: arms %.3f legs %.3f low %.4f slide %.4f\n", motions[m],
                        bodies[b], seen.arms, seen.legs, seen.low, seen.slide);
            CHECK(good);
            scene_motion_release(bound);
            motion_release(motion);
        }
        scene_release(body);
    }
}

int main(void) {
    static const struct test tests[] = {
        TEST(bvh_is_read_as_it_is_found),
        TEST(bad_files_say_where),
        TEST(acclaim_turns_about_a_bones_own_axes),
        TEST(a_body_plays_its_own_clip_as_it_is),
        TEST(others_walk_as_well_on_their_own_legs),
        TEST(a_motion_is_mirrored_and_faces_the_front),
        TEST(shipped_bodies_follow_shipped_motions),
    };
    return RUN(tests);
}
