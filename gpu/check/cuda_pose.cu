/* cuda_pose.cu - what is special to poses: crops against the CPU's kernels, decoding against the
 * CPU's, and both networks on a drawn body, in pixels of the crop. */
#include "check/body.h"
#include "check/cuda_check.h"
#include "check/models.h"
#include "cuda/plugin.h"
#include "cuda/pose.h"
#include "cuda/upload.h"
#include "net/net.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace {

/* -- Crops --------------------------------------------------------------------------------------
 */

struct gpu_picture random_picture(std::vector<uint8_t> &pixels) {
    struct gpu_picture out = {};
    out.channels = 3 + cuda_below(2);
    out.width = 1 + cuda_below(cuda_below(4) == 0 ? 3 : 300);
    out.height = 1 + cuda_below(300);
    out.stride = (size_t)out.width * out.channels + cuda_below(9);
    out.x = cuda_below(2) * cuda_below(100);
    out.y = cuda_below(2) * cuda_below(100);
    out.whole_width = out.x + out.width + cuda_below(2) * cuda_below(100);
    out.whole_height = out.y + out.height + cuda_below(2) * cuda_below(100);
    pixels.resize(out.stride * out.height + 4);
    for (uint8_t &byte : pixels)
        byte = (uint8_t)cuda_below(256);
    out.rgb = pixels.data();
    return out;
}

/* The greatest error of a crop that was copied through a slot's window. */
double crop_error(cuda_where where, const struct gpu_picture &picture, const struct pose_roi *roi) {
    const uint32_t side = roi != nullptr ? POSE_CROP : POSE_DETECTOR_CROP;
    char why[GPU_WHY_SIZE] = "";
    static upload_slot slot;
    upload_begin(&slot, 0);
    upload_add(&slot, &picture, roi);
    shared_array<uint8_t> window(where, std::vector<uint8_t>(slot.bytes + 16, 0xaa));
    std::vector<struct gpu_crop> jobs(1);
    std::vector<uint8_t> copied(slot.bytes + 16, 0xaa);
    int code = upload_gather(&slot.crops[0], copied.data(), window.at, &jobs[0], why);
    if (where == ON_CPU)
        memcpy(window.at, copied.data(), copied.size());
    else if (cudaMemcpy(window.at, copied.data(), copied.size(), cudaMemcpyHostToDevice) !=
             cudaSuccess)
        code = GPU_EDEVICE;
    std::vector<float> wanted((size_t)side * side * 3 + 64);
    struct gpu_crop plain;
    if (code == GPU_OK)
        code = roi != nullptr ? gpu_crop_roi(&plain, &picture, roi, wanted.data(), why)
                              : gpu_crop_letterbox(&plain, &picture, wanted.data(), why);
    check_that(code == GPU_OK, "a crop: %s", why);
    if (code != GPU_OK)
        return INFINITY;
    net_kernels_find(nullptr)->crop(&plain);
    shared_array<struct gpu_crop> job(where, jobs);
    shared_array<half8> out(where, std::vector<half8>((size_t)side * side));
    const pose_crop item = {job.at, reinterpret_cast<__half *>(out.at), side};
    run_items(where, item, side * side);
    const std::vector<half8> &made = out.back();
    double worst = 0.0;
    for (size_t i = 0; i < made.size(); i++) {
        const float8 pixel = half8_load(reinterpret_cast<const __half *>(&made[i]));
        for (int c = 0; c < CUDA_LANES; c++)
            worst =
                std::max(worst, (double)std::fabs(pixel.v[c] - (c < 3 ? wanted[3 * i + c] : 0)));
    }
    return worst;
}

void check_crops(cuda_where where) {
    double worst = 0.0;
    for (int i = 0; i < 60; i++) {
        std::vector<uint8_t> pixels;
        const struct gpu_picture picture = random_picture(pixels);
        struct pose_roi roi = {cuda_random() * 600.0f - 150.0f, cuda_random() * 600.0f - 150.0f,
                               cuda_random() * 500.0f, cuda_random() * 7.0f - 3.5f};
        if (i == 7)
            roi.x = 1e9f; /* all of it far outside */
        const double error = crop_error(where, picture, i % 4 == 0 ? nullptr : &roi);
        /* Half a step of a number below 1 in 16 bits, and the corner where a sum rounds to the
         * other pixel. */
        check_that(error < 6e-4, "crop %d of %ux%u: error %g", i, picture.width, picture.height,
                   error);
        worst = std::max(worst, error);
    }
    printf("  %-18s error %.1e\n", "crops", worst);
}

/* -- Decoding -----------------------------------------------------------------------------------
 */

std::vector<float> random_numbers(size_t count, float least, float most) {
    std::vector<float> out(count);
    for (float &x : out)
        x = least + (most - least) * cuda_random();
    return out;
}

void check_points(cuda_where where) {
    enum { BATCH = 3, CELLS = POSE_HEATMAP * POSE_HEATMAP * POSE_POINTS };
    shared_array<float> points(where, random_numbers(BATCH * POSE_POINTS * 5, -20.0f, 276.0f));
    shared_array<float> presence(where, random_numbers(BATCH, 0.0f, 1.0f));
    shared_array<float> heatmaps(where, random_numbers(BATCH * CELLS, -9.0f, 0.3f));
    shared_array<float> world(where, random_numbers(BATCH * POSE_POINTS * 3, -1.0f, 1.0f));
    struct pose_raw poison;
    memset(&poison, 0xff, sizeof poison);
    shared_array<struct pose_raw> raws(where, std::vector<struct pose_raw>(BATCH, poison));
    const pose_points item = {points.at, presence.at, heatmaps.at, world.at, raws.at};
    run_items(where, item, BATCH * POSE_POINTS);
    const std::vector<struct pose_raw> &made = raws.back();
    double worst = 0.0;
    for (int n = 0; n < BATCH; n++) {
        struct pose_raw wanted;
        pose_decode_landmarks(&points.here[n * POSE_POINTS * 5], presence.here[n],
                              &heatmaps.here[n * CELLS], &world.here[n * POSE_POINTS * 3], &wanted);
        const float *a = reinterpret_cast<const float *>(&made[n]);
        const float *b = reinterpret_cast<const float *>(&wanted);
        for (size_t i = 0; i < sizeof wanted / sizeof(float); i++)
            worst = std::max(worst,
                             std::isnan(a[i]) ? (double)INFINITY : std::fabs((double)a[i] - b[i]));
    }
    check_that(worst < 1e-5, "decoded landmarks: error %g", worst);
    printf("  %-18s error %.1e\n", "landmarks", worst);
}

void check_candidates(cuda_where where) {
    enum { BATCH = 2 };
    shared_array<float> boxes(
        where, random_numbers(BATCH * POSE_ANCHORS * POSE_BOX_FLOATS, -20.0f, 90.0f));
    shared_array<float> logits(where, random_numbers(BATCH * POSE_ANCHORS, -12.0f, 0.6f));
    shared_array<float> least(where, {0.5f});
    shared_array<uint32_t> counts(where, std::vector<uint32_t>(BATCH, 0));
    shared_array<struct pose_found> found(where,
                                          std::vector<struct pose_found>(BATCH * POSE_ANCHORS));
    const pose_anchors item = {boxes.at, logits.at, least.at, counts.at, found.at};
    run_items(where, item, BATCH * POSE_ANCHORS);
    found.back();
    counts.back();
    double worst = 0.0;
    for (int n = 0; n < BATCH; n++) {
        std::vector<struct pose_candidate> wanted(POSE_ANCHORS);
        const uint32_t count = pose_decode_candidates(
            &boxes.here[n * POSE_ANCHORS * POSE_BOX_FLOATS], &logits.here[n * POSE_ANCHORS], 0.5f,
            POSE_ANCHORS, wanted.data());
        struct pose_found *mine = &found.here[n * POSE_ANCHORS];
        check_that(count == counts.here[n] && count > 10, "%u candidates, not %u", counts.here[n],
                   count);
        std::sort(mine, mine + counts.here[n], [](const pose_found &a, const pose_found &b) {
            return a.candidate.score != b.candidate.score ? a.candidate.score > b.candidate.score
                                                          : a.anchor < b.anchor;
        });
        for (uint32_t i = 0; i < std::min(count, counts.here[n]); i++)
            for (size_t k = 0; k < sizeof wanted[i] / sizeof(float); k++)
                worst = std::max(
                    worst,
                    (double)std::fabs(reinterpret_cast<const float *>(&wanted[i])[k] -
                                      reinterpret_cast<const float *>(&mine[i].candidate)[k]));
    }
    check_that(worst < 1e-5, "decoded candidates: error %g", worst);
    printf("  %-18s error %.1e\n", "candidates", worst);
}

} // namespace

/* -- A drawn body -------------------------------------------------------------------------------
 */

struct gpu_picture cuda_draw_body(std::vector<uint8_t> &rgb, float angle) {
    struct body body;
    std::vector<float> pose(BODY_JOINTS * 12);
    struct gpu_view view = {};
    struct gpu_batch batch = {};
    struct gpu_scene *scene = nullptr;
    struct gpu_renderer *renderer = nullptr;
    char why[GPU_WHY_SIZE];
    const float target[3] = {0.0f, 0.9f, 0.0f};
    const float eye[3] = {3.5f * sinf(angle), 1.4f, 3.5f * cosf(angle)};
    rgb.resize(3 * CUDA_BODY_SIDE * CUDA_BODY_SIDE);
    struct gpu_image image = {};
    image.rgb = rgb.data();
    body_init_person(&body, 11000, true);
    body_pose(0.2f, pose.data());
    gpu_camera_look_at(&view.camera, eye, target, 0.7f, CUDA_BODY_SIDE, CUDA_BODY_SIDE);
    struct gpu_lighting lighting;
    struct gpu_actor actor = {};
    struct gpu_frame frame = {};
    actor.pose = pose.data();
    frame.actor_count = 1;
    frame.actors = &actor;
    frame.lighting = &lighting;
    batch.view_count = batch.frame_count = 1;
    batch.views = &view;
    batch.frames = &frame;
    batch.samples = 4;
    gpu_lighting_default(&lighting);
    bool drawn = gpu_scene_new(&body.desc, &scene, why) == GPU_OK &&
                 gpu_renderer_new("cpu", &renderer, why) == GPU_OK;
    actor.scene = scene;
    drawn = drawn && gpu_render(renderer, &batch, &image, nullptr, why) == GPU_OK;
    check_that(drawn, "drawing a body: %s", why);
    gpu_renderer_free(renderer);
    gpu_scene_free(scene);
    body_free(&body);
    struct gpu_picture out = {};
    out.rgb = rgb.data();
    out.channels = 3;
    out.stride = 3 * CUDA_BODY_SIDE;
    out.width = out.height = out.whole_width = out.whole_height = CUDA_BODY_SIDE;
    return out;
}

std::vector<float> cuda_distances(const struct pose_raw &a, const struct pose_raw &b) {
    std::vector<float> out(GPU_POSE_LANDMARKS);
    for (int i = 0; i < GPU_POSE_LANDMARKS; i++)
        out[i] =
            POSE_CROP * hypotf(a.points[i][0] - b.points[i][0], a.points[i][1] - b.points[i][1]);
    std::sort(out.begin(), out.end());
    return out;
}

namespace {

struct pose_raw decode(const std::vector<std::vector<float>> &outputs) {
    struct pose_raw out;
    pose_decode_landmarks(outputs[0].data(), outputs[1][0], outputs[3].data(), outputs[4].data(),
                          &out);
    return out;
}

/* What 16-bit numbers between layers do to landmarks. */
void check_accuracy(cuda_where where, const struct model &model) {
    char why[GPU_WHY_SIZE] = "";
    struct net_graph *graph = model_graph(&model);
    if (graph == nullptr)
        return;
    std::vector<uint8_t> rgb;
    const struct gpu_picture picture = cuda_draw_body(rgb, 0.3f);
    std::vector<float> crop((size_t)POSE_CROP * POSE_CROP * 3 + 64);
    struct gpu_crop job;
    int code = gpu_crop_roi(&job, &picture, &cuda_middle, crop.data(), why);
    if (code == GPU_OK)
        net_kernels_find(nullptr)->crop(&job);
    crop.resize((size_t)POSE_CROP * POSE_CROP * 3);
    std::vector<std::vector<float>> outputs, wanted;
    if (code == GPU_OK)
        code = cuda_graph_run(where, graph, 1, false, crop, outputs, why);
    wanted = outputs;
    float *places[NET_MAX_INPUTS] = {};
    for (size_t i = 0; i < wanted.size(); i++)
        places[i] = wanted[i].empty() ? nullptr : wanted[i].data();
    if (code == GPU_OK)
        code = net_reference_run(graph, crop.data(), places, why);
    net_graph_free(graph);
    check_that(code == GPU_OK, "%s on a drawn body: %s", model.name, why);
    if (code != GPU_OK)
        return;
    const struct pose_raw mine = decode(outputs), theirs = decode(wanted);
    const std::vector<float> off = cuda_distances(mine, theirs);
    check_that(theirs.presence > 0.5f, "%s sees nobody in a drawn body: %g", model.name,
               (double)theirs.presence);
    /* One or two may lie further off, where a heatmap's window moves on by a cell. */
    check_that(std::fabs(mine.presence - theirs.presence) < 0.01f && off[16] < 0.05f &&
                   off[29] < 0.5f && off.back() < 4.0f,
               "%s on a drawn body: median %g, greatest %g px", model.name, (double)off[16],
               (double)off.back());
    printf("  %-18s median %.3f, greatest %.3f px of the crop, presence %.3f\n", model.name,
           (double)off[16], (double)off.back(), (double)theirs.presence);
}

} // namespace

void cuda_check_pose(cuda_where where) {
    check_crops(where);
    check_points(where);
    check_candidates(where);
    for (int i = 1; i < (where == ON_DEVICE ? 4 : 3); i++)
        check_accuracy(where, models[i]);
}
