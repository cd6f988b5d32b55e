/* motion_text.h - reads the words of a text file that nobody vouches for, and knows the line for
 * the error message. Private to motion*.c.
 *
 * Blanks, tabs, carriage returns and line ends stand between words. Nothing is copied: a word
 * points into the file, which need not end with a zero. */
#ifndef STANCE_MEDIA_MOTION_TEXT_H
#define STANCE_MEDIA_MOTION_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct err;

struct motion_text {
    const char *at, *end;
    const char *name; /* the file, for messages */
    unsigned line;    /* of the last word read, from 1 */
    struct err *err;
};

struct motion_word {
    const char *at;
    size_t length; /* 0: there is no further word */
};

void motion_text_init(struct motion_text *text, const void *bytes, size_t size, const char *name,
                      struct err *err);

/* The next word; when `same_line`, only if it stands on the line of the last one. */
struct motion_word motion_text_word(struct motion_text *text, bool same_line);

/* The same, left to be read again. */
struct motion_word motion_text_peek(const struct motion_text *text, bool same_line);

/* What is left of the line, without blanks around it. */
struct motion_word motion_text_rest(struct motion_text *text);

/* Whether a word is this one, in any case. */
bool motion_word_is(struct motion_word word, const char *expected);

/* The next word must be this one, in any case: else ERR_CORRUPT. */
int motion_text_expect(struct motion_text *text, const char *expected);

/* The next word must be a finite number. */
int motion_text_number(struct motion_text *text, bool same_line, double *out);

/* ERR_CORRUPT with "NAME:LINE: " before the words. */
int motion_text_fail(const struct motion_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
