/* server.c - the listening side: address, limits, sweep of deadlines, metrics. */
#include "net/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"
#include "core/metrics.h"
#include "net/server_private.h"

enum {
    BACKLOG = 1024,
    ACCEPT_MAX = 64, /* connections taken before others get their turn */
    CACHE_SIZE = 256,
    CONNECTIONS_DEFAULT = 10000,
    DESCRIPTORS_SPARE = 256, /* for all that is no connection: files, database, workers, clients */
    FULL_TOLD_EVERY_MS = 60000,
    TURNED_AWAY_MAX = 64, /* connections beyond the limit that still get a 503; the rest is cut */
};

/* -- Metrics ----------------------------------------------------------------------------------- */

static struct {
    bool ready;
    struct metric_family *requests, *seconds;
    struct metric *bytes_in, *bytes_out;
    struct metric *connections[STATE_COUNT];
} counted;

static void prepare_metrics(void) {
    if (counted.ready)
        return;
    counted.ready = true;
    counted.requests =
        metrics_family(METRIC_COUNTER, "http_requests_total",
                       "HTTP requests answered (499: the client left before).", NULL, 0, NULL);
    counted.seconds =
        metrics_family(METRIC_HISTOGRAM, "http_request_seconds",
                       "Seconds from a request's head to the end of its answer.", NULL, 0, NULL);
    struct metric_family *family =
        metrics_family(METRIC_GAUGE, "http_connections",
                       "Open HTTP connections, by what they are at.", NULL, 0, NULL);
    static const char *const states[] = {"idle", "request", "closing", "websocket"};
    for (int i = 0; i < STATE_COUNT; i++)
        counted.connections[i] =
            metrics_series(family, (const char *const[]){"state", states[i], NULL});
    family = metrics_family(METRIC_COUNTER, "http_received_bytes_total",
                            "Bytes read from HTTP connections.", NULL, 0, NULL);
    counted.bytes_in = metrics_series(family, NULL);
    family = metrics_family(METRIC_COUNTER, "http_sent_bytes_total",
                            "Bytes written to HTTP connections.", NULL, 0, NULL);
    counted.bytes_out = metrics_series(family, NULL);
}

/* Before each rendering. There may be several servers, of which each counts its own. */
static void recount_connections(void *arg) {
    struct net_server *server = arg;
    size_t now[STATE_COUNT] = {0};
    for (const struct connection *c = server->all; c != NULL; c = c->next)
        now[c->state]++;
    for (int i = 0; i < STATE_COUNT; i++) {
        metric_add(counted.connections[i], (double)now[i] - (double)server->counted[i]);
        server->counted[i] = now[i];
    }
}

static void forget_connections(struct net_server *server) {
    metrics_off_collect(recount_connections, server);
    for (int i = 0; i < STATE_COUNT; i++)
        metric_add(counted.connections[i], -(double)server->counted[i]);
}

void server_count_bytes(size_t in, size_t out) {
    prepare_metrics(); /* a WebSocket client may run where no server does */
    if (in > 0)
        metric_add(counted.bytes_in, (double)in);
    if (out > 0)
        metric_add(counted.bytes_out, (double)out);
}

/* Looking a series up takes a lock and compares strings: too dear for each request. */
struct cached {
    const char *route;
    int method, status;
    struct metric *requests, *seconds;
};

static struct cached *find_cached(const char *route, int method, int status) {
    static struct cached cache[CACHE_SIZE];
    size_t hash = ((uintptr_t)route >> 4) * 31 + (size_t)method * 1031 + (size_t)status * 7;
    struct cached *entry = &cache[hash % CACHE_SIZE];
    if (entry->route == route && entry->method == method && entry->status == status)
        return entry;
    char digits[16];
    snprintf(digits, sizeof digits, "%d", status);
    const char *labels[] = {
        "method", http_method_name((enum http_method)method), "route", route, "status", digits,
        NULL};
    const char *route_labels[] = {"route", route, NULL};
    *entry = (struct cached){route, method, status, metrics_series(counted.requests, labels),
                             metrics_series(counted.seconds, route_labels)};
    return entry;
}

void server_count_request(struct connection *c) {
    const struct net_request *r = &c->request;
    int status = r->status > 0 ? r->status : 499;
    double seconds = (double)(uv_hrtime() - r->begun_ns) / 1e9;
    struct cached *series = find_cached(r->route, (int)r->head.method, status);
    metric_add(series->requests, 1);
    if (status != 101)
        metric_observe(series->seconds, seconds);
    if (log_enabled(LOG_DEBUG))
        log_debug("net", "%s %.*s %d %.3f ms %llu bytes %s %s", http_method_name(r->head.method),
                  (int)r->head.path.size, r->head.path.at ? r->head.path.at : "", status,
                  seconds * 1000, (unsigned long long)r->sent, c->remote, r->id);
}

/* -- Address ----------------------------------------------------------------------------------- */

static int parse_address(const char *text, struct sockaddr_storage *out, socklen_t *size,
                         struct err *err) {
    char host[64];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof host)
        return err_set(err, ERR_INVALID, "listen address \"%s\": write HOST:PORT", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    char *end;
    long port = strtol(colon + 1, &end, 10);
    if (*end != 0 || end == colon + 1 || port < 0 || port > 65535)
        return err_set(err, ERR_INVALID, "listen address \"%s\": the port is not 0..65535", text);
    if (strcmp(host, "localhost") == 0)
        snprintf(host, sizeof host, "127.0.0.1");
    memset(out, 0, sizeof *out);
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    size_t length = strlen(host);
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = 0;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *size = sizeof *v6;
        if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1)
            return 0;
    } else {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *size = sizeof *v4;
        if (inet_pton(AF_INET, host, &v4->sin_addr) == 1)
            return 0;
    }
    return err_set(err, ERR_INVALID, "listen address \"%s\": not an IP address", text);
}

static void print_address(const struct sockaddr_storage *address, char *out, size_t size) {
    char ip[INET6_ADDRSTRLEN] = "?";
    if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        inet_ntop(AF_INET6, &v6.sin6_addr, ip, sizeof ip);
        snprintf(out, size, "[%s]:%d", ip, ntohs(v6.sin6_port));
    } else {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, ip, sizeof ip);
        snprintf(out, size, "%s:%d", ip, ntohs(v4.sin_port));
    }
}

static int open_socket(struct net_server *server, struct err *err) {
    const char *text = server->options.listen;
    struct sockaddr_storage address = {0};
    socklen_t size = 0;
    int status = parse_address(text, &address, &size, err);
    if (status < 0)
        return status;
    server->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server->fd < 0)
        return err_set_errno(err, errno, "cannot make a socket");
    int on = 1;
    setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(server->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted ones inherit it */
    if (bind(server->fd, (struct sockaddr *)&address, size) < 0)
        return err_set_errno(err, errno, "cannot listen on %s", text);
    if (listen(server->fd, BACKLOG) < 0)
        return err_set_errno(err, errno, "cannot listen on %s", text);
    size = sizeof address;
    getsockname(server->fd, (struct sockaddr *)&address, &size);
    print_address(&address, server->address, sizeof server->address);
    return 0;
}

/* -- Limits ------------------------------------------------------------------------------------ */

/* So that the descriptors last for all connections. libwebsockets makes its tables by this limit.
 */
static void raise_descriptor_limit(struct net_server_options *o) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    rlim_t wanted = o->connection_limit + TURNED_AWAY_MAX + DESCRIPTORS_SPARE;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= wanted)
        return;
    size_t most = limit.rlim_cur > wanted - o->connection_limit
                      ? (size_t)(limit.rlim_cur - (wanted - o->connection_limit))
                      : 1;
    log_warn("net",
             "%zu connections at most, not %zu: this process may have %llu descriptors (ulimit "
             "-Hn, LimitNOFILE=)",
             most, o->connection_limit, (unsigned long long)limit.rlim_cur);
    o->connection_limit = most;
}

/* A flood of connections must not become a flood of lines. */
static void tell_full(struct net_server *server, const char *why) {
    uint64_t now = server_now_ms(server);
    if (server->told_full && now - server->told_ms < FULL_TOLD_EVERY_MS)
        return;
    server->told_full = true;
    server->told_ms = now;
    log_warn("net", "new connections are turned away: %s", why);
}

/* -- Accepting --------------------------------------------------------------------------------- */

static void accept_some(uv_poll_t *poll, int status, int events);

/* Without descriptors those who wait go on waiting; the next sweep looks again. */
static void pause_accepting(struct net_server *server) {
    tell_full(server, "no descriptor left");
    uv_poll_stop(&server->poll);
    server->accepting = false;
}

static void resume_accepting(struct net_server *server) {
    if (!server->accepting && !server->closing)
        uv_poll_start(&server->poll, UV_READABLE, accept_some);
    server->accepting = true;
}

static void accept_some(uv_poll_t *poll, int status, int events) {
    (void)events;
    struct net_server *server = poll->data;
    if (status < 0)
        return;
    for (int i = 0; i < ACCEPT_MAX; i++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        int fd =
            accept4(server->fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                pause_accepting(server);
            return;
        }
        if (server->count >= server->options.connection_limit)
            tell_full(server, "there are max_connections of them");
        if (server->count >= server->options.connection_limit + TURNED_AWAY_MAX) {
            close(fd);
            continue;
        }
        char remote[56];
        print_address(&address, remote, sizeof remote);
        connection_accept(server, fd, remote);
    }
}

/* -- Deadlines --------------------------------------------------------------------------------- */

uint64_t server_now_ms(const struct net_server *server) {
    return uv_now(&server->net->loop->uv);
}

static void sweep(uv_timer_t *timer) {
    struct net_server *server = timer->data;
    uint64_t now = server_now_ms(server);
    resume_accepting(server);
    for (int i = 0; i < DEADLINE_COUNT; i++) {
        struct deadline_queue *queue = &server->queues[i];
        while (queue->first != NULL && queue->first->due_ms <= now)
            connection_expire(queue->first);
    }
}

static uint64_t milliseconds(double seconds, double otherwise) {
    if (seconds == 0)
        seconds = otherwise;
    return seconds < 0 ? 0 : (uint64_t)(seconds * 1000) + 1;
}

static void set_deadlines(struct net_server *server) {
    const struct net_server_options *o = &server->options;
    server->queues[DEADLINE_HEAD].wait_ms = milliseconds(o->header_timeout, 10);
    server->queues[DEADLINE_BODY].wait_ms = milliseconds(o->body_timeout, 30);
    server->queues[DEADLINE_IDLE].wait_ms = milliseconds(o->idle_timeout, 60);
    server->queues[DEADLINE_WRITE].wait_ms = milliseconds(o->write_timeout, 60);
    server->queues[DEADLINE_HANDLER].wait_ms = milliseconds(o->handler_timeout, 60);
    server->queues[DEADLINE_LINGER].wait_ms = 2000;
    uint64_t least = 1000;
    for (int i = 0; i < DEADLINE_COUNT; i++)
        if (server->queues[i].wait_ms > 0 && server->queues[i].wait_ms < least)
            least = server->queues[i].wait_ms;
    uint64_t period = least / 4 > 10 ? least / 4 : 10;
    uv_timer_start(&server->sweep, sweep, period, period);
    uv_unref((uv_handle_t *)&server->sweep);
}

/* -- Life -------------------------------------------------------------------------------------- */

static char **copy_list(const char *const *list) {
    size_t count = 0;
    while (list != NULL && list[count] != NULL)
        count++;
    char **copy = calloc(count + 1, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < count; i++)
        copy[i] = strdup(list[i]);
    return copy;
}

static void free_list(char **list) {
    for (size_t i = 0; list != NULL && list[i] != NULL; i++)
        free(list[i]);
    free(list);
}

static void free_server(struct net_server *server) {
    free(server->spare_head);
    free_list(server->hosts);
    free_list(server->origins);
    free(server);
}

void server_release(struct net_server *server) {
    if (server->handles == 0 && server->count == 0)
        free_server(server);
}

static void handle_closed(uv_handle_t *handle) {
    struct net_server *server = handle->data;
    server->handles--;
    server_release(server);
}

static void fill_defaults(struct net_server_options *o) {
    if (o->header_limit == 0)
        o->header_limit = 16384;
    if (o->body_limit == 0)
        o->body_limit = (int64_t)1 << 30;
    if (o->connection_limit == 0)
        o->connection_limit = CONNECTIONS_DEFAULT;
    if (o->request_limit == 0)
        o->request_limit = 10000;
}

int net_server_open(struct loop *loop, const struct net_server_options *options,
                    struct net_server **out, struct err *err) {
    struct net_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    server->options = *options;
    fill_defaults(&server->options);
    raise_descriptor_limit(&server->options);
    int status = net_get(loop, &server->net, err);
    if (status < 0) {
        free(server);
        return status;
    }
    prepare_metrics();
    server->fd = -1;
    server->hosts = copy_list(options->hosts);
    server->origins = copy_list(options->origins);
    server->options.hosts = (const char *const *)server->hosts;
    server->options.origins = (const char *const *)server->origins;
    status = open_socket(server, err);
    server->options.listen = NULL; /* the caller's */
    if (status < 0) {
        if (server->fd >= 0)
            close(server->fd);
        free_server(server);
        return status;
    }
    server->handles = 2;
    server->accepting = true;
    uv_timer_init(&loop->uv, &server->sweep);
    uv_poll_init(&loop->uv, &server->poll, server->fd);
    server->sweep.data = server->poll.data = server;
    uv_poll_start(&server->poll, UV_READABLE, accept_some);
    set_deadlines(server);
    metrics_on_collect(recount_connections, server);
    *out = server;
    return 0;
}

/* One that is not calling us; those that are end when they return. */
static struct connection *find_cuttable(struct net_server *server) {
    for (struct connection *c = server->all; c != NULL; c = c->next) {
        if (c->depth == 0)
            return c;
        c->want_close = true;
    }
    return NULL;
}

static void cut_connections(struct net_server *server) {
    struct connection *c;
    while ((c = find_cuttable(server)) != NULL)
        lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

void net_server_close(struct net_server *server) {
    if (server->closing)
        return;
    server->closing = true;
    forget_connections(server);
    uv_poll_stop(&server->poll);
    close(server->fd);
    cut_connections(server);
    uv_close((uv_handle_t *)&server->poll, handle_closed);
    uv_close((uv_handle_t *)&server->sweep, handle_closed);
}

void net_server_hand_over(struct net_server *server,
                          void (*request)(struct net_request *request, void *arg), void *arg) {
    server->options.request = request;
    server->options.arg = arg;
}

const char *net_server_address(const struct net_server *server) {
    return server->address;
}

size_t net_server_connections(const struct net_server *server) {
    return server->count;
}
