/* scene_landmark.h - what the two files that place landmarks share: MediaPipe's numbers, and
 * setting one. Private to scene*.c. */
#ifndef STANCE_MEDIA_SCENE_LANDMARK_H
#define STANCE_MEDIA_SCENE_LANDMARK_H

#include "media/scene_parts.h"
#include "media/scene_probe.h"

/* In pairs, left first. */
enum {
    LANDMARK_NOSE = 0,
    LANDMARK_LEFT_EYE_INNER = 1,
    LANDMARK_RIGHT_EYE_INNER = 4,
    LANDMARK_LEFT_EAR = 7,
    LANDMARK_MOUTH_LEFT = 9,
    LANDMARK_SHOULDER = 11,
    LANDMARK_ELBOW = 13,
    LANDMARK_WRIST = 15,
    LANDMARK_PINKY = 17,
    LANDMARK_INDEX = 19,
    LANDMARK_THUMB = 21,
    LANDMARK_HIP = 23,
    LANDMARK_KNEE = 25,
    LANDMARK_ANKLE = 27,
    LANDMARK_HEEL = 29,
    LANDMARK_FOOT_INDEX = 31,
};

/* Puts a landmark at a place of bind space, moving with a node. */
void landmark_set(struct scene *scene, int landmark, struct vec at, int node);

/* Sets the radius of the points [first, end) that are known: the median distance to the skin over
 * 26 directions. False without memory. */
bool landmark_depths(struct scene *scene, const struct scene_mesh *mesh, int first, int end);

/* Places enum scene_point, after the landmarks. False without memory. */
bool scene_joints_find(struct scene *scene, const struct scene_mesh *mesh);

/* False without memory. */
bool scene_face_find(struct scene *scene, const struct scene_mesh *mesh);

#endif
