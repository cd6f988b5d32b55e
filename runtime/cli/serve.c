/* serve.c - `stance serve`: the host process. */
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/process.h"
#include "core/generations.h"
#include "core/log.h"
#include "core/notify.h"
#include "core/watch.h"
#include "store/db.h"

enum { TRIAL_ARGUMENTS_MAX = 64, SETTLED_MS = 1500 };

static long ready_fd = -1;
static bool is_up;

/* Code and constants that only the start needed stay in memory until somebody asks for the pages;
 * what is still in use comes back from the page cache at its next use. */
static int drop_pages(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size;
    uintptr_t page = *(const uintptr_t *)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t begin = (info->dlpi_addr + part->p_vaddr) & ~(page - 1);
        uintptr_t end = info->dlpi_addr + part->p_vaddr + part->p_memsz;
        if (part->p_type == PT_LOAD && (part->p_flags & PF_W) == 0 && end > begin)
            madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
    return 0;
}

/* Starting, and handing the scripts to workers, took more memory than running does. */
static void give_back(uv_timer_t *timer) {
    (void)timer;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    malloc_trim(0);
    dl_iterate_phdr(drop_pages, &page);
}

/* Tells a parent by the descriptor it gave, and a person by what to try. */
static void say_ready(struct services *services, const char *url) {
    if (is_up) /* a later generation */
        return;
    is_up = true;
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
    static uv_timer_t settled;
    uv_timer_init(&services->loop->uv, &settled);
    uv_timer_start(&settled, give_back, SETTLED_MS, 0);
    uv_unref((uv_handle_t *)&settled);
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

/* -- Scripts ----------------------------------------------------------------------------------- */

/* What goes on around the generations of one host. */
struct host {
    struct process process;
    struct scripts *kept; /* read from the database */
    struct watch *watch;
    const char *trial_arguments[TRIAL_ARGUMENTS_MAX];
    char *trial_flags[TRIAL_ARGUMENTS_MAX];
};

static int read_scripts(void *arg, struct scripts **out, struct err *err) {
    const struct host *host = arg;
    return process_read_scripts(host->process.config, out, err);
}

/* The first generation could not take up its work: there is no host. */
static void broken(void *arg, const struct err *err, const char *traceback) {
    struct host *host = arg;
    log_error("host", "cannot start: %s", err->message);
    log_debug("host", "%s", traceback);
    if (is_up)
        return;
    host->process.services.exit_code = EXIT_FAILED;
    loop_stop(&host->process.loop);
}

/* -- The last resort at a start: the scripts that were active last, as the database keeps them ----
 */

static const char last_sql[] =
    "SELECT entry.key, scripts.text FROM (SELECT manifest FROM generations"
    " ORDER BY activated_at DESC LIMIT 1) AS last, json_each(last.manifest) AS entry"
    " JOIN scripts ON scripts.hash = entry.value";

static int add_kept(struct scripts *scripts, const struct db_rows *rows, struct err *err) {
    int code = 0;
    for (size_t i = 0; code == 0 && i < db_rows_count(rows); i++) {
        const struct db_value *path = db_rows_at(rows, i, 0), *text = db_rows_at(rows, i, 1);
        code = scripts_add(scripts, path->bytes.data, text->bytes.data, text->bytes.size,
                           path->bytes.data, err);
    }
    return code ? code : scripts_seal(scripts, err);
}

static void read_kept(void *arg) {
    struct host *host = arg;
    struct db_transaction *query = db_transaction_new();
    struct err err;
    host->kept = NULL;
    if (query != NULL && db_transaction_add(query, last_sql, NULL, 0, false, DB_ANY, &err) == 0 &&
        db_read(host->process.services.db, query, &err) == 0 &&
        db_rows_count(db_transaction_rows(query, 0)) > 0 && scripts_begin(&host->kept, &err) == 0 &&
        add_kept(host->kept, db_transaction_rows(query, 0), &err) != 0) {
        scripts_free(host->kept);
        host->kept = NULL;
    }
    db_transaction_free(query);
}

static void give_up(struct host *host) {
    host->process.services.exit_code = EXIT_FAILED; /* the log has said why */
    loop_stop(&host->process.loop);
}

static void kept_loaded(const struct load *load, void *arg) {
    struct host *host = arg;
    if (load->reason != NULL)
        give_up(host);
}

static void kept_read(void *arg) {
    struct host *host = arg;
    struct load_request request = {.trigger = "restore",
                                   .scripts = host->kept,
                                   .no_trial = true,
                                   .ended = kept_loaded,
                                   .arg = host};
    struct err err;
    if (host->kept == NULL) {
        give_up(host);
        return;
    }
    log_warn("host", "taking the scripts that were active last instead; mend the files");
    if (generations_load(host->process.services.generations, &request, &err) != 0)
        give_up(host);
}

static void first_loaded(const struct load *load, void *arg) {
    struct host *host = arg;
    if (load->reason != NULL)
        loop_work(&host->process.loop, read_kept, kept_read, host);
}

/* -- Changes ----------------------------------------------------------------------------------- */

static void on_change(void *arg) {
    struct host *host = arg;
    struct load_request request = {.trigger = "change"};
    struct err err;
    if (generations_load(host->process.services.generations, &request, &err) != 0)
        log_warn("host", "%s", err.message);
}

static int start_generations(struct host *host, struct err *err) {
    struct process *process = &host->process;
    const struct config *config = process->config;
    const char *own[] = {"worker", "--trial"};
    memcpy(host->trial_arguments, own, sizeof own);
    config_to_flags(config, host->trial_arguments, 2, TRIAL_ARGUMENTS_MAX, host->trial_flags);
    struct generations_options options = {
        .loop = &process->loop,
        .vm = {.name = "host", .jit = true, .modules = bind_modules, .host = &process->services},
        .read = read_scripts,
        .broken = broken,
        .arg = host,
        .trial_arguments = host->trial_arguments,
        .slice_seconds = config_number(config, "load_slice"),
        .load_seconds = config_number(config, "load_timeout"),
        .load_memory = (size_t)config_int(config, "load_memory"),
        .drain = config_number(config, "reload_drain"),
    };
    int code = generations_new(&options, &process->services.generations, err);
    struct load_request request = {
        .trigger = "start", .no_trial = true, .ended = first_loaded, .arg = host};
    if (code == 0)
        code = generations_load(process->services.generations, &request, err);
    return code;
}

static int start_watch(struct host *host, struct err *err) {
    struct script_folders folders;
    if (config_bool(host->process.config, "no_watch"))
        return 0;
    int code =
        process_script_folders(config_string(host->process.config, "workspace"), &folders, err);
    return code ? code
                : watch_new(&host->process.loop, folders.list, on_change, host, &host->watch, err);
}

static int run(struct host *host) {
    struct err err;
    int code = notify_start(&host->process.loop, &err);
    if (code == 0)
        code = process_open_console(&host->process, &err);
    if (code == 0)
        code = start_generations(host, &err);
    if (code == 0)
        code = start_watch(host, &err);
    if (code != 0)
        return out_fail(EXIT_FAILED, "%s", err.message);
    return process_run(&host->process);
}

static void close_host(struct host *host) {
    watch_free(host->watch);
    process_close(&host->process);
    for (size_t i = 0; host->trial_flags[i] != NULL; i++)
        free(host->trial_flags[i]);
    free(host);
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
    struct host *host = calloc(1, sizeof *host);
    if (host == NULL) {
        config_free(config);
        return out_fail(EXIT_FAILED, "out of memory");
    }
    struct err err;
    code = process_open(&host->process, "host", config, &err);
    host->process.services.ready = say_ready;
    if (code != 0)
        code = out_fail(code == ERR_UNSUPPORTED ? EXIT_CONFIG : EXIT_FAILED, "%s", err.message);
    else
        code = run(host);
    close_host(host);
    return code;
}
