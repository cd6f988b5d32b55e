/* depthwise.h - depthwise convolutions of 3x3 and 5x5, stride 1 and 2, with bias and ReLU6.
 *
 * One item makes a strip of neighbouring pixels of eight channels: weights and the pixels that the
 * strip's windows share are read once into registers. Neighbouring threads take neighbouring
 * channels, so each access of a warp is one run of 16-byte words.
 *
 * Floors, a picture of H x W x C out: bytes 2C(H s W s + H W) (each number read and written once;
 * what windows share comes from L1), operations H W C k k products in fp32. At k = 5 that is 25
 * products for 4 bytes: memory-bound on anything with less than 12 fp32 operations a byte, which
 * is every device that this is built for. */
#ifndef STANCE_CUDA_DEPTHWISE_H
#define STANCE_CUDA_DEPTHWISE_H

#include "cuda/kernel.h"

enum { DEPTHWISE_STRIP = 4 };

template <int Kernel, int Stride> struct depthwise {
    const __half *x;
    const __half *weights; /* [Kernel][Kernel][channels] */
    const float *bias;     /* [channels] */
    __half *out;
    cuda_shape in;
    uint32_t height, width; /* out */
    uint32_t top, left;     /* zeros before the picture */
    net_activation activation;

    CUDA_ANY uint32_t strips() const {
        return (width + DEPTHWISE_STRIP - 1) / DEPTHWISE_STRIP;
    }

    CUDA_ANY uint32_t items() const {
        return in.batch * height * strips() * (in.channels / CUDA_LANES);
    }

    CUDA_ANY void operator()(uint32_t i) const {
        constexpr int columns = (DEPTHWISE_STRIP - 1) * Stride + Kernel;
        const uint32_t vectors = in.channels / CUDA_LANES;
        const uint32_t c = i % vectors * CUDA_LANES;
        i /= vectors;
        const uint32_t x0 = i % strips() * DEPTHWISE_STRIP;
        i /= strips();
        const uint32_t y = i % height, n = i / height;
        float8 sum[DEPTHWISE_STRIP];
#pragma unroll
        for (int t = 0; t < DEPTHWISE_STRIP; t++)
#pragma unroll
            for (int lane = 0; lane < CUDA_LANES; lane++)
                sum[t].v[lane] = bias[c + lane];
        const int first = (int)(x0 * Stride) - (int)left;
#pragma unroll
        for (int ky = 0; ky < Kernel; ky++) {
            const int row = (int)(y * Stride) + ky - (int)top;
            if (row < 0 || row >= (int)in.height)
                continue;
            const __half *line = x + ((size_t)n * in.height + row) * in.width * in.channels + c;
            float8 weight[Kernel];
#pragma unroll
            for (int kx = 0; kx < Kernel; kx++)
                weight[kx] = half8_load(weights + (ky * Kernel + kx) * in.channels + c);
#pragma unroll
            for (int j = 0; j < columns; j++) {
                const int column = first + j;
                if (column < 0 || column >= (int)in.width)
                    continue;
                const float8 value = half8_load(line + (size_t)column * in.channels);
#pragma unroll
                for (int t = 0; t < DEPTHWISE_STRIP; t++) {
                    const int kx = j - t * Stride;
                    if (kx < 0 || kx >= Kernel)
                        continue;
#pragma unroll
                    for (int lane = 0; lane < CUDA_LANES; lane++)
                        sum[t].v[lane] += value.v[lane] * weight[kx].v[lane];
                }
            }
        }
        __half *to = out + (((size_t)n * height + y) * width + x0) * in.channels + c;
#pragma unroll
        for (int t = 0; t < DEPTHWISE_STRIP; t++) {
            if (x0 + t >= width)
                break;
            activate8(sum[t], activation);
            half8_store(to + (size_t)t * in.channels, sum[t]);
        }
    }
};

#endif
