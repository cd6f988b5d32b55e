/* encode.h - from numbers in memory to files: pictures, masks, depths and arrays.
 *
 * One door to the encoders: PNG (media/png.h, which on rendered pictures beat libpng, spec/bench/
 * encode_bench.c), JPEG (libjpeg-turbo), WebP (libwebp), and NumPy's arrays. An array has rows from
 * the top without padding, as the renderer's maps have.
 *
 * The same numbers give the same bytes with the same libraries. Ownership: the bytes are the
 * caller's to free(). Threads: no shared state; pool threads. Errors: ERR_INVALID, ERR_TOO_LARGE,
 * ERR_NO_MEMORY. */
#ifndef STANCE_MEDIA_ENCODE_H
#define STANCE_MEDIA_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum encode_dtype {
    ENCODE_UINT8,
    ENCODE_UINT16,
    ENCODE_UINT32,
    ENCODE_INT32,
    ENCODE_FLOAT32,
    ENCODE_DTYPES,
};

enum { ENCODE_DIMENSIONS = 4 };

struct encode_array {
    const void *values; /* little-endian, in C order */
    enum encode_dtype dtype;
    uint32_t dimensions;
    uint32_t shape[ENCODE_DIMENSIONS]; /* pictures: height, width and, of more than one, channels */
};

/* "uint8", ... as NumPy calls them; NULL past the last. */
const char *encode_dtype_name(int dtype);
int encode_dtype_find(const char *name); /* -1: there is none */

/* Bytes that the values take; 0: no such array can be (a length is 0, or it is too large). */
size_t encode_array_size(const struct encode_array *array);

/* uint8 of 1, 3 or 4 channels, or uint16 of 1. Level 0 is for what is drawn, 1 to 12 are
 * libdeflate's. */
struct encode_png_options {
    int level;
    bool palette; /* uint8 of 1 channel: numbers of things, each shown in a colour of its own; 0 is
                     black */
};
int encode_png(const struct encode_array *array, const struct encode_png_options *options,
               uint8_t **out, size_t *size, struct err *err);

/* Metres as float32, to a PNG of 16 bits in millimetres: 0 is nothing (infinity, NaN, or behind),
 * 65535 is 65.535 m and more. */
int encode_depth(const struct encode_array *array, int level, uint8_t **out, size_t *size,
                 struct err *err);

/* uint8 of 3 or 4 channels; alpha is left out. */
int encode_jpeg(const struct encode_array *array, int quality, uint8_t **out, size_t *size,
                struct err *err);

/* uint8 of 3 or 4 channels. Lossless: quality is the effort, 0 (fast) to 100 (small). */
int encode_webp(const struct encode_array *array, bool lossless, float quality, uint8_t **out,
                size_t *size, struct err *err);

/* An array for NumPy: NPY 1.0. */
int encode_npy(const struct encode_array *array, uint8_t **out, size_t *size, struct err *err);

#endif
