/* simplify.c - takes out of a graph what need not be done. */
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "net/graph_edit.h"

/* -- Tensors that are left --------------------------------------------------------------------- */

/* Calls for each place that names a tensor. */
static void each_name(struct net_graph *graph, void (*visit)(int32_t *name, int32_t *places),
                      int32_t *places) {
    for (uint32_t i = 0; i < graph->input_count; i++)
        visit(&graph->inputs[i], places);
    for (uint32_t i = 0; i < graph->output_count; i++)
        visit(&graph->outputs[i], places);
    for (uint32_t i = 0; i < graph->op_count; i++) {
        struct net_op *op = &graph->ops[i];
        for (uint32_t k = 0; k < op->input_count; k++)
            visit(&op->inputs[k], places);
        visit(&op->output, places);
    }
}

static void mark(int32_t *name, int32_t *places) {
    if (*name != NET_NONE)
        places[*name] = 0;
}

static void rename_tensor(int32_t *name, int32_t *places) {
    if (*name != NET_NONE)
        *name = places[*name];
}

int net_graph_compact(struct net_graph *graph, char *why) {
    int32_t *places = malloc(graph->tensor_count * sizeof *places);
    if (places == NULL)
        return gpu_fail(why, GPU_ENOMEM, "no memory to simplify a graph");
    for (uint32_t i = 0; i < graph->tensor_count; i++)
        places[i] = NET_NONE;
    each_name(graph, mark, places);
    uint32_t left = 0;
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        if (places[i] == NET_NONE) {
            free(graph->tensors[i].data);
            continue;
        }
        places[i] = (int32_t)left;
        graph->tensors[left++] = graph->tensors[i];
    }
    graph->tensor_count = left;
    each_name(graph, rename_tensor, places);
    free(places);
    return GPU_OK;
}

/* -- Operators that are left ------------------------------------------------------------------- */

/* Keeps operators whose output is needed, from the last to the first: needed[] grows on the way. */
static void drop_unneeded(struct net_graph *graph, bool *needed) {
    memset(needed, 0, graph->tensor_count * sizeof *needed);
    for (uint32_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] != NET_NONE)
            needed[graph->outputs[i]] = true;
    uint32_t kept = graph->op_count;
    for (uint32_t i = graph->op_count; i-- > 0;) {
        struct net_op op = graph->ops[i];
        if (!needed[op.output])
            continue;
        for (uint32_t k = 0; k < op.input_count; k++)
            needed[op.inputs[k]] = true;
        graph->ops[--kept] = op;
    }
    graph->op_count -= kept;
    memmove(graph->ops, graph->ops + kept, graph->op_count * sizeof graph->ops[0]);
}

/* Convolutions pad for themselves; the paddings that nobody else needs are dropped afterwards.
 * pads[tensor]: 1 + the operator that made it by padding in space; else 0. */
static void fold_padding(struct net_graph *graph, uint32_t *pads) {
    memset(pads, 0, graph->tensor_count * sizeof *pads);
    for (uint32_t i = 0; i < graph->op_count; i++) {
        struct net_op *op = &graph->ops[i];
        if (op->kind == NET_PAD && op->pad_channels == 0)
            pads[op->output] = i + 1;
        if ((op->kind != NET_CONV && op->kind != NET_DEPTHWISE) || pads[op->inputs[0]] == 0)
            continue;
        const struct net_op *pad = &graph->ops[pads[op->inputs[0]] - 1];
        for (int side = 0; side < 4; side++)
            op->pad[side] += pad->pad[side];
        op->inputs[0] = pad->inputs[0];
    }
}

int net_graph_simplify(struct net_graph *graph, uint32_t wanted, char *why) {
    uint32_t left = 0;
    for (uint32_t i = 0; i < graph->output_count; i++)
        left += (wanted >> i & 1) != 0 && graph->outputs[i] != NET_NONE;
    if (left == 0)
        return gpu_fail(why, GPU_EINVAL, "none of the graph's %u outputs is wanted",
                        graph->output_count);
    bool *needed = malloc(graph->tensor_count * sizeof *needed);
    uint32_t *pads = malloc(graph->tensor_count * sizeof *pads);
    int code = needed != NULL && pads != NULL
                   ? GPU_OK
                   : gpu_fail(why, GPU_ENOMEM, "no memory to simplify a graph");
    if (code == GPU_OK) {
        for (uint32_t i = 0; i < graph->output_count; i++)
            if ((wanted >> i & 1) == 0)
                graph->outputs[i] = NET_NONE;
        fold_padding(graph, pads);
        drop_unneeded(graph, needed);
        code = net_graph_compact(graph, why);
    }
    free(needed);
    free(pads);
    return code;
}
