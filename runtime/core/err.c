#include "core/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

static const struct {
    int code;
    const char *name;
} names[] = {
    {ERR_INTERNAL, "internal"},   {ERR_INVALID, "invalid"},
    {ERR_NOT_FOUND, "not_found"}, {ERR_EXISTS, "exists"},
    {ERR_CONFLICT, "conflict"},   {ERR_DENIED, "denied"},
    {ERR_TOO_LARGE, "too_large"}, {ERR_TIMEOUT, "timeout"},
    {ERR_CANCELLED, "cancelled"}, {ERR_CLOSED, "closed"},
    {ERR_BUSY, "busy"},           {ERR_NO_SPACE, "no_space"},
    {ERR_NO_MEMORY, "no_memory"}, {ERR_IO, "io"},
    {ERR_CORRUPT, "corrupt"},     {ERR_UNSUPPORTED, "unsupported"},
    {ERR_UPSTREAM, "upstream"},
};

static int set(struct err *err, int code, const char *suffix, const char *format, va_list args) {
    if (err == NULL)
        return code;
    char text[sizeof err->message];
    vsnprintf(text, sizeof text, format, args);
    err->code = code;
    snprintf(err->message, sizeof err->message, "%.*s%s%s",
             (int)(sizeof err->message - 1 - (suffix ? strlen(suffix) + 2 : 0)), text,
             suffix ? ": " : "", suffix ? suffix : "");
    return code;
}

int err_set(struct err *err, enum err_code code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    set(err, code, NULL, format, args);
    va_end(args);
    return code;
}

static int code_of_errno(int errnum) {
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
    case EXDEV: /* what openat2 says of a path that leaves its root */
    case ELOOP:
        return ERR_DENIED;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case EINVAL:
    case ENAMETOOLONG:
    case EISDIR:
        return ERR_INVALID;
    case EFBIG:
        return ERR_TOO_LARGE;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECANCELED:
        return ERR_CANCELLED;
    case EPIPE:
    case ECONNRESET:
    case EBADF:
        return ERR_CLOSED;
    case EAGAIN:
    case EBUSY:
    case EMFILE:
    case ENFILE:
    case EADDRINUSE:
        return ERR_BUSY;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return ERR_UPSTREAM;
    default:
        return ERR_IO;
    }
}

int err_set_errno(struct err *err, int errnum, const char *format, ...) {
    char words[128];
    va_list args;
    va_start(args, format);
    int code =
        set(err, code_of_errno(errnum), uv_strerror_r(-errnum, words, sizeof words), format, args);
    va_end(args);
    return code;
}

int err_set_uv(struct err *err, int status, const char *format, ...) {
    char words[128];
    va_list args;
    va_start(args, format);
    /* On Unix libuv's codes are negated errno values. */
    int code =
        set(err, code_of_errno(-status), uv_strerror_r(status, words, sizeof words), format, args);
    va_end(args);
    return code;
}

const char *err_name(int code) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code)
            return names[i].name;
    return "internal";
}

enum err_code err_from_name(const char *name) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].code;
    return ERR_INTERNAL;
}
