/* launch.h - fork and exec with nothing left to chance: the part of core/child.h that runs before
 * the loop knows the process.
 *
 * The new process leads a session of its own (a Ctrl-C at our terminal is ours to handle, and one
 * kill reaches all that it started), has default signal handlers, holds descriptors 0..3 and no
 * other, and is killed by the system when the thread that launched it ends. */
#ifndef STANCE_CORE_LAUNCH_H
#define STANCE_CORE_LAUNCH_H

#include <sys/types.h>

#include "core/err.h"

struct launch {
    const char *const *argv;
    char *const *environment; /* the whole of it, "NAME=value" */
    int input;                /* becomes its stdin; 0: /dev/null does */
    int output;               /* becomes its stdout and stderr */
    int link;                 /* becomes its descriptor 3 */
};

enum { LAUNCH_PATH_SIZE = 4096 };

/* The file that this process runs, to start another of: by its path, or when that is gone (an
 * upgrade took its place away) by what the system still holds of it. */
int launch_own_program(char path[LAUNCH_PATH_SIZE], struct err *err);

/* Starts it and waits until it has become argv[0] (well under a millisecond) or has failed to. The
 * caller reaps `*pid`. */
int launch_process(const struct launch *launch, pid_t *pid, struct err *err);

#endif
