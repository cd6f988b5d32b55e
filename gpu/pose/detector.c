/* detector.c - from many boxes around a person to one; see geometry.h. */
#include "pose/geometry.h"

#include <math.h>
#include <string.h>

static const float most_overlap = 0.3f;

static float area(const float box[4]) {
    return (box[2] - box[0]) * (box[3] - box[1]);
}

/* What both share, as a part of what either covers. */
static float overlap(const float a[4], const float b[4]) {
    float width = fminf(a[2], b[2]) - fmaxf(a[0], b[0]);
    float height = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
    if (width <= 0.0f || height <= 0.0f)
        return 0.0f;
    float both = width * height;
    return both / (area(a) + area(b) - both);
}

static void add(struct pose_candidate *sum, const struct pose_candidate *one) {
    for (int i = 0; i < 4; i++)
        sum->box[i] += one->box[i] * one->score;
    for (int i = 0; i < 4; i++) {
        sum->points[i][0] += one->points[i][0] * one->score;
        sum->points[i][1] += one->points[i][1] * one->score;
    }
    sum->score += one->score;
}

uint32_t pose_merge_candidates(struct pose_candidate *candidates, uint32_t count, uint32_t room,
                               struct pose_candidate *out) {
    uint32_t found = 0;
    while (count > 0 && found < room) {
        struct pose_candidate best = candidates[0], sum = {0};
        uint32_t rest = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (overlap(best.box, candidates[i].box) > most_overlap)
                add(&sum, &candidates[i]);
            else if (i > 0) /* a box without area overlaps not even itself: it is dropped */
                candidates[rest++] = candidates[i];
        }
        count = rest;
        if (!(sum.score > 0.0f))
            continue;
        for (int i = 0; i < 4; i++) {
            best.box[i] = sum.box[i] / sum.score;
            best.points[i][0] = sum.points[i][0] / sum.score;
            best.points[i][1] = sum.points[i][1] / sum.score;
        }
        out[found++] = best;
    }
    return found;
}
