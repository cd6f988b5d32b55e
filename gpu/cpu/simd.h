/* simd.h - the vector types that the CPU kernels are written in.
 *
 * Each kernel file is compiled once a width: GPU_SIMD is 512 (AVX-512), 256 (AVX2) or 128 (the
 * compiler's own vectors, any processor), and GPU_SUFFIX names the result. Every operation here
 * gives the same bits at every width: adds, products, quotients and roots are IEEE, nothing is
 * fused and nothing is approximated. That is what makes pictures and labels independent of the
 * machine, so keep reciprocal estimates and fused products out.
 *
 * What CUDA does, too, is written with the same functions, which cuda/lanes.h has for one lane
 * (render/lanes.h).
 *
 * vf: GPU_LANES floats, vi: as many int32; + - * / & | ^ work on them. vm: a mask of lanes. */
#ifndef STANCE_GPU_SIMD_H
#define STANCE_GPU_SIMD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define GPU_NAME_JOIN(name, suffix)   name##_##suffix
#define GPU_NAME_EXPAND(name, suffix) GPU_NAME_JOIN(name, suffix)
#define GPU_KERNEL(name)              GPU_NAME_EXPAND(name, GPU_SUFFIX)
#define GPU_STRING_JOIN(name)         #name
#define GPU_STRING(name)              GPU_STRING_JOIN(name)

#define GPU_LANES (GPU_SIMD / 32)

typedef float vf __attribute__((vector_size(GPU_SIMD / 8)));
typedef int32_t vi __attribute__((vector_size(GPU_SIMD / 8)));
typedef uint32_t vu __attribute__((vector_size(GPU_SIMD / 8)));

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

static inline float vf_lane(vf value, int lane) {
    return value[lane];
}

static inline int32_t vi_lane(vi value, int lane) {
    return value[lane];
}

static inline bool vm_any(vm mask) {
    return vm_bits(mask) != 0;
}

/* As if the lanes had no sign, modulo 2^32. */
static inline vi vi_wrap_product(vi a, int32_t b) {
    return (vi)((vu)a * (vu)vi_set1(b));
}

static inline vi vi_shift_right(vi a, int bits) {
    return (vi)((vu)a >> bits);
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

/* value[0][lane], value[1][lane], value[2][lane], lane after lane */
static inline void vf_store_three(float *to, const vf value[3]) {
#if GPU_SIMD == 512
    /* Which lane of the first two, and then of the third, is where in each 16 of the 48. */
    static const int8_t of_two[3][16] = {
        {0, 16, 0, 1, 17, 0, 2, 18, 0, 3, 19, 0, 4, 20, 0, 5},
        {21, 0, 6, 22, 0, 7, 23, 0, 8, 24, 0, 9, 25, 0, 10, 26},
        {0, 11, 27, 0, 12, 28, 0, 13, 29, 0, 14, 30, 0, 15, 31, 0},
    };
    static const int8_t of_third[3][16] = {
        {0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 3, 0, 0, 4, 0},
        {0, 5, 0, 0, 6, 0, 0, 7, 0, 0, 8, 0, 0, 9, 0, 0},
        {10, 0, 0, 11, 0, 0, 12, 0, 0, 13, 0, 0, 14, 0, 0, 15},
    };
    static const uint16_t third[3] = {0x4924, 0x2492, 0x9249};
    for (int i = 0; i < 3; i++) {
        __m512i two = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)of_two[i]));
        __m512i one = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)of_third[i]));
        __m512 out = _mm512_permutex2var_ps(value[0], two, value[1]);
        vf_store(to + 16 * i, _mm512_mask_permutexvar_ps(out, third[i], one, value[2]));
    }
#else
    for (int lane = 0; lane < GPU_LANES; lane++)
        for (int i = 0; i < 3; i++)
            to[3 * lane + i] = value[i][lane];
#endif
}

static inline vf vf_mix(vf a, vf b, vf t) {
    return a + (b - a) * t;
}

#endif
