/* lens.h - rays through a lens, and what it does to the places of points; for vectors of lanes. */
#ifndef STANCE_GPU_LENS_H
#define STANCE_GPU_LENS_H

#include "lanes.h"
#include "view.h"

enum { LENS_STEPS = 8 }; /* of Newton's iteration; from any start within the rim 6 are enough */

/* Brown-Conrady, as OpenCV has it, and its derivatives where they are wanted: of x by x, of x by y
 * (which is that of y by x), of y by y. */
GPU_LANE void lens_evaluate(const struct gpu_lens *lens, vf x, vf y, vf out[2], vf slopes[3]) {
    const vf k1 = vf_set1(lens->k[0]), k2 = vf_set1(lens->k[1]), k3 = vf_set1(lens->k[4]);
    const vf p1 = vf_set1(lens->k[2]), p2 = vf_set1(lens->k[3]), one = vf_set1(1.0f);
    const vf two = vf_set1(2.0f), three = vf_set1(3.0f), six = vf_set1(6.0f);
    vf square = x * x + y * y;
    vf radial = one + square * (k1 + square * (k2 + square * k3));
    vf both = two * x * y;
    out[0] = x * radial + p1 * both + p2 * (square + two * x * x);
    out[1] = y * radial + p1 * (square + two * y * y) + p2 * both;
    if (slopes == NULL)
        return;
    vf growth = two * (k1 + square * (two * k2 + square * (three * k3)));
    slopes[0] = radial + growth * x * x + two * p1 * y + six * p2 * x;
    slopes[1] = growth * x * y + two * p1 * x + two * p2 * y;
    slopes[2] = radial + growth * y * y + six * p1 * y + two * p2 * x;
}

/* (x, y): camera x / z, y / z. Returns the lanes that the lens has a picture of. */
GPU_LANE vm lens_distort(const struct gpu_lens *lens, vf *x, vf *y) {
    vf out[2];
    vm seen = vf_less_equal(*x * *x + *y * *y, vf_set1(lens->limit));
    lens_evaluate(lens, *x, *y, out, NULL);
    *x = out[0];
    *y = out[1];
    return seen;
}

/* The other way. Beyond the rim there is no answer: the rim is given. */
GPU_LANE void lens_undistort(const struct gpu_lens *lens, vf *x, vf *y) {
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f), limit = vf_set1(lens->limit);
    vf at[2] = {*x, *y};
    for (int step = 0; step <= LENS_STEPS; step++) {
        vf square = at[0] * at[0] + at[1] * at[1];
        vm beyond = vm_not(vf_less_equal(square, limit));
        vf back = vf_select(beyond, vf_sqrt(limit / vf_max(square, vf_set1(1e-12f))), one);
        at[0] = vf_select(vf_less_equal(zero, square), at[0] * back, zero);
        at[1] = vf_select(vf_less_equal(zero, square), at[1] * back, zero);
        if (step == LENS_STEPS)
            break;
        vf out[2], slopes[3];
        lens_evaluate(lens, at[0], at[1], out, slopes);
        vf miss[2] = {out[0] - *x, out[1] - *y};
        vf share = one / vf_max(slopes[0] * slopes[2] - slopes[1] * slopes[1], vf_set1(1e-4f));
        at[0] = at[0] - (slopes[2] * miss[0] - slopes[1] * miss[1]) * share;
        at[1] = at[1] - (slopes[0] * miss[1] - slopes[1] * miss[0]) * share;
    }
    *x = at[0];
    *y = at[1];
}

/* The ray through a point of the picture, in pixels; world space, camera z 1. */
GPU_LANE void lens_ray(const struct gpu_rays *rays, vf x, vf y, vf out[3]) {
    if (rays->lens.on) {
        const struct gpu_lens *lens = &rays->lens;
        x = (x - vf_set1(lens->cx)) / vf_set1(lens->fx);
        y = (y - vf_set1(lens->cy)) / vf_set1(lens->fy);
        lens_undistort(lens, &x, &y);
        x = x * vf_set1(lens->fx) + vf_set1(lens->cx);
        y = y * vf_set1(lens->fy) + vf_set1(lens->cy);
    }
    for (int c = 0; c < 3; c++)
        out[c] =
            vf_set1(rays->origin[c]) + x * vf_set1(rays->right[c]) + y * vf_set1(rays->down[c]);
}

#endif
