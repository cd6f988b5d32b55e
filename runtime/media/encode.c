#include "media/encode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <webp/encode.h>

#include "media/jpeg_write.h"
#include "media/png.h"

enum { NPY_HEAD = 128, NPY_BEFORE = 10 };

#define MAX_SIZE ((size_t)2 << 30)

static const struct {
    const char *name, *numpy;
    size_t size;
} dtypes[ENCODE_DTYPES] = {
    {"uint8", "|u1", 1}, {"uint16", "<u2", 2},  {"uint32", "<u4", 4},
    {"int32", "<i4", 4}, {"float32", "<f4", 4},
};

/* -- Arrays ------------------------------------------------------------------------------------ */

const char *encode_dtype_name(int dtype) {
    return dtype >= 0 && dtype < ENCODE_DTYPES ? dtypes[dtype].name : NULL;
}

int encode_dtype_find(const char *name) {
    for (int i = 0; i < ENCODE_DTYPES; i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return i;
    return -1;
}

size_t encode_array_size(const struct encode_array *array) {
    size_t size = dtypes[array->dtype].size;
    if (array->dimensions == 0 || array->dimensions > ENCODE_DIMENSIONS)
        return 0;
    for (uint32_t i = 0; i < array->dimensions; i++) {
        if (array->shape[i] == 0 || array->shape[i] > MAX_SIZE / size)
            return 0;
        size *= array->shape[i];
    }
    return size;
}

static uint32_t channels_of(const struct encode_array *array) {
    return array->dimensions == 3 ? array->shape[2] : 1;
}

/* Whether it is a picture of one of the kinds that are written as `what`. */
static int check_picture(const struct encode_array *array, const char *what, bool fits,
                         struct err *err) {
    if (fits && (array->dimensions == 2 || array->dimensions == 3) && encode_array_size(array) > 0)
        return 0;
    return err_set(err, ERR_INVALID, "an array of %s in %u dimensions, %u channels, is no %s",
                   dtypes[array->dtype].name, array->dimensions, channels_of(array), what);
}

static int no_memory(const char *what, struct err *err) {
    return err_set(err, ERR_NO_MEMORY, "no memory to write a %s", what);
}

/* -- PNG --------------------------------------------------------------------------------------- */

/* Colours that neighbours can be told apart by: steps of the golden ratio round the circle of hues,
 * at three brightnesses. */
static void fill_palette(uint8_t palette[256][3]) {
    memset(palette[0], 0, 3);
    for (int i = 1; i < 256; i++) {
        uint32_t hue = (uint32_t)i * 949u % 1536u; /* 1536 / 1.618 */
        uint32_t ramp = hue % 256, bright = 255 - 60 * ((uint32_t)i % 3), sector = hue / 256;
        const uint32_t wheel[6][3] = {{255, ramp, 0}, {255 - ramp, 255, 0},
                                      {0, 255, ramp}, {0, 255 - ramp, 255},
                                      {ramp, 0, 255}, {255, 0, 255 - ramp}};
        for (int c = 0; c < 3; c++)
            palette[i][c] = (uint8_t)((64 + wheel[sector][c] * 3 / 4) * bright / 255);
    }
}

/* The high byte of each number first. */
static uint8_t *turn_bytes(const uint16_t *values, size_t count) {
    uint8_t *out = malloc(2 * count);
    for (size_t i = 0; out != NULL && i < count; i++) {
        out[2 * i] = (uint8_t)(values[i] >> 8);
        out[2 * i + 1] = (uint8_t)values[i];
    }
    return out;
}

int encode_png(const struct encode_array *array, const struct encode_png_options *options,
               uint8_t **out, size_t *size, struct err *err) {
    uint32_t channels = channels_of(array);
    uint8_t palette[256][3], *turned = NULL;
    bool deep = array->dtype == ENCODE_UINT16;
    bool fits =
        deep ? channels == 1
             : array->dtype == ENCODE_UINT8 && (channels == 1 || channels == 3 || channels == 4);
    int rc =
        check_picture(array, "PNG", fits && (!options->palette || (!deep && channels == 1)), err);
    if (rc != 0)
        return rc;
    struct png_source source = {.width = array->shape[1],
                                .height = array->shape[0],
                                .channels = channels,
                                .pixels = array->values};
    struct png_grey grey = {.deep = deep};
    if (deep) {
        turned = turn_bytes(array->values, (size_t)array->shape[0] * array->shape[1]);
        if (turned == NULL)
            return no_memory("PNG", err);
        source.pixels = turned;
    }
    if (options->palette) {
        fill_palette(palette);
        grey.palette = palette[0];
        grey.count = 256;
    }
    rc = png_encode_grey(&source, &grey, options->level, out, size, err);
    free(turned);
    return rc;
}

int encode_depth(const struct encode_array *array, int level, uint8_t **out, size_t *size,
                 struct err *err) {
    int rc = check_picture(array, "picture of depths",
                           array->dtype == ENCODE_FLOAT32 && channels_of(array) == 1, err);
    if (rc != 0)
        return rc;
    size_t count = (size_t)array->shape[0] * array->shape[1];
    const float *metres = array->values;
    uint8_t *turned = malloc(2 * count);
    if (turned == NULL)
        return no_memory("PNG", err);
    for (size_t i = 0; i < count; i++) {
        float here = metres[i];
        uint32_t value = !isfinite(here) || here <= 0 ? 0
                         : here >= 65.535f            ? 65535
                                                      : (uint32_t)(here * 1000 + 0.5f);
        turned[2 * i] = (uint8_t)(value >> 8);
        turned[2 * i + 1] = (uint8_t)value;
    }
    const struct png_source source = {
        .width = array->shape[1], .height = array->shape[0], .channels = 1, .pixels = turned};
    rc = png_encode_grey(&source, &(struct png_grey){.deep = true}, level, out, size, err);
    free(turned);
    return rc;
}

/* -- JPEG and WebP ----------------------------------------------------------------------------- */

static int check_colours(const struct encode_array *array, const char *what, struct err *err) {
    uint32_t channels = channels_of(array);
    return check_picture(array, what,
                         array->dtype == ENCODE_UINT8 && (channels == 3 || channels == 4), err);
}

int encode_jpeg(const struct encode_array *array, int quality, uint8_t **out, size_t *size,
                struct err *err) {
    int rc = check_colours(array, "JPEG", err);
    return rc != 0 ? rc
                   : jpeg_encode_pixels(array->values, array->shape[1], array->shape[0],
                                        channels_of(array), quality, out, size, err);
}

static int import_webp(WebPPicture *picture, const struct encode_array *array) {
    int channels = (int)channels_of(array), stride = channels * picture->width;
    return channels == 4 ? WebPPictureImportRGBA(picture, array->values, stride)
                         : WebPPictureImportRGB(picture, array->values, stride);
}

int encode_webp(const struct encode_array *array, bool lossless, float quality, uint8_t **out,
                size_t *size, struct err *err) {
    WebPConfig config;
    WebPPicture picture;
    WebPMemoryWriter writer;
    int rc = check_colours(array, "WebP", err);
    if (rc != 0)
        return rc;
    if (!(quality >= 0 && quality <= 100))
        return err_set(err, ERR_INVALID, "a WebP's quality is 0 to 100, not %g", (double)quality);
    if (array->shape[0] > WEBP_MAX_DIMENSION || array->shape[1] > WEBP_MAX_DIMENSION)
        return err_set(err, ERR_INVALID, "a WebP has at most %d pixels a side", WEBP_MAX_DIMENSION);
    if (!WebPConfigInit(&config) || !WebPPictureInit(&picture))
        return err_set(err, ERR_INTERNAL, "libwebp is of another version than its headers");
    if (lossless)
        WebPConfigLosslessPreset(&config, (int)(quality * 9 / 100 + 0.5f));
    else
        config.quality = quality;
    config.method =
        lossless ? config.method : 2; /* two thirds of the default's time, 2 % more bytes */
    picture.use_argb = lossless;
    picture.width = (int)array->shape[1];
    picture.height = (int)array->shape[0];
    picture.writer = WebPMemoryWrite;
    picture.custom_ptr = &writer;
    WebPMemoryWriterInit(&writer);
    if (!import_webp(&picture, array) || !WebPEncode(&config, &picture))
        rc = no_memory("WebP", err);
    WebPPictureFree(&picture);
    if (rc == 0 && (*out = malloc(writer.size)) == NULL)
        rc = no_memory("WebP", err);
    if (rc == 0) { /* libwebp's memory may not be ours to free() */
        memcpy(*out, writer.mem, writer.size);
        *size = writer.size;
    }
    WebPMemoryWriterClear(&writer);
    return rc;
}

/* -- NumPy ------------------------------------------------------------------------------------- */

int encode_npy(const struct encode_array *array, uint8_t **out, size_t *size, struct err *err) {
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the numbers would be the wrong way");
    size_t bytes = encode_array_size(array);
    if (bytes == 0)
        return err_set(err, ERR_INVALID,
                       "an array has 1 to %d dimensions, none of 0, and 2 GiB at "
                       "most",
                       ENCODE_DIMENSIONS);
    uint8_t *file = malloc(NPY_HEAD + bytes);
    if (file == NULL)
        return no_memory("NumPy array", err);
    char text[NPY_HEAD];
    int used = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                        dtypes[array->dtype].numpy);
    for (uint32_t i = 0; i < array->dimensions; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%u,%s", array->shape[i],
                         i + 1 < array->dimensions ? " " : "");
    used += snprintf(text + used, sizeof text - (size_t)used, "), }");
    const uint8_t magic[NPY_BEFORE] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, NPY_HEAD - NPY_BEFORE,
                                       0};
    memset(file, ' ', NPY_HEAD);
    memcpy(file, magic, sizeof magic);
    memcpy(file + NPY_BEFORE, text, (size_t)used);
    file[NPY_HEAD - 1] = '\n';
    memcpy(file + NPY_HEAD, array->values, bytes);
    *out = file;
    *size = NPY_HEAD + bytes;
    return 0;
}
