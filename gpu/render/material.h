/* material.h - what a surface is made of: glTF 2.0's metallic-roughness model, from the material's
 * numbers and its maps.
 *
 * Maps are read from two levels of their pyramids, bilinearly each, and at a slant at up to four
 * points along it, so that they neither shimmer nor blur. */
#ifndef STANCE_GPU_MATERIAL_H
#define STANCE_GPU_MATERIAL_H

#include "surface.h"
#include "texels.h"

struct look {
    vf base[3]; /* linear */
    vf metallic, roughness;
    vf glow[3]; /* what it emits */
};

/* Where in a pyramid and along which line a map is read. */
struct trail {
    vi taps;           /* 1, 2 or 4 */
    vf step_u, step_v; /* from the first to behind the last */
    vi level;          /* the finer one */
    vf coarse;         /* share of the coarser one */
    vi last;
};

/* The logarithm to base 2 of x >= 1, within 0.09: straight lines between the powers. */
GPU_LANE vf rough_log2(vf x) {
    return vf_from_vi(vi_bits(x) - vi_set1(127 << 23)) * vf_set1(1.0f / (1 << 23));
}

GPU_LANE void find_trail(const struct gpu_scene *scene, vi texture, const struct surface *s,
                         struct trail *out) {
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f);
    vi pair = texture + texture; /* struct gpu_texture_levels: first, count */
    vi first = vi_gather(scene->textures, pair);
    out->last = first + vi_gather((const uint32_t *)scene->textures + 1, pair) - vi_set1(1);
    vf wide = vf_from_vi(vi_gather(scene->level_width, first));
    vf high = vf_from_vi(vi_gather(scene->level_height, first));
    vf length[2];
    for (int i = 0; i < 2; i++) {
        vf du = s->across_u[i] * wide, dv = s->across_v[i] * high;
        length[i] = vf_min(du * du + dv * dv, vf_set1(1e12f)); /* squared, texels; a NaN: as far */
    }
    vm turned = vf_less(length[0], length[1]);
    vf longer = vf_select(turned, length[1], length[0]);
    vf shorter = vf_select(turned, length[0], length[1]);
    shorter = vf_max(shorter, one); /* where texels are larger than pixels more taps tell nothing */
    vm some = vf_less(shorter * vf_set1(2.25f), longer),
       many = vf_less(shorter * vf_set1(9.0f), longer);
    out->taps = vi_select(many, vi_set1(4), vi_select(some, vi_set1(2), vi_set1(1)));
    out->step_u = vf_select(turned, s->across_u[1], s->across_u[0]);
    out->step_v = vf_select(turned, s->across_v[1], s->across_v[0]);
    vf share = vf_select(many, vf_set1(1.0f / 16.0f), vf_select(some, vf_set1(0.25f), one));
    vf level = rough_log2(vf_max(longer * share, one)) * vf_set1(0.5f);
    level = vf_clamp(level, zero, vf_from_vi(out->last - first));
    out->level = vi_truncate(level);
    out->coarse = level - vf_from_vi(out->level);
    out->level = out->level + first;
}

/* Colours are kept as roots of linear light (scene.h), data as it is. */
GPU_LANE void add_texel(vi texel, vf weight, bool color, vf out[3]) {
    for (int c = 0; c < 3; c++) {
        vf value = vf_from_vi((texel >> (8 * c)) & vi_set1(255));
        out[c] = out[c] + (color ? value * value : value) * weight;
    }
}

GPU_LANE void add_level(const struct gpu_scene *scene, vi level, vf u, vf v, vf weight, bool color,
                        vf out[3]) {
    vi width = vi_gather(scene->level_width, level), height = vi_gather(scene->level_height, level);
    struct texels t = texels_find(vi_gather(scene->level_offset, level), width, height, u, v);
    vf lower = t.down * weight, upper = weight - lower;
    vf lower_right = lower * t.across, upper_right = upper * t.across;
    add_texel(vi_gather(scene->texels, t.at[0]), upper - upper_right, color, out);
    add_texel(vi_gather(scene->texels, t.at[1]), upper_right, color, out);
    add_texel(vi_gather(scene->texels, t.at[2]), lower - lower_right, color, out);
    add_texel(vi_gather(scene->texels, t.at[3]), lower_right, color, out);
}

/* The map's three channels in 0..1; 1 where there is none. map: enum gpu_map. */
GPU_LANE void sample_map(const struct gpu_scene *scene, const struct surface *s, int map,
                         bool color, vf out[3]) {
    const vf one = vf_set1(1.0f);
    for (int c = 0; c < 3; c++)
        out[c] = one;
    vi texture = vi_gather(scene->material_maps + map, s->material * vi_set1(GPU_MAPS));
    vm none = vi_less(texture, vi_set1(0));
    if (!vm_any(vm_not(none)))
        return;
    struct trail trail;
    find_trail(scene, vi_max(texture, vi_set1(0)), s, &trail);
    vf part = one / vf_from_vi(trail.taps), sum[3] = {one - one, one - one, one - one};
    vf scale = part * vf_set1(color ? 1.0f / (255.0f * 255.0f) : 1.0f / 255.0f);
    vi coarser = vi_min(trail.level + vi_set1(1), trail.last);
    for (int i = 0; i < 4; i++) {
        vm wanted = vm_and(vi_less(vi_set1(i), trail.taps), vm_not(none));
        if (!vm_any(wanted))
            break;
        vf along = vf_set1((float)i + 0.5f) * part - vf_set1(0.5f);
        vf u = s->u + trail.step_u * along, v = s->v + trail.step_v * along;
        vf weight = vf_select(wanted, scale, vf_set1(0.0f)), coarse = weight * trail.coarse;
        add_level(scene, trail.level, u, v, weight - coarse, color, sum);
        if (vm_any(vf_less(vf_set1(0.0f), coarse)))
            add_level(scene, coarser, u, v, coarse, color, sum);
    }
    for (int c = 0; c < 3; c++)
        out[c] = vf_select(none, one, sum[c]);
}

GPU_LANE vf material_number(const struct gpu_scene *scene, const struct surface *s, int slot) {
    return vf_gather(scene->material_rows + slot, s->material * vi_set1(GPU_MATERIAL_ROW));
}

/* Turns the normal by the map: x along u, y against v (maps are painted with y up, and v goes
 * down). */
GPU_LANE void bend_normal(const struct gpu_scene *scene, struct surface *s) {
    const vf one = vf_set1(1.0f), zero = one - one;
    vf map[3], right[3], up[3];
    sample_map(scene, s, GPU_MAP_NORMAL, false, map);
    vi texture = vi_gather(scene->material_maps + GPU_MAP_NORMAL, s->material * vi_set1(GPU_MAPS));
    vf scale = material_number(scene, s, GPU_MATERIAL_NORMAL_SCALE);
    vf x = (map[0] + map[0] - one) * scale, y = (map[1] + map[1] - one) * scale;
    vf z = vf_max(map[2] + map[2] - one, vf_set1(0.01f));
    vf lean_u = vf_dot3(s->along_u, s->normal), lean_v = vf_dot3(s->along_v, s->normal);
    for (int c = 0; c < 3; c++) {
        right[c] = s->along_u[c] - s->normal[c] * lean_u;
        up[c] = s->normal[c] * lean_v - s->along_v[c];
    }
    vf bad = vf_min(vf_dot3(right, right), vf_dot3(up, up));
    vm skip = vm_or(vi_less(texture, vi_set1(0)), vm_not(vf_less(vf_set1(1e-12f), bad)));
    x = vf_select(skip, zero, x);
    y = vf_select(skip, zero, y);
    normalise3(right);
    normalise3(up);
    for (int c = 0; c < 3; c++) {
        vf bent = right[c] * x + up[c] * y + s->normal[c] * z;
        s->normal[c] = vf_select(skip, s->normal[c], bent);
    }
    normalise3(s->normal);
}

/* Reads the material and bends the surface's normal. */
GPU_LANE void find_look(const struct gpu_scene *scene, struct surface *s, struct look *out) {
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f);
    for (int c = 0; c < 3; c++) {
        out->base[c] = material_number(scene, s, GPU_MATERIAL_RED + c);
        out->glow[c] = material_number(scene, s, GPU_MATERIAL_EMISSIVE + c);
    }
    out->metallic = material_number(scene, s, GPU_MATERIAL_METALLIC);
    out->roughness = material_number(scene, s, GPU_MATERIAL_ROUGHNESS);
    vf map[3];
    if (scene->has_map[GPU_MAP_COLOR]) {
        sample_map(scene, s, GPU_MAP_COLOR, true, map);
        for (int c = 0; c < 3; c++)
            out->base[c] = out->base[c] * map[c];
    }
    if (scene->has_map[GPU_MAP_ROUGH]) {
        vf strength = material_number(scene, s, GPU_MATERIAL_OCCLUSION);
        sample_map(scene, s, GPU_MAP_ROUGH, false, map);
        s->open = s->open * vf_clamp(one + strength * (map[0] - one), zero, one);
        out->roughness = out->roughness * map[1];
        out->metallic = out->metallic * map[2];
    }
    if (scene->has_map[GPU_MAP_EMISSIVE]) {
        sample_map(scene, s, GPU_MAP_EMISSIVE, true, map);
        for (int c = 0; c < 3; c++)
            out->glow[c] = out->glow[c] * map[c];
    }
    if (scene->has_map[GPU_MAP_NORMAL])
        bend_normal(scene, s);
}

#endif
