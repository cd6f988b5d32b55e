/* video_limits_test.c - no film is read where ffmpeg cannot be held to its limits. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "media/video.h"

static int open_film(struct video **video, struct err *err) {
    int fd = open("Makefile", O_RDONLY | O_CLOEXEC);
    const struct video_options options = {.fd = fd, .name = "film"};
    int code = video_open(&options, video, err);
    close(fd);
    return code;
}

/* From here on limits can be set for this process alone. */
static bool forbid_limits(void) {
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prlimit64, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void a_film_is_refused_without_limits(void) {
    struct video *video = NULL;
    struct err err = {0};
    int code = open_film(&video, &err);
    if (code == ERR_UNSUPPORTED)
        SKIP(err.message);
    CHECK(code == 0);
    video_free(video);
    video = NULL;
    if (!forbid_limits())
        SKIP("this system has no seccomp");
    CHECK(open_film(&video, &err) == ERR_DENIED && video == NULL);
    CHECK(strstr(err.message, "ffmpeg cannot be kept from") != NULL);
    CHECK(waitpid(-1, NULL, 0) < 0 && errno == ECHILD); /* none is left */
}

int main(void) {
    static const struct test tests[] = {TEST(a_film_is_refused_without_limits)};
    return RUN(tests);
}
