/* cuda_nets.cu - networks by CUDA's kernels against the reference in double precision: every kernel
 * in networks of one or two operators, networks made by chance, and MediaPipe's own. */
#include "check/cuda_check.h"
#include "check/graphs.h"
#include "check/models.h"
#include "cuda/net.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

const uint32_t none[4] = {0, 0, 0, 0};

int run_on_cpu(const struct net_graph *graph, uint32_t batch, bool emulate,
               const std::vector<float> &input, std::vector<std::vector<float>> &outputs,
               char *why) {
    plan *p = nullptr;
    GPU_TRY(plan_new(graph, &p, why));
    const plan_tensor &in = p->tensors[p->input];
    const layer_import import = {input.data(),
                                 nullptr,
                                 {batch, in.height, in.width, channels_stored(in.channels)},
                                 in.channels};
    std::vector<half8> input_halves(layer_vectors(import.to)), arena(batch * p->arena / 8 + 1);
    memset(static_cast<void *>(input_halves.data()), 0xff, input_halves.size() * sizeof(half8));
    memset(static_cast<void *>(arena.data()), 0xff, arena.size() * sizeof(half8));
    plan_memory memory = {};
    memory.input = reinterpret_cast<__half *>(input_halves.data());
    memory.arena = reinterpret_cast<__half *>(arena.data());
    memory.weights = p->weights;
    memory.biases = p->biases;
    for (uint32_t i = 0; i < p->output_count; i++)
        memory.outputs[i] = outputs[i].data();
    layer_import filled = import;
    filled.out = memory.input;
    items_run(filled, layer_vectors(import.to));
    cpu_runner runner = {emulate};
    const int code = plan_emit(*p, memory, batch, runner);
    plan_free(p);
    return code;
}

/* The device's part of a run: everything that needs `net` and `floats`. */
int run_net(cuda_net *net, float **floats, uint32_t batch, const std::vector<float> &input,
            std::vector<std::vector<float>> &outputs, char *why) {
    const plan *p = cuda_net_plan(net);
    GPU_TRY(cuda_net_reserve(net, batch, why));
    const layer_import import = {nullptr, cuda_net_input(net), cuda_net_input_shape(net, batch),
                                 p->tensors[p->input].channels};
    CUDA_TRY(cudaMalloc(reinterpret_cast<void **>(floats), input.size() * sizeof(float)));
    CUDA_TRY(
        cudaMemcpy(*floats, input.data(), input.size() * sizeof(float), cudaMemcpyHostToDevice));
    layer_import filled = import;
    filled.x = *floats;
    for (int run = 0; run < 2; run++) { /* recorded, and from the recording */
        for (uint32_t i = 0; i < p->output_count; i++)
            if (p->outputs[i] != 0)
                CUDA_TRY(
                    cudaMemset(cuda_net_output(net, i), 0xff, outputs[i].size() * sizeof(float)));
        CUDA_TRY(items_launch(filled, layer_vectors(import.to), nullptr));
        CUDA_TRY(cudaDeviceSynchronize());
        GPU_TRY(cuda_net_run(net, batch, nullptr, why));
        CUDA_TRY(cudaDeviceSynchronize());
    }
    for (uint32_t i = 0; i < p->output_count; i++)
        if (p->outputs[i] != 0)
            CUDA_TRY(cudaMemcpy(outputs[i].data(), cuda_net_output(net, i),
                                outputs[i].size() * sizeof(float), cudaMemcpyDeviceToHost));
    return GPU_OK;
}

int run_on_device(const struct net_graph *graph, uint32_t batch, const std::vector<float> &input,
                  std::vector<std::vector<float>> &outputs, char *why) {
    cuda_net *net = nullptr;
    cudaStream_t stream = nullptr;
    float *floats = nullptr;
    CUDA_TRY(cudaStreamCreate(&stream));
    int code = cuda_net_new(graph, stream, &net, why);
    if (code == GPU_OK)
        code = run_net(net, &floats, batch, input, outputs, why);
    cuda_net_free(net);
    (void)cudaFree(floats);
    (void)cudaStreamDestroy(stream);
    return code;
}

} // namespace

int cuda_graph_run(cuda_where where, const struct net_graph *graph, uint32_t batch, bool emulate,
                   const std::vector<float> &input, std::vector<std::vector<float>> &outputs,
                   char *why) {
    outputs.assign(graph->output_count, {});
    for (uint32_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] != NET_NONE)
            outputs[i].assign(batch * graph->tensors[graph->outputs[i]].count, NAN);
    return where == ON_DEVICE ? run_on_device(graph, batch, input, outputs, why)
                              : run_on_cpu(graph, batch, emulate, input, outputs, why);
}

double cuda_graph_check(cuda_where where, struct net_graph *graph, uint32_t batch, bool emulate,
                        char *why) {
    for (uint32_t i = 0; i < graph->tensor_count; i++)
        for (size_t k = 0; graph->tensors[i].data != nullptr && k < graph->tensors[i].count; k++)
            graph->tensors[i].data[k] = cuda_rounded(graph->tensors[i].data[k]);
    const size_t count = graph->tensors[graph->inputs[0]].count;
    std::vector<float> input(batch * count);
    for (float &x : input)
        x = cuda_rounded(2.0f * cuda_random() - 1.0f);
    std::vector<std::vector<float>> outputs, wanted(graph->output_count);
    if (cuda_graph_run(where, graph, batch, emulate, input, outputs, why) != GPU_OK)
        return INFINITY;
    double worst = 0.0;
    for (uint32_t n = 0; n < batch; n++) {
        float *places[NET_MAX_INPUTS] = {};
        for (uint32_t i = 0; i < graph->output_count; i++) {
            wanted[i].resize(outputs[i].size() / batch);
            places[i] = wanted[i].empty() ? nullptr : wanted[i].data();
        }
        if (net_reference_run(graph, &input[n * count], places, why) != GPU_OK)
            return INFINITY;
        for (uint32_t i = 0; i < graph->output_count; i++)
            worst = std::max(worst, cuda_error(&outputs[i][n * wanted[i].size()], wanted[i].data(),
                                               wanted[i].size()));
    }
    return worst;
}

/* -- Kernels one by one ------------------------------------------------------------------------ */

namespace {

struct one_layer {
    const char *name;
    int32_t (*make)(struct maker *maker, int32_t x);
};

uint32_t maker_between(struct maker *maker, uint32_t least, uint32_t most) {
    return least + maker_below(maker, most - least + 1);
}

net_activation some_activation(struct maker *maker) {
    return maker_below(maker, 2) != 0 ? NET_RELU6 : NET_LINEAR;
}

int32_t some_conv(struct maker *maker, int32_t x, net_kind kind, uint32_t size, uint32_t step) {
    const uint32_t kernel[2] = {size, size}, stride[2] = {step, step};
    uint32_t pad[4];
    for (uint32_t &side : pad)
        side = size == 1 ? 0 : maker_between(maker, step == 1 ? size / 2 : 0, size / 2);
    return maker_conv(maker, x, kind, maker_between(maker, 1, 150), kernel, stride, pad,
                      some_activation(maker));
}

template <int Size, int Stride> int32_t conv(struct maker *maker, int32_t x) {
    return some_conv(maker, x, NET_CONV, Size, Stride);
}

template <int Size, int Stride> int32_t depthwise_layer(struct maker *maker, int32_t x) {
    return some_conv(maker, x, NET_DEPTHWISE, Size, Stride);
}

int32_t add(struct maker *maker, int32_t x) {
    return maker_add(maker, x, x, some_activation(maker));
}

template <net_kind Kind> int32_t simple(struct maker *maker, int32_t x) {
    return maker_simple(maker, Kind, x);
}

int32_t pool(struct maker *maker, int32_t x) {
    const uint32_t kernel[2] = {2, 2}, stride[2] = {2, maker_between(maker, 1, 2)};
    return maker_pool(maker, x, kernel, stride);
}

int32_t pad(struct maker *maker, int32_t x) {
    uint32_t sides[4];
    for (uint32_t &side : sides)
        side = maker_below(maker, 4);
    return maker_pad(maker, x, sides, 8 * maker_below(maker, 4));
}

/* A convolution that adds x to what it makes. */
int32_t conv_add(struct maker *maker, int32_t x) {
    const uint32_t one[2] = {1, 1};
    const int32_t made = maker_conv(maker, x, NET_CONV, maker->tensors[x].shape[3], one, one, none,
                                    some_activation(maker));
    return maker_add(maker, made, x, some_activation(maker));
}

/* Both sides of an addition could do it. */
int32_t conv_add_conv(struct maker *maker, int32_t x) {
    const uint32_t one[2] = {1, 1};
    const int32_t a = maker_conv(maker, x, NET_CONV, 24, one, one, none, some_activation(maker));
    const int32_t b = maker_conv(maker, x, NET_CONV, 24, one, one, none, some_activation(maker));
    return maker_add(maker, a, b, some_activation(maker));
}

int32_t resize_add(struct maker *maker, int32_t x) {
    const uint32_t one[2] = {1, 1};
    const int32_t large = maker_simple(maker, NET_RESIZE_TWICE, x);
    const int32_t other =
        maker_conv(maker, large, NET_CONV, maker->tensors[x].shape[3], one, one, none, NET_LINEAR);
    return maker_add(maker, maker_simple(maker, NET_RESIZE_TWICE, x), other,
                     some_activation(maker));
}

const one_layer layers[] = {
    {"conv 1x1", conv<1, 1>},
    {"conv 3x3", conv<3, 1>},
    {"conv 3x3/2", conv<3, 2>},
    {"conv 2x2", conv<2, 1>},
    {"conv 1x1/2", conv<1, 2>},
    {"depthwise 3x3", depthwise_layer<3, 1>},
    {"depthwise 3x3/2", depthwise_layer<3, 2>},
    {"depthwise 5x5", depthwise_layer<5, 1>},
    {"depthwise 5x5/2", depthwise_layer<5, 2>},
    {"add", add},
    {"resize", simple<NET_RESIZE_TWICE>},
    {"pool", pool},
    {"pad", pad},
    {"depth to space", simple<NET_DEPTH_TO_SPACE>},
    {"conv + add", conv_add},
    {"conv + add + conv", conv_add_conv},
    {"resize + add", resize_add},
};

} // namespace

void cuda_check_layers(cuda_where where) {
    const int rounds = where == ON_DEVICE ? 20 : 4;
    for (const one_layer &layer : layers) {
        double worst = 0.0;
        for (int round = 0; round < rounds; round++) {
            struct maker maker;
            char why[GPU_WHY_SIZE] = "";
            const uint32_t spread = strcmp(layer.name, "depth to space") == 0 ? 32 : 1;
            const uint32_t channels =
                spread *
                (spread > 1 || cuda_below(3) == 0 ? 1 + cuda_below(3) : 8 * (1 + cuda_below(12)));
            maker_init(&maker, cuda_below(1u << 30), 5 + cuda_below(14), 5 + cuda_below(14),
                       channels);
            maker_output(&maker, layer.make(&maker, 0));
            const double error =
                cuda_graph_check(where, &maker.graph, 1 + cuda_below(3), true, why);
            check_that(error < 2e-3, "%s, round %d: error %g: %s", layer.name, round, error, why);
            worst = std::max(worst, error);
            maker_deinit(&maker);
        }
        printf("  %-18s error %.1e\n", layer.name, worst);
    }
}

/* -- Networks ---------------------------------------------------------------------------------- */

namespace {

void print_graph(const struct net_graph &graph) {
    for (uint32_t i = 0; i < graph.op_count; i++) {
        const struct net_op &op = graph.ops[i];
        const uint32_t *shape = graph.tensors[op.output].shape;
        printf("    %s", net_kind_name(op.kind));
        for (uint32_t k = 0; k < op.input_count; k++)
            printf(" %d", op.inputs[k]);
        printf(" -> %d [%u %u %u], %ux%u/%u, pads %u %u %u %u\n", op.output, shape[1], shape[2],
               shape[3], op.kernel[0], op.kernel[1], op.stride[0], op.pad[0], op.pad[1], op.pad[2],
               op.pad[3]);
    }
}

/* Made by chance of all operators; those with a layer that CUDA has no kernel for are left. */
void check_chance(cuda_where where) {
    int run = 0, refused = 0;
    double worst = 0.0;
    for (uint64_t seed = 1; run < (where == ON_DEVICE ? 200 : 60) && seed < 5000; seed++) {
        struct maker maker;
        char why[GPU_WHY_SIZE] = "";
        plan *p = nullptr;
        if (maker_random(&maker, cuda_below(1u << 30), 1 + cuda_below(12))) {
            if (plan_new(&maker.graph, &p, why) == GPU_OK) {
                plan_free(p);
                const double error =
                    cuda_graph_check(where, &maker.graph, 1 + cuda_below(4), false, why);
                check_that(error < 1e-2, "a network by chance: error %g: %s", error, why);
                if (!(error < 1e-2))
                    print_graph(maker.graph);
                worst = std::max(worst, error);
                run++;
            } else {
                check_that(why[0] != 0, "a network is refused without a word");
                refused++;
            }
        }
        maker_deinit(&maker);
    }
    check_that(run >= 20, "only %d networks by chance ran", run);
    printf("  %-18s error %.1e (%d; %d with layers that are none of CUDA's)\n", "by chance", worst,
           run, refused);
}

void check_model(cuda_where where, const struct model &model) {
    char why[GPU_WHY_SIZE] = "";
    struct net_graph *graph = model_graph(&model);
    if (graph == nullptr)
        return;
    /* Noise is no picture: a network makes small differences large, how large depends on the noise.
     * So it is always the same; pictures: cuda_pose.cu. */
    const uint64_t chance = cuda_chance(20260101);
    const double error = cuda_graph_check(where, graph, where == ON_DEVICE ? 3 : 1, false, why);
    cuda_chance(chance);
    check_that(error < 8e-2, "%s: error %g: %s", model.name, error, why);
    printf("  %-18s error %.1e\n", model.name, error);
    net_graph_free(graph);
}

} // namespace

void cuda_check_nets(cuda_where where) {
    check_chance(where);
    for (const struct model &model : models)
        if (where == ON_DEVICE || strcmp(model.name, "heavy") != 0)
            check_model(where, model);
}
