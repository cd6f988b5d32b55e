/* marriage.h - libwebsockets and libuv turned by one thread.
 *
 * libwebsockets runs on libev, its cheapest event library here; libuv's backend descriptor is
 * watched by the same libev loop, and each turn lets libuv run what is due. It is made on first use
 * for a loop, installs itself as the loop's driver, and goes when the loop does (loop_deinit); by
 * then all servers and sockets on it have to be closed. Loop thread only. */
#ifndef STANCE_NET_MARRIAGE_H
#define STANCE_NET_MARRIAGE_H

#include <libwebsockets.h>

#include "core/loop.h"

enum {
    NET_IO_SIZE = 65536, /* bytes read or written at a time */
};

struct net_private;

struct net {
    struct loop *loop;
    struct lws_context *context;
    struct lws_vhost *vhost;
    unsigned char *scratch; /* NET_IO_SIZE bytes behind LWS_PRE, for putting a message together;
                               valid until the next use */
    struct ws *to_flush,
        **to_flush_last; /* WebSockets that have something for the end of this turn */
    struct net_private *private;
};

/* The net of this loop. ERR_UNSUPPORTED when libwebsockets' libev plug-in is not installed. */
int net_get(struct loop *loop, struct net **out, struct err *err);

/* What libwebsockets calls: connections of the HTTP server (net/connection.c), WebSockets that
 * this process opens (net/ws_client.c). */
int net_connection_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                            size_t size);
int net_ws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t size);

/* net/ws_send.c: writes what net->to_flush has, for about a millisecond. */
void net_flush(struct net *net);

#endif
