/* request.c - what happens between a parsed head and the handler: checks, ids, the body's way in.
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "net/guard.h"
#include "net/server_private.h"
#include "net/ws_private.h"

/* -- Ids --------------------------------------------------------------------------------------- */

/* Ids only have to be unlike each other: seeded once, then splitmix64, so that a request needs no
 * system call. */
static uint64_t next_random(void) {
    static uint64_t state;
    if (state == 0 && getrandom(&state, sizeof state, 0) != sizeof state)
        state = uv_hrtime();
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void put_hex(char *out, uint64_t value) {
    for (int i = 15; i >= 0; i--, value >>= 4)
        out[i] = "0123456789abcdef"[value & 15];
}

static bool is_lower_hex(const char *at, size_t size) {
    bool zero = true;
    for (size_t i = 0; i < size; i++) {
        if (!((at[i] >= '0' && at[i] <= '9') || (at[i] >= 'a' && at[i] <= 'f')))
            return false;
        zero &= at[i] == '0';
    }
    return !zero; /* all zeroes is the invalid id */
}

/* W3C trace context, version 00: 00-{32 hex}-{16 hex}-{2 hex}. */
static bool is_traceparent(struct http_span span) {
    return span.size == 55 && memcmp(span.at, "00-", 3) == 0 && is_lower_hex(span.at + 3, 32) &&
           span.at[35] == '-' && is_lower_hex(span.at + 36, 16) && span.at[52] == '-' &&
           (is_lower_hex(span.at + 53, 2) || memcmp(span.at + 53, "00", 2) == 0);
}

static bool is_request_id(struct http_span span) {
    if (span.size == 0 || span.size >= ID_MAX)
        return false;
    for (size_t i = 0; i < span.size; i++) {
        char c = span.at[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              c == '-' || c == '_' || c == '.' || c == ':'))
            return false;
    }
    return true;
}

static void set_ids(struct net_request *r) {
    struct http_span trace = {0}, id = {0};
    for (size_t i = 0; i < r->head.header_count; i++) {
        const struct http_header *header = &r->head.headers[i];
        if (header->name.size == 11 && memcmp(header->name.at, "traceparent", 11) == 0)
            trace = header->value;
        else if (header->name.size == 12 && memcmp(header->name.at, "x-request-id", 12) == 0)
            id = header->value;
    }
    char *out = r->traceparent;
    memcpy(out, "00-", 3);
    if (is_traceparent(trace)) {
        memcpy(out + 3, trace.at + 3, 32);
        memcpy(out + 53, trace.at + 53, 2);
    } else {
        put_hex(out + 3, next_random());
        put_hex(out + 19, next_random());
        memcpy(out + 53, "01", 2);
    }
    out[35] = out[52] = '-';
    put_hex(out + 36, next_random());
    out[55] = 0;
    if (is_request_id(id)) {
        memcpy(r->id, id.at, id.size);
        r->id[id.size] = 0;
    } else {
        memcpy(r->id, out + 3, 32);
        r->id[32] = 0;
    }
}

/* -- Beginning --------------------------------------------------------------------------------- */

/* Everything but the head, which is parsed (or zeroed) already. */
void request_prepare(struct connection *c) {
    struct net_request *r = &c->request;
    memset((char *)r + sizeof r->head, 0, sizeof *r - sizeof r->head);
    c->state = STATE_REQUEST;
    c->requests++;
    r->active = true;
    r->begun_ns = uv_hrtime();
    r->body_limit = c->server->options.body_limit;
    r->route = "other";
    set_ids(r);
}

static bool changes_something(const struct http_head *head) {
    return head->method != HTTP_GET && head->method != HTTP_HEAD && head->method != HTTP_OPTIONS;
}

/* CORS: an OPTIONS that asks whether a page of `origin` may send something. */
static void answer_preflight(struct net_request *r) {
    struct http_span wanted = http_header(&r->head, "access-control-request-headers");
    char allowed[1024];
    if (wanted.size >= sizeof allowed) {
        net_respond_problem(r, 431, "too_large", "Access-Control-Request-Headers is too long");
        return;
    }
    if (wanted.size > 0)
        memcpy(allowed, wanted.at, wanted.size);
    allowed[wanted.size] = 0;
    struct net_header headers[] = {
        {"Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
        {"Access-Control-Max-Age", "600"},
        {"Access-Control-Allow-Headers", allowed},
    };
    net_respond(r, 204, headers, wanted.size > 0 ? 3 : 2, NULL, 0);
}

/* Answers what needs no handler. True when it did. */
static bool refuse(struct connection *c) {
    struct net_request *r = &c->request;
    const struct net_server_options *options = &c->server->options;
    const struct http_head *head = &r->head;
    if (c->turned_away) {
        c->keep_alive = false;
        net_respond_problem(r, 503, "busy", "this host has as many connections as it may have");
        return true;
    }
    if (!guard_host(head->host, c->server->address, options->hosts)) {
        net_respond_problem(r, 421, "denied", "this host does not answer to that name");
        return true;
    }
    struct http_span origin = http_header(head, "origin");
    r->cors = guard_origin_listed(origin, options->origins);
    bool foreign = origin.at != NULL && !guard_origin(origin, head->host, options->origins);
    bool preflight = head->method == HTTP_OPTIONS && origin.at != NULL &&
                     http_header(head, "access-control-request-method").at != NULL;
    if (foreign && (preflight || changes_something(head) || head->websocket)) {
        net_respond_problem(r, 403, "denied", "pages of that origin may not do this");
        return true;
    }
    if (preflight) {
        answer_preflight(r);
        return true;
    }
    if (head->length > r->body_limit) {
        net_respond_problem(r, 413, "too_large", "the request's body is too large");
        return true;
    }
    return false;
}

void request_begin(struct connection *c) {
    struct net_request *r = &c->request;
    request_prepare(c);
    const struct net_server_options *options = &c->server->options;
    c->keep_alive =
        r->head.keep_alive && c->requests < options->request_limit && !c->server->closing;
    r->body_remain = r->head.length > 0 ? r->head.length : 0;
    r->body_done = !r->head.chunked && r->body_remain == 0;
    r->continue_due = r->head.expect_continue && !r->body_done && r->head.minor == 1;
    bool had_body = !r->body_done;
    if (!refuse(c))
        options->request(r, options->arg);
    r->attached_ready = true;
    if (r->active && !had_body && r->ops != NULL && r->ops->body_end != NULL)
        r->ops->body_end(r);
}

/* -- Bodies ------------------------------------------------------------------------------------ */

static void body_failed(struct connection *c, int status, const char *code, const char *detail) {
    struct net_request *r = &c->request;
    c->keep_alive = false;
    if (r->active && !r->started)
        response_reject(c, status, code, detail);
    else
        connection_close(c);
}

static void finish_body(struct net_request *r) {
    r->body_done = true;
    if (r->active && !r->discard && r->ops != NULL && r->ops->body_end != NULL)
        r->ops->body_end(r);
}

static void deliver(struct connection *c, struct http_span data) {
    struct net_request *r = &c->request;
    r->body_read += (int64_t)data.size;
    r->body_progress += data.size;
    if (r->body_progress >= BODY_PROGRESS) {
        r->body_progress = 0;
        if (c->deadline == DEADLINE_BODY)
            connection_set_deadline(c, DEADLINE_BODY);
    }
    if (r->discard) {
        if (r->body_read > r->body_limit)
            connection_close(c);
        return;
    }
    if (r->body_read > r->body_limit)
        body_failed(c, 413, "too_large", "the request's body is too large");
    else if (r->ops != NULL && r->ops->body != NULL)
        r->ops->body(r, data.at, data.size);
}

bool request_feed(struct connection *c, char **bytes, size_t *size) {
    struct net_request *r = &c->request;
    if (r->continue_due && !r->discard && !r->started) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        r->continue_due = false;
        response_raw(c, go_on, sizeof go_on - 1);
    }
    if (*size == 0)
        return false;
    struct http_span data;
    int64_t used;
    if (r->head.chunked) {
        used = http_chunks_read(&r->chunks, *bytes, *size, &data);
        if (used < 0) {
            body_failed(c, 400, "invalid", "the chunked body is malformed");
            return false;
        }
    } else {
        used = (int64_t)*size < r->body_remain ? (int64_t)*size : r->body_remain;
        data = (struct http_span){*bytes, (size_t)used};
        r->body_remain -= used;
    }
    *bytes += used;
    *size -= (size_t)used;
    bool done = r->head.chunked ? r->chunks.done : r->body_remain == 0;
    if (data.size > 0)
        deliver(c, data);
    if (done && !r->body_done && c->state == STATE_REQUEST)
        finish_body(r);
    return true;
}

/* -- What handlers ask ------------------------------------------------------------------------- */

void net_request_attach(struct net_request *r, const struct net_request_ops *ops, void *user) {
    r->ops = ops;
    r->user = user;
}

void *net_request_user(const struct net_request *r) {
    return r->user;
}

const struct http_head *net_request_head(const struct net_request *r) {
    return &r->head;
}

const char *net_request_id(const struct net_request *r) {
    return r->id;
}

const char *net_request_traceparent(const struct net_request *r) {
    return r->traceparent;
}

const char *net_request_remote(const struct net_request *r) {
    return connection_of(r)->remote;
}

void net_request_set_route(struct net_request *r, const char *route) {
    r->route = route;
}

bool net_request_has_body(const struct net_request *r) {
    return r->head.chunked || r->head.length > 0;
}

int net_request_limit_body(struct net_request *r, int64_t limit) {
    r->body_limit = limit;
    if (r->head.length <= limit && r->body_read <= limit)
        return 0;
    net_respond_problem(r, 413, "too_large", "the request's body is too large");
    return -1;
}

void net_request_pause(struct net_request *r) {
    r->paused = true;
}

void net_request_resume(struct net_request *r) {
    struct connection *c = connection_of(r);
    if (!r->paused)
        return;
    r->paused = false;
    connection_enter(c);
    connection_process(c, NULL, 0);
    connection_leave_async(c);
}

void net_request_no_deadline(struct net_request *r) {
    struct connection *c = connection_of(r);
    r->no_deadline = true;
    if (c->deadline == DEADLINE_HANDLER)
        connection_set_deadline(c, DEADLINE_NONE);
}

/* -- WebSocket --------------------------------------------------------------------------------- */

/* Whether the client is one of those that speak `protocol`. */
static bool offers(const struct http_head *head, const char *protocol) {
    for (size_t i = 0; protocol != NULL && i < head->header_count; i++)
        if (http_span_is(head->headers[i].name, "sec-websocket-protocol") &&
            http_list_has(head->headers[i].value, protocol, true))
            return true;
    return false;
}

static size_t count_headers(const struct http_head *head, const char *name) {
    size_t count = 0;
    for (size_t i = 0; i < head->header_count; i++)
        count += http_span_is(head->headers[i].name, name);
    return count;
}

/* Answers what is wrong with a handshake. True when it did. */
static bool refuse_upgrade(struct net_request *r, char accept[32]) {
    struct http_span version = http_header(&r->head, "sec-websocket-version");
    struct http_span key = http_header(&r->head, "sec-websocket-key");
    if (version.size != 2 || memcmp(version.at, "13", 2) != 0) {
        struct net_header header = {"Sec-WebSocket-Version", "13"};
        net_respond(r, 426, &header, 1, NULL, 0);
    } else if (count_headers(&r->head, "sec-websocket-key") != 1 ||
               !ws_accept_key(key.at, key.size, accept)) {
        net_respond_problem(r, 400, "invalid", "Sec-WebSocket-Key must be 16 bytes in base64");
    } else if (net_request_has_body(r)) {
        net_respond_problem(r, 400, "invalid", "a WebSocket handshake has no body");
    } else {
        return false;
    }
    return true;
}

static void answer_upgrade(struct connection *c, const char *accept, const char *protocol) {
    struct net_request *r = &c->request;
    char text[512];
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s%s%s"
                        "X-Request-Id: %s\r\n\r\n",
                        accept, protocol ? "Sec-WebSocket-Protocol: " : "",
                        protocol ? protocol : "", protocol ? "\r\n" : "", r->id);
    r->started = r->ended = true;
    r->status = 101;
    response_raw(c, text, (size_t)size);
}

struct ws *net_request_upgrade(struct net_request *r, const char *protocol,
                               const struct ws_limits *limits) {
    struct connection *c = connection_of(r);
    char accept[32];
    if (!r->active || r->started || refuse_upgrade(r, accept))
        return NULL;
    if (!offers(&r->head, protocol) || strlen(protocol) > WS_PROTOCOL_MAX)
        protocol = NULL;
    struct ws *ws = ws_adopt(c, protocol, limits);
    if (ws == NULL) {
        net_respond_problem(r, 503, "busy", "out of memory");
        return NULL;
    }
    connection_enter(c);
    answer_upgrade(c, accept, protocol);
    c->state = STATE_SOCKET;
    connection_free_request(c, true);
    ws_opened(ws);
    connection_process(c, NULL, 0);
    connection_leave_async(c);
    return ws->ended ? NULL : ws;
}
