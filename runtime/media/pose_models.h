/* pose_models.h - the files of the pose networks: where they are, and that they are the right ones.
 *
 * They come from MediaPipe's npm package (gpu/models/fetch) and are looked for in $STANCE_MODELS,
 * else in ../share/stance/models (an installation) or in models/ beside the program or above it (a
 * build). Each has to have the SHA-256 that is known of it: what is read here is trusted by what
 * follows.
 *
 * Threads: no shared state; reading takes some 20 ms, so not on a loop. Errors: ERR_INVALID (no
 * such model), ERR_NOT_FOUND (the message says what is missing and what gets it), ERR_CORRUPT (a
 * file that is not the known one), ERR_IO, ERR_NO_MEMORY. */
#ifndef STANCE_MEDIA_POSE_MODELS_H
#define STANCE_MEDIA_POSE_MODELS_H

#include "core/err.h"
#include "stance_gpu.h"

/* "lite", "full", "heavy"; NULL ends it. */
extern const char *const pose_model_names[];

/* The folder where files are looked for; it need not exist. `size` bytes (PATH_MAX). */
int pose_models_folder(char *folder, size_t size, struct err *err);

/* Whether the detector's and the model's files are there, by name and size; those that were there
 * are opened again only when they have changed. Loop thread. */
int pose_models_find(const char *model, struct err *err);

/* Reads and checks both files; ended by pose_models_free. */
int pose_models_read(const char *model, struct gpu_pose_files *files, struct err *err);
void pose_models_free(struct gpu_pose_files *files);

#endif
