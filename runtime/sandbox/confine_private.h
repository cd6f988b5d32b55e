/* confine_private.h - what the files of confine.h share. Not for others. */
#ifndef STANCE_SANDBOX_CONFINE_PRIVATE_H
#define STANCE_SANDBOX_CONFINE_PRIVATE_H

#include <stdarg.h>

#include "sandbox/confine.h"

#ifndef __has_feature
#define __has_feature(name) 0 /* gcc defines __SANITIZE_... */
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define CONFINE_ADDRESS_SANITIZER 1
#else
#define CONFINE_ADDRESS_SANITIZER 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define CONFINE_THREAD_SANITIZER 1
#else
#define CONFINE_THREAD_SANITIZER 0
#endif

enum { CONFINE_SANITIZED = CONFINE_ADDRESS_SANITIZER || CONFINE_THREAD_SANITIZER };

/* What may be opened; each list ends with NULL. */
struct confine_paths {
    const char *const *run, *const *read, *const *write; /* run: and read; write: and read */
};

/* One call of confine_process or confine_program. */
struct confinement {
    unsigned flags;
    const struct confine_paths *paths; /* NULL: none */
    struct confine_warning warning;
};

/* Notes what could not be done; returns -1. */
int confine_miss(struct confinement *confinement, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* 0, or -1 when it could not be done (noted). */
int confine_landlock(struct confinement *confinement);
int confine_seccomp(struct confinement *confinement);
int confine_seccomp_program(struct confinement *confinement);

void confine_drop_privileges(struct confinement *confinement);
void confine_limit(struct confinement *confinement, int what, const char *name, uint64_t most);

#endif
