#include "fail.h"

#include <stdarg.h>
#include <stdio.h>

int gpu_fail(char *why, int code, const char *format, ...) {
    if (why != NULL) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(why, GPU_WHY_SIZE, format, arguments);
        va_end(arguments);
    }
    return code;
}
