/* console.h - the host's console socket: clients, their requests, and interrupts that reach a loop
 * that is stuck.
 *
 * A thread of its own accepts and reads all consoles, so that an interrupt is heard while the loop
 * thread computes: it stops the guard of that request at once (core/guard.h). All else is handed to
 * the loop: the callbacks run there, and all functions here are for the loop thread.
 *
 * Only who may open the socket (mode 0600) and runs as our user, or as root, is let in. */
#ifndef STANCE_NET_CONSOLE_H
#define STANCE_NET_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/loop.h"
#include "net/console_frame.h"

struct console;
struct console_session; /* one connected client */
struct guard;

enum {
    CONSOLE_SESSIONS_MAX = 16,
    CONSOLE_QUEUE_MAX = 16 << 20, /* unread bytes beyond which outputs are dropped, and
                                     who is still refused things is cut off */
};

struct console_peer {
    unsigned uid;
    int pid;
    char user[64];   /* "" when the system knows no name */
    unsigned number; /* of the session, from 1 */
};

/* The payload is valid during the call only. */
struct console_callbacks {
    /* Answer once with console_answer, now or later; there is no further request before that. */
    void (*request)(struct console_session *session, uint32_t id, const char *payload, size_t size,
                    void *arg);
    /* Its guard was stopped already; what remains is to end its waits. */
    void (*interrupt)(struct console_session *session, uint32_t id, void *arg);
    void (*drained)(struct console_session *session, void *arg); /* see console_wait_drained */
    /* The client is gone; guards were stopped. The session is freed when this returns. */
    void (*closed)(struct console_session *session, void *arg);
};

/* Listens at `path`. A socket that nobody listens on any more is replaced; ERR_BUSY when somebody
 * does, ERR_EXISTS when the path is no socket, ERR_INVALID when it is too long for one. */
int console_open(struct loop *loop, const char *path, const struct console_callbacks *callbacks,
                 void *arg, struct console **out, struct err *err);

/* Disconnects all (`closed` follows from the loop, at the latest in loop_deinit) and removes the
 * socket. NULL-safe. */
void console_close(struct console *console);

const struct console_peer *console_peer(const struct console_session *session);
void console_set_user(struct console_session *session, void *user);
void *console_user(const struct console_session *session);

/* The request runs under this guard from now on: its interrupt, had it come already, stops it. The
 * session keeps the guards of its last requests, for what those left running. */
void console_set_guard(struct console_session *session, uint32_t id, struct guard *guard);
bool console_has_guard(const struct console_session *session, const struct guard *guard);

/* Whether an interrupt of the present request has come, or the client is gone: known here before
 * the loop hears of it. */
bool console_interrupted(struct console_session *session);

/* ERR_CLOSED when the client is gone, ERR_BUSY when it reads too slowly: the text is dropped. */
int console_output(struct console_session *session, uint32_t id, const char *text, size_t size);
void console_answer(struct console_session *session, uint32_t id, const char *json, size_t size);
size_t console_queued(struct console_session *session); /* bytes that it has not read */

/* Calls `drained` once, when all that is queued was read. */
void console_wait_drained(struct console_session *session);

#endif
