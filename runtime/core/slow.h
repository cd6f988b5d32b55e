/* slow.h - turns of the loop that last too long: by what, told while they last.
 *
 * A timer on the loop thread's CPU time looks whether one turn goes on and on; a loop that has
 * nothing to do is not woken by it, and a turn that is soon over pays nothing. A turn that has used
 * up the limit is told of in the log: the fiber that runs, its request or job, the Lua traceback
 * (by a hook, which compiled code reaches only when it leaves its loop) and the C stack. So are,
 * when they end, those that took their time without using the CPU. Not more often than once a
 * second.
 *
 * Metrics: loop_slow_turns_total, fibers_slow_total. One loop a process. Loop thread. */
#ifndef STANCE_CORE_SLOW_H
#define STANCE_CORE_SLOW_H

#include "core/loop.h"

struct fiber;

/* Watches the loop of the calling thread from now on. seconds <= 0: does nothing. Where the system
 * has no such timers, turns are told of at their end only. */
void slow_start(struct loop *loop, double seconds);

/* Before the loop goes. Safe without a start. */
void slow_stop(void);

/* -- For fiber.c ------------------------------------------------------------------------------- */

double slow_limit(void); /* seconds; 0.05 as long as nothing was started */
void slow_fiber_held(const struct fiber *fiber, double seconds);

#endif
