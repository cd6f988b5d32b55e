/* render_params.h - what `stance render` is asked to draw: the options that are parameters of the
 * workflow, and the JSON object that they become. What was not given is left to the workflow.
 *
 * The values lie in one static struct: one command line a process. */
#ifndef STANCE_CLI_RENDER_PARAMS_H
#define STANCE_CLI_RENDER_PARAMS_H

#include <jansson.h>

#include "cli/options.h"

enum { RENDER_OPTIONS_MAX = 40 };

/* Fills in the options; returns how many. */
size_t render_options(struct option options[RENDER_OPTIONS_MAX]);

/* The parameters after options_parse. NULL: *code is OPTIONS_GO_ON when nobody is to be drawn, else
 * the exit code, and what makes no sense is said. */
json_t *render_params(char **files, int count, int *code);

#endif
