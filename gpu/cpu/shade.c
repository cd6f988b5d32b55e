/* shade.c - the colour of fragments; see kernels.h, and render/light.h for the light. */
#include "kernels.h"

#include "../render/light.h"
#include "../render/openness.h"

void GPU_KERNEL(gpu_shade)(const struct gpu_shade *job, const struct gpu_fragments *fragments,
                           uint32_t count);

void GPU_KERNEL(gpu_shade)(const struct gpu_shade *job, const struct gpu_fragments *fragments,
                           uint32_t count) {
    for (uint32_t i = 0; i < count; i += GPU_LANES) {
        vf color[3];
        shade_fragment(job, vi_load(fragments->triangle + i), vf_load(fragments->x + i),
                       vf_load(fragments->y + i), color);
        vf_store(fragments->red + i, color[0]);
        vf_store(fragments->green + i, color[1]);
        vf_store(fragments->blue + i, color[2]);
    }
}

void GPU_KERNEL(gpu_open)(const struct gpu_open_grid *grid, const float *vertices, uint32_t count,
                          float *out);

void GPU_KERNEL(gpu_open)(const struct gpu_open_grid *grid, const float *vertices, uint32_t count,
                          float *out) {
    for (uint32_t i = 0; i < count; i += GPU_LANES) {
        vi offset = (vi_iota() + vi_set1((int32_t)i)) * vi_set1(GPU_VERTEX_FLOATS);
        vf point[3], normal[3];
        gather3(vertices, offset, point);
        gather3(vertices + 4, offset, normal);
        vf_store(out + i, find_open(grid, point, normal));
    }
}
