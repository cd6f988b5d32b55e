#include "cli/console_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/memory.h"
#include "core/text.h"
#include "net/console_frame.h"

enum {
    TICK_MS = 200,
    PATIENCE_MS = 3000, /* after an interrupt that nobody answers */
};

struct console_client {
    struct console_client_options options;
    int fd;
    uint32_t id;
    struct text input;
};

int console_client_open(const char *path, const struct console_client_options *options,
                        struct console_client **out, struct err *err) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length >= sizeof address.sun_path)
        return err_set(err, ERR_INVALID, "the socket's path is longer than %zu bytes: %s",
                       sizeof address.sun_path - 1, path);
    memcpy(address.sun_path, path, length + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        if (why == ENOENT || why == ECONNREFUSED)
            return err_set(err, ERR_NOT_FOUND,
                           "no host listens at %s: start one with `stance serve`, or say where "
                           "with --socket or --data",
                           path);
        return err_set_errno(err, why, "console socket %s", path);
    }
    struct console_client *client = memory_need(calloc(1, sizeof *client));
    client->options = *options;
    client->fd = fd;
    *out = client;
    return 0;
}

void console_client_free(struct console_client *client) {
    if (client == NULL)
        return;
    close(client->fd);
    text_drop(&client->input);
    free(client);
}

int console_client_fd(const struct console_client *client) {
    return client->fd;
}

static int send_all(struct console_client *client, const char *bytes, size_t size,
                    struct err *err) {
    while (size > 0) {
        ssize_t sent = send(client->fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return err_set(err, ERR_CLOSED, "the host has gone");
        bytes += sent > 0 ? sent : 0;
        size -= sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

static int send_frame(struct console_client *client, enum console_frame_kind kind,
                      const char *payload, size_t size, struct err *err) {
    unsigned char head[CONSOLE_HEAD_SIZE];
    console_frame_head(head, kind, client->id, size);
    int code = send_all(client, (const char *)head, sizeof head, err);
    return code != 0 ? code : send_all(client, payload, size, err);
}

/* One read. */
static int read_some(struct console_client *client, struct err *err) {
    char block[65536];
    ssize_t got = recv(client->fd, block, sizeof block, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got <= 0 && client->input.size == 0)
        return err_set(err, ERR_CLOSED, "the host has gone");
    if (got <= 0)
        return err_set(err, ERR_CLOSED, "the host has gone in the middle of an answer");
    text_add(&client->input, block, (size_t)got);
    return 0;
}

/* Handles the frames that are whole. *answer is set when the present request's was among them. */
static int take_frames(struct console_client *client, json_t **answer, struct err *err) {
    size_t at = 0;
    int code = 0, taken = 0;
    struct console_frame frame;
    while (code == 0 &&
           (taken = console_frame_parse(client->input.bytes + at, client->input.size - at, "OAX",
                                        CONSOLE_ANSWER_MAX, &frame, err)) > 0) {
        at += (size_t)taken;
        if (frame.kind == CONSOLE_OUTPUT)
            client->options.output(client->options.arg, frame.payload, frame.size);
        else if (frame.kind == CONSOLE_REFUSAL)
            code = err_set(err, ERR_DENIED, "%.*s", (int)frame.size, frame.payload);
        else if (frame.id == client->id && answer != NULL && *answer == NULL &&
                 (*answer = json_loadb(frame.payload, frame.size, 0, NULL)) == NULL)
            code = err_set(err, ERR_CORRUPT, "the host's answer is no JSON");
    }
    if (at > 0) {
        memmove(client->input.bytes, client->input.bytes + at, client->input.size - at);
        client->input.size -= at;
    }
    return taken < 0 ? taken : code;
}

int console_client_listen(struct console_client *client, struct err *err) {
    int code = read_some(client, err);
    int taken = take_frames(client, NULL, err);
    return taken != 0 ? taken : code;
}

int console_client_ask(struct console_client *client, const json_t *request, json_t **answer,
                       struct err *err) {
    client->id++;
    char *text = memory_need(json_dumps(request, JSON_COMPACT));
    int code = strlen(text) > CONSOLE_REQUEST_MAX
                   ? err_set(err, ERR_TOO_LARGE,
                             "that is %zu bytes: at most %d go to the host at "
                             "once",
                             strlen(text), CONSOLE_REQUEST_MAX)
                   : send_frame(client, CONSOLE_REQUEST, text, strlen(text), err);
    free(text);
    *answer = NULL;
    int silent_ms = 0;
    bool pressed = false;
    while (code == 0 && *answer == NULL) {
        struct pollfd fd = {client->fd, POLLIN, 0};
        /* Not for ever: an interrupt may come just before. */
        int ready = poll(&fd, 1, TICK_MS);
        silent_ms = ready == 0 ? silent_ms + TICK_MS : 0;
        if (!pressed && client->options.interrupted != NULL && client->options.interrupted()) {
            code = send_frame(client, CONSOLE_INTERRUPT, NULL, 0, err);
            pressed = true;
            silent_ms = 0;
        } else if (pressed && silent_ms >= PATIENCE_MS) {
            return err_set(err, ERR_BUSY,
                           "the host does not answer: its loop is held by something that is not of "
                           "this console");
        }
        if (code == 0 && ready > 0) {
            int lost = read_some(client, err);
            code = take_frames(client, answer, err);
            code = code != 0 || *answer != NULL ? code : lost;
        }
    }
    return code;
}
