/* labels.c - gpu_label on scenes made of boxes, whose labels can be told by hand: who hides whom,
 * what is cut, and how much of somebody is seen. */
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 96, BOXES = 2, CORNERS = 8, FACES = 12 };

/* Up to two boxes of one joint; the second is part 1. */
struct boxes {
    float positions[BOXES * CORNERS][3], normals[BOXES * CORNERS][3], weights[BOXES * CORNERS];
    uint16_t joints[BOXES * CORNERS], materials[BOXES * FACES];
    uint32_t indices[BOXES * FACES][3];
    uint8_t parts[BOXES * FACES];
    struct gpu_scene *scene;
};

/* From low to high, in metres. */
struct extent {
    float low[3], high[3];
};

static void add_box(struct boxes *boxes, uint32_t box, const struct extent *extent) {
    /* Corner c is high in x, y, z by its bits 0, 1, 2; faces counter-clockwise from outside. */
    static const uint8_t faces[FACES][3] = {{0, 4, 6}, {0, 6, 2}, {1, 3, 7}, {1, 7, 5},
                                            {0, 1, 5}, {0, 5, 4}, {2, 6, 7}, {2, 7, 3},
                                            {0, 2, 3}, {0, 3, 1}, {4, 5, 7}, {4, 7, 6}};
    for (uint32_t c = 0; c < CORNERS; c++) {
        uint32_t vertex = box * CORNERS + c;
        for (uint32_t axis = 0; axis < 3; axis++)
            boxes->positions[vertex][axis] = c >> axis & 1 ? extent->high[axis] : extent->low[axis];
        boxes->normals[vertex][1] = 1.0f;
        boxes->weights[vertex] = 1.0f;
    }
    for (uint32_t f = 0; f < FACES; f++) {
        boxes->parts[box * FACES + f] = (uint8_t)box;
        for (uint32_t c = 0; c < 3; c++)
            boxes->indices[box * FACES + f][c] = box * CORNERS + faces[f][c];
    }
}

static void boxes_init(struct boxes *boxes, const struct extent *extents, uint32_t count) {
    struct gpu_material material;
    char why[GPU_WHY_SIZE];
    memset(boxes, 0, sizeof *boxes);
    gpu_material_default(&material);
    for (uint32_t i = 0; i < count; i++)
        add_box(boxes, i, &extents[i]);
    struct gpu_scene_desc desc = {.vertex_count = count * CORNERS,
                                  .triangle_count = count * FACES,
                                  .joint_count = 1,
                                  .material_count = 1,
                                  .influences = 1,
                                  .positions = boxes->positions[0],
                                  .normals = boxes->normals[0],
                                  .joints = boxes->joints,
                                  .weights = boxes->weights,
                                  .indices = boxes->indices[0],
                                  .materials = boxes->materials,
                                  .material_table = &material,
                                  .parts = boxes->parts};
    if (gpu_scene_new(&desc, &boxes->scene, why) != GPU_OK)
        abort();
}

/* A frame of actors at places, seen by a camera before them, and its maps. */
struct stage {
    struct gpu_lighting lighting;
    struct gpu_actor actors[3];
    float poses[3][12];
    struct gpu_frame frame;
    struct gpu_camera camera;
    struct gpu_image image;
};

static void stage_init(struct stage *stage) {
    memset(stage, 0, sizeof *stage);
    const float eye[3] = {0, 0, 5}, target[3] = {0, 0, 0};
    gpu_lighting_default(&stage->lighting);
    gpu_camera_look_at(&stage->camera, eye, target, 0.6f, SIDE, SIDE);
    stage->frame = (struct gpu_frame){.actors = stage->actors, .lighting = &stage->lighting};
}

static void add_actor(struct stage *stage, const struct boxes *boxes, float x, float y, float z) {
    uint32_t actor = stage->frame.actor_count++;
    const float pose[12] = {1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, z};
    memcpy(stage->poses[actor], pose, sizeof pose);
    stage->actors[actor] = (struct gpu_actor){.scene = boxes->scene, .pose = stage->poses[actor]};
}

static void stage_deinit(struct stage *stage) {
    free(stage->image.depth);
    free(stage->image.person);
    free(stage->image.part);
    stage->image = (struct gpu_image){.depth = NULL};
}

static void stage_draw(struct stage *stage, uint32_t samples) {
    size_t pixels = (size_t)stage->camera.width * stage->camera.height;
    struct gpu_view view = {.camera = stage->camera};
    struct gpu_batch batch = {.view_count = 1,
                              .frame_count = 1,
                              .views = &view,
                              .frames = &stage->frame,
                              .samples = samples};
    struct gpu_renderer *renderer;
    char why[GPU_WHY_SIZE];
    stage_deinit(stage);
    stage->image.depth = malloc(pixels * sizeof(float));
    stage->image.person = malloc(pixels);
    stage->image.part = malloc(pixels);
    if (gpu_renderer_new("cpu", &renderer, why) != GPU_OK ||
        gpu_render(renderer, &batch, &stage->image, NULL, why) != GPU_OK)
        abort();
    gpu_renderer_free(renderer);
}

static struct gpu_anchor anchor_at(float x, float y, float z, float radius) {
    return (struct gpu_anchor){.position = {x, y, z}, .weight = {1.0f}, .radius = radius};
}

static struct gpu_label label_of(const struct stage *stage, uint32_t actor,
                                 const struct gpu_anchor *anchors, uint32_t count,
                                 enum gpu_point_state *states) {
    struct gpu_point points[8];
    struct gpu_label label;
    char why[GPU_WHY_SIZE] = "";
    int rc = gpu_label(&stage->frame, actor, &stage->camera, &stage->image, anchors, count, points,
                       &label, why);
    check_that(rc == GPU_OK, "gpu_label: %s", why);
    for (uint32_t i = 0; i < count; i++)
        states[i] = points[i].state;
    return label;
}

static const struct extent cube = {{-0.5f, -0.5f, -0.5f}, {0.5f, 0.5f, 0.5f}};

static void check_alone(const struct boxes *boxes) {
    static const uint32_t samples[] = {1, 4, 16};
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct stage stage;
        stage_init(&stage);
        add_actor(&stage, boxes, 0.1f, 0, 0);
        stage_draw(&stage, samples[i]);
        struct gpu_label label = label_of(&stage, 0, NULL, 0, NULL);
        check_that(label.area > 400 && label.full_area == label.area && label.visible == 1.0f,
                   "alone, but %u of %u pixels are seen", label.area, label.full_area);
        for (int c = 0; c < 4; c++)
            check_that(fabsf(label.box[c] - label.full_box[c]) <= 1.0f, "box %g, full box %g",
                       (double)label.box[c], (double)label.full_box[c]);
        stage_deinit(&stage);
    }
}

/* A lens bends points, boxes and drawings alike. */
static void check_lens(const struct boxes *boxes) {
    static const float k[5] = {-0.2f, 0.05f, 0.01f, -0.02f, 0.01f};
    const struct gpu_anchor anchors[2] = {anchor_at(0.5f, 0.5f, 0.5f, 0.01f),
                                          anchor_at(30.0f, 0, 0, 0.01f)};
    struct stage stage;
    struct gpu_point points[2];
    struct gpu_label label;
    char why[GPU_WHY_SIZE] = "";
    stage_init(&stage);
    memcpy(stage.camera.distortion, k, sizeof k);
    stage.camera.fx = stage.camera.fy = 60.0f;
    add_actor(&stage, boxes, 0.9f, 0.7f, 2.5f);
    stage_draw(&stage, 1);
    int rc =
        gpu_label(&stage.frame, 0, &stage.camera, &stage.image, anchors, 2, points, &label, why);
    check_that(rc == GPU_OK, "gpu_label through a lens: %s", why);
    double x = (0.9 + 0.5) / 2.0, y = -(0.7 + 0.5) / 2.0, r = x * x + y * y;
    double radial = 1.0 + r * (-0.2 + r * (0.05 + r * 0.01));
    double px = x * radial + 0.02 * x * y - 0.02 * (r + 2.0 * x * x);
    double py = y * radial + 0.01 * (r + 2.0 * y * y) - 0.04 * x * y;
    check_that(fabs((double)points[0].pixel[0] - (48.0 + 60.0 * px)) < 0.01 &&
                   fabs((double)points[0].pixel[1] - (48.0 + 60.0 * py)) < 0.01,
               "through a lens at %g, %g, by hand %g, %g", (double)points[0].pixel[0],
               (double)points[0].pixel[1], 48.0 + 60.0 * px, 48.0 + 60.0 * py);
    check_that(points[1].state == GPU_POINT_OUT_OF_FRAME, "beyond the lens, but state %d",
               points[1].state);
    uint32_t whole = label.full_area;
    check_that(label.area > 300 && label.area == whole, "%u of %u pixels", label.area, whole);
    for (int c = 0; c < 4; c++)
        check_that(fabsf(label.box[c] - label.full_box[c]) <= 1.0f, "box %g, full box %g",
                   (double)label.box[c], (double)label.full_box[c]);
    stage.camera.cx += 30.0f; /* the same, cut */
    stage_draw(&stage, 1);
    label = label_of(&stage, 0, NULL, 0, NULL);
    check_that(label.area < whole && label.full_area == whole, "cut: %u of %u pixels, whole %u",
               label.area, label.full_area, whole);
    stage_deinit(&stage);
}

/* One before the left half of another. */
static void check_hidden(const struct boxes *boxes) {
    const struct gpu_anchor anchors[] = {
        anchor_at(-0.3f, 0, 0.5f, 0.01f), /* on the front, behind the other */
        anchor_at(0.4f, 0, 0.5f, 0.01f),  /* on the front, free */
        anchor_at(0.4f, 0, -0.5f, 0.01f), /* on the back */
        anchor_at(-0.3f, 0, 0, 0.9f),     /* within; the other is nearer than its radius allows */
    };
    enum gpu_point_state states[4];
    struct stage stage;
    stage_init(&stage);
    add_actor(&stage, boxes, 0, 0, 0);
    stage_draw(&stage, 1);
    struct gpu_label alone = label_of(&stage, 0, anchors, 4, states);
    check_that(states[0] == GPU_POINT_VISIBLE && states[1] == GPU_POINT_VISIBLE &&
                   states[2] == GPU_POINT_SELF_OCCLUDED && states[3] == GPU_POINT_VISIBLE,
               "alone: states %d %d %d %d", states[0], states[1], states[2], states[3]);
    add_actor(&stage, boxes, -0.55f, 0, 1.01f);
    stage_draw(&stage, 1);
    struct gpu_label label = label_of(&stage, 0, anchors, 4, states);
    check_that(states[0] == GPU_POINT_OCCLUDED && states[1] == GPU_POINT_VISIBLE &&
                   states[2] == GPU_POINT_SELF_OCCLUDED && states[3] == GPU_POINT_OCCLUDED,
               "behind another: states %d %d %d %d", states[0], states[1], states[2], states[3]);
    check_that(label.full_area == alone.area && label.area < alone.area && label.area > 100,
               "%u of %u pixels are seen, alone %u", label.area, label.full_area, alone.area);
    check_that(fabsf(label.visible - (float)label.area / (float)alone.area) < 1e-6f,
               "visible is %g", (double)label.visible);
    check_that(memcmp(label.full_box, alone.full_box, sizeof label.full_box) == 0 &&
                   label.box[0] > alone.box[0] && label.box[2] == alone.box[2],
               "the box of the hidden one is from %g to %g", (double)label.box[0],
               (double)label.box[2]);
    label = label_of(&stage, 1, anchors, 2, states);
    check_that(label.visible == 1.0f && states[0] == GPU_POINT_VISIBLE,
               "the one before is hidden: %g", (double)label.visible);
    stage_deinit(&stage);
}

/* What the frame cuts off is what a larger picture shows. */
static void check_cut(const struct boxes *boxes) {
    const struct gpu_anchor out = anchor_at(0.4f, 0, 0.5f, 0.01f);
    static const float places[][3] = {{1.5f, 0, 0}, {-1.4f, 1.3f, 0}, {0, -1.5f, 0}, {9, 0, 0}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct stage stage;
        enum gpu_point_state state;
        stage_init(&stage);
        add_actor(&stage, boxes, places[i][0], places[i][1], places[i][2]);
        stage_draw(&stage, 1);
        struct gpu_label cut = label_of(&stage, 0, &out, 1, &state);
        check_that(i != 0 || state == GPU_POINT_OUT_OF_FRAME, "outside, but state %d", state);
        stage.camera.width = stage.camera.height = 9 * SIDE;
        stage.camera.cx += 4 * SIDE;
        stage.camera.cy += 4 * SIDE;
        stage_draw(&stage, 1);
        struct gpu_label whole = label_of(&stage, 0, &out, 1, &state);
        check_that(cut.full_area == whole.area && cut.area < whole.area,
                   "%u of %u pixels, the larger picture has %u", cut.area, cut.full_area,
                   whole.area);
        stage_deinit(&stage);
    }
}

/* So near that it would fill many pictures: counted on a coarse grid. */
static void check_near(const struct boxes *boxes) {
    struct stage stage;
    stage_init(&stage);
    stage.camera.fx = stage.camera.fy = 4000.0f;
    add_actor(&stage, boxes, 0, 0, 3.9f);
    stage_draw(&stage, 1);
    struct gpu_label label = label_of(&stage, 0, NULL, 0, NULL);
    double edge = 4000.0 / (5.0 - 4.4), whole = edge * edge;
    check_that(label.area == SIDE * SIDE && fabs((double)label.full_area / whole - 1.0) < 0.01,
               "%u of %u pixels, %g by hand", label.area, label.full_area, whole);
    stage.poses[0][11] = 4.6f; /* the camera is within */
    stage_draw(&stage, 1);
    label = label_of(&stage, 0, NULL, 0, NULL);
    check_that(label.visible >= 0.0f && label.visible <= 1.0f && label.full_area >= label.area,
               "within: %g", (double)label.visible);
    stage.poses[0][11] = 50.0f; /* and far behind it */
    stage_draw(&stage, 1);
    struct gpu_anchor anchor = anchor_at(0, 0, 0, 0.1f);
    enum gpu_point_state state;
    label = label_of(&stage, 0, &anchor, 1, &state);
    check_that(state == GPU_POINT_BEHIND_CAMERA && label.area == 0 && label.full_area == 0 &&
                   label.visible == 0.0f,
               "behind the camera: state %d, %u pixels", state, label.full_area);
    stage_deinit(&stage);
}

/* A hand before the hip: nearer than the hip's tolerance, but no skin of its own. */
static void check_parts(void) {
    const struct extent extents[2] = {cube, {{-0.1f, -0.1f, 0.52f}, {0.1f, 0.1f, 0.6f}}};
    struct boxes boxes;
    struct stage stage;
    boxes_init(&boxes, extents, 2);
    stage_init(&stage);
    add_actor(&stage, &boxes, 0, 0, 0);
    stage_draw(&stage, 4);
    struct gpu_anchor anchors[3] = {anchor_at(0, 0, 0, 0.5f), anchor_at(0, 0, 0, 0.5f),
                                    anchor_at(0, 0, 0.56f, 0.05f)};
    enum gpu_point_state states[3];
    anchors[1].parts = 1u << 0;
    anchors[2].parts = 1u << 1;
    label_of(&stage, 0, anchors, 3, states);
    check_that(states[0] == GPU_POINT_VISIBLE && states[1] == GPU_POINT_SELF_OCCLUDED &&
                   states[2] == GPU_POINT_VISIBLE,
               "parts: states %d %d %d", states[0], states[1], states[2]);
    free(stage.image.part);
    stage.image.part = NULL;
    label_of(&stage, 0, anchors, 3, states);
    check_that(states[1] == GPU_POINT_VISIBLE, "without the map of parts: state %d", states[1]);
    stage_deinit(&stage);
    gpu_scene_free(boxes.scene);
}

static void check_refusals(const struct boxes *boxes) {
    struct stage stage;
    struct gpu_label label;
    char why[GPU_WHY_SIZE] = "";
    stage_init(&stage);
    add_actor(&stage, boxes, 0, 0, 0);
    add_actor(&stage, boxes, 1, 0, 0);
    stage_draw(&stage, 1);
    int rc = gpu_label(&stage.frame, 2, &stage.camera, &stage.image, NULL, 0, NULL, &label, why);
    check_that(rc == GPU_EINVAL && strstr(why, "actor 2 of 2") != NULL, "actor 2 of 2: %s", why);
    struct gpu_image image = {.depth = stage.image.depth};
    rc = gpu_label(&stage.frame, 0, &stage.camera, &image, NULL, 0, NULL, &label, why);
    check_that(rc == GPU_EINVAL && strstr(why, "person") != NULL, "without person: %s", why);
    stage_deinit(&stage);
}

void check_people(void) {
    struct boxes boxes;
    boxes_init(&boxes, &cube, 1);
    check_alone(&boxes);
    check_lens(&boxes);
    check_hidden(&boxes);
    check_cut(&boxes);
    check_near(&boxes);
    check_parts();
    check_refusals(&boxes);
    gpu_scene_free(boxes.scene);
}
