#include "core/vm_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/slow.h"

enum {
    ID_SIZE = 64,
    TRACE_SIZE = 33,
    DRAIN_MAX = 1000, /* resumes before the loop gets its turn again */
};

struct fiber {
    struct fiber *next, **previous; /* in vm->fibers while it has not ended */
    struct fiber *next_ready;
    struct vm *vm;
    lua_State *co;
    int co_ref; /* registry: keeps the coroutine, and after the end its results */
    int references;
    enum fiber_status status;
    int argument_count; /* of the first resume */
    int result_count;   /* on co's stack after the end */
    struct wait *wait;
    bool wait_done;
    bool cancelled, timed_out;
    char reason[128];
    double deadline;
    struct alarm *alarm;
    fiber_ended ended;
    void *arg;
    struct fiber_watch *watches;
    struct guard *guard;
    uint64_t made_ns, since_ns; /* of its present state */
    struct err err;
    char name[48];
    char request_id[ID_SIZE], job_id[ID_SIZE], trace_id[TRACE_SIZE];
};

static struct fiber *running; /* the innermost resumed one */

/* -- Alarms ------------------------------------------------------------------------------------ */

struct alarm {
    union {
        uv_handle_t handle;
        uv_timer_t timer;
        uv_idle_t next_turn; /* without a delay */
    };
    void (*ring)(void *arg);
    void *arg;
};

static void alarm_closed(uv_handle_t *handle) {
    free(handle->data);
}

void alarm_stop(struct alarm *alarm) {
    if (alarm == NULL || uv_is_closing(&alarm->handle))
        return;
    uv_close(&alarm->handle, alarm_closed);
}

static void rings(uv_handle_t *handle) {
    struct alarm *alarm = handle->data;
    alarm_stop(alarm);
    alarm->ring(alarm->arg);
}

static void timer_rings(uv_timer_t *timer) {
    rings((uv_handle_t *)timer);
}

static void next_turn_rings(uv_idle_t *idle) {
    rings((uv_handle_t *)idle);
}

struct alarm *alarm_start(struct loop *loop, double seconds, void (*ring)(void *arg), void *arg) {
    struct alarm *alarm = malloc(sizeof *alarm);
    if (alarm == NULL)
        abort(); /* a wait without its end would hang for ever */
    alarm->ring = ring;
    alarm->arg = arg;
    if (seconds > 0) {
        double ms = ceil(seconds * 1000);
        uv_update_time(&loop->uv);
        uv_timer_init(&loop->uv, &alarm->timer);
        uv_timer_start(&alarm->timer, timer_rings, ms < 1e15 ? (uint64_t)ms : (uint64_t)1e15, 0);
    } else {
        /* A timer that is due at once would ring before the loop looks at anything else, and one
         * that is started again and again would keep it from that for ever. */
        uv_idle_init(&loop->uv, &alarm->next_turn);
        uv_idle_start(&alarm->next_turn, next_turn_rings);
    }
    alarm->handle.data = alarm;
    return alarm;
}

/* -- Life -------------------------------------------------------------------------------------- */

void fiber_retain(struct fiber *fiber) {
    fiber->references++;
}

void fiber_release(struct fiber *fiber) {
    if (fiber == NULL || --fiber->references > 0)
        return;
    if (!fiber->vm->closing)
        luaL_unref(fiber->vm->L, LUA_REGISTRYINDEX, fiber->co_ref);
    guard_release(fiber->guard);
    free(fiber);
}

static void unlink_fiber(struct fiber *fiber) {
    *fiber->previous = fiber->next;
    if (fiber->next != NULL)
        fiber->next->previous = fiber->previous;
    fiber->vm->fiber_count--;
}

static void make_ready(struct fiber *fiber) {
    struct fiber_list *ready = &fiber->vm->ready;
    fiber->status = FIBER_READY;
    fiber->next_ready = NULL;
    *ready->last = fiber;
    ready->last = &fiber->next_ready;
}

/* A guard may end a fiber between the end of its wait and the fetching of what that brought. */
static void drop_wait(struct fiber *fiber) {
    struct wait *wait = fiber->wait;
    fiber->wait = NULL;
    if (wait == NULL)
        return;
    if (!fiber->wait_done)
        wait->ops->cancel(wait);
    wait->ops->free(wait);
}

static void end_fiber(struct fiber *fiber, int status) {
    struct vm *vm = fiber->vm;
    const struct err *err = NULL;
    drop_wait(fiber);
    if (status != 0) {
        if (status != LUA_ERRMEM) /* the traceback itself needs memory */
            vm_keep_traceback(vm, fiber->co);
        /* Not on its own stack, which may be what has run over: growing it would raise. */
        lua_xmove(fiber->co, vm->L, 1);
        vm_to_err(vm->L, -1, &fiber->err);
        lua_settop(fiber->co, 0);
        lua_xmove(vm->L, fiber->co, 1);
        err = &fiber->err;
        if (status == LUA_ERRMEM)
            fiber->err.code = ERR_NO_MEMORY;
        fiber->result_count = 1;
    } else {
        fiber->result_count = lua_gettop(fiber->co);
    }
    fiber->status = status == 0 ? FIBER_ENDED : FIBER_FAILED;
    alarm_stop(fiber->alarm);
    fiber->alarm = NULL;
    unlink_fiber(fiber);
    bool watched = fiber->watches != NULL;
    while (fiber->watches != NULL) {
        struct fiber_watch *watch = fiber->watches;
        fiber_unwatch(watch);
        watch->ended(watch);
    }
    if (fiber->ended != NULL)
        fiber->ended(fiber, fiber->co, fiber->result_count, err, fiber->arg);
    else if (err != NULL && !watched && err->code != ERR_CANCELLED)
        log_warn("fiber", "fiber '%s' failed: %s\n%s", fiber->name, err->message, vm_traceback(vm));
    fiber_release(fiber);
    if (status == LUA_ERRMEM)
        lua_gc(vm->L, LUA_GCCOLLECT, 0); /* others must not stumble over this one's garbage */
}

static void resume(struct fiber *fiber) {
    struct vm *vm = fiber->vm;
    int count = fiber->argument_count;
    fiber->argument_count = 0;
    fiber->status = FIBER_RUNNING;
    vm->running = fiber;
    struct fiber *outer = running;
    running = fiber;
    uint64_t start = uv_hrtime();
    fiber->since_ns = start;
    struct guard_slice slice = {0};
    if (fiber->guard != NULL)
        guard_enter(&slice, vm, fiber->guard);
    bool confined = vm_confine(vm, true);
    int status = lua_resume(fiber->co, count);
    vm_confine(vm, false);
    if (slice.guard != NULL)
        guard_leave(&slice);
    running = outer;
    fiber->since_ns = uv_hrtime();
    double held = (double)(fiber->since_ns - start) / 1e9;
    vm->running = NULL;
    if (held > slow_limit())
        slow_fiber_held(fiber, held);
    if (status != LUA_YIELD) {
        end_fiber(fiber, status);
    } else if (fiber->wait == NULL) {
        /* coroutine.yield by the script itself: nothing would ever wake it. */
        lua_settop(fiber->co, 0);
        luaL_where(fiber->co, 1);
        lua_pushliteral(fiber->co, "a fiber must not call coroutine.yield: use fiber.yield()");
        lua_concat(fiber->co, 2);
        end_fiber(fiber, LUA_ERRRUN);
    } else if (fiber->status == FIBER_RUNNING) {
        fiber->status = FIBER_WAITING;
    }
    vm_confine(vm, confined);
}

static void drain(struct vm *vm);

static void drain_again(void *arg) {
    struct vm *vm = arg;
    vm->drain_alarm = NULL;
    vm->draining = false;
    drain(vm);
}

static void drain(struct vm *vm) {
    if (vm->draining || vm->running != NULL || vm->closing)
        return;
    vm->draining = true;
    for (int i = 0; vm->ready.first != NULL; i++) {
        if (i == DRAIN_MAX) {
            vm->drain_alarm = alarm_start(vm->loop, 0, drain_again, vm);
            return;
        }
        struct fiber *fiber = vm->ready.first;
        vm->ready.first = fiber->next_ready;
        if (vm->ready.first == NULL)
            vm->ready.last = &vm->ready.first;
        resume(fiber);
    }
    vm->draining = false;
}

/* Makes it ready; the caller drains. */
static struct fiber *new_fiber(lua_State *L, int argument_count, const char *name,
                               struct err *err) {
    struct vm *vm = vm_of(L);
    struct fiber *fiber = vm->closing ? NULL : calloc(1, sizeof *fiber);
    if (fiber == NULL) {
        if (vm->closing)
            err_set(err, ERR_CLOSED, "the script state is closing");
        else
            err_set(err, ERR_NO_MEMORY, "out of memory");
        lua_pop(L, argument_count + 1);
        return NULL;
    }
    fiber->vm = vm;
    bool confined = vm_confine(vm, false); /* an error in the new stack would have no handler */
    fiber->co = lua_newthread(L);
    fiber->co_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    fiber->references = 1;
    fiber->made_ns = fiber->since_ns = uv_hrtime();
    fiber->argument_count = argument_count;
    fiber_set_name(fiber, name);
    struct fiber *parent = vm->running;
    if (parent != NULL) {
        memcpy(fiber->request_id, parent->request_id, ID_SIZE);
        memcpy(fiber->job_id, parent->job_id, ID_SIZE);
        memcpy(fiber->trace_id, parent->trace_id, TRACE_SIZE);
    }
    fiber_set_guard(fiber, parent != NULL && parent->guard != NULL ? parent->guard : vm->guard);
    lua_xmove(L, fiber->co, argument_count + 1);
    vm_confine(vm, confined);
    fiber->next = vm->fibers;
    fiber->previous = &vm->fibers;
    if (vm->fibers != NULL)
        vm->fibers->previous = &fiber->next;
    vm->fibers = fiber;
    vm->fiber_count++;
    make_ready(fiber);
    return fiber;
}

int fiber_start(lua_State *L, int argument_count, const char *name, fiber_ended ended, void *arg,
                struct fiber **out, struct err *err) {
    struct err why;
    struct fiber *fiber = new_fiber(L, argument_count, name, &why);
    if (fiber == NULL)
        return err_set(err, why.code, "%s", why.message);
    fiber->ended = ended;
    fiber->arg = arg;
    if (out != NULL)
        *out = fiber;
    drain(fiber->vm);
    return 0;
}

struct fiber *fiber_start_retained(lua_State *L, int argument_count, const char *name,
                                   struct err *err) {
    struct fiber *fiber = new_fiber(L, argument_count, name, err);
    if (fiber == NULL)
        return NULL;
    fiber_retain(fiber);
    drain(fiber->vm);
    return fiber;
}

void fiber_close_all(struct vm *vm) {
    alarm_stop(vm->drain_alarm);
    while (vm->fibers != NULL) {
        struct fiber *fiber = vm->fibers;
        drop_wait(fiber);
        while (fiber->watches != NULL)
            fiber_unwatch(fiber->watches);
        alarm_stop(fiber->alarm);
        fiber->alarm = NULL;
        fiber->status = FIBER_FAILED;
        unlink_fiber(fiber);
        fiber_release(fiber);
    }
}

/* -- Waiting ----------------------------------------------------------------------------------- */

static int raise_error(lua_State *L, enum err_code code, const char *message) {
    struct err err;
    err_set(&err, code, "%s", message);
    vm_push_err(L, &err);
    return lua_error(L);
}

static bool past_deadline(const struct fiber *fiber) {
    return fiber->timed_out || (fiber->deadline > 0 && loop_seconds() >= fiber->deadline);
}

static void raise_if_over(lua_State *L, const struct fiber *fiber) {
    if (fiber->cancelled)
        raise_error(L, ERR_CANCELLED, fiber->reason);
    if (past_deadline(fiber))
        raise_error(L, ERR_TIMEOUT, "the deadline has passed");
}

struct fiber *fiber_current(lua_State *L) {
    return vm_of(L)->running;
}

struct fiber *fiber_check(lua_State *L) {
    struct fiber *fiber = vm_of(L)->running;
    if (fiber == NULL)
        luaL_error(L, "this call waits, so it must be made in a fiber (fiber.spawn)");
    else if (fiber->co != L)
        luaL_error(L,
                   "this call waits, so it cannot be made inside a coroutine of the script's own");
    else
        raise_if_over(L, fiber);
    return fiber;
}

/* Ends the present wait, which will find why it is over. */
static void stop_wait(struct fiber *fiber) {
    if (fiber->wait == NULL || fiber->wait_done)
        return;
    fiber->wait->ops->cancel(fiber->wait);
    wait_finish(fiber->wait);
}

static void deadline_rings(void *arg) {
    struct fiber *fiber = arg;
    fiber->alarm = NULL;
    fiber->timed_out = true; /* the clock itself may lag the timer by a fraction of a millisecond */
    stop_wait(fiber);
}

static void arm(struct fiber *fiber) {
    alarm_stop(fiber->alarm);
    fiber->alarm = NULL;
    if (fiber->deadline > 0)
        fiber->alarm =
            alarm_start(fiber->vm->loop, fiber->deadline - loop_seconds(), deadline_rings, fiber);
}

int wait_begin(lua_State *L, struct wait *wait, const struct wait_ops *ops) {
    struct fiber *fiber = vm_of(L)->running;
    wait->fiber = fiber;
    wait->ops = ops;
    fiber->wait = wait;
    fiber->wait_done = false;
    return lua_yield(L, 0);
}

void wait_finish(struct wait *wait) {
    struct fiber *fiber = wait->fiber;
    fiber->wait_done = true;
    make_ready(fiber);
    drain(fiber->vm);
}

static int call_push(lua_State *L) {
    struct wait *wait = lua_touserdata(L, 1);
    lua_settop(L, 0);
    return wait->ops->push(L, wait);
}

/* fetch(...): what raw returned at once, or, after a yield, what it waited for. */
static int fetch(lua_State *L) {
    struct fiber *fiber = vm_of(L)->running;
    if (fiber == NULL || fiber->co != L || fiber->wait == NULL)
        return lua_gettop(L);
    struct wait *wait = fiber->wait;
    lua_settop(L, 0);
    /* Freed only after push, and push may raise: so it runs protected. */
    int status = 0;
    bool over = fiber->cancelled || past_deadline(fiber);
    if (!over) {
        lua_pushcfunction(L, call_push);
        lua_pushlightuserdata(L, wait);
        status = lua_pcall(L, 1, LUA_MULTRET, 0);
    }
    fiber->wait = NULL;
    wait->ops->free(wait);
    if (over)
        raise_if_over(L, fiber);
    if (status != 0)
        return lua_error(L);
    return lua_gettop(L);
}

static const char make_waiting[] = "local fetch = ...\n"
                                   "return function(raw)\n"
                                   "  return function(...) return fetch(raw(...)) end\n"
                                   "end\n";

static void push_make_waiting(lua_State *L) {
    struct vm *vm = vm_of(L);
    if (vm->fetch_ref == LUA_NOREF) {
        if (luaL_loadbuffer(L, make_waiting, sizeof make_waiting - 1, "=wait") != 0)
            lua_error(L);
        lua_pushcfunction(L, fetch);
        lua_call(L, 1, 1);
        vm->fetch_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->fetch_ref);
}

void fiber_register(lua_State *L, const luaL_Reg *functions) {
    for (; functions->name != NULL; functions++) {
        push_make_waiting(L);
        lua_pushcfunction(L, functions->func);
        lua_pushvalue(L, -1);
        lua_pushstring(L, functions->name);
        lua_rawset(L, LUA_REGISTRYINDEX); /* for find_call */
        lua_call(L, 1, 1);
        lua_setfield(L, -2, functions->name);
    }
}

/* -- Pool work --------------------------------------------------------------------------------- */

struct pool_wait {
    struct wait wait;
    void *arg;
    void (*run)(void *arg);
    int (*push)(lua_State *L, void *arg);
    void (*release)(void *arg);
    bool done;     /* the pool thread is through */
    bool detached; /* nobody waits any more */
    bool freed;    /* the fiber let go of it */
};

static void pool_end(struct pool_wait *pool) {
    pool->release(pool->arg);
    free(pool);
}

static int pool_push(lua_State *L, struct wait *wait) {
    struct pool_wait *pool = (struct pool_wait *)wait;
    return pool->push(L, pool->arg);
}

static void pool_cancel(struct wait *wait) {
    ((struct pool_wait *)wait)->detached = true;
}

/* The later of pool_free and pool_done ends it. */
static void pool_free(struct wait *wait) {
    struct pool_wait *pool = (struct pool_wait *)wait;
    pool->freed = true;
    if (pool->done)
        pool_end(pool);
}

static void pool_run(void *arg) {
    struct pool_wait *pool = arg;
    pool->run(pool->arg);
}

static void pool_done(void *arg) {
    struct pool_wait *pool = arg;
    pool->done = true;
    if (pool->freed)
        pool_end(pool);
    else if (!pool->detached)
        wait_finish(&pool->wait);
}

int fiber_work(lua_State *L, void *arg, void (*run)(void *arg),
               int (*push)(lua_State *L, void *arg), void (*release)(void *arg)) {
    static const struct wait_ops ops = {pool_push, pool_cancel, pool_free};
    struct fiber *fiber = vm_of(L)->running;
    if (fiber == NULL || fiber->co != L || fiber->cancelled || past_deadline(fiber)) {
        release(arg);
        fiber_check(L);
    }
    struct pool_wait *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        release(arg);
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    }
    *pool = (struct pool_wait){.arg = arg, .run = run, .push = push, .release = release};
    loop_work(vm_of(L)->loop, pool_run, pool_done, pool);
    return wait_begin(L, &pool->wait, &ops);
}

/* -- Cancelling, deadlines, ids ---------------------------------------------------------------- */

void fiber_cancel(struct fiber *fiber, const char *reason) {
    if (fiber->cancelled || fiber->status >= FIBER_ENDED)
        return;
    fiber->cancelled = true;
    snprintf(fiber->reason, sizeof fiber->reason, "%s", reason ? reason : "cancelled");
    stop_wait(fiber);
}

void fiber_set_deadline(struct fiber *fiber, double when) {
    fiber->deadline = when;
    fiber->timed_out = false;
    arm(fiber);
}

double fiber_deadline(const struct fiber *fiber) {
    return fiber->deadline;
}

void fiber_set_request_id(struct fiber *fiber, const char *request_id) {
    snprintf(fiber->request_id, ID_SIZE, "%s", request_id ? request_id : "");
}

void fiber_set_job_id(struct fiber *fiber, const char *job_id) {
    snprintf(fiber->job_id, ID_SIZE, "%s", job_id ? job_id : "");
}

const char *fiber_request_id(const struct fiber *fiber) {
    return fiber ? fiber->request_id : "";
}

const char *fiber_job_id(const struct fiber *fiber) {
    return fiber ? fiber->job_id : "";
}

void fiber_set_trace(struct fiber *fiber, const char *traceparent) {
    fiber->trace_id[0] = 0;
    if (traceparent != NULL && strlen(traceparent) >= 36 && traceparent[2] == '-')
        snprintf(fiber->trace_id, TRACE_SIZE, "%s", traceparent + 3);
}

const char *fiber_trace_id(const struct fiber *fiber) {
    return fiber ? fiber->trace_id : "";
}

void fiber_set_guard(struct fiber *fiber, struct guard *guard) {
    if (guard != NULL)
        guard_retain(guard);
    guard_release(fiber->guard);
    fiber->guard = guard;
}

struct guard *fiber_guard(const struct fiber *fiber) {
    return fiber->guard;
}

/* -- Looking ----------------------------------------------------------------------------------- */

size_t fiber_count(const struct vm *vm) {
    return vm->fiber_count;
}

struct fiber *fiber_next(struct vm *vm, struct fiber *fiber) {
    return fiber ? fiber->next : vm->fibers;
}

struct fiber *fiber_running(void) {
    return running;
}

struct vm *fiber_vm(const struct fiber *fiber) {
    return fiber->vm;
}

void fiber_kind(const struct fiber *fiber, char *out, size_t size) {
    const char *name = fiber->name;
    size_t length = strcspn(name, "0123456789");
    while (length > 0 && name[length] != 0 && strchr("_-/# ", name[length - 1]) != NULL)
        length--;
    snprintf(out, size, "%.*s", (int)length, name);
}

/* What yielded is the C function that fiber_register was given. */
static void find_call(lua_State *co, struct fiber_view *view) {
    lua_Debug at;
    if (!lua_getstack(co, 0, &at))
        return;
    lua_getinfo(co, "f", &at);
    lua_rawget(co, LUA_REGISTRYINDEX);
    if (lua_type(co, -1) == LUA_TSTRING)
        snprintf(view->call, sizeof view->call, "%s", lua_tostring(co, -1));
    lua_pop(co, 1);
}

/* The first script function on the stack; "=wait" is make_waiting's. */
static void find_place(lua_State *co, struct fiber_view *view) {
    lua_Debug at;
    for (int level = 0; lua_getstack(co, level, &at); level++) {
        lua_getinfo(co, "Sl", &at);
        if (at.currentline <= 0 || strcmp(at.source, "=wait") == 0)
            continue;
        snprintf(view->where, sizeof view->where, "%s:%d", at.short_src, at.currentline);
        return;
    }
}

/* A fiber that has not begun: its function lies on its stack. */
static void find_start(struct fiber *fiber, struct fiber_view *view) {
    lua_Debug at;
    if (!lua_isfunction(fiber->co, 1))
        return;
    lua_pushvalue(fiber->co, 1);
    lua_getinfo(fiber->co, ">S", &at);
    if (at.linedefined > 0)
        snprintf(view->where, sizeof view->where, "%s:%d", at.short_src, at.linedefined);
}

void fiber_look(struct fiber *fiber, struct fiber_view *view) {
    uint64_t now = uv_hrtime();
    *view = (struct fiber_view){
        .age = (double)(now - fiber->made_ns) / 1e9,
        .since = (double)(now - fiber->since_ns) / 1e9,
    };
    if (fiber->status >= FIBER_ENDED)
        return;
    find_place(fiber->co, view);
    if (fiber->status == FIBER_WAITING)
        find_call(fiber->co, view);
    if (fiber->status == FIBER_READY && view->where[0] == 0)
        find_start(fiber, view);
}

void fiber_push_traceback(struct fiber *fiber) {
    lua_State *L = fiber->vm->L;
    bool confined = vm_confine(fiber->vm, false);
    luaL_traceback(L, fiber->co, NULL, 0);
    vm_confine(fiber->vm, confined);
}

enum fiber_status fiber_status(const struct fiber *fiber) {
    return fiber->status;
}

const char *fiber_name(const struct fiber *fiber) {
    return fiber->name;
}

void fiber_set_name(struct fiber *fiber, const char *name) {
    snprintf(fiber->name, sizeof fiber->name, "%s", name ? name : "fiber");
}

void fiber_watch(struct fiber *fiber, struct fiber_watch *watch) {
    watch->next = fiber->watches;
    watch->previous = &fiber->watches;
    if (fiber->watches != NULL)
        fiber->watches->previous = &watch->next;
    fiber->watches = watch;
}

void fiber_unwatch(struct fiber_watch *watch) {
    if (watch->previous == NULL)
        return;
    *watch->previous = watch->next;
    if (watch->next != NULL)
        watch->next->previous = watch->previous;
    watch->previous = NULL;
}

int fiber_push_results(lua_State *L, struct fiber *fiber) {
    int count = fiber->result_count;
    lua_pushboolean(L, fiber->status == FIBER_ENDED);
    luaL_checkstack(L, count + 1, "too many results");
    lua_xmove(fiber->co, L, count);
    for (int i = 0; i < count; i++) { /* whoever asks next gets them too */
        lua_pushvalue(L, i - count);
        lua_xmove(L, fiber->co, 1);
    }
    return count + 1;
}
