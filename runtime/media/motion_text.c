#include "media/motion_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/err.h"

enum { SHOWN = 40 }; /* characters of a word in a message */

void motion_text_init(struct motion_text *text, const void *bytes, size_t size, const char *name,
                      struct err *err) {
    const char *start = bytes;
    if (size >= 3 && memcmp(start, "\xef\xbb\xbf", 3) == 0) { /* some editors' mark */
        start += 3;
        size -= 3;
    }
    *text = (struct motion_text){start, start + size, name, 1, err};
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

struct motion_word motion_text_word(struct motion_text *text, bool same_line) {
    const char *at = text->at;
    unsigned line = text->line;
    for (; at < text->end && is_blank(*at); at++) {
        if (*at != '\n')
            continue;
        if (same_line)
            return (struct motion_word){at, 0};
        line++;
    }
    struct motion_word word = {at, 0};
    while (at < text->end && !is_blank(*at))
        at++;
    word.length = (size_t)(at - word.at);
    text->at = at;
    text->line = line;
    return word;
}

struct motion_word motion_text_peek(const struct motion_text *text, bool same_line) {
    struct motion_text copy = *text;
    return motion_text_word(&copy, same_line);
}

struct motion_word motion_text_rest(struct motion_text *text) {
    struct motion_word first = motion_text_word(text, true);
    const char *end = text->at;
    if (first.length == 0)
        return first;
    for (;;) {
        struct motion_word next = motion_text_word(text, true);
        if (next.length == 0)
            break;
        end = next.at + next.length;
    }
    return (struct motion_word){first.at, (size_t)(end - first.at)};
}

bool motion_word_is(struct motion_word word, const char *expected) {
    return word.length == strlen(expected) && strncasecmp(word.at, expected, word.length) == 0;
}

static int shown(struct motion_word word) {
    return word.length < SHOWN ? (int)word.length : SHOWN;
}

int motion_text_expect(struct motion_text *text, const char *expected) {
    struct motion_word word = motion_text_word(text, false);
    if (motion_word_is(word, expected))
        return 0;
    if (word.length == 0)
        return motion_text_fail(text, "the file ends where \"%s\" was expected", expected);
    return motion_text_fail(text, "\"%s\" was expected, not \"%.*s\"", expected, shown(word),
                            word.at);
}

int motion_text_number(struct motion_text *text, bool same_line, double *out) {
    char copy[64], *end;
    struct motion_word word = motion_text_word(text, same_line);
    if (word.length == 0)
        return motion_text_fail(text, "the %s ends where a number was expected",
                                same_line ? "line" : "file");
    size_t length = word.length < sizeof copy ? word.length : sizeof copy - 1;
    memcpy(copy, word.at, length);
    copy[length] = '\0';
    *out = strtod(copy, &end);
    if (*end != '\0' || end == copy || length != word.length || !isfinite(*out))
        return motion_text_fail(text, "a number was expected, not \"%.*s\"", shown(word), word.at);
    return 0;
}

int motion_text_fail(const struct motion_text *text, const char *format, ...) {
    char message[300];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    for (char *c = message; *c != '\0'; c++) /* words of a hostile file */
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return err_set(text->err, ERR_CORRUPT, "%s:%u: %s", text->name, text->line, message);
}
