/* trace.h - what the maps tell of a point that a camera sees: its normal, and where it goes in the
 * picture until the next frame; for vectors of lanes. Both are found from the point's triangle and
 * the ray through it. */
#ifndef STANCE_GPU_TRACE_H
#define STANCE_GPU_TRACE_H

#include "cpu/kernels.h"
#include "project.h"
#include "surface.h"

/* Camera space, unit length, towards the camera's side of the surface; by the corners' normals,
 * or by the triangle's own where they cancel each other. */
GPU_LANE void trace_normal(const struct gpu_trace *job, const struct triangle *t, const vf ray[3],
                           vf b1, vf b2, vf out[3]) {
    const vf zero = vf_set1(0.0f);
    const float *m = job->view.m;
    vf normal[3];
    for (int c = 0; c < 3; c++)
        normal[c] = attribute(&job->now, t, 4 + c, b1, b2);
    vm flat = vm_not(vf_less_equal(vf_set1(1e-12f), vf_dot3(normal, normal)));
    vm behind = vf_less(zero, vf_dot3(t->normal, ray));
    for (int c = 0; c < 3; c++) {
        normal[c] = vf_select(flat, t->normal[c], normal[c]);
        normal[c] = vf_select(behind, zero - normal[c], normal[c]);
    }
    normalise3(normal);
    for (int r = 0; r < 3; r++)
        out[r] = vf_set1(m[4 * r]) * normal[0] + vf_set1(m[4 * r + 1]) * normal[1] +
                 vf_set1(m[4 * r + 2]) * normal[2];
}

/* Pixels from (x, y) to where the point is one frame later; not a number where that is behind the
 * camera or beyond what its lens sees. */
GPU_LANE void trace_flow(const struct gpu_trace *job, const struct triangle *t, vf b1, vf b2, vf x,
                         vf y, vf out[2]) {
    const struct gpu_projection *view = &job->view_next;
    const vf one = vf_set1(1.0f), none = vf_bits(vi_set1(0x7fc00000));
    vf corner[3][3], point[3], at[3];
    for (int k = 0; k < 3; k++)
        gather3(job->next, t->offset[k], corner[k]);
    for (int c = 0; c < 3; c++)
        point[c] =
            corner[0][c] + (corner[1][c] - corner[0][c]) * b1 + (corner[2][c] - corner[0][c]) * b2;
    project_transform(view->m, point, at);
    vm ok = vm_and(vf_less_equal(vf_set1(view->near_plane), at[2]), vf_less(at[2], vf_set1(1e9f)));
    vf w = one / vf_select(ok, at[2], one);
    vf across = at[0] * w, down = at[1] * w;
    if (view->lens.on)
        ok = vm_and(ok, lens_distort(&view->lens, &across, &down));
    vf place[2] = {vf_set1(view->fx) * across + vf_set1(view->cx),
                   vf_set1(view->fy) * down + vf_set1(view->cy)};
    ok = vm_and(ok, vm_and(project_within(place[0], 1e9f), project_within(place[1], 1e9f)));
    out[0] = vf_select(ok, place[0] - x, none);
    out[1] = vf_select(ok, place[1] - y, none);
}

/* index: of the triangle; x, y: pixels. normal and flow may be NULL. */
GPU_LANE void trace_point(const struct gpu_trace *job, vi index, vf x, vf y, vf normal[3],
                          vf flow[2]) {
    struct triangle t;
    vf ray[3], b1, b2;
    load_triangle(&job->now, index, &t);
    lens_ray(&job->now.rays, x, y, ray);
    meet(&t, &job->now, ray, &b1, &b2);
    if (normal != NULL)
        trace_normal(job, &t, ray, b1, b2, normal);
    if (flow != NULL)
        trace_flow(job, &t, b1, b2, x, y, flow);
}

#endif
