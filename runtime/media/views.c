#include "media/views.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/metrics.h"
#include "media/labels.h"
#include "media/png.h"

struct views {
    unsigned references;
    struct scene *scene;
    struct views_options options;
    char backend[16];
    uint32_t count, batch_count;
    struct view_spec *specs;     /* [count] */
    struct view_result *results; /* [count] */
};

/* -- Renderers --------------------------------------------------------------------------------- */

/* Renderers keep megabytes of scratch memory, which is dear to get anew for each batch; idle ones
 * wait here. Those that have drawn very large pictures hold hundreds of megabytes, and go. */
enum { IDLE_MAX = 4, IDLE_PIXELS = 4 << 20 };

struct idle_renderer {
    struct gpu_renderer *renderer;
    char backend[16]; /* as asked for */
};

static struct {
    pthread_mutex_t lock;
    struct idle_renderer idle[IDLE_MAX];
    int count;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int renderer_take(const char *backend, struct gpu_renderer **out, struct err *err) {
    *out = NULL;
    pthread_mutex_lock(&pool.lock);
    for (int i = 0; i < pool.count && *out == NULL; i++) {
        if (strcmp(pool.idle[i].backend, backend) != 0)
            continue;
        *out = pool.idle[i].renderer;
        pool.idle[i] = pool.idle[--pool.count];
    }
    pthread_mutex_unlock(&pool.lock);
    if (*out != NULL)
        return 0;
    char why[GPU_WHY_SIZE] = "";
    int rc = gpu_renderer_new(backend, out, why);
    if (rc == 0)
        return 0;
    return err_set(err, rc == GPU_ENOMEM ? ERR_NO_MEMORY : ERR_UNSUPPORTED, "no renderer '%s': %s",
                   backend, why);
}

static void renderer_give_back(const char *backend, struct gpu_renderer *renderer,
                               uint64_t pixels) {
    pthread_mutex_lock(&pool.lock);
    if (pool.count < IDLE_MAX && pixels <= IDLE_PIXELS) {
        struct idle_renderer *idle = &pool.idle[pool.count++];
        idle->renderer = renderer;
        memcpy(idle->backend, backend, sizeof idle->backend);
        renderer = NULL;
    }
    pthread_mutex_unlock(&pool.lock);
    gpu_renderer_free(renderer);
}

/* -- Clips ------------------------------------------------------------------------------------- */

int views_calm_clip(const struct scene *scene) {
    static const char *const words[] = {"idle", "stand", "walk"};
    uint32_t count = scene_clip_count(scene);
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        int best = SCENE_REST;
        for (uint32_t i = 0; i < count; i++) {
            const char *name = scene_clip_name(scene, i);
            if (strcasestr(name, words[w]) != NULL &&
                (best < 0 || strlen(name) < strlen(scene_clip_name(scene, (uint32_t)best))))
                best = (int)i;
        }
        if (best >= 0)
            return best;
    }
    return count > 0 ? 0 : SCENE_REST;
}

/* -- Life -------------------------------------------------------------------------------------- */

static int check_options(const struct views_options *options, uint32_t count, struct err *err) {
    uint32_t samples = options->samples;
    if (count < 1 || count > VIEWS_MAX)
        return err_set(err, ERR_INVALID, "1 to %d views can be drawn, not %u", VIEWS_MAX, count);
    if (samples != 0 && samples != 1 && samples != 4 && samples != 8 && samples != 16)
        return err_set(err, ERR_INVALID, "samples must be 1, 4, 8 or 16, not %u", samples);
    if (options->batch > VIEWS_MAX_BATCH)
        return err_set(err, ERR_INVALID, "a batch has at most %d views, not %u", VIEWS_MAX_BATCH,
                       options->batch);
    if (options->backend != NULL && strlen(options->backend) >= sizeof((struct views *)0)->backend)
        return err_set(err, ERR_INVALID, "no renderer is called '%.40s'", options->backend);
    return 0;
}

/* Pixels of the largest of them, at least 1. */
static uint64_t largest_view(const struct view_spec *specs, uint32_t count) {
    uint64_t most = 1;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t pixels = (uint64_t)specs[i].camera.width * specs[i].camera.height;
        most = pixels > most ? pixels : most;
    }
    return most;
}

/* A pixel takes seven bytes here and many more in the renderer: large pictures are drawn one by
 * one. */
static uint32_t fit_batch(const struct view_spec *specs, uint32_t count, uint32_t batch) {
    uint64_t fit = VIEWS_BATCH_PIXELS / largest_view(specs, count);
    return fit < 1 ? 1 : fit < batch ? (uint32_t)fit : batch;
}

int views_new(struct scene *scene, const struct view_spec *specs, uint32_t count,
              const struct views_options *options, struct views **out, struct err *err) {
    int rc = check_options(options, count, err);
    if (rc != 0)
        return rc;
    struct views *views = calloc(1, sizeof *views);
    if (views == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %u views", count);
    views->references = 1;
    views->scene = scene_retain(scene);
    views->options = *options;
    if (options->samples == 0)
        views->options.samples = 4;
    views->options.batch = fit_batch(specs, count, options->batch != 0 ? options->batch : 4);
    const char *backend = options->backend != NULL ? options->backend : "auto";
    memcpy(views->backend, backend, strlen(backend) + 1);
    views->options.backend = views->backend;
    views->count = count;
    views->batch_count = (count + views->options.batch - 1) / views->options.batch;
    views->specs = calloc(count, sizeof *views->specs);
    views->results = calloc(count, sizeof *views->results);
    if (views->specs == NULL || views->results == NULL) {
        views_release(views);
        return err_set(err, ERR_NO_MEMORY, "no memory for %u views", count);
    }
    double seconds =
        options->clip == SCENE_REST ? 0 : scene_clip_seconds(scene, (uint32_t)options->clip);
    for (uint32_t i = 0; i < count; i++) {
        views->specs[i] = specs[i];
        views->specs[i].time = specs[i].time > 0 ? fmin(specs[i].time, seconds) : 0;
    }
    *out = views;
    return 0;
}

struct views *views_retain(struct views *views) {
    views->references++;
    return views;
}

static void drop_result(struct view_result *result) {
    free(result->rgb);
    free(result->depth);
    free(result->labels);
    free(result->png);
    *result = (struct view_result){0};
}

void views_release(struct views *views) {
    if (views == NULL || --views->references > 0)
        return;
    for (uint32_t i = 0; views->results != NULL && i < views->count; i++)
        drop_result(&views->results[i]);
    scene_release(views->scene);
    free(views->results);
    free(views->specs);
    free(views);
}

/* -- Drawing ----------------------------------------------------------------------------------- */

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void count_stage(const char *stage, double seconds) {
    struct metric_family *family =
        metrics_family(METRIC_COUNTER, "render_stage_seconds_total",
                       "CPU seconds spent on rendered views, by stage", NULL, 0, NULL);
    if (family != NULL && seconds > 0)
        metric_add(metrics_series(family, (const char *[]){"stage", stage, NULL}), seconds);
}

static void count_views(uint32_t count) {
    struct metric_family *family = metrics_family(METRIC_COUNTER, "render_views_total",
                                                  "Views drawn and labelled", NULL, 0, NULL);
    if (family != NULL)
        metric_add(metrics_series(family, NULL), count);
}

/* What one draw needs beside its results. */
struct draft {
    uint32_t first, count, frame_count;
    struct gpu_view views[VIEWS_MAX_BATCH];
    struct gpu_image images[VIEWS_MAX_BATCH];
    struct gpu_frame frames[VIEWS_MAX_BATCH];
    struct gpu_actor actors[VIEWS_MAX_BATCH];
    struct gpu_lighting lighting;
    float *poses; /* [frame][joint][12] */
};

static void add_frame(const struct views *views, struct draft *draft, double time) {
    size_t pose_size = (size_t)scene_joint_count(views->scene) * 12;
    float *pose = draft->poses + draft->frame_count * pose_size;
    struct gpu_actor *actor = &draft->actors[draft->frame_count];
    scene_pose(views->scene, views->options.clip, time, pose);
    *actor = (struct gpu_actor){.scene = scene_gpu(views->scene), .pose = pose};
    draft->frames[draft->frame_count++] =
        (struct gpu_frame){.actor_count = 1, .actors = actor, .lighting = &draft->lighting};
}

/* Views at the same time share a frame, so that skinning and shadow are done once for them. */
static int pose_views(const struct views *views, struct draft *draft, struct err *err) {
    size_t pose_size = (size_t)scene_joint_count(views->scene) * 12;
    gpu_lighting_default(&draft->lighting);
    draft->poses = malloc(draft->count * pose_size * sizeof *draft->poses);
    if (draft->poses == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %u poses", draft->count);
    for (uint32_t i = 0; i < draft->count; i++) {
        const struct view_spec *spec = &views->specs[draft->first + i];
        uint32_t twin = 0;
        while (twin < i && views->specs[draft->first + twin].time != spec->time)
            twin++;
        draft->views[i].frame = twin < i ? draft->views[twin].frame : draft->frame_count;
        if (twin == i)
            add_frame(views, draft, spec->time);
        draft->views[i].camera = spec->camera;
    }
    return 0;
}

static int make_room(struct views *views, struct draft *draft, struct err *err) {
    for (uint32_t i = 0; i < draft->count; i++) {
        struct view_result *result = &views->results[draft->first + i];
        const struct gpu_camera *camera = &draft->views[i].camera;
        size_t pixels = (size_t)camera->width * camera->height;
        drop_result(result);
        result->rgb = malloc(pixels * 3);
        result->depth = malloc(pixels * sizeof *result->depth);
        if (result->rgb == NULL || result->depth == NULL)
            return err_set(err, ERR_NO_MEMORY, "no memory for a picture of %u x %u pixels",
                           camera->width, camera->height);
        draft->images[i] = (struct gpu_image){.rgb = result->rgb, .depth = result->depth};
    }
    return 0;
}

static int render_draft(struct views *views, struct draft *draft, struct gpu_timings *timings,
                        struct err *err) {
    struct gpu_batch batch = {.view_count = draft->count,
                              .frame_count = draft->frame_count,
                              .views = draft->views,
                              .frames = draft->frames,
                              .samples = views->options.samples};
    struct gpu_renderer *renderer;
    int rc = renderer_take(views->backend, &renderer, err);
    if (rc != 0)
        return rc;
    char why[GPU_WHY_SIZE] = "";
    rc = gpu_render(renderer, &batch, draft->images, timings, why);
    renderer_give_back(views->backend, renderer, largest_view(views->specs, views->count));
    if (rc == 0)
        return 0;
    int code = rc == GPU_ENOMEM ? ERR_NO_MEMORY : rc == GPU_EINVAL ? ERR_INVALID : ERR_INTERNAL;
    return err_set(err, code, "cannot draw %s: %s", scene_name(views->scene), why);
}

static int label_draft(struct views *views, const struct draft *draft, struct err *err) {
    const struct gpu_anchor *anchors = scene_landmarks(views->scene, NULL);
    for (uint32_t i = 0; i < draft->count; i++) {
        uint32_t view = draft->first + i;
        struct view_result *result = &views->results[view];
        char why[GPU_WHY_SIZE] = "";
        int rc = gpu_label(&draft->frames[draft->views[i].frame], 0, &draft->views[i].camera,
                           &draft->images[i], anchors, SCENE_LANDMARKS, result->points,
                           &result->label, why);
        if (rc != 0)
            return err_set(err, ERR_INTERNAL, "cannot label %s: %s", scene_name(views->scene), why);
        rc = labels_describe(views, view, &result->labels, &result->labels_size, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static void keep_timings(const struct gpu_timings *timings, struct views_timings *sum) {
    sum->skin += timings->skin;
    sum->shadow += timings->shadow;
    sum->raster += timings->raster;
    sum->shade += timings->shade;
    sum->label += timings->label;
    count_stage("skin", timings->skin);
    count_stage("shadow", timings->shadow);
    count_stage("raster", timings->raster);
    count_stage("shade", timings->shade);
    count_stage("label", timings->label);
}

int views_draw(struct views *views, uint32_t batch, struct views_timings *timings,
               struct err *err) {
    struct draft *draft = calloc(1, sizeof *draft);
    if (draft == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to draw");
    draft->first = batch * views->options.batch;
    draft->count = views->count - draft->first;
    if (draft->count > views->options.batch)
        draft->count = views->options.batch;
    struct gpu_timings spent = {0};
    int rc = pose_views(views, draft, err);
    if (rc == 0)
        rc = make_room(views, draft, err);
    if (rc == 0)
        rc = render_draft(views, draft, &spent, err);
    double start = cpu_seconds();
    if (rc == 0)
        rc = label_draft(views, draft, err);
    if (rc == 0) {
        spent.label += cpu_seconds() - start;
        keep_timings(&spent, timings);
        count_views(draft->count);
    } else {
        views_drop(views, batch);
    }
    free(draft->poses);
    free(draft);
    return rc;
}

int views_encode(struct views *views, uint32_t view, struct views_timings *timings,
                 struct err *err) {
    struct view_result *result = &views->results[view];
    const struct gpu_camera *camera = &views->specs[view].camera;
    double start = cpu_seconds();
    struct png_source source = {camera->width, camera->height, 3, 0, result->rgb};
    int rc = png_encode(&source, PNG_LEVEL_RUNS, &result->png, &result->png_size, err);
    double seconds = cpu_seconds() - start;
    timings->encode += seconds;
    count_stage("encode", seconds);
    return rc;
}

void views_drop(struct views *views, uint32_t batch) {
    uint32_t first = batch * views->options.batch;
    for (uint32_t i = first; i < views->count && i < first + views->options.batch; i++)
        drop_result(&views->results[i]);
}

/* -- Looking ----------------------------------------------------------------------------------- */

uint32_t views_count(const struct views *views) {
    return views->count;
}

uint32_t views_batch_size(const struct views *views) {
    return views->options.batch;
}

struct scene *views_scene(const struct views *views) {
    return views->scene;
}

int views_clip(const struct views *views) {
    return views->options.clip;
}

const struct view_spec *views_spec(const struct views *views, uint32_t view) {
    return &views->specs[view];
}

const struct view_result *views_result(const struct views *views, uint32_t view) {
    return &views->results[view];
}
