/* simd_avx2.h - 8 lanes; see simd.h. */
#ifndef STANCE_GPU_SIMD_AVX2_H
#define STANCE_GPU_SIMD_AVX2_H

#include <immintrin.h>

typedef vi vm; /* all bits of a lane or none */

static inline vf vf_set1(float value) {
    return _mm256_set1_ps(value);
}

static inline vi vi_set1(int32_t value) {
    return (vi)_mm256_set1_epi32(value);
}

static inline vi vi_iota(void) {
    return (vi)_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
}

static inline vm vf_less(vf a, vf b) {
    return (vi)_mm256_cmp_ps(a, b, _CMP_LT_OQ);
}

static inline vm vf_less_equal(vf a, vf b) {
    return (vi)_mm256_cmp_ps(a, b, _CMP_LE_OQ);
}

static inline vm vi_less(vi a, vi b) {
    return a < b;
}

static inline vm vi_equal(vi a, vi b) {
    return a == b;
}

static inline vm vm_and(vm a, vm b) {
    return a & b;
}

static inline vm vm_or(vm a, vm b) {
    return a | b;
}

static inline vm vm_not(vm a) {
    return ~a;
}

static inline uint32_t vm_bits(vm mask) {
    return (uint32_t)_mm256_movemask_ps((__m256)mask);
}

/* Lanes whose number is not negative. */
static inline vm vi_not_negative(vi a) {
    return ~(a >> 31);
}

static inline vf vf_select(vm mask, vf yes, vf no) {
    return _mm256_blendv_ps(no, yes, (__m256)mask);
}

static inline vi vi_select(vm mask, vi yes, vi no) {
    return (vi)_mm256_blendv_epi8((__m256i)no, (__m256i)yes, (__m256i)mask);
}

static inline vf vf_min(vf a, vf b) {
    return _mm256_min_ps(a, b);
}

static inline vf vf_max(vf a, vf b) {
    return _mm256_max_ps(a, b);
}

static inline vf vf_sqrt(vf a) {
    return _mm256_sqrt_ps(a);
}

static inline vi vi_min(vi a, vi b) {
    return (vi)_mm256_min_epi32((__m256i)a, (__m256i)b);
}

static inline vi vi_max(vi a, vi b) {
    return (vi)_mm256_max_epi32((__m256i)a, (__m256i)b);
}

static inline vf vf_from_vi(vi a) {
    return _mm256_cvtepi32_ps((__m256i)a);
}

static inline vi vi_truncate(vf a) {
    return (vi)_mm256_cvttps_epi32(a);
}

/* To the nearest, ties to even; only for |a| < 2^22. */
static inline vi vi_round(vf a) {
    return (vi)_mm256_cvtps_epi32(a);
}

/* low(a) * low(b) + high(a) * high(b) of the two int16 halves of each lane */
static inline vi vi_dot16(vi a, vi b) {
    return (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}

static inline vf vf_gather(const float *base, vi index) {
    return _mm256_i32gather_ps(base, (__m256i)index, 4);
}

static inline vi vi_gather(const void *base, vi index) {
    return (vi)_mm256_i32gather_epi32(base, (__m256i)index, 4);
}

/* Four bytes from any byte address. */
static inline vi vi_gather_bytes(const void *base, vi index) {
    return (vi)_mm256_i32gather_epi32(base, (__m256i)index, 1);
}

static inline void vf_store_masked(float *to, vm mask, vf value) {
    _mm256_maskstore_ps(to, (__m256i)mask, value);
}

static inline void vi_store_masked(void *to, vm mask, vi value) {
    _mm256_maskstore_epi32(to, (__m256i)mask, (__m256i)value);
}

/* The lanes of the mask, side by side; what follows them, up to a whole vector, may be overwritten
 * too. */
static inline void vi_store_packed(void *to, vm mask, vi value) {
    uint32_t bits = vm_bits(mask);
    int32_t lanes[GPU_LANES], packed[GPU_LANES] = {0};
    int count = 0;
    memcpy(lanes, &value, sizeof lanes);
    for (int i = 0; i < GPU_LANES; i++) {
        packed[count & (GPU_LANES - 1)] = lanes[i];
        count += bits >> i & 1;
    }
    memcpy(to, packed, sizeof packed);
}

#endif
