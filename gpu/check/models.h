/* models.h - the real networks, where they are: in $STANCE_MODELS, or where gpu/models/fetch puts
 * them. */
#ifndef STANCE_GPU_CHECK_MODELS_H
#define STANCE_GPU_CHECK_MODELS_H

#include <stdbool.h>
#include <stddef.h>

#define MODEL_DETECTOR "pose_solution_packed_assets.data"
#define MODEL_LITE     "pose_landmark_lite.tflite"
#define MODEL_FULL     "pose_landmark_full.tflite"
#define MODEL_HEAVY    "pose_landmark_heavy.tflite"

/* The bytes of a file, for free(); NULL: it is not there, which was said by check_skip, `what` in
 * front. */
void *model_read(const char *name, const char *what, size_t *size);

#endif
