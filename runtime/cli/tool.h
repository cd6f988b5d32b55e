/* tool.h - scripts run by a command itself, without a host: `stance check`, `test`, `new`,
 * `doctor`.
 *
 * A tool has a loop and the folders that scripts may reach, no database and no data folder. Each
 * call gets a fresh vm, a guard on it and a time by which it must be over, and is given up when it
 * is not: a script may be broken in any way. One tool a process; one thread. */
#ifndef STANCE_CLI_TOOL_H
#define STANCE_CLI_TOOL_H

#include <limits.h>

#include "bind/modules.h"
#include "core/config.h"
#include "core/scripts.h"

struct tool {
    struct loop loop;
    struct services services;
    uv_signal_t signals[2];
};

/* The settings, with the options --config and --workspace (each may be NULL) over them. Returns an
 * exit code, after saying what is wrong. */
int tool_config(const char *file, const char *workspace, struct config **out);

/* `config` is borrowed. `writable` (may be NULL): a folder that scripts may write to, named
 * "workspace"; they read what the settings grant. */
int tool_open(struct tool *tool, const struct config *config, const char *writable,
              struct err *err);
void tool_close(struct tool *tool);

struct tool_call {
    struct scripts *scripts;
    const char *module, *function; /* require(module)[function](argument) */
    const char *argument;          /* JSON text; NULL: null */
    bool unrestricted;             /* io, os and what is installed for Lua, too */
    size_t memory;                 /* bytes that the vm may take; 0: no limit */
    double slice;                  /* seconds that it may run without a pause; 0: any time */
    double seconds;                /* in all; 0: any time */
    bool interruptible;            /* SIGINT and SIGTERM cancel its fiber; a second one ends it */
    /* Called when it hangs where nothing can stop it but the end of the process, in a signal
     * handler: may write(2) and _exit. NULL: nothing is done about it. */
    void (*hangs)(void);
};

/* Runs it in a fiber. *result (free it) is what it returned, as JSON. ERR_CANCELLED when a second
 * signal ended it. */
int tool_call(struct tool *tool, const struct tool_call *call, char **result, struct err *err);

/* The built-in scripts with `workspace` (NULL, or not there: nothing) over them. */
int tool_read_scripts(const char *workspace, struct scripts **out, struct err *err);

/* The workspace that `path` (absolute) lies in: the one of the settings (may be NULL), else what
 * has the folder workflows/, api/, spec/, ... that it is, that it lies in or that lies beside its
 * own. False: there is none. */
bool tool_find_workspace(const char *path, const char *settled, char workspace[PATH_MAX]);

/* Is the file `origin` at `path` (absolute), or in a folder below it? */
bool tool_is_under(const char *origin, const char *path);

#endif
