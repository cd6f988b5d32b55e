/* image.h - pictures in memory: reading PNG, JPEG and WebP, and scaling down.
 *
 * A picture is 8-bit sRGB RGBA with straight alpha, rows from the top, without padding. The file's
 * own kind is told by its first bytes, never by a name. A picture of more than IMAGE_MAX_PIXELS, or
 * with a side longer than IMAGE_MAX_SIDE, is refused from its header, before memory is taken for
 * it.
 *
 * Every kind that these formats have is read: grey, palettes, sixteen bits (rounded to eight),
 * interlaced and progressive files, all chroma samplings, CMYK and YCCK (taken as inverted, without
 * a profile); but animated WebP is refused, and of an animated PNG the first picture is read.
 * Colour profiles are not applied. Truncated PNG and WebP are refused; JPEG: see `whole`.
 *
 * Ownership: a struct image owns its pixels; image_deinit frees them and may be repeated. Threads:
 * no shared state. Errors: ERR_UNSUPPORTED (none of the three kinds), ERR_TOO_LARGE, ERR_CORRUPT,
 * ERR_INVALID, ERR_NO_MEMORY. */
#ifndef STANCE_MEDIA_IMAGE_H
#define STANCE_MEDIA_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum { IMAGE_MAX_SIDE = 16384, IMAGE_MAX_PIXELS = 64 * 1024 * 1024 };

struct image {
    uint32_t width, height;
    uint8_t *rgba; /* [height][width][4], malloc'ed */
};

/* An image of zeros: black and transparent. */
int image_init(struct image *image, uint32_t width, uint32_t height, struct err *err);
void image_deinit(struct image *image);

/* "png", "jpeg" or "webp" by the first bytes; NULL for anything else. */
const char *image_kind(const void *bytes, size_t size);

/* Zeros are the defaults: right for textures. */
struct image_options {
    bool upright; /* turn a JPEG as its EXIF orientation asks, like browsers do with photos */
    /* Refuse a JPEG that is damaged or ends early (half a photo is none), instead of filling it up
     * with grey; what counts is told at `strict` in jpeg_reader.h. */
    bool whole;
    uint64_t max_pixels; /* a limit of the caller's, below IMAGE_MAX_PIXELS; 0: that one */
};

/* Reads a whole file in memory. On failure *out holds nothing.
 *
 * Pose networks look at the colours alone, as stored, whatever alpha says: MediaPipe in a browser
 * gets an <img> just so. What is transparent has no defined colour; most programs write black. */
int image_decode_with(const void *bytes, size_t size, const struct image_options *options,
                      struct image *out, struct err *err);

/* The same with the defaults. */
int image_decode(const void *bytes, size_t size, struct image *out, struct err *err);

/* A copy of `from` at width x height, each pixel the mean of the area that it covers; larger sizes
 * repeat pixels. */
int image_scale(const struct image *from, uint32_t width, uint32_t height, struct image *out,
                struct err *err);

#endif
