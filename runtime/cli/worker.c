/* worker.c - `stance worker`: runs workflows of one generation for the host that started it.
 *
 * The link to the host is descriptor 3. The scripts come from the host, not from disk: they may
 * have changed there since. */
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bind/lua_host.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/process.h"
#include "core/child.h"
#include "core/log.h"
#include "core/trial.h"

static int add_scripts(struct scripts *scripts, json_t *list, struct err *err) {
    size_t i;
    json_t *item;
    int code = 0;
    json_array_foreach(list, i, item) {
        json_t *text = json_object_get(item, "text");
        const char *path = json_string_value(json_object_get(item, "path"));
        const char *origin = json_string_value(json_object_get(item, "origin"));
        if (path == NULL || !json_is_string(text))
            return err_set(err, ERR_CORRUPT, "the host sent a script without path or text");
        code = scripts_add(scripts, path, json_string_value(text), json_string_length(text),
                           origin ? origin : path, err);
        if (code != 0)
            break;
    }
    return code ? code : scripts_seal(scripts, err);
}

static int take_scripts(struct process *process, const char *payload, size_t size,
                        struct err *err) {
    json_error_t why;
    json_t *answer = json_loadb(payload, size, 0, &why);
    const char *message =
        json_string_value(json_object_get(json_object_get(answer, "err"), "message"));
    int code = 0;
    if (answer == NULL)
        code = err_set(err, ERR_CORRUPT, "the host's answer is no JSON: %s", why.text);
    else if (message != NULL)
        code = err_set(err, ERR_NOT_FOUND, "%s", message);
    else if ((code = scripts_begin(&process->scripts, err)) == 0)
        code = add_scripts(process->scripts, json_object_get(answer, "ok"), err);
    json_decref(answer);
    return code;
}

static void boot_ended(struct fiber *fiber, lua_State *co, int count, const struct err *err,
                       void *arg) {
    (void)fiber, (void)co, (void)count;
    struct process *process = arg;
    if (err == NULL)
        return;
    log_error("worker", "cannot start: %s", err->message);
    log_debug("worker", "%s", vm_traceback(process->vm));
    process->services.exit_code = EXIT_FAILED;
    loop_stop(&process->loop);
}

static int start(struct process *process, struct err *err) {
    struct vm_options options = {
        .name = "worker",
        .memory_limit = (size_t)config_int(process->config, "vm_memory"),
        .jit = true,
        .scripts = process->scripts,
        .modules = bind_modules,
        .host = &process->services,
    };
    return process_start(process, &options, boot_ended, err);
}

static void on_scripts(const struct err *err, bool ok, const char *payload, size_t size,
                       void *arg) {
    struct process *process = arg;
    struct err local;
    if (err == NULL && !ok)
        err_set(&local, ERR_UPSTREAM, "%.*s", (int)(size < 300 ? size : 300), payload);
    else if (err != NULL)
        local = *err;
    else if (take_scripts(process, payload, size, &local) == 0 && start(process, &local) == 0)
        return;
    log_error("worker", "cannot start: %s", local.message);
    process->services.exit_code = EXIT_FAILED;
    loop_stop(&process->loop);
}

static int open_link(struct process *process, const char *generation, struct err *err) {
    struct link_options options = {.callbacks = lua_host_link_callbacks, .arg = &process->services};
    int code = link_new(&process->loop, CHILD_LINK_FD, &options, &process->services.link, err);
    if (code != 0)
        return code;
    char request[128];
    int size = snprintf(request, sizeof request, "{\"op\":\"scripts\",\"generation\":\"%.64s\"}",
                        generation);
    return link_request(process->services.link, request, (size_t)size, 30, on_scripts, process, err)
               ? 0
               : err->code;
}

/* -- A trial ----------------------------------------------------------------------------------- */

static void told(void *arg) {
    struct process *process = arg;
    loop_stop(&process->loop);
}

static void tell(struct process *process, const char *reason) {
    struct err err;
    if (process->services.link == NULL ||
        trial_tell(process->services.link, reason, told, process, &err) != 0)
        loop_stop(&process->loop);
}

/* boot.lua returns what is wrong, as text, or nothing. */
static void trial_ended(struct fiber *fiber, lua_State *co, int count, const struct err *err,
                        void *arg) {
    (void)fiber;
    if (err != NULL)
        tell(arg, err->message);
    else
        tell(arg, count > 0 ? lua_tostring(co, -count) : NULL);
}

static void try_scripts(struct scripts *scripts, const struct err *err, void *arg) {
    struct process *process = arg;
    struct err why = err ? *err : (struct err){0};
    process->scripts = scripts;
    struct vm_options options = {
        .name = "trial",
        .memory_limit = (size_t)config_int(process->config, "load_memory"),
        .scripts = scripts,
        .modules = bind_modules,
        .host = &process->services,
        .guard_seconds = config_number(process->config, "load_slice"),
    };
    if (scripts == NULL || process_start(process, &options, trial_ended, &why) != 0)
        tell(process, why.message);
}

static int open_trial(struct process *process, struct err *err) {
    struct link_options options = {.callbacks = lua_host_link_callbacks, .arg = &process->services};
    int code = link_new(&process->loop, CHILD_LINK_FD, &options, &process->services.link, err);
    return code ? code : trial_take_scripts(process->services.link, try_scripts, process, err);
}

int cli_worker(int argc, char **argv) {
    long index = 0;
    bool trial = false;
    const char *generation = "";
    const struct option own[] = {
        {"index", 0, OPTION_INTEGER, &index, "N", "number of this worker"},
        {"trial", 0, OPTION_FLAG, &trial, NULL,
         "only load and check the scripts, and say how it went"},
        {"generation", 0, OPTION_TEXT, &generation, "NAME", "the scripts it runs"},
        {0},
    };
    const struct usage usage = {
        .command = "worker",
        .examples = "  stance serve --workers 4       starts four of these\n",
        .about = "Runs workflows for the host that started it, over descriptor 3. Not for calling "
                 "by hand.",
    };
    struct config *config = NULL;
    int code = process_options(&usage, own, argc, argv, &config);
    if (code != OPTIONS_GO_ON)
        return code;
    if (fcntl(CHILD_LINK_FD, F_GETFD) < 0) {
        config_free(config);
        return out_fail(EXIT_USAGE, "a worker is started by its host (`stance serve --workers N`)");
    }
    struct process process;
    struct err err;
    code = process_open(&process, trial ? "trial" : "worker", config, &err);
    process.services.worker_index = (int)index;
    if (trial)
        log_configure(LOG_ERROR, LOG_AUTO); /* what it finds, the host says */
    signal(SIGHUP, SIG_IGN); /* a terminal sends it to all; it is the host's to reload */
    if (code == 0)
        code = trial ? open_trial(&process, &err) : open_link(&process, generation, &err);
    if (code != 0)
        code = out_fail(EXIT_FAILED, "%s", err.message);
    else
        code = process_run(&process);
    process_close(&process);
    return code;
}
