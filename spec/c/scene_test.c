/* Bodies from files: the mannequin as it is and as other programs would have written it (other
 * names, axes, units, sides), files that are damaged or no bodies, and the characters of the asset
 * folder where there is one. */
#include "media/scene.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>

#include "check.h"
#include "core/err.h"
#include "media/mannequin.h"
#include "scratch.h"
#include "stance_gpu.h"

enum {
    LEFT_ELBOW = 13,
    RIGHT_ELBOW = 14,
    LEFT_WRIST = 15,
    LEFT_HIP = 23,
    LEFT_ANKLE = 27,
    RIGHT_ANKLE = 28
};

/* -- The mannequin's file, taken apart --------------------------------------------------------- */

struct file {
    json_t *json;
    uint8_t *binary; /* the binary chunk with its header */
    size_t binary_size;
};

static uint32_t u32(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void put_u32(uint8_t *at, size_t value) {
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static struct file file_take(void) {
    static uint8_t *glb; /* made once, read by all tests */
    static size_t size;
    const struct mannequin_options options = {.detail = 1};
    struct file file = {0};
    if (glb == NULL && mannequin_write_glb(&options, &glb, &size, NULL) != 0)
        abort();
    size_t json_size = u32(glb + 12);
    file.json = json_loadb((const char *)glb + 20, json_size, 0, NULL);
    file.binary_size = size - 20 - json_size;
    file.binary = malloc(file.binary_size);
    memcpy(file.binary, glb + 20 + json_size, file.binary_size);
    return file;
}

/* The whole file again; ends the taken one. */
static uint8_t *file_join(struct file *file, size_t *size) {
    size_t length = json_dumpb(file->json, NULL, 0, JSON_COMPACT);
    size_t padded = (length + 3) & ~(size_t)3;
    *size = 20 + padded + file->binary_size;
    uint8_t *out = malloc(*size);
    put_u32(out, 0x46546c67); /* glTF */
    put_u32(out + 4, 2);
    put_u32(out + 8, *size);
    put_u32(out + 12, padded);
    put_u32(out + 16, 0x4e4f534a); /* JSON */
    memset(out + 20, ' ', padded);
    json_dumpb(file->json, (char *)out + 20, length, JSON_COMPACT);
    memcpy(out + 20 + padded, file->binary, file->binary_size);
    free(file->binary);
    json_decref(file->json);
    return out;
}

static int file_open(struct file *file, const struct scene_options *options, struct scene **scene,
                     struct err *err) {
    size_t size;
    uint8_t *bytes = file_join(file, &size);
    *scene = NULL;
    int rc = scene_open_bytes(bytes, size, "wood.glb", options, scene, err);
    free(bytes);
    return rc;
}

static struct scene *open_plain(void) {
    struct file file = file_take();
    struct scene *scene;
    struct err err = {0};
    CHECK(file_open(&file, NULL, &scene, &err) == 0);
    CHECK_TEXT(err.message, "");
    return scene;
}

static bool warned(const struct scene *scene, const char *words) {
    const struct scene_report *report = scene_report(scene);
    for (uint32_t i = 0; i < report->warning_count; i++)
        if (strstr(report->warnings[i], words) != NULL)
            return true;
    return false;
}

/* The farthest that a landmark of one body lies from the other's, metres. */
static double farthest(const struct scene *a, const struct scene *b) {
    const struct gpu_anchor *x = scene_landmarks(a, NULL), *y = scene_landmarks(b, NULL);
    double far = 0;
    for (int i = 0; i < SCENE_LANDMARKS; i++)
        for (int k = 0; k < 3; k++)
            far = fmax(far, fabs((double)(x[i].position[k] - y[i].position[k])));
    return far;
}

/* Where a landmark is in a pose. */
static void place(const struct scene *scene, int clip, double time, int landmark, double out[3]) {
    const struct gpu_anchor *anchor = &scene_landmarks(scene, NULL)[landmark];
    float *palette = malloc(12 * sizeof *palette * scene_joint_count(scene));
    scene_pose(scene, clip, time, palette);
    const float *m = palette + 12 * (size_t)anchor->joint[0], *p = anchor->position;
    for (int i = 0; i < 3; i++)
        out[i] =
            (double)(m[4 * i] * p[0] + m[4 * i + 1] * p[1] + m[4 * i + 2] * p[2] + m[4 * i + 3]);
    free(palette);
}

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
        {unreal, "l", "r", "unreal", 1e-5},       {biped, "L", "R", "biped", 1e-5},
        {rigify, "L", "R", "rigify", 1e-5},       {makehuman, "L", "R", "makehuman", 1e-5},
        {joints, "L", "R", "names", 1e-5},        {daz, "l", "r", "daz", 1e-5},
        {joints, "Left", "Right", "names", 1e-5}, {nameless, "", "", "shape", 0.06},
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

/* -- Textures ---------------------------------------------------------------------------------- */

static void write_file(const char *path, const void *bytes, size_t size) {
    FILE *out = fopen(path, "wb");
    CHECK(out != NULL && fwrite(bytes, 1, size, out) == size && fclose(out) == 0);
}

/* The mannequin in a folder, with its first picture taken out and referred to by `uri`. */
static struct scene *open_with_uri(const char *folder, const char *uri, const char *png_path) {
    struct file file = file_take();
    json_t *image = json_array_get(json_object_get(file.json, "images"), 0);
    json_t *view = json_array_get(json_object_get(file.json, "bufferViews"),
                                  (size_t)json_integer_value(json_object_get(image, "bufferView")));
    char path[400];
    struct scene *scene = NULL;
    struct err err = {0};
    size_t size;
    write_file(png_path, file.binary + 8 + json_integer_value(json_object_get(view, "byteOffset")),
               (size_t)json_integer_value(json_object_get(view, "byteLength")));
    json_object_clear(image);
    json_object_set_new(image, "uri", json_string(uri));
    uint8_t *bytes = file_join(&file, &size);
    snprintf(path, sizeof path, "%s/wood.glb", folder);
    write_file(path, bytes, size);
    free(bytes);
    CHECK(scene_open(path, NULL, &scene, &err) == 0);
    CHECK_TEXT(err.message, "");
    return scene;
}

static void textures_come_from_the_folder_only(void) {
    const char *root = scratch("textures");
    char inner[300], inside[320], outside[320];
    snprintf(inner, sizeof inner, "%s/body", root);
    snprintf(inside, sizeof inside, "%s/my skin.png", inner);
    snprintf(outside, sizeof outside, "%s/secret.png", root);
    mkdir(root, 0700);
    mkdir(inner, 0700);
    struct scene *plain = open_plain();
    uint32_t all = scene_report(plain)->textures;
    scene_release(plain);
    struct scene *scene = open_with_uri(inner, "my%20skin.png", inside);
    CHECK(scene_report(scene)->textures == all && !warned(scene, "missing"));
    scene_release(scene);
    scene = open_with_uri(inner, "../secret.png", outside);
    CHECK(scene_report(scene)->textures == all - 1 && warned(scene, "secret.png is missing"));
    scene_release(scene);
    scene = open_with_uri(inner, outside, outside);
    CHECK(scene_report(scene)->textures == all - 1 && warned(scene, "missing"));
    scene_release(scene);
}

/* -- Colours ----------------------------------------------------------------------------------- */

/* The mean colour of the body, seen from the front. */
static void mean_color(const struct scene *scene, double *red, double *blue) {
    enum { SIDE = 64 };
    static uint8_t rgb[SIDE * SIDE * 3];
    static float coverage[SIDE * SIDE];
    char why[GPU_WHY_SIZE] = "";
    struct gpu_renderer *renderer;
    struct gpu_view view = {.pose = 0};
    float *palette = malloc(12 * sizeof *palette * scene_joint_count(scene));
    gpu_camera_look_at(&view.camera, (float[]){0, 1, 4}, (float[]){0, 0.9f, 0}, 0.6f, SIDE, SIDE);
    scene_pose(scene, SCENE_REST, 0, palette);
    struct gpu_batch batch = {
        .view_count = 1, .pose_count = 1, .views = &view, .poses = palette, .samples = 1};
    struct gpu_image image = {.rgb = rgb, .coverage = coverage};
    gpu_lighting_default(&batch.lighting);
    CHECK(gpu_renderer_new("cpu", &renderer, why) == 0);
    CHECK(gpu_render(renderer, scene_gpu(scene), &batch, &image, NULL, why) == 0);
    for (int i = 0; i < SIDE * SIDE; i++) {
        *red += coverage[i] > 0.5f ? rgb[3 * i] : 0;
        *blue += coverage[i] > 0.5f ? rgb[3 * i + 2] : 0;
    }
    gpu_renderer_free(renderer);
    free(palette);
}

static void colors_of_vertices_are_taken(void) {
    struct file file = file_take();
    json_t *mesh = json_array_get(json_object_get(file.json, "meshes"), 0), *primitive;
    size_t i;
    /* Normals make colours of all kinds. */
    json_array_foreach(json_object_get(mesh, "primitives"), i, primitive) {
        json_t *attributes = json_object_get(primitive, "attributes");
        json_object_set(attributes, "COLOR_0", json_object_get(attributes, "NORMAL"));
    }
    struct scene *scene;
    struct err err = {0};
    CHECK(file_open(&file, NULL, &scene, &err) == 0);
    CHECK_TEXT(err.message, "");
    if (scene == NULL)
        return;
    double red = 0, blue = 0;
    mean_color(scene, &red, &blue);
    CHECK(blue > 1.5 * red); /* what looks at +z is blue, and wood is red */
    scene_release(scene);
}

/* -- What is no body --------------------------------------------------------------------------- */

static void check_refused(const void *bytes, size_t size, const char *name, int code,
                          const char *words) {
    struct scene *scene = NULL;
    struct err err = {0};
    int rc = scene_open_bytes(bytes, size, name, NULL, &scene, &err);
    CHECK(rc == code && scene == NULL);
    CHECK(strncmp(err.message, name, strlen(name)) == 0);
    if (strstr(err.message, words) == NULL)
        CHECK_TEXT(err.message, words);
    scene_release(scene);
}

static void foreign_files_are_refused(void) {
    static const char triangle[] =
        "{\"asset\":{\"version\":\"2.0\"},\"scenes\":[{\"nodes\":[0]}],\"scene\":0,\"nodes\":[{"
        "\"mesh\":0}],"
        "\"meshes\":[{\"primitives\":[{\"attributes\":{\"POSITION\":0}}]}],"
        "\"accessors\":[{\"bufferView\":0,\"componentType\":5126,\"count\":3,\"type\":\"VEC3\","
        "\"min\":[0,0,0],\"max\":[1,1,0]}],\"bufferViews\":[{\"buffer\":0,\"byteLength\":36}],"
        "\"buffers\":[{\"byteLength\":36,\"uri\":\"data:application/octet-stream;base64,"
        "AAAAAAAAAAAAAAAAAACAPwAAAAAAAAAAAAAAAAAAgD8AAAAA\"}]}";
    static const char draco[] = "{\"asset\":{\"version\":\"2.0\"},\"extensionsRequired\":"
                                "[\"KHR_draco_mesh_compression\"]}";
    static const char empty[] = "{\"asset\":{\"version\":\"2.0\"}}",
                      cut[] = "{\"asset\":{\"version\":";
    check_refused("", 0, "nothing.glb", ERR_CORRUPT, "empty");
    check_refused("hello", 5, "text.fbx", ERR_UNSUPPORTED, "not FBX, glTF, GLB or VRM");
    check_refused("HIERARCHY\nROOT hip", 18, "walk.bvh", ERR_UNSUPPORTED, "motion");
    check_refused("Kaydara FBX Binary  \0\x1a\0", 23, "cut.fbx", ERR_CORRUPT,
                  "damaged or truncated");
    check_refused("glTF\1\0\0\0\40\0\0\0\0\0\0\0JSON", 20, "old.glb", ERR_UNSUPPORTED, "version 1");
    check_refused("glTF\2\0\0\0\377\0\0\0\0\0\0\0JSON", 20, "cut.glb", ERR_CORRUPT, "truncated");
    check_refused(draco, sizeof draco - 1, "draco.gltf", ERR_UNSUPPORTED, "Draco");
    check_refused(cut, sizeof cut - 1, "cut.gltf", ERR_CORRUPT, "JSON");
    check_refused(empty, sizeof empty - 1, "empty.gltf", ERR_INVALID, "no mesh");
    check_refused(triangle, sizeof triangle - 1, "triangle.gltf", ERR_INVALID, "no human skeleton");
}

static void damaged_numbers_are_refused(void) {
    struct file file = file_take();
    json_t *mesh = json_array_get(json_object_get(file.json, "meshes"), 0);
    json_t *attributes =
        json_object_get(json_array_get(json_object_get(mesh, "primitives"), 0), "attributes");
    json_t *accessor =
        json_array_get(json_object_get(file.json, "accessors"),
                       (size_t)json_integer_value(json_object_get(attributes, "POSITION")));
    json_t *view =
        json_array_get(json_object_get(file.json, "bufferViews"),
                       (size_t)json_integer_value(json_object_get(accessor, "bufferView")));
    size_t from = 8 + (size_t)json_integer_value(json_object_get(view, "byteOffset")) +
                  (size_t)json_integer_value(json_object_get(accessor, "byteOffset"));
    memset(file.binary + from, 0xff, 12);
    struct scene *scene;
    struct err err = {0};
    CHECK(file_open(&file, NULL, &scene, &err) == ERR_CORRUPT);
    CHECK(strstr(err.message, "not a finite point") != NULL);
}

static void paths_that_are_no_files_are_refused(void) {
    struct scene *scene = NULL;
    struct err err = {0};
    CHECK(scene_open(scratch("nobody.fbx"), NULL, &scene, &err) == ERR_NOT_FOUND);
    CHECK(scene_open("/", NULL, &scene, &err) < 0);
    const char *folder = scratch("folder.glb");
    mkdir(folder, 0700);
    CHECK(scene_open(folder, NULL, &scene, &err) == ERR_INVALID);
    CHECK_TEXT(err.message, "folder.glb: not a file");
}

static void truncated_files_never_crash(void) {
    struct file file = file_take();
    size_t size;
    uint8_t *bytes = file_join(&file, &size);
    for (int i = 1; i < 12; i++) {
        struct scene *scene = NULL;
        struct err err = {0};
        CHECK(scene_open_bytes(bytes, size * (size_t)i / 12, "cut.glb", NULL, &scene, &err) < 0);
        CHECK(err.message[0] != '\0');
    }
    free(bytes);
}

/* -- Characters of other makers ---------------------------------------------------------------- */

static const struct {
    const char *file, *rig;
    double least, most; /* stature, metres */
    const char *walk;
} bodies[] = {
    {"characters/CesiumMan.glb", "shape", 1.4, 1.6, "Anim_0"},
    {"characters/KayKit_Knight.glb", "kaykit", 1.69, 1.71, "Walking_A"},
    {"characters/kenney_character.fbx", "mixamo names", 1.69, 1.71, "Take 001"},
    {"characters/mh_female_walk.fbx", "mixamo", 1.6, 1.7, "walk"},
    {"characters/mh_female_walk.glb", "mixamo", 1.6, 1.7, "walk"},
    {"characters/mh_male_wave.fbx", "mixamo", 1.8, 1.9, NULL},
    {"characters/quaternius_male_casual.fbx", "quaternius", 1.69, 1.71, "Man_Walk"},
    {"characters/quaternius_woman_smooth.fbx", "mixamo names", 1.69, 1.71, "Walking"},
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
        CHECK(scene_open(path, NULL, &scene, &err) == 0);
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
        if (scene_open(path, NULL, &scenes[i], NULL) != 0) {
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
        TEST(mannequin_is_whole),
        TEST(landmarks_lie_where_a_body_has_them),
        TEST(clips_move_the_body),
        TEST(holders_are_counted),
        TEST(size_can_be_asked_for),
        TEST(axes_and_units_do_not_matter),
        TEST(odd_sizes_become_human),
        TEST(names_of_many_rigs_are_known),
        TEST(wrong_sides_are_exchanged),
        TEST(vrm_tells_its_bones),
        TEST(textures_come_from_the_folder_only),
        TEST(colors_of_vertices_are_taken),
        TEST(foreign_files_are_refused),
        TEST(damaged_numbers_are_refused),
        TEST(paths_that_are_no_files_are_refused),
        TEST(truncated_files_never_crash),
        TEST(characters_stand_upright),
        TEST(formats_agree),
    };
    return RUN(tests);
}
