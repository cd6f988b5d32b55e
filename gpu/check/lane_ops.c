/* lane_ops.c - see lane_ops.h. */
#define GPU_SIMD   128
#define GPU_SUFFIX portable
#include "check/lane_ops.h"

void lane_ops_cpu(int op, const float *a, const float *b, const float *c, const void *table,
                  int32_t out[LANE_WIDTH]) {
    vi_store(out, lane_op(op, vf_load(a), vf_load(b), vf_load(c), table));
}
