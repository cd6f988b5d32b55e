/* image_jpeg.c - reads JPEG whole. */
#include "media/image_private.h"
#include "media/jpeg_reader.h"

/* CMYK in JPEG is stored inverted, as Adobe began it, so that a channel times black is the colour.
 */
static void cmyk_to_rgba(uint8_t *row, uint32_t width) {
    for (uint8_t *p = row; p < row + (size_t)width * 4; p += 4) {
        unsigned black = p[3];
        for (int c = 0; c < 3; c++)
            p[c] = (uint8_t)(p[c] * black / 255);
        p[3] = 255;
    }
}

static void read_rows(struct jpeg_reader *reader, void *arg) {
    struct image *out = arg;
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    bool cmyk = jpeg->num_components == 4;
    jpeg->out_color_space = cmyk ? JCS_CMYK : JCS_EXT_RGBA;
    jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = out->rgba + (size_t)jpeg->output_scanline * out->width * 4;
        jpeg_read_scanlines(jpeg, &row, 1);
        if (cmyk)
            cmyk_to_rgba(row, out->width);
    }
    jpeg_finish_decompress(jpeg);
}

int image_read_jpeg(const void *bytes, size_t size, const struct image_options *options,
                    struct image *out, struct err *err) {
    struct jpeg_reader reader;
    jpeg_reader_init(&reader);
    reader.strict = options->whole;
    int rc = jpeg_reader_open(&reader, bytes, size, err);
    if (rc == 0)
        rc = image_check_size(reader.jpeg.image_width, reader.jpeg.image_height, options, err);
    if (rc == 0)
        rc = image_init(out, reader.jpeg.image_width, reader.jpeg.image_height, err);
    if (rc == 0)
        rc = jpeg_reader_run(&reader, read_rows, out, err);
    if (rc == 0 && options->upright && reader.orientation > 1)
        rc = image_orient(out, reader.orientation, err);
    jpeg_reader_close(&reader);
    return rc;
}
