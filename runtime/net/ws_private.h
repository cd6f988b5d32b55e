/* ws_private.h - what the files of WebSockets and the HTTP server share.
 *
 * ws.c has their life and what comes in, ws_send.c what goes out, ws_group.c many at once. A
 * server's WebSocket stays on the connection that its handshake came by: connection.c hands over
 * what is read and says when the socket takes more, ws_frame.c reads the frames. A client's is a
 * libwebsockets one, which does its own framing. */
#ifndef STANCE_NET_WS_PRIVATE_H
#define STANCE_NET_WS_PRIVATE_H

#include "net/server_private.h"
#include "net/ws.h"
#include "net/ws_frame.h"

struct ws_connecting;

enum { WS_PROTOCOL_MAX = 63 };

/* A message as it goes out, made once for all who get it. */
struct ws_message {
    unsigned users;
    bool binary;
    size_t size;           /* of the message */
    size_t begin, end;     /* in `bytes`, of what goes out */
    unsigned char bytes[]; /* LWS_PRE bytes, the last of them a server's frame head; the message */
};

/* A message that waits to be sent. */
struct ws_out {
    struct ws_out *next;
    struct ws_message *message;
    size_t at; /* where in its bytes the next one to send is */
};

struct ws {
    struct net *net;
    struct connection *connection; /* a server's; NULL: a client's, or gone */
    struct lws *wsi;               /* a client's */
    struct ws_limits limits;
    struct ws_out *first, **last;
    size_t buffered;
    struct ws *flush_next, **flush_previous; /* in net->to_flush; NULL: not there */
    struct ws_membership *memberships;
    struct bytes message;
    struct ws_reader reader;
    bool binary;
    bool open;               /* between opened and closed */
    bool closing;            /* our close frame is due or out */
    bool close_sent, failed; /* a server's: failed: what still comes is not read */
    bool blocked;            /* a server's: the kernel takes no more at present */
    bool ping_due, awaiting_pong, pong_due;
    bool paused;
    bool ended; /* `closed` was called */
    int depth;  /* > 0: inside a callback of a client's, killing waits */
    bool kill;
    int close_code, peer_code;
    char close_reason[WS_CONTROL_MAX - 1], peer_reason[WS_CONTROL_MAX - 1];
    unsigned char pong_size, pong[WS_CONTROL_MAX]; /* the answer to the latest ping */
    char remote[56], protocol[WS_PROTOCOL_MAX + 1];
    uv_timer_t timer; /* of pings; of the handshake before; of the close after */
    struct ws_connecting *connecting;
};

/* ws.c */
struct ws *ws_new(struct net *net, const struct ws_limits *limits);
void ws_opened(struct ws *ws);
void ws_end(struct ws *ws); /* the connection is gone, or never came */
void ws_start_timer(struct ws *ws, double seconds, bool repeat);
void ws_set_peer_close(struct ws *ws, int code, const char *reason, size_t size);
void ws_tell_message(struct ws *ws, const char *bytes, size_t size, bool binary);

/* A connection whose handshake is answered becomes a WebSocket. NULL: out of memory. */
struct ws *ws_adopt(struct connection *c, const char *protocol, const struct ws_limits *limits);

/* Reads frames from `bytes`; false when it cannot go on now. Inside connection_enter. */
bool ws_feed(struct ws *ws, char **bytes, size_t *size);
bool ws_wants_input(const struct ws *ws);

/* ws_send.c */
void ws_count_sent(void); /* before anything is sent */
bool ws_is_text(const char *bytes, size_t size);
bool ws_takes_messages(const struct ws *ws);
struct ws_message *ws_message_new(const char *bytes, size_t size, bool binary, bool framed);
void ws_message_release(struct ws_message *message);
int ws_enqueue(struct ws *ws, struct ws_message *message); /* as ws_send, but sends nothing yet */
bool ws_is_begun(const struct ws_out *out);                /* half out: must be ended */
void ws_sent(struct ws *ws);                 /* the first message is out: forgets it */
void ws_drop_queue(struct ws *ws, bool all); /* not all: but for what is half out */
void ws_wake(struct ws *ws);                 /* writes when the socket takes it */
void ws_write(struct ws *ws); /* a server's: as much as the socket takes. Inside connection_enter */
void ws_writable(struct ws *ws);   /* a server's: the socket takes more */
void ws_flush_soon(struct ws *ws); /* a server's: writes at the end of the loop's turn */
void ws_flush_never(struct ws *ws);

/* ws_group.c */
void ws_leave_groups(struct ws *ws);

/* ws_client.c */
void ws_client_wake(struct ws *ws);     /* write when the socket takes it */
bool ws_client_try_send(struct ws *ws); /* now, when nothing waits; false: broken */
void ws_client_kill(struct ws *ws);
void ws_client_pause(struct ws *ws, bool paused);
void ws_client_forget(struct ws *ws); /* at its end: what belongs to connecting */

#endif
