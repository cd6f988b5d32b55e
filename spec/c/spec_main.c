/* spec_main.c - runs Busted inside a VM with every binding, in a fiber, so that specs may wait.
 *
 *     stance-spec [busted options] FILE|FOLDER...
 *
 * It has a database, objects and a data folder of its own under /tmp, removed at the end. With
 * --script FILE ARG... it runs that Lua file instead (benchmarks).
 *
 * SIGTERM ends it. A second one, and SIGQUIT, first tell where it hangs (the loop thread's C stack,
 * what Lua runs, where each fiber waits), and end it even when its loop is stuck. */
#include <errno.h>
#include <ftw.h>
#include <luajit.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/modules.h"
#include "cli/process.h"
#include "core/launch.h"
#include "core/log.h"
#include "core/stack.h"
#include "core/symbols.h"
#include "store/db.h"
#include "store/objects.h"
#include "store/roots.h"

static const char runner[] =
    "local script, code = ..., nil\n"
    "local quit = {}\n"
    "os.exit = function(status)\n"
    "  code = status == true and 0 or status == false and 1 or status or 0\n"
    "  error(quit, 0)\n"
    "end\n"
    "local ok, why = xpcall(function()\n"
    "  if script then return assert(loadfile(script))() end\n"
    "  require 'busted.runner'({standalone = false})\n"
    "end, function(e) return e == quit and e or debug.traceback(tostring(e), 2) end)\n"
    "if not ok and why ~= quit then io.stderr:write(why, '\\n') code = 1 end\n"
    "require('host').stop(code or 0)\n";

/* -- Where it hangs ---------------------------------------------------------------------------- */

enum { FRAMES_MAX = 64 };

static struct {
    struct process *process;
    pthread_t loop;
    sem_t asked, answered;
    volatile sig_atomic_t ends, quits; /* signals so far */
    void *frames[FRAMES_MAX];
    int frame_count;
} hang;

static void on_end(int number) {
    int saved_errno = errno;
    if (number == SIGQUIT)
        hang.quits++;
    else
        hang.ends++;
    sem_post(&hang.asked);
    errno = saved_errno;
}

/* In the VM that runs, as soon as it gets to an instruction. */
static void tell_running(lua_State *L, lua_Debug *at) {
    (void)at;
    lua_sethook(L, NULL, 0, 0);
    luaL_traceback(L, L, "-- what Lua runs", 0);
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    lua_pop(L, 1);
    sem_post(&hang.answered);
}

/* On the loop thread. */
static void on_look(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    int saved_errno = errno;
    const struct fiber *fiber = fiber_running();
    hang.frame_count = stack_take(context, hang.frames, FRAMES_MAX);
    if (fiber != NULL)
        lua_sethook(vm_lua(fiber_vm(fiber)), tell_running, LUA_MASKCOUNT, 1);
    sem_post(&hang.answered);
    errno = saved_errno;
}

static int look_signal(void) {
    return SIGRTMIN + 8;
}

/* On the loop thread, when it is not stuck. */
static void tell_fibers(void *arg) {
    (void)arg;
    for (struct vm *vm = vm_next(NULL); vm != NULL; vm = vm_next(vm))
        for (struct fiber *fiber = fiber_next(vm, NULL); fiber; fiber = fiber_next(vm, fiber)) {
            fiber_push_traceback(fiber);
            fprintf(stderr, "-- fiber '%s' of vm '%s'\n%s\n", fiber_name(fiber), vm_name(vm),
                    lua_tostring(vm_lua(vm), -1));
            lua_pop(vm_lua(vm), 1);
        }
    sem_post(&hang.answered);
}

static bool answers(void) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2;
    while (sem_timedwait(&hang.answered, &until) != 0)
        if (errno != EINTR)
            return false;
    return true;
}

static void tell_all(void) {
    pthread_kill(hang.loop, look_signal());
    if (!answers()) {
        fprintf(stderr, "-- the loop thread takes no signals\n");
        return;
    }
    fprintf(stderr, "-- the loop thread's C stack\n");
    for (int i = 0; i < hang.frame_count; i++) {
        char name[64];
        symbols_name((char *)hang.frames[i] - (i > 0), name, sizeof name);
        fprintf(stderr, "  %s\n", name);
    }
    loop_post(&hang.process->loop, tell_fibers, NULL);
    if (!answers())
        fprintf(stderr, "-- the loop is stuck in C, or in compiled Lua\n");
}

static void stop_loop(void *arg) {
    struct process *process = arg;
    process->services.exit_code = 1;
    loop_stop(&process->loop);
}

static void *watch_signals(void *arg) {
    (void)arg;
    for (;;) {
        while (sem_wait(&hang.asked) != 0)
            ;
        if (hang.ends == 1 && hang.quits == 0) {
            loop_post(&hang.process->loop, stop_loop, hang.process);
            continue;
        }
        tell_all();
        _exit(1);
    }
}

/* In the loop's first turn: behind process_run, which lets libuv take these signals. */
static void take_signals(void *arg) {
    (void)arg;
    struct sigaction end = {.sa_handler = on_end, .sa_flags = SA_RESTART};
    struct sigaction look = {.sa_sigaction = on_look, .sa_flags = SA_SIGINFO | SA_RESTART};
    pthread_t watcher;
    sigfillset(&end.sa_mask);
    sigfillset(&look.sa_mask);
    sem_init(&hang.asked, 0, 0);
    sem_init(&hang.answered, 0, 0);
    stack_prepare();
    sigaction(look_signal(), &look, NULL);
    if (pthread_create(&watcher, NULL, watch_signals, NULL) != 0)
        return;
    pthread_detach(watcher);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGQUIT, &end, NULL);
}

/* -- Running ----------------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *stat, int flag, struct FTW *ftw) {
    (void)stat, (void)flag, (void)ftw;
    return remove(path);
}

static void run_ended(struct fiber *fiber, lua_State *co, int count, const struct err *err,
                      void *arg) {
    (void)fiber, (void)co, (void)count;
    struct process *process = arg;
    if (err == NULL)
        return;
    fprintf(stderr, "%s\n", err->message);
    process->services.exit_code = 1;
    loop_stop(&process->loop);
}

static int start(struct process *process, int argc, char **argv, struct err *err) {
    struct vm_options options = {.name = "spec",
                                 .jit = true,
                                 .unrestricted = true,
                                 .scripts = process->scripts,
                                 .modules = bind_modules,
                                 .host = &process->services};
    if (vm_new(&process->loop, &options, &process->vm, err) != 0)
        return err->code;
    lua_State *L = vm_lua(process->vm);
    bool script = argc > 2 && strcmp(argv[1], "--script") == 0;
    int first = script ? 3 : 1;
    lua_createtable(L, argc, 0);
    lua_pushstring(L, script ? argv[2] : argv[0]);
    lua_rawseti(L, -2, 0);
    for (int i = first; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - first + 1);
    }
    lua_setglobal(L, "arg");
    if (luaL_loadbuffer(L, runner, sizeof runner - 1, "=runner") != 0)
        return err_set(err, ERR_INTERNAL, "%s", lua_tostring(L, -1));
    if (script)
        lua_pushstring(L, argv[2]);
    else
        lua_pushnil(L);
    return fiber_start(L, 1, "spec", run_ended, process, NULL, err);
}

/* The real one, beside this one. */
static const char *find_program(void) {
    static char path[PATH_MAX];
    struct err err;
    if (launch_own_program(path, &err) != 0)
        return NULL;
    *strrchr(path, '-') = 0;
    return path;
}

int main(int argc, char **argv) {
    char folder[] = "/tmp/stance-spec-XXXXXX";
    if (mkdtemp(folder) == NULL) {
        perror("mkdtemp");
        return 1;
    }
    struct err err = {0};
    struct config *config = NULL;
    struct process process = {0};
    struct config_flag flags[] = {{"data", folder}, {"log_level", "error"}};
    int code = config_load(&config, flags, 2, &err);
    if (code == 0)
        code = process_open(&process, "spec", config, &err);
    process.services.program = find_program();
    struct db_options db = {.data_dir = folder};
    if (code == 0)
        code = db_open(&process.loop, &db, &process.services.db, &err);
    if (code == 0)
        code = process_read_scripts(config, &process.scripts, &err);
    if (code == 0)
        code = start(&process, argc, argv, &err);
    if (code != 0)
        fprintf(stderr, "stance-spec: %s\n", err.message);
    else {
        hang.process = &process;
        hang.loop = pthread_self();
        loop_post(&process.loop, take_signals, NULL);
        code = process_run(&process);
    }
    process_close(&process);
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return code != 0;
}
