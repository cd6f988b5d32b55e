/* net_many_test.c - thousands of clients that do nothing, or nearly: idle ones, slow heads, slow
 * bodies, slow readers, and more than are let in. The server is a process of its own, so that each
 * side has its descriptors to itself. Times are printed, and judged by nobody.
 *
 * net_many_test PORT PID: the same beside 100 slow uploads to a host (spec/bench/slow_bench.lua).
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "core/log.h"
#include "net/server.h"
#include "net/ws.h"

enum { IDLE = 10000, SLOW = 1000, REQUESTS = 1000, READERS = 100, WAIT_MS = 30000 };

/* -- The server's process ---------------------------------------------------------------------- */

static struct loop loop;

static void ws_nothing(struct ws *ws, void *user) {
    (void)ws, (void)user;
}

static void ws_echo(struct ws *ws, const char *bytes, size_t size, bool binary, void *user) {
    (void)user;
    ws_send(ws, bytes, size, binary);
}

static void ws_over(struct ws *ws, int code, const char *reason, void *user) {
    (void)ws, (void)code, (void)reason, (void)user;
}

static void on_body_end(struct net_request *request) {
    net_respond(request, 200, NULL, 0, "ok", 2);
}

static void on_over(struct net_request *request, bool whole) {
    (void)request, (void)whole;
}

static void on_request(struct net_request *request, void *arg) {
    static const struct net_request_ops ops = {.body_end = on_body_end, .over = on_over};
    static const struct ws_ops echo = {ws_nothing, ws_echo, NULL, ws_over};
    struct ws_limits limits = {.ops = &echo};
    (void)arg;
    net_request_attach(request, &ops, NULL);
    struct http_span path = net_request_head(request)->path;
    if (net_request_head(request)->websocket)
        net_request_upgrade(request, NULL, &limits);
    else if (path.size == 6 && memcmp(path.at, "/zeros", 6) == 0)
        net_respond_file(request, 200, NULL, 0, open("/dev/zero", O_RDONLY | O_CLOEXEC), 0,
                         (int64_t)1 << 30);
}

static void stop(uv_signal_t *handle, int number) {
    (void)handle, (void)number;
    loop_stop(&loop);
}

/* Writes its port and serves until SIGTERM. Its log goes to `log_fd`. */
static int serve(struct net_server_options options, int port_fd, int log_fd) {
    struct err err = {0};
    struct net_server *server;
    static uv_signal_t term;
    log_configure(LOG_INFO, LOG_TEXT);
    log_set_fd(log_fd);
    options.listen = "127.0.0.1:0";
    options.request = on_request;
    if (loop_init(&loop, &err) < 0 || net_server_open(&loop, &options, &server, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    int port = atoi(strchr(net_server_address(server), ':') + 1);
    uv_signal_init(&loop.uv, &term);
    uv_signal_start(&term, stop, SIGTERM);
    if (write(port_fd, &port, sizeof port) != sizeof port)
        return 1;
    loop_run(&loop);
    net_server_close(server);
    uv_close((uv_handle_t *)&term, NULL);
    loop_deinit(&loop);
    return 0;
}

static pid_t server_pid;
static int server_log;
static struct sockaddr_in server_address;

static bool start(struct net_server_options options) {
    int ports[2], logs[2], port = 0;
    if (pipe(ports) < 0 || pipe(logs) < 0)
        return false;
    fflush(stdout);
    server_pid = fork();
    if (server_pid == 0) {
        close(ports[0]);
        close(logs[0]);
        exit(serve(options, ports[1], logs[1]));
    }
    close(ports[1]);
    close(logs[1]);
    server_log = logs[0];
    bool up = read(ports[0], &port, sizeof port) == sizeof port;
    close(ports[0]);
    server_address = (struct sockaddr_in){.sin_family = AF_INET,
                                          .sin_port = htons((uint16_t)port),
                                          .sin_addr = {htonl(INADDR_LOOPBACK)}};
    CHECK(up);
    return up;
}

/* What it logged; the process has to have ended well. */
static const char *end(void) {
    static char text[65536];
    int status = -1;
    kill(server_pid, SIGTERM);
    CHECK(waitpid(server_pid, &status, 0) == server_pid && status == 0);
    ssize_t size = read(server_log, text, sizeof text - 1);
    text[size > 0 ? size : 0] = 0;
    close(server_log);
    return text;
}

static int server_descriptors(void) {
    char path[64];
    int total = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)server_pid);
    DIR *folder = opendir(path);
    while (folder != NULL && readdir(folder) != NULL)
        total++;
    if (folder != NULL)
        closedir(folder);
    return total;
}

static long server_kb(void) {
    char path[64], line[256];
    long kb = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)server_pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmRSS: %ld", &kb) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return kb;
}

/* -- Clients ----------------------------------------------------------------------------------- */

static int dial(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {WAIT_MS / 1000, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&server_address, sizeof server_address) == 0)
        return fd;
    close(fd);
    return -1;
}

static void say(int fd, const char *text) {
    ssize_t sent = send(fd, text, strlen(text), MSG_NOSIGNAL);
    (void)sent; /* one that is cut off already will be seen when it is read */
}

/* One answer of a short body. */
static const char *hear(int fd) {
    static char answer[2048];
    ssize_t size = recv(fd, answer, sizeof answer - 1, 0);
    answer[size > 0 ? size : 0] = 0;
    return answer;
}

static bool starts(const char *answer, int status) {
    char text[32];
    snprintf(text, sizeof text, "HTTP/1.1 %d ", status);
    return strncmp(answer, text, strlen(text)) == 0;
}

/* Reads to the end of the connection: whether it came, and whether `status` did. */
static bool is_cut(int fd, int status) {
    char answer[4096];
    size_t size = 0;
    ssize_t got;
    while (size < sizeof answer - 1 &&
           (got = recv(fd, answer + size, sizeof answer - 1 - size, 0)) > 0)
        size += (size_t)got;
    answer[size] = 0;
    return (size > 0 || errno != EAGAIN) && (status == 0 || starts(answer, status));
}

static double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

static const char *path = "/";

/* Requests of a client that behaves, while the others are there. */
static void good_requests(const char *beside) {
    char text[128];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    static double took[REQUESTS];
    int good = 0;
    for (int i = 0; i < REQUESTS; i++) {
        double began = now_us();
        int fd = dial();
        say(fd, text);
        good += starts(hear(fd), 200);
        close(fd);
        took[i] = now_us() - began;
    }
    CHECK(good == REQUESTS);
    qsort(took, REQUESTS, sizeof *took, by_size);
    printf("    beside %s: p50 %.0f us, p99 %.0f us, server %ld KB\n", beside, took[REQUESTS / 2],
           took[REQUESTS * 99 / 100], server_kb());
}

static int fds[IDLE];

static void hang_up(int count) {
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

/* -- Tests ------------------------------------------------------------------------------------- */

/* Both sides need so many descriptors, and some more. */
static bool has_descriptors(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur >= IDLE + 1000;
}

static void test_idle(void) {
    static const char upgrade[] = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    if (!has_descriptors())
        SKIP("10,000 connections need a descriptor limit (ulimit -Hn) of 11,000");
    if (!start((struct net_server_options){.connection_limit = IDLE + 100}))
        return;
    good_requests("nobody");
    int up = 0;
    for (int i = 0; i < IDLE; i++) {
        bool socket = i % 2 == 1;
        fds[i] = dial();
        say(fds[i], socket ? upgrade : GET);
        up += starts(hear(fds[i]), socket ? 101 : 200);
    }
    CHECK(up == IDLE);
    good_requests("5,000 idle connections and 5,000 WebSockets");
    for (int i = 0; i < IDLE; i += 500) { /* they are still of use */
        bool socket = i % 1000 == 500;
        int fd = fds[socket ? i + 1 : i];
        say(fd, socket ? "\x81\x82\x01\x01\x01\x01ih" : GET);
        const char *answer = hear(fd);
        CHECK(socket ? strncmp(answer, "\x81\x02hi", 4) == 0 : starts(answer, 200));
    }
    hang_up(IDLE);
    CHECK(strstr(end(), "turned away") == NULL);
}

/* Part of a request, another byte now and then, never the end. */
static void slow(const char *begin, const char *drip, const char *name) {
    if (!start((struct net_server_options){
            .connection_limit = SLOW + 100, .header_timeout = 1, .body_timeout = 1}))
        return;
    for (int i = 0; i < SLOW; i++) {
        fds[i] = dial();
        say(fds[i], begin);
    }
    good_requests(name);
    for (int i = 0; i < SLOW; i++)
        say(fds[i], drip);
    int cut = 0;
    for (int i = 0; i < SLOW; i++)
        cut += is_cut(fds[i], begin[0] ? 408 : 0);
    CHECK(cut == SLOW);
    hang_up(SLOW);
    end();
}

static void test_slow(void) {
    slow("GET / HTTP/1.1\r\nHost: local", "h", "1,000 slow heads");
    slow("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx", "x",
         "1,000 slow bodies");
    slow("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5", ";",
         "1,000 slow chunks");
    slow("", "", "1,000 that never say a word");
}

static void test_slow_readers(void) {
    if (!start((struct net_server_options){.write_timeout = 1}))
        return;
#ifndef __SANITIZE_THREAD__
    long before = server_kb();
#endif
    int descriptors = server_descriptors();
    for (int i = 0; i < READERS; i++) {
        fds[i] = dial();
        say(fds[i], "GET /zeros HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    good_requests("100 that do not read");
#ifndef __SANITIZE_THREAD__                      /* which keeps several times of what is touched */
    CHECK(server_kb() - before < READERS * 512); /* what they do not take is not read from disk */
#endif
    for (int ms = 0; ms < WAIT_MS && server_descriptors() > descriptors + 5; ms += 10)
        usleep(10000);
    CHECK(server_descriptors() <= descriptors + 5); /* cut, all of them */
    hang_up(READERS);
    end();
}

static size_t count(const char *text, const char *part) {
    size_t times = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        times++;
    return times;
}

static void test_too_many(void) {
    enum { LIMIT = 50, BEYOND = 150 };
    if (!start((struct net_server_options){.connection_limit = LIMIT}))
        return;
    for (int i = 0; i < LIMIT; i++) {
        fds[i] = dial();
        say(fds[i], GET);
        CHECK(starts(hear(fds[i]), 200));
    }
    int refused = 0, cut = 0;
    for (int i = LIMIT; i < LIMIT + BEYOND; i++) {
        fds[i] = dial();
        say(fds[i], GET);
    }
    for (int i = LIMIT; i < LIMIT + BEYOND; i++) {
        const char *answer = hear(fds[i]);
        refused += starts(answer, 503) && strstr(answer, "\r\nRetry-After: ") != NULL;
        cut += answer[0] == 0;
    }
    CHECK(refused >= 64 && refused + cut == BEYOND);
    say(fds[0], GET); /* those inside notice nothing */
    CHECK(starts(hear(fds[0]), 200));
    hang_up(LIMIT + BEYOND);
    int fd, status = 503;
    for (int tries = 0; tries < 1000 && status != 200; tries++) {
        fd = dial();
        say(fd, GET);
        status = starts(hear(fd), 200) ? 200 : 503;
        close(fd);
    }
    CHECK(status == 200);
    const char *log = end();
    CHECK(count(log, "turned away: there are max_connections of them") == 1);
}

/* Not even accept() works; it goes on by itself. */
static void test_no_descriptors(void) {
    enum { FEW = 60, MORE = 100 };
    struct rlimit limit, before;
    getrlimit(RLIMIT_NOFILE, &before);
    limit = (struct rlimit){FEW, FEW};
    if (!start((struct net_server_options){.connection_limit = 1000}))
        return;
    CHECK(prlimit(server_pid, RLIMIT_NOFILE, &limit, NULL) == 0);
    for (int i = 0; i < MORE; i++) {
        fds[i] = dial(); /* the kernel takes them; the server cannot */
        say(fds[i], GET);
    }
    CHECK(starts(hear(fds[0]), 200));
    hang_up(MORE / 2);
    for (int i = MORE / 2; i < MORE; i++) {
        CHECK(starts(hear(fds[i]), 200)); /* as soon as there is a descriptor */
        close(fds[i]);
    }
    int fd = dial();
    say(fd, GET);
    CHECK(starts(hear(fd), 200));
    close(fd);
    CHECK(count(end(), "turned away: no descriptor left") == 1);
}

/* -- A host --------------------------------------------------------------------------------------
 */

/* 100 clients that upload a job of 4 MiB each, a kilobyte every few milliseconds, until killed. */
static void upload_slowly(void) {
    enum { UPLOADS = 100 };
    static const char head[] =
        "POST /api/jobs HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/json\r\nContent-Length: 4194304\r\n\r\n\"";
    static char piece[1025];
    memset(piece, 'x', sizeof piece - 1);
    for (int i = 0; i < UPLOADS; i++) {
        fds[i] = dial();
        say(fds[i], head);
    }
    for (int i = 0;; i = (i + 1) % UPLOADS) {
        say(fds[i], piece);
        usleep(200);
    }
}

static int beside_uploads(const char *port, const char *pid) {
    server_address = (struct sockaddr_in){.sin_family = AF_INET,
                                          .sin_port = htons((uint16_t)atoi(port)),
                                          .sin_addr = {htonl(INADDR_LOOPBACK)}};
    server_pid = (pid_t)atoi(pid);
    path = "/health";
    good_requests("nobody");
    fflush(stdout);
    pid_t uploader = fork();
    if (uploader == 0)
        upload_slowly();
    usleep(500000);
    good_requests("100 slow uploads");
    kill(uploader, SIGKILL);
    waitpid(uploader, NULL, 0);
    return check_failures > 0;
}

int main(int argc, char **argv) {
    static const struct test tests[] = {
        TEST(test_idle),     TEST(test_slow),           TEST(test_slow_readers),
        TEST(test_too_many), TEST(test_no_descriptors),
    };
    signal(SIGPIPE, SIG_IGN);
    return argc == 3 ? beside_uploads(argv[1], argv[2]) : RUN(tests);
}
