/* ws_client.c - WebSockets that this process opens: libwebsockets' own, for it knows the handshake.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/ws_private.h"

enum { FRAGMENT_SIZE = NET_IO_SIZE - 64 }; /* a larger message goes out in fragments */

struct ws_connecting {
    struct ws *ws; /* NULL: given up */
    uv_getaddrinfo_t lookup;
    bool looking_up;
    char host[256], path[1024], address[64];
    int port;
    char *protocols;
    char **headers;
};

/* -- The end ----------------------------------------------------------------------------------- */

static void free_connecting(struct ws_connecting *connecting) {
    if (connecting == NULL)
        return;
    for (size_t i = 0; connecting->headers != NULL && connecting->headers[i] != NULL; i++)
        free(connecting->headers[i]);
    free(connecting->headers);
    free(connecting->protocols);
    free(connecting);
}

void ws_client_forget(struct ws *ws) {
    struct ws_connecting *connecting = ws->connecting;
    ws->connecting = NULL;
    if (connecting == NULL)
        return;
    connecting->ws = NULL; /* the look-up's end frees it, or we do */
    if (connecting->looking_up)
        uv_cancel((uv_req_t *)&connecting->lookup);
    else
        free_connecting(connecting);
}

void ws_client_kill(struct ws *ws) {
    struct lws *wsi = ws->wsi;
    if (wsi != NULL && ws->depth > 0)
        return; /* its callback's end does it */
    if (wsi != NULL) {
        lws_set_opaque_user_data(wsi, NULL);
        lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
    }
    ws_end(ws);
}

/* -- Frames ------------------------------------------------------------------------------------ */

void ws_client_wake(struct ws *ws) {
    lws_callback_on_writable(ws->wsi);
}

/* One fragment of the first message. False when the connection is broken. */
static bool write_fragment(struct ws *ws) {
    struct ws_out *out = ws->first;
    struct ws_message *message = out->message;
    size_t size = message->end - out->at;
    if (size > FRAGMENT_SIZE)
        size = FRAGMENT_SIZE;
    bool is_last = out->at + size == message->end;
    int flags = ws_is_begun(out)  ? LWS_WRITE_CONTINUATION
                : message->binary ? LWS_WRITE_BINARY
                                  : LWS_WRITE_TEXT;
    if (!is_last)
        flags |= LWS_WRITE_NO_FIN;
    /* The bytes before the fragment are overwritten by its frame head: they are sent already. */
    if (lws_write(ws->wsi, message->bytes + out->at, size, (enum lws_write_protocol)flags) <
        (int)size)
        return false;
    out->at += size;
    server_count_bytes(0, size);
    if (is_last)
        ws_sent(ws);
    return true;
}

bool ws_client_try_send(struct ws *ws) {
    if (!lws_partial_buffered(ws->wsi) && !write_fragment(ws)) {
        ws_kill(ws);
        return false;
    }
    if (ws->first != NULL)
        lws_callback_on_writable(ws->wsi);
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

void ws_client_pause(struct ws *ws, bool paused) {
    if (ws->wsi != NULL)
        lws_rx_flow_control(ws->wsi, paused ? 0 : 1);
}

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
        ws_tell_message(ws, in, size, ws->binary);
        return 0;
    }
    if (bytes_add(&ws->message, in, size) < 0)
        return -1;
    if (!whole)
        return 0;
    ws_tell_message(ws, ws->message.at, ws->message.size, ws->binary);
    bytes_use(&ws->message, ws->message.size);
    return 0;
}

static void on_peer_close(struct ws *ws, const unsigned char *in, size_t size) {
    if (size >= 2)
        ws_set_peer_close(ws, in[0] << 8 | in[1], (const char *)in + 2, size - 2);
    else
        ws_set_peer_close(ws, 1005, "", 0);
}

static int add_headers(struct ws *ws, unsigned char **at, size_t size) {
    unsigned char *room_end = *at + size;
    char **headers = ws->connecting ? ws->connecting->headers : NULL;
    for (size_t i = 0; headers != NULL && headers[i] != NULL; i += 2) {
        char name[128];
        snprintf(name, sizeof name, "%s:", headers[i]);
        if (lws_add_http_header_by_name(ws->wsi, (const unsigned char *)name,
                                        (const unsigned char *)headers[i + 1],
                                        (int)strlen(headers[i + 1]), at, room_end))
            return -1;
    }
    return 0;
}

static int handle(struct ws *ws, struct lws *wsi, enum lws_callback_reasons reason, void *in,
                  size_t size) {
    switch (reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        ws->wsi = wsi;
        return add_headers(ws, in, size);
    case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH: /* the last to see the answer's headers */
        if (lws_hdr_copy(wsi, ws->protocol, sizeof ws->protocol, WSI_TOKEN_PROTOCOL) < 0)
            return -1;
        return 0;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        ws->wsi = wsi;
        ws_opened(ws);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return on_receive(ws, in, size);
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        ws->awaiting_pong = false;
        return 0;
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
    if (ws == NULL || ws->ended)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        snprintf(ws->close_reason, sizeof ws->close_reason, "%.*s", (int)size,
                 in ? (const char *)in : "cannot connect");
        lws_set_opaque_user_data(wsi, NULL);
        ws_end(ws);
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
        lws_set_opaque_user_data(wsi, NULL);
        ws_end(ws);
        return 0;
    default:
        break;
    }
    ws->depth++;
    int result = handle(ws, wsi, reason, in, size);
    ws->depth--;
    return ws->kill ? -1 : result;
}

/* -- Connecting -------------------------------------------------------------------------------- */

static int connect_now(struct ws *ws) {
    struct ws_connecting *connecting = ws->connecting;
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
        ws_end(ws);
        return -1;
    }
    ws->wsi = wsi;
    return 0;
}

static void looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses) {
    struct ws_connecting *connecting = request->data;
    struct ws *ws = connecting->ws;
    connecting->looking_up = false;
    if (ws == NULL) {
        free_connecting(connecting);
    } else if (status < 0 || addresses == NULL) {
        snprintf(ws->close_reason, sizeof ws->close_reason, "cannot find %.60s: %s",
                 connecting->host, uv_strerror(status));
        ws_end(ws);
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

static int parse_url(const char *url, struct ws_connecting *connecting, struct err *err) {
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

static int copy_target(const struct ws_target *target, struct ws_connecting *connecting) {
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
    struct ws_connecting *connecting = calloc(1, sizeof *connecting);
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
    ws_start_timer(ws, target->timeout == 0 ? 10 : target->timeout, false);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    connecting->lookup.data = connecting;
    /* libwebsockets itself would look names up on this thread. */
    status =
        uv_getaddrinfo(&loop->uv, &connecting->lookup, looked_up, connecting->host, NULL, &hints);
    connecting->looking_up = status == 0;
    if (status < 0) {
        ws->limits.ops = NULL;
        err_set_uv(err, status, "cannot look up %s", connecting->host);
        ws_end(ws);
        return ERR_IO;
    }
    *out = ws;
    return 0;
}
