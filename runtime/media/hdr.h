/* hdr.h - reads Radiance pictures (.hdr, .pic): light as it is, not cut at white.
 *
 * Pixels are linear RGB float32, rows from the top. Read are 32-bit_rle_rgbe files, with run
 * lengths (new and old) and without, rows from either end; EXPOSURE and COLORCORR are undone. XYZE
 * files and pictures that are stored by columns are refused.
 *
 * Ownership: the pixels are the caller's to free(). Threads: no shared state. Errors:
 * ERR_UNSUPPORTED (no such file, or of a kind that is not read), ERR_TOO_LARGE, ERR_CORRUPT,
 * ERR_NO_MEMORY.
 * Format: Ward, "Real Pixels", Graphics Gems II, 1991; Radiance's picture(5). */
#ifndef STANCE_MEDIA_HDR_H
#define STANCE_MEDIA_HDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum { HDR_MAX_SIDE = 16384, HDR_MAX_PIXELS = 32 << 20 };

/* Whether the first bytes are those of a Radiance picture. */
bool hdr_is(const void *bytes, size_t size);

/* *rgb: [height][width][3]. */
int hdr_decode(const void *bytes, size_t size, float **rgb, uint32_t *width, uint32_t *height,
               struct err *err);

#endif
