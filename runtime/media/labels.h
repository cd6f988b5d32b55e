/* labels.h - what is known of a drawn view, as JSON.
 *
 * One object a view, schema "stance.view" version 2; keys always in the same order and numbers
 * always rounded the same, so that the same view gives the same bytes. Lengths in metres, pixels
 * with (0, 0) the outer corner of the top left one, matrices by rows, quaternions x y z w. Boxes
 * are [x, y, width, height] as in COCO.
 *
 * schema, schema_version
 * image       file, width, height
 * character   whose pictures these are: the name that the caller gave, or the first person's body
 * view        name, azimuth (degrees; null: of no ring)
 * frame       number (from 0), time (seconds on the stage's clock)
 * camera      model ("pinhole", "brown_conrady"), width, height, fx fy cx cy, distortion [k1 k2 p1
 * p2 k3] (as OpenCV's; all 0: none), fov (degrees, vertical), distance, height_above_ground,
 * position, K, R, t, camera_from_world (4x4), projection (3x4: K [R t]) people      one object
 * each, in the order of the stage: id        1, 2, ...: the person's number in maps person,
 * character, clip (null: rest pose), time (seconds in the clip), frame (of the clip) box       the
 * pixels that show the person, however little of them; all 0 when none does full_box  all of the
 * body before the camera, hidden or not, not cut by the frame area      pixels that show the person
 *   full_area the pixels that would, if nobody stood before it and the picture had no end
 *   visible   area / full_area, 0..1
 *   landmarks 33, as MediaPipe orders them; each name, pixel (null null: behind the camera),
 * camera, world, known (whether this skeleton has it), state, visibility. state: "visible",
 *             "self_occluded", "occluded" (by somebody else), "out_of_frame", "behind_camera".
 *             visibility is COCO's: 0 not in the picture or not known, 1 in it but hidden, 2 seen
 *   joints    the other points of scene.h, likewise
 *   keypoints coco_17, body_25, h36m_17, smpl_24 (media/keypoints.h): x, y, visibility of each,
 *             0 0 0 where visibility is 0, as COCO writes them
 *   pose      rotations: by VRM bone name, relative to the nearest bone above it that there is and
 *             to the body as it stands at rest, in axes that at rest are the world's (VRM 1.0's
 *             normalised pose); root: position of the hips' joint, yaw (radians, to the left)
 *   measures  stature; lengths of limbs, widths of shoulders and hips, at rest
 *   parts     pixels by part of the body; without the map of parts it is left out
 *   segmentation  COCO's uncompressed run lengths (down the columns) of the pixels that show the
 *             person
 *
 * Ownership: texts are the caller's to free(). Threads: no shared state. COCO:
 * https://cocodataset.org/#format-data; landmarks: MediaPipe Pose; bones: VRM 1.0. */
#ifndef STANCE_MEDIA_LABELS_H
#define STANCE_MEDIA_LABELS_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "media/scene.h"
#include "stance_gpu.h"

struct view_spec;

/* One person of a view. */
struct labels_person {
    const struct scene *scene;
    const char *person;                    /* who it is; NULL or "": the scene's name */
    const char *clip;                      /* NULL: the rest pose */
    double time, rate;                     /* seconds in the clip, and its frames a second */
    const float *pose;                     /* [joint][12]: what was drawn */
    struct gpu_point points[SCENE_POINTS]; /* from labels_find */
    struct gpu_label label;                /* likewise */
};

/* A drawn view. `image` needs depth, and person where there are several people; part is welcome. */
struct labels_view {
    const struct view_spec *spec;
    const struct gpu_frame *frame; /* actors in the order of people */
    const struct gpu_image *image;
    uint32_t number; /* of the frame */
    double time;     /* seconds on the stage's clock */
    uint32_t people_count;
    struct labels_person *people;
};

/* Fills in points and label of every person. Costs a walk over the picture and over the vertices.
 * ERR_INVALID (maps are missing), ERR_NO_MEMORY. */
int labels_find(struct labels_view *view, struct err *err);

/* All of a view's labels but the head; after labels_find. ERR_NO_MEMORY. */
int labels_describe(const struct labels_view *view, char **out, size_t *size, struct err *err);

struct labels_names {
    const char *image;     /* the picture's file name; NULL: the view's name with .png */
    const char *character; /* NULL: the first person's body */
};

/* The head, to be followed by what labels_describe wrote; `character` is used where names has none.
 * Cheap. ERR_NO_MEMORY. */
int labels_head(const struct view_spec *spec, const char *character,
                const struct labels_names *names, char **out, size_t *size, struct err *err);

/* "visible", "self_occluded", ... */
const char *labels_state_name(enum gpu_point_state state);

#endif
