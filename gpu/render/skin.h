/* skin.h - skinning by dual quaternions, a vertex a lane, for CPU and CUDA; see palette.h. */
#ifndef STANCE_GPU_SKIN_H
#define STANCE_GPU_SKIN_H

#include "lanes.h"
#include "palette.h"

/* The joints of a vector of vertices. */
struct skin_joints {
    const float *weights; /* gpu_scene's */
    const uint32_t *joints;
    uint32_t used; /* influences that count */
    vi slot;       /* of the vertices' first influence in both */
};

struct skin_dual {
    vf real[4], dual[4];
    vf stretch[9];
};

GPU_LANE void skin_quaternion(const float *from, vi joint, vf out[4]) {
    for (int i = 0; i < 4; i++)
        out[i] = vf_gather(from + i, joint);
}

GPU_LANE vf skin_dot4(const vf a[4], const vf b[4]) {
    return (a[0] * b[0] + a[1] * b[1]) + (a[2] * b[2] + a[3] * b[3]);
}

/* The weighted sums. A rotation is two quaternions; of each joint's that one counts which is on the
 * side of the first joint's, the heaviest: else arms would turn inside out. Where rotations cancel
 * each other the heaviest joint's alone is left. */
GPU_LANE struct skin_dual skin_blend(const struct gpu_palette *palette,
                                     const struct skin_joints *of) {
    const vf zero = vf_set1(0.0f);
    struct skin_dual sum;
    vf first[8];
    skin_quaternion(palette->dual, vi_gather(of->joints, of->slot), first);
    skin_quaternion(palette->dual + 4, vi_gather(of->joints, of->slot), first + 4);
    for (int i = 0; i < 4; i++)
        sum.real[i] = sum.dual[i] = zero;
    for (int i = 0; i < 9; i++)
        sum.stretch[i] = zero;
    for (uint32_t k = 0; k < of->used; k++) {
        vi slot = of->slot + vi_set1((int32_t)k), joint = vi_gather(of->joints, slot);
        vf weight = vf_gather(of->weights, slot), real[4], dual[4];
        skin_quaternion(palette->dual, joint, real);
        skin_quaternion(palette->dual + 4, joint, dual);
        for (int i = 0; palette->stretch != NULL && i < 9; i++)
            sum.stretch[i] = sum.stretch[i] + weight * vf_gather(palette->stretch + i, joint);
        vf turned = vf_select(vf_less(skin_dot4(first, real), zero), zero - weight, weight);
        for (int i = 0; i < 4; i++) {
            sum.real[i] = sum.real[i] + turned * real[i];
            sum.dual[i] = sum.dual[i] + turned * dual[i];
        }
    }
    vm lost = vf_less(skin_dot4(sum.real, sum.real), vf_set1(1e-6f));
    for (int i = 0; i < 4; i++) {
        sum.real[i] = vf_select(lost, first[i], sum.real[i]);
        sum.dual[i] = vf_select(lost, first[4 + i], sum.dual[i]);
    }
    return sum;
}

/* v + twice (w (u x v) + u x (u x v)) / |q|^2 with q = (u, w): turns v; share: 2 / |q|^2. */
GPU_LANE void skin_turn(const vf q[4], vf share, vf v[3]) {
    vf once[3], twice[3];
    vf_cross3(once, q, v);
    vf_cross3(twice, q, once);
    for (int c = 0; c < 3; c++)
        v[c] = v[c] + share * (q[3] * once[c] + twice[c]);
}

/* m * position, and the normal by m's cofactors, which keeps it upright on a stretched surface. */
GPU_LANE void skin_stretch(const vf m[9], vf position[3], vf normal[3]) {
    vf rows[3][3], to[3], upright[3];
    for (int r = 0; r < 3; r++) {
        to[r] = (m[3 * r] * position[0] + m[3 * r + 1] * position[1]) + m[3 * r + 2] * position[2];
        vf_cross3(rows[r], m + 3 * ((r + 1) % 3), m + 3 * ((r + 2) % 3));
        upright[r] = (rows[r][0] * normal[0] + rows[r][1] * normal[1]) + rows[r][2] * normal[2];
    }
    for (int c = 0; c < 3; c++) {
        position[c] = to[c];
        normal[c] = upright[c];
    }
}

GPU_LANE void skin_dual(const struct gpu_palette *palette, const struct skin_joints *of,
                        vf position[3], vf normal[3]) {
    struct skin_dual sum = skin_blend(palette, of);
    if (palette->stretch != NULL)
        skin_stretch(sum.stretch, position, normal);
    const vf *q = sum.real, *d = sum.dual;
    vf share = vf_set1(2.0f) / skin_dot4(q, q), place[3];
    skin_turn(q, share, position);
    skin_turn(q, share, normal);
    vf_cross3(place, q, d);
    for (int c = 0; c < 3; c++)
        position[c] = position[c] + share * ((q[3] * d[c] - d[3] * q[c]) + place[c]);
}

#endif
