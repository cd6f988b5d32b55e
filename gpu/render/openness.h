/* openness.h - how much of the sky a body leaves free to its own parts: armpits, between legs,
 * under a chin. Found once a frame, a vertex at a time, in a grid of cells that its surface
 * touches.
 *
 * Counts are integers, so that they are the same in whatever order they are taken. */
#ifndef STANCE_GPU_OPENNESS_H
#define STANCE_GPU_OPENNESS_H

#include "lanes.h"
#include "shade.h"

/* Trilinear; x, y, z in cells, whose values stand in their middles. */
GPU_LANE vf read_cells(const struct gpu_open_cells *cells, const vf at[3]) {
    vi first[3];
    vf share[3], lines[4];
    for (int c = 0; c < 3; c++) {
        vf x =
            vf_clamp(at[c] - vf_set1(0.5f), vf_set1(0.0f), vf_set1((float)cells->size[c] - 1.01f));
        first[c] = vi_truncate(x);
        share[c] = x - vf_from_vi(first[c]);
    }
    vi row = first[2] * vi_set1(cells->size[1]) + first[1];
    for (int i = 0; i < 4; i++) {
        vi line = row + vi_set1(i / 2 * cells->size[1] + i % 2);
        line = line * vi_set1(cells->size[0]) + first[0];
        vf left = vf_from_vi(vi_gather(cells->count, line));
        vf right = vf_from_vi(vi_gather(cells->count, line + vi_set1(1)));
        lines[i] = vf_mix(left, right, share[0]);
    }
    return vf_mix(vf_mix(lines[0], lines[1], share[1]), vf_mix(lines[2], lines[3], share[1]),
                  share[2]);
}

/* The share that is free, of a point with a normal: what lies before it, near by and farther. A
 * sheet that fills the sight counts as 1; the point's own surface lies behind both looks. */
GPU_LANE vf find_open(const struct gpu_open_grid *grid, const vf point[3], const vf normal[3]) {
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f);
    vf closed[GPU_OPEN_LOOKS], ahead = vf_dot3(normal, normal);
    ahead = vf_set1(0.5f * GPU_OPEN_AHEAD) / vf_sqrt(vf_max(ahead, vf_set1(1e-12f)));
    for (int i = 0; i < GPU_OPEN_LOOKS; i++) {
        const struct gpu_open_cells *cells = &grid->looks[i];
        vf at[3];
        for (int c = 0; c < 3; c++)
            at[c] =
                (point[c] - vf_set1(cells->from[c])) * vf_set1(cells->scale) + normal[c] * ahead;
        closed[i] = vf_clamp(read_cells(cells, at) * vf_set1(cells->sheet), zero, one);
    }
    closed[0] = closed[0] * vf_set1(0.6f); /* so near, little of the sky is behind it */
    return one - (closed[0] + closed[1] - closed[0] * closed[1]) * vf_set1(grid->strength);
}

#endif
