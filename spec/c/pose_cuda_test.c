/* pose_cuda_test.c - the CUDA plug-in on a machine without it, without a device, and with one. */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "media/pose_models.h"
#include "pose/backend.h"

/* Where a build puts it: above this program's folder. */
static bool find_plugin(char path[PATH_MAX]) {
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 64);
    for (int up = 0; up < 2 && length > 0; up++)
        while (length > 0 && path[--length] != '/')
            continue;
    snprintf(path + length, 64, "/libstance_cuda.so");
    return length > 0 && access(path, R_OK) == 0;
}

/* Opening `path` fails; the reason has these words. */
static void refuse(const char *path, const char *one, const char *other) {
    struct pose_graphs graphs = {0};
    struct pose_backend *backend = (struct pose_backend *)&graphs;
    char why[GPU_WHY_SIZE] = "", line[GPU_WHY_SIZE];
    setenv("STANCE_CUDA_PLUGIN", path, 1);
    CHECK(pose_backend_cuda(&graphs, &backend, why) == GPU_EDEVICE && backend == NULL);
    CHECK(strstr(why, one) != NULL && strstr(why, other) != NULL);
    CHECK(gpu_pose_device(line, why) == GPU_EDEVICE && strstr(why, one) != NULL);
}

static void a_missing_plugin_is_named(void) {
    refuse("/nowhere/libstance_cuda.so", "/nowhere/libstance_cuda.so", "backend cpu");
}

static void another_file_is_no_plugin(void) {
    refuse("/etc/passwd", "does not load", "/etc/passwd");
    refuse("libm.so.6", "no CUDA plug-in at", "libm.so.6"); /* a path, not a name to look up */
}

/* "cuda" says what is missing, or works; "auto" works in any case. */
static void without_a_device_the_cpu_is_left(void) {
    char path[PATH_MAX], why[GPU_WHY_SIZE] = "", line[GPU_WHY_SIZE];
    struct gpu_pose_files files = {0};
    struct gpu_pose_engine *engine = NULL;
    struct err err = {0};
    if (!find_plugin(path))
        SKIP("this build has no CUDA plug-in (make plugin, with nvcc)");
    if (pose_models_read("lite", &files, &err) != 0)
        SKIP(err.message);
    setenv("STANCE_CUDA_PLUGIN", path, 1);
    int code = gpu_pose_engine_new(&files, "cuda", &engine, why);
    bool device = code == GPU_OK;
    CHECK((gpu_pose_device(line, why) == GPU_OK) == device);
    CHECK(device ? strncmp(gpu_pose_engine_backend(engine), "cuda", 4) == 0
                 : code == GPU_EDEVICE && strncmp(why, "CUDA: ", 6) == 0 && engine == NULL);
    gpu_pose_engine_free(engine);
    code = gpu_pose_engine_new(&files, "auto", &engine, why);
    CHECK(code == GPU_OK);
    if (code == GPU_OK)
        CHECK(strncmp(gpu_pose_engine_backend(engine), device ? "cuda" : "cpu", 3) == 0);
    gpu_pose_engine_free(engine);
    pose_models_free(&files);
}

/* The same of pictures. */
static void without_a_device_the_cpu_draws(void) {
    char path[PATH_MAX], why[GPU_WHY_SIZE] = "", line[GPU_WHY_SIZE];
    struct gpu_renderer *renderer = NULL;
    if (!find_plugin(path))
        SKIP("this build has no CUDA plug-in (make plugin, with nvcc)");
    setenv("STANCE_CUDA_PLUGIN", path, 1);
    bool device = gpu_pose_device(line, why) == GPU_OK;
    int code = gpu_renderer_new("cuda", &renderer, why);
    CHECK(device ? code == GPU_OK && strncmp(gpu_renderer_backend(renderer), "cuda (", 6) == 0
                 : code == GPU_EDEVICE && strncmp(why, "CUDA: ", 6) == 0 && renderer == NULL);
    gpu_renderer_free(renderer);
    CHECK(gpu_renderer_new("auto", &renderer, why) == GPU_OK);
    CHECK(strncmp(gpu_renderer_backend(renderer), device ? "cuda" : "cpu", 3) == 0);
    CHECK(gpu_renderer_fallback(renderer) == NULL);
    gpu_renderer_free(renderer);
}

int main(void) {
    static const struct test tests[] = {
        TEST(a_missing_plugin_is_named),
        TEST(another_file_is_no_plugin),
        TEST(without_a_device_the_cpu_is_left),
        TEST(without_a_device_the_cpu_draws),
    };
    return RUN(tests);
}
