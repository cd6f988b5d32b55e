/* roots.h - the folders that scripts may reach, each under a name, and safe resolution of paths in
 * them.
 *
 * A path is "ROOT:folder/file", or an absolute one that lies beneath a granted root. It is resolved
 * by the kernel (openat2 with RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS) from the root's
 * descriptor: the text only chooses the root. So "..", absolute symlinks and links that lead
 * outside fail with ERR_DENIED, whatever moves meanwhile; relative symlinks that stay beneath their
 * root work.
 *
 * Filled on one thread before use, then any thread may resolve. */
#ifndef STANCE_STORE_ROOTS_H
#define STANCE_STORE_ROOTS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/err.h"

struct roots;

/* NULL when out of memory. */
struct roots *roots_new(void);
void roots_free(struct roots *roots); /* gives back the maker's reference; NULL-safe */

/* For work on other threads that may outlive the maker's reference. Any thread. */
void roots_retain(struct roots *roots);
void roots_release(struct roots *roots);

/* Grants `folder` under `name` (letters, digits, '_', '-', at most 31). It must exist. */
int roots_add(struct roots *roots, const char *name, const char *folder, bool writable,
              struct err *err);

size_t roots_count(const struct roots *roots);
const char *roots_name(const struct roots *roots, size_t index);
const char *roots_folder(const struct roots *roots, size_t index);
bool roots_writable(const struct roots *roots, size_t index);

/* Opens with open(2)'s flags (O_CLOEXEC is added) and returns the descriptor or a negative code.
 * Flags that write need a writable root. Anything but a regular file or folder is refused (O_PATH
 * excepted). */
int roots_open(const struct roots *roots, const char *path, int flags, mode_t mode,
               struct err *err);

/* The folder that holds the last component, and that component: for making, renaming and removing
 * entries with the *at calls. A final symlink is thus the entry itself. */
struct roots_entry {
    int folder; /* the caller's to close */
    char name[NAME_MAX + 1];
};
int roots_open_entry(const struct roots *roots, const char *path, bool write,
                     struct roots_entry *out, struct err *err);

/* Makes a folder and those above it that are missing. */
int roots_make_folder(const struct roots *roots, const char *path, struct err *err);

#endif
