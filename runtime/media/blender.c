/* blender.c - Blender's process: its start, its lines, its end.
 *
 * Descriptor 3 brings the script's own lines; all that Blender says itself comes on another pipe,
 * of which the last words are kept for when it fails. */
#include "media/blender.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/launch.h"
#include "media/blender_private.h"

enum {
    LINE_SIZE = 400, /* of either pipe; what is longer is cut */
    WORDS = 4,       /* lines that are kept of what it says */
    VERSION_SIZE = 24,
    TIMEOUT = 300,       /* seconds */
    ARGUMENTS_MAX = 160, /* of the command line */
    BODIES_MAX = 48,     /* files that it is let read */
    PNG_MAX = 512 << 20, /* bytes */
    FILE_MAX = 1 << 30,  /* bytes of a file that it writes */
};

struct line {
    char text[LINE_SIZE];
    size_t used;
};

struct blender {
    pthread_mutex_t lock; /* of `pid`, so that none is killed that has been reaped */
    pid_t pid;
    atomic_bool stopped;
    int news, log; /* pipes; -1: ended */
    struct line news_line, log_line;
    char folder[PATH_MAX], program[PATH_MAX], stance[PATH_MAX];
    char version[VERSION_SIZE];
    char words[WORDS][LINE_SIZE]; /* the oldest at word_count % WORDS */
    unsigned word_count;
    char refusal[LINE_SIZE]; /* what the script told as its error */
    char *read[BODIES_MAX];  /* files and folders */
    uint32_t read_count;
    uint64_t memory;
    double timeout;
    uint32_t view_count, given;
    long long ready; /* the view whose picture lies there; -1: none */
};

/* -- Finding it -------------------------------------------------------------------------------- */

static bool is_program(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

int blender_find(const char *setting, char path[PATH_MAX], struct err *err) {
    const char *name = setting != NULL && *setting != '\0' ? setting : "blender";
    const char *folders = getenv("PATH");
    char candidate[PATH_MAX];
    if (strchr(name, '/') != NULL) {
        if (is_program(name) && realpath(name, path) != NULL)
            return 0;
        return err_set(err, ERR_UNSUPPORTED,
                       "there is no Blender at %s, where the setting `blender` says", name);
    }
    while (folders != NULL && *folders != '\0') {
        size_t length = strcspn(folders, ":");
        snprintf(candidate, sizeof candidate, "%.*s/%s", (int)length, folders, name);
        if (length > 0 && is_program(candidate) && realpath(candidate, path) != NULL)
            return 0;
        folders += length + (folders[length] == ':');
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "Blender is needed for this and is not there: apt install blender "
                   "python3-numpy, or tell where it is by the setting `blender`");
}

/* -- What it says ------------------------------------------------------------------------------ */

/* Lines that Blender and its libraries print whenever there is no display, and of its progress. */
static bool is_chatter(const char *line) {
    static const char *const chatter[] = {"EGL",       "libEGL",     "MESA",         "Fra:",
                                          "Saved:",    " Time:",     "ALSA lib",     "AL lib",
                                          "socket",    "Read prefs", "Blender quit", "Blender 2",
                                          "Blender 3", "Blender 4",  "Blender 5",    "/dev/"};
    for (size_t i = 0; i < sizeof chatter / sizeof *chatter; i++)
        if (strncmp(line, chatter[i], strlen(chatter[i])) == 0)
            return true;
    return strstr(line, "eglGet") != NULL || line[strspn(line, " ")] == '\0';
}

static void take_words(struct blender *blender, const char *line) {
    if (!is_chatter(line))
        snprintf(blender->words[blender->word_count++ % WORDS], LINE_SIZE, "%s", line);
}

static void take_news(struct blender *blender, const char *line) {
    static const char version[] = "blender ", view[] = "view ", error[] = "error ";
    if (strncmp(line, version, sizeof version - 1) == 0)
        snprintf(blender->version, sizeof blender->version, "%s", line + sizeof version - 1);
    else if (strncmp(line, view, sizeof view - 1) == 0)
        blender->ready = strtoll(line + sizeof view - 1, NULL, 10);
    else if (strncmp(line, error, sizeof error - 1) == 0)
        snprintf(blender->refusal, sizeof blender->refusal, "%s", line + sizeof error - 1);
}

/* It has read hostile files: people's terminals see printable characters alone. */
static void end_line(struct blender *blender, struct line *line,
                     void (*take)(struct blender *, const char *)) {
    line->text[line->used] = '\0';
    line->used = 0;
    for (unsigned char *at = (unsigned char *)line->text; *at != '\0'; at++)
        if (*at < ' ' || *at >= 0x7f)
            *at = '?';
    take(blender, line->text);
}

/* Reads what waits, of the news at most to the end of a line, so that no view is passed over. */
static void read_pipe(struct blender *blender, int *pipe, struct line *line, bool by_line,
                      void (*take)(struct blender *, const char *)) {
    char bytes[4096];
    ssize_t got = read(*pipe, bytes, by_line ? 1 : sizeof bytes);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got <= 0) {
        close(*pipe);
        *pipe = -1;
    }
    for (ssize_t i = 0; i < got; i++) {
        if (bytes[i] == '\n' || bytes[i] == '\r')
            end_line(blender, line, take);
        else if (line->used + 1 < LINE_SIZE)
            line->text[line->used++] = bytes[i];
    }
}

/* -- Its end ----------------------------------------------------------------------------------- */

/* Waits for the process's end; returns its status. */
static int reap(struct blender *blender) {
    siginfo_t info;
    int status = 0;
    if (blender->pid == 0)
        return 0;
    while (waitid(P_PID, (id_t)blender->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
    pthread_mutex_lock(&blender->lock);
    waitpid(blender->pid, &status, 0);
    blender->pid = 0;
    pthread_mutex_unlock(&blender->lock);
    return status;
}

static void end_group(struct blender *blender) {
    pthread_mutex_lock(&blender->lock);
    if (blender->pid > 0)
        kill(-blender->pid, SIGKILL); /* it leads a group of its own */
    pthread_mutex_unlock(&blender->lock);
}

void blender_stop(struct blender *blender) {
    atomic_store(&blender->stopped, true);
    end_group(blender);
}

static void last_words(const struct blender *blender, char *out, size_t size) {
    unsigned first = blender->word_count > WORDS ? blender->word_count - WORDS : 0;
    size_t used = 0;
    out[0] = '\0';
    for (unsigned i = first; i < blender->word_count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? " / " : ": ",
                                 blender->words[i % WORDS]);
}

/* Both pipes have ended, and so has the process, which keeps its status then; or a file has taken
 * it over, and it stays. */
static int end_run(struct blender *blender, struct err *err) {
    char words[LINE_SIZE];
    end_group(blender);
    int status = reap(blender);
    last_words(blender, words, sizeof words);
    if (atomic_load(&blender->stopped))
        return err_set(err, ERR_CANCELLED, "Blender was stopped");
    if (strstr(blender->refusal, "No space left") != NULL)
        return err_set(err, ERR_NO_SPACE, "Blender cannot write to %s: no space left",
                       blender->folder);
    if (blender->refusal[0] != '\0')
        return err_set(
            err, WIFEXITED(status) && WEXITSTATUS(status) == 3 ? ERR_UNSUPPORTED : ERR_UPSTREAM,
            "%s", blender->refusal);
    if (WIFSIGNALED(status))
        return err_set(err, ERR_UPSTREAM, "Blender was ended by signal %d%s", WTERMSIG(status),
                       words);
    if (status != 0 || blender->given < blender->view_count)
        return err_set(err, ERR_UPSTREAM, "Blender ended with status %d after %u of %u pictures%s",
                       WEXITSTATUS(status), blender->given, blender->view_count, words);
    return 0;
}

static int time_out(struct blender *blender, struct err *err) {
    char words[LINE_SIZE];
    blender_stop(blender);
    reap(blender);
    last_words(blender, words, sizeof words);
    return err_set(err, ERR_TIMEOUT, "Blender gave no picture for %.0f s%s", blender->timeout,
                   words);
}

/* -- Pictures ---------------------------------------------------------------------------------- */

static int take_picture(struct blender *blender, uint8_t **png, size_t *size, struct err *err) {
    char path[PATH_MAX + 32];
    struct stat status;
    snprintf(path, sizeof path, "%s/%lld.png", blender->folder, blender->ready);
    FILE *file = fopen(path, "re");
    if (file == NULL || fstat(fileno(file), &status) != 0) {
        int reason = errno;
        if (file != NULL)
            fclose(file);
        return err_set_errno(err, reason, "Blender's picture cannot be read: %s", path);
    }
    *size = (size_t)status.st_size;
    *png = S_ISREG(status.st_mode) && status.st_size <= PNG_MAX ? malloc(*size + 1) : NULL;
    bool good = *png != NULL && fread(*png, 1, *size, file) == *size;
    fclose(file);
    unlink(path);
    if (good)
        return 1;
    free(*png);
    *png = NULL;
    return err_set(err, ERR_UPSTREAM, "Blender's picture %s cannot be read", path);
}

int blender_next(struct blender *blender, uint32_t *view, uint8_t **png, size_t *size,
                 struct err *err) {
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    *png = NULL;
    blender->ready = -1;
    while (blender->news >= 0 || blender->log >= 0) {
        struct pollfd fds[2] = {{blender->news, POLLIN, 0}, {blender->log, POLLIN, 0}};
        clock_gettime(CLOCK_MONOTONIC, &now);
        double passed =
            difftime(now.tv_sec, start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9;
        if (passed >= blender->timeout)
            return time_out(blender, err);
        int ready = poll(fds, 2, (int)ceil((blender->timeout - passed) * 1000));
        if (ready < 0 && errno != EINTR)
            return err_set_errno(err, errno, "cannot wait for Blender");
        if (ready > 0 && fds[1].revents != 0)
            read_pipe(blender, &blender->log, &blender->log_line, false, take_words);
        if (ready > 0 && fds[0].revents != 0)
            read_pipe(blender, &blender->news, &blender->news_line, true, take_news);
        if (blender->ready < 0)
            continue;
        if (blender->ready >= blender->view_count)
            return err_set(err, ERR_UPSTREAM, "Blender tells of a view that nobody asked for");
        *view = (uint32_t)blender->ready;
        blender->given++;
        return take_picture(blender, png, size, err);
    }
    return end_run(blender, err);
}

const char *blender_version(const struct blender *blender) {
    return blender->version;
}

/* -- Its start --------------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)kind, (void)place;
    remove(path);
    return 0;
}

/* A body's file; where textures may lie beside it, the folder. */
static void let_read(struct blender *blender, const char *file) {
    char path[PATH_MAX];
    if (realpath(file, path) == NULL || blender->read_count == BODIES_MAX)
        return;
    const char *ending = strrchr(path, '.');
    bool alone =
        ending != NULL && (strcasecmp(ending, ".glb") == 0 || strcasecmp(ending, ".vrm") == 0);
    char *slash = strrchr(path, '/');
    if (!alone && slash != path)
        *slash = '\0';
    for (uint32_t i = 0; i < blender->read_count; i++)
        if (strcmp(blender->read[i], path) == 0)
            return;
    char *copy = strdup(path);
    if (copy != NULL)
        blender->read[blender->read_count++] = copy;
}

int blender_new(const struct blender_job *job, struct blender **out, struct err *err) {
    const char *parent = job->folder != NULL ? job->folder : getenv("TMPDIR");
    struct blender *blender = calloc(1, sizeof *blender);
    if (blender == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to run Blender");
    pthread_mutex_init(&blender->lock, NULL);
    blender->news = blender->log = -1;
    blender->view_count = job->batch->view_count;
    blender->memory = job->memory;
    blender->timeout = job->timeout > 0 ? job->timeout : TIMEOUT;
    snprintf(blender->program, sizeof blender->program, "%s", job->program);
    int rc = 0;
    if (job->stance != NULL)
        snprintf(blender->stance, sizeof blender->stance, "%s", job->stance);
    else
        rc = launch_own_program(blender->stance, err);
    if (job->body_count > BODIES_MAX)
        rc = err_set(err, ERR_TOO_LARGE, "Blender is given at most %d bodies at once, not %u",
                     BODIES_MAX, job->body_count);
    snprintf(blender->folder, sizeof blender->folder, "%s/stance-blender-XXXXXX",
             parent != NULL && *parent != '\0' ? parent : "/tmp");
    if (rc == 0 && mkdtemp(blender->folder) == NULL) {
        rc = err_set_errno(err, errno, "cannot make a folder for Blender in %s", parent);
        blender->folder[0] = '\0';
    }
    for (uint32_t i = 0; rc == 0 && i < job->body_count; i++)
        if (job->bodies[i].path != NULL)
            let_read(blender, job->bodies[i].path);
    if (rc == 0)
        rc = blender_job_write(job, blender->folder, err);
    if (rc != 0) {
        blender_free(blender);
        return rc;
    }
    *out = blender;
    return 0;
}

/* Fills in the command line; `numbers` holds what must be written out. */
static void set_arguments(const struct blender *blender, const char *argv[ARGUMENTS_MAX],
                          char numbers[2][24], char paths[2][PATH_MAX + 16]) {
    size_t n = 0;
    snprintf(numbers[0], 24, "%llu", (unsigned long long)blender->memory);
    snprintf(numbers[1], 24, "%d", FILE_MAX);
    snprintf(paths[0], PATH_MAX + 16, "%s", blender->program);
    *strrchr(paths[0], '/') = '\0'; /* what is unpacked beside it */
    snprintf(paths[1], PATH_MAX + 16, "%s/blender.py", blender->folder);
    const char *const first[] = {blender->stance, "confined",     "--memory", numbers[0],
                                 "--file-size",   numbers[1],     "--run",    paths[0],
                                 "--write",       blender->folder};
    const char *const last[] = {"--", blender->program, "-b", "-noaudio",      "--factory-startup",
                                "-P", paths[1],         "--", blender->folder, NULL};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        argv[n++] = first[i];
    for (uint32_t i = 0; i < blender->read_count; i++) {
        argv[n++] = "--read";
        argv[n++] = blender->read[i];
    }
    for (size_t i = 0; i < sizeof last / sizeof *last; i++)
        argv[n++] = last[i];
}

static int launch(struct blender *blender, int news, int log, struct err *err) {
    const char *argv[ARGUMENTS_MAX], *path = getenv("PATH");
    char numbers[2][24], paths[2][PATH_MAX + 16], environment[4][PATH_MAX + 16];
    set_arguments(blender, argv, numbers, paths);
    snprintf(environment[0], sizeof environment[0], "PATH=%s", path != NULL ? path : "/usr/bin");
    snprintf(environment[1], sizeof environment[1], "HOME=%s", blender->folder);
    snprintf(environment[2], sizeof environment[2], "TMPDIR=%s", blender->folder);
    char language[] = "LANG=C.UTF-8", quiet[] = "PYTHONDONTWRITEBYTECODE=1";
    char *const all[] = {environment[0], environment[1], environment[2], language, quiet, NULL};
    const struct launch what = {argv, all, 0, log, news};
    return launch_process(&what, &blender->pid, err);
}

int blender_start(struct blender *blender, struct err *err) {
    int news[2] = {-1, -1}, log[2] = {-1, -1};
    int code = pipe2(news, O_CLOEXEC) == 0 && pipe2(log, O_CLOEXEC) == 0
                   ? launch(blender, news[1], log[1], err)
                   : err_set_errno(err, errno, "cannot start Blender");
    close(news[1]);
    close(log[1]);
    blender->news = news[0];
    blender->log = log[0];
    return code;
}

void blender_free(struct blender *blender) {
    if (blender == NULL)
        return;
    blender_stop(blender);
    reap(blender);
    if (blender->news >= 0)
        close(blender->news);
    if (blender->log >= 0)
        close(blender->log);
    if (blender->folder[0] != '\0')
        nftw(blender->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    for (uint32_t i = 0; i < blender->read_count; i++)
        free(blender->read[i]);
    pthread_mutex_destroy(&blender->lock);
    free(blender);
}
