/* input.c - what is refused with a reason, what must be survived, and what light must do. */
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- Scenes that are refused --------------------------------------------------------------------
 */

static void refuse(struct body *body, const char *what) {
    struct gpu_scene *scene = NULL;
    char why[GPU_WHY_SIZE] = "";
    int code = gpu_scene_new(&body->desc, &scene, why);
    check_that(code == GPU_EINVAL && scene == NULL && why[0] != '\0', "%s: %d, \"%s\"", what, code,
               why);
    gpu_scene_free(scene);
    body_free(body);
    body_init_random(body, 5, 1);
}

static void check_scenes(void) {
    struct body body;
    body_init_random(&body, 5, 1);
    body.indices[7] = 15;
    refuse(&body, "an index beyond the vertices");
    body.materials[2] = 3;
    refuse(&body, "a material beyond the table");
    body.joints[4] = 1;
    refuse(&body, "a joint beyond the skeleton");
    body.table[1].texture = 2;
    refuse(&body, "a texture beyond the list");
    body.table[0].base_color[1] = NAN;
    refuse(&body, "a colour that is no number");
    body.textures[1].width = 0;
    refuse(&body, "a texture without width");
    body.textures[0].rgba = NULL;
    refuse(&body, "a texture without texels");
    body.desc.influences = 9;
    refuse(&body, "nine joints a vertex");
    body.desc.joint_count = 0;
    refuse(&body, "no joints");
    body.desc.positions = NULL;
    refuse(&body, "no positions");
    body_free(&body);
}

/* -- Batches that are refused -------------------------------------------------------------------
 */

struct stage {
    struct body body;
    struct gpu_scene *scene;
    struct gpu_renderer *renderer;
    float *pose; /* 1 joint of a random body, BODY_JOINTS of a person */
    struct gpu_view view;
    struct gpu_image image;
    struct gpu_lighting lighting;
    struct gpu_actor actor;
    struct gpu_frame frame;
    struct gpu_batch batch;
};

static void stage_init(struct stage *stage, uint32_t width, uint32_t height) {
    char why[GPU_WHY_SIZE];
    const float eye[3] = {0, 1.2f, 2.5f}, target[3] = {0, 0.9f, 0};
    memset(stage, 0, sizeof *stage);
    body_init_person(&stage->body, 3000, true);
    stage->pose = malloc(BODY_JOINTS * 12 * sizeof(float));
    body_pose(0.3f, stage->pose);
    if (gpu_scene_new(&stage->body.desc, &stage->scene, why) != GPU_OK ||
        gpu_renderer_new("auto", &stage->renderer, why) != GPU_OK)
        abort();
    gpu_camera_look_at(&stage->view.camera, eye, target, 0.8f, width, height);
    stage->image.rgb = malloc((size_t)3 * width * height);
    stage->image.depth = malloc((size_t)width * height * sizeof(float));
    stage->batch = (struct gpu_batch){.view_count = 1,
                                      .frame_count = 1,
                                      .views = &stage->view,
                                      .frames = &stage->frame,
                                      .samples = 4};
    stage->frame = (struct gpu_frame){1, &stage->actor, &stage->lighting};
    gpu_lighting_default(&stage->lighting);
}

static void stage_deinit(struct stage *stage) {
    free(stage->image.depth);
    free(stage->image.rgb);
    free(stage->pose);
    gpu_renderer_free(stage->renderer);
    gpu_scene_free(stage->scene);
    body_free(&stage->body);
}

static int stage_draw(struct stage *stage, char *why) {
    why[0] = '\0';
    stage->actor = (struct gpu_actor){.scene = stage->scene, .pose = stage->pose};
    return gpu_render(stage->renderer, &stage->batch, &stage->image, NULL, why);
}

static void refuse_batch(struct stage *stage, const char *what) {
    char why[GPU_WHY_SIZE];
    int code = stage_draw(stage, why);
    check_that(code == GPU_EINVAL && why[0] != '\0', "%s: %d, \"%s\"", what, code, why);
    stage_deinit(stage);
    stage_init(stage, 40, 30);
}

static void check_batches(void) {
    struct stage stage;
    stage_init(&stage, 40, 30);
    stage.batch.samples = 3;
    refuse_batch(&stage, "3 samples");
    stage.view.frame = 1;
    refuse_batch(&stage, "a frame beyond the list");
    stage.frame.actor_count = GPU_MAX_ACTORS + 1;
    refuse_batch(&stage, "a crowd");
    stage.frame.lighting = NULL;
    refuse_batch(&stage, "no lighting");
    stage.view.camera.width = 8193;
    refuse_batch(&stage, "a picture too wide");
    stage.view.camera.height = 0;
    refuse_batch(&stage, "a picture without height");
    stage.view.camera.fx = 0.0f;
    refuse_batch(&stage, "no focal length");
    stage.view.camera.near_plane = -1.0f;
    refuse_batch(&stage, "a near plane behind the eye");
    stage.view.camera.camera_from_world[5] = NAN;
    refuse_batch(&stage, "a camera that is no number");
    stage.batch.shadow_size = 9;
    refuse_batch(&stage, "a tiny shadow map");
    memset(stage.lighting.sun_direction, 0, 3 * sizeof(float));
    refuse_batch(&stage, "a sun nowhere");
    stage.lighting.exposure = NAN;
    refuse_batch(&stage, "an exposure that is no number");
    stage.lighting.occlusion = 1.5f;
    refuse_batch(&stage, "more occlusion than all");
    stage.lighting.tone = GPU_TONE_COUNT;
    refuse_batch(&stage, "an unknown tone curve");
    stage.lighting.environment_strength = -1.0f;
    refuse_batch(&stage, "an environment that takes light away");
    stage.lighting.light_count = GPU_MAX_LIGHTS + 1;
    refuse_batch(&stage, "too many lights");
    stage.lighting.light_count = 1; /* all 0: a cone of nothing */
    refuse_batch(&stage, "a light without a cone");
    stage.lighting.light_count = 1;
    stage.lighting.lights[0] = (struct gpu_light){.cone = 1.0f};
    refuse_batch(&stage, "a spot light that points nowhere");
    stage.lighting.light_count = 1;
    stage.lighting.lights[0] = (struct gpu_light){.cone = 3.2f, .position = {NAN}};
    refuse_batch(&stage, "a light nowhere");
    stage.view.sensor.read_noise = NAN;
    refuse_batch(&stage, "noise that is no number");
    const struct gpu_texture nothing = {4, 4, NULL, false};
    stage.view.background = &nothing;
    refuse_batch(&stage, "a background without a picture");
    stage_deinit(&stage);
}

/* Of several views and frames the one that is refused is named. */
static void check_names(void) {
    struct stage stage;
    char why[GPU_WHY_SIZE];
    stage_init(&stage, 40, 30);
    stage.actor = (struct gpu_actor){.scene = stage.scene, .pose = stage.pose};
    struct gpu_lighting dark = stage.lighting;
    struct gpu_view views[2] = {stage.view, stage.view};
    struct gpu_frame frames[2] = {stage.frame, stage.frame};
    const struct gpu_image images[2] = {{.rgb = NULL}, {.rgb = NULL}};
    struct gpu_batch batch = {
        .view_count = 2, .frame_count = 2, .views = views, .frames = frames, .samples = 4};
    dark.exposure = NAN;
    frames[1].lighting = &dark;
    check_that(gpu_render(stage.renderer, &batch, images, NULL, why) == GPU_EINVAL &&
                   strncmp(why, "frame 1: exposure", 17) == 0,
               "light of the second frame: %s", why);
    views[1].camera_next = views[1].camera;
    views[1].camera_next.fx = 0.0f;
    check_that(gpu_render(stage.renderer, &batch, images, NULL, why) == GPU_EINVAL &&
                   strncmp(why, "view 1, one frame later: focal", 30) == 0,
               "the second view, later: %s", why);
    views[1].camera.near_plane = 0.0f;
    check_that(gpu_render(stage.renderer, &batch, images, NULL, why) == GPU_EINVAL &&
                   strncmp(why, "view 1: near plane", 18) == 0,
               "the second view: %s", why);
    stage_deinit(&stage);
}

/* -- What must be survived ----------------------------------------------------------------------
 */

static void check_odd_poses(void) {
    static const float values[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e18f, 1e7f, 0.0f};
    struct stage stage;
    stage_init(&stage, 64, 64);
    for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
        for (int all = 0; all < 2; all++) {
            char why[GPU_WHY_SIZE];
            struct gpu_label label;
            struct gpu_point point;
            struct gpu_anchor anchor = body_anchor(6);
            float box[6];
            body_pose(0.3f, stage.pose);
            for (int i = 0; i < BODY_JOINTS * 12; i++)
                if (all || i / 12 == 6)
                    stage.pose[i] = values[v];
            check_that(stage_draw(&stage, why) == GPU_OK, "a pose of %g: %s", (double)values[v],
                       why);
            gpu_actor_box(&stage.actor, box);
            gpu_label(&stage.frame, 0, &stage.view.camera, &stage.image, &anchor, 1, &point, &label,
                      why);
            check_that(isfinite(box[0]) && isfinite(box[5]) && isfinite(label.full_box[0]),
                       "a pose of %g makes an endless box", (double)values[v]);
            check_that(all || label.area > 100, "a pose of %g in one joint loses the body",
                       (double)values[v]);
        }
    }
    stage_deinit(&stage);
}

static void check_sizes(void) {
    static const uint32_t sizes[][2] = {{1, 1}, {2, 1}, {3, 7}, {8192, 3}, {2, 8192}, {4096, 2048}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct stage stage;
        char why[GPU_WHY_SIZE];
        stage_init(&stage, sizes[i][0], sizes[i][1]);
        stage.batch.samples = i % 2 == 0 ? 16 : 8;
        check_that(stage_draw(&stage, why) == GPU_OK, "%u x %u: %s", sizes[i][0], sizes[i][1], why);
        stage_deinit(&stage);
    }
}

static void check_empty(void) {
    struct stage stage;
    char why[GPU_WHY_SIZE];
    stage_init(&stage, 50, 40);
    gpu_scene_free(stage.scene);
    stage.body.desc.triangle_count = 0;
    check_that(gpu_scene_new(&stage.body.desc, &stage.scene, why) == GPU_OK, "no triangles: %s",
               why);
    check_that(stage_draw(&stage, why) == GPU_OK && isinf(stage.image.depth[20 * 50 + 25]),
               "no triangles: %s", why);
    gpu_scene_free(stage.scene);
    stage.body.desc.vertex_count = 0;
    check_that(gpu_scene_new(&stage.body.desc, &stage.scene, why) == GPU_OK, "no vertices: %s",
               why);
    check_that(stage_draw(&stage, why) == GPU_OK, "no vertices: %s", why);
    stage.batch.view_count = 0;
    check_that(stage_draw(&stage, why) == GPU_OK, "no views: %s", why);
    stage_deinit(&stage);
}

static void check_renderers(void) {
    struct gpu_renderer *renderer;
    char why[GPU_WHY_SIZE] = "";
    setenv("STANCE_CUDA_PLUGIN", "/nowhere/libstance_cuda.so", 1);
    check_that(gpu_renderer_new("cuda", &renderer, why) == GPU_EDEVICE && renderer == NULL &&
                   strstr(why, "/nowhere/libstance_cuda.so") != NULL,
               "cuda without a plug-in: %s", why);
    check_that(gpu_renderer_new("vulkan", &renderer, why) == GPU_EINVAL, "an unknown backend");
    check_that(gpu_renderer_new("cpu:avx4096", &renderer, why) == GPU_EDEVICE, "an unknown width");
    check_that(gpu_renderer_new("auto", &renderer, why) == GPU_OK &&
                   strncmp(gpu_renderer_backend(renderer), "cpu (", 5) == 0 &&
                   gpu_renderer_fallback(renderer) == NULL,
               "auto: %s", why);
    unsetenv("STANCE_CUDA_PLUGIN");
    gpu_renderer_free(renderer);
    gpu_renderer_free(NULL);
    gpu_scene_free(NULL);
}

void check_input(void) {
    check_scenes();
    check_batches();
    check_names();
    check_odd_poses();
    check_sizes();
    check_empty();
    check_renderers();
}

/* -- Light --------------------------------------------------------------------------------------
 */

static double brightness(const struct stage *stage, uint32_t x0, uint32_t y0, uint32_t size) {
    double sum = 0.0;
    for (uint32_t y = y0; y < y0 + size; y++)
        for (uint32_t x = x0; x < x0 + size; x++)
            sum += stage->image.rgb[3 * (y * stage->view.camera.width + x) + 1];
    return sum / (size * size);
}

void check_light(void) {
    struct stage stage;
    char why[GPU_WHY_SIZE];
    const float eye[3] = {0, 4.0f, 0.01f}, target[3] = {0, 0, 0};
    stage_init(&stage, 200, 200);
    gpu_camera_look_at(&stage.view.camera, eye, target, 0.9f, 200, 200);
    stage.lighting.sun_direction[0] = 1.0f;
    stage.lighting.sun_direction[1] = 1.0f;
    stage.lighting.sun_direction[2] = 0.0f;
    check_that(stage_draw(&stage, why) == GPU_OK, "from above: %s", why);
    /* The sun stands to the right (+x), so the shadow lies to the left of the body. */
    double shade = brightness(&stage, 42, 94, 12), lit = brightness(&stage, 146, 94, 12);
    check_that(shade < lit * 0.85 && shade > lit * 0.3, "shadow %g, lit ground %g", shade, lit);
    double corner = brightness(&stage, 0, 0, 8), other = brightness(&stage, 192, 0, 8);
    check_that(fabs(corner - other) < 6.0, "unlike corners: %g, %g", corner, other);

    stage.lighting.exposure = 0.0f;
    check_that(stage_draw(&stage, why) == GPU_OK && brightness(&stage, 0, 0, 200) == 0.0,
               "no exposure is not black");
    stage.lighting.exposure = 1e6f;
    check_that(stage_draw(&stage, why) == GPU_OK && brightness(&stage, 0, 0, 200) > 250.0,
               "endless exposure is not white");
    stage_deinit(&stage);
}
