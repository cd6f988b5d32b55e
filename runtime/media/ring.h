/* ring.h - where the cameras of a ring stand.
 *
 * A ring has N cameras at equal steps around the people of a stage, all at the same height over the
 * ground and the same distance from their axis, the vertical line through the centre of their box
 * at the time that is drawn; each looks at that centre. The first stands at +z, which a body faces
 * that was not turned; the next ones go round to its right hand, so that `right` shows its right
 * side.
 *
 * Distance rule: the wished distance holds as long as everybody is whole in every picture. They
 * count with the largest box that they have at any time of the stage (at most RING_POSES are looked
 * at), centred where they stand now, and RING_MARGIN of the picture's sides stays free. Where that
 * does not fit, the distance grows in steps of RING_STEP until it does; the same distance holds for
 * all views, and for all times.
 *
 * Threads: no shared state; ring_place skins the bodies' vertices up to RING_POSES times, so call
 * it on a pool thread. */
#ifndef STANCE_MEDIA_RING_H
#define STANCE_MEDIA_RING_H

#include <stdint.h>

#include "core/err.h"
#include "stance_gpu.h"

struct stage;

#define RING_MARGIN 0.03f
#define RING_STEP   1.05f

enum { RING_POSES = 24, RING_MAX_VIEWS = 360, VIEW_NAME_SIZE = 32 };

/* A camera with what people call it. */
struct view_spec {
    char name[VIEW_NAME_SIZE];
    uint64_t number; /* which of all views it is, from 0: what is by chance follows it */
    float azimuth;   /* degrees from the front towards a body's right; NAN: not of a ring */
    float distance;  /* metres from the ring's axis; NAN likewise */
    float height;    /* metres over the ground */
    float fov;       /* degrees, vertical; for the picture's height */
    float roll;      /* degrees by which the picture's contents are turned to the left */
    double time;     /* seconds of the stage */
    float eye[3], target[3];
    struct gpu_camera camera;      /* set up from the above by view_spec_aim */
    struct gpu_camera camera_next; /* one frame later; its width 0: it stands still */
};

/* Sets spec->camera up from eye, target, fov and roll for a picture of width x height. */
void view_spec_aim(struct view_spec *spec, uint32_t width, uint32_t height);

/* Takes the place of the camera from a matrix instead, [3][4] by rows, and sets eye and target by
 * it. ERR_INVALID unless it is a rotation with a move. */
int view_spec_place(struct view_spec *spec, const float camera_from_world[12], struct err *err);

/* ERR_INVALID unless a camera can have these numbers. */
int view_spec_check(float fov, uint32_t width, uint32_t height, struct err *err);

struct ring_options {
    uint32_t views;
    float distance, height; /* metres */
    float fov;              /* degrees, vertical */
    uint32_t width, height_pixels;
    double time; /* seconds of the stage */
};

/* Fills in specs[options->views]. ERR_INVALID for numbers outside what a camera can have,
 * ERR_NO_MEMORY. */
int ring_place(const struct stage *stage, const struct ring_options *options,
               struct view_spec *specs, struct err *err);

/* The name of camera `index` of `views`: "front", "front_right", ... for 8 (and 4), "view_045" by
 * its degrees otherwise. */
void ring_name(uint32_t views, uint32_t index, char name[VIEW_NAME_SIZE]);

/* Whether the box [min xyz, max xyz] is in the camera's picture with the margin around it. */
int ring_box_fits(const struct gpu_camera *camera, const float box[6]);

#endif
