/* fiber.h - Lua coroutines that the loop knows, and how a binding waits in one.
 *
 * To a script a waiting function is a plain call; underneath it starts something on the loop,
 * yields its fiber, and is resumed with the results. Every wait ends when its fiber is cancelled or
 * its deadline passes: the operation is told, and the error {code = "cancelled"} or {code =
 * "timeout"} is raised in the fiber. All on the loop thread.
 *
 * How a binding waits (for pool work take fiber_work below, which does all this):
 *
 *     struct nap { struct wait wait; uv_timer_t timer; ... };
 *     static int nap_push(lua_State *L, struct wait *w)  { lua_pushboolean(L, 1); return 1; }
 *     static void nap_cancel(struct wait *w)             { stop the timer; wait_finish must not be
 * called any more } static void nap_free(struct wait *w)               { called once, after push or
 * cancel; free or detach } static const struct wait_ops nap_ops = {nap_push, nap_cancel, nap_free};
 *
 *     static int nap(lua_State *L) {
 *         check arguments first (they may raise);
 *         fiber_check(L);                                 raises outside a fiber, or when cancelled
 * or past deadline struct nap *nap = malloc; start the timer (on failure free and return nil, err);
 *         return wait_begin(L, &nap->wait, &nap_ops);     yields; nothing after it runs
 *     }
 *     ... on the timer: wait_finish(&nap->wait);
 *
 * Such functions are registered with fiber_register, not luaL_register: it adds the piece that
 * fetches the results after the yield. One that need not wait just returns its results. wait_finish
 * may not be called before wait_begin has yielded (post it, when the answer is there at once). */
#ifndef STANCE_CORE_FIBER_H
#define STANCE_CORE_FIBER_H

#include "core/vm.h"

struct fiber;
struct wait;

struct wait_ops {
    int (*push)(lua_State *L, struct wait *wait); /* in the fiber: pushes the results; may raise */
    void (*cancel)(struct wait *wait);            /* after this wait_finish must not be called */
    void (*free)(struct wait *wait);              /* always last, exactly once */
};

struct wait {
    struct fiber *fiber;
    const struct wait_ops *ops;
};

/* Adds functions that may wait to the table on top of the stack. */
void fiber_register(lua_State *L, const luaL_Reg *functions);

/* The running fiber, or NULL on the main state. */
struct fiber *fiber_current(lua_State *L);

/* Raises unless called in a fiber that may still wait. */
struct fiber *fiber_check(lua_State *L);

int wait_begin(lua_State *L, struct wait *wait, const struct wait_ops *ops);
void wait_finish(struct wait *wait);

/* Runs `run(arg)` on a pool thread while the fiber waits, then `push(L, arg)` in the fiber, then
 * `release(arg)`. When the fiber is cancelled meanwhile, the work still ends in peace and `release`
 * follows it. `run` must not touch Lua. Use as `return fiber_work(L, arg, run, push, release);` in
 * a function registered with fiber_register. If it raises (not in a fiber), `release(arg)` has been
 * called. */
int fiber_work(lua_State *L, void *arg, void (*run)(void *arg),
               int (*push)(lua_State *L, void *arg), void (*release)(void *arg));

/* Starts a fiber: the function and its arguments are on top of L's stack (popped). From outside any
 * fiber it runs at once, until its first wait; from inside one it runs when the present fiber waits
 * or ends. `ended` (may be NULL) is called when it is over: with err NULL and its results on top of
 * `co`, or with the error. Not called when the vm closes first. `name` is for logs. *out (may be
 * NULL) is valid until the fiber ended, longer with fiber_retain. */
typedef void (*fiber_ended)(struct fiber *fiber, lua_State *co, int result_count,
                            const struct err *err, void *arg);
int fiber_start(lua_State *L, int argument_count, const char *name, fiber_ended ended, void *arg,
                struct fiber **out, struct err *err);

/* The same without `ended`; the caller holds the result and lets go of it with fiber_release. NULL
 * on failure. */
struct fiber *fiber_start_retained(lua_State *L, int argument_count, const char *name,
                                   struct err *err);

/* Every wait of the fiber from now on raises {code = "cancelled", message = reason}. */
void fiber_cancel(struct fiber *fiber, const char *reason);

/* The time (loop_seconds) after which every wait raises {code = "timeout"}; 0: none. */
void fiber_set_deadline(struct fiber *fiber, double when);
double fiber_deadline(const struct fiber *fiber);

/* What log lines written in the fiber carry; copied to the fibers it spawns. Truncated at 63 bytes.
 */
void fiber_set_request_id(struct fiber *fiber, const char *request_id);
void fiber_set_job_id(struct fiber *fiber, const char *job_id);
const char *fiber_request_id(const struct fiber *fiber); /* "" when none */
const char *fiber_job_id(const struct fiber *fiber);

/* The W3C trace that it works for, 32 hex digits; "" when none. Of a traceparent the trace id is
 * taken; what is none clears it. */
void fiber_set_trace(struct fiber *fiber, const char *traceparent);
const char *fiber_trace_id(const struct fiber *fiber);

size_t fiber_count(const struct vm *vm);

/* -- For the Lua module ------------------------------------------------------------------------ */

enum fiber_status { FIBER_READY, FIBER_RUNNING, FIBER_WAITING, FIBER_ENDED, FIBER_FAILED };

/* A handle may outlive its fiber: retain keeps the struct and the results. */
void fiber_retain(struct fiber *fiber);
void fiber_release(struct fiber *fiber);
enum fiber_status fiber_status(const struct fiber *fiber);
const char *fiber_name(const struct fiber *fiber);
void fiber_set_name(struct fiber *fiber, const char *name);

/* Calls `ended(arg)` when the fiber is over; the watch is embedded in its owner and removed by
 * fiber_unwatch. */
struct fiber_watch {
    struct fiber_watch *next, **previous;
    void (*ended)(struct fiber_watch *watch);
};
void fiber_watch(struct fiber *fiber, struct fiber_watch *watch);
void fiber_unwatch(struct fiber_watch *watch);

/* Of an ended fiber: pushes true and its results, or false and its error; returns how many. */
int fiber_push_results(lua_State *L, struct fiber *fiber);

/* Walks the fibers of a vm that are not over; NULL starts and ends. */
struct fiber *fiber_next(struct vm *vm, struct fiber *fiber);

/* What a fiber is at. */
struct fiber_view {
    double age;      /* seconds since it was made */
    double since;    /* seconds in its present state */
    char call[48];   /* the call that it waits in: "sleep", "get"; "" when it does not wait */
    char where[160]; /* FILE:LINE of the script that waits or will run next; "" when unknown */
};
void fiber_look(struct fiber *fiber, struct fiber_view *view);

/* Pushes its Lua traceback on the stack of its vm's main state. */
void fiber_push_traceback(struct fiber *fiber);

/* The fiber that runs on the loop thread now, the innermost when vms nest, or NULL. May be asked
 * in a signal handler on that thread. */
struct fiber *fiber_running(void);
struct vm *fiber_vm(const struct fiber *fiber);

/* A fiber's name without what differs from fiber to fiber: up to its first digit. `size` bytes. */
void fiber_kind(const struct fiber *fiber, char *out, size_t size);

/* A timer that rings once and frees itself; alarm_stop before that (NULL is fine). Without a delay
 * it rings when the loop has looked at everything else once. */
struct alarm;
struct alarm *alarm_start(struct loop *loop, double seconds, void (*ring)(void *arg), void *arg);
void alarm_stop(struct alarm *alarm);

#endif
