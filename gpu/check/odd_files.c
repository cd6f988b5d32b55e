/* odd_files.c - TFLite files that are wrong: refused with a reason, or at least survived. */
#include "check.h"
#include "graphs.h"
#include "tflite_file.h"

#include <stdlib.h>
#include <string.h>

/* Every operator once. Tensors and operators are counted on by the table below. */
static void make_small(struct maker *maker) {
    static const uint32_t one[2] = {1, 1}, two[2] = {2, 2}, three[2] = {3, 3};
    static const uint32_t none[4] = {0}, around[4] = {1, 1, 1, 1};
    maker_init(maker, 7, 8, 8, 4);
    int32_t a = maker_conv(maker, 0, NET_CONV, 8, three, one, around, NET_RELU6);       /* 0 */
    int32_t b = maker_conv(maker, a, NET_DEPTHWISE, 0, three, one, around, NET_LINEAR); /* 1 */
    int32_t c = maker_add(maker, a, b, NET_RELU6);                                      /* 2 */
    int32_t d = maker_pool(maker, c, two, two);                                         /* 3 */
    int32_t e = maker_simple(maker, NET_RESIZE_TWICE, d);                               /* 4 */
    int32_t f = maker_pad(maker, e, none, 4);                                           /* 5 */
    int32_t g = maker_simple(maker, NET_DEPTH_TO_SPACE, f);                             /* 6 */
    int32_t h = maker_reshape(maker, g, (const uint32_t[]){1, 256, 3, 0});              /* 7 */
    int32_t i = maker_simple(maker, NET_SIGMOID, h);                                    /* 8 */
    maker_output(maker, maker_concat(maker, (const int32_t[]){h, i}, 2, 1));            /* 9 */
    tflite_round(&maker->graph, true);
}

/* The file is refused with these words, whatever reads it. */
static void refuse(const struct net_graph *graph, enum tflite_form form, struct tflite_odd odd,
                   const char *words) {
    struct tflite_writing writing = {form, 0, odd};
    struct net_graph *read = (struct net_graph *)1;
    char why[GPU_WHY_SIZE] = "";
    size_t size;
    uint8_t *file = tflite_write(graph, &writing, &size);
    int code = net_graph_read(file, size, &read, why);
    check_that(code == GPU_EINVAL && read == NULL && strstr(why, words) != NULL,
               "files: not refused with \"%s\": %d, \"%s\"", words, code, why);
    if (code == GPU_OK)
        net_graph_free(read);
    free(file);
}

static void refuse_files(void) {
    static const struct {
        enum tflite_form form;
        struct tflite_odd odd;
        const char *words;
    } cases[] = {
        {FORM_FLOAT, {ODD_VERSION, 0, 0, 2}, "version 2"},
        {FORM_FLOAT, {ODD_SUBGRAPHS, 0, 0, 0}, "0 graphs"},
        {FORM_FLOAT, {ODD_SUBGRAPHS, 0, 0, 2}, "2 graphs"},
        {FORM_FLOAT, {ODD_INPUT_TWICE, 0, 0, 0}, "tensor 0"},
        {FORM_FLOAT, {ODD_CODE, 2, 0, 18}, "operator 2 (MUL): an operator that"},
        {FORM_FLOAT, {ODD_CODE, 8, 0, 54}, "(PRELU)"},
        {FORM_FLOAT, {ODD_CODE, 8, 0, 150}, "(of kind 150)"},
        {FORM_FLOAT, {ODD_CUSTOM, 6, 0, 0}, "(CUSTOM Odd)"},
        {FORM_FLOAT, {ODD_OPTIONS, 3, 0, 1}, "operator 3 (MAX_POOL_2D): options of another"},
        {FORM_FLOAT, {ODD_OPTION, 0, 0, 2}, "padding 2"},
        {FORM_FLOAT, {ODD_OPTION, 0, 1, 0}, "strides"},
        {FORM_FLOAT, {ODD_OPTION, 0, 2, -1}, "strides"},
        {FORM_FLOAT, {ODD_OPTION, 0, 1, 2}, "shape"},
        {FORM_FLOAT, {ODD_OPTION, 0, 3, 1}, "activation 1"},
        {FORM_FLOAT, {ODD_OPTION, 0, 4, 2}, "dilation"},
        {FORM_FLOAT, {ODD_OPTION, 1, 3, 2}, "depth multiplier 2"},
        {FORM_FLOAT, {ODD_OPTION, 1, 6, 3}, "dilation"},
        {FORM_FLOAT, {ODD_OPTION, 3, 4, 0}, "kernels"},
        {FORM_FLOAT, {ODD_OPTION, 3, 4, 1 << 30}, "kernels"},
        {FORM_FLOAT, {ODD_OPTION, 3, 4, 9}, "larger than its input"},
        {FORM_FLOAT, {ODD_OPTION, 3, 5, 3}, "only without activation"},
        {FORM_FLOAT, {ODD_OPTION, 4, 2, 1}, "half-pixel"},
        {FORM_FLOAT, {ODD_OPTION, 4, 3, 0}, "half-pixel"},
        {FORM_FLOAT, {ODD_OPTION, 6, 0, 4}, "blocks of 4"},
        {FORM_FLOAT, {ODD_OPTION, 9, 0, 3}, "along an axis"},
        {FORM_FLOAT, {ODD_OPTION, 9, 0, -4}, "along an axis"},
        {FORM_FLOAT, {ODD_OPTION, 9, 0, 2}, "shape"},
        {FORM_FLOAT, {ODD_OPTION, 9, 1, 3}, "along an axis"},
        {FORM_FLOAT, {ODD_INTS, 4, 0, 5}, "twice the size"},
        {FORM_FLOAT, {ODD_INTS, 5, 0, 1}, "zeros around"},
        {FORM_FLOAT, {ODD_INTS, 5, 3, -1}, "zeros around"},
        {FORM_FLOAT, {ODD_INTS, 5, 4, INT32_MAX}, "zeros around"},
        {FORM_FLOAT, {ODD_INTS, 5, 7, INT32_MAX}, "shape"},
        {FORM_FLOAT, {ODD_INTS, 7, 1, 255}, "does not become"},
        {FORM_FLOAT, {ODD_TYPE, 0, 0, 9}, "not of FLOAT32"},
        {FORM_FLOAT, {ODD_TYPE, 1, 0, 9}, "tensor 1"},
        {FORM_FLOAT, {ODD_TYPE, 3, 0, 1}, "of type 1"},
        {FORM_FLOAT, {ODD_BUFFER, 1, 0, 1 << 20}, "buffer 1048576"},
        {FORM_FLOAT, {ODD_BUFFER, 1, 0, -1}, "buffer -1"},
        {FORM_FLOAT, {ODD_BUFFER, 1, 0, 0}, "no constant"},
        {FORM_FLOAT, {ODD_BUFFER, 3, 0, 2}, "has numbers already"},
        {FORM_FLOAT, {ODD_BUFFER, 0, 0, 2}, "tensor 0 is a constant"},
        {FORM_FLOAT, {ODD_OUTSIDE, 1, 0, 0}, "behind the tables"},
        {FORM_FLOAT, {ODD_BYTES, 0, 0, -4}, "do not make"},
        {FORM_FLOAT, {ODD_BYTES, 0, 0, 4}, "do not make"},
        {FORM_HALF, {ODD_BYTES, 0, 0, 1}, "do not make"},
        {FORM_HALF, {ODD_TYPE, 1, 0, 1}, "FLOAT16"},
        {FORM_HALF, {ODD_UNDRESSED, 0, 0, 0}, "no constant of floats"},
        {FORM_SPARSE, {ODD_UNDRESSED, 0, 0, 0}, "DENSIFY has to come first"},
        {FORM_SPARSE_HALF, {ODD_BYTES, 0, 0, 2}, "do not make"},
        {FORM_SPARSE_HALF, {ODD_ORDER, 0, 0, 1}, "sparse in another way"},
        {FORM_SPARSE_HALF, {ODD_FORMAT, 0, 0, 1}, "sparse in another way"},
        {FORM_SPARSE_HALF, {ODD_FORMAT, 0, 3, 0}, "sparse in another way"},
        {FORM_SPARSE_HALF, {ODD_ROW, 0, 0, 1}, "do not make"},
        {FORM_SPARSE_HALF, {ODD_ROW, 0, 1, 255}, "do not make"},
        {FORM_SPARSE_HALF, {ODD_ROW, 0, 2, 1 << 20}, "do not make"},
        {FORM_SPARSE_HALF, {ODD_COLUMN, 0, 1, 4}, "do not make"},
        {FORM_SPARSE_HALF, {ODD_COLUMN, 0, 0, 1 << 30}, "do not make"},
    };
    struct maker maker;
    make_small(&maker);
    struct net_graph *graph = NULL;
    char why[GPU_WHY_SIZE] = "";
    size_t size;
    uint8_t *file = tflite_write(&maker.graph, &(struct tflite_writing){0}, &size);
    check_that(net_graph_read(file, size, &graph, why) == GPU_OK, "files: the sound one: %s", why);
    net_graph_free(graph);
    free(file);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuse(&maker.graph, cases[i].form, cases[i].odd, cases[i].words);
    maker_deinit(&maker);
}

/* Graphs that break their own rules. */
static void refuse_graphs(void) {
    static const struct tflite_odd as_it_is = {ODD_NOTHING, 0, 0, 0};
    for (int i = 0; i < 16; i++) {
        struct maker maker;
        make_small(&maker);
        struct net_graph *graph = &maker.graph;
        struct net_op *ops = maker.ops;
        struct net_tensor *tensors = maker.tensors;
        const char *words = "shape";
        switch (i) {
        case 0: /* in a circle */
            ops[2].inputs[1] = ops[3].output;
            words = "written by no operator before";
            break;
        case 1: /* itself */
            ops[8].inputs[0] = ops[8].output;
            words = "written by no operator before";
            break;
        case 2:
            ops[2].output = ops[1].output;
            words = "has numbers already";
            break;
        case 3:
            ops[2].output = 0;
            words = "has numbers already";
            break;
        case 4:
            graph->outputs[0] = 0;
            words = "tensor 0 is an input";
            break;
        case 5:
            graph->outputs[0] = ops[0].inputs[1];
            words = "written by no operator";
            break;
        case 6:
            ops[8].inputs[0] = 9999;
            words = "tensor 9999";
            break;
        case 7:
            ops[8].inputs[0] = -1;
            words = "tensor -1";
            break;
        case 8:
            tensors[ops[2].output].shape[1]++;
            break;
        case 9:
            tensors[ops[6].output].shape[3]--;
            break;
        case 10:
            tensors[ops[1].inputs[2]].shape[0]--;
            tensors[ops[1].inputs[2]].count--;
            words = "a bias";
            break;
        case 11:
            ops[0].inputs[1] = ops[1].inputs[1];
            words = "weights";
            break;
        case 12:
            tensors[0].shape[1] = 1u << 31;
            words = "dimension 1";
            break;
        case 13:
            tensors[ops[8].output].shape[1] = 1 << 28;
            words = "no more than";
            break;
        case 14:
            tensors[0].shape[0] = 2;
            words = "1 x H x W x C";
            break;
        case 15:
            ops[0].input_count = 2;
            words = "2 inputs";
            break;
        }
        refuse(graph, FORM_FLOAT, as_it_is, words);
        maker_deinit(&maker);
    }
}

/* Reads bytes that end where their memory ends, and does with a graph all that can be done. */
static void survive(const uint8_t *bytes, size_t size, int *read) {
    uint8_t *exact = malloc(size > 0 ? size : 1);
    struct net_graph *graph;
    char why[GPU_WHY_SIZE] = "";
    memcpy(exact, bytes, size);
    int code = net_graph_read(exact, size, &graph, why);
    free(exact);
    if (code != GPU_OK) {
        if (graph != NULL || why[0] == 0)
            check_that(false, "files: a broken one: code %d, \"%s\"", code, why);
        return;
    }
    (*read)++;
    size_t total, least;
    bool sound = net_graph_macs(graph) > 0 && net_graph_simplify(graph, 1, why) == GPU_OK;
    if (!sound || (net_graph_macs(graph) < 1 << 24 && !arena_is_sound(graph, 4, &total, &least)))
        check_that(false, "files: a changed one: %s", why);
    net_graph_free(graph);
}

static void survive_changes(void) {
    static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
    struct maker maker;
    size_t size;
    int read = 0, tried = 0;
    make_small(&maker);
    uint8_t *file =
        tflite_write(&maker.graph, &(struct tflite_writing){.form = FORM_SPARSE_HALF}, &size);
    for (size_t length = 0; length < size; length += 1 + length % 3, tried++)
        survive(file, length, &read);
    for (size_t i = 0; i < size; i++) {
        uint8_t before = file[i];
        for (size_t k = 0; k < sizeof values; k++, tried++) {
            file[i] = k == 0 ? before ^ 1 : values[k];
            survive(file, size, &read);
        }
        file[i] = before;
    }
    for (int round = 0; round < 3000; round++, tried++) {
        uint8_t *other = malloc(size);
        memcpy(other, file, size);
        for (uint32_t k = maker_below(&maker, 12) + 1; k > 0; k--)
            other[maker_below(&maker, (uint32_t)size)] = (uint8_t)maker_below(&maker, 256);
        survive(other, size, &read);
        free(other);
    }
    check_that(read > 0 && read < tried, "files: %d of %d broken ones were read", read, tried);
    free(file);
    maker_deinit(&maker);
}

void check_odd_files(void) {
    refuse_files();
    refuse_graphs();
    survive_changes();
}
