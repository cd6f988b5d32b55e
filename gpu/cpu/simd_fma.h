/* simd_fma.h - fused products, for the networks alone: their numbers depend on the processor anyway
 * (XNNPACK's do), pictures' must not (simd.h). */
#ifndef STANCE_GPU_SIMD_FMA_H
#define STANCE_GPU_SIMD_FMA_H

#include "simd.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

/* a * b + c */
static inline vf vf_fma(vf a, vf b, vf c) {
#if GPU_SIMD == 512
    return _mm512_fmadd_ps(a, b, c);
#elif GPU_SIMD == 256
    return _mm256_fmadd_ps(a, b, c);
#elif defined(__aarch64__)
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

/* GPU_LANES half floats. */
static inline vf vf_from_half(const uint16_t *from) {
#if GPU_SIMD == 512
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from));
#elif GPU_SIMD == 256
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
#else
    /* Exponent and fraction go to their places; the scale makes up for the other exponent's bias,
     * and for numbers so small that they have no leading one. */
    vi bits = {from[0], from[1], from[2], from[3]};
    vf value = (vf)((bits & vi_set1(0x7fff)) << 13) * vf_set1(0x1p112f);
    return (vf)((vi)value | (bits & vi_set1(0x8000)) << 16);
#endif
}

/* The first `count` lanes, at most all; what follows is not touched. */
static inline void vf_store_first(float *to, vf value, uint32_t count) {
    if (count >= GPU_LANES) {
        vf_store(to, value);
        return;
    }
#if GPU_SIMD == 512
    _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), value);
#else
    memcpy(to, &value, count * sizeof *to);
#endif
}

#endif
