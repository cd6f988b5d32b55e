/* trace.c - normals and flow of the points that a row's pixels show; see kernels.h. */
#include "kernels.h"

#include "../render/trace.h"

void GPU_KERNEL(gpu_trace)(const struct gpu_trace *job, const struct gpu_fragments *points,
                           uint32_t count, float *const normal[3], float *const flow[2]);

void GPU_KERNEL(gpu_trace)(const struct gpu_trace *job, const struct gpu_fragments *points,
                           uint32_t count, float *const normal[3], float *const flow[2]) {
    for (uint32_t i = 0; i < count; i += GPU_LANES) {
        vf n[3], f[2];
        trace_point(job, vi_load(points->triangle + i), vf_load(points->x + i),
                    vf_load(points->y + i), normal != NULL ? n : NULL, flow != NULL ? f : NULL);
        for (int c = 0; normal != NULL && c < 3; c++)
            vf_store(normal[c] + i, n[c]);
        for (int c = 0; flow != NULL && c < 2; c++)
            vf_store(flow[c] + i, f[c]);
    }
}
