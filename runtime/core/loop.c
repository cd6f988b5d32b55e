#include "core/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct post {
    struct post *next;
    void (*call)(void *arg);
    void *arg;
};

struct loop_private {
    uv_async_t wake;
    uv_mutex_t lock;
    struct post *first, **last; /* guarded by lock */
    uv_timer_t lag_timer;
    uint64_t lag_due;
    double lag_max;
    struct loop_driver driver;
    bool stopping;
};

enum { LAG_PERIOD_MS = 10 };

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

static void measure_lag(uv_timer_t *timer) {
    struct loop_private *p = timer->data;
    uint64_t now = uv_hrtime();
    double late = now > p->lag_due ? (double)(now - p->lag_due) / 1e9 : 0;
    if (late > p->lag_max)
        p->lag_max = late;
    p->lag_due = now + LAG_PERIOD_MS * 1000000ull;
}

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
    uv_timer_init(&loop->uv, &p->lag_timer);
    p->lag_timer.data = p;
    p->lag_due = uv_hrtime() + LAG_PERIOD_MS * 1000000ull;
    uv_timer_start(&p->lag_timer, measure_lag, LAG_PERIOD_MS, LAG_PERIOD_MS);
    uv_unref((uv_handle_t *)&p->lag_timer);
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
    loop->private->driver = driver ? *driver : (struct loop_driver){0};
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

struct work {
    uv_work_t request;
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

static void work_run(uv_work_t *request) {
    struct work *work = request->data;
    work->work(work->arg);
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
    *job = (struct work){.work = work, .done = done, .arg = arg};
    job->request.data = job;
    if (uv_queue_work(&loop->uv, &job->request, work_run, work_done) < 0)
        abort();
}

double loop_seconds(void) {
    return (double)uv_hrtime() / 1e9;
}

double loop_wall_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double loop_lag_max(struct loop *loop) {
    double lag = loop->private->lag_max;
    loop->private->lag_max = 0;
    return lag;
}
