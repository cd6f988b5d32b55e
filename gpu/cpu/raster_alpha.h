/* raster_alpha.h - the alpha test of raster.c and raster_large.c: which of a triangle's samples its
 * material's texture lets stand. */
#ifndef STANCE_GPU_RASTER_ALPHA_H
#define STANCE_GPU_RASTER_ALPHA_H

#include "../render/texels.h"
#include "kernels.h"

/* What the test of a triangle needs at each sample; corners in the order of its edges. */
struct alpha_test {
    float u[3], v[3], w[3]; /* w: what makes weights in the picture weights in space */
    float base, cutoff;
    int32_t offset, width, height; /* of the texture's finest level; width 0: no texture */
};

/* swapped: the second and third corner were exchanged. w: of the corners after that. */
GPU_LANE void alpha_test_init(struct alpha_test *out, const struct gpu_raster *job,
                              uint32_t triangle, bool swapped, const float w[3]) {
    const struct gpu_scene *scene = job->scene;
    uint32_t material = scene->materials[triangle];
    const float *row = scene->material_rows + (size_t)material * GPU_MATERIAL_ROW;
    int32_t texture = scene->material_maps[material * GPU_MAPS + GPU_MAP_COLOR];
    for (int c = 0; c < 3; c++) {
        uint32_t vertex = scene->corners[c == 0 || !swapped ? c : 3 - c][triangle];
        out->u[c] = scene->vertices[(size_t)vertex * GPU_VERTEX_FLOATS + 3];
        out->v[c] = scene->vertices[(size_t)vertex * GPU_VERTEX_FLOATS + 7];
        out->w[c] = job->projection.perspective ? w[c] : 1.0f;
    }
    out->base = row[GPU_MATERIAL_ALPHA] * (1.0f / 255.0f);
    out->cutoff = row[GPU_MATERIAL_CUTOFF];
    out->offset = out->width = out->height = 0;
    if (texture >= 0) {
        uint32_t level = scene->textures[texture].first;
        out->offset = scene->level_offset[level];
        out->width = scene->level_width[level];
        out->height = scene->level_height[level];
    }
}

/* The samples that stand. e0, e1, e2: the edge functions there, at any scale. */
GPU_LANE vm alpha_solid(const struct gpu_scene *scene, const struct alpha_test *alpha, vf e0, vf e1,
                        vf e2) {
    if (alpha->width == 0)
        return vf_less_equal(vf_set1(alpha->cutoff), vf_set1(alpha->base * 255.0f));
    vf b0 = e0 * vf_set1(alpha->w[0]), b1 = e1 * vf_set1(alpha->w[1]);
    vf b2 = e2 * vf_set1(alpha->w[2]), share = vf_set1(1.0f) / (b0 + b1 + b2);
    vf u = b0 * vf_set1(alpha->u[0]) + b1 * vf_set1(alpha->u[1]) + b2 * vf_set1(alpha->u[2]);
    vf v = b0 * vf_set1(alpha->v[0]) + b1 * vf_set1(alpha->v[1]) + b2 * vf_set1(alpha->v[2]);
    struct texels t = texels_find(vi_set1(alpha->offset), vi_set1(alpha->width),
                                  vi_set1(alpha->height), u * share, v * share);
    vf texel[4];
    for (int i = 0; i < 4; i++)
        texel[i] = vf_from_vi((vi_gather(scene->texels, t.at[i]) >> 24) & vi_set1(255));
    vf top = vf_mix(texel[0], texel[1], t.across), bottom = vf_mix(texel[2], texel[3], t.across);
    vf value = vf_mix(top, bottom, t.down) * vf_set1(alpha->base);
    return vf_less_equal(vf_set1(alpha->cutoff), value);
}

#endif
