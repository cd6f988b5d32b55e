/* plugin.h - the C interface between the executable and libstance_cuda.so.
 *
 * The executable opens the plug-in at run time (cuda_load.c), so that it also runs where there
 * is neither driver nor device. The plug-in exports one function; both sides compare version and
 * layout before anything else is called, so that files of two builds cannot misread one another.
 *
 * Ownership: what backend_new returns is ended by its own `free`. Nothing in a plug-in is ever
 * unloaded. Threads: backend_new and describe by any thread; a backend belongs to one at a time. */
#ifndef STANCE_CUDA_PLUGIN_H
#define STANCE_CUDA_PLUGIN_H

#include "pose/backend.h"
#include "render/backend.h"
#include "render/environment.h"
#include "render/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CUDA_PLUGIN_VERSION = 2, /* counts up with each change of what follows */

    /* Changes with the structs that cross. */
    CUDA_PLUGIN_LAYOUT = sizeof(struct net_graph) + 3 * sizeof(struct net_op) +
                         5 * sizeof(struct net_tensor) + 7 * sizeof(struct pose_backend) +
                         11 * sizeof(struct gpu_picture) + 13 * sizeof(struct pose_raw) +
                         17 * sizeof(struct pose_candidate) + 19 * sizeof(struct pose_roi) +
                         23 * sizeof(struct gpu_scene) + 29 * sizeof(struct gpu_batch) +
                         31 * sizeof(struct gpu_view) + 37 * sizeof(struct gpu_frame) +
                         41 * sizeof(struct gpu_actor) + 43 * sizeof(struct gpu_lighting) +
                         47 * sizeof(struct gpu_image) + 53 * sizeof(struct gpu_timings) +
                         59 * sizeof(struct gpu_render_backend) +
                         61 * sizeof(struct gpu_environment) + 67 * sizeof(struct gpu_texture),
};

struct cuda_plugin {
    uint32_t version, layout;

    /* Prepares both networks on the device that CUDA names first; the graphs may be freed
     * afterwards. GPU_EDEVICE: no driver or no device, or it failed; GPU_ENOMEM: its memory or
     * ours is full. */
    int (*backend_new)(const struct pose_graphs *graphs, struct pose_backend **out, char *why);

    /* The renderer's kernels on that device; the same codes. */
    int (*renderer_new)(struct gpu_render_backend **out, char *why);

    /* Writes that device's name, capability and memory as one line of GPU_WHY_SIZE bytes. */
    int (*describe)(char *line, char *why);
};

/* The one symbol that the plug-in exports, under the name CUDA_PLUGIN_SYMBOL. */
#define CUDA_PLUGIN_SYMBOL "stance_cuda_plugin"
#define CUDA_PLUGIN_FILE   "libstance_cuda.so"
typedef const struct cuda_plugin *cuda_plugin_entry(void);

/* gpu/cuda_load.c: finds and opens it. GPU_EDEVICE: there is none, or of another build. */
int cuda_plugin_open(const struct cuda_plugin **out, char *why);

#ifdef __cplusplus
}
#endif
#endif
