#include "media/views.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/log.h"
#include "core/metrics.h"
#include "media/encode.h"
#include "media/image.h"
#include "media/labels.h"
#include "media/look.h"

const struct view_map_kind view_map_kinds[VIEW_MAPS] = {
    [VIEW_MAP_DEPTH] = {"depth", "<f4", 1, 4},
    [VIEW_MAP_PERSON] = {"person", "|u1", 1, 1},
    [VIEW_MAP_PART] = {"part", "|u1", 1, 1},
    [VIEW_MAP_COVER] = {"cover", "|u1", 1, 1},
    [VIEW_MAP_TRIANGLE] = {"triangle", "<u4", 1, 4},
    [VIEW_MAP_COVERAGE] = {"coverage", "<f4", 1, 4},
    [VIEW_MAP_NORMAL] = {"normal", "<f4", 3, 12},
    [VIEW_MAP_FLOW] = {"flow", "<f4", 2, 8},
};

struct views {
    unsigned references;
    struct stage *stage;
    struct views_options options;
    char backend[16];
    uint32_t count;
    uint64_t view_memory;        /* bytes a view */
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
    if (samples > 64 || (samples & (samples - 1)) != 0 || samples == 2)
        return err_set(err, ERR_INVALID, "samples must be 1, 4, 8, 16, 32 or 64, not %u", samples);
    if (!(options->shutter >= 0 && options->shutter <= 1))
        return err_set(err, ERR_INVALID, "shutter must be 0 to 1, not %g",
                       (double)options->shutter);
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

/* Bytes of the largest view's picture and maps. The renderer takes many more a pixel, so large
 * pictures are drawn one by one. */
static uint64_t view_memory(const struct view_spec *specs, uint32_t count, unsigned maps) {
    uint64_t size = 3;
    for (int map = 0; map < VIEW_MAPS; map++)
        size += maps & 1u << map ? view_map_kinds[map].size : 0;
    return size * largest_view(specs, count);
}

static uint32_t fit(uint64_t memory, uint32_t wanted) {
    uint64_t most = VIEWS_MEMORY / memory;
    return most < 1 ? 1 : most < wanted ? (uint32_t)most : wanted;
}

int views_new(struct stage *stage, const struct view_spec *specs, uint32_t count,
              const struct views_options *options, struct views **out, struct err *err) {
    int rc = check_options(options, count, err);
    if (rc != 0)
        return rc;
    struct views *views = calloc(1, sizeof *views);
    if (views == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %u views", count);
    views->references = 1;
    views->stage = stage_retain(stage);
    views->options = *options;
    views->options.maps |= VIEW_MAPS_LABELS;
    if (options->samples == 0)
        views->options.samples = 4;
    views->view_memory = view_memory(specs, count, views->options.maps);
    views->options.batch = fit(views->view_memory, options->batch != 0 ? options->batch : 4);
    const char *backend = options->backend != NULL ? options->backend : "auto";
    memcpy(views->backend, backend, strlen(backend) + 1);
    views->options.backend = views->backend;
    views->count = count;
    views->specs = malloc(count * sizeof *views->specs);
    views->results = calloc(count, sizeof *views->results);
    if (views->specs == NULL || views->results == NULL) {
        views_release(views);
        return err_set(err, ERR_NO_MEMORY, "no memory for %u views", count);
    }
    memcpy(views->specs, specs, count * sizeof *specs);
    *out = views;
    return 0;
}

struct views *views_retain(struct views *views) {
    views->references++;
    return views;
}

/* Where a map of an image is kept. */
static void **map_place(struct gpu_image *image, enum view_map map) {
    void **const places[VIEW_MAPS] = {
        [VIEW_MAP_DEPTH] = (void **)&image->depth,
        [VIEW_MAP_PERSON] = (void **)&image->person,
        [VIEW_MAP_PART] = (void **)&image->part,
        [VIEW_MAP_COVER] = (void **)&image->cover,
        [VIEW_MAP_TRIANGLE] = (void **)&image->triangle,
        [VIEW_MAP_COVERAGE] = (void **)&image->coverage,
        [VIEW_MAP_NORMAL] = (void **)&image->normal,
        [VIEW_MAP_FLOW] = (void **)&image->flow,
    };
    return places[map];
}

static void drop_result(struct view_result *result) {
    for (int map = 0; map < VIEW_MAPS; map++)
        free(*map_place(&result->image, map));
    free(result->image.rgb);
    free(result->people);
    free(result->labels);
    free(result->file);
    *result = (struct view_result){0};
}

void views_release(struct views *views) {
    if (views == NULL || --views->references > 0)
        return;
    for (uint32_t i = 0; views->results != NULL && i < views->count; i++)
        drop_result(&views->results[i]);
    stage_release(views->stage);
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
    uint32_t first, count, moment_count;
    struct gpu_view views[VIEWS_MAX_BATCH];
    struct gpu_image images[VIEWS_MAX_BATCH];
    struct gpu_frame frames[VIEWS_MAX_BATCH];
    struct stage_moment moments[VIEWS_MAX_BATCH];
};

static void draft_free(struct draft *draft) {
    for (uint32_t i = 0; i < draft->moment_count; i++)
        stage_moment_deinit(&draft->moments[i]);
    free(draft);
}

/* Views at the same time share a frame, so that skinning and shadow are done once for them. */
static int pose_views(const struct views *views, struct draft *draft, struct err *err) {
    const struct look *look = stage_look(views->stage);
    bool next = views->options.shutter > 0 || (views->options.maps & 1u << VIEW_MAP_FLOW) != 0;
    for (uint32_t i = 0; i < draft->count; i++) {
        const struct view_spec *spec = &views->specs[draft->first + i];
        uint32_t frame = 0;
        while (frame < draft->moment_count && draft->moments[frame].time != spec->time)
            frame++;
        draft->views[i] = (struct gpu_view){.camera = spec->camera,
                                            .camera_next = spec->camera_next,
                                            .frame = frame,
                                            .sensor = look_sensor(look, spec->number),
                                            .background = look_background(look)};
        if (frame < draft->moment_count)
            continue;
        int rc = stage_moment_init(&draft->moments[frame], views->stage, spec->time, next, err);
        if (rc != 0)
            return rc;
        draft->frames[frame] = draft->moments[frame].frame;
        draft->moment_count++;
    }
    return 0;
}

static int make_room(struct views *views, struct draft *draft, struct err *err) {
    uint32_t people = stage_actor_count(views->stage);
    for (uint32_t i = 0; i < draft->count; i++) {
        struct view_result *result = &views->results[draft->first + i];
        const struct gpu_camera *camera = &draft->views[i].camera;
        size_t pixels = (size_t)camera->width * camera->height;
        drop_result(result);
        result->people = calloc(people + 1, sizeof *result->people);
        bool whole = result->people != NULL;
        for (int map = 0; map < VIEW_MAPS; map++)
            if (views->options.maps & 1u << map) {
                void **place = map_place(&result->image, map);
                *place = malloc(pixels * view_map_kinds[map].size);
                whole = whole && *place != NULL;
            }
        if (!views->options.no_picture) {
            result->image.rgb = malloc(pixels * 3);
            whole = whole && result->image.rgb != NULL;
        }
        if (!whole)
            return err_set(err, ERR_NO_MEMORY, "no memory for a picture of %u x %u pixels",
                           camera->width, camera->height);
        draft->images[i] = result->image;
    }
    return 0;
}

static int fail_gpu(int rc, const char *what, const char *why, struct err *err) {
    int code = rc == GPU_ENOMEM ? ERR_NO_MEMORY : rc == GPU_EINVAL ? ERR_INVALID : ERR_INTERNAL;
    return err_set(err, code, "cannot %s: %s", what, why);
}

/* A GPU that gave up is told once a process: its pictures came from the CPU. */
static void tell_fallback(const struct gpu_renderer *renderer) {
    static atomic_flag told = ATOMIC_FLAG_INIT;
    const char *reason = gpu_renderer_fallback(renderer);
    if (reason == NULL || atomic_flag_test_and_set(&told))
        return;
    log_warn("render", "the GPU failed, the CPU draws instead: %s", reason);
}

static int render_draft(struct views *views, struct draft *draft, struct gpu_timings *timings,
                        struct err *err) {
    struct gpu_batch batch = {.view_count = draft->count,
                              .frame_count = draft->moment_count,
                              .views = draft->views,
                              .frames = draft->frames,
                              .samples = views->options.samples,
                              .shutter = views->options.shutter};
    struct gpu_renderer *renderer;
    int rc = renderer_take(views->backend, &renderer, err);
    if (rc != 0)
        return rc;
    char why[GPU_WHY_SIZE] = "";
    rc = gpu_render(renderer, &batch, draft->images, timings, why);
    tell_fallback(renderer);
    renderer_give_back(views->backend, renderer, largest_view(views->specs, views->count));
    return rc == 0 ? 0 : fail_gpu(rc, "draw", why, err);
}

static void fill_person(const struct views *views, const struct gpu_frame *frame, uint32_t actor,
                        double time, struct labels_person *person) {
    const struct stage_actor *on_stage = stage_actor(views->stage, actor);
    person->scene = on_stage->scene;
    person->person = on_stage->person;
    person->clip = stage_actor_clip(views->stage, actor);
    person->time = stage_actor_time(views->stage, actor, time);
    person->rate = stage_actor_rate(views->stage, actor);
    person->pose = frame->actors[actor].pose;
}

static int label_view(struct views *views, const struct draft *draft, uint32_t i, struct err *err) {
    struct view_result *result = &views->results[draft->first + i];
    const struct view_spec *spec = &views->specs[draft->first + i];
    const struct gpu_frame *frame = &draft->frames[draft->views[i].frame];
    struct labels_person *people = result->people;
    struct labels_view view = {
        .spec = spec,
        .frame = frame,
        .image = &result->image,
        .number =
            (uint32_t)fmin(fmax(floor(spec->time * stage_rate(views->stage) + 0.5), 0), UINT32_MAX),
        .time = spec->time,
        .people_count = frame->actor_count,
        .people = people,
    };
    for (uint32_t actor = 0; actor < frame->actor_count; actor++)
        fill_person(views, frame, actor, spec->time, &people[actor]);
    int rc = labels_find(&view, err);
    if (rc == 0)
        rc = labels_describe(&view, &result->labels, &result->labels_size, err);
    for (uint32_t actor = 0; actor < frame->actor_count; actor++)
        people[actor].pose = NULL; /* it ends with the batch */
    return rc;
}

/* -- JPEG -------------------------------------------------------------------------------------- */

static int to_rgba(const struct view_result *result, const struct gpu_camera *camera,
                   struct image *image, struct err *err) {
    int rc = image_init(image, camera->width, camera->height, err);
    size_t pixels = (size_t)camera->width * camera->height;
    for (size_t i = 0; rc == 0 && i < pixels; i++) {
        memcpy(image->rgba + i * 4, result->image.rgb + i * 3, 3);
        image->rgba[i * 4 + 3] = 255;
    }
    return rc;
}

/* The picture for the encoders. */
static struct encode_array array_of(const struct view_result *result,
                                    const struct gpu_camera *camera) {
    return (struct encode_array){.values = result->image.rgb,
                                 .dtype = ENCODE_UINT8,
                                 .dimensions = 3,
                                 .shape = {camera->height, camera->width, 3}};
}

/* The picture as it comes out of a JPEG of the look's quality. */
static int add_artefacts(struct views *views, uint32_t view, struct err *err) {
    struct view_result *result = &views->results[view];
    int quality = look_jpeg(stage_look(views->stage));
    uint8_t *file;
    size_t size;
    struct image image;
    if (quality == 0 || result->image.rgb == NULL)
        return 0;
    const struct encode_array array = array_of(result, &views->specs[view].camera);
    int rc = encode_jpeg(&array, quality, &file, &size, err);
    if (rc != 0)
        return rc;
    rc = image_decode(file, size, &image, err);
    free(file);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < (size_t)image.width * image.height; i++)
        memcpy(result->image.rgb + i * 3, image.rgba + i * 4, 3);
    image_deinit(&image);
    return 0;
}

/* -- Batches ----------------------------------------------------------------------------------- */

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
    for (uint32_t i = 0; rc == 0 && i < draft->count; i++)
        rc = label_view(views, draft, i, err);
    spent.label += cpu_seconds() - start;
    for (uint32_t i = 0; rc == 0 && i < draft->count; i++)
        rc = add_artefacts(views, draft->first + i, err);
    if (rc == 0) {
        keep_timings(&spent, timings);
        count_views(draft->count);
    } else {
        views_drop(views, batch);
    }
    draft_free(draft);
    return rc;
}

static int make_file(const struct view_result *result, const struct gpu_camera *camera,
                     const struct view_encoding *encoding, uint8_t **file, size_t *size,
                     struct err *err) {
    const struct encode_array array = array_of(result, camera);
    const struct encode_png_options png = {.level = encoding->quality};
    struct image image;
    int rc;
    switch (encoding->format) {
    case VIEW_PNG:
        return encode_png(&array, &png, file, size, err);
    case VIEW_JPEG:
        return encode_jpeg(&array, encoding->quality, file, size, err);
    case VIEW_WEBP:
    case VIEW_WEBP_LOSSLESS:
        return encode_webp(&array, encoding->format == VIEW_WEBP_LOSSLESS, (float)encoding->quality,
                           file, size, err);
    case VIEW_RGBA:
        rc = to_rgba(result, camera, &image, err);
        *file = image.rgba;
        *size = (size_t)camera->width * camera->height * 4;
        return rc;
    }
    return err_set(err, ERR_INVALID, "there is no format %d", (int)encoding->format);
}

int views_encode(struct views *views, uint32_t view, const struct view_encoding *encoding,
                 struct views_timings *timings, struct err *err) {
    struct view_result *result = &views->results[view];
    double start = cpu_seconds();
    if (result->image.rgb == NULL)
        return err_set(err, ERR_INVALID, "the view %s has no picture: it was asked for without",
                       views->specs[view].name);
    free(result->file);
    result->file = NULL;
    int rc = make_file(result, &views->specs[view].camera, encoding, &result->file,
                       &result->file_size, err);
    result->encoding = *encoding;
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

uint32_t views_batches_that_fit(const struct views *views) {
    return fit(views->view_memory * views->options.batch, VIEWS_MAX);
}

const struct stage *views_stage(const struct views *views) {
    return views->stage;
}

const struct view_spec *views_spec(const struct views *views, uint32_t view) {
    return &views->specs[view];
}

const struct view_result *views_result(const struct views *views, uint32_t view) {
    return &views->results[view];
}

const void *views_map(const struct views *views, uint32_t view, enum view_map map) {
    return *map_place(&views->results[view].image, map);
}
