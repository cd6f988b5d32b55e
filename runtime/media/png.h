/* png.h - writes PNG files fast.
 *
 * Rendered pictures are written in thousands, so speed counts as much as size: rows are filtered
 * with SIMD, compressed in one piece by libdeflate, and nothing is copied twice. RGB, RGBA, grey or
 * with a palette, not interlaced, no ancillary chunks but sRGB: the same pixels give the same bytes
 * with the same libdeflate.
 *
 * Ownership: the bytes are the caller's to free(). Threads: no shared state.
 * Format: Portable Network Graphics (PNG) Specification, W3C, second edition. */
#ifndef STANCE_MEDIA_PNG_H
#define STANCE_MEDIA_PNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* RUNS codes runs of equal bytes only (deflate_runs.h): right for rendered pictures. Levels 1..12
 * are libdeflate's. */
enum { PNG_LEVEL_RUNS = 0, PNG_LEVEL_FAST = 1, PNG_LEVEL_MOST = 12 };

struct png_source {
    uint32_t width, height;
    uint32_t channels;     /* 1: grey, 3: RGB, 4: RGBA with straight alpha */
    size_t stride;         /* bytes from row to row; 0: they follow each other */
    const uint8_t *pixels; /* sRGB */
};

/* Writes `source` at a level as above. ERR_INVALID, ERR_NO_MEMORY. */
int png_encode(const struct png_source *source, int level, uint8_t **out, size_t *size,
               struct err *err);

/* How grey values are meant. */
struct png_grey {
    bool deep;              /* 16 bits each, the high byte first */
    const uint8_t *palette; /* [count][3]: they are indices into it, of 8 bits; NULL: none */
    uint32_t count;         /* 1 to 256 */
};

/* The same of one channel. */
int png_encode_grey(const struct png_source *source, const struct png_grey *grey, int level,
                    uint8_t **out, size_t *size, struct err *err);

#endif
