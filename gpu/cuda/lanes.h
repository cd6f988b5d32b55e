/* lanes.h - cpu/simd.h's vectors with a single lane, for CUDA: the same functions, the same bits.
 *
 * Files that include it are compiled without fused products (rules.mk: RENDER_FLAGS); quotients and
 * roots are IEEE's by nvcc's defaults. Checked beside the CPU's by check/cuda_lanes.cu. */
#ifndef STANCE_CUDA_LANES_H
#define STANCE_CUDA_LANES_H

#include <cmath>
#include <cstdint>
#include <cstring>

#include <cuda_runtime_api.h>

#define GPU_LANE static inline __host__ __device__

#define GPU_LANES 1

typedef float vf;
typedef int32_t vi;
typedef bool vm;

GPU_LANE vf vf_set1(float value) {
    return value;
}

GPU_LANE vi vi_set1(int32_t value) {
    return value;
}

GPU_LANE vi vi_iota() {
    return 0;
}

GPU_LANE float vf_lane(vf value, int) {
    return value;
}

GPU_LANE int32_t vi_lane(vi value, int) {
    return value;
}

GPU_LANE vi vi_bits(vf value) {
#ifdef __CUDA_ARCH__
    return __float_as_int(value);
#else
    vi out;
    memcpy(&out, &value, sizeof out);
    return out;
#endif
}

GPU_LANE vf vf_bits(vi value) {
#ifdef __CUDA_ARCH__
    return __int_as_float(value);
#else
    vf out;
    memcpy(&out, &value, sizeof out);
    return out;
#endif
}

/* -- Masks --------------------------------------------------------------------------------------
 */

GPU_LANE vm vf_less(vf a, vf b) {
    return a < b;
}

GPU_LANE vm vf_less_equal(vf a, vf b) {
    return a <= b;
}

GPU_LANE vm vi_less(vi a, vi b) {
    return a < b;
}

GPU_LANE vm vi_equal(vi a, vi b) {
    return a == b;
}

GPU_LANE vm vi_not_negative(vi a) {
    return a >= 0;
}

GPU_LANE vm vm_and(vm a, vm b) {
    return a && b;
}

GPU_LANE vm vm_or(vm a, vm b) {
    return a || b;
}

GPU_LANE vm vm_not(vm a) {
    return !a;
}

GPU_LANE uint32_t vm_bits(vm mask) {
    return mask ? 1u : 0u;
}

GPU_LANE bool vm_any(vm mask) {
    return mask;
}

GPU_LANE vf vf_select(vm mask, vf yes, vf no) {
    return mask ? yes : no;
}

GPU_LANE vi vi_select(vm mask, vi yes, vi no) {
    return mask ? yes : no;
}

/* -- Numbers ------------------------------------------------------------------------------------
 */

/* As x86 has it: b where either is a NaN. */
GPU_LANE vf vf_min(vf a, vf b) {
    return a < b ? a : b;
}

GPU_LANE vf vf_max(vf a, vf b) {
    return a > b ? a : b;
}

GPU_LANE vf vf_clamp(vf value, vf low, vf high) {
    return vf_min(vf_max(value, low), high);
}

GPU_LANE vi vi_min(vi a, vi b) {
    return a < b ? a : b;
}

GPU_LANE vi vi_max(vi a, vi b) {
    return a > b ? a : b;
}

GPU_LANE vi vi_clamp(vi value, vi low, vi high) {
    return vi_min(vi_max(value, low), high);
}

GPU_LANE vf vf_sqrt(vf a) {
    return sqrtf(a);
}

GPU_LANE vf vf_from_vi(vi a) {
    return (vf)a;
}

/* Only for |a| < 2^31. */
GPU_LANE vi vi_truncate(vf a) {
    return (vi)a;
}

/* As if there were no sign, modulo 2^32. */
GPU_LANE vi vi_wrap_product(vi a, int32_t b) {
    return (vi)((uint32_t)a * (uint32_t)b);
}

GPU_LANE vi vi_shift_right(vi a, int bits) {
    return (vi)((uint32_t)a >> bits);
}

/* To the nearest, ties to even; only for |a| < 2^22. */
GPU_LANE vi vi_round(vf a) {
    const vf magic = 12582912.0f; /* 1.5 * 2^23 */
    return vi_bits(a + magic) - vi_bits(magic);
}

/* Only for |value| < 2^31. */
GPU_LANE vf vf_floor(vf value) {
    const vf whole = vf_from_vi(vi_truncate(value));
    return whole - (value < whole ? 1.0f : 0.0f);
}

/* low(a) * low(b) + high(a) * high(b) of the two int16 halves */
GPU_LANE vi vi_dot16(vi a, vi b) {
    return (int16_t)a * (int16_t)b + (a >> 16) * (b >> 16);
}

GPU_LANE vf vf_mix(vf a, vf b, vf t) {
    return a + (b - a) * t;
}

GPU_LANE vf vf_dot3(const vf a[3], const vf b[3]) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

GPU_LANE void vf_cross3(vf out[3], const vf a[3], const vf b[3]) {
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

/* -- Memory -------------------------------------------------------------------------------------
 */

GPU_LANE vf vf_load(const float *from) {
    return *from;
}

GPU_LANE void vf_store(float *to, vf value) {
    *to = value;
}

GPU_LANE vi vi_load(const void *from) {
    return *static_cast<const int32_t *>(from);
}

GPU_LANE void vi_store(void *to, vi value) {
    *static_cast<int32_t *>(to) = value;
}

GPU_LANE vf vf_gather(const float *base, vi index) {
    return base[index];
}

GPU_LANE vi vi_gather(const void *base, vi index) {
    return static_cast<const int32_t *>(base)[index];
}

/* Four bytes from any byte address. */
GPU_LANE vi vi_gather_bytes(const void *base, vi index) {
    const uint8_t *from = static_cast<const uint8_t *>(base) + index;
    return (vi)(from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
                (uint32_t)from[3] << 24);
}

GPU_LANE void vf_store_masked(float *to, vm mask, vf value) {
    if (mask)
        *to = value;
}

GPU_LANE void vi_store_masked(void *to, vm mask, vi value) {
    if (mask)
        vi_store(to, value);
}

GPU_LANE void vi_store_packed(void *to, vm mask, vi value) {
    vi_store_masked(to, mask, value);
}

/* value[0], value[1], value[2] */
GPU_LANE void vf_store_three(float *to, const vf value[3]) {
    for (int i = 0; i < 3; i++)
        to[i] = value[i];
}

#endif
