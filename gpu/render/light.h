/* light.h - the light that a surface sends to the eye: a sun with a soft shadow, a sky and a bounce
 * from below, a faint gloss. */
#ifndef STANCE_GPU_LIGHT_H
#define STANCE_GPU_LIGHT_H

#include "surface.h"

/* A surface before the sun's map: where it is in it, and how its depth changes across the disc. */
struct lookup {
    vf x, y, depth;            /* texels; metres from the map's base */
    vf slope_x, slope_y;       /* metres from the disc's middle to its rim */
    vf radius, last_x, last_y; /* texels */
};

/* How many of taps [first, end) the sun reaches. */
GPU_LANE vf count_lit(const struct gpu_daylight *light, const struct gpu_shadow *map,
                      const struct lookup *l, int first, int end) {
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f);
    const vi stride = vi_set1(map->stride);
    vf lit = zero;
    for (int i = first; i < end; i++) {
        vf dx = vf_set1(light->tap_x[i]), dy = vf_set1(light->tap_y[i]);
        vi x = vi_truncate(vf_clamp(l->x + dx * l->radius, zero, l->last_x));
        vi y = vi_truncate(vf_clamp(l->y + dy * l->radius, zero, l->last_y));
        vf blocker = vf_gather(map->depth, y * stride + x);
        vf here = l->depth + l->slope_x * dx + l->slope_y * dy;
        lit = lit + vf_select(vf_less(here, blocker), zero, one);
    }
    return lit;
}

/* The share of the sun that one body's map lets through. x, y, z: the surface in the sun's view;
 * nx, ny: its normal there. The compared depth follows the surface's own slope across the disc and
 * starts a little outside of it: without both, a soft shadow would fall on what casts it. The
 * disc's rim is asked first: an edge that crosses the disc crosses its rim, so where the rim agrees
 * there is nothing more to learn. */
GPU_LANE vf cast_share(const struct gpu_daylight *light, const struct gpu_shadow *map,
                       const vf at[3], const vf normal[3], vf facing) {
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f), rim = vf_set1((float)GPU_RIM_TAPS);
    const float softness = light->lighting->shadow_softness;
    const vf lift = vf_set1(1.5f / map->scale + 0.15f * softness), scale = vf_set1(map->scale);
    vf slope = vf_set1(-0.5f * softness) / vf_max(facing, vf_set1(0.25f));
    struct lookup l;
    l.radius = vf_set1(0.5f * softness * map->scale);
    l.last_x = vf_set1((float)(map->width - 1));
    l.last_y = vf_set1((float)(map->height - 1));
    l.x = (at[0] + normal[0] * lift - vf_set1(map->x0)) * scale;
    l.y = (at[1] + normal[1] * lift - vf_set1(map->y0)) * scale;
    l.depth = at[2] + normal[2] * lift - vf_set1(map->base);
    l.slope_x = normal[0] * slope;
    l.slope_y = normal[1] * slope;
    /* Around what casts, the map has room for a disc: what is off the map sees nothing of it. */
    vm inside = vm_and(vm_and(vf_less(zero, l.x), vf_less(l.x, l.last_x)),
                       vm_and(vf_less(zero, l.y), vf_less(l.y, l.last_y)));
    if (!vm_any(inside))
        return one;
    vf lit = count_lit(light, map, &l, GPU_SHADOW_TAPS - GPU_RIM_TAPS, GPU_SHADOW_TAPS);
    vm mixed = vm_and(inside, vm_and(vf_less(zero, lit), vf_less(lit, rim)));
    vf share = vf_select(inside, lit * vf_set1(1.0f / (float)GPU_RIM_TAPS), one);
    if (!vm_any(mixed))
        return share;
    lit = lit + count_lit(light, map, &l, 0, GPU_SHADOW_TAPS - GPU_RIM_TAPS);
    return vf_select(mixed, lit * vf_set1(1.0f / (float)GPU_SHADOW_TAPS), share);
}

/* The share of the sun that reaches the surface. */
GPU_LANE vf sun_share(const struct gpu_daylight *light, const struct surface *s, vf facing) {
    vf at[3], normal[3], share = vf_set1(1.0f);
    for (int r = 0; r < 3; r++) {
        const float *m = light->m + 4 * r;
        const vf row[3] = {vf_set1(m[0]), vf_set1(m[1]), vf_set1(m[2])};
        at[r] = vf_dot3(row, s->at) + vf_set1(m[3]);
        normal[r] = vf_dot3(row, s->normal);
    }
    for (uint32_t i = 0; i < light->cast_count; i++)
        share = share * cast_share(light, &light->casts[i].sun, at, normal, facing);
    return share;
}

/* x^5 */
GPU_LANE vf fifth(vf x) {
    vf square = x * x;
    return square * square * x;
}

GPU_LANE void light_surface(const struct gpu_shade *job, const struct surface *s,
                            const vf albedo[3], vf out[3]) {
    const struct gpu_lighting *lighting = job->light->lighting;
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f), half = vf_set1(0.5f);
    vf sun[3], middle[3];
    for (int c = 0; c < 3; c++) {
        sun[c] = vf_set1(job->light->sun.direction[c]);
        middle[c] = sun[c] + s->view[c];
    }
    normalise3(middle);
    vf facing = vf_clamp(vf_dot3(s->normal, sun), zero, one);
    vf share = facing;
    if (vm_any(vf_less(zero, facing)))
        share = facing * sun_share(job->light, s, facing);
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

/* The linear light that a fragment sends to the eye. index: of its triangle; x, y: pixels. */
GPU_LANE void shade_fragment(const struct gpu_shade *job, vi index, vf x, vf y, vf out[3]) {
    struct surface surface;
    vf albedo[3];
    find_surface(job, index, x, y, &surface);
    find_albedo(job->scene, &surface, albedo);
    light_surface(job, &surface, albedo, out);
}

#endif
