/* dispatch.c - which of the kernels' widths this processor runs; see kernels.h. */
#include "kernels.h"

#include <string.h>

extern const struct gpu_kernels gpu_kernels_portable;
#if defined(__x86_64__)
extern const struct gpu_kernels gpu_kernels_avx2, gpu_kernels_avx512;
#endif

static bool runs(const struct gpu_kernels *kernels) {
#if defined(__x86_64__)
    if (kernels == &gpu_kernels_avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (kernels == &gpu_kernels_avx2)
        return __builtin_cpu_supports("avx2");
#endif
    return kernels == &gpu_kernels_portable;
}

const struct gpu_kernels *gpu_kernels_find(const char *name) {
    static const struct gpu_kernels *const widest_first[] = {
#if defined(__x86_64__)
        &gpu_kernels_avx512,
        &gpu_kernels_avx2,
#endif
        &gpu_kernels_portable,
    };
    for (size_t i = 0; i < sizeof widest_first / sizeof widest_first[0]; i++) {
        const struct gpu_kernels *kernels = widest_first[i];
        if ((name == NULL || strcmp(name, kernels->name) == 0) && runs(kernels))
            return kernels;
    }
    return NULL;
}
