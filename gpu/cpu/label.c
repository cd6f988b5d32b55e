/* label.c - where the body and its anchors are in a picture; see stance_gpu.h. Bodies are skinned
 * in portions on the stack, so that labelling needs no renderer. */
#include "actor.h"
#include "shadow.h"

#include <math.h>
#include <string.h>

enum {
    AROUND = 1, /* pixels around a point whose depth is asked */
};

/* Of the radius: skin seen at a slant lies further before the point than the radius. */
static const float radius_slack = 1.5f;
static const float slack = 0.01f; /* metres */

static void to_camera(const struct gpu_camera *camera, const float world[3], float out[3]) {
    const float *m = camera->camera_from_world;
    for (int r = 0; r < 3; r++)
        out[r] = (m[4 * r] * world[0] + m[4 * r + 1] * world[1]) +
                 (m[4 * r + 2] * world[2] + m[4 * r + 3]);
}

static void to_pixel(const struct gpu_camera *camera, const float at[3], float out[2]) {
    out[0] = camera->fx * at[0] / at[2] + camera->cx;
    out[1] = camera->fy * at[1] / at[2] + camera->cy;
}

/* -- Boxes --------------------------------------------------------------------------------------
 */

/* Vertices [first, first + GPU_ACTOR_PORTION) of an actor, or as many as there are. */
static uint32_t skin_portion(const struct gpu_posed *posed, uint32_t first, float *vertices) {
    uint32_t left = posed->scene->padded_vertices - first;
    uint32_t count = left < GPU_ACTOR_PORTION ? left : GPU_ACTOR_PORTION;
    gpu_posed_skin(posed, gpu_kernels_find(NULL), first, count, vertices);
    return count;
}

int gpu_actor_box(const struct gpu_actor *actor, float box[6]) {
    static const float identity[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};
    float vertices[GPU_ACTOR_PORTION * GPU_VERTEX_FLOATS], part[6];
    struct gpu_buffer scratch = {NULL, 0};
    memset(box, 0, 6 * sizeof(float));
    if (!gpu_buffer_reserve(&scratch, gpu_posed_scratch(actor), sizeof(float)))
        return GPU_ENOMEM;
    struct gpu_posed posed = gpu_posed_make(actor, false, scratch.memory);
    for (int i = 0; i < 3; i++) {
        box[i] = INFINITY;
        box[3 + i] = -INFINITY;
    }
    for (uint32_t first = 0; first < actor->scene->padded_vertices; first += GPU_ACTOR_PORTION) {
        uint32_t count = skin_portion(&posed, first, vertices);
        gpu_kernels_find(NULL)->bounds(vertices, count, identity, part);
        for (int i = 0; i < 3; i++) {
            box[i] = fminf(box[i], part[i]);
            box[3 + i] = fmaxf(box[3 + i], part[3 + i]);
        }
    }
    if (!(box[0] <= box[3]))
        memset(box, 0, 6 * sizeof(float));
    gpu_buffer_deinit(&scratch);
    return GPU_OK;
}

static void find_full_box(const struct gpu_posed *posed, const struct gpu_camera *camera,
                          float box[4]) {
    struct gpu_projection projection = gpu_camera_projection(camera);
    float vertices[GPU_ACTOR_PORTION * GPU_VERTEX_FLOATS];
    box[0] = box[1] = INFINITY;
    box[2] = box[3] = -INFINITY;
    for (uint32_t first = 0; first < posed->scene->padded_vertices; first += GPU_ACTOR_PORTION) {
        uint32_t count = skin_portion(posed, first, vertices);
        gpu_kernels_find(NULL)->frame(vertices, count, &projection, box);
    }
    if (!(box[0] <= box[2] && box[1] <= box[3]))
        memset(box, 0, 4 * sizeof(float));
}

/* The first, the last and the number of a row's pixels that show the person. */
static uint32_t scan_person(const uint8_t *row, uint32_t width, uint8_t id, uint32_t *first,
                            uint32_t *last) {
    uint32_t count = 0;
    for (uint32_t x = 0; x < width; x++) {
        if (row[x] != id)
            continue;
        *first = count++ == 0 ? x : *first;
        *last = x;
    }
    return count;
}

static void find_visible(const struct gpu_camera *camera, const struct gpu_image *image, uint8_t id,
                         struct gpu_label *label) {
    const struct gpu_kernels *kernels = gpu_kernels_find(NULL);
    uint32_t low_x = UINT32_MAX, high_x = 0, low_y = UINT32_MAX, high_y = 0, width = camera->width;
    for (uint32_t y = 0; y < camera->height; y++) {
        uint32_t left = 0, right = 0;
        size_t row = (size_t)y * width;
        uint32_t area = image->person != NULL
                            ? scan_person(image->person + row, width, id, &left, &right)
                            : kernels->scan(image->depth + row, width, &left, &right);
        if (area == 0)
            continue;
        label->area += area;
        low_x = left < low_x ? left : low_x;
        high_x = right > high_x ? right : high_x;
        low_y = y < low_y ? y : low_y;
        high_y = y;
    }
    if (label->area > 0) {
        label->box[0] = (float)low_x;
        label->box[1] = (float)low_y;
        label->box[2] = (float)(high_x + 1);
        label->box[3] = (float)(high_y + 1);
    }
}

/* -- Points -------------------------------------------------------------------------------------
 */

static void skin_anchor(const struct gpu_scene *scene, const float *pose,
                        const struct gpu_anchor *anchor, float out[3]) {
    memset(out, 0, 3 * sizeof(float));
    for (int k = 0; k < 4; k++) {
        if (anchor->weight[k] == 0.0f || anchor->joint[k] >= scene->joint_count)
            continue;
        const float *m = pose + (size_t)anchor->joint[k] * 12, *p = anchor->position;
        for (int r = 0; r < 3; r++)
            out[r] += anchor->weight[k] *
                      (m[4 * r] * p[0] + m[4 * r + 1] * p[1] + m[4 * r + 2] * p[2] + m[4 * r + 3]);
    }
}

/* Whether most of the pixels around a point show skin well before it, and whose most of that is.
 * Most, not one: at the body's outline a single pixel would turn with the slightest move. */
static enum gpu_point_state look(const struct gpu_camera *camera, const struct gpu_image *image,
                                 uint8_t id, const float pixel[2], float limit) {
    int32_t px = (int32_t)floorf(pixel[0]), py = (int32_t)floorf(pixel[1]);
    int32_t looked = 0, before = 0, own = 0;
    for (int32_t y = py - AROUND; y <= py + AROUND; y++) {
        for (int32_t x = px - AROUND; x <= px + AROUND; x++) {
            if (x < 0 || y < 0 || x >= (int32_t)camera->width || y >= (int32_t)camera->height)
                continue;
            size_t at = (size_t)y * camera->width + (size_t)x;
            looked++;
            if (!(image->depth[at] < limit))
                continue;
            before++;
            own += image->person == NULL || image->person[at] == id ? 1 : 0;
        }
    }
    if (2 * before <= looked)
        return GPU_POINT_VISIBLE;
    return 2 * own > before ? GPU_POINT_SELF_OCCLUDED : GPU_POINT_OCCLUDED;
}

static void place(const struct gpu_actor *actor, uint8_t id, const struct gpu_camera *camera,
                  const struct gpu_image *image, const struct gpu_anchor *anchor,
                  struct gpu_point *point) {
    *point = (struct gpu_point){.state = GPU_POINT_BEHIND_CAMERA};
    skin_anchor(actor->scene, actor->pose, anchor, point->world);
    to_camera(camera, point->world, point->camera);
    if (!(point->camera[2] > 0.0f && point->camera[2] < 1e9f))
        return;
    to_pixel(camera, point->camera, point->pixel);
    const float *pixel = point->pixel;
    point->state = GPU_POINT_OUT_OF_FRAME;
    if (!(pixel[0] >= 0.0f && pixel[0] < (float)camera->width && pixel[1] >= 0.0f &&
          pixel[1] < (float)camera->height))
        return;
    float limit = point->camera[2] - (radius_slack * fmaxf(anchor->radius, 0.0f) + slack);
    point->state = look(camera, image, id, pixel, limit);
}

int gpu_label(const struct gpu_frame *frame, uint32_t actor, const struct gpu_camera *camera,
              const struct gpu_image *image, const struct gpu_anchor *anchors,
              uint32_t anchor_count, struct gpu_point *points, struct gpu_label *label, char *why) {
    *label = (struct gpu_label){.area = 0};
    if (actor >= frame->actor_count)
        return gpu_fail(why, GPU_EINVAL, "actor %u of %u is to be labelled", actor,
                        frame->actor_count);
    if (image->depth == NULL || (frame->actor_count > 1 && image->person == NULL))
        return gpu_fail(why, GPU_EINVAL, "labels need the picture's depth%s",
                        frame->actor_count > 1 ? " and its person map" : "");
    const struct gpu_actor *body = &frame->actors[actor];
    uint8_t id = (uint8_t)(actor + 1);
    find_visible(camera, image, id, label);
    struct gpu_buffer scratch = {NULL, 0};
    if (!gpu_buffer_reserve(&scratch, gpu_posed_scratch(body), sizeof(float)))
        return gpu_fail(why, GPU_ENOMEM, "out of memory: %u joints", body->scene->joint_count);
    struct gpu_posed posed = gpu_posed_make(body, false, scratch.memory);
    find_full_box(&posed, camera, label->full_box);
    gpu_buffer_deinit(&scratch);
    for (uint32_t i = 0; i < anchor_count; i++)
        place(body, id, camera, image, &anchors[i], &points[i]);
    return GPU_OK;
}
