/* pose_pool.h - pictures in, people out, by processes that may die.
 *
 * A pool has the pose processes (media/pose_child.h) of one model and backend: none until somebody
 * asks, then one, and more (one a core; one alone with CUDA) while pictures wait; those that nobody
 * needs for a while are stopped. Pictures that have nothing to do with each other go to the process
 * that is least busy, rather to one that knows no track; a track stays with the process that knows
 * it, and its pictures take turns with those of no track, however many wait. When a process dies,
 * what it was looking at fails with ERR_UPSTREAM, what waited goes to another, and its tracks begin
 * anew with their next picture, which says so. (Of a GPU's batch nobody knows which picture it was:
 * each is looked at again, alone, and fails when a process dies of it once more.) One that takes
 * too long over a picture is killed (ERR_TIMEOUT).
 *
 * Bounds: POOL_WAITING_MAX pictures that wait, POOL_TRACK_WAITING of one track, and, of all pools
 * together, POOL_WAITING_BYTES; beyond them ERR_BUSY. The number of processes is one for all pools,
 * too, but each may have one, and keeps its last; what is idle is not counted, and the rest of it
 * is ended by a pool that needs more.
 *
 * Metrics: pose_frames_total{model, backend, outcome}, pose_seconds{stage}, pose_children{model},
 * pose_sessions{model}, pose_fallbacks_total{model}.
 *
 * All on the loop thread, and answers come from the loop, never from within a call. */
#ifndef STANCE_MEDIA_POSE_POOL_H
#define STANCE_MEDIA_POSE_POOL_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/err.h"
#include "core/loop.h"
#include "stance_gpu.h"

enum {
    POOL_WAITING_MAX = 512,
    POOL_WAITING_BYTES = 256 << 20,
    POOL_TRACK_WAITING = 8,
};

struct pose_pools; /* all of a process */
struct pose_pool;
struct pose_track;
struct pose_call; /* a picture that waits for its answer */

struct pose_pools_options {
    const char *program; /* that plays the pose process; NULL: this one */
    unsigned processes;  /* of all pools, at most, but one a pool; 0: one a core */
    double timeout;      /* seconds that a picture may take once it is its turn */
    double start;        /* seconds in which a process must be ready; 0: 60 */
    double idle;         /* seconds after which a process that nobody needs is stopped */
};

int pose_pools_new(struct loop *loop, const struct pose_pools_options *options,
                   struct pose_pools **out, struct err *err);

/* Kills the processes. Calls that are under way must have been cancelled, tracks freed. */
void pose_pools_free(struct pose_pools *pools);

/* The pool of this model and backend ("auto", "cpu", "cuda"), made on first use; lives as long as
 * `pools`. Starts nothing. */
int pose_pools_get(struct pose_pools *pools, const char *model, const char *backend,
                   struct pose_pool **out, struct err *err);

/* A file (JPEG, PNG, WebP), or pixels when width is not 0. */
struct pose_picture {
    const void *bytes;
    size_t size;
    uint32_t width, height, channels; /* 3 or 4 bytes a pixel, rows from the top, no padding */
};

struct pose_found {
    uint32_t width, height; /* of the picture, upright */
    bool reset;             /* the track had to begin anew: its process was lost */
    struct gpu_pose_people people;
};

/* How a call ended, once; `err` or `found` is NULL (both for pose_pool_start). */
typedef void (*pose_answer)(const struct err *err, const struct pose_found *found, void *arg);

/* Waits until a process is there. *call is NULL when one is: there will be no answer. */
int pose_pool_start(struct pose_pool *pool, pose_answer answer, void *arg, struct pose_call **call,
                    struct err *err);

/* The picture is copied. On failure (ERR_BUSY, ERR_TOO_LARGE, ERR_NO_MEMORY) there is no answer. */
int pose_pool_detect(struct pose_pool *pool, const struct gpu_pose_options *options,
                     const struct pose_picture *picture, pose_answer answer, void *arg,
                     struct pose_call **call, struct err *err);

/* NULL: out of memory. */
struct pose_track *pose_track_new(struct pose_pool *pool, const struct gpu_pose_options *options);
void pose_track_free(struct pose_track *track); /* its calls must be over or cancelled */

/* The next picture of a track, at `time` seconds. Answers come in order; ERR_BUSY is one, too: all
 * processes follow as many tracks as they can. */
int pose_track_push(struct pose_track *track, double time, const struct pose_picture *picture,
                    pose_answer answer, void *arg, struct pose_call **call, struct err *err);

/* The answer is no longer wanted and will not come. */
void pose_call_cancel(struct pose_call *call);

/* How a pool is doing. */
struct pose_pool_view {
    const char *model;
    char backend[64]; /* what computes; what was asked for, until a process has said */
    unsigned ready;   /* processes that take pictures */
    unsigned tracks;  /* that are open */
    size_t waiting;   /* pictures that are not answered yet */
    double resident;  /* bytes of memory of all its processes */
    pid_t pids[64];   /* of the processes that are up, `ready` first */
    unsigned pid_count;
};
void pose_pool_look(const struct pose_pool *pool, struct pose_pool_view *view);

#endif
