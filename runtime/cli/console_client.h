/* console_client.h - the client's end of the console socket. Blocking; one thread. */
#ifndef STANCE_CLI_CONSOLE_CLIENT_H
#define STANCE_CLI_CONSOLE_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "core/err.h"

struct console_client;

struct console_client_options {
    /* Text that something printed. */
    void (*output)(void *arg, const char *text, size_t size);
    bool (*interrupted)(void); /* whether Ctrl-C came since the last call; may be NULL */
    void *arg;
};

/* ERR_NOT_FOUND when no host listens at `path`, ERR_DENIED when we may not. */
int console_client_open(const char *path, const struct console_client_options *options,
                        struct console_client **out, struct err *err);
void console_client_free(struct console_client *client); /* NULL-safe */
int console_client_fd(const struct console_client *client);

/* Sends a request and waits for its answer, which becomes the caller's; passes interrupts on.
 * ERR_CLOSED when the host goes away, ERR_BUSY when it does not answer an interrupt: its loop is
 * held by something else. */
int console_client_ask(struct console_client *client, const json_t *request, json_t **answer,
                       struct err *err);

/* Reads what is there: outputs that no request waits for. */
int console_client_listen(struct console_client *client, struct err *err);

#endif
