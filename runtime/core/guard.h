/* guard.h - ends Lua code that does not end by itself.
 *
 * A guard is laid on a vm (all its fibers from then on) or on one fiber (and those that it spawns).
 * Each slice, the time from a resume to the next wait, may take `seconds`; past that, or when
 * guard_stop was called, a signal to the running thread lays an instruction hook, which raises in
 * whatever runs, and again at every following instruction, so that neither pcall nor a coroutine
 * nor an error handler outlives it. Compiled code runs no hooks: while a guarded slice runs the
 * vm's compiler is off and its traces are flushed. What hangs inside one C function (a pattern that
 * backtracks for ever) only the end of the process stops.
 *
 * Guards are counted references. Only guard_stop and guard_stop_stuck may be called from any
 * thread; all else is for the loop thread. The deadline is watched by one thread a process, made
 * when first needed. */
#ifndef STANCE_CORE_GUARD_H
#define STANCE_CORE_GUARD_H

#include <pthread.h>
#include <stdbool.h>

#include "core/err.h"

struct fiber;
struct guard;
struct vm;

/* seconds a slice; 0: no deadline, only guard_stop. NULL when out of memory. */
struct guard *guard_new(double seconds);
void guard_retain(struct guard *guard);
void guard_release(struct guard *guard); /* NULL-safe */

/* Ends the running slice with {code, message = "FILE:LINE: reason"}, and every later one at once;
 * the first call counts. Does not wake fibers that wait: fiber_cancel does. Any thread. */
void guard_stop(struct guard *guard, enum err_code code, const char *reason);

/* The same, but only when a slice under this guard has been running for `seconds` already. */
void guard_stop_stuck(struct guard *guard, double seconds, enum err_code code, const char *reason);
bool guard_stopped(const struct guard *guard); /* by its deadline, or by guard_stop */

/* Takes a reference; NULL takes the guard off. Fibers keep the guard they were spawned under. */
void vm_set_guard(struct vm *vm, struct guard *guard);
void fiber_set_guard(struct fiber *fiber, struct guard *guard);
struct guard *fiber_guard(const struct fiber *fiber); /* NULL: none */

/* -- For fiber.c ------------------------------------------------------------------------------- */

/* Around each resume; slices of different vms may nest. */
struct guard_slice {
    struct guard *guard;
    struct vm *vm;
    pthread_t thread;                   /* that it runs on */
    unsigned long long began, deadline; /* uv_hrtime; no deadline: 0 */
    bool hooked, compiled;
    struct guard_slice *outer;
};
void guard_enter(struct guard_slice *slice, struct vm *vm, struct guard *guard);
void guard_leave(struct guard_slice *slice);

/* -- For those who lay a hook of their own (core/slow.c) -----------------------------------------
 */

/* Whether a guarded slice of this vm runs. May be asked in a signal handler on the loop thread. */
bool guard_watches(const struct vm *vm);

/* Takes the hook of another off, and lays the guard's again where it was due. Loop thread. */
void guard_restore_hook(struct vm *vm);

#endif
