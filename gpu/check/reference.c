/* reference.c - pictures against a slow renderer that shares no code with the fast one: double
 * precision, a ray through each sample, every triangle tried. Projected vertices are rounded to
 * 1/256 pixel and depths are floats, so a sample within TOLERANCE of an edge may go either way, and
 * of two surfaces closer than that error either may win; all else must agree. */
#include "../render/view.h"
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double tolerance = 3.0 / 256.0; /* pixels */

struct hit {
    uint32_t triangle; /* 1 + index */
    bool sure;
    double z, slack; /* metres */
};

enum { MAX_HITS = 64 };

struct sample {
    struct hit hits[MAX_HITS];
    int count;
};

static double dot(const double a[3], const double b[3]) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void cross(double out[3], const double a[3], const double b[3]) {
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

/* A vertex in camera space, from the description, not from the scene. */
static void place(const struct gpu_scene_desc *desc, const float *pose,
                  const struct gpu_camera *camera, uint32_t vertex, double out[3]) {
    double world[3] = {0};
    for (uint32_t k = 0; k < desc->influences; k++) {
        size_t slot = (size_t)vertex * desc->influences + k;
        const float *m = pose + 12 * (size_t)desc->joints[slot];
        for (int r = 0; r < 3; r++) {
            double sum = (double)m[4 * r + 3];
            for (int c = 0; c < 3; c++)
                sum += (double)m[4 * r + c] * (double)desc->positions[3 * (size_t)vertex + c];
            world[r] += (double)desc->weights[slot] * sum;
        }
    }
    const float *m = camera->camera_from_world;
    for (int r = 0; r < 3; r++)
        out[r] = (double)m[4 * r] * world[0] + (double)m[4 * r + 1] * world[1] +
                 (double)m[4 * r + 2] * world[2] + (double)m[4 * r + 3];
}

static double texture_alpha(const struct gpu_texture *texture, double u, double v) {
    double x = (u - floor(u)) * texture->width - 0.5, y = (v - floor(v)) * texture->height - 0.5;
    double fx = x - floor(x), fy = y - floor(y), sum = 0.0;
    for (int corner = 0; corner < 4; corner++) {
        int64_t cx = (int64_t)floor(x) + (corner & 1), cy = (int64_t)floor(y) + (corner >> 1);
        cx = (cx + texture->width) % texture->width;
        cy = (cy + texture->height) % texture->height;
        double weight = (corner & 1 ? fx : 1.0 - fx) * (corner >> 1 ? fy : 1.0 - fy);
        sum += weight * texture->rgba[4 * ((size_t)cy * texture->width + (size_t)cx) + 3];
    }
    return sum / 255.0;
}

/* -1 a hole, 1 solid, 0 too close to call. */
static int solid(const struct gpu_scene_desc *desc, uint32_t triangle, const double weights[3]) {
    const struct gpu_material *material = &desc->material_table[desc->materials[triangle]];
    if (material->alpha_cutoff <= 0.0f)
        return 1;
    double alpha = (double)material->base_color[3], sum = weights[0] + weights[1] + weights[2];
    if (material->texture >= 0) {
        double u = 0.0, v = 0.0;
        for (int c = 0; c < 3; c++) {
            size_t vertex = desc->indices[3 * (size_t)triangle + c];
            u += weights[c] / sum * (double)desc->uvs[2 * vertex];
            v += weights[c] / sum * (double)desc->uvs[2 * vertex + 1];
        }
        /* A step of rounding moves the lookup as well: near a hole's rim anything goes. */
        const struct gpu_texture *texture = &desc->textures[material->texture];
        double low = 1.0, high = 0.0;
        for (int i = -4; i <= 4; i++) {
            for (int j = -4; j <= 4; j++) {
                double a = texture_alpha(texture, u + i * 0.004, v + j * 0.004);
                low = fmin(low, a);
                high = fmax(high, a);
            }
        }
        if (low * alpha < (double)material->alpha_cutoff &&
            high * alpha >= (double)material->alpha_cutoff)
            return 0;
        alpha *= low;
    }
    return alpha >= (double)material->alpha_cutoff ? 1 : -1;
}

/* A triangle as the samples see it: edge k is linear in the pixel, e = ex * x + ey * y + e0. */
struct seen {
    double corner[3], normal[3], edge[3][3], length[3], sign;
};

static bool look(const struct gpu_scene_desc *desc, const float *pose,
                 const struct gpu_camera *camera, uint32_t triangle, struct seen *out) {
    double p[3][3], a[3], b[3];
    for (int c = 0; c < 3; c++)
        place(desc, pose, camera, desc->indices[3 * (size_t)triangle + c], p[c]);
    for (int i = 0; i < 3; i++) {
        a[i] = p[1][i] - p[0][i];
        b[i] = p[2][i] - p[0][i];
        out->corner[i] = p[0][i];
    }
    cross(out->normal, a, b);
    double volume = dot(out->normal, p[0]); /* negative: its outside is towards the eye */
    const struct gpu_material *material = &desc->material_table[desc->materials[triangle]];
    if (volume == 0.0 || (volume > 0.0 && !material->double_sided))
        return false;
    out->sign = volume > 0.0 ? 1.0 : -1.0;
    for (int k = 0; k < 3; k++) {
        double n[3];
        cross(n, p[(k + 1) % 3], p[(k + 2) % 3]);
        out->edge[k][0] = n[0] / (double)camera->fx;
        out->edge[k][1] = n[1] / (double)camera->fy;
        out->edge[k][2] =
            n[2] - (double)camera->cx * out->edge[k][0] - (double)camera->cy * out->edge[k][1];
        out->length[k] = hypot(out->edge[k][0], out->edge[k][1]);
    }
    return true;
}

static double depth_at(const struct seen *seen, const struct gpu_camera *camera, double x,
                       double y) {
    const double ray[3] = {(x - (double)camera->cx) / (double)camera->fx,
                           (y - (double)camera->cy) / (double)camera->fy, 1.0};
    return dot(seen->normal, seen->corner) / dot(seen->normal, ray);
}

static void try_sample(const struct gpu_scene_desc *desc, const struct gpu_camera *camera,
                       const struct seen *seen, uint32_t triangle, double x, double y,
                       struct sample *sample) {
    double margin = INFINITY, weights[3];
    for (int k = 0; k < 3; k++) {
        double e = seen->edge[k][0] * x + seen->edge[k][1] * y + seen->edge[k][2];
        weights[k] = e * seen->sign;
        margin = fmin(margin, weights[k] / fmax(seen->length[k], 1e-300));
    }
    if (margin < -tolerance || weights[0] + weights[1] + weights[2] <= 0.0)
        return;
    double z = depth_at(seen, camera, x, y), near = (double)camera->near_plane;
    double step = 2.0 / 256.0,
           around[2] = {depth_at(seen, camera, x + step, y), depth_at(seen, camera, x, y + step)};
    double slack = 1e-5 * fabs(z) + 1e-6 + 2.0 * fabs(around[0] - z) + 2.0 * fabs(around[1] - z);
    if (z < near - slack)
        return;
    int is_solid = solid(desc, triangle, weights);
    if (is_solid < 0 || sample->count == MAX_HITS)
        return;
    bool sure = margin > tolerance && is_solid > 0 && z > near + slack;
    sample->hits[sample->count++] = (struct hit){triangle + 1, sure, z, slack};
}

/* Where the samples of a pixel lie, in pixels from its corner. */
struct places {
    uint32_t count;
    double x[GPU_MAX_SAMPLES], y[GPU_MAX_SAMPLES];
};

static void find_places(struct places *places, uint32_t count) {
    *places = (struct places){.count = count};
    for (uint32_t pass = 0, s = 0; pass < gpu_pattern_passes(count); pass++) {
        struct gpu_pattern pattern;
        gpu_pattern_init_pass(&pattern, count, pass);
        for (uint32_t k = 0; k < pattern.samples; k++, s++) {
            places->x[s] = pattern.x[k] / 256.0;
            places->y[s] = pattern.y[k] / 256.0;
        }
    }
}

static void trace(const struct gpu_scene_desc *desc, const struct gpu_camera *camera,
                  const float *pose, const struct places *places, struct sample *samples) {
    for (uint32_t t = 0; t < desc->triangle_count; t++) {
        struct seen seen;
        if (!look(desc, pose, camera, t, &seen))
            continue;
        for (uint32_t i = 0; i < camera->width * camera->height * places->count; i++) {
            uint32_t pixel = i / places->count, s = i % places->count;
            uint32_t column = pixel % camera->width, row = pixel / camera->width;
            double x = column + places->x[s], y = row + places->y[s];
            try_sample(desc, camera, &seen, t, x, y, &samples[i]);
        }
    }
}

/* What a pixel may be. */
struct bounds {
    double nearest, farthest; /* of the nearest sample's depth */
    uint32_t least, most;     /* samples covered */
    bool triangle;            /* the drawn triangle may be that of some sample */
};

static struct bounds judge(const struct sample *samples, uint32_t count, uint32_t drawn) {
    struct bounds out = {INFINITY, INFINITY, 0, 0, false};
    for (uint32_t s = 0; s < count; s++) {
        double sure = INFINITY;
        bool any_sure = false;
        for (int h = 0; h < samples[s].count; h++) {
            const struct hit *hit = &samples[s].hits[h];
            out.nearest = fmin(out.nearest, hit->z - hit->slack);
            if (hit->sure) {
                any_sure = true;
                sure = fmin(sure, hit->z + hit->slack);
            }
        }
        out.farthest = fmin(out.farthest, sure);
        out.least += any_sure ? 1 : 0;
        out.most += samples[s].count > 0 ? 1 : 0;
        for (int h = 0; h < samples[s].count; h++) {
            const struct hit *hit = &samples[s].hits[h];
            out.triangle |= hit->triangle == drawn && hit->z - hit->slack <= sure;
        }
    }
    return out;
}

static void compare(const char *name, const struct gpu_scene_desc *desc,
                    const struct gpu_camera *camera, const float *pose, uint32_t sample_count) {
    struct places places;
    struct gpu_scene *scene;
    char why[GPU_WHY_SIZE];
    uint32_t pixels = camera->width * camera->height;
    struct sample *samples = calloc((size_t)pixels * sample_count, sizeof *samples);
    if (samples == NULL || gpu_scene_new(desc, &scene, why) != GPU_OK)
        abort();
    find_places(&places, sample_count);
    trace(desc, camera, pose, &places, samples);
    struct pictures drawn = pictures_draw("cpu", scene, camera, pose, sample_count);
    uint32_t bad_triangle = 0, bad_depth = 0, bad_coverage = 0, body = 0, open = 0;
    for (uint32_t i = 0; i < pixels; i++) {
        struct bounds may =
            judge(samples + (size_t)i * sample_count, sample_count, drawn.triangle[i]);
        double z = (double)drawn.depth[i], covered = (double)drawn.coverage[i] * sample_count;
        bool empty = drawn.triangle[i] == 0;
        bad_triangle += empty ? may.least > 0 : !may.triangle;
        bad_depth += empty ? !isinf(z) : !(z >= may.nearest && z <= may.farthest + 1e-9);
        bad_coverage += !(covered >= may.least - 1e-3 && covered <= may.most + 1e-3);
        body += !empty;
        open += may.least != may.most;
    }
    check_that(bad_triangle + bad_depth + bad_coverage == 0 && body > 0,
               "%s, %u samples: %u of %u pixels with the wrong triangle, %u depth, %u coverage "
               "(%u on the body, %u too close to call)",
               name, sample_count, bad_triangle, pixels, bad_depth, bad_coverage, body, open);
    pictures_free(&drawn);
    gpu_scene_free(scene);
    free(samples);
}

static void compare_random(void) {
    const float identity[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0}, target[3] = {0, 0, 0};
    static const uint32_t counts[6] = {1, 4, 8, 16, 32, 64};
    uint64_t state = 7;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct body body;
        struct gpu_camera camera;
        body_init_random(&body, 80, seed);
        float eye[3];
        for (int c = 0; c < 3; c++) /* from amid the triangles to some way off */
            eye[c] = (float)((body_random(&state) * 2.0 - 1.0) * (seed % 3 == 0 ? 0.3 : 2.5));
        uint32_t count = counts[seed % 6], wide = count > 16 ? 31 : 61;
        gpu_camera_look_at(&camera, eye, target, 1.0f, wide, 47);
        camera.cx += 3.25f;
        char name[64];
        snprintf(name, sizeof name, "random scene %u", (unsigned)seed);
        compare(name, &body.desc, &camera, identity, count);
        body_free(&body);
    }
}

void check_reference(void) {
    compare_random();
    float pose[BODY_JOINTS * 12];
    const float eye[3] = {1.5f, 1.6f, 3.0f}, target[3] = {0, 0.9f, 0};
    const float near_eye[3] = {0.2f, 1.3f, 0.5f};
    struct gpu_camera camera;
    struct body body;
    body_pose(0.2f, pose);
    body_init_person(&body, 21000, false);
    gpu_camera_look_at(&camera, eye, target, 0.7f, 64, 64);
    compare("body", &body.desc, &camera, pose, 1);
    compare("body", &body.desc, &camera, pose, 4);
    gpu_camera_look_at(&camera, near_eye, target, 0.7f, 64, 64);
    compare("body, close", &body.desc, &camera, pose, 4);
    body_free(&body);
}
