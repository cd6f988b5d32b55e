/* Confinement: each case is a child that confines itself, tries something, and tells how it went by
 * the way it ends. */
#include "sandbox/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "sandbox/confine_private.h"
#include "sandbox/seccomp_load.h"

enum { WENT_WELL = 0, REFUSED = 10, ODD = 11, NOT_CONFINED = 12 };
enum { MIB = 1 << 20 };

static const struct confine_options plain = {.memory = 32 * MIB};
static const struct confine_options threads = {.memory = 256 * MIB, .flags = CONFINE_THREADS};
static const struct confine_options gpu = {.flags = CONFINE_GPU};

/* Old kernels have none; the rest is everywhere. */
static bool starts_with_landlock(const struct confine_warning *warning) {
    return strncmp(warning->text, "Landlock (", 10) == 0 && strchr(warning->text, ',') == NULL;
}

/* How a child ended that ran `act` under `options` (NULL: free): its exit status, or minus the
 * signal that killed it. */
static int child(const struct confine_options *options, int (*act)(void)) {
    pid_t pid = fork();
    if (pid == 0) {
        struct confine_warning warning = {""};
        if (options != NULL && confine_process(options, &warning, NULL) != 0)
            _exit(NOT_CONFINED);
        _exit(warning.text[0] == '\0' || starts_with_landlock(&warning) ? act() : NOT_CONFINED);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* Of a call that gives a negative number or an address of all ones. */
static int outcome(long result) {
    return result != -1 ? WENT_WELL : errno == EPERM || errno == EACCES ? REFUSED : ODD;
}

/* -- What is left ------------------------------------------------------------------------------ */

static int ends[2]; /* of a socket pair that was there before */

static volatile sig_atomic_t signals_seen;

static void count_signal(int number) {
    (void)number;
    signals_seen++;
}

static int do_everyday_things(void) {
    uint8_t random[16];
    struct timespec now, nap = {.tv_nsec = 1000};
    struct rlimit most;
    struct pollfd nobody = {.fd = -1};
    char *block = malloc(8 * MIB), *larger;
    signal(SIGUSR1, count_signal);
    bool good = block != NULL;
    if (good)
        memset(block, 1, 8 * MIB);
    larger = realloc(block, 12 * MIB);
    good = good && larger != NULL && larger[8 * MIB - 1] == 1;
    free(larger);
    good = good && raise(SIGUSR1) == 0 && signals_seen == 1;
    good = good && getrandom(random, sizeof random, 0) == sizeof random;
    good = good && clock_gettime(CLOCK_MONOTONIC, &now) == 0 && nanosleep(&nap, NULL) == 0;
    good = good && getrlimit(RLIMIT_DATA, &most) == 0 && poll(&nobody, 1, 0) == 0;
    good = good && fcntl(1, F_GETFL) >= 0;
    return good ? WENT_WELL : REFUSED;
}

static int answer_on_its_socket(void) {
    char byte = 0;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    bool good = read(ends[1], &byte, 1) == 1 && sendmsg(ends[1], &message, 0) == 1 &&
                send(ends[1], &byte, 1, 0) == 1;
    return good ? WENT_WELL : REFUSED;
}

static void what_a_decoder_needs_is_left(void) {
    CHECK(child(&plain, do_everyday_things) == WENT_WELL);
    CHECK(child(&threads, do_everyday_things) == WENT_WELL);
    CHECK(child(&gpu, do_everyday_things) == WENT_WELL);
    char bytes[3] = "";
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CHECK(write(ends[0], "x", 1) == 1);
    CHECK(child(&plain, answer_on_its_socket) == WENT_WELL);
    CHECK(recv(ends[0], bytes, 2, MSG_DONTWAIT) == 2);
    CHECK_TEXT(bytes, "xx");
    close(ends[0]);
    close(ends[1]);
}

static int end_by_abort(void) {
    abort();
}

static void an_abort_ends_it(void) {
    CHECK(child(&plain, end_by_abort) == -SIGABRT);
}

static void *say_yes(void *arg) {
    return arg;
}

static int start_a_thread(void) {
    pthread_t thread;
    void *said = NULL;
    int rc = pthread_create(&thread, NULL, say_yes, ends);
    if (rc != 0)
        return rc == EPERM || rc == EAGAIN ? REFUSED : ODD;
    pthread_join(thread, &said);
    return said == ends ? WENT_WELL : ODD;
}

static void threads_start_where_they_may(void) {
    CHECK(child(&threads, start_a_thread) == WENT_WELL);
    CHECK(child(&gpu, start_a_thread) == WENT_WELL);
    CHECK(child(&plain, start_a_thread) == REFUSED);
}

/* -- What is refused --------------------------------------------------------------------------- */

static int open_a_file(void) {
    return outcome(open("/etc/passwd", O_RDONLY));
}
static int open_the_root(void) {
    return outcome(open("/", O_PATH));
}
static int make_a_file(void) {
    return outcome(open("/tmp/confine_test", O_CREAT | O_RDWR, 0600));
}
static int make_a_folder(void) {
    return outcome(mkdir("/tmp/confine_test_folder", 0700));
}
static int remove_a_file(void) {
    return outcome(unlink("/etc/passwd"));
}
static int read_a_link(void) {
    char text[8];
    return outcome(readlink("/proc/self/exe", text, sizeof text));
}
static int make_a_socket(void) {
    return outcome(socket(AF_INET, SOCK_STREAM, 0));
}
static int make_a_pair(void) {
    return outcome(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
}
static int make_a_pipe(void) {
    return outcome(pipe(ends));
}
static int duplicate(void) {
    return outcome(dup(1));
}
static int make_a_process(void) {
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return outcome(pid);
}
static int kill_its_parent(void) {
    return outcome(kill(getppid(), SIGTERM));
}
static int kill_its_parents_thread(void) {
    return outcome(syscall(SYS_tgkill, getppid(), getppid(), SIGTERM));
}
static int wake_its_parent(void) {
    return outcome(syscall(SYS_tkill, getppid(), SIGTERM));
}
static int own_its_parents_signals(void) {
    return outcome(fcntl(1, F_SETOWN, getppid()));
}
static int make_it_traceable(void) {
    return outcome(prctl(PR_SET_DUMPABLE, 1));
}
static int raise_its_limit(void) {
    struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    return outcome(setrlimit(RLIMIT_CORE, &none));
}
static int limit_its_parent(void) {
    struct rlimit little = {1, 1};
    return outcome(prlimit(getppid(), RLIMIT_CPU, &little, NULL));
}
static int take_executable_memory(void) {
    return outcome(
        (long)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}
static int make_memory_executable(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? ODD : outcome(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}
static int take_shared_memory(void) {
    return outcome(
        (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}
static int take_nameless_memory(void) {
    return outcome(memfd_create("x", 0));
}
static int push_to_a_terminal(void) {
    return outcome(ioctl(0, TIOCSTI, "x"));
}
static int change_folder(void) {
    return outcome(chdir("/"));
}

static void what_it_does_not_need_is_refused(void) {
    static const struct {
        const char *name;
        int (*act)(void);
        bool gpu_too;
    } cases[] = {
        {"open_a_file", open_a_file, true},
        {"open_the_root", open_the_root, false}, /* O_PATH reads nothing: Landlock lets it be */
        {"make_a_file", make_a_file, true},
        {"make_a_folder", make_a_folder, true},
        {"remove_a_file", remove_a_file, true},
        {"read_a_link", read_a_link, false},
        {"make_a_socket", make_a_socket, true},
        {"make_a_pair", make_a_pair, true},
        {"make_a_pipe", make_a_pipe, false},
        {"duplicate", duplicate, false},
        {"make_a_process", make_a_process, true},
        {"kill_its_parent", kill_its_parent, true},
        {"kill_its_parents_thread", kill_its_parents_thread, true},
        {"wake_its_parent", wake_its_parent, true},
        {"own_its_parents_signals", own_its_parents_signals, true},
        {"make_it_traceable", make_it_traceable, true},
        {"raise_its_limit", raise_its_limit, true},
        {"limit_its_parent", limit_its_parent, true},
        {"take_executable_memory", take_executable_memory, true},
        {"make_memory_executable", make_memory_executable, true},
        {"take_shared_memory", take_shared_memory, false},
        {"take_nameless_memory", take_nameless_memory, true},
        {"push_to_a_terminal", push_to_a_terminal, false},
        {"change_folder", change_folder, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct confine_options *options[] = {&plain, &threads,
                                                   cases[i].gpu_too ? &gpu : NULL};
        for (int o = 0; o < 3; o++) {
            int got = options[o] != NULL ? child(options[o], cases[i].act) : REFUSED;
            if (got != REFUSED)
                fprintf(stderr, "%s (set %d): ended with %d\n", cases[i].name, o, got);
            CHECK(got == REFUSED);
        }
    }
}

/* -- What is deadly ---------------------------------------------------------------------------- */

static int run_a_program(void) {
    char *const argv[] = {"true", NULL};
    execv("/bin/true", argv);
    return REFUSED;
}
static int trace_its_parent(void) {
    return outcome(ptrace(PTRACE_ATTACH, getppid(), 0, 0));
}
static int read_its_parent(void) {
    char bytes[8];
    struct iovec here = {bytes, 8}, there = {bytes, 8};
    return outcome(syscall(SYS_process_vm_readv, getppid(), &here, 1, &there, 1, 0));
}
static int ask_for_a_ring(void) {
    char parameters[256] = {0};
    return outcome(syscall(425, 1, parameters)); /* io_uring_setup */
}
static int load_a_filter(void) {
    return outcome(syscall(SYS_bpf, 0, NULL, 0));
}
static int make_a_namespace(void) {
    return outcome(syscall(SYS_unshare, 0x10000000));
}
static int become_another(void) {
    return outcome(syscall(SYS_setuid, 65534));
}

#ifdef __x86_64__
static int call_by_x32(void) {
    return outcome(syscall(0x40000000 | SYS_getpid));
}
static int call_as_i386(void) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory"); /* getpid */
    return result < 0 ? REFUSED : WENT_WELL;
}
#endif

static void what_only_intruders_ask_for_is_the_end(void) {
    static int (*const acts[])(void) = {
        run_a_program, trace_its_parent, read_its_parent, ask_for_a_ring,
        load_a_filter, make_a_namespace, become_another,
#ifdef __x86_64__
        call_by_x32,
#endif
    };
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        CHECK(child(&plain, acts[i]) == -SIGSYS);
        CHECK(child(&gpu, acts[i]) == -SIGSYS);
    }
#ifdef __x86_64__
    int end = child(&plain, call_as_i386); /* a kernel without such calls gives SIGSEGV */
    CHECK(end == -SIGSYS || end == -SIGSEGV);
#endif
}

/* -- Limits ------------------------------------------------------------------------------------ */

static int take_much_memory(void) {
    volatile char *volatile block = malloc(64 * MIB); /* or compilers leave it out */
    return block == NULL && errno == ENOMEM ? REFUSED : WENT_WELL;
}

static int take_little_by_little(void) {
    for (int i = 0; i < 4096; i++) {
        volatile char *volatile block = malloc(16384);
        if (block == NULL)
            return i > 1000 ? REFUSED : ODD; /* of the 2048 that 32 MiB hold */
        block[0] = 1;
    }
    return WENT_WELL;
}

static int turn_reserved_memory_to_use(void) {
    void *block = mmap(NULL, 64 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return ODD;
    return mprotect(block, 64 * MIB, PROT_READ | PROT_WRITE) == 0 ? WENT_WELL : REFUSED;
}

static void memory_has_an_end(void) {
    if (CONFINE_SANITIZED)
        SKIP("sanitizers need more memory than any limit");
    CHECK(child(&plain, take_much_memory) == REFUSED);
    CHECK(child(&plain, take_little_by_little) == REFUSED);
    CHECK(child(&plain, turn_reserved_memory_to_use) == REFUSED);
    CHECK(child(&threads, take_much_memory) == WENT_WELL);
}

static int file; /* that was open before */

static int write_to_the_file(void) {
    return write(file, "x", 1) == 1 ? WENT_WELL : errno == EFBIG ? REFUSED : ODD;
}

static void files_do_not_grow(void) {
    if (CONFINE_SANITIZED)
        SKIP("what sanitizers report may go to a file");
    char path[] = "/tmp/confine_test_XXXXXX";
    file = mkstemp(path);
    unlink(path);
    CHECK(child(NULL, write_to_the_file) == WENT_WELL);
    CHECK(child(&plain, write_to_the_file) == REFUSED);
    CHECK(lseek(file, 0, SEEK_END) == 1);
    close(file);
}

/* -- Each by itself ---------------------------------------------------------------------------- */

static int be_without_filter(void) {
    struct confinement confinement = {0};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (confine_landlock(&confinement) != 0)
        return NOT_CONFINED;
    return open_a_file() == REFUSED && make_a_file() == REFUSED ? REFUSED : WENT_WELL;
}

static int be_without_landlock(void) {
    struct confinement confinement = {0};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (confine_seccomp(&confinement) != 0)
        return NOT_CONFINED;
    return open_a_file();
}

static void one_wall_stands_without_the_other(void) {
    CHECK(child(NULL, be_without_landlock) == REFUSED);
    int end = child(NULL, be_without_filter);
    if (end == NOT_CONFINED)
        SKIP("this kernel has no Landlock");
    CHECK(end == REFUSED);
}

/* As on a kernel that is older than Landlock. */
static int forget_landlock(void) {
    struct err err;
    scmp_filter_ctx filter;
    if (seccomp_load_library(&err) != 0)
        return -1;
    filter = seccomp_init(SCMP_ACT_ALLOW);
    seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOSYS), 444, 0, NULL);
    int rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc;
}

static int go_on_without_landlock(void) {
    struct confine_warning warning = {.text = "?"};
    if (forget_landlock() != 0 || confine_process(&plain, &warning, NULL) != 0)
        return NOT_CONFINED;
    return strcmp(warning.text, "Landlock (Function not implemented)") == 0 ? open_a_file() : ODD;
}

static int insist_on_landlock(void) {
    struct confine_options strict = {.required = true};
    struct err err;
    if (forget_landlock() != 0)
        return NOT_CONFINED;
    int rc = confine_process(&strict, NULL, &err);
    return rc == ERR_UNSUPPORTED && strstr(err.message, "Landlock") != NULL ? REFUSED : ODD;
}

static void what_is_missing_is_told(void) {
    CHECK(child(NULL, go_on_without_landlock) == REFUSED);
    CHECK(child(NULL, insist_on_landlock) == REFUSED);
}

int main(void) {
    static const struct test tests[] = {
        TEST(what_a_decoder_needs_is_left),
        TEST(an_abort_ends_it),
        TEST(threads_start_where_they_may),
        TEST(what_it_does_not_need_is_refused),
        TEST(what_only_intruders_ask_for_is_the_end),
        TEST(memory_has_an_end),
        TEST(files_do_not_grow),
        TEST(one_wall_stands_without_the_other),
        TEST(what_is_missing_is_told),
    };
    return RUN(tests);
}
