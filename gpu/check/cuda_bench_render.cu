/* cuda_bench_render.cu - pictures a second on a device, and each kernel beside the bytes that it
 * has to move. Frames are made by the CPU, so threads count: each has a renderer of its own. */
#include "check/body.h"
#include "check/cuda_check.h"
#include "cuda/plugin.h"
#include "cuda/render.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <thread>

extern "C" cuda_plugin_entry stance_cuda_plugin;

namespace {

enum { SIDE = 512, RING = 8, FRAMES = 8, VIEWS = RING * FRAMES, ROUNDS = 6, TRIANGLES = 30000 };

double now() {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A walk, each step of it seen from all around, into raw pictures in memory. */
struct walk {
    struct body body;
    struct gpu_scene *scene;
    struct gpu_render_backend *backend;
    float poses[FRAMES][BODY_JOINTS * 12];
    struct gpu_actor actors[FRAMES];
    struct gpu_frame frames[FRAMES];
    struct gpu_view views[VIEWS];
    struct gpu_image images[VIEWS];
    struct gpu_lighting lighting;
    std::vector<uint8_t> rgb;
    struct gpu_batch batch;
};

int walk_init(walk *walk, bool textured, uint32_t samples, char *why) {
    const float target[3] = {0, 0.9f, 0};
    body_init_person(&walk->body, TRIANGLES, textured);
    GPU_TRY(gpu_scene_new(&walk->body.desc, &walk->scene, why));
    GPU_TRY(stance_cuda_plugin()->renderer_new(&walk->backend, why));
    gpu_lighting_default(&walk->lighting);
    walk->rgb.resize((size_t)VIEWS * SIDE * SIDE * 3);
    for (int i = 0; i < FRAMES; i++) {
        body_pose((float)i / FRAMES, walk->poses[i]);
        walk->actors[i].scene = walk->scene;
        walk->actors[i].pose = walk->poses[i];
        walk->frames[i].actor_count = 1;
        walk->frames[i].actors = &walk->actors[i];
        walk->frames[i].lighting = &walk->lighting;
    }
    for (int i = 0; i < VIEWS; i++) {
        const float angle = 6.2831853f * (float)(i % RING) / RING;
        const float eye[3] = {3.5f * std::sin(angle), 1.6f, 3.5f * std::cos(angle)};
        gpu_camera_look_at(&walk->views[i].camera, eye, target, 0.7f, SIDE, SIDE);
        walk->views[i].frame = (uint32_t)(i / RING);
        walk->images[i].rgb = walk->rgb.data() + (size_t)i * SIDE * SIDE * 3;
    }
    walk->batch.view_count = VIEWS;
    walk->batch.frame_count = FRAMES;
    walk->batch.views = walk->views;
    walk->batch.frames = walk->frames;
    walk->batch.samples = samples;
    return GPU_OK;
}

void walk_deinit(walk *walk) {
    if (walk->backend != nullptr)
        walk->backend->free(walk->backend);
    gpu_scene_free(walk->scene);
    body_free(&walk->body);
}

int walk_draw(walk *walk, struct gpu_timings *timings, char *why) {
    return walk->backend->draw(walk->backend, &walk->batch, walk->images, timings, why);
}

/* Pictures a second of several threads. */
int measure(uint32_t threads, bool textured, uint32_t samples, double *rate, char *why) {
    std::vector<walk> walks(threads);
    std::vector<std::thread> running;
    std::atomic<int> code(GPU_OK);
    struct gpu_timings unused = {};
    for (walk &one : walks) {
        one = walk{};
        GPU_TRY(walk_init(&one, textured, samples, why));
        GPU_TRY(walk_draw(&one, &unused, why)); /* memory is reserved, scenes are there */
    }
    const double start = now();
    for (walk &one : walks)
        running.emplace_back([&one, &code]() {
            struct gpu_timings timings = {};
            char words[GPU_WHY_SIZE];
            for (int i = 0; i < ROUNDS; i++)
                if (walk_draw(&one, &timings, words) != GPU_OK)
                    code = GPU_EDEVICE;
        });
    for (std::thread &thread : running)
        thread.join();
    *rate = (double)threads * ROUNDS * VIEWS / (now() - start);
    for (walk &one : walks)
        walk_deinit(&one);
    return code == GPU_OK ? GPU_OK : gpu_fail(why, code, "a thread's pictures failed");
}

/* Microseconds a picture by stage, and what moving its bytes takes. */
int show_stages(bool textured, uint32_t samples, double bytes_a_second, char *why) {
    static const char *const names[RENDER_STAGES] = {"send",      "clear",    "move",    "project",
                                                     "triangles", "portions", "resolve", "fetch"};
    walk walk = {};
    struct gpu_timings timings = {};
    struct render_times times = {};
    GPU_TRY(walk_init(&walk, textured, samples, why));
    GPU_TRY(walk_draw(&walk, &timings, why));
    cuda_renderer_time(walk.backend, &times);
    timings = gpu_timings{};
    for (int i = 0; i < ROUNDS; i++)
        GPU_TRY(walk_draw(&walk, &timings, why));
    const double pixels = SIDE * SIDE, vertices = walk.scene->padded_vertices;
    const double floors[RENDER_STAGES] = {0.0,
                                          pixels * samples * 8.0,
                                          0.0,
                                          vertices * 44.0,
                                          walk.scene->triangle_count * 52.0,
                                          0.0,
                                          pixels * (samples * 8.0 + 3.0),
                                          0.0};
    for (int i = 0; i < RENDER_STAGES; i++)
        printf("  %-10s %8.1f us, bytes alone %6.1f us\n", names[i],
               1e6 * times.stage[i] / (ROUNDS * VIEWS), 1e6 * floors[i] / bytes_a_second);
    printf("  %-10s %8.1f us of the CPU\n", "frames",
           1e6 * (timings.skin + timings.shadow) / (ROUNDS * VIEWS));
    walk_deinit(&walk);
    return GPU_OK;
}

} // namespace

int cuda_bench_render(double bytes_a_second) {
    char why[GPU_WHY_SIZE] = "";
    const uint32_t cores = std::max(1u, std::min(32u, std::thread::hardware_concurrency()));
    int code = GPU_OK;
    printf("pictures of %dx%d of %d triangles, %d of a frame, raw in memory\n", (int)SIDE,
           (int)SIDE, (int)TRIANGLES, (int)RING);
    for (int textured = 0; textured < 2 && code == GPU_OK; textured++)
        for (uint32_t samples : {4u, 16u, 64u}) {
            double alone = 0.0, all = 0.0;
            code = measure(1, textured != 0, samples, &alone, why);
            if (code == GPU_OK)
                code = measure(cores, textured != 0, samples, &all, why);
            if (code != GPU_OK)
                break;
            printf("%2u samples, %s: %.0f a second by one thread, %.0f by %u\n", samples,
                   textured != 0 ? "textured" : "plain", alone, all, cores);
            code = show_stages(textured != 0, samples, bytes_a_second, why);
        }
    if (code != GPU_OK)
        printf("FAILED %s\n", why);
    return code == GPU_OK ? 0 : 1;
}
