/* project.c - from a square's own coordinates to the picture's; see geometry.h. */
#include "pose/geometry.h"

#include <math.h>

void pose_project(const struct pose_raw *raw, const struct pose_roi *roi, uint32_t width,
                  uint32_t height, struct pose_found *out) {
    const float across = (float)width, down = (float)height;
    const float c = cosf(roi->rotation), s = sinf(roi->rotation);
    out->person.id = 0;
    out->person.score = raw->presence;
    for (uint32_t i = 0; i < GPU_POSE_LANDMARKS + 2; i++) {
        const float *point = raw->points[i];
        float x = point[0] - 0.5f, y = point[1] - 0.5f;
        float place[2] = {(c * x - s * y) * (roi->size / across) + roi->x / across,
                          (s * x + c * y) * (roi->size / down) + roi->y / down};
        if (i >= GPU_POSE_LANDMARKS) {
            out->circle[i - GPU_POSE_LANDMARKS][0] = place[0] * across;
            out->circle[i - GPU_POSE_LANDMARKS][1] = place[1] * down;
            continue;
        }
        float *landmark = out->person.landmarks[i], *world = out->person.world[i];
        landmark[0] = place[0];
        landmark[1] = place[1];
        landmark[2] = point[2] * (roi->size / across);
        world[0] = c * raw->world[i][0] - s * raw->world[i][1];
        world[1] = s * raw->world[i][0] + c * raw->world[i][1];
        world[2] = raw->world[i][2];
        landmark[3] = world[3] = point[3];
    }
    const float square[4] = {roi->x, roi->y, roi->size, roi->rotation};
    for (int i = 0; i < 4; i++)
        out->person.roi[i] = square[i];
}
