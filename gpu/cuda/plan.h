/* plan.h - a graph as the steps that the device runs, and where each step's numbers lie.
 *
 * A plan fuses what one kernel can do (an addition into the convolution or the resizing before it),
 * drops what is only a way to name numbers (reshapes, concatenations), packs the weights as the
 * kernels read them, and lays the tensors between layers out in one arena. It is made of memory of
 * the CPU alone; plan_emit (run.h) turns it into kernels for a batch.
 *
 * Tensors between layers are halves, NHWC, channels filled up to eights. Graph outputs are floats,
 * dense, as the graph says; reshapes, concatenations along the first dimension that is not 1, and
 * sigmoids stand only before outputs. Anything else is refused by name.
 *
 * Ownership: a plan keeps nothing of the graph. Threads: immutable. Errors: GPU_EINVAL, GPU_ENOMEM.
 */
#ifndef STANCE_CUDA_PLAN_H
#define STANCE_CUDA_PLAN_H

#include "cuda/kernel.h"

enum plan_kind {
    PLAN_CONV,
    PLAN_DEPTHWISE,
    PLAN_ADD,
    PLAN_RESIZE,
    PLAN_POOL,
    PLAN_SPREAD,
    PLAN_PAD,
    PLAN_EXPORT,  /* halves to a place in an output */
    PLAN_SIGMOID, /* in place, in an output */
};

/* A tensor of halves: size, and its place in the arena, in halves of a batch of one. */
struct plan_tensor {
    uint32_t height, width, channels; /* as the graph has them */
    size_t offset;
};

/* Some floats of every picture of an output. */
struct plan_part {
    int32_t output; /* NET_NONE: none */
    size_t offset, count;
};

struct plan_step {
    plan_kind kind;
    char name[48];       /* for messages: "conv 12" and the start of the tensor's name */
    int32_t x, more;     /* tensors read; NET_NONE */
    int32_t out;         /* the tensor written, or NET_NONE: */
    struct plan_part to; /* the floats */
    uint32_t height, width, channels; /* of the result, unfilled */
    uint32_t kernel[2], stride[2], top, left;
    net_activation activation, after; /* of the layer; of the sum with `more` */
    size_t weights, biases;           /* offsets in halves and in floats */
    size_t dense, half_biases;        /* a convolution's again, as cuDNN reads them: in halves */
};

struct plan {
    uint32_t step_count, tensor_count, output_count;
    plan_step *steps;
    plan_tensor *tensors;           /* by the graph's numbers */
    int32_t input;                  /* the graph's input */
    size_t outputs[NET_MAX_INPUTS]; /* floats a picture; 0: not wanted */
    size_t arena;                   /* halves a picture */
    __half *weights;
    float *biases;
    size_t weight_count, bias_count;
};

int plan_new(const struct net_graph *graph, plan **out, char *why);
void plan_free(plan *plan);

/* The bytes that a step must move at least for a batch, and its multiplications with additions. */
void plan_step_cost(const plan *plan, const plan_step *step, uint32_t batch, double *bytes,
                    double *macs);

#endif
