/* lws.c - libwebsockets alone, on its own loop, in its cheapest way: head and body in one write, at
 * once.
 *
 *     lws PORT
 *
 * Answers as floor.c does; the messages of a WebSocket are one lws_write each. */
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOCKETS_MAX = 4096, ROOM = 65536 };

static struct lws *sockets[SOCKETS_MAX];
static int socket_count;

static int answer(struct lws *wsi) {
    static const char body[] = "{\"status\":\"ok\",\"n\":17}";
    unsigned char buffer[LWS_PRE + 512], *start = buffer + LWS_PRE, *at = start,
                                         *end = buffer + sizeof buffer;
    if (lws_add_http_common_headers(wsi, 200, "application/json", sizeof body - 1, &at, end) ||
        lws_finalize_http_header(wsi, &at, end))
        return 1;
    memcpy(at, body, sizeof body - 1);
    at += sizeof body - 1;
    if (lws_write(wsi, start, (size_t)(at - start), LWS_WRITE_HTTP_FINAL) < 0)
        return 1;
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static void send_to_all(int count, int size) {
    static unsigned char buffer[LWS_PRE + ROOM];
    memset(buffer + LWS_PRE, 'x', (size_t)size);
    for (int k = 0; k < count; k++)
        for (int i = 0; i < socket_count; i++)
            if (lws_write(sockets[i], buffer + LWS_PRE, (size_t)size, LWS_WRITE_TEXT) < size)
                fprintf(stderr, "lws: a client is too slow\n");
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t size) {
    char text[64] = {0};
    int count, each;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return answer(wsi);
    case LWS_CALLBACK_ESTABLISHED:
        if (socket_count == SOCKETS_MAX)
            return -1;
        sockets[socket_count++] = wsi;
        return 0;
    case LWS_CALLBACK_CLOSED:
        for (int i = 0; i < socket_count; i++)
            if (sockets[i] == wsi)
                sockets[i] = sockets[--socket_count];
        return 0;
    case LWS_CALLBACK_RECEIVE:
        memcpy(text, in, size < sizeof text - 1 ? size : sizeof text - 1);
        if (sscanf(text, "%d %d", &count, &each) == 2 && each <= ROOM)
            send_to_all(count, each);
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, size);
    }
}

int main(int argc, char **argv) {
    static const struct lws_protocols protocols[] = {
        {.name = "http", .callback = on_event, .rx_buffer_size = ROOM, .tx_packet_size = ROOM},
        {0}};
    struct lws_context_creation_info info = {
        .port = argc > 1 ? atoi(argv[1]) : 0,
        .iface = "127.0.0.1",
        .protocols = protocols,
        .keepalive_timeout = 600,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
    };
    lws_set_log_level(LLL_ERR, NULL);
    struct lws_context *context = lws_create_context(&info);
    if (context == NULL)
        return 1;
    while (lws_service(context, 0) >= 0)
        ;
    lws_context_destroy(context);
    return 0;
}
