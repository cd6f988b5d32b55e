/* scratch.h - a folder of its own for a test, removed when the program ends. */
#ifndef STANCE_SPEC_SCRATCH_H
#define STANCE_SPEC_SCRATCH_H

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_root[64];
static pid_t scratch_owner;

static int scratch_remove_entry(const char *path, const struct stat *info, int flag,
                                struct FTW *walk) {
    (void)info, (void)flag, (void)walk;
    return remove(path);
}

static inline void scratch_remove(void) {
    if (scratch_root[0] != 0 && getpid() == scratch_owner)
        nftw(scratch_root, scratch_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* A path in a fresh folder; `name` is not made. Good for the next seven calls. */
static inline const char *scratch(const char *name) {
    static char paths[8][256];
    static int turn, count;
    if (scratch_root[0] == 0) {
        snprintf(scratch_root, sizeof scratch_root, "/tmp/stance-test-XXXXXX");
        if (mkdtemp(scratch_root) == NULL)
            abort();
        scratch_owner = getpid();
        atexit(scratch_remove);
    }
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%d", scratch_root, count++);
    if (mkdir(path, 0700) < 0)
        abort();
    size_t used = strlen(path);
    snprintf(path + used, sizeof paths[0] - used, "/%s", name);
    return path;
}

/* Gives this process (a forked child) a file system of `options` ("size=2m") at `folder`. False:
 * not allowed. */
static inline int scratch_mount(const char *folder, const char *options) {
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", folder, "tmpfs", 0, options) == 0;
}

#endif
