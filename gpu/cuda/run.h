/* run.h - a plan's steps as kernels, for whoever runs them.
 *
 * plan_emit hands each step to a Runner: `items(step, item, count)` for kernels of items,
 * `conv(step, args)` for convolutions. A device's runner (net.cu) enqueues them; the checks have
 * one that computes on the CPU. Both return 0, or a code that ends the run. */
#ifndef STANCE_CUDA_RUN_H
#define STANCE_CUDA_RUN_H

#include "cuda/conv.h"
#include "cuda/depthwise.h"
#include "cuda/layers.h"
#include "cuda/plan.h"

/* Where a run's numbers are: all in the runner's kind of memory. */
struct plan_memory {
    __half *input;         /* [batch][height][width][channels, filled] */
    __half *arena;         /* plan.arena halves for each picture of the batch */
    const __half *weights; /* plan.weights */
    const float *biases;
    float *outputs[NET_MAX_INPUTS]; /* [batch][plan.outputs[i]] */
};

template <class Runner> struct plan_emitter {
    const plan &p;
    const plan_memory &memory;
    uint32_t batch;
    Runner &runner;

    __half *at(int32_t t) const {
        return t == NET_NONE  ? nullptr
               : t == p.input ? memory.input
                              : memory.arena + p.tensors[t].offset * batch;
    }

    cuda_shape shape(int32_t t) const {
        const plan_tensor &tensor = p.tensors[t];
        return cuda_shape{batch, tensor.height, tensor.width, channels_stored(tensor.channels)};
    }

    float *floats(const plan_part &part) const {
        return memory.outputs[part.output] + part.offset;
    }

    int conv(const plan_step &step) const {
        conv_args args = {};
        args.x = at(step.x);
        args.weights = memory.weights + step.weights;
        args.bias = memory.biases + step.biases;
        args.more = at(step.more);
        args.out = at(step.out);
        args.in = shape(step.x);
        args.channels = step.channels;
        for (int d = 0; d < 2; d++) {
            args.kernel[d] = step.kernel[d];
            args.stride[d] = step.stride[d];
        }
        args.height = step.height;
        args.width = step.width;
        if (step.out == NET_NONE) {
            args.out_float = floats(step.to);
            args.apart = p.outputs[step.to.output];
        }
        args.top = step.top;
        args.left = step.left;
        args.activation = step.activation;
        args.after = step.after;
        return runner.conv(step, args);
    }

    template <int Kernel, int Stride> int depthwise_of(const plan_step &step) const {
        const depthwise<Kernel, Stride> item = {at(step.x),
                                                memory.weights + step.weights,
                                                memory.biases + step.biases,
                                                at(step.out),
                                                shape(step.x),
                                                step.height,
                                                step.width,
                                                step.top,
                                                step.left,
                                                step.activation};
        return runner.items(step, item, item.items());
    }

    int depthwise_step(const plan_step &step) const {
        if (step.kernel[0] == 3)
            return step.stride[0] == 1 ? depthwise_of<3, 1>(step) : depthwise_of<3, 2>(step);
        return step.stride[0] == 1 ? depthwise_of<5, 1>(step) : depthwise_of<5, 2>(step);
    }

    int step(const plan_step &step) const {
        switch (step.kind) {
        case PLAN_CONV:
            return conv(step);
        case PLAN_DEPTHWISE:
            return depthwise_step(step);
        case PLAN_ADD: {
            const layer_add item = {at(step.x), at(step.more), at(step.out), step.activation};
            return runner.items(step, item, layer_vectors(shape(step.out)));
        }
        case PLAN_RESIZE: {
            const layer_resize item = {at(step.x),    at(step.more),   at(step.out),
                                       shape(step.x), shape(step.out), step.after};
            return runner.items(step, item, layer_vectors(item.to));
        }
        case PLAN_POOL: {
            const layer_pool item = {at(step.x),
                                     at(step.out),
                                     shape(step.x),
                                     shape(step.out),
                                     {step.kernel[0], step.kernel[1]},
                                     {step.stride[0], step.stride[1]}};
            return runner.items(step, item, layer_vectors(item.to));
        }
        case PLAN_SPREAD: {
            const layer_spread item = {at(step.x), at(step.out), shape(step.x), shape(step.out)};
            return runner.items(step, item, layer_vectors(item.to));
        }
        case PLAN_PAD: {
            const layer_pad item = {at(step.x),      at(step.out), shape(step.x),
                                    shape(step.out), step.top,     step.left};
            return runner.items(step, item, layer_vectors(item.to));
        }
        case PLAN_EXPORT: {
            const layer_export item = {at(step.x), floats(step.to), shape(step.x),
                                       p.tensors[step.x].channels, p.outputs[step.to.output]};
            return runner.items(step, item, batch * (uint32_t)step.to.count);
        }
        case PLAN_SIGMOID: {
            const layer_sigmoid item = {floats(step.to), (uint32_t)step.to.count,
                                        p.outputs[step.to.output]};
            return runner.items(step, item, batch * item.count);
        }
        }
        return 0;
    }
};

/* Runs all steps for a batch, in order. */
template <class Runner>
int plan_emit(const plan &p, const plan_memory &memory, uint32_t batch, Runner &runner) {
    const plan_emitter<Runner> emitter = {p, memory, batch, runner};
    for (uint32_t i = 0; i < p.step_count; i++) {
        const int code = emitter.step(p.steps[i]);
        if (code != 0)
            return code;
    }
    return 0;
}

#endif
