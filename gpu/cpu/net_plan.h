/* net_plan.h - what of a graph's operators is done together on the CPU.
 *
 * An addition is folded into the convolution or resizing before it. And around a depthwise
 * convolution of a large picture, the convolution that makes its input and the one of single pixels
 * that takes its output go row by row with it: what lies between them never becomes a whole
 * picture. */
#ifndef STANCE_GPU_NET_PLAN_H
#define STANCE_GPU_NET_PLAN_H

#include "net/graph.h"

/* Operators of the graph that are one step: `op` is where it starts and ends, for its place in
 * memory: inputs[0], with NET_RESIDUAL the numbers that are added at the end, and the output. */
struct net_joint {
    struct net_op op; /* of kind NET_DEPTHWISE where it has a `before` or `after` */
    struct net_op before, main, after; /* main is a convolution's; the others too, or have none */
    bool has_before, has_after;
    bool by_rows; /* a depthwise convolution that goes row by row */
};

/* Room for graph->op_count of them; returns how many there are, or GPU_ENOMEM. */
int net_plan_make(const struct net_graph *graph, struct net_joint *joints);

#endif
