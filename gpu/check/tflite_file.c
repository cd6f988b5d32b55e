#include "tflite_file.h"

#include <stdlib.h>
#include <string.h>

/* -- FlatBuffers --------------------------------------------------------------------------------
 */

/* Written forwards: what a table or vector leads to comes after it. */
struct file {
    uint8_t *bytes;
    size_t size, room;
};

static void put_u32(struct file *file, size_t at, uint32_t value) {
    for (int i = 0; i < 4; i++)
        file->bytes[at + (size_t)i] = (uint8_t)(value >> 8 * i);
}

static void put_u16(struct file *file, size_t at, uint32_t value) {
    file->bytes[at] = (uint8_t)value;
    file->bytes[at + 1] = (uint8_t)(value >> 8);
}

static size_t add_bytes(struct file *file, size_t count) {
    size_t at = (file->size + 3) / 4 * 4;
    file->size = at + count;
    if (file->size > file->room) {
        size_t room = 2 * file->size;
        file->bytes = realloc(file->bytes, room);
        if (file->bytes == NULL)
            abort();
        memset(file->bytes + file->room, 0, room - file->room);
        file->room = room;
    }
    return at;
}

/* A table of fields of 4 bytes, none of which is there yet. */
static size_t add_table(struct file *file, uint32_t fields) {
    size_t vtable = add_bytes(file, 4 + 2 * fields), table = add_bytes(file, 4 + 4 * fields);
    put_u16(file, vtable, 4 + 2 * fields);
    put_u16(file, vtable + 2, 4 + 4 * fields);
    put_u32(file, table, (uint32_t)(table - vtable));
    return table;
}

static size_t field_at(struct file *file, size_t table, uint32_t field) {
    size_t vtable = table - ((size_t)file->bytes[table] | (size_t)file->bytes[table + 1] << 8);
    put_u16(file, vtable + 4 + 2 * field, 4 + 4 * field);
    return table + 4 + 4 * field;
}

static void set(struct file *file, size_t table, uint32_t field, int64_t value) {
    put_u32(file, field_at(file, table, field), (uint32_t)value);
}

static void lead(struct file *file, size_t from, size_t to) {
    put_u32(file, from, (uint32_t)(to - from));
}

static void set_child(struct file *file, size_t table, uint32_t field, size_t child) {
    lead(file, field_at(file, table, field), child);
}

/* Where its elements begin. */
static size_t add_vector(struct file *file, size_t table, uint32_t field, uint32_t count,
                         uint32_t element) {
    size_t at = add_bytes(file, 4 + (size_t)count * element);
    put_u32(file, at, count);
    set_child(file, table, field, at);
    return at + 4;
}

static void set_ints(struct file *file, size_t table, uint32_t field, const int32_t *ints,
                     uint32_t count) {
    size_t at = add_vector(file, table, field, count, 4);
    for (uint32_t i = 0; i < count; i++)
        put_u32(file, at + 4 * (size_t)i, (uint32_t)ints[i]);
}

static void set_text(struct file *file, size_t table, uint32_t field, const char *text) {
    size_t length = strlen(text), at = add_vector(file, table, field, (uint32_t)length + 1, 1);
    memcpy(file->bytes + at, text, length);
    put_u32(file, at - 4, (uint32_t)length); /* the 0 behind is not counted */
}

/* -- What is to be written --------------------------------------------------------------------- */

enum { MOST_TENSORS = 400, MOST_OPS = 300 };

struct out_tensor {
    uint32_t type, rank;
    int32_t shape[NET_MAX_RANK];
    const char *name;
    const float *floats; /* of a constant, written by its type */
    int32_t ints[8];     /* or these */
    uint32_t count;      /* of either */
    bool sparse;
};

struct out_op {
    uint32_t code, options; /* the kind of options */
    int32_t inputs[NET_MAX_INPUTS], output;
    uint32_t input_count, field_count;
    int32_t fields[8]; /* of the options */
    int32_t origin;    /* the graph's operator, or -1 */
};

struct plan {
    const struct net_graph *graph;
    const struct tflite_writing *writing;
    struct out_tensor tensors[MOST_TENSORS];
    struct out_op ops[MOST_OPS];
    uint32_t tensor_count, op_count;
};

enum { FLOAT32 = 0, FLOAT16 = 1, INT32 = 2, DEQUANTIZE = 6, PAD = 34, CUSTOM = 32, DENSIFY = 124 };

static struct out_op *plan_op(struct plan *plan, uint32_t code, uint32_t options, int32_t origin) {
    if (plan->op_count == MOST_OPS)
        abort();
    struct out_op *op = &plan->ops[plan->op_count++];
    *op = (struct out_op){.code = code, .options = options, .origin = origin};
    return op;
}

static int32_t plan_tensor(struct plan *plan, struct out_tensor tensor) {
    if (plan->tensor_count == MOST_TENSORS)
        abort();
    plan->tensors[plan->tensor_count] = tensor;
    return (int32_t)plan->tensor_count++;
}

static int32_t plan_ints(struct plan *plan, int32_t op, uint32_t rank, const int32_t *shape,
                         const int32_t *ints) {
    struct out_tensor tensor = {INT32, rank, {0}, "ints", NULL, {0}, 1, false};
    for (uint32_t i = 0; i < rank; i++)
        tensor.count *= (uint32_t)(tensor.shape[i] = shape[i]);
    memcpy(tensor.ints, ints, tensor.count * sizeof *ints);
    const struct tflite_odd *odd = &plan->writing->odd;
    if (odd->what == ODD_INTS && (int32_t)odd->index == op)
        tensor.ints[odd->field] = odd->value;
    return plan_tensor(plan, tensor);
}

/* Operators that make floats of another form of a constant. */
static void plan_constant(struct plan *plan, int32_t id) {
    enum tflite_form form = plan->writing->form;
    bool half = form == FORM_HALF || form == FORM_SPARSE_HALF;
    bool sparse = form == FORM_SPARSE || form == FORM_SPARSE_HALF;
    struct out_tensor stored = plan->tensors[id];
    stored.type = half ? FLOAT16 : FLOAT32;
    stored.sparse = sparse;
    if (form == FORM_FLOAT || plan->writing->odd.what == ODD_UNDRESSED) {
        plan->tensors[id] = stored;
        return;
    }
    int32_t last = plan_tensor(plan, stored);
    plan->tensors[id].floats = NULL;
    plan->tensors[id].count = 0;
    stored.floats = NULL;
    stored.count = 0;
    stored.sparse = false;
    if (sparse) {
        struct out_op *densify = plan_op(plan, DENSIFY, 0, -1);
        densify->input_count = 1;
        densify->inputs[0] = last;
        densify->output = last = half ? plan_tensor(plan, stored) : id;
    }
    if (half) {
        struct out_op *dequantize = plan_op(plan, DEQUANTIZE, 0, -1);
        dequantize->input_count = 1;
        dequantize->inputs[0] = last;
        dequantize->output = id;
    }
}

/* Whether TensorFlow's SAME gives an operator's padding; else what does not pad is VALID. */
static bool pads_same(const struct net_op *op, const struct net_tensor *x) {
    bool same = true;
    for (int axis = 0; axis < 2; axis++) {
        int64_t in = x->shape[1 + axis], stride = op->stride[axis];
        int64_t all = ((in + stride - 1) / stride - 1) * stride + op->kernel[axis] - in;
        all = all > 0 ? all : 0;
        same = same && op->pad[2 * axis] == (uint32_t)(all / 2) &&
               op->pad[2 * axis + 1] == (uint32_t)(all - all / 2);
    }
    return same;
}

static int32_t plan_pad(struct plan *plan, int32_t index, int32_t x, int32_t output,
                        const struct net_op *pad) {
    const int32_t ints[8] = {0,
                             0,
                             (int32_t)pad->pad[0],
                             (int32_t)pad->pad[1],
                             (int32_t)pad->pad[2],
                             (int32_t)pad->pad[3],
                             0,
                             (int32_t)pad->pad_channels};
    struct out_op *op = plan_op(plan, PAD, 22, index);
    op->input_count = 2;
    op->inputs[0] = x;
    op->inputs[1] = plan_ints(plan, index, 2, (const int32_t[]){4, 2}, ints);
    return op->output = output;
}

static void plan_window(struct plan *plan, int32_t index, bool depthwise) {
    struct net_op op = plan->graph->ops[index];
    const struct net_tensor *x = &plan->graph->tensors[op.inputs[0]];
    bool same = pads_same(&op, x);
    int32_t input = op.inputs[0];
    if (!same && op.pad[0] + op.pad[1] + op.pad[2] + op.pad[3] > 0) {
        struct out_tensor padded = plan->tensors[input];
        for (int axis = 0; axis < 2; axis++)
            padded.shape[1 + axis] += (int32_t)(op.pad[2 * axis] + op.pad[2 * axis + 1]);
        op.pad_channels = 0;
        input = plan_pad(plan, -1, input, plan_tensor(plan, padded), &op);
    }
    int32_t activation = op.activation == NET_RELU6 ? 3 : 0;
    int32_t conv[] = {!same, (int32_t)op.stride[1], (int32_t)op.stride[0], activation};
    int32_t channels[] = {!same, conv[1], conv[2], 1, activation};
    struct out_op *out = plan_op(plan, depthwise ? 4 : 3, depthwise ? 2 : 1, index);
    out->input_count = op.input_count;
    memcpy(out->inputs, op.inputs, sizeof out->inputs);
    out->inputs[0] = input;
    out->output = op.output;
    out->field_count = depthwise ? 5 : 4;
    memcpy(out->fields, depthwise ? channels : conv, depthwise ? sizeof channels : sizeof conv);
}

static void plan_graph_op(struct plan *plan, int32_t index) {
    static const uint32_t codes[] = {3, 4, 0, 34, 17, 23, 5, 2, 22, 14};
    static const uint32_t options[] = {1, 2, 11, 22, 5, 15, 94, 10, 0, 0};
    const struct net_op *op = &plan->graph->ops[index];
    const struct out_tensor *shaped = &plan->tensors[op->output];
    if (op->kind == NET_CONV || op->kind == NET_DEPTHWISE) {
        plan_window(plan, index, op->kind == NET_DEPTHWISE);
        return;
    }
    if (op->kind == NET_PAD) {
        plan_pad(plan, index, op->inputs[0], op->output, op);
        return;
    }
    struct out_op *out = plan_op(plan, codes[op->kind], options[op->kind], index);
    out->input_count = op->input_count;
    memcpy(out->inputs, op->inputs, sizeof out->inputs);
    out->output = op->output;
    int32_t fields[8] = {0};
    if (op->kind == NET_ADD) {
        fields[0] = op->activation == NET_RELU6 ? 3 : 0;
    } else if (op->kind == NET_MAX_POOL) {
        const int32_t pool[] = {1, (int32_t)op->stride[1], (int32_t)op->stride[0],
                                (int32_t)op->kernel[1], (int32_t)op->kernel[0]};
        memcpy(fields, pool, sizeof pool);
    } else if (op->kind == NET_RESIZE_TWICE) {
        fields[3] = 1;
        out->inputs[out->input_count++] =
            plan_ints(plan, index, 1, (const int32_t[]){2}, shaped->shape + 1);
    } else if (op->kind == NET_DEPTH_TO_SPACE) {
        fields[0] = 2;
    } else if (op->kind == NET_CONCAT) {
        fields[0] = (int32_t)op->axis;
    } else if (op->kind == NET_RESHAPE) {
        out->inputs[out->input_count++] =
            plan_ints(plan, index, 1, (const int32_t[]){(int32_t)shaped->rank}, shaped->shape);
    }
    out->field_count = out->options != 0 ? 6 : 0;
    memcpy(out->fields, fields, sizeof fields);
}

static void plan_all(struct plan *plan) {
    for (uint32_t i = 0; i < plan->graph->tensor_count; i++) {
        const struct net_tensor *from = &plan->graph->tensors[i];
        struct out_tensor tensor = {FLOAT32,    from->rank, {0}, from->name,
                                    from->data, {0},        0,   false};
        for (uint32_t d = 0; d < from->rank; d++)
            tensor.shape[d] = (int32_t)from->shape[d];
        tensor.count = from->data != NULL ? (uint32_t)from->count : 0;
        plan_tensor(plan, tensor);
    }
    for (uint32_t i = 0; i < plan->graph->tensor_count; i++)
        if (plan->tensors[i].floats != NULL)
            plan_constant(plan, (int32_t)i);
    for (uint32_t i = 0; i < plan->graph->op_count; i++)
        plan_graph_op(plan, (int32_t)i);
}

/* -- Numbers ----------------------------------------------------------------------------------- */

/* Of a number that a half holds, not subnormal. */
static uint32_t to_half(float number) {
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
    return rest == 0 ? sign : sign | (((rest >> 23) - 112) << 10 | (rest >> 13 & 0x3ff));
}

static void put_number(struct file *file, size_t at, uint32_t type, float number) {
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    if (type == FLOAT16)
        put_u16(file, at, to_half(number));
    else
        put_u32(file, at, bits);
}

static void write_buffer(struct file *file, const struct plan *plan, size_t table,
                         const struct out_tensor *tensor) {
    const struct tflite_odd *odd = &plan->writing->odd;
    uint32_t width = tensor->type == FLOAT16 ? 2 : 4, count = 0;
    if (tensor->count == 0)
        return;
    for (uint32_t i = 0; tensor->floats != NULL && i < tensor->count; i++)
        count += !tensor->sparse || tensor->floats[i] != 0;
    count = tensor->floats == NULL ? tensor->count : count;
    int64_t more = odd->what == ODD_BYTES && tensor->floats != NULL ? odd->value : 0;
    uint32_t bytes = (uint32_t)(count * width + more);
    size_t at = add_vector(file, table, 0, bytes, 1);
    add_bytes(file, 16); /* room for what is written beyond fewer bytes */
    for (uint32_t i = 0, put = 0; i < tensor->count; i++)
        if (tensor->floats == NULL)
            put_u32(file, at + 4 * (size_t)i, (uint32_t)tensor->ints[i]);
        else if (!tensor->sparse || tensor->floats[i] != 0)
            put_number(file, at + (size_t)width * put++, tensor->type, tensor->floats[i]);
}

/* A SparseIndexVector of as many bytes a number as `bytes` says, or as they need. */
static void write_indices(struct file *file, size_t dimension, uint32_t type_field,
                          const uint32_t *numbers, uint32_t count, uint32_t bytes) {
    uint32_t most = 0;
    for (uint32_t i = 0; i < count; i++)
        most = numbers[i] > most ? numbers[i] : most;
    bytes = bytes != 0 ? bytes : most < 256 ? 1 : most < 65536 ? 2 : 4;
    size_t table = add_table(file, 1);
    set(file, dimension, type_field, bytes == 1 ? 3 : bytes == 2 ? 2 : 1);
    set_child(file, dimension, type_field + 1, table);
    size_t at = add_vector(file, table, 0, count, bytes);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < bytes; k++)
            file->bytes[at + (size_t)i * bytes + k] = (uint8_t)(numbers[i] >> 8 * k);
}

static void write_rows(struct file *file, const struct plan *plan, size_t dimension,
                       const struct out_tensor *tensor, uint32_t columns) {
    const struct tflite_odd *odd = &plan->writing->odd;
    uint32_t rows = tensor->count / columns, count = 0;
    uint32_t *ends = calloc(rows + 1, sizeof *ends),
             *places = calloc(tensor->count, sizeof *places);
    for (uint32_t i = 0; i < tensor->count; i++) {
        if (tensor->floats[i] != 0)
            places[count++] = i % columns;
        ends[i / columns + 1] = count;
    }
    if (odd->what == ODD_ROW && odd->field <= rows)
        ends[odd->field] = (uint32_t)odd->value;
    if (odd->what == ODD_COLUMN && odd->field < count)
        places[odd->field] = (uint32_t)odd->value;
    write_indices(file, dimension, 2, ends, rows + 1, plan->writing->index_bytes);
    write_indices(file, dimension, 4, places, count, plan->writing->index_bytes);
    free(ends);
    free(places);
}

static void write_sparsity(struct file *file, const struct plan *plan, size_t table,
                           const struct out_tensor *tensor) {
    const struct tflite_odd *odd = &plan->writing->odd;
    size_t sparsity = add_table(file, 3);
    set_child(file, table, 6, sparsity);
    int32_t order[NET_MAX_RANK] = {0, 1, 2, 3};
    if (odd->what == ODD_ORDER)
        order[0] = odd->value;
    set_ints(file, sparsity, 0, order, tensor->rank);
    size_t list = add_vector(file, sparsity, 2, tensor->rank, 4);
    for (uint32_t d = 0; d < tensor->rank; d++) {
        size_t dimension = add_table(file, 6);
        bool last = d + 1 == tensor->rank;
        lead(file, list + 4 * (size_t)d, dimension);
        set(file, dimension, 0, last);
        if (odd->what == ODD_FORMAT && odd->field == d)
            set(file, dimension, 0, odd->value);
        if (last)
            write_rows(file, plan, dimension, tensor, (uint32_t)tensor->shape[d]);
        else
            set(file, dimension, 1, tensor->shape[d]);
    }
}

/* -- Tables ------------------------------------------------------------------------------------ */

static void write_tensors(struct file *file, const struct plan *plan, size_t model, size_t graph) {
    const struct tflite_odd *odd = &plan->writing->odd;
    size_t buffers = add_vector(file, model, 4, plan->tensor_count + 1, 4);
    size_t tensors = add_vector(file, graph, 0, plan->tensor_count, 4);
    lead(file, buffers, add_table(file, 1)); /* the one that is always empty */
    for (uint32_t i = 0; i < plan->tensor_count; i++) {
        const struct out_tensor *tensor = &plan->tensors[i];
        bool here = odd->index == i;
        size_t buffer = add_table(file, 3), table = add_table(file, 8);
        lead(file, buffers + 4 * ((size_t)i + 1), buffer);
        lead(file, tensors + 4 * (size_t)i, table);
        write_buffer(file, plan, buffer, tensor);
        if (odd->what == ODD_OUTSIDE && here)
            set(file, buffer, 1, 4096);
        set_ints(file, table, 0, tensor->shape, tensor->rank);
        set(file, table, 1, odd->what == ODD_TYPE && here ? odd->value : (int64_t)tensor->type);
        set(file, table, 2, odd->what == ODD_BUFFER && here ? odd->value : (int64_t)i + 1);
        set_text(file, table, 3, tensor->name);
        if (tensor->sparse)
            write_sparsity(file, plan, table, tensor);
    }
}

/* Each operator has a code of its own. */
static void write_operators(struct file *file, const struct plan *plan, size_t model,
                            size_t graph) {
    const struct tflite_odd *odd = &plan->writing->odd;
    size_t codes = add_vector(file, model, 1, plan->op_count, 4);
    size_t ops = add_vector(file, graph, 3, plan->op_count, 4);
    for (uint32_t i = 0; i < plan->op_count; i++) {
        const struct out_op *op = &plan->ops[i];
        bool here = op->origin >= 0 && (uint32_t)op->origin == odd->index;
        size_t code = add_table(file, 4), table = add_table(file, 5);
        lead(file, codes + 4 * (size_t)i, code);
        lead(file, ops + 4 * (size_t)i, table);
        uint32_t builtin = odd->what == ODD_CODE && here ? (uint32_t)odd->value : op->code;
        builtin = odd->what == ODD_CUSTOM && here ? CUSTOM : builtin;
        set(file, code, 0, builtin < 127 ? builtin : 127);
        set(file, code, 3, builtin);
        if (builtin == CUSTOM)
            set_text(file, code, 1, "Odd");
        set(file, table, 0, i);
        set_ints(file, table, 1, op->inputs, op->input_count);
        set_ints(file, table, 2, &op->output, 1);
        set(file, table, 3, odd->what == ODD_OPTIONS && here ? odd->value : (int64_t)op->options);
        if (op->options == 0)
            continue;
        size_t options = add_table(file, 8);
        set_child(file, table, 4, options);
        for (uint32_t f = 0; f < op->field_count; f++)
            set(file, options, f, op->fields[f]);
        if (odd->what == ODD_OPTION && here)
            set(file, options, odd->field, odd->value);
    }
}

uint8_t *tflite_write(const struct net_graph *graph, const struct tflite_writing *writing,
                      size_t *size) {
    struct plan *plan = calloc(1, sizeof *plan);
    struct file file = {0};
    const struct tflite_odd *odd = &writing->odd;
    if (plan == NULL)
        abort();
    plan->graph = graph;
    plan->writing = writing;
    plan_all(plan);
    add_bytes(&file, 8);
    size_t model = add_table(&file, 5);
    lead(&file, 0, model);
    memcpy(file.bytes + 4, "TFL3", 4);
    set(&file, model, 0, odd->what == ODD_VERSION ? odd->value : 3);
    uint32_t subgraphs = odd->what == ODD_SUBGRAPHS ? (uint32_t)odd->value : 1;
    size_t list = add_vector(&file, model, 2, subgraphs, 4), subgraph = add_table(&file, 4);
    for (uint32_t i = 0; i < subgraphs; i++)
        lead(&file, list + 4 * (size_t)i, subgraph);
    write_tensors(&file, plan, model, subgraph);
    const int32_t twice[2] = {graph->inputs[0], graph->inputs[0]};
    bool doubled = odd->what == ODD_INPUT_TWICE;
    set_ints(&file, subgraph, 1, doubled ? twice : graph->inputs, doubled ? 2 : graph->input_count);
    set_ints(&file, subgraph, 2, graph->outputs, graph->output_count);
    write_operators(&file, plan, model, subgraph);
    free(plan);
    *size = file.size;
    return file.bytes;
}

void tflite_round(struct net_graph *graph, bool sparse) {
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        float *data = graph->tensors[i].data;
        for (size_t k = 0; data != NULL && k < graph->tensors[i].count; k++) {
            uint32_t bits;
            memcpy(&bits, &data[k], sizeof bits);
            bits &= 0xffffe000;
            memcpy(&data[k], &bits, sizeof bits);
            bool small = data[k] < 0x1p-14f && data[k] > -0x1p-14f;
            if (small || (sparse && (k * 2654435761u >> 13) % 4 != 0))
                data[k] = 0;
        }
    }
}
