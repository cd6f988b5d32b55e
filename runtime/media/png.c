#include "media/png.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "media/deflate_runs.h"

/* Filter types of the PNG specification, chapter 9. Paeth is left out: on rendered pictures it
 * saved less than one byte in a hundred and does not vectorise. */
enum { FILTER_SUB = 1, FILTER_UP = 2, FILTER_AVERAGE = 3, FILTER_COUNT = 3 };

enum {
    SIGNATURE_SIZE = 8,
    CHUNK_EXTRA = 12, /* length, type, checksum */
    HEADER_DATA = 13,
    HEAD_SIZE = SIGNATURE_SIZE + CHUNK_EXTRA + HEADER_DATA,
    SIDE_MAX = 1 << 20,
};

/* Sixteen bytes at any address; gcc and clang make SSE2, AVX or NEON of the arithmetic. */
typedef uint8_t lanes __attribute__((vector_size(16), aligned(1), may_alias));
typedef int8_t signed_lanes __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint16_t wide_lanes __attribute__((vector_size(16), aligned(1), may_alias));

/* -- Filters ----------------------------------------------------------------------------------- */

static uint8_t filter_byte(int filter, uint8_t here, uint8_t left, uint8_t above) {
    uint8_t guess = filter == FILTER_SUB  ? left
                    : filter == FILTER_UP ? above
                                          : (uint8_t)((left + above) >> 1);
    return (uint8_t)(here - guess);
}

static inline __attribute__((always_inline)) lanes guess_lanes(int filter, lanes left,
                                                               lanes above) {
    if (filter == FILTER_SUB)
        return left;
    if (filter == FILTER_UP)
        return above;
    return (left & above) + ((left ^ above) >> 1); /* their mean, rounded down */
}

static uint64_t sum_of(wide_lanes sums) {
    uint64_t sum = 0;
    for (int i = 0; i < 8; i++)
        sum += sums[i];
    return sum;
}

/* Filters one row into `out` and returns the sum of the results' magnitudes, the specification's
 * measure for choosing a filter. Inlined for each filter, so that the choice falls out of the loop.
 */
static inline __attribute__((always_inline)) uint64_t filter_row(int filter, const uint8_t *row,
                                                                 const uint8_t *above, size_t size,
                                                                 size_t channels, uint8_t *out) {
    uint64_t score = 0;
    size_t i = 0;
    for (; i < channels; i++) {
        out[i] = filter_byte(filter, row[i], 0, above[i]);
        score += (uint64_t)abs((int8_t)out[i]);
    }
    while (i + 16 <= size) {
        wide_lanes sums = {0};
        /* A lane takes two magnitudes of at most 128 a turn: 255 turns fit 16 bits. */
        for (int turn = 0; turn < 255 && i + 16 <= size; turn++, i += 16) {
            lanes left = *(const lanes *)(row + i - channels), up = *(const lanes *)(above + i);
            lanes guess = guess_lanes(filter, left, up);
            lanes result = *(const lanes *)(row + i) - guess;
            *(lanes *)(out + i) = result;
            lanes sign = (lanes)((signed_lanes)result < 0);
            wide_lanes size_pairs = (wide_lanes)((result ^ sign) - sign);
            sums += (size_pairs & 0xff) + (size_pairs >> 8);
        }
        score += sum_of(sums);
    }
    for (; i < size; i++) {
        out[i] = filter_byte(filter, row[i], row[i - channels], above[i]);
        score += (uint64_t)abs((int8_t)out[i]);
    }
    return score;
}

/* Writes the row with the filter that leaves the smallest numbers: the type byte, then `size`
 * bytes. `scratch` has room for FILTER_COUNT rows. */
static void write_row(const uint8_t *row, const uint8_t *above, size_t size, size_t channels,
                      uint8_t *scratch, uint8_t *out) {
    uint64_t scores[FILTER_COUNT];
    scores[0] = filter_row(FILTER_SUB, row, above, size, channels, scratch);
    scores[1] = filter_row(FILTER_UP, row, above, size, channels, scratch + size);
    scores[2] = filter_row(FILTER_AVERAGE, row, above, size, channels, scratch + 2 * size);
    int best = 0;
    for (int i = 1; i < FILTER_COUNT; i++)
        if (scores[i] < scores[best])
            best = i;
    out[0] = (uint8_t)(best + FILTER_SUB);
    memcpy(out + 1, scratch + (size_t)best * size, size);
}

/* All rows filtered, ready to be compressed; malloc'ed. */
static uint8_t *filter_rows(const struct png_source *source, bool deep, size_t *size) {
    size_t step = source->channels * (deep ? 2 : 1), row_size = source->width * step;
    size_t stride = source->stride != 0 ? source->stride : row_size;
    uint8_t *rows = malloc((row_size + 1) * source->height);
    uint8_t *scratch = calloc(FILTER_COUNT + 1, row_size);
    if (rows == NULL || scratch == NULL) {
        free(rows);
        free(scratch);
        return NULL;
    }
    const uint8_t *above = scratch + FILTER_COUNT * row_size; /* zeros before the first row */
    for (uint32_t y = 0; y < source->height; y++) {
        const uint8_t *row = source->pixels + y * stride;
        write_row(row, above, row_size, step, scratch, rows + (row_size + 1) * y);
        above = row;
    }
    free(scratch);
    *size = (row_size + 1) * source->height;
    return rows;
}

/* -- The file ---------------------------------------------------------------------------------- */

static uint8_t *put_u32(uint8_t *out, uint32_t value) {
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (24 - 8 * i));
    return out + 4;
}

/* Frames `size` bytes of data that already stand at chunk + 8; returns the chunk's end. */
static uint8_t *frame_chunk(uint8_t *chunk, const char *type, size_t size) {
    put_u32(chunk, (uint32_t)size);
    memcpy(chunk + 4, type, 4);
    return put_u32(chunk + 8 + size, libdeflate_crc32(0, chunk + 4, size + 4));
}

/* What stands before the pixels' chunk. */
static size_t head_size(const struct png_source *source, const struct png_grey *grey) {
    return HEAD_SIZE + (source->channels > 1 ? CHUNK_EXTRA + 1 : 0) +
           (grey->palette != NULL ? CHUNK_EXTRA + 3 * (size_t)grey->count : 0);
}

static uint8_t *put_header(uint8_t *out, const struct png_source *source,
                           const struct png_grey *grey) {
    memcpy(out, "\x89PNG\r\n\x1a\n", SIGNATURE_SIZE);
    out += SIGNATURE_SIZE;
    uint8_t *data = put_u32(put_u32(out + 8, source->width), source->height);
    data[0] = grey->deep ? 16 : 8; /* bits a channel */
    data[1] = grey->palette != NULL ? 3 : source->channels == 4 ? 6 : source->channels == 3 ? 2 : 0;
    data[2] = data[3] = data[4] = 0; /* deflate, adaptive filters, not interlaced */
    out = frame_chunk(out, "IHDR", HEADER_DATA);
    if (source->channels > 1) {
        out[8] = 0; /* perceptual intent */
        out = frame_chunk(out, "sRGB", 1);
    }
    if (grey->palette == NULL)
        return out;
    memcpy(out + 8, grey->palette, 3 * (size_t)grey->count);
    return frame_chunk(out, "PLTE", 3 * (size_t)grey->count);
}

static int check_source(const struct png_source *source, const struct png_grey *grey, int level,
                        struct err *err) {
    if (source->channels != 1 && source->channels != 3 && source->channels != 4)
        return err_set(err, ERR_INVALID, "a PNG has 1, 3 or 4 channels here, not %u",
                       source->channels);
    if ((grey->deep || grey->palette != NULL) && source->channels != 1)
        return err_set(err, ERR_INVALID, "a PNG of 16 bits or with a palette has 1 channel here");
    if (grey->palette != NULL && (grey->deep || grey->count == 0 || grey->count > 256))
        return err_set(err, ERR_INVALID, "a PNG's palette has 1 to 256 colours of 8 bits");
    if (source->width == 0 || source->height == 0 || source->width > SIDE_MAX ||
        source->height > SIDE_MAX || (uint64_t)source->width * source->height > (1u << 28))
        return err_set(err, ERR_INVALID, "a PNG of %u x %u pixels cannot be written", source->width,
                       source->height);
    if (level < PNG_LEVEL_RUNS || level > PNG_LEVEL_MOST)
        return err_set(err, ERR_INVALID, "the PNG level %d is not in 0..12", level);
    return 0;
}

/* A zlib stream of the rows at file + before, in memory that is got here; 0 when there is none. */
static size_t compress_rows(const uint8_t *rows, size_t size, int level, size_t before,
                            size_t after, uint8_t **file) {
    if (level == PNG_LEVEL_RUNS) {
        *file = malloc(before + deflate_runs_bound(size) + after);
        return *file != NULL ? deflate_runs(rows, size, *file + before) : 0;
    }
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(level);
    if (compressor == NULL)
        return 0;
    size_t bound = libdeflate_zlib_compress_bound(compressor, size), packed = 0;
    *file = malloc(before + bound + after);
    if (*file != NULL)
        packed = libdeflate_zlib_compress(compressor, rows, size, *file + before, bound);
    libdeflate_free_compressor(compressor);
    return packed;
}

int png_encode(const struct png_source *source, int level, uint8_t **out, size_t *size,
               struct err *err) {
    const struct png_grey plain = {.deep = false};
    return png_encode_grey(source, &plain, level, out, size, err);
}

int png_encode_grey(const struct png_source *source, const struct png_grey *grey, int level,
                    uint8_t **out, size_t *size, struct err *err) {
    int rc = check_source(source, grey, level, err);
    if (rc != 0)
        return rc;
    size_t rows_size = 0, packed = 0;
    uint8_t *rows = filter_rows(source, grey->deep, &rows_size), *file = NULL;
    if (rows != NULL)
        packed = compress_rows(rows, rows_size, level, head_size(source, grey) + 8, 4 + CHUNK_EXTRA,
                               &file);
    free(rows);
    if (packed == 0) {
        free(file);
        return err_set(err, ERR_NO_MEMORY, "no memory to write a PNG");
    }
    uint8_t *chunk = put_header(file, source, grey);
    chunk = frame_chunk(chunk, "IDAT", packed);
    chunk = frame_chunk(chunk, "IEND", 0);
    *size = (size_t)(chunk - file);
    uint8_t *shrunk = realloc(file, *size);
    *out = shrunk != NULL ? shrunk : file;
    return 0;
}
