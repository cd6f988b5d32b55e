/* link.h - framed messages between two processes over a Unix stream.
 *
 * A frame is a 13-byte header (payload size: 4 bytes little-endian; kind: 1 byte; id: 8 bytes
 * little-endian) and the payload, which this layer does not look into. Both sides may ask, answer,
 * and send events; both send a heartbeat from a loop timer, so that a loop that is stuck stops
 * beating. A frame that breaks the rules ends the link.
 *
 * The link owns its descriptor. All on the loop thread. Callbacks may call anything here, link_free
 * included; they are never called from within link_new, link_request, link_reply or
 * link_send_event. */
#ifndef STANCE_CORE_LINK_H
#define STANCE_CORE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/loop.h"

enum {
    LINK_MAX_PAYLOAD = 64 << 20, /* bytes of one frame, header not counted */
    LINK_MAX_BEAT = 256,         /* bytes of a heartbeat's payload */
};

struct link;

/* Any may be NULL. Payloads are valid during the call only. */
struct link_callbacks {
    /* The peer asks; answer once with link_reply, now or later. Without this callback it gets an
     * error reply. */
    void (*request)(struct link *link, uint64_t id, const char *payload, size_t size, void *arg);
    void (*event)(struct link *link, const char *payload, size_t size, void *arg);
    void (*beat)(struct link *link, const char *payload, size_t size, void *arg);
    /* Writes what our heartbeats carry; returns its size, at most `room`. */
    size_t (*fill_beat)(struct link *link, char *payload, size_t room, void *arg);
    /* Once, after the answers of all pending requests, when the link ended by itself; not after
     * link_free. The error is ERR_CLOSED for an end between frames, ERR_CORRUPT for one inside a
     * frame or a malformed one, else the system's. */
    void (*closed)(struct link *link, const struct err *err, void *arg);
};

struct link_options {
    struct link_callbacks callbacks;
    void *arg;
    double beat_seconds; /* between our heartbeats; 0: 1 s; < 0: none */
    /* Unsent bytes beyond which requests and events are refused; 0: LINK_MAX_PAYLOAD. */
    size_t queue_budget;
};

/* On a connected stream socket, which the link owns from here on (closed on failure too). */
int link_new(struct loop *loop, int fd, const struct link_options *options, struct link **out,
             struct err *err);

/* To a listening socket by path. Frames may be sent at once; a refusal arrives as `closed`. */
int link_connect(struct loop *loop, const char *path, const struct link_options *options,
                 struct link **out, struct err *err);

/* Ends it now: pending requests are answered with ERR_CLOSED before this returns, unsent frames are
 * dropped. */
void link_free(struct link *link);

/* How a request ended, exactly once: `err` set when no reply came (ERR_CLOSED, ERR_TIMEOUT), else
 * the reply, `ok` being what the peer gave to link_reply. */
typedef void (*link_answer)(const struct err *err, bool ok, const char *payload, size_t size,
                            void *arg);

/* Sends a request and returns its id. timeout in seconds, <= 0: none. 0 and `err` (ERR_CLOSED,
 * ERR_TOO_LARGE, ERR_BUSY over the budget): not sent, and `answer` is never called. */
uint64_t link_request(struct link *link, const void *payload, size_t size, double timeout,
                      link_answer answer, void *arg, struct err *err);

/* The answer is no longer wanted and will not be called. Unknown ids are ignored. */
void link_forget(struct link *link, uint64_t id);

/* Replies are taken over the budget too; a peer that asks and does not read until twice the budget
 * waits loses the link. */
int link_reply(struct link *link, uint64_t id, bool ok, const void *payload, size_t size,
               struct err *err);
int link_send_event(struct link *link, const void *payload, size_t size, struct err *err);

/* loop_seconds() when the peer last showed a sign of life: its heartbeat, or any other byte that
 * its loop wrote. */
double link_last_beat(const struct link *link);

bool link_is_open(const struct link *link);
size_t link_pending(const struct link *link); /* requests of ours without an answer */
size_t link_queued(const struct link *link);  /* bytes not yet taken by the system */

#endif
