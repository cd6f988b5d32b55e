/* xnnpack_load.h - the convolutions of XNNPACK, loaded when a network is first made: a host that
 * estimates no pose does not carry the library.
 *
 * Only few of its functions are used, those that its releases agree on for longest; which form they
 * have is settled when this is compiled (cpu/xnnpack_load.c), and a form that is not known here is
 * refused, not tried.
 *
 * Threads: any. */
#ifndef STANCE_GPU_XNNPACK_LOAD_H
#define STANCE_GPU_XNNPACK_LOAD_H

#include <stddef.h>
#include <stdint.h>

enum { XNNPACK_DEPTHWISE = 1 }; /* of `flags` */

typedef struct xnn_operator *xnnpack_op;

struct xnnpack {
    int (*create)(uint32_t top, uint32_t right, uint32_t bottom, uint32_t left,
                  uint32_t kernel_height, uint32_t kernel_width, uint32_t stride_height,
                  uint32_t stride_width, uint32_t dilation_height, uint32_t dilation_width,
                  uint32_t groups, size_t group_inputs, size_t group_outputs, size_t input_stride,
                  size_t output_stride, const float *kernel, const float *bias, float least,
                  float most, uint32_t flags, xnnpack_op *out);
    int (*setup)(xnnpack_op op, size_t batch, size_t height, size_t width, const float *input,
                 float *output, void *pool);
    int (*run)(xnnpack_op op, void *pool);
    int (*delete)(xnnpack_op op);
};

/* GPU_EDEVICE: not in this build, not on this machine, or not for this processor. */
int xnnpack_load(const struct xnnpack **out, char *why);

/* Bytes that the calling thread's operators have taken so far, less what they gave back. */
size_t xnnpack_memory(void);

/* "out of memory", ... of a status that is not 0. */
const char *xnnpack_status(int status);

#endif
