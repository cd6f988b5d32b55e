/* net_ws_test.c - WebSockets on the wire: frames made by hand, good and bad, against an echo. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "core/log.h"
#include "net/server.h"
#include "net/ws.h"

enum { FRAME_ROOM = 4 << 20 };

static struct loop loop;
static struct net_server *server;
static struct ws_limits limits;
static _Atomic int closed_code, closes;
static const char *const no_origins[] = {NULL};

/* -- An echo -------------------------------------------------------------------------------------
 */

static void close_server(void) {
    if (server != NULL)
        net_server_close(server);
    server = NULL;
}

static void on_opened(struct ws *ws, void *user) {
    (void)ws, (void)user;
}

static void on_message(struct ws *ws, const char *bytes, size_t size, bool binary, void *user) {
    (void)user;
    if (size == 4 && memcmp(bytes, "flop", 4) == 0)
        ws_kill(ws); /* inside its own callback */
    else if (size == 4 && memcmp(bytes, "stop", 4) == 0)
        close_server();
    else
        ws_send(ws, bytes, size, binary);
}

static void on_closed(struct ws *ws, int code, const char *reason, void *user) {
    (void)ws, (void)reason, (void)user;
    closed_code = code;
    closes++;
}

static const struct ws_ops echo = {on_opened, on_message, NULL, on_closed};

static void on_over(struct net_request *request, bool whole) {
    (void)request, (void)whole;
}

static void on_request(struct net_request *request, void *arg) {
    static const struct net_request_ops ops = {.over = on_over};
    (void)arg;
    net_request_attach(request, &ops, NULL);
    limits.ops = &echo;
    if (net_request_head(request)->websocket)
        net_request_upgrade(request, "v1", &limits);
    else
        net_respond_problem(request, 426, "invalid", "only for WebSockets");
}

static void stop(void *arg) {
    (void)arg;
    loop_stop(&loop);
}

static void *run_client(void *arg) {
    ((void (*)(void))(uintptr_t)arg)();
    loop_post(&loop, stop, NULL);
    return NULL;
}

static void with_echo(struct ws_limits with, void (*client)(void)) {
    struct net_server_options options = {
        .listen = "127.0.0.1:0", .request = on_request, .origins = no_origins};
    struct err err = {0};
    limits = with;
    closed_code = closes = 0;
    CHECK(loop_init(&loop, &err) == 0);
    CHECK(net_server_open(&loop, &options, &server, &err) == 0);
    pthread_t thread;
    pthread_create(&thread, NULL, run_client, (void *)(uintptr_t)client);
    loop_run(&loop);
    pthread_join(thread, NULL);
    close_server();
    loop_deinit(&loop);
}

/* -- A client ------------------------------------------------------------------------------------
 */

static const char handshake[] = "GET /e HTTP/1.1\r\nHost: localhost\r\nUpgrade: WebSocket\r\n"
                                "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Protocol: v1\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static int dial(void) {
    const char *address = net_server_address(server);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(strchr(address, ':') + 1)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {5, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

static bool hear_exactly(int fd, void *bytes, size_t size) {
    return recv(fd, bytes, size, MSG_WAITALL) == (ssize_t)size;
}

static void hear_head(int fd, char *out, size_t room) {
    size_t size = 0;
    out[0] = 0;
    while (size + 1 < room && strstr(out, "\r\n\r\n") == NULL && hear_exactly(fd, out + size, 1))
        out[++size] = 0;
}

static int open_socket(void) {
    char head[1024];
    int fd = dial();
    send(fd, handshake, sizeof handshake - 1, MSG_NOSIGNAL);
    hear_head(fd, head, sizeof head);
    CHECK(strstr(head, "101 Switching") != NULL);
    CHECK(strstr(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != NULL);
    CHECK(strstr(head, "Sec-WebSocket-Protocol: v1\r\n") != NULL);
    return fd;
}

/* A masked frame of less than 126 bytes. */
static size_t put_frame(char *out, int first_byte, const char *payload, size_t size) {
    static const char mask[4] = {1, 2, 3, 4};
    out[0] = (char)first_byte;
    out[1] = (char)(0x80 | size);
    memcpy(out + 2, mask, 4);
    for (size_t i = 0; i < size; i++)
        out[6 + i] = (char)(payload[i] ^ mask[i & 3]);
    return size + 6;
}

static void say(int fd, int first_byte, const char *payload) {
    char frame[200];
    size_t size = put_frame(frame, first_byte, payload, strlen(payload));
    send(fd, frame, size, MSG_NOSIGNAL);
}

/* The next frame: its first byte, or -1; the payload with a NUL behind it. */
static int hear(int fd, unsigned char *payload, size_t *size) {
    unsigned char head[10];
    if (!hear_exactly(fd, head, 2))
        return -1;
    *size = head[1];
    if (head[1] >= 126) {
        size_t more = head[1] == 126 ? 2 : 8;
        if (!hear_exactly(fd, head + 2, more))
            return -1;
        *size = 0;
        for (size_t i = 0; i < more; i++)
            *size = *size << 8 | head[2 + i];
    }
    if (*size >= FRAME_ROOM || (*size > 0 && !hear_exactly(fd, payload, *size)))
        return -1;
    payload[*size] = 0;
    return head[0];
}

static unsigned char heard[FRAME_ROOM];

static void expect(int fd, int first_byte, const char *payload) {
    size_t size = 0;
    CHECK(hear(fd, heard, &size) == first_byte);
    CHECK_TEXT((const char *)heard, payload);
}

static void expect_close(int fd, int code) {
    size_t size = 0;
    CHECK(hear(fd, heard, &size) == 0x88);
    CHECK(size >= 2 && (heard[0] << 8 | heard[1]) == code);
    CHECK(recv(fd, heard, 1, 0) <= 0);
    close(fd);
}

/* -- Tests ---------------------------------------------------------------------------------------
 */

static void fragments(void) {
    int fd = open_socket();
    say(fd, 0x01, "one ");
    say(fd, 0x89, "are you there"); /* a ping may stand between fragments */
    expect(fd, 0x8a, "are you there");
    say(fd, 0x00, "two ");
    say(fd, 0x80, "three");
    expect(fd, 0x81, "one two three");
    say(fd, 0x82, "binary");
    expect(fd, 0x82, "binary");
    say(fd, 0x88,
        "\x0f\xa1"
        "bye"); /* 4001 */
    expect_close(fd, 4001);
    usleep(50000);
    CHECK(closed_code == 4001 && closes == 1);
}

/* Frames in the same packet as the handshake, and then byte by byte. */
static void early_frames(void) {
    char bytes[1024], head[1024];
    size_t size = sizeof handshake - 1;
    memcpy(bytes, handshake, size);
    size += put_frame(bytes + size, 0x81, "early", 5);
    size_t sent = size + 3;
    size += put_frame(bytes + size, 0x81, "late", 4);
    int fd = dial();
    send(fd, bytes, sent, MSG_NOSIGNAL);
    hear_head(fd, head, sizeof head);
    expect(fd, 0x81, "early");
    for (; sent < size; sent++) {
        usleep(1000);
        send(fd, bytes + sent, 1, MSG_NOSIGNAL);
    }
    expect(fd, 0x81, "late");
    close(fd);
}

static void bad_text(void) {
    int fd = open_socket();
    say(fd, 0x81, "\xff\xfe");
    size_t size = 0;
    int first = hear(fd, heard, &size);
    CHECK(first == -1 || (first == 0x88 && (heard[0] << 8 | heard[1]) == 1007));
    close(fd);
    fd = open_socket();
    say(fd, 0x82, "\xff\xfe");
    expect(fd, 0x82, "\xff\xfe");
    close(fd);
}

static void too_large(void) {
    int fd = open_socket();
    for (int i = 0; i < 20; i++)
        say(fd, i == 0 ? 0x01 : 0x00,
            "012345678901234567890123456789012345678901234567890123456789"
            "0123456789012345678901234567890123456789");
    expect_close(fd, 1009);
}

static void large_echo(void) {
    enum { SIZE = 300000 };
    int fd = open_socket();
    char *frame = malloc(SIZE + 14);
    memset(frame, 0, SIZE + 14);
    frame[0] = (char)0x82;
    frame[1] = (char)0xff;
    for (int i = 0; i < 8; i++)
        frame[2 + i] = (char)((uint64_t)SIZE >> (56 - 8 * i));
    CHECK(send(fd, frame, SIZE + 14, MSG_NOSIGNAL) == SIZE + 14);
    free(frame);
    size_t total = 0, size = 0;
    int first = 0;
    do { /* it comes in fragments */
        first = hear(fd, heard, &size);
        total += size;
    } while (first >= 0 && (first & 0x80) == 0);
    CHECK(first >= 0 && total == SIZE);
    close(fd);
}

static void silent_peer(void) {
    int fd = open_socket();
    size_t size = 0;
    CHECK(hear(fd, heard, &size) == 0x89); /* a ping that gets no answer */
    CHECK(hear(fd, heard, &size) == -1);
    close(fd);
    usleep(50000);
    CHECK(closed_code == 1006 && closes == 1);
}

static void killed_inside(void) {
    int fd = open_socket();
    say(fd, 0x81, "flop");
    CHECK(recv(fd, heard, 1, 0) <= 0);
    close(fd);
    usleep(50000);
    CHECK(closes == 1);
}

static void server_closed_inside(void) {
    int fd = open_socket(), other = open_socket();
    say(fd, 0x81, "stop");
    CHECK(recv(fd, heard, 1, 0) <= 0);
    CHECK(recv(other, heard, 1, 0) <= 0);
    close(fd);
    close(other);
}

static void broken_off(void) {
    int fd = open_socket();
    say(fd, 0x81, "x");
    expect(fd, 0x81, "x");
    close(fd);
    usleep(50000);
    CHECK(closed_code == 1006 && closes == 1);
}

static void refused(void) {
    static const char *const cases[][2] = {
        {"GET /e HTTP/1.1\r\nHost: localhost\r\n\r\n", "426"},
        {"GET /e HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         "426"},
        {"GET /e HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
         "400"},
        {"GET /e HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Origin: https://evil.example\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         "403"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char head[1024], status[16];
        int fd = dial();
        send(fd, cases[i][0], strlen(cases[i][0]), MSG_NOSIGNAL);
        hear_head(fd, head, sizeof head);
        snprintf(status, sizeof status, "HTTP/1.1 %s ", cases[i][1]);
        CHECK(strncmp(head, status, strlen(status)) == 0);
        close(fd);
    }
}

static void test_messages(void) {
    with_echo((struct ws_limits){0}, fragments);
    with_echo((struct ws_limits){0}, early_frames);
    with_echo((struct ws_limits){0}, bad_text);
    with_echo((struct ws_limits){.message_limit = 1500}, too_large);
    with_echo((struct ws_limits){0}, large_echo);
}

static void test_ends(void) {
    with_echo((struct ws_limits){.ping_interval = 0.1}, silent_peer);
    with_echo((struct ws_limits){0}, killed_inside);
    with_echo((struct ws_limits){0}, server_closed_inside);
    with_echo((struct ws_limits){0}, broken_off);
}

static void test_refusals(void) {
    with_echo((struct ws_limits){0}, refused);
}

int main(void) {
    static const struct test tests[] = {TEST(test_messages), TEST(test_ends), TEST(test_refusals)};
    log_configure(LOG_ERROR, LOG_TEXT);
    return RUN(tests);
}
