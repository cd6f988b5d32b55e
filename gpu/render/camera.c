/* camera.c - cameras, projections, rays and sample patterns; see view.h. */
#include "scene.h"
#include "view.h"

#include <math.h>
#include <string.h>

/* -- Patterns -----------------------------------------------------------------------------------
 */

/* Sixteenths of a pixel from its middle: no two samples of a pattern share a row or a column, so
 * that edges near the vertical and the horizontal get as many levels as there are samples. They are
 * the standard positions of Direct3D, which GPUs use too. */
static const int8_t points_1[1][2] = {{0, 0}};
static const int8_t points_4[4][2] = {{-2, -6}, {6, -2}, {-6, 2}, {2, 6}};
static const int8_t points_8[8][2] = {{1, -3}, {-1, 3},  {5, 1}, {-3, -5},
                                      {-5, 5}, {-7, -1}, {3, 7}, {7, -7}};
static const int8_t points_16[16][2] = {{1, 1},  {-1, -3}, {-3, 2}, {4, -1}, {-5, -2}, {2, 5},
                                        {5, 3},  {3, -5},  {-2, 6}, {0, -7}, {-4, -6}, {-6, 4},
                                        {-8, 0}, {7, -4},  {6, 7},  {-7, -8}};

bool gpu_pattern_init(struct gpu_pattern *pattern, uint32_t samples) {
    const int8_t(*points)[2] = samples == 1    ? points_1
                               : samples == 4  ? points_4
                               : samples == 8  ? points_8
                               : samples == 16 ? points_16
                                               : NULL;
    if (points == NULL)
        return false;
    *pattern =
        (struct gpu_pattern){.samples = samples, .min_x = GPU_SUBPIXEL, .min_y = GPU_SUBPIXEL};
    for (uint32_t s = 0; s < samples; s++) {
        int32_t x = (points[s][0] + 8) * (GPU_SUBPIXEL / 16);
        int32_t y = (points[s][1] + 8) * (GPU_SUBPIXEL / 16);
        pattern->x[s] = x;
        pattern->y[s] = y;
        pattern->min_x = x < pattern->min_x ? x : pattern->min_x;
        pattern->max_x = x > pattern->max_x ? x : pattern->max_x;
        pattern->min_y = y < pattern->min_y ? y : pattern->min_y;
        pattern->max_y = y > pattern->max_y ? y : pattern->max_y;
    }
    for (uint32_t i = 0; i < GPU_BLOCK; i++) {
        int32_t x = pattern->x[i % samples] + (int32_t)(i / samples) * GPU_SUBPIXEL;
        int32_t y = pattern->y[i % samples];
        pattern->block_xy[i] = x | y << 16;
        pattern->block_x[i] = (float)x;
        pattern->block_y[i] = (float)y;
        pattern->block_pixel[i] = (float)((int32_t)(i / samples) * GPU_SUBPIXEL);
    }
    return true;
}

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
    camera->width = width;
    camera->height = height;
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
    return gpu_camera_check(&view->camera, why);
}

struct gpu_projection gpu_camera_projection(const struct gpu_camera *camera) {
    struct gpu_projection out = {.fx = camera->fx,
                                 .fy = camera->fy,
                                 .cx = camera->cx,
                                 .cy = camera->cy,
                                 .near_plane = camera->near_plane,
                                 .perspective = true};
    memcpy(out.m, camera->camera_from_world, sizeof out.m);
    return out;
}

struct gpu_rays gpu_camera_rays(const struct gpu_camera *camera) {
    const float *m = camera->camera_from_world;
    struct gpu_rays rays;
    for (int i = 0; i < 3; i++) {
        rays.eye[i] = -(m[i] * m[3] + m[4 + i] * m[7] + m[8 + i] * m[11]);
        rays.right[i] = m[i] / camera->fx;
        rays.down[i] = m[4 + i] / camera->fy;
        rays.origin[i] = m[8 + i] - rays.right[i] * camera->cx - rays.down[i] * camera->cy;
    }
    return rays;
}
