/* mannequin.h - a jointed artist's mannequin of turned wood, made in code: mesh, wood, skeleton and
 * two clips.
 *
 * It stands in the T-pose, y up, facing +z (its left is +x), feet on y = 0, metres. Its 65 bones
 * carry Mixamo's names
 * (`mixamorig:Hips` ...), all with identity bind rotations. Clips: "walk" (in place, 1.1 s, loops)
 * and "idle" (4 s, loops). Each wooden piece follows one bone; the waist follows two.
 *
 * Ownership: the bytes are the caller's to free(). Threads: no state; any thread. The same options
 * give the same bytes. */
#ifndef STANCE_MEDIA_MANNEQUIN_H
#define STANCE_MEDIA_MANNEQUIN_H

#include <stddef.h>
#include <stdint.h>

struct err;

struct mannequin_options {
    float stature; /* metres, 0.3 to 3; 0: 1.75 */
    uint32_t seed; /* of the wood's grain; 0 is as good as any */
    int detail;    /* 1 coarse, 2 usual (some 38,000 triangles), 3 fine; 0: 2 */
};

/* Makes the mannequin as a GLB file in memory. NULL options: all defaults. Returns 0 and the file
 * in *out and *size, or a negative code with err filled in: ERR_INVALID for options out of range,
 * ERR_NO_MEMORY. */
int mannequin_write_glb(const struct mannequin_options *options, uint8_t **out, size_t *size,
                        struct err *err);

#endif
