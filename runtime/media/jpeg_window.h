/* jpeg_window.h - the frames of a stream of JPEGs, decoded where somebody will look.
 *
 * While a person is followed, a pose network looks at a part of each frame. jpeg_window_open reads
 * a frame's header; its owner asks gpu_pose_session_window for the part; jpeg_window_read decodes
 * only that, to the very pixels that a whole decode has there. Rows below the part are not read at
 * all, rows above it only as far as the entropy coding needs, columns to a few beyond its sides.
 * Progressive, turned (EXIF) and CMYK frames are decoded whole.
 *
 * Frames are read as image.h reads with `upright` and `whole`; what is damaged below the part goes
 * unnoticed.
 *
 * Ownership: the pixels belong to the decoder, until its next call; memory grows to the largest
 * part so far and is used again. (libjpeg takes some rows of its own a frame.) Threads: one at a
 * time a decoder. */
#ifndef STANCE_MEDIA_JPEG_WINDOW_H
#define STANCE_MEDIA_JPEG_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "stance_gpu.h"

struct jpeg_window;

int jpeg_window_new(struct jpeg_window **out, struct err *err);
void jpeg_window_free(struct jpeg_window *decoder);

/* Reads the header of the next frame, whose bytes have to stay until it was read; `size_out` gets
 * width and height as people see it. More than `max_pixels` (0: image.h's limit) is
 * ERR_TOO_LARGE. */
int jpeg_window_open(struct jpeg_window *decoder, const void *bytes, size_t size,
                     uint64_t max_pixels, uint32_t size_out[2], struct err *err);

/* Decodes at least the part `window` (x, y, width, height; cut to the picture) of the open frame,
 * once. ERR_INVALID when nothing of it is inside, or no frame is open. */
int jpeg_window_read(struct jpeg_window *decoder, const uint32_t window[4],
                     struct gpu_picture *picture, struct err *err);

#endif
