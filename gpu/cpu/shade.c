/* shade.c - the colour of fragments; see kernels.h.
 *
 * A fragment's point is found anew from its triangle and its ray: exact under perspective, and
 * clipping need not be known here. Light: a sun with a soft shadow, a sky and a bounce from below,
 * a faint gloss. */
#include "kernels.h"
#include "simd.h"
#include "texels.h"

struct surface {
    vf at[3], normal[3], view[3]; /* unit; view points to the eye */
    vf u, v;
    vf footprint; /* texture squares (u by v) that a pixel covers */
    vi material;
};

static inline void gather3(const float *base, vi offset, vf out[3]) {
    for (int c = 0; c < 3; c++)
        out[c] = vf_gather(base + c, offset);
}

static inline void normalise(vf v[3]) {
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

static inline void load_triangle(const struct gpu_shade *job, vi index, struct triangle *t) {
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
static inline void meet(const struct triangle *t, const struct gpu_shade *job, const vf ray[3],
                        vf *b1, vf *b2) {
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

static inline vf attribute(const struct gpu_shade *job, const struct triangle *t, int slot, vf b1,
                           vf b2) {
    const float *base = job->vertices + slot;
    vf a = vf_gather(base, t->offset[0]), b = vf_gather(base, t->offset[1]);
    vf c = vf_gather(base, t->offset[2]);
    return a + (b - a) * b1 + (c - a) * b2;
}

/* Texture squares to the pixel: the triangle's, for its own size, for the pixel's. A surface seen
 * at a slant covers more than that along one axis only; the root of the slant splits the difference
 * between blur and shimmer. */
static inline void set_texture(const struct gpu_shade *job, const struct triangle *t, vf b1, vf b2,
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

static inline void find_surface(const struct gpu_shade *job, const struct gpu_fragments *f,
                                uint32_t first, struct surface *s) {
    const vf zero = vf_set1(0.0f);
    vi index = vi_load(f->triangle + first);
    struct triangle t;
    load_triangle(job, index, &t);
    vf x = vf_load(f->x + first), y = vf_load(f->y + first), ray[3], b1, b2;
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
    normalise(s->normal);
    normalise(s->view);
    s->material = vi_gather(job->scene->materials, index);
    s->u = s->v = s->footprint = zero;
    if (job->scene->any_texture)
        set_texture(job, &t, b1, b2, distance, s);
}

/* -- Textures -----------------------------------------------------------------------------------
 */

/* The pyramid's level whose texels are nearest to the pixel's size: half the logarithm of the
 * texels a pixel covers. */
static inline vi choose_level(vf texels) {
    vi bits = vi_bits(vf_clamp(texels, vf_set1(1.0f), vf_set1(1e12f)));
    vi quarters = (bits - vi_set1(127 << 23)) >> 21; /* 4 log2, roughly */
    return (quarters + vi_set1(3)) >> 3;
}

static inline void add_texel(vi texel, vf weight, vf out[3]) {
    for (int c = 0; c < 3; c++) {
        vf root = vf_from_vi((texel >> (8 * c)) & vi_set1(255));
        out[c] = out[c] + root * root * weight;
    }
}

static inline void sample_texture(const struct gpu_scene *scene, vi texture,
                                  const struct surface *s, vf out[3]) {
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

static inline void find_albedo(const struct gpu_scene *scene, const struct surface *s, vf out[3]) {
    for (int c = 0; c < 3; c++)
        out[c] = vf_gather(scene->material_color[c], s->material);
    if (!scene->any_texture)
        return;
    vi texture = vi_gather(scene->material_texture, s->material);
    vm none = vi_less(texture, vi_set1(0));
    if (vm_bits(vm_not(none)) == 0)
        return;
    vf texel[3];
    sample_texture(scene, vi_max(texture, vi_set1(0)), s, texel);
    for (int c = 0; c < 3; c++)
        out[c] = out[c] * vf_select(none, vf_set1(1.0f), texel[c]);
}

/* -- Light --------------------------------------------------------------------------------------
 */

/* A surface before the sun's map: where it is in it, and how its depth changes across the disc. */
struct lookup {
    vf x, y, depth;            /* texels; metres from the map's base */
    vf slope_x, slope_y;       /* metres from the disc's middle to its rim */
    vf radius, last_x, last_y; /* texels */
};

/* How many of taps [first, end) the sun reaches. */
static inline vf count_lit(const struct gpu_shadow *map, const struct lookup *l, int first,
                           int end) {
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f);
    const vi stride = vi_set1((int32_t)map->stride);
    vf lit = zero;
    for (int i = first; i < end; i++) {
        vf dx = vf_set1(map->tap_x[i]), dy = vf_set1(map->tap_y[i]);
        vi x = vi_truncate(vf_clamp(l->x + dx * l->radius, zero, l->last_x));
        vi y = vi_truncate(vf_clamp(l->y + dy * l->radius, zero, l->last_y));
        vf blocker = vf_gather(map->depth, y * stride + x);
        vf here = l->depth + l->slope_x * dx + l->slope_y * dy;
        lit = lit + vf_select(vf_less(here, blocker), zero, one);
    }
    return lit;
}

/* The share of the sun that reaches the surface. The compared depth follows the surface's own slope
 * across the disc and starts a little outside of it: without both, a soft shadow would fall on what
 * casts it. The disc's rim is asked first: an edge that crosses the disc crosses its rim, so where
 * the rim agrees there is nothing more to learn. */
static inline vf sun_share(const struct gpu_shade *job, const struct surface *s, vf facing) {
    const struct gpu_shadow *map = job->shadow;
    const float lift = 1.5f / map->scale + 0.15f * map->softness;
    vf light[3], normal[2];
    for (int r = 0; r < 3; r++) {
        const float *m = map->m + 4 * r;
        vf at[3];
        for (int c = 0; c < 3; c++)
            at[c] = vf_set1(m[c]) * (s->at[c] + s->normal[c] * vf_set1(lift));
        light[r] = (at[0] + at[1]) + (at[2] + vf_set1(m[3]));
        if (r < 2)
            normal[r] = vf_set1(m[0]) * s->normal[0] + vf_set1(m[1]) * s->normal[1] +
                        vf_set1(m[2]) * s->normal[2];
    }
    vf scale = vf_set1(map->scale);
    vf slope = vf_set1(-0.5f * map->softness) / vf_max(facing, vf_set1(0.25f));
    const struct lookup l = {.x = (light[0] - vf_set1(map->x0)) * scale,
                             .y = (light[1] - vf_set1(map->y0)) * scale,
                             .depth = light[2] - vf_set1(map->base),
                             .slope_x = normal[0] * slope,
                             .slope_y = normal[1] * slope,
                             .radius = vf_set1(0.5f * map->softness * map->scale),
                             .last_x = vf_set1((float)(map->width - 1)),
                             .last_y = vf_set1((float)(map->height - 1))};
    const vf zero = vf_set1(0.0f), rim = vf_set1((float)GPU_RIM_TAPS);
    vf lit = count_lit(map, &l, GPU_SHADOW_TAPS - GPU_RIM_TAPS, GPU_SHADOW_TAPS);
    vm mixed = vm_and(vf_less(zero, lit), vf_less(lit, rim));
    vf share = lit * vf_set1(1.0f / (float)GPU_RIM_TAPS);
    if (vm_bits(mixed) == 0)
        return share;
    lit = lit + count_lit(map, &l, 0, GPU_SHADOW_TAPS - GPU_RIM_TAPS);
    return vf_select(mixed, lit * vf_set1(1.0f / (float)GPU_SHADOW_TAPS), share);
}

/* x^5 */
static inline vf fifth(vf x) {
    vf square = x * x;
    return square * square * x;
}

static inline void light(const struct gpu_shade *job, const struct surface *s, const vf albedo[3],
                         vf out[3]) {
    const struct gpu_lighting *lighting = job->lighting;
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f), half = vf_set1(0.5f);
    vf sun[3], middle[3];
    for (int c = 0; c < 3; c++) {
        sun[c] = vf_set1(job->sun.direction[c]);
        middle[c] = sun[c] + s->view[c];
    }
    normalise(middle);
    vf facing = vf_clamp(vf_dot3(s->normal, sun), zero, one);
    vf share = facing;
    if (vm_bits(vf_less(zero, facing)) != 0)
        share = facing * sun_share(job, s, facing);
    vf gloss = vf_clamp(vf_dot3(s->normal, middle), zero, one);
    gloss = gloss * gloss * gloss;                  /* 3 */
    gloss = fifth(gloss);                           /* 15 */
    gloss = gloss * gloss * vf_set1(0.16f) * share; /* 30 */
    vf rim = fifth(one - vf_clamp(vf_dot3(s->normal, s->view), zero, one)) * vf_set1(0.12f);
    vf up = s->normal[1] * half + half;
    for (int c = 0; c < 3; c++) {
        vf sky = vf_set1(lighting->sky_color[c]), bounce = vf_set1(lighting->bounce_color[c]);
        vf ambient = vf_mix(bounce, sky, up), direct = vf_set1(lighting->sun_color[c]);
        out[c] = albedo[c] * (direct * share + ambient) + direct * gloss + ambient * rim;
    }
}

void GPU_KERNEL(gpu_shade)(const struct gpu_shade *job, const struct gpu_fragments *fragments,
                           uint32_t count);

void GPU_KERNEL(gpu_shade)(const struct gpu_shade *job, const struct gpu_fragments *fragments,
                           uint32_t count) {
    for (uint32_t i = 0; i < count; i += GPU_LANES) {
        struct surface surface;
        vf albedo[3], color[3];
        find_surface(job, fragments, i, &surface);
        find_albedo(job->scene, &surface, albedo);
        light(job, &surface, albedo, color);
        vf_store(fragments->red + i, color[0]);
        vf_store(fragments->green + i, color[1]);
        vf_store(fragments->blue + i, color[2]);
    }
}
