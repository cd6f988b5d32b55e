/* text.h - a growing string. Zeroed is empty; running out of memory is remembered and told by
 * text_take. Any one thread. */
#ifndef STANCE_CORE_TEXT_H
#define STANCE_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *bytes;
    size_t size, room;
    bool failed;
};

void text_add(struct text *text, const char *bytes, size_t size);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The bytes with a NUL behind them, for the caller to free; NULL when memory ran out. The text is
 * empty again. */
char *text_take(struct text *text, size_t *size);
void text_drop(struct text *text);

/* The shortest decimal that reads back as the same double; "NaN", "+Inf", "-Inf". */
enum { TEXT_NUMBER_SIZE = 32 };
void text_number(char out[TEXT_NUMBER_SIZE], double value);

#endif
