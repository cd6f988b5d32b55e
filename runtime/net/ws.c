#include "net/ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/metrics.h"
#include "core/utf8.h"
#include "net/server_private.h"
#include "net/ws_private.h"

enum {
    LIMIT_DEFAULT = 1 << 20,
    REASON_MAX = 123,
    CLOSE_WAIT_MS = 5000,
    FRAGMENT_SIZE = NET_IO_SIZE - 64, /* a larger message goes out in fragments, each one write */
};

struct frame {
    struct frame *next;
    size_t size, sent;
    bool binary;
    unsigned char bytes[]; /* LWS_PRE free, then the message */
};

struct ws {
    struct net *net;
    struct lws *wsi;
    struct ws_limits limits;
    struct frame *first, **last;
    size_t buffered;
    struct bytes message;
    bool binary;
    bool open;    /* between opened and closed */
    bool closing; /* our close frame is due or out */
    bool ping_due, awaiting_pong;
    bool paused;
    bool ended; /* `closed` was called */
    int depth;  /* > 0: inside libwebsockets' callback, killing waits */
    bool kill;
    int close_code, peer_code;
    char close_reason[REASON_MAX + 1], peer_reason[REASON_MAX + 1];
    char remote[56], protocol[64];
    struct connection *shell;
    uv_timer_t timer; /* of pings; of the handshake before; of the close after */
    struct connecting *connecting;
};

struct connecting {
    struct ws *ws; /* NULL: given up */
    uv_getaddrinfo_t lookup;
    bool looking_up;
    char host[256], path[1024], address[64];
    int port;
    char *protocols;
    char **headers;
};

static struct ws *adopting; /* whose handshake runs inside lws_adopt_socket_vhost_readbuf */
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

static void free_connecting(struct connecting *connecting) {
    if (connecting == NULL)
        return;
    for (size_t i = 0; connecting->headers != NULL && connecting->headers[i] != NULL; i++)
        free(connecting->headers[i]);
    free(connecting->headers);
    free(connecting->protocols);
    free(connecting);
}

static void drop_queue(struct ws *ws, struct frame *keep) {
    struct frame **at = &ws->first;
    while (*at != NULL) {
        struct frame *frame = *at;
        if (frame == keep) {
            at = &frame->next;
            continue;
        }
        *at = frame->next;
        ws->buffered -= frame->size;
        free(frame);
    }
    ws->last = at;
}

static void timer_closed(uv_handle_t *handle) {
    free(handle->data);
}

/* The connection is gone, or never came. */
static void end(struct ws *ws) {
    if (ws->ended)
        return;
    ws->ended = true;
    ws->wsi = NULL;
    if (ws->open)
        metric_add(open_count, -1);
    ws->open = false;
    int code = ws->peer_code ? ws->peer_code : ws->close_code ? ws->close_code : 1006;
    const char *reason = ws->peer_code ? ws->peer_reason : ws->close_reason;
    if (ws->limits.ops != NULL)
        ws->limits.ops->closed(ws, code, reason, ws->limits.user);
    drop_queue(ws, NULL);
    bytes_free(&ws->message);
    if (ws->connecting != NULL) {
        ws->connecting->ws = NULL; /* the look-up's end frees it, or we do */
        if (ws->connecting->looking_up)
            uv_cancel((uv_req_t *)&ws->connecting->lookup);
        else
            free_connecting(ws->connecting);
        ws->connecting = NULL;
    }
    struct connection *shell = ws->shell;
    ws->shell = NULL;
    if (shell != NULL) {
        shell->ws = NULL;
        connection_close(shell);
    }
    uv_close((uv_handle_t *)&ws->timer, timer_closed);
}

bool ws_is_calling(const struct ws *ws) {
    return ws->depth > 0;
}

void ws_forget_shell(struct ws *ws) {
    ws->shell = NULL;
    ws_kill(ws);
}

void ws_kill(struct ws *ws) {
    if (ws->ended)
        return;
    if (ws->wsi == NULL) {
        end(ws);
    } else if (ws->depth > 0) {
        ws->kill = true;
    } else {
        struct lws *wsi = ws->wsi;
        lws_set_opaque_user_data(wsi, NULL);
        lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
        end(ws);
    }
}

/* -- Time -------------------------------------------------------------------------------------- */

static void time_is_up(uv_timer_t *timer) {
    struct ws *ws = timer->data;
    if (!ws->open || ws->closing) {
        if (!ws->open && ws->close_code == 0)
            snprintf(ws->close_reason, sizeof ws->close_reason, "no answer to the handshake");
        ws_kill(ws);
    } else if (ws->awaiting_pong) {
        snprintf(ws->close_reason, sizeof ws->close_reason, "no answer to a ping");
        ws_kill(ws);
    } else {
        ws->ping_due = true;
        lws_callback_on_writable(ws->wsi);
        ws->awaiting_pong = true;
    }
}

static void start_timer(struct ws *ws, double seconds, bool repeat) {
    uint64_t ms = seconds > 0 ? (uint64_t)(seconds * 1000) + 1 : 0;
    uv_timer_stop(&ws->timer);
    if (ms > 0)
        uv_timer_start(&ws->timer, time_is_up, ms, repeat ? ms : 0);
}

/* -- Sending ----------------------------------------------------------------------------------- */

/* One fragment of the first frame. Returns false when the connection is broken. */
static bool write_fragment(struct ws *ws) {
    struct frame *frame = ws->first;
    size_t size = frame->size - frame->sent;
    if (size > FRAGMENT_SIZE)
        size = FRAGMENT_SIZE;
    bool is_last = frame->sent + size == frame->size;
    int flags = frame->sent > 0 ? LWS_WRITE_CONTINUATION
                : frame->binary ? LWS_WRITE_BINARY
                                : LWS_WRITE_TEXT;
    if (!is_last)
        flags |= LWS_WRITE_NO_FIN;
    /* The bytes before the fragment are overwritten by its frame header: they are sent already. */
    int wrote = lws_write(ws->wsi, frame->bytes + LWS_PRE + frame->sent, size,
                          (enum lws_write_protocol)flags);
    if (wrote < (int)size)
        return false;
    frame->sent += size;
    server_count_bytes(0, size);
    if (is_last) {
        ws->first = frame->next;
        if (ws->first == NULL)
            ws->last = &ws->first;
        ws->buffered -= frame->size;
        free(frame);
    }
    return true;
}

/* As many as the socket takes. */
static bool write_queued(struct ws *ws) {
    while (ws->first != NULL && !lws_partial_buffered(ws->wsi)) {
        if (!write_fragment(ws))
            return false;
        if (ws->first != NULL && lws_send_pipe_choked(ws->wsi))
            break;
    }
    if (ws->first != NULL)
        lws_callback_on_writable(ws->wsi);
    return true;
}

static int on_writable(struct ws *ws) {
    if (ws->ping_due && !lws_partial_buffered(ws->wsi)) {
        /* Not empty: libwebsockets would not tell of an empty pong. */
        unsigned char ping[LWS_PRE + 4] = {0};
        ws->ping_due = false;
        if (lws_write(ws->wsi, ping + LWS_PRE, 4, LWS_WRITE_PING) < 0)
            return -1;
        lws_callback_on_writable(ws->wsi);
        return 0;
    }
    if (!write_queued(ws))
        return -1;
    if (ws->first != NULL || lws_partial_buffered(ws->wsi))
        return 0;
    if (ws->closing) {
        size_t size = strlen(ws->close_reason);
        lws_close_reason(ws->wsi, (enum lws_close_status)ws->close_code,
                         (unsigned char *)ws->close_reason, size);
        return -1; /* libwebsockets sends the close frame and waits for the other's */
    }
    if (ws->limits.ops->drained != NULL)
        ws->limits.ops->drained(ws, ws->limits.user);
    return 0;
}

static bool is_utf8(const char *bytes, size_t size) {
    while (size > 0) {
        size_t step = utf8_step(bytes, size);
        if (step == 0)
            return false;
        bytes += step;
        size -= step;
    }
    return true;
}

/* Makes room for `size` bytes. False when the peer is to be closed. */
static bool make_room(struct ws *ws, size_t size) {
    if (ws->buffered + size <= ws->limits.send_budget || ws->first == NULL)
        return true;
    metric_add(dropped_count, 1);
    struct frame *begun = ws->first->sent > 0 ? ws->first : NULL;
    if (!ws->limits.drop_oldest) {
        drop_queue(ws, begun);
        ws_close(ws, 1008, "too slow: more is waiting than this client may have waiting");
        return false;
    }
    struct frame **at = begun ? &ws->first->next : &ws->first;
    while (*at != NULL && ws->buffered + size > ws->limits.send_budget) {
        struct frame *oldest = *at;
        *at = oldest->next;
        ws->buffered -= oldest->size;
        free(oldest);
    }
    if (*at == NULL)
        ws->last = at;
    return true;
}

int ws_send(struct ws *ws, const char *bytes, size_t size, bool binary) {
    if (!ws->open || ws->closing || ws->kill)
        return ERR_CLOSED;
    if (!binary && !is_utf8(bytes, size))
        return ERR_INVALID;
    if (!make_room(ws, size))
        return ERR_TOO_LARGE;
    struct frame *frame = malloc(sizeof *frame + LWS_PRE + size);
    if (frame == NULL)
        return ERR_NO_MEMORY;
    *frame = (struct frame){.size = size, .binary = binary};
    memcpy(frame->bytes + LWS_PRE, bytes, size);
    bool idle = ws->first == NULL && !lws_partial_buffered(ws->wsi);
    *ws->last = frame;
    ws->last = &frame->next;
    ws->buffered += size;
    if (!idle) {
        lws_callback_on_writable(ws->wsi);
        return 0;
    }
    if (write_fragment(ws)) { /* at once: no need to ask the socket first */
        if (ws->first != NULL)
            lws_callback_on_writable(ws->wsi);
        return 0;
    }
    ws_kill(ws);
    return ERR_CLOSED;
}

void ws_close(struct ws *ws, int code, const char *reason) {
    if (ws->closing || ws->ended)
        return;
    ws->closing = true;
    ws->close_code = code;
    snprintf(ws->close_reason, sizeof ws->close_reason, "%s", reason ? reason : "");
    if (!is_utf8(ws->close_reason, strlen(ws->close_reason)))
        ws->close_reason[0] = 0; /* cut inside a character, or none to begin with */
    if (ws->open && ws->wsi != NULL) {
        start_timer(ws, CLOSE_WAIT_MS / 1000.0, false);
        lws_callback_on_writable(ws->wsi);
    } else {
        ws_kill(ws);
    }
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

void ws_pause(struct ws *ws) {
    if (ws->paused || ws->wsi == NULL)
        return;
    ws->paused = true;
    lws_rx_flow_control(ws->wsi, 0);
}

void ws_resume(struct ws *ws) {
    if (!ws->paused || ws->wsi == NULL)
        return;
    ws->paused = false;
    lws_rx_flow_control(ws->wsi, 1);
}

/* -- Receiving --------------------------------------------------------------------------------- */

static int on_receive(struct ws *ws, const char *in, size_t size) {
    ws->awaiting_pong = false;
    server_count_bytes(size, 0);
    if (ws->closing)
        return 0; /* nobody listens any more; the peer's close frame is awaited */
    if (lws_is_first_fragment(ws->wsi)) {
        ws->binary = lws_frame_is_binary(ws->wsi);
        ws->message.start = ws->message.size = 0;
    }
    if (ws->message.size + size > ws->limits.message_limit) {
        ws_close(ws, 1009, "message too large");
        return 0;
    }
    bool whole = lws_is_final_fragment(ws->wsi);
    if (whole && ws->message.size == 0) {
        ws->limits.ops->message(ws, in, size, ws->binary, ws->limits.user);
        return 0;
    }
    if (bytes_add(&ws->message, in, size) < 0)
        return -1;
    if (!whole)
        return 0;
    ws->limits.ops->message(ws, ws->message.at, ws->message.size, ws->binary, ws->limits.user);
    bytes_use(&ws->message, ws->message.size);
    return 0;
}

static void on_peer_close(struct ws *ws, const unsigned char *in, size_t size) {
    ws->peer_code = size >= 2 ? in[0] << 8 | in[1] : 1005;
    size_t length = size > 2 ? size - 2 : 0;
    if (length > REASON_MAX)
        length = REASON_MAX;
    if (length > 0)
        memcpy(ws->peer_reason, in + 2, length);
    ws->peer_reason[length] = 0;
}

static void on_opened(struct ws *ws) {
    ws->open = true;
    metric_add(open_count, 1);
    double interval = ws->limits.ping_interval;
    start_timer(ws, interval == 0 ? 20 : interval, true);
    ws->limits.ops->opened(ws, ws->limits.user);
}

static int add_header(struct lws *wsi, const char *name, const char *value, unsigned char **at,
                      unsigned char *end_of_room) {
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name,
                                       (const unsigned char *)value, (int)strlen(value), at,
                                       end_of_room);
}

static int add_answer_headers(struct ws *ws, struct lws_process_html_args *args,
                              const char *request_id) {
    unsigned char *at = (unsigned char *)args->p, *room_end = at + args->max_len;
    if (ws->protocol[0] != 0 &&
        add_header(ws->wsi, "Sec-WebSocket-Protocol:", ws->protocol, &at, room_end))
        return -1;
    if (add_header(ws->wsi, "X-Request-Id:", request_id, &at, room_end))
        return -1;
    args->p = (char *)at;
    return 0;
}

static const char *adopting_request_id;

static int add_client_headers(struct ws *ws, unsigned char **at, size_t size) {
    unsigned char *room_end = *at + size;
    char **headers = ws->connecting ? ws->connecting->headers : NULL;
    for (size_t i = 0; headers != NULL && headers[i] != NULL; i += 2) {
        char name[128];
        snprintf(name, sizeof name, "%s:", headers[i]);
        if (add_header(ws->wsi, name, headers[i + 1], at, room_end))
            return -1;
    }
    return 0;
}

static int handle(struct ws *ws, struct lws *wsi, enum lws_callback_reasons reason, void *in,
                  size_t size) {
    switch (reason) {
    case LWS_CALLBACK_ADD_HEADERS:
        ws->wsi = wsi;
        return add_answer_headers(ws, in, adopting_request_id);
    case LWS_CALLBACK_ESTABLISHED:
        ws->wsi = wsi;
        lws_set_opaque_user_data(wsi, ws);
        on_opened(ws);
        return 0;
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        ws->wsi = wsi;
        return add_client_headers(ws, in, size);
    case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH: /* the last to see the answer's headers */
        if (lws_hdr_copy(wsi, ws->protocol, sizeof ws->protocol, WSI_TOKEN_PROTOCOL) < 0)
            return -1;
        return 0;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        ws->wsi = wsi;
        on_opened(ws);
        return 0;
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return on_receive(ws, in, size);
    case LWS_CALLBACK_RECEIVE_PONG:
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        ws->awaiting_pong = false;
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return on_writable(ws);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        on_peer_close(ws, in, size);
        return 0;
    default:
        return 0;
    }
}

int net_ws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t size) {
    (void)user;
    struct ws *ws = wsi ? lws_get_opaque_user_data(wsi) : NULL;
    if (ws == NULL)
        ws = adopting;
    if (ws == NULL || ws->ended)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        snprintf(ws->close_reason, sizeof ws->close_reason, "%.*s", (int)size,
                 in ? (const char *)in : "cannot connect");
        lws_set_opaque_user_data(wsi, NULL);
        end(ws);
        return 0;
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLIENT_CLOSED:
        lws_set_opaque_user_data(wsi, NULL);
        end(ws);
        return 0;
    default:
        break;
    }
    ws->depth++;
    int result = handle(ws, wsi, reason, in, size);
    ws->depth--;
    return ws->kill ? -1 : result;
}

/* -- Server side ------------------------------------------------------------------------------- */

static struct ws *ws_new(struct net *net, const struct ws_limits *limits) {
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
    uv_timer_init(&net->loop->uv, &ws->timer);
    ws->timer.data = ws;
    return ws;
}

/* libwebsockets is given a handshake of our own making: the real one was read and checked already.
 */
struct ws *ws_adopt(const struct ws_upgrade *upgrade, const struct ws_limits *limits) {
    struct ws *ws = ws_new(upgrade->net, limits);
    size_t room = 512 + upgrade->early.size;
    char *text = malloc(room);
    if (ws == NULL || text == NULL) {
        free(text);
        close(upgrade->fd);
        if (ws != NULL)
            uv_close((uv_handle_t *)&ws->timer, timer_closed);
        return NULL;
    }
    snprintf(ws->remote, sizeof ws->remote, "%s", upgrade->remote);
    snprintf(ws->protocol, sizeof ws->protocol, "%s", upgrade->protocol ? upgrade->protocol : "");
    ws->shell = upgrade->shell;
    int size = snprintf(text, room,
                        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: %.*s\r\n\r\n",
                        (int)upgrade->key.size, upgrade->key.at);
    if (upgrade->early.size > 0)
        memcpy(text + size, upgrade->early.at, upgrade->early.size);
    adopting = ws;
    adopting_request_id = upgrade->request_id;
    net_set_quiet(true);
    lws_adopt_socket_vhost_readbuf(upgrade->net->vhost, upgrade->fd, text,
                                   (size_t)size + upgrade->early.size);
    net_set_quiet(false);
    adopting = NULL;
    free(text);
    if (ws->open && !ws->ended)
        return ws;
    ws->shell = NULL;
    if (!ws->ended) {
        ws->limits.ops = NULL; /* never opened: nobody was told of it */
        end(ws);
    }
    return NULL;
}

/* -- Client side ------------------------------------------------------------------------------- */

static int connect_now(struct ws *ws) {
    struct connecting *connecting = ws->connecting;
    char host[300];
    snprintf(host, sizeof host, strchr(connecting->host, ':') ? "[%s]:%d" : "%s:%d",
             connecting->host, connecting->port);
    struct lws_client_connect_info info = {
        .context = ws->net->context,
        .vhost = ws->net->vhost,
        .address = connecting->address,
        .port = connecting->port,
        .path = connecting->path,
        .host = host,
        .protocol = connecting->protocols,
        .local_protocol_name = "stance-ws",
        .opaque_user_data = ws,
        .ietf_version_or_minus_one = -1,
    };
    ws->depth++;
    struct lws *wsi = lws_client_connect_via_info(&info);
    ws->depth--;
    if (ws->ended)
        return -1;
    if (wsi == NULL) {
        if (ws->close_reason[0] == 0)
            snprintf(ws->close_reason, sizeof ws->close_reason, "cannot connect");
        end(ws);
        return -1;
    }
    ws->wsi = wsi;
    return 0;
}

static void looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses) {
    struct connecting *connecting = request->data;
    struct ws *ws = connecting->ws;
    connecting->looking_up = false;
    if (ws == NULL) {
        free_connecting(connecting);
    } else if (status < 0 || addresses == NULL) {
        snprintf(ws->close_reason, sizeof ws->close_reason, "cannot find %.60s: %s",
                 connecting->host, uv_strerror(status));
        end(ws);
    } else {
        if (addresses->ai_family == AF_INET6)
            uv_ip6_name((struct sockaddr_in6 *)addresses->ai_addr, connecting->address,
                        sizeof connecting->address);
        else
            uv_ip4_name((struct sockaddr_in *)addresses->ai_addr, connecting->address,
                        sizeof connecting->address);
        connect_now(ws);
    }
    uv_freeaddrinfo(addresses);
}

static int parse_url(const char *url, struct connecting *connecting, struct err *err) {
    if (strncmp(url, "wss://", 6) == 0)
        return err_set(err, ERR_UNSUPPORTED, "%s: wss needs TLS, which this client does not speak",
                       url);
    if (strncmp(url, "ws://", 5) != 0)
        return err_set(err, ERR_INVALID, "%s: not a ws:// URL", url);
    const char *host = url + 5;
    size_t size = strcspn(host, "/?#");
    const char *path = host + size;
    const char *port = NULL;
    size_t host_size = size;
    if (host[0] == '[') {
        const char *bracket = memchr(host, ']', size);
        if (bracket == NULL)
            return err_set(err, ERR_INVALID, "%s: the host is malformed", url);
        host++;
        host_size = (size_t)(bracket - host);
        port = bracket[1] == ':' ? bracket + 2 : NULL;
    } else {
        const char *colon = memchr(host, ':', size);
        if (colon != NULL) {
            host_size = (size_t)(colon - host);
            port = colon + 1;
        }
    }
    connecting->port = port ? atoi(port) : 80;
    if (host_size == 0 || host_size >= sizeof connecting->host || connecting->port < 1 ||
        connecting->port > 65535 || strlen(path) + 2 > sizeof connecting->path)
        return err_set(err, ERR_INVALID, "%s: the host, port or path is malformed", url);
    memcpy(connecting->host, host, host_size);
    connecting->host[host_size] = 0;
    snprintf(connecting->path, sizeof connecting->path, "%s%s", path[0] == '/' ? "" : "/", path);
    connecting->path[strcspn(connecting->path, "#")] = 0;
    return 0;
}

static int copy_target(const struct ws_target *target, struct connecting *connecting) {
    size_t count = 0;
    while (target->headers != NULL && target->headers[count] != NULL)
        count++;
    connecting->headers = calloc(count + 1, sizeof *connecting->headers);
    if (connecting->headers == NULL)
        return -1;
    for (size_t i = 0; i < count; i++) {
        connecting->headers[i] = strdup(target->headers[i]);
        if (connecting->headers[i] == NULL)
            return -1;
    }
    if (target->protocols != NULL && (connecting->protocols = strdup(target->protocols)) == NULL)
        return -1;
    return 0;
}

int ws_connect(struct loop *loop, const struct ws_target *target, const struct ws_limits *limits,
               struct ws **out, struct err *err) {
    struct net *net;
    int status = net_get(loop, &net, err);
    if (status < 0)
        return status;
    struct connecting *connecting = calloc(1, sizeof *connecting);
    if (connecting == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    struct ws *ws = NULL;
    status = parse_url(target->url, connecting, err);
    if (status == 0 && copy_target(target, connecting) == 0)
        ws = ws_new(net, limits);
    if (ws == NULL) {
        free_connecting(connecting);
        return status < 0 ? status : err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    ws->connecting = connecting;
    connecting->ws = ws;
    snprintf(ws->remote, sizeof ws->remote, "%.40s:%d", connecting->host, connecting->port);
    start_timer(ws, target->timeout == 0 ? 10 : target->timeout, false);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    connecting->lookup.data = connecting;
    /* libwebsockets itself would look names up on this thread. */
    status =
        uv_getaddrinfo(&loop->uv, &connecting->lookup, looked_up, connecting->host, NULL, &hints);
    connecting->looking_up = status == 0;
    if (status < 0) {
        ws->limits.ops = NULL;
        err_set_uv(err, status, "cannot look up %s", connecting->host);
        end(ws);
        return ERR_IO;
    }
    *out = ws;
    return 0;
}
