/* cuda_main.cu - `gpu_check_cuda` runs the checks (`render`: the renderer's alone),
 * `gpu_check_cuda bench` the timings. */
#include "check/cuda_check.h"

#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

static int passed, failed, skipped;
static uint64_t dice;

extern "C" void check_that(bool ok, const char *format, ...) {
    if (ok) {
        passed++;
        return;
    }
    failed++;
    va_list arguments;
    va_start(arguments, format);
    fputs("FAILED ", stdout);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}

extern "C" void check_skip(const char *why) {
    skipped++;
    printf("SKIP %s\n", why);
}

uint64_t cuda_chance(uint64_t seed) {
    const uint64_t before = dice;
    dice = seed;
    return before;
}

uint32_t cuda_below(uint32_t count) {
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((dice >> 33) % count);
}

float cuda_random() {
    return (float)cuda_below(1u << 24) / (float)(1 << 24);
}

float cuda_rounded(float value) {
    return __half2float(__float2half_rn(value));
}

double cuda_error(const float *a, const float *b, size_t count) {
    double off = 0.0, size = 0.0;
    for (size_t i = 0; i < count; i++) {
        const double d = (double)a[i] - b[i];
        off += d * d;
        size += (double)b[i] * b[i];
    }
    if (!std::isfinite(off))
        return INFINITY;
    return off == 0.0 ? 0.0 : std::sqrt(off / (size + 1e-12));
}

static void run_all(cuda_where where, bool networks) {
    cuda_check_lanes(where);
    cuda_check_render(where);
    if (!networks)
        return;
    cuda_check_layers(where);
    cuda_check_nets(where);
    cuda_check_pose(where);
}

int main(int argc, char **argv) {
    setvbuf(stdout, nullptr, _IOLBF, 0);
    char why[GPU_WHY_SIZE] = "";
    cudaDeviceProp device = {};
    const bool there = cuda_open(&device, why) == GPU_OK;
    if (argc == 2 && strcmp(argv[1], "bench") == 0) {
        if (there)
            return cuda_bench();
        printf("SKIP cuda timings: %s\n", why);
        return 0;
    }
    const bool networks = argc == 1;
    if (argc > 2 || (argc == 2 && strcmp(argv[1], "render") != 0)) {
        fprintf(stderr, "usage: gpu_check_cuda [bench | render]    SEED=number repeats a run\n");
        return 2;
    }
    const char *seed = getenv("SEED");
    dice = seed != nullptr ? strtoull(seed, nullptr, 10) : (uint64_t)time(nullptr);
    printf("kernels on the CPU (SEED=%llu)\n", (unsigned long long)dice);
    run_all(ON_CPU, networks);
    if (there) {
        printf("kernels on %s\n", device.name);
        run_all(ON_DEVICE, networks);
        if (networks)
            cuda_check_backend();
    } else {
        skipped++;
        printf("SKIP cuda: no device: %s\n", why);
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed == 0 ? 0 : 1;
}
