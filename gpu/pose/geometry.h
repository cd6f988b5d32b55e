/* geometry.h - from the detector's boxes to the squares that are looked at, and from there to
 * places in the picture. Formulas and their order are MediaPipe's, so that its numbers come out.
 *
 * Threads: any. Nothing is allocated, nothing fails. */
#ifndef STANCE_POSE_GEOMETRY_H
#define STANCE_POSE_GEOMETRY_H

#include "pose/backend.h"

/* -- detector.c ---------------------------------------------------------------------------------
 */

/* Boxes that overlap (more than 0.3 of their union) become one, weighted by their scores: up to
 * `room`, best first. `candidates` come best first and are used up. Returns how many. */
uint32_t pose_merge_candidates(struct pose_candidate *candidates, uint32_t count, uint32_t room,
                               struct pose_candidate *out);

/* -- roi.c --------------------------------------------------------------------------------------
 */

/* The square, upright as the person is, around one whose hips' middle is `centre` and whose whole
 * body lies in the circle around it through `circle` (pixels, in a picture of this size); a quarter
 * larger than that circle. */
struct pose_roi pose_roi_of_circle(const float centre[2], const float circle[2], uint32_t width,
                                   uint32_t height);

/* The same of a box in the letterboxed square that holds a picture of this size. */
struct pose_roi pose_roi_of_candidate(const struct pose_candidate *candidate, uint32_t width,
                                      uint32_t height);

/* False for squares of no size, no numbers, or out of all proportion. */
bool pose_roi_usable(const struct pose_roi *roi);

/* The part of the picture (x, y, width, height; never empty) that sampling the square reads. */
void pose_roi_bounds(const struct pose_roi *roi, uint32_t width, uint32_t height,
                     uint32_t window[4]);

/* -- project.c ----------------------------------------------------------------------------------
 */

/* Somebody found in a picture. */
struct pose_found {
    struct gpu_pose_person person; /* but for its id */
    float circle[2][2];            /* hips' middle and circle point, pixels: the next square */
};

/* What the network said of a square, as places in the picture. */
void pose_project(const struct pose_raw *raw, const struct pose_roi *roi, uint32_t width,
                  uint32_t height, struct pose_found *out);

#endif
