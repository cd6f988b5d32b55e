/* private_host.c - spawns `stance serve` for the length of one command. */
#include "cli/private_host.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/memory.h"
#include "cli/output.h"

enum { READY_MS = 20000, STOP_MS = 10000, STEP_MS = 20, LOG_TAIL = 2000 };

struct private_host {
    pid_t pid;
    char *folder;
    char *url;
};

/* In the child, between fork and exec: only calls that are safe there. */
static void become_host(const struct private_host *host, int ready_fd, const char *log,
                        pid_t parent) {
    char fd_text[16];
    snprintf(fd_text, sizeof fd_text, "%d", ready_fd);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(1);
    }
    setpgid(0, 0); /* the terminal's Ctrl-C is for us: we cancel the job first */
    int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int null_fd = open("/dev/null", O_RDONLY);
    if (log_fd < 0 || null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 ||
        dup2(log_fd, 2) < 0 || fcntl(ready_fd, F_SETFD, 0) < 0) {
        _exit(1);
    }
    execl("/proc/self/exe", "stance", "serve", "--listen", "127.0.0.1:0", "--data", host->folder,
          "--ready-fd", fd_text, (char *)NULL);
    _exit(1);
}

/* Reads the one line that says where it listens. */
static char *read_ready(int fd) {
    char line[512];
    size_t size = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (size + 1 < sizeof line && !memchr(line, '\n', size)) {
        int ready = poll(&wait, 1, READY_MS);
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        ssize_t got = ready > 0 ? read(fd, line + size, sizeof line - 1 - size) : 0;
        if (got <= 0) {
            return NULL;
        }
        size += (size_t)got;
    }
    json_t *object = json_loadb(line, size, JSON_DISABLE_EOF_CHECK, NULL);
    const char *url = json_string_value(json_object_get(object, "url"));
    char *copy = url ? memory_need(strdup(url)) : NULL;
    json_decref(object);
    return copy;
}

static void show_log(const char *path) {
    char tail[LOG_TAIL + 1];
    FILE *log = fopen(path, "r");
    if (!log) {
        return;
    }
    if (fseek(log, -LOG_TAIL, SEEK_END) < 0) {
        rewind(log);
    }
    size_t size = fread(tail, 1, LOG_TAIL, log);
    fwrite(tail, 1, size, stderr);
    fclose(log);
}

struct private_host *private_host_start(void) {
    const char *base = getenv("TMPDIR");
    struct private_host *host = memory_need(calloc(1, sizeof *host));
    int ready[2];
    host->folder = memory_printf("%s/stance-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(host->folder) || pipe2(ready, O_CLOEXEC) < 0) {
        out_fail(EXIT_FAILED, "cannot prepare a private host in %s: %s", host->folder,
                 strerror(errno));
        free(host->folder);
        free(host);
        return NULL;
    }
    char *log = memory_printf("%s/host.log", host->folder);
    pid_t self = getpid();
    host->pid = fork();
    if (host->pid == 0) {
        become_host(host, ready[1], log, self);
    }
    close(ready[1]);
    host->url = host->pid > 0 ? read_ready(ready[0]) : NULL;
    close(ready[0]);
    if (!host->url) {
        out_fail(EXIT_FAILED, "the private host did not start");
        show_log(log);
        private_host_stop(host);
        host = NULL;
    }
    free(log);
    return host;
}

const char *private_host_url(const struct private_host *host) {
    return host->url;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status, (void)kind, (void)place;
    remove(path);
    return 0;
}

void private_host_stop(struct private_host *host) {
    if (!host) {
        return;
    }
    if (host->pid > 0) {
        int waited = 0;
        kill(host->pid, SIGTERM);
        while (waitpid(host->pid, NULL, WNOHANG) == 0) {
            nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
            waited += STEP_MS;
            if (waited == STOP_MS) {
                kill(host->pid, SIGKILL);
            }
        }
    }
    nftw(host->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(host->folder);
    free(host->url);
    free(host);
}
