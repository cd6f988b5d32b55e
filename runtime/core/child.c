#include "core/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/launch.h"
#include "core/log.h"
#include "core/metrics.h"

extern char **environ;

enum { LINE_SIZE = 2048 };

static const double BACK_OFF_FIRST = 0.1;
static const double BACK_OFF_MOST = 30;
static const double GROWN_UP = 60; /* a life this long forgives the early deaths before it */
static const double SETTLE = 1; /* how long after its end a process's last words are waited for */
static const double UNLINKED_GRACE = 5; /* a process that closed its link ends by itself, or else */

enum state {
    UP,      /* a process runs */
    ENDING,  /* it has ended; what it sent is still being read */
    BACKOFF, /* none runs; one will */
    GONE,    /* none runs, none will */
};

/* The output of one process, read as lines. Lives on its own until closed. */
struct capture {
    uv_pipe_t pipe;
    struct child *child; /* NULL when the child has lost interest */
    size_t used;
    char line[LINE_SIZE];
};

struct child {
    struct loop *loop;
    struct child_options options; /* name, argv and env point to copies of ours */
    char **argv;
    char **environment;
    uv_signal_t deaths;
    uv_timer_t step; /* UP: announces; ENDING: ends the wait; BACKOFF: starts the next process */
    uv_timer_t killer;
    uv_timer_t watch; /* looks for heartbeats */
    int open_handles;
    int busy; /* callbacks of ours on the C stack */

    /* The process. */
    struct link *link;
    struct capture *capture;
    pid_t pid;
    enum state state;
    double born;
    double kill_at; /* loop_seconds; 0: no plan */
    double heard;   /* link_last_beat at the last look */
    struct child_exit end;
    unsigned silences; /* looks in a row without news */
    bool linked;       /* the link has not ended */
    bool announced;

    /* Across processes. */
    bool stopping;
    bool freed;
    unsigned early_deaths;
    unsigned restarts;
    struct metric *metric_up;
    struct metric *metric_restarts;
};

static const int HANDLES = 4;

static uv_handle_t *handle_at(struct child *child, int index) {
    uv_handle_t *handles[] = {(uv_handle_t *)&child->deaths, (uv_handle_t *)&child->step,
                              (uv_handle_t *)&child->killer, (uv_handle_t *)&child->watch};
    return handles[index];
}

static void run_in(uv_timer_t *timer, double seconds, uv_timer_cb call) {
    struct child *child = timer->data;
    uv_update_time(
        &child->loop->uv); /* the loop's cached time may be old: launching takes a while */
    uv_timer_start(timer, call, seconds > 0 ? (uint64_t)(seconds * 1e3) : 0, 0);
}

/* -- Freeing ----------------------------------------------------------------------------------- */

static void free_words(char **words) {
    for (char **word = words; word != NULL && *word != NULL; word++) {
        free(*word);
    }
    free(words);
}

static void release(struct child *child) {
    if (child->freed && child->open_handles == 0 && child->busy == 0) {
        free_words(child->argv);
        free_words(child->environment);
        free((char *)child->options.name);
        free(child);
    }
}

/* Around all that calls the owner, who may free the child there: its memory goes when the last one
 * has left. */
static void enter(struct child *child) {
    assert(child->busy >= 0);
    child->busy++;
}

static void leave(struct child *child) {
    child->busy--;
    release(child);
}

static void handle_closed(uv_handle_t *handle) {
    struct child *child = handle->data;
    child->open_handles--;
    release(child);
}

static void capture_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void drop_capture(struct child *child) {
    if (child->capture != NULL) {
        child->capture->child = NULL;
        uv_close((uv_handle_t *)&child->capture->pipe, capture_closed);
        child->capture = NULL;
    }
}

void child_free(struct child *child) {
    if (child == NULL || child->freed) {
        return;
    }
    child->freed = true;
    enter(child);
    if (child->state == UP) {
        kill(-child->pid, SIGKILL);
        while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        metric_add(child->metric_up, -1);
    }
    child->state = GONE;
    link_free(child->link);
    child->link = NULL;
    drop_capture(child);
    for (int i = 0; i < HANDLES; i++) {
        uv_close(handle_at(child, i), handle_closed);
    }
    leave(child);
}

/* -- Its output -------------------------------------------------------------------------------- */

static void log_line(struct capture *capture) {
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)capture->child->pid);
    struct log_field field = {"pid", pid, true};
    capture->line[capture->used] = '\0';
    if (capture->used > 0) {
        log_write(LOG_INFO, capture->child->options.name, capture->line, &field, 1);
    }
    capture->used = 0;
}

static void take_output(struct capture *capture, const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n' || capture->used == LINE_SIZE - 1) {
            log_line(capture);
        }
        if (bytes[i] != '\n' && bytes[i] != '\r' && bytes[i] != '\0') {
            capture->line[capture->used++] = bytes[i];
        }
    }
}

static void offer_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    static char bytes[16 << 10]; /* loop thread only, and taken up before the next read */
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(bytes, sizeof bytes);
}

static void settle(struct child *child);

static void output_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    struct capture *capture = stream->data;
    struct child *child = capture->child;
    if (child == NULL || count == 0) {
        return;
    }
    if (count > 0) {
        take_output(capture, buffer->base, (size_t)count);
        return;
    }
    log_line(capture);
    drop_capture(child);
    settle(child);
}

/* Takes over `fd`. Without memory for it the output is lost, not the child. */
static void open_capture(struct child *child, int fd) {
    struct capture *capture = calloc(1, sizeof *capture);
    if (capture == NULL) {
        close(fd);
        return;
    }
    uv_pipe_init(&child->loop->uv, &capture->pipe, 0);
    capture->pipe.data = capture;
    capture->child = child;
    child->capture = capture;
    if (uv_pipe_open(&capture->pipe, fd) < 0) {
        close(fd);
        drop_capture(child);
        return;
    }
    uv_read_start((uv_stream_t *)&capture->pipe, offer_buffer, output_read);
}

/* -- Its link ---------------------------------------------------------------------------------- */

static void kill_now(struct child *child) {
    kill(-child->pid, SIGKILL);
}

static void kill_late(uv_timer_t *timer) {
    struct child *child = timer->data;
    log_warn(child->options.name, "process %d has not ended when asked to: killed",
             (int)child->pid);
    kill_now(child);
}

/* SIGKILL after `seconds`, unless one is planned for earlier. */
static void plan_kill(struct child *child, double seconds) {
    double at = loop_seconds() + seconds;
    if (child->kill_at == 0 || at < child->kill_at) {
        child->kill_at = at;
        run_in(&child->killer, seconds, kill_late);
    }
}

static void link_asked(struct link *link, uint64_t id, const char *payload, size_t size,
                       void *arg) {
    struct child *child = arg;
    child->options.link.callbacks.request(link, id, payload, size, child->options.link.arg);
}

static void link_told(struct link *link, const char *payload, size_t size, void *arg) {
    struct child *child = arg;
    child->options.link.callbacks.event(link, payload, size, child->options.link.arg);
}

static void link_beat(struct link *link, const char *payload, size_t size, void *arg) {
    struct child *child = arg;
    child->options.link.callbacks.beat(link, payload, size, child->options.link.arg);
}

static size_t link_fill_beat(struct link *link, char *payload, size_t room, void *arg) {
    struct child *child = arg;
    return child->options.link.callbacks.fill_beat(link, payload, room, child->options.link.arg);
}

static void link_ended(struct link *link, const struct err *err, void *arg) {
    struct child *child = arg;
    enter(child);
    child->linked = false;
    if (child->options.link.callbacks.closed != NULL) {
        child->options.link.callbacks.closed(link, err, child->options.link.arg);
    }
    if (child->state == UP && err->code == ERR_CLOSED) {
        plan_kill(child, UNLINKED_GRACE);
    } else if (child->state == UP && !child->stopping) {
        log_warn(child->options.name, "the link of process %d broke (%s): killed", (int)child->pid,
                 err->message);
        child->end.unheard = true;
        kill_now(child);
    }
    settle(child);
    leave(child);
}

static int open_link(struct child *child, int fd, struct err *err) {
    struct link_options options = child->options.link;
    struct link_callbacks *calls = &options.callbacks;
    calls->request = calls->request != NULL ? link_asked : NULL;
    calls->event = calls->event != NULL ? link_told : NULL;
    calls->beat = calls->beat != NULL ? link_beat : NULL;
    calls->fill_beat = calls->fill_beat != NULL ? link_fill_beat : NULL;
    calls->closed = link_ended;
    options.arg = child;
    int code = link_new(child->loop, fd, &options, &child->link, err);
    child->linked = code == 0;
    return code;
}

/* -- Its life ---------------------------------------------------------------------------------- */

static void announce(struct child *child) {
    if (!child->announced) {
        child->announced = true;
        if (child->options.on_link != NULL) {
            child->options.on_link(child, child->link, child->options.arg);
        }
    }
}

static void announce_late(uv_timer_t *timer) {
    struct child *child = timer->data;
    enter(child);
    announce(child);
    leave(child);
}

/* Counts looks, not seconds: when we ourselves were stopped for a while, that is not the child's
 * silence. */
static void look(uv_timer_t *timer) {
    struct child *child = timer->data;
    double heard = link_last_beat(child->link);
    if (heard != child->heard) {
        child->heard = heard;
        child->silences = 0;
        return;
    }
    child->silences++;
    double silent = child->silences * (double)uv_timer_get_repeat(timer) / 1e3;
    if (silent >= child->options.heartbeat) {
        log_error(child->options.name, "process %d has not been heard for %.1f s: killed",
                  (int)child->pid, silent);
        child->end.unheard = true;
        uv_timer_stop(timer);
        kill_now(child);
    }
}

static void start_looking(struct child *child) {
    double limit = child->options.heartbeat;
    child->heard = link_last_beat(child->link);
    child->silences = 0;
    if (limit > 0) {
        uint64_t period = limit >= 4 ? 1000 : (uint64_t)(limit * 250) + 1;
        uv_timer_start(&child->watch, look, period, period);
    }
}

static void close_fd(int *fd) {
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static int start_process(struct child *child, struct err *err) {
    int link_ends[2] = {-1, -1};
    int output[2] = {-1, -1};
    int code;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link_ends) < 0 ||
        (child->options.capture_stderr && pipe2(output, O_CLOEXEC) < 0)) {
        code = err_set_errno(err, errno, "cannot start %s", child->argv[0]);
        goto out;
    }
    struct launch launch = {
        .argv = (const char *const *)child->argv,
        .environment = child->environment,
        .output = child->options.capture_stderr ? output[1] : STDERR_FILENO,
        .link = link_ends[1],
    };
    code = launch_process(&launch, &child->pid, err);
    if (code < 0) {
        goto out;
    }
    code = open_link(child, link_ends[0], err);
    link_ends[0] = -1;
    if (code < 0) {
        kill(-child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
        child->pid = 0;
        goto out;
    }
    if (child->options.capture_stderr) {
        open_capture(child, output[0]);
        output[0] = -1;
    }
    child->state = UP;
    child->born = loop_seconds();
    child->announced = false;
    child->kill_at = 0;
    child->end = (struct child_exit){0};
    start_looking(child);
    run_in(&child->step, 0, announce_late);
    metric_add(child->metric_up, 1);
out:
    close_fd(&link_ends[0]);
    close_fd(&link_ends[1]);
    close_fd(&output[0]);
    close_fd(&output[1]);
    return code;
}

static void be_gone(struct child *child) {
    child->state = GONE;
    uv_timer_stop(&child->step);
    uv_signal_stop(&child->deaths);
    if (child->options.on_gone != NULL) {
        child->options.on_gone(child, child->options.arg);
    }
}

static double back_off(struct child *child) {
    double wait = BACK_OFF_FIRST;
    for (unsigned i = 0; i < child->early_deaths && wait < BACK_OFF_MOST; i++) {
        wait *= 2;
    }
    child->early_deaths++;
    return wait < BACK_OFF_MOST ? wait : BACK_OFF_MOST;
}

static void start_again(uv_timer_t *timer) {
    struct child *child = timer->data;
    struct err err;
    enter(child);
    if (child->stopping) {
        be_gone(child);
    } else if (start_process(child, &err) == 0) {
        child->restarts++;
        metric_add(child->metric_restarts, 1);
    } else {
        double wait = back_off(child);
        log_error(child->options.name, "%s; next try in %.1f s", err.message, wait);
        run_in(&child->step, wait, start_again);
    }
    leave(child);
}

static void log_end(struct child *child) {
    const struct child_exit *end = &child->end;
    enum log_level level =
        child->stopping || (end->signal == 0 && end->status == 0) ? LOG_INFO : LOG_WARN;
    char next[64] = "";
    if (end->restarting) {
        snprintf(next, sizeof next, "; the next starts in %.1f s", end->restart_in);
    }
    if (end->signal != 0) {
        log_printf(level, child->options.name,
                   "process %d was ended by signal %d (%s) after %.1f s%s", (int)child->pid,
                   end->signal, strsignal(end->signal), end->seconds, next);
    } else {
        log_printf(level, child->options.name, "process %d ended with status %d after %.1f s%s",
                   (int)child->pid, end->status, end->seconds, next);
    }
}

/* The process has ended and so has all that it sent. */
static void finish_process(struct child *child) {
    struct child_exit *end = &child->end;
    enter(child);
    announce(child); /* one that died at once is told of all the same, so that link and exit come in
                        pairs */
    if (end->seconds >= GROWN_UP) {
        child->early_deaths = 0;
    }
    end->restarting = child->options.restart && !child->stopping && !child->freed;
    end->restart_in = end->restarting ? back_off(child) : 0;
    log_end(child);
    child->state = BACKOFF;
    if (!child->freed && child->options.on_exit != NULL) {
        child->options.on_exit(child, end, child->options.arg);
    }
    child->pid = 0;
    if (!child->freed) {
        struct link *link = child->link;
        child->link = NULL;
        link_free(link);
        drop_capture(child);
    }
    if (!child->freed && end->restarting && !child->stopping) {
        run_in(&child->step, end->restart_in, start_again);
    } else if (!child->freed) {
        be_gone(child);
    }
    leave(child);
}

static void settled_late(uv_timer_t *timer) {
    finish_process(timer->data);
}

static void settle(struct child *child) {
    if (child->state == ENDING && !child->freed && !child->linked && child->capture == NULL) {
        run_in(&child->step, 0, settled_late);
    }
}

static void check_death(uv_signal_t *handle, int number) {
    struct child *child = handle->data;
    siginfo_t info = {0};
    int status;
    (void)number;
    if (child->state != UP ||
        waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
        info.si_pid == 0) {
        return;
    }
    kill_now(child); /* what it started and left behind; before reaping, while the number is still
                        its own */
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    child->state = ENDING;
    child->end.status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    child->end.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    child->end.seconds = loop_seconds() - child->born;
    uv_timer_stop(&child->watch);
    uv_timer_stop(&child->killer);
    metric_add(child->metric_up, -1);
    run_in(&child->step, SETTLE, settled_late);
    settle(child);
}

/* -- Making and stopping one ------------------------------------------------------------------- */

static bool same_name(const char *a, const char *b) {
    size_t size = strcspn(a, "=");
    return strncmp(a, b, size + 1) == 0;
}

static bool is_replaced(const char *variable, const char *const *additions) {
    for (; additions != NULL && *additions != NULL; additions++) {
        if (same_name(variable, *additions)) {
            return true;
        }
    }
    return false;
}

/* Copies of the words of `first` that `second` does not replace, then of `second`. NULL: out of
 * memory. */
static char **join_words(const char *const *first, const char *const *second) {
    size_t count = 0, used = 0;
    for (const char *const *word = first; *word != NULL; word++) {
        count++;
    }
    for (const char *const *word = second; word != NULL && *word != NULL; word++) {
        count++;
    }
    char **words = calloc(count + 1, sizeof *words);
    bool ok = words != NULL;
    for (; ok && *first != NULL; first++) {
        if (!is_replaced(*first, second)) {
            words[used] = strdup(*first);
            ok = words[used++] != NULL;
        }
    }
    for (; ok && second != NULL && *second != NULL; second++) {
        words[used] = strdup(*second);
        ok = words[used++] != NULL;
    }
    if (!ok) {
        free_words(words);
    }
    return ok ? words : NULL;
}

static int find_metrics(struct child *child, struct err *err) {
    const char *labels[] = {"name", child->options.name, NULL};
    struct metric_family *up = metrics_family(METRIC_GAUGE, "child_up",
                                              "Whether a process of this name runs.", NULL, 0, err);
    struct metric_family *restarts =
        metrics_family(METRIC_COUNTER, "child_restarts_total",
                       "Processes started in place of one that had ended.", NULL, 0, err);
    if (up == NULL || restarts == NULL) {
        return err->code;
    }
    child->metric_up = metrics_series(up, labels);
    child->metric_restarts = metrics_series(restarts, labels);
    return 0;
}

static int copy_options(struct child *child, const struct child_options *options, struct err *err) {
    child->options = *options;
    child->options.name = strdup(options->name);
    child->argv = join_words(options->argv, NULL);
    child->environment = join_words((const char *const *)environ, options->env);
    child->options.argv = NULL;
    child->options.env = NULL;
    if (options->heartbeat == 0) {
        child->options.heartbeat = 10;
    }
    if (child->options.name == NULL || child->argv == NULL || child->environment == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a child process");
    }
    return find_metrics(child, err);
}

int child_spawn(struct loop *loop, const struct child_options *options, struct child **out,
                struct err *err) {
    struct err dropped;
    struct child *child = calloc(1, sizeof *child);
    err = err != NULL ? err : &dropped;
    *out = NULL;
    if (child == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a child process");
    }
    child->loop = loop;
    child->state = GONE;
    uv_signal_init(&loop->uv, &child->deaths);
    uv_timer_init(&loop->uv, &child->step);
    uv_timer_init(&loop->uv, &child->killer);
    uv_timer_init(&loop->uv, &child->watch);
    child->open_handles = HANDLES;
    for (int i = 0; i < HANDLES; i++) {
        handle_at(child, i)->data = child;
    }
    int code = copy_options(child, options, err);
    if (code == 0) {
        int status = uv_signal_start(&child->deaths, check_death, SIGCHLD);
        code = status < 0 ? err_set_uv(err, status, "cannot watch for SIGCHLD")
                          : start_process(child, err);
    }
    if (code < 0) {
        child_free(child);
        return code;
    }
    *out = child;
    return 0;
}

void child_stop(struct child *child, double grace) {
    bool first = !child->stopping;
    child->stopping = true;
    if (child->state == BACKOFF) {
        run_in(&child->step, 0, start_again);
    } else if (child->state == UP && grace <= 0) {
        kill_now(child);
    } else if (child->state == UP) {
        plan_kill(child, grace);
        if (first) {
            kill(child->pid, SIGTERM);
        }
    }
}

/* -- Looking at one ---------------------------------------------------------------------------- */

const char *child_name(const struct child *child) {
    return child->options.name;
}

struct link *child_link(const struct child *child) {
    return child->state == UP ? child->link : NULL;
}

pid_t child_pid(const struct child *child) {
    return child->state == UP ? child->pid : 0;
}

unsigned child_restarts(const struct child *child) {
    return child->restarts;
}
