/* image_private.h - the kinds of files behind image.h. Not for others. */
#ifndef STANCE_MEDIA_IMAGE_PRIVATE_H
#define STANCE_MEDIA_IMAGE_PRIVATE_H

#include "media/image.h"

/* Each reads a whole file of its kind into *out, which is empty; after a failure it may hold
 * something. */
typedef int image_reader(const void *bytes, size_t size, const struct image_options *options,
                         struct image *out, struct err *err);
image_reader image_read_png, image_read_jpeg, image_read_webp;

/* Whether a picture of this size may be read; said from its header, before memory is taken. */
int image_check_size(uint64_t width, uint64_t height, const struct image_options *options,
                     struct err *err);

/* Turns and mirrors the picture as an EXIF orientation of 2..8 asks. */
int image_orient(struct image *image, unsigned orientation, struct err *err);

#endif
