/* cuda_load.c - opens the CUDA plug-in, where there is one; see cuda/plugin.h.
 *
 * It is looked for where STANCE_CUDA_PLUGIN says, else in ../lib/stance/ from the executable (an
 * installation), else beside it (build/). It is not closed again: CUDA's threads and its clean
 * up at exit live in it. */
#include "cuda/plugin.h"
#include "fail.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

/* Writes where the plug-in is; where it should be, if it is nowhere. */
static void find_plugin(char path[PATH_SIZE]) {
    static const char *const places[] = {"../lib/stance/", ""};
    char folder[PATH_SIZE / 2];
    const char *given = getenv("STANCE_CUDA_PLUGIN");
    if (given != NULL && *given != 0) {
        snprintf(path, PATH_SIZE, "%s", given);
        return;
    }
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    folder[length > 0 ? length : 0] = 0;
    char *slash = strrchr(folder, '/');
    *(slash != NULL ? slash + 1 : folder) = 0;
    for (int i = 0; i < 2; i++) {
        snprintf(path, PATH_SIZE, "%s%s%s", folder, places[i], CUDA_PLUGIN_FILE);
        if (access(path, R_OK) == 0)
            return;
    }
}

int cuda_plugin_open(const struct cuda_plugin **out, char *why) {
    char path[PATH_SIZE];
    find_plugin(path);
    if (access(path, R_OK) != 0)
        return gpu_fail(why, GPU_EDEVICE,
                        "no CUDA plug-in at %.150s: build it with nvcc (make), or use the backend "
                        "cpu",
                        path);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return gpu_fail(why, GPU_EDEVICE, "the CUDA plug-in does not load: %.200s", dlerror());
    void *symbol = dlsym(library, CUDA_PLUGIN_SYMBOL);
    if (symbol == NULL)
        return gpu_fail(why, GPU_EDEVICE, "%.150s is no CUDA plug-in of stance", path);
    cuda_plugin_entry *entry;
    memcpy(&entry, &symbol, sizeof entry);
    *out = entry();
    if ((*out)->version != CUDA_PLUGIN_VERSION || (*out)->layout != CUDA_PLUGIN_LAYOUT)
        return gpu_fail(why, GPU_EDEVICE,
                        "%.150s belongs to another version of stance: build both again", path);
    return GPU_OK;
}
