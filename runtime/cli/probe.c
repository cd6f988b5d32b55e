/* probe.c - libraries, kernels and folders of this machine. */
#include "cli/probe.h"

#include <dlfcn.h>
#include <libwebsockets.h>
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

/* From 4.1 on libwebsockets loads its event libraries by name; before they were inside. */
bool probe_event_library(void) {
#if LWS_LIBRARY_VERSION_NUMBER >= 4001000
    void *plugin = dlopen("libwebsockets-evlib_ev.so", RTLD_NOW | RTLD_LOCAL);
    if (plugin) {
        dlclose(plugin);
    }
    return plugin != NULL;
#else
    return true;
#endif
}
