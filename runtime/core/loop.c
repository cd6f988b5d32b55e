#include "core/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/metrics.h"

static const uint64_t SLOT_NS = 5000000000;

struct post {
    struct post *next;
    void (*call)(void *arg);
    void *arg;
};

struct loop_private {
    uv_async_t wake;
    uv_mutex_t lock;
    struct post *first, **last;        /* guarded by lock */
    uv_prepare_t before_wait;          /* without a driver: ends turns */
    uint64_t turn_began_ns, waited_ns; /* of libuv's waits, when the turn began */
    double lag[2];        /* longest turn: of the present slot of time, and of the one before */
    uint64_t lag_slot_ns; /* when the present slot began */
    struct metric *turn_seconds;
    volatile unsigned long turns;
    double slow_seconds;
    void (*slow_ended)(double took); /* may be NULL */
    struct loop_driver driver;
    bool stopping;
};

static void run_posted(uv_async_t *wake) {
    struct loop *loop = wake->data;
    struct loop_private *p = loop->private;
    uv_mutex_lock(&p->lock);
    struct post *post = p->first;
    p->first = NULL;
    p->last = &p->first;
    uv_mutex_unlock(&p->lock);
    while (post != NULL) {
        struct post *next = post->next;
        post->call(post->arg);
        free(post);
        post = next;
    }
}

/* -- Turns ------------------------------------------------------------------------------------- */

void loop_turn_began(struct loop *loop) {
    loop->private->turn_began_ns = uv_hrtime();
}

static void move_slot(struct loop_private *p, uint64_t now) {
    uint64_t age = now - p->lag_slot_ns;
    if (age < SLOT_NS)
        return;
    p->lag[1] = age < 2 * SLOT_NS ? p->lag[0] : 0;
    p->lag[0] = 0;
    p->lag_slot_ns = now;
}

void loop_turn_ended(struct loop *loop) {
    struct loop_private *p = loop->private;
    if (p->turn_began_ns == 0)
        return; /* the driver has just come */
    uint64_t now = uv_hrtime();
    double seconds = (double)(now - p->turn_began_ns) / 1e9;
    p->turn_began_ns = 0;
    p->turns++;
    move_slot(p, now);
    if (seconds > p->lag[0])
        p->lag[0] = seconds;
    if (p->turn_seconds != NULL)
        metric_observe(p->turn_seconds, seconds);
    if (p->slow_ended != NULL && seconds > p->slow_seconds)
        p->slow_ended(seconds);
}

/* libuv runs callbacks on both sides of its uv_check_t: only its own count of what it waited tells
 * a wait from what came of it. */
static void turn_uv(uv_prepare_t *before_wait) {
    struct loop *loop = before_wait->data;
    struct loop_private *p = loop->private;
    uint64_t waited = uv_metrics_idle_time(&loop->uv);
    if (p->turn_began_ns != 0)
        p->turn_began_ns += waited - p->waited_ns;
    p->waited_ns = waited;
    loop_turn_ended(loop);
    loop_turn_began(loop);
}

static void prepare_turns(struct loop *loop) {
    static const double buckets[] = {0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                     0.05,   0.1,    0.25,  0.5,    1,     2.5};
    struct loop_private *p = loop->private;
    struct metric_family *family = metrics_family(METRIC_HISTOGRAM, "loop_turn_seconds",
                                                  "Seconds of each turn of the event loop.",
                                                  buckets, sizeof buckets / sizeof *buckets, NULL);
    p->turn_seconds = metrics_series(family, NULL);
    uv_loop_configure(&loop->uv, UV_METRICS_IDLE_TIME);
    uv_prepare_init(&loop->uv, &p->before_wait);
    p->before_wait.data = loop;
    uv_prepare_start(&p->before_wait, turn_uv);
    uv_unref((uv_handle_t *)&p->before_wait);
}

/* -- The pool ---------------------------------------------------------------------------------- */

struct work {
    uv_work_t request;
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
    uint64_t queued_ns;
};

static struct { struct metric *queued, *running, *waited, *ran; } pool;

static void prepare_pool(void) {
    const char *threads = getenv("UV_THREADPOOL_SIZE");
    struct metric *size = metrics_single(METRIC_GAUGE, "pool_threads",
                                         "Threads of the pool that works for the loop.");
    metric_set(size, threads != NULL && atoi(threads) > 0 ? atoi(threads) : 4);
    pool.queued =
        metrics_single(METRIC_GAUGE, "pool_queue_length", "Work that waits for a thread.");
    pool.running =
        metrics_single(METRIC_GAUGE, "pool_busy_threads", "Threads of the pool at work.");
    pool.waited = metrics_single(METRIC_HISTOGRAM, "pool_wait_seconds",
                                 "Seconds that work waited for a thread of the pool.");
    pool.ran = metrics_single(METRIC_HISTOGRAM, "pool_work_seconds",
                              "Seconds that a thread of the pool took for a piece of work.");
}

static void work_run(uv_work_t *request) {
    struct work *work = request->data;
    uint64_t began = uv_hrtime();
    metric_add(pool.queued, -1);
    metric_add(pool.running, 1);
    metric_observe(pool.waited, (double)(began - work->queued_ns) / 1e9);
    work->work(work->arg);
    metric_add(pool.running, -1);
    metric_observe(pool.ran, (double)(uv_hrtime() - began) / 1e9);
}

static void work_done(uv_work_t *request, int status) {
    (void)status; /* never cancelled */
    struct work *work = request->data;
    void (*done)(void *arg) = work->done;
    void *arg = work->arg;
    free(work);
    done(arg);
}

void loop_work(struct loop *loop, void (*work)(void *arg), void (*done)(void *arg), void *arg) {
    struct work *job = malloc(sizeof *job);
    if (job == NULL)
        abort();
    *job = (struct work){.work = work, .done = done, .arg = arg, .queued_ns = uv_hrtime()};
    job->request.data = job;
    metric_add(pool.queued, 1);
    if (uv_queue_work(&loop->uv, &job->request, work_run, work_done) < 0)
        abort();
}

/* -- Life -------------------------------------------------------------------------------------- */

int loop_init(struct loop *loop, struct err *err) {
    memset(loop, 0, sizeof *loop);
    struct loop_private *p = calloc(1, sizeof *p);
    if (p == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int status = uv_loop_init(&loop->uv);
    if (status < 0) {
        free(p);
        return err_set_uv(err, status, "cannot start the event loop");
    }
    signal(SIGPIPE, SIG_IGN); /* libuv writes with write(2): a peer that is gone must be an error,
                                 not our end */
    loop->private = p;
    p->last = &p->first;
    uv_mutex_init(&p->lock);
    uv_async_init(&loop->uv, &p->wake, run_posted);
    p->wake.data = loop;
    prepare_turns(loop);
    prepare_pool();
    return 0;
}

static void close_handle(uv_handle_t *handle, void *arg) {
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void loop_deinit(struct loop *loop) {
    struct loop_private *p = loop->private;
    if (p == NULL)
        return;
    run_posted(&p->wake);
    if (p->driver.close != NULL)
        p->driver.close(loop, p->driver.arg);
    uv_walk(&loop->uv, close_handle, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    run_posted(&p->wake); /* pool work that ended meanwhile may have posted */
    uv_loop_close(&loop->uv);
    uv_mutex_destroy(&p->lock);
    free(p);
    loop->private = NULL;
}

void loop_run(struct loop *loop) {
    struct loop_private *p = loop->private;
    p->waited_ns = uv_metrics_idle_time(&loop->uv);
    loop_turn_began(loop);
    while (!p->stopping) /* the driver may come while it runs: the first server brings it */
        if (p->driver.run != NULL)
            p->driver.run(loop, p->driver.arg);
        else
            uv_run(&loop->uv, UV_RUN_ONCE);
    p->stopping = false;
}

void loop_stop(struct loop *loop) {
    struct loop_private *p = loop->private;
    p->stopping = true;
    uv_async_send(&p->wake);
    if (p->driver.stop != NULL)
        p->driver.stop(loop, p->driver.arg);
}

void loop_set_driver(struct loop *loop, const struct loop_driver *driver) {
    struct loop_private *p = loop->private;
    p->driver = driver ? *driver : (struct loop_driver){0};
    p->turn_began_ns = 0;
    if (driver != NULL)
        uv_prepare_stop(&p->before_wait);
}

bool loop_stopping(const struct loop *loop) {
    return loop->private->stopping;
}

void loop_post(struct loop *loop, void (*call)(void *arg), void *arg) {
    struct loop_private *p = loop->private;
    struct post *post = malloc(sizeof *post);
    if (post == NULL)
        abort(); /* a completion that is lost would hang its fiber for ever */
    *post = (struct post){NULL, call, arg};
    uv_mutex_lock(&p->lock);
    *p->last = post;
    p->last = &post->next;
    uv_mutex_unlock(&p->lock);
    uv_async_send(&p->wake);
}

/* -- Clocks ------------------------------------------------------------------------------------ */

double loop_seconds(void) {
    return (double)uv_hrtime() / 1e9;
}

double loop_wall_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double loop_lag(struct loop *loop) {
    struct loop_private *p = loop->private;
    move_slot(p, uv_hrtime());
    return p->lag[0] > p->lag[1] ? p->lag[0] : p->lag[1];
}

unsigned long loop_turns(const struct loop *loop) {
    return loop->private->turns;
}

void loop_watch_slow(struct loop *loop, double seconds, void (*ended)(double took)) {
    loop->private->slow_seconds = seconds;
    loop->private->slow_ended = ended;
}
