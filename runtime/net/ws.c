/* ws.c - what WebSockets of both sides have in common, and the server's side of the wire. */
#include "net/ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/metrics.h"
#include "net/ws_private.h"

enum {
    LIMIT_DEFAULT = 1 << 20,
    CLOSE_WAIT_S = 5,
    HELD_BETWEEN = 4096, /* bytes of a message's buffer that an idle WebSocket may keep */
};

static struct metric *open_count, *dropped_count;

static void prepare_metrics(void) {
    if (open_count != NULL)
        return;
    open_count = metrics_series(
        metrics_family(METRIC_GAUGE, "ws_connections", "Open WebSockets.", NULL, 0, NULL), NULL);
    dropped_count = metrics_series(
        metrics_family(METRIC_COUNTER, "ws_dropped_total",
                       "Messages dropped, or peers closed, because a peer was too slow.", NULL, 0,
                       NULL),
        NULL);
}

/* -- The end ----------------------------------------------------------------------------------- */

/* Forgets what waits, but what is half out: the peer would take what follows for its rest. */
static void drop_queue(struct ws *ws, bool all) {
    struct ws_out **at = &ws->first;
    if (!all && ws->first != NULL && ws->first->begun)
        at = &ws->first->next;
    while (*at != NULL) {
        struct ws_out *out = *at;
        *at = out->next;
        ws->buffered -= out->size;
        free(out);
    }
    ws->last = at;
}

static void timer_closed(uv_handle_t *handle) {
    free(handle->data);
}

void ws_end(struct ws *ws) {
    if (ws->ended)
        return;
    ws->ended = true;
    ws->wsi = NULL;
    ws->connection = NULL;
    if (ws->open)
        metric_add(open_count, -1);
    ws->open = false;
    int code = ws->peer_code ? ws->peer_code : ws->close_code ? ws->close_code : 1006;
    const char *reason = ws->peer_code ? ws->peer_reason : ws->close_reason;
    if (ws->limits.ops != NULL)
        ws->limits.ops->closed(ws, code, reason, ws->limits.user);
    drop_queue(ws, true);
    bytes_free(&ws->message);
    ws_client_forget(ws);
    uv_close((uv_handle_t *)&ws->timer, timer_closed);
}

void ws_kill(struct ws *ws) {
    if (ws->ended)
        return;
    ws->kill = true;
    if (ws->connection != NULL)
        connection_close(ws->connection);
    else
        ws_client_kill(ws);
}

static void wake(struct ws *ws) {
    if (ws->connection != NULL)
        lws_callback_on_writable(ws->connection->wsi);
    else
        ws_client_wake(ws);
}

static void begin_close(struct ws *ws, int code, const char *reason) {
    ws->closing = true;
    ws->close_code = code;
    snprintf(ws->close_reason, sizeof ws->close_reason, "%s", reason);
    ws_start_timer(ws, CLOSE_WAIT_S, false);
    wake(ws);
}

/* The peer broke the rules: the close frame, and nothing that it sends is read any more. */
static void fail(struct ws *ws, int code, const char *why) {
    ws->failed = true;
    drop_queue(ws, false);
    if (!ws->closing)
        begin_close(ws, code, why);
}

void ws_set_peer_close(struct ws *ws, int code, const char *reason, size_t size) {
    if (size >= sizeof ws->peer_reason)
        size = sizeof ws->peer_reason - 1;
    ws->peer_code = code;
    memcpy(ws->peer_reason, reason, size);
    ws->peer_reason[size] = 0;
}

/* -- Time -------------------------------------------------------------------------------------- */

static void time_is_up(uv_timer_t *timer) {
    struct ws *ws = timer->data;
    if (!ws->open || ws->closing) {
        if (!ws->open && ws->close_code == 0)
            snprintf(ws->close_reason, sizeof ws->close_reason, "no answer to the handshake");
        ws_kill(ws);
    } else if (ws->awaiting_pong && !ws->paused) { /* paused: it may have come, unread */
        snprintf(ws->close_reason, sizeof ws->close_reason, "no answer to a ping");
        ws_kill(ws);
    } else {
        ws->ping_due = true;
        ws->awaiting_pong = true;
        wake(ws);
    }
}

void ws_start_timer(struct ws *ws, double seconds, bool repeat) {
    uint64_t ms = seconds > 0 ? (uint64_t)(seconds * 1000) + 1 : 0;
    uv_timer_stop(&ws->timer);
    if (ms > 0)
        uv_timer_start(&ws->timer, time_is_up, ms, repeat ? ms : 0);
}

/* -- Sending ----------------------------------------------------------------------------------- */

void ws_sent(struct ws *ws) {
    struct ws_out *out = ws->first;
    ws->first = out->next;
    if (ws->first == NULL)
        ws->last = &ws->first;
    ws->buffered -= out->size;
    free(out);
}

/* To the kernel, or into libwebsockets' buffer of what that did not take. */
static bool write_bytes(struct ws *ws, unsigned char *bytes, size_t size) {
    server_count_bytes(0, size);
    if (lws_write(ws->connection->wsi, bytes, size, LWS_WRITE_RAW) >= 0)
        return true;
    connection_close(ws->connection);
    return false;
}

static bool write_control(struct ws *ws, enum ws_opcode opcode, const void *bytes, size_t size) {
    unsigned char frame[WS_HEAD_MAX + WS_CONTROL_MAX];
    size_t head = ws_put_head(frame, opcode, size);
    memcpy(frame + head, bytes, size);
    return write_bytes(ws, frame, head + size);
}

static bool write_close(struct ws *ws) {
    unsigned char payload[WS_CONTROL_MAX];
    size_t size = 0;
    ws->close_sent = true;
    if (ws->close_code != 1005) {
        size_t length = strlen(ws->close_reason);
        payload[0] = (unsigned char)(ws->close_code >> 8);
        payload[1] = (unsigned char)ws->close_code;
        memcpy(payload + 2, ws->close_reason, length);
        size = 2 + length;
    }
    return write_control(ws, WS_CLOSE, payload, size);
}

static bool write_piece(struct ws *ws) {
    struct ws_out *out = ws->first;
    size_t size = out->end - out->at;
    if (size > NET_IO_SIZE)
        size = NET_IO_SIZE;
    out->begun = true;
    if (!write_bytes(ws, out->bytes + out->at, size))
        return false;
    out->at += size;
    if (out->at == out->end)
        ws_sent(ws);
    return true;
}

/* What goes next: a message that is half out, then control frames, then the other messages. False
 * when there is nothing, or the connection is broken. */
static bool write_next(struct ws *ws) {
    if (ws->close_sent)
        return false;
    if (ws->first != NULL && ws->first->begun)
        return write_piece(ws);
    if (ws->pong_due) {
        ws->pong_due = false;
        return write_control(ws, WS_PONG, ws->pong, ws->pong_size);
    }
    if (ws->ping_due) {
        ws->ping_due = false;
        return write_control(ws, WS_PING, "", 0);
    }
    if (ws->first != NULL)
        return write_piece(ws);
    return ws->closing && write_close(ws);
}

/* Both have said that it is over, or the peer is not worth waiting for. */
static void finish(struct ws *ws) {
    struct connection *c = ws->connection;
    c->ws = NULL;
    ws_end(ws);
    connection_linger(c);
}

/* As much as the socket takes. Inside connection_enter. */
static void write_queued(struct ws *ws) {
    struct connection *c = ws->connection;
    while (!c->want_close && !lws_partial_buffered(c->wsi) && write_next(ws))
        ;
    if (c->want_close)
        return;
    if (lws_partial_buffered(c->wsi))
        lws_callback_on_writable(c->wsi);
    else if (ws->close_sent && (ws->failed || ws->peer_code))
        finish(ws);
}

void ws_writable(struct ws *ws) {
    write_queued(ws);
    if (!ws->ended && !ws->closing && ws->first == NULL && ws->limits.ops->drained != NULL &&
        !lws_partial_buffered(ws->connection->wsi))
        ws->limits.ops->drained(ws, ws->limits.user);
}

static bool is_utf8(const char *bytes, size_t size) {
    struct utf8_stream stream = {0};
    return utf8_stream_feed(&stream, bytes, size) && stream.need == 0;
}

/* Makes room for `size` bytes. False when the peer is to be closed. */
static bool make_room(struct ws *ws, size_t size) {
    if (ws->buffered + size <= ws->limits.send_budget || ws->first == NULL)
        return true;
    metric_add(dropped_count, 1);
    if (!ws->limits.drop_oldest) {
        drop_queue(ws, false);
        ws_close(ws, 1008, "too slow: more is waiting than this client may have waiting");
        return false;
    }
    struct ws_out **at = ws->first->begun ? &ws->first->next : &ws->first;
    while (*at != NULL && ws->buffered + size > ws->limits.send_budget) {
        struct ws_out *oldest = *at;
        *at = oldest->next;
        ws->buffered -= oldest->size;
        free(oldest);
    }
    if (*at == NULL)
        ws->last = at;
    return true;
}

static bool enqueue(struct ws *ws, const char *bytes, size_t size, bool binary) {
    struct ws_out *out = malloc(sizeof *out + LWS_PRE + size);
    if (out == NULL)
        return false;
    *out = (struct ws_out){.size = size, .at = LWS_PRE, .end = LWS_PRE + size, .binary = binary};
    if (size > 0)
        memcpy(out->bytes + LWS_PRE, bytes, size);
    if (ws->connection != NULL) {
        unsigned char head[WS_HEAD_MAX];
        size_t head_size = ws_put_head(head, binary ? WS_BINARY : WS_TEXT, size);
        out->at -= head_size;
        memcpy(out->bytes + out->at, head, head_size);
    }
    *ws->last = out;
    ws->last = &out->next;
    ws->buffered += size;
    return true;
}

int ws_send(struct ws *ws, const char *bytes, size_t size, bool binary) {
    if (!ws->open || ws->closing || ws->kill)
        return ERR_CLOSED;
    if (!binary && !is_utf8(bytes, size))
        return ERR_INVALID;
    if (!make_room(ws, size))
        return ERR_TOO_LARGE;
    bool idle = ws->first == NULL;
    if (!enqueue(ws, bytes, size, binary))
        return ERR_NO_MEMORY;
    if (!idle) {
        wake(ws);
        return 0;
    }
    if (ws->connection == NULL)
        return ws_client_try_send(ws) ? 0 : ERR_CLOSED;
    struct connection *c = ws->connection;
    connection_enter(c); /* at once: no need to ask the socket first */
    write_queued(ws);
    bool broken = c->want_close;
    connection_leave_async(c);
    return broken ? ERR_CLOSED : 0;
}

void ws_close(struct ws *ws, int code, const char *reason) {
    if (ws->closing || ws->ended)
        return;
    char text[sizeof ws->close_reason];
    snprintf(text, sizeof text, "%s", reason ? reason : "");
    if (!is_utf8(text, strlen(text)))
        text[0] = 0; /* cut inside a character, or none to begin with */
    if (ws->open) {
        begin_close(ws, code, text);
        return;
    }
    ws->closing = true;
    ws->close_code = code;
    memcpy(ws->close_reason, text, sizeof text);
    ws_kill(ws);
}

size_t ws_buffered(const struct ws *ws) {
    return ws->buffered;
}

const char *ws_remote(const struct ws *ws) {
    return ws->remote;
}

const char *ws_protocol(const struct ws *ws) {
    return ws->protocol;
}

static void set_paused(struct ws *ws, bool paused) {
    if (ws->paused == paused || ws->ended)
        return;
    ws->paused = paused;
    struct connection *c = ws->connection;
    if (c == NULL) {
        ws_client_pause(ws, paused);
        return;
    }
    connection_enter(c);
    if (!paused)
        connection_process(c, NULL, 0);
    connection_leave_async(c);
}

void ws_pause(struct ws *ws) {
    set_paused(ws, true);
}

void ws_resume(struct ws *ws) {
    set_paused(ws, false);
}

/* -- Receiving --------------------------------------------------------------------------------- */

static void take_message(struct ws *ws, const struct ws_piece *piece) {
    if (ws->closing)
        return; /* nobody listens any more; the peer's close frame is awaited */
    if (piece->first && piece->last) {
        ws->limits.ops->message(ws, piece->bytes, piece->size, piece->binary, ws->limits.user);
        return;
    }
    if (bytes_add(&ws->message, piece->bytes, piece->size) < 0) {
        fail(ws, 1011, "out of memory");
        return;
    }
    if (!piece->last)
        return;
    ws->limits.ops->message(ws, ws->message.at, ws->message.size, piece->binary, ws->limits.user);
    bytes_use(&ws->message, ws->message.size);
    if (ws->message.room > HELD_BETWEEN)
        bytes_free(&ws->message);
}

static void take_close(struct ws *ws, const struct ws_piece *piece) {
    ws_set_peer_close(ws, piece->code, piece->bytes, piece->size);
    ws->failed = true; /* what comes behind a close frame is nothing */
    drop_queue(ws, false);
    if (!ws->closing)
        begin_close(ws, piece->code, "");
    write_queued(ws);
}

static void take(struct ws *ws, const struct ws_piece *piece) {
    switch (piece->event) {
    case WS_PIECE:
        take_message(ws, piece);
        break;
    case WS_GOT_PING:
        ws->pong_size = (unsigned char)piece->size;
        memcpy(ws->pong, piece->bytes, piece->size);
        ws->pong_due = true; /* one that was due is replaced: RFC 6455 5.5.3 */
        write_queued(ws);
        break;
    case WS_GOT_CLOSE:
        take_close(ws, piece);
        break;
    case WS_BROKEN:
        fail(ws, piece->code, piece->why);
        write_queued(ws);
        break;
    case WS_GOT_PONG:
    case WS_NOTHING:
        break;
    }
}

bool ws_feed(struct ws *ws, char **bytes, size_t *size) {
    if (ws->failed) {
        *bytes += *size;
        *size = 0;
    }
    if (*size == 0 || ws->paused)
        return false;
    ws->awaiting_pong = false;
    struct ws_piece piece;
    size_t used = ws_read(&ws->reader, *bytes, *size, &piece);
    *bytes += used;
    *size -= used;
    take(ws, &piece);
    return piece.event != WS_NOTHING;
}

bool ws_wants_input(const struct ws *ws) {
    return !ws->paused;
}

/* -- The beginning ----------------------------------------------------------------------------- */

struct ws *ws_new(struct net *net, const struct ws_limits *limits) {
    struct ws *ws = calloc(1, sizeof *ws);
    if (ws == NULL)
        return NULL;
    prepare_metrics();
    ws->net = net;
    ws->limits = *limits;
    ws->last = &ws->first;
    if (ws->limits.message_limit == 0)
        ws->limits.message_limit = LIMIT_DEFAULT;
    if (ws->limits.send_budget == 0)
        ws->limits.send_budget = LIMIT_DEFAULT;
    ws->reader.message_limit = ws->limits.message_limit;
    uv_timer_init(&net->loop->uv, &ws->timer);
    ws->timer.data = ws;
    return ws;
}

void ws_opened(struct ws *ws) {
    ws->open = true;
    metric_add(open_count, 1);
    double interval = ws->limits.ping_interval;
    ws_start_timer(ws, interval == 0 ? 20 : interval, true);
    ws->limits.ops->opened(ws, ws->limits.user);
}

struct ws *ws_adopt(struct connection *c, const char *protocol, const struct ws_limits *limits) {
    struct ws *ws = ws_new(c->server->net, limits);
    if (ws == NULL)
        return NULL;
    snprintf(ws->remote, sizeof ws->remote, "%s", c->remote);
    snprintf(ws->protocol, sizeof ws->protocol, "%s", protocol ? protocol : "");
    ws->connection = c;
    c->ws = ws;
    return ws;
}
