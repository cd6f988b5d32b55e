#include "media/ring.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "media/stage.h"

static const float max_distance = 200;
static const float radians = 3.14159265f / 180;

void ring_name(uint32_t views, uint32_t index, char name[VIEW_NAME_SIZE]) {
    static const char *const names[8] = {"front", "front_right", "right", "back_right",
                                         "back",  "back_left",   "left",  "front_left"};
    if (views == 8 || views == 4 || views == 2 || views == 1) {
        snprintf(name, VIEW_NAME_SIZE, "%s", names[index * (8 / views)]);
        return;
    }
    double degrees = 360.0 * index / views;
    if (360 % views == 0)
        snprintf(name, VIEW_NAME_SIZE, "view_%03d", (int)(degrees + 0.5));
    else /* two decimals tell 1/360 of a turn's fractions apart */
        snprintf(name, VIEW_NAME_SIZE, "view_%06.2f", degrees);
}

/* The centre of the people's box at the wanted time and the largest box of any pose, both in one:
 * the largest sizes put around that centre. */
static int measure(const struct stage *stage, double time, float center[3], float box[6],
                   struct err *err) {
    float half[3] = {0};
    double seconds = stage_seconds(stage);
    int poses = seconds > 0 ? RING_POSES : 0;
    for (int i = poses; i >= 0; i--) { /* the wanted one last, for its centre */
        float now[6];
        int rc = stage_box_at(stage, -1, i == 0 ? time : seconds * (i - 1) / (poses - 1), now, err);
        if (rc != 0)
            return rc;
        for (int k = 0; k < 3; k++) {
            center[k] = (now[k] + now[k + 3]) / 2;
            half[k] = fmaxf(half[k], (now[k + 3] - now[k]) / 2);
        }
    }
    for (int k = 0; k < 3; k++) {
        box[k] = center[k] - half[k];
        box[k + 3] = center[k] + half[k];
    }
    return 0;
}

int ring_box_fits(const struct gpu_camera *camera, const float box[6]) {
    const float *m = camera->camera_from_world;
    float width = (float)camera->width, height = (float)camera->height;
    for (int corner = 0; corner < 8; corner++) {
        float p[3], c[3];
        for (int k = 0; k < 3; k++)
            p[k] = box[k + (corner >> k & 1) * 3];
        for (int k = 0; k < 3; k++)
            c[k] = m[k * 4] * p[0] + m[k * 4 + 1] * p[1] + m[k * 4 + 2] * p[2] + m[k * 4 + 3];
        if (c[2] <= camera->near_plane)
            return 0;
        float x = (camera->fx * c[0] / c[2] + camera->cx) / width;
        float y = (camera->fy * c[1] / c[2] + camera->cy) / height;
        if (!(x >= RING_MARGIN && x <= 1 - RING_MARGIN && y >= RING_MARGIN && y <= 1 - RING_MARGIN))
            return 0;
    }
    return 1;
}

void view_spec_aim(struct view_spec *spec, uint32_t width, uint32_t height) {
    float *m = spec->camera.camera_from_world;
    float c = cosf(spec->roll * radians), s = sinf(spec->roll * radians);
    gpu_camera_look_at(&spec->camera, spec->eye, spec->target, spec->fov * radians, width, height);
    for (int k = 0; k < 4 && spec->roll != 0; k++) {
        float x = m[k], y = m[4 + k];
        m[k] = c * x + s * y;
        m[4 + k] = c * y - s * x;
    }
}

/* Rows of length 1, at right angles, right-handed. */
static bool is_rotation(const float *m) {
    for (int a = 0; a < 3; a++)
        for (int b = a; b < 3; b++) {
            float dot =
                m[4 * a] * m[4 * b] + m[4 * a + 1] * m[4 * b + 1] + m[4 * a + 2] * m[4 * b + 2];
            if (!(fabsf(dot - (a == b ? 1.0f : 0.0f)) < 1e-3f))
                return false;
        }
    float determinant = m[0] * (m[5] * m[10] - m[6] * m[9]) - m[1] * (m[4] * m[10] - m[6] * m[8]) +
                        m[2] * (m[4] * m[9] - m[5] * m[8]);
    return determinant > 0;
}

int view_spec_place(struct view_spec *spec, const float m[12], struct err *err) {
    if (!is_rotation(m) || !isfinite(m[3]) || !isfinite(m[7]) || !isfinite(m[11]))
        return err_set(err, ERR_INVALID, "camera_from_world must be a rotation with a move");
    memcpy(spec->camera.camera_from_world, m, 12 * sizeof *m);
    for (int k = 0; k < 3; k++) {
        spec->eye[k] = -(m[k] * m[3] + m[4 + k] * m[7] + m[8 + k] * m[11]);
        spec->target[k] = spec->eye[k] + m[8 + k];
    }
    return 0;
}

int view_spec_check(float fov, uint32_t width, uint32_t height, struct err *err) {
    if (!(fov >= 5 && fov <= 120))
        return err_set(err, ERR_INVALID, "the field of view must be 5 to 120 degrees");
    if (width < 16 || width > 8192 || height < 16 || height > 8192)
        return err_set(err, ERR_INVALID, "a picture's sides must be 16 to 8192 pixels");
    return 0;
}

static void place(const struct ring_options *options, uint32_t index, float distance,
                  const float center[3], struct view_spec *spec) {
    float degrees = 360.0f * (float)index / (float)options->views, angle = degrees * radians;
    *spec = (struct view_spec){
        .number = index,
        .azimuth = degrees,
        .distance = distance,
        .height = options->height,
        .fov = options->fov,
        .time = options->time,
        .eye = {center[0] - distance * sinf(angle), options->height,
                center[2] + distance * cosf(angle)},
        .target = {center[0], center[1], center[2]},
    };
    ring_name(options->views, index, spec->name);
    view_spec_aim(spec, options->width, options->height_pixels);
}

static int check_options(const struct ring_options *o, struct err *err) {
    if (o->views < 1 || o->views > RING_MAX_VIEWS)
        return err_set(err, ERR_INVALID, "a ring has 1 to %d views, not %u", RING_MAX_VIEWS,
                       o->views);
    if (!(o->distance >= 0.2f && o->distance <= max_distance))
        return err_set(err, ERR_INVALID, "the cameras' distance must be 0.2 to %g m",
                       (double)max_distance);
    if (!(o->height >= -100 && o->height <= 100))
        return err_set(err, ERR_INVALID, "the cameras' height must be -100 to 100 m");
    return view_spec_check(o->fov, o->width, o->height_pixels, err);
}

int ring_place(const struct stage *stage, const struct ring_options *options,
               struct view_spec *specs, struct err *err) {
    float center[3] = {0}, box[6] = {0}, distance = options->distance;
    int rc = check_options(options, err);
    if (rc == 0)
        rc = measure(stage, options->time, center, box, err);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < options->views; i++) {
        place(options, i, distance, center, &specs[i]);
        while (!ring_box_fits(&specs[i].camera, box) && distance < max_distance) {
            distance *= RING_STEP;
            place(options, i, distance, center, &specs[i]);
        }
    }
    for (uint32_t i = 0; i < options->views; i++)
        place(options, i, distance, center, &specs[i]);
    return 0;
}
