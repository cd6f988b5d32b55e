/* net/marriage.h: the turns of a loop that libev and libuv share. */
#include "net/marriage.h"

#include <sys/resource.h>

#include "check.h"
#include "core/log.h"

static struct loop loop;
static uv_timer_t timer;

static void open_married_loop(void) {
    struct net *net;
    struct err err = {0};
    CHECK(loop_init(&loop, &err) == 0);
    CHECK(net_get(&loop, &net, &err) == 0);
    uv_timer_init(&loop.uv, &timer);
}

static void stop_timer(uv_timer_t *handle) {
    (void)handle;
    loop_stop(&loop);
}

static void hold_then_stop(uv_timer_t *handle) {
    double until = loop_seconds() + 0.05;
    while (loop_seconds() < until)
        ;
    uv_timer_start(handle, stop_timer, 10, 0);
}

static void lag_is_the_longest_turn(void) {
    open_married_loop();
    uv_timer_start(&timer, hold_then_stop, 10, 0);
    loop_run(&loop);
    double lag = loop_lag(&loop);
    CHECK(lag >= 0.05 && lag < 5);
    CHECK(loop_lag(&loop) == lag); /* asking does not change it */
    loop_deinit(&loop);
}

static void an_idle_loop_sleeps(void) {
    open_married_loop();
    uv_timer_start(&timer, stop_timer, 300, 0);
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    loop_run(&loop);
    getrusage(RUSAGE_THREAD, &after);
    CHECK(after.ru_nvcsw - before.ru_nvcsw < 10);
    CHECK(loop_lag(&loop) < 0.25);
    loop_deinit(&loop);
}

int main(void) {
    static const struct test tests[] = {TEST(lag_is_the_longest_turn), TEST(an_idle_loop_sleeps)};
    log_configure(LOG_ERROR, LOG_TEXT);
    return RUN(tests);
}
