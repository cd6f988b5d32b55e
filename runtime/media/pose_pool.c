#include "media/pose_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/metrics_process.h"
#include "media/pose_pool_private.h"

enum {
    DEPTH = 2,     /* pictures that a process has, so that it need not wait for the next */
    TRIES_MAX = 3, /* processes that may die before a picture that they had not begun */
};

static const double retry_seconds = 0.1;
static const double start_seconds = 60; /* for the largest model, on a busy machine */

/* -- Calls ------------------------------------------------------------------------------------- */

void pose_queue_add(struct pose_queue *queue, struct pose_call *call) {
    call->next = NULL;
    call->previous = queue->last;
    if (queue->last != NULL)
        queue->last->next = call;
    else
        queue->first = call;
    queue->last = call;
}

void pose_queue_remove(struct pose_queue *queue, struct pose_call *call) {
    if (call->previous != NULL)
        call->previous->next = call->next;
    else
        queue->first = call->next;
    if (call->next != NULL)
        call->next->previous = call->previous;
    else
        queue->last = call->previous;
}

/* Where a call waits. */
static struct pose_queue *queue_of(struct pose_call *call) {
    return call->query.op == POSE_PUSH ? &call->pool->frames : &call->pool->waiting;
}

static void push_front(struct pose_call *call) {
    struct pose_queue *queue = queue_of(call);
    call->previous = NULL;
    call->next = queue->first;
    if (queue->first != NULL)
        queue->first->previous = call;
    else
        queue->last = call;
    queue->first = call;
}

static void count_frame(const struct pose_pool *pool, const char *outcome) {
    char backend[16];
    const char *name = pool->backend[0] ? pool->backend : pool->asked;
    snprintf(backend, sizeof backend, "%.*s", (int)strcspn(name, " "), name);
    struct metric_family *family =
        metrics_family(METRIC_COUNTER, "pose_frames_total",
                       "Pictures looked at for people, by how it went.", NULL, 0, NULL);
    metric_add(metrics_series(family, (const char *const[]){"model", pool->model, "backend",
                                                            backend, "outcome", outcome, NULL}),
               1);
}

void pose_call_end(struct pose_call *call, const char *outcome, const struct err *err,
                   const struct pose_found *found) {
    struct pose_pool *pool = call->pool;
    pool->unanswered--;
    pool->all->unanswered_bytes -= call->size;
    pool->alone -= call->is_alone;
    if (call->track != NULL)
        call->track->unanswered--;
    if (call->size > 0)
        count_frame(pool, outcome);
    if (call->answer != NULL)
        call->answer(err, found, call->arg);
    free(call);
}

void pose_call_cancel(struct pose_call *call) {
    call->answer = NULL;
    if (call->process == NULL) {
        pose_queue_remove(queue_of(call), call);
        pose_call_end(call, "cancelled", NULL, NULL);
    }
}

static void fail_queue(struct pose_queue *queue, const struct err *err) {
    size_t count = 0; /* that wait now: an answer may ask again at once, for ever */
    for (const struct pose_call *call = queue->first; call != NULL; call = call->next)
        count++;
    for (; count > 0 && queue->first != NULL; count--) {
        struct pose_call *call = queue->first;
        pose_queue_remove(queue, call);
        pose_call_end(call, "lost", err, NULL);
    }
}

void pose_pool_fail(struct pose_pool *pool, const struct err *err) {
    fail_queue(&pool->waiting, err);
    fail_queue(&pool->frames, err);
}

void pose_pool_ready(struct pose_pool *pool) {
    for (struct pose_call *call = pool->waiting.first; call != NULL;) {
        if (call->size > 0) {
            call = call->next;
            continue;
        }
        pose_queue_remove(&pool->waiting, call);
        pose_call_end(call, "", NULL, NULL);
        call = pool->waiting.first; /* its answer may have changed the queue */
    }
}

void pose_pool_lose(struct pose_process *process, const struct err *err) {
    struct pose_pool *pool = process->pool;
    for (struct pose_track *track = pool->tracks; track != NULL; track = track->next)
        if (track->process == process)
            track->process = NULL;
    /* Of pictures that went together nobody knows which it was: each is looked at again, alone. */
    bool together = pool->batch > 1 && process->sent.first != process->sent.last;
    /* The last first, so that they stand in their old order before all others. */
    while (process->sent.last != NULL && (together || process->sent.last != process->sent.first) &&
           process->sent.last->tries + 1 < TRIES_MAX) {
        struct pose_call *call = process->sent.last;
        pose_queue_remove(&process->sent, call);
        call->process = NULL;
        call->tries++;
        call->is_alone = together;
        pool->alone += together;
        if (call->answer != NULL)
            push_front(call);
        else
            pose_call_end(call, "cancelled", NULL, NULL);
    }
    while (process->sent.first != NULL) {
        struct pose_call *call = process->sent.first;
        pose_queue_remove(&process->sent, call);
        pose_call_end(call, err->code == ERR_TIMEOUT ? "timeout" : "lost", err, NULL);
    }
    process->sent_count = 0;
}

/* -- Who gets what ----------------------------------------------------------------------------- */

static unsigned count_processes(const struct pose_pool *pool, bool only_starting) {
    unsigned count = 0;
    for (const struct pose_process *p = pool->processes; p != NULL; p = p->next)
        count +=
            only_starting ? p->state == POSE_PROCESS_STARTING : p->state != POSE_PROCESS_ENDING;
    return count;
}

static bool has_room(const struct pose_process *process) {
    const struct pose_pool *pool = process->pool;
    uint32_t most = pool->alone > 0 ? 1 : pool->batch > 1 ? 2 * pool->batch : DEPTH;
    return process->state == POSE_PROCESS_READY && process->sent_count < most;
}

static bool is_idle(const struct pose_process *process) {
    return process->state == POSE_PROCESS_READY && process->sent_count == 0 &&
           process->track_count == 0;
}

static unsigned count_all(const struct pose_pools *pools) {
    unsigned count = 0;
    for (const struct pose_pool *pool = pools->first; pool != NULL; pool = pool->next)
        count += count_processes(pool, false);
    return count;
}

static unsigned count_idle_elsewhere(const struct pose_pool *pool) {
    unsigned count = 0;
    for (const struct pose_pool *other = pool->all->first; other != NULL; other = other->next)
        for (const struct pose_process *p = other->processes; p != NULL; p = p->next)
            count += other != pool && is_idle(p);
    return count;
}

/* An idle process of another pool, but not its last; NULL: there is none. */
static struct pose_process *find_spare(const struct pose_pool *pool) {
    for (const struct pose_pool *other = pool->all->first; other != NULL; other = other->next)
        for (struct pose_process *p = other->processes; p != NULL; p = p->next)
            if (other != pool && is_idle(p) && count_processes(other, false) > 1)
                return p;
    return NULL;
}

/* Each pool may have one: else it would wait for the tracks of others. Nobody knows what computes
 * before the first has said so; with CUDA one process has it all. */
static bool may_start(const struct pose_pool *pool) {
    return count_processes(pool, false) == 0 ||
           (pool->batch == 1 &&
            count_all(pool->all) - count_idle_elsewhere(pool) < pool->all->options.processes);
}

/* Starts another when there may be one. */
static struct pose_process *start_another(struct pose_pool *pool) {
    struct err err;
    struct pose_process *spare;
    if (!may_start(pool) || loop_seconds() < pool->not_before)
        return NULL;
    while (count_all(pool->all) >= pool->all->options.processes &&
           (spare = find_spare(pool)) != NULL)
        pose_process_stop(spare);
    struct pose_process *process = pose_process_start(pool, &err);
    if (process == NULL) {
        log_error("pose", "%s", err.message);
        pool->not_before = loop_seconds() + 1;
        pool->refused = err; /* for those that wait, once nobody goes through them */
    }
    return process;
}

static struct pose_process *least_tracks(struct pose_pool *pool) {
    struct pose_process *best = NULL;
    for (struct pose_process *p = pool->processes; p != NULL; p = p->next)
        if (p->state != POSE_PROCESS_ENDING && p->track_count < POSE_SESSIONS_MAX &&
            (best == NULL || p->track_count < best->track_count))
            best = p;
    return best;
}

static struct pose_process *of_track(struct pose_track *track) {
    struct pose_pool *pool = track->pool;
    if (track->process == NULL && pool->batch > 0) {
        struct pose_process *best = least_tracks(pool);
        if (best == NULL || best->track_count > 0) {
            struct pose_process *other = start_another(pool);
            best = other ? other : best;
        }
        track->process = best;
        if (best != NULL)
            best->track_count++;
    }
    return track->process;
}

/* Is `a` the better one for a picture of no track? What it may do to a process is to cost no track,
 * where that can be helped. */
static bool is_better(const struct pose_process *a, const struct pose_process *b) {
    bool a_has_tracks = a->track_count > 0, b_has_tracks = b->track_count > 0;
    return a_has_tracks != b_has_tracks ? b_has_tracks : a->sent_count < b->sent_count;
}

static struct pose_process *least_busy(struct pose_pool *pool) {
    struct pose_process *best = NULL;
    for (struct pose_process *p = pool->processes; p != NULL; p = p->next)
        if (has_room(p) && (best == NULL || is_better(p, best)))
            best = p;
    return best;
}

static struct pose_process *find_process(struct pose_call *call) {
    return call->track != NULL ? of_track(call->track) : least_busy(call->pool);
}

/* The first of a queue that there is a process with room for. */
static struct pose_call *first_to_send(const struct pose_queue *queue,
                                       struct pose_process **process) {
    struct pose_call *call = queue->first;
    for (; call != NULL; call = call->next) {
        bool may_go = call->size > 0 && (call->pool->alone == 0 || call->is_alone);
        *process = may_go ? find_process(call) : NULL;
        if (*process != NULL && has_room(*process))
            break;
    }
    return call;
}

/* Frames of tracks and other pictures take turns: however many of the ones wait, they are but one
 * picture before each of the others. */
static void send_waiting(struct pose_pool *pool) {
    struct pose_process *process;
    for (;;) {
        bool is_frame = pool->frame_is_next;
        struct pose_call *call = first_to_send(is_frame ? &pool->frames : &pool->waiting, &process);
        if (call == NULL)
            call = first_to_send(is_frame ? &pool->waiting : &pool->frames, &process);
        if (call == NULL)
            return;
        pose_queue_remove(queue_of(call), call);
        if (!pose_process_send(process, call)) {
            push_front(call);
            return;
        }
        pool->frame_is_next = call->query.op != POSE_PUSH;
    }
}

/* How many wait for want of a process. */
static size_t count_stuck(struct pose_pool *pool) {
    bool is_any = least_busy(pool) != NULL;
    size_t stuck = 0;
    for (struct pose_call *call = pool->waiting.first; call != NULL; call = call->next)
        stuck += call->size == 0 || !is_any;
    for (struct pose_call *call = pool->frames.first; call != NULL; call = call->next)
        stuck += of_track(call->track) == NULL;
    return stuck;
}

/* Ends a picture of a track that no process can follow, nor any that may be started. One in a turn
 * of the loop: its answer may ask again at once, for ever. */
static bool refuse_track(struct pose_pool *pool) {
    struct err err;
    struct pose_call *call = pool->frames.first;
    while (call != NULL && (pool->batch == 0 || of_track(call->track) != NULL || may_start(pool)))
        call = call->next;
    if (call == NULL)
        return false;
    err_set(
        &err, ERR_BUSY,
        "the pose processes of model %s (%u) follow %d sessions each already, the most that one "
        "can; close a session that nobody needs",
        pool->model, count_processes(pool, false), POSE_SESSIONS_MAX);
    pose_queue_remove(&pool->frames, call);
    pose_call_end(call, "busy", &err, NULL);
    return true;
}

/* Ends what nobody needs, and what does not get ready. */
static void stop_some(struct pose_pool *pool, double now) {
    double idle = pool->all->options.idle, start = pool->all->options.start;
    for (struct pose_process *p = pool->processes; p != NULL; p = p->next) {
        if (is_idle(p) && now - p->used >= idle) {
            log_info("pose", "process %d was not needed for %g s", (int)child_pid(p->child), idle);
            pose_process_stop(p);
        } else if (p->state == POSE_PROCESS_STARTING && now - p->used >= start) {
            log_warn("pose", "process %d was not ready in %g s: killed", (int)child_pid(p->child),
                     start);
            p->state = POSE_PROCESS_ENDING;
            child_stop(p->child, 0);
        }
    }
}

/* Seconds until something is to be done that no event will bring; < 0: nothing is. */
static double next_look(const struct pose_pool *pool, double now) {
    bool is_expected = false; /* an event of a process is */
    double next = -1;
    for (const struct pose_process *p = pool->processes; p != NULL; p = p->next) {
        bool is_starting = p->state == POSE_PROCESS_STARTING;
        double left =
            p->used - now + (is_starting ? pool->all->options.start : pool->all->options.idle);
        if ((is_idle(p) || is_starting) && (next < 0 || left < next))
            next = left > 0 ? left : 0;
        is_expected = is_expected || p->state != POSE_PROCESS_READY || p->sent_count > 0;
    }
    if ((pool->waiting.first != NULL || pool->frames.first != NULL) && !is_expected) {
        double left = pool->not_before > now ? pool->not_before - now : retry_seconds;
        next = next < 0 || left < next ? left : next;
    }
    return next;
}

static void look(uv_timer_t *timer) {
    pose_pool_settle(timer->data);
}

/* Soon, from the loop. */
static void wake(struct pose_pool *pool) {
    uv_timer_start(&pool->timer, look, 0, 0);
}

void pose_pool_settle(struct pose_pool *pool) {
    send_waiting(pool);
    size_t stuck = count_stuck(pool);
    while (stuck > count_processes(pool, true) && start_another(pool) != NULL)
        ;
    if (pool->refused.code != 0 && count_processes(pool, false) == 0)
        pose_pool_fail(pool, &pool->refused);
    pool->refused.code = 0;
    bool was_refused = refuse_track(pool);
    double now = loop_seconds();
    stop_some(pool, now);
    double next = next_look(pool, now);
    if (was_refused)
        wake(pool);
    else if (next < 0)
        uv_timer_stop(&pool->timer);
    else
        uv_timer_start(&pool->timer, look, (uint64_t)(next * 1000) + 1, 0);
}

/* -- Asking ------------------------------------------------------------------------------------ */

static int check_room(struct pose_pool *pool, const struct pose_picture *picture, struct err *err) {
    size_t size = picture ? picture->size : 0;
    size_t bytes = pool->all->unanswered_bytes;
    if (size > POSE_PICTURE_MAX)
        return err_set(err, ERR_TOO_LARGE, "a picture of %zu bytes; the limit is %d", size,
                       POSE_PICTURE_MAX);
    if (pool->unanswered >= POOL_WAITING_MAX || bytes + size > POOL_WAITING_BYTES)
        return err_set(err, ERR_BUSY,
                       "%zu pictures wait for this model already, %.0f MiB for all models; at most "
                       "%d and %d MiB may",
                       pool->unanswered, (double)bytes / 1048576, POOL_WAITING_MAX,
                       POOL_WAITING_BYTES >> 20);
    return 0;
}

static int new_call(struct pose_pool *pool, const struct pose_picture *picture, pose_answer answer,
                    void *arg, struct pose_call **out, struct err *err) {
    size_t size = picture ? picture->size : 0;
    int code = check_room(pool, picture, err);
    if (code != 0) {
        if (code == ERR_BUSY && picture != NULL)
            count_frame(pool, "busy");
        return code;
    }
    struct pose_call *call = malloc(sizeof *call + size);
    if (call == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a picture of %zu bytes", size);
    *call = (struct pose_call){.pool = pool, .answer = answer, .arg = arg, .began = loop_seconds()};
    if (picture != NULL) {
        memcpy(call->bytes, picture->bytes, size);
        call->size = sizeof call->query + size;
        call->query.width = picture->width;
        call->query.height = picture->height;
        call->query.channels = picture->channels;
    }
    pool->unanswered++;
    pool->all->unanswered_bytes += call->size;
    *out = call;
    return 0;
}

static void enqueue(struct pose_call *call) {
    pose_queue_add(queue_of(call), call);
    wake(call->pool);
}

int pose_pool_start(struct pose_pool *pool, pose_answer answer, void *arg, struct pose_call **call,
                    struct err *err) {
    *call = NULL;
    for (const struct pose_process *p = pool->processes; p != NULL; p = p->next)
        if (p->state == POSE_PROCESS_READY)
            return 0;
    int code = new_call(pool, NULL, answer, arg, call, err);
    if (*call != NULL)
        enqueue(*call);
    return code;
}

int pose_pool_detect(struct pose_pool *pool, const struct gpu_pose_options *options,
                     const struct pose_picture *picture, pose_answer answer, void *arg,
                     struct pose_call **call, struct err *err) {
    int code = new_call(pool, picture, answer, arg, call, err);
    if (code != 0)
        return code;
    (*call)->query.op = POSE_DETECT;
    (*call)->query.options = *options;
    enqueue(*call);
    return 0;
}

/* -- Tracks ------------------------------------------------------------------------------------ */

struct pose_track *pose_track_new(struct pose_pool *pool, const struct gpu_pose_options *options) {
    struct pose_track *track = calloc(1, sizeof *track);
    if (track == NULL)
        return NULL;
    track->pool = pool;
    track->options = *options;
    track->id = ++pool->last_track;
    track->next = pool->tracks;
    track->previous = &pool->tracks;
    if (track->next != NULL)
        track->next->previous = &track->next;
    pool->tracks = track;
    pool->track_count++;
    metric_add(pool->sessions, 1);
    return track;
}

void pose_track_free(struct pose_track *track) {
    if (track == NULL)
        return;
    struct pose_pool *pool = track->pool;
    struct pose_process *process = track->process;
    for (struct pose_process *p = pool->processes; p != NULL; p = p->next)
        for (struct pose_call *call = p->sent.first; call != NULL; call = call->next)
            if (call->track == track)
                call->track = NULL;
    if (process != NULL) {
        process->track_count--;
        process->used = loop_seconds();
        if (process->state == POSE_PROCESS_READY)
            pose_process_forget(process, track->id);
    }
    *track->previous = track->next;
    if (track->next != NULL)
        track->next->previous = track->previous;
    pool->track_count--;
    metric_add(pool->sessions, -1);
    free(track);
    wake(pool);
}

int pose_track_push(struct pose_track *track, double time, const struct pose_picture *picture,
                    pose_answer answer, void *arg, struct pose_call **call, struct err *err) {
    if (track->unanswered >= POOL_TRACK_WAITING) {
        count_frame(track->pool, "busy");
        return err_set(err, ERR_BUSY, "%u pictures of this track wait to be looked at already",
                       track->unanswered);
    }
    int code = new_call(track->pool, picture, answer, arg, call, err);
    if (code != 0)
        return code;
    if (!track->has_begun)
        track->began = time;
    track->has_begun = true;
    struct pose_query *query = &(*call)->query;
    query->op = POSE_PUSH;
    query->options = track->options;
    query->session = track->id;
    query->time = 1 + time - track->began; /* the pipeline counts from above 0 */
    (*call)->track = track;
    track->unanswered++;
    enqueue(*call);
    return 0;
}

/* -- Pools ------------------------------------------------------------------------------------- */

int pose_pools_new(struct loop *loop, const struct pose_pools_options *options,
                   struct pose_pools **out, struct err *err) {
    struct pose_pools *pools = calloc(1, sizeof *pools);
    if (pools == NULL || (options->program && !(pools->program = strdup(options->program)))) {
        free(pools);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    pools->loop = loop;
    pools->options = *options;
    pools->options.program = pools->program;
    pools->options.start = options->start > 0 ? options->start : start_seconds;
    if (options->processes == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        pools->options.processes = cores > 64 ? 64 : cores < 1 ? 1 : (unsigned)cores;
    }
    *out = pools;
    return 0;
}

static void timer_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void free_pool(struct pose_pool *pool) {
    while (pool->processes != NULL) {
        struct pose_process *process = pool->processes;
        pool->processes = process->next;
        pose_process_free(process);
    }
    uv_close((uv_handle_t *)&pool->timer, timer_closed);
}

void pose_pools_free(struct pose_pools *pools) {
    if (pools == NULL)
        return;
    while (pools->first != NULL) {
        struct pose_pool *pool = pools->first;
        pools->first = pool->next;
        free_pool(pool);
    }
    free(pools->program);
    free(pools);
}

static int add_metrics(struct pose_pool *pool, struct err *err) {
    const char *const labels[] = {"model", pool->model, NULL};
    struct metric_family *children = metrics_family(
        METRIC_GAUGE, "pose_children", "Pose processes that take pictures.", NULL, 0, err);
    struct metric_family *sessions = metrics_family(
        METRIC_GAUGE, "pose_sessions", "Tracks that pictures are pushed to.", NULL, 0, err);
    struct metric_family *fallbacks =
        metrics_family(METRIC_COUNTER, "pose_fallbacks_total",
                       "Times that a pose process gave its GPU up for the CPU.", NULL, 0, err);
    pool->children = metrics_series(children, labels);
    pool->sessions = metrics_series(sessions, labels);
    pool->fallbacks = metrics_series(fallbacks, labels);
    return children && sessions && fallbacks ? 0 : err->code;
}

int pose_pools_get(struct pose_pools *pools, const char *model, const char *backend,
                   struct pose_pool **out, struct err *err) {
    struct pose_pool *pool = pools->first;
    while (pool != NULL && (strcmp(pool->model, model) != 0 || strcmp(pool->asked, backend) != 0))
        pool = pool->next;
    *out = pool;
    if (pool != NULL)
        return 0;
    if ((pool = calloc(1, sizeof *pool)) == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    pool->all = pools;
    snprintf(pool->model, sizeof pool->model, "%s", model);
    snprintf(pool->asked, sizeof pool->asked, "%s", backend);
    if (add_metrics(pool, err) != 0) {
        free(pool);
        return err->code;
    }
    uv_timer_init(&pools->loop->uv, &pool->timer);
    pool->timer.data = pool;
    pool->next = pools->first;
    pools->first = pool;
    *out = pool;
    return 0;
}

static void add_processes(const struct pose_pool *pool, struct pose_pool_view *view, bool ready) {
    for (const struct pose_process *p = pool->processes; p != NULL; p = p->next) {
        struct process_usage usage;
        pid_t pid = child_pid(p->child);
        if ((p->state == POSE_PROCESS_READY) != ready || pid == 0 ||
            view->pid_count == sizeof view->pids / sizeof *view->pids)
            continue;
        view->pids[view->pid_count++] = pid;
        if (process_read_usage(pid, &usage))
            view->resident += usage.resident;
    }
}

void pose_pool_look(const struct pose_pool *pool, struct pose_pool_view *view) {
    *view = (struct pose_pool_view){
        .model = pool->model, .tracks = pool->track_count, .waiting = pool->unanswered};
    snprintf(view->backend, sizeof view->backend, "%s",
             pool->backend[0] ? pool->backend : pool->asked);
    add_processes(pool, view, true);
    view->ready = view->pid_count;
    add_processes(pool, view, false);
}
