/* probe.h - what this executable and this machine are, for `version` and `doctor`. */
#ifndef STANCE_CLI_PROBE_H
#define STANCE_CLI_PROBE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The libraries in use and their versions: {"libuv": "1.44.2", ...}. The caller's reference. */
json_t *probe_libraries(void);

/* Writes what draws with `backend` ("cpu (avx512)"), or why nothing does; tells which. */
bool probe_kernels(const char *backend, char *text, size_t size);

/* Whether libwebsockets can run on libev. */
bool probe_event_library(void);

#endif
