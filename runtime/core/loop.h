/* loop.h - the one event loop of a process.
 *
 * It wraps libuv: timers, sockets, children and signals are plain libuv handles on `loop->uv`. The
 * thread that calls loop_run is the loop thread; only loop_post may be called from another one. Net
 * installs a driver when libwebsockets has to turn the wheel (net/marriage.c); without one loop_run
 * is uv_run.
 *
 * Nothing on the loop thread blocks or computes for more than about a millisecond: give such work
 * to loop_work. */
#ifndef STANCE_CORE_LOOP_H
#define STANCE_CORE_LOOP_H

#include <stdbool.h>
#include <uv.h>

#include "core/err.h"

struct loop {
    uv_loop_t uv;
    struct loop_private *private;
};

int loop_init(struct loop *loop, struct err *err);

/* Closes what is still open on the loop, runs the close callbacks, frees. The loop must not be
 * running. */
void loop_deinit(struct loop *loop);

/* Runs until loop_stop. */
void loop_run(struct loop *loop);

/* Ends loop_run after the present callback. Loop thread; from elsewhere post it. */
void loop_stop(struct loop *loop);

/* Replaces uv_run: `run` must turn libuv (uv_run with UV_RUN_NOWAIT) and return when
 * `loop_stopping`; `stop` wakes it. It waits for events by itself, and frames each wait with
 * loop_turn_ended and loop_turn_began. One driver a process. */
struct loop_driver {
    void (*run)(struct loop *loop, void *arg);
    void (*stop)(struct loop *loop, void *arg);
    void (*close)(struct loop *loop,
                  void *arg); /* when the loop goes; takes the driver out. May be NULL */
    void *arg;
};
void loop_set_driver(struct loop *loop, const struct loop_driver *driver);
void loop_turn_ended(struct loop *loop);
void loop_turn_began(struct loop *loop);
bool loop_stopping(const struct loop *loop);

/* Runs `call(arg)` on the loop thread soon. Any thread; keeps order a thread. */
void loop_post(struct loop *loop, void (*call)(void *arg), void *arg);

/* Runs `work(arg)` on a pool thread, then `done(arg)` on the loop thread. Loop thread. Never fails:
 * where the pool cannot take it the process is out of memory and ends. */
void loop_work(struct loop *loop, void (*work)(void *arg), void (*done)(void *arg), void *arg);

/* Seconds on the monotonic clock, fresh (not the loop's cached time). Any thread. */
double loop_seconds(void);

/* Seconds since 1970-01-01 UTC. Any thread. */
double loop_wall_seconds(void);

/* The longest turn, in seconds, of the last five to ten seconds. A turn is what the loop does
 * between two waits for events: for so long nothing else is answered. Each turn also goes into the
 * histogram loop_turn_seconds. Measuring wakes nobody. Loop thread. */
double loop_lag(struct loop *loop);

/* Turns so far. May be asked in a signal handler on the loop thread. */
unsigned long loop_turns(const struct loop *loop);

/* Calls `ended` at the end of each turn that took more than so many seconds. NULL ends that. One
 * watcher a loop. Loop thread. */
void loop_watch_slow(struct loop *loop, double seconds, void (*ended)(double took));

#endif
