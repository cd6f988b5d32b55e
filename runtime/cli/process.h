/* process.h - what `serve` and `worker` share: settings from the command line, the services, the
 * script VM, signals.
 *
 * The order is: process_options, process_open, process_start, process_run, process_close. One
 * thread. */
#ifndef STANCE_CLI_PROCESS_H
#define STANCE_CLI_PROCESS_H

#include <limits.h>

#include "bind/modules.h"
#include "cli/options.h"
#include "core/config.h"
#include "core/scripts.h"

struct process {
    struct loop loop;
    struct services services;
    struct config *config;
    struct scripts *scripts; /* of `vm` */
    struct vm *vm;           /* a worker's; the host's belong to services.generations */
    char lua_dir[PATH_MAX];  /* the built-in scripts on disk */
    uv_signal_t signals[3];
    uv_timer_t drain;
    int stops; /* how often we were asked to end */
};

/* Parses `own` (may be NULL) plus one flag a setting into `config`; no operands. Returns
 * OPTIONS_GO_ON or the exit code. */
int process_options(const struct usage *usage, const struct option *own, int argc, char **argv,
                    struct config **config);

/* Data folder, objects, roots, and for the role "host" the database. Takes over `config`. */
int process_open(struct process *process, const char *role, struct config *config, struct err *err);

/* The folders that scripts come from: built-in ones, policies (or NULL), workspace (or NULL). */
struct script_folders {
    char lua[PATH_MAX], policies[PATH_MAX + 16];
    const char *list[4]; /* those that are there, in this order; ends with NULL */
    const char *workspace;
    bool has_policies;
};
/* `workspace` may be NULL or not there. */
int process_script_folders(const char *workspace, struct script_folders *folders, struct err *err);
int process_read_folders(const struct script_folders *folders, struct scripts **out,
                         struct err *err);

/* Grants what the setting read_roots names. */
int process_grant_reading(struct roots *roots, const struct config *config, struct err *err);

/* The scripts on disk, once no file has changed for a moment. Any thread. */
int process_read_scripts(const struct config *config, struct scripts **out, struct err *err);

/* Where the built-in scripts are: $STANCE_LUA, or beside the program. `size` bytes. */
int process_lua_dir(char *folder, size_t size, struct err *err);

/* Listens for consoles, where the setting `socket` says. */
int process_open_console(struct process *process, struct err *err);
void process_socket_path(const struct config *config, char *path, size_t size);

/* Makes the VM of process->scripts and runs boot.lua in a fiber; `ended` as in fiber_start. */
int process_start(struct process *process, const struct vm_options *options, fiber_ended ended,
                  struct err *err);

/* Until SIGTERM, SIGINT or host.stop; returns the exit code. */
int process_run(struct process *process);
void process_close(struct process *process);

#endif
