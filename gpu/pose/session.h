/* session.h - one stream's memory: whom it follows, whom it has just lost, and how it decides.
 *
 * A frame goes through pose/track.c: pose_session_looks says whether the detector runs, every
 * followed person's square is looked at, and pose_session_take makes the next state of what was
 * found. Only that last step writes, and it cannot fail.
 *
 * Threads: one at a time. */
#ifndef STANCE_POSE_SESSION_H
#define STANCE_POSE_SESSION_H

#include "pose/filter.h"
#include "pose/people.h"

/* A person that is followed, or was until a moment ago. */
struct pose_track {
    uint32_t id;               /* 0: nobody */
    bool followed;             /* else only remembered, to be known again */
    int64_t seen;              /* microseconds */
    struct pose_roi roi;       /* where to look next */
    struct pose_places places; /* as last seen, unsmoothed */
    float speed[2];            /* pixels a second */
    struct pose_filters filters;
};

struct gpu_pose_session {
    struct gpu_pose_options options;
    bool busy;              /* in a call just now */
    uint32_t width, height; /* of the last frame; 0: none yet */
    int64_t looked;         /* microseconds: when the detector ran */
    uint32_t last_id;
    uint32_t track_count; /* for one person 1, else two for each that may be followed */
    struct pose_track tracks[];
};

/* What was found through one square. */
struct pose_result {
    struct pose_found found;
    int32_t track; /* whose square it was; -1: the detector's */
};

int pose_options_check(const struct gpu_pose_options *options, char *why);

/* The next frame is of another size than the last: nobody is followed into it. */
bool pose_session_anew(const struct gpu_pose_session *session, uint32_t width, uint32_t height);

bool pose_session_looks(const struct gpu_pose_session *session, uint32_t width, uint32_t height,
                        int64_t time);

/* The state after a frame, and who is in it. `looked`: the detector ran. Results are used up. */
void pose_session_take(struct gpu_pose_session *session, uint32_t width, uint32_t height,
                       int64_t time, bool looked, struct pose_result *results, uint32_t count,
                       struct gpu_pose_people *people);

/* Somebody is there, and every number is one. */
bool pose_found_holds(const struct pose_found *found, float least);

/* Microseconds, as MediaPipe counts. */
int64_t pose_microseconds(double seconds);

#endif
