/* params.h - a job's parameters from a command line. The functions say on stderr what makes no
 * sense and return an exit code. */
#ifndef STANCE_CLI_PARAMS_H
#define STANCE_CLI_PARAMS_H

#include <jansson.h>
#include <stdbool.h>

/* A value as people write it: JSON where it is JSON (8, true, [512,512]), else text. NULL: not
 * UTF-8. */
json_t *params_value(const char *text);

/* Adds "name=value" to the object. */
int params_add(json_t *params, const char *pair);

/* A JSON object from a file, or "-" for standard input; NULL: said. */
json_t *params_read(const char *from);

#endif
