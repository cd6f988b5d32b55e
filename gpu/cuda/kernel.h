/* kernel.h - what every CUDA kernel here is made of: vectors of eight half floats, and items.
 *
 * Numbers between layers lie as NHWC in fp16, channels filled up to a multiple of eight with zeros,
 * so that a thread reads and writes 16 bytes at once; sums are taken in fp32.
 *
 * Most kernels are items: a struct with what they need, whose operator()(i) makes the i-th piece of
 * the result. items_launch runs them on a device, items_run one after the other on the CPU: so the
 * checks can run the same lines where there is no device.
 *
 * Threads: launching is its caller's business. */
#ifndef STANCE_CUDA_KERNEL_H
#define STANCE_CUDA_KERNEL_H

#include "net/graph.h"

#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#define CUDA_ANY __host__ __device__

enum { CUDA_LANES = 8, ITEM_THREADS = 128 };

/* Channels as they are stored. */
CUDA_ANY static inline uint32_t channels_stored(uint32_t channels) {
    return (channels + CUDA_LANES - 1) / CUDA_LANES * CUDA_LANES;
}

struct alignas(16) half8 {
    __half2 pair[4];
};

struct float8 {
    float v[CUDA_LANES];
};

CUDA_ANY static inline float8 half8_load(const __half *from) {
    const half8 in = *reinterpret_cast<const half8 *>(from);
    float8 out;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float2 two = __half22float2(in.pair[i]);
        out.v[2 * i] = two.x;
        out.v[2 * i + 1] = two.y;
    }
    return out;
}

CUDA_ANY static inline void half8_store(__half *to, const float8 &in) {
    half8 out;
#pragma unroll
    for (int i = 0; i < 4; i++)
        out.pair[i] = __floats2half2_rn(in.v[2 * i], in.v[2 * i + 1]);
    *reinterpret_cast<half8 *>(to) = out;
}

CUDA_ANY static inline float activate(float value, net_activation activation) {
    if (activation == NET_RELU6)
        value = value < 0.0f ? 0.0f : value > 6.0f ? 6.0f : value;
    return value;
}

CUDA_ANY static inline void activate8(float8 &value, net_activation activation) {
#pragma unroll
    for (int i = 0; i < CUDA_LANES; i++)
        value.v[i] = activate(value.v[i], activation);
}

/* A tensor's place and size for a batch. */
struct cuda_shape {
    uint32_t batch, height, width, channels; /* channels as they are stored */
};

template <class Item>
__global__ void __launch_bounds__(ITEM_THREADS) items_kernel(const Item item, uint32_t count) {
    for (uint32_t i = blockIdx.x * ITEM_THREADS + threadIdx.x; i < count;
         i += gridDim.x * ITEM_THREADS)
        item(i);
}

/* Enqueues `count` items. */
template <class Item>
static inline cudaError_t items_launch(const Item &item, uint32_t count, cudaStream_t stream) {
    const uint32_t most = 1u << 20; /* blocks; more items than that take turns */
    const uint32_t needed = (count + ITEM_THREADS - 1) / ITEM_THREADS;
    const uint32_t blocks = needed < most ? needed : most;
    if (count > 0)
        items_kernel<<<blocks, ITEM_THREADS, 0, stream>>>(item, count);
    return cudaPeekAtLastError();
}

template <class Item> static inline void items_run(const Item &item, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        item(i);
}

/* -- Rows of items ------------------------------------------------------------------------------
 */

/* operator()(row, i): the same for several things of different sizes; an item beyond its row's end
 * returns at once. */
template <class Item>
__global__ void __launch_bounds__(ITEM_THREADS)
    rows_kernel(const Item item, uint32_t rows, uint32_t count) {
    for (uint32_t row = blockIdx.y; row < rows; row += gridDim.y)
        for (uint32_t i = blockIdx.x * ITEM_THREADS + threadIdx.x; i < count;
             i += gridDim.x * ITEM_THREADS)
            item(row, i);
}

template <class Item>
static inline cudaError_t rows_launch(const Item &item, uint32_t rows, uint32_t count,
                                      cudaStream_t stream) {
    const uint32_t most = 1u << 16;
    const uint32_t needed = (count + ITEM_THREADS - 1) / ITEM_THREADS;
    const dim3 grid(needed < most ? needed : most, rows < 65535 ? rows : 65535);
    if (rows > 0 && count > 0)
        rows_kernel<<<grid, ITEM_THREADS, 0, stream>>>(item, rows, count);
    return cudaPeekAtLastError();
}

/* item.count() items, which only the device knows. */
template <class Item>
__global__ void __launch_bounds__(ITEM_THREADS) counted_kernel(const Item item) {
    const uint32_t count = item.count();
    for (uint32_t i = blockIdx.x * ITEM_THREADS + threadIdx.x; i < count;
         i += gridDim.x * ITEM_THREADS)
        item(i);
}

template <class Item>
static inline cudaError_t counted_launch(const Item &item, uint32_t blocks, cudaStream_t stream) {
    counted_kernel<<<blocks, ITEM_THREADS, 0, stream>>>(item);
    return cudaPeekAtLastError();
}

#endif
