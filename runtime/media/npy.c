#include "media/npy.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 64 }; /* rows */

int npy_init(struct npy *npy, const uint32_t *shape, uint32_t dimensions, struct err *err) {
    *npy = (struct npy){.dimensions = dimensions, .row_length = 1};
    for (uint32_t i = 0; i < dimensions; i++) {
        npy->shape[i] = shape[i];
        if (shape[i] == 0 || npy->row_length > NPY_MAX_SIZE / sizeof(float) / shape[i])
            return err_set(err, ERR_TOO_LARGE, "an array's row cannot have such a shape");
        npy->row_length *= shape[i];
    }
    return 0;
}

void npy_deinit(struct npy *npy) {
    free(npy->numbers);
    npy->numbers = NULL;
    npy->rows = npy->room = 0;
}

int npy_add(struct npy *npy, float **row, struct err *err) {
    if (npy->rows == npy->room) {
        size_t room = npy->room == 0 ? FIRST_ROOM : npy->room * 2;
        if (room > NPY_MAX_SIZE / sizeof(float) / npy->row_length)
            return err_set(err, ERR_TOO_LARGE, "the array has more than %zu bytes", NPY_MAX_SIZE);
        float *grown = realloc(npy->numbers, room * npy->row_length * sizeof *grown);
        if (grown == NULL)
            return err_set(err, ERR_NO_MEMORY, "no memory for an array of %zu rows", room);
        npy->numbers = grown;
        npy->room = room;
    }
    *row = npy->numbers + npy->rows++ * npy->row_length;
    return 0;
}

void npy_head(const struct npy *npy, char head[NPY_HEAD_SIZE]) {
    char text[NPY_HEAD_SIZE];
    int used = snprintf(text, sizeof text,
                        "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu,", npy->rows);
    for (uint32_t i = 0; i < npy->dimensions; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%u", i == 0 ? " " : ", ",
                         npy->shape[i]);
    used += snprintf(text + used, sizeof text - (size_t)used, "), }");
    enum { BEFORE = 10, LENGTH = NPY_HEAD_SIZE - BEFORE };
    memset(head, ' ', NPY_HEAD_SIZE);
    const unsigned char magic[BEFORE] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, LENGTH, 0};
    memcpy(head, magic, sizeof magic);
    memcpy(head + BEFORE, text, (size_t)used);
    head[NPY_HEAD_SIZE - 1] = '\n';
}

const void *npy_data(struct npy *npy, size_t *size) {
    _Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "the numbers would have to be turned round");
    *size = npy->rows * npy->row_length * sizeof(float);
    return npy->numbers;
}
