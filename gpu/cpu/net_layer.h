/* net_layer.h - one convolution of a network, packed for the kernels of a width or for XNNPACK. */
#ifndef STANCE_GPU_NET_LAYER_H
#define STANCE_GPU_NET_LAYER_H

#include "net/net.h"
#include "net_kernels.h"
#include "xnnpack_load.h"

/* What computes: our kernels, and for convolutions XNNPACK where it is not NULL. */
struct net_engine {
    const struct net_kernels *kernels;
    const struct xnnpack *xnnpack;
};

enum { NET_RESIDUAL = 3 }; /* input of a convolution that a following addition was folded into */

struct net_layer {
    struct net_op op;
    uint32_t in[3], out[3]; /* height, width, channels */
    uint32_t depth;         /* products of one result */
    float *weights, *bias;  /* of struct net_gemm, or net_depthwise (no bias) */
    uint16_t *half;
    xnnpack_op xnnpack;
    bool bound; /* XNNPACK was told where the numbers lie */
};

/* What layers write besides their results; one at a time. */
struct net_scratch {
    float *patches; /* of pictures, side by side */
    float *panel;   /* unpacked weights, sums */
    float *ring;    /* rows of a depthwise convolution */
    size_t patches_floats, panel_floats, ring_floats;
};

/* Packs op's weights and widens what scratch has to hold; *memory counts what it took. */
int net_layer_make(struct net_layer *layer, const struct net_engine *engine,
                   const struct net_graph *graph, const struct net_op *op,
                   struct net_scratch *needs, size_t *memory, char *why);
void net_layer_deinit(struct net_layer *layer, const struct net_engine *engine);

/* The whole convolution; add: the residual or NULL. Returns XNNPACK's status. */
int net_layer_run(struct net_layer *layer, const struct net_engine *engine,
                  const struct net_scratch *scratch, const float *in, const float *add, float *out);

/* Row y of the results of one that is not depthwise, ours only. */
void net_layer_row(const struct net_layer *layer, const struct net_engine *engine,
                   const struct net_scratch *scratch, const float *in, const float *add, uint32_t y,
                   float *out);

/* So many pixels of one that takes them one by one. */
void net_layer_pixels(const struct net_layer *layer, const struct net_engine *engine,
                      const struct net_scratch *scratch, const float *in, size_t pixels,
                      const float *add, float *out);

/* What the depthwise kernels are told. */
struct net_depthwise net_layer_depthwise(const struct net_layer *layer,
                                         const struct net_scratch *scratch);

#endif
