#include "net/marriage.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/log.h"

struct net_private {
    struct ev_loop *ev;
    ev_prepare before;   /* lets libuv run before libev waits */
    ev_check after;      /* the wait is over */
    ev_io uv_ready;      /* libuv's epoll descriptor has something */
    ev_timer uv_timeout; /* libuv's nearest timer */
    ev_idle uv_busy;     /* keeps libev from waiting while libuv has work at once */
};

enum {
    FDS_MAX = 32768, /* libwebsockets fills tables of 16 bytes for each descriptor there may be */
    HEADER_POOL_BYTES = 16384,
};

static struct net *the_net; /* libwebsockets' log callback and options are a process's too */
static bool quiet;

static const struct lws_protocols protocols[] = {
    /* The first is also the one that a WebSocket handshake without a subprotocol takes. */
    {.name = "stance-ws",
     .callback = net_ws_callback,
     .rx_buffer_size = NET_IO_SIZE,
     .tx_packet_size = NET_IO_SIZE},
    {.name = "stance-http",
     .callback = net_connection_callback,
     .rx_buffer_size = NET_IO_SIZE,
     .tx_packet_size = NET_IO_SIZE},
    {0},
};

/* -- Turning ----------------------------------------------------------------------------------- */

static void turn_uv(struct ev_loop *ev, ev_prepare *watcher, int events) {
    (void)events;
    struct net *net = watcher->data;
    struct net_private *p = net->private;
    uv_loop_t *uv = &net->loop->uv;
    /* Also when its descriptor is silent: libuv hands newly started watchers to the kernel only in
     * here. */
    uv_run(uv, UV_RUN_NOWAIT);
    if (net->to_flush != NULL)
        net_flush(net);
    int timeout = net->to_flush != NULL ? 0 : uv_backend_timeout(uv);
    if (timeout == 0)
        ev_idle_start(ev, &p->uv_busy);
    else
        ev_idle_stop(ev, &p->uv_busy);
    if (timeout > 0) {
        p->uv_timeout.repeat = (double)timeout / 1000.0;
        ev_timer_again(ev, &p->uv_timeout);
    } else {
        ev_timer_stop(ev, &p->uv_timeout);
    }
    if (loop_stopping(net->loop)) {
        ev_idle_start(ev, &p->uv_busy); /* or this turn would still wait */
        ev_break(ev, EVBREAK_ALL);
    }
    loop_turn_ended(net->loop);
}

static void begin_turn(struct ev_loop *ev, ev_check *watcher, int events) {
    (void)ev, (void)events;
    loop_turn_began(((struct net *)watcher->data)->loop);
}

static void wake_io(struct ev_loop *ev, ev_io *watcher, int events) {
    (void)ev, (void)watcher, (void)events; /* the next turn's turn_uv does the work */
}

static void wake_timer(struct ev_loop *ev, ev_timer *watcher, int events) {
    (void)ev, (void)watcher, (void)events;
}

static void wake_idle(struct ev_loop *ev, ev_idle *watcher, int events) {
    (void)ev, (void)watcher, (void)events;
}

static void driver_run(struct loop *loop, void *arg) {
    struct net *net = arg;
    while (!loop_stopping(loop))
        ev_run(net->private->ev, 0);
}

static void driver_stop(struct loop *loop, void *arg) {
    (void)loop;
    struct net *net = arg;
    ev_break(net->private->ev, EVBREAK_ALL);
}

static void driver_close(struct loop *loop, void *arg);

/* -- libwebsockets ----------------------------------------------------------------------------- */

static void log_line(int level, const char *line) {
    (void)level;
    if (quiet)
        return;
    size_t size = strcspn(line, "\n");
    log_printf(LOG_WARN, "net", "libwebsockets: %.*s", (int)size, line);
}

static int create_context(struct net *net, struct err *err) {
    struct rlimit limit, capped;
    bool lower = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > FDS_MAX;
    if (lower) {
        capped = limit;
        capped.rlim_cur = FDS_MAX;
        setrlimit(RLIMIT_NOFILE, &capped);
    }
    void *loops[1] = {net->private->ev};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .foreign_loops = loops,
        .options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_VALIDATE_UTF8,
        .pt_serv_buf_size = NET_IO_SIZE,
        .max_http_header_data = HEADER_POOL_BYTES,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
    };
    lws_set_log_level(LLL_ERR, log_line);
    quiet = true; /* the reason is told below, once */
    net->context = lws_create_context(&info);
    quiet = false;
    if (lower)
        setrlimit(RLIMIT_NOFILE, &limit);
    if (net->context == NULL)
        return err_set(err, ERR_UNSUPPORTED,
                       "libwebsockets cannot run on libev: is the package "
                       "libwebsockets-evlib-ev installed?");
    net->vhost = lws_get_vhost_by_name(net->context, "default");
    if (net->vhost == NULL)
        return err_set(err, ERR_INTERNAL, "libwebsockets made no virtual host");
    return 0;
}

/* -- Life -------------------------------------------------------------------------------------- */

static void start_watchers(struct net *net) {
    struct net_private *p = net->private;
    ev_prepare_init(&p->before, turn_uv);
    ev_set_priority(&p->before, EV_MINPRI); /* the last before the wait */
    p->before.data = net;
    ev_prepare_start(p->ev, &p->before);
    ev_check_init(&p->after, begin_turn);
    ev_set_priority(&p->after, EV_MAXPRI); /* the first after it */
    p->after.data = net;
    ev_check_start(p->ev, &p->after);
    ev_io_init(&p->uv_ready, wake_io, uv_backend_fd(&net->loop->uv), EV_READ);
    ev_io_start(p->ev, &p->uv_ready);
    ev_init(&p->uv_timeout, wake_timer);
    ev_idle_init(&p->uv_busy, wake_idle);
}

static void net_free(struct net *net) {
    struct net_private *p = net->private;
    if (net->context != NULL) {
        /* A foreign loop lets the first call close everything and the loop's next turns finish. */
        lws_context_destroy(net->context);
        net->context = NULL;
    }
    if (p->ev != NULL) {
        for (int i = 0; i < 8; i++)
            ev_run(p->ev, EVRUN_NOWAIT);
        ev_prepare_stop(p->ev, &p->before);
        ev_check_stop(p->ev, &p->after);
        ev_io_stop(p->ev, &p->uv_ready);
        ev_timer_stop(p->ev, &p->uv_timeout);
        ev_idle_stop(p->ev, &p->uv_busy);
        ev_loop_destroy(p->ev);
    }
    free(net->scratch);
    free(p);
    free(net);
    the_net = NULL;
}

static void driver_close(struct loop *loop, void *arg) {
    loop_set_driver(loop, NULL);
    net_free(arg);
}

int net_get(struct loop *loop, struct net **out, struct err *err) {
    if (the_net != NULL) {
        if (the_net->loop != loop)
            return err_set(err, ERR_INTERNAL, "the network belongs to another loop");
        *out = the_net;
        return 0;
    }
    struct net *net = calloc(1, sizeof *net);
    struct net_private *p = calloc(1, sizeof *p);
    unsigned char *scratch = malloc(LWS_PRE + NET_IO_SIZE);
    if (net == NULL || p == NULL || scratch == NULL) {
        free(net);
        free(p);
        free(scratch);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    *net = (struct net){.loop = loop, .private = p, .scratch = scratch};
    p->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (p->ev == NULL) {
        net_free(net);
        return err_set(err, ERR_INTERNAL, "libev cannot start its loop");
    }
    start_watchers(net);
    int status = create_context(net, err);
    if (status < 0) {
        net_free(net);
        return status;
    }
    struct loop_driver driver = {driver_run, driver_stop, driver_close, net};
    loop_set_driver(loop, &driver);
    the_net = net;
    *out = net;
    return 0;
}
