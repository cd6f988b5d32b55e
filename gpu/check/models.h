/* models.h - MediaPipe's networks, for checks that run only where they are. */
#ifndef STANCE_GPU_CHECK_MODELS_H
#define STANCE_GPU_CHECK_MODELS_H

#include "net/graph.h"

/* Of the landmark networks' outputs: all but the mask. */
enum { MODEL_LANDMARKS = 0x1b, MODEL_DETECTOR = 0x3 };

struct model {
    const char *name, *file;
    uint32_t wanted;
};

extern const struct model models[4]; /* detector, lite, full, heavy */

/* Reads and simplifies it; NULL, with a reason, where it is not found (STANCE_MODELS) or not
 * readable. */
struct net_graph *model_read(const struct model *model, char *why);

#endif
