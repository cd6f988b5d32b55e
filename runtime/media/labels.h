/* labels.h - what is known of a drawn view, as JSON.
 *
 * One object a view, schema "stance.view" version 1; keys always in the same order and numbers
 * always rounded the same, so that the same view gives the same bytes. Lengths in metres, pixels
 * with (0, 0) the outer corner of the top left one, matrices by rows. Boxes are [x, y, width,
 * height] as in COCO. "visibility" is COCO's: 0 not in the picture (or not known for this
 * skeleton), 1 in the picture but hidden behind the body itself, 2 seen. "segmentation" is COCO's
 * uncompressed run lengths (down the columns) of the pixels that the body touches.
 *
 * Ownership: the text is the caller's to free(). Threads: no shared state.
 * COCO: https://cocodataset.org/#format-data; landmarks: MediaPipe Pose. */
#ifndef STANCE_MEDIA_LABELS_H
#define STANCE_MEDIA_LABELS_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct views;

enum { LABELS_COCO_KEYPOINTS = 17 };

/* COCO's person keypoints: the name, and which of the 33 landmarks it is. */
struct labels_keypoint {
    const char *name;
    uint32_t landmark;
};
extern const struct labels_keypoint labels_coco[LABELS_COCO_KEYPOINTS];

struct labels_names {
    const char *image;     /* the picture's file name; NULL: the view's name with .png */
    const char *character; /* NULL: the scene's name */
};

/* All of a drawn view's labels but the head: costs a walk over the picture, so for pool threads.
 * ERR_INVALID when the view is not drawn, ERR_NO_MEMORY. */
int labels_describe(const struct views *views, uint32_t view, char **out, size_t *size,
                    struct err *err);

/* The head, to be followed by what labels_describe wrote. ERR_NO_MEMORY. */
int labels_head(const struct views *views, uint32_t view, const struct labels_names *names,
                char **out, size_t *size, struct err *err);

#endif
