#include "models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

enum { PATH_SIZE = 4096 };

const struct model models[MODEL_COUNT] = {
    {"detector", MODEL_DETECTOR, 0x3},
    {"lite", MODEL_LITE, 0x1b},
    {"full", MODEL_FULL, 0x1b},
    {"heavy", MODEL_HEAVY, 0x1b},
};

static FILE *open_model(const char *name) {
    const char *given = getenv("STANCE_MODELS");
    char path[2 * PATH_SIZE], program[PATH_SIZE];
    if (given != NULL && *given != 0) {
        snprintf(path, sizeof path, "%s/%s", given, name);
        return fopen(path, "rb");
    }
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0)
        return NULL;
    program[length] = 0;
    *strrchr(program, '/') = 0;
    /* From build/gpu, and from build/FLAVOUR/gpu. */
    static const char *const places[] = {"../models", "../../models"};
    FILE *file = NULL;
    for (int i = 0; i < 2 && file == NULL; i++) {
        snprintf(path, sizeof path, "%s/%s/%s", program, places[i], name);
        file = fopen(path, "rb");
    }
    return file;
}

void *model_read(const char *name, const char *what, size_t *size) {
    enum { MOST_BYTES = 64 << 20 };
    FILE *file = open_model(name);
    uint8_t *bytes = file != NULL ? malloc(MOST_BYTES) : NULL;
    *size = bytes != NULL ? fread(bytes, 1, MOST_BYTES, file) : 0;
    if (file != NULL)
        fclose(file);
    if (*size > 0)
        return bytes;
    free(bytes);
    char text[200];
    snprintf(text, sizeof text, "%s: no %s (make models)", what, name);
    check_skip(text);
    return NULL;
}

struct net_graph *model_graph(const struct model *model) {
    size_t size;
    char why[GPU_WHY_SIZE] = "";
    struct net_graph *graph = NULL;
    void *bytes = model_read(model->file, model->name, &size);
    if (bytes == NULL)
        return NULL;
    int code = net_graph_read(bytes, size, &graph, why);
    free(bytes);
    if (code == GPU_OK)
        code = net_graph_simplify(graph, model->wanted, why);
    check_that(code == GPU_OK, "%s: %s", model->name, why);
    if (code == GPU_OK)
        return graph;
    net_graph_free(graph);
    return NULL;
}
