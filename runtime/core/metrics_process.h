/* metrics_process.h - what Prometheus' client libraries tell of every process: memory, CPU time,
 * descriptors; and the same of a child. Any thread. */
#ifndef STANCE_CORE_METRICS_PROCESS_H
#define STANCE_CORE_METRICS_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/text.h"

/* Appends the process_ families, read from /proc; leaves out what the system does not tell. */
void metrics_put_process(struct text *out);

struct process_usage {
    double resident; /* bytes */
    double cpu_seconds;
    double threads;
};

/* False when there is no such process (any more). */
bool process_read_usage(pid_t pid, struct process_usage *out);

#endif
