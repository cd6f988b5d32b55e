/* graphs.h - small networks made by hand, for the checks. */
#ifndef STANCE_GPU_CHECK_GRAPHS_H
#define STANCE_GPU_CHECK_GRAPHS_H

#include "net/net.h"
#include "stance_gpu.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MAKER_ROOM = 64 };

/* A graph in the making. Its first tensor is the input; weights are random numbers of `seed`. */
struct maker {
    struct net_graph graph;
    struct net_tensor tensors[MAKER_ROOM];
    struct net_op ops[MAKER_ROOM];
    uint64_t seed;
};

/* A random number in [0, count), and one in [-1, 1). */
uint32_t maker_below(struct maker *maker, uint32_t count);
float maker_number(struct maker *maker);

void maker_init(struct maker *maker, uint64_t seed, uint32_t height, uint32_t width,
                uint32_t channels);
void maker_deinit(struct maker *maker);

/* A constant of rank 4 or less (shape ends with 0) with random numbers within +-size. */
int32_t maker_constant(struct maker *maker, const uint32_t shape[NET_MAX_RANK], float size);

/* Each adds an operator to tensor x and returns its output. pad: top, bottom, left, right. */
int32_t maker_conv(struct maker *maker, int32_t x, enum net_kind kind, uint32_t outputs,
                   const uint32_t kernel[2], const uint32_t stride[2], const uint32_t pad[4],
                   enum net_activation activation);
int32_t maker_add(struct maker *maker, int32_t a, int32_t b, enum net_activation activation);
int32_t maker_pad(struct maker *maker, int32_t x, const uint32_t pad[4], uint32_t channels);
int32_t maker_pool(struct maker *maker, int32_t x, const uint32_t kernel[2],
                   const uint32_t stride[2]);
int32_t maker_simple(struct maker *maker, enum net_kind kind, int32_t x); /* one input, no more */
int32_t maker_concat(struct maker *maker, const int32_t *inputs, uint32_t count, uint32_t axis);
int32_t maker_reshape(struct maker *maker, int32_t x, const uint32_t shape[NET_MAX_RANK]);

void maker_output(struct maker *maker, int32_t tensor);

/* A network of up to `ops` operators of all kinds; false when chance made none that is fit. */
bool maker_random(struct maker *maker, uint64_t seed, uint32_t ops);

/* Runs the graph with names instead of numbers: what an operator reads must be there still, and
 * what it writes must not be what it reads. total: floats of the arena; least: of what is needed at
 * once. */
bool arena_is_sound(const struct net_graph *graph, size_t align, size_t *total, size_t *least);

#ifdef __cplusplus
}
#endif
#endif
