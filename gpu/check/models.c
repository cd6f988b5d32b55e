/* models.c - see models.h. */
#include "models.h"
#include "fail.h"

#include <stdio.h>
#include <stdlib.h>

const struct model models[4] = {
    {"detector", "pose_solution_packed_assets.data", MODEL_DETECTOR},
    {"lite", "pose_landmark_lite.tflite", MODEL_LANDMARKS},
    {"full", "pose_landmark_full.tflite", MODEL_LANDMARKS},
    {"heavy", "pose_landmark_heavy.tflite", MODEL_LANDMARKS},
};

struct net_graph *model_read(const struct model *model, char *why) {
    const size_t most = 64u << 20;
    const char *folder = getenv("STANCE_MODELS");
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : "../build/models", model->file);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        gpu_fail(why, GPU_EINVAL, "%s: no %s: set STANCE_MODELS", model->name, path);
        return NULL;
    }
    struct net_graph *graph = NULL;
    void *bytes = malloc(most);
    size_t size = bytes != NULL ? fread(bytes, 1, most, file) : 0;
    fclose(file);
    if (net_graph_read(bytes, size, &graph, why) == GPU_OK &&
        net_graph_simplify(graph, model->wanted, why) != GPU_OK) {
        net_graph_free(graph);
        graph = NULL;
    }
    free(bytes);
    return graph;
}
