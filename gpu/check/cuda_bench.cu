/* cuda_bench.cu - timings on a device, beside the two floors: the bytes that have to move at the
 * speed of a large copy, and the operations at the tensor cores' rate. */
#include "check/cuda_check.h"
#include "check/models.h"
#include "cuda/net.h"
#include "cuda/plugin.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

extern "C" cuda_plugin_entry stance_cuda_plugin;

namespace {

enum { RUNS = 30, SLOWEST = 16, WIDTH = 1280, HEIGHT = 720 };
const uint32_t batches[] = {1, 8, 32, 64};

struct ceilings {
    double bytes, operations; /* a second; a product with its addition is two */
};

double now() {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double median(std::vector<double> &values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/* What a multiprocessor's tensor cores add up in a clock, fp16 into fp32, by the vendor's papers.
 */
double operations_a_clock(const cudaDeviceProp &device) {
    if (device.major == 8)
        return device.minor == 0 ? 2048.0 : 1024.0;
    return device.major < 8 ? 1024.0 : 4096.0;
}

int measure(ceilings *out, char *why) {
    const size_t size = 1u << 30;
    char *from = nullptr, *to = nullptr;
    cudaDeviceProp device;
    int clock = 0;
    CUDA_TRY(cudaGetDeviceProperties(&device, 0));
    CUDA_TRY(cudaDeviceGetAttribute(&clock, cudaDevAttrClockRate, 0));
    CUDA_TRY(cudaMalloc(&from, size));
    CUDA_TRY(cudaMalloc(&to, size));
    CUDA_TRY(cudaMemset(from, 0x35, size));
    double best = 1e9;
    for (int i = 0; i < 6; i++) {
        const double start = now();
        CUDA_TRY(cudaMemcpy(to, from, size, cudaMemcpyDeviceToDevice));
        CUDA_TRY(cudaDeviceSynchronize());
        best = std::min(best, now() - start);
    }
    CUDA_TRY(cudaFree(from));
    CUDA_TRY(cudaFree(to));
    out->bytes = 2.0 * (double)size / best;
    out->operations = operations_a_clock(device) * device.multiProcessorCount * 1e3 * clock;
    printf("%s, %d multiprocessors, driver for CUDA %d\n", device.name, device.multiProcessorCount,
           CUDART_VERSION / 1000);
    printf(
        "copies: %.0f GB/s (bytes read and written); tensor cores by their papers: %.0f TFLOP/s\n",
        out->bytes * 1e-9, out->operations * 1e-12);
    return GPU_OK;
}

/* Numbers like those of a picture where the next run's input is. */
int fill_input(cuda_net *net, uint32_t batch, char *why) {
    const cuda_shape in = cuda_net_input_shape(net, batch);
    std::vector<__half> numbers((size_t)batch * in.height * in.width * in.channels);
    for (size_t i = 0; i < numbers.size(); i++)
        numbers[i] = __float2half_rn(i % CUDA_LANES < 3 ? cuda_random() : 0.0f);
    CUDA_TRY(cudaMemcpy(cuda_net_input(net), numbers.data(), numbers.size() * sizeof(__half),
                        cudaMemcpyHostToDevice));
    return GPU_OK;
}

/* Seconds of a run of the recorded network. */
int time_net(cuda_net *net, cudaStream_t stream, uint32_t batch, double *seconds, char *why) {
    cudaEvent_t start, end;
    std::vector<double> times;
    CUDA_TRY(cudaEventCreate(&start));
    CUDA_TRY(cudaEventCreate(&end));
    for (int i = -3; i < RUNS; i++) {
        float ms;
        CUDA_TRY(cudaEventRecord(start, stream));
        GPU_TRY(cuda_net_run(net, batch, nullptr, why));
        CUDA_TRY(cudaEventRecord(end, stream));
        CUDA_TRY(cudaEventSynchronize(end));
        CUDA_TRY(cudaEventElapsedTime(&ms, start, end));
        if (i >= 0)
            times.push_back(1e-3 * ms);
    }
    CUDA_TRY(cudaEventDestroy(start));
    CUDA_TRY(cudaEventDestroy(end));
    *seconds = median(times);
    return GPU_OK;
}

void print_floor(const ceilings &most, double seconds, double bytes, double macs) {
    const double move = bytes / most.bytes, compute = 2.0 * macs / most.operations;
    printf(" %9.4f %9.4f %8.1f\n", 1e3 * move, 1e3 * compute, seconds / std::max(move, compute));
}

/* The slowest steps of a batch. */
int print_steps(cuda_net *net, uint32_t batch, const ceilings &most, char *why) {
    const plan *p = cuda_net_plan(net);
    std::vector<float> times(p->step_count);
    std::vector<uint32_t> order(p->step_count);
    GPU_TRY(cuda_net_profile(net, batch, times.data(), why));
    for (uint32_t i = 0; i < p->step_count; i++)
        order[i] = i;
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return times[a] > times[b]; });
    printf("  the slowest steps of %u, batch %u\n  %-46s %9s %9s %9s %8s\n", p->step_count, batch,
           "", "ms", "bytes", "products", "of floor");
    for (uint32_t i = 0; i < std::min((uint32_t)SLOWEST, p->step_count); i++) {
        double bytes, macs;
        plan_step_cost(p, &p->steps[order[i]], batch, &bytes, &macs);
        printf("  %-46s %9.4f", p->steps[order[i]].name, (double)times[order[i]]);
        print_floor(most, 1e-3 * times[order[i]], bytes, macs);
    }
    return GPU_OK;
}

int bench_net(const struct model &model, const ceilings &most, cudaStream_t stream, char *why) {
    struct net_graph *graph = model_graph(&model);
    if (graph == nullptr)
        return GPU_OK;
    cuda_net *net = nullptr;
    int code = cuda_net_new(graph, stream, &net, why);
    net_graph_free(graph);
    for (uint32_t batch : batches) {
        double seconds = 0.0, bytes = 0.0, macs = 0.0;
        if (code == GPU_OK)
            code = cuda_net_reserve(net, batch, why);
        if (code == GPU_OK)
            code = fill_input(net, batch, why);
        if (code == GPU_OK)
            code = time_net(net, stream, batch, &seconds, why);
        if (code != GPU_OK)
            break;
        const plan *p = cuda_net_plan(net);
        for (uint32_t i = 0; i < p->step_count; i++) {
            double step_bytes, step_macs;
            plan_step_cost(p, &p->steps[i], batch, &step_bytes, &step_macs);
            bytes += step_bytes;
            macs += step_macs;
        }
        printf("%-10s %5u %6u %10.0f %9.4f", model.name, batch, cuda_net_rivals(net, batch),
               batch / seconds, 1e3 * seconds);
        print_floor(most, seconds, bytes, macs);
    }
    if (code == GPU_OK && strcmp(model.name, "full") == 0)
        code = print_steps(net, batches[0], most, why);
    if (code == GPU_OK && strcmp(model.name, "full") == 0)
        code = print_steps(net, batches[3], most, why);
    cuda_net_free(net);
    return code;
}

/* From pictures in ordinary memory to landmarks there. */
int bench_backend(const struct model &model, char *why) {
    struct pose_graphs graphs = {model_graph(&models[0]), model_graph(&model)};
    struct pose_backend *backend = nullptr;
    std::vector<uint8_t> rgb((size_t)WIDTH * HEIGHT * 3);
    for (uint8_t &byte : rgb)
        byte = (uint8_t)cuda_below(256);
    const struct gpu_picture picture = {rgb.data(), 3,     (size_t)WIDTH * 3, 0, 0, WIDTH, HEIGHT,
                                        WIDTH,      HEIGHT};
    int code = GPU_OK;
    if (graphs.detector != nullptr && graphs.landmarks != nullptr)
        code = stance_cuda_plugin()->backend_new(&graphs, &backend, why);
    for (uint32_t count : {1u, 16u, 64u, 512u}) {
        std::vector<const struct gpu_picture *> pictures(count, &picture);
        std::vector<struct pose_roi> rois(count, pose_roi{640.0f, 360.0f, 480.0f, 0.1f});
        std::vector<struct pose_raw> out(count);
        std::vector<double> times;
        for (int i = -3; i < RUNS && code == GPU_OK && backend != nullptr; i++) {
            const double start = now();
            code =
                backend->landmarks(backend, pictures.data(), rois.data(), count, out.data(), why);
            if (i >= 0)
                times.push_back(now() - start);
        }
        if (times.empty())
            break;
        const double seconds = median(times);
        printf("%-10s %5u %10.0f %9.4f\n", model.name, count, count / seconds, 1e3 * seconds);
    }
    if (backend != nullptr)
        backend->free(backend);
    net_graph_free(graphs.detector);
    net_graph_free(graphs.landmarks);
    return code;
}

} // namespace

int cuda_bench() {
    char why[GPU_WHY_SIZE] = "";
    ceilings most = {};
    cudaStream_t stream = nullptr;
    int code = measure(&most, why);
    if (code == GPU_OK)
        code = cuda_judge(cudaStreamCreate(&stream), "a stream", __FILE__, __LINE__, why);
    printf("networks, crops on the device\n%-10s %5s %6s %10s %9s %9s %9s %8s\n", "", "batch",
           "cuDNN", "a second", "ms", "bytes", "products", "of floor");
    for (const struct model &model : models)
        if (code == GPU_OK)
            code = bench_net(model, most, stream, why);
    printf("landmarks of a %dx%d picture's 480-pixel square, copies and decoding with them\n",
           WIDTH, HEIGHT);
    for (int i = 1; i < MODEL_COUNT && code == GPU_OK; i++)
        code = bench_backend(models[i], why);
    if (stream != nullptr)
        (void)cudaStreamDestroy(stream);
    if (code != GPU_OK)
        printf("FAILED %s\n", why);
    return code == GPU_OK ? cuda_bench_render(most.bytes) : 1;
}
