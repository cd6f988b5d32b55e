#include "sandbox/confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/confine_private.h"
#include "sandbox/seccomp_load.h"

/* -- What could not be done -------------------------------------------------------------------- */

int confine_miss(struct confinement *confinement, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = confinement->warning.text;
    size_t used = strlen(text), room = sizeof confinement->warning.text - used;
    int mark = snprintf(text + used, room, "%s", used > 0 ? ", " : "");
    if (mark >= 0 && (size_t)mark < room)
        vsnprintf(text + used + mark, room - (size_t)mark, format, args);
    va_end(args);
    return -1;
}

/* -- Sanitizers -------------------------------------------------------------------------------- */

#if CONFINE_ADDRESS_SANITIZER
static bool confined;

/* LeakSanitizer asks before it looks for leaks at the end: that takes ptrace and a process. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) {
    return confined;
}
#endif

/* -- Privileges -------------------------------------------------------------------------------- */

void confine_drop_privileges(struct confinement *confinement) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        confine_miss(confinement, "no_new_privs (%s)", strerror(errno));
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, none) != 0)
        confine_miss(confinement, "dropping capabilities (%s)", strerror(errno));
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        confine_miss(confinement, "not dumpable (%s)", strerror(errno));
}

/* -- Limits ------------------------------------------------------------------------------------ */

void confine_limit(struct confinement *confinement, int what, const char *name, uint64_t most) {
    struct rlimit both;
    if (getrlimit((__rlimit_resource_t)what, &both) == 0) {
        if (both.rlim_max != RLIM_INFINITY && both.rlim_max < most)
            return; /* it is stricter already */
        both.rlim_cur = both.rlim_max = most;
        if (setrlimit((__rlimit_resource_t)what, &both) == 0)
            return;
    }
    confine_miss(confinement, "the limit of %s (%s)", name, strerror(errno));
}

static unsigned highest_descriptor(void) {
    unsigned highest = 2;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return (unsigned)sysconf(_SC_OPEN_MAX) - 1;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        unsigned number = (unsigned)strtoul(entry->d_name, NULL, 10);
        if (number > highest && number != (unsigned)dirfd(folder))
            highest = number;
    }
    closedir(folder);
    return highest;
}

/* 0: any. */
static unsigned most_descriptors(const struct confine_options *options) {
    if (options->descriptors > 0)
        return options->descriptors;
    return options->flags & CONFINE_GPU ? 0 : highest_descriptor() + 1;
}

/* Bytes of private memory that this process has, as RLIMIT_DATA counts them. */
static uint64_t memory_held(void) {
    unsigned long long data = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL || fscanf(file, "%*u %*u %*u %*u %*u %llu", &data) != 1)
        data = 0;
    if (file != NULL)
        fclose(file);
    return data * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Private memory is what RLIMIT_DATA counts, whichever way it is taken; shared memory is refused by
 * the filter. RLIMIT_AS would count what GPU drivers only reserve. */
static void limit_memory(struct confinement *confinement, uint64_t more) {
    uint64_t held = memory_held();
    if (held == 0)
        confine_miss(confinement, "the limit of memory (no /proc)");
    else
        confine_limit(confinement, RLIMIT_DATA, "memory", held + more);
}

static void set_limits(struct confinement *confinement, const struct confine_options *options) {
    confine_limit(confinement, RLIMIT_CORE, "core files", 0);
    signal(SIGXFSZ, SIG_IGN); /* EFBIG instead of the end */
    if (!CONFINE_SANITIZED)
        confine_limit(confinement, RLIMIT_FSIZE, "file sizes", 0);
    if (!CONFINE_SANITIZED && options->memory > 0)
        limit_memory(confinement, options->memory);
    if (!(confinement->flags & CONFINE_THREADS)) /* it counts threads, too */
        confine_limit(confinement, RLIMIT_NPROC, "processes", 0);
}

/* -- All of it --------------------------------------------------------------------------------- */

static bool has_other_threads(void) {
    int count = CONFINE_THREAD_SANITIZER ? -1 : 0; /* it has one of its own */
    DIR *folder = opendir("/proc/self/task");
    if (folder == NULL)
        return false;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count > 1;
}

int confine_process(const struct confine_options *options, struct confine_warning *warning,
                    struct err *err) {
    struct confinement confinement = {.flags = options->flags};
    if (options->flags & CONFINE_GPU)
        confinement.flags |= CONFINE_THREADS;
#if CONFINE_ADDRESS_SANITIZER
    confined = true;
#endif
    bool others = has_other_threads();
    seccomp_load_library(NULL); /* while files can be opened; without it the filter says why */
    confine_drop_privileges(&confinement);
    set_limits(&confinement, options);
    unsigned descriptors = most_descriptors(options);
    if (confine_landlock(&confinement) == 0 && others)
        confine_miss(&confinement, "Landlock for the threads that run already");
    if (descriptors > 0) /* Landlock takes one, for a moment */
        confine_limit(&confinement, RLIMIT_NOFILE, "descriptors", descriptors);
    confine_seccomp(&confinement);
    if (warning != NULL)
        *warning = confinement.warning;
    if (options->required && confinement.warning.text[0] != '\0')
        return err_set(err, ERR_UNSUPPORTED,
                       "this system cannot confine a process as asked; it lacks: %s",
                       confinement.warning.text);
    return 0;
}
