/* depthwise.c - convolutions of each channel by itself; see net_kernels.h.
 *
 * Channels are taken a vector at a time: as many rows as the kernel is high are kept in a ring,
 * with their padding and those channels side by side, where there are no edges. From there
 * `AT_ONCE` results are computed together, so that a weight is loaded once for several products. A
 * whole picture is done channels after channels, so that the ring stays in the first cache; row by
 * row there is a ring for each vector of channels. */
#include "net_kernels.h"
#include "simd_fma.h"

enum { AT_ONCE = GPU_SIMD == 512 ? 8 : 4 };

#define INLINED static inline __attribute__((always_inline))

/* One row's channels of one vector, padded left and right; all zeros where in is NULL. */
static void fill_row(const struct net_depthwise *job, const float *in, float *row) {
    const vf zero = vf_set1(0.0f);
    uint32_t x = 0;
    for (; x < job->left; x++, row += GPU_LANES)
        vf_store(row, zero);
    for (x = 0; x < job->width; x++, row += GPU_LANES)
        vf_store(row, in != NULL ? vf_load(in + (size_t)x * job->channels) : zero);
    for (; x < job->width + job->right; x++, row += GPU_LANES)
        vf_store(row, zero);
}

/* `count` results side by side from x on; count, kernel and stride are known to the compiler. */
INLINED void results(const struct net_depthwise *job, float *const *rows, const float *weights,
                     uint32_t x, uint32_t lanes, float *out, const uint32_t count,
                     const uint32_t height, const uint32_t width, const uint32_t stride) {
    vf sum[AT_ONCE];
    for (uint32_t i = 0; i < count; i++)
        sum[i] = vf_load(weights); /* the bias */
    for (uint32_t ky = 0; ky < height; ky++) {
        const float *from = rows[ky] + (size_t)x * stride * GPU_LANES;
        const float *weight = weights + (1 + ky * width) * GPU_LANES;
        for (uint32_t kx = 0; kx < width; kx++) {
            vf w = vf_load(weight + kx * GPU_LANES);
            for (uint32_t i = 0; i < count; i++)
                sum[i] = vf_fma(vf_load(from + (i * stride + kx) * GPU_LANES), w, sum[i]);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (job->relu6)
            sum[i] = vf_clamp(sum[i], vf_set1(0.0f), vf_set1(6.0f));
        vf_store_first(out + (size_t)(x + i) * job->channels, sum[i], lanes);
    }
}

INLINED void result_row(const struct net_depthwise *job, float *const *rows, const float *weights,
                        uint32_t lanes, float *out, const uint32_t height, const uint32_t width,
                        const uint32_t stride) {
    uint32_t x = 0;
    for (; x + AT_ONCE <= job->out_width; x += AT_ONCE)
        results(job, rows, weights, x, lanes, out, AT_ONCE, height, width, stride);
    for (; x < job->out_width; x++)
        results(job, rows, weights, x, lanes, out, 1, height, width, stride);
}

static void result_row_of(const struct net_depthwise *job, float *const *rows, const float *weights,
                          uint32_t lanes, float *out) {
    uint32_t height = job->kernel[0], width = job->kernel[1], stride = job->stride[1];
    if (height == 3 && width == 3 && stride == 1)
        result_row(job, rows, weights, lanes, out, 3, 3, 1);
    else if (height == 3 && width == 3 && stride == 2)
        result_row(job, rows, weights, lanes, out, 3, 3, 2);
    else if (height == 5 && width == 5 && stride == 1)
        result_row(job, rows, weights, lanes, out, 5, 5, 1);
    else if (height == 5 && width == 5 && stride == 2)
        result_row(job, rows, weights, lanes, out, 5, 5, 2);
    else
        result_row(job, rows, weights, lanes, out, height, width, stride);
}

static size_t ring_row(const struct net_depthwise *job) {
    return (size_t)(job->left + job->width + job->right) * GPU_LANES;
}

/* Takes channels from c on of a row of the padded picture. */
static void take(const struct net_depthwise *job, uint32_t row, uint32_t c, const float *in,
                 float *ring) {
    fill_row(job, in != NULL ? in + c : NULL, ring + row % job->kernel[0] * ring_row(job));
}

/* Makes channels from c on of row y. */
static void make(const struct net_depthwise *job, uint32_t y, uint32_t c, float *ring, float *out) {
    const uint32_t height = job->kernel[0], first = y * job->stride[0];
    const uint32_t lanes = job->channels - c < GPU_LANES ? job->channels - c : GPU_LANES;
    float *rows[NET_MAX_KERNEL];
    for (uint32_t ky = 0; ky < height; ky++)
        rows[ky] = ring + (first + ky) % height * ring_row(job);
    result_row_of(job, rows, job->weights + (size_t)c * (1 + height * job->kernel[1]), lanes,
                  out + c);
}

void GPU_KERNEL(net_depthwise_take)(const struct net_depthwise *job, uint32_t row, const float *in);
void GPU_KERNEL(net_depthwise_make)(const struct net_depthwise *job, uint32_t y, float *out);
void GPU_KERNEL(net_depthwise)(const struct net_depthwise *job, const float *in, float *out);

void GPU_KERNEL(net_depthwise_take)(const struct net_depthwise *job, uint32_t row,
                                    const float *in) {
    float *ring = job->ring;
    for (uint32_t c = 0; c < job->channels; c += GPU_LANES, ring += job->kernel[0] * ring_row(job))
        take(job, row, c, in, ring);
}

void GPU_KERNEL(net_depthwise_make)(const struct net_depthwise *job, uint32_t y, float *out) {
    float *ring = job->ring;
    for (uint32_t c = 0; c < job->channels; c += GPU_LANES, ring += job->kernel[0] * ring_row(job))
        make(job, y, c, ring, out);
}

void GPU_KERNEL(net_depthwise)(const struct net_depthwise *job, const float *in, float *out) {
    for (uint32_t c = 0; c < job->channels; c += GPU_LANES) {
        uint32_t row = 0;
        for (uint32_t y = 0; y < job->out_height; y++) {
            for (; row < y * job->stride[0] + job->kernel[0]; row++) {
                bool inside = row >= job->top && row - job->top < job->height;
                size_t at = (size_t)(row - job->top) * job->width * job->channels;
                take(job, row, c, inside ? in + at : NULL, job->ring);
            }
            make(job, y, c, job->ring, out + (size_t)y * job->out_width * job->channels);
        }
    }
}
