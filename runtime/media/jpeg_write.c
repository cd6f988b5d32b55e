#include "media/jpeg_write.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

/* jpeglib.h needs stdio.h before it. */
#include <jpeglib.h>

/* libjpeg's errors must not return. */
struct writer {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    jmp_buf jump;
    unsigned char *bytes;
    unsigned long size;
};

static void jump_back(j_common_ptr jpeg) {
    struct writer *writer = jpeg->client_data;
    longjmp(writer->jump, 1);
}

/* RGB or RGBX, rows without padding. */
struct source {
    const uint8_t *pixels;
    uint32_t width, height, channels;
};

static void write_rows(struct writer *writer, const struct source *source, int quality) {
    struct jpeg_compress_struct *jpeg = &writer->jpeg;
    jpeg_create_compress(jpeg);
    jpeg_mem_dest(jpeg, &writer->bytes, &writer->size);
    jpeg->image_width = source->width;
    jpeg->image_height = source->height;
    jpeg->input_components = (int)source->channels;
    jpeg->in_color_space = source->channels == 4 ? JCS_EXT_RGBX : JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    if (quality >= 90)
        jpeg->comp_info[0].h_samp_factor = jpeg->comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        size_t at = (size_t)jpeg->next_scanline * source->width * source->channels;
        JSAMPROW row = (JSAMPROW)(uintptr_t)(source->pixels + at); /* read only */
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
}

/* False: out of memory, for nothing else can go wrong with a picture within its limits. Apart from
 * its caller, whose locals a jump leaves alone. */
static bool try_write(struct writer *writer, const struct source *source, int quality) {
    if (setjmp(writer->jump) != 0)
        return false;
    write_rows(writer, source, quality);
    return true;
}

int jpeg_encode_pixels(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels,
                       int quality, uint8_t **out, size_t *size, struct err *err) {
    const struct source source = {pixels, width, height, channels};
    struct writer writer = {.bytes = NULL};
    if (quality < 1 || quality > 100)
        return err_set(err, ERR_INVALID, "a JPEG's quality is 1 to 100, not %d", quality);
    if ((channels != 3 && channels != 4) || width == 0 || height == 0 ||
        width > JPEG_MAX_DIMENSION || height > JPEG_MAX_DIMENSION)
        return err_set(err, ERR_INVALID,
                       "a JPEG of %u x %u pixels of %u channels cannot be written", width, height,
                       channels);
    writer.jpeg.err = jpeg_std_error(&writer.errors);
    writer.jpeg.client_data = &writer; /* jpeg_create_compress keeps both */
    writer.errors.error_exit = jump_back;
    bool written = try_write(&writer, &source, quality);
    jpeg_destroy_compress(&writer.jpeg);
    if (!written) {
        free(writer.bytes);
        return err_set(err, ERR_NO_MEMORY, "no memory to write a JPEG");
    }
    *out = writer.bytes;
    *size = writer.size;
    return 0;
}

int jpeg_encode(const struct image *image, int quality, uint8_t **out, size_t *size,
                struct err *err) {
    return jpeg_encode_pixels(image->rgba, image->width, image->height, 4, quality, out, size, err);
}
