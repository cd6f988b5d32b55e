#include "core/profile.h"

#include <dirent.h>
#include <errno.h>
#include <luajit.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "core/fiber.h"
#include "core/stack.h"
#include "core/symbols.h"
#include "core/text.h"

enum {
    THREADS_MAX = 128,
    FRAMES_MAX = 64,
    SAMPLES_MAX = 65536,
    LUA_STACK_MAX = 100, /* frames */
    TABLE_SIZE = 4096,
};

struct sample {
    int thread, count; /* count 0: not written yet */
    void *frames[FRAMES_MAX];
};

struct sampled_thread {
    pid_t tid;
    timer_t timer;
    char name[20];
};

/* A folded stack and how often it was seen. */
struct fold {
    struct fold *next;
    size_t count;
    char stack[];
};

struct profile {
    struct profile_options options;
    struct sampled_thread threads[THREADS_MAX];
    int thread_count;
    struct sample *samples;
    size_t room;
    atomic_size_t used; /* may run past `room`: those are lost */
    timer_t lua_timer;
    bool lua_runs;
    struct fold *table[TABLE_SIZE];
    size_t lua_samples;
};

/* What signal handlers of all threads share. */
static struct profile *_Atomic running;
static atomic_int handlers; /* that are under way */

int profile_signal(void) {
    return SIGRTMIN + 4;
}

/* -- Folding ----------------------------------------------------------------------------------- */

static void add_fold(struct profile *profile, const char *stack, size_t count) {
    size_t size = strlen(stack), hash = 2166136261u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)stack[i]) * 16777619u;
    struct fold **slot = &profile->table[hash % TABLE_SIZE], *fold = *slot;
    while (fold != NULL && strcmp(fold->stack, stack) != 0)
        fold = fold->next;
    if (fold == NULL) {
        fold = calloc(1, sizeof *fold + size + 1);
        if (fold == NULL)
            return;
        memcpy(fold->stack, stack, size + 1);
        fold->next = *slot;
        *slot = fold;
    }
    fold->count += count;
}

/* Semicolons part frames, and the last blank the count. */
static void put_frame(struct text *out, const char *name) {
    text_add(out, ";", 1);
    for (; *name != 0; name++)
        text_add(out, *name == ';' || (unsigned char)*name < ' ' ? "_" : name, 1);
}

static void fold_sample(struct profile *profile, const struct sample *sample) {
    struct text out = {0};
    const char *name = profile->threads[sample->thread].name;
    text_add(&out, name, strlen(name));
    for (int i = sample->count - 1; i >= 0; i--) {
        char function[96];
        symbols_name((char *)sample->frames[i] - (i > 0), function, sizeof function);
        put_frame(&out, function);
    }
    char *stack = text_take(&out, NULL);
    if (stack != NULL)
        add_fold(profile, stack, 1);
    free(stack);
}

/* -- Lua --------------------------------------------------------------------------------------- */

/* In the vm, at a safe place. What runs there is a fiber's, or the host's own call. */
static void on_lua_sample(void *arg, lua_State *L, int samples, int state) {
    struct profile *profile = arg;
    const struct fiber *fiber = fiber_running();
    char kind[48] = "no fiber";
    size_t size;
    const char *stack = luaJIT_profile_dumpstack(L, "F;", -LUA_STACK_MAX, &size);
    struct text out = {0};
    if (fiber != NULL)
        fiber_kind(fiber, kind, sizeof kind);
    text_add(&out, "Lua", 3);
    put_frame(&out, kind);
    if (size > 0 && stack[size - 1] == ';')
        size--;
    text_add(&out, ";", size > 0);
    text_add(&out, stack, size);
    if (state == 'G' || state == 'J')
        put_frame(&out, state == 'G' ? "[garbage collector]" : "[compiler]");
    char *folded = text_take(&out, NULL);
    if (folded != NULL)
        add_fold(profile, folded, (size_t)samples);
    free(folded);
    profile->lua_samples += (size_t)samples;
}

static struct itimerspec every(int hz) {
    struct timespec time = {hz == 1, hz == 1 ? 0 : 1000000000 / hz};
    return (struct itimerspec){time, time};
}

static bool start_timer(pid_t tid, int number, int value, int hz, timer_t *timer) {
    /* The clock of any thread's CPU time, as the kernel names it (MAKE_THREAD_CPUCLOCK). */
    clockid_t clock = (clockid_t)((~(unsigned)tid << 3) | 6);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = number};
    event.sigev_value.sival_int = value;
    event._sigev_un._tid = tid;
    struct itimerspec times = every(hz);
    return timer_create(clock, &event, timer) == 0 && timer_settime(*timer, 0, &times, NULL) == 0;
}

/* LuaJIT counts the CPU time of the whole process, and interrupts any thread. Its timer is stopped,
 * and one of this thread alone sends the same signal. */
static int start_lua(struct profile *profile, struct err *err) {
    static const struct itimerval never;
    signal(SIGPROF, SIG_IGN); /* what comes after the end must not end the process */
    luaJIT_profile_start(vm_lua(profile->options.vm), "fi1000000", on_lua_sample, profile);
    setitimer(ITIMER_PROF, &never, NULL);
    profile->lua_runs = start_timer((pid_t)syscall(SYS_gettid), SIGPROF, 0, profile->options.hz,
                                    &profile->lua_timer);
    if (profile->lua_runs)
        return 0;
    luaJIT_profile_stop(vm_lua(profile->options.vm));
    return err_set(err, ERR_UNSUPPORTED, "this system has no timers on a thread's CPU time");
}

static void stop_lua(struct profile *profile) {
    if (!profile->lua_runs)
        return;
    timer_delete(profile->lua_timer);
    luaJIT_profile_stop(vm_lua(profile->options.vm));
}

/* -- C ----------------------------------------------------------------------------------------- */

static void on_c_sample(int number, siginfo_t *info, void *context) {
    (void)number;
    int saved_errno = errno;
    atomic_fetch_add(&handlers, 1); /* before it looks */
    struct profile *profile = atomic_load(&running);
    size_t at = profile != NULL ? atomic_fetch_add(&profile->used, 1) : 0;
    if (profile != NULL && at < profile->room) {
        struct sample *sample = &profile->samples[at];
        sample->thread = info->si_value.sival_int;
        sample->count = stack_take(context, sample->frames, FRAMES_MAX);
    }
    atomic_fetch_sub(&handlers, 1);
    errno = saved_errno;
}

static void name_thread(struct sampled_thread *thread) {
    char path[64], name[20] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)thread->tid);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(name, sizeof name, file) != NULL)
            name[strcspn(name, "\n")] = 0;
        fclose(file);
    }
    /* Threads of the pool have the program's own name. */
    bool unnamed = strcmp(name, program_invocation_short_name) == 0 || name[0] == 0;
    snprintf(thread->name, sizeof thread->name, "%s",
             thread->tid == getpid() ? "loop"
             : unnamed               ? "pool"
                                     : name);
}

static bool is_known(const struct profile *profile, pid_t tid) {
    for (int i = 0; i < profile->thread_count; i++)
        if (profile->threads[i].tid == tid)
            return true;
    return false;
}

void profile_look(struct profile *profile) {
    DIR *folder = profile->options.c ? opendir("/proc/self/task") : NULL;
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        pid_t tid = (pid_t)atoi(entry->d_name);
        int index = profile->thread_count;
        if (tid <= 0 || index == THREADS_MAX || is_known(profile, tid))
            continue;
        struct sampled_thread *thread = &profile->threads[index];
        thread->tid = tid;
        name_thread(thread);
        if (start_timer(tid, profile_signal(), index, profile->options.hz, &thread->timer))
            profile->thread_count++;
    }
    if (folder != NULL)
        closedir(folder);
}

static int start_c(struct profile *profile, struct err *err) {
    struct sigaction action = {.sa_sigaction = on_c_sample, .sa_flags = SA_SIGINFO | SA_RESTART};
    double wanted =
        profile->options.seconds * profile->options.hz * (double)sysconf(_SC_NPROCESSORS_ONLN) + 64;
    profile->room = wanted < SAMPLES_MAX ? (size_t)wanted : SAMPLES_MAX;
    profile->samples = calloc(profile->room, sizeof *profile->samples);
    if (profile->samples == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory for a profile");
    stack_prepare();
    sigfillset(&action.sa_mask); /* or one handler's stack would hold another */
    sigaction(profile_signal(), &action, NULL);
    profile_look(profile);
    return profile->thread_count > 0
               ? 0
               : err_set(err, ERR_UNSUPPORTED, "this system has no timers on a thread's CPU time");
}

/* -- Life -------------------------------------------------------------------------------------- */

int profile_start(const struct profile_options *options, struct profile **out, struct err *err) {
    if (running != NULL)
        return err_set(err, ERR_BUSY, "a profile is being taken already: wait for its end");
    struct profile *profile = calloc(1, sizeof *profile);
    if (profile == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory for a profile");
    profile->options = *options;
    running = profile;
    int code = options->c ? start_c(profile, err) : 0;
    if (code == 0 && options->vm != NULL)
        code = start_lua(profile, err);
    if (code < 0)
        profile_free(profile);
    else
        *out = profile;
    return code;
}

void profile_fold(struct profile *profile, struct profile_result *result) {
    size_t used = atomic_load(&profile->used);
    struct text out = {0};
    text_add(&out, "", 0);
    *result = (struct profile_result){.samples = used + profile->lua_samples};
    if (used > profile->room) {
        result->lost = used - profile->room;
        used = profile->room;
    }
    for (size_t i = 0; i < used; i++)
        if (profile->samples[i].count > 0)
            fold_sample(profile, &profile->samples[i]);
    for (size_t i = 0; i < TABLE_SIZE; i++)
        for (const struct fold *fold = profile->table[i]; fold != NULL; fold = fold->next)
            text_printf(&out, "%s %zu\n", fold->stack, fold->count);
    result->folded = text_take(&out, &result->size);
}

void profile_stop(struct profile *profile) {
    if (running != profile)
        return;
    stop_lua(profile);
    for (int i = 0; i < profile->thread_count; i++)
        timer_delete(profile->threads[i].timer);
    atomic_store(&running, NULL);
    while (atomic_load(&handlers) > 0) /* on other threads: those that come now find nothing */
        sched_yield();
}

void profile_free(struct profile *profile) {
    if (profile == NULL)
        return;
    profile_stop(profile);
    for (size_t i = 0; i < TABLE_SIZE; i++)
        while (profile->table[i] != NULL) {
            struct fold *fold = profile->table[i];
            profile->table[i] = fold->next;
            free(fold);
        }
    free(profile->samples);
    free(profile);
}
