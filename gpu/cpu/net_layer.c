/* net_layer.c - packs and runs convolutions; see net_layer.h. All but the depthwise ones are
 * products of matrices (gemm.c): those of single pixels at once, others after their patches of the
 * picture were laid side by side, some rows of results at a time. */
#include "net_layer.h"
#include "fail.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    COPY_FLOATS = NET_OVERREAD,
    ALIGN = 64,             /* bytes: a cache line */
    PATCH_FLOATS = 1 << 15, /* of patches laid out at once, if a row is not more */
    SMALL_FLOATS = 1 << 14, /* weights so few stay in the cache, and are not halved */
    MAX_FLOATS = 1 << 28,
};

static float *take(size_t count, size_t size, size_t *memory) {
    size_t bytes = (count * size + ALIGN - 1) / ALIGN * ALIGN;
    void *out = aligned_alloc(ALIGN, bytes);
    if (out != NULL) {
        memset(out, 0, bytes);
        *memory += bytes;
    }
    return out;
}

/* -- Weights ------------------------------------------------------------------------------------
 */

/* The half float of the same value; false when there is none. */
static bool halve(float value, uint16_t *half) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, fraction = bits & 0x7fffff;
    int32_t exponent = (int32_t)(bits >> 23 & 0xff) - 127;
    if (exponent >= -14) {
        *half = (uint16_t)(sign | (uint32_t)(exponent + 15) << 10 | fraction >> 13);
        return exponent <= 15 && (fraction & 0x1fff) == 0;
    }
    float steps = fabsf(value) * 0x1p24f; /* below the least normal one: in steps */
    *half = (uint16_t)(sign | (uint32_t)steps);
    return steps == (float)(uint32_t)steps;
}

/* Puts weights [columns][depth] where net_gemm wants them. */
static bool pack_panels(struct net_layer *layer, const float *weights, const float *bias,
                        uint32_t panel, size_t *memory) {
    size_t columns = layer->out[2], depth = layer->depth;
    size_t panels = (columns + panel - 1) / panel, count = panels * panel * depth;
    uint16_t unused;
    bool half = count > SMALL_FLOATS;
    for (size_t i = 0; i < columns * depth && half; i++)
        half = halve(weights[i], &unused);
    if (half)
        layer->half = (uint16_t *)take(count, sizeof *layer->half, memory);
    else
        layer->weights = take(count, sizeof *layer->weights, memory);
    layer->bias = take(panels * panel, sizeof *layer->bias, memory);
    if (layer->bias == NULL || (layer->half == NULL && layer->weights == NULL))
        return false;
    memcpy(layer->bias, bias, columns * sizeof *bias);
    for (size_t c = 0; c < columns; c++) {
        for (size_t k = 0; k < depth; k++) {
            size_t to = (c / panel * depth + k) * panel + c % panel;
            if (half)
                halve(weights[c * depth + k], &layer->half[to]);
            else
                layer->weights[to] = weights[c * depth + k];
        }
    }
    return true;
}

/* Puts weights [places][channels] where net_depthwise wants them. */
static bool pack_depthwise(struct net_layer *layer, const float *weights, const float *bias,
                           uint32_t lanes, size_t *memory) {
    size_t channels = layer->out[2], places = layer->depth;
    float *to = take((channels + lanes - 1) / lanes * lanes * (1 + places), sizeof *to, memory);
    layer->weights = to;
    if (to == NULL)
        return false;
    for (size_t first = 0; first < channels; first += lanes, to += (1 + places) * lanes) {
        for (size_t c = first; c < channels && c < first + lanes; c++) {
            to[c - first] = bias[c];
            for (size_t place = 0; place < places; place++)
                to[(1 + place) * lanes + c - first] = weights[place * channels + c];
        }
    }
    return true;
}

static int make_xnnpack(struct net_layer *layer, const struct xnnpack *xnnpack,
                        const float *weights, const float *bias, size_t *memory) {
    const struct net_op *op = &layer->op;
    bool depthwise = op->kind == NET_DEPTHWISE, relu6 = op->activation == NET_RELU6;
    size_t before = xnnpack_memory(), inputs = layer->in[2], outputs = layer->out[2];
    int status = xnnpack->create(
        op->pad[0], op->pad[3], op->pad[1], op->pad[2], op->kernel[0], op->kernel[1], op->stride[0],
        op->stride[1], 1, 1, depthwise ? (uint32_t)inputs : 1, depthwise ? 1 : inputs,
        depthwise ? 1 : outputs, inputs, outputs, weights, bias, relu6 ? 0.0f : -INFINITY,
        relu6 ? 6.0f : INFINITY, depthwise ? XNNPACK_DEPTHWISE : 0, &layer->xnnpack);
    *memory += xnnpack_memory() - before;
    return status;
}

/* -- Making -------------------------------------------------------------------------------------
 */

/* Each result is made of one pixel, or the single result of all pixels: the picture is the matrix.
 */
static bool is_direct(const struct net_layer *layer) {
    const struct net_op *op = &layer->op;
    bool padded = (op->pad[0] | op->pad[1] | op->pad[2] | op->pad[3]) != 0;
    bool pixels =
        op->kernel[0] == 1 && op->kernel[1] == 1 && op->stride[0] == 1 && op->stride[1] == 1;
    bool whole = op->kernel[0] == layer->in[0] && op->kernel[1] == layer->in[1];
    return !padded && (pixels || whole);
}

/* Rows of results whose patches are laid out at once. */
static uint32_t rows_at_once(const struct net_layer *layer) {
    size_t rows = PATCH_FLOATS / ((size_t)layer->depth * layer->out[1]);
    return rows == 0 ? 1 : rows > layer->out[0] ? layer->out[0] : (uint32_t)rows;
}

static size_t ring_floats(const struct net_layer *layer, const struct net_engine *engine) {
    size_t lanes = engine->kernels->lanes, width = layer->in[1] + layer->op.pad[2];
    return (width + layer->op.pad[3]) * layer->op.kernel[0] *
           ((layer->out[2] + lanes - 1) / lanes * lanes);
}

static void widen(size_t *floats, size_t needed) {
    *floats = *floats > needed ? *floats : needed;
}

int net_layer_make(struct net_layer *layer, const struct net_engine *engine,
                   const struct net_graph *graph, const struct net_op *op,
                   struct net_scratch *needs, size_t *memory, char *why) {
    const struct net_tensor *in = &graph->tensors[op->inputs[0]];
    const struct net_tensor *out = &graph->tensors[op->output];
    const float *weights = graph->tensors[op->inputs[1]].data;
    const float *bias = graph->tensors[op->inputs[2]].data;
    if (weights == NULL || bias == NULL)
        return gpu_fail(why, GPU_EINVAL, "%s: weights that are computed are not supported",
                        out->name);
    bool depthwise = op->kind == NET_DEPTHWISE;
    uint32_t lanes = engine->kernels->lanes, panel = lanes * NET_PANEL_VECTORS;
    layer->op = *op;
    memcpy(layer->in, in->shape + 1, sizeof layer->in);
    memcpy(layer->out, out->shape + 1, sizeof layer->out);
    layer->depth = op->kernel[0] * op->kernel[1] * (depthwise ? 1 : layer->in[2]);
    bool done;
    if (engine->xnnpack != NULL) {
        int status = make_xnnpack(layer, engine->xnnpack, weights, bias, memory);
        return status == 0 ? GPU_OK
                           : gpu_fail(why, GPU_EDEVICE, "%s: XNNPACK: %s", out->name,
                                      xnnpack_status(status));
    }
    if (depthwise) {
        if (op->kernel[0] > NET_MAX_KERNEL)
            return gpu_fail(why, GPU_EINVAL, "%s: a kernel of %u rows: at most %d", out->name,
                            op->kernel[0], NET_MAX_KERNEL);
        widen(&needs->ring_floats, ring_floats(layer, engine));
        done = pack_depthwise(layer, weights, bias, lanes, memory);
    } else {
        if (!is_direct(layer))
            widen(&needs->patches_floats,
                  (size_t)rows_at_once(layer) * layer->out[1] * layer->depth);
        widen(&needs->panel_floats, (size_t)(NET_GEMM_DEPTH + NET_GEMM_ROWS) * panel);
        done = pack_panels(layer, weights, bias, panel, memory);
    }
    if (!done || needs->patches_floats > MAX_FLOATS || needs->ring_floats > MAX_FLOATS)
        return gpu_fail(why, GPU_ENOMEM, "out of memory");
    return GPU_OK;
}

void net_layer_deinit(struct net_layer *layer, const struct net_engine *engine) {
    if (layer->xnnpack != NULL)
        engine->xnnpack->delete (layer->xnnpack);
    free(layer->weights);
    free(layer->half);
    free(layer->bias);
}

/* -- Running ------------------------------------------------------------------------------------
 */

/* Copies a short line, and may write and read up to a COPY_FLOATS in all. */
static inline void copy_line(float *to, const float *from, size_t count) {
    if (count <= COPY_FLOATS)
        memcpy(to, from, COPY_FLOATS * sizeof *to); /* a few moves, no call */
    else
        memcpy(to, from, count * sizeof *to);
}

/* Lays the patches of one row of results side by side, and writes up to a COPY_FLOATS more. */
static void lay_patches(const struct net_layer *layer, const float *in, uint32_t y, float *to) {
    const struct net_op *op = &layer->op;
    const uint32_t height = layer->in[0], width = layer->in[1], channels = layer->in[2];
    const size_t line = (size_t)op->kernel[1] * channels;
    for (uint32_t x = 0; x < layer->out[1]; x++) {
        const int64_t left = (int64_t)x * op->stride[1] - op->pad[2];
        const int64_t first = left < 0 ? -left : 0;
        const int64_t end = left + op->kernel[1] > width ? width - left : op->kernel[1];
        for (uint32_t ky = 0; ky < op->kernel[0]; ky++, to += line) {
            const int64_t row = (int64_t)y * op->stride[0] + ky - op->pad[0];
            if (row < 0 || row >= height || first >= end) {
                memset(to, 0, line * sizeof *to);
                continue;
            }
            const float *from = in + (row * width + left) * channels;
            if (first == 0 && end == op->kernel[1]) {
                copy_line(to, from, line);
                continue;
            }
            memset(to, 0, line * sizeof *to);
            memcpy(to + first * channels, from + first * channels,
                   (size_t)(end - first) * channels * sizeof *to);
        }
    }
}

void net_layer_pixels(const struct net_layer *layer, const struct net_engine *engine,
                      const struct net_scratch *scratch, const float *in, size_t pixels,
                      const float *add, float *out) {
    struct net_gemm job = {.in = in,
                           .rows = pixels,
                           .in_stride = layer->depth,
                           .depth = layer->depth,
                           .columns = layer->out[2],
                           .weights = layer->weights,
                           .half = layer->half,
                           .bias = layer->bias,
                           .add = add,
                           .relu6 = layer->op.activation == NET_RELU6,
                           .scratch = scratch->panel,
                           .out = out};
    engine->kernels->gemm(&job);
}

void net_layer_row(const struct net_layer *layer, const struct net_engine *engine,
                   const struct net_scratch *scratch, const float *in, const float *add, uint32_t y,
                   float *out) {
    if (is_direct(layer)) {
        in += (size_t)y * layer->in[1] * layer->in[2];
    } else {
        lay_patches(layer, in, y, scratch->patches);
        in = scratch->patches;
    }
    net_layer_pixels(layer, engine, scratch, in, layer->out[1], add, out);
}

struct net_depthwise net_layer_depthwise(const struct net_layer *layer,
                                         const struct net_scratch *scratch) {
    const struct net_op *op = &layer->op;
    return (struct net_depthwise){.height = layer->in[0],
                                  .width = layer->in[1],
                                  .channels = layer->in[2],
                                  .top = op->pad[0],
                                  .left = op->pad[2],
                                  .right = op->pad[3],
                                  .kernel = {op->kernel[0], op->kernel[1]},
                                  .stride = {op->stride[0], op->stride[1]},
                                  .out_height = layer->out[0],
                                  .out_width = layer->out[1],
                                  .relu6 = op->activation == NET_RELU6,
                                  .weights = layer->weights,
                                  .ring = scratch->ring};
}

static int run_xnnpack(struct net_layer *layer, const struct xnnpack *xnnpack, const float *in,
                       float *out) {
    int status = 0;
    if (!layer->bound)
        status = xnnpack->setup(layer->xnnpack, 1, layer->in[0], layer->in[1], in, out, NULL);
    layer->bound = status == 0;
    return status != 0 ? status : xnnpack->run(layer->xnnpack, NULL);
}

int net_layer_run(struct net_layer *layer, const struct net_engine *engine,
                  const struct net_scratch *scratch, const float *in, const float *add,
                  float *out) {
    if (layer->xnnpack != NULL)
        return run_xnnpack(layer, engine->xnnpack, in, out);
    if (layer->op.kind == NET_DEPTHWISE) {
        struct net_depthwise job = net_layer_depthwise(layer, scratch);
        engine->kernels->depthwise(&job, in, out);
        return 0;
    }
    const size_t row = (size_t)layer->out[1] * layer->out[2];
    if (is_direct(layer)) {
        net_layer_pixels(layer, engine, scratch, in, (size_t)layer->out[0] * layer->out[1], add,
                         out);
        return 0;
    }
    uint32_t at_once = rows_at_once(layer);
    for (uint32_t y = 0; y < layer->out[0]; y += at_once) {
        uint32_t rows = layer->out[0] - y < at_once ? layer->out[0] - y : at_once;
        for (uint32_t i = 0; i < rows; i++)
            lay_patches(layer, in, y + i,
                        scratch->patches + (size_t)i * layer->out[1] * layer->depth);
        net_layer_pixels(layer, engine, scratch, scratch->patches, (size_t)rows * layer->out[1],
                         add != NULL ? add + y * row : NULL, out + y * row);
    }
    return 0;
}
