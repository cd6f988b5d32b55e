/* simd.h - the vector types that the CPU kernels are written in.
 *
 * Each kernel file is compiled once a width: GPU_SIMD is 512 (AVX-512), 256 (AVX2) or 128 (the
 * compiler's own vectors, any processor), and GPU_SUFFIX names the result. Every operation here
 * gives the same bits at every width: adds, products, quotients and roots are IEEE, nothing is
 * fused and nothing is approximated. That is what makes pictures and labels independent of the
 * machine, so keep reciprocal estimates and fused products out.
 *
 * vf: GPU_LANES floats, vi: as many int32; + - * / & | ^ work on them. vm: a mask of lanes. */
#ifndef STANCE_GPU_SIMD_H
#define STANCE_GPU_SIMD_H

#include <stdint.h>
#include <string.h>

#define GPU_NAME_JOIN(name, suffix)   name##_##suffix
#define GPU_NAME_EXPAND(name, suffix) GPU_NAME_JOIN(name, suffix)
#define GPU_KERNEL(name)              GPU_NAME_EXPAND(name, GPU_SUFFIX)

#define GPU_LANES (GPU_SIMD / 32)

typedef float vf __attribute__((vector_size(GPU_SIMD / 8)));
typedef int32_t vi __attribute__((vector_size(GPU_SIMD / 8)));

#if GPU_SIMD == 512
#include "simd_avx512.h"
#elif GPU_SIMD == 256
#include "simd_avx2.h"
#elif GPU_SIMD == 128
#include "simd_portable.h"
#else
#error "GPU_SIMD must be 128, 256 or 512"
#endif

/* -- What follows from the above ----------------------------------------------------------------
 */

static inline vf vf_load(const float *from) {
    vf out;
    memcpy(&out, from, sizeof out);
    return out;
}

static inline void vf_store(float *to, vf value) {
    memcpy(to, &value, sizeof value);
}

static inline vi vi_load(const void *from) {
    vi out;
    memcpy(&out, from, sizeof out);
    return out;
}

static inline void vi_store(void *to, vi value) {
    memcpy(to, &value, sizeof value);
}

static inline vi vi_bits(vf value) {
    return (vi)value;
}

static inline vf vf_bits(vi value) {
    return (vf)value;
}

/* A NaN comes out as `low`. */
static inline vf vf_clamp(vf value, vf low, vf high) {
    return vf_min(vf_max(value, low), high);
}

static inline vi vi_clamp(vi value, vi low, vi high) {
    return vi_min(vi_max(value, low), high);
}

/* Only for |value| < 2^31. */
static inline vf vf_floor(vf value) {
    vf whole = vf_from_vi(vi_truncate(value));
    return whole - vf_select(vf_less(value, whole), vf_set1(1.0f), vf_set1(0.0f));
}

static inline vf vf_dot3(const vf a[3], const vf b[3]) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static inline void vf_cross3(vf out[3], const vf a[3], const vf b[3]) {
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

static inline vf vf_mix(vf a, vf b, vf t) {
    return a + (b - a) * t;
}

#endif
