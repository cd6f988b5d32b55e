#include "media/jpeg_window.h"

#include <stdlib.h>

#include "media/image_private.h"
#include "media/jpeg_reader.h"

/* Pixels beside the window that are decoded too: smooth upsampling looks at the next chroma sample,
 * which is up to four pixels away. */
enum { MARGIN = 8 };

struct jpeg_window {
    struct jpeg_reader reader;
    const void *bytes; /* of the open frame; NULL: none */
    size_t size;
    struct image_options options;
    uint8_t *rgb;
    size_t room;        /* bytes at rgb */
    struct image whole; /* of a frame that could not be read in part */
};

int jpeg_window_new(struct jpeg_window **out, struct err *err) {
    struct jpeg_window *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to decode a stream");
    jpeg_reader_init(&decoder->reader);
    decoder->reader.strict = true;
    *out = decoder;
    return 0;
}

void jpeg_window_free(struct jpeg_window *decoder) {
    if (decoder == NULL)
        return;
    jpeg_reader_close(&decoder->reader);
    image_deinit(&decoder->whole);
    free(decoder->rgb);
    free(decoder);
}

int jpeg_window_open(struct jpeg_window *decoder, const void *bytes, size_t size,
                     uint64_t max_pixels, uint32_t size_out[2], struct err *err) {
    const struct jpeg_decompress_struct *jpeg = &decoder->reader.jpeg;
    decoder->bytes = NULL;
    decoder->options =
        (struct image_options){.upright = true, .whole = true, .max_pixels = max_pixels};
    int rc = jpeg_reader_open(&decoder->reader, bytes, size, err);
    if (rc == 0)
        rc = image_check_size(jpeg->image_width, jpeg->image_height, &decoder->options, err);
    if (rc != 0)
        return rc;
    bool upended = decoder->reader.orientation >= 5;
    size_out[0] = upended ? jpeg->image_height : jpeg->image_width;
    size_out[1] = upended ? jpeg->image_width : jpeg->image_height;
    decoder->bytes = bytes;
    decoder->size = size;
    return 0;
}

/* -- A part ------------------------------------------------------------------------------------ */

/* What is decoded: columns from..from + width (the window's, and some beside it), rows top..bottom.
 */
struct part {
    JDIMENSION from, width, top, bottom;
    uint8_t *rgb;
};

static void start(struct jpeg_reader *reader, void *arg) {
    struct part *part = arg;
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    jpeg->out_color_space = JCS_RGB;
    jpeg_start_decompress(jpeg);
    if (part->width < jpeg->output_width)
        jpeg_crop_scanline(jpeg, &part->from, &part->width); /* widens it to whole blocks */
}

static void read_rows(struct jpeg_reader *reader, void *arg) {
    const struct part *part = arg;
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    if (part->top > 0)
        jpeg_skip_scanlines(jpeg, part->top);
    while (jpeg->output_scanline < part->bottom) {
        JSAMPROW row = part->rgb + (size_t)(jpeg->output_scanline - part->top) * part->width * 3;
        jpeg_read_scanlines(jpeg, &row, 1);
    }
}

static int reserve(struct jpeg_window *decoder, size_t size, struct err *err) {
    if (size <= decoder->room)
        return 0;
    free(decoder->rgb);
    decoder->room = 0;
    decoder->rgb = malloc(size);
    if (decoder->rgb == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu bytes of a frame", size);
    decoder->room = size;
    return 0;
}

static int read_part(struct jpeg_window *decoder, uint32_t x, uint32_t y, uint32_t width,
                     uint32_t height, struct gpu_picture *picture, struct err *err) {
    struct jpeg_reader *reader = &decoder->reader;
    uint32_t whole_width = reader->jpeg.image_width, whole_height = reader->jpeg.image_height;
    struct part part = {.from = x > MARGIN ? x - MARGIN : 0, .top = y, .bottom = y + height};
    uint32_t right = whole_width - x - width;
    part.width = x + width + (right < MARGIN ? right : MARGIN) - part.from;
    int rc = jpeg_reader_run(reader, start, &part, err);
    if (rc == 0)
        rc = reserve(decoder, (size_t)part.width * height * 3, err);
    part.rgb = decoder->rgb;
    if (rc == 0)
        rc = jpeg_reader_run(reader, read_rows, &part, err);
    jpeg_reader_close(reader);
    if (rc != 0)
        return rc;
    *picture = (struct gpu_picture){
        .rgb = part.rgb + (size_t)(x - part.from) * 3,
        .channels = 3,
        .stride = (size_t)part.width * 3,
        .x = x,
        .y = y,
        .width = width,
        .height = height,
        .whole_width = whole_width,
        .whole_height = whole_height,
    };
    return 0;
}

/* -- All of it --------------------------------------------------------------------------------- */

static int read_whole(struct jpeg_window *decoder, struct gpu_picture *picture, struct err *err) {
    struct image *whole = &decoder->whole;
    jpeg_reader_close(&decoder->reader);
    image_deinit(whole);
    int rc = image_decode_with(decoder->bytes, decoder->size, &decoder->options, whole, err);
    if (rc == 0)
        *picture = (struct gpu_picture){
            .rgb = whole->rgba,
            .channels = 4,
            .stride = (size_t)whole->width * 4,
            .width = whole->width,
            .height = whole->height,
            .whole_width = whole->width,
            .whole_height = whole->height,
        };
    return rc;
}

int jpeg_window_read(struct jpeg_window *decoder, const uint32_t window[4],
                     struct gpu_picture *picture, struct err *err) {
    const struct jpeg_decompress_struct *jpeg = &decoder->reader.jpeg;
    if (decoder->bytes == NULL)
        return err_set(err, ERR_INVALID, "no frame is open");
    /* Progressive files may lack detail, which libjpeg then guesses from blocks around. */
    if (decoder->reader.orientation > 1 || jpeg->num_components == 4 || jpeg->progressive_mode) {
        int rc = read_whole(decoder, picture, err);
        decoder->bytes = NULL;
        return rc;
    }
    decoder->bytes = NULL;
    uint32_t x = window[0], y = window[1];
    if (x >= jpeg->image_width || y >= jpeg->image_height || window[2] == 0 || window[3] == 0) {
        jpeg_reader_close(&decoder->reader);
        return err_set(err, ERR_INVALID, "nothing of the frame is inside the window");
    }
    uint32_t most_width = jpeg->image_width - x, most_height = jpeg->image_height - y;
    return read_part(decoder, x, y, window[2] < most_width ? window[2] : most_width,
                     window[3] < most_height ? window[3] : most_height, picture, err);
}
