/* cudnn.h - dense convolutions by cuDNN, which stand for election beside our own (conv.h).
 *
 * cuDNN is opened when it is first asked for, so that it need not be there; a build without its
 * header has none. Its fused convolution adds bias and a tensor, but knows no ReLU6, so that one
 * more pass over the result follows where that is wanted. NHWC, fp16 with fp32 sums.
 *
 * Threads: one at a time. Errors: GPU_EDEVICE (the message says what is missing), GPU_EINVAL (a
 * convolution that cuDNN's function does not do), GPU_ENOMEM. */
#ifndef STANCE_CUDA_CUDNN_H
#define STANCE_CUDA_CUDNN_H

#include "cuda/conv.h"

struct cudnn_library;

int cudnn_open(cudaStream_t stream, cudnn_library **out, char *why);
void cudnn_close(cudnn_library *library);

/* A convolution of one shape, ready. */
struct cudnn_conv;

int cudnn_conv_new(cudnn_library *library, const conv_args &args, cudnn_conv **out, char *why);
void cudnn_conv_free(cudnn_conv *conv);
size_t cudnn_conv_workspace(const cudnn_conv *conv); /* bytes */

/* Enqueues it. weights: [channels stored][inputs], biases: [channels stored], halves. */
int cudnn_conv_run(cudnn_conv *conv, const conv_args &args, const __half *weights,
                   const __half *biases, void *workspace, char *why);

#endif
