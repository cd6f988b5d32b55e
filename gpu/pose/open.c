/* open.c - gpu_pose_engine_new: from files to an engine. */
#include "fail.h"
#include "net/net.h"
#include "pose/engine.h"

#include <string.h>

enum {
    MASK_PIXELS = POSE_CROP * POSE_CROP,
    HEATMAP_CELLS = POSE_HEATMAP * POSE_HEATMAP,
    NOT_THE_MASK = 1 | 2 | 8 | 16, /* what net_graph_simplify is to keep of five outputs */
};

/* Checks that a graph takes and gives so many numbers, as MediaPipe's of that name does. */
static int expect(const struct net_graph *graph, const char *name, size_t input,
                  const size_t *outputs, uint32_t output_count, char *why) {
    bool fits = graph->input_count == 1 && graph->output_count == output_count &&
                graph->tensors[graph->inputs[0]].count == input;
    for (uint32_t i = 0; i < output_count && fits; i++)
        fits = graph->outputs[i] >= 0 && graph->tensors[graph->outputs[i]].count == outputs[i];
    return fits
               ? GPU_OK
               : gpu_fail(why, GPU_EINVAL,
                          "this network is not MediaPipe's %s: its inputs or outputs differ", name);
}

static int read_detector(const struct gpu_pose_files *files, struct net_graph **out, char *why) {
    static const size_t outputs[] = {(size_t)POSE_ANCHORS * 12, POSE_ANCHORS};
    int code = net_graph_read(files->detector, files->detector_size, out, why);
    if (code == GPU_OK)
        code = expect(*out, "pose detector", 3u * POSE_DETECTOR_CROP * POSE_DETECTOR_CROP, outputs,
                      2, why);
    return code == GPU_OK ? net_graph_simplify(*out, 1 | 2, why) : code;
}

static int read_landmarks(const struct gpu_pose_files *files, struct net_graph **out, char *why) {
    static const size_t outputs[] = {(size_t)POSE_POINTS * 5, 1, MASK_PIXELS,
                                     (size_t)HEATMAP_CELLS * POSE_POINTS, (size_t)POSE_POINTS * 3};
    int code = net_graph_read(files->landmarks, files->landmarks_size, out, why);
    if (code == GPU_OK)
        code = expect(*out, "landmark model", 3u * POSE_CROP * POSE_CROP, outputs, 5, why);
    return code == GPU_OK ? net_graph_simplify(*out, NOT_THE_MASK, why) : code;
}

int gpu_pose_engine_new(const struct gpu_pose_files *files, const char *backend,
                        struct gpu_pose_engine **out, char *why) {
    bool any = strcmp(backend, "auto") == 0, cuda = any || strcmp(backend, "cuda") == 0;
    struct pose_graphs graphs = {0};
    struct pose_backend *made = NULL;
    *out = NULL;
    if (!cuda && strcmp(backend, "cpu") != 0)
        return gpu_fail(why, GPU_EINVAL, "backend is \"%s\": \"cpu\", \"cuda\" or \"auto\"",
                        backend);
    int code = read_detector(files, &graphs.detector, why);
    if (code == GPU_OK)
        code = read_landmarks(files, &graphs.landmarks, why);
    if (code == GPU_OK && cuda) {
        int on_cuda = pose_backend_cuda(&graphs, &made, why);
        if (on_cuda == GPU_OK) { /* the graphs are kept: the device may be lost */
            net_prepare();       /* when nothing can be loaded any more */
            return pose_engine_new(made, graphs, pose_backend_cpu, out, why);
        }
        code = any ? GPU_OK : on_cuda;
    }
    if (code == GPU_OK)
        code = pose_backend_cpu(&graphs, &made, why);
    net_graph_free(graphs.detector);
    net_graph_free(graphs.landmarks);
    if (code == GPU_OK)
        code = pose_engine_new(made, (struct pose_graphs){0}, NULL, out, why);
    return code;
}
