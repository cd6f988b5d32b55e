#include "media/scene_process.h"
#include "core/utf8.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/launch.h"
#include "core/metrics.h"
#include "media/scene_pack.h"
#include "media/scene_wire.h"

extern char **environ;

enum { NEEDS_MAX = 4096 }; /* files that one scene may ask for */

/* An importing process. */
struct importer {
    const struct scene_source *source;
    const struct scene_limits *limits;
    pid_t pid;
    int fd;
    double deadline;
    bool late;
};

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* -- Bytes to and fro -------------------------------------------------------------------------- */

/* Waits for the socket; what ends the wait is said by importer_end. */
static int wait_for(struct importer *importer, short events, struct err *err) {
    double left = importer->deadline - seconds_now();
    struct pollfd poll_fd = {importer->fd, events, 0};
    int ready = left > 0 ? poll(&poll_fd, 1, (int)(1000 * left) + 1) : 0;
    if (ready > 0 || (ready < 0 && errno == EINTR))
        return 0;
    importer->late = ready == 0;
    return err_set(err, ERR_TIMEOUT, "no answer in time");
}

static int receive(void *arg, void *bytes, size_t size, struct err *err) {
    struct importer *importer = arg;
    for (size_t used = 0; used < size;) {
        ssize_t got = recv(importer->fd, (char *)bytes + used, size - used, MSG_DONTWAIT);
        if (got > 0) {
            used += (size_t)got;
        } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            return err_set(err, ERR_CLOSED, "the importer ended");
        } else {
            int rc = wait_for(importer, POLLIN, err);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

static int send_all(struct importer *importer, const void *bytes, size_t size, struct err *err) {
    for (size_t used = 0; used < size;) {
        ssize_t put = send(importer->fd, (const char *)bytes + used, size - used,
                           MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put >= 0) {
            used += (size_t)put;
        } else if (errno != EAGAIN && errno != EINTR) {
            return err_set(err, ERR_CLOSED, "the importer ended");
        } else {
            int rc = wait_for(importer, POLLOUT, err);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

/* -- The talk ---------------------------------------------------------------------------------- */

static int ask(struct importer *importer, const struct scene_options *options, struct err *err) {
    const struct rig_tables none = {.rig_count = 0};
    const struct rig_tables *rigs =
        options != NULL && options->rigs != NULL ? options->rigs : &none;
    struct scene_query query = {.size = importer->source->size,
                                .stature = options != NULL ? options->stature : 0,
                                .bare = options != NULL && options->bare,
                                .rigs = {.rig_count = rigs->rig_count,
                                         .entry_count = rigs->entry_count,
                                         .word_count = rigs->word_count}};
    const struct {
        const void *bytes;
        size_t size;
    } parts[] = {{&query, sizeof query},
                 {rigs->rigs, rigs->rig_count * sizeof *rigs->rigs},
                 {rigs->entries, rigs->entry_count * sizeof *rigs->entries},
                 {rigs->words, rigs->word_count * sizeof *rigs->words},
                 {importer->source->bytes, importer->source->size}};
    int rc = 0;
    snprintf(query.name, sizeof query.name, "%s", importer->source->name);
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof *parts; i++)
        rc = send_all(importer, parts[i].bytes, parts[i].size, err);
    return rc;
}

static int give_beside(struct importer *importer, const char *reference, struct err *err) {
    size_t size = 0;
    uint8_t *bytes = scene_read_beside(importer->source, reference, &size);
    uint64_t length = bytes != NULL ? size : SCENE_NONE;
    int rc = send_all(importer, &length, sizeof length, err);
    if (rc == 0 && bytes != NULL)
        rc = send_all(importer, bytes, size, err);
    free(bytes);
    return rc;
}

static int refusal(struct scene_answer *answer, struct err *err) {
    bool known = answer->code <= ERR_INTERNAL && answer->code >= ERR_UPSTREAM;
    utf8_blank_controls(answer->words, sizeof answer->words);
    return err_set(err, known ? (enum err_code)answer->code : ERR_UPSTREAM, "%s", answer->words);
}

static int hear(struct importer *importer, struct scene *scene, struct scene_mesh *mesh,
                bool *refused, struct err *err) {
    struct scene_answer answer;
    for (int needs = 0; needs <= NEEDS_MAX; needs++) {
        int rc = receive(importer, &answer, sizeof answer, err);
        if (rc != 0)
            return rc;
        if (answer.kind == SCENE_BODY)
            return scene_pack_receive(scene, mesh, (size_t)importer->limits->memory, receive,
                                      importer, err);
        if (answer.kind == SCENE_FAILED) {
            *refused = true;
            return refusal(&answer, err);
        }
        if (answer.kind != SCENE_NEEDS)
            return err_set(err, ERR_UPSTREAM, "%s: the importing process gave a malformed answer",
                           importer->source->name);
        answer.words[sizeof answer.words - 1] = 0;
        rc = give_beside(importer, answer.words, err);
        if (rc != 0)
            return rc;
    }
    return err_set(err, ERR_CORRUPT, "%s: it refers to more than %d files", importer->source->name,
                   NEEDS_MAX);
}

/* -- Its life ---------------------------------------------------------------------------------- */

static int importer_start(struct importer *importer, struct err *err) {
    char own[LAUNCH_PATH_SIZE], memory[32];
    const char *program = importer->limits->program;
    int pair[2], rc = program != NULL ? 0 : launch_own_program(own, err);
    if (rc != 0)
        return rc;
    program = program != NULL ? program : own;
    snprintf(memory, sizeof memory, "%llu", (unsigned long long)importer->limits->memory);
    const char *const argv[] = {program, "render", "--child", "--memory", memory, NULL};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return err_set_errno(err, errno, "cannot start an importing process");
    const struct launch launch = {argv, environ, 0, STDERR_FILENO, pair[1]};
    rc = launch_process(&launch, &importer->pid, err);
    close(pair[1]);
    if (rc != 0)
        close(pair[0]);
    else
        importer->fd = pair[0];
    return rc;
}

/* Ends the process, if it still runs. A crash explains what was heard last better than that does
 * itself. */
static int importer_end(struct importer *importer, int rc, bool refused, struct err *err) {
    const char *name = importer->source->name;
    int status = 0;
    /* It leads a group of its own. One that is ending anyway keeps its status; one that a file has
     * taken over may have shut the socket or answered, and stay. */
    kill(-importer->pid, SIGKILL);
    close(importer->fd);
    while (waitpid(importer->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (importer->late)
        return err_set(err, ERR_TIMEOUT, "%s: not imported within %g s (setting scene_timeout)",
                       name, importer->limits->timeout);
    if (rc == ERR_CLOSED && WIFSIGNALED(status))
        return err_set(err, ERR_CORRUPT,
                       "%s: the importer was ended by signal %d (%s): the file is damaged, or made "
                       "to harm",
                       name, WTERMSIG(status), strsignal(WTERMSIG(status)));
    if (rc == ERR_CLOSED)
        return err_set(err, ERR_CORRUPT, "%s: the importer gave up (exit code %d)", name,
                       WEXITSTATUS(status));
    if (rc == ERR_NO_MEMORY || (rc == ERR_TOO_LARGE && !refused))
        return err_set(err, rc, "%s: it takes more than %llu MiB (setting scene_memory)", name,
                       (unsigned long long)importer->limits->memory >> 20);
    return rc;
}

static void count(int rc, bool refused, double began) {
    const char *outcome = rc == 0             ? "ok"
                          : rc == ERR_TIMEOUT ? "timeout"
                          : refused           ? "refused"
                                              : "crashed";
    struct metric_family *family =
        metrics_family(METRIC_COUNTER, "scene_imports_total",
                       "Characters that were read from files, by outcome.", NULL, 0, NULL);
    metric_add(metrics_series(family, (const char *const[]){"outcome", outcome, NULL}), 1);
    metric_observe(metrics_single(METRIC_HISTOGRAM, "scene_import_seconds",
                                  "Seconds that reading a character took."),
                   seconds_now() - began);
}

static int open_source(struct scene_source *source, const struct scene_options *options,
                       const struct scene_limits *limits, struct scene **out, struct err *err) {
    double began = seconds_now();
    struct importer importer = {
        .source = source, .limits = limits, .deadline = began + limits->timeout};
    struct scene_mesh mesh = {0};
    struct scene *scene = scene_new();
    bool refused = false;
    if (scene == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory to import it", source->name);
    int rc = importer_start(&importer, err);
    if (rc == 0) {
        rc = ask(&importer, options, err);
        if (rc == 0 || rc == ERR_CLOSED) /* it may have said why before it ended */
            rc = hear(&importer, scene, &mesh, &refused, err);
        rc = importer_end(&importer, rc, refused, err);
        count(rc, refused, began);
    }
    if (rc == 0)
        rc = scene_upload(scene, &mesh, source->name, err);
    scene_mesh_deinit(&mesh);
    if (rc == 0) {
        scene->report.seconds = seconds_now() - began;
        *out = scene;
    } else {
        scene_release(scene);
    }
    return rc;
}

int scene_open_confined(const char *path, const struct scene_options *options,
                        const struct scene_limits *limits, struct scene **out, struct err *err) {
    struct scene_source source;
    uint8_t *bytes = NULL;
    int rc = scene_read_file(path, &source, &bytes, err);
    if (rc == 0)
        rc = open_source(&source, options, limits, out, err);
    if (source.folder >= 0)
        close(source.folder);
    free(bytes);
    return rc;
}

int scene_open_bytes_confined(const void *bytes, size_t size, const char *name,
                              const struct scene_options *options,
                              const struct scene_limits *limits, struct scene **out,
                              struct err *err) {
    if (size > SCENE_MAX_FILE)
        return err_set(err, ERR_TOO_LARGE, "%s: %zu MiB; scenes up to %d MiB are read", name,
                       size >> 20, SCENE_MAX_FILE >> 20);
    struct scene_source source = {.name = name, .bytes = bytes, .size = size, .folder = -1};
    return open_source(&source, options, limits, out, err);
}
