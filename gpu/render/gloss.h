/* gloss.h - how a surface scatters light: Lambert under a microfacet layer (GGX, B. Walter et al.
 * 2007; height-correlated Smith, E. Heitz 2014; C. Schlick's Fresnel 1994).
 *
 * What a rough layer loses because light meets it once only is given back (E. Turquin, "Practical
 * multiple scattering compensation for microfacet models", 2019), and what the layer reflects does
 * not reach the Lambert below it: a white surface in a white world is white. */
#ifndef STANCE_GPU_GLOSS_H
#define STANCE_GPU_GLOSS_H

#include "material.h"

struct gloss {
    vf diffuse[3]; /* albedo below the layer */
    vf f0[3];      /* reflectance seen straight on */
    vf total[3];   /* of the layer, from all around to the eye */
    vf gain[3];    /* what multiple scattering adds to one bounce */
    vf alpha;      /* roughness as the microfacets have it */
    vf facing;     /* normal times view, above 0 */
};

/* x^5 */
GPU_LANE vf fifth(vf x) {
    vf square = x * x;
    return square * square * x;
}

/* Of gpu_gloss_table, bilinear: of a layer of reflectance f0 the eye sees f0 * out[0] + out[1]. */
GPU_LANE void find_total(const float *table, vf facing, vf roughness, vf out[2]) {
    const vf one = vf_set1(1.0f);
    vf x = vf_clamp(facing, vf_set1(0.0f), one) * vf_set1(GPU_GLOSS_FACING - 1.001f);
    vf y = vf_clamp(roughness, vf_set1(0.0f), one) * vf_set1(GPU_GLOSS_ROUGH - 1.001f);
    vi x0 = vi_truncate(x), y0 = vi_truncate(y);
    vf fx = x - vf_from_vi(x0), fy = y - vf_from_vi(y0);
    vi at = (y0 * vi_set1(GPU_GLOSS_FACING) + x0) * vi_set1(2);
    for (int i = 0; i < 2; i++) {
        const float *corner = table + i, *below = corner + 2 * GPU_GLOSS_FACING;
        vf top = vf_mix(vf_gather(corner, at), vf_gather(corner + 2, at), fx);
        vf bottom = vf_mix(vf_gather(below, at), vf_gather(below + 2, at), fx);
        out[i] = vf_mix(top, bottom, fy);
    }
}

GPU_LANE void find_gloss(const float *table, const struct surface *s, const struct look *look,
                         struct gloss *out) {
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f);
    vf metallic = vf_clamp(look->metallic, zero, one), total[2];
    vf roughness = vf_clamp(look->roughness, vf_set1(0.14f), one);
    out->alpha = roughness * roughness;
    out->facing = vf_clamp(vf_dot3(s->normal, s->view), vf_set1(0.01f), one);
    find_total(table, out->facing, roughness, total);
    vf lost = one / vf_max(total[0] + total[1], vf_set1(0.05f)) - one;
    for (int c = 0; c < 3; c++) {
        vf base = vf_clamp(look->base[c], zero, one);
        out->f0[c] = vf_mix(vf_set1(0.04f), base, metallic);
        out->gain[c] = one + out->f0[c] * lost;
        out->total[c] = (out->f0[c] * total[0] + total[1]) * out->gain[c];
        out->diffuse[c] = base * (one - metallic) * (one - out->total[c]);
    }
}

/* Adds what light from one direction sends to the eye. color: of what a white surface that faces it
 * would send; wider: added to alpha for a source with a size. */
GPU_LANE void add_direct(const struct surface *s, const struct gloss *g, const vf toward[3],
                         vf wider, const vf color[3], vf out[3]) {
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f), tiny = vf_set1(1e-4f);
    vf middle[3];
    for (int c = 0; c < 3; c++)
        middle[c] = toward[c] + s->view[c];
    normalise3(middle);
    vf lit = vf_clamp(vf_dot3(s->normal, toward), zero, one);
    vf tilt = vf_clamp(vf_dot3(s->normal, middle), zero, one);
    vf bend = fifth(one - vf_clamp(vf_dot3(s->view, middle), zero, one));
    vf alpha = vf_min(g->alpha + wider, one), square = alpha * alpha, rest = one - square;
    vf spread = one - tilt * tilt * rest;
    vf shadowing = lit * vf_sqrt(g->facing * g->facing * rest + square) +
                   g->facing * vf_sqrt(lit * lit * rest + square);
    vf facets = square * vf_set1(0.5f) / (spread * spread * vf_max(shadowing, tiny));
    for (int c = 0; c < 3; c++) {
        vf layer = (g->f0[c] + (one - g->f0[c]) * bend) * facets * g->gain[c];
        out[c] = out[c] + color[c] * lit * (g->diffuse[c] + layer);
    }
}

#endif
