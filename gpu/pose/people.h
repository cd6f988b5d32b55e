/* people.h - who is who: the same person found twice, and the same person a frame later.
 *
 * Distances between two poses are means over all landmarks, in sides of the square that the person
 * was found in: about 1.2 times what a standing person is tall.
 *
 * Threads: any. Nothing is allocated, nothing fails. */
#ifndef STANCE_POSE_PEOPLE_H
#define STANCE_POSE_PEOPLE_H

#include "pose/geometry.h"

enum { POSE_ASSIGN_ROOM = 2 * GPU_POSE_MAX_PEOPLE };

/* Landmarks in pixels. */
struct pose_places {
    float at[GPU_POSE_LANDMARKS][2];
    float size; /* side of the square */
};

void pose_places_of(const struct gpu_pose_person *person, uint32_t width, uint32_t height,
                    struct pose_places *out);

/* The distance from `a`, moved by `shift` pixels, to `b`. */
float pose_places_distance(const struct pose_places *a, const float shift[2],
                           const struct pose_places *b);

/* Both are one person, seen through two squares. */
bool pose_places_same(const struct pose_places *a, const struct pose_places *b);

/* Two squares that are so alike that looking at both would find the same person. */
bool pose_roi_same(const struct pose_roi *a, const struct pose_roi *b);

/* Pairs rows with columns (at most POSE_ASSIGN_ROOM each) so that the sum of costs is least; pairs
 * that cost `limit` or more are not made. cost: [rows][columns], not negative. column_of[row] is
 * -1 for a row without partner. */
void pose_assign(const float *cost, uint32_t rows, uint32_t columns, float limit,
                 int32_t *column_of);

#endif
