/* image_webp.c - reads WebP by libwebp, which refuses what ends early. */
#include <webp/decode.h>

#include "media/image_private.h"

int image_read_webp(const void *bytes, size_t size, const struct image_options *options,
                    struct image *out, struct err *err) {
    WebPBitstreamFeatures features;
    if (WebPGetFeatures(bytes, size, &features) != VP8_STATUS_OK)
        return err_set(err, ERR_CORRUPT, "not a readable WebP");
    if (features.has_animation)
        return err_set(err, ERR_UNSUPPORTED, "an animated WebP is not read");
    int rc = image_check_size((uint32_t)features.width, (uint32_t)features.height, options, err);
    if (rc == 0)
        rc = image_init(out, (uint32_t)features.width, (uint32_t)features.height, err);
    if (rc != 0)
        return rc;
    size_t room = (size_t)out->width * out->height * 4;
    if (WebPDecodeRGBAInto(bytes, size, out->rgba, room, (int)out->width * 4) == NULL)
        return err_set(err, ERR_CORRUPT, "not a readable WebP: it is damaged or ends early");
    return 0;
}
