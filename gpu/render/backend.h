/* backend.h - what gpu_renderer asks of whoever draws: the CPU (cpu/renderer.c), or CUDA's plug-in
 * (cuda/plugin.h). A backend's own struct begins with struct gpu_render_backend; gpu_renderer is
 * that. It belongs to one thread at a time. */
#ifndef STANCE_GPU_BACKEND_H
#define STANCE_GPU_BACKEND_H

#include "../stance_gpu.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gpu_render_backend {
    const char *name;     /* "cpu (avx512)", "cuda (NVIDIA H200)", ... */
    const char *fallback; /* gpu_renderer_fallback */

    /* gpu_render, of a batch that renderer.c has checked. */
    int (*draw)(struct gpu_render_backend *backend, const struct gpu_batch *batch,
                const struct gpu_image *images, struct gpu_timings *timings, char *why);
    void (*free)(struct gpu_render_backend *backend);
};

/* cpu/renderer.c. width: as gpu_kernels_find takes it. */
int gpu_render_backend_cpu(const char *width, struct gpu_render_backend **out, char *why);

/* render/cuda.c: the plug-in's, with the CPU's behind it. GPU_EDEVICE says what is missing. */
int gpu_render_backend_cuda(struct gpu_render_backend **out, char *why);

#ifdef __cplusplus
}
#endif
#endif
