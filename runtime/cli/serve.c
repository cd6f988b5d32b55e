/* serve.c - `stance serve`: the host process. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/process.h"
#include "core/log.h"
#include "core/notify.h"

static long ready_fd = -1;

/* Tells a parent by the descriptor it gave, and a person by what to try. */
static void say_ready(struct services *services, const char *url) {
    if (ready_fd >= 0) {
        dprintf((int)ready_fd, "{\"url\":\"%s\"}\n", url);
        close((int)ready_fd);
        ready_fd = -1;
    }
    char status[300];
    snprintf(status, sizeof status, "listening on %s", url);
    notify_ready(status);
    log_info("host", "listening on %s, data in %s, up in %.0f ms", url, services->data_dir,
             (loop_seconds() - services->started) * 1000);
    if (!isatty(STDERR_FILENO))
        return;
    bool elsewhere = strcmp(url, CLIENT_DEFAULT_URL) != 0; /* where commands would not look */
    out_note("\n  Try, in another terminal:\n"
             "%s%s%s"
             "    stance render mannequin --wait     labelled pictures of the built-in character\n"
             "    stance status                      how the host is doing\n"
             "    curl %s/api/jobs\n"
             "  Ctrl-C stops the host; accepted jobs go on at the next start.\n",
             elsewhere ? "    export STANCE_URL=" : "", elsewhere ? url : "", elsewhere ? "\n" : "",
             url);
}

static int run(struct process *process) {
    struct err err;
    int code = notify_start(&process->loop, &err);
    if (code == 0)
        code = process_read_scripts(process, &err);
    if (code == 0)
        code = process_start(process, &err);
    if (code != 0)
        return out_fail(EXIT_FAILED, "%s", err.message);
    return process_run(process);
}

int cli_serve(int argc, char **argv) {
    const struct option own[] = {
        {"ready-fd", 0, OPTION_INTEGER, &ready_fd, "N",
         "write {\"url\": ...} to this descriptor when requests are answered"},
        {0},
    };
    const struct usage usage = {
        .command = "serve",
        .examples = "  stance serve                              on http://127.0.0.1:5001\n"
                    "  stance serve --data /srv/stance --workers 4\n"
                    "  STANCE_LISTEN=127.0.0.1:8080 stance serve --workspace ./scripts\n",
        .about = "Runs the host: HTTP API, durable job queue, worker processes. SIGTERM or Ctrl-C "
                 "puts running\n"
                 "jobs back and stops; a second one stops at once. Accepted jobs survive either.",
    };
    struct config *config = NULL;
    int code = process_options(&usage, own, argc, argv, &config);
    if (code != OPTIONS_GO_ON)
        return code;
    struct process process;
    struct err err;
    code = process_open(&process, "host", config, &err);
    process.services.ready = say_ready;
    if (code != 0)
        code = out_fail(code == ERR_UNSUPPORTED ? EXIT_CONFIG : EXIT_FAILED, "%s", err.message);
    else
        code = run(&process);
    process_close(&process);
    return code;
}
