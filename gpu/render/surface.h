/* surface.h - what a ray meets: a fragment's point, found anew from its triangle and its ray, which
 * is exact under perspective and need not know of clipping; and the texture there. */
#ifndef STANCE_GPU_SURFACE_H
#define STANCE_GPU_SURFACE_H

#include "shade.h"
#include "texels.h"

struct surface {
    vf at[3], normal[3], view[3]; /* unit; view points to the eye */
    vf u, v;
    vf footprint; /* texture squares (u by v) that a pixel covers */
    vi material;
};

GPU_LANE void gather3(const float *base, vi offset, vf out[3]) {
    for (int c = 0; c < 3; c++)
        out[c] = vf_gather(base + c, offset);
}

GPU_LANE void normalise3(vf v[3]) {
    vf square = vf_dot3(v, v);
    vf factor = vf_set1(1.0f) / vf_sqrt(vf_max(square, vf_set1(1e-30f)));
    for (int c = 0; c < 3; c++)
        v[c] = v[c] * factor;
}

/* -- Where the ray meets the triangle -----------------------------------------------------------
 */

struct triangle {
    vi offset[3]; /* of its corners in the vertices */
    vf corner[3], edge1[3], edge2[3], normal[3];
    vf square; /* of the normal */
};

GPU_LANE void load_triangle(const struct gpu_shade *job, vi index, struct triangle *t) {
    vf other[3];
    for (int c = 0; c < 3; c++)
        t->offset[c] = vi_gather(job->scene->corners[c], index) * vi_set1(GPU_VERTEX_FLOATS);
    gather3(job->vertices, t->offset[0], t->corner);
    gather3(job->vertices, t->offset[1], other);
    for (int c = 0; c < 3; c++)
        t->edge1[c] = other[c] - t->corner[c];
    gather3(job->vertices, t->offset[2], other);
    for (int c = 0; c < 3; c++)
        t->edge2[c] = other[c] - t->corner[c];
    vf_cross3(t->normal, t->edge1, t->edge2);
    t->square = vf_dot3(t->normal, t->normal);
}

/* Weights of the second and third corner where the ray meets the plane, moved into the triangle. */
GPU_LANE void meet(const struct triangle *t, const struct gpu_shade *job, const vf ray[3], vf *b1,
                   vf *b2) {
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f);
    vf from[3], hit[3], side[3];
    for (int c = 0; c < 3; c++)
        from[c] = t->corner[c] - vf_set1(job->rays.eye[c]);
    vf distance = vf_dot3(t->normal, from) / vf_dot3(t->normal, ray);
    for (int c = 0; c < 3; c++)
        hit[c] = ray[c] * distance - from[c];
    vf inverse = one / t->square;
    vf_cross3(side, hit, t->edge2);
    *b1 = vf_clamp(vf_dot3(side, t->normal) * inverse, zero, one);
    vf_cross3(side, t->edge1, hit);
    *b2 = vf_clamp(vf_dot3(side, t->normal) * inverse, zero, one);
    vf excess = one / vf_max(*b1 + *b2, one);
    *b1 = *b1 * excess;
    *b2 = *b2 * excess;
}

GPU_LANE vf attribute(const struct gpu_shade *job, const struct triangle *t, int slot, vf b1,
                      vf b2) {
    const float *base = job->vertices + slot;
    vf a = vf_gather(base, t->offset[0]), b = vf_gather(base, t->offset[1]);
    vf c = vf_gather(base, t->offset[2]);
    return a + (b - a) * b1 + (c - a) * b2;
}

/* Texture squares to the pixel: the triangle's, for its own size, for the pixel's. A surface seen
 * at a slant covers more than that along one axis only; the root of the slant splits the difference
 * between blur and shimmer. */
GPU_LANE void set_texture(const struct gpu_shade *job, const struct triangle *t, vf b1, vf b2,
                          vf distance, struct surface *s) {
    vf u[3], v[3];
    for (int c = 0; c < 3; c++) {
        u[c] = vf_gather(job->vertices + 3, t->offset[c]);
        v[c] = vf_gather(job->vertices + 7, t->offset[c]);
    }
    s->u = u[0] + (u[1] - u[0]) * b1 + (u[2] - u[0]) * b2;
    s->v = v[0] + (v[1] - v[0]) * b1 + (v[2] - v[0]) * b2;
    vf area = (u[1] - u[0]) * (v[2] - v[0]) - (u[2] - u[0]) * (v[1] - v[0]);
    area = vf_max(area, vf_set1(0.0f) - area);
    vf size = distance * vf_set1(job->pixel_size);
    s->footprint = area / vf_sqrt(vf_max(t->square, vf_set1(1e-30f))) * (size * size);
}

/* index: of the triangle; x, y: pixels. */
GPU_LANE void find_surface(const struct gpu_shade *job, vi index, vf x, vf y, struct surface *s) {
    const vf zero = vf_set1(0.0f);
    struct triangle t;
    load_triangle(job, index, &t);
    vf ray[3], b1, b2;
    for (int c = 0; c < 3; c++)
        ray[c] = vf_set1(job->rays.origin[c]) + x * vf_set1(job->rays.right[c]) +
                 y * vf_set1(job->rays.down[c]);
    meet(&t, job, ray, &b1, &b2);
    for (int c = 0; c < 3; c++) {
        s->at[c] = t.corner[c] + t.edge1[c] * b1 + t.edge2[c] * b2;
        s->view[c] = vf_set1(job->rays.eye[c]) - s->at[c];
        s->normal[c] = attribute(job, &t, 4 + c, b1, b2);
    }
    vf distance = vf_sqrt(vf_dot3(s->view, s->view));
    vm flat = vf_less(vf_dot3(s->normal, s->normal), vf_set1(1e-12f));
    for (int c = 0; c < 3; c++)
        s->normal[c] = vf_select(flat, t.normal[c], s->normal[c]);
    vm behind = vf_less(zero, vf_dot3(t.normal, ray)); /* the inside of a double-sided surface */
    for (int c = 0; c < 3; c++)
        s->normal[c] = vf_select(behind, zero - s->normal[c], s->normal[c]);
    normalise3(s->normal);
    normalise3(s->view);
    s->material = vi_gather(job->scene->materials, index);
    s->u = s->v = s->footprint = zero;
    if (job->scene->any_texture)
        set_texture(job, &t, b1, b2, distance, s);
}

/* -- Textures -----------------------------------------------------------------------------------
 */

/* The pyramid's level whose texels are nearest to the pixel's size: half the logarithm of the
 * texels a pixel covers. */
GPU_LANE vi choose_level(vf texels) {
    vi bits = vi_bits(vf_clamp(texels, vf_set1(1.0f), vf_set1(1e12f)));
    vi quarters = (bits - vi_set1(127 << 23)) >> 21; /* 4 log2, roughly */
    return (quarters + vi_set1(3)) >> 3;
}

GPU_LANE void add_texel(vi texel, vf weight, vf out[3]) {
    for (int c = 0; c < 3; c++) {
        vf root = vf_from_vi((texel >> (8 * c)) & vi_set1(255));
        out[c] = out[c] + root * root * weight;
    }
}

GPU_LANE void sample_texture(const struct gpu_scene *scene, vi texture, const struct surface *s,
                             vf out[3]) {
    const vf one = vf_set1(1.0f);
    vi pair = texture + texture; /* struct gpu_texture_levels: first, count */
    vi level = vi_gather(scene->textures, pair);
    vi last = vi_gather((const uint32_t *)scene->textures + 1, pair) - vi_set1(1);
    vf texels = vf_from_vi(vi_gather(scene->level_width, level)) *
                vf_from_vi(vi_gather(scene->level_height, level)) * s->footprint;
    level = level + vi_min(choose_level(texels), last);
    vi width = vi_gather(scene->level_width, level), height = vi_gather(scene->level_height, level);
    struct texels t = texels_find(vi_gather(scene->level_offset, level), width, height, s->u, s->v);
    vf scale = vf_set1(1.0f / (255.0f * 255.0f));
    vf right = t.across * scale, left = scale - right;
    for (int c = 0; c < 3; c++)
        out[c] = vf_set1(0.0f);
    add_texel(vi_gather(scene->texels, t.at[0]), left * (one - t.down), out);
    add_texel(vi_gather(scene->texels, t.at[1]), right * (one - t.down), out);
    add_texel(vi_gather(scene->texels, t.at[2]), left * t.down, out);
    add_texel(vi_gather(scene->texels, t.at[3]), right * t.down, out);
}

GPU_LANE void find_albedo(const struct gpu_scene *scene, const struct surface *s, vf out[3]) {
    for (int c = 0; c < 3; c++)
        out[c] = vf_gather(scene->material_color[c], s->material);
    if (!scene->any_texture)
        return;
    vi texture = vi_gather(scene->material_texture, s->material);
    vm none = vi_less(texture, vi_set1(0));
    if (!vm_any(vm_not(none)))
        return;
    vf texel[3];
    sample_texture(scene, vi_max(texture, vi_set1(0)), s, texel);
    for (int c = 0; c < 3; c++)
        out[c] = out[c] * vf_select(none, vf_set1(1.0f), texel[c]);
}

#endif
