/* graph.h - a neural network as a list of operators over tensors, before any backend prepares it.
 *
 * net_graph_read makes one of a TFLite file (gpu/net/tflite.c): weights are expanded to float at
 * once (fp16 and sparse ones too), and operators that only work on constants are done with.
 * net_graph_simplify then drops what its caller does not need and folds padding into what follows.
 * A backend (net.h) reads the finished graph and makes a plan of its own; nobody writes to it then.
 *
 * Shapes: NHWC, batch 1 in the file; a backend may run more at once. Operators stand in an order in
 * which each can run after those before it. Only the operators and options below are accepted; all
 * else is refused by name.
 *
 * Ownership: a graph owns its tensors' data. Threads: immutable once read. Errors: GPU_EINVAL (not
 * such a file, or one that breaks its own rules: the message names operator and tensor),
 * GPU_ENOMEM. */
#ifndef STANCE_NET_GRAPH_H
#define STANCE_NET_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum net_kind {
    NET_CONV,           /* inputs: x, weights [out][kh][kw][in], bias [out] */
    NET_DEPTHWISE,      /* inputs: x, weights [1][kh][kw][channels], bias [channels] */
    NET_ADD,            /* inputs: a, b of one shape */
    NET_PAD,            /* input: x; zeros, by `pad` (space) and `pad_channels` (at the end of C) */
    NET_MAX_POOL,       /* input: x; kernel, stride, no padding */
    NET_RESIZE_TWICE,   /* input: x; bilinear to twice the size, half-pixel centres */
    NET_DEPTH_TO_SPACE, /* input: x; block 2, out[2y+i][2x+j][c] = in[y][x][(2i+j)*C + c] */
    NET_CONCAT,         /* inputs: any number, along `axis` */
    NET_RESHAPE,        /* input: x; the same numbers in the output's shape */
    NET_SIGMOID,        /* input: x */
};

enum net_activation { NET_LINEAR, NET_RELU6 };

enum { NET_MAX_RANK = 4, NET_MAX_INPUTS = 8, NET_NONE = -1 };

struct net_tensor {
    char name[64]; /* the file's, cut */
    uint32_t rank; /* 1..NET_MAX_RANK */
    uint32_t shape[NET_MAX_RANK];
    size_t count; /* product of shape */
    float *data;  /* a constant's numbers, else NULL */
};

struct net_op {
    enum net_kind kind;
    enum net_activation activation; /* of NET_CONV, NET_DEPTHWISE, NET_ADD */
    uint32_t input_count;
    int32_t inputs[NET_MAX_INPUTS]; /* tensors */
    int32_t output;
    uint32_t kernel[2], stride[2]; /* height, width */
    uint32_t pad[4];               /* zeros around the input: top, bottom, left, right */
    uint32_t pad_channels;         /* NET_PAD: zero channels added at the end */
    uint32_t axis;                 /* NET_CONCAT */
};

struct net_graph {
    uint32_t tensor_count, op_count, input_count, output_count;
    struct net_tensor *tensors;
    struct net_op *ops;
    int32_t inputs[NET_MAX_INPUTS], outputs[NET_MAX_INPUTS];
};

/* Reads a TFLite file in memory; `bytes` is not kept. */
int net_graph_read(const void *bytes, size_t size, struct net_graph **out, char *why);

/* Keeps only the outputs whose bit is set in `wanted` (bit i: outputs[i]; the others become
 * NET_NONE, the places stay), drops what nobody needs then, and folds NET_PAD in space into the
 * convolutions that follow it. */
int net_graph_simplify(struct net_graph *graph, uint32_t wanted, char *why);

void net_graph_free(struct net_graph *graph);

/* Multiplications with additions that one run does. */
uint64_t net_graph_macs(const struct net_graph *graph);

/* "conv", "depthwise", ... */
const char *net_kind_name(enum net_kind kind);

/* Where results live when memory is shared: tensors that are never needed at once may overlap.
 * offset[i] is tensor i's place in floats, in an arena of *total floats; constants, and the graph's
 * inputs and outputs, get SIZE_MAX. `align` is in floats, a power of two. */
int net_graph_arena(const struct net_graph *graph, size_t align, size_t *offset, size_t *total,
                    char *why);

#ifdef __cplusplus
}
#endif
#endif
