/* Requests and frames against the HTTP server: the parser, the connection's states, bodies,
 * answers, WebSockets. The first byte says how the rest is cut into pieces. */
#include "core/log.h"
#include "hostile.h"
#include "net/ws.h"
#include "wire.h"

static struct loop loop;
static struct net_server *server;

static void ws_opened_here(struct ws *ws, void *user) {
    (void)ws, (void)user;
}

static void ws_message_here(struct ws *ws, const char *bytes, size_t size, bool binary,
                            void *user) {
    (void)user;
    if (size > 0 && bytes[0] == 'c')
        ws_close(ws, 4000, "as you like");
    else
        ws_send(ws, bytes, size, binary);
}

static void ws_closed_here(struct ws *ws, int code, const char *reason, void *user) {
    (void)ws, (void)code, (void)reason, (void)user;
}

/* Answers before, during or after the body, whole or as a stream, by the path's second byte. */
static void on_body(struct net_request *request, const char *bytes, size_t size) {
    char kind = *(char *)net_request_user(request);
    if (kind == 'e')
        net_respond(request, 200, NULL, 0, bytes, size);
    if (kind != 's')
        return;
    net_respond_start(request, 200, NULL, 0, -1); /* the first time; later it is refused */
    net_respond_write(request, bytes, size);
}

static void on_body_end(struct net_request *request) {
    if (net_respond_end(request) < 0)
        net_respond(request, 200, NULL, 0, "ok", 2);
}

static void on_over(struct net_request *request, bool whole) {
    (void)whole;
    free(net_request_user(request));
}

static void on_request(struct net_request *request, void *arg) {
    static const struct net_request_ops ops = {
        .body = on_body, .body_end = on_body_end, .over = on_over};
    static const struct ws_ops echo = {ws_opened_here, ws_message_here, NULL, ws_closed_here};
    struct ws_limits limits = {.ops = &echo, .message_limit = 1000, .ping_interval = -1};
    (void)arg;
    struct http_span path = net_request_head(request)->path;
    char *kind = malloc(1);
    *kind = path.size > 1 ? path.at[1] : '/';
    net_request_attach(request, &ops, kind);
    if (net_request_head(request)->websocket)
        net_request_upgrade(request, "pose.v1", &limits);
    else if (*kind == 'l')
        net_request_limit_body(request, 10);
    else if (*kind == 'n')
        net_respond(request, 204, NULL, 0, NULL, 0);
    else if (*kind == 'x')
        net_request_abort(request);
}

static void open_server(void) {
    struct net_server_options options = {
        .listen = "127.0.0.1:0", .request = on_request, .body_limit = 5000, .request_limit = 20};
    struct err err = {0};
    log_configure(LOG_ERROR, LOG_TEXT);
    FUZZ_CHECK(loop_init(&loop, &err) == 0 && net_server_open(&loop, &options, &server, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    if (size == 0)
        return 0;
    if (server == NULL)
        open_server();
    wire_exchange(&loop, server, bytes + 1, size - 1, (size_t)bytes[0] * 16 + 1, 3);
    return 0;
}

void fuzz_seeds(void (*add)(const void *bytes, size_t size)) {
    static struct attack attack;
    static char text[HOSTILE_ROOM + 1];
    for (uint64_t i = 0; i < 300; i++) {
        hostile_make(&attack, 2, i, "x");
        text[0] = (char)(i % 8 * 36);
        memcpy(text + 1, attack.bytes, attack.size);
        if (attack.size < 8192)
            add(text, attack.size + 1);
    }
}
