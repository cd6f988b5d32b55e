#include "media/draw.h"

#include <math.h>

#include "media/letters.h"

static void blend(uint8_t *pixel, struct draw_color color, float coverage) {
    float over = coverage * (float)color.a / 255, under = (float)pixel[3] / 255 * (1 - over);
    float alpha = over + under;
    if (alpha <= 0)
        return;
    const uint8_t channels[3] = {color.r, color.g, color.b};
    for (int c = 0; c < 3; c++)
        pixel[c] = (uint8_t)((channels[c] * over + pixel[c] * under) / alpha + 0.5f);
    pixel[3] = (uint8_t)(alpha * 255 + 0.5f);
}

/* The pixels that a shape may touch: x0 <= x < x1 and so on, inside the image. */
struct window {
    int x0, y0, x1, y1;
};

static int clamp_floor(float value, uint32_t most) {
    if (!(value > 0)) /* NaN too */
        return 0;
    return value >= (float)most ? (int)most : (int)value;
}

static struct window window_of(const struct image *image, float x0, float y0, float x1, float y1) {
    return (struct window){clamp_floor(x0, image->width), clamp_floor(y0, image->height),
                           clamp_floor(ceilf(x1), image->width),
                           clamp_floor(ceilf(y1), image->height)};
}

static uint8_t *pixel_at(struct image *image, int x, int y) {
    return image->rgba + ((size_t)y * image->width + (size_t)x) * 4;
}

static float clamp_unit(float value) {
    return value < 0 ? 0 : value > 1 ? 1 : value;
}

/* How much of the pixel [at, at + 1] lies in [from, to]. */
static float overlap(int at, float from, float to) {
    return clamp_unit(fminf(to, (float)(at + 1)) - fmaxf(from, (float)at));
}

void draw_fill(struct image *image, float x, float y, float width, float height,
               struct draw_color color) {
    struct window w = window_of(image, x, y, x + width, y + height);
    for (int row = w.y0; row < w.y1; row++) {
        float down = overlap(row, y, y + height);
        for (int column = w.x0; column < w.x1; column++)
            blend(pixel_at(image, column, row), color, down * overlap(column, x, x + width));
    }
}

static float squared_distance(const struct draw_segment *s, float x, float y) {
    float dx = s->x1 - s->x0, dy = s->y1 - s->y0;
    float length = dx * dx + dy * dy;
    float t = length > 0 ? clamp_unit(((x - s->x0) * dx + (y - s->y0) * dy) / length) : 0;
    float ex = x - s->x0 - t * dx, ey = y - s->y0 - t * dy;
    return ex * ex + ey * ey;
}

/* The columns of a row that a segment may touch, added to from..to. */
static void widen_columns(const struct draw_segment *s, float reach, float middle, float *from,
                          float *to) {
    float rise = s->y1 - s->y0, t0 = 0, t1 = 1;
    if (fabsf(rise) > 1e-6f) {
        float a = (middle - reach - s->y0) / rise, b = (middle + reach - s->y0) / rise;
        t0 = clamp_unit(fminf(a, b));
        t1 = clamp_unit(fmaxf(a, b));
    }
    float x0 = s->x0 + t0 * (s->x1 - s->x0), x1 = s->x0 + t1 * (s->x1 - s->x0);
    *from = fminf(*from, fminf(x0, x1) - reach);
    *to = fmaxf(*to, fmaxf(x0, x1) + reach);
}

void draw_segments(struct image *image, const struct draw_segment *segments, size_t count,
                   float width, struct draw_color color) {
    float y0 = INFINITY, y1 = -INFINITY, reach = width / 2 + 0.5f;
    for (size_t i = 0; i < count; i++) {
        y0 = fminf(y0, fminf(segments[i].y0, segments[i].y1) - reach);
        y1 = fmaxf(y1, fmaxf(segments[i].y0, segments[i].y1) + reach);
    }
    struct window rows = window_of(image, 0, y0, 0, y1);
    for (int y = rows.y0; y < rows.y1; y++) {
        float from = INFINITY, to = -INFINITY, middle = (float)y + 0.5f;
        for (size_t i = 0; i < count; i++)
            widen_columns(&segments[i], reach, middle, &from, &to);
        struct window columns = window_of(image, from, 0, to, 0);
        for (int x = columns.x0; x < columns.x1; x++) {
            float nearest = INFINITY;
            for (size_t i = 0; i < count; i++)
                nearest = fminf(nearest, squared_distance(&segments[i], (float)x + 0.5f, middle));
            if (nearest < reach * reach)
                blend(pixel_at(image, x, y), color, clamp_unit(reach - sqrtf(nearest)));
        }
    }
}

void draw_ring(struct image *image, float x, float y, float radius, float width,
               struct draw_color color) {
    float reach = radius + width / 2 + 0.5f;
    struct window w = window_of(image, x - reach, y - reach, x + reach, y + reach);
    for (int row = w.y0; row < w.y1; row++) {
        for (int column = w.x0; column < w.x1; column++) {
            float from_center = hypotf((float)column + 0.5f - x, (float)row + 0.5f - y);
            float coverage = clamp_unit(width / 2 + 0.5f - fabsf(from_center - radius));
            if (coverage > 0)
                blend(pixel_at(image, column, row), color, coverage);
        }
    }
}

void draw_image(struct image *image, int x, int y, const struct image *from) {
    struct window w = window_of(image, (float)x, (float)y, (float)x + (float)from->width,
                                (float)y + (float)from->height);
    for (int row = w.y0; row < w.y1; row++) {
        for (int column = w.x0; column < w.x1; column++) {
            size_t at = (size_t)(row - y) * from->width + (size_t)(column - x);
            const uint8_t *p = from->rgba + at * 4;
            blend(pixel_at(image, column, row), (struct draw_color){p[0], p[1], p[2], p[3]}, 1);
        }
    }
}

/* -- Text -------------------------------------------------------------------------------------- */

/* One character from UTF-8; a broken sequence counts byte by byte as a character that no font has.
 */
static size_t next_code_point(const char *text, size_t size, unsigned *code_point) {
    unsigned char first = (unsigned char)text[0];
    *code_point = first < 128 ? first : 0xfffd;
    size_t length = 1;
    while (first >= 0xc0 && length < size && ((unsigned char)text[length] & 0xc0) == 0x80)
        length++;
    return length;
}

/* Draws where image is not NULL; returns the advance. */
static float lay_out(struct image *image, float x, float y, float height, const char *text,
                     size_t size, struct draw_color color) {
    float unit = height / LETTER_BASELINE, stroke = fmaxf(1.0f, height * 0.135f), start = x;
    struct draw_segment segments[LETTER_SEGMENTS];
    while (size > 0) {
        unsigned code_point;
        size_t length = next_code_point(text, size, &code_point);
        float width;
        size_t count = letter_segments(code_point, segments, &width);
        for (size_t i = 0; i < count; i++) {
            struct draw_segment *s = &segments[i];
            float left = x + stroke / 2, top = y - height + stroke / 2, fit = height - stroke;
            float scale = fit / LETTER_BASELINE;
            *s = (struct draw_segment){left + s->x0 * unit, top + s->y0 * scale,
                                       left + s->x1 * unit, top + s->y1 * scale};
        }
        if (image != NULL)
            draw_segments(image, segments, count, stroke, color);
        x += (width + LETTER_GAP) * unit + stroke * 0.5f;
        text += length;
        size -= length;
    }
    return x - start;
}

void draw_text(struct image *image, float x, float y, float height, const char *text, size_t size,
               struct draw_color color) {
    lay_out(image, x, y, height, text, size, color);
}

float draw_text_width(float height, const char *text, size_t size) {
    return lay_out(NULL, 0, 0, height, text, size, (struct draw_color){0, 0, 0, 0});
}
