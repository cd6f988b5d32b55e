/* floor.c - the least that a server can do: one epoll loop, read, write. What peers are measured
 * against.
 *
 *     floor PORT
 *
 * GET gets a small JSON that is always the same. A request with Sec-WebSocket-Key becomes a
 * WebSocket, unchecked; a text message "COUNT SIZE" on any makes it send COUNT messages of SIZE
 * bytes to all, as one write to each. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS_MAX = 32768, EVENTS = 64 };

static bool is_socket[FDS_MAX];
static int sockets[FDS_MAX], socket_count;

static const char answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n"
    "{\"status\":\"ok\",\"n\":17}";
static const char upgraded[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

static void send_to_all(int count, int size) {
    int frame_size = size < 126 ? size + 2 : size + 4;
    unsigned char *frames = calloc((size_t)count, (size_t)frame_size);
    if (frames == NULL)
        abort();
    for (int i = 0; i < count; i++) {
        unsigned char *frame = frames + i * frame_size;
        memset(frame, 'x', (size_t)frame_size);
        frame[0] = 0x81;
        frame[1] = size < 126 ? (unsigned char)size : 126;
        if (size >= 126) {
            frame[2] = (unsigned char)(size >> 8);
            frame[3] = (unsigned char)size;
        }
    }
    for (int i = 0; i < socket_count; i++)
        if (send(sockets[i], frames, (size_t)frame_size * (size_t)count, MSG_NOSIGNAL) !=
            frame_size * count)
            fprintf(stderr, "floor: a client is too slow\n");
    free(frames);
}

/* The only frames that come are short and whole. */
static void hear_frame(const unsigned char *bytes, ssize_t size) {
    char text[64] = {0};
    int count, each, length = size > 6 ? bytes[1] & 0x7f : 0;
    for (int i = 0; i < length && i < 63 && 6 + i < size; i++)
        text[i] = (char)(bytes[6 + i] ^ bytes[2 + (i & 3)]);
    if (sscanf(text, "%d %d", &count, &each) == 2)
        send_to_all(count, each);
}

static void forget(int fd) {
    for (int i = 0; is_socket[fd] && i < socket_count; i++)
        if (sockets[i] == fd)
            sockets[i] = sockets[--socket_count];
    is_socket[fd] = false;
    close(fd);
}

static void serve(int fd) {
    static char buffer[65536];
    ssize_t size = read(fd, buffer, sizeof buffer - 1);
    if (size <= 0) {
        forget(fd);
        return;
    }
    buffer[size] = 0;
    if (is_socket[fd]) {
        hear_frame((unsigned char *)buffer, size);
    } else if (strstr(buffer, "Sec-WebSocket-Key") != NULL) {
        is_socket[fd] = true;
        sockets[socket_count++] = fd;
        (void)!write(fd, upgraded, sizeof upgraded - 1);
    } else {
        (void)!write(fd, answer, sizeof answer - 1);
    }
}

int main(int argc, char **argv) {
    int on = 1, port = argc > 1 ? atoi(argv[1]) : 0;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 4096) < 0) {
        perror("floor");
        return 1;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd != listener) {
                serve(events[i].data.fd);
                continue;
            }
            int fd;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0 && fd < FDS_MAX) {
                event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
