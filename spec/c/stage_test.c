/* Stages: clocks of actors, places, boxes over all frames, views of several people. */
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "media/look.h"
#include "media/mannequin.h"
#include "media/stage.h"
#include "media/views.h"

static struct scene *body(void) {
    static struct scene *scene;
    const struct mannequin_options options = {.detail = 1};
    uint8_t *glb = NULL;
    size_t size;
    if (scene == NULL && (mannequin_write_glb(&options, &glb, &size, NULL) != 0 ||
                          scene_open_bytes(glb, size, "mannequin", NULL, &scene, NULL) != 0))
        abort();
    free(glb);
    return scene;
}

static struct stage_actor actor_of(const char *clip) {
    return (struct stage_actor){.scene = body(),
                                .clip = clip != NULL ? scene_find_clip(body(), clip) : SCENE_REST,
                                .speed = 1};
}

static struct stage *stage_with(const struct stage_actor *actors, uint32_t count) {
    struct stage *stage = NULL;
    struct err err = {0};
    CHECK(stage_new(actors, count, NULL, 0, &stage, &err) == 0);
    return stage;
}

static bool near(double a, double b, double tolerance) {
    return fabs(a - b) <= tolerance;
}

static void clocks(void) {
    struct stage_actor actors[3] = {actor_of("walk"), actor_of("walk"), actor_of(NULL)};
    double seconds = scene_clip_seconds(body(), (uint32_t)actors[0].clip);
    actors[1].loop = true;
    actors[1].speed = -0.5;
    actors[1].start = 0.1;
    struct stage *stage = stage_with(actors, 3);
    CHECK(near(stage_seconds(stage), seconds * 2, 1e-9)); /* a whole round at half speed */
    CHECK(near(stage_rate(stage), scene_clip_rate(body(), (uint32_t)actors[0].clip), 1e-9));
    CHECK(stage_actor_time(stage, 0, -1) == 0);
    CHECK(near(stage_actor_time(stage, 0, 0.25), 0.25, 1e-12));
    CHECK(stage_actor_time(stage, 0, 1e6) == seconds);
    CHECK(near(stage_actor_time(stage, 1, 0.1), 0.05, 1e-12));
    CHECK(near(stage_actor_time(stage, 1, 0.4), seconds - 0.1, 1e-9));
    CHECK(stage_actor_time(stage, 2, 3) == 0);
    CHECK_TEXT(stage_actor_clip(stage, 0), "walk");
    CHECK(stage_actor_clip(stage, 2) == NULL);
    CHECK_TEXT(stage_actor(stage, 0)->person, "mannequin");
    stage_release(stage);
}

/* A person that was turned to its left and moved is where it ought to be, limb by limb. */
static void places(void) {
    struct stage_actor actors[2] = {actor_of("walk"), actor_of("walk")};
    actors[1].yaw = 1.57079632679f;
    actors[1].position[0] = 2;
    actors[1].position[1] = 0.5f;
    actors[1].position[2] = -1;
    struct stage *stage = stage_with(actors, 2);
    uint32_t joints = scene_joint_count(body());
    float *still = malloc(joints * 12 * sizeof(float)),
          *moved = malloc(joints * 12 * sizeof(float));
    stage_pose(stage, 0, 0.3, still);
    stage_pose(stage, 1, 0.3, moved);
    for (uint32_t j = 0; j < joints; j++) {
        const float *a = still + j * 12, *b = moved + j * 12;
        CHECK(near(b[3], 2 + a[11], 1e-5)); /* its front is +x now */
        CHECK(near(b[7], 0.5 + a[7], 1e-5));
        CHECK(near(b[11], -1 - a[3], 1e-5));
    }
    float one[6], other[6], all[6];
    CHECK(stage_box_at(stage, 0, 0.3, one, NULL) == 0);
    CHECK(stage_box_at(stage, 1, 0.3, other, NULL) == 0);
    CHECK(stage_box_at(stage, -1, 0.3, all, NULL) == 0);
    CHECK(near(other[1], one[1] + 0.5, 1e-4) && near(other[3] - other[0], one[5] - one[2], 1e-4));
    for (int k = 0; k < 3; k++) {
        CHECK(all[k] == fminf(one[k], other[k]));
        CHECK(all[k + 3] == fmaxf(one[k + 3], other[k + 3]));
    }
    free(still);
    free(moved);
    stage_release(stage);
}

static void boxes_of_all_frames(void) {
    struct stage_actor actor = actor_of("walk");
    struct stage *stage = stage_with(&actor, 1);
    float whole[6], clip[6], now[6], padded[6];
    CHECK(stage_box(stage, -1, 1, whole, NULL) == 0);
    CHECK(scene_box(body(), actor.clip, clip, NULL) == 0);
    for (int k = 0; k < 6; k++)
        CHECK(near(whole[k], clip[k], 1e-3));
    for (int i = 0; i <= 10; i++) {
        CHECK(stage_box_at(stage, 0, stage_seconds(stage) * i / 10, now, NULL) == 0);
        for (int k = 0; k < 3; k++)
            CHECK(now[k] >= whole[k] - 0.01f && now[k + 3] <= whole[k + 3] + 0.01f);
    }
    CHECK(stage_box(stage, -1, 1.2, padded, NULL) == 0);
    CHECK(near(padded[4] - padded[1], (whole[4] - whole[1]) * 1.2, 1e-4));
    stage_release(stage);
}

static uint32_t count_pixels(const uint8_t *person, size_t pixels, uint8_t id) {
    uint32_t count = 0;
    for (size_t i = 0; i < pixels; i++)
        count += person[i] == id;
    return count;
}

/* Two people beside each other, a third behind the first. */
static void several_in_a_picture(void) {
    struct stage_actor actors[3] = {actor_of(NULL), actor_of("walk"), actor_of(NULL)};
    actors[0].position[0] = -0.8f;
    actors[1].position[0] = 0.8f;
    actors[2].position[0] = -0.8f;
    actors[2].position[2] = -0.6f;
    snprintf(actors[1].person, sizeof actors[1].person, "Ada");
    struct stage *stage = stage_with(actors, 3);
    struct ring_options ring = {.views = 1,
                                .distance = 3.5f,
                                .height = 1.6f,
                                .fov = 50,
                                .width = 160,
                                .height_pixels = 128};
    struct view_spec spec;
    struct views *views;
    struct views_timings spent = {0};
    const struct views_options options = {
        .samples = 1, .maps = 1u << VIEW_MAP_PART | 1u << VIEW_MAP_TRIANGLE, .backend = "cpu"};
    struct err err = {0};
    CHECK(ring_place(stage, &ring, &spec, &err) == 0);
    CHECK(views_new(stage, &spec, 1, &options, &views, &err) == 0);
    CHECK(views_draw(views, 0, &spent, &err) == 0);
    const uint8_t *person = views_map(views, 0, VIEW_MAP_PERSON);
    const uint8_t *part = views_map(views, 0, VIEW_MAP_PART);
    const struct view_result *result = views_result(views, 0);
    uint32_t seen[3];
    for (uint32_t i = 0; i < 3; i++) {
        seen[i] = count_pixels(person, 160 * 128, (uint8_t)(i + 1));
        CHECK(result->people[i].label.area == seen[i]);
    }
    CHECK(seen[0] > 400 && seen[1] > 400);
    CHECK(seen[2] < seen[0] / 2); /* hides behind the first */
    for (size_t i = 0; i < 160 * 128; i++)
        CHECK(person[i] != 0 || part[i] == 0);
    CHECK(views_map(views, 0, VIEW_MAP_COVERAGE) == NULL); /* was not asked for */
    CHECK(result->people[0].points[0].pixel[0] < result->people[1].points[0].pixel[0]);
    CHECK(result->people[2].points[24].state == GPU_POINT_OCCLUDED);
    CHECK_TEXT(stage_actor(views_stage(views), 1)->person, "Ada");
    views_release(views);
    stage_release(stage);
}

static void labels_without_pictures(void) {
    struct stage *stage = NULL;
    struct view_spec spec;
    struct views *views;
    struct views_timings spent = {0};
    const struct views_options options = {.no_picture = true, .samples = 1, .backend = "cpu"};
    const struct view_encoding png = {.format = VIEW_PNG};
    struct ring_options ring = {
        .views = 1, .distance = 3.5f, .height = 1.6f, .fov = 50, .width = 64, .height_pixels = 64};
    struct err err = {0};
    CHECK(stage_of_body(body(), SCENE_REST, NULL, 0, &stage, &err) == 0);
    CHECK(ring_place(stage, &ring, &spec, &err) == 0);
    CHECK(views_new(stage, &spec, 1, &options, &views, &err) == 0);
    stage_release(stage); /* the views hold it */
    CHECK(views_draw(views, 0, &spent, &err) == 0);
    CHECK(views_result(views, 0)->image.rgb == NULL && views_result(views, 0)->labels_size > 0);
    CHECK(views_encode(views, 0, &png, &spent, &err) == ERR_INVALID);
    views_release(views);
}

static void artefacts(void) {
    struct look_options options;
    look_options_default(&options);
    options.jpeg = 20;
    struct look *look = NULL;
    struct stage *plain = NULL, *coarse = NULL;
    struct view_spec spec;
    struct ring_options ring = {.views = 1,
                                .distance = 3.5f,
                                .height = 1.6f,
                                .fov = 50,
                                .width = 128,
                                .height_pixels = 128};
    const struct views_options once = {.samples = 1, .backend = "cpu"};
    struct err err = {0};
    CHECK(look_new(&options, &look, &err) == 0);
    CHECK(stage_of_body(body(), SCENE_REST, NULL, 0, &plain, &err) == 0);
    CHECK(stage_of_body(body(), SCENE_REST, look, 0, &coarse, &err) == 0);
    look_release(look);
    CHECK(ring_place(plain, &ring, &spec, &err) == 0);
    struct views *views[2];
    struct views_timings spent = {0};
    CHECK(views_new(plain, &spec, 1, &once, &views[0], &err) == 0);
    CHECK(views_new(coarse, &spec, 1, &once, &views[1], &err) == 0);
    long changed = 0, sum = 0;
    for (int i = 0; i < 2; i++)
        CHECK(views_draw(views[i], 0, &spent, &err) == 0);
    for (size_t i = 0; i < 128 * 128 * 3; i++) {
        int difference =
            views_result(views[0], 0)->image.rgb[i] - views_result(views[1], 0)->image.rgb[i];
        changed += difference != 0;
        sum += labs(difference);
    }
    CHECK(changed > 128 * 128 / 2 && sum < 128 * 128 * 3 * 8L); /* seen, and the same picture */
    for (int i = 0; i < 2; i++)
        views_release(views[i]);
    stage_release(plain);
    stage_release(coarse);
}

static void refusals(void) {
    static const struct {
        const char *what;
        double speed, start;
        float x, yaw;
    } bad[] = {{"speed", 1e3, 0, 0, 0},
               {"speed", NAN, 0, 0, 0},
               {"time", 1, INFINITY, 0, 0},
               {"position", 1, 0, NAN, 0},
               {"yaw", 1, 0, 0, INFINITY}};
    struct stage *stage = NULL;
    struct err err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct stage_actor actors[2] = {actor_of(NULL), actor_of(NULL)};
        actors[1].speed = bad[i].speed;
        actors[1].start = bad[i].start;
        actors[1].position[0] = bad[i].x;
        actors[1].yaw = bad[i].yaw;
        CHECK(stage_new(actors, 2, NULL, 0, &stage, &err) == ERR_INVALID);
        CHECK(strstr(err.message, "actor 2") != NULL && strstr(err.message, bad[i].what) != NULL);
    }
    struct stage_actor many[GPU_MAX_ACTORS + 1];
    for (int i = 0; i <= GPU_MAX_ACTORS; i++)
        many[i] = actor_of(NULL);
    CHECK(stage_new(many, GPU_MAX_ACTORS + 1, NULL, 0, &stage, &err) == ERR_INVALID);
    CHECK(stage_new(many, 1, NULL, -3, &stage, &err) == ERR_INVALID);
    CHECK(stage_new(many, GPU_MAX_ACTORS, NULL, 25, &stage, &err) == 0);
    CHECK(stage_rate(stage) == 25);
    stage_release(stage);
}

int main(void) {
    static const struct test tests[] = {
        TEST(clocks),    TEST(places),   TEST(boxes_of_all_frames),     TEST(several_in_a_picture),
        TEST(artefacts), TEST(refusals), TEST(labels_without_pictures),
    };
    int failed = RUN(tests);
    scene_release(body());
    return failed;
}
