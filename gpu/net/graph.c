#include "graph.h"

#include <stdlib.h>

void net_graph_free(struct net_graph *graph) {
    if (graph == NULL)
        return;
    for (uint32_t i = 0; i < graph->tensor_count; i++)
        free(graph->tensors[i].data);
    free(graph->tensors);
    free(graph->ops);
    free(graph);
}

uint64_t net_graph_macs(const struct net_graph *graph) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < graph->op_count; i++) {
        const struct net_op *op = &graph->ops[i];
        uint64_t each = (uint64_t)op->kernel[0] * op->kernel[1];
        if (op->kind == NET_CONV)
            each *= graph->tensors[op->inputs[0]].shape[3];
        else if (op->kind != NET_DEPTHWISE)
            continue;
        total += each * graph->tensors[op->output].count;
    }
    return total;
}

const char *net_kind_name(enum net_kind kind) {
    static const char *const names[] = {
        [NET_CONV] = "conv",
        [NET_DEPTHWISE] = "depthwise",
        [NET_ADD] = "add",
        [NET_PAD] = "pad",
        [NET_MAX_POOL] = "max pool",
        [NET_RESIZE_TWICE] = "resize",
        [NET_DEPTH_TO_SPACE] = "depth to space",
        [NET_CONCAT] = "concat",
        [NET_RESHAPE] = "reshape",
        [NET_SIGMOID] = "sigmoid",
    };
    return (size_t)kind < sizeof names / sizeof names[0] ? names[kind] : "unknown";
}
