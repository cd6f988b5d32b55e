/* pose_pool_private.h - what pose_pool.c (calls, tracks, who gets what) and pose_process.c (one
 * process and its link) share. */
#ifndef STANCE_MEDIA_POSE_POOL_PRIVATE_H
#define STANCE_MEDIA_POSE_POOL_PRIVATE_H

#include "core/child.h"
#include "core/metrics.h"
#include "media/pose_pool.h"
#include "media/pose_wire.h"

struct pose_queue {
    struct pose_call *first, *last;
};

struct pose_call {
    struct pose_call *next, *previous;
    struct pose_pool *pool;
    struct pose_track *track;     /* NULL: no track's, or its track is gone */
    struct pose_process *process; /* that looks at it; NULL: it waits */
    pose_answer answer;           /* NULL: nobody wants it */
    void *arg;
    double began;
    unsigned tries; /* processes that died with it */
    bool is_alone;  /* no other goes with it: one of those that a process died with */
    size_t size;    /* of `query` and what follows it; 0: waits for a process only */
    struct pose_query query;
    unsigned char bytes[];
};

struct pose_track {
    struct pose_track *next, **previous;
    struct pose_pool *pool;
    struct pose_process *process; /* NULL: none knows it */
    uint64_t id;
    bool seen; /* a picture was answered */
    bool has_begun;
    double began; /* the time of its first picture */
    unsigned unanswered;
    struct gpu_pose_options options;
};

enum pose_process_state { POSE_PROCESS_STARTING, POSE_PROCESS_READY, POSE_PROCESS_ENDING };

struct pose_process {
    struct pose_process *next;
    struct pose_pool *pool;
    struct child *child;
    enum pose_process_state state;
    bool was_ready, is_slow, has_failed;
    struct pose_queue sent;
    unsigned sent_count, track_count;
    double used; /* loop_seconds: since when it is what it is, or has looked at nothing */
};

struct pose_pool {
    struct pose_pool *next;
    struct pose_pools *all;
    char model[16], asked[16]; /* asked: the backend that was */
    char backend[64];
    uint32_t batch; /* 0: no process has said yet */
    struct pose_process *processes;
    struct pose_queue waiting, frames; /* of no track, and of tracks */
    bool frame_is_next;                /* to be sent, when both wait */
    size_t unanswered;
    unsigned alone; /* calls that are; while there are some, no other is sent */
    struct pose_track *tracks;
    unsigned track_count;
    uint64_t last_track;
    unsigned failures;  /* processes in a row that ended before they were ready */
    double not_before;  /* loop_seconds: when the next may start */
    struct err refused; /* code 0: none; why the last could not be started */
    bool warned;
    uv_timer_t timer;
    struct metric *children, *sessions, *fallbacks;
};

struct pose_pools {
    struct loop *loop;
    struct pose_pools_options options;
    char *program;
    struct pose_pool *first;
    size_t unanswered_bytes; /* of all pools */
};

/* -- pose_pool.c ------------------------------------------------------------------------------- */

/* Sends what can be sent, starts and stops processes, plans when to look again. */
void pose_pool_settle(struct pose_pool *pool);

void pose_queue_add(struct pose_queue *queue, struct pose_call *call);
void pose_queue_remove(struct pose_queue *queue, struct pose_call *call);

/* Ends a call that is in no queue any more. */
void pose_call_end(struct pose_call *call, const char *outcome, const struct err *err,
                   const struct pose_found *found);

/* Nothing of what waits now can be looked at. */
void pose_pool_fail(struct pose_pool *pool, const struct err *err);

/* Its first process is there, or another one. */
void pose_pool_ready(struct pose_pool *pool);

/* What a process that died was looking at: `err` for it, the others wait again. */
void pose_pool_lose(struct pose_process *process, const struct err *err);

/* -- pose_process.c ---------------------------------------------------------------------------- */

/* NULL and `err`: it cannot be started. */
struct pose_process *pose_process_start(struct pose_pool *pool, struct err *err);

/* Hands a call over; false when its link takes no more now. */
bool pose_process_send(struct pose_process *process, struct pose_call *call);

void pose_process_stop(struct pose_process *process);
void pose_process_free(struct pose_process *process); /* kills it; without callbacks */

/* A track is over. */
void pose_process_forget(struct pose_process *process, uint64_t track);

#endif
