#include "core/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/log.h"

enum { MESSAGE_SIZE = 512 };

static struct {
    int fd; /* -1: nobody listens */
    struct sockaddr_un address;
    socklen_t address_size;
    uv_timer_t *watchdog;
} manager = {.fd = -1};

/* -- Sending ----------------------------------------------------------------------------------- */

static void send_text(const char *text) {
    if (manager.fd < 0)
        return;
    ssize_t sent;
    do
        sent = sendto(manager.fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                      (const struct sockaddr *)&manager.address, manager.address_size);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        log_warn("notify", "cannot tell the service manager: %s", strerror(errno));
}

/* `state`, and the status on a line of its own: one line, whatever it holds. */
static void send_state(const char *state, const char *status) {
    char text[MESSAGE_SIZE];
    int used = snprintf(text, sizeof text, "%s%s%s", state, status && *state ? "\n" : "",
                        status ? "STATUS=" : "");
    for (; status && *status && used < MESSAGE_SIZE - 1; status++)
        text[used++] = (char)((unsigned char)*status < ' ' ? ' ' : *status);
    text[used] = 0;
    send_text(text);
}

void notify_ready(const char *status) {
    send_state("READY=1", status);
}

void notify_stopping(const char *status) {
    send_state("STOPPING=1", status);
}

void notify_reloading(void) {
    char text[80];
    /* The manager compares it with its own monotonic clock. */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    send_text(text);
}

void notify_status(const char *format, ...) {
    char status[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(status, sizeof status, format, arguments);
    va_end(arguments);
    send_state("", status);
}

/* -- Watchdog ---------------------------------------------------------------------------------- */

static void on_watchdog(uv_timer_t *timer) {
    (void)timer;
    send_text("WATCHDOG=1");
}

/* Microseconds between two signs of life that the manager wants of this process; 0: none. */
static unsigned long long wanted_interval(void) {
    const char *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (interval == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    return strtoull(interval, NULL, 10);
}

static void watchdog_closed(uv_handle_t *handle) {
    free(handle);
}

static int start_watchdog(struct loop *loop, struct err *err) {
    unsigned long long interval = wanted_interval() / 2000; /* half of it, in ms */
    if (interval == 0)
        return 0;
    manager.watchdog = malloc(sizeof *manager.watchdog);
    if (manager.watchdog == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    uv_timer_init(&loop->uv, manager.watchdog);
    uv_unref((uv_handle_t *)manager.watchdog);
    uv_timer_start(manager.watchdog, on_watchdog, 0, interval);
    return 0;
}

/* -- Start and end ----------------------------------------------------------------------------- */

static int take_address(const char *name, struct err *err) {
    struct sockaddr_un *address = &manager.address;
    size_t length = strlen(name);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (name[0] != '/' && name[0] != '@')
        return err_set(err, ERR_UNSUPPORTED,
                       "NOTIFY_SOCKET is %s: only paths and @abstract names are understood", name);
    if (length >= sizeof address->sun_path)
        return err_set(err, ERR_INVALID, "NOTIFY_SOCKET is too long for a socket: %s", name);
    memcpy(address->sun_path, name, length);
    if (name[0] == '@')
        address->sun_path[0] = 0;
    manager.address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return 0;
}

int notify_start(struct loop *loop, struct err *err) {
    const char *name = getenv("NOTIFY_SOCKET");
    if (name == NULL || *name == 0)
        return 0;
    int code = take_address(name, err);
    if (code == 0) {
        manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        code = manager.fd < 0 ? err_set_errno(err, errno, "cannot open a socket for NOTIFY_SOCKET")
                              : start_watchdog(loop, err);
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return code;
}

void notify_end(void) {
    if (manager.watchdog != NULL)
        uv_close((uv_handle_t *)manager.watchdog, watchdog_closed);
    manager.watchdog = NULL;
    if (manager.fd >= 0)
        close(manager.fd);
    manager.fd = -1;
}
