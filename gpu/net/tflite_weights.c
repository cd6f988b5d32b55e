#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "net/tflite.h"

enum { MOST_FLOATS = 1 << 26 }; /* of all constants together: 256 MB */

/* SparsityParameters, DimensionMetadata */
enum { SPARSITY_ORDER = 0, SPARSITY_BLOCK_MAP = 1, SPARSITY_DIMENSIONS = 2 };
enum {
    DIMENSION_FORMAT = 0,
    DIMENSION_SIZE = 1,
    DIMENSION_SEGMENTS_TYPE = 2,
    DIMENSION_SEGMENTS = 3,
    DIMENSION_INDICES_TYPE = 4,
    DIMENSION_INDICES = 5,
};
enum { FORMAT_DENSE = 0, FORMAT_CSR = 1 };

/* -- Forms of constants ------------------------------------------------------------------------ */

/* The constant behind `tensor`, which has to have bytes in the file. */
static const struct tflite_tensor *constant_of(const struct tflite *t, int32_t tensor) {
    int32_t root = t->tensors[tensor].root;
    const struct tflite_tensor *constant = &t->tensors[root == NET_NONE ? tensor : root];
    return constant->data.count > 0 && !t->tensors[tensor].computed ? constant : NULL;
}

static int take_form(struct tflite *t, int32_t in, int32_t out) {
    const struct net_tensor *a = &t->graph->tensors[in], *b = &t->graph->tensors[out];
    if (constant_of(t, in) == NULL)
        return tflite_refuse(t, "tensor %d is no constant", in);
    if (a->rank != b->rank || memcmp(a->shape, b->shape, a->rank * sizeof a->shape[0]) != 0)
        return tflite_refuse(t, "tensors %d and %d are of different shapes", in, out);
    t->tensors[out].root = t->tensors[in].root == NET_NONE ? in : t->tensors[in].root;
    return GPU_OK;
}

int tflite_dequantize(struct tflite *t, int32_t in, int32_t out) {
    if (t->tensors[in].type != TFLITE_FLOAT16 || t->tensors[out].type != TFLITE_FLOAT32)
        return tflite_refuse(t, "from type %u to %u: only from FLOAT16 to FLOAT32",
                             t->tensors[in].type, t->tensors[out].type);
    if (t->tensors[in].sparsity.at != 0)
        return tflite_refuse(t, "tensor %d is sparse: DENSIFY has to come first", in);
    return take_form(t, in, out);
}

int tflite_densify(struct tflite *t, int32_t in, int32_t out) {
    if (t->tensors[in].sparsity.at == 0 || t->tensors[out].sparsity.at != 0)
        return tflite_refuse(t, "from a sparse tensor to a dense one, not from %d to %d", in, out);
    if (t->tensors[in].type != t->tensors[out].type)
        return tflite_refuse(t, "tensors %d and %d are of different types", in, out);
    return take_form(t, in, out);
}

int tflite_ints(struct tflite *t, int32_t tensor, uint32_t count, int32_t *out) {
    const struct tflite_tensor *constant = &t->tensors[tensor];
    if (constant->type != TFLITE_INT32 || constant->data.count != 4 * (uint64_t)count)
        return tflite_refuse(t, "tensor %d is no constant of %u INT32", tensor, count);
    for (uint32_t i = 0; i < count; i++)
        out[i] = fb_int_at(&t->file, constant->data, i);
    return GPU_OK;
}

/* -- Numbers ----------------------------------------------------------------------------------- */

/* Exact for all that is finite, subnormal ones too: the exponent's bias is made up for by a
 * product. Infinities and NaN become at least 2^16. */
static float from_half(uint32_t half) {
    uint32_t bits = (half & 0x7fff) << 13;
    float number;
    memcpy(&number, &bits, sizeof number);
    number *= 0x1p112f;
    return half & 0x8000 ? -number : number;
}

/* `count` numbers from the file's bytes; false: one is not finite. */
static bool convert(const uint8_t *bytes, uint32_t type, uint32_t count, float *out) {
    bool finite = true;
    for (uint32_t i = 0; i < count && type == TFLITE_FLOAT16; i++) {
        uint32_t half = fb_u16(bytes + 2 * (size_t)i);
        finite &= (half & 0x7c00) != 0x7c00;
        out[i] = from_half(half);
    }
    for (uint32_t i = 0; i < count && type == TFLITE_FLOAT32; i++) {
        uint32_t bits = fb_u32(bytes + 4 * (size_t)i);
        finite &= (bits & 0x7f800000) != 0x7f800000;
        memcpy(&out[i], &bits, sizeof bits);
    }
    return finite;
}

/* -- Sparse matrices --------------------------------------------------------------------------- */

/* Row pointers or column numbers, of 1, 2 or 4 bytes each. */
struct numbers {
    const uint8_t *bytes;
    uint32_t count, width;
};

static uint32_t number_at(const struct numbers *numbers, uint32_t index) {
    const uint8_t *at = numbers->bytes + (size_t)index * numbers->width;
    return numbers->width == 1 ? at[0] : numbers->width == 2 ? fb_u16(at) : fb_u32(at);
}

static struct numbers read_numbers(struct tflite *t, struct fb_table dimension, uint32_t type_field,
                                   uint32_t field) {
    static const uint8_t widths[] = {0, 4, 2, 1}; /* by SparseIndexVector */
    uint32_t type = fb_byte(&t->file, dimension, type_field, 0);
    uint32_t width = type < sizeof widths ? widths[type] : 0;
    if (width == 0)
        return (struct numbers){0};
    struct fb_vector vector = fb_vector(&t->file, fb_child(&t->file, dimension, field), 0, width);
    return (struct numbers){t->file.bytes + vector.at, vector.count, width};
}

struct rows {
    uint32_t count, columns;
    struct numbers ends, places; /* ends[r] .. ends[r + 1]: row r's part of `places` */
};

/* All dimensions but the last are dense and in the usual order: each is a choice of row. */
static int read_rows(struct tflite *t, int32_t tensor, struct fb_table sparsity,
                     struct rows *rows) {
    const struct net_tensor *shape = &t->graph->tensors[tensor];
    struct fb_file *file = &t->file;
    struct fb_vector order = fb_vector(file, sparsity, SPARSITY_ORDER, 4);
    struct fb_vector dimensions = fb_vector(file, sparsity, SPARSITY_DIMENSIONS, 4);
    uint32_t last = shape->rank - 1;
    bool known = order.count == shape->rank && dimensions.count == shape->rank &&
                 fb_vector(file, sparsity, SPARSITY_BLOCK_MAP, 4).count == 0;
    for (uint32_t i = 0; known && i <= last; i++) {
        struct fb_table dimension = fb_table_at(file, dimensions, i);
        uint32_t format = fb_byte(file, dimension, DIMENSION_FORMAT, FORMAT_DENSE);
        known =
            fb_int_at(file, order, i) == (int32_t)i &&
            format == (i < last ? FORMAT_DENSE : FORMAT_CSR) &&
            (i == last || fb_int(file, dimension, DIMENSION_SIZE, 0) == (int64_t)shape->shape[i]);
    }
    if (!known)
        return tflite_refuse(t, "tensor %d is sparse in another way than by rows", tensor);
    struct fb_table dimension = fb_table_at(file, dimensions, last);
    rows->columns = shape->shape[last];
    rows->count = (uint32_t)(shape->count / rows->columns);
    rows->ends = read_numbers(t, dimension, DIMENSION_SEGMENTS_TYPE, DIMENSION_SEGMENTS);
    rows->places = read_numbers(t, dimension, DIMENSION_INDICES_TYPE, DIMENSION_INDICES);
    return GPU_OK;
}

/* Rows follow on each other, columns rise in each. */
static bool rows_are_sound(const struct rows *rows, uint32_t values) {
    if (rows->ends.count != (uint64_t)rows->count + 1 || rows->places.count != values ||
        number_at(&rows->ends, 0) != 0 || number_at(&rows->ends, rows->count) != values)
        return false;
    for (uint32_t r = 0; r < rows->count; r++) {
        uint32_t from = number_at(&rows->ends, r), to = number_at(&rows->ends, r + 1);
        if (from > to || to > values)
            return false;
        for (uint32_t i = from; i < to; i++) {
            uint32_t column = number_at(&rows->places, i);
            if (column >= rows->columns || (i > from && column <= number_at(&rows->places, i - 1)))
                return false;
        }
    }
    return true;
}

/* -- Expansion --------------------------------------------------------------------------------- */

static bool scatter(const struct rows *rows, const uint8_t *bytes, uint32_t type, float *out) {
    uint32_t width = type == TFLITE_FLOAT16 ? 2 : 4;
    bool finite = true;
    for (uint32_t r = 0; r < rows->count; r++)
        for (uint32_t i = number_at(&rows->ends, r); i < number_at(&rows->ends, r + 1); i++)
            finite &= convert(bytes + (size_t)i * width, type, 1,
                              out + (size_t)r * rows->columns + number_at(&rows->places, i));
    return finite;
}

int tflite_expand(struct tflite *t, int32_t tensor) {
    struct net_tensor *out = &t->graph->tensors[tensor];
    const struct tflite_tensor *constant = constant_of(t, tensor);
    if (out->data != NULL)
        return GPU_OK;
    if (constant == NULL || t->tensors[tensor].type != TFLITE_FLOAT32)
        return tflite_refuse(t, "tensor %d (%s) is no constant of floats", tensor, out->name);
    struct fb_table sparsity = constant->sparsity;
    if (sparsity.at != 0 && constant == &t->tensors[tensor])
        return tflite_refuse(t, "tensor %d is sparse: DENSIFY has to come first", tensor);
    uint32_t width = constant->type == TFLITE_FLOAT16 ? 2 : 4, bytes = constant->data.count;
    uint64_t values = bytes / width;
    struct rows rows = {0};
    int code = sparsity.at != 0 ? read_rows(t, tensor, sparsity, &rows) : GPU_OK;
    if (code != GPU_OK)
        return code;
    if (bytes % width != 0 ||
        (sparsity.at == 0 ? values != out->count : !rows_are_sound(&rows, (uint32_t)values)))
        return tflite_refuse(t, "tensor %d (%s): its %u bytes do not make %zu numbers", tensor,
                             out->name, bytes, out->count);
    t->floats += out->count;
    if (t->floats > MOST_FLOATS)
        return tflite_refuse(t, "more than %d weights in all", MOST_FLOATS);
    out->data = calloc(out->count, sizeof(float));
    if (out->data == NULL)
        return gpu_fail(t->why, GPU_ENOMEM, "%s: no memory for %zu weights", t->where, out->count);
    const uint8_t *from = t->file.bytes + constant->data.at;
    bool finite = sparsity.at != 0 ? scatter(&rows, from, constant->type, out->data)
                                   : convert(from, constant->type, (uint32_t)values, out->data);
    return finite ? GPU_OK
                  : tflite_refuse(t, "tensor %d (%s) has numbers that are not finite", tensor,
                                  out->name);
}
