/* surface.h - what a ray meets: a fragment's point, found anew from its triangle and its ray, which
 * is exact under perspective and need not know of clipping. */
#ifndef STANCE_GPU_SURFACE_H
#define STANCE_GPU_SURFACE_H

#include "lens.h"
#include "shade.h"

struct surface {
    vf at[3], normal[3], view[3]; /* unit; view points to the eye */
    vf u, v;
    vf along_u[3], along_v[3];   /* gradients of u and v over the triangle's plane: a metre */
    vf across_u[2], across_v[2]; /* what a pixel's two axes on the surface add to u and v */
    vf open;                     /* share of the sky that the body leaves free */
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

/* Texture coordinates and how they change over the surface. A pixel covers more of it along the
 * way that it slants (axis 0) than across (axis 1). */
GPU_LANE void set_texture(const struct gpu_shade *job, const struct triangle *t, vf b1, vf b2,
                          vf distance, struct surface *s) {
    const vf one = vf_set1(1.0f), tiny = vf_set1(1e-30f);
    vf u[3], v[3], over1[3], over2[3], across[3], facing[3];
    for (int c = 0; c < 3; c++) {
        u[c] = vf_gather(job->vertices + 3, t->offset[c]);
        v[c] = vf_gather(job->vertices + 7, t->offset[c]);
    }
    vf u1 = u[1] - u[0], u2 = u[2] - u[0], v1 = v[1] - v[0], v2 = v[2] - v[0];
    s->u = u[0] + u1 * b1 + u2 * b2;
    s->v = v[0] + v1 * b1 + v2 * b2;
    vf inverse = one / vf_max(t->square, tiny), root = vf_sqrt(inverse);
    vf_cross3(over1, t->edge2, t->normal);
    vf_cross3(over2, t->normal, t->edge1);
    for (int c = 0; c < 3; c++) {
        s->along_u[c] = (u1 * over1[c] + u2 * over2[c]) * inverse;
        s->along_v[c] = (v1 * over1[c] + v2 * over2[c]) * inverse;
        facing[c] = t->normal[c] * root;
    }
    vf_cross3(across, facing, s->view);
    vf cosine = vf_dot3(facing, s->view);
    cosine = vf_max(vf_max(cosine, vf_set1(0.0f) - cosine), vf_set1(0.05f));
    vf size = distance * vf_set1(job->pixel_size);
    vf sine = one / vf_sqrt(vf_max(vf_dot3(across, across), vf_set1(1e-12f)));
    vf along = sine * size / cosine; /* the view's share in the plane is as long as `across` */
    s->across_u[0] = vf_dot3(s->along_u, s->view) * along;
    s->across_v[0] = vf_dot3(s->along_v, s->view) * along;
    s->across_u[1] = vf_dot3(s->along_u, across) * (sine * size);
    s->across_v[1] = vf_dot3(s->along_v, across) * (sine * size);
}

/* index: of the triangle; x, y: pixels. */
GPU_LANE void find_surface(const struct gpu_shade *job, vi index, vf x, vf y, struct surface *s) {
    const vf zero = vf_set1(0.0f);
    struct triangle t;
    load_triangle(job, index, &t);
    vf ray[3], b1, b2;
    lens_ray(&job->rays, x, y, ray);
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
    s->open = vf_set1(1.0f);
    if (job->open != NULL) {
        vf open[3];
        for (int c = 0; c < 3; c++)
            open[c] = vf_gather(job->open, vi_shift_right(t.offset[c], 3));
        s->open = open[0] + (open[1] - open[0]) * b1 + (open[2] - open[0]) * b2;
    }
    const bool *map = job->scene->has_map;
    if (map[GPU_MAP_COLOR] || map[GPU_MAP_ROUGH] || map[GPU_MAP_NORMAL] || map[GPU_MAP_EMISSIVE])
        set_texture(job, &t, b1, b2, distance, s);
}

#endif
