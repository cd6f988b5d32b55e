/* generations.h - hot reload: the vm that is the host now, the ones that drain, and the one that
 * wants to be next.
 *
 * A load goes through these doors, and fails at any of them without a trace in what runs:
 *   read      the scripts on disk, on a pool thread, once they have been left alone for a moment
 *   trial     a child process loads and checks all of them; what hangs, bursts or crashes does so
 *             there, under a time limit, and is killed
 *   prepare   a fresh vm runs boot.lua under a guard (core/guard.h) and a memory limit, the
 *             compiler off
 *   activate  boot.lua's call of host.activate: one pointer is swapped, and from the next event on
 *             the new vm is the host
 * The former vm then runs the function that it gave to host.on_retire, drains until it has no
 * fibers left or its time is up, and is closed whole.
 *
 * One load at a time. The last few are remembered with their outcome, and the reason. All on the
 * loop thread.
 *
 * Metrics: generation_loads_total{outcome}, generations_draining, generation_load_seconds. */
#ifndef STANCE_CORE_GENERATIONS_H
#define STANCE_CORE_GENERATIONS_H

#include "core/fiber.h"
#include "core/scripts.h"

struct generations;

struct generations_options {
    struct loop *loop;
    struct vm_options vm; /* for each vm; scripts, memory limit and compiler are seen to here */
    /* Reads the scripts on disk. Pool thread; one call at a time. */
    int (*read)(void *arg, struct scripts **out, struct err *err);
    /* boot.lua has failed after its vm had become active. */
    void (*broken)(void *arg, const struct err *err, const char *traceback);
    void *arg;
    const char *const *trial_arguments; /* with which this program tries scripts (cli/worker.c);
                                           NULL: no trial. Borrowed */
    double slice_seconds; /* that a script may run without a pause while it is loaded */
    double load_seconds;  /* that the trial may take in all */
    size_t load_memory;   /* bytes that a vm may take until it is active; 0: no limit */
    double drain;         /* seconds that a former vm may go on */
};

/* How a load went. */
struct load {
    double at;        /* seconds since 1970 */
    double seconds;   /* it took */
    char trigger[16]; /* "start", "command", "signal", "change", "rollback", "console" */
    char actor[64];   /* who asked, or "" */
    char generation[SCRIPTS_NAME_SIZE]; /* "" when the scripts could not be read */
    const char *outcome;                /* "active", "unchanged", "failed" */
    char *reason;                       /* lines "PATH:LINE: MESSAGE"; NULL unless it failed */
};

typedef void (*load_ended)(const struct load *load, void *arg);

struct load_request {
    const char *trigger, *actor;
    struct scripts *scripts; /* taken over, on failure too; NULL: those on disk */
    bool no_trial;           /* at the start of the host there is nothing to lose */
    load_ended ended;        /* may be NULL */
    void *arg;
};

int generations_new(const struct generations_options *options, struct generations **out,
                    struct err *err);

/* Closes every vm. NULL-safe. */
void generations_free(struct generations *generations);

/* Begins a load; `ended` is called later, from the loop. While another one is under way a load of
 * what is on disk that nobody waits for follows it; any other is refused with ERR_BUSY. */
int generations_load(struct generations *generations, const struct load_request *request,
                     struct err *err);

/* The asker is gone: `ended` will not be called. */
void generations_forget(struct generations *generations, void *arg);

/* Makes the vm that is being prepared the present one. ERR_INVALID for any other. */
int generations_activate(struct generations *generations, struct vm *vm, struct err *err);

struct vm *generations_vm(const struct generations *generations); /* the present one, or NULL */

/* What a vm wants to be told, kept in its registry: its function on top of L's stack (popped). */
enum vm_hook { VM_ON_RETIRE, VM_ON_STOP };
void vm_set_hook(lua_State *L, enum vm_hook hook);
/* Runs it in a fiber with `reason`; false when there is none. `ended` as in fiber_start. */
bool vm_run_hook(struct vm *vm, enum vm_hook hook, const char *reason, fiber_ended ended,
                 void *arg);

/* -- Looking ----------------------------------------------------------------------------------- */

/* Loads that ended, newest first; NULL past the oldest that is remembered. */
const struct load *generations_last(const struct generations *generations, size_t index);

struct generation_view {
    const char *name;
    const char *state; /* "loading", "active", "draining" */
    double since;      /* loop_seconds */
    size_t memory, fibers;
};
/* The vms there are, newest first; false past the last. */
bool generations_view(const struct generations *generations, size_t index,
                      struct generation_view *view);

#endif
