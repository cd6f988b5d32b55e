/* filter.c - see filter.h. Numbers are kept as float and computed in double where MediaPipe does
 * so. */
#include "pose/filter.h"

#include <math.h>
#include <string.h>

static const double first_frequency = 30.0; /* until there are two values */
static const double slope_cutoff = 1.0;     /* Hz */
static const float visibility_share = 0.1f; /* of the new value */
static const float smallest_person = 1e-6f; /* pixels; smaller ones are not smoothed */

/* How soon a group follows: cut-off at rest (Hz), and what speed adds to it. */
struct pose_pace {
    double least, beta;
};
static const struct pose_pace image_pace = {0.05, 80.0};
static const struct pose_pace world_pace = {0.1, 40.0};
static const struct pose_pace circle_pace = {0.01, 10.0};

void pose_filters_reset(struct pose_filters *filters) {
    memset(filters, 0, sizeof *filters);
}

void pose_filters_lose(struct pose_filters *filters, bool sane) {
    if (sane) {
        pose_filters_reset(filters);
        return;
    }
    filters->image_clock.last = 0;
    filters->circle_clock.last = 0;
}

/* Goes to `time`. False where it is not later: the group is left alone then. */
static bool advance(struct pose_clock *clock, int64_t time, bool *first) {
    *first = clock->last == 0;
    if (time <= clock->last)
        return false;
    clock->frequency = *first ? first_frequency : 1e6 / (double)(time - clock->last);
    clock->last = time;
    return true;
}

/* A new value's share that gives this cut-off. */
static double share(double cutoff, double frequency) {
    return 1.0 / (1.0 + frequency / (2.0 * M_PI * cutoff));
}

static float low_pass(float value, float last, float part) {
    return (float)((double)(part * value) + (1.0 - (double)part) * (double)last);
}

static float one_euro(struct pose_one_euro *filter, struct pose_pace pace, double frequency,
                      bool first, float scale, float value) {
    if (first) {
        *filter = (struct pose_one_euro){.raw = value, .smooth = value};
        return value;
    }
    double speed = (double)(value - filter->raw) * (double)scale * frequency;
    filter->slope = low_pass((float)speed, filter->slope, (float)share(slope_cutoff, frequency));
    double cutoff = pace.least + pace.beta * fabs((double)filter->slope);
    filter->raw = value;
    filter->smooth = low_pass(value, filter->smooth, (float)share(cutoff, frequency));
    return filter->smooth;
}

static void smooth_image(struct pose_filters *filters, int64_t time, float scale, float width,
                         float height, float landmarks[][4]) {
    bool first;
    if (!advance(&filters->image_clock, time, &first))
        return;
    const float units[3] = {width, height, width};
    for (uint32_t i = 0; i < GPU_POSE_LANDMARKS; i++)
        for (int axis = 0; axis < 3; axis++)
            landmarks[i][axis] =
                one_euro(&filters->image[i][axis], image_pace, filters->image_clock.frequency,
                         first, scale, landmarks[i][axis] * units[axis]) /
                units[axis];
}

static void smooth_world(struct pose_filters *filters, int64_t time, float world[][4]) {
    bool first;
    if (!advance(&filters->world_clock, time, &first))
        return;
    for (uint32_t i = 0; i < GPU_POSE_LANDMARKS; i++)
        for (int axis = 0; axis < 3; axis++)
            world[i][axis] = one_euro(&filters->world[i][axis], world_pace,
                                      filters->world_clock.frequency, first, 1.0f, world[i][axis]);
}

static void smooth_circle(struct pose_filters *filters, int64_t time, float scale,
                          float circle[2][2]) {
    bool first;
    if (!advance(&filters->circle_clock, time, &first))
        return;
    for (int i = 0; i < 2; i++)
        for (int axis = 0; axis < 2; axis++)
            circle[i][axis] =
                one_euro(&filters->circle[i][axis], circle_pace, filters->circle_clock.frequency,
                         first, scale, circle[i][axis]);
}

static void smooth_visibility(struct pose_filters *filters, struct gpu_pose_person *person) {
    for (uint32_t i = 0; i < GPU_POSE_LANDMARKS; i++) {
        float value = person->landmarks[i][3];
        if (filters->visibility_known)
            value = low_pass(value, filters->visibility[i], visibility_share);
        filters->visibility[i] = value;
        person->landmarks[i][3] = person->world[i][3] = value;
    }
    filters->visibility_known = true;
}

void pose_filters_apply(struct pose_filters *filters, int64_t time, bool smooth, uint32_t width,
                        uint32_t height, struct pose_found *found) {
    float right = found->circle[1][0] - found->circle[0][0];
    float down = found->circle[1][1] - found->circle[0][1];
    float size = 2.0f * sqrtf(right * right + down * down);
    if (smooth) {
        smooth_visibility(filters, &found->person);
        smooth_world(filters, time, found->person.world);
    }
    if (!(size >= smallest_person))
        return;
    if (smooth)
        smooth_image(filters, time, 1.0f / size, (float)width, (float)height,
                     found->person.landmarks);
    smooth_circle(filters, time, 1.0f / size, found->circle);
}
