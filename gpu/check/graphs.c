/* graphs.c - see graphs.h. */
#include "graphs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t maker_below(struct maker *maker, uint32_t count) {
    maker->seed = maker->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((maker->seed >> 33) % count);
}

float maker_number(struct maker *maker) {
    return (float)maker_below(maker, 1u << 24) / (float)(1 << 23) - 1.0f;
}

static int32_t add_tensor(struct maker *maker, uint32_t rank, const uint32_t *shape) {
    struct net_graph *graph = &maker->graph;
    if (graph->tensor_count == MAKER_ROOM)
        abort();
    struct net_tensor *tensor = &maker->tensors[graph->tensor_count];
    *tensor = (struct net_tensor){.rank = rank, .count = 1};
    snprintf(tensor->name, sizeof tensor->name, "t%u", graph->tensor_count);
    for (uint32_t d = 0; d < rank; d++) {
        tensor->shape[d] = shape[d];
        tensor->count *= shape[d];
    }
    return (int32_t)graph->tensor_count++;
}

static int32_t add_picture(struct maker *maker, uint32_t height, uint32_t width,
                           uint32_t channels) {
    return add_tensor(maker, 4, (const uint32_t[]){1, height, width, channels});
}

void maker_init(struct maker *maker, uint64_t seed, uint32_t height, uint32_t width,
                uint32_t channels) {
    memset(maker, 0, sizeof *maker);
    maker->seed = seed;
    maker->graph.tensors = maker->tensors;
    maker->graph.ops = maker->ops;
    maker->graph.input_count = 1;
    maker->graph.inputs[0] = add_picture(maker, height, width, channels);
}

void maker_deinit(struct maker *maker) {
    for (uint32_t i = 0; i < maker->graph.tensor_count; i++)
        free(maker->tensors[i].data);
    memset(maker, 0, sizeof *maker);
}

int32_t maker_constant(struct maker *maker, const uint32_t shape[NET_MAX_RANK], float size) {
    uint32_t rank = 0;
    while (rank < NET_MAX_RANK && shape[rank] != 0)
        rank++;
    int32_t id = add_tensor(maker, rank, shape);
    struct net_tensor *tensor = &maker->tensors[id];
    tensor->data = malloc(tensor->count * sizeof(float));
    for (size_t i = 0; i < tensor->count; i++)
        tensor->data[i] = size * maker_number(maker);
    return id;
}

static struct net_op *add_op(struct maker *maker, enum net_kind kind, int32_t x) {
    if (maker->graph.op_count == MAKER_ROOM)
        abort();
    struct net_op *op = &maker->ops[maker->graph.op_count++];
    *op = (struct net_op){.kind = kind, .input_count = 1, .inputs = {x}};
    return op;
}

static uint32_t shrink(uint32_t size, uint32_t kernel, uint32_t stride) {
    return (size - kernel) / stride + 1;
}

int32_t maker_conv(struct maker *maker, int32_t x, enum net_kind kind, uint32_t outputs,
                   const uint32_t kernel[2], const uint32_t stride[2], const uint32_t pad[4],
                   enum net_activation activation) {
    const uint32_t *in = maker->tensors[x].shape;
    bool depthwise = kind == NET_DEPTHWISE;
    uint32_t height = shrink(in[1] + pad[0] + pad[1], kernel[0], stride[0]);
    uint32_t width = shrink(in[2] + pad[2] + pad[3], kernel[1], stride[1]);
    uint32_t inputs = in[3], terms = kernel[0] * kernel[1] * (depthwise ? 1 : inputs);
    outputs = depthwise ? inputs : outputs;
    struct net_op *op = add_op(maker, kind, x);
    op->activation = activation;
    op->input_count = 3;
    op->inputs[1] =
        maker_constant(maker,
                       depthwise ? (const uint32_t[]){1, kernel[0], kernel[1], inputs}
                                 : (const uint32_t[]){outputs, kernel[0], kernel[1], inputs},
                       3.0f / sqrtf((float)terms));
    op->inputs[2] = maker_constant(maker, (const uint32_t[]){outputs, 0, 0, 0}, 1.0f);
    memcpy(op->kernel, kernel, sizeof op->kernel);
    memcpy(op->stride, stride, sizeof op->stride);
    memcpy(op->pad, pad, sizeof op->pad);
    return op->output = add_picture(maker, height, width, outputs);
}

int32_t maker_add(struct maker *maker, int32_t a, int32_t b, enum net_activation activation) {
    struct net_op *op = add_op(maker, NET_ADD, a);
    op->input_count = 2;
    op->inputs[1] = b;
    op->activation = activation;
    return op->output = add_tensor(maker, maker->tensors[a].rank, maker->tensors[a].shape);
}

int32_t maker_pad(struct maker *maker, int32_t x, const uint32_t pad[4], uint32_t channels) {
    const uint32_t *in = maker->tensors[x].shape;
    struct net_op *op = add_op(maker, NET_PAD, x);
    memcpy(op->pad, pad, sizeof op->pad);
    op->pad_channels = channels;
    return op->output = add_picture(maker, in[1] + pad[0] + pad[1], in[2] + pad[2] + pad[3],
                                    in[3] + channels);
}

int32_t maker_pool(struct maker *maker, int32_t x, const uint32_t kernel[2],
                   const uint32_t stride[2]) {
    const uint32_t *in = maker->tensors[x].shape;
    struct net_op *op = add_op(maker, NET_MAX_POOL, x);
    memcpy(op->kernel, kernel, sizeof op->kernel);
    memcpy(op->stride, stride, sizeof op->stride);
    return op->output = add_picture(maker, shrink(in[1], kernel[0], stride[0]),
                                    shrink(in[2], kernel[1], stride[1]), in[3]);
}

int32_t maker_simple(struct maker *maker, enum net_kind kind, int32_t x) {
    const struct net_tensor *in = &maker->tensors[x];
    uint32_t shape[NET_MAX_RANK];
    memcpy(shape, in->shape, sizeof shape);
    if (kind == NET_RESIZE_TWICE || kind == NET_DEPTH_TO_SPACE) {
        shape[1] *= 2;
        shape[2] *= 2;
        shape[3] /= kind == NET_DEPTH_TO_SPACE ? 4 : 1;
    }
    uint32_t rank = in->rank;
    struct net_op *op = add_op(maker, kind, x);
    return op->output = add_tensor(maker, rank, shape);
}

int32_t maker_concat(struct maker *maker, const int32_t *inputs, uint32_t count, uint32_t axis) {
    uint32_t shape[NET_MAX_RANK], rank = maker->tensors[inputs[0]].rank;
    memcpy(shape, maker->tensors[inputs[0]].shape, sizeof shape);
    shape[axis] = 0;
    struct net_op *op = add_op(maker, NET_CONCAT, inputs[0]);
    op->axis = axis;
    op->input_count = count;
    for (uint32_t i = 0; i < count; i++) {
        op->inputs[i] = inputs[i];
        shape[axis] += maker->tensors[inputs[i]].shape[axis];
    }
    return op->output = add_tensor(maker, rank, shape);
}

int32_t maker_reshape(struct maker *maker, int32_t x, const uint32_t shape[NET_MAX_RANK]) {
    uint32_t rank = 0;
    while (rank < NET_MAX_RANK && shape[rank] != 0)
        rank++;
    struct net_op *op = add_op(maker, NET_RESHAPE, x);
    return op->output = add_tensor(maker, rank, shape);
}

void maker_output(struct maker *maker, int32_t tensor) {
    if (maker->graph.output_count == NET_MAX_INPUTS)
        abort();
    maker->graph.outputs[maker->graph.output_count++] = tensor;
}

/* -- By chance ----------------------------------------------------------------------------------
 */

static int32_t random_conv(struct maker *maker, int32_t x) {
    enum net_kind kind = maker_below(maker, 2) ? NET_CONV : NET_DEPTHWISE;
    const uint32_t *in = maker->tensors[x].shape;
    uint32_t size = (const uint32_t[]){1, 2, 3, 5}[maker_below(maker, 4)];
    uint32_t kernel[2] = {size, maker_below(maker, 8) ? size : 1}, stride[2], pad[4];
    for (int axis = 0; axis < 2; axis++) {
        stride[axis] = 1 + maker_below(maker, 2);
        for (int end = 0; end < 2; end++)
            pad[2 * axis + end] = maker_below(maker, (kernel[axis] + 1) / 2 + 1);
        while (in[1 + axis] + pad[2 * axis] + pad[2 * axis + 1] < kernel[axis])
            pad[2 * axis]++;
    }
    return maker_conv(maker, x, kind, 1 + maker_below(maker, 70), kernel, stride, pad,
                      maker_below(maker, 2) ? NET_RELU6 : NET_LINEAR);
}

/* A tensor of x's shape: one that is there, or a constant. */
static int32_t like(struct maker *maker, int32_t x) {
    const struct net_tensor *in = &maker->tensors[x];
    for (int tries = 0; tries < 8; tries++) {
        int32_t other = (int32_t)maker_below(maker, maker->graph.tensor_count);
        const struct net_tensor *tensor = &maker->tensors[other];
        if (tensor->data == NULL && tensor->rank == in->rank &&
            memcmp(tensor->shape, in->shape, sizeof in->shape) == 0)
            return other;
    }
    return maker_constant(maker, in->shape, 1.0f);
}

/* Some operator on x that fits it; NET_NONE: this time none. */
static int32_t random_op(struct maker *maker, int32_t x) {
    const struct net_tensor in = maker->tensors[x];
    bool small = in.count < 20000, picture = in.rank == 4;
    enum net_kind kind = (enum net_kind)maker_below(maker, NET_SIGMOID + 1);
    if (!picture && kind != NET_ADD && kind != NET_SIGMOID && kind != NET_RESHAPE)
        return NET_NONE;
    uint32_t some[4];
    for (int i = 0; i < 4; i++)
        some[i] = maker_below(maker, 3);
    switch (kind) {
    case NET_CONV:
    case NET_DEPTHWISE:
        return random_conv(maker, x);
    case NET_ADD:
        return maker_add(maker, x, like(maker, x), some[0] ? NET_RELU6 : NET_LINEAR);
    case NET_PAD:
        return small ? maker_pad(maker, x, some, 7 * maker_below(maker, 3)) : NET_NONE;
    case NET_MAX_POOL:
        for (int i = 0; i < 2; i++)
            some[i] = some[i] + 1 < in.shape[1 + i] ? some[i] + 1 : in.shape[1 + i];
        return maker_pool(maker, x, some, (const uint32_t[]){1 + some[2], 1 + some[3]});
    case NET_RESIZE_TWICE:
        return small ? maker_simple(maker, kind, x) : NET_NONE;
    case NET_DEPTH_TO_SPACE:
        return in.shape[3] % 4 == 0 ? maker_simple(maker, kind, x) : NET_NONE;
    case NET_CONCAT:
        return small ? maker_concat(maker, (const int32_t[]){x, like(maker, x), x},
                                    1 + maker_below(maker, 3), 1 + some[0])
                     : NET_NONE;
    case NET_RESHAPE:
        return picture
                   ? maker_reshape(maker, x,
                                   (const uint32_t[]){1, in.shape[1] * in.shape[2], in.shape[3], 0})
                   : maker_reshape(maker, x, (const uint32_t[]){1, in.shape[1], 1, in.shape[2]});
    case NET_SIGMOID:
        return maker_simple(maker, kind, x);
    }
    return NET_NONE;
}

bool maker_random(struct maker *maker, uint64_t seed, uint32_t ops) {
    bool used[MAKER_ROOM] = {false};
    struct maker dice = {.seed = seed};
    uint32_t height = 1 + maker_below(&dice, 20), width = 1 + maker_below(&dice, 20);
    maker_init(maker, dice.seed, height, width, 1 + maker_below(&dice, 40));
    for (uint32_t tries = 0; tries < 4 * ops && maker->graph.op_count < ops; tries++) {
        int32_t x = maker_below(maker, 3) && maker->graph.op_count > 0
                        ? maker->ops[maker->graph.op_count - 1].output
                        : (int32_t)maker_below(maker, maker->graph.tensor_count);
        if (maker->tensors[x].data != NULL || maker->graph.tensor_count + 4 > MAKER_ROOM)
            continue;
        if (random_op(maker, x) == NET_NONE)
            continue;
        const struct net_op *op = &maker->ops[maker->graph.op_count - 1];
        for (uint32_t i = 0; i < op->input_count; i++)
            used[op->inputs[i]] = true;
    }
    for (uint32_t i = 0; i < maker->graph.op_count; i++) {
        int32_t output = maker->ops[i].output;
        if (used[output] && maker_below(maker, 6) != 0)
            continue;
        if (maker->graph.output_count == NET_MAX_INPUTS)
            return false;
        maker_output(maker, output);
    }
    return maker->graph.output_count > 0;
}
