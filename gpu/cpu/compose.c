/* compose.c - a row of the picture: ground, background, what was shaded, and the way to sRGB bytes;
 * see kernels.h. */
#include "kernels.h"
#include "simd.h"

/* Bilinear in a table of cells whose outermost are 0. x, y: cells, whose values stand in their
 * middles. */
static inline vf lookup(const float *cells, int32_t width, int32_t height, vf x, vf y) {
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f);
    x = vf_clamp(x - vf_set1(0.5f), zero, vf_set1((float)(width - 1) - 0.001f));
    y = vf_clamp(y - vf_set1(0.5f), zero, vf_set1((float)(height - 1) - 0.001f));
    vm inside = vm_and(vm_and(vf_less(zero, x), vf_less(x, vf_set1((float)(width - 1) - 0.01f))),
                       vm_and(vf_less(zero, y), vf_less(y, vf_set1((float)(height - 1) - 0.01f))));
    if (vm_bits(inside) == 0)
        return zero;
    vi x0 = vi_truncate(x), y0 = vi_truncate(y);
    vf fx = x - vf_from_vi(x0), fy = y - vf_from_vi(y0);
    vi at = y0 * vi_set1(width) + x0;
    vf a = vf_gather(cells, at), b = vf_gather(cells + 1, at);
    vf c = vf_gather(cells + width, at), d = vf_gather(cells + width + 1, at);
    vf top = a * (one - fx) + b * fx, bottom = c * (one - fx) + d * fx;
    /* Lane by lane: what a pixel gets must not depend on its neighbours in the vector. */
    return vf_select(inside, top * (one - fy) + bottom * fy, zero);
}

/* How much of the sun and of the sky a point of the ground is denied. */
static inline void ground_shade(const struct gpu_shade *job, vf x, vf z, vf *shadow, vf *contact) {
    const struct gpu_ground *ground = job->ground;
    const float *m = job->shadow->m;
    vf y = vf_set1(job->lighting->ground_y);
    vf light_x = (vf_set1(m[0]) * x + vf_set1(m[1]) * y) + (vf_set1(m[2]) * z + vf_set1(m[3]));
    vf light_y = (vf_set1(m[4]) * x + vf_set1(m[5]) * y) + (vf_set1(m[6]) * z + vf_set1(m[7]));
    *shadow = lookup(ground->shadow, ground->shadow_width, ground->shadow_height,
                     (light_x - vf_set1(ground->shadow_x0)) * vf_set1(ground->shadow_scale),
                     (light_y - vf_set1(ground->shadow_y0)) * vf_set1(ground->shadow_scale));
    *contact = lookup(ground->contact, ground->contact_width, ground->contact_height,
                      (x - vf_set1(ground->contact_x0)) * vf_set1(ground->contact_scale),
                      (z - vf_set1(ground->contact_z0)) * vf_set1(ground->contact_scale));
}

/* Lays the lit ground over `color` where the rays meet it, fading with the distance from the body,
 * so that there is no horizon. */
static inline void add_ground(const struct gpu_shade *job, vf px, float py, vf color[3]) {
    const struct gpu_ground *ground = job->ground;
    const struct gpu_lighting *lighting = job->lighting;
    const struct gpu_rays *rays = &job->rays;
    const vf one = vf_set1(1.0f);
    vf ray[3];
    for (int c = 0; c < 3; c++)
        ray[c] = vf_set1(rays->origin[c] + py * rays->down[c]) + px * vf_set1(rays->right[c]);
    vm down = vf_less(ray[1], vf_set1(-1e-5f));
    if (vm_bits(down) == 0)
        return;
    vf distance =
        vf_set1(lighting->ground_y - rays->eye[1]) / vf_select(down, ray[1], vf_set1(-1.0f));
    vf x = vf_set1(rays->eye[0]) + ray[0] * distance;
    vf z = vf_set1(rays->eye[2]) + ray[2] * distance;
    vf dx = (x - vf_set1(ground->centre_x)) * vf_set1(1.0f / ground->reach);
    vf dz = (z - vf_set1(ground->centre_z)) * vf_set1(1.0f / ground->reach);
    vf far = dx * dx + dz * dz;
    vf fade = vf_select(down, one / (one + far * far), vf_set1(0.0f));
    vf shadow, contact;
    ground_shade(job, x, z, &shadow, &contact);
    vf sun = vf_set1(vf_max(vf_set1(job->sun.direction[1]), vf_set1(0.0f))[0]) * (one - shadow);
    for (int c = 0; c < 3; c++) {
        vf light = vf_set1(lighting->sun_color[c]) * sun +
                   vf_set1(lighting->sky_color[c]) * (one - contact);
        color[c] = vf_mix(color[c], vf_set1(lighting->ground_color[c]) * light, fade);
    }
}

static inline vi to_srgb(const uint8_t *tone, vf linear) {
    const vf low = vf_bits(vi_set1(GPU_TONE_LOWEST));
    const vf high = vf_bits(vi_set1(GPU_TONE_LOWEST + (GPU_TONE_OCTAVES << 23) - 1));
    vi entry =
        (vi_bits(vf_clamp(linear, low, high)) - vi_set1(GPU_TONE_LOWEST)) >> (23 - GPU_TONE_STEPS);
    return vi_gather_bytes(tone, entry) & vi_set1(255);
}

/* [width] words of R | G << 8 | B << 16 to bytes. */
static void unpack(const uint32_t *packed, uint32_t width, uint8_t *rgb) {
    uint32_t x = 0;
#if GPU_SIMD >= 256
    const __m128i squeeze = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    for (; x + 6 <= width; x += 4) { /* four bytes more are written than meant */
        __m128i four;
        memcpy(&four, packed + x, sizeof four);
        four = _mm_shuffle_epi8(four, squeeze);
        memcpy(rgb + 3 * (size_t)x, &four, sizeof four);
    }
#endif
    for (; x < width; x++) {
        rgb[3 * (size_t)x] = (uint8_t)packed[x];
        rgb[3 * (size_t)x + 1] = (uint8_t)(packed[x] >> 8);
        rgb[3 * (size_t)x + 2] = (uint8_t)(packed[x] >> 16);
    }
}

void GPU_KERNEL(gpu_compose)(const struct gpu_shade *job, const struct gpu_row *row);

void GPU_KERNEL(gpu_compose)(const struct gpu_shade *job, const struct gpu_row *row) {
    const struct gpu_lighting *lighting = job->lighting;
    const vf one = vf_set1(1.0f), exposure = vf_set1(lighting->exposure);
    float py = (float)row->y + 0.5f, t = py / (float)row->height;
    bool ground = job->ground != NULL && job->rays.eye[1] > lighting->ground_y;
    vf background[3];
    for (int c = 0; c < 3; c++)
        background[c] = vf_set1(lighting->background_top[c] +
                                (lighting->background_bottom[c] - lighting->background_top[c]) * t);
    for (uint32_t x = 0; x < row->width; x += GPU_LANES) {
        const float *shaded[3] = {row->red + x, row->green + x, row->blue + x};
        vf color[3] = {background[0], background[1], background[2]};
        vf open = one - vf_load(row->coverage + x);
        if (ground && vm_bits(vf_less(vf_set1(0.0f), open)) != 0) {
            vf px = vf_from_vi(vi_iota() + vi_set1((int32_t)x)) + vf_set1(0.5f);
            add_ground(job, px, py, color);
        }
        vi packed = vi_set1(0);
        for (int c = 0; c < 3; c++) {
            vf linear = (color[c] * open + vf_load(shaded[c])) * exposure;
            packed = packed | to_srgb(row->tone, linear) << (8 * c);
        }
        vi_store(row->packed + x, packed);
    }
    unpack(row->packed, row->width, row->rgb);
}
