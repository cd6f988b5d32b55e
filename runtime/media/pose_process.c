/* pose_process.c - one pose process: its start, its answers, its end. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/launch.h"
#include "core/log.h"
#include "core/utf8.h"
#include "media/pose_pool_private.h"

static const char service[] = "pose";
static const double beat_seconds = 5;

enum { STARTS_MAX = 5 }; /* in a row that may go wrong, within 2 s, until what waits fails */

/* -- Answers ----------------------------------------------------------------------------------- */

static struct metric *stage_seconds(const char *stage) {
    return metrics_series(metrics_family(METRIC_HISTOGRAM, "pose_seconds",
                                         "Seconds that a picture took, by stage.", NULL, 0, NULL),
                          (const char *const[]){"stage", stage, NULL});
}

static void observe(const struct pose_sight *sight, double all) {
    static struct metric *decode, *detect, *landmarks, *wait;
    if (wait == NULL) {
        decode = stage_seconds("decode");
        detect = stage_seconds("detect");
        landmarks = stage_seconds("landmarks");
        wait = stage_seconds("wait");
    }
    double computed = (double)sight->decode_seconds + (double)sight->infer_seconds;
    metric_observe(decode, (double)sight->decode_seconds);
    metric_observe(sight->detected ? detect : landmarks, (double)sight->infer_seconds);
    metric_observe(wait, all > computed ? all - computed : 0);
}

static bool are_numbers(const struct gpu_pose_person *person) {
    const float *one = &person->landmarks[0][0], *other = &person->world[0][0];
    bool good = isfinite(person->score);
    for (int i = 0; i < GPU_POSE_LANDMARKS * 4; i++)
        good = good && isfinite(one[i]) && isfinite(other[i]);
    for (int i = 0; i < 4; i++)
        good = good && isfinite(person->roi[i]);
    return good;
}

/* The process may have been taken over by a picture: nothing is believed unseen. */
static int read_sight(const char *payload, size_t size, struct pose_sight *sight, struct err *err) {
    if (size >= POSE_SIGHT_HEAD && size <= sizeof *sight) {
        memcpy(sight, payload, size);
        bool good = sight->count <= GPU_POSE_MAX_PEOPLE && isfinite(sight->decode_seconds) &&
                    isfinite(sight->infer_seconds) &&
                    size == POSE_SIGHT_HEAD + sight->count * sizeof *sight->person;
        for (uint32_t i = 0; good && i < sight->count; i++)
            good = are_numbers(&sight->person[i]);
        if (good)
            return 0;
    }
    return err_set(err, ERR_UPSTREAM, "the pose process gave a malformed answer");
}

static void read_refusal(const char *payload, size_t size, struct err *err) {
    struct pose_refusal refusal;
    if (size != sizeof refusal) {
        err_set(err, ERR_UPSTREAM, "the pose process gave a malformed answer");
        return;
    }
    memcpy(&refusal, payload, sizeof refusal);
    int code =
        refusal.code <= ERR_INTERNAL && refusal.code >= ERR_UPSTREAM ? refusal.code : ERR_UPSTREAM;
    utf8_blank_controls(refusal.words, sizeof refusal.words);
    err_set(err, code, "%s", refusal.words);
}

static void finish(struct pose_call *call, bool ok, const char *payload, size_t size) {
    struct pose_sight sight = {0};
    struct err err;
    if (!ok) {
        read_refusal(payload, size, &err);
        pose_call_end(call, "refused", &err, NULL);
        return;
    }
    if (read_sight(payload, size, &sight, &err) != 0) {
        pose_call_end(call, "lost", &err, NULL);
        return;
    }
    struct pose_found found = {.width = sight.width, .height = sight.height};
    found.people.count = sight.count;
    found.people.detected = sight.detected != 0;
    memcpy(found.people.person, sight.person, sight.count * sizeof *sight.person);
    if (call->track != NULL) {
        found.reset = sight.fresh != 0 && call->track->seen;
        call->track->seen = true;
    }
    observe(&sight, loop_seconds() - call->began);
    pose_call_end(call, sight.count > 0 ? "people" : "empty", NULL, &found);
}

static void on_reply(const struct err *err, bool ok, const char *payload, size_t size, void *arg) {
    struct pose_call *call = arg;
    struct pose_process *process = call->process;
    struct pose_pool *pool = process->pool;
    if (err != NULL) { /* the calls follow with its exit, when it is known how it died */
        process->is_slow = process->is_slow || err->code == ERR_TIMEOUT;
        process->state = POSE_PROCESS_ENDING;
        if (err->code == ERR_TIMEOUT && process->child != NULL)
            child_stop(process->child, 0);
        return;
    }
    pose_queue_remove(&process->sent, call);
    process->sent_count--;
    process->used = loop_seconds();
    finish(call, ok, payload, size);
    pose_pool_settle(pool);
}

bool pose_process_send(struct pose_process *process, struct pose_call *call) {
    struct link *link = process->child ? child_link(process->child) : NULL;
    double timeout = process->pool->all->options.timeout * (process->sent_count + 1);
    struct err err;
    if (link == NULL ||
        link_request(link, &call->query, call->size, timeout, on_reply, call, &err) == 0)
        return false;
    call->process = process;
    pose_queue_add(&process->sent, call);
    process->sent_count++;
    process->used = loop_seconds();
    return true;
}

void pose_process_forget(struct pose_process *process, uint64_t track) {
    struct link *link = process->child ? child_link(process->child) : NULL;
    struct pose_query query = {.op = POSE_END, .session = track};
    if (link != NULL)
        link_send_event(link, &query, sizeof query, NULL);
}

/* -- News -------------------------------------------------------------------------------------- */

/* Of "cpu (avx2)", "cuda (NVIDIA H200)" the first word becomes a label of metrics. */
static bool is_backend(const struct pose_news *news) {
    size_t word = strcspn(news->backend, " ");
    bool known = (word == 3 && memcmp(news->backend, "cpu", 3) == 0) ||
                 (word == 4 && memcmp(news->backend, "cuda", 4) == 0);
    for (const char *at = news->backend; *at != 0; at++)
        known = known && *at >= ' ' && *at <= '~';
    return known && news->batch >= 1 && news->batch <= POSE_CUDA_BATCH;
}

static void take_backend(struct pose_pool *pool, const struct pose_news *news) {
    snprintf(pool->backend, sizeof pool->backend, "%s", news->backend);
    pool->batch = news->batch;
}

static void take_ready(struct pose_process *process, const struct pose_news *news) {
    struct pose_pool *pool = process->pool;
    if (process->state != POSE_PROCESS_STARTING)
        return;
    process->state = POSE_PROCESS_READY;
    process->was_ready = true;
    process->used = loop_seconds();
    pool->failures = 0;
    take_backend(pool, news);
    metric_add(pool->children, 1);
    log_info(service, "process %d is ready: model %s on %s, %.0f MiB of weights",
             (int)child_pid(process->child), pool->model, pool->backend,
             (double)news->memory / 1048576);
    if (news->words[0] != 0 && !pool->warned)
        log_warn(service, "pose processes are confined without: %s", news->words);
    pool->warned = pool->warned || news->words[0] != 0;
    pose_pool_ready(pool);
}

static void take_failed(struct pose_process *process, const struct pose_news *news) {
    struct err err;
    int code = news->code <= ERR_INTERNAL && news->code >= ERR_UPSTREAM ? news->code : ERR_UPSTREAM;
    err_set(&err, code, "%s", news->words);
    log_warn(service, "model %s on %s: %s", process->pool->model, process->pool->asked,
             err.message);
    process->has_failed = true;
    pose_process_stop(process);
    pose_pool_fail(process->pool, &err);
}

static void on_event(struct link *link, const char *payload, size_t size, void *arg) {
    struct pose_process *process = arg;
    struct pose_news news;
    (void)link;
    if (size != sizeof news)
        return;
    memcpy(&news, payload, sizeof news);
    news.backend[sizeof news.backend - 1] = 0;
    utf8_blank_controls(news.words, sizeof news.words);
    if (news.version != POSE_WIRE_VERSION) {
        news.kind = POSE_FAILED;
        news.code = ERR_UPSTREAM;
        snprintf(news.words, sizeof news.words,
                 "this program's file was replaced by another version: start it again");
    } else if (news.kind != POSE_FAILED && !is_backend(&news)) {
        news.kind = POSE_FAILED;
        news.code = ERR_UPSTREAM;
        snprintf(news.words, sizeof news.words, "the pose process names no backend that there is");
    }
    if (news.kind == POSE_READY) {
        take_ready(process, &news);
    } else if (news.kind == POSE_FAILED) {
        take_failed(process, &news);
    } else if (news.kind == POSE_FALLBACK && process->state == POSE_PROCESS_READY) {
        take_backend(process->pool, &news);
        metric_add(process->pool->fallbacks, 1);
        log_warn(service, "process %d computes on %s from here on: %s",
                 (int)child_pid(process->child), news.backend, news.words);
    }
    pose_pool_settle(process->pool);
}

/* -- Its end ----------------------------------------------------------------------------------- */

static void say_end(const struct pose_process *process, const struct child_exit *end,
                    struct err *err) {
    if (process->is_slow)
        err_set(err, ERR_TIMEOUT,
                "the picture took more than %g s to look at, so its pose process was ended",
                process->pool->all->options.timeout);
    else if (end->signal != 0)
        err_set(err, ERR_UPSTREAM,
                "the pose process was ended by signal %d (%s) while it looked at the picture; "
                "try again",
                end->signal, strsignal(end->signal));
    else
        err_set(err, ERR_UPSTREAM,
                "the pose process ended with status %d while it looked at the picture; try again",
                end->status);
}

/* It ended before it was ready. */
static void count_failure(struct pose_pool *pool, const struct child_exit *end) {
    struct err err;
    pool->not_before = loop_seconds() + 0.1 * (1 << pool->failures);
    if (++pool->failures < STARTS_MAX)
        return;
    pool->failures = 0;
    err_set(&err, ERR_UPSTREAM, "pose processes end while they start, with %s %d; see the log",
            end->signal ? "signal" : "status", end->signal ? end->signal : end->status);
    pose_pool_fail(pool, &err);
}

static void process_ended(struct child *child, const struct child_exit *end, void *arg) {
    struct pose_process *process = arg;
    struct pose_pool *pool = process->pool;
    struct err err;
    (void)child;
    process->state = POSE_PROCESS_ENDING;
    if (process->was_ready)
        metric_add(pool->children, -1);
    else if (!process->has_failed)
        count_failure(pool, end);
    say_end(process, end, &err);
    pose_pool_lose(process, &err);
}

static void on_gone(struct child *child, void *arg) {
    struct pose_process *process = arg;
    struct pose_pool *pool = process->pool;
    struct pose_process **place = &pool->processes;
    while (*place != process)
        place = &(*place)->next;
    *place = process->next;
    child_free(child);
    free(process);
    pose_pool_settle(pool);
}

void pose_process_stop(struct pose_process *process) {
    process->state = POSE_PROCESS_ENDING;
    child_stop(process->child, 2);
}

void pose_process_free(struct pose_process *process) {
    struct child *child = process->child;
    process->child = NULL;
    child_free(child);
    while (process->sent.first != NULL) {
        struct pose_call *call = process->sent.first;
        pose_queue_remove(&process->sent, call);
        free(call);
    }
    free(process);
}

/* -- Its start --------------------------------------------------------------------------------- */

struct pose_process *pose_process_start(struct pose_pool *pool, struct err *err) {
    char own[LAUNCH_PATH_SIZE];
    const char *program = pool->all->program;
    if (program == NULL && launch_own_program(own, err) != 0)
        return NULL;
    const char *argv[] = {program ? program : own,
                          "pose",
                          "--child",
                          "--model",
                          pool->model,
                          "--backend",
                          pool->asked,
                          NULL};
    struct pose_process *process = calloc(1, sizeof *process);
    if (process == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for a pose process");
        return NULL;
    }
    process->pool = pool;
    process->used = loop_seconds();
    struct child_options options = {
        .name = service,
        .argv = argv,
        .capture_stderr = true,
        /* While it computes it does not beat; what takes too long ends by its own time limit. */
        .heartbeat = 2 * beat_seconds + 4 * pool->all->options.timeout,
        .link = {.callbacks = {.event = on_event}, .arg = process, .beat_seconds = beat_seconds},
        .on_exit = process_ended,
        .on_gone = on_gone,
        .arg = process,
    };
    if (child_spawn(pool->all->loop, &options, &process->child, err) != 0) {
        free(process);
        return NULL;
    }
    process->next = pool->processes;
    pool->processes = process;
    return process;
}
