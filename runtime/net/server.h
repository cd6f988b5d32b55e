/* server.h - the HTTP/1.1 server: requests in, answers out; no Lua.
 *
 * A server listens on one address. For each request whose head is read and allowed it calls
 * `request`, which attaches callbacks and answers then or later; bodies stream both ways. The
 * server itself answers what is malformed, too large, too slow, too many, addressed to a foreign
 * Host or sent from a foreign Origin, and CORS preflights of allowed ones.
 *
 * A `struct net_request` lives from `request` until its `over` callback. All on the loop thread; a
 * callback may answer or close at once. Errors are application/problem+json. */
#ifndef STANCE_NET_SERVER_H
#define STANCE_NET_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/loop.h"
#include "net/http_parse.h"

struct net_request;
struct net_server;
struct ws;
struct ws_limits;

struct net_server_options {
    const char *listen;       /* "127.0.0.1:5001", "[::1]:0"; port 0: any */
    const char *const *hosts; /* Host names answered to besides loopback's and the listen address;
                                 NULL-ended, may be NULL */
    const char *const
        *origins; /* "https://example.org": foreign origins allowed; NULL-ended, may be NULL */
    size_t header_limit;     /* bytes of a head; 0: 16 KiB */
    int64_t body_limit;      /* bytes of a request body; 0: 1 GiB */
    size_t connection_limit; /* 0: 10,000; beyond it 503; fewer where descriptors are scarce */
    unsigned request_limit;  /* requests on a connection; 0: 10,000 */
    double header_timeout;   /* seconds for a head; 0: 10 */
    double body_timeout;     /* seconds for each 64 KiB of a body; 0: 30 */
    double idle_timeout;     /* seconds between requests; 0: 60 */
    double write_timeout;    /* seconds a client may take nothing; 0: 60 */
    double handler_timeout;  /* seconds until `overdue`; 0: 60; negative: none */
    void (*request)(struct net_request *request, void *arg);
    void *arg;
};

/* Copies the options. ERR_INVALID for a bad address, ERR_EXISTS when it is taken. */
int net_server_open(struct loop *loop, const struct net_server_options *options,
                    struct net_server **out, struct err *err);

/* Who is asked from the next request on; those under way stay with who began them. */
void net_server_hand_over(struct net_server *server,
                          void (*request)(struct net_request *request, void *arg), void *arg);

/* Stops listening and cuts all connections; their `over` callbacks come before it returns, save
 * those of requests whose callback is calling it. */
void net_server_close(struct net_server *server);

/* "127.0.0.1:43211", with the port that was given. */
const char *net_server_address(const struct net_server *server);
size_t net_server_connections(const struct net_server *server);

/* -- Requests ---------------------------------------------------------------------------------- */

struct net_request_ops {
    void (*body)(struct net_request *request, const char *bytes, size_t size);
    void (*body_end)(struct net_request *request);
    void (*drained)(struct net_request *request); /* after net_request_write said to wait */
    void (*overdue)(
        struct net_request *request); /* handler_timeout passed without an answer; NULL: 504 */
    void (*over)(struct net_request *request,
                 bool whole); /* last, once; false: the client is gone */
};

/* All of `ops` but `over` may be NULL. Body callbacks begin after `request` returned. */
void net_request_attach(struct net_request *request, const struct net_request_ops *ops, void *user);
void *net_request_user(const struct net_request *request);

const struct http_head *net_request_head(const struct net_request *request);
const char *net_request_id(const struct net_request *request); /* X-Request-Id, or the trace id */
const char *net_request_traceparent(const struct net_request *request); /* of this hop, W3C */
const char *net_request_remote(const struct net_request *request);      /* "127.0.0.1:50312" */

/* The route that answers, for metrics ("/api/jobs/:id"); must outlive the process. */
void net_request_set_route(struct net_request *request, const char *route);

/* Lowers or raises the limit of this body. -1 and the request answered with 413 when the announced
 * length is above. */
int net_request_limit_body(struct net_request *request, int64_t limit);
bool net_request_has_body(const struct net_request *request);
void net_request_pause(struct net_request *request); /* no `body` until resumed */
void net_request_resume(struct net_request *request);

/* No more handler deadline: for answers that stay open on purpose. */
void net_request_no_deadline(struct net_request *request);

/* -- Answers ----------------------------------------------------------------------------------- */

struct net_header {
    const char *name, *value;
};

/* Each returns 0, or ERR_CLOSED when the request is answered already or its client is gone, or
 * ERR_INVALID for a header that would split the answer. Content-Length, Date, Connection,
 * X-Request-Id and the security headers are added. HEAD gets no body. */
int net_respond(struct net_request *request, int status, const struct net_header *headers,
                size_t header_count, const char *body, size_t size);

/* A problem+json of this status and code; 503 with Retry-After. */
int net_respond_problem(struct net_request *request, int status, const char *code,
                        const char *detail);

/* Streams: start (length -1: chunked), write, end. write returns 1 when the caller should wait for
 * `drained`. */
int net_respond_start(struct net_request *request, int status, const struct net_header *headers,
                      size_t header_count, int64_t length);
int net_respond_write(struct net_request *request, const char *bytes, size_t size);
int net_respond_end(struct net_request *request);

/* Sends `length` bytes of a file from `offset`, read on the pool. Owns `fd` from the call on. */
int net_respond_file(struct net_request *request, int status, const struct net_header *headers,
                     size_t header_count, int fd, int64_t offset, int64_t length);

/* Cuts the connection (a stream that failed midway). */
void net_request_abort(struct net_request *request);

/* Turns a request with head->websocket into a WebSocket that speaks `protocol` when the client
 * offers that (NULL: none). The request is over (whole). Returns NULL when the handshake failed; it
 * is answered then. See net/ws.h. */
struct ws *net_request_upgrade(struct net_request *request, const char *protocol,
                               const struct ws_limits *limits);

#endif
