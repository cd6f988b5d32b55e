/* net_kernels.h - what the CPU does of a network besides convolutions, and the crops that go into
 * it: a table of kernels a vector width, like kernels.h.
 *
 * Kernels hold no state and allocate nothing. All widths write the same bytes but where it says
 * otherwise. */
#ifndef STANCE_GPU_NET_KERNELS_H
#define STANCE_GPU_NET_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pose/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where samples lie in one of the two triangles that a GPU draws a square by: in 0..1 of the whole
 * picture, x and y, at a corner, and what a sample to the right and a row down add. */
struct gpu_crop_plane {
    float corner[2], right[2], down[2];
};

/* A square sampled from a picture: bilinear between the four pixels around a place, whose middles
 * lie at halves. Places are of the whole picture, so that a sample's bits do not depend on how much
 * of it was decoded. The CPU's kernels take them from the planes, rounding as the rasteriser did
 * that MediaPipe's results come from: what tracks people magnifies the last bit. */
struct gpu_crop {
    const uint8_t *rgb; /* at least 4 bytes */
    int32_t last;       /* offset of the last four bytes that may be read */
    int32_t channels, stride;
    int32_t left, top;                  /* where `rgb` begins in the whole picture */
    int32_t width, height;              /* what is beyond them is the nearest pixel, */
    float border[4];                    /* and beyond these, x0 y0 x1 y1, `outside` */
    float outside;                      /* after scale and bias */
    float x, y;                         /* the square's middle, in pixels of the whole picture */
    float across[2], down[2];           /* its sides, likewise: x, y */
    float whole[2];                     /* the whole picture's width and height */
    struct gpu_crop_plane upper, lower; /* above the diagonal, from the corner at the lower left; on
                                           it and below, from the one at the upper right */
    uint32_t side;                      /* samples, a multiple of 16 */
    float scale, bias;                  /* out = 0..255 * scale + bias */
    float *out;                         /* [side][side][3] */
    uint8_t tiny[4];                    /* a picture of a single pixel */
};

enum { NET_MAX_KERNEL = 8 }; /* rows of a kernel */

/* A convolution of each channel by itself. */
struct net_depthwise {
    uint32_t height, width, channels; /* of the picture */
    uint32_t top, left, right;        /* zeros around it; below there are as many as needed */
    uint32_t kernel[2], stride[2];
    uint32_t out_height, out_width;
    bool relu6;
    /* For each vector of channels: its biases, then its weights, place by place of the kernel;
     * channels that are not there are 0. */
    const float *weights;
    float *ring; /* scratch: [channels, up to whole vectors][kernel[0]][left + width + right] */
};

enum {
    NET_PANEL_VECTORS = 3,
    NET_GEMM_DEPTH = 128, /* that weights are unpacked of at once */
    NET_GEMM_ROWS = 2048, /* that sums are kept of */
};

/* out = in * weights + bias (+ add), a convolution of 1x1. */
struct net_gemm {
    const float *in; /* [rows][depth], rows in_stride apart */
    size_t rows, in_stride;
    uint32_t depth, columns;
    /* For each NET_PANEL_VECTORS vectors of columns: [depth][those]; columns that are not there are
     * 0. The one or the other; half floats are finite. */
    const float *weights;
    const uint16_t *half;
    const float *bias; /* [columns, up to whole panels] */
    const float *add;  /* [rows][columns], and a vector more that may be read; NULL: nothing */
    bool relu6;
    float *scratch; /* [NET_GEMM_DEPTH + NET_GEMM_ROWS][a panel] */
    float *out;     /* [rows][columns] */
};

struct net_kernels {
    const char *name;
    uint32_t lanes;
    void (*crop)(const struct gpu_crop *job);
    /* Numbers depend on the width: products are fused where the processor can. */
    void (*depthwise)(const struct net_depthwise *job, const float *in, float *out);
    /* The same row by row: takes a row of the picture with what is above it (in: [width][channels];
     * NULL: zeros) into the ring, all in order; and makes a row of the results of the last
     * kernel[0] that were taken. A vector behind each row may be read. */
    void (*depthwise_take)(const struct net_depthwise *job, uint32_t row, const float *in);
    void (*depthwise_make)(const struct net_depthwise *job, uint32_t y, float *out);
    void (*gemm)(const struct net_gemm *job);
    /* out may be a or b. */
    void (*add)(const float *a, const float *b, size_t count, bool relu6, float *out);
    /* [height][width][channels] to twice the size; half-pixel centres, edges replicated. add: of
     * the result's size, or NULL. */
    void (*resize)(const float *in, uint32_t height, uint32_t width, uint32_t channels,
                   const float *add, bool relu6, float *out);
    /* The greatest of each kernel[0] x kernel[1] places; width: the input's. */
    void (*pool)(const float *in, uint32_t width, uint32_t channels, const uint32_t kernel[2],
                 const uint32_t stride[2], uint32_t out_height, uint32_t out_width, float *out);
};

/* By name ("avx512", "avx2", "portable"), or the widest that this processor runs (NULL). NULL:
 * unknown, or not for this processor. */
const struct net_kernels *net_kernels_find(const char *name);

/* -- What is cropped, crop_plan.c ---------------------------------------------------------------
 *
 * Both fill in `job` (which must stay where it is) for the kernel; GPU_EINVAL: no such picture, or
 * one of more than 2 GiB. */

/* For the landmark network: a turned square, edges replicated, 0..1. What lies beyond the part of
 * the picture that was decoded is taken from its nearest pixel. */
int gpu_crop_roi(struct gpu_crop *job, const struct gpu_picture *picture,
                 const struct pose_roi *roi, float *out, char *why);

/* For the detector: the picture in the middle of a square, black around it, -1..1. */
int gpu_crop_letterbox(struct gpu_crop *job, const struct gpu_picture *picture, float *out,
                       char *why);

#ifdef __cplusplus
}
#endif
#endif
