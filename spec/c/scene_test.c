/* Bodies from files: the mannequin as it is and as other programs would have written it (other
 * names, axes, units, sides), and the characters of the asset folder where there is one. */
#include <dirent.h>
#include <strings.h>

#include "mannequin_file.h"
#include "scratch.h"

enum {
    LEFT_ELBOW = 13,
    RIGHT_ELBOW = 14,
    LEFT_WRIST = 15,
    LEFT_HIP = 23,
    LEFT_ANKLE = 27,
    RIGHT_ANKLE = 28
};

/* -- As it is ---------------------------------------------------------------------------------- */

static void mannequin_is_whole(void) {
    struct scene *scene = open_plain();
    const struct scene_report *report = scene_report(scene);
    const bool *known;
    float box[6];
    scene_landmarks(scene, &known);
    CHECK_TEXT(scene_name(scene), "wood");
    CHECK_TEXT(report->format, "glb");
    CHECK_TEXT(report->rig, "mixamo");
    CHECK(fabs(report->stature - 1.75) < 0.02 && report->scale == 1);
    CHECK(!report->turned && report->landmarks == 33 && report->warning_count == 0);
    CHECK(report->textures >= 1 && scene_joint_count(scene) >= 65);
    for (int i = 0; i < SCENE_LANDMARKS; i++)
        CHECK(known[i]);
    CHECK(scene_box(scene, SCENE_REST, box, NULL) == 0);
    CHECK(fabsf(box[1]) < 0.02f && fabsf(box[4] - 1.75f) < 0.04f);
    CHECK(box[0] < -0.6f && box[3] > 0.6f); /* a T pose */
    scene_release(scene);
}

static void landmarks_lie_where_a_body_has_them(void) {
    struct scene *scene = open_plain();
    const struct gpu_anchor *at = scene_landmarks(scene, NULL);
    static const int heights[] = {31, 27, 25, 23, 11, 9, 0, 2}; /* from toes to eyes */
    for (size_t i = 1; i < sizeof heights / sizeof *heights; i++)
        CHECK(at[heights[i]].position[1] > at[heights[i - 1]].position[1] - 0.001f);
    static const int pairs[][2] = {{2, 5},   {7, 8},   {9, 10},  {11, 12}, {13, 14}, {15, 16},
                                   {17, 18}, {21, 22}, {23, 24}, {25, 26}, {27, 28}, {31, 32}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        CHECK(at[pairs[i][0]].position[0] > 0 && at[pairs[i][1]].position[0] < 0);
        CHECK(fabsf(at[pairs[i][0]].position[1] - at[pairs[i][1]].position[1]) < 0.03f);
    }
    CHECK(at[0].position[2] > at[7].position[2]);   /* the nose before the ears */
    CHECK(at[31].position[2] > at[29].position[2]); /* toes before heels */
    CHECK(at[19].position[2] > at[17].position[2]); /* the palm down: index before little finger */
    for (int i = 0; i < SCENE_LANDMARKS; i++)
        CHECK(at[i].radius > 0.001f && at[i].radius < 0.2f);
    CHECK(at[LEFT_HIP].radius > at[LEFT_WRIST].radius);
    scene_release(scene);
}

static void clips_move_the_body(void) {
    struct scene *scene = open_plain();
    int walk = scene_find_clip(scene, "WALK");
    double left[3], right[3], most = 0, least = 0, end[3], past[3];
    CHECK(walk >= 0 && scene_find_clip(scene, "swim") == -1);
    if (walk < 0)
        goto end;
    double seconds = scene_clip_seconds(scene, (uint32_t)walk);
    CHECK(fabs(seconds - 1.1) < 0.05 && scene_clip_rate(scene, (uint32_t)walk) > 20);
    for (int i = 0; i < 20; i++) {
        place(scene, walk, seconds * i / 20, LEFT_ANKLE, left);
        place(scene, walk, seconds * i / 20, RIGHT_ANKLE, right);
        most = fmax(most, left[2] - right[2]);
        least = fmin(least, left[2] - right[2]);
        CHECK(left[1] > 0 && right[1] > 0);
    }
    CHECK(most > 0.2 && least < -0.2); /* each foot goes before the other */
    place(scene, walk, seconds, LEFT_ANKLE, end);
    place(scene, walk, seconds + 5, LEFT_ANKLE, past);
    CHECK(end[0] == past[0] && end[1] == past[1] && end[2] == past[2]);
    CHECK(fabs(scene_clip_wrap(scene, walk, seconds * 2.25) - seconds * 0.25) < 1e-9);
    CHECK(fabs(scene_clip_wrap(scene, walk, -seconds * 0.25) - seconds * 0.75) < 1e-9);
    CHECK(scene_clip_wrap(scene, SCENE_REST, 3) == 0 && scene_clip_wrap(scene, walk, NAN) == 0);
end:
    scene_release(scene);
}

static void holders_are_counted(void) {
    struct scene *scene = open_plain();
    CHECK(scene_retain(scene) == scene);
    scene_release(scene);
    CHECK(scene_triangle_count(scene) > 1000);
    scene_release(scene);
    scene_release(NULL);
}

static void size_can_be_asked_for(void) {
    struct file file = file_take();
    const struct scene_options tall = {.stature = 2.9}, silly = {.stature = 99};
    struct scene *scene;
    struct err err = {0};
    CHECK(file_open(&file, &tall, &scene, &err) == 0);
    CHECK(fabs(scene_report(scene)->stature - 2.9) < 1e-6);
    scene_release(scene);
    file = file_take();
    CHECK(file_open(&file, &silly, &scene, &err) == ERR_INVALID);
}

/* -- As others would have written it ----------------------------------------------------------- */

/* All roots of the scene go below one node with these properties. */
static struct file wrapped(const char *properties) {
    struct file file = file_take();
    json_t *scene = json_array_get(json_object_get(file.json, "scenes"), 0);
    json_t *nodes = json_object_get(file.json, "nodes");
    json_t *node = json_loads(properties, 0, NULL);
    json_object_set(node, "children", json_object_get(scene, "nodes"));
    json_object_set_new(scene, "nodes", json_pack("[i]", (int)json_array_size(nodes)));
    json_array_append_new(nodes, node);
    return file;
}

static void axes_and_units_do_not_matter(void) {
    static const struct {
        const char *properties;
        bool turned;
        double scale;
    } cases[] = {
        {"{\"rotation\":[0.70710678,0,0,0.70710678]}", true, 1},
        {"{\"rotation\":[0,1,0,0]}", true, 1},
        {"{\"rotation\":[1,0,0,0]}", true, 1},
        {"{\"rotation\":[0,0.70710678,0,0.70710678]}", true, 1},
        {"{\"scale\":[100,100,100]}", false, 0.01},
        {"{\"scale\":[0.01,0.01,0.01]}", false, 100},
        {"{\"scale\":[39.3700787,39.3700787,39.3700787]}", false, 0.0254},
        {"{\"translation\":[7,5,-3]}", false, 1},
    };
    struct scene *plain = open_plain();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct file file = wrapped(cases[i].properties);
        struct scene *scene;
        float box[6], expected[6];
        struct err err = {0};
        CHECK(file_open(&file, NULL, &scene, &err) == 0);
        CHECK_TEXT(err.message, "");
        if (scene == NULL)
            continue;
        CHECK(scene_report(scene)->turned == cases[i].turned);
        CHECK(fabs(scene_report(scene)->scale / cases[i].scale - 1) < 1e-3);
        CHECK(farthest(plain, scene) < 0.003);
        for (int clip = SCENE_REST; clip < 1; clip++) {
            CHECK(scene_box(scene, clip, box, NULL) == 0 &&
                  scene_box(plain, clip, expected, NULL) == 0);
            for (int k = 0; k < 6; k++)
                CHECK(fabsf(box[k] - expected[k]) < 0.02f);
        }
        scene_release(scene);
    }
    scene_release(plain);
}

static void odd_sizes_become_human(void) {
    struct file file = wrapped("{\"scale\":[2.8,2.8,2.8]}");
    struct scene *scene;
    CHECK(file_open(&file, NULL, &scene, NULL) == 0);
    CHECK(fabs(scene_report(scene)->stature - 1.7) < 1e-6);
    CHECK(fabs(scene_report(scene)->file_stature - 4.9) < 0.1);
    scene_release(scene);
}

/* Renames the mannequin's bones; `names` pairs Mixamo's with others, # standing for the side. */
static void rename_bones(json_t *nodes, const char *const (*names)[2], const char *left,
                         const char *right) {
    size_t i;
    json_t *node;
    json_array_foreach(nodes, i, node) {
        const char *name = json_string_value(json_object_get(node, "name"));
        char made[96];
        if (name == NULL || strncmp(name, "mixamorig:", 10) != 0)
            continue;
        const char *bone = name + 10, *side = "";
        if (strncmp(bone, "Left", 4) == 0) {
            side = left;
            bone += 4;
        } else if (strncmp(bone, "Right", 5) == 0) {
            side = right;
            bone += 5;
        }
        snprintf(made, sizeof made, "other %zu", i);
        for (int k = 0; names[k][0] != NULL; k++) {
            const char *mark = strchr(names[k][1], '#');
            if (strcmp(bone, names[k][0]) != 0)
                continue;
            if (mark == NULL)
                snprintf(made, sizeof made, "%s", names[k][1]);
            else
                snprintf(made, sizeof made, "%.*s%s%s", (int)(mark - names[k][1]), names[k][1],
                         side, mark + 1);
        }
        json_object_set_new(node, "name", json_string(made));
    }
}

static const char *const unreal[][2] = {{"Hips", "pelvis"},
                                        {"Spine", "spine_01"},
                                        {"Neck", "neck_01"},
                                        {"Head", "head"},
                                        {"Shoulder", "clavicle_#"},
                                        {"Arm", "upperarm_#"},
                                        {"ForeArm", "lowerarm_#"},
                                        {"Hand", "hand_#"},
                                        {"HandThumb1", "thumb_01_#"},
                                        {"HandThumb2", "thumb_02_#"},
                                        {"HandIndex1", "index_01_#"},
                                        {"HandPinky1", "pinky_01_#"},
                                        {"UpLeg", "thigh_#"},
                                        {"Leg", "calf_#"},
                                        {"Foot", "foot_#"},
                                        {"ToeBase", "ball_#"},
                                        {NULL, NULL}};
static const char *const biped[][2] = {{"Hips", "Bip01 Pelvis"},
                                       {"Spine", "Bip01 Spine"},
                                       {"Neck", "Bip01 Neck"},
                                       {"Head", "Bip01 Head"},
                                       {"Shoulder", "Bip01 # Clavicle"},
                                       {"Arm", "Bip01 # UpperArm"},
                                       {"ForeArm", "Bip01 # Forearm"},
                                       {"Hand", "Bip01 # Hand"},
                                       {"HandThumb1", "Bip01 # Finger0"},
                                       {"HandThumb2", "Bip01 # Finger01"},
                                       {"HandIndex1", "Bip01 # Finger1"},
                                       {"HandPinky1", "Bip01 # Finger4"},
                                       {"UpLeg", "Bip01 # Thigh"},
                                       {"Leg", "Bip01 # Calf"},
                                       {"Foot", "Bip01 # Foot"},
                                       {"ToeBase", "Bip01 # Toe0"},
                                       {NULL, NULL}};
static const char *const rigify[][2] = {{"Hips", "DEF-spine"},
                                        {"Spine", "DEF-spine.001"},
                                        {"Neck", "DEF-spine.004"},
                                        {"Head", "DEF-spine.006"},
                                        {"Shoulder", "DEF-shoulder.#"},
                                        {"Arm", "DEF-upper_arm.#"},
                                        {"ForeArm", "DEF-forearm.#"},
                                        {"Hand", "DEF-hand.#"},
                                        {"HandThumb1", "DEF-thumb.01.#"},
                                        {"HandThumb2", "DEF-thumb.02.#"},
                                        {"HandIndex1", "DEF-f_index.01.#"},
                                        {"HandPinky1", "DEF-f_pinky.01.#"},
                                        {"UpLeg", "DEF-thigh.#"},
                                        {"Leg", "DEF-shin.#"},
                                        {"Foot", "DEF-foot.#"},
                                        {"ToeBase", "DEF-toe.#"},
                                        {NULL, NULL}};
static const char *const makehuman[][2] = {{"Hips", "root"},
                                           {"Spine", "spine05"},
                                           {"Neck", "neck01"},
                                           {"Head", "head"},
                                           {"Shoulder", "clavicle.#"},
                                           {"Arm", "upperarm01.#"},
                                           {"ForeArm", "lowerarm01.#"},
                                           {"Hand", "wrist.#"},
                                           {"HandThumb1", "finger1-1.#"},
                                           {"HandThumb2", "finger1-2.#"},
                                           {"HandIndex1", "finger2-1.#"},
                                           {"HandPinky1", "finger5-1.#"},
                                           {"UpLeg", "upperleg01.#"},
                                           {"Leg", "lowerleg01.#"},
                                           {"Foot", "foot.#"},
                                           {"ToeBase", "toe1-1.#"},
                                           {NULL, NULL}};
static const char *const joints[][2] = {{"Hips", "Pelvis"},
                                        {"Spine", "Spine1"},
                                        {"Neck", "Neck"},
                                        {"Head", "Head"},
                                        {"Shoulder", "#_Collar"},
                                        {"Arm", "#_Shoulder"},
                                        {"ForeArm", "#_Elbow"},
                                        {"Hand", "#_Wrist"},
                                        {"HandThumb1", "#_Thumb1"},
                                        {"HandThumb2", "#_Thumb2"},
                                        {"HandIndex1", "#_Index1"},
                                        {"HandPinky1", "#_Pinky1"},
                                        {"UpLeg", "#_Hip"},
                                        {"Leg", "#_Knee"},
                                        {"Foot", "#_Ankle"},
                                        {"ToeBase", "#_Foot"},
                                        {NULL, NULL}};
static const char *const daz[][2] = {{"Hips", "hip"},
                                     {"Spine", "abdomenLower"},
                                     {"Neck", "neckLower"},
                                     {"Head", "head"},
                                     {"Shoulder", "#Collar"},
                                     {"Arm", "#ShldrBend"},
                                     {"ForeArm", "#ForearmBend"},
                                     {"Hand", "#Hand"},
                                     {"HandThumb1", "#Thumb1"},
                                     {"HandThumb2", "#Thumb2"},
                                     {"HandIndex1", "#Index1"},
                                     {"HandPinky1", "#Pinky1"},
                                     {"UpLeg", "#ThighBend"},
                                     {"Leg", "#Shin"},
                                     {"Foot", "#Foot"},
                                     {"ToeBase", "#Toe"},
                                     {NULL, NULL}};
static const char *const nameless[][2] = {{NULL, NULL}};

static void names_of_many_rigs_are_known(void) {
    static const struct {
        const char *const (*names)[2];
        const char *left, *right, *rig;
        double tolerance;
    } cases[] = {
        {unreal, "l", "r", "unreal", 1e-5},      {biped, "L", "R", "biped", 1e-5},
        {rigify, "L", "R", "rigify", 1e-5},      {makehuman, "L", "R", "makehuman", 1e-5},
        {joints, "L", "R", "smpl", 1e-5},        {daz, "l", "r", "daz", 1e-5},
        {joints, "Left", "Right", "smpl", 1e-5}, {nameless, "", "", "shape", 0.06},
    };
    struct scene *plain = open_plain();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct file file = file_take();
        struct scene *scene;
        struct err err = {0};
        rename_bones(json_object_get(file.json, "nodes"), cases[i].names, cases[i].left,
                     cases[i].right);
        CHECK(file_open(&file, NULL, &scene, &err) == 0);
        CHECK_TEXT(err.message, "");
        if (scene == NULL)
            continue;
        CHECK_TEXT(scene_report(scene)->rig, cases[i].rig);
        CHECK(scene_report(scene)->landmarks == 33);
        double far = farthest(plain, scene);
        if (!(far <= cases[i].tolerance))
            fprintf(stderr, "%s: %g m away\n", cases[i].rig, far);
        CHECK(far <= cases[i].tolerance);
        scene_release(scene);
    }
    scene_release(plain);
}

static void wrong_sides_are_exchanged(void) {
    struct file file = file_take();
    struct scene *scene, *plain = open_plain();
    rename_bones(json_object_get(file.json, "nodes"), unreal, "r", "l");
    CHECK(file_open(&file, NULL, &scene, NULL) == 0);
    CHECK(warned(scene, "exchanged") && farthest(plain, scene) < 1e-5);
    scene_release(scene);
    scene_release(plain);
}

static void vrm_tells_its_bones(void) {
    struct file file = file_take();
    json_t *bones = json_object(), *nodes = json_object_get(file.json, "nodes"), *node;
    static const char *const names[][2] = {{"Hips", "hips"},
                                           {"Head", "head"},
                                           {"LeftArm", "leftUpperArm"},
                                           {"LeftForeArm", "leftLowerArm"},
                                           {"LeftHand", "leftHand"},
                                           {"RightArm", "rightUpperArm"},
                                           {"RightForeArm", "rightLowerArm"},
                                           {"RightHand", "rightHand"},
                                           {"LeftUpLeg", "leftUpperLeg"},
                                           {"LeftLeg", "leftLowerLeg"},
                                           {"LeftFoot", "leftFoot"},
                                           {"RightUpLeg", "rightUpperLeg"},
                                           {"RightLeg", "rightLowerLeg"},
                                           {"RightFoot", "rightFoot"}};
    size_t i;
    json_array_foreach(nodes, i, node) {
        const char *name = json_string_value(json_object_get(node, "name"));
        for (size_t k = 0; name != NULL && k < sizeof names / sizeof *names; k++)
            if (strncmp(name, "mixamorig:", 10) == 0 && strcmp(name + 10, names[k][0]) == 0)
                json_object_set_new(bones, names[k][1], json_pack("{s:i}", "node", (int)i));
        json_object_set_new(node, "name", json_string("\xe9\xaa\xa8")); /* all the same */
    }
    json_object_set_new(file.json, "extensions",
                        json_pack("{s:{s:{s:o}}}", "VRMC_vrm", "humanoid", "humanBones", bones));
    struct scene *scene, *plain = open_plain();
    struct err err = {0};
    CHECK(file_open(&file, NULL, &scene, &err) == 0);
    CHECK_TEXT(err.message, "");
    if (scene != NULL) {
        const struct gpu_anchor *a = scene_landmarks(scene, NULL),
                                *b = scene_landmarks(plain, NULL);
        CHECK_TEXT(scene_report(scene)->format, "vrm1");
        CHECK_TEXT(scene_report(scene)->rig, "vrm");
        CHECK(fabsf(a[LEFT_ELBOW].position[0] - b[LEFT_ELBOW].position[0]) < 1e-4f);
        CHECK(fabsf(a[RIGHT_ELBOW].position[0] - b[RIGHT_ELBOW].position[0]) < 1e-4f);
    }
    scene_release(scene);
    scene_release(plain);
}

/* -- Characters of other makers ---------------------------------------------------------------- */

static const struct {
    const char *file, *rig;
    double least, most; /* stature, metres */
    const char *walk;
} bodies[] = {
    {"characters/CesiumMan.glb", "cesium", 1.4, 1.6, "Anim_0"},
    {"characters/KayKit_Knight.glb", "kaykit", 1.69, 1.71, "Walking_A"},
    {"characters/kenney_character.fbx", "kenney", 1.69, 1.71, "Take 001"},
    {"characters/mh_female_walk.fbx", "mixamo", 1.6, 1.7, "walk"},
    {"characters/mh_female_walk.glb", "mixamo", 1.6, 1.7, "walk"},
    {"characters/mh_male_wave.fbx", "mixamo", 1.8, 1.9, NULL},
    {"characters/quaternius_male_casual.fbx", "quaternius", 1.69, 1.71, "Man_Walk"},
    {"characters/quaternius_woman_smooth.fbx", "mixamo", 1.69, 1.71, "Walking"},
    {"avatars/mh_female.vrm", "vrm", 1.6, 1.7, NULL},
    {"avatars/debug_robot.vrm", "vrm", 1.5, 2.4, NULL},
    {"avatars/cryptovoxels.vrm", "vrm", 1.4, 1.6, NULL},
    {"avatars/RobotExpressive.glb", "quaternius", 1.69, 1.71, "Walking"},
};

/* Both ankles stay near the ground in a walk, and each comes before the other. */
static void check_walk(const struct scene *scene, const char *name) {
    int clip = scene_find_clip(scene, name);
    double left[3], right[3], most = 0, least = 0;
    CHECK(clip >= 0);
    for (int i = 0; clip >= 0 && i < 24; i++) {
        double time = scene_clip_seconds(scene, (uint32_t)clip) * i / 24;
        place(scene, clip, time, LEFT_ANKLE, left);
        place(scene, clip, time, RIGHT_ANKLE, right);
        CHECK(left[1] > -0.05 && left[1] < 0.8 && right[1] > -0.05 && right[1] < 0.8);
        most = fmax(most, left[2] - right[2]);
        least = fmin(least, left[2] - right[2]);
    }
    CHECK(most > 0.05 && least < -0.05);
}

static void characters_stand_upright(void) {
    const char *assets = getenv("STANCE_ASSETS");
    char path[600];
    DIR *folder = opendir(assets != NULL ? assets : "../shared/assets");
    if (folder == NULL)
        SKIP("no asset folder");
    closedir(folder);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct scene *scene = NULL;
        struct err err = {0};
        float box[6];
        snprintf(path, sizeof path, "%s/%s", assets != NULL ? assets : "../shared/assets",
                 bodies[i].file);
        CHECK(scene_open(path, &(struct scene_options){.rigs = rigs()}, &scene, &err) == 0);
        CHECK_TEXT(err.message, "");
        if (scene == NULL)
            continue;
        const struct scene_report *report = scene_report(scene);
        const struct gpu_anchor *at = scene_landmarks(scene, NULL);
        CHECK_TEXT(report->rig, bodies[i].rig);
        CHECK(report->stature >= bodies[i].least && report->stature <= bodies[i].most);
        CHECK(report->landmarks == 33);
        CHECK(scene_box(scene, SCENE_REST, box, NULL) == 0 && fabsf(box[1]) < 0.03f);
        CHECK(at[0].position[1] > at[11].position[1] && at[11].position[1] > at[23].position[1]);
        CHECK(at[23].position[0] > at[24].position[0] && at[31].position[2] > at[29].position[2]);
        if (bodies[i].walk != NULL)
            check_walk(scene, bodies[i].walk);
        scene_release(scene);
    }
}

/* The same body out of two files: FBX in the middle of a step and in centimetres, GLB in a T pose
 * and in metres. */
static void formats_agree(void) {
    const char *assets = getenv("STANCE_ASSETS");
    static const char *const endings[] = {"fbx", "glb"};
    struct scene *scenes[2] = {NULL, NULL};
    char path[600];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/characters/mh_female_walk.%s",
                 assets != NULL ? assets : "../shared/assets", endings[i]);
        if (scene_open(path, &(struct scene_options){.rigs = rigs()}, &scenes[i], NULL) != 0) {
            scene_release(scenes[0]);
            SKIP("no asset folder");
        }
    }
    double a[3], b[3];
    CHECK(farthest(scenes[0], scenes[1]) < 0.002);
    for (int i = 0; i < 8; i++) {
        for (int landmark = 0; landmark < SCENE_LANDMARKS; landmark++) {
            place(scenes[0], 0, 0.3 * i, landmark, a);
            place(scenes[1], 0, 0.3 * i, landmark, b);
            for (int k = 0; k < 3; k++)
                CHECK(fabs(a[k] - b[k]) < 0.004);
        }
    }
    scene_release(scenes[0]);
    scene_release(scenes[1]);
}

int main(void) {
    static const struct test tests[] = {
        TEST(mannequin_is_whole),        TEST(landmarks_lie_where_a_body_has_them),
        TEST(clips_move_the_body),       TEST(holders_are_counted),
        TEST(size_can_be_asked_for),     TEST(axes_and_units_do_not_matter),
        TEST(odd_sizes_become_human),    TEST(names_of_many_rigs_are_known),
        TEST(wrong_sides_are_exchanged), TEST(vrm_tells_its_bones),
        TEST(characters_stand_upright),  TEST(formats_agree),
    };
    return RUN(tests);
}
