/* actor.h - an actor's vertices in the world: morph targets, then skinning, portion by portion, so
 * that what is between them stays in the cache. */
#ifndef STANCE_GPU_ACTOR_H
#define STANCE_GPU_ACTOR_H

#include "kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { GPU_ACTOR_PORTION = 256 }; /* vertices; a multiple of GPU_PAD */

/* An actor in one of its two moments, ready to be skinned. */
struct gpu_posed {
    const struct gpu_scene *scene;
    struct gpu_palette palette;
    const float *morphs; /* NULL: none has a weight */
};

/* How many floats of scratch gpu_posed_make needs. */
size_t gpu_posed_scratch(const struct gpu_actor *actor);

/* next: of the moment one frame later. */
struct gpu_posed gpu_posed_make(const struct gpu_actor *actor, bool next, float *scratch);

/* Whether the actor is elsewhere one frame later. */
bool gpu_actor_moves(const struct gpu_actor *actor);

/* Where an anchor is in the world: it moves like a vertex with its joints and weights, but no morph
 * target moves it. Joints that are not there do not count. */
void gpu_posed_anchor(const struct gpu_posed *posed, const struct gpu_kernels *kernels,
                      const struct gpu_anchor *anchor, float world[3]);

/* Skins vertices [first, first + count) into out [count][GPU_VERTEX_FLOATS]; first and count are
 * multiples of GPU_PAD. */
void gpu_posed_skin(const struct gpu_posed *posed, const struct gpu_kernels *kernels,
                    uint32_t first, uint32_t count, float *out);

#ifdef __cplusplus
}
#endif
#endif
