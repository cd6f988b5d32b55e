#include "media/stage.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "media/look.h"
#include "media/motion.h"
#include "media/rig.h"

struct stage {
    atomic_uint holders;
    uint32_t count;
    struct stage_actor *actors; /* [count] */
    struct look *look;
    double rate, seconds;
};

static const double most_rate = 1000, still_rate = 30, farthest = 1e4;

/* -- Clips ------------------------------------------------------------------------------------- */

static double clip_seconds(const struct stage_actor *actor) {
    if (actor->motion != NULL)
        return scene_motion_seconds(actor->motion);
    return actor->clip == SCENE_REST ? 0 : scene_clip_seconds(actor->scene, (uint32_t)actor->clip);
}

static double clip_rate(const struct stage_actor *actor) {
    if (actor->motion != NULL)
        return scene_motion_rate(actor->motion);
    return actor->clip == SCENE_REST ? 0 : scene_clip_rate(actor->scene, (uint32_t)actor->clip);
}

/* How long the stage needs to show all of an actor's clip. */
static double needed_seconds(const struct stage_actor *actor) {
    double seconds = clip_seconds(actor), speed = fabs(actor->speed);
    if (seconds <= 0 || speed <= 0)
        return 0;
    double left = actor->loop ? seconds : actor->speed > 0 ? seconds - actor->start : actor->start;
    return left > 0 ? left / speed : 0;
}

/* -- Life -------------------------------------------------------------------------------------- */

static int check_actor(const struct stage_actor *actor, uint32_t number, struct err *err) {
    if (actor->motion != NULL && scene_motion_body(actor->motion) != actor->scene)
        return err_set(err, ERR_INVALID, "actor %u: its motion is bound to another body", number);
    if (!(actor->speed >= -100 && actor->speed <= 100))
        return err_set(err, ERR_INVALID, "actor %u: speed must be -100 to 100", number);
    if (!(fabs(actor->start) <= 1e6))
        return err_set(err, ERR_INVALID, "actor %u: time must be within 1e6 s", number);
    for (int k = 0; k < 3; k++)
        if (!(fabs((double)actor->position[k]) <= farthest))
            return err_set(err, ERR_INVALID, "actor %u: position must be within %g m", number,
                           farthest);
    if (!(fabsf(actor->yaw) <= 1e3f))
        return err_set(err, ERR_INVALID, "actor %u: yaw must be a usual angle", number);
    return 0;
}

static int check(const struct stage_actor *actors, uint32_t count, double rate, struct err *err) {
    int rc = 0;
    if (count > GPU_MAX_ACTORS)
        rc = err_set(err, ERR_INVALID, "a stage has at most %d actors, not %u", GPU_MAX_ACTORS,
                     count);
    if (rc == 0 && rate != 0 && !(rate >= 0.01 && rate <= most_rate))
        rc = err_set(err, ERR_INVALID, "a stage has 0.01 to %g frames a second", most_rate);
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = check_actor(&actors[i], i + 1, err);
    return rc;
}

static void name_person(struct stage_actor *actor) {
    if (actor->person[0] != '\0')
        return;
    const char *name = scene_name(actor->scene);
    size_t length = strnlen(name, sizeof actor->person - 1);
    while (length > 0 && ((unsigned char)name[length] & 0xc0) == 0x80)
        length--; /* no half letters */
    memcpy(actor->person, name, length);
    actor->person[length] = '\0';
}

static int copy_morphs(struct stage_actor *actor, const float *morphs, struct err *err) {
    size_t size = scene_morph_count(actor->scene) * sizeof *morphs;
    if (morphs == NULL || size == 0)
        return 0;
    float *copy = malloc(size);
    if (copy == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for an actor's morphs");
    memcpy(copy, morphs, size);
    actor->morphs = copy;
    return 0;
}

int stage_new(const struct stage_actor *actors, uint32_t count, struct look *look, double rate,
              struct stage **out, struct err *err) {
    int rc = check(actors, count, rate, err);
    if (rc != 0)
        return rc;
    struct stage *stage = calloc(1, sizeof *stage);
    if (stage == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a stage");
    atomic_init(&stage->holders, 1);
    stage->actors = calloc(count + 1, sizeof *stage->actors);
    rc = stage->actors == NULL ? err_set(err, ERR_NO_MEMORY, "no memory for %u actors", count)
         : look == NULL        ? look_new(NULL, &stage->look, err)
                               : 0;
    if (rc != 0) {
        stage_release(stage);
        return rc;
    }
    if (look != NULL)
        stage->look = look_retain(look);
    for (; stage->count < count; stage->count++) {
        struct stage_actor *actor = &stage->actors[stage->count];
        *actor = actors[stage->count];
        actor->morphs = NULL;
        scene_retain(actor->scene);
        if (actor->motion != NULL)
            scene_motion_retain(actor->motion);
        name_person(actor);
        rc = rc == 0 ? copy_morphs(actor, actors[stage->count].morphs, err) : rc;
        stage->seconds = fmax(stage->seconds, needed_seconds(actor));
        stage->rate = fmax(stage->rate, clip_rate(actor) * fabs(actor->speed));
    }
    if (rc != 0) {
        stage_release(stage);
        return rc;
    }
    if (rate != 0)
        stage->rate = rate;
    else if (!(stage->rate >= 1))
        stage->rate = still_rate;
    *out = stage;
    return 0;
}

int stage_of_body(struct scene *scene, int clip, struct look *look, double rate, struct stage **out,
                  struct err *err) {
    struct stage_actor actor = {.scene = scene, .clip = clip, .speed = 1};
    return stage_new(&actor, 1, look, rate, out, err);
}

struct stage *stage_retain(struct stage *stage) {
    atomic_fetch_add_explicit(&stage->holders, 1, memory_order_relaxed);
    return stage;
}

void stage_release(struct stage *stage) {
    if (stage == NULL || atomic_fetch_sub_explicit(&stage->holders, 1, memory_order_acq_rel) > 1)
        return;
    for (uint32_t i = 0; i < stage->count; i++) {
        free((void *)(uintptr_t)stage->actors[i].morphs);
        scene_motion_release(stage->actors[i].motion);
        scene_release(stage->actors[i].scene);
    }
    look_release(stage->look);
    free(stage->actors);
    free(stage);
}

uint32_t stage_actor_count(const struct stage *stage) {
    return stage->count;
}

const struct stage_actor *stage_actor(const struct stage *stage, uint32_t actor) {
    return &stage->actors[actor];
}

const struct look *stage_look(const struct stage *stage) {
    return stage->look;
}

double stage_rate(const struct stage *stage) {
    return stage->rate;
}

double stage_seconds(const struct stage *stage) {
    return stage->seconds;
}

/* -- Poses ------------------------------------------------------------------------------------- */

double stage_actor_time(const struct stage *stage, uint32_t number, double time) {
    const struct stage_actor *actor = &stage->actors[number];
    double seconds = clip_seconds(actor), at = actor->start + time * actor->speed;
    if (!(seconds > 0))
        return 0;
    if (actor->loop && actor->motion != NULL)
        return scene_motion_wrap(actor->motion, at);
    if (actor->loop)
        return scene_clip_wrap(actor->scene, actor->clip, at);
    return at > 0 ? fmin(at, seconds) : 0;
}

const char *stage_actor_clip(const struct stage *stage, uint32_t number) {
    const struct stage_actor *actor = &stage->actors[number];
    if (actor->motion != NULL)
        return scene_motion_name(actor->motion);
    return actor->clip == SCENE_REST ? NULL : scene_clip_name(actor->scene, (uint32_t)actor->clip);
}

double stage_actor_rate(const struct stage *stage, uint32_t number) {
    return clip_rate(&stage->actors[number]);
}

/* Turns and moves what is in the actor's own space. An actor at the origin keeps its bits. */
static void put_in_place(const struct stage_actor *actor, float *palette, uint32_t joints) {
    const float *at = actor->position;
    float c = cosf(actor->yaw), s = sinf(actor->yaw);
    if (actor->yaw == 0 && at[0] == 0 && at[1] == 0 && at[2] == 0)
        return;
    for (float *m = palette; m < palette + (size_t)joints * 12; m += 12) {
        for (int k = 0; k < 4; k++) {
            float x = m[k], z = m[8 + k];
            m[k] = c * x + s * z;
            m[8 + k] = c * z - s * x;
        }
        for (int k = 0; k < 3; k++)
            m[4 * k + 3] += at[k];
    }
}

void stage_pose(const struct stage *stage, uint32_t number, double time, float *palette) {
    const struct stage_actor *actor = &stage->actors[number];
    double at = stage_actor_time(stage, number, time);
    if (actor->motion != NULL)
        scene_motion_pose(actor->motion, at, palette);
    else
        scene_pose(actor->scene, actor->clip, at, palette);
    put_in_place(actor, palette, scene_joint_count(actor->scene));
}

/* A bone's or a joint's origin in bind space, as an anchor. False: no such thing. */
static bool find_joint(const struct scene *scene, const char *name, struct gpu_anchor *anchor) {
    int bone = rig_bone_find(name), joint = bone >= 0 ? scene_bone(scene, (enum rig_bone)bone) : -1;
    float bind[12];
    for (uint32_t i = 0; joint < 0 && i < scene_joint_count(scene); i++)
        if (strcmp(scene_joint_name(scene, i), name) == 0)
            joint = (int)i;
    if (joint < 0)
        return false;
    scene_joint_bind(scene, (uint32_t)joint, bind);
    *anchor = (struct gpu_anchor){
        .position = {bind[3], bind[7], bind[11]}, .joint = {(uint16_t)joint}, .weight = {1}};
    return true;
}

static bool find_anchor(const struct scene *scene, const char *name, struct gpu_anchor *anchor) {
    for (uint32_t i = 0; i < SCENE_LANDMARKS; i++)
        if (strcmp(scene_landmark_name(i), name) == 0) {
            *anchor = scene_landmarks(scene, NULL)[i];
            return true;
        }
    return find_joint(scene, name, anchor);
}

int stage_point(const struct stage *stage, uint32_t number, const char *name, double time,
                float point[3], struct err *err) {
    const struct scene *scene = stage->actors[number].scene;
    struct gpu_anchor anchor;
    if (!find_anchor(scene, name, &anchor))
        return err_set(err, ERR_NOT_FOUND, "%s has no landmark, bone or joint %.60s",
                       scene_name(scene), name);
    float *palette = malloc((size_t)scene_joint_count(scene) * 12 * sizeof *palette);
    if (palette == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a pose");
    stage_pose(stage, number, time, palette);
    for (int row = 0; row < 3; row++) {
        point[row] = 0;
        for (int i = 0; i < 4; i++) {
            const float *m = palette + (size_t)anchor.joint[i] * 12 + 4 * row, *p = anchor.position;
            if (anchor.weight[i] > 0)
                point[row] += anchor.weight[i] * (m[0] * p[0] + m[1] * p[1] + m[2] * p[2] + m[3]);
        }
    }
    free(palette);
    return 0;
}

/* -- Moments ----------------------------------------------------------------------------------- */

/* An actor's pose and morphs at a time, put at *numbers, which moves on. */
static void fill_actor(const struct stage *stage, uint32_t number, double time, float **numbers,
                       const float **pose, const float **morphs) {
    const struct stage_actor *actor = &stage->actors[number];
    uint32_t count = scene_morph_count(actor->scene);
    *pose = *numbers;
    stage_pose(stage, number, time, *numbers);
    *numbers += (size_t)scene_joint_count(actor->scene) * 12;
    if (count == 0)
        return;
    *morphs = *numbers;
    scene_morphs(actor->scene, actor->motion != NULL ? SCENE_REST : actor->clip,
                 stage_actor_time(stage, number, time), *numbers);
    for (uint32_t i = 0; i < count && actor->morphs != NULL; i++)
        (*numbers)[i] += actor->morphs[i];
    *numbers += count;
}

int stage_moment_init(struct stage_moment *moment, const struct stage *stage, double time,
                      bool next, struct err *err) {
    size_t count = 1;
    for (uint32_t i = 0; i < stage->count; i++) {
        const struct scene *scene = stage->actors[i].scene;
        count += (size_t)scene_joint_count(scene) * 12 + scene_morph_count(scene);
    }
    *moment = (struct stage_moment){.time = time};
    moment->actors = calloc(stage->count + 1, sizeof *moment->actors);
    moment->numbers = malloc(count * (next ? 2 : 1) * sizeof *moment->numbers);
    if (moment->actors == NULL || moment->numbers == NULL) {
        stage_moment_deinit(moment);
        return err_set(err, ERR_NO_MEMORY, "no memory for the poses of %u actors", stage->count);
    }
    float *numbers = moment->numbers;
    for (uint32_t i = 0; i < stage->count; i++) {
        struct gpu_actor *actor = &moment->actors[i];
        actor->scene = scene_gpu(stage->actors[i].scene);
        actor->skinning = stage->actors[i].skinning;
        fill_actor(stage, i, time, &numbers, &actor->pose, &actor->morphs);
        if (next)
            fill_actor(stage, i, time + 1 / stage->rate, &numbers, &actor->pose_next,
                       &actor->morphs_next);
    }
    moment->frame = (struct gpu_frame){.actor_count = stage->count,
                                       .actors = moment->actors,
                                       .lighting = look_lighting(stage->look)};
    return 0;
}

void stage_moment_deinit(struct stage_moment *moment) {
    free(moment->actors);
    free(moment->numbers);
    *moment = (struct stage_moment){0};
}

/* -- Boxes ------------------------------------------------------------------------------------- */

static int grow_at(const struct stage *stage, int only, double time, float box[6],
                   struct err *err) {
    struct stage_moment moment;
    int rc = stage_moment_init(&moment, stage, time, false, err);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < stage->count; i++) {
        float now[6];
        if (only >= 0 && i != (uint32_t)only)
            continue;
        gpu_actor_box(&moment.actors[i], now);
        for (int k = 0; k < 3; k++) {
            box[k] = fminf(box[k], now[k]);
            box[k + 3] = fmaxf(box[k + 3], now[k + 3]);
        }
    }
    stage_moment_deinit(&moment);
    return 0;
}

/* The box of `poses` moments, evenly spread from one time to the other. */
static int box_over(const struct stage *stage, int only, double from, double to, int poses,
                    float box[6], struct err *err) {
    int rc = 0;
    for (int k = 0; k < 3; k++) {
        box[k] = INFINITY;
        box[k + 3] = -INFINITY;
    }
    for (int i = 0; rc == 0 && i < poses; i++) {
        double part = poses > 1 ? (double)i / (poses - 1) : 0;
        rc = grow_at(stage, only, from + (to - from) * part, box, err);
    }
    if (!(box[0] <= box[3])) /* nobody is there */
        memset(box, 0, 6 * sizeof *box);
    return rc;
}

int stage_box(const struct stage *stage, int actor, double padding, float box[6], struct err *err) {
    double frames = ceil(stage->seconds * stage->rate) + 1;
    int poses = frames < STAGE_MAX_POSES ? (int)frames : STAGE_MAX_POSES;
    int rc = box_over(stage, actor, 0, stage->seconds, poses, box, err);
    for (int k = 0; rc == 0 && k < 3; k++) {
        float middle = (box[k] + box[k + 3]) / 2, half = (box[k + 3] - box[k]) / 2;
        box[k] = middle - half * (float)padding;
        box[k + 3] = middle + half * (float)padding;
    }
    return rc;
}

int stage_box_at(const struct stage *stage, int actor, double time, float box[6], struct err *err) {
    return box_over(stage, actor, time, time, 1, box, err);
}
