/* label.h - what the two files of gpu_label share. */
#ifndef STANCE_GPU_LABEL_H
#define STANCE_GPU_LABEL_H

#include "actor.h"

/* Counts the pixels that the body would cover by itself, at one sample each, but does not: outside
 * the picture, or where the picture shows somebody else. `box` is where its vertices are. False
 * without memory. */
bool gpu_label_hidden(const struct gpu_posed *posed, uint8_t id, const struct gpu_camera *camera,
                      const struct gpu_image *image, const float box[4], uint32_t *hidden);

#endif
