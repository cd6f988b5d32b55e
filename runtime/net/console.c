#include "net/console.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/guard.h"
#include "core/log.h"
#include "core/text.h"

enum {
    READ_SIZE = 64 << 10,
    GUARDS_KEPT = 32,
    BACKLOG = 16,
};

static const double STUCK_SECONDS = 0.25;

struct console_session {
    struct console *console;
    struct console_peer peer;
    void *user; /* loop thread */

    /* Console thread: */
    struct console_session *next, **previous;
    uv_pipe_t pipe;
    uv_write_t write;
    struct text input;
    char *writing; /* NULL: nothing is on its way */
    bool ends;     /* when what is queued has been written */

    /* Under the console's lock: */
    struct text output;
    size_t queued; /* bytes of output and of writing */
    bool closed, wants_drained;
    uint32_t request; /* 0: none is under way */
    bool interrupted;
    struct guard *guard;               /* the request's, once it has begun */
    struct guard *guards[GUARDS_KEPT]; /* a ring of the last ones, that one included */
    size_t guard_count;
};

struct console {
    struct loop *loop;
    struct console_callbacks callbacks;
    void *arg;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    dev_t device; /* the socket file that is ours */
    ino_t inode;
    uv_mutex_t lock;
    uv_thread_t thread;
    uv_async_t wake;
    bool stopping; /* under the lock */

    /* Console thread: */
    uv_loop_t uv;
    uv_pipe_t server;
    struct console_session *sessions;
    unsigned count, next_number;
};

static void lock(struct console_session *session) {
    uv_mutex_lock(&session->console->lock);
}

static void unlock(struct console_session *session) {
    uv_mutex_unlock(&session->console->lock);
}

/* -- Handed to the loop ------------------------------------------------------------------------ */

struct event {
    struct console_session *session;
    uint32_t id;
    size_t size;
    char payload[];
};

static void post(struct console_session *session, void (*call)(void *arg), uint32_t id,
                 const char *payload, size_t size) {
    struct event *event = malloc(sizeof *event + size);
    if (event == NULL)
        abort(); /* as loop_post does */
    *event = (struct event){session, id, size};
    if (size > 0)
        memcpy(event->payload, payload, size);
    loop_post(session->console->loop, call, event);
}

static void loop_request(void *arg) {
    struct event *event = arg;
    struct console *console = event->session->console;
    console->callbacks.request(event->session, event->id, event->payload, event->size,
                               console->arg);
    free(event);
}

static void loop_interrupt(void *arg) {
    struct event *event = arg;
    struct console *console = event->session->console;
    console->callbacks.interrupt(event->session, event->id, console->arg);
    free(event);
}

static void loop_drained(void *arg) {
    struct event *event = arg;
    struct console *console = event->session->console;
    console->callbacks.drained(event->session, console->arg);
    free(event);
}

static void loop_closed(void *arg) {
    struct event *event = arg;
    struct console_session *session = event->session;
    struct console *console = session->console;
    console->callbacks.closed(session, console->arg);
    for (size_t i = 0; i < GUARDS_KEPT; i++)
        guard_release(session->guards[i]);
    text_drop(&session->output);
    free(session);
    free(event);
}

/* -- Console thread: ends ---------------------------------------------------------------------- */

static void handle_closed(uv_handle_t *handle) {
    struct console_session *session = handle->data;
    text_drop(&session->input);
    free(session->writing);
    session->writing = NULL;
    post(session, loop_closed, 0, NULL, 0);
}

/* Under the lock. What earlier requests left running is stopped too where it keeps the loop from
 * all others. */
static void stop_guards(struct console_session *session, const char *reason) {
    if (session->guard != NULL)
        guard_stop(session->guard, ERR_CANCELLED, reason);
    for (size_t i = 0; i < GUARDS_KEPT; i++)
        if (session->guards[i] != NULL)
            guard_stop_stuck(session->guards[i], STUCK_SECONDS, ERR_CANCELLED, reason);
}

static void end_session(struct console_session *session) {
    if (uv_is_closing((uv_handle_t *)&session->pipe))
        return;
    *session->previous = session->next;
    if (session->next != NULL)
        session->next->previous = session->previous;
    session->console->count--;
    lock(session);
    session->closed = true;
    stop_guards(session, "the console is gone");
    unlock(session);
    uv_close((uv_handle_t *)&session->pipe, handle_closed);
}

/* -- Console thread: writing ------------------------------------------------------------------- */

static void flush(struct console_session *session);

static void written(uv_write_t *write, int status) {
    struct console_session *session = write->data;
    free(session->writing);
    session->writing = NULL;
    if (status < 0)
        end_session(session);
    else
        flush(session);
}

static void flush(struct console_session *session) {
    if (session->writing != NULL || uv_is_closing((uv_handle_t *)&session->pipe))
        return;
    lock(session);
    size_t size = 0;
    bool lost = session->output.failed;
    if (session->output.size > 0)
        session->writing = text_take(&session->output, &size);
    session->queued = size;
    bool drained = size == 0 && session->wants_drained;
    session->wants_drained = session->wants_drained && !drained;
    unlock(session);
    if (drained)
        post(session, loop_drained, 0, NULL, 0);
    if (lost || (size == 0 && session->ends)) {
        end_session(session); /* lost: a gap would be taken for a whole answer */
    } else if (size > 0) {
        uv_buf_t buffer = uv_buf_init(session->writing, (unsigned)size);
        session->write.data = session;
        if (uv_write(&session->write, (uv_stream_t *)&session->pipe, &buffer, 1, written) < 0)
            end_session(session);
    }
}

/* Under the lock. */
static void queue(struct console_session *session, enum console_frame_kind kind, uint32_t id,
                  const char *bytes, size_t size) {
    unsigned char head[CONSOLE_HEAD_SIZE];
    console_frame_head(head, kind, id, size);
    text_add(&session->output, (const char *)head, sizeof head);
    text_add(&session->output, bytes, size);
    session->queued += sizeof head + size;
}

/* Who goes on asking and does not read even that is cut off. */
static void refuse(struct console_session *session, uint32_t id, const char *words) {
    lock(session);
    bool full = session->queued > CONSOLE_QUEUE_MAX;
    if (!full)
        queue(session, CONSOLE_REFUSAL, id, words, strlen(words));
    unlock(session);
    session->ends = session->ends || id == 0;
    if (full)
        end_session(session);
    else
        flush(session);
}

/* -- Console thread: reading ------------------------------------------------------------------- */

static void take_request(struct console_session *session, const struct console_frame *frame) {
    lock(session);
    bool busy = session->request != 0;
    if (!busy && frame->id != 0) {
        session->request = frame->id;
        session->interrupted = false;
        session->guard = NULL;
    }
    unlock(session);
    if (frame->id == 0)
        refuse(session, 0, "requests are numbered from 1");
    else if (busy)
        refuse(session, frame->id, "busy: one request at a time");
    else
        post(session, loop_request, frame->id, frame->payload, frame->size);
}

static void take_interrupt(struct console_session *session, uint32_t id) {
    lock(session);
    bool meant = session->request == id, first = meant && !session->interrupted;
    if (meant) {
        session->interrupted = true;
        stop_guards(session, "interrupted");
    }
    unlock(session);
    if (first)
        post(session, loop_interrupt, id, NULL, 0);
}

static void take_frames(struct console_session *session) {
    struct text *input = &session->input;
    size_t at = 0;
    while (!session->ends && !uv_is_closing((uv_handle_t *)&session->pipe)) {
        struct console_frame frame;
        struct err err;
        int taken = console_frame_parse(input->bytes + at, input->size - at, "RI",
                                        CONSOLE_REQUEST_MAX, &frame, &err);
        if (taken < 0)
            refuse(session, 0, err.message);
        if (taken <= 0)
            break;
        if (frame.kind == CONSOLE_REQUEST)
            take_request(session, &frame);
        else
            take_interrupt(session, frame.id);
        at += (size_t)taken;
    }
    if (at > 0) {
        memmove(input->bytes, input->bytes + at, input->size - at);
        input->size -= at;
    }
}

static void give_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer) {
    (void)handle, (void)wanted;
    static char room[READ_SIZE]; /* one thread reads, and copies before it reads on */
    *buffer = uv_buf_init(room, sizeof room);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer) {
    struct console_session *session = stream->data;
    if (size < 0) {
        end_session(session);
        return;
    }
    if (session->ends)
        return; /* it was told, and reads that before it goes */
    text_add(&session->input, buffer->base, (size_t)size);
    if (session->input.failed)
        end_session(session);
    else
        take_frames(session);
}

/* -- Console thread: coming -------------------------------------------------------------------- */

static int read_peer(uv_pipe_t *pipe, struct console_peer *peer) {
    uv_os_fd_t fd;
    struct ucred who;
    socklen_t size = sizeof who;
    if (uv_fileno((uv_handle_t *)pipe, &fd) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
        return -1;
    peer->uid = who.uid;
    peer->pid = who.pid;
    struct passwd entry, *found = NULL;
    char room[4096];
    if (getpwuid_r(who.uid, &entry, room, sizeof room, &found) == 0 && found != NULL)
        snprintf(peer->user, sizeof peer->user, "%s", found->pw_name);
    return 0;
}

static void on_connection(uv_stream_t *server, int status) {
    struct console *console = server->data;
    struct console_session *session = status == 0 ? calloc(1, sizeof *session) : NULL;
    if (session == NULL)
        return;
    session->console = console;
    uv_pipe_init(&console->uv, &session->pipe, 0);
    session->pipe.data = session;
    session->peer.number = ++console->next_number;
    session->next = console->sessions;
    session->previous = &console->sessions;
    if (session->next != NULL)
        session->next->previous = &session->next;
    console->sessions = session;
    console->count++;
    if (uv_accept(server, (uv_stream_t *)&session->pipe) < 0 ||
        read_peer(&session->pipe, &session->peer) < 0 ||
        uv_read_start((uv_stream_t *)&session->pipe, give_room, on_read) < 0)
        end_session(session);
    else if (session->peer.uid != geteuid() && session->peer.uid != 0)
        refuse(session, 0, "the console is for the host's own user");
    else if (console->count > CONSOLE_SESSIONS_MAX)
        refuse(session, 0, "too many consoles are attached: leave one of them first");
}

static void on_wake(uv_async_t *wake) {
    struct console *console = wake->data;
    uv_mutex_lock(&console->lock);
    bool stopping = console->stopping;
    uv_mutex_unlock(&console->lock);
    struct console_session *next;
    for (struct console_session *session = console->sessions; session != NULL; session = next) {
        next = session->next;
        flush(session);
        if (stopping)
            end_session(session);
    }
    if (stopping && !uv_is_closing((uv_handle_t *)wake)) {
        uv_close((uv_handle_t *)&console->server, NULL);
        uv_close((uv_handle_t *)wake, NULL);
    }
}

static void run_thread(void *arg) {
    struct console *console = arg;
    uv_run(&console->uv, UV_RUN_DEFAULT);
}

/* -- Opening ----------------------------------------------------------------------------------- */

/* Whether somebody accepts connections there. */
static bool is_live(const struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool live = fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
                            errno == EAGAIN); /* its backlog is full */
    if (fd >= 0)
        close(fd);
    return live;
}

static int check_place(const struct sockaddr_un *address, struct err *err) {
    struct stat info;
    if (lstat(address->sun_path, &info) < 0)
        return 0;
    if (!S_ISSOCK(info.st_mode))
        return err_set(err, ERR_EXISTS,
                       "console socket %s: there is something else of that name; remove it or set "
                       "another --socket",
                       address->sun_path);
    if (is_live(address))
        return err_set(err, ERR_BUSY,
                       "console socket %s: another host listens there; set another --socket",
                       address->sun_path);
    return 0;
}

/* The socket's own mode is what its file gets: nobody finds it open to others, however short. */
static int bind_socket(struct console *console, int fd, const struct sockaddr_un *address,
                       struct err *err) {
    struct stat info;
    unlink(address->sun_path);
    if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 ||
        lstat(address->sun_path, &info) < 0)
        return err_set_errno(err, errno, "console socket %s", address->sun_path);
    console->device = info.st_dev;
    console->inode = info.st_ino;
    return 0;
}

static int listen_at(struct console *console, const char *path, struct err *err) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(err, ERR_INVALID,
                       "console socket %s: the path has %zu bytes and a socket takes %zu; set a "
                       "shorter --socket",
                       path, strlen(path), sizeof address.sun_path - 1);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    snprintf(console->path, sizeof console->path, "%s", path);
    int code = check_place(&address, err);
    if (code != 0)
        return code;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set_errno(err, errno, "console socket %s", path);
    code = bind_socket(console, fd, &address, err);
    int status = code == 0 ? uv_pipe_open(&console->server, fd) : 0;
    if (code != 0 || status < 0) {
        close(fd);
        return code != 0 ? code : err_set_uv(err, status, "console socket %s", path);
    }
    status = uv_listen((uv_stream_t *)&console->server, BACKLOG, on_connection);
    return status < 0 ? err_set_uv(err, status, "console socket %s", path) : 0;
}

static void free_console(void *arg) {
    struct console *console = arg;
    uv_loop_close(&console->uv);
    uv_mutex_destroy(&console->lock);
    free(console);
}

int console_open(struct loop *loop, const char *path, const struct console_callbacks *callbacks,
                 void *arg, struct console **out, struct err *err) {
    struct console *console = calloc(1, sizeof *console);
    if (console == NULL || uv_loop_init(&console->uv) < 0) {
        free(console);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    console->loop = loop;
    console->callbacks = *callbacks;
    console->arg = arg;
    uv_mutex_init(&console->lock);
    uv_async_init(&console->uv, &console->wake, on_wake);
    console->wake.data = console;
    uv_pipe_init(&console->uv, &console->server, 0);
    console->server.data = console;
    int code = listen_at(console, path, err);
    int status = code == 0 ? uv_thread_create(&console->thread, run_thread, console) : 0;
    if (status < 0)
        code = err_set_uv(err, status, "console thread");
    if (code != 0) {
        console->stopping = true;
        on_wake(&console->wake);
        uv_run(&console->uv, UV_RUN_DEFAULT);
        free_console(console);
        return code;
    }
    *out = console;
    return 0;
}

void console_close(struct console *console) {
    if (console == NULL)
        return;
    struct stat info;
    if (lstat(console->path, &info) == 0 && info.st_dev == console->device &&
        info.st_ino == console->inode)
        unlink(console->path);
    uv_mutex_lock(&console->lock);
    console->stopping = true;
    uv_mutex_unlock(&console->lock);
    uv_async_send(&console->wake);
    uv_thread_join(&console->thread);
    loop_post(console->loop, free_console, console); /* behind what the thread has posted */
}

/* -- Loop thread ------------------------------------------------------------------------------- */

const struct console_peer *console_peer(const struct console_session *session) {
    return &session->peer;
}

void console_set_user(struct console_session *session, void *user) {
    session->user = user;
}

void *console_user(const struct console_session *session) {
    return session->user;
}

void console_set_guard(struct console_session *session, uint32_t id, struct guard *guard) {
    guard_retain(guard);
    lock(session);
    struct guard **place = &session->guards[session->guard_count++ % GUARDS_KEPT];
    struct guard *oldest = *place;
    *place = guard;
    if (session->request == id)
        session->guard = guard;
    if (session->closed || (session->request == id && session->interrupted))
        guard_stop(guard, ERR_CANCELLED, session->closed ? "the console is gone" : "interrupted");
    unlock(session);
    guard_release(oldest);
}

bool console_has_guard(const struct console_session *session, const struct guard *guard) {
    for (size_t i = 0; guard != NULL && i < GUARDS_KEPT; i++)
        if (session->guards[i] == guard)
            return true;
    return false;
}

bool console_interrupted(struct console_session *session) {
    lock(session);
    bool interrupted = session->closed || session->interrupted;
    unlock(session);
    return interrupted;
}

int console_output(struct console_session *session, uint32_t id, const char *text, size_t size) {
    lock(session);
    int code = session->closed                              ? ERR_CLOSED
               : session->queued + size > CONSOLE_QUEUE_MAX ? ERR_BUSY
                                                            : 0;
    if (code == 0)
        queue(session, CONSOLE_OUTPUT, id, text, size);
    unlock(session);
    if (code == 0)
        uv_async_send(&session->console->wake);
    return code;
}

void console_answer(struct console_session *session, uint32_t id, const char *json, size_t size) {
    lock(session);
    if (session->request == id) {
        session->request = 0; /* first: the client may ask on as soon as it has read this */
        session->guard = NULL;
    }
    bool closed = session->closed;
    if (!closed)
        queue(session, CONSOLE_ANSWER, id, json, size);
    unlock(session);
    if (!closed)
        uv_async_send(&session->console->wake);
}

size_t console_queued(struct console_session *session) {
    lock(session);
    size_t queued = session->queued;
    unlock(session);
    return queued;
}

void console_wait_drained(struct console_session *session) {
    lock(session);
    session->wants_drained = true;
    unlock(session);
    uv_async_send(&session->console->wake);
}
