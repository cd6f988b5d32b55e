/* plan.cu - see plan.h. */
#include "cuda/plan.h"

#include "cuda/conv.h"
#include "fail.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

enum { NOT_YET = -1 };

struct builder {
    const struct net_graph *graph;
    char *why;
    std::vector<plan_step> steps;
    std::vector<plan_tensor> tensors;
    std::vector<plan_part> parts; /* by tensor: the output's floats that it is */
    std::vector<uint32_t> uses;   /* by tensor: by layers, not on the way to an output */
    std::vector<int32_t> waiting; /* by tensor: the operator whose addition is still to come */
    std::vector<__half> weights;
    std::vector<float> biases;

    const struct net_tensor &tensor(int32_t i) const {
        return graph->tensors[i];
    }
};

int refuse(const builder &b, uint32_t index, const char *what) {
    const struct net_op &op = b.graph->ops[index];
    return gpu_fail(b.why, GPU_EINVAL, "CUDA has no kernel for operator %u (%s, %s): %s", index,
                    net_kind_name(op.kind), b.tensor(op.output).name, what);
}

bool on_the_way_out(const builder &b, const struct net_op &op) {
    return b.parts[op.output].output != NET_NONE &&
           (op.kind == NET_RESHAPE || op.kind == NET_CONCAT || op.kind == NET_SIGMOID);
}

/* Names the floats of tensors that are an output, or a part of one, under another name. */
int find_parts(builder &b) {
    b.parts.assign(b.graph->tensor_count, plan_part{NET_NONE, 0, 0});
    for (uint32_t i = 0; i < b.graph->output_count; i++) {
        const int32_t t = b.graph->outputs[i];
        if (t == NET_NONE)
            continue;
        if (b.parts[t].output != NET_NONE)
            return gpu_fail(b.why, GPU_EINVAL, "CUDA: outputs %d and %u are one tensor",
                            (int)b.parts[t].output, i);
        b.parts[t] = plan_part{(int32_t)i, 0, b.tensor(t).count};
    }
    for (uint32_t i = b.graph->op_count; i-- > 0;) {
        const struct net_op &op = b.graph->ops[i];
        if (!on_the_way_out(b, op))
            continue;
        const struct net_tensor &out = b.tensor(op.output);
        for (uint32_t d = 0; op.kind == NET_CONCAT && d < op.axis; d++)
            if (out.shape[d] != 1)
                return refuse(b, i, "numbers of several inputs alternate");
        size_t offset = b.parts[op.output].offset;
        for (uint32_t k = 0; k < op.input_count; k++) {
            plan_part &part = b.parts[op.inputs[k]];
            if (part.output != NET_NONE || b.tensor(op.inputs[k]).data != nullptr)
                return refuse(b, i, "an input is an output too, or constant");
            part = plan_part{b.parts[op.output].output, offset, b.tensor(op.inputs[k]).count};
            offset += part.count;
        }
    }
    if (b.parts[b.graph->inputs[0]].output != NET_NONE)
        return gpu_fail(b.why, GPU_EINVAL, "CUDA: an output is the input by another name");
    return GPU_OK;
}

void count_uses(builder &b) {
    b.uses.assign(b.graph->tensor_count, 0);
    for (uint32_t i = 0; i < b.graph->op_count; i++) {
        const struct net_op &op = b.graph->ops[i];
        for (uint32_t k = 0; k < op.input_count && !on_the_way_out(b, op); k++)
            b.uses[op.inputs[k]]++;
    }
}

/* The only layer that reads a tensor which is nothing else; NET_NONE where that is not so. */
int32_t only_reader(const builder &b, int32_t t, uint32_t after) {
    if (b.uses[t] != 1 || b.parts[t].output != NET_NONE)
        return NET_NONE;
    for (uint32_t i = after + 1; i < b.graph->op_count; i++)
        for (uint32_t k = 0; k < b.graph->ops[i].input_count; k++)
            if (b.graph->ops[i].inputs[k] == t)
                return (int32_t)i;
    return NET_NONE;
}

int take_shape(builder &b, int32_t t, uint32_t index) {
    const struct net_tensor &tensor = b.tensor(t);
    if (tensor.rank != 4 || tensor.shape[0] != 1)
        return refuse(b, index, "only tensors of the shape 1 x height x width x channels");
    b.tensors[t] = plan_tensor{tensor.shape[1], tensor.shape[2], tensor.shape[3], 0};
    return GPU_OK;
}

/* Begins at a multiple of 16 bytes. */
size_t next_place(const builder &b) {
    return (b.weights.size() + CUDA_LANES - 1) / CUDA_LANES * CUDA_LANES;
}

/* What was packed for conv.h again, without filling between rows, and biases as halves. */
void pack_dense(builder &b, plan_step &step, size_t rows, size_t inputs, size_t pitch) {
    step.dense = next_place(b);
    step.half_biases = step.dense + rows * inputs;
    b.weights.resize(step.half_biases + rows);
    for (size_t o = 0; o < rows; o++) {
        b.weights[step.half_biases + o] = __float2half_rn(b.biases[step.biases + o]);
        for (size_t k = 0; k < inputs; k++)
            b.weights[step.dense + o * inputs + k] = b.weights[step.weights + o * pitch + k];
    }
}

/* Weights as conv.h reads them: a row of taps x stored channels for each output channel. */
int pack_conv(builder &b, const struct net_op &op, plan_step &step) {
    const struct net_tensor &w = b.tensor(op.inputs[1]);
    const uint32_t in = w.shape[3], stored = channels_stored(in), taps = w.shape[1] * w.shape[2];
    const size_t pitch = (size_t)(taps * stored + CONV_SLICE - 1) / CONV_SLICE * CONV_SLICE;
    const size_t columns = (size_t)(w.shape[0] + CONV_WIDEST - 1) / CONV_WIDEST * CONV_WIDEST;
    step.weights = next_place(b);
    step.biases = b.biases.size();
    b.weights.resize(step.weights + columns * pitch, __float2half_rn(0.0f));
    b.biases.resize(step.biases + columns, 0.0f);
    for (uint32_t o = 0; o < w.shape[0]; o++) {
        __half *row = &b.weights[step.weights + o * pitch];
        b.biases[step.biases + o] = b.tensor(op.inputs[2]).data[o];
        for (uint32_t tap = 0; tap < taps; tap++)
            for (uint32_t c = 0; c < in; c++)
                row[tap * stored + c] = __float2half_rn(w.data[((size_t)o * taps + tap) * in + c]);
    }
    pack_dense(b, step, channels_stored(w.shape[0]), taps * stored, pitch);
    return GPU_OK;
}

int pack_depthwise(builder &b, const struct net_op &op, plan_step &step) {
    const struct net_tensor &w = b.tensor(op.inputs[1]);
    const uint32_t channels = w.shape[3], stored = channels_stored(channels);
    const uint32_t taps = w.shape[1] * w.shape[2];
    step.weights = next_place(b);
    step.biases = b.biases.size();
    b.weights.resize(step.weights + (size_t)taps * stored, __float2half_rn(0.0f));
    b.biases.resize(step.biases + stored, 0.0f);
    for (uint32_t c = 0; c < channels; c++) {
        b.biases[step.biases + c] = b.tensor(op.inputs[2]).data[c];
        for (uint32_t tap = 0; tap < taps; tap++)
            b.weights[step.weights + (size_t)tap * stored + c] =
                __float2half_rn(w.data[(size_t)tap * channels + c]);
    }
    return GPU_OK;
}

/* What of an operator is the same for every kind. */
int step_begin(builder &b, uint32_t index, plan_step &step) {
    const struct net_op &op = b.graph->ops[index];
    memset(&step, 0, sizeof step);
    snprintf(step.name, sizeof step.name, "%s %u %.30s", net_kind_name(op.kind), index,
             b.tensor(op.output).name);
    step.x = op.inputs[0];
    step.more = NET_NONE;
    step.out = op.output;
    step.to = plan_part{NET_NONE, 0, 0};
    memcpy(step.kernel, op.kernel, sizeof step.kernel);
    memcpy(step.stride, op.stride, sizeof step.stride);
    step.top = op.pad[0];
    step.left = op.pad[2];
    step.activation = op.activation;
    step.after = NET_LINEAR;
    const int code = take_shape(b, op.output, index);
    step.height = b.tensors[op.output].height;
    step.width = b.tensors[op.output].width;
    step.channels = b.tensors[op.output].channels;
    return code;
}

/* Halves that are an output, or go on to one, are written there as floats. */
void export_result(builder &b, const plan_step &made) {
    const plan_part &part = b.parts[made.out];
    if (part.output == NET_NONE)
        return;
    plan_step step = made;
    step.kind = PLAN_EXPORT;
    step.x = made.out;
    step.more = step.out = NET_NONE;
    step.to = part;
    b.steps.push_back(step);
}

int add_conv(builder &b, uint32_t index, plan_step &step) {
    const struct net_op &op = b.graph->ops[index];
    step.kind = PLAN_CONV;
    step.kernel[0] = b.tensor(op.inputs[1]).shape[1];
    step.kernel[1] = b.tensor(op.inputs[1]).shape[2];
    if (b.uses[op.output] == 0 && b.parts[op.output].output != NET_NONE) {
        step.out = NET_NONE;
        step.to = b.parts[op.output];
    }
    return pack_conv(b, op, step);
}

int add_depthwise(builder &b, uint32_t index, plan_step &step) {
    const struct net_op &op = b.graph->ops[index];
    step.kind = PLAN_DEPTHWISE;
    step.kernel[0] = b.tensor(op.inputs[1]).shape[1];
    step.kernel[1] = b.tensor(op.inputs[1]).shape[2];
    if (step.kernel[0] != step.kernel[1] || (step.kernel[0] != 3 && step.kernel[0] != 5) ||
        step.stride[0] != step.stride[1] || (step.stride[0] != 1 && step.stride[0] != 2))
        return refuse(b, index, "only 3x3 and 5x5 with stride 1 and 2");
    return pack_depthwise(b, op, step);
}

/* A layer of one operator, and `more` added to it where that is not NET_NONE: then its result is
 * `sum`'s. */
int add_layer(builder &b, uint32_t index, int32_t more, const struct net_op *sum) {
    const struct net_op &op = b.graph->ops[index];
    plan_step step;
    if (b.tensors[op.inputs[0]].height == 0)
        return refuse(b, index, "reads a constant, or what was made for an output");
    int code = step_begin(b, index, step);
    if (code != GPU_OK)
        return code;
    switch (op.kind) {
    case NET_CONV:
        code = add_conv(b, index, step);
        break;
    case NET_DEPTHWISE:
        code = add_depthwise(b, index, step);
        break;
    case NET_ADD:
        step.kind = PLAN_ADD;
        step.more = op.inputs[1];
        break;
    case NET_PAD:
        step.kind = PLAN_PAD;
        break;
    case NET_MAX_POOL:
        step.kind = PLAN_POOL;
        break;
    case NET_RESIZE_TWICE:
        step.kind = PLAN_RESIZE;
        step.activation = NET_LINEAR;
        break;
    case NET_DEPTH_TO_SPACE:
        step.kind = PLAN_SPREAD;
        if (step.channels % CUDA_LANES != 0)
            return refuse(b, index, "channels of the result must be a multiple of 8");
        break;
    default:
        return refuse(b, index, "only before outputs");
    }
    if (code != GPU_OK)
        return code;
    if (sum != nullptr) {
        step.more = more;
        step.out = sum->output;
        step.after = sum->activation;
        b.tensors[sum->output] = b.tensors[op.output];
    }
    b.steps.push_back(step);
    if (step.out != NET_NONE)
        export_result(b, step);
    return GPU_OK;
}

/* An addition: of what waits for it, one operand's layer does it on its way, the other's is made
 * first. */
int add_sum(builder &b, uint32_t index) {
    const struct net_op &op = b.graph->ops[index];
    for (int k = 0; k < 2; k++)
        if (b.waiting[op.inputs[k]] == NOT_YET && b.tensors[op.inputs[k]].height == 0)
            return refuse(b, index, "adds a constant, or what was made for an output");
    const int32_t first = b.waiting[op.inputs[0]], second = b.waiting[op.inputs[1]];
    if (first == NOT_YET && second == NOT_YET)
        return add_layer(b, index, NET_NONE, nullptr);
    const bool fuse_first = first != NOT_YET;
    if (fuse_first && second != NOT_YET) {
        const int code = add_layer(b, (uint32_t)second, NET_NONE, nullptr);
        if (code != GPU_OK)
            return code;
    }
    return add_layer(b, (uint32_t)(fuse_first ? first : second), op.inputs[fuse_first ? 1 : 0],
                     &op);
}

int add_sigmoid(builder &b, const struct net_op &op, uint32_t index) {
    plan_step step = {};
    step.kind = PLAN_SIGMOID;
    snprintf(step.name, sizeof step.name, "%s %u", net_kind_name(op.kind), index);
    step.x = step.more = step.out = NET_NONE;
    step.to = b.parts[op.output];
    b.steps.push_back(step);
    return GPU_OK;
}

int add_steps(builder &b) {
    b.tensors.assign(b.graph->tensor_count, plan_tensor{});
    b.waiting.assign(b.graph->tensor_count, NOT_YET);
    int code = take_shape(b, b.graph->inputs[0], 0);
    for (uint32_t i = 0; i < b.graph->op_count && code == GPU_OK; i++) {
        const struct net_op &op = b.graph->ops[i];
        const int32_t reader = only_reader(b, op.output, i);
        if (on_the_way_out(b, op))
            code = op.kind == NET_SIGMOID ? add_sigmoid(b, op, i) : GPU_OK;
        else if (op.kind == NET_ADD)
            code = add_sum(b, i);
        else if ((op.kind == NET_CONV || op.kind == NET_RESIZE_TWICE) && reader != NET_NONE &&
                 b.graph->ops[reader].kind == NET_ADD)
            b.waiting[op.output] = (int32_t)i;
        else
            code = add_layer(b, i, NET_NONE, nullptr);
    }
    return code;
}

/* The arena, by the liveness of the graph that the steps are now. */
int lay_out(builder &b, size_t *total) {
    const uint32_t nowhere = b.graph->tensor_count; /* one tensor more, for what writes floats */
    std::vector<struct net_tensor> tensors(nowhere + 1);
    std::vector<struct net_op> ops(b.steps.size());
    std::vector<size_t> offsets(nowhere + 1);
    struct net_graph graph = {};
    graph.tensor_count = nowhere + 1;
    graph.op_count = (uint32_t)ops.size();
    graph.tensors = tensors.data();
    graph.ops = ops.data();
    graph.input_count = graph.output_count = 1;
    graph.inputs[0] = b.graph->inputs[0];
    graph.outputs[0] = (int32_t)nowhere;
    for (uint32_t i = 0; i < nowhere; i++)
        tensors[i].count = (size_t)b.tensors[i].height * b.tensors[i].width *
                           channels_stored(b.tensors[i].channels);
    for (size_t i = 0; i < ops.size(); i++) {
        const plan_step &step = b.steps[i];
        if (step.x != NET_NONE)
            ops[i].inputs[ops[i].input_count++] = step.x;
        if (step.more != NET_NONE)
            ops[i].inputs[ops[i].input_count++] = step.more;
        ops[i].output = step.out == NET_NONE ? (int32_t)nowhere : step.out;
    }
    const int code = net_graph_arena(&graph, 64, offsets.data(), total, b.why);
    for (uint32_t i = 0; i < nowhere && code == GPU_OK; i++)
        b.tensors[i].offset = offsets[i];
    return code;
}

template <class T> T *copy_of(const std::vector<T> &from) {
    T *out = static_cast<T *>(malloc((from.size() + 1) * sizeof(T)));
    if (out == nullptr)
        throw std::bad_alloc();
    if (!from.empty())
        memcpy(static_cast<void *>(out), from.data(), from.size() * sizeof(T));
    return out;
}

int build(builder &b, plan &out) {
    if (b.graph->input_count != 1)
        return gpu_fail(b.why, GPU_EINVAL, "CUDA runs networks of one input, not of %u",
                        b.graph->input_count);
    int code = find_parts(b);
    if (code != GPU_OK)
        return code;
    count_uses(b);
    code = add_steps(b);
    if (code == GPU_OK)
        code = lay_out(b, &out.arena);
    if (code != GPU_OK)
        return code;
    for (const __half &weight : b.weights)
        if (!std::isfinite(__half2float(weight)))
            return gpu_fail(b.why, GPU_EINVAL, "CUDA: a weight is too large for 16 bits");
    out.input = b.graph->inputs[0];
    out.output_count = b.graph->output_count;
    for (uint32_t i = 0; i < out.output_count; i++)
        if (b.graph->outputs[i] != NET_NONE)
            out.outputs[i] = b.tensor(b.graph->outputs[i]).count;
    out.steps = copy_of(b.steps);
    out.tensors = copy_of(b.tensors);
    out.weights = copy_of(b.weights);
    out.biases = copy_of(b.biases);
    out.step_count = (uint32_t)b.steps.size();
    out.tensor_count = b.graph->tensor_count;
    out.weight_count = b.weights.size();
    out.bias_count = b.biases.size();
    return GPU_OK;
}

} // namespace

int plan_new(const struct net_graph *graph, plan **out, char *why) {
    *out = static_cast<plan *>(calloc(1, sizeof **out));
    int code = GPU_ENOMEM;
    try {
        builder b;
        b.graph = graph;
        b.why = why;
        if (*out != nullptr)
            code = build(b, **out);
        else
            gpu_fail(why, code, "no memory for a network's plan");
    } catch (const std::bad_alloc &) {
        code = gpu_fail(why, GPU_ENOMEM, "no memory for a network's plan");
    }
    if (code != GPU_OK) {
        plan_free(*out);
        *out = nullptr;
    }
    return code;
}

void plan_free(plan *plan) {
    if (plan == nullptr)
        return;
    free(plan->steps);
    free(plan->tensors);
    free(plan->weights);
    free(plan->biases);
    free(plan);
}

void plan_step_cost(const plan *plan, const plan_step *step, uint32_t batch, double *bytes,
                    double *macs) {
    auto numbers = [&](int32_t t) {
        const plan_tensor &tensor = plan->tensors[t];
        return (double)tensor.height * tensor.width * channels_stored(tensor.channels);
    };
    const plan_tensor in = step->x == NET_NONE ? plan_tensor{} : plan->tensors[step->x];
    const double out = step->out == NET_NONE ? 0.0 : numbers(step->out);
    *bytes = 2.0 * out + 4.0 * (double)step->to.count * (step->kind == PLAN_SIGMOID ? 2.0 : 1.0);
    if (step->x != NET_NONE)
        *bytes += 2.0 * numbers(step->x);
    if (step->more != NET_NONE)
        *bytes += 2.0 * numbers(step->more);
    *bytes *= batch;
    *macs = 0.0;
    const double taps = (double)step->kernel[0] * step->kernel[1];
    if (step->kind == PLAN_CONV) {
        *bytes += 2.0 * taps * in.channels * step->channels;
        const double made = step->out == NET_NONE
                                ? (double)step->to.count
                                : out / channels_stored(step->channels) * step->channels;
        *macs = batch * made * taps * in.channels;
    } else if (step->kind == PLAN_DEPTHWISE) {
        *bytes += 2.0 * taps * in.channels;
        *macs = batch * out * taps;
    }
}
