/* compose.c - a row of the picture: what was shaded over what is behind it; see kernels.h. */
#include "kernels.h"

#include "../render/backdrop.h"

void GPU_KERNEL(gpu_compose)(const struct gpu_shade *job, const struct gpu_row *row);

void GPU_KERNEL(gpu_compose)(const struct gpu_shade *job, const struct gpu_row *row) {
    float *const planes[3] = {row->red, row->green, row->blue};
    for (uint32_t x = 0; x < row->width; x += GPU_LANES) {
        vf open = vf_set1(1.0f) - vf_load(row->coverage + x), behind[3];
        if (vm_bits(vf_less(vf_set1(0.0f), open)) == 0)
            continue;
        vf column = vf_from_vi(vi_iota() + vi_set1((int32_t)x)) + vf_set1(0.5f);
        find_backdrop(job, column, (float)row->y + 0.5f, (float)row->height, behind);
        for (int c = 0; c < 3; c++)
            vf_store(planes[c] + x, behind[c] * open + vf_load(planes[c] + x));
    }
}
