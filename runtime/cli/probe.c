/* probe.c - libraries, kernels and folders of this machine. */
#include "cli/probe.h"

#include <stdio.h>

#include "stance_gpu.h"

bool probe_kernels(const char *backend, char *text, size_t size) {
    struct gpu_renderer *renderer = NULL;
    char why[GPU_WHY_SIZE] = "";
    if (gpu_renderer_new(backend, &renderer, why) < 0) {
        snprintf(text, size, "%s", why);
        return false;
    }
    snprintf(text, size, "%s", gpu_renderer_backend(renderer));
    gpu_renderer_free(renderer);
    return true;
}
