/* core/slow.h: what is told of turns that last too long, and what an idle loop pays. */
#include "core/slow.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/guard.h"
#include "core/metrics.h"
#include "core/symbols.h"
#include "vm_fixture.h"

static FILE *written; /* the log */

static void open_watched(struct fixture *f, bool jit) {
    fixture_open(f, (struct vm_options){.jit = jit});
    written = tmpfile();
    log_set_fd(fileno(written));
    log_configure(LOG_WARN, LOG_JSON);
    slow_start(&f->loop, 0.02);
}

/* The log so far, when all is told. */
static const char *close_watched(struct fixture *f) {
    static char text[65536];
    slow_stop();
    fixture_close(f);
    log_set_fd(STDERR_FILENO);
    log_configure(LOG_ERROR, LOG_TEXT);
    rewind(written);
    text[fread(text, 1, sizeof text - 1, written)] = 0;
    fclose(written);
    return text;
}

static size_t count(const char *text, const char *what) {
    size_t found = 0;
    while ((text = strstr(text, what)) != NULL) {
        found++;
        text++;
    }
    return found;
}

/* `text` runs in a fiber with clock() = CPU seconds. */
static const char *run(struct fixture *f, const char *text) {
    char chunk[1024];
    snprintf(chunk, sizeof chunk,
             "local fiber = require 'fiber' fiber.self():name 'busy one' fiber.self():job 'j-1'\n"
             "local function spin(s) local t = os.clock() + s while os.clock() < t do end end\n%s",
             text);
    return fixture_fiber(f, chunk);
}

static void the_log_tells_who_while_it_runs(void) {
    struct fixture f;
    open_watched(&f, false);
    CHECK_TEXT(run(&f, "spin(0.2) return 'done'"), "done");
    const char *text = close_watched(&f);
    CHECK(count(text, "busy for more than 20 ms, by fiber busy one") >= 1);
    CHECK(strstr(text, "\"jobId\":\"j-1\"") != NULL);
    CHECK(strstr(text, "test:2: in function 'spin'") != NULL);
    CHECK(strstr(text, "\"stack\":\"") != NULL); /* in C: down to where Lua begins */
}

static void compiled_code_is_told_of_by_its_fiber(void) {
    struct fixture f;
    open_watched(&f, true);
    run(&f, "local x = 0 for i = 1, 1e8 do x = (x + i) % 7 end");
    const char *text = close_watched(&f);
    CHECK(count(text, "by fiber busy one") >= 1);
}

static void short_turns_are_not_told_of(void) {
    struct fixture f;
    open_watched(&f, false);
    slow_start(&f.loop, 1);
    run(&f, "for i = 1, 30 do spin(0.001) fiber.yield() end");
    CHECK_TEXT(close_watched(&f), "");
}

static void slow_turns_are_counted(void) {
    struct fixture f;
    open_watched(&f, false);
    run(&f, "for i = 1, 3 do spin(0.1) fiber.yield() end");
    struct metric_family *turns = metrics_family(METRIC_COUNTER, "loop_slow_turns_total",
                                                 "Turns of the event loop that took more than "
                                                 "slow_turn.",
                                                 NULL, 0, NULL);
    CHECK(metric_value(metrics_series(turns, NULL)) >= 2);
    const char *text = close_watched(&f);
    CHECK(count(text, "busy for more") >= 1 && count(text, "a turn took") == 0);
}

static void sleep_in_the_loop(void *arg) {
    (void)arg;
    usleep(60000);
}

static void waiting_in_the_loop_is_told_at_its_end(void) {
    struct fixture f;
    open_watched(&f, false);
    loop_post(&f.loop, sleep_in_the_loop, NULL);
    fixture_run_for(&f, 0.1);
    const char *text = close_watched(&f);
    CHECK(strstr(text, "a turn took") != NULL && strstr(text, "by no script") != NULL);
}

static void a_guard_keeps_its_hook(void) {
    struct fixture f;
    open_watched(&f, true);
    struct guard *guard = guard_new(0.2);
    vm_set_guard(f.vm, guard);
    guard_release(guard);
    run(&f, "while true do end");
    CHECK(f.err.code == ERR_TIMEOUT);
    vm_set_guard(f.vm, NULL);
    CHECK(strstr(close_watched(&f), "by fiber busy one") != NULL);
}

static void an_idle_loop_is_not_woken(void) {
    struct fixture f;
    struct rusage before, after;
    open_watched(&f, false);
    getrusage(RUSAGE_SELF, &before);
    fixture_run_for(&f, 0.3);
    getrusage(RUSAGE_SELF, &after);
    CHECK(after.ru_nvcsw - before.ru_nvcsw < 10);
    close_watched(&f);
}

static void functions_have_names(void) {
    char name[64];
    symbols_name((const char *)(uintptr_t)count + 1, name, sizeof name);
    CHECK_TEXT(name, "count");
    symbols_name((const void *)(uintptr_t)fread, name, sizeof name);
    CHECK(strstr(name, "fread") != NULL);
    void *page = malloc(1);
    symbols_name(page, name, sizeof name);
    CHECK_TEXT(name, "[compiled Lua]");
    free(page);
}

int main(void) {
    static const struct test tests[] = {
        TEST(the_log_tells_who_while_it_runs),
        TEST(compiled_code_is_told_of_by_its_fiber),
        TEST(short_turns_are_not_told_of),
        TEST(slow_turns_are_counted),
        TEST(waiting_in_the_loop_is_told_at_its_end),
        TEST(a_guard_keeps_its_hook),
        TEST(an_idle_loop_is_not_woken),
        TEST(functions_have_names),
    };
    return RUN(tests);
}
