#include "core/slow.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/metrics.h"
#include "core/stack.h"
#include "core/symbols.h"
#include "core/vm_internal.h"

enum {
    FRAMES_MAX = 48,
    STACK_TEXT_MAX = 1800,
    TICKS_A_LIMIT = 2, /* of the timer, in a turn that has used up the limit */
};

static const uint64_t quiet_ns = 1000000000; /* between two tellings */
static const long patience_ns = 150000000;   /* for the Lua traceback */

/* One turn is told of in these steps. */
enum stage {
    NOTHING, /* seen by the signal handler only */
    SEEN,    /* the teller waits for the Lua traceback, then tells */
    LATE,    /* told without: the hook tells the rest, if it comes in this turn */
};

/* What the signal handler saw. */
struct sighting {
    char fiber[48], request_id[64], job_id[64], trace_id[40], vm[32];
    void *frames[FRAMES_MAX];
    int frame_count;
    struct vm *hooked; /* a hook lies there; NULL: none */
};

static struct {
    struct loop *loop;
    double seconds;
    timer_t timer;
    bool has_timer;
    unsigned long turn; /* the handler's: of the last tick */
    unsigned ticks;     /* in that turn */
    unsigned long seen_turn;
    atomic_int stage;
    _Atomic uint64_t quiet_until_ns;
    struct sighting seen;
    char held_name[48]; /* the fiber that held the present turn longest */
    double held_seconds;

    uv_mutex_t lock;
    uv_thread_t teller;
    bool has_teller;
    sem_t look, answered;
    bool stopping;   /* guarded by lock, as what follows */
    char *traceback; /* the Lua one */
    struct metric *turns, *fibers;
} slow = {.seconds = 0.05};

static int slow_signal(void) {
    return SIGRTMIN + 3;
}

/* -- Telling ----------------------------------------------------------------------------------- */

static void write_stack(const struct sighting *seen, char *out, size_t size) {
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; i < seen->frame_count && used + 80 < size; i++) {
        char name[64];
        symbols_name((char *)seen->frames[i] - (i > 0), name, sizeof name);
        used += (size_t)snprintf(out + used, size - used, "%s%s", used ? " < " : "", name);
    }
}

static void tell(const struct sighting *seen, const char *message, const char *traceback,
                 const char *stack) {
    const struct log_field all[] = {
        {"fiber", seen->fiber, false},
        {"vm", seen->vm, false},
        {"requestId", seen->request_id, false},
        {"jobId", seen->job_id, false},
        {"traceId", seen->trace_id, false},
        {"traceback", traceback, false},
        {"stack", stack, false},
    };
    struct log_field given[sizeof all / sizeof *all];
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].value != NULL && all[i].value[0] != 0)
            given[count++] = all[i];
    log_write(LOG_WARN, "loop", message, given, count);
}

static void tell_seen(void) {
    char message[96], stack[STACK_TEXT_MAX];
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += patience_ns;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (sem_timedwait(&slow.answered, &until) != 0 && errno == EINTR)
        ;
    uv_mutex_lock(&slow.lock);
    struct sighting seen = slow.seen;
    char *traceback = slow.traceback;
    slow.traceback = NULL;
    while (sem_trywait(&slow.answered) == 0)
        ; /* said twice: by the hook, and by the turn's end */
    atomic_store(&slow.quiet_until_ns, uv_hrtime() + quiet_ns);
    atomic_store(&slow.stage, seen.hooked != NULL ? LATE : NOTHING);
    uv_mutex_unlock(&slow.lock);
    write_stack(&seen, stack, sizeof stack);
    snprintf(message, sizeof message, "the loop has been busy for more than %.0f ms, by %s%s",
             slow.seconds * 1000, seen.fiber[0] ? "fiber " : "no script", seen.fiber);
    tell(&seen, message, traceback, stack);
    free(traceback);
}

/* Sleeps until the signal handler has seen something. */
static void run_teller(void *arg) {
    (void)arg;
    for (;;) {
        while (sem_wait(&slow.look) != 0)
            ;
        uv_mutex_lock(&slow.lock);
        bool stopping = slow.stopping;
        uv_mutex_unlock(&slow.lock);
        if (stopping)
            return;
        tell_seen();
    }
}

/* -- Looking ----------------------------------------------------------------------------------- */

/* In the vm, between two instructions. */
static void on_hook(lua_State *L, lua_Debug *at) {
    (void)at;
    struct vm *vm = vm_of(L);
    guard_restore_hook(vm);
    bool confined = vm_confine(vm, false);
    luaL_traceback(vm->L, L, NULL, 0);
    char *text = strdup(lua_tostring(vm->L, -1));
    lua_pop(vm->L, 1);
    vm_confine(vm, confined);
    uv_mutex_lock(&slow.lock);
    bool mine = slow.seen.hooked == vm;
    bool late = mine && atomic_load(&slow.stage) == LATE;
    if (mine)
        slow.seen.hooked = NULL;
    if (mine && !late) {
        free(slow.traceback);
        slow.traceback = text;
        text = NULL;
        sem_post(&slow.answered);
    }
    struct sighting seen = slow.seen;
    if (late)
        atomic_store(&slow.stage, NOTHING);
    uv_mutex_unlock(&slow.lock);
    if (late)
        tell(&seen, "where the script is that keeps the loop busy", text, NULL);
    free(text);
}

/* In the signal handler. */
static void take_fiber(struct sighting *seen, const struct fiber *fiber) {
    struct vm *vm = fiber_vm(fiber);
    lua_State *L = vm_lua(vm);
    strncpy(seen->fiber, fiber_name(fiber), sizeof seen->fiber - 1);
    strncpy(seen->request_id, fiber_request_id(fiber), sizeof seen->request_id - 1);
    strncpy(seen->job_id, fiber_job_id(fiber), sizeof seen->job_id - 1);
    strncpy(seen->trace_id, fiber_trace_id(fiber), sizeof seen->trace_id - 1);
    strncpy(seen->vm, vm_name(vm), sizeof seen->vm - 1);
    if (lua_gethook(L) != NULL || guard_watches(vm))
        return; /* it is watched already, and ends with a traceback of its own */
    seen->hooked = vm;
    lua_sethook(L, on_hook, LUA_MASKCOUNT, 1); /* may be called while the state runs */
}

static void on_tick(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    int saved_errno = errno;
    unsigned long turn = loop_turns(slow.loop);
    slow.ticks = turn == slow.turn ? slow.ticks + 1 : 0;
    slow.turn = turn;
    if (slow.ticks >= TICKS_A_LIMIT && atomic_load(&slow.stage) == NOTHING &&
        uv_hrtime() >= atomic_load(&slow.quiet_until_ns)) {
        memset(&slow.seen, 0, sizeof slow.seen);
        slow.seen_turn = turn;
        slow.seen.frame_count = stack_take(context, slow.seen.frames, FRAMES_MAX);
        const struct fiber *fiber = fiber_running();
        if (fiber != NULL)
            take_fiber(&slow.seen, fiber);
        atomic_store(&slow.stage, SEEN);
        if (slow.seen.hooked == NULL)
            sem_post(&slow.answered); /* nothing more will come */
        sem_post(&slow.look);
    }
    errno = saved_errno;
}

/* -- The end of a turn ------------------------------------------------------------------------- */

static bool is_alive(const struct vm *vm) {
    struct vm *one = NULL;
    while ((one = vm_next(one)) != NULL && one != vm)
        ;
    return one != NULL;
}

/* The hook of a turn that is over must not tell of the next. True when the turn was told of. */
static bool forget_turn(void) {
    uv_mutex_lock(&slow.lock);
    bool told = slow.seen_turn + 1 == loop_turns(slow.loop); /* which counts it already */
    if (slow.seen.hooked != NULL) {
        if (is_alive(slow.seen.hooked))
            guard_restore_hook(slow.seen.hooked);
        slow.seen.hooked = NULL;
        if (atomic_load(&slow.stage) == SEEN)
            sem_post(&slow.answered);
        else
            atomic_store(&slow.stage, NOTHING);
    }
    uv_mutex_unlock(&slow.lock);
    return told;
}

static void turn_ended(double took) {
    metric_add(slow.turns, 1);
    bool told = slow.has_teller && forget_turn();
    uint64_t now = uv_hrtime();
    if (!told && now >= atomic_load(&slow.quiet_until_ns)) {
        atomic_store(&slow.quiet_until_ns, now + quiet_ns);
        if (slow.held_seconds > 0)
            log_warn("loop", "a turn took %.0f ms; fiber '%s' held it for %.0f ms", took * 1000,
                     slow.held_name, slow.held_seconds * 1000);
        else
            log_warn("loop", "a turn took %.0f ms, by no script", took * 1000);
    }
    slow.held_seconds = 0;
}

double slow_limit(void) {
    return slow.seconds;
}

void slow_fiber_held(const struct fiber *fiber, double seconds) {
    if (slow.fibers == NULL)
        return;
    metric_add(slow.fibers, 1);
    if (seconds > slow.held_seconds) {
        slow.held_seconds = seconds;
        snprintf(slow.held_name, sizeof slow.held_name, "%s", fiber_name(fiber));
    }
}

/* -- Life -------------------------------------------------------------------------------------- */

static void find_metrics(void) {
    slow.turns = metrics_single(METRIC_COUNTER, "loop_slow_turns_total",
                                "Turns of the event loop that took more than slow_turn.");
    slow.fibers = metrics_single(METRIC_COUNTER, "fibers_slow_total",
                                 "Times that a fiber held the loop for more than slow_turn.");
}

static void start_timer(void) {
    struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = slow_signal()};
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    long ns = (long)(slow.seconds / TICKS_A_LIMIT * 1e9);
    struct timespec every = {ns / 1000000000, ns % 1000000000};
    struct itimerspec times = {every, every};
    stack_prepare();
    sigfillset(&action.sa_mask); /* or one handler's stack would hold another */
    sigaction(slow_signal(), &action, NULL);
    slow.has_timer = timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &slow.timer) == 0;
    if (slow.has_timer)
        timer_settime(slow.timer, 0, &times, NULL);
    else
        log_debug("loop",
                  "no timers on a thread's CPU time here: slow turns are told at their end");
}

void slow_start(struct loop *loop, double seconds) {
    slow_stop();
    if (seconds <= 0)
        return;
    find_metrics();
    slow.loop = loop;
    slow.seconds = seconds;
    slow.stopping = false;
    slow.ticks = 0;
    slow.turn = slow.seen_turn = (unsigned long)-2;
    atomic_store(&slow.stage, NOTHING);
    atomic_store(&slow.quiet_until_ns, 0);
    uv_mutex_init(&slow.lock);
    sem_init(&slow.look, 0, 0);
    sem_init(&slow.answered, 0, 0);
    uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = 128 << 10};
    slow.has_teller = uv_thread_create_ex(&slow.teller, &options, run_teller, NULL) == 0;
    loop_watch_slow(loop, seconds, turn_ended);
    if (slow.has_teller)
        start_timer();
}

void slow_stop(void) {
    if (slow.loop == NULL)
        return;
    if (slow.has_timer)
        timer_delete(slow.timer);
    slow.has_timer = false;
    forget_turn();
    loop_watch_slow(slow.loop, 0, NULL);
    if (slow.has_teller) {
        uv_mutex_lock(&slow.lock);
        slow.stopping = true;
        uv_mutex_unlock(&slow.lock);
        sem_post(&slow.look);
        uv_thread_join(&slow.teller);
        slow.has_teller = false;
    }
    free(slow.traceback);
    slow.traceback = NULL;
    slow.held_seconds = 0;
    slow.loop = NULL;
    sem_destroy(&slow.look);
    sem_destroy(&slow.answered);
    uv_mutex_destroy(&slow.lock);
}
