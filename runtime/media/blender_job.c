/* blender_job.c - a job as Blender's script reads it: job.json, and poses.f32 with the matrices of
 * all actors one after the other. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "media/blender_private.h"
#include "media/scene.h"

/* runtime/media/blender.py as one string. */
static const char script[] =
#include "blender_script.h"
    ;

enum { SAMPLES_MAX = 4096, POSE_FLOATS = 12 };

struct writing {
    const struct blender_job *job;
    const char *folder;
    FILE *poses;
    size_t floats; /* in it so far */
    struct err *err;
};

/* -- Files ------------------------------------------------------------------------------------- */

static FILE *create(struct writing *w, const char *name) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", w->folder, name);
    FILE *file = fopen(path, "wxe");
    if (file == NULL)
        err_set_errno(w->err, errno, "cannot write %s", path);
    return file;
}

static int finish(struct writing *w, FILE *file, const char *name, bool good) {
    int reason = good ? 0 : errno;
    if (fclose(file) != 0 && reason == 0)
        reason = errno;
    return reason == 0 ? 0 : err_set_errno(w->err, reason, "cannot write %s/%s", w->folder, name);
}

static int write_file(struct writing *w, const char *name, const void *bytes, size_t size) {
    FILE *file = create(w, name);
    if (file == NULL)
        return w->err->code;
    return finish(w, file, name, fwrite(bytes, 1, size, file) == size);
}

/* -- Pieces ------------------------------------------------------------------------------------ */

static json_t *row(const float *values, size_t count) {
    json_t *out = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(out, json_real(isfinite(values[i]) ? (double)values[i] : 0));
    return out;
}

/* Names that are no UTF-8 find nothing in Blender. */
static json_t *text(const char *name) {
    json_t *out = json_string(name);
    return out != NULL ? out : json_string("");
}

/* Where the joint stands in the mesh as it is stored. */
static json_t *bind_place(const struct scene *scene, uint32_t joint) {
    float place[12];
    scene_joint_bind(scene, joint, place);
    return row((const float[]){place[3], place[7], place[11]}, 3);
}

static json_t *describe_body(struct writing *w, uint32_t number) {
    const struct blender_body *body = &w->job->bodies[number];
    char path[PATH_MAX];
    if (body->path == NULL) {
        char name[32];
        snprintf(name, sizeof name, "body-%u.glb", number);
        if (write_file(w, name, body->bytes, body->size) != 0)
            return NULL;
        snprintf(path, sizeof path, "%s/%s", w->folder, name);
    } else if (realpath(body->path, path) == NULL) {
        err_set_errno(w->err, errno, "cannot read %s", body->path);
        return NULL;
    }
    json_t *file = json_string(path);
    if (file == NULL) {
        err_set(w->err, ERR_UNSUPPORTED, "%s: Blender needs a path in UTF-8", path);
        return NULL;
    }
    json_t *joints = json_array(), *bind = json_array(), *idle = json_array();
    uint32_t count = scene_joint_count(body->scene);
    for (uint32_t i = 0; i < count; i++) {
        json_array_append_new(joints, text(scene_joint_name(body->scene, i)));
        json_array_append_new(bind, bind_place(body->scene, i));
        if (scene_joint_idle(body->scene, i))
            json_array_append_new(idle, text(scene_joint_name(body->scene, i)));
    }
    json_t *morphs = json_array();
    for (uint32_t i = 0; i < scene_morph_count(body->scene); i++)
        json_array_append_new(morphs, text(scene_morph_name(body->scene, i)));
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "file", file, "joints", joints, "bind", bind,
                     "idle", idle, "morphs", morphs);
}

static json_t *describe_actor(struct writing *w, uint32_t body, const struct gpu_actor *actor) {
    const struct scene *scene = w->job->bodies[body].scene;
    size_t count = (size_t)POSE_FLOATS * scene_joint_count(scene);
    uint32_t morphs = actor->morphs != NULL ? scene_morph_count(scene) : 0;
    float box[6];
    if (actor->scene != scene_gpu(scene)) {
        err_set(w->err, ERR_INVALID, "actor %u is not %s", body, scene_name(scene));
        return NULL;
    }
    if (gpu_actor_box(actor, box) != 0) {
        err_set(w->err, ERR_NO_MEMORY, "no memory to measure %s", scene_name(scene));
        return NULL;
    }
    size_t first = w->floats;
    w->floats += count;
    if (fwrite(actor->pose, sizeof *actor->pose, count, w->poses) == count)
        return json_pack("{s:I, s:o, s:o}", "pose", (json_int_t)first, "box", row(box, 6), "morphs",
                         row(actor->morphs, morphs));
    err_set_errno(w->err, errno, "cannot write %s/poses.f32", w->folder);
    return NULL;
}

static json_t *describe_frame(struct writing *w, const struct gpu_frame *frame) {
    json_t *actors = json_array();
    for (uint32_t i = 0; i < frame->actor_count && i < w->job->body_count; i++) {
        json_t *actor = describe_actor(w, i, &frame->actors[i]);
        if (actor == NULL) {
            json_decref(actors);
            return NULL;
        }
        json_array_append_new(actors, actor);
    }
    return actors;
}

static json_t *describe_view(struct writing *w, const struct gpu_view *view, uint32_t number) {
    const struct gpu_camera *c = &view->camera;
    if (view->frame >= w->job->batch->frame_count) {
        err_set(w->err, ERR_INVALID, "view %u shows frame %u of %u", number, view->frame,
                w->job->batch->frame_count);
        return NULL;
    }
    return json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "frame",
                     (json_int_t)view->frame, "width", (json_int_t)c->width, "height",
                     (json_int_t)c->height, "fx", (double)c->fx, "fy", (double)c->fy, "cx",
                     (double)c->cx, "cy", (double)c->cy, "near", (double)c->near_plane,
                     "lens_radius", (double)c->lens_radius, "focus", (double)c->focus,
                     "camera_from_world", row(c->camera_from_world, 12));
}

static json_t *describe_lamp(const struct gpu_light *lamp) {
    return json_pack("{s:o, s:o, s:o, s:f, s:f, s:f}", "position", row(lamp->position, 3),
                     "direction", row(lamp->direction, 3), "color", row(lamp->color, 3), "radius",
                     (double)lamp->radius, "cone", (double)lamp->cone, "blend",
                     (double)lamp->blend);
}

/* One light for all frames: the first one's. */
static json_t *describe_light(const struct blender_job *job) {
    struct gpu_lighting light;
    const struct gpu_batch *batch = job->batch;
    gpu_lighting_default(&light);
    if (batch->frame_count > 0 && batch->frames[0].lighting != NULL)
        light = *batch->frames[0].lighting;
    json_t *lamps = json_array();
    for (uint32_t i = 0; i < light.light_count; i++)
        json_array_append_new(lamps, describe_lamp(&light.lights[i]));
    return json_pack(
        "{s:o, s:o, s:f, s:o, s:o, s:f, s:b, s:f, s:o, s:o, s:o, s:o, s:s}", "sun_direction",
        row(light.sun_direction, 3), "sun_color", row(light.sun_color, 3), "sun_angle",
        (double)light.shadow_softness, "sky_color", row(light.sky_color, 3), "bounce_color",
        row(light.bounce_color, 3), "exposure", (double)light.exposure, "ground",
        light.ground && !job->transparent, "ground_y", (double)light.ground_y, "ground_color",
        row(light.ground_color, 3), "background_top", row(light.background_top, 3),
        "background_bottom", row(light.background_bottom, 3), "lamps", lamps, "tone",
        light.tone == GPU_TONE_FILMIC ? "filmic" : "standard");
}

/* -- The whole --------------------------------------------------------------------------------- */

typedef json_t *(*describe_fn)(struct writing *w, uint32_t number);

static json_t *body_at(struct writing *w, uint32_t number) {
    return describe_body(w, number);
}
static json_t *frame_at(struct writing *w, uint32_t number) {
    return describe_frame(w, &w->job->batch->frames[number]);
}
static json_t *view_at(struct writing *w, uint32_t number) {
    return describe_view(w, &w->job->batch->views[number], number);
}

static int add_list(struct writing *w, json_t *all, const char *name, uint32_t count,
                    describe_fn describe) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++) {
        json_t *one = describe(w, i);
        if (one == NULL) {
            json_decref(list);
            return w->err->code;
        }
        json_array_append_new(list, one);
    }
    return json_object_set_new(all, name, list) == 0
               ? 0
               : err_set(w->err, ERR_NO_MEMORY, "no memory to tell Blender its job");
}

static int check(const struct blender_job *job, struct err *err) {
    static const char *const engines[] = {"eevee", "cycles", "workbench"};
    bool known = false;
    for (int i = 0; i < 3; i++)
        known = known || strcmp(job->engine, engines[i]) == 0;
    if (!known)
        return err_set(err, ERR_INVALID,
                       "Blender has no engine \"%s\" here; there are eevee, cycles and workbench",
                       job->engine);
    if (job->samples < 1 || job->samples > SAMPLES_MAX)
        return err_set(err, ERR_INVALID, "Blender takes 1 to %d samples a pixel, not %u",
                       SAMPLES_MAX, job->samples);
    const struct gpu_batch *batch = job->batch;
    for (uint32_t i = 0; i < batch->frame_count; i++)
        if (batch->frames[i].lighting != NULL && batch->frames[i].lighting->environment != NULL)
            return err_set(err, ERR_UNSUPPORTED,
                           "light from a picture all around is not drawn by Blender here");
    for (uint32_t i = 0; i < batch->view_count; i++) {
        if (batch->views[i].background != NULL)
            return err_set(err, ERR_UNSUPPORTED,
                           "background pictures are not drawn by Blender here");
        for (int k = 0; k < 5; k++)
            if (batch->views[i].camera.distortion[k] != 0)
                return err_set(err, ERR_UNSUPPORTED,
                               "Blender's cameras have no lens distortion: leave it out");
    }
    if (batch->shutter > 0)
        return err_set(err, ERR_UNSUPPORTED, "motion blur is not drawn by Blender here");
    return 0;
}

int blender_job_write(const struct blender_job *job, const char *folder, struct err *err) {
    static const char name[] = "poses.f32";
    struct err unasked;
    struct writing w = {.job = job, .folder = folder, .err = err != NULL ? err : &unasked};
    const struct gpu_batch *batch = job->batch;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    json_t *all = NULL;
    char *text = NULL;
    int rc = check(job, w.err);
    if (rc != 0)
        return rc;
    w.poses = create(&w, name);
    if (w.poses == NULL)
        return w.err->code;
    all = json_pack("{s:s, s:I, s:I, s:I, s:b, s:o}", "engine", job->engine, "samples",
                    (json_int_t)job->samples, "threads",
                    (json_int_t)(job->threads > 0 ? job->threads
                                 : cores > 0      ? cores
                                                  : 1),
                    "seed", (json_int_t)job->seed, "transparent", job->transparent, "light",
                    describe_light(job));
    if (all == NULL)
        rc = err_set(w.err, ERR_NO_MEMORY, "no memory to tell Blender its job");
    if (rc == 0)
        rc = add_list(&w, all, "bodies", job->body_count, body_at);
    if (rc == 0)
        rc = add_list(&w, all, "frames", batch->frame_count, frame_at);
    if (rc == 0)
        rc = add_list(&w, all, "views", batch->view_count, view_at);
    if (rc == 0 && (text = json_dumps(all, JSON_COMPACT)) == NULL)
        rc = err_set(w.err, ERR_NO_MEMORY, "no memory to tell Blender its job");
    int closed = finish(&w, w.poses, name, true);
    rc = rc != 0 ? rc : closed;
    if (rc == 0)
        rc = write_file(&w, "job.json", text, strlen(text));
    if (rc == 0)
        rc = write_file(&w, "blender.py", script, sizeof script - 1);
    free(text);
    json_decref(all);
    return rc;
}
