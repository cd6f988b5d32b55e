/* scene_pack.h - an imported body as a stream of bytes, from the process that reads a hostile file
 * to the one that draws; private to scene*.c.
 *
 * Both ends are the same program on one machine, so structs travel as they lie in memory, pointers
 * aside. The sender may have been taken over by its file: the receiver takes no more memory than it
 * was told to, and believes no count, index, flag or text before it has looked at it; what
 * gpu_scene_new checks (indices of the mesh) is left to it. */
#ifndef STANCE_MEDIA_SCENE_PACK_H
#define STANCE_MEDIA_SCENE_PACK_H

#include "media/scene_parts.h"

/* Moves exactly `size` bytes, or fails. */
typedef int scene_pack_move(void *arg, void *bytes, size_t size, struct err *err);

/* Sends a body before its mesh went to the GPU library. Errors: the mover's. */
int scene_pack_send(const struct scene *scene, const struct scene_mesh *mesh, scene_pack_move *move,
                    void *arg, struct err *err);

/* Receives one into an empty scene and an empty mesh; what a failure leaves in them is theirs to
 * free. `most`: bytes that may be taken. ERR_UPSTREAM: no body; ERR_TOO_LARGE, ERR_NO_MEMORY, and
 * the mover's. */
int scene_pack_receive(struct scene *scene, struct scene_mesh *mesh, size_t most,
                       scene_pack_move *move, void *arg, struct err *err);

#endif
