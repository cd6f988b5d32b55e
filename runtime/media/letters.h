/* letters.h - a small stroke font of our own: letters as smooth lines, so that text is sharp at any
 * size.
 *
 * Glyphs stand on a grid: capitals from y = 0 to the baseline at y = 9, small letters from y = 3,
 * descenders to y = 12; x starts at 0. Threads: constant data. */
#ifndef STANCE_MEDIA_LETTERS_H
#define STANCE_MEDIA_LETTERS_H

#include <stddef.h>

#include "media/draw.h"

enum { LETTER_BASELINE = 9, LETTER_GAP = 2, LETTER_SEGMENTS = 96 };

/* Fills in the glyph's lines in grid units (at most LETTER_SEGMENTS) and returns their number;
 * `width` is the glyph's, without the gap to the next. */
size_t letter_segments(unsigned code_point, struct draw_segment *segments, float *width);

#endif
