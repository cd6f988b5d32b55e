/* response.c - answers on their way out: the head, whole bodies, streams, files.
 *
 * A small answer is head and body in one write, at once: waiting for the socket to say that it is
 * writable would cost more than everything else. What the socket does not take is kept and follows
 * when it does. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "net/server_private.h"
#include "net/ws_private.h"

enum { FILE_READ_SIZE = 128 * 1024 };

/* -- Bytes out --------------------------------------------------------------------------------- */

static int broken(struct connection *c) {
    connection_close(c);
    return -1;
}

/* Hands over what waits. 0: the kernel has all of it, 1: some waits still, -1: the connection is
 * broken. */
static int flush(struct connection *c) {
    struct bytes *output = &c->output;
    while (output->size > output->start) {
        if (lws_partial_buffered(c->wsi))
            break;
        size_t size = output->size - output->start;
        if (size > NET_IO_SIZE)
            size = NET_IO_SIZE;
        if (lws_write(c->wsi, (unsigned char *)output->at + output->start, size, LWS_WRITE_RAW) < 0)
            return broken(c);
        bytes_use(output, size);
    }
    if (output->size == output->start && !lws_partial_buffered(c->wsi))
        return 0;
    lws_callback_on_writable(c->wsi);
    return 1;
}

/* Takes all of it: what does not go at once is copied. Returns as flush. */
static int send_bytes(struct connection *c, const char *bytes, size_t size) {
    if (c->wsi == NULL || c->want_close)
        return -1;
    c->request.sent += size;
    server_count_bytes(0, size);
    bool clear = c->output.size == c->output.start && !lws_partial_buffered(c->wsi);
    while (clear && size > 0) {
        size_t piece = size > NET_IO_SIZE ? NET_IO_SIZE : size;
        /* A raw socket's write puts nothing before the bytes, so they need no room there. */
        if (lws_write(c->wsi, (unsigned char *)(uintptr_t)bytes, piece, LWS_WRITE_RAW) < 0)
            return broken(c);
        bytes += piece;
        size -= piece;
        clear = !lws_partial_buffered(c->wsi);
    }
    if (clear)
        return 0;
    if (size > 0 && bytes_add(&c->output, bytes, size) < 0)
        return broken(c);
    lws_callback_on_writable(c->wsi);
    return 1;
}

void response_raw(struct connection *c, const char *bytes, size_t size) {
    send_bytes(c, bytes, size);
}

/* -- Heads ------------------------------------------------------------------------------------- */

struct out {
    char *at;
    size_t size, room;
    bool full;
};

static void put(struct out *out, const char *bytes, size_t size) {
    if (out->size + size > out->room) {
        out->full = true;
        return;
    }
    memcpy(out->at + out->size, bytes, size);
    out->size += size;
}

#define PUT(out, literal) put(out, literal, sizeof(literal) - 1)

static void put_text(struct out *out, const char *text) {
    put(out, text, strlen(text));
}

static void put_number(struct out *out, int64_t number) {
    char digits[24];
    int at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(out, digits + at, sizeof digits - (size_t)at);
}

/* "Date: ...\r\n", made once a second. */
static void put_date(struct out *out) {
    static char line[48];
    static size_t size;
    static time_t made;
    time_t now = time(NULL);
    if (now != made) {
        struct tm tm;
        gmtime_r(&now, &tm);
        size = strftime(line, sizeof line, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
        made = now;
    }
    put(out, line, size);
}

/* A CR or LF in a value would let its author write headers, or a second answer. */
static bool is_clean(const struct net_header *header) {
    if (!http_is_token(header->name, strlen(header->name)))
        return false;
    for (const char *c = header->value; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 127)
            return false;
    return true;
}

static bool status_has_body(int status) {
    return status >= 200 && status != 204 && status != 304;
}

static void put_cors(struct out *out, const struct net_request *r) {
    struct http_span origin = http_header(&r->head, "origin");
    PUT(out, "Access-Control-Allow-Origin: ");
    put(out, origin.at, origin.size);
    PUT(out, "\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n"
             "Access-Control-Expose-Headers: X-Request-Id, Location, ETag\r\n");
}

/* Decides whether the connection can go on after this answer. */
static void decide_keep_alive(struct connection *c) {
    const struct net_request *r = &c->request;
    if (!r->body_done && (r->head.chunked || r->continue_due || r->body_remain > KEEP_DRAIN_MAX))
        c->keep_alive = false;
    if (c->server->closing)
        c->keep_alive = false;
}

/* length: of the body; -1: chunked; -2: no Content-Length at all. */
static void put_head(struct out *out, struct connection *c, int status,
                     const struct net_header *headers, size_t header_count, int64_t length) {
    struct net_request *r = &c->request;
    PUT(out, "HTTP/1.1 ");
    put_number(out, status);
    PUT(out, " ");
    put_text(out, http_status_text(status));
    PUT(out, "\r\n");
    put_date(out);
    for (size_t i = 0; i < header_count; i++) {
        put_text(out, headers[i].name);
        PUT(out, ": ");
        put_text(out, headers[i].value);
        PUT(out, "\r\n");
    }
    if (length >= 0) {
        PUT(out, "Content-Length: ");
        put_number(out, length);
        PUT(out, "\r\n");
    } else if (length == -1) {
        PUT(out, "Transfer-Encoding: chunked\r\n");
    }
    PUT(out, "X-Request-Id: ");
    put_text(out, r->id);
    PUT(out, "\r\nX-Content-Type-Options: nosniff\r\n");
    if (r->cors)
        put_cors(out, r);
    if (!c->keep_alive)
        PUT(out, "Connection: close\r\n");
    else if (r->head.minor == 0)
        PUT(out, "Connection: keep-alive\r\n");
    PUT(out, "\r\n");
}

/* Checks and writes the head into the scratch space, leaving room for a body behind it. */
static int begin(struct net_request *r, int status, const struct net_header *headers,
                 size_t header_count, int64_t length, struct out *out) {
    struct connection *c = connection_of(r);
    if (!r->active || r->started || c->want_close)
        return ERR_CLOSED;
    for (size_t i = 0; i < header_count; i++)
        if (!is_clean(&headers[i]))
            return ERR_INVALID;
    decide_keep_alive(c);
    *out = (struct out){(char *)c->server->net->scratch + LWS_PRE, 0, NET_IO_SIZE, false};
    put_head(out, c, status, headers, header_count, length);
    if (out->full)
        return ERR_INVALID;
    r->started = true;
    r->status = status;
    r->no_body = r->head.method == HTTP_HEAD || !status_has_body(status);
    return 0;
}

/* -- Ends -------------------------------------------------------------------------------------- */

/* All of the answer is with the kernel. */
static void finish(struct connection *c) {
    struct net_request *r = &c->request;
    connection_free_request(c, true);
    if (c->want_close)
        return;
    if (!c->keep_alive) {
        connection_linger(c);
        return;
    }
    if (r->body_done)
        c->state = STATE_HEAD;
    connection_process(c, NULL, 0);
}

static void ended(struct connection *c, int waiting) {
    struct net_request *r = &c->request;
    r->ended = true;
    r->discard = true;
    if (waiting == 0)
        finish(c);
    else if (waiting > 0 && !r->body_done)
        connection_process(c, NULL, 0);
}

static void file_read(struct file_send *file);

void response_writable(struct connection *c) {
    struct net_request *r = &c->request;
    if (c->state == STATE_SOCKET) {
        ws_writable(c->ws);
        return;
    }
    int waiting = flush(c);
    if (waiting < 0)
        return;
    if (waiting > 0) {
        connection_set_deadline(c, DEADLINE_WRITE); /* it takes some: renewed */
        return;
    }
    if (!r->active)
        return;
    if (r->file != NULL) {
        file_read(r->file);
    } else if (r->ended) {
        finish(c);
    } else if (r->wants_drained) {
        r->wants_drained = false;
        if (r->ops != NULL && r->ops->drained != NULL)
            r->ops->drained(r);
    }
}

/* -- Whole answers ----------------------------------------------------------------------------- */

int net_respond(struct net_request *r, int status, const struct net_header *headers,
                size_t header_count, const char *body, size_t size) {
    struct connection *c = connection_of(r);
    struct out out;
    int result =
        begin(r, status, headers, header_count, status_has_body(status) ? (int64_t)size : -2, &out);
    if (result < 0)
        return result;
    if (r->no_body)
        size = 0;
    connection_enter(c);
    size_t first = out.room - out.size < size ? out.room - out.size : size;
    if (first > 0)
        memcpy(out.at + out.size, body, first);
    int waiting = send_bytes(c, out.at, out.size + first);
    if (waiting >= 0 && first < size)
        waiting = send_bytes(c, body + first, size - first);
    ended(c, waiting);
    connection_leave_async(c);
    return 0;
}

/* JSON string contents: the texts are ours, but may quote a client's bytes. */
static void put_json(struct out *out, const char *text) {
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            PUT(out, "\\");
            put(out, text, 1);
        } else if (byte < ' ' || byte >= 127) {
            PUT(out, "?");
        } else {
            put(out, text, 1);
        }
    }
}

int net_respond_problem(struct net_request *r, int status, const char *code, const char *detail) {
    char body[1024];
    struct out out = {body, 0, sizeof body - 128, false};
    PUT(&out, "{\"type\":\"about:blank\",\"title\":\"");
    put_json(&out, http_status_text(status));
    PUT(&out, "\",\"status\":");
    put_number(&out, status);
    PUT(&out, ",\"detail\":\"");
    put_json(&out, detail);
    PUT(&out, "\",\"code\":\"");
    put_json(&out, code);
    out.room = sizeof body;
    PUT(&out, "\",\"requestId\":\"");
    put_text(&out, r->id);
    PUT(&out, "\"}\n");
    const struct net_header headers[] = {{"Content-Type", "application/problem+json"},
                                         {"Retry-After", "1"}};
    return net_respond(r, status, headers, status == 503 ? 2 : 1, body, out.size);
}

/* An answer to a request that is malformed or came too slowly; the connection ends with it. */
void response_reject(struct connection *c, int status, const char *code, const char *detail) {
    if (c->state == STATE_HEAD) {
        memset(&c->request.head, 0, sizeof c->request.head);
        request_prepare(c);
        c->request.head.minor = 1;
        c->request.body_done = true;
        c->request.attached_ready = true;
    }
    c->keep_alive = false;
    net_respond_problem(&c->request, status, code, detail);
}

/* -- Streams ----------------------------------------------------------------------------------- */

int net_respond_start(struct net_request *r, int status, const struct net_header *headers,
                      size_t header_count, int64_t length) {
    struct connection *c = connection_of(r);
    struct out out;
    if (length < 0)
        length = r->head.minor == 0 || !status_has_body(status) ? -2 : -1;
    if (length == -2 && status_has_body(status))
        c->keep_alive = false; /* to HTTP/1.0 the end of the connection is the end of the body */
    int result = begin(r, status, headers, header_count, length, &out);
    if (result < 0)
        return result;
    r->chunked = length == -1;
    r->length_left = length >= 0 ? length : -1;
    connection_enter(c);
    send_bytes(c, out.at, out.size);
    connection_leave_async(c);
    return 0;
}

int net_respond_write(struct net_request *r, const char *bytes, size_t size) {
    struct connection *c = connection_of(r);
    if (!r->active || !r->started || r->ended || c->want_close)
        return ERR_CLOSED;
    if (r->length_left >= 0) {
        if ((int64_t)size > r->length_left)
            return ERR_TOO_LARGE; /* more than was announced would be read as the next answer */
        r->length_left -= (int64_t)size;
    }
    if (size == 0 || r->no_body)
        return 0;
    connection_enter(c);
    char line[24];
    int waiting;
    if (r->chunked && size + sizeof line + 2 <= NET_IO_SIZE) { /* in one write */
        struct out out = {(char *)c->server->net->scratch + LWS_PRE, 0, NET_IO_SIZE, false};
        int count = snprintf(line, sizeof line, "%zx\r\n", size);
        put(&out, line, (size_t)count);
        put(&out, bytes, size);
        PUT(&out, "\r\n");
        waiting = send_bytes(c, out.at, out.size);
    } else {
        if (r->chunked) {
            int count = snprintf(line, sizeof line, "%zx\r\n", size);
            send_bytes(c, line, (size_t)count);
        }
        waiting = send_bytes(c, bytes, size);
        if (r->chunked)
            waiting = send_bytes(c, "\r\n", 2);
    }
    r->wants_drained = waiting > 0;
    connection_leave_async(c);
    return waiting < 0 ? ERR_CLOSED : waiting;
}

int net_respond_end(struct net_request *r) {
    struct connection *c = connection_of(r);
    if (!r->active || !r->started || r->ended || c->want_close)
        return ERR_CLOSED;
    if (r->length_left > 0 && !r->no_body) {
        net_request_abort(r); /* the client must not take a part for the whole */
        return ERR_INVALID;
    }
    connection_enter(c);
    int waiting = r->chunked && !r->no_body ? send_bytes(c, "0\r\n\r\n", 5)
                  : c->output.size > c->output.start || lws_partial_buffered(c->wsi) ? 1
                                                                                     : 0;
    ended(c, waiting);
    connection_leave_async(c);
    return 0;
}

void net_request_abort(struct net_request *r) {
    connection_close(connection_of(r));
}

/* -- Files ------------------------------------------------------------------------------------- */

struct file_send {
    struct connection *c; /* NULL: nobody waits any more */
    struct loop *loop;
    int fd;
    int64_t offset, left;
    ssize_t got;
    bool busy; /* a pool thread has it */
    char bytes[FILE_READ_SIZE];
};

static void file_free(struct file_send *file) {
    close(file->fd);
    free(file);
}

void response_file_detach(struct file_send *file) {
    file->c = NULL;
    if (!file->busy)
        file_free(file);
}

static void file_work(void *arg) {
    struct file_send *file = arg;
    size_t want = file->left < FILE_READ_SIZE ? (size_t)file->left : FILE_READ_SIZE;
    do
        file->got = pread(file->fd, file->bytes, want, file->offset);
    while (file->got < 0 && errno == EINTR);
}

static void file_done(void *arg) {
    struct file_send *file = arg;
    struct connection *c = file->c;
    file->busy = false;
    if (c == NULL) {
        file_free(file);
        return;
    }
    connection_enter(c);
    if (file->got <= 0) {
        log_warn("net", "a file became shorter while it was sent (request %s)", c->request.id);
        connection_close(c);
        connection_leave_async(c);
        return;
    }
    file->offset += file->got;
    file->left -= file->got;
    int waiting = send_bytes(c, file->bytes, (size_t)file->got);
    if (file->left == 0) {
        c->request.file = NULL;
        file_free(file);
        ended(c, waiting);
    } else if (waiting == 0) {
        file_read(file);
    }
    connection_leave_async(c);
}

static void file_read(struct file_send *file) {
    if (file->busy)
        return;
    file->busy = true;
    loop_work(file->loop, file_work, file_done, file);
}

int net_respond_file(struct net_request *r, int status, const struct net_header *headers,
                     size_t header_count, int fd, int64_t offset, int64_t length) {
    struct connection *c = connection_of(r);
    struct out out;
    struct file_send *file = malloc(sizeof *file);
    int result =
        file == NULL ? ERR_NO_MEMORY : begin(r, status, headers, header_count, length, &out);
    if (result < 0) {
        free(file);
        close(fd);
        return result;
    }
    file->c = c;
    file->loop = c->server->net->loop;
    file->fd = fd;
    file->offset = offset;
    file->left = length;
    file->busy = false;
    connection_enter(c);
    int waiting = send_bytes(c, out.at, out.size);
    if (r->no_body || length == 0) {
        file_free(file);
        ended(c, waiting);
    } else {
        r->file = file;
        if (waiting == 0)
            file_read(file);
    }
    connection_leave_async(c);
    return 0;
}
