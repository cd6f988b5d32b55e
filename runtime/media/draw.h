/* draw.h - smooth lines, dots and words on a picture: what contact sheets need.
 *
 * Places are in pixels, (0, 0) the outer corner of the top left one, fractions allowed; edges are
 * anti-aliased by their distance to each pixel's centre. What lies outside is cut. Colours are
 * blended over what is there, in sRGB.
 *
 * Ownership: the image stays the caller's. Threads: one at a time an image. */
#ifndef STANCE_MEDIA_DRAW_H
#define STANCE_MEDIA_DRAW_H

#include <stddef.h>
#include <stdint.h>

#include "media/image.h"

struct draw_color {
    uint8_t r, g, b, a;
};

struct draw_segment {
    float x0, y0, x1, y1;
};

/* The rectangle with corners (x, y) and (x + width, y + height). */
void draw_fill(struct image *image, float x, float y, float width, float height,
               struct draw_color color);

/* Segments with round ends as one shape: where they cross nothing is blended twice. A segment of no
 * length is a dot. */
void draw_segments(struct image *image, const struct draw_segment *segments, size_t count,
                   float width, struct draw_color color);

/* A circle's line of the given width, centred on `radius`. */
void draw_ring(struct image *image, float x, float y, float radius, float width,
               struct draw_color color);

/* Copies `from` with its top left corner at (x, y), blending by its alpha. The two must not be the
 * same. */
void draw_image(struct image *image, int x, int y, const struct image *from);

/* UTF-8 text, its baseline at `y`, capitals `height` pixels high, in the built-in stroke font
 * (ASCII; anything else shows as a box). draw_text_width is what draw_text covers from x. */
void draw_text(struct image *image, float x, float y, float height, const char *text, size_t size,
               struct draw_color color);
float draw_text_width(float height, const char *text, size_t size);

#endif
