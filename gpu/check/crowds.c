/* crowds.c - people in each other's way, normals and flow, against single pictures and against rays
 * in double precision. */
#include "../cpu/actor.h"
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEOPLE = 3 };

struct crowd {
    struct body bodies[2];
    struct gpu_scene *scenes[2];
    float poses[PEOPLE][2][BODY_JOINTS * 12]; /* now, one frame later */
    struct gpu_actor actors[PEOPLE];
    struct gpu_lighting lighting;
    struct gpu_frame frame;
};

static void shift(float *pose, float x, float z) {
    for (int j = 0; j < BODY_JOINTS; j++) {
        pose[12 * j + 3] += x;
        pose[12 * j + 11] += z;
    }
}

static void crowd_init(struct crowd *crowd) {
    static const float places[PEOPLE][2] = {{-0.25f, 0.3f}, {0.1f, -0.2f}, {0.5f, 0.35f}};
    char why[GPU_WHY_SIZE];
    memset(crowd, 0, sizeof *crowd);
    body_init_person(&crowd->bodies[0], 7000, true);
    body_init_person(&crowd->bodies[1], 1100, false);
    for (int i = 0; i < 2; i++)
        if (gpu_scene_new(&crowd->bodies[i].desc, &crowd->scenes[i], why) != GPU_OK)
            abort();
    for (int i = 0; i < PEOPLE; i++) {
        for (int later = 0; later < 2; later++) {
            body_pose(0.13f * (float)i + 0.03f * (float)later, crowd->poses[i][later]);
            shift(crowd->poses[i][later], places[i][0] + 0.02f * (float)later, places[i][1]);
        }
        crowd->actors[i] = (struct gpu_actor){.scene = crowd->scenes[i % 2],
                                              .pose = crowd->poses[i][0],
                                              .pose_next = i < 2 ? crowd->poses[i][1] : NULL};
    }
    gpu_lighting_default(&crowd->lighting);
    crowd->frame = (struct gpu_frame){PEOPLE, crowd->actors, &crowd->lighting};
}

static void crowd_free(struct crowd *crowd) {
    for (int i = 0; i < 2; i++) {
        gpu_scene_free(crowd->scenes[i]);
        body_free(&crowd->bodies[i]);
    }
}

/* -- In each other's way ------------------------------------------------------------------------
 */

/* Bit for bit, but for which NaN it is. */
static bool same_floats(const float *a, const float *b, int count) {
    for (int i = 0; i < count; i++)
        if (a[i] != b[i] && !(isnan(a[i]) && isnan(b[i])))
            return false;
    return true;
}

/* The crowd's picture is the nearest of what pictures of each alone show. */
static void check_nearest(const struct crowd *crowd, const struct gpu_camera *camera) {
    struct pictures all = pictures_draw_frame("cpu", &crowd->frame, camera, 1), alone[PEOPLE];
    uint32_t pixels = all.width * all.height, wrong = 0, seen[PEOPLE + 1] = {0}, first = 0;
    for (int i = 0; i < PEOPLE; i++) {
        const struct gpu_frame one = {1, &crowd->actors[i], &crowd->lighting};
        alone[i] = pictures_draw_frame("cpu", &one, camera, 1);
    }
    for (uint32_t at = 0; at < pixels; at++) {
        int who = -1;
        first = 0;
        for (int i = 0; i < PEOPLE; i++)
            if (alone[i].depth[at] < (who < 0 ? INFINITY : alone[who].depth[at]))
                who = i;
        for (int i = 0; i < who; i++)
            first += crowd->bodies[i % 2].desc.triangle_count;
        seen[who + 1]++;
        if (who < 0)
            wrong += all.person[at] != 0 || all.triangle[at] != 0 || !isinf(all.depth[at]) ||
                     all.part[at] != 0 || all.cover[at] != 0 || !isnan(all.flow[2 * at]) ||
                     all.normal[3 * at] != 0.0f || all.coverage[at] != 0.0f;
        else
            wrong += all.person[at] != who + 1 || all.depth[at] != alone[who].depth[at] ||
                     all.triangle[at] != alone[who].triangle[at] + first ||
                     all.part[at] != alone[who].part[at] || all.part[at] == 0 ||
                     all.cover[at] != alone[who].cover[at] || all.coverage[at] != 1.0f ||
                     !same_floats(&all.normal[3 * at], &alone[who].normal[3 * at], 3) ||
                     !same_floats(&all.flow[2 * at], &alone[who].flow[2 * at], 2);
    }
    check_that(wrong == 0 && seen[1] > 500 && seen[2] > 500 && seen[3] > 500,
               "%u of %u pixels of a crowd are not of the nearest (%u, %u and %u are seen)", wrong,
               pixels, seen[1], seen[2], seen[3]);
    for (int i = 0; i < PEOPLE; i++)
        pictures_free(&alone[i]);
    pictures_free(&all);
}

static void check_crowd_widths(const struct crowd *crowd, const struct gpu_camera *camera) {
    static const uint32_t counts[] = {1, 4, 16, 64};
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        struct pictures first =
            pictures_draw_frame(check_backends()[0], &crowd->frame, camera, counts[k]);
        for (int b = 1; check_backends()[b] != NULL; b++) {
            struct pictures other =
                pictures_draw_frame(check_backends()[b], &crowd->frame, camera, counts[k]);
            const char *what;
            check_that(pictures_same(&first, &other, &what),
                       "a crowd's %s differ by %s, %u samples", what, check_backends()[b],
                       counts[k]);
            pictures_free(&other);
        }
        pictures_free(&first);
    }
}

/* What is drawn does not depend on what else is asked for. */
static void check_alone(const struct crowd *crowd, const struct gpu_camera *camera) {
    struct gpu_renderer *renderer;
    char why[GPU_WHY_SIZE];
    struct pictures all = pictures_draw_frame("cpu", &crowd->frame, camera, 32);
    size_t pixels = (size_t)all.width * all.height;
    struct gpu_view view = {.camera = *camera};
    const struct gpu_batch batch = {
        .view_count = 1, .frame_count = 1, .views = &view, .frames = &crowd->frame, .samples = 32};
    void *memory = malloc(12 * pixels);
    if (memory == NULL || gpu_renderer_new("cpu", &renderer, why) != GPU_OK)
        abort();
    const struct {
        const char *name;
        const void *whole;
        size_t size;
        struct gpu_image image;
    } maps[] = {
        {"rgb", all.rgb, 3, {.rgb = memory}},
        {"depth", all.depth, 4, {.depth = memory}},
        {"triangle", all.triangle, 4, {.triangle = memory}},
        {"person", all.person, 1, {.person = memory}},
        {"part", all.part, 1, {.part = memory}},
        {"cover", all.cover, 1, {.cover = memory}},
        {"normal", all.normal, 12, {.normal = memory}},
        {"flow", all.flow, 8, {.flow = memory}},
        {"coverage", all.coverage, 4, {.coverage = memory}},
    };
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
        memset(memory, 77, 12 * pixels);
        int code = gpu_render(renderer, &batch, &maps[i].image, NULL, why);
        check_that(code == GPU_OK && memcmp(memory, maps[i].whole, maps[i].size * pixels) == 0,
                   "%s alone is not as among all maps", maps[i].name);
    }
    gpu_renderer_free(renderer);
    free(memory);
    pictures_free(&all);
}

/* -- Normals and flow ---------------------------------------------------------------------------
 */

/* A corner in the world, and its normal. */
static void place(const struct crowd *crowd, int who, bool later, uint32_t vertex, double at[3],
                  double normal[3]) {
    const struct gpu_scene_desc *desc = &crowd->bodies[who % 2].desc;
    const float *pose = crowd->poses[who][later && who < 2 ? 1 : 0];
    memset(at, 0, 3 * sizeof *at);
    memset(normal, 0, 3 * sizeof *normal);
    for (uint32_t k = 0; k < desc->influences; k++) {
        size_t slot = (size_t)vertex * desc->influences + k;
        const float *m = pose + 12 * (size_t)desc->joints[slot];
        double weight = (double)desc->weights[slot];
        for (int r = 0; r < 3; r++) {
            at[r] += weight * (double)m[4 * r + 3];
            for (int c = 0; c < 3; c++) {
                at[r] += weight * (double)m[4 * r + c] *
                         (double)desc->positions[3 * (size_t)vertex + (size_t)c];
                normal[r] += weight * (double)m[4 * r + c] *
                             (double)desc->normals[3 * (size_t)vertex + (size_t)c];
            }
        }
    }
}

static void turn(const float *m, const double v[3], double w, double out[3]) {
    for (int r = 0; r < 3; r++)
        out[r] = (double)m[4 * r] * v[0] + (double)m[4 * r + 1] * v[1] +
                 (double)m[4 * r + 2] * v[2] + w * (double)m[4 * r + 3];
}

static double dot(const double a[3], const double b[3]) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void cross(double out[3], const double a[3], const double b[3]) {
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

/* How far a pixel's normal and flow are from where its ray meets its triangle. */
static void judge(const struct crowd *crowd, const struct gpu_view *view,
                  const struct pictures *drawn, uint32_t at, double *crooked, double *astray) {
    int who = drawn->person[at] - 1;
    uint32_t triangle = drawn->triangle[at] - 1;
    for (int i = 0; i < who; i++)
        triangle -= crowd->bodies[i % 2].desc.triangle_count;
    double now[3][3], later[3][3], normals[3][3], unused[3], edge[2][3], plane[3], side[3];
    for (int k = 0; k < 3; k++) {
        uint32_t vertex = crowd->bodies[who % 2].desc.indices[3 * (size_t)triangle + (size_t)k];
        double world[3], normal[3];
        place(crowd, who, false, vertex, world, normal);
        turn(view->camera.camera_from_world, world, 1.0, now[k]);
        turn(view->camera.camera_from_world, normal, 0.0, normals[k]);
        place(crowd, who, true, vertex, world, unused);
        turn(view->camera_next.camera_from_world, world, 1.0, later[k]);
    }
    const uint32_t column = at % drawn->width, row = at / drawn->width;
    double x = column + 0.5, y = row + 0.5; /* one sample: the middle */
    const double ray[3] = {(x - (double)view->camera.cx) / (double)view->camera.fx,
                           (y - (double)view->camera.cy) / (double)view->camera.fy, 1.0};
    for (int c = 0; c < 3; c++) {
        edge[0][c] = now[1][c] - now[0][c];
        edge[1][c] = now[2][c] - now[0][c];
    }
    cross(plane, edge[0], edge[1]);
    double distance = dot(plane, now[0]) / dot(plane, ray), hit[3], b[2];
    for (int c = 0; c < 3; c++)
        hit[c] = ray[c] * distance - now[0][c];
    cross(side, hit, edge[1]);
    b[0] = dot(side, plane) / dot(plane, plane);
    cross(side, edge[0], hit);
    b[1] = dot(side, plane) / dot(plane, plane);
    if (b[0] < 0.02 || b[1] < 0.02 || b[0] + b[1] > 0.98)
        return; /* vertices in the picture are rounded: the ray may just miss it */
    double normal[3], next[3], length;
    for (int c = 0; c < 3; c++) {
        normal[c] = normals[0][c] * (1 - b[0] - b[1]) + normals[1][c] * b[0] + normals[2][c] * b[1];
        next[c] = later[0][c] * (1 - b[0] - b[1]) + later[1][c] * b[0] + later[2][c] * b[1];
    }
    length = sqrt(dot(normal, normal)) * (dot(plane, ray) > 0.0 ? -1.0 : 1.0);
    for (int c = 0; c < 3; c++)
        *crooked =
            fmax(*crooked, fabs((double)drawn->normal[3 * at + (uint32_t)c] - normal[c] / length));
    const struct gpu_camera *camera = &view->camera_next;
    double to[2] = {(double)camera->fx * next[0] / next[2] + (double)camera->cx - x,
                    (double)camera->fy * next[1] / next[2] + (double)camera->cy - y};
    for (int c = 0; c < 2; c++)
        *astray = fmax(*astray, fabs((double)drawn->flow[2 * at + (uint32_t)c] - to[c]));
}

static void check_motion(const struct crowd *crowd, const struct gpu_camera *camera) {
    const float eye[3] = {0.55f, 1.42f, 2.85f}, target[3] = {0.1f, 0.93f, 0};
    struct gpu_view view = {.camera = *camera};
    gpu_camera_look_at(&view.camera_next, eye, target, 0.72f, camera->width, camera->height);
    struct pictures drawn = pictures_draw_view("cpu", &crowd->frame, &view, 1, 0.0f);
    double crooked = 0.0, astray = 0.0, fastest = 0.0;
    for (uint32_t at = 0; at < drawn.width * drawn.height; at++) {
        if (drawn.person[at] == 0)
            continue;
        judge(crowd, &view, &drawn, at, &crooked, &astray);
        fastest = fmax(fastest, (double)hypotf(drawn.flow[2 * at], drawn.flow[2 * at + 1]));
    }
    check_that(crooked < 2e-3, "normals are off by %g", crooked);
    check_that(astray < 0.02 && fastest > 5.0, "flow is off by %g of up to %g pixels", astray,
               fastest);
    pictures_free(&drawn);
}

/* -- Memory -------------------------------------------------------------------------------------
 */

/* A renderer asks for memory while it meets its first pictures, and never again for such. */
static void check_memory(const struct crowd *crowd, const struct gpu_camera *camera) {
    static const uint32_t counts[] = {4, 16, 64};
    struct pictures room = pictures_draw_frame("cpu", &crowd->frame, camera, 1);
    const struct gpu_image image = {.rgb = room.rgb,
                                    .depth = room.depth,
                                    .person = room.person,
                                    .normal = room.normal,
                                    .flow = room.flow,
                                    .coverage = room.coverage};
    struct gpu_view view = {.camera = *camera, .camera_next = *camera};
    struct gpu_renderer *renderer;
    char why[GPU_WHY_SIZE];
    size_t before = 0;
    if (gpu_renderer_new("cpu", &renderer, why) != GPU_OK)
        abort();
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 2 * sizeof counts / sizeof counts[0]; i++) {
            const struct gpu_batch batch = {.view_count = 1,
                                            .frame_count = 1,
                                            .views = &view,
                                            .frames = &crowd->frame,
                                            .samples = counts[i / 2],
                                            .shutter = i % 2 == 0 ? 0.0f : 0.5f};
            check_that(gpu_render(renderer, &batch, &image, NULL, why) == GPU_OK, "%s", why);
        }
        if (round == 0)
            before = check_allocations();
    }
    check_that(check_allocations() == before, "%zu allocations for pictures like those before",
               check_allocations() - before);
    gpu_renderer_free(renderer);
    pictures_free(&room);
}

void check_crowds(void) {
    static struct crowd crowd;
    const float eye[3] = {0.5f, 1.4f, 3.0f}, target[3] = {0.1f, 0.9f, 0};
    struct gpu_camera camera;
    crowd_init(&crowd);
    gpu_camera_look_at(&camera, eye, target, 0.7f, 210, 170);
    check_nearest(&crowd, &camera);
    check_crowd_widths(&crowd, &camera);
    check_alone(&crowd, &camera);
    check_motion(&crowd, &camera);
    check_memory(&crowd, &camera);
    crowd_free(&crowd);
}
