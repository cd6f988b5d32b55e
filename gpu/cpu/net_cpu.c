/* net_cpu.c - a graph made ready for the CPU; see net.h. Which of its operators are done together
 * is decided by net_plan.c, how a convolution is done by net_layer.c: with kernels of our own where
 * the processor has vectors that they were made for, else by XNNPACK where that is there.
 *
 * Results in between lie in one arena. The caller's input and outputs are read and written where
 * they are. */
#include "fail.h"
#include "net/net.h"
#include "net_layer.h"
#include "net_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALIGN = 16,     /* floats: a cache line */
    WIDE_LANES = 8, /* vectors from which on our convolutions are the faster ones */
};

struct step {
    struct net_joint joint;
    struct net_layer before, main, after; /* made where the joint has them */
};

struct net {
    struct net_engine engine;
    uint32_t step_count, tensor_count, output_count;
    struct step *steps;
    struct net_tensor *tensors; /* without their data */
    float **at;                 /* [tensor_count]; NULL: weights, and what the caller holds */
    float *arena, *constants;
    struct net_scratch scratch;
    float *rows[2]; /* scratch: a row before and one after a depthwise convolution */
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

/* "portable", "avx2" and "avx512" are our kernels of that width, "xnnpack" its convolutions among
 * the widest; NULL: the best of them that is here. */
static int find_engine(const char *name, struct net_engine *engine, char *why) {
    bool xnnpack = name != NULL && strcmp(name, "xnnpack") == 0;
    engine->kernels = net_kernels_find(xnnpack ? NULL : name);
    engine->xnnpack = NULL;
    if (engine->kernels == NULL)
        return gpu_fail(why, GPU_EDEVICE, "no kernels named %s for this processor", name);
    if (xnnpack)
        return xnnpack_load(&engine->xnnpack, why);
    if (name == NULL && engine->kernels->lanes < WIDE_LANES &&
        xnnpack_load(&engine->xnnpack, NULL) != GPU_OK)
        engine->xnnpack = NULL;
    return GPU_OK;
}

static float *take_floats(struct net *net, size_t count) {
    size_t size = (count + NET_OVERREAD + ALIGN - 1) / ALIGN * ALIGN * sizeof(float);
    float *out = aligned_alloc(ALIGN * sizeof(float), size);
    if (out != NULL) {
        memset(out, 0, size); /* what is read behind an end is a number */
        net->memory += size;
    }
    return out;
}

/* Constants that are numbers like others, not weights, are copied: the graph may go. */
static int keep_constants(struct net *net, const struct net_graph *graph, char *why) {
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
        if (round == 0 && used > 0 && (net->constants = take_floats(net, used)) == NULL)
            return gpu_fail(why, GPU_ENOMEM, "out of memory");
    }
    return GPU_OK;
}

/* Finds the results in between their places, as the steps need them. */
static int place(struct net *net, const struct net_graph *graph, char *why) {
    struct net_graph planned = *graph;
    size_t *offset = malloc((graph->tensor_count + 1) * sizeof *offset), total = 0;
    planned.ops = malloc((net->step_count + 1) * sizeof *planned.ops);
    planned.op_count = net->step_count;
    int code = gpu_fail(why, GPU_ENOMEM, "out of memory");
    if (offset == NULL || planned.ops == NULL)
        goto done;
    for (uint32_t i = 0; i < net->step_count; i++)
        planned.ops[i] = net->steps[i].joint.op;
    code = net_graph_arena(&planned, ALIGN, offset, &total, why);
    if (code != GPU_OK)
        goto done;
    net->arena = take_floats(net, total);
    if (net->arena == NULL)
        code = gpu_fail(why, GPU_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < graph->tensor_count && code == GPU_OK; i++)
        if (offset[i] != SIZE_MAX)
            net->at[i] = net->arena + offset[i];
done:
    free(offset);
    free(planned.ops);
    return code;
}

/* The steps of the graph: as net_plan joins them, or each operator by itself for XNNPACK. */
static int make_steps(struct net *net, const struct net_graph *graph, char *why) {
    struct net_joint *joints = calloc(graph->op_count + 1, sizeof *joints);
    net->steps = calloc(graph->op_count + 1, sizeof *net->steps);
    int count = GPU_ENOMEM;
    if (joints != NULL && net->steps != NULL && net->engine.xnnpack == NULL)
        count = net_plan_make(graph, joints);
    else if (joints != NULL && net->steps != NULL)
        for (count = 0; count < (int)graph->op_count; count++)
            joints[count].op = joints[count].main = graph->ops[count];
    for (int i = 0; i < count; i++)
        net->steps[i].joint = joints[i];
    net->step_count = count < 0 ? 0 : (uint32_t)count;
    net->memory += graph->op_count * sizeof *net->steps;
    free(joints);
    return count < 0 ? gpu_fail(why, GPU_ENOMEM, "out of memory") : GPU_OK;
}

static int make_layers(struct net *net, const struct net_graph *graph, char *why) {
    size_t rows[2] = {0, 0};
    int code = GPU_OK;
    for (uint32_t i = 0; i < net->step_count && code == GPU_OK; i++) {
        struct step *step = &net->steps[i];
        const struct net_joint *joint = &step->joint;
        struct {
            struct net_layer *layer;
            const struct net_op *op;
            bool there;
        } parts[] = {{&step->before, &joint->before, joint->has_before},
                     {&step->main, &joint->main, is_convolution(&joint->main)},
                     {&step->after, &joint->after, joint->has_after}};
        for (int k = 0; k < 3 && code == GPU_OK; k++)
            if (parts[k].there)
                code = net_layer_make(parts[k].layer, &net->engine, graph, parts[k].op,
                                      &net->scratch, &net->memory, why);
        if (code != GPU_OK || !joint->by_rows)
            continue;
        const struct net_layer *main = &step->main;
        size_t before = (size_t)main->in[1] * main->in[2],
               after = (size_t)main->out[1] * main->out[2];
        rows[0] = rows[0] > before ? rows[0] : before;
        rows[1] = rows[1] > after ? rows[1] : after;
    }
    if (code != GPU_OK)
        return code;
    net->scratch.patches = take_floats(net, net->scratch.patches_floats);
    net->scratch.panel = take_floats(net, net->scratch.panel_floats);
    net->scratch.ring = take_floats(net, net->scratch.ring_floats);
    net->rows[0] = take_floats(net, rows[0]);
    net->rows[1] = take_floats(net, rows[1]);
    bool taken = net->scratch.patches != NULL && net->scratch.panel != NULL &&
                 net->scratch.ring != NULL && net->rows[0] != NULL && net->rows[1] != NULL;
    return taken ? GPU_OK : gpu_fail(why, GPU_ENOMEM, "out of memory");
}

static int fill_in(struct net *net, const struct net_graph *graph, char *why) {
    net->tensor_count = graph->tensor_count;
    net->output_count = graph->output_count;
    net->input = graph->inputs[0];
    memcpy(net->outputs, graph->outputs, sizeof net->outputs);
    net->tensors = calloc(graph->tensor_count + 1, sizeof *net->tensors);
    net->at = calloc(graph->tensor_count + 1, sizeof *net->at);
    if (net->tensors == NULL || net->at == NULL)
        return gpu_fail(why, GPU_ENOMEM, "out of memory");
    net->memory = sizeof *net + graph->tensor_count * (sizeof *net->tensors + sizeof *net->at);
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        net->tensors[i] = graph->tensors[i];
        net->tensors[i].data = NULL;
    }
    int code = make_steps(net, graph, why);
    if (code == GPU_OK)
        code = place(net, graph, why);
    if (code == GPU_OK)
        code = keep_constants(net, graph, why);
    return code == GPU_OK ? make_layers(net, graph, why) : code;
}

int net_new_on(const struct net_graph *graph, const char *engine, struct net **out, char *why) {
    *out = NULL;
    int code = check_outputs(graph, why);
    if (code != GPU_OK)
        return code;
    struct net *net = calloc(1, sizeof *net);
    if (net == NULL)
        return gpu_fail(why, GPU_ENOMEM, "out of memory");
    code = find_engine(engine, &net->engine, why);
    if (code == GPU_OK)
        code = fill_in(net, graph, why);
    if (code == GPU_OK)
        *out = net;
    else
        net_free(net);
    return code;
}

void net_prepare(void) {
    const struct xnnpack *unused;
    if (net_kernels_find(NULL)->lanes < WIDE_LANES)
        (void)xnnpack_load(&unused, NULL); /* without it our own kernels do */
}

int net_new(const struct net_graph *graph, struct net **out, char *why) {
    return net_new_on(graph, NULL, out, why);
}

void net_free(struct net *net) {
    if (net == NULL)
        return;
    for (uint32_t i = 0; i < net->step_count; i++) {
        net_layer_deinit(&net->steps[i].before, &net->engine);
        net_layer_deinit(&net->steps[i].main, &net->engine);
        net_layer_deinit(&net->steps[i].after, &net->engine);
    }
    free(net->steps);
    free(net->tensors);
    free(net->at);
    free(net->arena);
    free(net->constants);
    free(net->scratch.patches);
    free(net->scratch.panel);
    free(net->scratch.ring);
    free(net->rows[0]);
    free(net->rows[1]);
    free(net);
}

size_t net_memory(const struct net *net) {
    return net->memory;
}

const char *net_engine_name(const struct net *net) {
    return net->engine.xnnpack != NULL ? "xnnpack" : net->engine.kernels->name;
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

/* A depthwise convolution with its neighbours, row by row. */
static void run_rows(const struct net *net, const struct step *step, const float *from,
                     const float *residual, float *out) {
    const struct net_layer *main = &step->main;
    const struct net_kernels *kernels = net->engine.kernels;
    const struct net_joint *joint = &step->joint;
    struct net_depthwise job = net_layer_depthwise(main, &net->scratch);
    const size_t in_row = (size_t)main->in[1] * main->in[2];
    const size_t out_row =
        (size_t)main->out[1] * (joint->has_after ? step->after.out[2] : main->out[2]);
    uint32_t taken = 0;
    for (uint32_t y = 0; y < main->out[0]; y++, out += out_row) {
        for (; taken < y * job.stride[0] + job.kernel[0]; taken++) {
            const uint32_t row = taken - job.top;
            const float *in = NULL;
            if (taken >= job.top && row < job.height) {
                in = joint->has_before ? net->rows[0] : from + row * in_row;
                if (joint->has_before)
                    net_layer_row(&step->before, &net->engine, &net->scratch, from, NULL, row,
                                  net->rows[0]);
            }
            kernels->depthwise_take(&job, taken, in);
        }
        kernels->depthwise_make(&job, y, joint->has_after ? net->rows[1] : out);
        if (joint->has_after)
            net_layer_pixels(&step->after, &net->engine, &net->scratch, net->rows[1], main->out[1],
                             residual != NULL ? residual + y * out_row : NULL, out);
    }
}

static int run_step(const struct net *net, struct step *step) {
    const struct net_op *op = &step->joint.op;
    const struct net_tensor *in = &net->tensors[op->inputs[0]], *to = &net->tensors[op->output];
    const struct net_kernels *kernels = net->engine.kernels;
    const float *from = net->at[op->inputs[0]], *residual = NULL;
    float *out = net->at[op->output];
    if (op->input_count > NET_RESIDUAL && op->kind != NET_CONCAT)
        residual = net->at[op->inputs[NET_RESIDUAL]];
    switch (op->kind) {
    case NET_CONV:
    case NET_DEPTHWISE:
        if (!step->joint.by_rows)
            return net_layer_run(&step->main, &net->engine, &net->scratch, from, residual, out);
        run_rows(net, step, from, residual, out);
        break;
    case NET_ADD:
        kernels->add(from, net->at[op->inputs[1]], to->count, op->activation == NET_RELU6, out);
        break;
    case NET_PAD:
        run_pad(net, op, from, out);
        break;
    case NET_MAX_POOL:
        kernels->pool(from, in->shape[2], in->shape[3], op->kernel, op->stride, to->shape[1],
                      to->shape[2], out);
        break;
    case NET_RESIZE_TWICE:
        kernels->resize(from, in->shape[1], in->shape[2], in->shape[3], residual,
                        op->activation == NET_RELU6, out);
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
    return 0;
}

/* Where the caller's numbers lie in this run. */
static void bind(struct net *net, int32_t tensor, float *at) {
    if (net->at[tensor] == at)
        return;
    net->at[tensor] = at;
    for (uint32_t s = 0; s < net->step_count; s++) {
        struct step *step = &net->steps[s];
        if (step->joint.op.inputs[0] == tensor || step->joint.op.output == tensor)
            step->main.bound = false;
    }
}

int net_run(struct net *net, const float *input, float *const *outputs, char *why) {
    bind(net, net->input, (float *)(uintptr_t)input); /* only read */
    for (uint32_t i = 0; i < net->output_count; i++)
        if (net->outputs[i] != NET_NONE)
            bind(net, net->outputs[i], outputs[i]);
    for (uint32_t s = 0; s < net->step_count; s++) {
        int status = run_step(net, &net->steps[s]);
        if (status != 0)
            return gpu_fail(why, GPU_EDEVICE, "%s: XNNPACK: %s",
                            net->tensors[net->steps[s].joint.op.output].name,
                            xnnpack_status(status));
    }
    return GPU_OK;
}
