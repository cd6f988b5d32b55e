/* child.h - supervised child processes, each with a link (core/link.h) on its descriptor 3.
 *
 * A child gets its arguments, our environment with additions, /dev/null as stdin, and nothing else
 * that we hold open. It dies with us, by SIGKILL, even when we are killed (PR_SET_PDEATHSIG; that
 * signal follows the death of the *thread* that started the child, so spawn on a loop thread that
 * lives as long as the process). One that misses its heartbeats is killed. With `restart` it is
 * started again after 0.1 s, doubling to 30 s while it keeps dying young; a life of 60 s starts the
 * count anew.
 *
 * Metrics: child_restarts_total{name}, child_up{name}. All on the loop thread; a child belongs to
 * who spawned it. */
#ifndef STANCE_CORE_CHILD_H
#define STANCE_CORE_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/link.h"

enum { CHILD_LINK_FD = 3 }; /* where the child finds its end */

struct child;

struct child_exit {
    int status;        /* exit status, when `signal` is 0 */
    int signal;        /* the signal that ended it, or 0 */
    bool unheard;      /* killed by us, for missing heartbeats or a broken link */
    double seconds;    /* it lived */
    bool restarting;   /* another process follows, after: */
    double restart_in; /* seconds */
};

/* What is pointed to need not outlive the call of child_spawn. */
struct child_options {
    const char *name; /* in logs and metrics */
    /* Ends with NULL; argv[0] with a slash is a path, else searched in PATH. */
    const char *const *argv;
    /* "NAME=value" each, ends with NULL; replaces ours of the same name. May be NULL. */
    const char *const *env;
    bool restart;
    /* Its stdout and stderr become our log lines, else both go to our stderr. */
    bool capture_stderr;
    double heartbeat; /* seconds without a sign of life that are forgiven; 0: 10; < 0: any */

    struct link_options link; /* for each process anew; `link.arg` goes to the link's callbacks */

    /* Any may be NULL. */
    void (*on_link)(struct child *child, struct link *link, void *arg); /* a process is up */
    /* A process has ended, and all that it had sent is read. The link is freed after this call. */
    void (*on_exit)(struct child *child, const struct child_exit *end, void *arg);
    /* Last, once: no process of it runs or will; child_free may be called here. */
    void (*on_gone)(struct child *child, void *arg);
    void *arg;
};

/* Fails when the first process cannot be started (no such file, no more processes). No callback is
 * called before it returns, on_link neither: it follows from the loop. */
int child_spawn(struct loop *loop, const struct child_options *options, struct child **out,
                struct err *err);

/* SIGTERM, then SIGKILL after `grace` seconds (<= 0: SIGKILL at once); no restart. on_gone follows,
 * from the loop. Safe to repeat: an earlier deadline wins. */
void child_stop(struct child *child, double grace);

/* Kills and reaps what runs, without callbacks, and frees. NULL-safe. */
void child_free(struct child *child);

const char *child_name(const struct child *child);
struct link *child_link(const struct child *child); /* NULL when no process is up */
pid_t child_pid(const struct child *child);         /* 0 when no process is up */
unsigned child_restarts(const struct child *child);

#endif
