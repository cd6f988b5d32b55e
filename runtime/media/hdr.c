#include "media/hdr.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_SIZE = 256, MAX_HEAD_LINES = 1000 };

struct reader {
    const uint8_t *at, *end;
    uint32_t width, height;
    bool from_right, from_bottom;
    double scale[3]; /* by which the file's values were multiplied */
};

bool hdr_is(const void *bytes, size_t size) {
    static const char *const magics[] = {"#?RADIANCE", "#?RGBE"};
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (size >= strlen(magics[i]) && memcmp(bytes, magics[i], strlen(magics[i])) == 0)
            return true;
    return false;
}

/* -- The head ---------------------------------------------------------------------------------- */

/* The next line without its end; what is too long is cut. False at the file's end. */
static bool next_line(struct reader *reader, char line[LINE_SIZE]) {
    const uint8_t *end = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    if (end == NULL)
        return false;
    size_t length = (size_t)(end - reader->at);
    length = length < LINE_SIZE - 1 ? length : LINE_SIZE - 1;
    memcpy(line, reader->at, length);
    line[length] = '\0';
    line[strcspn(line, "\r")] = '\0';
    reader->at = end + 1;
    return true;
}

static int read_field(struct reader *reader, const char *line, struct err *err) {
    double value[3];
    if (strncmp(line, "FORMAT=", 7) == 0 && strcmp(line, "FORMAT=32-bit_rle_rgbe") != 0)
        return err_set(err, ERR_UNSUPPORTED, "a Radiance picture of the format %.40s is not read",
                       line + 7);
    if (sscanf(line, "EXPOSURE=%lf", value) == 1) {
        value[1] = value[2] = value[0];
    } else if (sscanf(line, "COLORCORR=%lf %lf %lf", &value[0], &value[1], &value[2]) != 3) {
        return 0;
    }
    for (int c = 0; c < 3; c++) {
        reader->scale[c] *= value[c]; /* of several lines */
        if (!(reader->scale[c] > 1e-20 && reader->scale[c] < 1e20))
            return err_set(err, ERR_CORRUPT, "damaged Radiance picture: %.60s", line);
    }
    return 0;
}

static int read_size(struct reader *reader, const char *line, struct err *err) {
    char rows, columns, row_sign, column_sign;
    unsigned width, height;
    if (sscanf(line, "%c%c %9u %c%c %9u", &row_sign, &rows, &height, &column_sign, &columns,
               &width) != 6 ||
        strchr("+-", row_sign) == NULL || strchr("+-", column_sign) == NULL)
        return err_set(err, ERR_CORRUPT, "damaged Radiance picture: its size is missing");
    if (rows != 'Y' || columns != 'X')
        return err_set(err, ERR_UNSUPPORTED, "a Radiance picture that is stored by columns");
    if (width < 1 || height < 1)
        return err_set(err, ERR_CORRUPT, "damaged Radiance picture: it has no pixels");
    if (width > HDR_MAX_SIDE || height > HDR_MAX_SIDE || (uint64_t)width * height > HDR_MAX_PIXELS)
        return err_set(err, ERR_TOO_LARGE, "a Radiance picture of %u x %u pixels is too large",
                       width, height);
    reader->width = width;
    reader->height = height;
    reader->from_bottom = row_sign == '+';
    reader->from_right = column_sign == '-';
    return 0;
}

static int read_head(struct reader *reader, struct err *err) {
    char line[LINE_SIZE];
    for (int lines = 0; lines < MAX_HEAD_LINES && next_line(reader, line); lines++) {
        if (line[0] == '\0') {
            if (!next_line(reader, line))
                break;
            return read_size(reader, line, err);
        }
        int rc = read_field(reader, line, err);
        if (rc != 0)
            return rc;
    }
    return err_set(err, ERR_CORRUPT, "damaged Radiance picture: its head does not end");
}

/* -- Rows -------------------------------------------------------------------------------------- */

/* One byte of each pixel after the other: runs (above 128) and literals. */
static bool read_new_runs(struct reader *reader, uint8_t *row) {
    for (int channel = 0; channel < 4; channel++)
        for (uint32_t x = 0; x < reader->width;) {
            if (reader->end - reader->at < 2)
                return false;
            uint32_t count = *reader->at++;
            bool run = count > 128;
            count = run ? count - 128 : count;
            if (count == 0 || count > reader->width - x ||
                (!run && reader->end - reader->at < (ptrdiff_t)count))
                return false;
            for (uint32_t i = 0; i < count; i++, x++)
                row[x * 4 + channel] = run ? *reader->at : *reader->at++;
            reader->at += run;
        }
    return true;
}

/* Whole pixels; 1 1 1 n repeats the last one n times, several in a row are digits of a number. */
static bool read_old_runs(struct reader *reader, uint8_t *row) {
    unsigned shift = 0;
    for (uint32_t x = 0; x < reader->width;) {
        if (reader->end - reader->at < 4)
            return false;
        const uint8_t *pixel = reader->at;
        reader->at += 4;
        if (pixel[0] != 1 || pixel[1] != 1 || pixel[2] != 1) {
            memcpy(row + x++ * 4, pixel, 4);
            shift = 0;
            continue;
        }
        uint64_t count = shift < 32 ? (uint64_t)pixel[3] << shift : UINT64_MAX;
        if (x == 0 || count > reader->width - x)
            return false;
        for (; count > 0; count--, x++)
            memcpy(row + x * 4, row + (x - 1) * 4, 4);
        shift += 8;
    }
    return true;
}

static bool read_row(struct reader *reader, uint8_t *row) {
    const uint8_t *p = reader->at;
    bool new_runs = reader->width >= 8 && reader->width < 32768 && reader->end - p >= 4 &&
                    p[0] == 2 && p[1] == 2 && (uint32_t)(p[2] << 8 | p[3]) == reader->width;
    if (!new_runs)
        return read_old_runs(reader, row);
    reader->at += 4;
    return read_new_runs(reader, row);
}

static void write_row(const struct reader *reader, const uint8_t *row, float *out) {
    for (uint32_t x = 0; x < reader->width; x++, row += 4) {
        float *pixel = out + 3 * (reader->from_right ? reader->width - 1 - x : x);
        double unit = row[3] > 0 ? ldexp(1, row[3] - (128 + 8)) : 0;
        for (int c = 0; c < 3; c++)
            pixel[c] = row[3] > 0 ? (float)(row[c] * unit / reader->scale[c]) : 0;
    }
}

int hdr_decode(const void *bytes, size_t size, float **rgb, uint32_t *width, uint32_t *height,
               struct err *err) {
    struct reader reader = {.at = bytes, .end = (const uint8_t *)bytes + size, .scale = {1, 1, 1}};
    if (!hdr_is(bytes, size))
        return err_set(err, ERR_UNSUPPORTED, "no Radiance picture");
    int rc = read_head(&reader, err);
    if (rc != 0)
        return rc;
    if ((size_t)(reader.end - reader.at) / 4 < reader.height) /* before memory is taken */
        return err_set(err, ERR_CORRUPT, "damaged Radiance picture: it ends early");
    float *pixels = malloc((size_t)reader.width * reader.height * 3 * sizeof *pixels);
    uint8_t *row = malloc((size_t)reader.width * 4);
    if (pixels == NULL || row == NULL)
        rc = err_set(err, ERR_NO_MEMORY, "no memory for a Radiance picture of %u x %u pixels",
                     reader.width, reader.height);
    for (uint32_t y = 0; rc == 0 && y < reader.height; y++) {
        uint32_t to = reader.from_bottom ? reader.height - 1 - y : y;
        if (read_row(&reader, row))
            write_row(&reader, row, pixels + (size_t)to * reader.width * 3);
        else
            rc = err_set(err, ERR_CORRUPT, "damaged Radiance picture: row %u of %u", y + 1,
                         reader.height);
    }
    free(row);
    if (rc != 0) {
        free(pixels);
        return rc;
    }
    *rgb = pixels;
    *width = reader.width;
    *height = reader.height;
    return 0;
}
