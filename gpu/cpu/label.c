/* label.c - where people and their anchors are in a picture; see stance_gpu.h. Bodies are skinned
 * in portions on the stack, so that labelling needs no renderer; label_whole.c draws those of which
 * something is hidden. */
#include "label.h"
#include "../render/distort.h"
#include "shadow.h"

#include <math.h>
#include <string.h>

enum {
    AROUND = 1, /* pixels around a point that are asked what they show */
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

/* False when some of the body is nearer than the near plane, so that the box is not all of it. */
static bool find_full_box(const struct gpu_posed *posed, const struct gpu_projection *projection,
                          float box[4]) {
    const struct gpu_kernels *kernels = gpu_kernels_find(NULL);
    float vertices[GPU_ACTOR_PORTION * GPU_VERTEX_FLOATS], seen[6], nearest = INFINITY;
    box[0] = box[1] = INFINITY;
    box[2] = box[3] = -INFINITY;
    for (uint32_t first = 0; first < posed->scene->padded_vertices; first += GPU_ACTOR_PORTION) {
        uint32_t count = skin_portion(posed, first, vertices);
        kernels->frame(vertices, count, projection, box);
        kernels->bounds(vertices, count, projection->m, seen);
        nearest = fminf(nearest, seen[2]);
    }
    if (!(box[0] <= box[2] && box[1] <= box[3]))
        memset(box, 0, 4 * sizeof(float));
    return nearest >= projection->near_plane;
}

/* The first, the last and the number of a row's pixels that show the person. */
static uint32_t scan_person(const uint8_t *row, uint32_t width, uint8_t id, uint32_t *first,
                            uint32_t *last) {
    const uint8_t *found = memchr(row, id, width);
    if (found == NULL)
        return 0;
    uint32_t count = 0;
    *first = (uint32_t)(found - row);
    for (uint32_t x = *first; x < width; x++) {
        bool shown = row[x] == id;
        count += shown ? 1 : 0;
        *last = shown ? x : *last;
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

/* Whether the picture shows nobody else in the box, and the box ends inside the picture. */
static bool stands_free(const struct gpu_camera *camera, const struct gpu_image *image, uint8_t id,
                        const float box[4]) {
    if (!(box[0] >= 0.0f && box[1] >= 0.0f && box[2] <= (float)camera->width &&
          box[3] <= (float)camera->height))
        return false;
    uint32_t x0 = (uint32_t)box[0], x1 = (uint32_t)ceilf(box[2]);
    for (uint32_t y = (uint32_t)box[1]; image->person != NULL && y < (uint32_t)ceilf(box[3]); y++) {
        const uint8_t *row = image->person + (size_t)y * camera->width;
        uint32_t others = 0;
        for (uint32_t x = x0; x < x1; x++)
            others += row[x] != 0 && row[x] != id ? 1 : 0;
        if (others > 0)
            return false;
    }
    return true;
}

/* -- Points -------------------------------------------------------------------------------------
 */

/* What a pixel shows. */
enum shown { SHOWN_NOTHING, SHOWN_OWN, SHOWN_OTHER };

/* What of it hides a point whose z is `at`. Somebody else's skin before the point hides it: the
 * point's own would be there, too, and is not seen. So does another part of the own body. */
static enum shown hides(const struct gpu_image *image, size_t pixel, uint8_t id, float at,
                        const struct gpu_anchor *anchor) {
    float depth = image->depth[pixel];
    if (image->person != NULL && image->person[pixel] != id)
        return image->person[pixel] != 0 && depth < at ? SHOWN_OTHER : SHOWN_NOTHING;
    float limit = at - (radius_slack * fmaxf(anchor->radius, 0.0f) + slack);
    if (image->part != NULL && anchor->parts != 0 && image->part[pixel] < 32 &&
        !(anchor->parts >> image->part[pixel] & 1))
        limit = at - slack;
    return depth < limit ? SHOWN_OWN : SHOWN_NOTHING;
}

/* Most, not one: at the body's outline a single pixel would turn with the slightest move. */
static enum gpu_point_state look(const struct gpu_camera *camera, const struct gpu_image *image,
                                 uint8_t id, const struct gpu_point *point,
                                 const struct gpu_anchor *anchor) {
    int32_t px = (int32_t)floorf(point->pixel[0]), py = (int32_t)floorf(point->pixel[1]);
    int32_t looked = 0, own = 0, other = 0;
    for (int32_t y = py - AROUND; y <= py + AROUND; y++) {
        for (int32_t x = px - AROUND; x <= px + AROUND; x++) {
            if (x < 0 || y < 0 || x >= (int32_t)camera->width || y >= (int32_t)camera->height)
                continue;
            enum shown what =
                hides(image, (size_t)y * camera->width + (size_t)x, id, point->camera[2], anchor);
            looked++;
            own += what == SHOWN_OWN ? 1 : 0;
            other += what == SHOWN_OTHER ? 1 : 0;
        }
    }
    if (2 * (own + other) <= looked)
        return GPU_POINT_VISIBLE;
    return own > other ? GPU_POINT_SELF_OCCLUDED : GPU_POINT_OCCLUDED;
}

/* Pixels of a point before the camera; false where the lens shows nothing. */
static bool to_pixel(const struct gpu_lens *lens, const float at[3], float out[2]) {
    double x = (double)at[0] / (double)at[2], y = (double)at[1] / (double)at[2];
    bool shown = !lens->on || x * x + y * y <= (double)lens->limit;
    distort_point(lens, &x, &y);
    out[0] = (float)((double)lens->fx * x + (double)lens->cx);
    out[1] = (float)((double)lens->fy * y + (double)lens->cy);
    return shown;
}

static void place(const struct gpu_posed *posed, uint8_t id, const struct gpu_camera *camera,
                  const struct gpu_lens *lens, const struct gpu_image *image,
                  const struct gpu_anchor *anchor, struct gpu_point *point) {
    *point = (struct gpu_point){.state = GPU_POINT_BEHIND_CAMERA};
    gpu_posed_anchor(posed, gpu_kernels_find(NULL), anchor, point->world);
    to_camera(camera, point->world, point->camera);
    if (!(point->camera[2] > 0.0f && point->camera[2] < 1e9f))
        return;
    bool shown = to_pixel(lens, point->camera, point->pixel);
    const float *pixel = point->pixel;
    bool inside = shown && pixel[0] >= 0.0f && pixel[0] < (float)camera->width &&
                  pixel[1] >= 0.0f && pixel[1] < (float)camera->height;
    point->state = inside ? look(camera, image, id, point, anchor) : GPU_POINT_OUT_OF_FRAME;
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
    const struct gpu_projection projection = gpu_camera_projection(camera);
    find_visible(camera, image, id, label);
    struct gpu_buffer scratch = {NULL, 0};
    if (!gpu_buffer_reserve(&scratch, gpu_posed_scratch(body), sizeof(float)))
        return gpu_fail(why, GPU_ENOMEM, "out of memory: %u joints", body->scene->joint_count);
    struct gpu_posed posed = gpu_posed_make(body, false, scratch.memory);
    for (uint32_t i = 0; i < anchor_count; i++)
        place(&posed, id, camera, &projection.lens, image, &anchors[i], &points[i]);
    bool whole = find_full_box(&posed, &projection, label->full_box), done = true;
    uint32_t hidden = 0;
    if (!whole || !stands_free(camera, image, id, label->full_box))
        done = gpu_label_hidden(&posed, id, camera, image, label->full_box, &hidden);
    gpu_buffer_deinit(&scratch);
    if (!done)
        return gpu_fail(why, GPU_ENOMEM, "out of memory: what is hidden of a body of %u vertices",
                        body->scene->vertex_count);
    label->full_area = label->area + hidden;
    label->visible = label->full_area > 0 ? (float)label->area / (float)label->full_area : 0.0f;
    return GPU_OK;
}
