#include "core/guard.h"

#include <errno.h>
#include <luajit.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/vm_internal.h"

enum { guard_signal = SIGURG }; /* real-time signals queue, in a queue that all processes share */
static const unsigned long long again_ns = 10000000; /* between two attempts to interrupt */

struct guard {
    int references;
    double seconds;
    atomic_bool stopped; /* written under the lock, as what follows */
    enum err_code code;
    char reason[160];
    /* Loop thread: where it was stopped. */
    char where[200];
};

static struct {
    uv_once_t once;
    uv_mutex_t lock;
    uv_cond_t changed;
    struct guard_slice *slice; /* the innermost one that runs */
} watch = {.once = UV_ONCE_INIT};

/* -- Interrupting ------------------------------------------------------------------------------ */

static void note_place(lua_State *L, lua_Debug *at, struct guard *guard) {
    if (guard->where[0] != 0 || lua_getinfo(L, "Sl", at) == 0)
        return;
    if (at->currentline > 0)
        snprintf(guard->where, sizeof guard->where, "%s:%d: ", at->short_src, at->currentline);
}

static void on_instruction(lua_State *L, lua_Debug *at) {
    struct guard_slice *slice = watch.slice; /* written by this thread only */
    if (slice == NULL || slice->vm != vm_of(L))
        return;
    struct guard *guard = slice->guard;
    note_place(L, at, guard);
    struct err err;
    uv_mutex_lock(&watch.lock);
    err_set(&err, guard->code, "%s%s", guard->where, guard->reason);
    uv_mutex_unlock(&watch.lock);
    vm_push_err(L, &err);
    lua_error(L);
}

/* On the thread that runs the slice, in a signal handler: lua_sethook may be called while the state
 * runs. From another thread it could not: the state's own thread writes the same flags whenever an
 * error is caught, and one of the two would be lost. */
static void lay_hook(struct guard_slice *slice) {
    slice->hooked = true;
    lua_sethook(vm_lua(slice->vm), on_instruction, LUA_MASKCOUNT, 1);
}

static void on_signal(int number) {
    (void)number;
    int saved_errno = errno;
    struct guard_slice *slice = watch.slice; /* written by this thread only */
    if (slice != NULL && atomic_load(&slice->guard->stopped))
        lay_hook(slice);
    errno = saved_errno;
}

/* Under the lock. */
static void interrupt(struct guard_slice *slice) {
#ifdef __SANITIZE_THREAD__
    lay_hook(slice); /* which keeps signals back until the script waits */
#else
    pthread_kill(slice->thread, guard_signal);
#endif
}

/* Under the lock. */
static void stop(struct guard *guard, enum err_code code, const char *reason) {
    if (atomic_load(&guard->stopped))
        return;
    guard->code = code;
    snprintf(guard->reason, sizeof guard->reason, "%s", reason);
    atomic_store(&guard->stopped, true);
    uv_cond_signal(&watch.changed);
}

/* -- The watching thread ----------------------------------------------------------------------- */

static void stop_late(struct guard *guard) {
    char reason[80];
    snprintf(reason, sizeof reason, "ran for more than %g s without a pause", guard->seconds);
    stop(guard, ERR_TIMEOUT, reason);
}

/* What must end is interrupted again until it has: where the state's own thread writes its flags
 * in several instructions, the handler's change to them may be lost. */
static void watch_slices(void *arg) {
    (void)arg;
    uv_mutex_lock(&watch.lock);
    for (;;) {
        struct guard_slice *slice = watch.slice;
        unsigned long long now = uv_hrtime();
        if (slice != NULL && slice->deadline != 0 && now >= slice->deadline)
            stop_late(slice->guard);
        if (slice != NULL && atomic_load(&slice->guard->stopped)) {
            interrupt(slice);
            uv_cond_timedwait(&watch.changed, &watch.lock, again_ns);
        } else if (slice != NULL && slice->deadline != 0) {
            uv_cond_timedwait(&watch.changed, &watch.lock, slice->deadline - now);
        } else {
            uv_cond_wait(&watch.changed, &watch.lock);
        }
    }
}

static void start_watching(void) {
    static uv_thread_t thread;
    uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = 64 << 10};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    sigaction(guard_signal, &action, NULL);
    if (uv_mutex_init(&watch.lock) != 0 || uv_cond_init(&watch.changed) != 0 ||
        uv_thread_create_ex(&thread, &options, watch_slices, NULL) != 0)
        abort(); /* an endless script would be the end of the host */
}

/* -- Guards ------------------------------------------------------------------------------------ */

struct guard *guard_new(double seconds) {
    uv_once(&watch.once, start_watching);
    struct guard *guard = calloc(1, sizeof *guard);
    if (guard == NULL)
        return NULL;
    guard->references = 1;
    guard->seconds = seconds;
    return guard;
}

void guard_retain(struct guard *guard) {
    guard->references++;
}

void guard_release(struct guard *guard) {
    if (guard != NULL && --guard->references == 0)
        free(guard);
}

void guard_stop(struct guard *guard, enum err_code code, const char *reason) {
    uv_mutex_lock(&watch.lock);
    stop(guard, code, reason);
    uv_mutex_unlock(&watch.lock);
}

void guard_stop_stuck(struct guard *guard, double seconds, enum err_code code, const char *reason) {
    uv_mutex_lock(&watch.lock);
    const struct guard_slice *slice = watch.slice;
    if (slice != NULL && slice->guard == guard &&
        (double)(uv_hrtime() - slice->began) / 1e9 >= seconds)
        stop(guard, code, reason);
    uv_mutex_unlock(&watch.lock);
}

bool guard_stopped(const struct guard *guard) {
    return atomic_load(&guard->stopped);
}

/* -- Slices ------------------------------------------------------------------------------------ */

void guard_enter(struct guard_slice *slice, struct vm *vm, struct guard *guard) {
    lua_State *L = vm_lua(vm);
    *slice = (struct guard_slice){.guard = guard,
                                  .vm = vm,
                                  .thread = pthread_self(),
                                  .began = uv_hrtime(),
                                  .compiled = vm->options.jit};
    guard_retain(guard);
    if (slice->compiled) {
        luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
        luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
    }
    if (guard->seconds > 0)
        slice->deadline = slice->began + (unsigned long long)(guard->seconds * 1e9);
    uv_mutex_lock(&watch.lock);
    slice->outer = watch.slice;
    watch.slice = slice;
    if (atomic_load(&guard->stopped))
        lay_hook(slice);
    uv_cond_signal(&watch.changed);
    uv_mutex_unlock(&watch.lock);
}

void guard_leave(struct guard_slice *slice) {
    lua_State *L = vm_lua(slice->vm);
    uv_mutex_lock(&watch.lock);
    watch.slice = slice->outer;
    if (slice->hooked)
        lua_sethook(L, NULL, 0, 0);
    uv_cond_signal(&watch.changed);
    uv_mutex_unlock(&watch.lock);
    if (slice->compiled)
        luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
    guard_release(slice->guard);
}

/* -- Hooks of others -----------------------------------------------------------------------------
 */

bool guard_watches(const struct vm *vm) {
    const struct guard_slice *slice = watch.slice; /* written by this thread only */
    return slice != NULL && slice->vm == vm;
}

void guard_restore_hook(struct vm *vm) {
    if (!guard_watches(vm)) {
        lua_sethook(vm_lua(vm), NULL, 0, 0);
        return;
    }
    uv_mutex_lock(&watch.lock);
    lua_sethook(vm_lua(vm), watch.slice->hooked ? on_instruction : NULL,
                watch.slice->hooked ? LUA_MASKCOUNT : 0, 1);
    uv_mutex_unlock(&watch.lock);
}
