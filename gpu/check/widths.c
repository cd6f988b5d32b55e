/* widths.c - every width of the kernels must write the same bytes, and so must a view alone and
 * among others. */
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool pictures_same(const struct pictures *a, const struct pictures *b, const char **what) {
    size_t pixels = (size_t)a->width * a->height;
    const struct {
        const char *name;
        const void *a, *b;
        size_t size;
    } parts[] = {{"triangles", a->triangle, b->triangle, 4 * pixels},
                 {"depths", a->depth, b->depth, 4 * pixels},
                 {"coverage", a->coverage, b->coverage, 4 * pixels},
                 {"people", a->person, b->person, pixels},
                 {"parts", a->part, b->part, pixels},
                 {"covers", a->cover, b->cover, pixels},
                 {"normals", a->normal, b->normal, 12 * pixels},
                 {"flow", a->flow, b->flow, 8 * pixels},
                 {"colours", a->rgb, b->rgb, 3 * pixels}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *what = parts[i].name;
        if (memcmp(parts[i].a, parts[i].b, parts[i].size) != 0)
            return false;
    }
    return true;
}

static void compare(const char *name, const struct gpu_scene_desc *desc,
                    const struct gpu_camera *camera, const float *pose, uint32_t samples) {
    const char *const *backends = check_backends();
    struct gpu_scene *scene;
    char why[GPU_WHY_SIZE];
    if (gpu_scene_new(desc, &scene, why) != GPU_OK)
        abort();
    struct pictures first = pictures_draw(backends[0], scene, camera, pose, samples);
    for (int i = 1; backends[i] != NULL; i++) {
        struct pictures other = pictures_draw(backends[i], scene, camera, pose, samples);
        const char *what;
        bool ok = pictures_same(&first, &other, &what);
        check_that(ok, "%s, %u samples: other %s by %s than by %s", name, samples, what,
                   backends[i], backends[0]);
        pictures_free(&other);
    }
    pictures_free(&first);
    gpu_scene_free(scene);
}

static void compare_person(uint32_t triangles, bool textured, uint32_t samples) {
    struct body body;
    float pose[BODY_JOINTS * 12];
    body_init_person(&body, triangles, textured);
    static const float eyes[5][3] = {{2.5f, 5.0f, 6.0f},
                                     {1.5f, 1.6f, 3.0f},
                                     {-0.4f, 1.5f, 0.6f},
                                     {0.02f, 1.3f, 0.03f},
                                     {0, 0.2f, -2.0f}};
    const float target[3] = {0, 0.9f, 0};
    for (int i = 0; i < 5; i++) {
        struct gpu_camera camera;
        body_pose(0.25f * (float)i, pose);
        gpu_camera_look_at(&camera, eyes[i], target, 0.8f, 203, 157);
        compare(textured ? "textured body" : "body", &body.desc, &camera, pose, samples);
    }
    body_free(&body);
}

/* Bodies of any size, corners that are no numbers, cameras amid and off them. */
static void compare_wild(uint64_t seed) {
    static const uint32_t counts[4] = {1, 4, 8, 16};
    uint64_t state = seed * 77 + 5;
    struct body body;
    struct gpu_camera camera;
    float pose[BODY_JOINTS * 12], eye[3], target[3];
    float scale = (float)pow(10.0, 5.0 * body_random(&state) - 2.0);
    body_pose((float)body_random(&state), pose);
    if (seed % 2 == 0)
        body_init_person(&body, 2000, seed % 4 == 0);
    else
        body_init_random(&body, 150, seed);
    for (uint32_t i = 0; i < body.desc.vertex_count * 3; i++)
        body.positions[i] = body_random(&state) < 0.0003 ? NAN : body.positions[i] * scale;
    for (int c = 0; c < 3; c++) {
        eye[c] = (float)(body_random(&state) * 6.0 - 3.0) * scale;
        target[c] = (float)(body_random(&state) * 2.0 - 1.0) * scale;
    }
    float fov = (float)(0.1 + 2.5 * body_random(&state));
    uint32_t width = 1 + (uint32_t)(body_random(&state) * 200.0);
    gpu_camera_look_at(&camera, eye, target, fov, width, 90);
    camera.near_plane = fmaxf(scale * (float)body_random(&state), 0.001f);
    compare("wild scene", &body.desc, &camera, pose, counts[seed / 2 % 4]);
    body_free(&body);
}

static float odd_number(uint64_t *state) {
    static const float odd[] = {NAN, INFINITY, -1e30f, 1e18f, 0.0f, -1.0f};
    return odd[(size_t)(body_random(state) * 6.0)];
}

/* Everything at once, by chance: two people with joints that are no numbers, dual quaternions,
 * cameras amid them, lenses that bend and blur, a shutter that stays open. */
static void compare_everything(uint64_t seed) {
    static const uint32_t counts[6] = {1, 4, 8, 16, 32, 64};
    uint64_t state = seed * 31 + 9;
    struct body body;
    struct gpu_scene *scene;
    struct gpu_lighting lighting;
    struct gpu_actor actors[2];
    struct gpu_view view = {0};
    char why[GPU_WHY_SIZE];
    static float poses[2][2][BODY_JOINTS * 12];
    float eye[3], target[3];
    body_init_person(&body, 1500, seed % 3 == 0);
    if (gpu_scene_new(&body.desc, &scene, why) != GPU_OK)
        abort();
    for (int i = 0; i < 2; i++) {
        for (int later = 0; later < 2; later++) {
            float *pose = poses[i][later];
            body_pose((float)body_random(&state), pose);
            for (int k = 0; k < BODY_JOINTS * 12; k++) {
                pose[k] += k % 12 == 3 ? 0.3f * (float)i : 0.0f;
                if (body_random(&state) < 0.004)
                    pose[k] = odd_number(&state);
            }
        }
        actors[i] = (struct gpu_actor){
            .scene = scene,
            .pose = poses[i][0],
            .pose_next = i == 0 ? poses[i][1] : NULL,
            .skinning = seed % 2 == (uint64_t)i ? GPU_SKIN_DUAL_QUATERNION : GPU_SKIN_LINEAR};
    }
    for (int c = 0; c < 3; c++) {
        eye[c] = (float)(body_random(&state) * 3.0 - 1.5);
        target[c] = (float)(body_random(&state) * 2.0 - 1.0);
    }
    gpu_camera_look_at(&view.camera, eye, target, (float)(0.3 + 2.0 * body_random(&state)), 93, 71);
    for (int i = 0; seed % 4 != 0 && i < 5; i++)
        view.camera.distortion[i] =
            (float)(body_random(&state) - 0.5) * (i == 2 || i == 3 ? 0.05f : 1);
    view.camera.lens_radius = seed % 5 < 2 ? 0.05f : 0.0f;
    view.camera.focus = 1.5f;
    view.camera_next = view.camera;
    view.camera_next.camera_from_world[3] += 0.05f;
    gpu_lighting_default(&lighting);
    const struct gpu_frame frame = {2, actors, &lighting};
    const float shutter = seed % 7 < 3 ? 0.6f : 0.0f;
    const uint32_t samples = counts[seed % 6];
    const char *const *backends = check_backends();
    struct pictures first = pictures_draw_view(backends[0], &frame, &view, samples, shutter);
    for (int i = 1; backends[i] != NULL; i++) {
        struct pictures other = pictures_draw_view(backends[i], &frame, &view, samples, shutter);
        const char *what;
        check_that(pictures_same(&first, &other, &what), "all at once, case %u: other %s by %s",
                   (unsigned)seed, what, backends[i]);
        pictures_free(&other);
    }
    pictures_free(&first);
    gpu_scene_free(scene);
    body_free(&body);
}

/* One by one and in one batch. */
static void compare_batch(void) {
    enum { VIEWS = 3 };
    struct body body;
    struct gpu_scene *scene;
    struct gpu_renderer *renderer;
    char why[GPU_WHY_SIZE];
    float poses[2][BODY_JOINTS * 12];
    const float eye[3] = {1, 1.5f, 2.5f}, target[3] = {0, 1, 0};
    struct gpu_view views[VIEWS] = {0};
    struct gpu_image images[VIEWS] = {{0}};
    body_init_person(&body, 5000, true);
    body_pose(0.1f, poses[0]);
    body_pose(0.6f, poses[1]);
    if (gpu_scene_new(&body.desc, &scene, why) != GPU_OK ||
        gpu_renderer_new("cpu", &renderer, why) != GPU_OK)
        abort();
    for (uint32_t i = 0; i < VIEWS; i++) {
        gpu_camera_look_at(&views[i].camera, eye, target, 0.8f, 90 + 40 * i, 130 - 30 * i);
        views[i].frame = i % 2;
        images[i].rgb = malloc((size_t)3 * views[i].camera.width * views[i].camera.height);
    }
    struct gpu_lighting lighting;
    const struct gpu_actor actors[2] = {{.scene = scene, .pose = poses[0]},
                                        {.scene = scene, .pose = poses[1]}};
    const struct gpu_frame frames[2] = {{1, &actors[0], &lighting}, {1, &actors[1], &lighting}};
    struct gpu_batch batch = {
        .view_count = VIEWS, .frame_count = 2, .views = views, .frames = frames, .samples = 4};
    gpu_lighting_default(&lighting);
    check_that(gpu_render(renderer, &batch, images, NULL, why) == GPU_OK, "batch: %s", why);
    for (uint32_t i = 0; i < VIEWS; i++) {
        const struct gpu_camera *camera = &views[i].camera;
        struct pictures alone = pictures_draw("cpu", scene, camera, poses[views[i].frame], 4);
        size_t bytes = (size_t)3 * camera->width * camera->height;
        check_that(memcmp(alone.rgb, images[i].rgb, bytes) == 0,
                   "view %u differs alone and in a batch", i);
        pictures_free(&alone);
        free(images[i].rgb);
    }
    gpu_renderer_free(renderer);
    gpu_scene_free(scene);
    body_free(&body);
}

void check_widths(void) {
    static const uint32_t counts[6] = {1, 4, 8, 16, 32, 64};
    const float identity[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0}, target[3] = {0, 0, 0};
    compare_batch();
    if (check_backends()[1] == NULL) {
        check_skip("this processor runs one width only");
        return;
    }
    for (int i = 0; i < 6; i++) {
        compare_person(20400, false, counts[i]);
        compare_person(6000, true, counts[i]);
    }
    for (uint64_t seed = 1; seed <= 60; seed++)
        compare_wild(seed);
    for (uint64_t seed = 1; seed <= 60; seed++)
        compare_everything(seed);
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct body body;
        struct gpu_camera camera;
        const float eye[3] = {0.3f * (float)seed, 0.2f, 0.5f};
        body_init_random(&body, 500, seed);
        gpu_camera_look_at(&camera, eye, target, 1.0f, 320, 200);
        compare("random scene", &body.desc, &camera, identity, counts[seed % 6]);
        body_free(&body);
    }
}
