/* confine_program.c - what a program of somebody else's keeps: the system's files to read and run,
 * a few of the caller's, threads, and memory. */
#include <stddef.h>
#include <sys/resource.h>

#include "sandbox/confine_private.h"
#include "sandbox/seccomp_load.h"

/* Programs, libraries and what they are told about the machine. Of /etc only what libraries ask
 * for, none of which is a secret. /proc shows no other process's memory or environment: Landlock
 * counts that as tracing. */
static const char *const run[] = {"/usr", "/lib", "/lib64", "/bin", "/sbin", "/opt", "/snap", NULL};
static const char *const read_only[] = {
    "/proc",       "/sys",        "/etc/ld.so.cache",  "/etc/fonts",         "/etc/localtime",
    "/etc/passwd", "/etc/group",  "/etc/alternatives", "/etc/nsswitch.conf", "/etc/glvnd",
    "/etc/drirc",  "/etc/vulkan", "/dev/urandom",      "/dev/random",        "/dev/zero",
    NULL};
static const char *const writable[] = {"/dev/null", NULL};

enum { PATHS_MAX = 96 }; /* of each kind, ours and the caller's */

/* Ours, then the caller's. */
static void join(const char *out[PATHS_MAX + 1], const char *const *ours, const char *const *more) {
    size_t used = 0;
    while (used < PATHS_MAX && *ours != NULL)
        out[used++] = *ours++;
    while (used < PATHS_MAX && *more != NULL)
        out[used++] = *more++;
    out[used] = NULL;
}

void confine_program(const struct confine_program *what, struct confine_warning *warning) {
    const char *runs[PATHS_MAX + 1], *reads[PATHS_MAX + 1], *writes[PATHS_MAX + 1];
    join(runs, run, what->run);
    join(reads, read_only, what->read);
    join(writes, writable, what->write);
    const struct confine_paths paths = {runs, reads, writes};
    struct confinement confinement = {.paths = &paths};
    seccomp_load_library(NULL); /* while files can be opened */
    confine_drop_privileges(&confinement);
    confine_limit(&confinement, RLIMIT_CORE, "core files", 0);
    confine_limit(&confinement, RLIMIT_FSIZE, "file sizes", what->file_size);
    if (!CONFINE_SANITIZED && what->memory > 0)
        confine_limit(&confinement, RLIMIT_DATA, "memory", what->memory);
    confine_landlock(&confinement);
    confine_seccomp_program(&confinement);
    *warning = confinement.warning;
}
