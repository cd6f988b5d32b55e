/* err.h - how a C function says why it failed.
 *
 * A fallible function returns 0 or a negative `enum err_code` and fills a `struct err` that its
 * caller owns (NULL: the reason is dropped). Lua sees the same as a table {code = "not_found",
 * message = "..."} (vm_push_err). No allocation, any thread. */
#ifndef STANCE_CORE_ERR_H
#define STANCE_CORE_ERR_H

#include <stdarg.h>
#include <stddef.h>

enum err_code {
    ERR_INTERNAL = -1,
    ERR_INVALID = -2,
    ERR_NOT_FOUND = -3,
    ERR_EXISTS = -4,
    ERR_CONFLICT = -5,
    ERR_DENIED = -6,
    ERR_TOO_LARGE = -7,
    ERR_TIMEOUT = -8,
    ERR_CANCELLED = -9,
    ERR_CLOSED = -10,
    ERR_BUSY = -11,
    ERR_NO_SPACE = -12,
    ERR_NO_MEMORY = -13,
    ERR_IO = -14,
    ERR_CORRUPT = -15,
    ERR_UNSUPPORTED = -16,
    ERR_UPSTREAM = -17,
};

struct err {
    int code; /* an enum err_code; 0: none */
    char message[500];
};

/* Fills `err` (may be NULL) and returns `code`. */
int err_set(struct err *err, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same from an errno value: chooses the code and appends ": " and the system's words. */
int err_set_errno(struct err *err, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same from libuv's negative status. */
int err_set_uv(struct err *err, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "not_found" for ERR_NOT_FOUND, and so on: what scripts compare and HTTP problems carry. */
const char *err_name(int code);

/* The inverse; ERR_INTERNAL for a name that is none of ours. */
enum err_code err_from_name(const char *name);

#endif
