/* palette.h - an actor's joints as skinning wants them: computed once a pose, by all backends with
 * the same bits. Nothing here allocates. */
#ifndef STANCE_GPU_PALETTE_H
#define STANCE_GPU_PALETTE_H

#include "scene.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { GPU_JOINT_FLOATS = 12 }; /* of every array below: gpu_scene.joints holds offsets in them */

/* What a vertex is skinned by. */
struct gpu_palette {
    const float *pose;    /* [joint][12]: world from bind */
    const float *dual;    /* [joint][12]: a dual quaternion, x y z w each; NULL: linear blending */
    const float *stretch; /* [joint][12]: a 3x3 before it; NULL: none does anything */
    bool uneven;          /* some joint stretches more one way than another, or mirrors: normals
                             need more than the matrix */
};

/* scratch: [2][joint][12] for GPU_SKIN_DUAL_QUATERNION; else unused. */
struct gpu_palette gpu_palette_make(const struct gpu_scene *scene, const float *pose,
                                    enum gpu_skinning skinning, float *scratch);

#ifdef __cplusplus
}
#endif
#endif
