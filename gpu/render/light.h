/* light.h - the light that a surface sends to the eye: of a sun with a soft shadow, of lamps, of
 * the sky and the ground or of a picture all around, and its own. */
#ifndef STANCE_GPU_LIGHT_H
#define STANCE_GPU_LIGHT_H

#include "gloss.h"

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

/* -- From all around ----------------------------------------------------------------------------
 */

/* A level of the environment in a direction (of any length), bilinear. */
GPU_LANE void read_environment(const struct gpu_environment *all, vi level, const vf toward[3],
                               vf out[3]) {
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f), half = vf_set1(0.5f);
    vf size[3];
    for (int c = 0; c < 3; c++)
        size[c] = vf_max(toward[c], zero - toward[c]);
    vf scale = one / vf_max(size[0] + size[1] + size[2], vf_set1(1e-12f));
    vf x = toward[0] * scale, z = toward[2] * scale;
    vm below = vf_less(toward[1], zero);
    vf fold_x = one - size[2] * scale, fold_z = one - size[0] * scale;
    x = vf_select(below, vf_select(vf_less(x, zero), zero - fold_x, fold_x), x);
    z = vf_select(below, vf_select(vf_less(z, zero), zero - fold_z, fold_z), z);
    vi side = vi_gather(all->side, level);
    vf wide = vf_from_vi(side);
    x = vf_clamp((x * half + half) * wide + half, zero, wide + half); /* half a border */
    z = vf_clamp((z * half + half) * wide + half, zero, wide + half);
    vi x0 = vi_truncate(x), z0 = vi_truncate(z), stride = side + vi_set1(2);
    vf across = x - vf_from_vi(x0), down = z - vf_from_vi(z0);
    vi at = (vi_gather(all->offset, level) + z0 * stride + x0) * vi_set1(3);
    vi under = at + stride * vi_set1(3);
    for (int c = 0; c < 3; c++) {
        const float *texels = all->texels + c;
        vf top = vf_mix(vf_gather(texels, at), vf_gather(texels + 3, at), across);
        vf bottom = vf_mix(vf_gather(texels, under), vf_gather(texels + 3, under), across);
        out[c] = vf_mix(top, bottom, down);
    }
}

/* As the picture is turned. */
GPU_LANE void turn_toward(const struct gpu_daylight *light, const vf in[3], vf out[3]) {
    const vf c = vf_set1(light->turn_cos), s = vf_set1(light->turn_sin);
    out[0] = c * in[0] - s * in[2];
    out[1] = in[1];
    out[2] = s * in[0] + c * in[2];
}

/* What white that faces `normal` sends back of all the light around. */
GPU_LANE void find_diffuse(const struct gpu_daylight *light, const vf normal[3], vf out[3]) {
    const struct gpu_lighting *lighting = light->lighting;
    const vf half = vf_set1(0.5f), one = vf_set1(1.0f);
    if (light->environment == NULL) {
        vf up = normal[1] * half + half;
        for (int c = 0; c < 3; c++)
            out[c] =
                vf_mix(vf_set1(lighting->bounce_color[c]), vf_set1(lighting->sky_color[c]), up);
        return;
    }
    vf n[3];
    turn_toward(light, normal, n);
    const vf bands[GPU_ENVIRONMENT_HARMONICS] = {one,
                                                 n[1],
                                                 n[2],
                                                 n[0],
                                                 n[0] * n[1],
                                                 n[1] * n[2],
                                                 n[1] * n[1] * vf_set1(3.0f) - one,
                                                 n[0] * n[2],
                                                 n[0] * n[0] - n[2] * n[2]};
    for (int c = 0; c < 3; c++) {
        vf sum = one - one;
        for (int i = 0; i < GPU_ENVIRONMENT_HARMONICS; i++)
            sum = sum + bands[i] * vf_set1(light->environment->harmonics[i][c]);
        out[c] = vf_max(sum, one - one) * vf_set1(lighting->environment_strength);
    }
}

/* What comes from `toward` (unit), blurred as a layer of that roughness does. */
GPU_LANE void find_reflected(const struct gpu_daylight *light, const vf toward[3], vf roughness,
                             vf out[3]) {
    const struct gpu_lighting *lighting = light->lighting;
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f), half = vf_set1(0.5f);
    if (light->environment == NULL) { /* a horizon, the softer the rougher */
        vf up = vf_clamp(toward[1] / (roughness + vf_set1(0.1f)) * half + half, zero, one);
        up = up * up * (vf_set1(3.0f) - up - up);
        for (int c = 0; c < 3; c++)
            out[c] =
                vf_mix(vf_set1(lighting->bounce_color[c]), vf_set1(lighting->sky_color[c]), up);
        return;
    }
    vf turned[3], finer[3], coarser[3];
    vf level = vf_clamp(roughness, zero, one) * vf_set1(GPU_ENVIRONMENT_LEVELS - 1);
    vi first = vi_min(vi_truncate(level), vi_set1(GPU_ENVIRONMENT_LEVELS - 2));
    vf share = level - vf_from_vi(first);
    turn_toward(light, toward, turned);
    read_environment(light->environment, first, turned, finer);
    read_environment(light->environment, first + vi_set1(1), turned, coarser);
    for (int c = 0; c < 3; c++)
        out[c] = vf_mix(finer[c], coarser[c], share) * vf_set1(lighting->environment_strength);
}

/* Adds what comes from all around, as far as it is free. */
GPU_LANE void add_around(const struct gpu_daylight *light, const struct surface *s,
                         const struct gloss *g, vf roughness, vf out[3]) {
    vf mirrored[3], diffuse[3], reflected[3], twice = vf_dot3(s->normal, s->view);
    twice = twice + twice;
    for (int c = 0; c < 3; c++)
        mirrored[c] = s->normal[c] * twice - s->view[c];
    find_diffuse(light, s->normal, diffuse);
    find_reflected(light, mirrored, roughness, reflected);
    for (int c = 0; c < 3; c++)
        out[c] = out[c] + (g->diffuse[c] * diffuse[c] + g->total[c] * reflected[c]) * s->open;
}

/* -- Lamps --------------------------------------------------------------------------------------
 */

/* Which way a lamp is, how far, and the share of its color that arrives. */
GPU_LANE vf find_lamp(const struct gpu_lamp *lamp, const vf at[3], vf toward[3], vf *distance) {
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f);
    vf beam = zero;
    for (int c = 0; c < 3; c++)
        toward[c] = vf_set1(lamp->position[c]) - at[c];
    vf square = vf_max(vf_dot3(toward, toward), vf_set1(1e-12f));
    *distance = vf_sqrt(square);
    vf inverse = one / *distance;
    for (int c = 0; c < 3; c++) {
        toward[c] = toward[c] * inverse;
        beam = beam - toward[c] * vf_set1(lamp->direction[c]);
    }
    vf inside = vf_clamp((beam - vf_set1(lamp->edge)) * vf_set1(lamp->fade), zero, one);
    inside = inside * inside * (vf_set1(3.0f) - inside - inside);
    return inside / vf_max(square, vf_set1(lamp->nearest));
}

GPU_LANE void add_lamps(const struct gpu_daylight *light, const struct surface *s,
                        const struct gloss *g, vf out[3]) {
    for (uint32_t i = 0; i < light->lamp_count; i++) {
        const struct gpu_lamp *lamp = &light->lamps[i];
        vf toward[3], color[3], distance;
        vf share = find_lamp(lamp, s->at, toward, &distance);
        for (int c = 0; c < 3; c++)
            color[c] = vf_set1(lamp->color[c]) * share;
        add_direct(s, g, toward, vf_set1(0.5f * lamp->radius) / distance, color, out);
    }
}

/* -- All of it ----------------------------------------------------------------------------------
 */

GPU_LANE void add_sun(const struct gpu_daylight *light, const struct surface *s,
                      const struct gloss *g, vf out[3]) {
    const vf zero = vf_set1(0.0f);
    vf sun[3], color[3];
    for (int c = 0; c < 3; c++)
        sun[c] = vf_set1(light->sun.direction[c]);
    vf facing = vf_dot3(s->normal, sun);
    if (!vm_any(vf_less(zero, facing)))
        return;
    vf share = sun_share(light, s, facing);
    for (int c = 0; c < 3; c++)
        color[c] = vf_set1(light->lighting->sun_color[c]) * share;
    add_direct(s, g, sun, zero, color, out);
}

/* The linear light that a fragment sends to the eye. index: of its triangle; x, y: pixels. */
GPU_LANE void shade_fragment(const struct gpu_shade *job, vi index, vf x, vf y, vf out[3]) {
    struct surface surface;
    struct look look;
    struct gloss gloss;
    find_surface(job, index, x, y, &surface);
    find_look(job->scene, &surface, &look);
    find_gloss(job->light->gloss_table, &surface, &look, &gloss);
    for (int c = 0; c < 3; c++)
        out[c] = look.glow[c];
    add_around(job->light, &surface, &gloss, look.roughness, out);
    add_sun(job->light, &surface, &gloss, out);
    add_lamps(job->light, &surface, &gloss, out);
}

#endif
