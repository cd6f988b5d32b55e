/* looks.c - how pictures look: maps, lamps, light from all around, shadows of several, backgrounds,
 * and that every width writes the same bytes of it all. */
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A square of 2 m before a camera that sees just it, white, in even light, shown as it is. */
struct board {
    float positions[12], normals[12], uvs[8], weights[4];
    uint16_t joints[4], materials[2];
    uint32_t indices[6];
    uint8_t texels[4][16];
    struct gpu_texture textures[4];
    struct gpu_material material;
    struct gpu_scene_desc desc;
    struct gpu_lighting lighting;
    struct gpu_view view;
};

enum { SIDE = 64 };

static const float identity[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};

static void board_init(struct board *board) {
    static const float corners[4][2] = {{-1, -1}, {1, -1}, {1, 1}, {-1, 1}};
    static const uint32_t indices[6] = {0, 1, 2, 0, 2, 3};
    const float eye[3] = {0, 0, 2}, target[3] = {0};
    memset(board, 0, sizeof *board);
    for (int i = 0; i < 4; i++) {
        board->positions[3 * i] = corners[i][0];
        board->positions[3 * i + 1] = corners[i][1];
        board->normals[3 * i + 2] = 1.0f;
        board->uvs[2 * i] = 0.5f + 0.5f * corners[i][0];
        board->uvs[2 * i + 1] = 0.5f - 0.5f * corners[i][1];
        board->weights[i] = 1.0f;
        memset(board->texels[i], 255, sizeof board->texels[i]);
        board->textures[i] = (struct gpu_texture){2, 2, board->texels[i], false};
    }
    memcpy(board->indices, indices, sizeof indices);
    gpu_material_default(&board->material);
    board->desc = (struct gpu_scene_desc){.vertex_count = 4,
                                          .triangle_count = 2,
                                          .joint_count = 1,
                                          .material_count = 1,
                                          .texture_count = 4,
                                          .influences = 1,
                                          .positions = board->positions,
                                          .normals = board->normals,
                                          .uvs = board->uvs,
                                          .joints = board->joints,
                                          .weights = board->weights,
                                          .indices = board->indices,
                                          .materials = board->materials,
                                          .material_table = &board->material,
                                          .textures = board->textures};
    board->lighting = (struct gpu_lighting){.sun_direction = {0, 0, 1},
                                            .sky_color = {0.5f, 0.5f, 0.5f},
                                            .bounce_color = {0.5f, 0.5f, 0.5f},
                                            .exposure = 1.0f,
                                            .environment_strength = 1.0f,
                                            .tone = GPU_TONE_NONE};
    gpu_camera_look_at(&board->view.camera, eye, target, 0.9f, SIDE, SIDE);
}

static void texels_set(struct board *board, int texture, uint8_t r, uint8_t g, uint8_t b) {
    for (int i = 0; i < 4; i++) {
        uint8_t *texel = board->texels[texture] + 4 * i;
        texel[0] = r;
        texel[1] = g;
        texel[2] = b;
    }
}

static void draw(const char *backend, const struct board *board, uint8_t *rgb) {
    struct gpu_scene *scene;
    struct gpu_renderer *renderer;
    char why[GPU_WHY_SIZE];
    struct gpu_image image = {.rgb = rgb};
    if (gpu_scene_new(&board->desc, &scene, why) != GPU_OK ||
        gpu_renderer_new(backend, &renderer, why) != GPU_OK)
        abort();
    struct gpu_actor actor = {.scene = scene, .pose = identity};
    struct gpu_frame frame = {1, &actor, &board->lighting};
    struct gpu_batch batch = {
        .view_count = 1, .frame_count = 1, .views = &board->view, .frames = &frame, .samples = 4};
    check_that(gpu_render(renderer, &batch, &image, NULL, why) == GPU_OK, "a board: %s", why);
    gpu_renderer_free(renderer);
    gpu_scene_free(scene);
}

/* Linear light of one channel at a place, 0..1. */
static double light_at(const uint8_t *rgb, int x, int y, int c) {
    double s = rgb[3 * (y * SIDE + x) + c] / 255.0;
    return s <= 0.04045 ? s / 12.92 : pow((s + 0.055) / 1.055, 2.4);
}

static double middle(const struct board *board, int c) {
    static uint8_t rgb[SIDE * SIDE * 3];
    draw("cpu", board, rgb);
    return light_at(rgb, SIDE / 2, SIDE / 2, c);
}

static void expect(double found, double wanted, const char *what) {
    check_that(fabs(found - wanted) < 0.012 * wanted + 0.003, "%s: %.4f instead of %.4f", what,
               found, wanted);
}

/* -- Furnace ------------------------------------------------------------------------------------
 */

static void check_furnace(void) {
    static const float roughs[] = {0.0f, 0.3f, 0.7f, 1.0f};
    float half[8 * 4 * 3];
    char why[GPU_WHY_SIZE];
    struct board board;
    struct gpu_environment *environment;
    board_init(&board);
    for (int i = 0; i < 96; i++)
        half[i] = 0.5f;
    if (gpu_environment_new(half, 8, 4, &environment, why) != GPU_OK)
        abort();
    for (int i = 0; i < 16; i++) {
        board.lighting.environment = i < 8 ? environment : NULL;
        board.material.roughness = roughs[i % 4];
        board.material.metallic = i / 4 % 2 == 0 ? 0.0f : 1.0f;
        double back = middle(&board, 1);
        check_that(fabs(back - 0.5) < 0.01, "white in a world of 0.5 is %g (%s, roughness %g)",
                   back, board.material.metallic > 0.0f ? "metal" : "paint",
                   (double)board.material.roughness);
    }
    gpu_environment_free(environment);
}

/* -- Maps ---------------------------------------------------------------------------------------
 */

static void check_maps(void) {
    struct board board;
    board_init(&board);
    board.material.base_color[1] = 0.5f;
    texels_set(&board, 0, 188, 188, 188);
    board.material.texture = 0;
    double plain = middle(&board, 0); /* of colour 0.5, and 0.04 of gloss */
    board.material.texture = -1;
    board.material.base_color[0] = 0.503f;
    expect(plain, middle(&board, 0), "a colour map of 188 is a colour of 0.503");

    board_init(&board);
    board.material.emissive[2] = 0.4f;
    board.material.emissive_texture = 1;
    texels_set(&board, 1, 255, 255, 188);
    board.lighting.sky_color[2] = board.lighting.bounce_color[2] = 0.0f;
    expect(middle(&board, 2), 0.4 * 0.503, "what glows in the dark");

    board_init(&board);
    board.material.metal_rough_texture = 2;
    texels_set(&board, 2, 102, 255, 0);
    board.material.metallic = 1.0f; /* blue makes it 0 */
    expect(middle(&board, 0), 0.5 * 0.4, "occlusion of 0.4 of a rough surface");
    board.material.occlusion_strength = 0.5f;
    expect(middle(&board, 0), 0.5 * 0.7, "half of the occlusion");
    texels_set(&board, 2, 255, 255, 255);
    board.material.base_color[0] = 0.2f;
    double metal = middle(&board, 0);
    texels_set(&board, 2, 255, 255, 0);
    check_that(metal < middle(&board, 0) && metal > 0.04 && metal < 0.1,
               "rough metal of 0.2 sends %g of 0.5 back", metal);
}

/* A normal that leans up by 53 degrees is lit by a sun from above more than one that leans down. */
static void check_normal_map(void) {
    struct board board;
    board_init(&board);
    memset(board.lighting.sky_color, 0, sizeof board.lighting.sky_color);
    memset(board.lighting.bounce_color, 0, sizeof board.lighting.bounce_color);
    for (int c = 0; c < 3; c++)
        board.lighting.sun_color[c] = 0.8f;
    board.lighting.sun_direction[0] = 0.0f;
    board.lighting.sun_direction[1] = 0.6f;
    board.lighting.sun_direction[2] = 0.8f;
    board.material.normal_texture = 3;
    struct leaning {
        uint8_t red, green;
        double lit;
        const char *what;
    } cases[] = {{128, 128, 0.8, "straight"},
                 {128, 204, 1.0, "up"},
                 {128, 51, 0.28, "down"},
                 {204, 128, 0.64, "right"},
                 {51, 128, 0.64, "left"}};
    for (int i = 0; i < 5; i++) {
        texels_set(&board, 3, cases[i].red, cases[i].green, i == 0 ? 255 : 230);
        double found = middle(&board, 0) / 0.8;
        check_that(fabs(found - cases[i].lit) < 0.06, "a normal that leans %s: %.3f, not %.3f",
                   cases[i].what, found, cases[i].lit);
    }
    texels_set(&board, 3, 128, 204, 230);
    board.material.normal_scale = 0.0f;
    check_that(fabs(middle(&board, 0) / 0.8 - 0.8) < 0.03, "a map of no strength bends normals");
}

/* Fine checks from afar and at a slant are their mean. */
static void check_mean(void) {
    enum { FINE = 512 };
    static uint8_t checks[FINE * FINE * 4];
    struct board board;
    for (int i = 0; i < FINE * FINE; i++)
        memset(checks + 4 * i, (i + i / FINE) % 2 ? 255 : 0, 3);
    for (int slant = 0; slant < 3; slant++) {
        const float eye[3] = {3.0f * (float)slant, 0, 2}, target[3] = {0};
        board_init(&board);
        board.textures[0] = (struct gpu_texture){FINE, FINE, checks, false};
        board.material.texture = 0;
        gpu_camera_look_at(&board.view.camera, eye, target, 0.9f, SIDE, SIDE);
        double fine = middle(&board, 0);
        board.material.texture = -1;
        board.material.base_color[0] = 0.5f;
        expect(fine, middle(&board, 0), "fine checks");
    }
}

/* Texture coordinates so far off that a float's steps are wider than a texel: what is solid near by
 * must not be taken for a hole. */
static void check_far_coordinates(void) {
    enum { WIDE = 4000, SOLID = 1630 }; /* texels before that one */
    static uint8_t texels[4 * WIDE], rgb[3 * SIDE * SIDE];
    struct board board;
    uint32_t shown = 0;
    board_init(&board);
    memset(texels, 255, sizeof texels);
    for (int i = SOLID; i < WIDE; i++)
        texels[4 * i + 3] = 0;
    board.textures[0] = (struct gpu_texture){WIDE, 1, texels, false};
    board.material.texture = 0;
    board.material.alpha_cutoff = 0.5f;
    for (int i = 0; i < 4; i++)
        board.uvs[2 * i] = 60000.40625f; /* texel 1625, and nearest to 1632 as a float of texels */
    draw("cpu", &board, rgb);
    for (size_t i = 0; i < sizeof rgb; i++)
        shown += rgb[i] > 0 ? 1 : 0;
    check_that(shown > 0, "a solid texture read from far off is taken for a hole");
}

/* -- Lamps --------------------------------------------------------------------------------------
 */

static void check_lamps(void) {
    static uint8_t rgb[SIDE * SIDE * 3];
    struct board board;
    board_init(&board);
    memset(board.lighting.sky_color, 0, sizeof board.lighting.sky_color);
    memset(board.lighting.bounce_color, 0, sizeof board.lighting.bounce_color);
    board.lighting.light_count = 1;
    struct gpu_light *lamp = &board.lighting.lights[0];
    *lamp = (struct gpu_light){.position = {0, 0, 1},
                               .direction = {0, 0, -1},
                               .color = {0.5f, 0.5f, 0.5f},
                               .cone = 3.1416f};
    board.view.camera.camera_from_world[11] += 8.0f; /* from afar, lest the lamp is in the gloss */
    double near = middle(&board, 0);
    check_that(near > 0.4 && near < 0.6, "a lamp of 0.5 at a metre makes %g", near);
    lamp->position[2] = 2.0f;
    double far = middle(&board, 0);
    check_that(fabs(near / far - 4.0) < 0.25, "twice as far a lamp is %g times darker", near / far);

    board_init(&board);
    memset(board.lighting.sky_color, 0, sizeof board.lighting.sky_color);
    memset(board.lighting.bounce_color, 0, sizeof board.lighting.bounce_color);
    board.lighting.light_count = 1;
    *lamp = (struct gpu_light){.position = {0, 0, 1},
                               .direction = {0, 0, -5},
                               .color = {0.5f, 0.5f, 0.5f},
                               .cone = 0.3f,
                               .blend = 0.2f};
    draw("cpu", &board, rgb);
    check_that(light_at(rgb, SIDE / 2, SIDE / 2, 0) > 0.3 && light_at(rgb, 6, SIDE / 2, 0) < 0.001,
               "a spot's cone: %g within, %g outside", light_at(rgb, SIDE / 2, SIDE / 2, 0),
               light_at(rgb, 6, SIDE / 2, 0));
    lamp->radius = 3.0f;
    check_that(middle(&board, 0) < 0.1, "a lamp of 3 m is as bright close by as a point");
}

/* -- Backgrounds --------------------------------------------------------------------------------
 */

static void check_backgrounds(void) {
    static uint8_t rgb[SIDE * SIDE * 3], wide[256 * 64 * 4];
    struct board board;
    struct gpu_texture picture = {256, 64, wide, false};
    board_init(&board);
    board.view.camera.camera_from_world[11] += 100.0f;
    board.view.background = &picture;
    for (int i = 0; i < 256 * 64; i++) { /* the middle quarter is grey, the rest is cropped */
        memset(wide + 4 * i, i % 256 >= 96 && i % 256 < 160 ? 100 : 255, 3);
        wide[4 * i] = i % 256 < 128 ? 50 : 100;
    }
    draw("cpu", &board, rgb);
    bool grey = true;
    for (int i = 0; i < SIDE * SIDE; i++)
        grey &= i % SIDE >= SIDE / 2 - 2 ? true : rgb[3 * i] == 50 && rgb[3 * i + 1] == 100;
    check_that(grey && rgb[0] == 50 && rgb[3 * (SIDE - 1)] == 100, "a background is off: %d %d %d",
               rgb[0], rgb[1], rgb[3 * (SIDE - 1)]);
    picture.height = 16; /* 4 rows become one pixel's quarter: enlarged, cropped at the sides */
    draw("cpu", &board, rgb);
    check_that(rgb[1] == 100, "an enlarged background is off: %d", rgb[1]);
}

/* -- Occlusion ----------------------------------------------------------------------------------
 */

/* The mean brightness of a body that only the sky lights, and of its brightest tenth. */
static void measure_body(const struct gpu_scene *scene, float occlusion, double *mean,
                         double *brightest) {
    const float eye[3] = {0, 1.2f, 2.6f}, target[3] = {0, 0.9f, 0};
    float pose[BODY_JOINTS * 12];
    struct gpu_camera camera;
    struct gpu_lighting lighting = {.sun_direction = {0, 1, 0},
                                    .sky_color = {1, 1, 1},
                                    .bounce_color = {1, 1, 1},
                                    .exposure = 1.0f,
                                    .occlusion = occlusion,
                                    .tone = GPU_TONE_NONE};
    struct gpu_actor actor = {.scene = scene, .pose = pose};
    struct gpu_frame frame = {1, &actor, &lighting};
    uint32_t counts[256] = {0}, all = 0, seen = 0;
    body_pose(0.25f, pose);
    gpu_camera_look_at(&camera, eye, target, 0.8f, 200, 200);
    struct pictures pictures = pictures_draw_frame("cpu", &frame, &camera, 4);
    *mean = *brightest = 0.0;
    for (int i = 0; i < 200 * 200; i++) {
        if (pictures.coverage[i] < 1.0f)
            continue;
        counts[pictures.rgb[3 * i]]++;
        all++;
        *mean += pictures.rgb[3 * i];
    }
    *mean /= all;
    for (int value = 255; value >= 0 && seen < all / 10; value--) {
        seen += counts[value];
        *brightest = value;
    }
    pictures_free(&pictures);
}

static void check_occlusion(void) {
    struct board board;
    board_init(&board);
    double free = middle(&board, 0);
    board.lighting.occlusion = 1.0f;
    expect(middle(&board, 0), free, "a board alone hides sky from itself");

    struct body body;
    struct gpu_scene *scene;
    char why[GPU_WHY_SIZE];
    double mean[2], brightest[2];
    body_init_person(&body, 8000, false);
    for (int m = 0; m < 4; m++) {
        gpu_material_default(&body.table[m]);
        body.table[m].base_color[0] = 0.5f;
    }
    if (gpu_scene_new(&body.desc, &scene, why) != GPU_OK)
        abort();
    for (int i = 0; i < 2; i++)
        measure_body(scene, (float)i, &mean[i], &brightest[i]);
    check_that(mean[1] < 0.95 * mean[0] && mean[1] > 0.6 * mean[0] &&
                   brightest[1] > 0.97 * brightest[0],
               "a body's hidden sky takes it from %.1f to %.1f, its open parts from %.1f to %.1f",
               mean[0], mean[1], brightest[0], brightest[1]);
    gpu_scene_free(scene);
    body_free(&body);
}

/* -- Widths -------------------------------------------------------------------------------------
 */

static void random_texture(struct gpu_texture *texture, uint8_t *rgba, uint64_t *state) {
    *texture = (struct gpu_texture){1 + (uint32_t)(body_random(state) * 40.0),
                                    1 + (uint32_t)(body_random(state) * 40.0), rgba,
                                    body_random(state) < 0.5};
    for (uint32_t i = 0; i < texture->width * texture->height * 4; i++)
        rgba[i] = (uint8_t)(body_random(state) * 256.0);
}

/* Maps and numbers by chance; what is no number, or far off, among the texture coordinates. */
static void dress(struct body *body, uint64_t seed, uint64_t *state) {
    for (int m = 0; m < 4; m++) {
        struct gpu_material *material = &body->table[m];
        material->texture = (int32_t)(body_random(state) * 3.0) - 1;
        material->metal_rough_texture = (int32_t)(body_random(state) * 4.0) - 1;
        material->normal_texture = (int32_t)(body_random(state) * 5.0) - 1;
        material->emissive_texture = (int32_t)(body_random(state) * 6.0) - 1;
        material->metallic = (float)body_random(state);
        material->roughness = (float)body_random(state);
        material->emissive[1] = 0.3f;
    }
    for (uint32_t i = 0; i < body->desc.vertex_count * 2; i += 97)
        body->uvs[i] = seed % 2 ? NAN : 1e20f;
}

/* Light of all kinds by chance. */
static void light_up(struct gpu_lighting *lighting, const struct gpu_environment *environment,
                     uint64_t seed, uint64_t *state) {
    gpu_lighting_default(lighting);
    lighting->environment = seed % 3 ? environment : NULL;
    lighting->environment_turn = (float)seed;
    lighting->environment_visible = seed % 2 == 0;
    lighting->tone = (enum gpu_tone)(seed % 3);
    lighting->light_count = (uint32_t)seed;
    for (uint32_t i = 0; i < lighting->light_count; i++)
        lighting->lights[i] =
            (struct gpu_light){.position = {(float)body_random(state) * 4.0f - 2.0f, 1.5f, 1.0f},
                               .direction = {0, -0.2f, -1},
                               .color = {0.5f, (float)body_random(state), 0.2f},
                               .radius = (float)body_random(state),
                               .cone = 0.2f + 3.0f * (float)body_random(state) * (float)(i % 2),
                               .blend = (float)body_random(state)};
}

/* All features at once, on a body in random light; what is no number among the texture coordinates,
 * too. */
static void compare_widths(uint64_t seed) {
    static uint8_t texels[5][40 * 40 * 4], first[96 * 80 * 3], other[96 * 80 * 3];
    uint64_t state = seed * 31 + 7;
    float rgb[16 * 8 * 3], pose[BODY_JOINTS * 12];
    char why[GPU_WHY_SIZE];
    struct gpu_texture textures[5];
    struct gpu_environment *environment;
    struct gpu_lighting lighting;
    struct gpu_view view = {.sensor = {0.02f, 0.01f, seed}};
    struct body body;
    const float eye[3] = {(float)seed - 4.0f, 1.3f, 1.8f}, target[3] = {0, 1, 0};
    body_init_person(&body, 1500, true);
    body_pose((float)body_random(&state), pose);
    for (int i = 0; i < 5; i++)
        random_texture(&textures[i], texels[i], &state);
    body.desc.textures = textures;
    body.desc.texture_count = 5;
    dress(&body, seed, &state);
    for (int i = 0; i < 16 * 8 * 3; i++)
        rgb[i] = (float)(body_random(&state) * 2.0);
    if (gpu_environment_new(rgb, 16, 8, &environment, why) != GPU_OK)
        abort();
    light_up(&lighting, environment, seed, &state);
    view.background = seed % 5 == 0 ? &textures[0] : NULL;
    gpu_camera_look_at(&view.camera, eye, target, 0.8f, 96, 80);
    struct gpu_scene *scene;
    if (gpu_scene_new(&body.desc, &scene, why) != GPU_OK)
        abort();
    for (int i = 0; check_backends()[i] != NULL; i++) {
        struct gpu_renderer *renderer;
        struct gpu_image image = {.rgb = i == 0 ? first : other};
        struct gpu_actor actor = {.scene = scene, .pose = pose};
        struct gpu_frame frame = {1, &actor, &lighting};
        struct gpu_batch batch = {
            .view_count = 1, .frame_count = 1, .views = &view, .frames = &frame, .samples = 4};
        if (gpu_renderer_new(check_backends()[i], &renderer, why) != GPU_OK)
            abort();
        check_that(gpu_render(renderer, &batch, &image, NULL, why) == GPU_OK, "%s", why);
        check_that(i == 0 || memcmp(first, other, sizeof first) == 0,
                   "look %d: %s writes other colours than %s", (int)seed, check_backends()[i],
                   check_backends()[0]);
        gpu_renderer_free(renderer);
    }
    gpu_scene_free(scene);
    gpu_environment_free(environment);
    body_free(&body);
}

void check_looks(void) {
    check_furnace();
    check_maps();
    check_normal_map();
    check_mean();
    check_far_coordinates();
    check_lamps();
    check_backgrounds();
    check_occlusion();
    for (uint64_t seed = 0; seed < 9; seed++)
        compare_widths(seed);
}
