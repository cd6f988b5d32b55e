#include "net/tflite.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "net/graph_edit.h"

enum { FILE_VERSION = 3, MOST_TENSORS = 1 << 14, MOST_OPERATORS = 1 << 13 };
enum { MOST_NUMBERS = 1 << 24 }; /* of a tensor: 64 MB */

/* Fields, by table of the schema */
enum { MODEL_VERSION = 0, MODEL_CODES = 1, MODEL_SUBGRAPHS = 2, MODEL_BUFFERS = 4 };
enum { CODE_OLD = 0, CODE_CUSTOM = 1, CODE_BUILTIN = 3 };
enum { GRAPH_TENSORS = 0, GRAPH_INPUTS = 1, GRAPH_OUTPUTS = 2, GRAPH_OPERATORS = 3 };
enum {
    TENSOR_SHAPE = 0,
    TENSOR_TYPE = 1,
    TENSOR_BUFFER = 2,
    TENSOR_NAME = 3,
    TENSOR_SPARSITY = 6,
};
enum { BUFFER_DATA = 0, BUFFER_OFFSET = 1 };
enum { OPERATOR_CODE = 0 };

int tflite_refuse(struct tflite *t, const char *format, ...) {
    char text[GPU_WHY_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return gpu_fail(t->why, GPU_EINVAL, "%s: %s", t->where, text);
}

static int refuse_broken(struct tflite *t) {
    return tflite_refuse(t, "it leads outside of the file's %zu bytes; the file is damaged",
                         t->file.size);
}

/* -- Tensors ----------------------------------------------------------------------------------- */

/* Text of a file for messages: printable, cut. */
static void read_text(struct fb_file *file, struct fb_table table, uint32_t field, char *out,
                      size_t size) {
    struct fb_vector text = fb_vector(file, table, field, 1);
    size_t length = text.count < size - 1 ? text.count : size - 1;
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = file->bytes[text.at + i];
        out[i] = byte > ' ' && byte < 0x7f ? (char)byte : '_';
    }
    out[length] = 0;
}

static int read_shape(struct tflite *t, struct fb_table table, struct net_tensor *tensor) {
    struct fb_vector shape = fb_vector(&t->file, table, TENSOR_SHAPE, 4);
    if (shape.count < 1 || shape.count > NET_MAX_RANK)
        return tflite_refuse(t, "%u dimensions: only 1 to %d", shape.count, NET_MAX_RANK);
    uint64_t count = 1;
    tensor->rank = shape.count;
    for (uint32_t i = 0; i < shape.count; i++) {
        int32_t side = fb_int_at(&t->file, shape, i);
        if (side < 1 || count * (uint32_t)side > MOST_NUMBERS)
            return tflite_refuse(t, "dimension %u is %d: at least 1, and no more than %d numbers",
                                 i, side, MOST_NUMBERS);
        tensor->shape[i] = (uint32_t)side;
        count *= (uint32_t)side;
    }
    tensor->count = (size_t)count;
    return GPU_OK;
}

static int read_tensor(struct tflite *t, struct fb_table table, struct fb_vector buffers,
                       uint32_t index) {
    struct net_tensor *tensor = &t->graph->tensors[index];
    struct tflite_tensor *more = &t->tensors[index];
    read_text(&t->file, table, TENSOR_NAME, tensor->name, sizeof tensor->name);
    snprintf(t->where, sizeof t->where, "tensor %u (%s)", index, tensor->name);
    int code = read_shape(t, table, tensor);
    if (code != GPU_OK)
        return code;
    int32_t buffer = fb_int(&t->file, table, TENSOR_BUFFER, 0);
    if (buffer < 0 || (uint32_t)buffer >= buffers.count)
        return tflite_refuse(t, "it names buffer %d of %u", buffer, buffers.count);
    struct fb_table bytes = fb_table_at(&t->file, buffers, (uint32_t)buffer);
    if (fb_has(&t->file, bytes, BUFFER_OFFSET))
        return tflite_refuse(t, "its numbers stand behind the tables; only inside is known");
    more->type = fb_byte(&t->file, table, TENSOR_TYPE, TFLITE_FLOAT32);
    more->data = fb_vector(&t->file, bytes, BUFFER_DATA, 1);
    more->sparsity = fb_child(&t->file, table, TENSOR_SPARSITY);
    more->root = NET_NONE;
    return t->file.broken ? refuse_broken(t) : GPU_OK;
}

static int read_tensors(struct tflite *t, struct fb_table subgraph, struct fb_vector buffers) {
    struct fb_vector tables = fb_vector(&t->file, subgraph, GRAPH_TENSORS, 4);
    if (tables.count < 1 || tables.count > MOST_TENSORS)
        return tflite_refuse(t, "%u tensors: only 1 to %d", tables.count, MOST_TENSORS);
    t->graph->tensors = calloc(tables.count, sizeof t->graph->tensors[0]);
    t->tensors = calloc(tables.count, sizeof t->tensors[0]);
    if (t->graph->tensors == NULL || t->tensors == NULL)
        return gpu_fail(t->why, GPU_ENOMEM, "no memory for %u tensors", tables.count);
    t->graph->tensor_count = tables.count;
    int code = GPU_OK;
    for (uint32_t i = 0; i < tables.count && code == GPU_OK; i++)
        code = read_tensor(t, fb_table_at(&t->file, tables, i), buffers, i);
    return code;
}

/* -- Operators, inputs, outputs ---------------------------------------------------------------- */

static uint32_t read_code(struct tflite *t, struct fb_vector codes, struct fb_table table,
                          uint32_t index) {
    int32_t place = fb_int(&t->file, table, OPERATOR_CODE, 0);
    if (place < 0 || (uint32_t)place >= codes.count) {
        t->file.broken = true;
        return 0;
    }
    struct fb_table kind = fb_table_at(&t->file, codes, (uint32_t)place);
    int32_t code = fb_int(&t->file, kind, CODE_BUILTIN, 0);
    uint32_t old = fb_byte(&t->file, kind, CODE_OLD, 0); /* stood for it until there were 127 */
    uint32_t known = code > (int32_t)old ? (uint32_t)code : old;
    const char *name = tflite_operator_name(known);
    char custom[48];
    read_text(&t->file, kind, CODE_CUSTOM, custom, sizeof custom);
    if (known == TFLITE_CUSTOM)
        snprintf(t->where, sizeof t->where, "operator %u (CUSTOM %s)", index, custom);
    else if (name != NULL)
        snprintf(t->where, sizeof t->where, "operator %u (%s)", index, name);
    else
        snprintf(t->where, sizeof t->where, "operator %u (of kind %u)", index, known);
    return known;
}

static int read_operators(struct tflite *t, struct fb_table model, struct fb_table subgraph) {
    struct fb_vector codes = fb_vector(&t->file, model, MODEL_CODES, 4);
    struct fb_vector tables = fb_vector(&t->file, subgraph, GRAPH_OPERATORS, 4);
    snprintf(t->where, sizeof t->where, "the list of operators");
    if (t->file.broken || tables.count < 1 || tables.count > MOST_OPERATORS)
        return tflite_refuse(t, "%u operators: only 1 to %d", tables.count, MOST_OPERATORS);
    t->graph->ops = calloc(tables.count, sizeof t->graph->ops[0]);
    if (t->graph->ops == NULL)
        return gpu_fail(t->why, GPU_ENOMEM, "no memory for %u operators", tables.count);
    for (uint32_t i = 0; i < tables.count; i++) {
        snprintf(t->where, sizeof t->where, "operator %u", i);
        struct fb_table table = fb_table_at(&t->file, tables, i);
        uint32_t code = read_code(t, codes, table, i);
        if (t->file.broken)
            return refuse_broken(t);
        int result = tflite_read_operator(t, table, code);
        if (t->file.broken)
            return refuse_broken(t);
        if (result != GPU_OK)
            return result;
    }
    return GPU_OK;
}

/* The subgraph's inputs or outputs, each one named once. */
static int read_ends(struct tflite *t, struct fb_table subgraph, uint32_t field, int32_t *ends,
                     uint32_t *count) {
    struct fb_vector list = fb_vector(&t->file, subgraph, field, 4);
    const char *what = field == GRAPH_INPUTS ? "inputs" : "outputs";
    snprintf(t->where, sizeof t->where, "the list of %s", what);
    if (list.count < 1 || list.count > NET_MAX_INPUTS)
        return tflite_refuse(t, "%u of them: only 1 to %d", list.count, NET_MAX_INPUTS);
    for (uint32_t i = 0; i < list.count; i++) {
        int32_t tensor = fb_int_at(&t->file, list, i);
        if (tensor < 0 || (uint32_t)tensor >= t->graph->tensor_count)
            return tflite_refuse(t, "it names tensor %d of %u", tensor, t->graph->tensor_count);
        struct tflite_tensor *more = &t->tensors[tensor];
        if (field == GRAPH_INPUTS && (more->type != TFLITE_FLOAT32 || more->data.count > 0))
            return tflite_refuse(t, "tensor %d is a constant, or not of FLOAT32", tensor);
        if (field == GRAPH_OUTPUTS && !more->computed)
            return tflite_refuse(t, "tensor %d is written by no operator", tensor);
        for (uint32_t k = 0; k < i; k++)
            if (ends[k] == tensor)
                return tflite_refuse(t, "tensor %d stands in it twice", tensor);
        for (uint32_t k = 0; k < t->graph->input_count; k++)
            if (t->graph->inputs[k] == tensor)
                return tflite_refuse(t, "tensor %d is an input", tensor);
        more->computed = true;
        ends[i] = tensor;
    }
    *count = list.count;
    return GPU_OK;
}

/* -- The file ---------------------------------------------------------------------------------- */

static int read_model(struct tflite *t, const void *bytes, size_t size) {
    snprintf(t->where, sizeof t->where, "the file");
    struct fb_table model = fb_open(&t->file, bytes, size, "TFL3");
    if (model.at == 0)
        return tflite_refuse(t, "not a TFLite model (%zu bytes)", size);
    int32_t version = fb_int(&t->file, model, MODEL_VERSION, 0);
    struct fb_vector subgraphs = fb_vector(&t->file, model, MODEL_SUBGRAPHS, 4);
    struct fb_vector buffers = fb_vector(&t->file, model, MODEL_BUFFERS, 4);
    if (t->file.broken)
        return refuse_broken(t);
    if (version != FILE_VERSION || subgraphs.count != 1)
        return tflite_refuse(t, "version %d with %u graphs: only version %d with one", version,
                             subgraphs.count, FILE_VERSION);
    struct fb_table subgraph = fb_table_at(&t->file, subgraphs, 0);
    struct net_graph *graph = t->graph;
    int code = read_tensors(t, subgraph, buffers);
    if (code == GPU_OK)
        code = read_ends(t, subgraph, GRAPH_INPUTS, graph->inputs, &graph->input_count);
    if (code == GPU_OK)
        code = read_operators(t, model, subgraph);
    if (code == GPU_OK)
        code = read_ends(t, subgraph, GRAPH_OUTPUTS, graph->outputs, &graph->output_count);
    return code == GPU_OK && t->file.broken ? refuse_broken(t) : code;
}

int net_graph_read(const void *bytes, size_t size, struct net_graph **out, char *why) {
    struct tflite tflite = {.graph = calloc(1, sizeof *tflite.graph), .why = why};
    *out = NULL;
    if (tflite.graph == NULL)
        return gpu_fail(why, GPU_ENOMEM, "no memory for a graph");
    int code = read_model(&tflite, bytes, size);
    if (code == GPU_OK)
        code = net_graph_compact(tflite.graph, why);
    free(tflite.tensors);
    if (code == GPU_OK)
        *out = tflite.graph;
    else
        net_graph_free(tflite.graph);
    return code;
}
