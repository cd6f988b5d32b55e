/* Real processes: this program plays the children too, in the role that its first argument names.
 */
#include "core/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/log.h"
#include "core/metrics.h"

static struct loop loop;

/* -- The children's side ----------------------------------------------------------------------- */

static void echo(struct link *link, uint64_t id, const char *payload, size_t size, void *arg) {
    (void)arg;
    link_reply(link, id, true, payload, size, NULL);
}

static void end_process(struct link *link, const struct err *err, void *arg) {
    (void)link;
    (void)err;
    (void)arg;
    _exit(0);
}

static int count_fds(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        count += entry->d_name[0] != '.';
    }
    closedir(folder);
    return count - 1;
}

static void report(struct link *link) {
    char text[200];
    int signal_number = 0;
    sigset_t mask;
    prctl(PR_GET_PDEATHSIG, &signal_number);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    const char *word = getenv("CHILD_TEST_WORD");
    snprintf(text, sizeof text, "death signal %d, word %s, leader %d, SIGTERM %s", signal_number,
             word != NULL ? word : "none", getsid(0) == getpid(),
             sigismember(&mask, SIGTERM) ? "blocked" : "free");
    link_send_event(link, text, strlen(text), NULL);
}

static int play_linked(const char *role) {
    struct link *link;
    struct link_options options = {
        .callbacks = {.request = echo, .closed = end_process},
        .beat_seconds = strcmp(role, "silent") == 0 ? -1 : 0.02,
    };
    if (loop_init(&loop, NULL) < 0 || link_new(&loop, CHILD_LINK_FD, &options, &link, NULL) < 0) {
        return 99;
    }
    if (strcmp(role, "stubborn") == 0) {
        signal(SIGTERM, SIG_IGN);
    }
    report(link);
    if (strcmp(role, "brief") == 0) {
        for (int i = 0; i < 20; i++) {
            uv_run(&loop.uv, UV_RUN_NOWAIT);
        }
        return 5;
    }
    loop_run(&loop);
    return 0;
}

static void print_pid(struct child *child, struct link *link, void *arg) {
    int out = *(int *)arg;
    pid_t pid = child_pid(child);
    (void)link;
    CHECK(write(out, &pid, sizeof pid) == sizeof pid);
}

/* Spawns a child, tells its pid on descriptor `out`, and waits to be killed. */
static int play_host(int out) {
    static const char *const argv[] = {"/proc/self/exe", "linked", NULL};
    struct child_options options = {
        .name = "grandchild", .argv = argv, .on_link = print_pid, .arg = &out};
    struct child *child;
    if (loop_init(&loop, NULL) < 0 || child_spawn(&loop, &options, &child, NULL) < 0) {
        return 99;
    }
    loop_run(&loop);
    return 0;
}

static int play(const char *role) {
    if (strcmp(role, "babbler") == 0) {
        dprintf(1, "on stdout\n");
        dprintf(2, "on stderr, without an end");
        return 0;
    }
    if (strcmp(role, "forker") == 0 && fork() == 0) {
        pause(); /* a process that its parent leaves behind */
    }
    if (strcmp(role, "fds") == 0) {
        return count_fds();
    }
    if (strcmp(role, "garbage") == 0) {
        dprintf(CHILD_LINK_FD, "this is no frame at all");
        pause();
    }
    return strcmp(role, "dies") == 0 || strcmp(role, "forker") == 0 ? 3 : play_linked(role);
}

/* -- The host's side --------------------------------------------------------------------------- */

struct watch {
    int links, exits, gone, answers, closes, events;
    bool stop_on_exit, free_on_gone;
    struct child *child;
    struct child_exit last;
    char event[200];
};

static void on_link(struct child *child, struct link *link, void *arg) {
    struct watch *watch = arg;
    watch->links++;
    CHECK(watch->links == watch->exits + 1);
    CHECK(link != NULL && child_name(child) != NULL);
}

static void on_exit_of(struct child *child, const struct child_exit *end, void *arg) {
    struct watch *watch = arg;
    watch->exits++;
    watch->last = *end;
    CHECK(watch->links == watch->exits);
    CHECK(child_link(child) == NULL && child_pid(child) == 0);
    if (watch->stop_on_exit) {
        child_stop(child, 1);
    }
}

static void on_gone(struct child *child, void *arg) {
    struct watch *watch = arg;
    watch->gone++;
    if (watch->free_on_gone) {
        child_free(child);
        watch->child = NULL;
    }
}

static void on_event(struct link *link, const char *payload, size_t size, void *arg) {
    struct watch *watch = arg;
    (void)link;
    watch->events++;
    snprintf(watch->event, sizeof watch->event, "%.*s", (int)size, payload);
}

static void on_closed(struct link *link, const struct err *err, void *arg) {
    struct watch *watch = arg;
    (void)link;
    (void)err;
    watch->closes++;
}

static void on_answer(const struct err *err, bool ok, const char *payload, size_t size, void *arg) {
    struct watch *watch = arg;
    (void)payload;
    (void)size;
    watch->answers++;
    CHECK(ok == (err == NULL));
}

static struct child_options options_for(struct watch *watch, const char *const *argv) {
    static const char *const env[] = {"CHILD_TEST_WORD=green", NULL};
    struct child_options options = {
        .name = argv[1],
        .argv = argv,
        .env = env,
        .link = {.callbacks = {.event = on_event, .closed = on_closed}, .arg = watch},
        .on_link = on_link,
        .on_exit = on_exit_of,
        .on_gone = on_gone,
        .arg = watch,
    };
    return options;
}

static void turn_until(const int *count, int value) {
    double end = loop_seconds() + 10;
    while (*count < value && loop_seconds() < end) {
        uv_run(&loop.uv, UV_RUN_NOWAIT);
        usleep(500);
    }
    CHECK(*count == value);
}

static void turn(double seconds) {
    double end = loop_seconds() + seconds;
    while (loop_seconds() < end) {
        uv_run(&loop.uv, UV_RUN_NOWAIT);
        usleep(500);
    }
}

static void spawn(struct watch *watch, const struct child_options *options) {
    struct err err = {0};
    CHECK(child_spawn(&loop, options, &watch->child, &err) == 0);
    CHECK(watch->links == 0);
}

static void free_child(struct watch *watch) {
    child_free(watch->child);
    watch->child = NULL;
    turn(0.002);
}

static bool is_alive(pid_t pid) {
    return kill(pid, 0) == 0 || errno != ESRCH;
}

#define ROLE(name) ((const char *const[]){"/proc/self/exe", name, NULL})

static void talks_over_its_link(void) {
    struct watch watch = {0};
    struct child_options options = options_for(&watch, ROLE("linked"));
    signal(SIGUSR1, SIG_IGN);
    spawn(&watch, &options);
    turn_until(&watch.events, 1);
    CHECK_TEXT(watch.event, "death signal 9, word green, leader 1, SIGTERM free");
    struct link *link = child_link(watch.child);
    CHECK(link_request(link, "x", 1, 5, on_answer, &watch, NULL) != 0);
    turn_until(&watch.answers, 1);
    child_stop(watch.child, 5);
    child_stop(watch.child, 9);
    turn_until(&watch.gone, 1);
    CHECK(watch.last.signal == SIGTERM && !watch.last.restarting && !watch.last.unheard);
    CHECK(watch.exits == 1 && watch.links == 1 && watch.closes == 1);
    free_child(&watch);
}

static void holds_nothing_but_its_four_descriptors(void) {
    struct watch watch = {0};
    struct child_options options = options_for(&watch, ROLE("fds"));
    int extra = open("/dev/null", O_RDONLY); /* not close-on-exec, on purpose */
    spawn(&watch, &options);
    turn_until(&watch.gone, 1);
    CHECK(watch.last.status == 4);
    free_child(&watch);
    close(extra);
}

static void says_why_it_cannot_start(void) {
    static const char *const missing[] = {"/nowhere/at/all", "x", NULL};
    static const char *const folder[] = {"/tmp", "x", NULL};
    struct watch watch = {0};
    struct err err = {0};
    struct child_options options = options_for(&watch, missing);
    CHECK(child_spawn(&loop, &options, &watch.child, &err) == ERR_NOT_FOUND);
    CHECK(strstr(err.message, "/nowhere/at/all") != NULL && watch.child == NULL);
    options.argv = folder;
    CHECK(child_spawn(&loop, &options, &watch.child, &err) == ERR_DENIED);
    turn(0.01);
    CHECK(watch.gone == 0 && watch.exits == 0);
}

static void restarts_with_back_off(void) {
    struct watch watch = {0};
    struct child_options options = options_for(&watch, ROLE("dies"));
    double start = loop_seconds();
    options.restart = true;
    spawn(&watch, &options);
    turn_until(&watch.exits, 4);
    double took = loop_seconds() - start;
    CHECK(took > 0.69 && took < 3); /* 0.1 + 0.2 + 0.4 s */
    CHECK(watch.last.status == 3 && watch.last.restarting);
    CHECK(watch.last.restart_in > 0.79 && watch.last.restart_in < 0.81);
    CHECK(child_restarts(watch.child) == 3);
    child_stop(watch.child, 1);
    CHECK(watch.gone == 0);
    turn_until(&watch.gone, 1);
    free_child(&watch);

    size_t size;
    char *text = metrics_text(&size);
    CHECK(strstr(text, "child_restarts_total{name=\"dies\"} 3\n") != NULL);
    CHECK(strstr(text, "child_up{name=\"dies\"} 0\n") != NULL);
    free(text);
}

static void may_be_stopped_and_freed_in_callbacks(void) {
    struct watch watch = {.stop_on_exit = true, .free_on_gone = true};
    struct child_options options = options_for(&watch, ROLE("dies"));
    options.restart = true;
    spawn(&watch, &options);
    turn_until(&watch.gone, 1);
    turn(0.15);
    CHECK(watch.exits == 1 && watch.child == NULL && watch.gone == 1);
}

static void kills_a_process_that_is_stopped(void) {
    struct watch watch = {0};
    struct child_options options = options_for(&watch, ROLE("linked"));
    options.restart = true;
    options.heartbeat = 0.5;
    spawn(&watch, &options);
    turn_until(&watch.events, 1);
    turn(0.7);
    CHECK(watch.exits == 0); /* it beats, so it lives */
    usleep(900000);
    turn(0.2);
    CHECK(watch.exits == 0); /* that silence was ours */
    pid_t pid = child_pid(watch.child);
    link_request(child_link(watch.child), "x", 1, 0, on_answer, &watch, NULL);
    turn(0.02);
    CHECK(watch.answers == 1);
    kill(pid, SIGSTOP);
    link_request(child_link(watch.child), "x", 1, 0, on_answer, &watch, NULL);
    turn_until(&watch.exits, 1);
    CHECK(watch.last.unheard && watch.last.signal == SIGKILL && watch.last.restarting);
    CHECK(watch.answers == 2 && !is_alive(pid));
    turn_until(&watch.events, 2);
    CHECK(child_pid(watch.child) != pid);
    free_child(&watch);
}

static void kills_a_process_that_never_beats(void) {
    struct watch watch = {0};
    struct child_options options = options_for(&watch, ROLE("silent"));
    options.heartbeat = 0.1;
    spawn(&watch, &options);
    turn_until(&watch.gone, 1);
    CHECK(watch.last.unheard && watch.last.seconds < 1);
    free_child(&watch);
}

static void kills_a_process_that_talks_nonsense(void) {
    struct watch watch = {0};
    struct child_options options = options_for(&watch, ROLE("garbage"));
    spawn(&watch, &options);
    turn_until(&watch.gone, 1);
    CHECK(watch.last.unheard && watch.last.signal == SIGKILL && watch.closes == 1);
    free_child(&watch);
}

static void kills_what_does_not_end_when_asked(void) {
    struct watch watch = {0};
    struct child_options options = options_for(&watch, ROLE("stubborn"));
    spawn(&watch, &options);
    turn_until(&watch.events, 1);
    child_stop(watch.child, 0.1);
    turn_until(&watch.gone, 1);
    CHECK(watch.last.signal == SIGKILL && !watch.last.unheard && watch.last.seconds < 2);
    free_child(&watch);
}

static void reads_the_last_words(void) {
    for (int round = 0; round < 20; round++) {
        struct watch watch = {0};
        struct child_options options = options_for(&watch, ROLE("brief"));
        spawn(&watch, &options);
        turn_until(&watch.gone, 1);
        CHECK(watch.events == 1 && watch.closes == 1 && watch.last.status == 5);
        free_child(&watch);
    }
}

static void takes_what_it_left_behind_along(void) {
    struct watch watch = {0};
    struct child_options options = options_for(&watch, ROLE("forker"));
    spawn(&watch, &options);
    pid_t group = child_pid(watch.child);
    double start = loop_seconds();
    turn_until(&watch.gone, 1);
    CHECK(loop_seconds() - start <
          0.9); /* the left one held the link open; it did not have to be waited for */
    CHECK(kill(-group, 0) < 0 || waitpid(-group, NULL, WNOHANG) <= 0);
    free_child(&watch);
}

static void logs_its_output(void) {
    char text[4096];
    int ends[2];
    struct watch watch = {0};
    struct child_options options = options_for(&watch, ROLE("babbler"));
    options.capture_stderr = true;
    CHECK(pipe(ends) == 0);
    log_set_fd(ends[1]);
    spawn(&watch, &options);
    turn_until(&watch.gone, 1);
    log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    ssize_t size = read(ends[0], text, sizeof text - 1);
    text[size > 0 ? size : 0] = '\0';
    CHECK(strstr(text, "\"service\":\"babbler\",\"message\":\"on stdout\",\"pid\":") != NULL);
    CHECK(strstr(text, "\"message\":\"on stderr, without an end\",\"pid\":") != NULL);
    free_child(&watch);
    close(ends[0]);
    close(ends[1]);
}

static void frees_while_it_runs(void) {
    struct watch watch = {0};
    struct child_options options = options_for(&watch, ROLE("linked"));
    spawn(&watch, &options);
    turn_until(&watch.events, 1);
    pid_t pid = child_pid(watch.child);
    link_request(child_link(watch.child), "x", 1, 0, on_answer, &watch, NULL);
    free_child(&watch);
    CHECK(!is_alive(pid) && watch.answers == 1 && watch.exits == 0 && watch.gone == 0);
}

static void dies_with_a_killed_host(void) {
    int ends[2];
    pid_t grandchild = 0;
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    pid_t host = fork();
    if (host == 0) {
        char out[16];
        int fd = dup(ends[1]);
        snprintf(out, sizeof out, "%d", fd);
        execl("/proc/self/exe", "child_test", "host", out, (char *)NULL);
        _exit(98);
    }
    close(ends[1]);
    CHECK(read(ends[0], &grandchild, sizeof grandchild) == sizeof grandchild);
    CHECK(grandchild > 1 && is_alive(grandchild));
    kill(host, SIGKILL);
    waitpid(host, NULL, 0);
    double end = loop_seconds() + 5;
    while (grandchild > 1 && is_alive(grandchild) && loop_seconds() < end) {
        char state = 'Z';
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/stat", (int)grandchild);
        FILE *stat = fopen(path, "r");
        if (stat == NULL || fscanf(stat, "%*d %*s %c", &state) != 1 || state == 'Z') {
            grandchild = 0; /* dead, where nobody reaps orphans */
        }
        if (stat != NULL) {
            fclose(stat);
        }
        usleep(1000);
    }
    CHECK(grandchild == 0 || !is_alive(grandchild));
    close(ends[0]);
}

int main(int argc, char **argv) {
    static const struct test tests[] = {
        TEST(talks_over_its_link),
        TEST(holds_nothing_but_its_four_descriptors),
        TEST(says_why_it_cannot_start),
        TEST(restarts_with_back_off),
        TEST(may_be_stopped_and_freed_in_callbacks),
        TEST(kills_a_process_that_is_stopped),
        TEST(kills_a_process_that_never_beats),
        TEST(kills_a_process_that_talks_nonsense),
        TEST(kills_what_does_not_end_when_asked),
        TEST(reads_the_last_words),
        TEST(takes_what_it_left_behind_along),
        TEST(logs_its_output),
        TEST(frees_while_it_runs),
        TEST(dies_with_a_killed_host),
    };
    if (argc > 1) {
        return strcmp(argv[1], "host") == 0 ? play_host(atoi(argv[2])) : play(argv[1]);
    }
    CHECK(loop_init(&loop, NULL) == 0);
    log_set_fd(
        open("/dev/null", O_WRONLY | O_CLOEXEC)); /* what is expected here would alarm readers */
    int status = RUN(tests);
    loop_deinit(&loop);
    return status;
}
