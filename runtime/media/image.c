#include "media/image.h"

#include <stdlib.h>
#include <string.h>

#include "media/image_private.h"

int image_check_size(uint64_t width, uint64_t height, const struct image_options *options,
                     struct err *err) {
    uint64_t most = IMAGE_MAX_PIXELS;
    if (options->max_pixels > 0 && options->max_pixels < most)
        most = options->max_pixels;
    if (width == 0 || height == 0)
        return err_set(err, ERR_CORRUPT, "the picture has no pixels");
    if (width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE || width * height > most)
        return err_set(err, ERR_TOO_LARGE,
                       "the picture has %llu x %llu pixels; at most %d a side and %.4g megapixels "
                       "are read",
                       (unsigned long long)width, (unsigned long long)height, IMAGE_MAX_SIDE,
                       (double)most / (1 << 20));
    return 0;
}

int image_init(struct image *image, uint32_t width, uint32_t height, struct err *err) {
    *image = (struct image){0};
    int rc = image_check_size(width, height, &(struct image_options){0}, err);
    if (rc != 0)
        return rc;
    image->rgba = calloc((size_t)width * height, 4);
    if (image->rgba == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a picture of %u x %u pixels", width,
                       height);
    image->width = width;
    image->height = height;
    return 0;
}

void image_deinit(struct image *image) {
    free(image->rgba);
    *image = (struct image){0};
}

/* -- Kinds ------------------------------------------------------------------------------------- */

static const struct kind {
    const char *name;
    image_reader *read;
} png = {"png", image_read_png}, jpeg = {"jpeg", image_read_jpeg}, webp = {"webp", image_read_webp};

static const struct kind *kind_of(const void *bytes, size_t size) {
    if (size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
        return &png;
    if (size >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0)
        return &jpeg;
    if (size >= 12 && memcmp(bytes, "RIFF", 4) == 0 &&
        memcmp((const char *)bytes + 8, "WEBP", 4) == 0)
        return &webp;
    return NULL;
}

const char *image_kind(const void *bytes, size_t size) {
    const struct kind *kind = kind_of(bytes, size);
    return kind != NULL ? kind->name : NULL;
}

int image_decode_with(const void *bytes, size_t size, const struct image_options *options,
                      struct image *out, struct err *err) {
    *out = (struct image){0};
    const struct kind *kind = kind_of(bytes, size);
    if (kind == NULL)
        return err_set(err, ERR_UNSUPPORTED, "neither PNG nor JPEG nor WebP");
    int rc = kind->read(bytes, size, options, out, err);
    if (rc != 0)
        image_deinit(out);
    return rc;
}

int image_decode(const void *bytes, size_t size, struct image *out, struct err *err) {
    return image_decode_with(bytes, size, &(struct image_options){0}, out, err);
}

/* -- Orientation ------------------------------------------------------------------------------- */

int image_orient(struct image *image, unsigned orientation, struct err *err) {
    ptrdiff_t w = image->width, h = image->height;
    /* Where in the old pixels the new ones begin, and how far it is there to the next one on the
     * right and to the next one below. */
    const struct {
        ptrdiff_t first, right, down;
    } ways[] = {
        [2] = {w - 1, -1, w}, [3] = {w * h - 1, -1, -w},  [4] = {w * (h - 1), 1, -w},
        [5] = {0, w, 1},      [6] = {w * (h - 1), -w, 1}, [7] = {w * h - 1, -w, -1},
        [8] = {w - 1, w, -1},
    };
    struct image turned;
    bool upended = orientation >= 5;
    int rc = image_init(&turned, (uint32_t)(upended ? h : w), (uint32_t)(upended ? w : h), err);
    if (rc != 0)
        return rc;
    uint8_t *to = turned.rgba;
    for (ptrdiff_t y = 0; y < turned.height; y++)
        for (ptrdiff_t x = 0; x < turned.width; x++, to += 4)
            memcpy(to,
                   image->rgba + 4 * (ways[orientation].first + x * ways[orientation].right +
                                      y * ways[orientation].down),
                   4);
    image_deinit(image);
    *image = turned;
    return 0;
}
