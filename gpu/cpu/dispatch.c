/* dispatch.c - which of the kernels' widths this processor runs; see kernels.h, net_kernels.h. */
#include "kernels.h"
#include "net_kernels.h"

#include <string.h>

extern const struct gpu_kernels gpu_kernels_portable;
extern const struct net_kernels net_kernels_portable;
#if defined(__x86_64__)
extern const struct gpu_kernels gpu_kernels_avx2, gpu_kernels_avx512;
extern const struct net_kernels net_kernels_avx2, net_kernels_avx512;
#endif

static const struct {
    const struct gpu_kernels *gpu;
    const struct net_kernels *net;
} widths[] = {
/* the widest first */
#if defined(__x86_64__)
    {&gpu_kernels_avx512, &net_kernels_avx512},
    {&gpu_kernels_avx2, &net_kernels_avx2},
#endif
    {&gpu_kernels_portable, &net_kernels_portable},
};

static bool runs(const char *name) {
#if defined(__x86_64__)
    if (strcmp(name, "avx512") == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (strcmp(name, "avx2") == 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return strcmp(name, "portable") == 0;
}

/* The place in `widths` of the one named, or of the widest; -1: none. */
static int find(const char *name) {
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        const char *width = widths[i].gpu->name;
        if ((name == NULL || strcmp(name, width) == 0) && runs(width))
            return (int)i;
    }
    return -1;
}

const struct gpu_kernels *gpu_kernels_find(const char *name) {
    int i = find(name);
    return i < 0 ? NULL : widths[i].gpu;
}

const struct net_kernels *net_kernels_find(const char *name) {
    int i = find(name);
    return i < 0 ? NULL : widths[i].net;
}
