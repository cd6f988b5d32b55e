/* net.h - a network that is ready to run on the CPU: by kernels of our own where the processor has
 * AVX-512 or AVX2, else by XNNPACK's convolutions where that is there, else by ours all the same.
 *
 * net_new packs a graph's weights; after that the graph may be freed. net_run takes one picture's
 * worth of numbers and computes on the calling thread alone: what serves several streams runs one
 * net a thread. Nothing is allocated by net_run. A process that means to confine itself makes its
 * first net before, or calls net_prepare: XNNPACK may be loaded and look at the processor then.
 *
 * The reference for it (double precision, plain loops) is net_reference_run, which the checks use.
 *
 * Threads: a net belongs to one thread at a time. Errors: GPU_EDEVICE (net_new_on: no such
 * engine in this build or on this machine), GPU_EINVAL, GPU_ENOMEM. */
#ifndef STANCE_NET_NET_H
#define STANCE_NET_NET_H

#include "net/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

struct net;

/* Loads what net_new may need, once. */
void net_prepare(void);

int net_new(const struct net_graph *graph, struct net **out, char *why);
/* The same on "avx512", "avx2", "portable" or "xnnpack". */
int net_new_on(const struct net_graph *graph, const char *engine, struct net **out, char *why);

void net_free(struct net *net);

/* What it runs on. */
const char *net_engine_name(const struct net *net);

/* Floats behind an input that may be read, though they do not matter. */
enum { NET_OVERREAD = 16 };

/* input: the graph's first input, and NET_OVERREAD more; outputs[i]: room for the graph's
 * outputs[i], NULL for those that are NET_NONE. */
int net_run(struct net *net, const float *input, float *const *outputs, char *why);

/* Bytes that this net holds: packed weights, results in between. */
size_t net_memory(const struct net *net);

/* Runs the graph slowly in double precision; allocates as it goes. */
int net_reference_run(const struct net_graph *graph, const float *input, float *const *outputs,
                      char *why);

#ifdef __cplusplus
}
#endif
#endif
