/* tflite_file.h - writes graphs as TFLite files, sound ones and ones that are wrong on purpose. */
#ifndef STANCE_GPU_CHECK_TFLITE_FILE_H
#define STANCE_GPU_CHECK_TFLITE_FILE_H

#include "net/graph.h"

/* How constants stand in the file; halves and sparse ones become floats by operators. */
enum tflite_form { FORM_FLOAT, FORM_HALF, FORM_SPARSE, FORM_SPARSE_HALF, FORM_COUNT };

/* One thing that is written otherwise than the graph says. */
struct tflite_odd {
    enum {
        ODD_NOTHING,
        ODD_VERSION,     /* value: of the file */
        ODD_SUBGRAPHS,   /* value: how many */
        ODD_CODE,        /* value: the builtin operator that operator `index` is said to be */
        ODD_CUSTOM,      /* operator `index` is a custom one, "Odd" */
        ODD_OPTIONS,     /* value: the kind of options of operator `index` */
        ODD_OPTION,      /* value: of field `field` of operator `index` */
        ODD_TYPE,        /* value: of tensor `index` */
        ODD_BUFFER,      /* value: the buffer of tensor `index` */
        ODD_OUTSIDE,     /* the bytes of constant `index` stand outside of the tables */
        ODD_INTS,        /* value: element `field` of operator `index`'s integers (pads, size) */
        ODD_ORDER,       /* value: first dimension that sparse tensors go through */
        ODD_FORMAT,      /* value: of dimension `field` of sparse tensors */
        ODD_ROW,         /* value: end of row `field` of sparse tensors */
        ODD_COLUMN,      /* value: place `field` of sparse tensors */
        ODD_BYTES,       /* value: bytes that each constant has too many (negative: too few) */
        ODD_INPUT_TWICE, /* the list of inputs has the first one twice */
        ODD_UNDRESSED,   /* the operators that make constants dense or floats are left out */
    } what;
    uint32_t index, field;
    int32_t value;
};

struct tflite_writing {
    enum tflite_form form;
    uint32_t index_bytes; /* of rows and columns of sparse ones: 1, 2, 4; 0: what they need */
    struct tflite_odd odd;
};

/* The file, for free(). */
uint8_t *tflite_write(const struct net_graph *graph, const struct tflite_writing *writing,
                      size_t *size);

/* Rounds the constants to numbers that halves hold; with `sparse`, three of four become 0. */
void tflite_round(struct net_graph *graph, bool sparse);

#endif
