/* roi.c - the squares that the landmark network looks at; see geometry.h. */
#include "pose/geometry.h"

#include <math.h>

static const float pi = 3.14159265358979323846f;
static const float margin = 1.25f;  /* side of the square in diameters of the circle */
static const float farthest = 1e6f; /* pixels */

/* To [-pi, pi). */
static float wrap(float angle) {
    return angle - 2.0f * pi * floorf((angle + pi) / (2.0f * pi));
}

struct pose_roi pose_roi_of_circle(const float centre[2], const float circle[2], uint32_t width,
                                   uint32_t height) {
    const float across = (float)width, down = (float)height;
    /* There and back between pixels and 0..1, as often as MediaPipe goes: each rounds. */
    const float x = centre[0] / across * across, y = centre[1] / down * down;
    const float right = circle[0] / across * across - x, below = circle[1] / down * down - y;
    const float diameter = sqrtf(right * right + below * below) * 2.0f;
    const float longer = fmaxf(diameter / across * across, diameter / down * down);
    return (struct pose_roi){
        .x = x / across * across,
        .y = y / down * down,
        .size = fmaxf(longer / across * margin * across, longer / down * margin * down),
        .rotation = wrap(pi / 2.0f - atan2f(-below, right))};
}

struct pose_roi pose_roi_of_candidate(const struct pose_candidate *candidate, uint32_t width,
                                      uint32_t height) {
    float side = (float)(width > height ? width : height), points[2][2];
    for (int i = 0; i < 2; i++) {
        points[i][0] = (candidate->points[i][0] - 0.5f) * side + 0.5f * (float)width;
        points[i][1] = (candidate->points[i][1] - 0.5f) * side + 0.5f * (float)height;
    }
    return pose_roi_of_circle(points[0], points[1], width, height);
}

bool pose_roi_usable(const struct pose_roi *roi) {
    return fabsf(roi->x) < farthest && fabsf(roi->y) < farthest && roi->size > 0.0f &&
           roi->size < farthest && isfinite(roi->rotation);
}

/* Pixels from the one before `low` to the one behind `high`, within [0, size): samples outside take
 * what lies at the edge. */
static void bounds(float low, float high, uint32_t size, uint32_t *first, uint32_t *count) {
    float last = (float)(size - 1);
    float from = fminf(fmaxf(floorf(low) - 1.0f, 0.0f), last);
    float to = fminf(fmaxf(ceilf(high), from), last);
    *first = (uint32_t)from;
    *count = (uint32_t)to - *first + 1;
}

void pose_roi_bounds(const struct pose_roi *roi, uint32_t width, uint32_t height,
                     uint32_t window[4]) {
    float turned = fabsf(cosf(roi->rotation)) + fabsf(sinf(roi->rotation));
    float reach = 0.5f * roi->size * turned;
    bounds(roi->x - reach, roi->x + reach, width, &window[0], &window[2]);
    bounds(roi->y - reach, roi->y + reach, height, &window[1], &window[3]);
}
