/* camera.c - cameras, their projections and rays; see view.h. */
#include "distort.h"
#include "scene.h"

#include <math.h>
#include <string.h>

/* -- Cameras ------------------------------------------------------------------------------------
 */

static void normalise(float v[3]) {
    float length = sqrtf(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    float factor = length > 0.0f ? 1.0f / length : 0.0f;
    for (int i = 0; i < 3; i++)
        v[i] *= factor;
}

static void cross(float out[3], const float a[3], const float b[3]) {
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

void gpu_camera_look_at(struct gpu_camera *camera, const float eye[3], const float target[3],
                        float fov_y, uint32_t width, uint32_t height) {
    *camera = (struct gpu_camera){.width = width, .height = height};
    float forward[3] = {target[0] - eye[0], target[1] - eye[1], target[2] - eye[2]};
    normalise(forward);
    if (forward[0] == 0.0f && forward[1] == 0.0f && forward[2] == 0.0f)
        forward[2] = -1.0f; /* the eye is at the target: any direction will do */
    float world_up[3] = {0.0f, 1.0f, 0.0f};
    if (fabsf(forward[1]) >
        0.9999f) { /* straight up or down: the picture's top is towards -z or z */
        world_up[1] = 0.0f;
        world_up[2] = forward[1] > 0.0f ? 1.0f : -1.0f;
    }
    float right[3], down[3];
    cross(right, forward, world_up);
    normalise(right);
    cross(down, forward, right);
    const float *rows[3] = {right, down, forward};
    for (int r = 0; r < 3; r++) {
        float offset = 0.0f;
        for (int c = 0; c < 3; c++) {
            camera->camera_from_world[4 * r + c] = rows[r][c];
            offset -= rows[r][c] * eye[c];
        }
        camera->camera_from_world[4 * r + 3] = offset;
    }
    camera->fy = 0.5f * (float)height / tanf(0.5f * fov_y);
    camera->fx = camera->fy;
    camera->cx = 0.5f * (float)width;
    camera->cy = 0.5f * (float)height;
    camera->near_plane = 0.02f;
}

int gpu_camera_check(const struct gpu_camera *camera, char *why) {
    if (camera->width < 1 || camera->width > GPU_MAX_SIDE || camera->height < 1 ||
        camera->height > GPU_MAX_SIDE)
        return gpu_fail(why, GPU_EINVAL, "a picture of %u x %u: 1 to %d pixels a side",
                        camera->width, camera->height, GPU_MAX_SIDE);
    if (!(camera->fx > 0.0f && camera->fx < 1e7f && camera->fy > 0.0f && camera->fy < 1e7f))
        return gpu_fail(why, GPU_EINVAL, "focal lengths %g and %g: between 0 and 1e7 pixels",
                        (double)camera->fx, (double)camera->fy);
    if (!(fabsf(camera->cx) < 1e5f && fabsf(camera->cy) < 1e5f))
        return gpu_fail(why, GPU_EINVAL, "principal point (%g, %g): within 1e5 pixels",
                        (double)camera->cx, (double)camera->cy);
    if (!(camera->near_plane >= 1e-4f && camera->near_plane < 1e6f))
        return gpu_fail(why, GPU_EINVAL, "near plane at %g m: between 0.0001 and 1e6",
                        (double)camera->near_plane);
    for (int i = 0; i < 5; i++)
        if (!(fabsf(camera->distortion[i]) <= 1e3f))
            return gpu_fail(why, GPU_EINVAL, "lens distortion %g: within 1000",
                            (double)camera->distortion[i]);
    if (!(camera->lens_radius >= 0.0f && camera->lens_radius <= 1.0f) ||
        (camera->lens_radius > 0.0f && !(camera->focus >= 1e-3f && camera->focus <= 1e6f)))
        return gpu_fail(why, GPU_EINVAL,
                        "a lens of radius %g m focused at %g m: 0 to 1 m, and 0.001 to 1e6 m",
                        (double)camera->lens_radius, (double)camera->focus);
    for (int r = 0; r < 3; r++) {
        const float *row = camera->camera_from_world + 4 * r;
        float length = row[0] * row[0] + row[1] * row[1] + row[2] * row[2];
        if (!(fabsf(length - 1.0f) < 0.01f) || !isfinite(row[3]))
            return gpu_fail(why, GPU_EINVAL, "camera_from_world is not rigid");
    }
    return GPU_OK;
}

int gpu_view_check(const struct gpu_view *view, uint32_t index, char *why) {
    const struct gpu_texture *picture = view->background;
    const struct gpu_sensor *sensor = &view->sensor;
    if (picture != NULL && (picture->rgba == NULL || picture->width < 1 || picture->height < 1 ||
                            picture->width > GPU_MAX_TEXTURE || picture->height > GPU_MAX_TEXTURE))
        return gpu_fail(why, GPU_EINVAL,
                        "the background of view %u is no picture of 1 to %d pixels a side", index,
                        GPU_MAX_TEXTURE);
    if (!(sensor->shot_noise >= 0.0f && sensor->shot_noise <= 10.0f && sensor->read_noise >= 0.0f &&
          sensor->read_noise <= 10.0f))
        return gpu_fail(why, GPU_EINVAL, "the noise of view %u, %g and %g, is not in 0..10", index,
                        (double)sensor->shot_noise, (double)sensor->read_noise);
    const struct gpu_camera *next = &view->camera_next;
    char reason[GPU_WHY_SIZE];
    if (gpu_camera_check(&view->camera, reason) != GPU_OK)
        return gpu_fail(why, GPU_EINVAL, "view %u: %.200s", index, reason);
    if (next->width == 0)
        return GPU_OK;
    if (gpu_camera_check(next, reason) != GPU_OK)
        return gpu_fail(why, GPU_EINVAL, "view %u, one frame later: %.200s", index, reason);
    if (next->width != view->camera.width || next->height != view->camera.height)
        return gpu_fail(why, GPU_EINVAL, "view %u has %u x %u pixels, and %u x %u one frame later",
                        index, view->camera.width, view->camera.height, next->width, next->height);
    return GPU_OK;
}

/* The square of the radius at which the picture would turn back on itself, or a wide angle. */
static double find_rim(const float k[5]) {
    const double widest = 4.0; /* tan 76 degrees */
    const int steps = 4096;
    for (int i = 1; i <= steps; i++) {
        double radius = widest * i / steps, square = radius * radius;
        double slope = 1.0 + square * (3.0 * (double)k[0] +
                                       square * (5.0 * (double)k[1] + square * 7.0 * (double)k[4]));
        if (slope < 0.02) {
            double before = widest * (i - 1) / steps;
            return before * before;
        }
    }
    return widest * widest;
}

static struct gpu_lens find_lens(const struct gpu_camera *camera) {
    struct gpu_lens lens = {.fx = camera->fx, .fy = camera->fy, .cx = camera->cx, .cy = camera->cy};
    for (int i = 0; i < 5; i++) {
        lens.k[i] = camera->distortion[i];
        lens.on |= lens.k[i] != 0.0f;
    }
    lens.limit = lens.on ? (float)find_rim(lens.k) : 0.0f;
    return lens;
}

struct gpu_projection gpu_camera_projection(const struct gpu_camera *camera) {
    struct gpu_projection out = {.fx = camera->fx,
                                 .fy = camera->fy,
                                 .cx = camera->cx,
                                 .cy = camera->cy,
                                 .near_plane = camera->near_plane,
                                 .perspective = true,
                                 .lens = find_lens(camera)};
    memcpy(out.m, camera->camera_from_world, sizeof out.m);
    return out;
}

struct gpu_rays gpu_camera_rays(const struct gpu_camera *camera) {
    const float *m = camera->camera_from_world;
    struct gpu_rays rays = {.lens = find_lens(camera)};
    for (int i = 0; i < 3; i++) {
        rays.eye[i] = -(m[i] * m[3] + m[4 + i] * m[7] + m[8 + i] * m[11]);
        rays.right[i] = m[i] / camera->fx;
        rays.down[i] = m[4 + i] / camera->fy;
        rays.origin[i] = m[8 + i] - rays.right[i] * camera->cx - rays.down[i] * camera->cy;
    }
    return rays;
}

void gpu_camera_shift(const struct gpu_camera *camera, float x, float y,
                      struct gpu_projection *projection, struct gpu_rays *rays) {
    const float *m = camera->camera_from_world;
    float across = x / camera->focus, down = y / camera->focus;
    for (int i = 0; i < 4; i++) {
        projection->m[i] += across * m[8 + i];
        projection->m[4 + i] += down * m[8 + i];
    }
    projection->m[3] -= x;
    projection->m[7] -= y;
    for (int i = 0; i < 3; i++) {
        rays->eye[i] += x * m[i] + y * m[4 + i];
        rays->origin[i] -= across * m[i] + down * m[4 + i];
    }
}

static void eye_of(const struct gpu_camera *camera, float eye[3]) {
    const float *m = camera->camera_from_world;
    for (int i = 0; i < 3; i++)
        eye[i] = -(m[i] * m[3] + m[4 + i] * m[7] + m[8 + i] * m[11]);
}

void gpu_camera_between(const struct gpu_camera *a, const struct gpu_camera *b, float time,
                        struct gpu_camera *out) {
    float eye[2][3], rows[3][3];
    *out = *a;
    const float *const from[4] = {&a->fx, &a->fy, &a->cx, &a->cy};
    const float *const to[4] = {&b->fx, &b->fy, &b->cx, &b->cy};
    float *const mixed[4] = {&out->fx, &out->fy, &out->cx, &out->cy};
    for (int i = 0; i < 4; i++)
        *mixed[i] = *from[i] + (*to[i] - *from[i]) * time;
    /* Forward and right are mixed and set upright again: near enough to a turn at even speed within
     * one frame. A camera that looks the other way in the next frame keeps its old axes. */
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++)
            rows[r][c] = a->camera_from_world[4 * r + c] +
                         (b->camera_from_world[4 * r + c] - a->camera_from_world[4 * r + c]) * time;
    normalise(rows[2]);
    cross(rows[1], rows[2], rows[0]);
    float length = rows[1][0] * rows[1][0] + rows[1][1] * rows[1][1] + rows[1][2] * rows[1][2];
    if (!(length > 1e-3f))
        return;
    normalise(rows[1]);
    cross(rows[0], rows[1], rows[2]);
    eye_of(a, eye[0]);
    eye_of(b, eye[1]);
    for (int r = 0; r < 3; r++) {
        float offset = 0.0f;
        for (int c = 0; c < 3; c++) {
            out->camera_from_world[4 * r + c] = rows[r][c];
            offset -= rows[r][c] * (eye[0][c] + (eye[1][c] - eye[0][c]) * time);
        }
        out->camera_from_world[4 * r + 3] = offset;
    }
}
