/* net.cu - see net.h. */
#include "cuda/net.h"

#include "cuda/device.h"
#include "cuda/rivals.h"
#include "cuda/run.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace {

enum { RECORDINGS = 8, PROFILE_RUNS = 9 };

struct recording {
    uint32_t batch; /* 0: none */
    cudaGraphExec_t graph;
    rivals choice;
};

} // namespace

struct cuda_net {
    plan *steps;
    cudaStream_t stream;
    cudnn_library *cudnn; /* null: none here, or none wanted */
    uint32_t room;        /* pictures */
    cuda_room weights, biases, input, arena, outputs[NET_MAX_INPUTS];
    recording recordings[RECORDINGS];
};

namespace {

plan_memory memory_of(const cuda_net *net) {
    plan_memory out = {};
    out.input = static_cast<__half *>(net->input.at);
    out.arena = static_cast<__half *>(net->arena.at);
    out.weights = static_cast<const __half *>(net->weights.at);
    out.biases = static_cast<const float *>(net->biases.at);
    for (uint32_t i = 0; i < net->steps->output_count; i++)
        out.outputs[i] = static_cast<float *>(net->outputs[i].at);
    return out;
}

/* Enqueues steps; with `times`, each between two events. */
struct device_runner {
    cudaStream_t stream;
    const cuda_net *net;
    const rivals *choice;
    char *why;
    float *times;
    cudaEvent_t events[2];
    uint32_t step;

    template <class Launch> int timed(const Launch &launch) {
        if (times != nullptr)
            CUDA_TRY(cudaEventRecord(events[0], stream));
        const int code = launch();
        if (code != GPU_OK || times == nullptr)
            return code;
        CUDA_TRY(cudaEventRecord(events[1], stream));
        CUDA_TRY(cudaEventSynchronize(events[1]));
        CUDA_TRY(cudaEventElapsedTime(&times[step++], events[0], events[1]));
        return GPU_OK;
    }

    template <class Item> int items(const plan_step &of, const Item &item, uint32_t count) {
        return timed([&] {
            return cuda_judge(items_launch(item, count, stream), of.name, __FILE__, __LINE__, why);
        });
    }

    int conv(const plan_step &of, const conv_args &args) {
        return timed(
            [&] { return rivals_run(choice, net->steps, memory_of(net), of, args, stream, why); });
    }
};

int enqueue(cuda_net *net, uint32_t batch, const rivals *choice, const cuda_tail *tail, char *why) {
    device_runner runner = {net->stream, net, choice, why, nullptr, {}, 0};
    GPU_TRY(plan_emit(*net->steps, memory_of(net), batch, runner));
    return tail == nullptr ? (int)GPU_OK : tail->enqueue(tail->context, batch, net->stream, why);
}

/* Once for real, so that all of the kernels are on the device; then, convolutions chosen, to be
 * recorded. */
int record(cuda_net *net, uint32_t batch, const cuda_tail *tail, recording *out, char *why) {
    const rivals none = {};
    GPU_TRY(enqueue(net, batch, &none, tail, why));
    CUDA_TRY(cudaStreamSynchronize(net->stream));
    GPU_TRY(rivals_elect(&out->choice, net->steps, memory_of(net), batch, net->cudnn, net->stream,
                         why));
    CUDA_TRY(cudaStreamBeginCapture(net->stream, cudaStreamCaptureModeThreadLocal));
    int code = enqueue(net, batch, &out->choice, tail, why);
    cudaGraph_t graph = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(net->stream, &graph);
    if (code == GPU_OK)
        code = cuda_judge(ended, "recording a network", __FILE__, __LINE__, why);
    if (code == GPU_OK)
        code = cuda_judge(cudaGraphInstantiateWithFlags(&out->graph, graph, 0),
                          "preparing a recorded network", __FILE__, __LINE__, why);
    if (graph != nullptr)
        (void)cudaGraphDestroy(graph);
    rivals_free(&out->choice, code != GPU_OK);
    if (code == GPU_OK)
        out->batch = batch;
    return code;
}

int upload(cuda_room *room, const void *from, size_t size, cudaStream_t stream, char *why) {
    GPU_TRY(cuda_room_reserve(room, size, "weights", why));
    CUDA_TRY(cudaMemcpyAsync(room->at, from, size, cudaMemcpyHostToDevice, stream));
    CUDA_TRY(cudaStreamSynchronize(stream));
    return GPU_OK;
}

int fill(cuda_net *net, const struct net_graph *graph, char *why) {
    GPU_TRY(plan_new(graph, &net->steps, why));
    const plan *p = net->steps;
    GPU_TRY(upload(&net->weights, p->weights, p->weight_count * sizeof(__half), net->stream, why));
    GPU_TRY(upload(&net->biases, p->biases, p->bias_count * sizeof(float), net->stream, why));
    const char *wanted = getenv("STANCE_CUDNN");
    char reason[GPU_WHY_SIZE]; /* no cuDNN is no failure */
    if (wanted == nullptr || strcmp(wanted, "0") != 0)
        (void)cudnn_open(net->stream, &net->cudnn, reason);
    return GPU_OK;
}

} // namespace

int cuda_net_new(const struct net_graph *graph, cudaStream_t stream, cuda_net **out, char *why) {
    cuda_net *net = *out = static_cast<cuda_net *>(calloc(1, sizeof *net));
    if (net == nullptr)
        return gpu_fail(why, GPU_ENOMEM, "no memory for a network");
    net->stream = stream;
    const int code = fill(net, graph, why);
    if (code != GPU_OK) {
        cuda_net_free(net);
        *out = nullptr;
    }
    return code;
}

void cuda_net_free(cuda_net *net) {
    if (net == nullptr)
        return;
    cuda_net_forget(net);
    for (cuda_room &output : net->outputs)
        cuda_room_free(&output);
    cuda_room_free(&net->arena);
    cuda_room_free(&net->input);
    cuda_room_free(&net->biases);
    cuda_room_free(&net->weights);
    cudnn_close(net->cudnn);
    plan_free(net->steps);
    free(net);
}

int cuda_net_reserve(cuda_net *net, uint32_t batch, char *why) {
    if (batch <= net->room)
        return GPU_OK;
    const plan *p = net->steps;
    const cuda_shape in = cuda_net_input_shape(net, batch);
    CUDA_TRY(cudaStreamSynchronize(net->stream));
    cuda_net_forget(net);
    net->room = 0;
    GPU_TRY(cuda_room_reserve(&net->input,
                              sizeof(__half) * batch * in.height * in.width * in.channels,
                              "a batch of pictures", why));
    /* Batches are filled up; what they are filled up with should at least be numbers: 0.33. */
    CUDA_TRY(cudaMemsetAsync(net->input.at, 0x35, net->input.size, net->stream));
    GPU_TRY(cuda_room_reserve(&net->arena, sizeof(__half) * batch * p->arena,
                              "a batch's results in between", why));
    for (uint32_t i = 0; i < p->output_count; i++)
        GPU_TRY(cuda_room_reserve(&net->outputs[i], sizeof(float) * batch * p->outputs[i],
                                  "a batch's results", why));
    net->room = batch;
    return GPU_OK;
}

__half *cuda_net_input(const cuda_net *net) {
    return static_cast<__half *>(net->input.at);
}

float *cuda_net_output(const cuda_net *net, uint32_t output) {
    return static_cast<float *>(net->outputs[output].at);
}

cuda_shape cuda_net_input_shape(const cuda_net *net, uint32_t batch) {
    const plan_tensor &in = net->steps->tensors[net->steps->input];
    return cuda_shape{batch, in.height, in.width, channels_stored(in.channels)};
}

int cuda_net_run(cuda_net *net, uint32_t batch, const cuda_tail *tail, char *why) {
    recording *free_one = nullptr;
    for (recording &one : net->recordings) {
        if (one.batch == batch) {
            CUDA_TRY(cudaGraphLaunch(one.graph, net->stream));
            return GPU_OK;
        }
        if (one.batch == 0 && free_one == nullptr)
            free_one = &one;
    }
    const rivals none = {};
    if (free_one == nullptr) /* more sizes than are worth recording */
        return enqueue(net, batch, &none, tail, why);
    int code = record(net, batch, tail, free_one, why);
    if (code != GPU_OK)
        rivals_free(&free_one->choice, true);
    if (code != GPU_OK && net->cudnn != nullptr) { /* perhaps it is cuDNN's fault */
        cudnn_close(net->cudnn);
        net->cudnn = nullptr;
        code = record(net, batch, tail, free_one, why);
    }
    if (code != GPU_OK)
        return code;
    CUDA_TRY(cudaGraphLaunch(free_one->graph, net->stream));
    return GPU_OK;
}

void cuda_net_forget(cuda_net *net) {
    for (recording &one : net->recordings) {
        if (one.batch == 0)
            continue;
        (void)cudaGraphExecDestroy(one.graph);
        rivals_free(&one.choice, true);
        one = recording{};
    }
}

size_t cuda_net_memory(const cuda_net *net) {
    size_t out = net->weights.size + net->biases.size + net->input.size + net->arena.size;
    for (const cuda_room &output : net->outputs)
        out += output.size;
    for (const recording &one : net->recordings)
        out += one.choice.workspace.size;
    return out;
}

const plan *cuda_net_plan(const cuda_net *net) {
    return net->steps;
}

uint32_t cuda_net_rivals(const cuda_net *net, uint32_t batch) {
    for (const recording &one : net->recordings)
        if (one.batch == batch)
            return one.choice.taken;
    return 0;
}

int cuda_net_profile(cuda_net *net, uint32_t batch, float *milliseconds, char *why) {
    const uint32_t count = net->steps->step_count;
    float *times = static_cast<float *>(malloc(sizeof(float) * count * PROFILE_RUNS));
    const rivals none = {};
    device_runner runner = {net->stream, net, &none, why, times, {}, 0};
    int code = times == nullptr ? gpu_fail(why, GPU_ENOMEM, "no memory for timings") : (int)GPU_OK;
    for (cudaEvent_t &event : runner.events)
        if (code == GPU_OK)
            code = cuda_judge(cudaEventCreate(&event), "cudaEventCreate", __FILE__, __LINE__, why);
    for (int i = 0; i < PROFILE_RUNS && code == GPU_OK; i++)
        code = plan_emit(*net->steps, memory_of(net), batch, runner);
    for (uint32_t step = 0; step < count && code == GPU_OK; step++) {
        float of[PROFILE_RUNS];
        for (int i = 0; i < PROFILE_RUNS; i++)
            of[i] = times[(size_t)i * count + step];
        std::sort(of, of + PROFILE_RUNS);
        milliseconds[step] = of[PROFILE_RUNS / 2];
    }
    for (cudaEvent_t event : runner.events)
        if (event != nullptr)
            (void)cudaEventDestroy(event);
    free(times);
    return code;
}
