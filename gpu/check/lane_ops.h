/* lane_ops.h - every function that shared maths is written in (render/lanes.h), once by number:
 * compiled for the CPU by lane_ops.c and for CUDA by cuda_lanes.cu, which compares them. */
#ifndef STANCE_CHECK_LANE_OPS_H
#define STANCE_CHECK_LANE_OPS_H

#include "render/lanes.h"

enum { LANE_OPS = 46, LANE_WIDTH = 4 };

/* The bits of operation `op` of floats, or of their bits; masks come as 0 and 1. table: 256 words
 * that gathers read. */
GPU_LANE vi lane_op(int op, vf a, vf b, vf c, const void *table) {
    const vi i = vi_bits(a), j = vi_bits(b), k = vi_bits(c);
    const vi one = vi_set1(1), zero = vi_set1(0), byte = vi_set1(255);
    const vf small = vf_clamp(a, vf_set1(-4.0e6f), vf_set1(4.0e6f));
    const vf three[3] = {a, b, c}, other[3] = {c, a, b};
    vf out[3];
    switch (op) {
    case 0:
        return vi_bits(a + b);
    case 1:
        return vi_bits(a - b);
    case 2:
        return vi_bits(a * b);
    case 3:
        return vi_bits(a / b);
    case 4:
        return vi_bits(a * b + c);
    case 5:
        return vi_bits(a * b - c * a);
    case 6:
        return vi_bits(vf_sqrt(a));
    case 7:
        return vi_bits(vf_min(a, b));
    case 8:
        return vi_bits(vf_max(a, b));
    case 9:
        return vi_bits(vf_clamp(a, b, c));
    case 10:
        return vi_select(vf_less(a, b), one, zero);
    case 11:
        return vi_select(vf_less_equal(a, b), one, zero);
    case 12:
        return vi_select(vi_less(i, j), one, zero);
    case 13:
        return vi_select(vi_equal(i, j), one, zero);
    case 14:
        return vi_select(vi_not_negative(i), one, zero);
    case 15:
        return vi_select(vm_and(vf_less(a, b), vf_less(b, c)), one, zero);
    case 16:
        return vi_select(vm_or(vf_less(a, b), vf_less(b, c)), one, zero);
    case 17:
        return vi_select(vm_not(vf_less(a, b)), one, zero);
    case 18:
        return vi_bits(vf_select(vf_less(a, b), b, c));
    case 19:
        return vi_select(vi_less(i, j), j, k);
    case 20:
        return vi_min(i, j);
    case 21:
        return vi_max(i, j);
    case 22:
        return vi_clamp(i, j, k);
    case 23:
        return vi_bits(vf_from_vi(i));
    case 24:
        return vi_truncate(small);
    case 25:
        return vi_round(small);
    case 26:
        return vi_bits(vf_floor(small));
    case 27:
        return vi_dot16(i, j & vi_set1(0x3fff3fff)); /* no overflow */
    case 28:
        return vi_bits(vf_mix(a, b, c));
    case 29:
        return vi_bits(vf_dot3(three, other));
    case 30:
    case 31:
    case 32:
        vf_cross3(out, three, other);
        return vi_bits(out[op - 30]);
    case 33:
        return vi_bits(vf_gather((const float *)table, i & byte));
    case 34:
        return vi_gather(table, i & byte);
    case 35:
        return vi_gather_bytes(table, (i & byte) + (j & byte));
    case 36:
        return i & j;
    case 37:
        return i | j;
    case 38:
        return i ^ j;
    case 39:
        return i >> 5;
    case 40:
        return (i & vi_set1(0xffffff)) << 7;
    case 41:
        return (i >> 8) + (j >> 8) - (k >> 8);
    case 42:
        return (i >> 18) * (j >> 18);
    case 43:
        return vi_wrap_product(i, 0x7feb352d);
    case 44:
        return vi_shift_right(i, 15);
    default:
        return ~i;
    }
}

#ifdef __cplusplus
extern "C" {
#endif

/* The same of LANE_WIDTH numbers, by the CPU's portable vectors. */
void lane_ops_cpu(int op, const float *a, const float *b, const float *c, const void *table,
                  int32_t out[LANE_WIDTH]);

#ifdef __cplusplus
}
#endif
#endif
