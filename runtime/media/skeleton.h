/* skeleton.h - people drawn over the picture that they were found in.
 *
 * Left limbs are warm, right ones cool (the person's left and right), what joins the two is light;
 * what the network does not see well is faint. Lines are as wide as suits the picture and the
 * person, with a dark rim, so that they show on any ground. Several people have colours of their
 * own. A label over the head tells the id and how certain it is that somebody is there.
 *
 * Ownership: the image stays the caller's. Threads: one at a time an image. */
#ifndef STANCE_MEDIA_SKELETON_H
#define STANCE_MEDIA_SKELETON_H

#include <stdbool.h>
#include <stddef.h>

#include "media/image.h"
#include "stance_gpu.h"

/* Draws `count` people; landmarks that are no numbers are left out. */
void skeleton_draw(struct image *image, const struct gpu_pose_person *people, size_t count);

#endif
