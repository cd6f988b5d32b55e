#include "core/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/child.h"

#ifndef SYS_close_range
#define SYS_close_range                                                                            \
    436 /* the same on every architecture; headers before glibc 2.34 lack it                       \
         */
#endif

enum {
    TELL_FD = 4, /* carries errno of a failed exec; closes by itself at a good one */
    FIRST_FREE_FD = 16,
};

/* -- In the new process: async-signal-safe calls only, since other threads held locks when we
 * forked --------------- */

static void close_from(unsigned first) {
    struct rlimit files;
    if (syscall(SYS_close_range, first, ~0u, 0) == 0) {
        return;
    }
    unsigned last = 65536;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < last) {
        last = (unsigned)files.rlim_cur;
    }
    for (unsigned fd = first; fd < last; fd++) {
        close((int)fd);
    }
}

static int arrange_descriptors(const struct launch *launch, int tell) {
    /* All out of the way first: a source may sit on another's target. */
    int given = launch->input > 0 ? launch->input : open("/dev/null", O_RDONLY);
    int input = fcntl(given, F_DUPFD, FIRST_FREE_FD);
    int output = fcntl(launch->output, F_DUPFD, FIRST_FREE_FD);
    int link = fcntl(launch->link, F_DUPFD, FIRST_FREE_FD);
    int high_tell = fcntl(tell, F_DUPFD, FIRST_FREE_FD);
    if (input < 0 || output < 0 || link < 0 || high_tell < 0) {
        return -1;
    }
    if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 ||
        dup2(link, CHILD_LINK_FD) < 0 || dup3(high_tell, TELL_FD, O_CLOEXEC) < 0) {
        return -1;
    }
    close_from(TELL_FD + 1);
    return 0;
}

static _Noreturn void become(const struct launch *launch, int tell, pid_t host) {
    sigset_t none;
    for (int number = 1; number < NSIG; number++) {
        signal(number, SIG_DFL); /* fails for SIGKILL, SIGSTOP and glibc's own, which is as well */
    }
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != host) {
        _exit(127); /* the host died before the line above: nobody would tell us */
    }
    int at = tell;
    if (arrange_descriptors(launch, tell) == 0) {
        at = TELL_FD;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execvpe(launch->argv[0], (char *const *)launch->argv, launch->environment);
    }
    int reason = errno;
    ssize_t told = write(at, &reason, sizeof reason);
    _exit(told > 0 ? 127 : 126);
}

/* -- In ours ----------------------------------------------------------------------------------- */

static int read_reason(int fd) {
    int reason = 0;
    ssize_t size;
    do {
        size = read(fd, &reason, sizeof reason);
    } while (size < 0 && errno == EINTR);
    return size == (ssize_t)sizeof reason ? reason : 0;
}

int launch_own_program(char path[LAUNCH_PATH_SIZE], struct err *err) {
    static const char own[] = "/proc/self/exe";
    ssize_t length = readlink(own, path, LAUNCH_PATH_SIZE - 1);
    if (length < 0)
        return err_set_errno(err, errno, "cannot find this program's own file");
    path[length] = 0;
    if (access(path, X_OK) < 0)
        memcpy(path, own, sizeof own);
    return 0;
}

int launch_process(const struct launch *launch, pid_t *pid, struct err *err) {
    int tell[2];
    sigset_t all, before;
    pid_t host = getpid();
    if (pipe2(tell, O_CLOEXEC) < 0) {
        return err_set_errno(err, errno, "cannot start %s", launch->argv[0]);
    }
    /* Until the handlers are reset, a signal in the new process would run ours, which write to
     * pipes that both share. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    *pid = fork();
    int fork_error = errno;
    if (*pid == 0) {
        become(launch, tell[1], host);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(tell[1]);
    int reason = *pid > 0 ? read_reason(tell[0]) : fork_error;
    close(tell[0]);
    if (reason == 0) {
        return 0;
    }
    if (*pid > 0) {
        while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    *pid = 0;
    return err_set_errno(err, reason, "cannot start %s", launch->argv[0]);
}
