/* server_private.h - what server.c, connection.c, response.c and request.c share. */
#ifndef STANCE_NET_SERVER_PRIVATE_H
#define STANCE_NET_SERVER_PRIVATE_H

#include "net/marriage.h"
#include "net/server.h"

enum {
    KEEP_DRAIN_MAX = 256 * 1024, /* an unread body up to this is read away to keep the connection */
    LINGER_DRAIN_MAX = 8 << 20,  /* and up to this before a connection is cut */
    INPUT_PAUSE = NET_IO_SIZE,   /* pipelined or paused bytes held before reading stops */
    BODY_PROGRESS = NET_IO_SIZE, /* bytes that renew body_timeout */
    ID_MAX = 64,
};

/* Connections in order of their deadline: all of a class wait equally long, so each list is a
 * queue. */
enum deadline {
    DEADLINE_HEAD,
    DEADLINE_BODY,
    DEADLINE_IDLE,
    DEADLINE_WRITE,
    DEADLINE_HANDLER,
    DEADLINE_LINGER,
    DEADLINE_COUNT,
    DEADLINE_NONE = DEADLINE_COUNT,
};

struct bytes {
    char *at;
    size_t start, size, room; /* [start, size) is in use */
};

int bytes_add(struct bytes *bytes, const char *more, size_t size);
void bytes_use(struct bytes *bytes, size_t count);
void bytes_free(struct bytes *bytes);

struct file_send;

enum connection_state {
    STATE_HEAD,    /* awaiting or reading a head */
    STATE_REQUEST, /* a request is with its handler or being answered */
    STATE_LINGER,  /* the last answer is out: reads away what still comes */
    STATE_SOCKET,  /* a WebSocket: net/ws.c has it */
};
enum { STATE_COUNT = STATE_SOCKET + 1 };

struct net_request {
    struct http_head head;
    const struct net_request_ops *ops;
    void *user;
    const char *route;
    struct http_chunks chunks;
    int64_t body_limit, body_read, body_remain;
    size_t body_progress;
    bool active;         /* between `request` and `over` */
    bool attached_ready; /* `request` has returned: body may flow */
    bool body_done, paused;
    bool no_deadline;      /* answers when it likes */
    bool discard;          /* answered: the rest of the body is read away */
    bool continue_due;     /* 100-continue is awaited and not yet sent */
    bool started, ended;   /* of the answer */
    bool cors;             /* its origin is listed */
    bool chunked, no_body; /* of the answer */
    bool wants_drained;
    int status;
    int64_t length_left; /* bytes of the announced length still to be written; -1: chunked */
    uint64_t begun_ns, sent;
    struct file_send *file;
    char id[ID_MAX + 1];
    char traceparent[56];
};

/* What a head is read into. */
struct head_room {
    size_t size; /* of bytes */
    struct http_header headers[HTTP_HEADERS_MAX];
    char bytes[];
};

struct connection {
    struct connection *next, **previous; /* in server->all */
    struct connection *later, **earlier; /* in its deadline queue */
    struct net_server *server;
    struct lws *wsi;
    enum connection_state state;
    enum deadline deadline;
    uint64_t due_ms;
    struct bytes input, output;
    struct head_room *head; /* of the present request; NULL: none is under way */
    size_t head_scanned;
    size_t lingered;
    unsigned requests;
    int depth; /* > 0: inside one of our entry points, closing waits */
    bool want_close, rx_off, keep_alive, processing, turned_away;
    struct net_request request;
    struct ws *ws; /* in STATE_SOCKET */
    char remote[56];
};

struct deadline_queue {
    struct connection *first, *last;
    uint64_t wait_ms;
};

struct net_server {
    struct net *net;
    struct net_server_options options;
    char **hosts, **origins;
    int fd;
    uv_poll_t poll;
    uv_timer_t sweep;
    int handles; /* open libuv handles; freed at 0 */
    struct connection *all;
    struct head_room *spare_head; /* most requests are over before the next one comes */
    size_t count;
    size_t counted[STATE_COUNT]; /* as /metrics knows it */
    struct deadline_queue queues[DEADLINE_COUNT];
    char address[64];
    uint64_t told_ms; /* when it was last said that connections are turned away */
    bool closing, accepting, told_full;
};

/* connection.c */
void connection_accept(struct net_server *server, int fd, const char *remote);
void connection_enter(struct connection *c);
int connection_leave(
    struct connection *c); /* -1: it is to be closed by returning -1 to libwebsockets; or gone */
void connection_leave_async(struct connection *c);
void connection_close(struct connection *c);
void connection_set_deadline(struct connection *c, enum deadline deadline);
void connection_expire(struct connection *c);
void connection_process(struct connection *c, char *bytes, size_t size);
/* The last answer is out: says so, and reads away what the client still sends. */
void connection_linger(struct connection *c);
void connection_free_request(struct connection *c, bool whole);
static inline struct connection *connection_of(const struct net_request *request) {
    return (struct connection *)((char *)(uintptr_t)request - offsetof(struct connection, request));
}

/* request.c */
void request_prepare(struct connection *c);
void request_begin(struct connection *c);
bool request_feed(struct connection *c, char **bytes, size_t *size); /* whether it moved on */

/* response.c */
void response_writable(struct connection *c);
void response_reject(struct connection *c, int status, const char *code, const char *detail);
void response_file_detach(struct file_send *file);
void response_raw(struct connection *c, const char *bytes, size_t size);

/* metrics of the whole process */
void server_count_request(struct connection *c);
void server_count_bytes(size_t in, size_t out);
void server_release(struct net_server *server); /* frees it when it is closed and empty */
uint64_t server_now_ms(const struct net_server *server);

#endif
