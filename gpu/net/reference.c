/* reference.c - a graph run slowly, in double precision and plain loops: what the backends are
 * checked against; see net.h. It shares no code with them and keeps every tensor. */
#include "fail.h"
#include "net/net.h"

#include <math.h>
#include <stdlib.h>

struct run {
    const struct net_graph *graph;
    double **values; /* [tensor_count] */
};

/* The place of x[y][x][c] of a picture of rank 4. */
static size_t at(const struct net_tensor *t, uint32_t y, uint32_t x, uint32_t c) {
    return ((size_t)y * t->shape[2] + x) * t->shape[3] + c;
}

static double activate(enum net_activation activation, double value) {
    if (activation == NET_RELU6)
        return fmin(fmax(value, 0.0), 6.0);
    return value;
}

/* One output of a convolution: inputs from channel `first` on, `count` of them, each with its
 * weight `step` after the last one's. */
static double window(const struct run *run, const struct net_op *op, uint32_t oy, uint32_t ox,
                     uint32_t first, uint32_t count, const double *weights, size_t step) {
    const struct net_tensor *in = &run->graph->tensors[op->inputs[0]];
    const double *x = run->values[op->inputs[0]];
    double sum = 0.0;
    for (uint32_t ky = 0; ky < op->kernel[0]; ky++) {
        for (uint32_t kx = 0; kx < op->kernel[1]; kx++) {
            int64_t iy = (int64_t)oy * op->stride[0] + ky - op->pad[0];
            int64_t ix = (int64_t)ox * op->stride[1] + kx - op->pad[2];
            if (iy < 0 || ix < 0 || iy >= in->shape[1] || ix >= in->shape[2])
                continue;
            const double *from = x + at(in, (uint32_t)iy, (uint32_t)ix, first);
            const double *weight = weights + (ky * op->kernel[1] + kx) * step;
            for (uint32_t c = 0; c < count; c++)
                sum += from[c] * weight[c];
        }
    }
    return sum;
}

static void convolve(const struct run *run, const struct net_op *op, double *out) {
    const struct net_tensor *in = &run->graph->tensors[op->inputs[0]];
    const struct net_tensor *to = &run->graph->tensors[op->output];
    const double *weights = run->values[op->inputs[1]], *bias = run->values[op->inputs[2]];
    size_t area = (size_t)op->kernel[0] * op->kernel[1], channels = in->shape[3];
    for (uint32_t y = 0; y < to->shape[1]; y++) {
        for (uint32_t x = 0; x < to->shape[2]; x++) {
            for (uint32_t c = 0; c < to->shape[3]; c++) {
                double sum = op->kind == NET_CONV
                                 ? window(run, op, y, x, 0, in->shape[3],
                                          weights + c * area * channels, channels)
                                 : window(run, op, y, x, c, 1, weights + c, channels);
                out[at(to, y, x, c)] = activate(op->activation, sum + bias[c]);
            }
        }
    }
}

static void add(const struct run *run, const struct net_op *op, double *out) {
    const double *a = run->values[op->inputs[0]], *b = run->values[op->inputs[1]];
    for (size_t i = 0; i < run->graph->tensors[op->output].count; i++)
        out[i] = activate(op->activation, a[i] + b[i]);
}

static void pad(const struct run *run, const struct net_op *op, double *out) {
    const struct net_tensor *in = &run->graph->tensors[op->inputs[0]];
    const struct net_tensor *to = &run->graph->tensors[op->output];
    const double *from = run->values[op->inputs[0]];
    for (size_t i = 0; i < to->count; i++)
        out[i] = 0.0;
    for (uint32_t y = 0; y < in->shape[1]; y++)
        for (uint32_t x = 0; x < in->shape[2]; x++)
            for (uint32_t c = 0; c < in->shape[3]; c++)
                out[at(to, y + op->pad[0], x + op->pad[2], c)] = from[at(in, y, x, c)];
}

static void pool(const struct run *run, const struct net_op *op, double *out) {
    const struct net_tensor *in = &run->graph->tensors[op->inputs[0]];
    const struct net_tensor *to = &run->graph->tensors[op->output];
    const double *from = run->values[op->inputs[0]];
    for (uint32_t y = 0; y < to->shape[1]; y++) {
        for (uint32_t x = 0; x < to->shape[2]; x++) {
            for (uint32_t c = 0; c < to->shape[3]; c++) {
                double most = -INFINITY;
                for (uint32_t k = 0; k < op->kernel[0] * op->kernel[1]; k++)
                    most = fmax(most, from[at(in, y * op->stride[0] + k / op->kernel[1],
                                              x * op->stride[1] + k % op->kernel[1], c)]);
                out[at(to, y, x, c)] = most;
            }
        }
    }
}

/* Where pixel `i` of twice as many lies among `count`. */
static double source(uint32_t i, uint32_t count) {
    return fmin(fmax((i + 0.5) / 2.0 - 0.5, 0.0), count - 1.0);
}

static void resize(const struct run *run, const struct net_op *op, double *out) {
    const struct net_tensor *in = &run->graph->tensors[op->inputs[0]];
    const struct net_tensor *to = &run->graph->tensors[op->output];
    const double *from = run->values[op->inputs[0]];
    for (uint32_t y = 0; y < to->shape[1]; y++) {
        for (uint32_t x = 0; x < to->shape[2]; x++) {
            double sy = source(y, in->shape[1]), sx = source(x, in->shape[2]);
            uint32_t y0 = (uint32_t)sy, x0 = (uint32_t)sx;
            uint32_t y1 = y0 + 1 < in->shape[1] ? y0 + 1 : y0;
            uint32_t x1 = x0 + 1 < in->shape[2] ? x0 + 1 : x0;
            double fy = sy - y0, fx = sx - x0;
            for (uint32_t c = 0; c < to->shape[3]; c++)
                out[at(to, y, x, c)] =
                    (1.0 - fy) *
                        ((1.0 - fx) * from[at(in, y0, x0, c)] + fx * from[at(in, y0, x1, c)]) +
                    fy * ((1.0 - fx) * from[at(in, y1, x0, c)] + fx * from[at(in, y1, x1, c)]);
        }
    }
}

static void depth_to_space(const struct run *run, const struct net_op *op, double *out) {
    const struct net_tensor *in = &run->graph->tensors[op->inputs[0]];
    const struct net_tensor *to = &run->graph->tensors[op->output];
    const double *from = run->values[op->inputs[0]];
    for (uint32_t y = 0; y < to->shape[1]; y++)
        for (uint32_t x = 0; x < to->shape[2]; x++)
            for (uint32_t c = 0; c < to->shape[3]; c++)
                out[at(to, y, x, c)] =
                    from[at(in, y / 2, x / 2, (2 * (y % 2) + x % 2) * to->shape[3] + c)];
}

/* Rows of what follows the axis, one input after the other. */
static void concat(const struct run *run, const struct net_op *op, double *out) {
    const struct net_tensor *to = &run->graph->tensors[op->output];
    size_t outer = 1, inner = 1, done = 0;
    for (uint32_t d = 0; d < to->rank; d++)
        *(d < op->axis ? &outer : &inner) *= d == op->axis ? 1 : to->shape[d];
    for (uint32_t i = 0; i < op->input_count; i++) {
        size_t size = run->graph->tensors[op->inputs[i]].shape[op->axis] * inner;
        for (size_t o = 0; o < outer; o++)
            for (size_t k = 0; k < size; k++)
                out[o * to->shape[op->axis] * inner + done + k] =
                    run->values[op->inputs[i]][o * size + k];
        done += size;
    }
}

static void run_op(const struct run *run, const struct net_op *op) {
    const double *from = run->values[op->inputs[0]];
    double *out = run->values[op->output];
    size_t count = run->graph->tensors[op->output].count;
    switch (op->kind) {
    case NET_CONV:
    case NET_DEPTHWISE:
        convolve(run, op, out);
        break;
    case NET_ADD:
        add(run, op, out);
        break;
    case NET_PAD:
        pad(run, op, out);
        break;
    case NET_MAX_POOL:
        pool(run, op, out);
        break;
    case NET_RESIZE_TWICE:
        resize(run, op, out);
        break;
    case NET_DEPTH_TO_SPACE:
        depth_to_space(run, op, out);
        break;
    case NET_CONCAT:
        concat(run, op, out);
        break;
    case NET_RESHAPE:
        for (size_t i = 0; i < count; i++)
            out[i] = from[i];
        break;
    case NET_SIGMOID:
        for (size_t i = 0; i < count; i++)
            out[i] = 1.0 / (1.0 + exp(-from[i]));
        break;
    }
}

int net_reference_run(const struct net_graph *graph, const float *input, float *const *outputs,
                      char *why) {
    struct run run = {graph, calloc(graph->tensor_count, sizeof(double *))};
    int code = gpu_fail(why, GPU_ENOMEM, "out of memory");
    if (run.values == NULL)
        return code;
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const struct net_tensor *tensor = &graph->tensors[i];
        const float *data = (int32_t)i == graph->inputs[0] ? input : tensor->data;
        run.values[i] = malloc((tensor->count + 1) * sizeof(double));
        if (run.values[i] == NULL)
            goto done;
        for (size_t k = 0; k < tensor->count; k++)
            run.values[i][k] = data != NULL ? (double)data[k] : NAN;
    }
    for (uint32_t i = 0; i < graph->op_count; i++)
        run_op(&run, &graph->ops[i]);
    for (uint32_t i = 0; i < graph->output_count; i++)
        for (size_t k = 0; outputs[i] != NULL && k < graph->tensors[graph->outputs[i]].count; k++)
            outputs[i][k] = (float)run.values[graph->outputs[i]][k];
    code = GPU_OK;
done:
    for (uint32_t i = 0; i < graph->tensor_count; i++)
        free(run.values[i]);
    free(run.values);
    return code;
}
