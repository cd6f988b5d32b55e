/* simd_portable.h - 4 lanes in the vector extensions of GCC and Clang, for any processor; see
 * simd.h. */
#ifndef STANCE_GPU_SIMD_PORTABLE_H
#define STANCE_GPU_SIMD_PORTABLE_H

#include <math.h>

typedef vi vm; /* all bits of a lane or none */

static inline vf vf_set1(float value) {
    return (vf){value, value, value, value};
}

static inline vi vi_set1(int32_t value) {
    return (vi){value, value, value, value};
}

static inline vi vi_iota(void) {
    return (vi){0, 1, 2, 3};
}

static inline vm vf_less(vf a, vf b) {
    return a < b;
}

static inline vm vf_less_equal(vf a, vf b) {
    return a <= b;
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
    return (mask[0] & 1u) | (mask[1] & 2u) | (mask[2] & 4u) | (mask[3] & 8u);
}

/* Lanes whose number is not negative. */
static inline vm vi_not_negative(vi a) {
    return ~(a >> 31);
}

static inline vi vi_select(vm mask, vi yes, vi no) {
    return (mask & yes) | (~mask & no);
}

static inline vf vf_select(vm mask, vf yes, vf no) {
    return (vf)vi_select(mask, (vi)yes, (vi)no);
}

/* As x86 has it: b where either is a NaN. */
static inline vf vf_min(vf a, vf b) {
    return vf_select(a < b, a, b);
}

static inline vf vf_max(vf a, vf b) {
    return vf_select(a > b, a, b);
}

static inline vf vf_sqrt(vf a) {
    return (vf){sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])};
}

static inline vi vi_min(vi a, vi b) {
    return vi_select(a < b, a, b);
}

static inline vi vi_max(vi a, vi b) {
    return vi_select(a > b, a, b);
}

static inline vf vf_from_vi(vi a) {
    return __builtin_convertvector(a, vf);
}

static inline vi vi_truncate(vf a) {
    return __builtin_convertvector(a, vi);
}

/* To the nearest, ties to even; only for |a| < 2^22: the sum pushes the fraction out of the
 * mantissa. */
static inline vi vi_round(vf a) {
    vf magic = vf_set1(12582912.0f); /* 1.5 * 2^23 */
    return (vi)(a + magic) - (vi)magic;
}

/* low(a) * low(b) + high(a) * high(b) of the two int16 halves of each lane */
static inline vi vi_dot16(vi a, vi b) {
    vi low_a = (vi)((a & vi_set1(0xffff)) ^ vi_set1(0x8000)) - vi_set1(0x8000);
    vi low_b = (vi)((b & vi_set1(0xffff)) ^ vi_set1(0x8000)) - vi_set1(0x8000);
    return low_a * low_b + (a >> 16) * (b >> 16);
}

static inline vf vf_gather(const float *base, vi index) {
    return (vf){base[index[0]], base[index[1]], base[index[2]], base[index[3]]};
}

static inline vi vi_gather(const void *base, vi index) {
    const int32_t *from = base;
    return (vi){from[index[0]], from[index[1]], from[index[2]], from[index[3]]};
}

/* Four bytes from any byte address. */
static inline vi vi_gather_bytes(const void *base, vi index) {
    vi out;
    for (int i = 0; i < GPU_LANES; i++) {
        int32_t word;
        memcpy(&word, (const uint8_t *)base + index[i], sizeof word);
        out[i] = word;
    }
    return out;
}

static inline void vf_store_masked(float *to, vm mask, vf value) {
    vf old;
    memcpy(&old, to, sizeof old);
    old = vf_select(mask, value, old);
    memcpy(to, &old, sizeof old);
}

static inline void vi_store_masked(void *to, vm mask, vi value) {
    vi old;
    memcpy(&old, to, sizeof old);
    old = vi_select(mask, value, old);
    memcpy(to, &old, sizeof old);
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
