/* replacement.h - a file that appears under its name whole, or not at all.
 *
 * It is written beside its target under a temporary name, synced, renamed over the target, and the
 * folder is synced. What replaces a file takes over its permissions. The descriptors are the
 * replacement's until commit or abort. Calls may wait for the disk: pool threads; one thread at a
 * time. */
#ifndef STANCE_STORE_REPLACEMENT_H
#define STANCE_STORE_REPLACEMENT_H

#include "store/roots.h"

struct replacement {
    struct roots_entry target;
    int fd; /* write to this */
    char temporary[64];
};

/* On failure nothing is left. */
int replacement_begin(const struct roots *roots, const char *path, struct replacement *out,
                      struct err *err);

/* All of `data`, at the end of what was written. */
int replacement_write(struct replacement *replacement, const void *data, size_t size,
                      struct err *err);

/* All of the file `from`, from its start. */
int replacement_copy(struct replacement *replacement, int from, struct err *err);

/* Either ends it, whatever it returns. */
int replacement_commit(struct replacement *replacement, struct err *err);
void replacement_abort(struct replacement *replacement);

#endif
