/* confine.h - gives up, for good, all that a process does not need that only decodes and computes.
 *
 * For children that read hostile bytes (pictures, models, scenes): they open what they need, start
 * what they need, and then confine themselves. What stays: reading and writing descriptors that are
 * open, receiving and sending on them, waiting for them, memory (never executable, never shared),
 * futexes, clocks, random bytes, signal handlers, and the end. What goes, each by itself enough:
 *
 *   capabilities      all dropped; no_new_privs; not dumpable (no core, no ptrace by others)
 *   limits            memory, descriptors, no core, no file grows, no processes
 *   Landlock          no file can be opened, no port bound or connected to
 *   seccomp           anything else fails with EPERM; what only an intruder asks for (execve,
 * ptrace, bpf, io_uring, namespaces, mounts, keys, calls of another architecture or of x32) ends
 * the process by SIGSYS
 *
 * A regular file as stdout or stderr cannot be written either (EFBIG): use a pipe. A memory limit
 * makes malloc return NULL and a stack overflow a SIGSEGV.
 *
 * Sanitizers take memory by the terabyte and map what they like: in their builds the limits of
 * memory and of file sizes are left out, and leaks are not looked for at the end, for that needs
 * ptrace. The rest holds there, too.
 *
 * Threads: call it before there are others. Landlock covers the caller and the threads that it
 * starts; seccomp all. Nothing can be undone. */
#ifndef STANCE_SANDBOX_CONFINE_H
#define STANCE_SANDBOX_CONFINE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

enum {
    CONFINE_THREADS = 1, /* threads may be started */
    /* What a GPU's driver asks for besides: ioctl, shared mappings, and opening the NVIDIA devices
     * (where there is no Landlock, any file: it is said in the warning). Implies threads. */
    CONFINE_GPU = 2,
};

struct confine_options {
    unsigned flags;
    uint64_t memory; /* bytes that it may take beyond what it has; 0: any */
    unsigned
        descriptors; /* RLIMIT_NOFILE; 0: none above the highest that is open (GPU: as before) */
    /* Fail where something is not to be had (an old kernel, no libseccomp), instead of telling it
     * as a warning. */
    bool required;
};

/* What could not be done, in words with commas between; "" when all was. */
struct confine_warning {
    char text[300];
};

/* Confines this process. `warning` may be NULL. ERR_UNSUPPORTED with `required`: then some of the
 * measures are in force; end the process. */
int confine_process(const struct confine_options *options, struct confine_warning *warning,
                    struct err *err);

/* What a program of somebody else's may have besides the system's; lists end with NULL. */
struct confine_program {
    const char *const *run, *const *read, *const *write; /* files and folders; run: and read */
    uint64_t memory;                                     /* bytes of its own data; 0: any */
    uint64_t file_size;                                  /* that a file of its own may have */
};

/* Confines this process and what it becomes by exec, for programs that must open files and start
 * threads: they read and run the system's programs and libraries (not /home, /root, /var, or what
 * of /etc is nobody's business) and what is named, open no socket, signal no other process, and get
 * no privileges. Where Landlock is missing all files are open to it, and the warning says so. */
void confine_program(const struct confine_program *what, struct confine_warning *warning);

#endif
