/* jobs.h - what the commands do with one job: submit it, follow it, tell how it went, fetch what it
 * made.
 *
 * The functions say on stderr what goes wrong and return an exit code. */
#ifndef STANCE_CLI_JOBS_H
#define STANCE_CLI_JOBS_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/client.h"

/* *manifest becomes the caller's reference. `key` (the Idempotency-Key) may be NULL. */
int jobs_submit(struct client *client, const json_t *submission, const char *key,
                json_t **manifest);

int jobs_get(struct client *client, const char *job_id, json_t **manifest);

/* Waits until the job has ended, with bars on stderr while it runs when `bars`. `seconds` > 0
 * limits the wait (EXIT_TIMEOUT). EXIT_OK and the last manifest whichever way it ended. */
int jobs_follow(struct client *client, const char *job_id, bool bars, double seconds,
                json_t **manifest);

/* How the job ended: EXIT_OK, EXIT_JOB_FAILED, or EXIT_FAILED when it made something but not all;
 * says why. */
int jobs_verdict(const json_t *manifest);

/* The fields of one job, for people. */
void jobs_print(const json_t *manifest);

/* Where a job's files go: `output`, or stance-output/ID. malloc'ed; NULL, said, for an id that
 * would leave it. */
char *jobs_folder(const char *job_id, const char *output);

/* Brings the artifacts into `output`, NULL: stance-output/ID. Tells where, or prints one JSON
 * object. */
int jobs_download(struct client *client, const char *job_id, const char *output, bool force,
                  bool json);

/* From now on SIGINT and SIGTERM end the requests of `client` instead of the process. */
void jobs_catch_interrupt(struct client *client);
bool jobs_interrupted(void);

/* A field as text, "" when it is not there. Borrowed. */
const char *jobs_text(const json_t *manifest, const char *field);

/* Is this the status of a job that has ended? */
bool jobs_ended(const char *status);

#endif
