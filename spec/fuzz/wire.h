/* wire.h - a conversation with a server of this process, without a network: one end of a socket
 * pair is given to the server as if it had been accepted, the loop turns, the other end is read. */
#ifndef STANCE_SPEC_WIRE_H
#define STANCE_SPEC_WIRE_H

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answers.h"
#include "fuzz.h"
#include "net/server_private.h"

enum { WIRE_ROOM = 1 << 20 };

struct wire {
    struct loop *loop;
    uv_idle_t turning; /* the loop does not wait while we talk */
    struct net_server *server;
    const uint8_t *bytes;
    size_t size, sent, piece, got;
    int fd, quiet, patience; /* turns without a byte; as many end it */
    char answer[WIRE_ROOM + 1];
};

static struct wire wire;

static inline bool wire_talk(struct wire *w) {
    bool moved = false;
    if (w->sent < w->size) {
        size_t part = w->size - w->sent < w->piece ? w->size - w->sent : w->piece;
        ssize_t sent = send(w->fd, w->bytes + w->sent, part, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            w->sent += (size_t)sent;
        else if (errno != EAGAIN)
            w->sent = w->size;
        moved = sent > 0;
    }
    ssize_t got = recv(w->fd, w->answer + w->got, WIRE_ROOM - w->got, MSG_DONTWAIT);
    if (got > 0)
        w->got += (size_t)got;
    if (got == 0 || (got < 0 && errno != EAGAIN))
        return false;
    w->quiet = moved || got > 0 ? 0 : w->quiet + 1;
    return w->quiet < w->patience && w->got < WIRE_ROOM;
}

static void wire_turn(uv_idle_t *handle) {
    struct wire *w = handle->data;
    if (w->fd >= 0 && wire_talk(w))
        return;
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    if (net_server_connections(w->server) > 0)
        return; /* it has to see that we are gone */
    uv_idle_stop(handle);
    loop_stop(w->loop);
}

/* Says `bytes`, and listens until the server ends it or says nothing for `patience` turns. What
 * came has to be HTTP, and no fault of the server's own. */
static inline void wire_exchange(struct loop *loop, struct net_server *server, const uint8_t *bytes,
                                 size_t size, size_t piece, int patience) {
    int ends[2];
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    if (wire.loop == NULL) {
        uv_idle_init(&loop->uv, &wire.turning);
        uv_unref((uv_handle_t *)&wire.turning);
        wire.turning.data = &wire;
    }
    wire.loop = loop;
    wire.server = server;
    wire.bytes = bytes;
    wire.size = size;
    wire.piece = piece;
    wire.patience = patience;
    wire.sent = wire.got = 0;
    wire.quiet = 0;
    wire.fd = ends[1];
    connection_accept(server, ends[0], "fuzz");
    uv_idle_start(&wire.turning, wire_turn);
    loop_run(loop);
    wire.answer[wire.got] = 0;
    struct answers answers = read_answers(wire.answer, wire.got, NULL);
    if (answers.wrong != NULL)
        fprintf(stderr, "%s: %.2000s\n", answers.wrong, wire.answer);
    FUZZ_CHECK(answers.wrong == NULL);
}

#endif
