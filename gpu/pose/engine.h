/* engine.h - a backend with room to work in: what detection and tracking have in common.
 *
 * A call goes in two steps: pose_engine_find asks the detector about all pictures that want it,
 * pose_engine_crop collects squares, pose_engine_landmarks looks at all of them at once. Where the
 * GPU fails in between, the step is done again on the CPU, which stays.
 *
 * Threads: one at a time. */
#ifndef STANCE_POSE_ENGINE_H
#define STANCE_POSE_ENGINE_H

#include "pose/session.h"

enum {
    POSE_LOOK_ROOM = POSE_ASSIGN_ROOM, /* persons that one look may find */
    POSE_CANDIDATES = 512,             /* boxes a picture that are asked for */
    POSE_FIND_BATCH = 16,              /* pictures that the detector is given at once */
};

/* What the detector is asked of one picture, and says. */
struct pose_look {
    bool wanted;
    float least;    /* confidence */
    uint32_t count; /* squares, best first */
    struct pose_roi rois[POSE_LOOK_ROOM];
};

/* Whose a square is. */
struct pose_crop {
    uint32_t item; /* picture of the call */
    int32_t track; /* of the session; -1: the detector's */
};

typedef int pose_backend_maker(const struct pose_graphs *graphs, struct pose_backend **out,
                               char *why);

struct gpu_pose_engine {
    struct pose_backend *backend;
    pose_backend_maker *spare; /* what makes another when this one fails; NULL: nothing */
    struct pose_graphs graphs; /* for it */
    char fallback[2 * GPU_WHY_SIZE];

    uint32_t look_room, crop_room, crop_count;
    struct pose_look *looks;                  /* [look_room] */
    struct pose_crop *crops;                  /* [crop_room], with */
    const struct gpu_picture **crop_pictures; /* what is looked at there, */
    struct pose_roi *crop_rois;               /* where, */
    struct pose_raw *raws;                    /* and what was seen */
    struct gpu_picture find_pictures[POSE_FIND_BATCH];
    uint32_t find_items[POSE_FIND_BATCH], find_counts[POSE_FIND_BATCH];
    struct pose_candidate candidates[POSE_FIND_BATCH * POSE_CANDIDATES];
    struct pose_result results[POSE_ASSIGN_ROOM]; /* of one session */
};

/* An engine on a backend. It owns that and the graphs (which may be empty without `spare`) from
 * then on, after a failure too. */
int pose_engine_new(struct pose_backend *backend, struct pose_graphs graphs,
                    pose_backend_maker *spare, struct gpu_pose_engine **out, char *why);

/* Room for a call about so many pictures and squares; forgets those of the last one. */
int pose_engine_begin(struct gpu_pose_engine *engine, uint32_t pictures, uint32_t crops, char *why);

/* Fills in looks[i] of each picture that wants it. */
int pose_engine_find(struct gpu_pose_engine *engine, const struct gpu_picture *pictures,
                     uint32_t count, char *why);

/* One more square to look at; pose_engine_begin has made room. */
void pose_engine_crop(struct gpu_pose_engine *engine, const struct gpu_picture *picture,
                      const struct pose_roi *roi, struct pose_crop crop);

/* Fills in raws[] of all squares. */
int pose_engine_landmarks(struct gpu_pose_engine *engine, char *why);

/* GPU_OK, or GPU_EINVAL and why picture `index` cannot be looked at. */
int pose_picture_check(const struct gpu_picture *picture, uint32_t index, char *why);
bool pose_picture_whole(const struct gpu_picture *picture);

#endif
