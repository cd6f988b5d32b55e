/* check_run.h - the dry run of `stance check --run`. */
#ifndef STANCE_CLI_CHECK_RUN_H
#define STANCE_CLI_CHECK_RUN_H

#include "cli/tool.h"

/* Runs a job of workflow `type` with what `given` says, {"params": {...}}, on a host in memory,
 * prints what came of it, and returns an exit code. */
int check_run(struct tool *tool, const struct config *config, struct scripts *scripts,
              const char *type, const char *given, bool json);

#endif
