/* conv.h - dense convolutions on tensor cores: fp16 factors, fp32 sums.
 *
 * A convolution is a product of matrices: rows are the batch's output pixels, columns the output
 * channels, and what is summed over the taps' input channels; input pixels are gathered as they are
 * needed (for 1x1 kernels that is the tensor as it lies). A block of four warps makes 64 pixels x
 * Columns channels; slices of 32 inputs stream through four stages of shared memory, three under
 * way while one is used. Bias, ReLU6, and a tensor that is added go with the result's only write.
 *
 * Floors, P pixels, K inputs a pixel, C channels: bytes 2 (P K / taps + K C + P C), products P K C
 * on the tensor cores. The pose networks have 2 to 100 operations a byte here, an H200 wants 200:
 * memory-bound, which is why everything that follows a convolution is fused into it.
 *
 * The block's code is written against a Lane: a thread of a device, or of the checks' emulation of
 * one on the CPU. */
#ifndef STANCE_CUDA_CONV_H
#define STANCE_CUDA_CONV_H

#include "cuda/kernel.h"

enum {
    CONV_ROWS = 64,  /* output pixels a block */
    CONV_SLICE = 32, /* inputs a stage */
    CONV_STAGES = 4, /* slices in shared memory */
    CONV_THREADS = 128,
    CONV_PITCH = CONV_SLICE + 8, /* halves from row to row: 20 words, so that the eight rows that a
                                    warp reads at once lie in different banks */
    CONV_WIDEST = 64,            /* columns of the widest block: weights are filled up to it */
};

struct conv_args {
    const __half *x;
    const __half *weights; /* [columns, filled to CONV_WIDEST][inputs, filled to CONV_SLICE] */
    const float *bias;     /* [columns, filled] */
    const __half *more;    /* what is added after `activation`, or null */
    __half *out;           /* [batch][height][width][channels stored], or null */
    float *out_float;      /* where `out` is null: [batch][height][width][channels], dense */
    size_t apart;          /* floats from picture to picture of out_float */
    cuda_shape in;
    uint32_t height, width, channels; /* out */
    uint32_t kernel[2], stride[2];
    uint32_t top, left; /* zeros before the picture */
    net_activation activation, after;

    CUDA_ANY uint32_t rows() const {
        return in.batch * height * width;
    }
    CUDA_ANY uint32_t inputs() const {
        return kernel[0] * kernel[1] * in.channels;
    }
    CUDA_ANY uint32_t pitch() const { /* halves from row to row of the weights */
        return (inputs() + CONV_SLICE - 1) / CONV_SLICE * CONV_SLICE;
    }
    /* 1x1, and no pixel is left out: the tensor is the matrix. */
    CUDA_ANY bool pointwise() const {
        return kernel[0] * kernel[1] * stride[0] * stride[1] == 1;
    }
};

/* Halves of shared memory that a block needs. */
template <int Columns> struct conv_shared {
    static constexpr int halves = CONV_STAGES * (CONV_ROWS + Columns) * CONV_PITCH;
};

template <int Columns, bool Pointwise, class Lane> struct conv_block {
    static constexpr int tiles = Columns / 8;

    const conv_args &a;
    Lane &lane;
    __half *shared;
    uint32_t first_row, first_column;
    int thread;
    /* The two rows whose 16-byte pieces this thread fetches: pixel, and where its window begins. */
    const __half *row_start[2];
    int row_y[2], row_x[2];

    CUDA_ANY conv_block(const conv_args &args, Lane &lane_, __half *shared_, uint32_t block_row,
                        uint32_t block_column)
        : a(args), lane(lane_), shared(shared_), first_row(block_row * CONV_ROWS),
          first_column(block_column * Columns), thread(lane_.thread()) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            uint32_t row = first_row + thread / 4 + 32 * i;
            const bool there = row < a.rows();
            row = there ? row : 0;
            if (Pointwise) {
                row_start[i] = there ? a.x + (size_t)row * a.in.channels : nullptr;
                row_y[i] = row_x[i] = 0;
                continue;
            }
            const uint32_t x = row % a.width, y = row / a.width % a.height;
            const uint32_t n = row / a.width / a.height;
            row_start[i] =
                there ? a.x + (size_t)n * a.in.height * a.in.width * a.in.channels : nullptr;
            row_y[i] = (int)(y * a.stride[0]) - (int)a.top;
            row_x[i] = (int)(x * a.stride[1]) - (int)a.left;
        }
    }

    CUDA_ANY __half *pixels_of(int stage) const {
        return shared + stage * (CONV_ROWS + Columns) * CONV_PITCH;
    }

    /* Input k of row i; null for a zero. */
    CUDA_ANY const __half *input(int i, uint32_t k) const {
        if (row_start[i] == nullptr || k >= a.inputs())
            return nullptr;
        if (Pointwise)
            return row_start[i] + k;
        const uint32_t tap = k / a.in.channels, c = k % a.in.channels;
        const int y = row_y[i] + (int)(tap / a.kernel[1]);
        const int x = row_x[i] + (int)(tap % a.kernel[1]);
        if (y < 0 || y >= (int)a.in.height || x < 0 || x >= (int)a.in.width)
            return nullptr;
        return row_start[i] + ((size_t)y * a.in.width + x) * a.in.channels + c;
    }

    CUDA_ANY void fetch(uint32_t slice, int stage) const {
        __half *pixels = pixels_of(stage), *weights = pixels + CONV_ROWS * CONV_PITCH;
        const uint32_t piece = thread % 4 * CUDA_LANES, k = slice * CONV_SLICE + piece;
#pragma unroll
        for (int i = 0; i < 2; i++)
            lane.copy16(pixels + (thread / 4 + 32 * i) * CONV_PITCH + piece, input(i, k), a.x);
#pragma unroll
        for (int column = thread / 4; column < Columns; column += 32)
            lane.copy16(weights + column * CONV_PITCH + piece,
                        a.weights + (size_t)(first_column + column) * a.pitch() + k, a.weights);
    }

    CUDA_ANY static uint32_t two(const __half *at) {
        return *reinterpret_cast<const uint32_t *>(at);
    }

    /* Adds one stage's products. The tensor cores' layout (m16n8k16): thread 4g + t of a warp holds
     * of the pixels rows g and g + 8, inputs 2t, 2t + 1 and those eight further; of the weights
     * column g and the same inputs; of the sums rows g and g + 8, columns 2t and 2t + 1. */
    CUDA_ANY void multiply(int stage, float (&sums)[tiles][4]) const {
        const int group = thread % 32 / 4, pair = thread % 4 * 2;
        const __half *pixels = pixels_of(stage) + (thread / 32 * 16 + group) * CONV_PITCH + pair;
        const __half *weights = pixels_of(stage) + (CONV_ROWS + group) * CONV_PITCH + pair;
#pragma unroll
        for (int k = 0; k < CONV_SLICE; k += 16) {
            const uint32_t left[4] = {two(pixels + k), two(pixels + 8 * CONV_PITCH + k),
                                      two(pixels + k + 8), two(pixels + 8 * CONV_PITCH + k + 8)};
#pragma unroll
            for (int tile = 0; tile < tiles; tile++) {
                const __half *column = weights + tile * 8 * CONV_PITCH + k;
                const uint32_t right[2] = {two(column), two(column + 8)};
                lane.multiply_add(sums[tile], left, right);
            }
        }
    }

    /* Through shared memory, so that the result is written in runs of 16 bytes. */
    CUDA_ANY void write_halves(const float (&sums)[tiles][4]) const {
        constexpr int pitch = Columns + 8;
        const int row = thread / 32 * 16 + thread % 32 / 4, pair = thread % 4 * 2;
#pragma unroll
        for (int tile = 0; tile < tiles; tile++) {
            const int column = tile * 8 + pair;
            const float *bias = a.bias + first_column + column;
#pragma unroll
            for (int half = 0; half < 2; half++)
                *reinterpret_cast<__half2 *>(shared + (row + 8 * half) * pitch + column) =
                    __floats2half2_rn(activate(sums[tile][2 * half] + bias[0], a.activation),
                                      activate(sums[tile][2 * half + 1] + bias[1], a.activation));
        }
        lane.sync();
        const uint32_t stored = channels_stored(a.channels);
        for (int i = thread; i < CONV_ROWS * tiles; i += CONV_THREADS) {
            const uint32_t at_row = first_row + i / tiles, column = i % tiles * CUDA_LANES;
            if (at_row >= a.rows() || first_column + column >= stored)
                continue;
            const size_t at = (size_t)at_row * stored + first_column + column;
            float8 value = half8_load(shared + i / tiles * pitch + column);
            if (a.more != nullptr) {
                const float8 more = half8_load(a.more + at);
#pragma unroll
                for (int j = 0; j < CUDA_LANES; j++)
                    value.v[j] += more.v[j];
                activate8(value, a.after);
            }
            half8_store(a.out + at, value);
        }
    }

    CUDA_ANY void write_floats(const float (&sums)[tiles][4]) const {
        const uint32_t pixels = a.height * a.width;
        const uint32_t row = first_row + thread / 32 * 16 + thread % 32 / 4;
#pragma unroll
        for (int tile = 0; tile < tiles; tile++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const uint32_t column = first_column + tile * 8 + thread % 4 * 2 + i % 2;
                const uint32_t at = row + i / 2 * 8;
                if (at < a.rows() && column < a.channels)
                    a.out_float[at / pixels * a.apart + (size_t)(at % pixels) * a.channels +
                                column] = activate(sums[tile][i] + a.bias[column], a.activation);
            }
    }

    CUDA_ANY void run() const {
        const int slices = (int)(a.pitch() / CONV_SLICE);
        float sums[tiles][4] = {};
        for (int stage = 0; stage < CONV_STAGES - 1; stage++) {
            if (stage < slices)
                fetch(stage, stage);
            lane.commit();
        }
        for (int slice = 0; slice < slices; slice++) {
            lane.template wait<CONV_STAGES - 2>(); /* this slice is there for me, */
            lane.sync(); /* and for all; and all are done with the stage that is filled next */
            const int next = slice + CONV_STAGES - 1;
            if (next < slices)
                fetch(next, next % CONV_STAGES);
            lane.commit();
            multiply(slice % CONV_STAGES, sums);
        }
        if (a.out == nullptr) {
            write_floats(sums);
            return;
        }
        lane.template wait<0>();
        lane.sync(); /* the stages are over: their memory is the result's now */
        write_halves(sums);
    }
};

/* Columns of a block: the widest that is not mostly filling, and narrow ones where there are too
 * few blocks to keep a device busy. */
static inline int conv_columns(const conv_args &args) {
    const uint32_t blocks = (args.rows() + CONV_ROWS - 1) / CONV_ROWS;
    if (args.channels <= 16 || blocks * ((args.channels + 31) / 32) < 64)
        return 16;
    return args.channels <= 32 || blocks * ((args.channels + 63) / 64) < 128 ? 32 : 64;
}

/* Enqueues it. */
cudaError_t conv_launch(const conv_args &args, cudaStream_t stream);

#endif
