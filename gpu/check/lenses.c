/* lenses.c - lens distortion against OpenCV's formula, depth of field and motion blur against what
 * a thin lens and an open shutter do to a small square. */
#include "../cpu/kernels.h"
#include "../render/distort.h"
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 160 };

/* -- Distortion ---------------------------------------------------------------------------------
 */

static const float lenses[][5] = {{-0.28f, 0.09f, 0.0012f, -0.0007f, -0.01f},
                                  {0.15f, -0.05f, 0, 0, 0},
                                  {-0.45f, 0.3f, -0.002f, 0.004f, -0.1f},
                                  {0, 0, 0.01f, 0.01f, 0}};

static void distort(const float k[5], double x, double y, double out[2]) {
    double r2 = x * x + y * y;
    double radial = 1 + (double)k[0] * r2 + (double)k[1] * r2 * r2 + (double)k[4] * r2 * r2 * r2;
    out[0] = x * radial + 2 * (double)k[2] * x * y + (double)k[3] * (r2 + 2 * x * x);
    out[1] = y * radial + (double)k[2] * (r2 + 2 * y * y) + 2 * (double)k[3] * x * y;
}

/* Points go where OpenCV's formula sends them, one by one and by the kernels. */
static void check_points(const float k[5]) {
    enum { POINTS = 256 };
    static float vertices[POINTS * GPU_VERTEX_FLOATS];
    static int32_t x[POINTS], y[POINTS];
    static float w[POINTS];
    uint64_t state = 21;
    struct gpu_camera camera;
    const float eye[3] = {0, 0, 0}, target[3] = {0, 0, -1};
    gpu_camera_look_at(&camera, eye, target, 0.9f, 640, 480);
    memcpy(camera.distortion, k, sizeof camera.distortion);
    for (int i = 0; i < POINTS; i++) {
        float *at = vertices + (size_t)i * GPU_VERTEX_FLOATS;
        at[2] = -(float)(0.5 + 4.0 * body_random(&state));
        at[0] = (float)(body_random(&state) * 1.0 - 0.5) * -at[2];
        at[1] = (float)(body_random(&state) * 0.9 - 0.45) * -at[2];
    }
    const struct gpu_projection projection = gpu_camera_projection(&camera);
    const struct gpu_projected out = {x, y, w};
    for (int b = 0; check_backends()[b] != NULL; b++) {
        struct gpu_extent extent;
        double kernel = 0.0, label = 0.0;
        gpu_kernels_find(check_backends()[b] + 4)
            ->project(vertices, POINTS, &projection, &out, &extent);
        for (int i = 0; i < POINTS; i++) {
            const float *p = vertices + (size_t)i * GPU_VERTEX_FLOATS;
            const float at[3] = {p[0], -p[1], -p[2]};
            double place[2];
            distort(k, (double)at[0] / (double)at[2], (double)at[1] / (double)at[2], place);
            place[0] = place[0] * (double)camera.fx + (double)camera.cx;
            place[1] = place[1] * (double)camera.fy + (double)camera.cy;
            double x0 = (double)at[0] / (double)at[2], y0 = (double)at[1] / (double)at[2];
            distort_point(&projection.lens, &x0, &y0);
            const double pixel[2] = {x0 * (double)camera.fx + (double)camera.cx,
                                     y0 * (double)camera.fy + (double)camera.cy};
            kernel =
                fmax(kernel, fmax(fabs(x[i] / 256.0 - place[0]), fabs(y[i] / 256.0 - place[1])));
            label = fmax(label, fmax(fabs(pixel[0] - place[0]), fabs(pixel[1] - place[1])));
        }
        check_that(kernel < 1.2 / 512.0 + 1e-3 && label < 1e-4,
                   "distorted points are off by %g pixels by %s, one by one by %g", kernel,
                   check_backends()[b], label);
    }
}

/* Rays are bent as points are: what a pixel shows would be drawn where it is. Flow of what stands
 * still says so, to the last bits. */
static void check_rays(const float k[5]) {
    struct body body;
    struct gpu_scene *scene;
    char why[GPU_WHY_SIZE];
    float pose[BODY_JOINTS * 12];
    const float eye[3] = {0.2f, 1.2f, 1.1f}, target[3] = {0, 1.1f, 0};
    struct gpu_view view = {0};
    struct gpu_lighting lighting;
    body_init_person(&body, 30000, false);
    body_pose(0.2f, pose);
    if (gpu_scene_new(&body.desc, &scene, why) != GPU_OK)
        abort();
    gpu_lighting_default(&lighting);
    const struct gpu_actor actor = {.scene = scene, .pose = pose};
    const struct gpu_frame frame = {1, &actor, &lighting};
    gpu_camera_look_at(&view.camera, eye, target, 0.9f, 203, 157);
    memcpy(view.camera.distortion, k, sizeof view.camera.distortion);
    struct pictures first = pictures_draw_view(check_backends()[0], &frame, &view, 4, 0.0f);
    double worst = 0.0, depth = 0.0;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < first.width * first.height; i++) {
        if (first.person[i] == 0)
            continue;
        seen++;
        worst = fmax(worst, (double)fmaxf(fabsf(first.flow[2 * i]), fabsf(first.flow[2 * i + 1])));
        depth = fmax(depth, (double)first.depth[i]);
    }
    check_that(seen > 2000 && worst < 0.08 && depth < 2.0,
               "a body through a lens: %u pixels, rays and points differ by %g pixels", seen,
               worst);
    for (int b = 1; check_backends()[b] != NULL; b++) {
        struct pictures other = pictures_draw_view(check_backends()[b], &frame, &view, 4, 0.0f);
        const char *what;
        check_that(pictures_same(&first, &other, &what), "through a lens %s differ by %s", what,
                   check_backends()[b]);
        pictures_free(&other);
    }
    pictures_free(&first);
    gpu_scene_free(scene);
    body_free(&body);
}

/* -- A square -----------------------------------------------------------------------------------
 */

struct square {
    float positions[12], normals[12], weights[4], pose[12], next[12];
    uint16_t joints[4], materials[2];
    uint32_t indices[6];
    struct gpu_material material;
    struct gpu_scene *scene;
    struct gpu_actor actor;
    struct gpu_lighting lighting;
    struct gpu_frame frame;
};

/* Of 2 * half metres a side, `far` metres before an eye at the origin that looks along -z. */
static void square_init(struct square *square, float half, float far) {
    static const float corners[4][2] = {{-1, -1}, {1, -1}, {1, 1}, {-1, 1}};
    static const uint32_t indices[6] = {0, 1, 2, 0, 2, 3};
    char why[GPU_WHY_SIZE];
    memset(square, 0, sizeof *square);
    for (int i = 0; i < 4; i++) {
        square->positions[3 * i] = corners[i][0] * half;
        square->positions[3 * i + 1] = corners[i][1] * half;
        square->positions[3 * i + 2] = -far;
        square->normals[3 * i + 2] = 1.0f;
        square->weights[i] = 1.0f;
    }
    for (int i = 0; i < 12; i++)
        square->pose[i] = square->next[i] = i % 5 == 0 ? 1.0f : 0.0f;
    memcpy(square->indices, indices, sizeof indices);
    gpu_material_default(&square->material);
    const struct gpu_scene_desc desc = {.vertex_count = 4,
                                        .triangle_count = 2,
                                        .joint_count = 1,
                                        .material_count = 1,
                                        .influences = 1,
                                        .positions = square->positions,
                                        .normals = square->normals,
                                        .joints = square->joints,
                                        .weights = square->weights,
                                        .indices = square->indices,
                                        .materials = square->materials,
                                        .material_table = &square->material};
    if (gpu_scene_new(&desc, &square->scene, why) != GPU_OK)
        abort();
    gpu_lighting_default(&square->lighting);
    square->actor = (struct gpu_actor){.scene = square->scene, .pose = square->pose};
    square->frame = (struct gpu_frame){1, &square->actor, &square->lighting};
}

/* The picture's first and last column that shows any of it, and how much it shows in all. */
struct spread {
    double first, last, sum;
};

static struct spread measure(const struct pictures *drawn) {
    struct spread out = {1e9, -1e9, 0.0};
    for (uint32_t i = 0; i < drawn->width * drawn->height; i++) {
        if (drawn->coverage[i] <= 0.0f)
            continue;
        out.first = fmin(out.first, i % drawn->width);
        out.last = fmax(out.last, i % drawn->width + 1.0);
        out.sum += (double)drawn->coverage[i];
    }
    return out;
}

static struct gpu_view look(void) {
    struct gpu_view view = {0};
    const float eye[3] = {0, 0, 0}, target[3] = {0, 0, -1};
    gpu_camera_look_at(&view.camera, eye, target, 0.8f, SIDE, SIDE);
    return view;
}

static void compare_widths(const struct gpu_frame *frame, const struct gpu_view *view,
                           float shutter, const char *name) {
    struct pictures first = pictures_draw_view(check_backends()[0], frame, view, 8, shutter);
    for (int b = 1; check_backends()[b] != NULL; b++) {
        struct pictures other = pictures_draw_view(check_backends()[b], frame, view, 8, shutter);
        const char *what;
        check_that(pictures_same(&first, &other, &what), "%s: %s differ by %s", name, what,
                   check_backends()[b]);
        pictures_free(&other);
    }
    pictures_free(&first);
}

static void check_focus(void) {
    static const float focuses[] = {1.0f, 2.0f, 2.5f, 6.0f};
    struct square square;
    square_init(&square, 0.25f, 2.0f);
    struct gpu_view view = look();
    struct pictures sharp = pictures_draw_view("cpu", &square.frame, &view, 64, 0.0f);
    const struct spread edge = measure(&sharp);
    for (size_t i = 0; i < sizeof focuses / sizeof focuses[0]; i++) {
        view.camera.lens_radius = 0.06f;
        view.camera.focus = focuses[i];
        struct pictures drawn = pictures_draw_view("cpu", &square.frame, &view, 64, 0.0f);
        const struct spread blur = measure(&drawn);
        double circle = (double)view.camera.fx * 0.06 * fabs(1.0 / 2.0 - 1.0 / (double)focuses[i]);
        double grown = 0.5 * (blur.last - blur.first - edge.last + edge.first);
        check_that(fabs(grown - circle) < 1.5 && fabs(blur.sum / edge.sum - 1.0) < 0.02,
                   "focus at %g m: grown by %g instead of %g pixels, %g of it left",
                   (double)focuses[i], grown, circle, blur.sum / edge.sum);
        bool deep = true;
        for (uint32_t k = 0; k < SIDE * SIDE; k++)
            deep = deep && drawn.depth[k] == sharp.depth[k];
        check_that(deep && memcmp(drawn.person, sharp.person, SIDE * SIDE) == 0,
                   "focus at %g m: maps are not sharp", (double)focuses[i]);
        pictures_free(&drawn);
        compare_widths(&square.frame, &view, 0.0f, "out of focus");
    }
    pictures_free(&sharp);
    gpu_scene_free(square.scene);
}

static void check_shutter(void) {
    struct square square;
    square_init(&square, 0.2f, 2.0f);
    struct gpu_view view = look();
    const double pixels = 40.0; /* in a frame */
    struct pictures sharp = pictures_draw_view("cpu", &square.frame, &view, 64, 0.5f);
    const struct spread edge = measure(&sharp);
    for (int i = 0; i < 4; i++) { /* the square moves, the camera does; open half, or not at all */
        float way = (float)(pixels * 2.0 / (double)view.camera.fx), shutter = i < 2 ? 0.5f : 0.0f;
        square.next[3] = way;
        square.actor.pose_next = i % 2 == 0 ? square.next : NULL;
        view.camera_next = view.camera;
        view.camera_next.camera_from_world[3] += way;
        view.camera_next.width = i % 2 == 0 ? 0 : view.camera.width;
        struct pictures drawn = pictures_draw_view("cpu", &square.frame, &view, 64, shutter);
        const struct spread blur = measure(&drawn);
        double grown = blur.last - blur.first - edge.last + edge.first;
        check_that(fabs(grown - pixels * (double)shutter) < 1.5 &&
                       fabs(blur.sum / edge.sum - 1.0) < 0.02,
                   "case %d: smeared over %g pixels, %g of it left", i, grown, blur.sum / edge.sum);
        size_t middle = SIDE / 2 * SIDE + SIDE / 2;
        check_that(fabs((double)drawn.flow[2 * middle] - pixels) < 0.02 &&
                       memcmp(drawn.person, sharp.person, SIDE * SIDE) == 0,
                   "case %d: flow of %g pixels, or maps that are not of the start", i,
                   (double)drawn.flow[2 * middle]);
        check_that(i < 2 || memcmp(drawn.rgb, sharp.rgb, 3 * SIDE * SIDE) == 0,
                   "a shutter that does not open blurs");
        pictures_free(&drawn);
        compare_widths(&square.frame, &view, shutter, "moving");
    }
    pictures_free(&sharp);
    gpu_scene_free(square.scene);
}

/* Coverage of a blurred picture is the same without its colours, in a renderer that never drew any.
 */
static void check_coverage_alone(void) {
    static float coverage[SIDE * SIDE];
    const struct gpu_image image = {.coverage = coverage};
    struct square square;
    struct gpu_renderer *renderer;
    char why[GPU_WHY_SIZE] = "";
    square_init(&square, 0.2f, 2.0f);
    struct gpu_view view = look();
    view.camera.lens_radius = 0.05f;
    view.camera.focus = 1.0f;
    const struct gpu_batch batch = {
        .view_count = 1, .frame_count = 1, .views = &view, .frames = &square.frame, .samples = 16};
    struct pictures drawn = pictures_draw_view("cpu", &square.frame, &view, 16, 0.0f);
    if (gpu_renderer_new("cpu", &renderer, why) != GPU_OK)
        abort();
    check_that(gpu_render(renderer, &batch, &image, NULL, why) == GPU_OK &&
                   memcmp(coverage, drawn.coverage, sizeof coverage) == 0,
               "coverage of a blurred picture without colours: %s", why);
    gpu_renderer_free(renderer);
    pictures_free(&drawn);
    gpu_scene_free(square.scene);
}

/* What is refused, and what must be survived. */
static void check_odd(void) {
    static const float odd[] = {NAN, INFINITY, 1e30f, -1e18f};
    struct square square;
    char why[GPU_WHY_SIZE];
    struct gpu_renderer *renderer;
    square_init(&square, 0.2f, 2.0f);
    static uint8_t rgb[3 * SIDE * SIDE];
    static float flow[2 * SIDE * SIDE];
    const struct gpu_image image = {.rgb = rgb, .flow = flow};
    struct gpu_view view = look(), good = view;
    struct gpu_batch batch = {.view_count = 1,
                              .frame_count = 1,
                              .views = &view,
                              .frames = &square.frame,
                              .samples = 4,
                              .shutter = 0.5f};
    if (gpu_renderer_new("cpu", &renderer, why) != GPU_OK)
        abort();
    square.actor.pose_next = square.next;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        square.next[5] = odd[i];
        check_that(gpu_render(renderer, &batch, &image, NULL, why) == GPU_OK,
                   "a next pose of %g: %s", (double)odd[i], why);
        view.camera.distortion[1] = odd[i];
        check_that(gpu_render(renderer, &batch, &image, NULL, why) == GPU_EINVAL, "distortion %g",
                   (double)odd[i]);
        view = good;
        view.camera.lens_radius = odd[i];
        check_that(gpu_render(renderer, &batch, &image, NULL, why) == GPU_EINVAL, "a lens of %g",
                   (double)odd[i]);
        view = good;
        batch.shutter = odd[i];
        check_that(gpu_render(renderer, &batch, &image, NULL, why) == GPU_EINVAL, "a shutter of %g",
                   (double)odd[i]);
        batch.shutter = 0.5f;
    }
    view.camera.distortion[0] = -1000.0f; /* a picture of nearly nothing */
    check_that(gpu_render(renderer, &batch, &image, NULL, why) == GPU_OK, "a strong lens: %s", why);
    view = good;
    view.camera_next = good.camera;
    view.camera_next.height = 3;
    check_that(gpu_render(renderer, &batch, &image, NULL, why) == GPU_EINVAL,
               "a camera that changes its size");
    gpu_renderer_free(renderer);
    gpu_scene_free(square.scene);
}

void check_lenses(void) {
    for (size_t i = 0; i < sizeof lenses / sizeof lenses[0]; i++) {
        check_points(lenses[i]);
        check_rays(lenses[i]);
    }
    check_focus();
    check_shutter();
    check_coverage_alone();
    check_odd();
}
