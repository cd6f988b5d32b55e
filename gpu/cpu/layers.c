/* layers.c - additions, resizing and pooling of a network; see net_kernels.h. All of them are bound
 * by memory: each number is read and written once. */
#include "net_kernels.h"
#include "simd.h"

static inline float least(float a, float b) {
    return a < b ? a : b;
}

static inline float most(float a, float b) {
    return a > b ? a : b;
}

static void add(const float *a, const float *b, size_t count, bool relu6, float *out) {
    float low = relu6 ? 0.0f : -__builtin_inff(), high = relu6 ? 6.0f : __builtin_inff();
    size_t i = 0;
    for (; i + GPU_LANES <= count; i += GPU_LANES)
        vf_store(out + i, vf_clamp(vf_load(a + i) + vf_load(b + i), vf_set1(low), vf_set1(high)));
    for (; i < count; i++)
        out[i] = least(most(a[i] + b[i], low), high);
}

/* out = near * 3/4 + far * 1/4 */
static inline vf blend(vf near, vf far) {
    return near * vf_set1(0.75f) + far * vf_set1(0.25f);
}

/* The four results between the pixels a b over c d, each `channels` wide, at at[row][column] of the
 * output and of `add`; SIZE_MAX: beyond the edge. */
static inline void blend_four(const float *const in[4], const size_t at[4], uint32_t channels,
                              const float *add, bool relu6, float *out) {
    const float low = relu6 ? 0.0f : -__builtin_inff(), high = relu6 ? 6.0f : __builtin_inff();
    uint32_t c = 0;
    for (; c + GPU_LANES <= channels; c += GPU_LANES) {
        vf p[4];
        for (int i = 0; i < 4; i++)
            p[i] = vf_load(in[i] + c);
        for (int i = 0; i < 4; i++) {
            if (at[i] == SIZE_MAX)
                continue;
            vf value = blend(blend(p[i], p[i ^ 1]), blend(p[i ^ 2], p[i ^ 3]));
            if (add != NULL)
                value += vf_load(add + at[i] + c);
            vf_store(out + at[i] + c, vf_clamp(value, vf_set1(low), vf_set1(high)));
        }
    }
    for (; c < channels; c++) {
        for (int i = 0; i < 4; i++) {
            if (at[i] == SIZE_MAX)
                continue;
            float value = (in[i][c] * 0.75f + in[i ^ 1][c] * 0.25f) * 0.75f +
                          (in[i ^ 2][c] * 0.75f + in[i ^ 3][c] * 0.25f) * 0.25f;
            value += add != NULL ? add[at[i] + c] : 0.0f;
            out[at[i] + c] = least(most(value, low), high);
        }
    }
}

static void resize(const float *in, uint32_t height, uint32_t width, uint32_t channels,
                   const float *add, bool relu6, float *out) {
    const size_t row = (size_t)width * channels;
    for (uint32_t y = 0; y <= height; y++) { /* between rows y - 1 and y */
        const float *above = in + (y > 0 ? y - 1 : 0) * row;
        const float *below = in + (y < height ? y : height - 1) * row;
        for (uint32_t x = 0; x <= width; x++) {
            size_t left = (size_t)(x > 0 ? x - 1 : 0) * channels;
            size_t right = (size_t)(x < width ? x : width - 1) * channels;
            const float *const from[4] = {above + left, above + right, below + left, below + right};
            size_t at[4];
            for (uint32_t i = 0; i < 4; i++) {
                uint32_t oy = 2 * y + i / 2, ox = 2 * x + i % 2; /* one more than the place */
                bool inside = oy > 0 && ox > 0 && oy <= 2 * height && ox <= 2 * width;
                at[i] = inside ? 2 * row * (oy - 1) + (size_t)(ox - 1) * channels : SIZE_MAX;
            }
            blend_four(from, at, channels, add, relu6, out);
        }
    }
}

static void pool(const float *in, uint32_t width, uint32_t channels, const uint32_t kernel[2],
                 const uint32_t stride[2], uint32_t out_height, uint32_t out_width, float *out) {
    size_t row = (size_t)width * channels;
    for (uint32_t y = 0; y < out_height; y++) {
        for (uint32_t x = 0; x < out_width; x++, out += channels) {
            const float *corner = in + y * stride[0] * row + (size_t)x * stride[1] * channels;
            uint32_t c = 0;
            for (; c + GPU_LANES <= channels; c += GPU_LANES) {
                vf found = vf_load(corner + c);
                for (uint32_t k = 1; k < kernel[0] * kernel[1]; k++)
                    found = vf_max(vf_load(corner + k / kernel[1] * row +
                                           (size_t)(k % kernel[1]) * channels + c),
                                   found);
                vf_store(out + c, found);
            }
            for (; c < channels; c++) {
                float found = corner[c];
                for (uint32_t k = 1; k < kernel[0] * kernel[1]; k++)
                    found =
                        most(corner[k / kernel[1] * row + (size_t)(k % kernel[1]) * channels + c],
                             found);
                out[c] = found;
            }
        }
    }
}

/* -- Table --------------------------------------------------------------------------------------
 */

void GPU_KERNEL(gpu_crop)(const struct gpu_crop *job);
void GPU_KERNEL(net_depthwise)(const struct net_depthwise *job, const float *in, float *out);
void GPU_KERNEL(net_depthwise_take)(const struct net_depthwise *job, uint32_t row, const float *in);
void GPU_KERNEL(net_depthwise_make)(const struct net_depthwise *job, uint32_t y, float *out);
void GPU_KERNEL(net_gemm)(const struct net_gemm *job);

extern const struct net_kernels GPU_KERNEL(net_kernels);

const struct net_kernels GPU_KERNEL(net_kernels) = {
    .name = GPU_STRING(GPU_SUFFIX),
    .lanes = GPU_LANES,
    .depthwise = GPU_KERNEL(net_depthwise),
    .depthwise_take = GPU_KERNEL(net_depthwise_take),
    .depthwise_make = GPU_KERNEL(net_depthwise_make),
    .gemm = GPU_KERNEL(net_gemm),
    .crop = GPU_KERNEL(gpu_crop),
    .add = add,
    .resize = resize,
    .pool = pool,
};
