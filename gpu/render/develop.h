/* develop.h - from linear light to sRGB: the sensor's noise, exposure, the tone curve.
 *
 * Noise comes from a generator that counts: seed, pixel and channel go in, a number comes out, so
 * that a picture is the same whoever draws which part of it. */
#ifndef STANCE_GPU_DEVELOP_H
#define STANCE_GPU_DEVELOP_H

#include "lanes.h"
#include "shade.h"

/* C. Wellons' "lowbias32": each bit that goes in turns over each that comes out, nearly always. */
GPU_LANE vi hash_bits(vi x) {
    x = x ^ vi_shift_right(x, 16);
    x = vi_wrap_product(x, 0x7feb352d);
    x = x ^ vi_shift_right(x, 15);
    x = vi_wrap_product(x, (int32_t)0x846ca68b);
    return x ^ vi_shift_right(x, 16);
}

/* About normal, mean 0, deviation 1: the sum of four even ones, never beyond 3.5. */
GPU_LANE vf hash_normal(vi x) {
    vi a = hash_bits(x), b = hash_bits(a ^ vi_set1(0x3c6ef372)), low = vi_set1(0xffff);
    vi sum = (a & low) + vi_shift_right(a, 16) + (b & low) + vi_shift_right(b, 16);
    const float deviation = 1.73205081f / 65536.0f; /* of four numbers of 0..65535: 1 / it */
    return vf_from_vi(sum - vi_set1(2 * 65535)) * vf_set1(deviation);
}

/* x: column; one channel's light after exposure. */
GPU_LANE vf add_noise(const struct gpu_develop *job, vi x, int32_t y, int32_t channel, vf light) {
    vi place = hash_bits(x ^ vi_set1((int32_t)job->seed[0]));
    place = hash_bits(place ^ vi_set1(y * 4 + channel) ^ vi_set1((int32_t)job->seed[1]));
    vf shot = vf_set1(job->shot_noise * job->shot_noise) * vf_max(light, vf_set1(0.0f));
    return light + vf_sqrt(shot + vf_set1(job->read_noise * job->read_noise)) * hash_normal(place);
}

/* A byte in 0..255. */
GPU_LANE vi tone_byte(const uint8_t *tone, vf light) {
    const vf low = vf_bits(vi_set1(GPU_TONE_LOWEST));
    const vf high = vf_bits(vi_set1(GPU_TONE_LOWEST + (GPU_TONE_OCTAVES << 23) - 1));
    vi entry =
        (vi_bits(vf_clamp(light, low, high)) - vi_set1(GPU_TONE_LOWEST)) >> (23 - GPU_TONE_STEPS);
    return vi_gather_bytes(tone, entry) & vi_set1(255);
}

/* A pixel as R | G << 8 | B << 16. x, y: its column and row. */
GPU_LANE vi develop_pixel(const struct gpu_develop *job, vi x, int32_t y, const vf linear[3]) {
    vi packed = vi_set1(0);
    for (int32_t c = 0; c < 3; c++) {
        vf light = linear[c] * vf_set1(job->exposure);
        if (job->shot_noise > 0.0f || job->read_noise > 0.0f)
            light = add_noise(job, x, y, c, light);
        packed = packed | tone_byte(job->tone, light) << (8 * c);
    }
    return packed;
}

#endif
