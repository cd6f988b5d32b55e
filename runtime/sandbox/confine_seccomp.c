/* confine_seccomp.c - the system calls that are left to a process, or to a program. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "sandbox/confine_private.h"
#include "sandbox/seccomp_load.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Names that this architecture does not have are passed over. */
static const char *const allowed[] = {
    /* what is open */
    "read", "write", "readv", "writev", "pread64", "pwrite64", "recvmsg", "recvfrom", "sendmsg",
    "recvmmsg", "sendmmsg", "shutdown", "close", "fstat", "lseek", "getsockopt", "poll", "ppoll",
    "select", "pselect6", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
    "timerfd_settime", "timerfd_gettime",
    /* memory; mmap and mprotect are below */
    "munmap", "mremap", "brk", "madvise",
    /* threads that there are */
    "futex", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "getcpu", "membarrier",
    /* clocks */
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
    "timer_settime", "timer_gettime", "timer_delete", "setitimer",
    /* itself */
    "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getrusage", "times",
    "getrandom", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "sigaltstack",
    "restart_syscall", "exit", "exit_group"};

/* What no decoder ever asks for: whoever does has taken the process over. */
static const char *const deadly[] = {
    /* other programs and processes */
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
    "perf_event_open",
    /* ways around a filter, and into the kernel */
    "io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "userfaultfd", "modify_ldt",
    "iopl", "ioperm", "init_module", "finit_module", "delete_module", "kexec_load",
    "kexec_file_load", "reboot", "swapon", "acct",
    /* other namespaces, roots, users, keys */
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "fsopen",
    "open_by_handle_at", "setuid", "setgid", "setresuid", "setresgid", "keyctl", "add_key",
    "request_key"};

static const char *const for_threads[] = {"set_tid_address", "sched_setaffinity",
                                          "sched_setscheduler", "sched_getscheduler",
                                          "sched_getparam"};

static const char *const for_gpu[] = {"ioctl",      "openat",        "newfstatat", "readlink",
                                      "readlinkat", "eventfd2",      "pipe2",      "getdents64",
                                      "mlock",      "munlock",       "sysinfo",    "uname",
                                      "dup",        "get_mempolicy", "mbind"};

#define EQUAL(argument, value)                                                                     \
    { argument, SCMP_CMP_EQ, value, 0 }
#define MASKED(argument, mask, value)                                                              \
    { argument, SCMP_CMP_MASKED_EQ, mask, value }

/* A call that is allowed when its arguments are as told. */
struct rule {
    const char *name;
    unsigned count;
    struct scmp_arg_cmp conditions[2];
};

static bool add(scmp_filter_ctx filter, uint32_t action, const struct rule *rule) {
    int call = seccomp_syscall_resolve_name(rule->name);
    return call < 0 ||
           seccomp_rule_add_array(filter, action, call, rule->count, rule->conditions) == 0;
}

static bool add_names(scmp_filter_ctx filter, uint32_t action, const char *const *names,
                      size_t count) {
    bool good = true;
    for (size_t i = 0; i < count; i++)
        good = add(filter, action, &(struct rule){.name = names[i]}) && good;
    return good;
}

static bool add_conditional(scmp_filter_ctx filter, unsigned flags) {
    const scmp_datum_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    const struct rule rules[] = {
        /* private memory that is not executable */
        {"mmap", 2, {MASKED(2, PROT_EXEC, 0), MASKED(3, MAP_TYPE, MAP_PRIVATE)}},
        {"mprotect", 1, {MASKED(2, PROT_EXEC, 0)}},
        /* abort, which signals the own process */
        {"tgkill", 1, {EQUAL(0, (scmp_datum_t)getpid())}},
        {"sendto", 1, {EQUAL(4, 0)}}, /* on connected sockets */
        {"fcntl", 1, {EQUAL(1, F_GETFL)}},
        {"fcntl", 1, {EQUAL(1, F_SETFL)}},
        {"fcntl", 1, {EQUAL(1, F_GETFD)}},
        {"fcntl", 1, {EQUAL(1, F_SETFD)}},
        {"ioctl", 1, {EQUAL(1, FIONBIO)}},
        {"ioctl", 1, {EQUAL(1, FIONREAD)}},
        {"prctl", 1, {EQUAL(0, PR_SET_NAME)}},
        /* reading limits, not setting them */
        {"prlimit64", 2, {EQUAL(0, 0), EQUAL(2, 0)}},
    };
    /* clone3 takes its flags from memory, where no filter sees them; without it libc takes clone.
     */
    const struct rule clone3 = {.name = "clone3"};
    const struct rule clone = {"clone", 1, {MASKED(0, thread, thread)}};
    const struct rule shared = {"mmap", 1, {MASKED(2, PROT_EXEC, 0)}};
    bool good = add(filter, SCMP_ACT_ERRNO(ENOSYS), &clone3);
    for (size_t i = 0; i < COUNT(rules); i++)
        good = add(filter, SCMP_ACT_ALLOW, &rules[i]) && good;
    if (flags & CONFINE_THREADS)
        good = add(filter, SCMP_ACT_ALLOW, &clone) && good;
    if (flags & CONFINE_GPU)
        good = add(filter, SCMP_ACT_ALLOW, &shared) && good;
    return good;
}

static bool add_all(scmp_filter_ctx filter, unsigned flags) {
    bool good = add_names(filter, SCMP_ACT_ALLOW, allowed, COUNT(allowed)) &&
                add_names(filter, SCMP_ACT_KILL_PROCESS, deadly, COUNT(deadly));
    if (flags & CONFINE_GPU)
        good = good && add_names(filter, SCMP_ACT_ALLOW, for_gpu, COUNT(for_gpu));
    if (flags & CONFINE_THREADS)
        good = good && add_names(filter, SCMP_ACT_ALLOW, for_threads, COUNT(for_threads));
    return good && add_conditional(filter, flags);
}

/* For programs that others wrote, which may ask for what they do not need: they are told no. */
static bool refuse_program(scmp_filter_ctx filter, unsigned flags) {
    static const char *const network[] = {"socket", "kill", "tkill", "pidfd_send_signal",
                                          "pidfd_open"};
    (void)flags;
    bool good = add_names(filter, SCMP_ACT_ERRNO(EACCES), network, COUNT(network));
    for (size_t i = 0; i < COUNT(deadly); i++)
        if (strncmp(deadly[i], "execve", 6) != 0)
            good = add(filter, SCMP_ACT_ERRNO(EPERM), &(struct rule){.name = deadly[i]}) && good;
    return good;
}

static int load_filter(struct confinement *confinement, uint32_t otherwise,
                       bool (*fill)(scmp_filter_ctx filter, unsigned flags)) {
    struct err why;
    if (seccomp_load_library(&why) != 0)
        return confine_miss(confinement, "seccomp (%s)", why.message);
    scmp_filter_ctx filter = seccomp_init(otherwise);
    if (filter == NULL)
        return confine_miss(confinement, "seccomp (no memory)");
    int rc = 0;
    /* x32 calls count as another architecture. A tree of calls is faster than a list of them; an
     * older library does without. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0 ||
        seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) != 0 ||
        !fill(filter, confinement->flags))
        rc = confine_miss(confinement, "seccomp (the filter cannot be made)");
    if (rc == 0) {
        int status = seccomp_load(filter);
        if (status != 0)
            rc = confine_miss(confinement, "seccomp (%s)", strerror(-status));
    }
    seccomp_release(filter);
    return rc;
}

int confine_seccomp(struct confinement *confinement) {
    return load_filter(confinement, SCMP_ACT_ERRNO(EPERM), add_all);
}

int confine_seccomp_program(struct confinement *confinement) {
    return load_filter(confinement, SCMP_ACT_ALLOW, refuse_program);
}
