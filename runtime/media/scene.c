/* scene.c - what an open scene answers: names, poses, boxes. How it was made is in scene_file.c and
 * scene_import.c. */
#include "media/scene.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "media/scene_parts.h"

enum { MAX_BOX_SAMPLES = 240 };

/* -- Life -------------------------------------------------------------------------------------- */

struct scene *scene_new(void) {
    struct scene *scene = calloc(1, sizeof *scene);
    if (scene == NULL)
        return NULL;
    atomic_init(&scene->holders, 1);
    scene->world_from_file = scene->rest_from_file = mat_identity();
    return scene;
}

struct scene *scene_retain(struct scene *scene) {
    atomic_fetch_add_explicit(&scene->holders, 1, memory_order_relaxed);
    return scene;
}

void scene_release(struct scene *scene) {
    if (scene == NULL || atomic_fetch_sub_explicit(&scene->holders, 1, memory_order_acq_rel) > 1)
        return;
    gpu_scene_free(scene->gpu);
    for (uint32_t i = 0; i < scene->clip_count; i++)
        scene_clip_deinit(&scene->clips[i]);
    for (uint32_t i = 0; i < scene->joint_count; i++)
        free(scene->joints[i].name);
    for (uint32_t i = 0; i < scene->report.warning_count; i++)
        free((void *)(uintptr_t)scene->report.warnings[i]);
    for (uint32_t i = 0; i < scene->morph_count; i++)
        free(scene->morphs[i].name);
    free(scene->morphs);
    free(scene->parts);
    free(scene->clips);
    free(scene->joints);
    free(scene->name);
    free(scene);
}

void scene_warn(struct scene *scene, const char *format, ...) {
    struct scene_report *report = &scene->report;
    char *text = NULL;
    va_list args;
    if (report->warning_count == SCENE_MAX_WARNINGS)
        return;
    va_start(args, format);
    int length = report->warning_count == SCENE_MAX_WARNINGS - 1
                     ? asprintf(&text, "and more of the kind")
                     : vasprintf(&text, format, args);
    va_end(args);
    if (length >= 0)
        report->warnings[report->warning_count++] = text;
}

/* -- Questions --------------------------------------------------------------------------------- */

const char *scene_name(const struct scene *scene) {
    return scene->name;
}

const struct gpu_scene *scene_gpu(const struct scene *scene) {
    return scene->gpu;
}

uint32_t scene_triangle_count(const struct scene *scene) {
    return scene->triangle_count;
}

uint32_t scene_vertex_count(const struct scene *scene) {
    return scene->vertex_count;
}

uint32_t scene_joint_count(const struct scene *scene) {
    return scene->joint_count;
}

const char *scene_joint_name(const struct scene *scene, uint32_t joint) {
    return scene->joints[joint].name;
}

int scene_joint_parent(const struct scene *scene, uint32_t joint) {
    return scene->joints[joint].parent;
}

bool scene_joint_idle(const struct scene *scene, uint32_t joint) {
    return scene->joints[joint].holder && !scene->joints[joint].rigid;
}

int scene_bone(const struct scene *scene, enum rig_bone bone) {
    return (unsigned)bone < RIG_BONES ? scene->rig.joint[bone] : -1;
}

enum rig_how scene_bone_how(const struct scene *scene, enum rig_bone bone) {
    return (unsigned)bone < RIG_BONES ? (enum rig_how)scene->rig.how[bone] : RIG_BY_NOTHING;
}

void scene_joint_bind(const struct scene *scene, uint32_t joint, float bind[12]) {
    mat_to_float(&scene->joints[joint].bind, bind);
}

uint32_t scene_clip_count(const struct scene *scene) {
    return scene->clip_count;
}

const char *scene_clip_name(const struct scene *scene, uint32_t clip) {
    return scene->clips[clip].name;
}

double scene_clip_seconds(const struct scene *scene, uint32_t clip) {
    return scene->clips[clip].seconds;
}

double scene_clip_rate(const struct scene *scene, uint32_t clip) {
    return scene->clips[clip].rate;
}

int scene_find_clip(const struct scene *scene, const char *name) {
    for (uint32_t i = 0; i < scene->clip_count; i++)
        if (strcmp(scene->clips[i].name, name) == 0)
            return (int)i;
    for (uint32_t i = 0; i < scene->clip_count; i++)
        if (strcasecmp(scene->clips[i].name, name) == 0)
            return (int)i;
    return -1;
}

uint32_t scene_morph_count(const struct scene *scene) {
    return scene->morph_count;
}

const char *scene_morph_name(const struct scene *scene, uint32_t morph) {
    return scene->morphs[morph].name;
}

int scene_find_morph(const struct scene *scene, const char *name) {
    for (uint32_t i = 0; i < scene->morph_count; i++)
        if (strcmp(scene->morphs[i].name, name) == 0)
            return (int)i;
    return -1;
}

const uint8_t *scene_parts(const struct scene *scene) {
    return scene->parts;
}

const struct gpu_anchor *scene_landmarks(const struct scene *scene, const bool **known) {
    if (known != NULL)
        *known = scene->known;
    return scene->anchors;
}

const struct scene_report *scene_report(const struct scene *scene) {
    return &scene->report;
}

const char *scene_landmark_name(uint32_t landmark) {
    static const char *const names[SCENE_LANDMARKS] = {
        "nose",        "left_eye_inner",  "left_eye",         "left_eye_outer", "right_eye_inner",
        "right_eye",   "right_eye_outer", "left_ear",         "right_ear",      "mouth_left",
        "mouth_right", "left_shoulder",   "right_shoulder",   "left_elbow",     "right_elbow",
        "left_wrist",  "right_wrist",     "left_pinky",       "right_pinky",    "left_index",
        "right_index", "left_thumb",      "right_thumb",      "left_hip",       "right_hip",
        "left_knee",   "right_knee",      "left_ankle",       "right_ankle",    "left_heel",
        "right_heel",  "left_foot_index", "right_foot_index",
    };
    static const char *const others[SCENE_POINTS - SCENE_LANDMARKS] = {
        "mid_hip",       "pelvis",         "spine1",         "spine2",          "spine3",
        "thorax",        "neck",           "head",           "left_collar",     "right_collar",
        "left_knuckles", "right_knuckles", "left_ball",      "right_ball",      "head_top",
        "left_big_toe",  "right_big_toe",  "left_small_toe", "right_small_toe",
    };
    if (landmark < SCENE_LANDMARKS)
        return names[landmark];
    return landmark < SCENE_POINTS ? others[landmark - SCENE_LANDMARKS] : NULL;
}

/* -- Poses ------------------------------------------------------------------------------------- */

double scene_clip_wrap(const struct scene *scene, int clip, double time) {
    if (clip < 0 || (uint32_t)clip >= scene->clip_count || !isfinite(time))
        return 0;
    double seconds = scene->clips[clip].seconds;
    if (seconds <= 0)
        return 0;
    double rest = fmod(time, seconds);
    return rest < 0 ? rest + seconds : rest;
}

/* out = a * b, where out may be either. */
static void multiply(const float *a, const float *b, float *out) {
    float made[12];
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 4; c++)
            made[4 * r + c] = a[4 * r] * b[c] + a[4 * r + 1] * b[4 + c] + a[4 * r + 2] * b[8 + c] +
                              (c == 3 ? a[4 * r + 3] : 0);
    memcpy(out, made, sizeof made);
}

void scene_locals(const struct scene *scene, int clip, double time, float *locals) {
    const struct scene_clip *playing =
        clip >= 0 && (uint32_t)clip < scene->clip_count ? &scene->clips[clip] : NULL;
    const struct mat *from_file =
        playing != NULL ? &scene->world_from_file : &scene->rest_from_file;
    uint32_t track = 0;
    if (!isfinite(time))
        time = 0;
    for (uint32_t i = 0; i < scene->joint_count; i++) {
        const struct scene_joint *joint = &scene->joints[i];
        struct mat local = joint->rest;
        while (playing != NULL && track < playing->track_count && playing->tracks[track].joint < i)
            track++;
        if (playing != NULL && track < playing->track_count && playing->tracks[track].joint == i)
            local = scene_track_sample(&playing->tracks[track], &joint->rest, time);
        if (joint->parent < 0)
            local = mat_multiply(from_file, &local);
        mat_to_float(&local, locals + 12 * (size_t)i);
    }
}

void scene_worlds(const struct scene *scene, const float *locals, float *worlds) {
    for (uint32_t i = 0; i < scene->joint_count; i++) {
        const struct scene_joint *joint = &scene->joints[i];
        const float *local = locals + 12 * (size_t)i;
        float *world = worlds + 12 * (size_t)i;
        if (i >= scene->node_count)
            memcpy(world, worlds + 12 * (size_t)joint->node, 12 * sizeof *world);
        else if (joint->parent >= 0)
            multiply(worlds + 12 * (size_t)joint->parent, local, world);
        else
            memmove(world, local, 12 * sizeof *world);
    }
}

/* Second binds stand last and read their nodes' worlds before these are overwritten. */
void scene_palette(const struct scene *scene, const float *worlds, float *palette) {
    for (uint32_t i = scene->joint_count; i-- > 0;) {
        const struct scene_joint *joint = &scene->joints[i];
        multiply(worlds + 12 * (size_t)joint->node, joint->from_bind, palette + 12 * (size_t)i);
    }
}

void scene_pose(const struct scene *scene, int clip, double time, float *palette) {
    scene_locals(scene, clip, time, palette);
    scene_worlds(scene, palette, palette);
    scene_palette(scene, palette, palette);
}

void scene_morphs(const struct scene *scene, int clip, double time, float *weights) {
    const struct scene_clip *playing =
        clip >= 0 && (uint32_t)clip < scene->clip_count ? &scene->clips[clip] : NULL;
    if (!isfinite(time))
        time = 0;
    for (uint32_t i = 0; i < scene->morph_count; i++)
        weights[i] = scene->morphs[i].rest;
    for (uint32_t i = 0; playing != NULL && i < playing->morph_track_count; i++)
        if (playing->morph_tracks[i].keys.count > 0)
            weights[playing->morph_tracks[i].morph] =
                scene_keys_weight(&playing->morph_tracks[i].keys, time);
}

static void box_add(float box[6], const float other[6], bool first) {
    for (int i = 0; i < 3; i++) {
        box[i] = first ? other[i] : fminf(box[i], other[i]);
        box[3 + i] = first ? other[3 + i] : fmaxf(box[3 + i], other[3 + i]);
    }
}

int scene_box(const struct scene *scene, int clip, float box[6], struct err *err) {
    float *palette = malloc(12 * sizeof *palette * scene->joint_count), one[6];
    if (palette == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory for a pose", scene->name);
    bool playing = clip >= 0 && (uint32_t)clip < scene->clip_count;
    double seconds = playing ? scene->clips[clip].seconds : 0;
    double steps = playing ? ceil(seconds * scene->clips[clip].rate - 1e-6) : 0;
    int count = (int)fmin(MAX_BOX_SAMPLES, 1 + steps);
    for (int i = 0; i < count; i++) {
        scene_pose(scene, clip, count > 1 ? seconds * i / (count - 1) : 0, palette);
        gpu_actor_box(&(struct gpu_actor){.scene = scene->gpu, .pose = palette}, one);
        box_add(box, one, i == 0);
    }
    free(palette);
    return 0;
}
