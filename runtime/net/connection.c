/* connection.c - one client's socket: bytes in, states, deadlines, the end.
 *
 * The socket is libwebsockets' (a raw one); what the bytes mean is decided here. A connection is
 * freed by libwebsockets' RAW_CLOSE alone. Inside an entry point (depth > 0) closing only sets
 * want_close, and the entry's end does it. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"
#include "net/server_private.h"
#include "net/ws_private.h"

enum { HEAD_RESERVE = 1024 }; /* bytes beyond a head, for the next ones */

/* -- Bytes ------------------------------------------------------------------------------------- */

int bytes_add(struct bytes *bytes, const char *more, size_t size) {
    if (bytes->start > 0 && (bytes->start == bytes->size || bytes->size + size > bytes->room)) {
        memmove(bytes->at, bytes->at + bytes->start, bytes->size - bytes->start);
        bytes->size -= bytes->start;
        bytes->start = 0;
    }
    if (bytes->size + size > bytes->room) {
        size_t room = bytes->room ? bytes->room : 4096;
        while (room < bytes->size + size)
            room *= 2;
        char *at = realloc(bytes->at, room);
        if (at == NULL)
            return -1;
        bytes->at = at;
        bytes->room = room;
    }
    memcpy(bytes->at + bytes->size, more, size);
    bytes->size += size;
    return 0;
}

void bytes_use(struct bytes *bytes, size_t count) {
    bytes->start += count;
    if (bytes->start < bytes->size)
        return;
    bytes->start = bytes->size = 0;
    if (bytes->room > NET_IO_SIZE) /* an idle connection holds no large buffer */
        bytes_free(bytes);
}

void bytes_free(struct bytes *bytes) {
    free(bytes->at);
    *bytes = (struct bytes){0};
}

/* -- Heads ------------------------------------------------------------------------------------- */

static bool take_head_room(struct connection *c, size_t size) {
    struct net_server *server = c->server;
    if (c->head == NULL) {
        c->head = server->spare_head;
        server->spare_head = NULL;
    }
    if (c->head == NULL || c->head->size < size) {
        free(c->head);
        c->head = malloc(sizeof *c->head + size + HEAD_RESERVE);
        if (c->head == NULL)
            return false;
        c->head->size = size + HEAD_RESERVE;
    }
    c->request.head.headers = c->head->headers;
    return true;
}

/* Most connections are idle most of the time, and a head's room is larger than all else of them. */
static void release_head_room(struct connection *c) {
    struct net_server *server = c->server;
    if (server->spare_head == NULL)
        server->spare_head = c->head;
    else
        free(c->head);
    c->head = NULL;
    c->request.head = (struct http_head){0};
}

/* -- Deadlines --------------------------------------------------------------------------------- */

static void leave_queue(struct connection *c) {
    if (c->deadline == DEADLINE_NONE)
        return;
    struct deadline_queue *queue = &c->server->queues[c->deadline];
    *c->earlier = c->later;
    if (c->later != NULL)
        c->later->earlier = c->earlier;
    else
        queue->last =
            queue->first == NULL
                ? NULL
                : (struct connection *)((char *)c->earlier - offsetof(struct connection, later));
    c->deadline = DEADLINE_NONE;
}

void connection_set_deadline(struct connection *c, enum deadline deadline) {
    leave_queue(c);
    if (deadline == DEADLINE_NONE)
        return;
    struct deadline_queue *queue = &c->server->queues[deadline];
    if (queue->wait_ms == 0)
        return;
    c->due_ms = server_now_ms(c->server) + queue->wait_ms;
    c->later = NULL;
    c->earlier = queue->last ? &queue->last->later : &queue->first;
    *c->earlier = c;
    queue->last = c;
    c->deadline = deadline;
}

/* What the connection waits for now. A class that stays keeps its time. */
static enum deadline present_deadline(struct connection *c) {
    const struct net_request *r = &c->request;
    switch (c->state) {
    case STATE_HEAD:
        return c->input.size > c->input.start || c->head_scanned > 0 || c->requests == 0
                   ? DEADLINE_HEAD
                   : DEADLINE_IDLE;
    case STATE_LINGER:
        return DEADLINE_LINGER;
    case STATE_SOCKET:
        return DEADLINE_NONE;
    case STATE_REQUEST:
        break;
    }
    if (c->output.size > c->output.start || lws_partial_buffered(c->wsi))
        return DEADLINE_WRITE;
    if (!r->body_done && (!r->paused || r->discard))
        return DEADLINE_BODY;
    return r->active && !r->started && !r->no_deadline ? DEADLINE_HANDLER : DEADLINE_NONE;
}

static void settle(struct connection *c) {
    if (c->want_close || c->wsi == NULL)
        return;
    if (c->head != NULL && !c->request.active && c->state != STATE_REQUEST)
        release_head_room(c);
    enum deadline deadline = present_deadline(c);
    if (deadline != c->deadline)
        connection_set_deadline(c, deadline);
    bool off = c->input.size - c->input.start >= INPUT_PAUSE ||
               (c->state == STATE_SOCKET && !ws_wants_input(c->ws));
    if (off != c->rx_off) {
        c->rx_off = off;
        lws_rx_flow_control(c->wsi, off ? 0 : 1);
    }
}

void connection_expire(struct connection *c) {
    enum deadline deadline = c->deadline;
    connection_enter(c);
    leave_queue(c);
    struct net_request *r = &c->request;
    switch (deadline) {
    case DEADLINE_HEAD:
        if (c->input.size == c->input.start && c->head_scanned == 0)
            connection_close(c); /* never said a word */
        else
            response_reject(c, 408, "timeout", "the request's head took too long");
        break;
    case DEADLINE_BODY:
        if (r->active && !r->started)
            response_reject(c, 408, "timeout", "the request's body came too slowly");
        else
            connection_close(c);
        break;
    case DEADLINE_HANDLER:
        if (r->ops != NULL && r->ops->overdue != NULL)
            r->ops->overdue(r);
        else
            net_respond_problem(r, 504, "timeout", "no answer in time");
        break;
    default:
        connection_close(c);
    }
    connection_leave_async(c);
}

/* -- Entering and leaving ---------------------------------------------------------------------- */

void connection_enter(struct connection *c) {
    c->depth++;
}

int connection_leave(struct connection *c) {
    if (--c->depth > 0)
        return 0;
    if (c->want_close)
        return -1;
    settle(c);
    return 0;
}

void connection_leave_async(struct connection *c) {
    if (connection_leave(c) < 0 && c->wsi != NULL)
        lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

void connection_close(struct connection *c) {
    connection_enter(c);
    c->want_close = true;
    connection_leave_async(c);
}

/* -- States ------------------------------------------------------------------------------------ */

/* Both keep what a client pipelines behind the present request where it is. */
static bool take_head(struct connection *c, char **bytes, size_t *size) {
    while (c->head_scanned == 0 && *size >= 2 && (*bytes)[0] == '\r' && (*bytes)[1] == '\n')
        *bytes += 2, *size -= 2; /* RFC 9112 2.2: empty lines before a request are passed over */
    if (*size == 0 || (*size == 1 && c->head_scanned == 0 && **bytes == '\r'))
        return false;
    int64_t head_size = http_find_head(*bytes, *size, &c->head_scanned);
    size_t limit = c->server->options.header_limit;
    if (head_size < 0) {
        response_reject(c, 400, "invalid", "lines must end with CR LF");
        return true;
    }
    if ((head_size == 0 && *size > limit) || (size_t)head_size > limit) {
        response_reject(c, 431, "too_large", "the request's head is too large");
        return true;
    }
    if (head_size == 0)
        return false;
    if (!take_head_room(c, (size_t)head_size)) {
        connection_close(c);
        return false;
    }
    memcpy(c->head->bytes, *bytes, (size_t)head_size);
    *bytes += head_size;
    *size -= (size_t)head_size;
    c->head_scanned = 0;
    const char *why = NULL;
    int status = http_parse_head(c->head->bytes, (size_t)head_size, &c->request.head, &why);
    if (status != 0) {
        response_reject(c, status, "invalid", why);
        return true;
    }
    request_begin(c);
    return true;
}

static bool take_body(struct connection *c, char **bytes, size_t *size) {
    struct net_request *r = &c->request;
    if (r->body_done) {
        if (r->active)
            return false;
        c->state = STATE_HEAD; /* the answer was out before the body was in */
        return true;
    }
    if (!r->attached_ready || (r->paused && !r->discard))
        return false;
    return request_feed(c, bytes, size);
}

void connection_process(struct connection *c, char *bytes, size_t size) {
    if (c->processing)
        return; /* the loop below goes on with what has changed */
    c->processing = true;
    bool stored = c->input.size > c->input.start;
    if (stored && size > 0 && bytes_add(&c->input, bytes, size) < 0)
        c->want_close = true;
    if (stored) {
        bytes = c->input.at + c->input.start;
        size = c->input.size - c->input.start;
    }
    size_t had = size;
    for (bool moving = true; moving && !c->want_close;) {
        switch (c->state) {
        case STATE_HEAD:
            moving = take_head(c, &bytes, &size);
            break;
        case STATE_REQUEST:
            moving = take_body(c, &bytes, &size);
            break;
        case STATE_LINGER:
            c->lingered += size;
            if (c->lingered > LINGER_DRAIN_MAX)
                connection_close(c);
            if (size > 0)
                bytes += size, size = 0;
            moving = false;
            break;
        case STATE_SOCKET:
            moving = ws_feed(c->ws, &bytes, &size);
            break;
        }
    }
    if (stored)
        bytes_use(&c->input, had - size);
    else if (size > 0 && bytes_add(&c->input, bytes, size) < 0)
        c->want_close = true;
    c->processing = false;
}

/* Closing on unread bytes would reset the connection and could take the answer with it. */
void connection_linger(struct connection *c) {
    c->state = STATE_LINGER;
    shutdown(lws_get_socket_fd(c->wsi), SHUT_WR);
    connection_process(c, NULL, 0);
}

/* -- Beginning and end ------------------------------------------------------------------------- */

void connection_accept(struct net_server *server, int fd, const char *remote) {
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL) {
        close(fd);
        return;
    }
    c->server = server;
    c->deadline = DEADLINE_NONE;
    c->turned_away = server->count >= server->options.connection_limit;
    snprintf(c->remote, sizeof c->remote, "%s", remote);
    c->depth = 1;
    lws_sock_file_fd_type descriptor = {.sockfd = fd};
    c->wsi = lws_adopt_descriptor_vhost(server->net->vhost, LWS_ADOPT_SOCKET, descriptor,
                                        "stance-http", NULL);
    if (c->wsi == NULL) { /* it has closed the descriptor */
        free(c);
        return;
    }
    lws_set_opaque_user_data(c->wsi, c);
    lws_set_timeout(c->wsi, NO_PENDING_TIMEOUT, 0); /* deadlines are our own */
    c->next = server->all;
    c->previous = &server->all;
    if (server->all != NULL)
        server->all->previous = &c->next;
    server->all = c;
    server->count++;
    connection_leave_async(c);
}

void connection_free_request(struct connection *c, bool whole) {
    struct net_request *r = &c->request;
    if (r->file != NULL) {
        response_file_detach(r->file);
        r->file = NULL;
    }
    if (!r->active)
        return;
    r->active = false;
    server_count_request(c);
    const struct net_request_ops *ops = r->ops;
    r->ops = NULL;
    if (ops != NULL)
        ops->over(r, whole);
}

static void connection_free(struct connection *c) {
    connection_free_request(c, false);
    leave_queue(c);
    *c->previous = c->next;
    if (c->next != NULL)
        c->next->previous = c->previous;
    c->server->count--;
    if (c->ws != NULL)
        ws_end(c->ws);
    struct net_server *server = c->server;
    bytes_free(&c->input);
    bytes_free(&c->output);
    free(c->head);
    free(c);
    server_release(server);
}

int net_connection_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                            size_t size) {
    (void)user;
    struct connection *c;
    switch (reason) {
    case LWS_CALLBACK_RAW_RX:
        c = lws_get_opaque_user_data(wsi);
        if (c == NULL)
            return -1;
        connection_enter(c);
        server_count_bytes(size, 0);
        connection_process(c, in, size);
        return connection_leave(c);
    case LWS_CALLBACK_RAW_WRITEABLE:
        c = lws_get_opaque_user_data(wsi);
        if (c == NULL)
            return 0;
        connection_enter(c);
        response_writable(c);
        return connection_leave(c);
    case LWS_CALLBACK_RAW_CLOSE:
        c = lws_get_opaque_user_data(wsi);
        if (c == NULL)
            return 0;
        lws_set_opaque_user_data(wsi, NULL);
        c->want_close = true;
        c->depth++; /* nothing that `over` calls may close it again */
        c->wsi = NULL;
        connection_free(c);
        return 0;
    default:
        return 0;
    }
}
