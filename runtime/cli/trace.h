/* trace.h - `stance job trace`: a job's timeline as text. */
#ifndef STANCE_CLI_TRACE_H
#define STANCE_CLI_TRACE_H

#include <jansson.h>

/* What GET /api/jobs/ID/trace answered, a line an entry, with a bar where something took time. */
void trace_print(const json_t *trace);

#endif
