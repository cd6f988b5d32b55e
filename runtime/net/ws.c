/* ws.c - the life of WebSockets of both sides, and what a server's receives. */
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

static struct { struct metric *open, *cut, *received; } counted;

static void prepare_metrics(void) {
    if (counted.open != NULL)
        return;
    ws_count_sent();
    counted.open = metrics_single(METRIC_GAUGE, "ws_connections", "Open WebSockets.");
    counted.cut = metrics_single(METRIC_COUNTER, "ws_cut_total",
                                 "WebSockets that ended without a close frame of the peer.");
    counted.received =
        metrics_single(METRIC_COUNTER, "ws_received_messages_total", "Messages received.");
}

/* -- The end ----------------------------------------------------------------------------------- */

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
        metric_add(counted.open, -1);
    if (ws->open && ws->peer_code == 0)
        metric_add(counted.cut, 1);
    ws->open = false;
    ws_leave_groups(ws);
    ws_flush_never(ws);
    int code = ws->peer_code ? ws->peer_code : ws->close_code ? ws->close_code : 1006;
    const char *reason = ws->peer_code ? ws->peer_reason : ws->close_reason;
    if (ws->limits.ops != NULL)
        ws->limits.ops->closed(ws, code, reason, ws->limits.user);
    ws_drop_queue(ws, true);
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

static void begin_close(struct ws *ws, int code, const char *reason) {
    ws->closing = true;
    ws_leave_groups(ws);
    ws->close_code = code;
    snprintf(ws->close_reason, sizeof ws->close_reason, "%s", reason);
    ws_start_timer(ws, CLOSE_WAIT_S, false);
    ws_wake(ws);
}

/* The peer broke the rules: the close frame, and nothing that it sends is read any more. */
static void fail(struct ws *ws, int code, const char *why) {
    ws->failed = true;
    ws_drop_queue(ws, false);
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
        ws_wake(ws);
    }
}

void ws_start_timer(struct ws *ws, double seconds, bool repeat) {
    uint64_t ms = seconds > 0 ? (uint64_t)(seconds * 1000) + 1 : 0;
    uv_timer_stop(&ws->timer);
    if (ms > 0)
        uv_timer_start(&ws->timer, time_is_up, ms, repeat ? ms : 0);
}

void ws_close(struct ws *ws, int code, const char *reason) {
    if (ws->closing || ws->ended)
        return;
    char text[sizeof ws->close_reason];
    snprintf(text, sizeof text, "%s", reason ? reason : "");
    if (!ws_is_text(text, strlen(text)))
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

void ws_tell_message(struct ws *ws, const char *bytes, size_t size, bool binary) {
    metric_add(counted.received, 1);
    ws->limits.ops->message(ws, bytes, size, binary, ws->limits.user);
}

static void take_message(struct ws *ws, const struct ws_piece *piece) {
    if (ws->closing)
        return; /* nobody listens any more; the peer's close frame is awaited */
    if (piece->first && piece->last) {
        ws_tell_message(ws, piece->bytes, piece->size, piece->binary);
        return;
    }
    if (bytes_add(&ws->message, piece->bytes, piece->size) < 0) {
        fail(ws, 1011, "out of memory");
        return;
    }
    if (!piece->last)
        return;
    ws_tell_message(ws, ws->message.at, ws->message.size, piece->binary);
    bytes_use(&ws->message, ws->message.size);
    if (ws->message.room > HELD_BETWEEN)
        bytes_free(&ws->message);
}

static void take_close(struct ws *ws, const struct ws_piece *piece) {
    ws_set_peer_close(ws, piece->code, piece->bytes, piece->size);
    ws->failed = true; /* what comes behind a close frame is nothing */
    ws_drop_queue(ws, false);
    if (!ws->closing)
        begin_close(ws, piece->code, "");
    ws_write(ws);
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
        ws_write(ws);
        break;
    case WS_GOT_CLOSE:
        take_close(ws, piece);
        break;
    case WS_BROKEN:
        fail(ws, piece->code, piece->why);
        ws_write(ws);
        break;
    case WS_GOT_PONG:
    case WS_NOTHING:
        break;
    }
}

bool ws_feed(struct ws *ws, char **bytes, size_t *size) {
    if (ws->failed && *size > 0) {
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
    metric_add(counted.open, 1);
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
