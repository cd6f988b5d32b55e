/* memory.c - allocation that succeeds or ends the command. */
#include "cli/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/output.h"

void *memory_need(void *pointer) {
    if (!pointer) {
        exit(out_fail(EXIT_FAILED, "out of memory"));
    }
    return pointer;
}

char *memory_printf(const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return memory_need(length < 0 ? NULL : text);
}
