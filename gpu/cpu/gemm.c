/* gemm.c - products of matrices, which is what convolutions of whole pixels are; see net_kernels.h.
 *
 * Results are made in tiles of TILE_ROWS x TILE_COLUMNS, which stay in registers over much of the
 * depth: each step along it loads TILE_COLUMNS weights, side by side in memory, and one number of
 * each row. Only so much of the depth (DEPTH) is done for one tile after the other that its weights
 * stay in the first cache; sums wait in memory meanwhile. Weights that are kept as half floats are
 * unpacked there; for a single tile of rows they are used as they are. */
#include "net_kernels.h"
#include "simd_fma.h"

enum {
    TILE_ROWS = GPU_SIMD == 512 ? 8 : 4,
    TILE_VECTORS = NET_PANEL_VECTORS,
    TILE_COLUMNS = TILE_VECTORS * GPU_LANES,
    BLOCK_FLOATS = 1 << 15, /* of the left matrix: multiplied by one panel after the other */
    MIN_ROWS = 8 * TILE_ROWS,
    DEPTH = NET_GEMM_DEPTH,
    AHEAD = 1024, /* half floats: what is so far ahead is fetched from memory already */
};

#define INLINED static inline __attribute__((always_inline))

/* Weights that are used for one tile of rows after the other: some of the depth of some columns. */
struct panel {
    uint32_t column;     /* its first */
    uint32_t from, to;   /* steps along the depth */
    const float *floats; /* [to - from][TILE_COLUMNS], or */
    const uint16_t *half;
    const char *next; /* the weights after these, which are fetched from memory meanwhile, */
    size_t step;      /* so many bytes at each step along the depth */
    float *sums;      /* of the tiles' rows so far: [rows][TILE_COLUMNS] */
};

/* The sums so far of rows x vectors; the biases at first. */
INLINED void start(const struct net_gemm *job, const struct panel *panel, const float *sums,
                   vf sum[TILE_ROWS][TILE_VECTORS], const uint32_t rows, const uint32_t vectors) {
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t v = 0; v < vectors; v++)
            sum[r][v] = panel->from == 0 ? vf_load(job->bias + panel->column + v * GPU_LANES)
                                         : vf_load(sums + r * TILE_COLUMNS + v * GPU_LANES);
}

/* Sums whose depth is done become results. */
INLINED void finish(const struct net_gemm *job, size_t row, uint32_t column,
                    vf sum[TILE_ROWS][TILE_VECTORS], const uint32_t rows, const uint32_t vectors) {
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

/* rows (at most TILE_ROWS) x vectors of results. What is const is known to the compiler; half: the
 * weights are taken from half floats. */
INLINED void tile(const struct net_gemm *job, size_t row, struct panel *panel, const uint32_t rows,
                  const uint32_t vectors, const bool half) {
    vf sum[TILE_ROWS][TILE_VECTORS];
    const float *in = job->in + row * job->in_stride + panel->from, *floats = panel->floats;
    const uint16_t *halves = panel->half;
    const char *next = panel->next;
    const size_t stride = job->in_stride, step = panel->step;
    float *sums = panel->sums;
    start(job, panel, sums, sum, rows, vectors);
    for (uint32_t k = 0; k < panel->to - panel->from; k++) {
        vf weight[TILE_VECTORS];
        for (uint32_t v = 0; v < vectors; v++)
            weight[v] =
                half ? vf_from_half(halves + v * GPU_LANES) : vf_load(floats + v * GPU_LANES);
        __builtin_prefetch(half ? (const char *)(halves + AHEAD) : next);
        next += step;
        if (half)
            halves += TILE_COLUMNS;
        else
            floats += TILE_COLUMNS;
        for (uint32_t r = 0; r < rows; r++) {
            vf left = vf_set1(in[r * stride + k]);
            for (uint32_t v = 0; v < vectors; v++)
                sum[r][v] = vf_fma(left, weight[v], sum[r][v]);
        }
    }
    panel->next = next;
    panel->sums = sums + rows * TILE_COLUMNS;
    if (panel->to == job->depth) {
        finish(job, row, panel->column, sum, rows, vectors);
        return;
    }
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t v = 0; v < vectors; v++)
            vf_store(sums + r * TILE_COLUMNS + v * GPU_LANES, sum[r][v]);
}

INLINED void tiles(const struct net_gemm *job, size_t row, size_t end, struct panel *panel,
                   const uint32_t vectors, const bool half) {
    for (; row + TILE_ROWS <= end; row += TILE_ROWS)
        tile(job, row, panel, TILE_ROWS, vectors, half);
    if (TILE_ROWS == 8 && row + 4 <= end) {
        tile(job, row, panel, 4, vectors, half);
        row += 4;
    }
    for (; row < end; row++)
        tile(job, row, panel, 1, vectors, half);
}

INLINED void tiles_of(const struct net_gemm *job, size_t row, size_t end, struct panel *panel,
                      const bool half) {
    const uint32_t left = job->columns - panel->column;
    if (left > 2 * GPU_LANES)
        tiles(job, row, end, panel, 3, half);
    else if (left > GPU_LANES)
        tiles(job, row, end, panel, 2, half);
    else
        tiles(job, row, end, panel, 1, half);
}

static void unpack(const uint16_t *half, size_t floats, float *to) {
    for (size_t i = 0; i < floats; i += GPU_LANES)
        vf_store(to + i, vf_from_half(half + i));
}

/* Rows [row, end) of a panel's columns, a part of the depth after the other. */
static void multiply(const struct net_gemm *job, size_t row, size_t end, uint32_t column) {
    const size_t at = (size_t)column / TILE_COLUMNS * job->depth * TILE_COLUMNS;
    const size_t count = (end - row + TILE_ROWS - 1) / TILE_ROWS;
    struct panel panel = {.column = column};
    for (; panel.to < job->depth; panel.from = panel.to) {
        const size_t first = at + (size_t)panel.from * TILE_COLUMNS;
        panel.to = job->depth - panel.from > DEPTH ? panel.from + DEPTH : job->depth;
        panel.sums = job->scratch + DEPTH * TILE_COLUMNS;
        if (job->half == NULL) {
            panel.floats = job->weights + first;
            panel.next = (const char *)panel.floats;
            tiles_of(job, row, end, &panel, false);
        } else if (count == 1) {
            panel.half = job->half + first;
            tiles_of(job, row, end, &panel, true);
        } else {
            const size_t floats = (size_t)(panel.to - panel.from) * TILE_COLUMNS;
            panel.floats = job->scratch;
            panel.next = (const char *)(job->half + first + floats);
            panel.step = (TILE_COLUMNS * sizeof *job->half + count - 1) / count;
            unpack(job->half + first, floats, job->scratch);
            tiles_of(job, row, end, &panel, false);
        }
    }
}

void GPU_KERNEL(net_gemm)(const struct net_gemm *job);

void GPU_KERNEL(net_gemm)(const struct net_gemm *job) {
    size_t block = BLOCK_FLOATS / (job->depth + 1) / TILE_ROWS * TILE_ROWS;
    block = block < MIN_ROWS ? MIN_ROWS : block > NET_GEMM_ROWS ? NET_GEMM_ROWS : block;
    for (size_t row = 0; row < job->rows; row += block) {
        const size_t end = row + block < job->rows ? row + block : job->rows;
        for (uint32_t column = 0; column < job->columns; column += TILE_COLUMNS)
            multiply(job, row, end, column);
    }
}
