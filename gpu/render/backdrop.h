/* backdrop.h - what is behind people: the ground with what darkens it, and the background. */
#ifndef STANCE_GPU_BACKDROP_H
#define STANCE_GPU_BACKDROP_H

#include "lens.h"
#include "light.h"

/* Bilinear in a table of cells whose outermost are 0. x, y: cells, whose values stand in their
 * middles. */
GPU_LANE vf lookup_cells(const float *cells, int32_t width, int32_t height, vf x, vf y) {
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f);
    x = vf_clamp(x - vf_set1(0.5f), zero, vf_set1((float)(width - 1) - 0.001f));
    y = vf_clamp(y - vf_set1(0.5f), zero, vf_set1((float)(height - 1) - 0.001f));
    vm inside = vm_and(vm_and(vf_less(zero, x), vf_less(x, vf_set1((float)(width - 1) - 0.01f))),
                       vm_and(vf_less(zero, y), vf_less(y, vf_set1((float)(height - 1) - 0.01f))));
    if (!vm_any(inside))
        return zero;
    vi x0 = vi_truncate(x), y0 = vi_truncate(y);
    vf fx = x - vf_from_vi(x0), fy = y - vf_from_vi(y0);
    vi at = y0 * vi_set1(width) + x0;
    vf a = vf_gather(cells, at), b = vf_gather(cells + 1, at);
    vf c = vf_gather(cells + width, at), d = vf_gather(cells + width + 1, at);
    vf top = a * (one - fx) + b * fx, bottom = c * (one - fx) + d * fx;
    /* Lane by lane: what a pixel gets must not depend on its neighbours in the vector. */
    return vf_select(inside, top * (one - fy) + bottom * fy, zero);
}

/* How much of the sun and of the sky a point of the ground is left, for all that is cast on it. */
GPU_LANE void ground_shade(const struct gpu_daylight *light, vf x, vf z, vf *sun, vf *sky) {
    const float *m = light->m;
    const vf one = vf_set1(1.0f), y = vf_set1(light->lighting->ground_y);
    vf light_x = (vf_set1(m[0]) * x + vf_set1(m[1]) * y) + (vf_set1(m[2]) * z + vf_set1(m[3]));
    vf light_y = (vf_set1(m[4]) * x + vf_set1(m[5]) * y) + (vf_set1(m[6]) * z + vf_set1(m[7]));
    *sun = *sky = one;
    for (uint32_t i = 0; i < light->cast_count; i++) {
        const struct gpu_ground *ground = &light->casts[i].ground;
        vf shadow =
            lookup_cells(ground->shadow, ground->shadow_width, ground->shadow_height,
                         (light_x - vf_set1(ground->shadow_x0)) * vf_set1(ground->shadow_scale),
                         (light_y - vf_set1(ground->shadow_y0)) * vf_set1(ground->shadow_scale));
        vf contact =
            lookup_cells(ground->contact, ground->contact_width, ground->contact_height,
                         (x - vf_set1(ground->contact_x0)) * vf_set1(ground->contact_scale),
                         (z - vf_set1(ground->contact_z0)) * vf_set1(ground->contact_scale));
        *sun = *sun * (one - shadow);
        *sky = *sky * (one - contact);
    }
}

/* What a white ground sends back of the lamps. */
GPU_LANE void add_ground_lamps(const struct gpu_daylight *light, const vf at[3], vf out[3]) {
    for (uint32_t i = 0; i < light->lamp_count; i++) {
        vf toward[3], distance;
        vf share = find_lamp(&light->lamps[i], at, toward, &distance);
        share = share * vf_max(toward[1], vf_set1(0.0f));
        for (int c = 0; c < 3; c++)
            out[c] = out[c] + vf_set1(light->lamps[i].color[c]) * share;
    }
}

/* Lays the lit ground over `color` where the rays meet it, fading with the distance from the
 * bodies, so that there is no horizon. Over a picture it only takes away what they hide. */
GPU_LANE void add_ground(const struct gpu_shade *job, const vf ray[3], vf color[3]) {
    const struct gpu_daylight *light = job->light;
    const struct gpu_lighting *lighting = light->lighting;
    const struct gpu_rays *rays = &job->rays;
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f);
    vm down = vf_less(ray[1], vf_set1(-1e-5f));
    if (!lighting->ground || !(rays->eye[1] > lighting->ground_y) || !vm_any(down))
        return;
    vf distance =
        vf_set1(lighting->ground_y - rays->eye[1]) / vf_select(down, ray[1], vf_set1(-1.0f));
    vf at[3], sun, sky, lamps[3] = {zero, zero, zero}, around[3];
    const vf up[3] = {zero, one, zero};
    at[0] = vf_set1(rays->eye[0]) + ray[0] * distance;
    at[1] = vf_set1(lighting->ground_y);
    at[2] = vf_set1(rays->eye[2]) + ray[2] * distance;
    vf dx = (at[0] - vf_set1(light->centre_x)) * vf_set1(1.0f / light->reach);
    vf dz = (at[2] - vf_set1(light->centre_z)) * vf_set1(1.0f / light->reach);
    vf far = dx * dx + dz * dz;
    vf fade = vf_select(down, one / (one + far * far), zero);
    ground_shade(light, at[0], at[2], &sun, &sky);
    find_diffuse(light, up, around);
    add_ground_lamps(light, at, lamps);
    vf facing = vf_max(vf_set1(light->sun.direction[1]), zero);
    for (int c = 0; c < 3; c++) {
        vf direct = vf_set1(lighting->sun_color[c]) * facing;
        vf lit = direct * sun + around[c] * sky + lamps[c], whole = direct + around[c] + lamps[c];
        vf left = color[c] * lit / vf_max(whole, vf_set1(1e-6f));
        vf ground = job->backdrop.rgba != NULL ? left : vf_set1(lighting->ground_color[c]) * lit;
        color[c] = vf_mix(color[c], ground, fade);
    }
}

/* The background picture at a pixel: the mean of `taps` by `taps` texels spread over it. */
GPU_LANE void read_backdrop(const struct gpu_backdrop *picture, vf x, float y, vf out[3]) {
    const float step = picture->scale / (float)picture->taps;
    const vf zero = vf_set1(0.0f), part = vf_set1(1.0f / (float)(picture->taps * picture->taps));
    const vi last = vi_set1(picture->width - 1), byte = vi_set1(255);
    vf left = vf_set1(picture->x0) + (x - vf_set1(0.5f)) * vf_set1(picture->scale);
    for (int c = 0; c < 3; c++)
        out[c] = zero;
    for (int32_t i = 0; i < picture->taps; i++) {
        float high = picture->y0 + (y - 0.5f) * picture->scale + ((float)i + 0.5f) * step;
        int32_t row = high > 0.0f ? (int32_t)high : 0;
        row = row < picture->height ? row : picture->height - 1;
        const uint8_t *texels = picture->rgba + (size_t)row * (size_t)picture->width * 4;
        for (int32_t k = 0; k < picture->taps; k++) {
            vf at = left + vf_set1(((float)k + 0.5f) * step);
            vi texel = vi_gather(texels, vi_min(vi_truncate(vf_max(at, zero)), last));
            for (int c = 0; c < 3; c++)
                out[c] = out[c] + vf_gather(picture->linear, (texel >> (8 * c)) & byte) * part;
        }
    }
}

/* The linear light from behind people. x, y: pixels; height: of the picture. */
GPU_LANE void find_backdrop(const struct gpu_shade *job, vf x, float y, float height, vf out[3]) {
    const struct gpu_lighting *lighting = job->light->lighting;
    vf ray[3];
    lens_ray(&job->rays, x, vf_set1(y), ray);
    for (int c = 0; c < 3; c++) {
        float top = lighting->background_top[c], bottom = lighting->background_bottom[c];
        out[c] = vf_set1(top + (bottom - top) * (y / height));
    }
    if (job->backdrop.rgba != NULL) {
        read_backdrop(&job->backdrop, x, y, out);
    } else if (job->light->environment != NULL && lighting->environment_visible) {
        vf turned[3];
        turn_toward(job->light, ray, turned);
        read_environment(job->light->environment, vi_set1(0), turned, out);
        for (int c = 0; c < 3; c++)
            out[c] = out[c] * vf_set1(lighting->environment_strength);
    }
    add_ground(job, ray, out);
}

#endif
