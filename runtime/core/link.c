#include "core/link.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    HEADER_SIZE = 13,
    READ_STEP = 64 << 10, /* the least room that a read is offered, and what an idle link keeps */
    HANDLES = 3,
    BUCKETS = 256, /* of the table of pending requests */
};

enum kind { KIND_REQUEST = 1, KIND_REPLY, KIND_ERROR, KIND_EVENT, KIND_BEAT };

/* A request of ours that waits for its answer. */
struct pending {
    struct pending *next;
    uint64_t id;
    double deadline; /* loop_seconds; 0: none */
    link_answer answer;
    void *arg;
};

struct link {
    uv_pipe_t pipe;
    uv_timer_t ticker; /* sends heartbeats */
    uv_timer_t expiry; /* runs to the earliest deadline of a request */
    uv_connect_t connect;
    struct loop *loop;
    struct link_options options;

    char *in; /* bytes read and not yet dealt with: in[in_start .. in_end) */
    size_t in_start, in_end, in_size;

    struct pending *pending[BUCKETS];
    size_t pending_count;
    double next_expiry; /* when `expiry` fires; 0: it rests */
    uint64_t last_id;

    size_t beats_unsent;
    double last_beat;
    struct err failure; /* set by the first thing that goes wrong */
    bool failing;       /* `failure` is set, and finish_failure will follow from the loop */
    bool over;          /* nothing more is sent, read, or called */
    bool freed;         /* by the owner */
    int busy;           /* callbacks of ours on the C stack */
    int open_handles;
};

/* A frame on its way out; one allocation with its bytes. */
struct outgoing {
    uv_write_t write;
    struct link *link;
    bool is_beat;
    char bytes[];
};

static void put_le(unsigned char *out, uint64_t value, int size) {
    for (int i = 0; i < size; i++) {
        out[i] = (unsigned char)(value >> (8 * i));
    }
}

static uint64_t get_le(const unsigned char *in, int size) {
    uint64_t value = 0;
    for (int i = 0; i < size; i++) {
        value |= (uint64_t)in[i] << (8 * i);
    }
    return value;
}

/* -- The end of a link ------------------------------------------------------------------------- */

static void release(struct link *link) {
    if (link->freed && link->open_handles == 0 && link->busy == 0) {
        free(link->in);
        free(link);
    }
}

static void handle_closed(uv_handle_t *handle) {
    struct link *link = handle->data;
    link->open_handles--;
    release(link);
}

/* Around all that calls the owner, who may free the link there: its memory goes when the last one
 * has left. */
static void enter(struct link *link) {
    assert(link->busy >= 0);
    link->busy++;
}

static void leave(struct link *link) {
    link->busy--;
    release(link);
}

/* Answers all that still waits, with `err`; what an answer asks anew is refused, since the link is
 * over. */
static void answer_all(struct link *link, const struct err *err) {
    for (size_t i = 0; i < BUCKETS; i++) {
        while (link->pending[i] != NULL) {
            struct pending *pending = link->pending[i];
            link->pending[i] = pending->next;
            link->pending_count--;
            pending->answer(err, false, NULL, 0, pending->arg);
            free(pending);
        }
    }
}

static void close_handles(struct link *link) {
    uv_handle_t *handles[HANDLES] = {(uv_handle_t *)&link->pipe, (uv_handle_t *)&link->ticker,
                                     (uv_handle_t *)&link->expiry};
    for (int i = 0; i < HANDLES; i++) {
        if (!uv_is_closing(handles[i])) {
            uv_close(handles[i], handle_closed);
        }
    }
}

/* Closes everything, answers what is pending, tells the owner. From the loop only, never from
 * within a call by the owner. */
static void finish_failure(struct link *link) {
    if (link->over) {
        return;
    }
    link->over = true;
    enter(link);
    close_handles(link);
    answer_all(link, &link->failure);
    if (!link->freed && link->options.callbacks.closed != NULL) {
        link->options.callbacks.closed(link, &link->failure, link->options.arg);
    }
    leave(link);
}

static void expire(uv_timer_t *timer);

/* Whatever goes wrong, goes wrong inside something: the news follows from the loop. */
static void fail_soon(struct link *link, const struct err *err) {
    if (!link->over && !link->failing) {
        link->failure = *err;
        link->failing = true;
        uv_read_stop((uv_stream_t *)&link->pipe);
        uv_timer_start(&link->expiry, expire, 0, 0);
    }
}

void link_free(struct link *link) {
    if (link == NULL || link->freed) {
        return;
    }
    struct err err;
    err_set(&err, ERR_CLOSED, "the link was closed");
    link->freed = true;
    enter(link);
    if (!link->over) {
        link->over = true;
        close_handles(link);
        answer_all(link, &err);
    }
    leave(link);
}

/* -- Pending requests -------------------------------------------------------------------------- */

static struct pending *take_pending(struct link *link, uint64_t id) {
    struct pending **place = &link->pending[id % BUCKETS];
    while (*place != NULL && (*place)->id != id) {
        place = &(*place)->next;
    }
    struct pending *found = *place;
    if (found != NULL) {
        *place = found->next;
        link->pending_count--;
    }
    return found;
}

static void plan_expiry(struct link *link, double deadline) {
    if (link->failing || (link->next_expiry != 0 && link->next_expiry <= deadline)) {
        return;
    }
    double wait = deadline - loop_seconds();
    link->next_expiry = deadline;
    uv_update_time(&link->loop->uv);
    uv_timer_start(&link->expiry, expire, wait > 0 ? (uint64_t)(wait * 1e3) + 1 : 0, 0);
}

/* Takes out the first request that is due; NULL when none is, and then *next is the earliest
 * deadline (0: none). */
static struct pending *take_expired(struct link *link, double now, double *next) {
    *next = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct pending *p = link->pending[i]; p != NULL; p = p->next) {
            if (p->deadline != 0 && p->deadline <= now) {
                return take_pending(link, p->id);
            }
            if (p->deadline != 0 && (*next == 0 || p->deadline < *next)) {
                *next = p->deadline;
            }
        }
    }
    return NULL;
}

static void expire(uv_timer_t *timer) {
    struct link *link = timer->data;
    if (link->failing) {
        finish_failure(link);
        return;
    }
    struct err err;
    err_set(&err, ERR_TIMEOUT, "no reply in time");
    double next = 0;
    double now = loop_seconds();
    enter(link);
    link->next_expiry = 0;
    for (;;) {
        struct pending *due = link->over ? NULL : take_expired(link, now, &next);
        if (due == NULL) {
            break;
        }
        due->answer(&err, false, NULL, 0, due->arg);
        free(due);
    }
    if (next != 0 && !link->over) {
        plan_expiry(link, next);
    }
    leave(link);
}

/* -- Out --------------------------------------------------------------------------------------- */

static void written(uv_write_t *write, int status) {
    struct outgoing *out = write->data;
    struct link *link = out->link;
    if (out->is_beat) {
        link->beats_unsent--;
    }
    free(out);
    /* The reading side reports the end of the peer (EPIPE here, end of file there), after what it
     * still had to say. */
    if (status < 0 && status != UV_EPIPE && status != UV_ECONNRESET && !link->over) {
        struct err err;
        err_set_uv(&err, status, "cannot write to the peer");
        fail_soon(link, &err);
    }
}

/* How much may wait beyond this frame, and how it is refused. */
static int check_room(struct link *link, enum kind kind, size_t size, struct err *err) {
    size_t queued = uv_stream_get_write_queue_size((uv_stream_t *)&link->pipe);
    size_t budget = link->options.queue_budget;
    if (link->over || link->failing) {
        return err_set(err, ERR_CLOSED, "the link is closed");
    }
    if (size > LINK_MAX_PAYLOAD) {
        return err_set(err, ERR_TOO_LARGE, "a message of %zu bytes; the limit is %d", size,
                       (int)LINK_MAX_PAYLOAD);
    }
    bool is_reply = kind == KIND_REPLY || kind == KIND_ERROR;
    if (queued == 0 || queued + size <= (is_reply ? 2 * budget : budget)) {
        return 0;
    }
    if (is_reply) {
        err_set(err, ERR_BUSY, "the peer asks and does not read: %zu bytes wait for it", queued);
        fail_soon(link, err);
        return ERR_BUSY;
    }
    return err_set(err, ERR_BUSY, "%zu bytes wait to be sent already", queued);
}

static int send_frame(struct link *link, enum kind kind, uint64_t id, const void *payload,
                      size_t size, struct err *err) {
    int code = check_room(link, kind, size, err);
    if (code < 0) {
        return code;
    }
    struct outgoing *out = malloc(sizeof *out + HEADER_SIZE + size);
    if (out == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a message of %zu bytes", size);
    }
    unsigned char *header = (unsigned char *)out->bytes;
    put_le(header, size, 4);
    header[4] = (unsigned char)kind;
    put_le(header + 5, id, 8);
    if (size > 0) {
        memcpy(out->bytes + HEADER_SIZE, payload, size);
    }
    out->link = link;
    out->is_beat = kind == KIND_BEAT;
    out->write.data = out;
    uv_buf_t buffer = uv_buf_init(out->bytes, (unsigned)(HEADER_SIZE + size));
    int status = uv_write(&out->write, (uv_stream_t *)&link->pipe, &buffer, 1, written);
    if (status < 0) {
        free(out);
        err_set_uv(err, status, "cannot write to the peer");
        fail_soon(link, err);
        return err->code;
    }
    link->beats_unsent += kind == KIND_BEAT;
    return 0;
}

uint64_t link_request(struct link *link, const void *payload, size_t size, double timeout,
                      link_answer answer, void *arg, struct err *err) {
    struct err dropped;
    struct pending *pending = malloc(sizeof *pending);
    if (pending == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for a request");
        return 0;
    }
    uint64_t id = ++link->last_id;
    if (send_frame(link, KIND_REQUEST, id, payload, size, err != NULL ? err : &dropped) < 0) {
        free(pending);
        return 0;
    }
    pending->id = id;
    pending->answer = answer;
    pending->arg = arg;
    pending->deadline = timeout > 0 ? loop_seconds() + timeout : 0;
    pending->next = link->pending[id % BUCKETS];
    link->pending[id % BUCKETS] = pending;
    link->pending_count++;
    if (timeout > 0) {
        plan_expiry(link, pending->deadline);
    }
    return id;
}

void link_forget(struct link *link, uint64_t id) {
    free(take_pending(link, id));
}

int link_reply(struct link *link, uint64_t id, bool ok, const void *payload, size_t size,
               struct err *err) {
    struct err dropped;
    return send_frame(link, ok ? KIND_REPLY : KIND_ERROR, id, payload, size,
                      err != NULL ? err : &dropped);
}

int link_send_event(struct link *link, const void *payload, size_t size, struct err *err) {
    struct err dropped;
    return send_frame(link, KIND_EVENT, 0, payload, size, err != NULL ? err : &dropped);
}

static void tick(uv_timer_t *timer) {
    struct link *link = timer->data;
    char payload[LINK_MAX_BEAT];
    size_t size = 0;
    /* Behind a peer that does not read, one waiting heartbeat says as much as many. */
    if (link->over || link->failing || link->beats_unsent > 0) {
        return;
    }
    enter(link);
    if (link->options.callbacks.fill_beat != NULL) {
        size = link->options.callbacks.fill_beat(link, payload, sizeof payload, link->options.arg);
        assert(size <= sizeof payload);
    }
    struct err err;
    if (!link->over && send_frame(link, KIND_BEAT, 0, payload, size, &err) < 0 &&
        err.code != ERR_BUSY) {
        fail_soon(link, &err);
    }
    leave(link);
}

/* -- In ---------------------------------------------------------------------------------------- */

static void got_answer(struct link *link, bool ok, uint64_t id, const char *payload, size_t size) {
    struct pending *pending = take_pending(link, id);
    /* Not there: it timed out, or was forgotten, and its reply comes too late for anybody. */
    if (pending != NULL) {
        pending->answer(NULL, ok, payload, size, pending->arg);
        free(pending);
    }
}

static void got_request(struct link *link, uint64_t id, const char *payload, size_t size) {
    static const char refusal[] = "{\"code\":\"unsupported\",\"message\":\"no requests here\"}";
    if (link->options.callbacks.request != NULL) {
        link->options.callbacks.request(link, id, payload, size, link->options.arg);
    } else {
        link_reply(link, id, false, refusal, sizeof refusal - 1, NULL);
    }
}

static void got_frame(struct link *link, enum kind kind, uint64_t id, const char *payload,
                      size_t size) {
    const struct link_callbacks *calls = &link->options.callbacks;
    switch (kind) {
    case KIND_REQUEST:
        got_request(link, id, payload, size);
        break;
    case KIND_REPLY:
    case KIND_ERROR:
        got_answer(link, kind == KIND_REPLY, id, payload, size);
        break;
    case KIND_EVENT:
        if (calls->event != NULL) {
            calls->event(link, payload, size, link->options.arg);
        }
        break;
    case KIND_BEAT:
        if (calls->beat != NULL) {
            calls->beat(link, payload, size, link->options.arg);
        }
        break;
    }
}

static int check_header(const unsigned char *header, size_t *size, struct err *err) {
    unsigned kind = header[4];
    uint64_t id = get_le(header + 5, 8);
    *size = (size_t)get_le(header, 4);
    if (kind < KIND_REQUEST || kind > KIND_BEAT) {
        return err_set(err, ERR_CORRUPT, "malformed frame: kind %u", kind);
    }
    if (*size > (kind == KIND_BEAT ? LINK_MAX_BEAT : LINK_MAX_PAYLOAD)) {
        return err_set(err, ERR_CORRUPT, "malformed frame: %zu bytes", *size);
    }
    if ((id != 0) != (kind <= KIND_ERROR)) {
        return err_set(err, ERR_CORRUPT, "malformed frame: kind %u with id %llu", kind,
                       (unsigned long long)id);
    }
    return 0;
}

/* Deals with all whole frames in the buffer. */
static int take_frames(struct link *link, struct err *err) {
    while (!link->over && !link->failing && link->in_end - link->in_start >= HEADER_SIZE) {
        const unsigned char *header = (const unsigned char *)link->in + link->in_start;
        size_t size;
        int code = check_header(header, &size, err);
        if (code < 0) {
            return code;
        }
        if (link->in_end - link->in_start < HEADER_SIZE + size) {
            break;
        }
        const char *payload = link->in + link->in_start + HEADER_SIZE;
        link->in_start += HEADER_SIZE + size;
        got_frame(link, header[4], get_le(header + 5, 8), payload, size);
    }
    return 0;
}

/* Room grows with what has really arrived, so that a header alone cannot make us reserve 64 MiB. */
static void offer_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    struct link *link = handle->data;
    (void)suggested;
    size_t held = link->in_end - link->in_start;
    if (link->in_start > 0) {
        memmove(link->in, link->in + link->in_start, held);
        link->in_start = 0;
        link->in_end = held;
    }
    size_t want = held == 0 ? READ_STEP : link->in_size;
    while (want - held < READ_STEP / 2) {
        want *= 2;
    }
    if (want != link->in_size) {
        char *grown = realloc(link->in, want);
        if (grown == NULL) {
            *buffer = uv_buf_init(NULL, 0); /* the read fails with UV_ENOBUFS */
            return;
        }
        link->in = grown;
        link->in_size = want;
    }
    *buffer = uv_buf_init(link->in + link->in_end, (unsigned)(link->in_size - link->in_end));
}

static void read_failed(struct link *link, int status, struct err *err) {
    if (status != UV_EOF && status != UV_ECONNRESET) {
        err_set_uv(err, status, "cannot read from the peer");
    } else if (link->in_end > link->in_start) {
        err_set(err, ERR_CORRUPT, "the peer ended inside a frame, after %zu bytes of it",
                link->in_end - link->in_start);
    } else {
        err_set(err, ERR_CLOSED, "the peer has closed the link");
    }
}

static void has_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    struct link *link = stream->data;
    struct err err = {0};
    (void)buffer;
    if (link->over || count == 0) {
        return;
    }
    enter(link);
    if (count < 0) {
        read_failed(link, (int)count, &err);
        fail_soon(link, &err);
    } else {
        link->in_end += (size_t)count;
        link->last_beat = loop_seconds();
        if (take_frames(link, &err) < 0) {
            fail_soon(link, &err);
        }
    }
    leave(link);
}

/* -- Making one -------------------------------------------------------------------------------- */

static struct link *make(struct loop *loop, const struct link_options *options, struct err *err) {
    struct link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for a link");
        return NULL;
    }
    link->loop = loop;
    link->options = *options;
    if (link->options.beat_seconds == 0) {
        link->options.beat_seconds = 1;
    }
    if (link->options.queue_budget == 0) {
        link->options.queue_budget = LINK_MAX_PAYLOAD;
    }
    link->last_beat = loop_seconds();
    uv_pipe_init(&loop->uv, &link->pipe, 0);
    uv_timer_init(&loop->uv, &link->ticker);
    uv_timer_init(&loop->uv, &link->expiry);
    link->pipe.data = link->ticker.data = link->expiry.data = link;
    link->open_handles = HANDLES;
    return link;
}

static int start(struct link *link, struct err *err) {
    int status = uv_read_start((uv_stream_t *)&link->pipe, offer_room, has_read);
    if (status < 0) {
        return err_set_uv(err, status, "cannot read from the link");
    }
    if (link->options.beat_seconds > 0) {
        uint64_t period = (uint64_t)(link->options.beat_seconds * 1e3);
        uv_timer_start(&link->ticker, tick, 0, period > 0 ? period : 1);
    }
    return 0;
}

int link_new(struct loop *loop, int fd, const struct link_options *options, struct link **out,
             struct err *err) {
    struct link *link = make(loop, options, err);
    *out = NULL;
    if (link == NULL) {
        close(fd);
        return ERR_NO_MEMORY;
    }
    int status = uv_pipe_open(&link->pipe, fd);
    if (status < 0) {
        close(fd);
        link_free(link);
        return err_set_uv(err, status, "cannot use descriptor %d as a link", fd);
    }
    int code = start(link, err);
    if (code < 0) {
        link_free(link);
        return code;
    }
    *out = link;
    return 0;
}

static void connected(uv_connect_t *connect, int status) {
    struct link *link = connect->data;
    struct err err = {0};
    if (link->over) {
        return;
    }
    enter(link);
    if (status < 0) {
        err_set_uv(&err, status, "cannot connect");
        fail_soon(link, &err);
    } else if (start(link, &err) < 0) {
        fail_soon(link, &err);
    }
    leave(link);
}

int link_connect(struct loop *loop, const char *path, const struct link_options *options,
                 struct link **out, struct err *err) {
    *out = NULL;
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        return err_set(err, ERR_INVALID, "%s: too long for a socket's path", path);
    }
    struct link *link = make(loop, options, err);
    if (link == NULL) {
        return ERR_NO_MEMORY;
    }
    link->connect.data = link;
    uv_pipe_connect(&link->connect, &link->pipe, path, connected);
    *out = link;
    return 0;
}

/* -- Looking at one ---------------------------------------------------------------------------- */

double link_last_beat(const struct link *link) {
    return link->last_beat;
}

bool link_is_open(const struct link *link) {
    return !link->over && !link->failing;
}

size_t link_pending(const struct link *link) {
    return link->pending_count;
}

size_t link_queued(const struct link *link) {
    return uv_stream_get_write_queue_size((const uv_stream_t *)&link->pipe);
}
