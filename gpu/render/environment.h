/* environment.h - light from all around, made of an equirectangular picture: what kernels read.
 *
 * Directions lie on an octahedron unfolded to a square, which needs no trigonometry: (x, z) / (|x|
 * + |y| + |z|), y below 0 folded outwards. A level is such a square with a border of one texel, so
 * that bilinear reading need not know the folds. Level 0 is the picture itself; the others are what
 * surfaces of rising roughness reflect of it, the last a roughness of 1. */
#ifndef STANCE_GPU_ENVIRONMENT_H
#define STANCE_GPU_ENVIRONMENT_H

#include <stdint.h>

enum {
    GPU_ENVIRONMENT_LEVELS = 7,
    GPU_ENVIRONMENT_HARMONICS = 9, /* bands 0 to 2 */
};

struct gpu_environment {
    int32_t side[GPU_ENVIRONMENT_LEVELS];   /* texels, without the border */
    int32_t offset[GPU_ENVIRONMENT_LEVELS]; /* in texels */
    float *texels;                          /* [3]: red, green, blue */
    uint32_t texel_count;
    float harmonics[GPU_ENVIRONMENT_HARMONICS][3]; /* diffuse light: of what white sends back */
};

#endif
