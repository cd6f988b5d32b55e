/* filter.h - what makes a followed person move smoothly: One-Euro filters (Casiez, Roussel, Vogel
 * 2012) on places, a running mean on visibilities, with MediaPipe's constants and its habits.
 *
 * A One-Euro filter is a low pass whose cut-off rises with speed: a still point does not tremble, a
 * fast one does not lag. All numbers of a group share their clock, because they come together.
 *
 * Threads: as the session's. Nothing is allocated, nothing fails. */
#ifndef STANCE_POSE_FILTER_H
#define STANCE_POSE_FILTER_H

#include "pose/geometry.h"

struct pose_one_euro {
    float raw, smooth, slope; /* the last value, what came out, its speed */
};

struct pose_clock {
    int64_t last;     /* microseconds; 0: no value yet */
    double frequency; /* values a second */
};

struct pose_filters {
    struct pose_clock image_clock, world_clock, circle_clock;
    struct pose_one_euro image[GPU_POSE_LANDMARKS][3]; /* pixels */
    struct pose_one_euro world[GPU_POSE_LANDMARKS][3];
    struct pose_one_euro circle[2][2]; /* of the next square, pixels */
    float visibility[GPU_POSE_LANDMARKS];
    bool visibility_known;
};

/* Forgets everything: somebody new. */
void pose_filters_reset(struct pose_filters *filters);

/* The person was lost. MediaPipe then forgets places in the picture only; `sane` forgets all. */
void pose_filters_lose(struct pose_filters *filters, bool sane);

/* Smooths what was found at `time` (microseconds) in a picture of this size, in place; without
 * `smooth` only where the next square will be. A time that is not after the last one (or 0) leaves
 * values and memory alone. */
void pose_filters_apply(struct pose_filters *filters, int64_t time, bool smooth, uint32_t width,
                        uint32_t height, struct pose_found *found);

#endif
