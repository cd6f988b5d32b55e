/* project.h - from points to the picture, for vectors of lanes; see view.h. */
#ifndef STANCE_GPU_PROJECT_H
#define STANCE_GPU_PROJECT_H

#include "lens.h"

/* A vertex in the picture: steps, and the w of struct gpu_projection; ok: it can be projected. */
struct projected {
    vi x, y;
    vf w; /* -1 where it is not ok */
    vm ok;
};

/* m * point */
GPU_LANE void project_transform(const float m[12], const vf point[3], vf out[3]) {
    for (int r = 0; r < 3; r++)
        out[r] = (vf_set1(m[4 * r]) * point[0] + vf_set1(m[4 * r + 1]) * point[1]) +
                 (vf_set1(m[4 * r + 2]) * point[2] + vf_set1(m[4 * r + 3]));
}

GPU_LANE vm project_within(vf value, float limit) {
    return vm_and(vf_less(value, vf_set1(limit)), vf_less(vf_set1(-limit), value));
}

GPU_LANE struct projected project_vertex(const struct gpu_projection *projection,
                                         const vf vertex[3]) {
    const float steps = (float)GPU_SUBPIXEL, limit = (float)(GPU_GUARD * GPU_SUBPIXEL);
    const vf one = vf_set1(1.0f), zero = vf_set1(0.0f);
    struct projected out;
    vf at[3];
    project_transform(projection->m, vertex, at);
    vm ok = vm_and(vf_less_equal(vf_set1(projection->near_plane), at[2]),
                   vf_less(at[2], vf_set1(1e9f)));
    vf z = vf_select(ok, at[2], one);
    vf w = projection->perspective ? one / z : z;
    vf scale = projection->perspective ? w : one;
    vf across = at[0] * scale, down = at[1] * scale;
    if (projection->lens.on)
        ok = vm_and(ok, lens_distort(&projection->lens, &across, &down));
    vf x = vf_set1(projection->fx * steps) * across + vf_set1(projection->cx * steps);
    vf y = vf_set1(projection->fy * steps) * down + vf_set1(projection->cy * steps);
    out.ok = vm_and(ok, vm_and(project_within(x, limit), project_within(y, limit)));
    out.x = vi_round(vf_select(out.ok, x, zero));
    out.y = vi_round(vf_select(out.ok, y, zero));
    out.w = vf_select(out.ok, w, vf_set1(-1.0f));
    return out;
}

#endif
