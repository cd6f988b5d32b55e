/* ws_send.c - what WebSockets send: messages made ready for the wire once, each peer's queue of
 * them, and the writing of a server's.
 *
 * A message on its own is written at once, those of a group (ws_group.c) at the end of the loop's
 * turn: all that a peer has waiting by then goes out in one system call, from the one copy that all
 * peers share. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/metrics.h"
#include "net/ws_private.h"

enum {
    PARTS_MAX = 64,         /* messages in one write */
    WRITE_MAX = 256 * 1024, /* bytes after which a write gets no further message */
    FLUSH_MAX = 256,        /* peers written to before the loop looks at anything else */
};

/* -- Messages ---------------------------------------------------------------------------------- */

bool ws_is_text(const char *bytes, size_t size) {
    struct utf8_stream stream = {0};
    return utf8_stream_feed(&stream, bytes, size) && stream.need == 0;
}

/* framed: with a server's head. NULL: out of memory. */
struct ws_message *ws_message_new(const char *bytes, size_t size, bool binary, bool framed) {
    struct ws_message *message = malloc(sizeof *message + LWS_PRE + size);
    if (message == NULL)
        return NULL;
    *message = (struct ws_message){
        .users = 1, .binary = binary, .size = size, .begin = LWS_PRE, .end = LWS_PRE + size};
    if (size > 0)
        memcpy(message->bytes + LWS_PRE, bytes, size);
    if (framed) {
        unsigned char head[WS_HEAD_MAX];
        size_t head_size = ws_put_head(head, binary ? WS_BINARY : WS_TEXT, size);
        message->begin -= head_size;
        memcpy(message->bytes + message->begin, head, head_size);
    }
    return message;
}

void ws_message_release(struct ws_message *message) {
    if (--message->users == 0)
        free(message);
}

/* -- The queue --------------------------------------------------------------------------------- */

bool ws_is_begun(const struct ws_out *out) {
    return out->at > out->message->begin;
}

/* Takes out what `at` points to. */
static void forget(struct ws *ws, struct ws_out **at) {
    struct ws_out *out = *at;
    *at = out->next;
    if (*at == NULL)
        ws->last = at;
    ws->buffered -= out->message->size;
    ws_message_release(out->message);
    free(out);
}

void ws_sent(struct ws *ws) {
    forget(ws, &ws->first);
}

/* The first that may be dropped: a peer would take what follows a half message for its rest. */
static struct ws_out **oldest(struct ws *ws) {
    return ws->first != NULL && ws_is_begun(ws->first) ? &ws->first->next : &ws->first;
}

void ws_drop_queue(struct ws *ws, bool all) {
    struct ws_out **at = all ? &ws->first : oldest(ws);
    while (*at != NULL)
        forget(ws, at);
}

static struct { struct metric *dropped, *sent, *sent_bytes; } counted;

void ws_count_sent(void) {
    if (counted.dropped != NULL)
        return;
    counted.dropped =
        metrics_single(METRIC_COUNTER, "ws_dropped_total",
                       "Messages dropped, or peers closed, because a peer was too slow.");
    counted.sent = metrics_single(METRIC_COUNTER, "ws_sent_messages_total", "Messages sent.");
    counted.sent_bytes =
        metrics_single(METRIC_COUNTER, "ws_sent_bytes_total", "Bytes of messages sent.");
}

static bool is_full(const struct ws *ws, size_t size) {
    return ws->buffered + size > ws->limits.send_budget && ws->first != NULL;
}

/* Makes room for `size` bytes; negative when the peer is closed for it, or is gone. */
static int make_room(struct ws *ws, size_t size) {
    if (!is_full(ws, size))
        return 0;
    if (ws->flush_previous != NULL && !ws->blocked) {
        struct connection *c = ws->connection; /* it was never asked to take what waits */
        connection_enter(c);
        ws_write(ws);
        connection_leave_async(c);
        if (!ws_takes_messages(ws))
            return ERR_CLOSED;
        if (!is_full(ws, size))
            return 0;
    }
    metric_add(counted.dropped, 1);
    if (!ws->limits.drop_oldest) {
        ws_drop_queue(ws, false);
        ws_close(ws, 1008, "too slow: more is waiting than this client may have waiting");
        return ERR_TOO_LARGE;
    }
    struct ws_out **at = oldest(ws);
    while (*at != NULL && ws->buffered + size > ws->limits.send_budget)
        forget(ws, at);
    return 0;
}

bool ws_takes_messages(const struct ws *ws) {
    return ws->open && !ws->closing && !ws->kill;
}

int ws_enqueue(struct ws *ws, struct ws_message *message) {
    if (!ws_takes_messages(ws))
        return ERR_CLOSED;
    int status = make_room(ws, message->size);
    if (status < 0)
        return status;
    struct ws_out *out = malloc(sizeof *out);
    if (out == NULL)
        return ERR_NO_MEMORY;
    *out = (struct ws_out){.message = message, .at = message->begin};
    message->users++;
    *ws->last = out;
    ws->last = &out->next;
    ws->buffered += message->size;
    metric_add(counted.sent, 1);
    metric_add(counted.sent_bytes, (double)message->size);
    return 0;
}

int ws_send(struct ws *ws, const char *bytes, size_t size, bool binary) {
    if (!ws_takes_messages(ws))
        return ERR_CLOSED;
    if (!binary && !ws_is_text(bytes, size))
        return ERR_INVALID;
    struct ws_message *message = ws_message_new(bytes, size, binary, ws->connection != NULL);
    if (message == NULL)
        return ERR_NO_MEMORY;
    int status = ws_enqueue(ws, message);
    bool alone = status == 0 && ws->first->next == NULL;
    ws_message_release(message);
    if (!alone) {
        if (status == 0)
            ws_wake(ws);
        return status;
    }
    if (ws->connection == NULL)
        return ws_client_try_send(ws) ? 0 : ERR_CLOSED;
    struct connection *c = ws->connection;
    connection_enter(c); /* at once: no need to ask the socket first */
    ws_write(ws);
    bool broken = c->want_close;
    connection_leave_async(c);
    return broken ? ERR_CLOSED : 0;
}

/* -- A server's writing ------------------------------------------------------------------------ */

/* To the kernel, or into libwebsockets' buffer of what that did not take. */
static bool write_control(struct ws *ws, enum ws_opcode opcode, const void *bytes, size_t size) {
    unsigned char frame[WS_HEAD_MAX + WS_CONTROL_MAX];
    size_t head = ws_put_head(frame, opcode, size);
    memcpy(frame + head, bytes, size);
    server_count_bytes(0, head + size);
    if (lws_write(ws->connection->wsi, frame, head + size, LWS_WRITE_RAW) >= 0)
        return true;
    connection_close(ws->connection);
    return false;
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

static void advance(struct ws *ws, size_t wrote) {
    while (ws->first != NULL) {
        struct ws_out *out = ws->first;
        size_t rest = out->message->end - out->at;
        if (wrote < rest) {
            out->at += wrote;
            return;
        }
        wrote -= rest;
        ws_sent(ws);
    }
}

/* Messages from the queue's first on, `count` at most, straight from where they lie. */
static bool write_messages(struct ws *ws, size_t count) {
    struct iovec parts[PARTS_MAX];
    struct msghdr all = {.msg_iov = parts};
    size_t total = 0;
    for (struct ws_out *out = ws->first; out != NULL && all.msg_iovlen < count && total < WRITE_MAX;
         out = out->next) {
        size_t rest = out->message->end - out->at;
        parts[all.msg_iovlen++] = (struct iovec){out->message->bytes + out->at, rest};
        total += rest;
    }
    ssize_t wrote = sendmsg(lws_get_socket_fd(ws->connection->wsi), &all, MSG_NOSIGNAL);
    if (wrote < 0 && errno != EAGAIN && errno != EINTR) {
        connection_close(ws->connection);
        return false;
    }
    size_t out = wrote > 0 ? (size_t)wrote : 0;
    server_count_bytes(0, out);
    ws->blocked = out < total;
    advance(ws, out);
    return !ws->blocked;
}

/* What goes next: a message that is half out, then control frames, then the other messages. False
 * when there is nothing, the peer takes no more, or the connection is broken. */
static bool write_next(struct ws *ws) {
    if (ws->close_sent)
        return false;
    bool control_due = ws->pong_due || ws->ping_due;
    if (ws->first != NULL && (!control_due || ws_is_begun(ws->first)))
        return write_messages(ws, control_due ? 1 : PARTS_MAX);
    if (ws->pong_due) {
        ws->pong_due = false;
        return write_control(ws, WS_PONG, ws->pong, ws->pong_size);
    }
    if (ws->ping_due) {
        ws->ping_due = false;
        return write_control(ws, WS_PING, "", 0);
    }
    return ws->closing && write_close(ws);
}

/* Both have said that it is over, or the peer is not worth waiting for. */
static void finish(struct ws *ws) {
    struct connection *c = ws->connection;
    c->ws = NULL;
    ws_end(ws);
    connection_linger(c);
}

void ws_write(struct ws *ws) {
    struct connection *c = ws->connection;
    while (!c->want_close && !ws->blocked && !lws_partial_buffered(c->wsi) && write_next(ws))
        ;
    if (c->want_close)
        return;
    if (ws->blocked || lws_partial_buffered(c->wsi))
        lws_callback_on_writable(c->wsi);
    else if (ws->close_sent && (ws->failed || ws->peer_code))
        finish(ws);
}

static void write_and_tell(struct ws *ws) {
    ws_write(ws);
    if (!ws->ended && !ws->closing && ws->first == NULL && ws->limits.ops->drained != NULL &&
        !lws_partial_buffered(ws->connection->wsi))
        ws->limits.ops->drained(ws, ws->limits.user);
}

void ws_writable(struct ws *ws) {
    ws->blocked = false;
    write_and_tell(ws);
}

void ws_wake(struct ws *ws) {
    if (ws->connection == NULL)
        ws_client_wake(ws);
    else if (ws->flush_previous == NULL) /* else it is written to anyhow */
        lws_callback_on_writable(ws->connection->wsi);
}

/* -- At the end of the turn -------------------------------------------------------------------- */

void ws_flush_soon(struct ws *ws) {
    struct net *net = ws->net;
    if (ws->flush_previous != NULL || ws->blocked)
        return;
    ws->flush_next = NULL;
    ws->flush_previous = net->to_flush ? net->to_flush_last : &net->to_flush;
    *ws->flush_previous = ws;
    net->to_flush_last = &ws->flush_next;
}

void ws_flush_never(struct ws *ws) {
    if (ws->flush_previous == NULL)
        return;
    *ws->flush_previous = ws->flush_next;
    if (ws->flush_next != NULL)
        ws->flush_next->flush_previous = ws->flush_previous;
    else
        ws->net->to_flush_last = ws->flush_previous;
    ws->flush_previous = NULL;
}

void net_flush(struct net *net) {
    for (int i = 0; i < FLUSH_MAX && net->to_flush != NULL; i++) {
        struct ws *ws = net->to_flush;
        struct connection *c = ws->connection;
        ws_flush_never(ws);
        connection_enter(c);
        write_and_tell(ws);
        connection_leave_async(c);
    }
}
