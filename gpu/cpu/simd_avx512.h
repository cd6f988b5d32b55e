/* simd_avx512.h - 16 lanes (F, BW, DQ, VL); see simd.h. */
#ifndef STANCE_GPU_SIMD_AVX512_H
#define STANCE_GPU_SIMD_AVX512_H

#include <immintrin.h>

typedef __mmask16 vm;

static inline vf vf_set1(float value) {
    return _mm512_set1_ps(value);
}

static inline vi vi_set1(int32_t value) {
    return (vi)_mm512_set1_epi32(value);
}

static inline vi vi_iota(void) {
    return (vi)_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

static inline vm vf_less(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

static inline vm vf_less_equal(vf a, vf b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}

static inline vm vi_less(vi a, vi b) {
    return _mm512_cmplt_epi32_mask((__m512i)a, (__m512i)b);
}

static inline vm vi_equal(vi a, vi b) {
    return _mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b);
}

static inline vm vm_and(vm a, vm b) {
    return (vm)(a & b);
}

static inline vm vm_or(vm a, vm b) {
    return (vm)(a | b);
}

static inline vm vm_not(vm a) {
    return (vm)~a;
}

static inline uint32_t vm_bits(vm mask) {
    return mask;
}

/* Lanes whose number is not negative. */
static inline vm vi_not_negative(vi a) {
    return (vm)~_mm512_movepi32_mask((__m512i)a);
}

static inline vf vf_select(vm mask, vf yes, vf no) {
    return _mm512_mask_blend_ps(mask, no, yes);
}

static inline vi vi_select(vm mask, vi yes, vi no) {
    return (vi)_mm512_mask_blend_epi32(mask, (__m512i)no, (__m512i)yes);
}

static inline vf vf_min(vf a, vf b) {
    return _mm512_min_ps(a, b);
}

static inline vf vf_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
}

static inline vf vf_sqrt(vf a) {
    return _mm512_sqrt_ps(a);
}

static inline vi vi_min(vi a, vi b) {
    return (vi)_mm512_min_epi32((__m512i)a, (__m512i)b);
}

static inline vi vi_max(vi a, vi b) {
    return (vi)_mm512_max_epi32((__m512i)a, (__m512i)b);
}

static inline vf vf_from_vi(vi a) {
    return _mm512_cvtepi32_ps((__m512i)a);
}

static inline vi vi_truncate(vf a) {
    return (vi)_mm512_cvttps_epi32(a);
}

/* To the nearest, ties to even; only for |a| < 2^22. */
static inline vi vi_round(vf a) {
    return (vi)_mm512_cvtps_epi32(a);
}

/* low(a) * low(b) + high(a) * high(b) of the two int16 halves of each lane */
static inline vi vi_dot16(vi a, vi b) {
    return (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
}

static inline vf vf_gather(const float *base, vi index) {
    return _mm512_i32gather_ps((__m512i)index, base, 4);
}

static inline vi vi_gather(const void *base, vi index) {
    return (vi)_mm512_i32gather_epi32((__m512i)index, base, 4);
}

/* Four bytes from any byte address. */
static inline vi vi_gather_bytes(const void *base, vi index) {
    return (vi)_mm512_i32gather_epi32((__m512i)index, base, 1);
}

static inline void vf_store_masked(float *to, vm mask, vf value) {
    _mm512_mask_storeu_ps(to, mask, value);
}

static inline void vi_store_masked(void *to, vm mask, vi value) {
    _mm512_mask_storeu_epi32(to, mask, (__m512i)value);
}

/* The lanes of the mask, side by side; what follows them, up to a whole vector, is overwritten too.
 */
static inline void vi_store_packed(void *to, vm mask, vi value) {
    _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(mask, (__m512i)value));
}

#endif
