/* pose_memory.c - what a stream costs: nothing is allocated frame by frame, and a session is small.
 * The linker sends the allocations of everything here through this file (gpu/Makefile). */
#include "check.h"
#include "models.h"
#include "pose_stage.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_size_t calls, bytes;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);

static void count(size_t size) {
    calls++;
    bytes += size;
}

void *__wrap_malloc(size_t size) {
    count(size);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t number, size_t size) {
    count(number * size);
    return __real_calloc(number, size);
}

void *__wrap_realloc(void *block, size_t size) {
    count(size);
    return __real_realloc(block, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size) {
    count(size);
    return __real_aligned_alloc(align, size);
}

size_t check_allocations(void) {
    return calls;
}

static void check_sessions(void) {
    struct gpu_pose_options options;
    gpu_pose_options_default(&options);
    for (options.people = 1; options.people <= GPU_POSE_MAX_PEOPLE; options.people += 15) {
        struct gpu_pose_session *session;
        size_t before = bytes;
        check_that(gpu_pose_session_new(&options, &session, NULL) == GPU_OK, "no session");
        size_t size = bytes - before;
        printf("a session for %2u: %zu bytes\n", options.people, size);
        check_that(size > 0 && size < (options.people == 1 ? 8192 : 160 * 1024),
                   "a session for %u takes %zu bytes", options.people, size);
        gpu_pose_session_free(session);
    }
}

/* Frames with and without the detector; after the first, no allocation. */
static void check_frames(struct gpu_pose_engine *engine, const struct gpu_picture pictures[2],
                         const char *name, float least, int frames) {
    struct gpu_pose_session *sessions[2];
    struct gpu_pose_options options;
    static struct gpu_pose_people people[2];
    char why[GPU_WHY_SIZE] = "";
    gpu_pose_options_default(&options);
    options.people = 3;
    options.min_detection = options.min_tracking = least;
    for (int i = 0; i < 2; i++)
        check_that(gpu_pose_session_new(&options, &sessions[i], why) == GPU_OK, "no session");
    size_t before = 0;
    for (int i = 1; i <= frames; i++) {
        double time = 0.3 * i;
        check_that(gpu_pose_track(engine, sessions, pictures, (double[]){time, time}, 2, people,
                                  why) == GPU_OK,
                   "%s: %s", name, why);
        before = i == 1 ? calls : before;
    }
    check_that(before > 0 && calls == before, "%s: %zu allocations in %d frames", name,
               calls - before, frames - 1);
    for (int i = 0; i < 2; i++)
        gpu_pose_session_free(sessions[i]);
}

/* The real networks on noise, which everything is a person in when nothing is asked of it. */
static void check_networks(void) {
    static uint8_t pixels[320 * 240 * 3];
    struct gpu_pose_files files = {0};
    struct gpu_pose_engine *engine = NULL;
    char why[GPU_WHY_SIZE];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 2654435761u >> 24);
    struct gpu_picture picture = {pixels, 3, 960, 0, 0, 320, 240, 320, 240};
    void *detector = model_read(MODEL_DETECTOR, "memory", &files.detector_size);
    void *lite = model_read(MODEL_LITE, "memory", &files.landmarks_size);
    files.detector = detector;
    files.landmarks = lite;
    if (detector != NULL && lite != NULL) {
        int code = gpu_pose_engine_new(&files, "cpu", &engine, why);
        if (code == GPU_EDEVICE)
            check_skip(why);
        else
            check_that(code == GPU_OK, "no engine: %s", why);
    }
    if (engine != NULL)
        check_frames(engine, (struct gpu_picture[]){picture, picture}, "the networks", 0.0f, 4);
    gpu_pose_engine_free(engine);
    free(detector);
    free(lite);
}

void check_pose_memory(void) {
    struct stage_backend *backend;
    struct gpu_pose_engine *engine = stage_engine(&backend);
    struct stage stage = {0};
    for (int i = 0; i < 2; i++)
        stage.people[i] = (struct stage_person){
            .there = true, .x = 300.0f + 400.0f * (float)i, .y = 400.0f, .size = 180.0f};
    check_sessions();
    check_frames(engine, (struct gpu_picture[]){stage_picture(&stage), stage_picture(&stage)},
                 "a stage", 0.5f, 200);
    gpu_pose_engine_free(engine);
    check_networks();
}
