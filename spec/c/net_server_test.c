/* net_server_test.c - the HTTP server on the wire: real sockets on the loopback, a client that
 * sends what a browser never would.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "core/log.h"
#include "net/server.h"
#include "net/static.h"

enum { ANSWER_ROOM = 1 << 16 };

/* -- A server that answers by path ------------------------------------------------------------- */

static struct loop loop;
static struct net_server *server;
static struct net_static *folder;
static int64_t body_seen;
static int overs, aborted;

struct pending {
    uv_timer_t timer;
    struct net_request *request;
};

static void pending_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void answer_later(uv_timer_t *timer) {
    struct pending *pending = timer->data;
    if (pending->request != NULL)
        net_respond(pending->request, 200, NULL, 0, "later", 5);
    uv_close((uv_handle_t *)timer, pending_closed);
}

static void on_body(struct net_request *request, const char *bytes, size_t size) {
    (void)request, (void)bytes;
    body_seen += (int64_t)size;
}

static void on_body_end(struct net_request *request) {
    char text[32];
    if (net_request_head(request)->path.size >= 5 &&
        memcmp(net_request_head(request)->path.at, "/body", 5) == 0)
        net_respond(request, 200, NULL, 0, text,
                    (size_t)snprintf(text, sizeof text, "%lld", (long long)body_seen));
}

static void on_over(struct net_request *request, bool whole) {
    struct pending *pending = net_request_user(request);
    if (pending != NULL)
        pending->request = NULL;
    overs++;
    aborted += !whole;
}

static const struct net_request_ops ops = {on_body, on_body_end, NULL, NULL, on_over};

static bool is_path(const struct net_request *request, const char *path) {
    struct http_span span = net_request_head(request)->path;
    return span.size == strlen(path) && memcmp(span.at, path, span.size) == 0;
}

static void respond_later(struct net_request *request) {
    struct pending *pending = calloc(1, sizeof *pending);
    pending->request = request;
    pending->timer.data = pending;
    net_request_attach(request, &ops, pending);
    uv_timer_init(&loop.uv, &pending->timer);
    uv_timer_start(&pending->timer, answer_later, 30, 0);
}

static void on_request(struct net_request *request, void *arg) {
    (void)arg;
    body_seen = 0;
    net_request_attach(request, &ops, NULL);
    if (is_path(request, "/body") || is_path(request, "/never")) {
        return;
    } else if (is_path(request, "/later")) {
        respond_later(request);
    } else if (is_path(request, "/zeros")) {
        int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        net_respond_file(request, 200, NULL, 0, fd, 0, (int64_t)64 << 20);
    } else if (folder != NULL) {
        char path[256];
        snprintf(path, sizeof path, "%.*s", (int)net_request_head(request)->path.size,
                 net_request_head(request)->path.at);
        if (net_static_respond(folder, request, path) < 0)
            net_respond_problem(request, 404, "not_found", "no such file");
    } else {
        struct http_span path = net_request_head(request)->path;
        net_respond(request, 200, NULL, 0, path.at, path.size);
    }
}

/* -- Running a client beside it ---------------------------------------------------------------- */

static void stop(void *arg) {
    (void)arg;
    loop_stop(&loop);
}

static void *run_client(void *arg) {
    ((void (*)(void))(uintptr_t)arg)();
    loop_post(&loop, stop, NULL);
    return NULL;
}

static void with_server(struct net_server_options options, void (*client)(void)) {
    struct err err = {0};
    options.listen = "127.0.0.1:0";
    options.request = on_request;
    overs = aborted = 0;
    if (loop_init(&loop, &err) < 0 || net_server_open(&loop, &options, &server, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        CHECK(false);
        return;
    }
    pthread_t thread;
    pthread_create(&thread, NULL, run_client, (void *)(uintptr_t)client);
    loop_run(&loop);
    pthread_join(thread, NULL);
    net_server_close(server);
    loop_deinit(&loop);
}

static int dial(void) {
    const char *address = net_server_address(server);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(strchr(address, ':') + 1)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {5, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

static void say(int fd, const char *text) {
    size_t size = strlen(text);
    ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);
    CHECK(sent == (ssize_t)size);
}

/* All until the server closes, or until `count` times "HTTP/1.1" and then silence for 50 ms. */
static const char *hear(int fd, int count) {
    static char answer[ANSWER_ROOM];
    size_t size = 0;
    for (;;) {
        answer[size] = 0;
        int seen = 0;
        for (const char *at = answer; (at = strstr(at, "HTTP/1.1 ")) != NULL; at++)
            seen++;
        struct pollfd poller = {fd, POLLIN, 0};
        if (poll(&poller, 1, count > 0 && seen >= count ? 50 : 5000) <= 0)
            return answer;
        ssize_t got = recv(fd, answer + size, sizeof answer - 1 - size, 0);
        if (got <= 0)
            return answer;
        size += (size_t)got;
    }
}

static bool closed_by_server(int fd) {
    char byte;
    return recv(fd, &byte, 1, 0) <= 0 && errno != EAGAIN;
}

static const char *ask(const char *text) {
    int fd = dial();
    say(fd, text);
    const char *answer = hear(fd, 1);
    close(fd);
    return answer;
}

static bool has(const char *answer, const char *part) {
    if (strstr(answer, part) != NULL)
        return true;
    fprintf(stderr, "no \"%s\" in: %s\n", part, answer);
    return false;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n"

/* -- Framing ----------------------------------------------------------------------------------- */

static void pipelined(void) {
    int fd = dial();
    say(fd, GET("/later") "\r\n" GET("/b") "\r\n" GET("/c") "Connection: close\r\n\r\n");
    const char *answer = hear(fd, 0);
    const char *later = strstr(answer, "\r\n\r\nlater"), *b = strstr(answer, "\r\n\r\n/b");
    const char *c = strstr(answer, "\r\n\r\n/c");
    CHECK(later != NULL && b != NULL && c != NULL && later < b && b < c);
    CHECK(has(answer, "Connection: close"));
    close(fd);
}

static void byte_by_byte(void) {
    static const char text[] = "\r\nPOST /body HTTP/1.1\r\nHost: localhost\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n"
                               "a\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n" GET("/z") "\r\n";
    int fd = dial();
    for (size_t i = 0; i < sizeof text - 1; i++) {
        CHECK(send(fd, text + i, 1, MSG_NOSIGNAL) == 1);
        if (i % 16 == 0)
            usleep(500);
    }
    const char *answer = hear(fd, 2);
    CHECK(has(answer, "\r\n\r\n15HTTP/1.1 200"));
    CHECK(has(answer, "\r\n\r\n/z"));
    close(fd);
}

static void refusals(void) {
    static const struct {
        const char *request, *status;
    } cases[] = {
        {"GET / HTTP/1.1\nHost: localhost\n\n", "400"},
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {GET("/") "Host: localhost\r\n\r\n", "400"},
        {GET("/") " folded: x\r\n\r\n", "400"},
        {GET("/") "Name : x\r\n\r\n", "400"},
        {GET("/") "No colon\r\n\r\n", "400"},
        {GET("/") "X: a\001b\r\n\r\n", "400"},
        {GET("/a%00b") "\r\n", "400"},
        {GET("/a%zz") "\r\n", "400"},
        {GET("relative") "\r\n", "400"},
        {"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n", "400"},
        {"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", "400"},
        {"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "400"},
        {"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
         "400"},
        {"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +3\r\n\r\nabc", "400"},
        {"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3, 3\r\n\r\nabc", "400"},
        {"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "400"},
        {"POST /body HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
         "400"},
        {"POST /body HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
         "ffffffffffffffff\r\n",
         "400"},
        {GET("/") "Expect: miracles\r\n\r\n", "417"},
        {"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"},
        {"GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", "421"},
        {"POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n", "403"},
        {"POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n", "403"},
        {"OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n"
         "Access-Control-Request-Method: POST\r\n\r\n",
         "403"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char status[32];
        snprintf(status, sizeof status, "HTTP/1.1 %s ", cases[i].status);
        const char *answer = ask(cases[i].request);
        if (!has(answer, status) || !has(answer, "application/problem+json"))
            fprintf(stderr, "for: %s\n", cases[i].request);
        CHECK(strstr(answer, status) != NULL);
    }
}

static void allowed(void) {
    CHECK(has(ask("GET / HTTP/1.1\r\nHost: LOCALHOST:99\r\n\r\n"), "200 OK"));
    CHECK(has(ask("GET / HTTP/1.1\r\nHost: [::1]:99\r\n\r\n"), "200 OK"));
    CHECK(has(ask("GET / HTTP/1.1\r\nHost: gpu.example\r\n\r\n"), "200 OK"));
    CHECK(has(ask("GET / HTTP/1.0\r\n\r\n"), "Connection: close"));
    CHECK(has(ask("GET http://localhost/x HTTP/1.1\r\nHost: localhost\r\n\r\n"), "\r\n\r\n/x"));
    CHECK(has(ask("POST /y HTTP/1.1\r\nHost: localhost:1\r\nOrigin: http://localhost:1\r\n\r\n"),
              "200 OK"));
    const char *answer =
        ask("OPTIONS / HTTP/1.1\r\nHost: localhost\r\n"
            "Origin: https://good.example\r\nAccess-Control-Request-Headers: x-y\r\n"
            "Access-Control-Request-Method: PUT\r\n\r\n");
    CHECK(has(answer, "204 No Content"));
    CHECK(has(answer, "Access-Control-Allow-Origin: https://good.example"));
    CHECK(has(answer, "Access-Control-Allow-Headers: x-y"));
    answer = ask("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://good.example\r\n\r\n");
    CHECK(has(answer, "Access-Control-Allow-Origin: https://good.example"));
    answer = ask("HEAD /four HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(has(answer, "Content-Length: 5\r\n"));
    CHECK(strstr(answer, "/four") == NULL);
}

/* -- Limits ------------------------------------------------------------------------------------ */

static void slow_head(void) {
    int fd = dial();
    say(fd, "GET / HT");
    CHECK(has(hear(fd, 0), "408 Request Timeout"));
    close(fd);
    fd = dial(); /* one byte now and then does not help */
    for (int i = 0; i < 20; i++) {
        if (send(fd, "G", 1, MSG_NOSIGNAL) != 1)
            break;
        usleep(30000);
    }
    CHECK(has(hear(fd, 0), "408"));
    close(fd);
    fd = dial();
    CHECK(closed_by_server(fd)); /* silence is not answered */
    close(fd);
}

static void slow_body(void) {
    int fd = dial();
    say(fd, "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc");
    CHECK(has(hear(fd, 0), "408"));
    close(fd);
}

static void idle(void) {
    int fd = dial();
    say(fd, GET("/") "\r\n");
    CHECK(has(hear(fd, 1), "200 OK"));
    CHECK(closed_by_server(fd));
    close(fd);
}

static void sizes(void) {
    CHECK(
        has(ask("POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n"), "413"));
    char text[3000];
    int size = snprintf(text, sizeof text,
                        "POST /body HTTP/1.1\r\nHost: localhost\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n7d0\r\n");
    memset(text + size, 'x', 2000);
    text[size + 2000] = 0;
    CHECK(has(ask(text), "413"));
    memset(text, 'x', sizeof text - 1);
    memcpy(text, GET("/") "X: ", strlen(GET("/") "X: "));
    text[sizeof text - 1] = 0;
    CHECK(has(ask(text), "431"));
}

static void early_answer_survives(void) {
    int fd = dial();
    say(fd, "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n");
    static char block[65536];
    for (int i = 0; i < 40; i++)
        if (send(fd, block, sizeof block, MSG_NOSIGNAL) < 0)
            break;
    CHECK(has(hear(fd, 0), "413"));
    close(fd);
}

static void too_many(void) {
    int first = dial(), second = dial();
    say(first, GET("/") "\r\n");
    CHECK(has(hear(first, 1), "200"));
    say(second, GET("/") "\r\n");
    CHECK(has(hear(second, 1), "200"));
    CHECK(has(ask(GET("/") "\r\n"), "503"));
    close(first);
    usleep(50000);
    CHECK(has(ask(GET("/") "\r\n"), "200"));
    close(second);
}

static void many_requests(void) {
    int fd = dial();
    say(fd, GET("/1") "\r\n" GET("/2") "\r\n" GET("/3") "\r\n");
    const char *answer = hear(fd, 0);
    CHECK(has(answer, "/2"));
    CHECK(strstr(answer, "\r\n\r\n/3") == NULL);
    close(fd);
}

static void late_handler(void) {
    CHECK(has(ask(GET("/never") "\r\n"), "504"));
}

static void expectations(void) {
    int fd = dial();
    say(fd, "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
            "Expect: 100-continue\r\n\r\n");
    CHECK(has(hear(fd, 1), "100 Continue\r\n\r\n"));
    say(fd, "abc");
    CHECK(has(hear(fd, 1), "\r\n\r\n3"));
    close(fd);
    CHECK(strstr(ask("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
                     "Expect: 100-continue\r\n\r\n"),
                 "100 Continue") == NULL);
}

/* -- Streams ----------------------------------------------------------------------------------- */

static long resident_kb(void) {
    char line[256];
    long kb = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmRSS: %ld", &kb) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return kb;
}

static void upload(void) {
    static char block[65536];
    int fd = dial();
    say(fd, "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 67108864\r\n\r\n");
    long before = resident_kb();
    for (int i = 0; i < 1024; i++)
        CHECK(send(fd, block, sizeof block, MSG_NOSIGNAL) == (ssize_t)sizeof block);
    CHECK(has(hear(fd, 1), "67108864"));
    CHECK(resident_kb() - before < 8 * 1024);
    close(fd);
}

static void download(void) {
    static char block[65536];
    int fd = dial();
    say(fd, GET("/zeros") "\r\n");
    usleep(100000); /* what nobody reads must not pile up */
    long before = resident_kb();
    size_t size = 0;
    while (size < (64u << 20)) {
        ssize_t got = recv(fd, block, sizeof block, 0);
        if (got <= 0)
            break;
        size += (size_t)got;
    }
    CHECK(size >= 64u << 20);
    CHECK(resident_kb() - before < 8 * 1024);
    close(fd);
}

static void deaf_client(void) {
    int fd = dial();
    say(fd, GET("/zeros") "\r\n");
    usleep(600000);
    static char block[65536];
    size_t size = 0;
    ssize_t got;
    while ((got = recv(fd, block, sizeof block, 0)) > 0)
        size += (size_t)got;
    CHECK(size < 64u << 20);
    close(fd);
}

static void gone_client(void) {
    int fd = dial();
    say(fd, GET("/never") "\r\n");
    usleep(50000);
    close(fd);
    usleep(50000);
}

/* -- Files ------------------------------------------------------------------------------------- */

static void files(void) {
    const char *answer = ask(GET("/") "\r\n");
    CHECK(has(answer, "text/html"));
    CHECK(has(answer, "\r\n\r\n<p>hello"));
    answer = ask(GET("/a.txt") "\r\n");
    CHECK(has(answer, "\r\n\r\n0123456789"));
    CHECK(has(answer, "Accept-Ranges: bytes"));
    char tag[64] = "";
    const char *etag = strstr(answer, "ETag: ");
    CHECK(etag != NULL && sscanf(etag, "ETag: %60s", tag) == 1);
    char request[256];
    snprintf(request, sizeof request, GET("/a.txt") "If-None-Match: \"x\", %s\r\n\r\n", tag);
    answer = ask(request);
    CHECK(has(answer, "304 Not Modified"));
    CHECK(strstr(answer, "Content-Length") == NULL);
    static const struct {
        const char *range, *status, *body;
    } ranges[] = {
        {"bytes=2-4", "206", "\r\n\r\n234"},    {"bytes=-3", "206", "\r\n\r\n789"},
        {"bytes=7-", "206", "\r\n\r\n789"},     {"bytes=8-99", "206", "\r\n\r\n89"},
        {"bytes=10-", "416", "bytes */10"},     {"bytes=-0", "416", "bytes */10"},
        {"bytes=1-2,4-5", "200", "0123456789"}, {"bytes=x", "200", "0123456789"},
        {"bytes=4-2", "200", "0123456789"},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        snprintf(request, sizeof request, GET("/a.txt") "Range: %s\r\n\r\n", ranges[i].range);
        answer = ask(request);
        CHECK(has(answer, ranges[i].status));
        CHECK(has(answer, ranges[i].body));
    }
    CHECK(has(ask(GET("/a.txt") "Range: bytes=2-4\r\nIf-Range: \"old\"\r\n\r\n"), "200 OK"));
    answer = ask(GET("/b.js") "Accept-Encoding: gzip;q=1.0, br\r\n\r\n");
    CHECK(has(answer, "Content-Encoding: gzip"));
    CHECK(has(answer, "text/javascript"));
    answer = ask(GET("/b.js") "Accept-Encoding: gzip;q=0\r\n\r\n");
    CHECK(strstr(answer, "Content-Encoding") == NULL);
    CHECK(has(ask(GET("/none") "\r\n"), "404"));
    CHECK(has(ask(GET("/../secret") "\r\n"), "404"));
    CHECK(has(ask(GET("/link") "\r\n"), "404"));
    CHECK(has(ask(GET("/folder") "\r\n"), "404"));
}

static void put_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    if (file != NULL) {
        fputs(text, file);
        fclose(file);
    }
}

static void test_files(void) {
    char root[] = "/tmp/net-server-test-XXXXXX", home[64];
    CHECK(mkdtemp(root) != NULL && chdir(root) == 0);
    CHECK(mkdir("www", 0700) == 0 && mkdir("www/folder", 0700) == 0);
    put_file("secret", "secret");
    put_file("www/index.html", "<p>hello");
    put_file("www/a.txt", "0123456789");
    put_file("www/b.js", "plain");
    put_file("www/b.js.gz", "packed");
    CHECK(symlink("../secret", "www/link") == 0);
    snprintf(home, sizeof home, "%s/www", root);
    struct err err;
    CHECK(net_static_open(home, "max-age=60", &folder, &err) == 0);
    with_server((struct net_server_options){0}, files);
    net_static_close(folder);
    folder = NULL;
    unlink("www/index.html"), unlink("www/a.txt"), unlink("www/b.js"), unlink("www/b.js.gz");
    unlink("www/link"), unlink("secret"), rmdir("www/folder"), rmdir("www");
    CHECK(chdir("/") == 0 && rmdir(root) == 0);
}

/* -- The parser alone -------------------------------------------------------------------------- */

static void test_parser_takes_anything(void) {
    static const char seed[] =
        "POST /a/b%20c?x=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n"
        "Connection: keep-alive, Upgrade\r\nExpect: 100-continue\r\n\r\n";
    unsigned random = 7;
    for (int round = 0; round < 50000; round++) {
        size_t size = sizeof seed - 1;
        char *bytes = malloc(size);
        memcpy(bytes, seed, size);
        for (int i = 0; i < 4; i++) {
            random = random * 1103515245u + 12345u;
            bytes[(random >> 8) % size] = (char)(random >> 24);
        }
        struct http_header headers[HTTP_HEADERS_MAX];
        struct http_head head = {.headers = headers};
        const char *why = NULL;
        int status = http_parse_head(bytes, size, &head, &why);
        CHECK(status == 0 || why != NULL);
        struct http_chunks chunks = {0};
        struct http_span data;
        size_t at = 0;
        int64_t used = 1;
        while (used > 0 && at < size && !chunks.done) {
            used = http_chunks_read(&chunks, bytes + at, size - at, &data);
            at += used > 0 ? (size_t)used : 0;
        }
        free(bytes);
    }
}

/* -- Tests ------------------------------------------------------------------------------------- */

static void test_framing(void) {
    static const char *const hosts[] = {"gpu.example", NULL};
    static const char *const origins[] = {"https://good.example", NULL};
    with_server((struct net_server_options){0}, pipelined);
    CHECK(overs == 3 && aborted == 0);
    with_server((struct net_server_options){0}, byte_by_byte);
    with_server((struct net_server_options){0}, refusals);
    with_server((struct net_server_options){.hosts = hosts, .origins = origins}, allowed);
    with_server((struct net_server_options){0}, expectations);
}

static void test_times(void) {
    with_server((struct net_server_options){.header_timeout = 0.2}, slow_head);
    with_server((struct net_server_options){.body_timeout = 0.2}, slow_body);
    with_server((struct net_server_options){.idle_timeout = 0.2}, idle);
    with_server((struct net_server_options){.handler_timeout = 0.2}, late_handler);
    with_server((struct net_server_options){.write_timeout = 0.3}, deaf_client);
    CHECK(aborted == 1);
}

static void test_limits(void) {
    with_server((struct net_server_options){.body_limit = 1000, .header_limit = 1000}, sizes);
    with_server((struct net_server_options){.body_limit = 1000}, early_answer_survives);
    with_server((struct net_server_options){.connection_limit = 2}, too_many);
    with_server((struct net_server_options){.request_limit = 2}, many_requests);
}

static void test_streams(void) {
    with_server((struct net_server_options){0}, upload);
    with_server((struct net_server_options){0}, download);
    with_server((struct net_server_options){0}, gone_client);
    CHECK(overs == 1 && aborted == 1);
}

static void test_bad_addresses(void) {
    static const char *const bad[] = {"127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000",
                                      "host:1",    ":1",          "[::1:1"};
    struct err err = {0};
    struct net_server *opened;
    CHECK(loop_init(&loop, &err) == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct net_server_options options = {.listen = bad[i], .request = on_request};
        CHECK(net_server_open(&loop, &options, &opened, &err) == ERR_INVALID);
    }
    loop_deinit(&loop);
}

int main(void) {
    static const struct test tests[] = {
        TEST(test_framing),       TEST(test_times), TEST(test_limits),
        TEST(test_streams),       TEST(test_files), TEST(test_parser_takes_anything),
        TEST(test_bad_addresses),
    };
    log_configure(LOG_ERROR, LOG_TEXT);
    return RUN(tests);
}
