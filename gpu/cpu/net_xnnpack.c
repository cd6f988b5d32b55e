/* net_xnnpack.c - a graph made ready for the CPU; see net.h. Convolutions are XNNPACK's, all else
 * is done by kernels of our own (net_kernels.h) between them, so that nothing but convolutions
 * depends on what a release of XNNPACK offers.
 *
 * Results in between lie in one arena. The caller's input and outputs are read and written where
 * they are: an operator is told anew where its numbers lie when that changed since the last run. */
#include "fail.h"
#include "net/net.h"
#include "net_kernels.h"
#include "xnnpack_load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALIGN = 16, /* floats: a cache line */
};

struct step {
    struct net_op op;
    xnnpack_op convolution; /* NULL: not one */
    bool fresh;             /* it must be told where its numbers lie */
};

struct net {
    const struct xnnpack *xnnpack;
    const struct net_kernels *kernels;
    uint32_t step_count, tensor_count, output_count;
    struct step *steps;
    struct net_tensor *tensors; /* without names' and constants' data */
    float **at;                 /* [tensor_count]; NULL: weights, and what the caller holds */
    float *arena, *constants;
    int32_t input, outputs[NET_MAX_INPUTS];
    size_t memory;
};

/* -- Making -------------------------------------------------------------------------------------
 */

static bool is_convolution(const struct net_op *op) {
    return op->kind == NET_CONV || op->kind == NET_DEPTHWISE;
}

/* Every output is some operator's, and no other output. */
static int check_outputs(const struct net_graph *graph, char *why) {
    for (uint32_t i = 0; i < graph->output_count; i++) {
        bool made = graph->outputs[i] == NET_NONE;
        for (uint32_t s = 0; s < graph->op_count && !made; s++)
            made = graph->ops[s].output == graph->outputs[i];
        for (uint32_t k = 0; k < i && made; k++)
            made = graph->outputs[i] == NET_NONE || graph->outputs[k] != graph->outputs[i];
        if (!made)
            return gpu_fail(why, GPU_EINVAL, "output %u is another one or not computed", i);
    }
    return GPU_OK;
}

static int make_convolution(struct net *net, const struct net_graph *graph, struct step *step,
                            char *why) {
    const struct net_op *op = &step->op;
    const struct net_tensor *in = &graph->tensors[op->inputs[0]];
    const struct net_tensor *out = &graph->tensors[op->output];
    const struct net_tensor *weights = &graph->tensors[op->inputs[1]];
    const struct net_tensor *bias = &graph->tensors[op->inputs[2]];
    if (weights->data == NULL || bias->data == NULL)
        return gpu_fail(why, GPU_EINVAL, "%s: weights that are computed are not supported",
                        out->name);
    bool depthwise = op->kind == NET_DEPTHWISE, relu6 = op->activation == NET_RELU6;
    size_t inputs = in->shape[3], outputs = out->shape[3];
    int status = net->xnnpack->create(op->pad[0], op->pad[3], op->pad[1], op->pad[2], op->kernel[0],
                                      op->kernel[1], op->stride[0], op->stride[1], 1, 1,
                                      depthwise ? (uint32_t)inputs : 1, depthwise ? 1 : inputs,
                                      depthwise ? 1 : outputs, inputs, outputs, weights->data,
                                      bias->data, relu6 ? 0.0f : -INFINITY, relu6 ? 6.0f : INFINITY,
                                      depthwise ? XNNPACK_DEPTHWISE : 0, &step->convolution);
    if (status != 0)
        return gpu_fail(why, GPU_EDEVICE, "%s: XNNPACK: %s", out->name, xnnpack_status(status));
    return GPU_OK;
}

/* Constants that are numbers like others, not weights, are copied: the graph may go. */
static int keep_constants(struct net *net, const struct net_graph *graph) {
    size_t total = 0;
    for (int round = 0; round < 2; round++) {
        size_t used = 0;
        for (uint32_t s = 0; s < graph->op_count; s++) {
            const struct net_op *op = &graph->ops[s];
            for (uint32_t i = 0; i < (is_convolution(op) ? 1 : op->input_count); i++) {
                const struct net_tensor *tensor = &graph->tensors[op->inputs[i]];
                if (tensor->data == NULL)
                    continue;
                if (round == 1) {
                    net->at[op->inputs[i]] = net->constants + used;
                    memcpy(net->constants + used, tensor->data, tensor->count * sizeof(float));
                }
                used += (tensor->count + ALIGN - 1) / ALIGN * ALIGN;
            }
        }
        if (round == 1 || used == 0)
            break;
        total = (used + NET_OVERREAD) * sizeof(float);
        net->constants = aligned_alloc(ALIGN * sizeof(float), total);
        if (net->constants == NULL)
            return GPU_ENOMEM;
    }
    net->memory += total;
    return GPU_OK;
}

static int place(struct net *net, const struct net_graph *graph, char *why) {
    size_t *offset = malloc((graph->tensor_count + 1) * sizeof *offset), total = 0;
    if (offset == NULL)
        return gpu_fail(why, GPU_ENOMEM, "out of memory");
    int code = net_graph_arena(graph, ALIGN, offset, &total, why);
    if (code != GPU_OK)
        goto done;
    total = ((total + ALIGN - 1) / ALIGN * ALIGN + NET_OVERREAD) * sizeof(float);
    net->arena = aligned_alloc(ALIGN * sizeof(float), total);
    if (net->arena == NULL || keep_constants(net, graph) != GPU_OK) {
        code = gpu_fail(why, GPU_ENOMEM, "out of memory");
        goto done;
    }
    memset(net->arena, 0, total); /* what is read behind an end is a number */
    net->memory += total;
    for (uint32_t i = 0; i < graph->tensor_count; i++)
        if (offset[i] != SIZE_MAX)
            net->at[i] = net->arena + offset[i];
done:
    free(offset);
    return code;
}

int net_new(const struct net_graph *graph, struct net **out, char *why) {
    *out = NULL;
    const struct xnnpack *xnnpack;
    int code = xnnpack_load(&xnnpack, why);
    if (code == GPU_OK)
        code = check_outputs(graph, why);
    if (code != GPU_OK)
        return code;
    size_t before = xnnpack_memory();
    struct net *net = calloc(1, sizeof *net);
    if (net == NULL)
        return gpu_fail(why, GPU_ENOMEM, "out of memory");
    net->xnnpack = xnnpack;
    net->kernels = net_kernels_find(NULL);
    net->tensor_count = graph->tensor_count;
    net->output_count = graph->output_count;
    net->input = graph->inputs[0];
    memcpy(net->outputs, graph->outputs, sizeof net->outputs);
    net->steps = calloc(graph->op_count + 1, sizeof *net->steps);
    net->tensors = calloc(graph->tensor_count + 1, sizeof *net->tensors);
    net->at = calloc(graph->tensor_count + 1, sizeof *net->at);
    code = gpu_fail(why, GPU_ENOMEM, "out of memory");
    if (net->steps == NULL || net->tensors == NULL || net->at == NULL)
        goto failed;
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        net->tensors[i] = graph->tensors[i];
        net->tensors[i].data = NULL;
    }
    code = place(net, graph, why);
    while (code == GPU_OK && net->step_count < graph->op_count) {
        struct step *step = &net->steps[net->step_count];
        step->op = graph->ops[net->step_count++];
        step->fresh = true;
        if (is_convolution(&step->op))
            code = make_convolution(net, graph, step, why);
    }
    if (code != GPU_OK)
        goto failed;
    net->memory += sizeof *net + graph->op_count * sizeof *net->steps +
                   graph->tensor_count * (sizeof *net->tensors + sizeof *net->at) +
                   (xnnpack_memory() - before);
    *out = net;
    return GPU_OK;
failed:
    net_free(net);
    return code;
}

void net_free(struct net *net) {
    if (net == NULL)
        return;
    for (uint32_t i = 0; i < net->step_count; i++)
        if (net->steps[i].convolution != NULL)
            net->xnnpack->delete (net->steps[i].convolution);
    free(net->steps);
    free(net->tensors);
    free(net->at);
    free(net->arena);
    free(net->constants);
    free(net);
}

size_t net_memory(const struct net *net) {
    return net->memory;
}

/* -- Running ------------------------------------------------------------------------------------
 */

static void run_pad(const struct net *net, const struct net_op *op, const float *from, float *out) {
    const struct net_tensor *in = &net->tensors[op->inputs[0]], *to = &net->tensors[op->output];
    size_t channels = in->shape[3], wide = to->shape[3];
    memset(out, 0, to->count * sizeof *out);
    for (uint32_t y = 0; y < in->shape[1]; y++) {
        float *row = out + ((size_t)(y + op->pad[0]) * to->shape[2] + op->pad[2]) * wide;
        for (uint32_t x = 0; x < in->shape[2]; x++, from += channels)
            memcpy(row + x * wide, from, channels * sizeof *from);
    }
}

static void run_depth_to_space(const struct net *net, const struct net_op *op, const float *from,
                               float *out) {
    const struct net_tensor *in = &net->tensors[op->inputs[0]];
    size_t pair = in->shape[3] / 2; /* channels of two neighbours */
    for (uint32_t y = 0; y < in->shape[1]; y++)
        for (uint32_t below = 0; below < 2; below++)
            for (uint32_t x = 0; x < in->shape[2]; x++, out += pair)
                memcpy(out, from + ((size_t)y * in->shape[2] + x) * 2 * pair + below * pair,
                       pair * sizeof *out);
}

static void run_concat(const struct net *net, const struct net_op *op, float *out) {
    const struct net_tensor *to = &net->tensors[op->output];
    size_t outer = 1, row = to->count, done = 0;
    for (uint32_t d = 0; d < op->axis; d++)
        outer *= to->shape[d];
    row /= outer;
    for (uint32_t i = 0; i < op->input_count; i++) {
        const float *from = net->at[op->inputs[i]];
        size_t part = net->tensors[op->inputs[i]].count / outer;
        for (size_t o = 0; o < outer; o++)
            memcpy(out + o * row + done, from + o * part, part * sizeof *out);
        done += part;
    }
}

static int run_step(struct net *net, struct step *step) {
    const struct net_op *op = &step->op;
    const struct net_tensor *in = &net->tensors[op->inputs[0]], *to = &net->tensors[op->output];
    const float *from = net->at[op->inputs[0]];
    float *out = net->at[op->output];
    int status = 0;
    switch (op->kind) {
    case NET_CONV:
    case NET_DEPTHWISE:
        if (step->fresh)
            status = net->xnnpack->setup(step->convolution, 1, in->shape[1], in->shape[2], from,
                                         out, NULL);
        return status != 0 ? status : net->xnnpack->run(step->convolution, NULL);
    case NET_ADD:
        net->kernels->add(from, net->at[op->inputs[1]], to->count, op->activation == NET_RELU6,
                          out);
        break;
    case NET_PAD:
        run_pad(net, op, from, out);
        break;
    case NET_MAX_POOL:
        net->kernels->pool(from, in->shape[2], in->shape[3], op->kernel, op->stride, to->shape[1],
                           to->shape[2], out);
        break;
    case NET_RESIZE_TWICE:
        net->kernels->resize(from, in->shape[1], in->shape[2], in->shape[3], out);
        break;
    case NET_DEPTH_TO_SPACE:
        run_depth_to_space(net, op, from, out);
        break;
    case NET_CONCAT:
        run_concat(net, op, out);
        break;
    case NET_RESHAPE:
        memcpy(out, from, to->count * sizeof *out);
        break;
    case NET_SIGMOID:
        for (size_t i = 0; i < to->count; i++)
            out[i] = 1.0f / (1.0f + expf(-from[i]));
        break;
    }
    return status;
}

/* Where the caller's numbers lie in this run. */
static void bind(struct net *net, int32_t tensor, float *at) {
    if (net->at[tensor] == at)
        return;
    net->at[tensor] = at;
    for (uint32_t s = 0; s < net->step_count; s++) {
        struct step *step = &net->steps[s];
        if (step->op.inputs[0] == tensor || step->op.output == tensor)
            step->fresh = true;
    }
}

int net_run(struct net *net, const float *input, float *const *outputs, char *why) {
    bind(net, net->input, (float *)(uintptr_t)input); /* only read */
    for (uint32_t i = 0; i < net->output_count; i++)
        if (net->outputs[i] != NET_NONE)
            bind(net, net->outputs[i], outputs[i]);
    for (uint32_t s = 0; s < net->step_count; s++) {
        struct step *step = &net->steps[s];
        int status = run_step(net, step);
        if (status != 0)
            return gpu_fail(why, GPU_EDEVICE, "%s: XNNPACK: %s", net->tensors[step->op.output].name,
                            xnnpack_status(status));
        step->fresh = false;
    }
    return GPU_OK;
}
