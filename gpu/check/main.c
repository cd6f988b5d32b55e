/* main.c - `gpu_check` runs the checks, `gpu_check NAME...` some of them, `gpu_check bench FILE`
 * and `gpu_check bench-pose FILE` the timings. */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed, skipped;

void check_that(bool ok, const char *format, ...) {
    if (ok) {
        passed++;
        return;
    }
    failed++;
    va_list arguments;
    va_start(arguments, format);
    fputs("FAILED ", stdout);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}

void check_skip(const char *why) {
    skipped++;
    printf("skipped: %s\n", why);
}

const char *const *check_backends(void) {
    static const char *found[4];
    static const char *const all[] = {"cpu:portable", "cpu:avx2", "cpu:avx512"};
    int count = 0;
    for (int i = 0; i < 3; i++) {
        struct gpu_renderer *renderer;
        char why[GPU_WHY_SIZE];
        if (gpu_renderer_new(all[i], &renderer, why) == GPU_OK)
            found[count++] = all[i];
        gpu_renderer_free(renderer);
    }
    found[count] = NULL;
    return found;
}

struct pictures pictures_draw_view(const char *backend, const struct gpu_frame *frame,
                                   const struct gpu_view *view, uint32_t samples, float shutter) {
    size_t pixels = (size_t)view->camera.width * view->camera.height;
    struct pictures out = {.width = view->camera.width,
                           .height = view->camera.height,
                           .rgb = malloc(3 * pixels),
                           .depth = malloc(pixels * sizeof(float)),
                           .coverage = malloc(pixels * sizeof(float)),
                           .normal = malloc(3 * pixels * sizeof(float)),
                           .flow = malloc(2 * pixels * sizeof(float)),
                           .triangle = malloc(pixels * sizeof(uint32_t)),
                           .person = malloc(pixels),
                           .part = malloc(pixels),
                           .cover = malloc(pixels)};
    struct gpu_image image = {.rgb = out.rgb,
                              .depth = out.depth,
                              .triangle = out.triangle,
                              .person = out.person,
                              .part = out.part,
                              .cover = out.cover,
                              .coverage = out.coverage,
                              .normal = out.normal,
                              .flow = out.flow};
    struct gpu_batch batch = {.view_count = 1,
                              .frame_count = 1,
                              .views = view,
                              .frames = frame,
                              .samples = samples,
                              .shutter = shutter};
    struct gpu_renderer *renderer;
    char why[GPU_WHY_SIZE] = "out of memory";
    int code = gpu_renderer_new(backend, &renderer, why);
    if (code == GPU_OK)
        code = gpu_render(renderer, &batch, &image, NULL, why);
    gpu_renderer_free(renderer);
    if (code != GPU_OK) {
        fprintf(stderr, "gpu_check: %s: %s\n", backend, why);
        exit(1);
    }
    return out;
}

struct pictures pictures_draw_frame(const char *backend, const struct gpu_frame *frame,
                                    const struct gpu_camera *camera, uint32_t samples) {
    const struct gpu_view view = {.camera = *camera};
    return pictures_draw_view(backend, frame, &view, samples, 0.0f);
}

struct pictures pictures_draw(const char *backend, const struct gpu_scene *scene,
                              const struct gpu_camera *camera, const float *pose,
                              uint32_t samples) {
    struct gpu_lighting lighting;
    const struct gpu_actor actor = {.scene = scene, .pose = pose};
    const struct gpu_frame frame = {.actor_count = 1, .actors = &actor, .lighting = &lighting};
    gpu_lighting_default(&lighting);
    return pictures_draw_frame(backend, &frame, camera, samples);
}

void pictures_free(struct pictures *pictures) {
    free(pictures->rgb);
    free(pictures->depth);
    free(pictures->coverage);
    free(pictures->normal);
    free(pictures->flow);
    free(pictures->triangle);
    free(pictures->person);
    free(pictures->part);
    free(pictures->cover);
    memset(pictures, 0, sizeof *pictures);
}

/* All checks, or those that are named. */
static int run_checks(int count, char **names) {
    static const struct {
        const char *name;
        void (*run)(void);
    } checks[] = {
        {"skinning", check_skinning},
        {"cameras", check_cameras},
        {"widths", check_widths},
        {"maps", check_crowds},
        {"lenses", check_lenses},
        {"reference", check_reference},
        {"labels", check_labels},
        {"people", check_people},
        {"light", check_light},
        {"shading", check_shading},
        {"looks", check_looks},
        {"input", check_input},
        {"files", check_files},
        {"odd files", check_odd_files},
        {"nets", check_nets},
        {"crops", check_crops},
        {"formulas", check_pose_formulas},
        {"filters", check_pose_filters},
        {"tracking", check_pose_tracking},
        {"memory", check_pose_memory},
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        int before = passed, before_failed = failed, asked = count == 0;
        for (int k = 0; k < count; k++)
            asked = asked || strcmp(names[k], checks[i].name) == 0;
        if (!asked)
            continue;
        checks[i].run();
        printf("%-10s %d passed, %d failed\n", checks[i].name, passed - before,
               failed - before_failed);
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 3 && strcmp(argv[1], "bench") == 0)
        return bench_run(argv[2]);
    if (argc == 3 && strcmp(argv[1], "bench-pose") == 0)
        return bench_pose(argv[2]);
    return run_checks(argc - 1, argv + 1);
}
