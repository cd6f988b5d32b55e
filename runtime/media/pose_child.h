/* pose_child.h - the pose process: finds people in the pictures that its parent sends.
 *
 * It answers requests of pose_wire.h on a link, one group at a time on the loop thread: decodes the
 * pictures, runs the networks, replies. Whoever makes it has loaded the engine and confined the
 * process before; here no file is opened. It may be killed at any moment: nothing is lost but what
 * its sessions remember. */
#ifndef STANCE_MEDIA_POSE_CHILD_H
#define STANCE_MEDIA_POSE_CHILD_H

#include "core/link.h"
#include "stance_gpu.h"

struct pose_child;

/* The descriptor is the link's from here on. When the parent goes, the loop is stopped. */
int pose_child_new(struct loop *loop, int fd, struct pose_child **out, struct err *err);

/* Says that it is ready, and answers. Borrows the engine. `warning` (may be ""): what the parent is
 * to log. */
void pose_child_begin(struct pose_child *child, struct gpu_pose_engine *engine,
                      const char *warning);

/* Instead of it: tells the parent why there will be no answers, and waits until it is told. */
void pose_child_give_up(struct pose_child *child, const struct err *why);

void pose_child_free(struct pose_child *child);

#endif
