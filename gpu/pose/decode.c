/* decode.c - see decode.h. */
#include "pose/decode.h"

#include <string.h>

uint32_t pose_decode_candidates(const float *boxes, const float *logits, float least, uint32_t room,
                                struct pose_candidate *out) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < POSE_ANCHORS; i++) {
        struct pose_candidate one = {.score = pose_score(logits[i])};
        if (!(one.score >= least) || !pose_decode_box(boxes + POSE_BOX_FLOATS * i, i, &one))
            continue;
        uint32_t place = count;
        while (place > 0 && out[place - 1].score < one.score)
            place--;
        if (place == room)
            continue;
        count += count < room;
        memmove(out + place + 1, out + place, (count - 1 - place) * sizeof *out);
        out[place] = one;
    }
    return count;
}

void pose_decode_landmarks(const float *points, float presence, const float *heatmaps,
                           const float *world, struct pose_raw *out) {
    out->presence = presence;
    for (uint32_t i = 0; i < POSE_POINTS; i++) {
        pose_decode_point(points + POSE_POINT_FLOATS * i, out->points[i]);
        pose_refine_point(heatmaps, i, out->points[i]);
    }
    memcpy(out->world, world, sizeof out->world);
}
