/* layers.h - the layers that only move numbers or touch each once: sums, resizing, pooling,
 * padding, rearranging, sigmoids, and the ways from float to half and back.
 *
 * All are bound by memory: a floor is the bytes of what is read and written, once each; an item is
 * a vector of eight channels of the result. */
#ifndef STANCE_CUDA_LAYERS_H
#define STANCE_CUDA_LAYERS_H

#include "cuda/kernel.h"

/* a + b. Item: eight numbers. */
struct layer_add {
    const __half *a, *b;
    __half *out;
    net_activation activation;

    CUDA_ANY void operator()(uint32_t i) const {
        float8 sum = half8_load(a + (size_t)i * CUDA_LANES);
        const float8 other = half8_load(b + (size_t)i * CUDA_LANES);
#pragma unroll
        for (int lane = 0; lane < CUDA_LANES; lane++)
            sum.v[lane] += other.v[lane];
        activate8(sum, activation);
        half8_store(out + (size_t)i * CUDA_LANES, sum);
    }
};

/* The place of a vector of eight channels. */
struct layer_place {
    uint32_t n, y, x, c;

    CUDA_ANY layer_place(uint32_t i, const cuda_shape &shape) {
        const uint32_t vectors = shape.channels / CUDA_LANES;
        c = i % vectors * CUDA_LANES;
        i /= vectors;
        x = i % shape.width;
        i /= shape.width;
        y = i % shape.height;
        n = i / shape.height;
    }
};

CUDA_ANY static inline size_t layer_offset(const cuda_shape &shape, uint32_t n, uint32_t y,
                                           uint32_t x, uint32_t c) {
    return (((size_t)n * shape.height + y) * shape.width + x) * shape.channels + c;
}

CUDA_ANY static inline uint32_t layer_vectors(const cuda_shape &shape) {
    return shape.batch * shape.height * shape.width * (shape.channels / CUDA_LANES);
}

/* Twice the size, bilinear, pixel centres at halves: a quarter of the one neighbour, three quarters
 * of the other. `more`, when it is there, is added: resizing and adding are one pass. */
struct layer_resize {
    const __half *x, *more;
    __half *out;
    cuda_shape from, to;
    net_activation activation;

    CUDA_ANY void operator()(uint32_t i) const {
        const layer_place at(i, to);
        const uint32_t y0 = at.y == 0 ? 0 : (at.y - 1) / 2, x0 = at.x == 0 ? 0 : (at.x - 1) / 2;
        const uint32_t y1 = at.y == 0 ? 0 : y0 + 1 < from.height ? y0 + 1 : y0;
        const uint32_t x1 = at.x == 0 ? 0 : x0 + 1 < from.width ? x0 + 1 : x0;
        const float down = at.y % 2 == 0 ? 0.75f : 0.25f, right = at.x % 2 == 0 ? 0.75f : 0.25f;
        const float8 a = half8_load(x + layer_offset(from, at.n, y0, x0, at.c));
        const float8 b = half8_load(x + layer_offset(from, at.n, y0, x1, at.c));
        const float8 c = half8_load(x + layer_offset(from, at.n, y1, x0, at.c));
        const float8 d = half8_load(x + layer_offset(from, at.n, y1, x1, at.c));
        float8 sum;
#pragma unroll
        for (int lane = 0; lane < CUDA_LANES; lane++) {
            const float above = a.v[lane] + (b.v[lane] - a.v[lane]) * right;
            const float below = c.v[lane] + (d.v[lane] - c.v[lane]) * right;
            sum.v[lane] = above + (below - above) * down;
        }
        if (more != nullptr) {
            const float8 other = half8_load(more + (size_t)i * CUDA_LANES);
#pragma unroll
            for (int lane = 0; lane < CUDA_LANES; lane++)
                sum.v[lane] += other.v[lane];
        }
        activate8(sum, activation);
        half8_store(out + (size_t)i * CUDA_LANES, sum);
    }
};

/* The greatest of each window; windows lie inside the picture. */
struct layer_pool {
    const __half *x;
    __half *out;
    cuda_shape from, to;
    uint32_t kernel[2], stride[2];

    CUDA_ANY void operator()(uint32_t i) const {
        const layer_place at(i, to);
        const uint32_t y = at.y * stride[0], x0 = at.x * stride[1];
        float8 most = half8_load(x + layer_offset(from, at.n, y, x0, at.c));
        for (uint32_t k = 1; k < kernel[0] * kernel[1]; k++) {
            const float8 value = half8_load(
                x + layer_offset(from, at.n, y + k / kernel[1], x0 + k % kernel[1], at.c));
#pragma unroll
            for (int lane = 0; lane < CUDA_LANES; lane++)
                most.v[lane] = value.v[lane] > most.v[lane] ? value.v[lane] : most.v[lane];
        }
        half8_store(out + (size_t)i * CUDA_LANES, most);
    }
};

/* Four groups of channels become the four pixels of a square. */
struct layer_spread {
    const __half *x;
    __half *out;
    cuda_shape from, to;

    CUDA_ANY void operator()(uint32_t i) const {
        const layer_place at(i, to);
        const uint32_t group = at.y % 2 * 2 + at.x % 2;
        half8_store(out + (size_t)i * CUDA_LANES,
                    half8_load(x + layer_offset(from, at.n, at.y / 2, at.x / 2,
                                                group * to.channels + at.c)));
    }
};

/* Zeros around the picture and behind its channels. */
struct layer_pad {
    const __half *x;
    __half *out;
    cuda_shape from, to;
    uint32_t top, left;

    CUDA_ANY void operator()(uint32_t i) const {
        const layer_place at(i, to);
        const uint32_t y = at.y - top, column = at.x - left; /* wrap below the first */
        float8 value = {};
        if (y < from.height && column < from.width && at.c < from.channels)
            value = half8_load(x + layer_offset(from, at.n, y, column, at.c));
        half8_store(out + (size_t)i * CUDA_LANES, value);
    }
};

/* ReLU6 in place. Item: eight numbers. */
struct layer_clip {
    __half *x;

    CUDA_ANY void operator()(uint32_t i) const {
        float8 value = half8_load(x + (size_t)i * CUDA_LANES);
        activate8(value, NET_RELU6);
        half8_store(x + (size_t)i * CUDA_LANES, value);
    }
};

/* Floats, channel by channel, to halves with filled channels. Item: a vector of the result. */
struct layer_import {
    const float *x;
    __half *out;
    cuda_shape to;
    uint32_t channels; /* of x */

    CUDA_ANY void operator()(uint32_t i) const {
        const uint32_t vectors = to.channels / CUDA_LANES;
        const uint32_t c = i % vectors * CUDA_LANES;
        const float *from = x + (size_t)(i / vectors) * channels;
        float8 value;
#pragma unroll
        for (int lane = 0; lane < CUDA_LANES; lane++)
            value.v[lane] = c + lane < channels ? from[c + lane] : 0.0f;
        half8_store(out + (size_t)i * CUDA_LANES, value);
    }
};

/* The way back, to a place in an output. Item: one number. */
struct layer_export {
    const __half *x;
    float *out;
    cuda_shape from;
    uint32_t channels; /* of out */
    size_t apart;      /* floats from picture to picture of out */

    CUDA_ANY void operator()(uint32_t i) const {
        const uint32_t c = i % channels, pixels = from.height * from.width;
        const uint32_t pixel = i / channels;
        out[pixel / pixels * apart + (size_t)(pixel % pixels) * channels + c] =
            __half2float(x[(size_t)pixel * from.channels + c]);
    }
};

/* In place, on a part of an output. Item: one number. */
struct layer_sigmoid {
    float *x;
    uint32_t count; /* of one picture */
    size_t apart;   /* floats from picture to picture */

    CUDA_ANY void operator()(uint32_t i) const {
        float *at = x + i / count * apart + i % count;
        *at = 1.0f / (1.0f + expf(-*at));
    }
};

#endif
