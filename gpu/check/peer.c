/* peer.c - see peer.h. Only where the makefile found XNNPACK's header in the form used here. */
#include "peer.h"

#ifdef PEER_XNNPACK

#include "net/net.h"

#include <math.h>
#include <stdlib.h>
#include <xnnpack.h>

enum { MAX_OUTSIDE = 16 };

struct peer {
    xnn_runtime_t runtime;
    struct xnn_external_value outside[MAX_OUTSIDE]; /* input and outputs */
    uint32_t outside_count;
};

struct build {
    const struct net_graph *graph;
    struct peer *peer;
    xnn_subgraph_t subgraph;
    uint32_t *ids; /* of tensors */
};

/* A tensor that the caller holds. */
static bool outside(struct build *build, int32_t tensor, uint32_t flag) {
    struct peer *peer = build->peer;
    const struct net_tensor *t = &build->graph->tensors[tensor];
    size_t dims[NET_MAX_RANK];
    for (uint32_t d = 0; d < t->rank; d++)
        dims[d] = t->shape[d];
    if (peer->outside_count == MAX_OUTSIDE)
        return false;
    struct xnn_external_value *value = &peer->outside[peer->outside_count];
    value->id = peer->outside_count++;
    value->data = calloc(t->count + NET_OVERREAD, sizeof(float));
    return value->data != NULL &&
           xnn_define_tensor_value(build->subgraph, xnn_datatype_fp32, t->rank, dims, NULL,
                                   value->id, flag, &build->ids[tensor]) == xnn_status_success;
}

static uint32_t value_of(struct build *build, int32_t tensor) {
    const struct net_tensor *t = &build->graph->tensors[tensor];
    size_t dims[NET_MAX_RANK];
    for (uint32_t d = 0; d < t->rank; d++)
        dims[d] = t->shape[d];
    if (build->ids[tensor] == XNN_INVALID_VALUE_ID)
        xnn_define_tensor_value(build->subgraph, xnn_datatype_fp32, t->rank, dims, t->data,
                                XNN_INVALID_VALUE_ID, 0, &build->ids[tensor]);
    return build->ids[tensor];
}

static enum xnn_status define(struct build *build, const struct net_op *op) {
    const struct net_tensor *in = &build->graph->tensors[op->inputs[0]];
    const struct net_tensor *to = &build->graph->tensors[op->output];
    bool relu6 = op->activation == NET_RELU6;
    float least = relu6 ? 0.0f : -INFINITY, most = relu6 ? 6.0f : INFINITY;
    uint32_t out = value_of(build, op->output), x = value_of(build, op->inputs[0]);
    size_t before[4] = {0, op->pad[0], op->pad[2], 0},
           after[4] = {0, op->pad[1], op->pad[3], op->pad_channels};
    size_t shape[NET_MAX_RANK];
    for (uint32_t d = 0; d < NET_MAX_RANK; d++)
        shape[d] = to->shape[d];
    switch (op->kind) {
    case NET_CONV:
        return xnn_define_convolution_2d(
            build->subgraph, op->pad[0], op->pad[3], op->pad[1], op->pad[2], op->kernel[0],
            op->kernel[1], op->stride[0], op->stride[1], 1, 1, 1, in->shape[3], to->shape[3], least,
            most, x, value_of(build, op->inputs[1]), value_of(build, op->inputs[2]), out, 0);
    case NET_DEPTHWISE:
        return xnn_define_depthwise_convolution_2d(
            build->subgraph, op->pad[0], op->pad[3], op->pad[1], op->pad[2], op->kernel[0],
            op->kernel[1], op->stride[0], op->stride[1], 1, 1, 1, in->shape[3], least, most, x,
            value_of(build, op->inputs[1]), value_of(build, op->inputs[2]), out, 0);
    case NET_ADD:
        return xnn_define_add2(build->subgraph, least, most, x, value_of(build, op->inputs[1]), out,
                               0);
    case NET_PAD:
        return xnn_define_static_constant_pad(build->subgraph, before, after, 0.0f, x, out, 0);
    case NET_MAX_POOL:
        return xnn_define_max_pooling_2d(build->subgraph, 0, 0, 0, 0, op->kernel[0], op->kernel[1],
                                         op->stride[0], op->stride[1], 1, 1, -INFINITY, INFINITY, x,
                                         out, 0);
    case NET_RESIZE_TWICE:
        return xnn_define_static_resize_bilinear_2d(build->subgraph, shape[1], shape[2], x, out, 0);
    case NET_DEPTH_TO_SPACE:
        return xnn_define_depth_to_space(build->subgraph, x, out, 2, 0);
    case NET_RESHAPE:
        return xnn_define_static_reshape(build->subgraph, to->rank, shape, x, out, 0);
    case NET_SIGMOID:
        return xnn_define_sigmoid(build->subgraph, x, out, 0);
    case NET_CONCAT:
        break;
    }
    return xnn_status_success;
}

/* The outputs, with what a concatenation would have joined kept apart. */
static bool outputs(struct build *build) {
    const struct net_graph *graph = build->graph;
    bool ok = true;
    for (uint32_t i = 0; i < graph->output_count; i++) {
        const struct net_op *made = NULL;
        for (uint32_t s = 0; s < graph->op_count; s++)
            if (graph->ops[s].output == graph->outputs[i])
                made = &graph->ops[s];
        if (made == NULL)
            continue;
        if (made->kind != NET_CONCAT)
            ok = ok && outside(build, made->output, XNN_VALUE_FLAG_EXTERNAL_OUTPUT);
        for (uint32_t k = 0; made->kind == NET_CONCAT && k < made->input_count; k++)
            ok = ok && outside(build, made->inputs[k], XNN_VALUE_FLAG_EXTERNAL_OUTPUT);
    }
    return ok;
}

struct peer *peer_new(const struct net_graph *graph, uint32_t flags) {
    struct build build = {.graph = graph, .peer = calloc(1, sizeof(struct peer))};
    build.ids = malloc(graph->tensor_count * sizeof *build.ids);
    for (uint32_t i = 0; i < graph->tensor_count; i++)
        build.ids[i] = XNN_INVALID_VALUE_ID;
    bool ok = xnn_initialize(NULL) == xnn_status_success &&
              xnn_create_subgraph(MAX_OUTSIDE, 0, &build.subgraph) == xnn_status_success &&
              outside(&build, graph->inputs[0], XNN_VALUE_FLAG_EXTERNAL_INPUT) && outputs(&build);
    for (uint32_t i = 0; ok && i < graph->op_count; i++)
        ok = graph->ops[i].kind == NET_CONCAT ||
             define(&build, &graph->ops[i]) == xnn_status_success;
    ok = ok && xnn_create_runtime_v2(build.subgraph, NULL, flags, &build.peer->runtime) ==
                   xnn_status_success;
    ok = ok && xnn_setup_runtime(build.peer->runtime, build.peer->outside_count,
                                 build.peer->outside) == xnn_status_success;
    xnn_delete_subgraph(build.subgraph);
    free(build.ids);
    if (ok)
        return build.peer;
    peer_free(build.peer);
    return NULL;
}

void peer_run(struct peer *peer) {
    if (xnn_invoke_runtime(peer->runtime) != xnn_status_success)
        abort();
}

void peer_free(struct peer *peer) {
    if (peer == NULL)
        return;
    xnn_delete_runtime(peer->runtime);
    for (uint32_t i = 0; i < peer->outside_count; i++)
        free(peer->outside[i].data);
    free(peer);
}

#else

#include <stddef.h>

struct peer *peer_new(const struct net_graph *graph, uint32_t flags) {
    (void)graph;
    (void)flags;
    return NULL;
}

void peer_run(struct peer *peer) {
    (void)peer;
}

void peer_free(struct peer *peer) {
    (void)peer;
}

#endif
