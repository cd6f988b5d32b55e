/* core/notify.h: what a service manager hears, at a socket of our own. */
#include "core/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "core/log.h"
#include "scratch.h"

struct fixture {
    struct loop loop;
    struct err err;
    int manager; /* the service manager's end */
};

/* Listens where a manager would. `name`: a path, or "@..." */
static void open_manager(struct fixture *f, const char *name) {
    memset(f, 0, sizeof *f);
    log_configure(LOG_ERROR, LOG_TEXT);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", name);
    if (name[0] == '@')
        address.sun_path[0] = 0;
    f->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    if (bind(f->manager, (struct sockaddr *)&address, size) < 0 || loop_init(&f->loop, &f->err))
        abort();
    setenv("NOTIFY_SOCKET", name, 1);
}

static void close_manager(struct fixture *f) {
    notify_end();
    loop_deinit(&f->loop);
    close(f->manager);
}

/* The next message, "" when there is none. */
static const char *heard(struct fixture *f) {
    static char text[1024];
    ssize_t size = recv(f->manager, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = 0;
    return text;
}

static void without_a_manager_nothing_happens(void) {
    struct fixture f = {0};
    unsetenv("NOTIFY_SOCKET");
    CHECK(loop_init(&f.loop, &f.err) == 0);
    CHECK(notify_start(&f.loop, &f.err) == 0);
    notify_ready("up");
    notify_status("%d", 1);
    notify_end();
    loop_deinit(&f.loop);
}

static void hears_all(const char *name) {
    struct fixture f;
    open_manager(&f, name);
    CHECK(notify_start(&f.loop, &f.err) == 0);
    CHECK(getenv("NOTIFY_SOCKET") == NULL);
    notify_ready("listening\non two lines");
    CHECK_TEXT(heard(&f), "READY=1\nSTATUS=listening on two lines");
    notify_ready(NULL);
    CHECK_TEXT(heard(&f), "READY=1");
    notify_status("%d jobs", 3);
    CHECK_TEXT(heard(&f), "STATUS=3 jobs");
    notify_stopping("good bye");
    CHECK_TEXT(heard(&f), "STOPPING=1\nSTATUS=good bye");
    CHECK_TEXT(heard(&f), "");
    close_manager(&f);
}

static void a_manager_at_a_path_hears_all(void) {
    hears_all(scratch("notify"));
}

static void a_manager_with_an_abstract_name_hears_all(void) {
    char name[64];
    snprintf(name, sizeof name, "@stance-notify-test-%d", (int)getpid());
    hears_all(name);
}

static void a_reload_tells_the_time_that_it_began(void) {
    struct fixture f;
    open_manager(&f, scratch("notify"));
    CHECK(notify_start(&f.loop, &f.err) == 0);
    double before = loop_seconds();
    notify_reloading();
    long long usec = 0;
    CHECK(sscanf(heard(&f), "RELOADING=1\nMONOTONIC_USEC=%lld", &usec) == 1);
    CHECK((double)usec / 1e6 >= before - 1e-3 && (double)usec / 1e6 <= loop_seconds() + 1e-3);
    close_manager(&f);
}

/* Long texts are cut, not lost, and never split a message. */
static void a_long_status_is_cut(void) {
    struct fixture f;
    char status[2000];
    memset(status, 'x', sizeof status - 1);
    status[sizeof status - 1] = 0;
    open_manager(&f, scratch("notify"));
    CHECK(notify_start(&f.loop, &f.err) == 0);
    notify_ready(status);
    const char *text = heard(&f);
    CHECK(strncmp(text, "READY=1\nSTATUS=xxx", 18) == 0 && strlen(text) == 511);
    close_manager(&f);
}

static void stop_soon(uv_timer_t *timer) {
    loop_stop(timer->data);
}

static int count_signs_of_life(struct fixture *f, const char *pid) {
    setenv("WATCHDOG_USEC", "20000", 1);
    setenv("WATCHDOG_PID", pid, 1);
    CHECK(notify_start(&f->loop, &f->err) == 0);
    CHECK(getenv("WATCHDOG_USEC") == NULL && getenv("WATCHDOG_PID") == NULL);
    static uv_timer_t timer; /* closed by the loop, later */
    uv_timer_init(&f->loop.uv, &timer);
    timer.data = &f->loop;
    uv_timer_start(&timer, stop_soon, 100, 0);
    loop_run(&f->loop);
    int count = 0;
    for (const char *text = heard(f); *text; text = heard(f)) {
        CHECK_TEXT(text, "WATCHDOG=1");
        count++;
    }
    return count;
}

static void a_loop_that_turns_gives_signs_of_life(void) {
    struct fixture f;
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    open_manager(&f, scratch("notify"));
    CHECK(count_signs_of_life(&f, pid) >= 2); /* ten on a machine that has the time */
    close_manager(&f);
}

static void a_watchdog_for_another_process_is_not_ours(void) {
    struct fixture f;
    open_manager(&f, scratch("notify"));
    CHECK(count_signs_of_life(&f, "1") == 0);
    close_manager(&f);
}

static void an_address_that_is_none_is_refused(void) {
    struct fixture f = {0};
    char name[300];
    memset(name, 'x', sizeof name - 1);
    name[0] = '/';
    name[sizeof name - 1] = 0;
    CHECK(loop_init(&f.loop, &f.err) == 0);
    setenv("NOTIFY_SOCKET", name, 1);
    CHECK(notify_start(&f.loop, &f.err) == ERR_INVALID);
    setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
    CHECK(notify_start(&f.loop, &f.err) == ERR_UNSUPPORTED);
    CHECK(strstr(f.err.message, "vsock:2:1234") != NULL);
    notify_ready(NULL); /* nobody is there: no harm */
    notify_end();
    loop_deinit(&f.loop);
}

int main(void) {
    static const struct test tests[] = {
        TEST(without_a_manager_nothing_happens),
        TEST(a_manager_at_a_path_hears_all),
        TEST(a_manager_with_an_abstract_name_hears_all),
        TEST(a_reload_tells_the_time_that_it_began),
        TEST(a_long_status_is_cut),
        TEST(a_loop_that_turns_gives_signs_of_life),
        TEST(a_watchdog_for_another_process_is_not_ours),
        TEST(an_address_that_is_none_is_refused),
    };
    return RUN(tests);
}
