/* net.h - a network on a device: weights, memory for batches, and a recorded graph of kernels for
 * each size of batch, so that a run is one launch.
 *
 * The caller fills cuda_net_input, runs, and reads cuda_net_output, all on its stream. Memory grows
 * to the largest batch so far; growing forgets the recordings.
 *
 * Threads: one at a time. Errors: GPU_EDEVICE, GPU_ENOMEM, GPU_EINVAL (a graph that CUDA has no
 * kernels for). */
#ifndef STANCE_CUDA_NET_H
#define STANCE_CUDA_NET_H

#include "cuda/plan.h"

struct cuda_net;

int cuda_net_new(const struct net_graph *graph, cudaStream_t stream, cuda_net **out, char *why);
void cuda_net_free(cuda_net *net);

/* What else a run has to do after the network, on the same stream; recorded with it. */
struct cuda_tail {
    int (*enqueue)(void *context, uint32_t batch, cudaStream_t stream, char *why);
    void *context;
};

/* Room for `batch` pictures. Whoever has the addresses below asks for them again. */
int cuda_net_reserve(cuda_net *net, uint32_t batch, char *why);

/* [batch][height][width][channels, filled] and [batch][numbers of a picture], on the device. */
__half *cuda_net_input(const cuda_net *net);
float *cuda_net_output(const cuda_net *net, uint32_t output);
cuda_shape cuda_net_input_shape(const cuda_net *net, uint32_t batch);

/* Enqueues a run over `batch` pictures, which were reserved; tail may be null, and is the same
 * between two calls of cuda_net_forget. */
int cuda_net_run(cuda_net *net, uint32_t batch, const cuda_tail *tail, char *why);
void cuda_net_forget(cuda_net *net);

size_t cuda_net_memory(const cuda_net *net); /* bytes on the device */
const plan *cuda_net_plan(const cuda_net *net);

/* How many convolutions a recorded size of batch leaves to cuDNN. */
uint32_t cuda_net_rivals(const cuda_net *net, uint32_t batch);

/* Milliseconds that each step takes by itself, all by our kernels, the median of several: for
 * reports. */
int cuda_net_profile(cuda_net *net, uint32_t batch, float *milliseconds, char *why);

#endif
