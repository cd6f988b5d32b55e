/* profile.h - where this process spends its CPU time: sampled stacks, as folded text.
 *
 * Timers on the CPU time of each thread interrupt it so many times a second of work; a thread that
 * sleeps is left alone. The Lua side is LuaJIT's own profiler, told by such a timer of the loop
 * thread; it sees compiled code too. One profile a process at a time. Loop thread. */
#ifndef STANCE_CORE_PROFILE_H
#define STANCE_CORE_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/vm.h"

struct profile;

struct profile_options {
    struct vm *vm;  /* whose Lua stacks are taken; NULL: none */
    bool c;         /* the C stacks of all threads */
    int hz;         /* samples a second of CPU time, 1 to 1000 */
    double seconds; /* it may run at most: room is made for so many samples */
};

/* ERR_BUSY while another one runs, ERR_UNSUPPORTED where the system has no such timers. */
int profile_start(const struct profile_options *options, struct profile **out, struct err *err);

/* Looks for threads that were made since; call a few times a second. */
void profile_look(struct profile *profile);

struct profile_result {
    char *folded; /* lines "root;caller;callee COUNT"; malloc'ed, the caller's */
    size_t size, samples, lost;
};

/* No more samples; safe to repeat. Another profile may be started then. */
void profile_stop(struct profile *profile);

/* Of a stopped profile. Takes its time: any thread. */
void profile_fold(struct profile *profile, struct profile_result *result);

void profile_free(struct profile *profile); /* stops it; NULL-safe */

/* The signal of the C samples: threads that block signals leave this one open. */
int profile_signal(void);

#endif
