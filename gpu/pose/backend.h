/* backend.h - what the pose pipeline asks of a backend: candidates and landmarks from pictures.
 *
 * The pipeline (pose/track.c) decides which picture is looked at where; a backend samples the crop,
 * runs the network and decodes its outputs. The CPU's is cpu/pose_backend.c (crop kernels,
 * networks, decoding by pose/decode.c); CUDA's comes from the plug-in (cuda/plugin.h) and does the
 * same on the device, in batches. Both give the same numbers within the tolerances of gpu/check.
 *
 * Threads: a backend belongs to one thread at a time. */
#ifndef STANCE_POSE_BACKEND_H
#define STANCE_POSE_BACKEND_H

#include "net/graph.h"
#include "stance_gpu.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    POSE_POINTS = 39,         /* 33 of the body, two that give the next crop, four unused */
    POSE_ANCHORS = 2254,      /* boxes that the detector looks at */
    POSE_CROP = 256,          /* pixels a side that the landmark networks see */
    POSE_DETECTOR_CROP = 224, /* the same of the detector */
    POSE_HEATMAP = 64,
};

/* A square of a picture, in pixels of the whole picture, turned clockwise by `rotation` radians. */
struct pose_roi {
    float x, y, size, rotation; /* centre, side */
};

/* One box that the detector believes in, in 0..1 of its letterboxed square. */
struct pose_candidate {
    float score;
    float box[4];       /* x0 y0 x1 y1 */
    float points[4][2]; /* hips' middle, circle point, shoulders' middle, upper circle point */
};

/* What the landmark network says of one crop, decoded and refined by its heatmap. */
struct pose_raw {
    float presence; /* that somebody is there: 0..1 */
    float points[POSE_POINTS]
                [5]; /* x, y in 0..1 of the crop, z likewise; visibility, presence 0..1 */
    float world[POSE_POINTS][3]; /* metres, in the crop's turned axes */
};

/* The networks of a model, read and simplified. */
struct pose_graphs {
    struct net_graph *detector;  /* outputs: boxes [2254][12], scores [2254] */
    struct net_graph *landmarks; /* outputs: points, presence, (mask), heatmaps, world */
};

struct pose_backend {
    const char *name; /* "cpu (avx512)", "cuda (NVIDIA H200)", ... */

    /* The candidates whose score is at least `least`, best first, up to `room` a picture; counts[i]
     * is how many picture i has. */
    int (*detect)(struct pose_backend *backend, const struct gpu_picture *pictures, uint32_t count,
                  float least, uint32_t room, struct pose_candidate *candidates, uint32_t *counts,
                  char *why);

    /* Crop i is rois[i] of *pictures[i]; several may name one picture. */
    int (*landmarks)(struct pose_backend *backend, const struct gpu_picture *const *pictures,
                     const struct pose_roi *rois, uint32_t count, struct pose_raw *out, char *why);

    size_t (*memory)(const struct pose_backend *backend); /* bytes it holds */
    void (*free)(struct pose_backend *backend);
};

/* cpu/pose_backend.c. The graphs may be freed afterwards. */
int pose_backend_cpu(const struct pose_graphs *graphs, struct pose_backend **out, char *why);

/* pose/cuda.c: the plug-in's; GPU_EDEVICE says what is missing (plug-in, driver, device). */
int pose_backend_cuda(const struct pose_graphs *graphs, struct pose_backend **out, char *why);

#ifdef __cplusplus
}
#endif
#endif
