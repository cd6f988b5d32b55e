/* bench.c - milliseconds a view by stage, and what moving the stages' bytes alone would take. */
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VIEWS = 8, SIDE = 512, ROUNDS = 12 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Bytes a second of a copy that fits no cache. */
static double copy_speed(void) {
    const size_t size = 64u << 20;
    char *from = malloc(size), *to = malloc(size);
    if (from == NULL || to == NULL)
        abort();
    memset(from, 1, size);
    memset(to, 2, size);
    double best = 1e9;
    for (int i = 0; i < 5; i++) {
        double start = now();
        memcpy(to, from, size);
        best = fmin(best, now() - start);
        from[i] = to[i + 1];
    }
    free(to);
    free(from);
    return 2.0 * (double)size / best;
}

struct figures {
    double skin, shadow, raster, shade, label, total, floor; /* milliseconds a view */
};

static double median(double *values, int count) {
    for (int i = 1; i < count; i++)
        for (int j = i; j > 0 && values[j] < values[j - 1]; j--) {
            double swap = values[j];
            values[j] = values[j - 1];
            values[j - 1] = swap;
        }
    return values[count / 2];
}

/* What has to be read and written at least: the body once skinned, its samples once, the picture
 * once. */
static double least_bytes(const struct body *body, const struct gpu_label *label) {
    double skin = body->desc.vertex_count * (32.0 + 32.0 + 16.0) / VIEWS;
    double body_samples = label->area * 4.0 * 8.0;
    return skin + body->desc.vertex_count * 44.0 + body->desc.triangle_count * 20.0 +
           body_samples * 2.0 + SIDE * SIDE * (3.0 + 4.0);
}

/* What is measured. */
struct bench_case {
    uint32_t triangles, samples;
    bool textured;
    enum {
        PICTURE, /* with depth */
        LABELS,  /* without colours */
        LENS,    /* out of focus */
        FLAT,    /* nothing hides sky from itself */
        MAPS,    /* normals, roughness and metal */
        LAMPS,   /* eight */
        AROUND,  /* light of a picture */
    } mode;
};

static const char *const modes[] = {"picture", "labels", "lens", "flat", "maps", "lamps", "around"};

/* A body and a ring of cameras around it. */
struct ring {
    const struct bench_case *what;
    struct body body;
    struct gpu_scene *scene;
    struct gpu_renderer *renderer;
    float pose[BODY_JOINTS * 12];
    struct gpu_view views[VIEWS];
    struct gpu_image images[VIEWS];
    struct gpu_label label;
    struct gpu_lighting lighting;
    struct gpu_environment *environment;
};

/* The features beyond a plain picture that the case asks for. */
static void ring_dress(struct ring *ring) {
    static const float sky[2 * 3] = {0.6f, 0.7f, 0.9f, 0.3f, 0.3f, 0.2f};
    char why[GPU_WHY_SIZE];
    gpu_lighting_default(&ring->lighting);
    if (ring->what->mode == FLAT)
        ring->lighting.occlusion = 0.0f;
    for (int m = 0; ring->what->mode == MAPS && m < 4; m++) {
        ring->body.table[m].normal_texture = 0;
        ring->body.table[m].metal_rough_texture = 1;
    }
    ring->lighting.light_count = ring->what->mode == LAMPS ? GPU_MAX_LIGHTS : 0;
    for (uint32_t i = 0; i < ring->lighting.light_count; i++)
        ring->lighting.lights[i] = (struct gpu_light){.position = {(float)i - 3.5f, 2.0f, 2.0f},
                                                      .color = {0.3f, 0.3f, 0.3f},
                                                      .cone = 3.1416f};
    if (ring->what->mode == AROUND &&
        gpu_environment_new(sky, 1, 2, &ring->environment, why) != GPU_OK)
        abort();
    ring->lighting.environment = ring->environment;
}

static void ring_init(struct ring *ring, const char *backend, const struct bench_case *what) {
    char why[GPU_WHY_SIZE];
    const float target[3] = {0, 0.9f, 0};
    memset(ring, 0, sizeof *ring);
    ring->what = what;
    body_init_person(&ring->body, what->triangles, what->textured);
    body_pose(0.2f, ring->pose);
    ring_dress(ring);
    if (gpu_scene_new(&ring->body.desc, &ring->scene, why) != GPU_OK ||
        gpu_renderer_new(backend, &ring->renderer, why) != GPU_OK)
        abort();
    for (int i = 0; i < VIEWS; i++) {
        float angle = 6.2831853f * (float)i / VIEWS;
        const float eye[3] = {3.5f * sinf(angle), 1.6f, 3.5f * cosf(angle)};
        gpu_camera_look_at(&ring->views[i].camera, eye, target, 0.7f, SIDE, SIDE);
        ring->views[i].camera.lens_radius = what->mode == LENS ? 0.03f : 0.0f;
        ring->views[i].camera.focus = 3.0f;
        ring->images[i].rgb = what->mode == LABELS ? NULL : malloc(3 * SIDE * SIDE);
        ring->images[i].depth = malloc(SIDE * SIDE * sizeof(float));
        ring->images[i].person = malloc(SIDE * SIDE);
    }
}

static void ring_deinit(struct ring *ring) {
    for (int i = 0; i < VIEWS; i++) {
        free(ring->images[i].rgb);
        free(ring->images[i].depth);
        free(ring->images[i].person);
    }
    gpu_renderer_free(ring->renderer);
    gpu_environment_free(ring->environment);
    gpu_scene_free(ring->scene);
    body_free(&ring->body);
}

/* Draws and labels the ring once. */
static void ring_draw(struct ring *ring, struct gpu_timings *timings) {
    char why[GPU_WHY_SIZE];
    const struct gpu_actor actor = {.scene = ring->scene, .pose = ring->pose};
    const struct gpu_frame frame = {1, &actor, &ring->lighting};
    const struct gpu_batch batch = {.view_count = VIEWS,
                                    .frame_count = 1,
                                    .views = ring->views,
                                    .frames = &frame,
                                    .samples = ring->what->samples};
    if (gpu_render(ring->renderer, &batch, ring->images, timings, why) != GPU_OK)
        abort();
    struct gpu_anchor anchor = body_anchor(4);
    struct gpu_point point;
    double start = now();
    for (int i = 0; i < VIEWS; i++)
        gpu_label(&frame, 0, &ring->views[i].camera, &ring->images[i], &anchor, 1, &point,
                  &ring->label, why);
    timings->label += now() - start;
}

static struct figures measure(const char *backend, const struct bench_case *what, double speed) {
    static double times[5][ROUNDS];
    struct ring ring;
    ring_init(&ring, backend, what);
    for (int round = -2; round < ROUNDS; round++) { /* two to warm up */
        struct gpu_timings t = {0};
        ring_draw(&ring, &t);
        const double stages[5] = {t.skin, t.shadow, t.raster, t.shade, t.label};
        for (int s = 0; round >= 0 && s < 5; s++)
            times[s][round] = stages[s] * 1e3 / VIEWS;
    }
    struct figures out = {.skin = median(times[0], ROUNDS),
                          .shadow = median(times[1], ROUNDS),
                          .raster = median(times[2], ROUNDS),
                          .shade = median(times[3], ROUNDS),
                          .label = median(times[4], ROUNDS),
                          .floor = least_bytes(&ring.body, &ring.label) / speed * 1e3};
    out.total = out.skin + out.shadow + out.raster + out.shade;
    ring_deinit(&ring);
    return out;
}

int bench_run(const char *path) {
    static const struct bench_case cases[] = {
        {30000, 4, true, PICTURE},  {11000, 4, false, PICTURE}, {50000, 4, false, PICTURE},
        {50000, 4, true, PICTURE},  {30000, 1, true, PICTURE},  {30000, 16, false, PICTURE},
        {30000, 16, true, PICTURE}, {30000, 64, true, PICTURE}, {30000, 4, true, LABELS},
        {30000, 16, true, LABELS},  {30000, 16, true, LENS},    {30000, 16, true, FLAT},
        {30000, 16, true, MAPS},    {30000, 16, true, LAMPS},   {30000, 16, true, AROUND},
    };
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    double speed = copy_speed();
    const char *const *backends = check_backends();
    fprintf(file, "{\"bench\":\"gpu_render\",\"unit\":\"ms CPU a view\",\"side\":%d,", SIDE);
    fprintf(file, "\"views_a_pose\":%d,\"copy_gb_s\":%.1f,\"runs\":[", VIEWS, speed * 1e-9);
    printf("%-13s %9s %8s %7s %8s %6s %6s %6s %6s %6s %6s %6s\n", "backend", "triangles",
           "textured", "samples", "mode", "skin", "shadow", "raster", "shade", "total", "label",
           "floor");
    const char *separator = "";
    for (int b = 0; backends[b] != NULL; b++) {
        bool widest = backends[b + 1] == NULL; /* the others: one case */
        for (size_t i = 0; i < (widest ? sizeof cases / sizeof cases[0] : 1); i++) {
            const struct bench_case *what = &cases[i];
            struct figures f = measure(backends[b], what, speed);
            printf("%-13s %9u %8s %7u %8s %6.3f %6.3f %6.3f %6.3f %6.3f %6.3f %6.3f\n", backends[b],
                   what->triangles, what->textured ? "yes" : "no", what->samples, modes[what->mode],
                   f.skin, f.shadow, f.raster, f.shade, f.total, f.label, f.floor);
            fprintf(file,
                    "%s\n{\"backend\":\"%s\",\"triangles\":%u,\"textured\":%s,\"samples\":%u,"
                    "\"mode\":\"%s\",\"skin\":%.4f,\"shadow\":%.4f,\"raster\":%.4f,"
                    "\"shade\":%.4f,\"total\":%.4f,\"label\":%.4f,\"floor\":%.4f}",
                    separator, backends[b], what->triangles, what->textured ? "true" : "false",
                    what->samples, modes[what->mode], f.skin, f.shadow, f.raster, f.shade, f.total,
                    f.label, f.floor);
            separator = ",";
        }
    }
    fprintf(file, "\n]}\n");
    return fclose(file) == 0 ? 0 : 1;
}
