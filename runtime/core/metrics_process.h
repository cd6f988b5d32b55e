/* metrics_process.h - what Prometheus' client libraries tell of every process: memory, CPU time,
 * descriptors. Private to metrics.c. Any thread. */
#ifndef STANCE_CORE_METRICS_PROCESS_H
#define STANCE_CORE_METRICS_PROCESS_H

#include "core/text.h"

/* Appends the process_ families, read from /proc; leaves out what the system does not tell. */
void metrics_put_process(struct text *out);

#endif
