/* tflite.h - what the files that read TFLite share; graph.h has what others call.
 *
 * tflite.c knows how a file is laid out, tflite_weights.c makes floats of constants, tflite_ops.c
 * knows the operators. Nothing of the file is believed: each operator's shapes are computed and
 * compared with what the file says, and memory is taken only for what the file can fill. */
#ifndef STANCE_NET_TFLITE_H
#define STANCE_NET_TFLITE_H

#include "net/flatbuffer.h"
#include "net/graph.h"

/* TensorType */
enum { TFLITE_FLOAT32 = 0, TFLITE_FLOAT16 = 1, TFLITE_INT32 = 2 };

/* BuiltinOperator */
enum {
    TFLITE_ADD = 0,
    TFLITE_CONCATENATION = 2,
    TFLITE_CONV_2D = 3,
    TFLITE_DEPTHWISE_CONV_2D = 4,
    TFLITE_DEPTH_TO_SPACE = 5,
    TFLITE_DEQUANTIZE = 6,
    TFLITE_LOGISTIC = 14,
    TFLITE_MAX_POOL_2D = 17,
    TFLITE_RESHAPE = 22,
    TFLITE_RESIZE_BILINEAR = 23,
    TFLITE_CUSTOM = 32,
    TFLITE_PAD = 34,
    TFLITE_DENSIFY = 124,
};

struct tflite_tensor {
    uint32_t type;
    struct fb_vector data;    /* of a constant: its bytes */
    struct fb_table sparsity; /* of a sparse constant */
    int32_t root;             /* the constant that this is another form of, or NET_NONE */
    bool computed;            /* an input, or what an operator wrote */
};

struct tflite {
    struct fb_file file;
    struct net_graph *graph;       /* being made; tensors are numbered as in the file */
    struct tflite_tensor *tensors; /* [graph->tensor_count] */
    uint64_t floats;               /* of constants so far */
    char where[160];               /* what is being read, as messages begin */
    char *why;
};

/* Writes "WHERE: ..."; returns GPU_EINVAL. */
int tflite_refuse(struct tflite *tflite, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Makes graph->tensors[tensor].data of the constant that the tensor stands for. */
int tflite_expand(struct tflite *tflite, int32_t tensor);

/* The numbers of a constant of `count` int32. */
int tflite_ints(struct tflite *tflite, int32_t tensor, uint32_t count, int32_t *out);

/* DEQUANTIZE and DENSIFY of constants: `out` becomes another form of `in`. */
int tflite_dequantize(struct tflite *tflite, int32_t in, int32_t out);
int tflite_densify(struct tflite *tflite, int32_t in, int32_t out);

/* Appends an operator (`table`: Operator) to the graph; room for it is there. */
int tflite_read_operator(struct tflite *tflite, struct fb_table table, uint32_t code);

/* "CONV_2D", ...; NULL: none that is known here. */
const char *tflite_operator_name(uint32_t code);

#endif
