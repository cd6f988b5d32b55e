/* models.h - the real networks, where they are: in $STANCE_MODELS, or where gpu/models/fetch puts
 * them. */
#ifndef STANCE_GPU_CHECK_MODELS_H
#define STANCE_GPU_CHECK_MODELS_H

#include <stdbool.h>
#include <stddef.h>

#include "net/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MODEL_DETECTOR "pose_solution_packed_assets.data"
#define MODEL_LITE     "pose_landmark_lite.tflite"
#define MODEL_FULL     "pose_landmark_full.tflite"
#define MODEL_HEAVY    "pose_landmark_heavy.tflite"

/* The bytes of a file, for free(); NULL: it is not there, which was said by check_skip, `what` in
 * front. */
void *model_read(const char *name, const char *what, size_t *size);

/* The networks, and which of their outputs the pose engine uses: all but the mask. */
struct model {
    const char *name, *file;
    uint32_t wanted;
};

enum { MODEL_COUNT = 4 };

extern const struct model models[MODEL_COUNT]; /* detector, lite, full, heavy */

/* Reads and simplifies one; NULL: said by check_skip, or a failed check. */
struct net_graph *model_graph(const struct model *model);

#ifdef __cplusplus
}
#endif
#endif
