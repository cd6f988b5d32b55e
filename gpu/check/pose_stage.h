/* pose_stage.h - a backend for the checks of tracking: pictures of people that are not drawn but
 * described, and networks that see them as the real ones do: one person a square, the nearest to
 * its middle, or who stands before them. */
#ifndef STANCE_GPU_POSE_STAGE_H
#define STANCE_GPU_POSE_STAGE_H

#include "pose/engine.h"

enum { STAGE_PEOPLE = 6, STAGE_WIDTH = 1280, STAGE_HEIGHT = 720 };

struct stage_person {
    bool there;
    float x, y; /* hips, pixels */
    float size; /* from the hips to the circle around the body, pixels */
    float lean; /* radians */
    float step; /* of the limbs */
    int depth;  /* a smaller one stands before a greater one */
};

/* A picture: gpu_picture.rgb points at `pixel`. */
struct stage {
    struct stage_person people[STAGE_PEOPLE];
    uint8_t pixel[4];
};

struct gpu_picture stage_picture(const struct stage *stage);

/* Where the networks see the person: landmarks, x y in pixels. */
void stage_landmarks(const struct stage_person *person, float landmarks[POSE_POINTS][2]);

struct stage_backend {
    struct pose_backend base;
    int detections, crops;  /* pictures and squares looked at so far */
    int fail_in, fail_with; /* a call fails, after so many others; below 0: none */
};

struct stage_backend *stage_backend_new(void);

/* An engine on it; stops the program where there is no memory. */
struct gpu_pose_engine *stage_engine(struct stage_backend **backend);

#endif
