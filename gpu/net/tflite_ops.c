#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "net/tflite.h"

enum { MOST_WINDOW = 64 }; /* a side of kernels; strides; rows of padding */

/* Operator */
enum { OPERATOR_INPUTS = 1, OPERATOR_OUTPUTS = 2, OPERATOR_OPTIONS_TYPE = 3, OPERATOR_OPTIONS = 4 };

/* BuiltinOptions: what kind of table an operator's options are */
enum {
    OPTIONS_NONE = 0,
    OPTIONS_CONV = 1,
    OPTIONS_DEPTHWISE = 2,
    OPTIONS_POOL = 5,
    OPTIONS_CONCAT = 10,
    OPTIONS_ADD = 11,
    OPTIONS_RESIZE = 15,
    OPTIONS_RESHAPE = 17,
    OPTIONS_DEPTH_TO_SPACE = 94,
};

enum { PADDING_SAME = 0, PADDING_VALID = 1 };

/* An operator while it is read. */
struct reading {
    struct tflite *tflite;
    struct fb_table options;
    struct net_op op;
};

static const struct net_tensor *tensor_of(const struct reading *r, int32_t tensor) {
    return &r->tflite->graph->tensors[tensor];
}

static int32_t option(struct reading *r, uint32_t field, int32_t otherwise) {
    return fb_int(&r->tflite->file, r->options, field, otherwise);
}

/* -- What operators share ---------------------------------------------------------------------- */

/* Input `which` is computed, and NHWC of one picture. */
static int want_picture(struct reading *r, uint32_t which) {
    const struct net_tensor *x = tensor_of(r, r->op.inputs[which]);
    if (x->rank != 4 || x->shape[0] != 1)
        return tflite_refuse(r->tflite, "tensor %d (%s) is not of the form 1 x H x W x C",
                             r->op.inputs[which], x->name);
    return GPU_OK;
}

/* The first input is always computed, a later one may be a constant. */
static int want_numbers(struct reading *r, uint32_t which) {
    int32_t tensor = r->op.inputs[which];
    const struct tflite_tensor *more = &r->tflite->tensors[tensor];
    if (which > 0 && (more->data.count > 0 || more->root != NET_NONE))
        return tflite_expand(r->tflite, tensor);
    if (!more->computed)
        return tflite_refuse(r->tflite, "tensor %d (%s) is written by no operator before", tensor,
                             tensor_of(r, tensor)->name);
    return GPU_OK;
}

/* The output's shape in the file is the one that was computed. */
static int want_shape(struct reading *r, uint32_t rank, const int64_t *shape) {
    const struct net_tensor *out = tensor_of(r, r->op.output);
    bool same = out->rank == rank;
    for (uint32_t i = 0; same && i < rank; i++)
        same = shape[i] == (int64_t)out->shape[i];
    if (!same)
        return tflite_refuse(r->tflite,
                             "its output, tensor %d (%s), is not of the shape that "
                             "follows from its inputs",
                             r->op.output, out->name);
    return GPU_OK;
}

static int want_same_shape(struct reading *r, int32_t tensor) {
    const struct net_tensor *x = tensor_of(r, tensor);
    int64_t shape[NET_MAX_RANK];
    for (uint32_t i = 0; i < x->rank; i++)
        shape[i] = x->shape[i];
    return want_shape(r, x->rank, shape);
}

static int read_activation(struct reading *r, uint32_t field) {
    enum { NONE = 0, RELU6 = 3 };
    uint32_t code = fb_byte(&r->tflite->file, r->options, field, NONE);
    if (code != NONE && code != RELU6)
        return tflite_refuse(r->tflite, "activation %u: only NONE (0) and RELU6 (3)", code);
    r->op.activation = code == RELU6 ? NET_RELU6 : NET_LINEAR;
    return GPU_OK;
}

/* Kernel, stride and padding in space; all such options begin with padding, stride_w, stride_h.
 * size: height and width of the output. */
static int read_window(struct reading *r, int64_t height, int64_t width, int64_t size[2]) {
    const struct net_tensor *x = tensor_of(r, r->op.inputs[0]);
    uint32_t padding = fb_byte(&r->tflite->file, r->options, 0, PADDING_SAME);
    const int64_t kernel[2] = {height, width}, stride[2] = {option(r, 2, 0), option(r, 1, 0)};
    if (padding > PADDING_VALID)
        return tflite_refuse(r->tflite, "padding %u: only SAME (0) and VALID (1)", padding);
    for (int axis = 0; axis < 2; axis++) {
        int64_t in = x->shape[1 + axis], all = 0;
        if (kernel[axis] < 1 || kernel[axis] > MOST_WINDOW || stride[axis] < 1 ||
            stride[axis] > MOST_WINDOW)
            return tflite_refuse(r->tflite, "kernels and strides are of 1 to %d", MOST_WINDOW);
        if (padding == PADDING_VALID && in < kernel[axis])
            return tflite_refuse(r->tflite, "a kernel larger than its input");
        if (padding == PADDING_VALID) {
            size[axis] = (in - kernel[axis]) / stride[axis] + 1;
        } else {
            size[axis] = (in + stride[axis] - 1) / stride[axis];
            all = (size[axis] - 1) * stride[axis] + kernel[axis] - in;
            all = all > 0 ? all : 0;
        }
        r->op.kernel[axis] = (uint32_t)kernel[axis];
        r->op.stride[axis] = (uint32_t)stride[axis];
        r->op.pad[2 * axis] = (uint32_t)(all / 2); /* an odd one goes to the far side */
        r->op.pad[2 * axis + 1] = (uint32_t)(all - all / 2);
    }
    return GPU_OK;
}

/* -- Operators --------------------------------------------------------------------------------- */

/* Weights [first][kh][kw][channels], bias [outputs]. */
static int read_weights(struct reading *r, uint32_t activation_field, uint32_t dilation_field) {
    const struct net_tensor *x = tensor_of(r, r->op.inputs[0]);
    const struct net_tensor *weights = tensor_of(r, r->op.inputs[1]);
    const struct net_tensor *bias = tensor_of(r, r->op.inputs[2]);
    bool depthwise = r->op.kind == NET_DEPTHWISE;
    uint32_t channels = depthwise ? weights->shape[3] : weights->shape[0];
    int code = want_picture(r, 0);
    if (code != GPU_OK)
        return code;
    if (weights->rank != 4 || weights->shape[3] != x->shape[3] ||
        (depthwise && weights->shape[0] != 1))
        return tflite_refuse(r->tflite, "weights (tensor %d, %s) that do not fit its input",
                             r->op.inputs[1], weights->name);
    if (bias->rank != 1 || bias->shape[0] != channels)
        return tflite_refuse(r->tflite, "a bias (tensor %d, %s) that does not fit its weights",
                             r->op.inputs[2], bias->name);
    if (option(r, dilation_field, 1) != 1 || option(r, dilation_field + 1, 1) != 1)
        return tflite_refuse(r->tflite, "dilation: only 1");
    int64_t shape[4] = {1, 0, 0, channels};
    code = read_window(r, weights->shape[1], weights->shape[2], shape + 1);
    if (code == GPU_OK)
        code = read_activation(r, activation_field);
    if (code == GPU_OK)
        code = want_shape(r, 4, shape);
    for (int which = 1; which <= 2 && code == GPU_OK; which++)
        code = tflite_expand(r->tflite, r->op.inputs[which]);
    return code;
}

static int read_conv(struct reading *r) {
    return read_weights(r, 3, 4);
}

static int read_depthwise(struct reading *r) {
    int32_t multiplier = option(r, 3, 0);
    if (multiplier != 1)
        return tflite_refuse(r->tflite, "depth multiplier %d: only 1", multiplier);
    return read_weights(r, 4, 5);
}

static int read_add(struct reading *r) {
    int code = read_activation(r, 0);
    for (uint32_t i = 0; i < 2 && code == GPU_OK; i++)
        code = want_same_shape(r, r->op.inputs[i]);
    return code;
}

static int read_pad(struct reading *r) {
    int32_t pads[NET_MAX_RANK][2];
    int code = want_picture(r, 0);
    if (code == GPU_OK)
        code = tflite_ints(r->tflite, r->op.inputs[1], 8, pads[0]);
    if (code != GPU_OK)
        return code;
    int64_t shape[4];
    for (int i = 0; i < 4; i++) {
        int32_t most = i == 0 ? 0 : i == 3 ? INT32_MAX : MOST_WINDOW;
        if (pads[i][0] < 0 || pads[i][1] < 0 || pads[i][0] > (i == 3 ? 0 : most) ||
            pads[i][1] > most)
            return tflite_refuse(r->tflite,
                                 "only 0 to %d zeros around in space, and any number "
                                 "behind the channels",
                                 MOST_WINDOW);
        shape[i] = (int64_t)tensor_of(r, r->op.inputs[0])->shape[i] + pads[i][0] + pads[i][1];
    }
    for (int i = 0; i < 4; i++)
        r->op.pad[i] = (uint32_t)pads[1 + i / 2][i % 2];
    r->op.pad_channels = (uint32_t)pads[3][1];
    r->op.input_count = 1;
    return want_shape(r, 4, shape);
}

static int read_max_pool(struct reading *r) {
    int64_t shape[4] = {1, 0, 0, tensor_of(r, r->op.inputs[0])->shape[3]};
    int code = want_picture(r, 0);
    if (code == GPU_OK)
        code = read_window(r, option(r, 4, 0), option(r, 3, 0), shape + 1);
    if (code == GPU_OK)
        code = read_activation(r, 5);
    if (code != GPU_OK)
        return code;
    if (r->op.activation != NET_LINEAR || r->op.pad[0] + r->op.pad[1] + r->op.pad[2] + r->op.pad[3])
        return tflite_refuse(r->tflite, "only without activation and padding");
    return want_shape(r, 4, shape);
}

static int read_resize(struct reading *r) {
    const struct net_tensor *x = tensor_of(r, r->op.inputs[0]);
    int32_t size[2];
    int code = want_picture(r, 0);
    if (code == GPU_OK)
        code = tflite_ints(r->tflite, r->op.inputs[1], 2, size);
    if (code != GPU_OK)
        return code;
    bool corners = fb_byte(&r->tflite->file, r->options, 2, 0) != 0;
    bool half = fb_byte(&r->tflite->file, r->options, 3, 0) != 0;
    if (corners || !half || size[0] != 2 * (int64_t)x->shape[1] ||
        size[1] != 2 * (int64_t)x->shape[2])
        return tflite_refuse(r->tflite, "only to twice the size with half-pixel centres");
    r->op.input_count = 1;
    return want_shape(r, 4, (int64_t[]){1, size[0], size[1], x->shape[3]});
}

static int read_depth_to_space(struct reading *r) {
    const struct net_tensor *x = tensor_of(r, r->op.inputs[0]);
    int32_t block = option(r, 0, 0);
    int code = want_picture(r, 0);
    if (code != GPU_OK)
        return code;
    if (block != 2 || x->shape[3] % 4 != 0)
        return tflite_refuse(r->tflite,
                             "blocks of %d from %u channels: only of 2 from a multiple "
                             "of 4",
                             block, x->shape[3]);
    return want_shape(
        r, 4, (int64_t[]){1, 2 * (int64_t)x->shape[1], 2 * (int64_t)x->shape[2], x->shape[3] / 4});
}

static int read_concat(struct reading *r) {
    const struct net_tensor *first = tensor_of(r, r->op.inputs[0]);
    int64_t axis = option(r, 0, 0), shape[NET_MAX_RANK] = {0};
    int code = read_activation(r, 1);
    if (code != GPU_OK)
        return code;
    axis += axis < 0 ? first->rank : 0;
    if (axis < 0 || axis >= first->rank || r->op.activation != NET_LINEAR)
        return tflite_refuse(r->tflite, "only along an axis of its inputs, without activation");
    for (uint32_t i = 0; i < r->op.input_count; i++) {
        const struct net_tensor *x = tensor_of(r, r->op.inputs[i]);
        bool fits = x->rank == first->rank;
        for (uint32_t k = 0; fits && k < x->rank; k++)
            fits = k == (uint32_t)axis || x->shape[k] == first->shape[k];
        if (!fits)
            return tflite_refuse(r->tflite, "tensor %d (%s) does not fit the first one",
                                 r->op.inputs[i], x->name);
        for (uint32_t k = 0; k < x->rank; k++)
            shape[k] = k == (uint32_t)axis ? shape[k] + x->shape[k] : x->shape[k];
    }
    r->op.axis = (uint32_t)axis;
    return want_shape(r, first->rank, shape);
}

/* The new shape stands in a second input or in the options. */
static int read_reshape(struct reading *r) {
    const struct net_tensor *x = tensor_of(r, r->op.inputs[0]), *out = tensor_of(r, r->op.output);
    struct fb_vector given = fb_vector(&r->tflite->file, r->options, 0, 4);
    int32_t shape[NET_MAX_RANK] = {0};
    bool same = x->count == out->count;
    if (r->op.input_count == 2) {
        int code = tflite_ints(r->tflite, r->op.inputs[1], out->rank, shape);
        if (code != GPU_OK)
            return code;
    } else {
        same = same && given.count == out->rank;
        for (uint32_t i = 0; same && i < out->rank; i++)
            shape[i] = fb_int_at(&r->tflite->file, given, i);
    }
    for (uint32_t i = 0; i < out->rank; i++) /* -1: whatever is left */
        same = same && (shape[i] == -1 || shape[i] == (int64_t)out->shape[i]);
    r->op.input_count = 1;
    return same ? GPU_OK
                : tflite_refuse(r->tflite, "tensor %d (%s) does not become the shape of tensor %d",
                                r->op.inputs[0], x->name, r->op.output);
}

static int read_logistic(struct reading *r) {
    return want_same_shape(r, r->op.inputs[0]);
}

static const struct form {
    const char *name;
    uint32_t code, options;
    uint32_t least, most; /* inputs */
    uint32_t computed;    /* inputs, from the first on, that are not constants */
    enum net_kind kind;
    int (*read)(struct reading *); /* NULL: only another form of a constant */
} forms[] = {
    {"CONV_2D", TFLITE_CONV_2D, OPTIONS_CONV, 3, 3, 1, NET_CONV, read_conv},
    {"DEPTHWISE_CONV_2D", TFLITE_DEPTHWISE_CONV_2D, OPTIONS_DEPTHWISE, 3, 3, 1, NET_DEPTHWISE,
     read_depthwise},
    {"ADD", TFLITE_ADD, OPTIONS_ADD, 2, 2, 2, NET_ADD, read_add},
    {"PAD", TFLITE_PAD, OPTIONS_NONE, 2, 2, 1, NET_PAD, read_pad},
    {"MAX_POOL_2D", TFLITE_MAX_POOL_2D, OPTIONS_POOL, 1, 1, 1, NET_MAX_POOL, read_max_pool},
    {"RESIZE_BILINEAR", TFLITE_RESIZE_BILINEAR, OPTIONS_RESIZE, 2, 2, 1, NET_RESIZE_TWICE,
     read_resize},
    {"DEPTH_TO_SPACE", TFLITE_DEPTH_TO_SPACE, OPTIONS_DEPTH_TO_SPACE, 1, 1, 1, NET_DEPTH_TO_SPACE,
     read_depth_to_space},
    {"CONCATENATION", TFLITE_CONCATENATION, OPTIONS_CONCAT, 1, NET_MAX_INPUTS, NET_MAX_INPUTS,
     NET_CONCAT, read_concat},
    {"RESHAPE", TFLITE_RESHAPE, OPTIONS_RESHAPE, 1, 2, 1, NET_RESHAPE, read_reshape},
    {"LOGISTIC", TFLITE_LOGISTIC, OPTIONS_NONE, 1, 1, 1, NET_SIGMOID, read_logistic},
    {"DEQUANTIZE", TFLITE_DEQUANTIZE, OPTIONS_NONE, 1, 1, 0, 0, NULL},
    {"DENSIFY", TFLITE_DENSIFY, OPTIONS_NONE, 1, 1, 0, 0, NULL},
};

static const struct form *form_of(uint32_t code) {
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (forms[i].code == code)
            return &forms[i];
    return NULL;
}

/* -- Reading one ------------------------------------------------------------------------------- */

static int read_tensors(struct reading *r, struct fb_table table, const struct form *form) {
    struct tflite *t = r->tflite;
    struct fb_vector inputs = fb_vector(&t->file, table, OPERATOR_INPUTS, 4);
    struct fb_vector outputs = fb_vector(&t->file, table, OPERATOR_OUTPUTS, 4);
    if (inputs.count < form->least || inputs.count > form->most || outputs.count != 1)
        return tflite_refuse(t, "%u inputs and %u outputs: it has %u to %u and 1", inputs.count,
                             outputs.count, form->least, form->most);
    r->op.input_count = inputs.count;
    for (uint32_t i = 0; i <= inputs.count; i++) {
        int32_t tensor =
            fb_int_at(&t->file, i < inputs.count ? inputs : outputs, i < inputs.count ? i : 0);
        if (tensor < 0 || (uint32_t)tensor >= t->graph->tensor_count)
            return tflite_refuse(t, "it names tensor %d of %u", tensor, t->graph->tensor_count);
        *(i < inputs.count ? &r->op.inputs[i] : &r->op.output) = tensor;
    }
    int code = GPU_OK;
    for (uint32_t i = 0; i < inputs.count && i < form->computed && code == GPU_OK; i++)
        code = want_numbers(r, i);
    const struct tflite_tensor *out = &t->tensors[r->op.output];
    if (code == GPU_OK && (out->computed || out->root != NET_NONE || out->data.count > 0))
        return tflite_refuse(t, "tensor %d (%s) has numbers already", r->op.output,
                             tensor_of(r, r->op.output)->name);
    return code;
}

static int read_options(struct reading *r, struct fb_table table, const struct form *form) {
    struct fb_file *file = &r->tflite->file;
    uint32_t type = fb_byte(file, table, OPERATOR_OPTIONS_TYPE, OPTIONS_NONE);
    if (form->options == OPTIONS_NONE || type == OPTIONS_NONE)
        return GPU_OK;
    if (type != form->options)
        return tflite_refuse(r->tflite, "options of another operator (%u)", type);
    r->options = fb_child(file, table, OPERATOR_OPTIONS);
    return GPU_OK;
}

int tflite_read_operator(struct tflite *t, struct fb_table table, uint32_t code) {
    const struct form *form = form_of(code);
    if (form == NULL)
        return tflite_refuse(t, "an operator that the pose networks do not have");
    struct reading r = {.tflite = t, .op.kind = form->kind};
    int result = read_tensors(&r, table, form);
    if (result != GPU_OK)
        return result;
    if (code == TFLITE_DEQUANTIZE)
        return tflite_dequantize(t, r.op.inputs[0], r.op.output);
    if (code == TFLITE_DENSIFY)
        return tflite_densify(t, r.op.inputs[0], r.op.output);
    if (t->tensors[r.op.output].type != TFLITE_FLOAT32)
        return tflite_refuse(t, "its output is of type %u: only FLOAT32 (0) is computed",
                             t->tensors[r.op.output].type);
    result = read_options(&r, table, form);
    if (result == GPU_OK)
        result = form->read(&r);
    if (result == GPU_OK) {
        t->tensors[r.op.output].computed = true;
        t->graph->ops[t->graph->op_count++] = r.op;
    }
    return result;
}

const char *tflite_operator_name(uint32_t code) {
    static const char *const others[] = {
        "ADD",
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "DEPTH_TO_SPACE",
        "DEQUANTIZE",
        "EMBEDDING_LOOKUP",
        "FLOOR",
        "FULLY_CONNECTED",
        "HASHTABLE_LOOKUP",
        "L2_NORMALIZATION",
        "L2_POOL_2D",
        "LOCAL_RESPONSE_NORMALIZATION",
        "LOGISTIC",
        "LSH_PROJECTION",
        "LSTM",
        "MAX_POOL_2D",
        "MUL",
        "RELU",
        "RELU_N1_TO_1",
        "RELU6",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RNN",
        "SOFTMAX",
        "SPACE_TO_DEPTH",
        "SVDF",
        "TANH",
        "CONCAT_EMBEDDINGS",
        "SKIP_GRAM",
        "CALL",
        "CUSTOM",
        "EMBEDDING_LOOKUP_SPARSE",
        "PAD",
        "UNIDIRECTIONAL_SEQUENCE_RNN",
        "GATHER",
        "BATCH_TO_SPACE_ND",
        "SPACE_TO_BATCH_ND",
        "TRANSPOSE",
        "MEAN",
        "SUB",
        "DIV",
        "SQUEEZE",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "STRIDED_SLICE",
        "BIDIRECTIONAL_SEQUENCE_RNN",
        "EXP",
        "TOPK_V2",
        "SPLIT",
        "LOG_SOFTMAX",
        "DELEGATE",
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        "CAST",
        "PRELU",
        "MAXIMUM",
        "ARG_MAX",
        "MINIMUM",
        "LESS",
        "NEG",
        "PADV2",
    };
    const struct form *form = form_of(code);
    if (form != NULL)
        return form->name;
    switch (code) {
    case 117:
        return "HARD_SWISH";
    case 126:
        return "BATCH_MATMUL";
    default:
        return code < sizeof others / sizeof others[0] ? others[code] : NULL;
    }
}
