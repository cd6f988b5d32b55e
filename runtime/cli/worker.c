/* worker.c - `stance worker`: runs workflows of one generation for the host that started it.
 *
 * The link to the host is descriptor 3. The scripts come from the host, not from disk: they may
 * have changed there since. */
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bind/lua_host.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/process.h"
#include "core/child.h"
#include "core/log.h"

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

static void on_scripts(const struct err *err, bool ok, const char *payload, size_t size,
                       void *arg) {
    struct process *process = arg;
    struct err local;
    if (err == NULL && !ok)
        err_set(&local, ERR_UPSTREAM, "%.*s", (int)(size < 300 ? size : 300), payload);
    else if (err != NULL)
        local = *err;
    else if (take_scripts(process, payload, size, &local) == 0 &&
             process_start(process, &local) == 0)
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

int cli_worker(int argc, char **argv) {
    long index = 0;
    const char *generation = "";
    const struct option own[] = {
        {"index", 0, OPTION_INTEGER, &index, "N", "number of this worker"},
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
    code = process_open(&process, "worker", config, &err);
    process.services.worker_index = (int)index;
    if (code == 0)
        code = open_link(&process, generation, &err);
    if (code != 0)
        code = out_fail(EXIT_FAILED, "%s", err.message);
    else
        code = process_run(&process);
    process_close(&process);
    return code;
}
