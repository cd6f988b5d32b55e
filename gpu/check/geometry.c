/* geometry.c - cameras and labels against double precision. */
#include "../render/view.h"
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- Cameras ------------------------------------------------------------------------------------
 */

static void to_pixel(const struct gpu_camera *camera, const double world[3], double out[3]) {
    double at[3];
    const float *m = camera->camera_from_world;
    for (int r = 0; r < 3; r++)
        at[r] = (double)m[4 * r] * world[0] + (double)m[4 * r + 1] * world[1] +
                (double)m[4 * r + 2] * world[2] + (double)m[4 * r + 3];
    out[0] = (double)camera->fx * at[0] / at[2] + (double)camera->cx;
    out[1] = (double)camera->fy * at[1] / at[2] + (double)camera->cy;
    out[2] = at[2];
}

void check_cameras(void) {
    uint64_t state = 11;
    for (int i = 0; i < 50; i++) {
        float eye[3], target[3];
        for (int c = 0; c < 3; c++) {
            eye[c] = (float)(body_random(&state) * 8.0 - 4.0);
            target[c] = (float)(body_random(&state) * 2.0 - 1.0);
        }
        if (i == 0) { /* straight down */
            eye[0] = target[0];
            eye[2] = target[2];
            eye[1] = target[1] + 2.0f;
        }
        struct gpu_camera camera;
        gpu_camera_look_at(&camera, eye, target, 0.9f, 640, 480);
        double middle[3], above[3], way = 0.0;
        const double at[3] = {(double)target[0], (double)target[1], (double)target[2]};
        const double up[3] = {at[0], at[1] + 0.01, at[2]};
        to_pixel(&camera, at, middle);
        to_pixel(&camera, up, above);
        for (int c = 0; c < 3; c++)
            way += (at[c] - (double)eye[c]) * (at[c] - (double)eye[c]);
        check_that(fabs(middle[0] - 320.0) < 0.01 && fabs(middle[1] - 240.0) < 0.01 &&
                       fabs(middle[2] - sqrt(way)) < 1e-4,
                   "the target is at (%g, %g), %g m off", middle[0], middle[1], middle[2]);
        check_that(i == 0 || (above[1] < middle[1] && fabs(above[0] - middle[0]) < 0.01),
                   "up is not up");
        double ray[3], y = 17.5;
        struct gpu_rays rays = gpu_camera_rays(&camera);
        for (int c = 0; c < 3; c++)
            ray[c] =
                (double)rays.eye[c] + 2.5 * ((double)rays.origin[c] + y * (double)rays.down[c] +
                                             601.25 * (double)rays.right[c]);
        to_pixel(&camera, ray, middle);
        check_that(fabs(middle[0] - 601.25) < 0.01 && fabs(middle[1] - y) < 0.01 &&
                       fabs(middle[2] - 2.5) < 1e-4,
                   "a ray comes back at (%g, %g), z %g", middle[0], middle[1], middle[2]);
    }
}

/* -- Labels -------------------------------------------------------------------------------------
 */

struct labelled {
    struct gpu_point points[BODY_JOINTS];
    struct gpu_label label;
    struct pictures pictures;
};

static struct labelled label_from(const struct gpu_scene *scene, const float eye[3],
                                  const float target[3], const float *pose) {
    struct labelled out;
    struct gpu_camera camera;
    struct gpu_anchor anchors[BODY_JOINTS];
    for (uint32_t j = 0; j < BODY_JOINTS; j++)
        anchors[j] = body_anchor(j);
    gpu_camera_look_at(&camera, eye, target, 0.7f, 320, 320);
    out.pictures = pictures_draw("cpu", scene, &camera, pose, 4);
    const struct gpu_actor actor = {.scene = scene, .pose = pose};
    const struct gpu_frame frame = {.actor_count = 1, .actors = &actor};
    const struct gpu_image image = {.depth = out.pictures.depth, .person = out.pictures.person};
    gpu_label(&frame, 0, &camera, &image, anchors, BODY_JOINTS, out.points, &out.label, NULL);
    return out;
}

static bool seen(const struct labelled *labelled, int joint) {
    return labelled->points[joint].state == GPU_POINT_VISIBLE;
}

static void check_boxes(const struct labelled *labelled) {
    const struct pictures *p = &labelled->pictures;
    const struct gpu_label *label = &labelled->label;
    uint32_t area = 0, outside = 0;
    for (uint32_t i = 0; i < p->width * p->height; i++) {
        uint32_t column = i % p->width, row = i / p->width;
        float x = (float)column, y = (float)row;
        bool body = p->triangle[i] != 0;
        area += body;
        outside += body && !(x >= label->box[0] && x + 1 <= label->box[2] && y >= label->box[1] &&
                             y + 1 <= label->box[3]);
    }
    check_that(area == label->area && area > 0 && outside == 0, "area %u of %u, %u outside the box",
               label->area, area, outside);
    float worst = 0.0f;
    for (int i = 0; i < 4; i++)
        worst = fmaxf(worst, fabsf(label->box[i] - label->full_box[i]));
    check_that(worst < 2.0f, "whole in frame, but the boxes differ by %g", (double)worst);
}

void check_labels(void) {
    enum {
        HEAD = 4,
        LEFT_ARM = 5,
        LEFT_HAND = 7,
        RIGHT_ARM = 8,
        RIGHT_HAND = 10,
        LEFT_FOOT = 13,
        RIGHT_FOOT = 16
    };
    const float front[3] = {0, 1.0f, 3.5f}, left[3] = {3.5f, 1.2f, 0}, target[3] = {0, 0.9f, 0};
    const float close[3] = {0, 1.6f, 0.6f}, head[3] = {0, 1.6f, 0};
    struct body body;
    struct gpu_scene *scene;
    char why[GPU_WHY_SIZE];
    float pose[BODY_JOINTS * 12];
    body_init_person(&body, 20000, false);
    body_pose(0.0f, pose);
    if (gpu_scene_new(&body.desc, &scene, why) != GPU_OK)
        abort();
    struct labelled labelled = label_from(scene, front, target, pose);
    for (int j = 0; j < BODY_JOINTS; j++)
        if (j != LEFT_FOOT && j != RIGHT_FOOT) /* their toes stand before them */
            check_that(seen(&labelled, j), "joint %d is not seen from the front", j);
    check_that(labelled.points[LEFT_HAND].pixel[0] > labelled.points[RIGHT_HAND].pixel[0],
               "left is not right from the front");
    check_boxes(&labelled);
    pictures_free(&labelled.pictures);

    labelled = label_from(scene, left, target, pose);
    check_that(seen(&labelled, LEFT_ARM) && seen(&labelled, HEAD), "the near arm is not seen");
    check_that(labelled.points[RIGHT_ARM].state == GPU_POINT_SELF_OCCLUDED,
               "the arm behind the trunk is not occluded");
    check_boxes(&labelled);
    pictures_free(&labelled.pictures);

    labelled = label_from(scene, close, head, pose);
    check_that(seen(&labelled, HEAD) &&
                   labelled.points[LEFT_HAND].state == GPU_POINT_OUT_OF_FRAME &&
                   labelled.label.full_box[3] > 320.0f && labelled.label.box[3] <= 320.0f,
               "a hand below the frame is in it");
    pictures_free(&labelled.pictures);

    const float inside[3] = {0, 1.0f, 0.5f}, away[3] = {0, 1.0f, 2.0f};
    labelled = label_from(scene, inside, away, pose);
    check_that(labelled.points[HEAD].state == GPU_POINT_BEHIND_CAMERA && labelled.label.area == 0 &&
                   labelled.label.box[2] == 0.0f,
               "a body behind the camera has a label");
    pictures_free(&labelled.pictures);
    gpu_scene_free(scene);
    body_free(&body);
}
