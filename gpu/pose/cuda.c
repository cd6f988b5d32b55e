/* cuda.c - the pose networks on CUDA, where its plug-in is; see cuda/plugin.h. */
#include "cuda/plugin.h"

int gpu_pose_device(char *line, char *why) {
    const struct cuda_plugin *plugin;
    int code = cuda_plugin_open(&plugin, why);
    return code == GPU_OK ? plugin->describe(line, why) : code;
}

int pose_backend_cuda(const struct pose_graphs *graphs, struct pose_backend **out, char *why) {
    const struct cuda_plugin *plugin;
    *out = NULL;
    int code = cuda_plugin_open(&plugin, why);
    return code == GPU_OK ? plugin->backend_new(graphs, out, why) : code;
}
