/* cuda_render.cu - the renderer's kernels beside the CPU's renderer: the same bytes for whatever
 * labels are made of, colours at most one step apart. On the CPU items run in another random order
 * each time, since a device promises none. */
#include "check/body.h"
#include "check/cuda_check.h"
#include "cuda/plugin.h"
#include "cuda/render.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

extern "C" cuda_plugin_entry stance_cuda_plugin;

namespace {

/* A machine on the CPU. */
struct cpu_machine {
    std::vector<uint8_t> sent, own, back;
    size_t most; /* budget */
    int error;
    int fetches; /* that succeed before one finds no memory; below 0: all */

    size_t budget() {
        return most;
    }
    static uint8_t *aligned(std::vector<uint8_t> &bytes, size_t size) {
        bytes.assign(size + PACK_ALIGN, 0xaa);
        return bytes.data() + (PACK_ALIGN - reinterpret_cast<uintptr_t>(bytes.data()) % PACK_ALIGN);
    }
    uint8_t *staging(size_t size, char *) {
        sent.resize(size);
        return sent.data();
    }
    uint8_t *memory(size_t size, char *) {
        return at = aligned(own, size);
    }
    const struct gpu_scene *scene(const struct gpu_scene *scene, char *) {
        return scene;
    }
    int begin(render_stage, char *) {
        return GPU_OK;
    }
    int send(size_t size, char *) {
        memcpy(at, sent.data(), size);
        return GPU_OK;
    }
    int clear(uint8_t *from, size_t size, char *) {
        memset(from, 0, size);
        return GPU_OK;
    }
    template <class Item> int rows(const Item &item, uint32_t rows, uint32_t count, char *) {
        /* A step that has no divisor in common with the count visits all. */
        const uint64_t all = (uint64_t)rows * count;
        uint64_t step = 1 + cuda_below(1u << 30), i = cuda_below(1u << 30);
        while (all > 0 && std::__gcd(step, all) != 1)
            step++;
        for (uint64_t k = 0; k < all; k++) {
            i = (i + step) % all;
            item((uint32_t)(i / count), (uint32_t)(i % count));
        }
        return GPU_OK;
    }
    template <class Item> int counted(const Item &item, char *) {
        for (uint32_t i = item.count(); i > 0; i--)
            item(i - 1);
        return GPU_OK;
    }
    int fetch(const uint8_t *from, size_t size, char *why) {
        back.clear();
        back.shrink_to_fit();
        if (fetches == 0)
            return gpu_fail(why, GPU_ENOMEM, "no memory for pictures");
        fetches -= fetches > 0 ? 1 : 0;
        back.assign(from, from + size);
        return GPU_OK;
    }
    int finish(char *) {
        return GPU_OK;
    }
    const uint8_t *fetched() {
        return back.data();
    }

    uint8_t *at;
};

/* Everything that a view can be drawn to. */
struct maps {
    std::vector<uint8_t> rgb, person, part, cover;
    std::vector<float> depth, coverage, normal, flow;
    std::vector<uint32_t> triangle;

    struct gpu_image image(const struct gpu_camera &camera) {
        const size_t pixels = (size_t)camera.width * camera.height;
        rgb.assign(3 * pixels, 7);
        person.assign(pixels, 7);
        part.assign(pixels, 7);
        cover.assign(pixels, 7);
        depth.assign(pixels, 7);
        coverage.assign(pixels, 7);
        normal.assign(3 * pixels, 7);
        flow.assign(2 * pixels, 7);
        triangle.assign(pixels, 7);
        struct gpu_image out = {};
        out.rgb = rgb.data();
        out.depth = depth.data();
        out.triangle = triangle.data();
        out.person = person.data();
        out.part = part.data();
        out.cover = cover.data();
        out.coverage = coverage.data();
        out.normal = normal.data();
        out.flow = flow.data();
        return out;
    }
};

template <class T> size_t count_other(const std::vector<T> &mine, const std::vector<T> &theirs) {
    size_t other = 0;
    for (size_t i = 0; i < mine.size(); i++)
        other += memcmp(&mine[i], &theirs[i], sizeof(T)) != 0;
    return other;
}

size_t colors, colors_off;

void compare(const char *name, const maps &mine, const maps &theirs) {
    const struct {
        const char *map;
        size_t other;
    } exact[] = {{"triangles", count_other(mine.triangle, theirs.triangle)},
                 {"depths", count_other(mine.depth, theirs.depth)},
                 {"coverage", count_other(mine.coverage, theirs.coverage)},
                 {"normals", count_other(mine.normal, theirs.normal)},
                 {"flows", count_other(mine.flow, theirs.flow)},
                 {"people", count_other(mine.person, theirs.person)},
                 {"parts", count_other(mine.part, theirs.part)},
                 {"covers", count_other(mine.cover, theirs.cover)}};
    for (const auto &one : exact)
        check_that(one.other == 0, "%s: %zu of %zu %s differ from the CPU's", name, one.other,
                   mine.depth.size(), one.map);
    int worst = 0;
    for (size_t i = 0; i < mine.rgb.size(); i++)
        worst = std::max(worst, std::abs(mine.rgb[i] - theirs.rgb[i]));
    colors += mine.rgb.size();
    colors_off += count_other(mine.rgb, theirs.rgb);
    check_that(worst <= 1, "%s: a colour is %d steps from the CPU's", name, worst);
}

/* -- Stages -------------------------------------------------------------------------------------
 */

/* Bodies, frames and views that free themselves. */
struct stage {
    std::vector<struct body> bodies;
    std::vector<struct gpu_scene *> scenes;
    std::vector<std::vector<float>> poses;
    std::vector<std::vector<struct gpu_actor>> actors;
    std::vector<struct gpu_lighting> lighting;
    std::vector<struct gpu_frame> frames;
    std::vector<struct gpu_view> views;
    std::vector<std::vector<float>> later; /* poses one frame later */
    std::vector<uint8_t> pixels;
    struct gpu_texture background;
    struct gpu_environment *environment;
    struct gpu_batch batch;

    stage() : background(), environment(nullptr), batch() {
    }
    stage(const stage &) = delete;
    ~stage() {
        gpu_environment_free(environment);
        for (struct gpu_scene *scene : scenes)
            gpu_scene_free(scene);
        for (struct body &body : bodies)
            body_free(&body);
    }

    void add_body(const struct body &body) {
        char why[GPU_WHY_SIZE];
        struct gpu_scene *scene;
        bodies.push_back(body);
        if (gpu_scene_new(&body.desc, &scene, why) != GPU_OK) {
            fprintf(stderr, "gpu_check_cuda: %s\n", why);
            exit(1);
        }
        scenes.push_back(scene);
    }

    /* People of random bodies at random places, light by chance. */
    void add_frame(uint32_t people, float scale) {
        actors.emplace_back();
        for (uint32_t i = 0; i < people; i++) {
            const uint32_t which = cuda_below((uint32_t)scenes.size());
            const uint32_t joints = bodies[which].desc.joint_count;
            std::vector<float> pose(joints * 12);
            if (joints == BODY_JOINTS)
                body_pose(cuda_random(), pose.data());
            else
                for (uint32_t k = 0; k < joints * 12; k++)
                    pose[k] = k % 12 % 5 == 0 ? 1.0f : 0.0f;
            for (uint32_t j = 0; j < joints; j++) {
                pose[12 * j + 3] += scale * (float)i * (cuda_random() - 0.5f);
                pose[12 * j + 11] += scale * (float)i * (cuda_random() - 0.5f);
            }
            poses.push_back(pose);
            struct gpu_actor actor = {};
            actor.scene = scenes[which];
            actor.skinning = cuda_below(2) == 0 ? GPU_SKIN_LINEAR : GPU_SKIN_DUAL_QUATERNION;
            later.push_back(pose);
            for (uint32_t j = 0; j < joints; j++)
                later.back()[12 * j + 3] += 0.2f * scale * (cuda_random() - 0.3f);
            actors.back().push_back(actor);
        }
        struct gpu_lighting light;
        gpu_lighting_default(&light);
        light.ground = cuda_below(4) != 0;
        light.shadow_softness *= cuda_random() * 2.0f;
        lighting.push_back(light);
    }

    void add_view(const struct gpu_camera &camera, uint32_t frame) {
        struct gpu_view view = {};
        view.camera = camera;
        view.frame = frame;
        views.push_back(view);
    }

    /* Once all is added: pointers. */
    const struct gpu_batch *finish(uint32_t samples) {
        size_t pose = 0;
        for (size_t f = 0; f < actors.size(); f++) {
            for (struct gpu_actor &actor : actors[f]) {
                actor.pose_next = cuda_below(3) > 0 ? later[pose].data() : nullptr;
                actor.pose = poses[pose++].data();
            }
            struct gpu_frame frame = {};
            frame.actor_count = (uint32_t)actors[f].size();
            frame.actors = actors[f].data();
            frame.lighting = &lighting[f];
            frames.push_back(frame);
        }
        batch.view_count = (uint32_t)views.size();
        batch.frame_count = (uint32_t)frames.size();
        batch.views = views.data();
        batch.frames = frames.data();
        batch.samples = samples;
        batch.shadow_size = 256;
        return &batch;
    }
};

/* -- Drawing ------------------------------------------------------------------------------------
 */

struct gpu_renderer *cpu_renderer() {
    static struct gpu_renderer *renderer;
    char why[GPU_WHY_SIZE];
    if (renderer == nullptr && gpu_renderer_new("cpu", &renderer, why) != GPU_OK) {
        fprintf(stderr, "gpu_check_cuda: %s\n", why);
        exit(1);
    }
    return renderer;
}

/* The plug-in's, without the CPU behind it. */
struct gpu_renderer *device_renderer() {
    static struct gpu_render_backend *backend;
    char why[GPU_WHY_SIZE];
    if (backend == nullptr && stance_cuda_plugin()->renderer_new(&backend, why) != GPU_OK) {
        fprintf(stderr, "gpu_check_cuda: %s\n", why);
        exit(1);
    }
    return reinterpret_cast<struct gpu_renderer *>(backend);
}

int draw_emulated(const struct gpu_batch *batch, const struct gpu_image *images, size_t budget,
                  char *why, int fetches = -1) {
    static cpu_machine machines[RENDER_MACHINES];
    static render_chunk chunks[RENDER_MACHINES];
    struct gpu_timings timings = {};
    for (cpu_machine &machine : machines) {
        machine.most = budget;
        machine.fetches = fetches;
    }
    return render_batch(machines, chunks, cpu_renderer(), batch, images, &timings, why);
}

int draw(cuda_where where, const struct gpu_batch *batch, const struct gpu_image *images,
         size_t budget, char *why) {
    return where == ON_CPU ? draw_emulated(batch, images, budget, why)
                           : gpu_render(device_renderer(), batch, images, nullptr, why);
}

void compare_batch(cuda_where where, const char *name, const struct gpu_batch *batch,
                   size_t budget) {
    char why[GPU_WHY_SIZE] = "";
    std::vector<maps> mine(batch->view_count), theirs(batch->view_count);
    std::vector<struct gpu_image> to, from;
    for (uint32_t i = 0; i < batch->view_count; i++) {
        to.push_back(mine[i].image(batch->views[i].camera));
        from.push_back(theirs[i].image(batch->views[i].camera));
    }
    int code = gpu_render(cpu_renderer(), batch, from.data(), nullptr, why);
    if (code == GPU_OK)
        code = draw(where, batch, to.data(), budget, why);
    check_that(code == GPU_OK, "%s: %s", name, why);
    for (uint32_t i = 0; code == GPU_OK && i < batch->view_count; i++)
        compare(name, mine[i], theirs[i]);
}

/* Light of every kind. */
void light_up(struct stage &stage) {
    char why[GPU_WHY_SIZE];
    std::vector<float> sky(3 * 32 * 16);
    for (float &value : sky)
        value = cuda_random() * cuda_random() * 3.0f;
    check_that(gpu_environment_new(sky.data(), 32, 16, &stage.environment, why) == GPU_OK,
               "environment: %s", why);
    for (struct gpu_lighting &light : stage.lighting) {
        light.light_count = cuda_below(GPU_MAX_LIGHTS + 1);
        for (uint32_t i = 0; i < light.light_count; i++) {
            struct gpu_light &lamp = light.lights[i];
            for (int c = 0; c < 3; c++) {
                lamp.position[c] = 4.0f * cuda_random() - 2.0f;
                lamp.direction[c] = cuda_random() - 0.5f;
                lamp.color[c] = cuda_random();
            }
            lamp.radius = 0.2f * cuda_random();
            lamp.cone = cuda_below(2) == 0 ? 3.1415927f : 0.2f + cuda_random();
            lamp.blend = cuda_random();
        }
        light.tone = (enum gpu_tone)cuda_below(GPU_TONE_COUNT);
        light.exposure = 0.5f + cuda_random();
        if (cuda_below(2) == 0)
            continue;
        light.environment = stage.environment;
        light.environment_turn = 6.0f * cuda_random();
        light.environment_strength = cuda_random();
        light.environment_visible = cuda_below(2) == 0;
    }
}

/* Materials of all kinds, with maps. */
void dress(struct body &body) {
    for (uint32_t m = 0; m < body.desc.material_count; m++) {
        struct gpu_material &material = body.table[m];
        material.metallic = cuda_random();
        material.roughness = cuda_random();
        material.normal_scale = 2.0f * cuda_random();
        material.occlusion_strength = cuda_random();
        material.emissive[m % 3] = cuda_below(3) == 0 ? cuda_random() : 0.0f;
        if (body.desc.texture_count < 2)
            continue;
        material.metal_rough_texture = (int32_t)cuda_below(3) - 1;
        material.normal_texture = (int32_t)cuda_below(3) - 1;
        material.emissive_texture = (int32_t)cuda_below(3) - 1;
    }
}

/* What a camera can do beyond a pinhole, and what stands behind everything. */
void equip(struct stage &stage) {
    stage.pixels.resize(4 * 40 * 30);
    for (uint8_t &byte : stage.pixels)
        byte = (uint8_t)cuda_below(256);
    stage.background.width = 40;
    stage.background.height = 30;
    stage.background.rgba = stage.pixels.data();
    for (struct gpu_view &view : stage.views) {
        struct gpu_camera &camera = view.camera;
        if (cuda_below(2) == 0)
            for (int i = 0; i < 5; i++)
                camera.distortion[i] = (cuda_random() - 0.6f) * (i == 2 || i == 3 ? 0.02f : 0.2f);
        camera.focus = 1.0f + 4.0f * cuda_random();
        camera.lens_radius = cuda_below(2) == 0 ? 0.1f * cuda_random() : 0.0f;
        if (cuda_below(2) == 0) {
            view.camera_next = camera;
            view.camera_next.camera_from_world[3] += 0.1f;
        }
        view.sensor.shot_noise = cuda_below(2) == 0 ? 0.05f * cuda_random() : 0.0f;
        view.sensor.read_noise = cuda_below(2) == 0 ? 0.05f * cuda_random() : 0.0f;
        view.sensor.seed = cuda_below(1u << 30);
        view.background = cuda_below(3) == 0 ? &stage.background : nullptr;
    }
}

/* -- Cases --------------------------------------------------------------------------------------
 */

struct gpu_camera look(float x, float y, float z, float height, float fov, uint32_t width,
                       uint32_t side) {
    struct gpu_camera camera = {};
    const float eye[3] = {x, y, z}, target[3] = {0, height, 0};
    gpu_camera_look_at(&camera, eye, target, fov, width, side);
    return camera;
}

/* A body from far off to within. */
void check_person(cuda_where where, bool textured, uint32_t samples) {
    static const float eyes[5][3] = {{2.5f, 5.0f, 6.0f},
                                     {1.5f, 1.6f, 3.0f},
                                     {-0.4f, 1.5f, 0.6f},
                                     {0.02f, 1.3f, 0.03f},
                                     {0, 0.2f, -2.0f}};
    struct stage stage;
    struct body body;
    body_init_person(&body, textured ? 3000 : 9000, textured);
    stage.add_body(body);
    stage.add_frame(1, 0.0f);
    for (const float *eye : eyes)
        stage.add_view(look(eye[0], eye[1], eye[2], 0.9f, 0.8f, 131, 97), 0);
    compare_batch(where, textured ? "textured body" : "body", stage.finish(samples), 64 << 20);
}

/* Several frames of several people, in chunks that hold few of the views, and parts of them. */
void check_people(cuda_where where, uint32_t samples, size_t budget) {
    struct stage stage;
    struct body body;
    body_init_person(&body, 2000, true);
    stage.add_body(body);
    body_init_person(&body, 600, false);
    stage.add_body(body);
    for (uint32_t f = 0; f < 4; f++)
        stage.add_frame(f * 2, 3.0f);
    for (uint32_t i = 0; i < 10; i++)
        stage.add_view(look(4.0f * cuda_random() - 2.0f, 2.0f * cuda_random(), 4.0f, 0.9f, 0.9f,
                            20 + cuda_below(100), 20 + cuda_below(100)),
                       cuda_below(4));
    compare_batch(where, "several people", stage.finish(samples), budget);
}

/* Bodies of any size, corners that are no numbers, cameras amid and off them. */
void check_wild(cuda_where where, uint64_t seed) {
    static const uint32_t counts[4] = {1, 4, 8, 16};
    struct stage stage;
    struct body body;
    const float scale = std::pow(10.0f, 5.0f * cuda_random() - 2.0f);
    if (seed % 2 == 0)
        body_init_person(&body, 1000, seed % 4 == 0);
    else
        body_init_random(&body, 150, seed + cuda_below(1000));
    for (uint32_t i = 0; i < body.desc.vertex_count * 3; i++)
        body.positions[i] = cuda_random() < 0.0003f ? NAN : body.positions[i] * scale;
    stage.add_body(body);
    stage.add_frame(1 + cuda_below(2), scale);
    struct gpu_camera camera =
        look((cuda_random() * 6.0f - 3.0f) * scale, (cuda_random() * 6.0f - 3.0f) * scale,
             (cuda_random() * 6.0f - 3.0f) * scale, cuda_random() * scale,
             0.1f + 2.5f * cuda_random(), 1 + cuda_below(150), 90);
    camera.near_plane = std::max(scale * cuda_random(), 0.001f);
    stage.add_view(camera, 0);
    compare_batch(where, "wild scene", stage.finish(counts[seed / 2 % 4]), 1 << 20);
}

/* All that can be asked of a picture, by chance. */
void check_everything(cuda_where where, uint32_t samples) {
    struct stage stage;
    struct body body;
    body_init_person(&body, 1500, true);
    dress(body);
    stage.add_body(body);
    body_init_person(&body, 500, false);
    dress(body);
    stage.add_body(body);
    for (uint32_t f = 0; f < 2; f++)
        stage.add_frame(1 + cuda_below(3), 1.0f);
    light_up(stage);
    for (uint32_t i = 0; i < 4; i++)
        stage.add_view(look(4.0f * cuda_random() - 2.0f, 2.0f * cuda_random(), 3.0f, 0.9f, 0.9f,
                            20 + cuda_below(60), 20 + cuda_below(60)),
                       cuda_below(2));
    equip(stage);
    stage.finish(samples);
    stage.batch.shutter = cuda_below(2) == 0 ? cuda_random() : 0.0f;
    compare_batch(where, "everything", &stage.batch, 1 << 20);
}

/* What is not asked for is neither drawn nor touched. */
void check_wishes(cuda_where where) {
    struct stage stage;
    struct body body;
    body_init_person(&body, 800, true);
    stage.add_body(body);
    stage.add_frame(1, 0.0f);
    stage.add_view(look(0.5f, 1.5f, 2.5f, 0.9f, 0.9f, 60, 50), 0);
    const struct gpu_batch *batch = stage.finish(8);
    stage.views[0].camera.focus = 2.0f;
    for (uint32_t wish = 0; wish < 512; wish += 1 + cuda_below(20)) {
        char why[GPU_WHY_SIZE] = "";
        stage.views[0].camera.lens_radius = cuda_below(2) == 0 ? 0.03f : 0.0f;
        maps mine, theirs;
        struct gpu_image to = mine.image(stage.views[0].camera);
        struct gpu_image from = theirs.image(stage.views[0].camera);
        for (struct gpu_image *image : {&to, &from}) {
            image->rgb = wish & 1 ? image->rgb : nullptr;
            image->depth = wish & 2 ? image->depth : nullptr;
            image->triangle = wish & 4 ? image->triangle : nullptr;
            image->person = wish & 8 ? image->person : nullptr;
            image->part = wish & 16 ? image->part : nullptr;
            image->cover = wish & 32 ? image->cover : nullptr;
            image->normal = wish & 64 ? image->normal : nullptr;
            image->flow = wish & 128 ? image->flow : nullptr;
            image->coverage = wish & 256 ? image->coverage : nullptr;
        }
        check_that(gpu_render(cpu_renderer(), batch, &from, nullptr, why) == GPU_OK &&
                       draw(where, batch, &to, 64 << 20, why) == GPU_OK,
                   "some maps: %s", why);
        compare("some maps", mine, theirs);
    }
}

/* Memory that runs out on the way is reported, and the next batch is drawn. */
void check_shortage() {
    struct stage stage;
    struct body body;
    body_init_person(&body, 300, false);
    stage.add_body(body);
    stage.add_frame(1, 0.0f);
    for (int i = 0; i < 6; i++)
        stage.add_view(look(0.5f, 1.5f, 2.5f, 0.9f, 0.9f, 40, 30), 0);
    const struct gpu_batch *batch = stage.finish(1);
    std::vector<maps> drawn(batch->view_count);
    std::vector<struct gpu_image> images;
    for (maps &one : drawn)
        images.push_back(one.image(stage.views[0].camera));
    for (int fetches = 0; fetches < 4; fetches++) {
        char why[GPU_WHY_SIZE] = "";
        const int code = draw_emulated(batch, images.data(), 1, why, fetches / 2);
        check_that(code == GPU_ENOMEM && strstr(why, "no memory") != nullptr,
                   "memory for %d fetches: %d %s", fetches / 2, code, why);
    }
    compare_batch(ON_CPU, "after a shortage", batch, 1);
}

/* Two pictures behind people in the same memory, of different sizes. */
void check_backgrounds(cuda_where where) {
    struct stage stage;
    struct body body;
    body_init_person(&body, 300, false);
    stage.add_body(body);
    stage.add_frame(1, 0.0f);
    for (int i = 0; i < 2; i++)
        stage.add_view(look(0.5f, 1.5f, 2.5f, 0.9f, 0.9f, 40, 30), 0);
    const struct gpu_batch *batch = stage.finish(1);
    stage.pixels.resize(4 * 200 * 300);
    for (uint8_t &byte : stage.pixels)
        byte = (uint8_t)cuda_below(256);
    struct gpu_texture pictures[2] = {};
    for (uint32_t i = 0; i < 2; i++) {
        pictures[i].width = i == 0 ? 4 : 200;
        pictures[i].height = i == 0 ? 3 : 300;
        pictures[i].rgba = stage.pixels.data();
        stage.views[i].background = &pictures[i];
    }
    compare_batch(where, "backgrounds", batch, 64 << 20);
}

} // namespace

void cuda_check_render(cuda_where where) {
    for (uint32_t samples : {1u, 4u, 8u, 16u}) {
        check_person(where, false, samples);
        check_person(where, true, samples);
    }
    check_people(where, 4, 64 << 20);
    check_people(where, 16, 256 << 10);
    check_people(where, 1, 1);
    for (uint32_t samples : {1u, 4u, 8u, 16u, 32u, 64u})
        for (int i = 0; i < (where == ON_CPU ? 2 : 20); i++)
            check_everything(where, samples);
    check_wishes(where);
    check_backgrounds(where);
    if (where == ON_CPU)
        check_shortage();
    for (uint64_t seed = 0; seed < (where == ON_CPU ? 24 : 200); seed++)
        check_wild(where, seed);
    printf("  %-18s %zu of %zu colours are a step from the CPU's\n", "pictures", colors_off,
           colors);
}
