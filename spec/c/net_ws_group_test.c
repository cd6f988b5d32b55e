/* net/ws_group.h on the wire: members that break off, and a group that goes while it sends. */
#include "net/ws_group.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "core/log.h"
#include "net/server.h"

enum { MEMBERS = 3, SIZE = 20000 };

static struct loop loop;
static struct net_server *server;
static struct ws_group *group;
static struct ws *members[MEMBERS]; /* NULL: closed */
static int opened, closes;
static bool free_at_close;
static size_t reached[4];
static int clients[MEMBERS];

/* -- The server, on the loop's thread ---------------------------------------------------------- */

static void on_opened(struct ws *ws, void *user) {
    (void)user;
    members[opened++] = ws;
    CHECK(ws_group_add(group, ws) == 0);
}

static void on_message(struct ws *ws, const char *bytes, size_t size, bool binary, void *user) {
    (void)ws, (void)bytes, (void)size, (void)binary, (void)user;
}

static void on_closed(struct ws *ws, int code, const char *reason, void *user) {
    (void)code, (void)reason, (void)user;
    for (int i = 0; i < MEMBERS; i++)
        if (members[i] == ws)
            members[i] = NULL;
    closes++;
    if (free_at_close && group != NULL) {
        ws_group_free(group);
        group = NULL;
    }
}

static void on_over(struct net_request *request, bool whole) {
    (void)request, (void)whole;
}

static void on_request(struct net_request *request, void *arg) {
    static const struct ws_ops ops = {on_opened, on_message, NULL, on_closed};
    static const struct net_request_ops request_ops = {.over = on_over};
    struct ws_limits limits = {.ops = &ops, .send_budget = SIZE};
    (void)arg;
    net_request_attach(request, &request_ops, NULL);
    net_request_upgrade(request, NULL, &limits);
}

static void stop(void *arg) {
    (void)arg;
    loop_stop(&loop);
}

/* Two messages in one turn: the second finds the first still waiting, and has it written at once.
 */
static void send_two(void *arg) {
    static char bytes[SIZE];
    (void)arg;
    memset(bytes, 'a', SIZE);
    CHECK(ws_group_send(group, bytes, SIZE, false, &reached[0]) == 0);
    memset(bytes, 'b', SIZE);
    CHECK(ws_group_send(group, bytes, SIZE, false, &reached[1]) == 0);
}

/* -- Clients, on a thread of their own --------------------------------------------------------- */

static int open_client(void) {
    static const char handshake[] =
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char head[2048];
    size_t size = 0;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port =
                                 htons((uint16_t)atoi(strchr(net_server_address(server), ':') + 1)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval limit = {5, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    CHECK(send(fd, handshake, sizeof handshake - 1, MSG_NOSIGNAL) > 0);
    do {
        head[size] = 0;
    } while (strstr(head, "\r\n\r\n") == NULL && size < sizeof head - 1 &&
             recv(fd, head + size, 1, 0) == 1 && ++size > 0);
    CHECK(strncmp(head, "HTTP/1.1 101 ", 13) == 0);
    return fd;
}

/* The connection ends with a reset, not in good order. */
static void break_off(int fd) {
    struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static void expect_message(int fd, unsigned char letter) {
    static unsigned char frame[SIZE + 4];
    CHECK(recv(fd, frame, sizeof frame, MSG_WAITALL) == (ssize_t)sizeof frame);
    CHECK(frame[0] == 0x81 && frame[1] == 126 && (frame[2] << 8 | frame[3]) == SIZE);
    CHECK(frame[4] == letter && frame[SIZE + 3] == letter);
}

static void *run_clients(void *arg) {
    (void)arg;
    for (int i = 0; i < MEMBERS; i++)
        clients[i] = open_client();
    loop_post(&loop, stop, NULL);
    return NULL;
}

static void run_until_stopped(void *(*run)(void *arg)) {
    pthread_t thread;
    pthread_create(&thread, NULL, run, NULL);
    loop_run(&loop);
    pthread_join(thread, NULL);
}

static void *read_rest(void *arg) {
    (void)arg;
    for (int i = 0; i < MEMBERS; i++) {
        if (clients[i] < 0)
            continue;
        expect_message(clients[i], 'a');
        if (reached[1] > 0)
            expect_message(clients[i], 'b');
    }
    loop_post(&loop, stop, NULL);
    return NULL;
}

static void open_all(void) {
    struct net_server_options options = {.listen = "127.0.0.1:0", .request = on_request};
    struct err err = {0};
    opened = closes = 0;
    memset(reached, 0, sizeof reached);
    CHECK(loop_init(&loop, &err) == 0);
    CHECK(net_server_open(&loop, &options, &server, &err) == 0);
    group = ws_group_new();
    run_until_stopped(run_clients);
    CHECK(opened == MEMBERS && ws_group_count(group) == MEMBERS);
}

static void close_all(void) {
    net_server_close(server);
    CHECK(closes == MEMBERS);
    CHECK(group == NULL || ws_group_count(group) == 0);
    ws_group_free(group);
    for (int i = 0; i < MEMBERS; i++)
        if (clients[i] >= 0)
            close(clients[i]);
    loop_deinit(&loop);
}

static void all_get_all(void) {
    open_all();
    send_two(NULL);
    CHECK(reached[0] == MEMBERS && reached[1] == MEMBERS);
    run_until_stopped(read_rest);
    close_all();
}

static void one_that_breaks_off_harms_nobody(void) {
    open_all();
    break_off(clients[1]);
    clients[1] = -1;
    send_two(NULL);
    CHECK(reached[0] == MEMBERS && reached[1] == MEMBERS - 1);
    CHECK(closes == 1 && ws_group_count(group) == MEMBERS - 1);
    run_until_stopped(read_rest);
    close_all();
}

/* A member's end, met while the group sends, may be the group's. */
static void a_group_may_go_while_it_sends(void) {
    open_all();
    free_at_close = true;
    break_off(clients[0]);
    clients[0] = -1;
    send_two(NULL);
    CHECK(group == NULL && reached[1] == 0);
    run_until_stopped(read_rest); /* what was queued before still comes */
    free_at_close = false;
    close_all();
}

static void a_group_that_goes_leaves_its_members(void) {
    open_all();
    ws_group_free(group);
    group = NULL;
    for (int i = 0; i < MEMBERS; i++)
        CHECK(ws_send(members[i], "x", 1, false) == 0);
    close_all();
}

int main(void) {
    static const struct test tests[] = {
        TEST(all_get_all),
        TEST(one_that_breaks_off_harms_nobody),
        TEST(a_group_may_go_while_it_sends),
        TEST(a_group_that_goes_leaves_its_members),
    };
    log_configure(LOG_ERROR, LOG_TEXT);
    return RUN(tests);
}
