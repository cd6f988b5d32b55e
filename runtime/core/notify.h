/* notify.h - tells the service manager how this process is: systemd's Type=notify, without its
 * library.
 *
 * Messages go to the socket that NOTIFY_SOCKET names (a path, or "@name" in the abstract name
 * space). Without one every call here does nothing. When the manager asks for it (WATCHDOG_USEC) a
 * timer on the loop says twice in each interval that the loop still turns: a loop that is stuck
 * falls silent and the manager ends the process. One a process; loop thread. */
#ifndef STANCE_CORE_NOTIFY_H
#define STANCE_CORE_NOTIFY_H

#include "core/err.h"
#include "core/loop.h"

/* Opens the socket and takes the variables out of the environment, so that children do not speak
 * for us. Fails when NOTIFY_SOCKET names what cannot be a socket's address. */
int notify_start(struct loop *loop, struct err *err);

/* READY=1: start-up, or the reload that notify_reloading announced, is over. Each takes a line of
 * status for people, or NULL. */
void notify_ready(const char *status);
void notify_reloading(void);
void notify_stopping(const char *status);

/* The line that `systemctl status` shows. */
void notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Closes the timer and the socket; safe to repeat. Before loop_deinit. */
void notify_end(void);

#endif
