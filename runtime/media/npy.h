/* npy.h - arrays of float32 for NumPy: rows of one shape, as many as come.
 *
 * The file is NPY 1.0: little-endian float32 in C order, shape (rows, shape...). It grows in
 * memory, four bytes a number, so that what writes it out can do so in one piece.
 *
 * Threads: one at a time. Errors: ERR_NO_MEMORY, ERR_TOO_LARGE.
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#ifndef STANCE_MEDIA_NPY_H
#define STANCE_MEDIA_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum {
    NPY_DIMENSIONS = 8,  /* of a row, at most */
    NPY_HEAD_SIZE = 192, /* bytes before the numbers, a multiple of 64 */
};

/* Bytes of numbers that an array may grow to. */
#define NPY_MAX_SIZE ((size_t)4 << 30)

struct npy {
    uint32_t shape[NPY_DIMENSIONS], dimensions; /* of a row */
    size_t row_length;                          /* numbers */
    size_t rows, room;                          /* rows there are; there is memory for */
    float *numbers;
};

/* An array without rows. Zero is no length. */
int npy_init(struct npy *npy, const uint32_t *shape, uint32_t dimensions, struct err *err);
void npy_deinit(struct npy *npy); /* may be repeated */

/* Room for another row; *row is to be filled with row_length numbers before the next call. */
int npy_add(struct npy *npy, float **row, struct err *err);

/* What stands before the numbers. */
void npy_head(const struct npy *npy, char head[NPY_HEAD_SIZE]);

/* The bytes of the numbers, in the file's order. */
const void *npy_data(struct npy *npy, size_t *size);

#endif
