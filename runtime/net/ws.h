/* ws.h - WebSockets of both sides: whole messages in and out, with limits (RFC 6455).
 *
 * A server's come from net_request_upgrade, a client's from ws_connect. Messages are put together
 * up to message_limit (else closed with 1009), text is checked for UTF-8 (else 1007). What the peer
 * does not take yet is queued up to send_budget bytes; a peer slower than that is closed with 1008,
 * or loses the oldest waiting messages when drop_oldest is set. Pings go out every ping_interval; a
 * peer silent for two of them is cut.
 *
 * A `struct ws` lives until its `closed` callback. Loop thread. */
#ifndef STANCE_NET_WS_H
#define STANCE_NET_WS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/loop.h"

struct ws;

struct ws_ops {
    void (*opened)(struct ws *ws, void *user);
    void (*message)(struct ws *ws, const char *bytes, size_t size, bool binary, void *user);
    void (*drained)(struct ws *ws, void *user); /* nothing is queued any more; may be NULL */
    /* Last, once. code: the close frame's, 1005 when it had none, 1006 when the connection broke.
     */
    void (*closed)(struct ws *ws, int code, const char *reason, void *user);
};

struct ws_limits {
    const struct ws_ops *ops;
    void *user;
    size_t message_limit; /* bytes; 0: 1 MiB */
    size_t send_budget;   /* bytes; 0: 1 MiB */
    bool drop_oldest;
    double ping_interval; /* seconds; 0: 20; negative: none */
};

struct ws_target {
    const char *url;            /* ws://host:port/path?query */
    const char *protocols;      /* "pose.v1.bin, pose.v1"; NULL: none */
    const char *const *headers; /* names and values in turn, NULL-ended; may be NULL */
    double timeout;             /* seconds until `opened`; 0: 10 */
};

/* `opened` or `closed` follows. ERR_INVALID for a bad URL, ERR_UNSUPPORTED for wss. */
int ws_connect(struct loop *loop, const struct ws_target *target, const struct ws_limits *limits,
               struct ws **out, struct err *err);

/* Takes the message whole. ERR_CLOSED after the end began; ERR_INVALID for text that is no UTF-8;
 * ERR_TOO_LARGE when the peer was too slow and is being closed for it. */
int ws_send(struct ws *ws, const char *bytes, size_t size, bool binary);

/* code: 1000..1011 or 3000..4999, what libwebsockets' peers accept. Sends what is queued, then the
 * close frame; cuts after 5 s without an answer. The reason is cut at 123 bytes. */
void ws_close(struct ws *ws, int code, const char *reason);

/* Cuts at once; `closed` (1006) comes before it returns. */
void ws_kill(struct ws *ws);

size_t ws_buffered(const struct ws *ws); /* bytes queued */
const char *ws_remote(const struct ws *ws);
const char *ws_protocol(const struct ws *ws); /* the subprotocol agreed on, "" when none */
void ws_pause(struct ws *ws);                 /* no `message` until resumed */
void ws_resume(struct ws *ws);

#endif
