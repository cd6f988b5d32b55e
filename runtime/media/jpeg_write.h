/* jpeg_write.h - writes JPEG files: photos and frames for people and browsers.
 *
 * Baseline, 4:2:0 below quality 90 and 4:4:4 from there on, without alpha: what is transparent has
 * the colour that is stored. The same pixels give the same bytes with the same libjpeg.
 *
 * Ownership: the bytes are the caller's to free(). Threads: no shared state. */
#ifndef STANCE_MEDIA_JPEG_WRITE_H
#define STANCE_MEDIA_JPEG_WRITE_H

#include "media/image.h"

/* Quality is libjpeg's, 1..100. ERR_INVALID, ERR_NO_MEMORY. */
int jpeg_encode(const struct image *image, int quality, uint8_t **out, size_t *size,
                struct err *err);

/* The same of RGB (channels 3) or RGBX (4) rows without padding. */
int jpeg_encode_pixels(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels,
                       int quality, uint8_t **out, size_t *size, struct err *err);

#endif
