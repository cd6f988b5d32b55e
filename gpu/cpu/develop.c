/* develop.c - a row of linear light to the picture's bytes; see kernels.h. */
#include "kernels.h"

#include "../render/develop.h"

/* [width] words of R | G << 8 | B << 16 to bytes. */
static void unpack(const uint32_t *packed, uint32_t width, uint8_t *rgb) {
    uint32_t x = 0;
#if GPU_SIMD >= 256
    const __m128i squeeze = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    for (; x + 6 <= width; x += 4) { /* four bytes more are written than meant */
        __m128i four;
        memcpy(&four, packed + x, sizeof four);
        four = _mm_shuffle_epi8(four, squeeze);
        memcpy(rgb + 3 * (size_t)x, &four, sizeof four);
    }
#endif
    for (; x < width; x++) {
        rgb[3 * (size_t)x] = (uint8_t)packed[x];
        rgb[3 * (size_t)x + 1] = (uint8_t)(packed[x] >> 8);
        rgb[3 * (size_t)x + 2] = (uint8_t)(packed[x] >> 16);
    }
}

void GPU_KERNEL(gpu_develop)(const struct gpu_develop *job, const struct gpu_row *row);

void GPU_KERNEL(gpu_develop)(const struct gpu_develop *job, const struct gpu_row *row) {
    for (uint32_t x = 0; x < row->width; x += GPU_LANES) {
        const vf linear[3] = {vf_load(row->red + x), vf_load(row->green + x),
                              vf_load(row->blue + x)};
        vi column = vi_iota() + vi_set1((int32_t)x);
        vi_store(row->packed + x, develop_pixel(job, column, row->y, linear));
    }
    unpack(row->packed, row->width, row->rgb);
}
