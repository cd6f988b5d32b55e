#include "core/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool make_room(struct text *text, size_t more) {
    if (text->failed) {
        return false;
    }
    size_t room = text->room != 0 ? text->room : 256;
    while (room - text->size <= more) {
        room *= 2;
    }
    if (room != text->room) {
        char *grown = realloc(text->bytes, room);
        if (grown == NULL) {
            text->failed = true;
            return false;
        }
        text->bytes = grown;
        text->room = room;
    }
    return true;
}

void text_add(struct text *text, const char *bytes, size_t size) {
    if (make_room(text, size)) {
        memcpy(text->bytes + text->size, bytes, size);
        text->size += size;
        text->bytes[text->size] = '\0';
    }
}

void text_printf(struct text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0 || !make_room(text, (size_t)size)) {
        text->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(text->bytes + text->size, (size_t)size + 1, format, args);
    va_end(args);
    text->size += (size_t)size;
}

char *text_take(struct text *text, size_t *size) {
    text_add(text, "", 0);
    char *bytes = text->bytes;
    if (text->failed) {
        text_drop(text);
        bytes = NULL;
    }
    if (size != NULL) {
        *size = text->size;
    }
    *text = (struct text){0};
    return bytes;
}

void text_drop(struct text *text) {
    free(text->bytes);
    *text = (struct text){0};
}

void text_number(char out[TEXT_NUMBER_SIZE], double value) {
    if (isnan(value)) {
        memcpy(out, "NaN", 4);
    } else if (isinf(value)) {
        memcpy(out, value > 0 ? "+Inf" : "-Inf", 5);
    } else {
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(out, TEXT_NUMBER_SIZE, "%.*g", digits, value);
            if (strtod(out, NULL) == value) {
                break;
            }
        }
    }
}
