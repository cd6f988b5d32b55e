#include <stdlib.h>
#include <string.h>

#include "media/image.h"

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
