/* texels.h - where texture coordinates lie in a pyramid's level, for a vector of lanes; see
 * scene.h. */
#ifndef STANCE_GPU_TEXELS_H
#define STANCE_GPU_TEXELS_H

#include "lanes.h"

/* Four texels around a point and how far it is from the first. */
struct texels {
    vi at[4]; /* indices: top left, top right, bottom left, bottom right */
    vf across, down;
};

GPU_LANE vi texels_wrap_index(vi i, vi size) {
    vi zero = vi_set1(0);
    i = i + vi_select(vi_less(i, zero), size, zero);
    i = i - vi_select(vi_less(i, size), zero, size);
    return vi_clamp(i, zero, size - vi_set1(1));
}

/* Repeats; what is no number is 0, what is far off is taken as far as it is still resolved. */
GPU_LANE vf texels_wrap_coordinate(vf u) {
    u = vf_clamp(u, vf_set1(-65536.0f), vf_set1(65536.0f));
    return u - vf_floor(u);
}

GPU_LANE struct texels texels_find(vi offset, vi width, vi height, vf u, vf v) {
    struct texels out;
    vf x = texels_wrap_coordinate(u) * vf_from_vi(width) - vf_set1(0.5f);
    vf y = texels_wrap_coordinate(v) * vf_from_vi(height) - vf_set1(0.5f);
    vf floor_x = vf_floor(x), floor_y = vf_floor(y);
    vi x0 = texels_wrap_index(vi_truncate(floor_x), width);
    vi y0 = texels_wrap_index(vi_truncate(floor_y), height);
    vi x1 = texels_wrap_index(x0 + vi_set1(1), width);
    vi y1 = texels_wrap_index(y0 + vi_set1(1), height);
    vi top = offset + y0 * width, bottom = offset + y1 * width;
    out.at[0] = top + x0;
    out.at[1] = top + x1;
    out.at[2] = bottom + x0;
    out.at[3] = bottom + x1;
    out.across = x - floor_x;
    out.down = y - floor_y;
    return out;
}

#endif
