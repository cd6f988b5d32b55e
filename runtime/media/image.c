#include "media/image.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <webp/decode.h>

/* jpeglib.h needs stdio.h before it. */
#include <jpeglib.h>

static int check_size(uint64_t width, uint64_t height, struct err *err) {
    if (width == 0 || height == 0)
        return err_set(err, ERR_CORRUPT, "the picture has no pixels");
    if (width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE || width * height > IMAGE_MAX_PIXELS)
        return err_set(err, ERR_TOO_LARGE,
                       "the picture has %llu x %llu pixels; at most %d a side and %d megapixels "
                       "are read",
                       (unsigned long long)width, (unsigned long long)height, IMAGE_MAX_SIDE,
                       IMAGE_MAX_PIXELS / (1024 * 1024));
    return 0;
}

int image_init(struct image *image, uint32_t width, uint32_t height, struct err *err) {
    *image = (struct image){0};
    int rc = check_size(width, height, err);
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

/* -- PNG --------------------------------------------------------------------------------------- */

static int decode_png(const void *bytes, size_t size, struct image *out, struct err *err) {
    png_image png = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_memory(&png, bytes, size))
        return err_set(err, ERR_CORRUPT, "not a readable PNG: %s", png.message);
    int rc = image_init(out, png.width, png.height, err);
    if (rc != 0)
        goto end;
    png.format = PNG_FORMAT_RGBA;
    if (!png_image_finish_read(&png, NULL, out->rgba, 0, NULL))
        rc = err_set(err, ERR_CORRUPT, "not a readable PNG: %s", png.message);
end:
    png_image_free(&png);
    return rc;
}

/* -- JPEG -------------------------------------------------------------------------------------- */

/* libjpeg's errors call back and must not return; warnings (a truncated scan, say) are counted by
 * it. */
struct jpeg_trap {
    struct jpeg_error_mgr manager;
    jmp_buf jump;
    char message[JMSG_LENGTH_MAX];
};

static void jpeg_trap_exit(j_common_ptr jpeg) {
    struct jpeg_trap *trap = (struct jpeg_trap *)jpeg->err;
    jpeg->err->format_message(jpeg, trap->message);
    longjmp(trap->jump, 1);
}

static void jpeg_trap_output(j_common_ptr jpeg) {
    (void)jpeg; /* warnings would go to stderr */
}

/* Runs after the header was read and out was sized. May jump to the trap. */
static void jpeg_read_rows(struct jpeg_decompress_struct *jpeg, struct image *out) {
    jpeg->out_color_space = JCS_EXT_RGBA;
    jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = out->rgba + (size_t)jpeg->output_scanline * out->width * 4;
        jpeg_read_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_decompress(jpeg);
}

/* Apart from its caller, whose locals a jump leaves alone. */
static int jpeg_read(struct jpeg_decompress_struct *jpeg, struct jpeg_trap *trap, struct image *out,
                     struct err *err) {
    if (setjmp(trap->jump) != 0)
        return err_set(err, ERR_CORRUPT, "not a readable JPEG: %s", trap->message);
    jpeg_read_header(jpeg, TRUE);
    if (jpeg->num_components == 4)
        return err_set(err, ERR_UNSUPPORTED, "a JPEG in CMYK colours is not read");
    int rc = image_init(out, jpeg->image_width, jpeg->image_height, err);
    if (rc == 0)
        jpeg_read_rows(jpeg, out);
    return rc;
}

static int decode_jpeg(const void *bytes, size_t size, struct image *out, struct err *err) {
    struct jpeg_decompress_struct jpeg = {0};
    struct jpeg_trap trap;
    jpeg.err = jpeg_std_error(&trap.manager);
    trap.manager.error_exit = jpeg_trap_exit;
    trap.manager.output_message = jpeg_trap_output;
    jpeg_create_decompress(&jpeg);
    jpeg_mem_src(&jpeg, (unsigned char *)(uintptr_t)bytes, (unsigned long)size);
    int rc = jpeg_read(&jpeg, &trap, out, err);
    jpeg_destroy_decompress(&jpeg);
    return rc;
}

/* -- WebP -------------------------------------------------------------------------------------- */

static int decode_webp(const void *bytes, size_t size, struct image *out, struct err *err) {
    WebPBitstreamFeatures features;
    if (WebPGetFeatures(bytes, size, &features) != VP8_STATUS_OK)
        return err_set(err, ERR_CORRUPT, "not a readable WebP");
    if (features.has_animation)
        return err_set(err, ERR_UNSUPPORTED, "an animated WebP is not read");
    int rc = image_init(out, (uint32_t)features.width, (uint32_t)features.height, err);
    if (rc != 0)
        return rc;
    size_t room = (size_t)out->width * out->height * 4;
    if (WebPDecodeRGBAInto(bytes, size, out->rgba, room, (int)out->width * 4) == NULL)
        return err_set(err, ERR_CORRUPT, "not a readable WebP");
    return 0;
}

/* -- All kinds --------------------------------------------------------------------------------- */

const char *image_kind(const void *bytes, size_t size) {
    static const char png[] = "\x89PNG\r\n\x1a\n";
    if (size >= 8 && memcmp(bytes, png, 8) == 0)
        return "png";
    if (size >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0)
        return "jpeg";
    if (size >= 12 && memcmp(bytes, "RIFF", 4) == 0 &&
        memcmp((const char *)bytes + 8, "WEBP", 4) == 0)
        return "webp";
    return NULL;
}

int image_decode(const void *bytes, size_t size, struct image *out, struct err *err) {
    *out = (struct image){0};
    const char *kind = image_kind(bytes, size);
    if (kind == NULL)
        return err_set(err, ERR_UNSUPPORTED, "neither PNG nor JPEG nor WebP");
    int rc = kind[0] == 'p'   ? decode_png(bytes, size, out, err)
             : kind[0] == 'j' ? decode_jpeg(bytes, size, out, err)
                              : decode_webp(bytes, size, out, err);
    if (rc != 0)
        image_deinit(out);
    return rc;
}

/* -- Scaling ----------------------------------------------------------------------------------- */

/* The source pixels first..last-1 that one output pixel covers, with the weights of the outer two.
 */
struct span {
    uint32_t first, last;
    float head, tail;
};

static struct span *make_spans(uint32_t from, uint32_t to) {
    struct span *spans = malloc(to * sizeof *spans);
    if (spans == NULL)
        return NULL;
    double step = (double)from / to;
    for (uint32_t i = 0; i < to; i++) {
        double start = i * step, end = (i + 1) * step;
        struct span *span = &spans[i];
        span->first = (uint32_t)start;
        span->last = (uint32_t)end + (end > (uint32_t)end + 1e-6 ? 1 : 0);
        if (span->last > from)
            span->last = from;
        if (span->last <= span->first)
            span->last = span->first + 1;
        span->head = (float)(span->first + 1 - start);
        span->tail = (float)(end - (span->last - 1));
        if (span->last == span->first + 1)
            span->head = 1;
    }
    return spans;
}

static float span_weight(const struct span *span, uint32_t at) {
    if (at == span->first)
        return span->head;
    return at + 1 == span->last ? span->tail : 1;
}

/* Adds one source row, narrowed to the output's width, to `sums` ([width][4], colours times alpha).
 */
static void add_row(const uint8_t *row, const struct span *columns, uint32_t width, float weight,
                    float *sums) {
    for (uint32_t x = 0; x < width; x++) {
        const struct span *span = &columns[x];
        for (uint32_t i = span->first; i < span->last; i++) {
            const uint8_t *p = row + (size_t)i * 4;
            float share = weight * span_weight(span, i);
            float alpha = share * p[3];
            sums[x * 4 + 0] += alpha * p[0];
            sums[x * 4 + 1] += alpha * p[1];
            sums[x * 4 + 2] += alpha * p[2];
            sums[x * 4 + 3] += alpha;
            sums[(size_t)width * 4 + x] += share;
        }
    }
}

static uint8_t to_byte(float value) {
    value += 0.5f;
    return value < 256 ? (uint8_t)value : 255; /* long sums round up, too */
}

static void store_row(const float *sums, uint32_t width, uint8_t *row) {
    for (uint32_t x = 0; x < width; x++) {
        float alpha = sums[x * 4 + 3];
        for (uint32_t c = 0; c < 3; c++)
            row[x * 4 + c] = alpha > 0 ? to_byte(sums[x * 4 + c] / alpha) : 0;
        row[x * 4 + 3] = to_byte(alpha / sums[(size_t)width * 4 + x]);
    }
}

int image_scale(const struct image *from, uint32_t width, uint32_t height, struct image *out,
                struct err *err) {
    int rc = image_init(out, width, height, err);
    if (rc != 0)
        return rc;
    struct span *columns = make_spans(from->width, width);
    struct span *rows = make_spans(from->height, height);
    float *sums = malloc((size_t)width * 5 * sizeof *sums);
    if (columns == NULL || rows == NULL || sums == NULL) {
        image_deinit(out);
        rc = err_set(err, ERR_NO_MEMORY, "no memory to scale a picture");
        goto end;
    }
    for (uint32_t y = 0; y < height; y++) {
        memset(sums, 0, (size_t)width * 5 * sizeof *sums);
        for (uint32_t i = rows[y].first; i < rows[y].last; i++)
            add_row(from->rgba + (size_t)i * from->width * 4, columns, width,
                    span_weight(&rows[y], i), sums);
        store_row(sums, width, out->rgba + (size_t)y * width * 4);
    }
end:
    free(sums);
    free(rows);
    free(columns);
    return rc;
}
