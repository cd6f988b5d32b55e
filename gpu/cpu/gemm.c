/* gemm.c - products of matrices, which is what convolutions of whole pixels are; see net_kernels.h.
 *
 * Results are made in tiles of TILE_ROWS x TILE_COLUMNS, which stay in registers over all of the
 * depth: each step along it loads TILE_COLUMNS weights, side by side in memory, and one number of
 * each row. Weights that are kept as half floats are unpacked a panel (all the depth of
 * TILE_COLUMNS columns) at a time, and then used for many tiles; for a single
 * tile of rows they are used as they are. */
#include "net_kernels.h"
#include "simd_fma.h"

enum {
    TILE_ROWS = GPU_SIMD == 512 ? 8 : 4,
    TILE_VECTORS = NET_PANEL_VECTORS,
    TILE_COLUMNS = TILE_VECTORS * GPU_LANES,
    BLOCK_FLOATS = 1 << 15, /* of the left matrix: multiplied by one panel after the other */
    AHEAD = 1024,           /* half floats: what is so far ahead is fetched from memory already */
};

#define INLINED static inline __attribute__((always_inline))

/* The weights of one step along the depth. */
INLINED void load_weights(const struct net_gemm *job, size_t at, const float *panel,
                          vf weight[TILE_VECTORS], const uint32_t vectors, const bool half) {
    for (uint32_t v = 0; v < vectors; v++)
        weight[v] =
            half ? vf_from_half(job->half + at + v * GPU_LANES) : vf_load(panel + v * GPU_LANES);
    if (half)
        __builtin_prefetch(job->half + at + AHEAD);
}

/* rows (at most TILE_ROWS) x vectors of results, from a panel, or (half) from the half floats at
 * `at`. What is const is known to the compiler. */
INLINED void tile(const struct net_gemm *job, size_t row, uint32_t column, const float *panel,
                  size_t at, const uint32_t rows, const uint32_t vectors, const bool half) {
    vf sum[TILE_ROWS][TILE_VECTORS];
    const float *in = job->in + row * job->in_stride;
    const size_t stride = job->in_stride;
    for (uint32_t v = 0; v < vectors; v++) {
        vf bias = vf_load(job->bias + column + v * GPU_LANES);
        for (uint32_t r = 0; r < rows; r++)
            sum[r][v] = bias;
    }
    for (uint32_t k = 0; k < job->depth; k++) {
        vf weight[TILE_VECTORS];
        load_weights(job, at, panel, weight, vectors, half);
        panel += TILE_COLUMNS;
        at += TILE_COLUMNS;
        for (uint32_t r = 0; r < rows; r++) {
            vf left = vf_set1(in[r * stride + k]);
            for (uint32_t v = 0; v < vectors; v++)
                sum[r][v] = vf_fma(left, weight[v], sum[r][v]);
        }
    }
    const vf low = vf_set1(job->relu6 ? 0.0f : -__builtin_inff());
    const vf high = vf_set1(job->relu6 ? 6.0f : __builtin_inff());
    const uint32_t last = job->columns - column - (vectors - 1) * GPU_LANES;
    for (uint32_t r = 0; r < rows; r++) {
        size_t to = (row + r) * job->columns + column;
        for (uint32_t v = 0; v < vectors; v++, to += GPU_LANES) {
            vf value = sum[r][v];
            if (job->add != NULL)
                value += vf_load(job->add + to);
            value = vf_clamp(value, low, high);
            if (v + 1 < vectors)
                vf_store(job->out + to, value);
            else
                vf_store_first(job->out + to, value, last);
        }
    }
}

INLINED void tiles(const struct net_gemm *job, size_t row, size_t end, uint32_t column,
                   const float *panel, size_t at, const uint32_t vectors, const bool half) {
    for (; row + TILE_ROWS <= end; row += TILE_ROWS)
        tile(job, row, column, panel, at, TILE_ROWS, vectors, half);
    if (TILE_ROWS == 8 && row + 4 <= end) {
        tile(job, row, column, panel, at, 4, vectors, half);
        row += 4;
    }
    for (; row < end; row++)
        tile(job, row, column, panel, at, 1, vectors, half);
}

INLINED void tiles_of(const struct net_gemm *job, size_t row, size_t end, uint32_t column,
                      const float *panel, size_t at, const bool half) {
    const uint32_t left = job->columns - column;
    if (left > 2 * GPU_LANES)
        tiles(job, row, end, column, panel, at, 3, half);
    else if (left > GPU_LANES)
        tiles(job, row, end, column, panel, at, 2, half);
    else
        tiles(job, row, end, column, panel, at, 1, half);
}

static void unpack(const struct net_gemm *job, size_t at, size_t floats) {
    for (size_t i = 0; i < floats; i += GPU_LANES) {
        vf_store(job->panel + i, vf_from_half(job->half + at + i));
        __builtin_prefetch(job->half + at + i + AHEAD);
    }
}

void GPU_KERNEL(net_gemm)(const struct net_gemm *job);

void GPU_KERNEL(net_gemm)(const struct net_gemm *job) {
    const size_t floats = (size_t)job->depth * TILE_COLUMNS;
    size_t block = BLOCK_FLOATS / (job->depth + 1) / TILE_ROWS * TILE_ROWS;
    block = block < 8 * TILE_ROWS ? 8 * TILE_ROWS : block;
    for (size_t row = 0; row < job->rows; row += block) {
        const size_t end = row + block < job->rows ? row + block : job->rows;
        for (uint32_t column = 0; column < job->columns; column += TILE_COLUMNS) {
            size_t at = column / TILE_COLUMNS * floats;
            if (job->half == NULL) {
                tiles_of(job, row, end, column, job->weights + at, 0, false);
            } else if (end - row <= TILE_ROWS) {
                tiles_of(job, row, end, column, job->panel, at, true);
            } else {
                unpack(job, at, floats);
                tiles_of(job, row, end, column, job->panel, 0, false);
            }
        }
    }
}
