#include "cli/tool.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "bind/lua_pose.h"
#include "cli/output.h"
#include "cli/process.h"
#include "core/guard.h"
#include "core/log.h"
#include "store/roots.h"

static const char runner[] = "local module, name, argument = ...\n"
                             "local json = require 'json'\n"
                             "local result = require(module)[name](json.decode(argument))\n"
                             "return json.encode(result == nil and json.null or result)\n";

/* -- Opening ----------------------------------------------------------------------------------- */

static int grant(struct tool *tool, const struct config *config, const char *writable,
                 struct err *err) {
    struct roots *roots = tool->services.roots = roots_new();
    if (roots == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int code = writable ? roots_add(roots, "workspace", writable, true, err) : 0;
    return code ? code : process_grant_reading(roots, config, err);
}

int tool_config(const char *file, const char *workspace, struct config **out) {
    struct config_flag flags[2];
    size_t count = 0;
    struct err err;
    if (file != NULL)
        flags[count++] = (struct config_flag){"config", file};
    if (workspace != NULL)
        flags[count++] = (struct config_flag){"workspace", workspace};
    if (config_load(out, flags, count, &err) != 0)
        return out_fail(EXIT_CONFIG, "%s", err.message);
    return EXIT_OK;
}

int tool_open(struct tool *tool, const struct config *config, const char *writable,
              struct err *err) {
    memset(tool, 0, sizeof *tool);
    log_configure(LOG_ERROR, LOG_AUTO); /* what a command says is its result, not its log */
    int code = loop_init(&tool->loop, err);
    if (code != 0)
        return code;
    for (size_t i = 0; i < sizeof tool->signals / sizeof *tool->signals; i++)
        uv_signal_init(&tool->loop.uv, &tool->signals[i]);
    tool->services = (struct services){.loop = &tool->loop,
                                       .config = (struct config *)config,
                                       .role = "tool",
                                       .data_dir = config_string(config, "data"),
                                       .started = loop_seconds()};
    return grant(tool, config, writable, err);
}

void tool_close(struct tool *tool) {
    lua_pose_free_pools(&tool->services);
    if (tool->services.loop != NULL)
        loop_deinit(&tool->loop);
    roots_free(tool->services.roots);
}

int tool_read_scripts(const char *workspace, struct scripts **out, struct err *err) {
    struct script_folders folders;
    int code = process_script_folders(workspace, &folders, err);
    return code ? code : process_read_folders(&folders, out, err);
}

/* -- Workspaces -------------------------------------------------------------------------------- */

/* Folders of a workspace whose scripts the host, or `stance test`, loads by itself. */
static const char *const folders[] = {"agents",   "api",      "doctor", "memory",   "pods",
                                      "policies", "retarget", "spec",   "workflows"};

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void cut_last_part(char *path) {
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        *slash = 0;
}

static bool is_script_folder(const char *path) {
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (strcmp(folders[i], last_part(path)) == 0)
            return true;
    return false;
}

bool tool_is_under(const char *origin, const char *path) {
    char real[PATH_MAX];
    size_t length = strlen(path);
    return realpath(origin, real) != NULL && strncmp(real, path, length) == 0 &&
           (real[length] == 0 || real[length] == '/');
}

static bool is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool holds_scripts(const char *folder) {
    char path[2 * PATH_MAX];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, folders[i]);
        if (is_folder(path))
            return true;
    }
    return false;
}

/* `folder` is one of a workspace's: what is above it. Specs mirror those folders. */
static bool take_above(char *folder, char workspace[PATH_MAX]) {
    if (!is_script_folder(folder))
        return false;
    cut_last_part(folder);
    if (strcmp(last_part(folder), "spec") == 0)
        cut_last_part(folder);
    snprintf(workspace, PATH_MAX, "%s", folder);
    return true;
}

bool tool_find_workspace(const char *path, const char *settled, char workspace[PATH_MAX]) {
    if (settled != NULL && realpath(settled, workspace) != NULL && tool_is_under(path, workspace))
        return true;
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    if (is_folder(path)) {
        if (take_above(folder, workspace))
            return true;
        cut_last_part(folder);
        if (strcmp(last_part(folder), "spec") == 0)
            return take_above(folder, workspace);
        snprintf(workspace, PATH_MAX, "%s", path);
        return holds_scripts(path);
    }
    cut_last_part(folder);
    if (take_above(folder, workspace))
        return true;
    cut_last_part(folder); /* a module beside those folders: lib/x.lua */
    snprintf(workspace, PATH_MAX, "%s", folder);
    return (!is_script_folder(folder) && holds_scripts(folder)) || take_above(folder, workspace);
}

/* -- Calling ----------------------------------------------------------------------------------- */

struct run {
    struct tool *tool;
    const struct tool_call *call;
    struct alarm *alarm;
    struct fiber *fiber;
    bool running, ended; /* the loop; the call */
    bool interrupted;
    char *result;
    struct err err;
};

static void end_run(struct run *run) {
    run->ended = true;
    if (run->running)
        loop_stop(&run->tool->loop);
}

static void call_ended(struct fiber *fiber, lua_State *co, int count, const struct err *err,
                       void *arg) {
    (void)fiber;
    struct run *run = arg;
    if (err != NULL)
        run->err = *err;
    else if (count > 0)
        run->result = strdup(lua_tostring(co, -1));
    end_run(run);
}

static void time_is_up(void *arg) {
    struct run *run = arg;
    run->alarm = NULL;
    err_set(&run->err, ERR_TIMEOUT, "waited for more than %g s", run->call->seconds);
    end_run(run);
}

static void (*on_hang)(void);

static void on_alarm(int number) {
    (void)number;
    on_hang();
}

/* Rings when neither the guard nor the loop's own timer could end the call. */
static void set_alarm(const struct tool_call *call, bool on) {
    if (call->hangs == NULL || call->seconds <= 0)
        return;
    on_hang = call->hangs;
    signal(SIGALRM, on ? on_alarm : SIG_DFL);
    double seconds = on ? call->seconds + 1 : 0;
    struct itimerval when = {.it_value.tv_sec = (time_t)seconds};
    setitimer(ITIMER_REAL, &when, NULL);
}

static void on_interrupt(uv_signal_t *handle, int number) {
    (void)number;
    struct run *run = handle->data;
    if (!run->interrupted && !run->ended) {
        run->interrupted = true;
        fiber_cancel(run->fiber, "interrupted");
        return;
    }
    err_set(&run->err, ERR_CANCELLED, "interrupted");
    end_run(run);
}

static void watch_interrupts(struct run *run, bool on) {
    static const int numbers[] = {SIGINT, SIGTERM};
    if (!run->call->interruptible)
        return;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uv_signal_t *handle = &run->tool->signals[i];
        handle->data = run;
        if (on)
            uv_signal_start(handle, on_interrupt, numbers[i]);
        else
            uv_signal_stop(handle);
    }
}

static int start(struct run *run, struct vm *vm, struct err *err) {
    const struct tool_call *call = run->call;
    lua_State *L = vm_lua(vm);
    if (luaL_loadbuffer(L, runner, sizeof runner - 1, "=tool") != 0)
        return err_set(err, ERR_INTERNAL, "%s", lua_tostring(L, -1));
    lua_pushstring(L, call->module);
    lua_pushstring(L, call->function);
    lua_pushstring(L, call->argument ? call->argument : "null");
    return fiber_start(L, 3, call->function, call_ended, run, &run->fiber, err);
}

int tool_call(struct tool *tool, const struct tool_call *call, char **result, struct err *err) {
    struct run run = {.tool = tool, .call = call};
    struct vm_options options = {.name = "tool",
                                 .memory_limit = call->memory,
                                 .jit = true,
                                 .unrestricted = call->unrestricted,
                                 .scripts = call->scripts,
                                 .modules = bind_modules,
                                 .host = &tool->services};
    struct vm *vm = NULL;
    int code = vm_new(&tool->loop, &options, &vm, err);
    if (code != 0)
        return code;
    struct guard *guard = call->slice > 0 ? guard_new(call->slice) : NULL;
    vm_set_guard(vm, guard);
    guard_release(guard);
    if (call->seconds > 0)
        run.alarm = alarm_start(&tool->loop, call->seconds, time_is_up, &run);
    set_alarm(call, true);
    watch_interrupts(&run, true);
    code = start(&run, vm, err);
    run.running = true;
    if (code == 0 && !run.ended)
        loop_run(&tool->loop);
    set_alarm(call, false);
    watch_interrupts(&run, false);
    alarm_stop(run.alarm);
    vm_free(vm);
    if (code != 0)
        return code;
    if (run.err.code != 0)
        return err_set(err, run.err.code, "%s", run.err.message);
    *result = run.result;
    return run.result ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
}
