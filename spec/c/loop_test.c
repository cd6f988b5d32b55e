/* core/loop.h: posts from many threads, pool work, stopping, lag. */
#include "core/loop.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

enum { THREADS = 4, POSTS = 5000 };

static struct loop loop;
static struct err err;

static void open_loop(void) {
    if (loop_init(&loop, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
}

static void stop(void *arg) {
    (void)arg;
    loop_stop(&loop);
}

static void spin(double seconds) {
    double until = loop_seconds() + seconds;
    while (loop_seconds() < until)
        ;
}

/* -- Posts ------------------------------------------------------------------------------------- */

struct letter {
    int sender, number;
};
static int next_of[THREADS], arrived, disordered;
static uv_thread_t loop_thread;

static void letter_arrives(void *arg) {
    struct letter *letter = arg;
    uv_thread_t self = uv_thread_self();
    disordered += next_of[letter->sender]++ != letter->number;
    disordered += !uv_thread_equal(&self, &loop_thread);
    free(letter);
    if (++arrived == THREADS * POSTS)
        loop_stop(&loop);
}

static void sender_runs(void *arg) {
    for (int i = 0; i < POSTS; i++) {
        struct letter *letter = malloc(sizeof *letter);
        *letter = (struct letter){(int)(intptr_t)arg, i};
        loop_post(&loop, letter_arrives, letter);
    }
}

static void posts_of_a_thread_keep_their_order(void) {
    open_loop();
    uv_thread_t senders[THREADS];
    loop_thread = uv_thread_self();
    memset(next_of, 0, sizeof next_of);
    arrived = disordered = 0;
    for (intptr_t i = 0; i < THREADS; i++)
        uv_thread_create(&senders[i], sender_runs, (void *)i);
    loop_run(&loop);
    for (int i = 0; i < THREADS; i++)
        uv_thread_join(&senders[i]);
    CHECK(arrived == THREADS * POSTS);
    CHECK(disordered == 0);
    loop_deinit(&loop);
}

static int chain_left;

static void chain_goes_on(void *arg) {
    if (--chain_left == 0)
        loop_stop(&loop);
    else
        loop_post(&loop, chain_goes_on, arg);
}

static void timer_counts(uv_timer_t *timer) {
    (*(int *)timer->data)++;
}

/* A post that posts again must let timers have their turn. */
static void posts_that_post_do_not_starve_the_loop(void) {
    open_loop();
    int turns = 0;
    uv_timer_t timer;
    uv_timer_init(&loop.uv, &timer);
    timer.data = &turns;
    uv_timer_start(&timer, timer_counts, 1, 1);
    chain_left = 20000;
    loop_post(&loop, chain_goes_on, NULL);
    loop_run(&loop);
    CHECK(chain_left == 0 && turns > 0);
    loop_deinit(&loop);
}

static int calls;

static void count_call(void *arg) {
    calls += (int)(intptr_t)arg;
}

static void posts_that_nobody_ran_are_run_at_the_end(void) {
    open_loop();
    calls = 0;
    loop_post(&loop, count_call, (void *)1);
    loop_post(&loop, count_call, (void *)10);
    loop_deinit(&loop);
    CHECK(calls == 11);
}

/* -- Stopping ---------------------------------------------------------------------------------- */

static void stop_ends_the_run_after_the_present_callback(void) {
    open_loop();
    calls = 0;
    loop_post(&loop, count_call, (void *)1);
    loop_post(&loop, stop, NULL);
    loop_post(&loop, count_call, (void *)10);
    loop_run(&loop);
    CHECK(calls == 1 || calls == 11); /* those that came together may go together */
    CHECK(!loop_stopping(&loop));
    loop_post(&loop, stop, NULL);
    loop_run(&loop); /* and again */
    CHECK(calls == 11);
    loop_deinit(&loop);
}

static void stop_before_the_run_ends_it_at_once(void) {
    open_loop();
    loop_stop(&loop);
    CHECK(loop_stopping(&loop));
    double began = loop_seconds();
    loop_run(&loop);
    CHECK(loop_seconds() - began < 0.5);
    loop_deinit(&loop);
}

static void late_stopper_runs(void *arg) {
    (void)arg;
    usleep(20000);
    loop_post(&loop, stop, NULL);
}

/* With nothing else to do the loop sleeps; a post of another thread wakes it. */
static void a_sleeping_loop_is_woken(void) {
    open_loop();
    uv_thread_t thread;
    uv_thread_create(&thread, late_stopper_runs, NULL);
    double began = loop_seconds();
    loop_run(&loop);
    CHECK(loop_seconds() - began >= 0.015);
    uv_thread_join(&thread);
    loop_deinit(&loop);
}

static void deinit_of_what_was_never_open_is_safe(void) {
    struct loop none;
    memset(&none, 0, sizeof none);
    loop_deinit(&none);
    open_loop();
    loop_deinit(&loop);
    loop_deinit(&loop);
}

/* -- Pool work --------------------------------------------------------------------------------- */

struct work {
    int input, output;
    bool elsewhere, here;
};
static int works_done;

static void work_runs(void *arg) {
    struct work *work = arg;
    uv_thread_t self = uv_thread_self();
    work->elsewhere = !uv_thread_equal(&self, &loop_thread);
    usleep((useconds_t)(work->input % 5) * 100);
    work->output = work->input * 2;
}

static void work_is_done(void *arg) {
    struct work *work = arg;
    uv_thread_t self = uv_thread_self();
    work->here = uv_thread_equal(&self, &loop_thread);
    if (++works_done == 200)
        loop_stop(&loop);
}

static void work_runs_elsewhere_and_ends_here(void) {
    open_loop();
    static struct work works[200];
    loop_thread = uv_thread_self();
    works_done = 0;
    for (int i = 0; i < 200; i++) {
        works[i] = (struct work){.input = i};
        loop_work(&loop, work_runs, work_is_done, &works[i]);
    }
    loop_run(&loop);
    int wrong = 0;
    for (int i = 0; i < 200; i++)
        wrong += works[i].output != 2 * i || !works[i].elsewhere || !works[i].here;
    CHECK(wrong == 0);
    loop_deinit(&loop);
}

static void slow_work_runs(void *arg) {
    usleep(30000);
    loop_post(&loop, count_call, arg); /* pool threads may post, until the very end */
}

static void the_end_waits_for_pool_work(void) {
    open_loop();
    calls = 0;
    for (int i = 0; i < 3; i++)
        loop_work(&loop, slow_work_runs, count_call, (void *)1);
    loop_deinit(&loop);
    CHECK(calls == 6);
}

/* -- Clocks ------------------------------------------------------------------------------------ */

static void clocks_run(void) {
    double mono = loop_seconds(), wall = loop_wall_seconds();
    usleep(10000);
    CHECK(loop_seconds() - mono >= 0.009 && loop_seconds() - mono < 1);
    CHECK(loop_wall_seconds() - wall >= 0.009 && loop_wall_seconds() - wall < 1);
    CHECK(wall > 1.7e9 && wall < 1e11);
}

static void hold_then_stop(uv_timer_t *timer) {
    spin(0.05);
    uv_timer_start(timer, (uv_timer_cb)timer->data, 30, 0);
}

static void stop_timer(uv_timer_t *timer) {
    (void)timer;
    loop_stop(&loop);
}

static void lag_tells_who_held_the_loop(void) {
    open_loop();
    uv_timer_t timer;
    uv_timer_init(&loop.uv, &timer);
    timer.data = (void *)stop_timer;
    uv_timer_start(&timer, hold_then_stop, 20, 0);
    loop_run(&loop);
    double lag = loop_lag(&loop);
    CHECK(lag >= 0.035 && lag < 5);
    CHECK(loop_lag(&loop) == lag); /* asking does not change it */
    loop_deinit(&loop);
}

/* What it waited for is no lag; and to measure it nobody is woken. */
static void an_idle_loop_sleeps(void) {
    open_loop();
    uv_timer_t timer;
    uv_timer_init(&loop.uv, &timer);
    uv_timer_start(&timer, stop_timer, 300, 0);
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    loop_run(&loop);
    getrusage(RUSAGE_THREAD, &after);
    CHECK(after.ru_nvcsw - before.ru_nvcsw < 10);
    CHECK(loop_lag(&loop) < 0.25);
    loop_deinit(&loop);
}

/* -- Drivers ----------------------------------------------------------------------------------- */

static int driver_runs, driver_stops, driver_closes;

static void driver_run(struct loop *driven, void *arg) {
    driver_runs++;
    CHECK(arg == &driver_runs);
    while (!loop_stopping(driven)) {
        uv_run(&driven->uv, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

static void driver_stop(struct loop *driven, void *arg) {
    (void)driven, (void)arg;
    driver_stops++;
}

static void driver_close(struct loop *driven, void *arg) {
    (void)arg;
    driver_closes++;
    loop_set_driver(driven, NULL);
}

static void bring_driver(void *arg) {
    (void)arg;
    static const struct loop_driver driver = {driver_run, driver_stop, driver_close, &driver_runs};
    loop_set_driver(&loop, &driver);
}

static void a_driver_takes_over_while_the_loop_runs(void) {
    open_loop();
    driver_runs = driver_stops = driver_closes = 0;
    uv_thread_t thread;
    loop_post(&loop, bring_driver, NULL);
    uv_thread_create(&thread, late_stopper_runs, NULL);
    loop_run(&loop);
    uv_thread_join(&thread);
    CHECK(driver_runs == 1 && driver_stops == 1 && driver_closes == 0);
    loop_deinit(&loop);
    CHECK(driver_closes == 1);
}

int main(void) {
    static const struct test tests[] = {
        TEST(posts_of_a_thread_keep_their_order),
        TEST(posts_that_post_do_not_starve_the_loop),
        TEST(posts_that_nobody_ran_are_run_at_the_end),
        TEST(stop_ends_the_run_after_the_present_callback),
        TEST(stop_before_the_run_ends_it_at_once),
        TEST(a_sleeping_loop_is_woken),
        TEST(deinit_of_what_was_never_open_is_safe),
        TEST(work_runs_elsewhere_and_ends_here),
        TEST(the_end_waits_for_pool_work),
        TEST(clocks_run),
        TEST(lag_tells_who_held_the_loop),
        TEST(an_idle_loop_sleeps),
        TEST(a_driver_takes_over_while_the_loop_runs),
    };
    return RUN(tests);
}
