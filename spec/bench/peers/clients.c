/* clients.c - the other side of the timings, as far as wrk does not go.
 *
 *     clients idle PORT COUNT                    holds COUNT keep-alive connections, each with one
 * request behind it clients sockets PORT COUNT                 holds COUNT WebSockets clients
 * fan-out PORT PID COUNT ROUNDS BURST SIZE opens COUNT WebSockets, then asks ROUNDS times for BURST
 * messages of SIZE bytes to each ("BURST SIZE" on the first); the next round begins when all have
 * theirs. Prints the CPU seconds that the server PID used.
 *
 * The first two print "held" when all are open, and wait to be killed, ten minutes at most. Pings
 * are not answered. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what) {
    fprintf(stderr, "clients: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int dial(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        fail("cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Asks, and reads the answer's head and as much of its body as comes with it. */
static void ask(int fd, const char *request, const char *expected) {
    char head[4096];
    size_t size = 0;
    if (write(fd, request, strlen(request)) != (ssize_t)strlen(request))
        fail("cannot write");
    do {
        ssize_t got = read(fd, head + size, sizeof head - 1 - size);
        if (got <= 0)
            fail("no answer");
        size += (size_t)got;
        head[size] = 0;
    } while (strstr(head, "\r\n\r\n") == NULL && size < sizeof head - 1);
    if (strstr(head, expected) == NULL) {
        fprintf(stderr, "clients: unexpected answer: %s\n", head);
        exit(1);
    }
}

static int open_idle(int port) {
    int fd = dial(port);
    ask(fd, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", " 200 ");
    return fd;
}

static int open_socket(int port) {
    int fd = dial(port);
    ask(fd,
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        " 101 ");
    return fd;
}

static void hold(int (*open_one)(int port), int port, int count) {
    for (int i = 0; i < count; i++)
        open_one(port);
    puts("held");
    fflush(stdout);
    sleep(600);
}

/* -- Fan-out
 * -----------------------------------------------------------------------------------------------------------
 */

/* Nanoseconds of all threads. */
static double cpu_of(const char *pid) {
    char path[300];
    double sum = 0, one;
    snprintf(path, sizeof path, "/proc/%s/task", pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        fail(path);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        snprintf(path, sizeof path, "/proc/%s/task/%s/schedstat", pid, entry->d_name);
        FILE *file = entry->d_name[0] != '.' ? fopen(path, "r") : NULL;
        if (file != NULL && fscanf(file, "%lf", &one) == 1)
            sum += one;
        if (file != NULL)
            fclose(file);
    }
    closedir(folder);
    return sum / 1e9;
}

static void say(int fd, const char *text) {
    unsigned char frame[80] = {0x81, (unsigned char)(0x80 | strlen(text)), 0, 0, 0, 0};
    memcpy(frame + 6, text, strlen(text)); /* the mask is 0 */
    if (write(fd, frame, strlen(text) + 6) < 0)
        fail("cannot write");
}

static void fan_out(int port, const char *pid, int count, int rounds, int burst, int size) {
    static char buffer[1 << 20];
    char request[64];
    int *fds = calloc((size_t)count, sizeof *fds), epoll = epoll_create1(0);
    uint64_t frame_size = (uint64_t)(size < 126 ? 2 : 4) + (uint64_t)size;
    struct epoll_event event = {.events = EPOLLIN}, events[64];
    for (int i = 0; i < count; i++) {
        event.data.fd = fds[i] = open_socket(port);
        epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
    }
    snprintf(request, sizeof request, "%d %d", burst, size);
    double began = 0;
    for (int round = -5; round < rounds; round++) {
        if (round == 0)
            began = cpu_of(pid); /* what came before warmed it */
        say(fds[0], request);
        uint64_t left = frame_size * (uint64_t)(burst * count);
        while (left > 0) {
            int ready = epoll_wait(epoll, events, 64, 10000);
            if (ready <= 0)
                fail("the server sends nothing");
            for (int i = 0; i < ready; i++) {
                ssize_t got = recv(events[i].data.fd, buffer, sizeof buffer, MSG_DONTWAIT);
                if (got <= 0)
                    fail("the server closed a WebSocket");
                left -= (uint64_t)got;
            }
        }
    }
    printf("%.9f\n", cpu_of(pid) - began);
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "idle") == 0)
        hold(open_idle, atoi(argv[2]), atoi(argv[3]));
    else if (argc == 4 && strcmp(argv[1], "sockets") == 0)
        hold(open_socket, atoi(argv[2]), atoi(argv[3]));
    else if (argc == 8 && strcmp(argv[1], "fan-out") == 0)
        fan_out(atoi(argv[2]), argv[3], atoi(argv[4]), atoi(argv[5]), atoi(argv[6]), atoi(argv[7]));
    else
        return fputs("clients: see the head of clients.c\n", stderr), 2;
    return 0;
}
