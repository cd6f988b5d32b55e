/* ws_private.h - how the HTTP server hands an upgraded connection to net/ws.c. */
#ifndef STANCE_NET_WS_PRIVATE_H
#define STANCE_NET_WS_PRIVATE_H

#include "net/http_parse.h"
#include "net/marriage.h"
#include "net/ws.h"

struct connection;

struct ws_upgrade {
    struct net *net;
    int fd;                      /* owned from the call on: a double of the connection's */
    struct http_span key, early; /* early: frames that came right behind the head */
    const char *protocol, *request_id, *remote;
    struct connection *shell; /* closed when the WebSocket is gone */
};

/* NULL when the handshake failed. */
struct ws *ws_adopt(const struct ws_upgrade *upgrade, const struct ws_limits *limits);

/* Inside one of its callbacks: ws_kill takes effect when that returns. */
bool ws_is_calling(const struct ws *ws);

/* The connection is going by itself. */
void ws_forget_shell(struct ws *ws);

#endif
