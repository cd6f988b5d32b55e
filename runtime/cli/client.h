/* client.h - talks to a host over HTTP, for the commands. Blocking; one thread.
 *
 * Calls return an exit code (EXIT_OK: it worked) and keep the words for what went wrong, so that
 * `return client_report(client, code);` is all a command has to do. */
#ifndef STANCE_CLI_CLIENT_H
#define STANCE_CLI_CLIENT_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#define CLIENT_DEFAULT_URL "http://127.0.0.1:5001"

struct client;

/* `url` NULL: the setting `url` ($STANCE_URL), else where the settings let a host listen. Ends the
 * process when the settings are wrong. */
struct client *client_new(const char *url);
void client_free(struct client *client);
const char *client_url(const struct client *client);

/* How long an answer may take; 90 s where nothing is said. */
void client_set_patience(struct client *client, double seconds);

/* A request begun or under way ends with EXIT_FAILED soon after *flag becomes non-zero. */
void client_watch_interrupt(struct client *client, const volatile sig_atomic_t *flag);

/* `path` begins with "/". `body` may be NULL; so may `key` (the Idempotency-Key). *reply (may be
 * NULL) is the caller's reference, set on success only. */
int client_call(struct client *client, const char *method, const char *path, const json_t *body,
                const char *key, json_t **reply);
int client_get(struct client *client, const char *path, json_t **reply);

/* Hands each line of an NDJSON stream to `line` until it returns false or the host ends the stream;
 * EXIT_TIMEOUT after `seconds` (0: never). */
int client_lines(struct client *client, const char *path, double seconds,
                 bool (*line)(void *arg, const json_t *value), void *arg);

/* Hands a body to `chunk` as it arrives; a false ends the transfer with EXIT_FAILED. */
int client_bytes(struct client *client, const char *path,
                 bool (*chunk)(void *arg, const void *data, size_t size), void *arg);

/* The same of what a POST without a body answers. */
int client_post_bytes(struct client *client, const char *path,
                      bool (*chunk)(void *arg, const void *data, size_t size), void *arg);

/* Whether the last call failed because nobody listens there. */
bool client_refused(const struct client *client);

/* What the last call that failed said; "" before one has. */
const char *client_message(const struct client *client);

/* Prints that and returns `code`. */
int client_report(const struct client *client, int code);

/* "/api/jobs/ID" + tail, with ID escaped; malloc'ed. Ends the process when out of memory. */
char *client_job_path(const char *job_id, const char *tail);

/* `text` with all but letters, digits and -._~ escaped; slashes stay when `keep_slashes`.
 * malloc'ed. */
char *client_escape(const char *text, bool keep_slashes);

#endif
