/* pose_backend.c - people by crops, networks and decoding on the calling thread; see
 * pose/backend.h. */
#include "fail.h"
#include "net/net.h"
#include "net_kernels.h"
#include "pose/decode.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ALIGN = 64,
    LANDMARK_FLOATS = POSE_POINTS * POSE_POINT_FLOATS,
    WORLD_FLOATS = POSE_POINTS * 3,
    HEATMAP_FLOATS = POSE_HEATMAP * POSE_HEATMAP * POSE_POINTS,
    BOXES_FLOATS = POSE_ANCHORS * POSE_BOX_FLOATS,
    CROP_FLOATS = POSE_CROP * POSE_CROP * 3 + NET_OVERREAD,
};

struct cpu_backend {
    struct pose_backend base;
    char name[32];
    const struct net_kernels *kernels;
    struct net *detector, *landmarks;
    float *crop; /* either network's input */
    float boxes[BOXES_FLOATS], scores[POSE_ANCHORS + NET_OVERREAD];
    float points[LANDMARK_FLOATS], presence, heatmaps[HEATMAP_FLOATS],
        world[WORLD_FLOATS + NET_OVERREAD];
};

static int cpu_detect(struct pose_backend *base, const struct gpu_picture *pictures, uint32_t count,
                      float least, uint32_t room, struct pose_candidate *candidates,
                      uint32_t *counts, char *why) {
    struct cpu_backend *cpu = (struct cpu_backend *)base;
    float *const outputs[] = {cpu->boxes, cpu->scores};
    for (uint32_t i = 0; i < count; i++) {
        struct gpu_crop crop;
        int code = gpu_crop_letterbox(&crop, &pictures[i], cpu->crop, why);
        if (code != GPU_OK)
            return code;
        cpu->kernels->crop(&crop);
        code = net_run(cpu->detector, cpu->crop, outputs, why);
        if (code != GPU_OK)
            return code;
        counts[i] = pose_decode_candidates(cpu->boxes, cpu->scores, least, room,
                                           candidates + (size_t)i * room);
    }
    return GPU_OK;
}

static int cpu_landmarks(struct pose_backend *base, const struct gpu_picture *const *pictures,
                         const struct pose_roi *rois, uint32_t count, struct pose_raw *out,
                         char *why) {
    struct cpu_backend *cpu = (struct cpu_backend *)base;
    float *const outputs[] = {cpu->points, &cpu->presence, NULL, cpu->heatmaps, cpu->world};
    for (uint32_t i = 0; i < count; i++) {
        struct gpu_crop crop;
        int code = gpu_crop_roi(&crop, pictures[i], &rois[i], cpu->crop, why);
        if (code != GPU_OK)
            return code;
        cpu->kernels->crop(&crop);
        code = net_run(cpu->landmarks, cpu->crop, outputs, why);
        if (code != GPU_OK)
            return code;
        pose_decode_landmarks(cpu->points, cpu->presence, cpu->heatmaps, cpu->world, &out[i]);
    }
    return GPU_OK;
}

static size_t cpu_memory(const struct pose_backend *base) {
    const struct cpu_backend *cpu = (const struct cpu_backend *)base;
    return sizeof *cpu + CROP_FLOATS * sizeof(float) + net_memory(cpu->detector) +
           net_memory(cpu->landmarks);
}

static void cpu_free(struct pose_backend *base) {
    struct cpu_backend *cpu = (struct cpu_backend *)base;
    if (cpu == NULL)
        return;
    net_free(cpu->detector);
    net_free(cpu->landmarks);
    free(cpu->crop);
    free(cpu);
}

/* That a network has the input and the outputs that are read here; a size of 0: it must be left
 * out. */
static int check_shape(const struct net_graph *graph, const char *name, uint32_t side,
                       const size_t *sizes, uint32_t count, char *why) {
    bool fits = graph->input_count == 1 && graph->output_count == count &&
                graph->tensors[graph->inputs[0]].count == (size_t)side * side * 3;
    for (uint32_t i = 0; i < count && fits; i++) {
        int32_t output = graph->outputs[i];
        fits = sizes[i] == 0 ? output == NET_NONE
                             : output != NET_NONE && graph->tensors[output].count == sizes[i];
    }
    return fits ? GPU_OK
                : gpu_fail(why, GPU_EINVAL,
                           "the %s network has other inputs or outputs than "
                           "MediaPipe Pose's",
                           name);
}

int pose_backend_cpu(const struct pose_graphs *graphs, struct pose_backend **out, char *why) {
    static const size_t detector[] = {BOXES_FLOATS, POSE_ANCHORS};
    static const size_t landmarks[] = {LANDMARK_FLOATS, 1, 0, HEATMAP_FLOATS, WORLD_FLOATS};
    *out = NULL;
    int code = check_shape(graphs->detector, "detector", POSE_DETECTOR_CROP, detector, 2, why);
    if (code == GPU_OK)
        code = check_shape(graphs->landmarks, "landmark", POSE_CROP, landmarks, 5, why);
    if (code != GPU_OK)
        return code;
    struct cpu_backend *cpu = calloc(1, sizeof *cpu);
    if (cpu == NULL)
        return gpu_fail(why, GPU_ENOMEM, "out of memory");
    cpu->base = (struct pose_backend){.name = cpu->name,
                                      .detect = cpu_detect,
                                      .landmarks = cpu_landmarks,
                                      .memory = cpu_memory,
                                      .free = cpu_free};
    cpu->kernels = net_kernels_find(NULL);
    cpu->crop = aligned_alloc(ALIGN, CROP_FLOATS * sizeof(float));
    code = cpu->crop == NULL ? gpu_fail(why, GPU_ENOMEM, "out of memory")
                             : net_new(graphs->detector, &cpu->detector, why);
    if (code == GPU_OK)
        code = net_new(graphs->landmarks, &cpu->landmarks, why);
    if (code != GPU_OK) {
        cpu_free(&cpu->base);
        return code;
    }
    snprintf(cpu->name, sizeof cpu->name, "cpu (%s)", net_engine_name(cpu->landmarks));
    *out = &cpu->base;
    return GPU_OK;
}
