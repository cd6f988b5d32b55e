/* cuda_backend.cu - on a device: the plug-in's backend beside the CPU's on drawn bodies, and
 * batches beside single pictures. */
#include "check/cuda_check.h"
#include "check/models.h"
#include "cuda/plugin.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

extern "C" cuda_plugin_entry stance_cuda_plugin;

namespace {

enum { VIEWS = 5, CROPS = 150 }; /* more than two slots hold */

struct backends {
    struct pose_graphs graphs;
    struct pose_backend *cuda, *cpu;
    std::vector<uint8_t> pixels[VIEWS];
    struct gpu_picture pictures[VIEWS];
};

void check_detection(backends &b) {
    enum { ROOM = 64 };
    char why[GPU_WHY_SIZE] = "";
    std::vector<struct pose_candidate> mine(VIEWS * ROOM), theirs(VIEWS * ROOM);
    uint32_t counts[VIEWS], wanted[VIEWS];
    const bool ran =
        b.cuda->detect(b.cuda, b.pictures, VIEWS, 0.5f, ROOM, mine.data(), counts, why) == GPU_OK &&
        b.cpu->detect(b.cpu, b.pictures, VIEWS, 0.5f, ROOM, theirs.data(), wanted, why) == GPU_OK;
    check_that(ran, "detection: %s", why);
    double worst = 0.0;
    for (int i = 0; ran && i < VIEWS; i++) {
        check_that((counts[i] > 0) == (wanted[i] > 0), "view %d: %u candidates, the CPU has %u", i,
                   counts[i], wanted[i]);
        if (counts[i] == 0 || wanted[i] == 0)
            continue;
        for (int k = 0; k < 4; k++)
            worst =
                std::max(worst, (double)std::fabs(mine[i * ROOM].box[k] - theirs[i * ROOM].box[k]));
    }
    check_that(worst < 0.02, "boxes are %g of the picture apart", worst);
    printf("  %-18s best boxes %.4f of the picture apart\n", "detection", worst);
}

void check_landmarks(backends &b) {
    char why[GPU_WHY_SIZE] = "";
    std::vector<const struct gpu_picture *> pictures(CROPS);
    std::vector<struct pose_roi> rois(CROPS, cuda_middle);
    std::vector<struct pose_raw> batch(CROPS);
    struct pose_raw alone, theirs;
    for (int i = 0; i < CROPS; i++) {
        pictures[i] = &b.pictures[cuda_below(VIEWS)];
        rois[i].x += 40.0f * cuda_random() - 20.0f;
        rois[i].rotation = 0.4f * cuda_random() - 0.2f;
    }
    bool ran =
        b.cuda->landmarks(b.cuda, pictures.data(), rois.data(), CROPS, batch.data(), why) == GPU_OK;
    double worst_median = 0.0;
    for (int i = 0; ran && i < CROPS; i += 9) {
        ran = b.cuda->landmarks(b.cuda, &pictures[i], &rois[i], 1, &alone, why) == GPU_OK &&
              b.cpu->landmarks(b.cpu, &pictures[i], &rois[i], 1, &theirs, why) == GPU_OK;
        if (!ran)
            break;
        /* By other convolutions, where cuDNN's were chosen. */
        check_that(cuda_distances(alone, batch[i])[16] < 0.05f,
                   "crop %d: other landmarks in a batch than alone", i);
        worst_median = std::max(worst_median, (double)cuda_distances(alone, theirs)[16]);
    }
    check_that(ran, "landmarks: %s", why);
    check_that(worst_median < 0.1, "landmarks: a median of %g px", worst_median);
    printf("  %-18s greatest median %.3f px of the crop\n", "landmarks", worst_median);
}

} // namespace

void cuda_check_backend() {
    backends b = {};
    char why[GPU_WHY_SIZE] = "";
    b.graphs.detector = model_graph(&models[0]);
    b.graphs.landmarks = model_graph(&models[2]);
    for (int i = 0; i < VIEWS; i++)
        b.pictures[i] = cuda_draw_body(b.pixels[i], 0.3f * (float)i - 0.6f);
    if (b.graphs.detector != nullptr && b.graphs.landmarks != nullptr) {
        const int on_cpu = pose_backend_cpu(&b.graphs, &b.cpu, why);
        const bool both = on_cpu == GPU_OK &&
                          stance_cuda_plugin()->backend_new(&b.graphs, &b.cuda, why) == GPU_OK;
        if (on_cpu == GPU_EDEVICE)
            check_skip(why);
        else
            check_that(both, "a backend: %s", why);
        if (both) {
            check_detection(b);
            check_landmarks(b);
        }
    }
    if (b.cuda != nullptr)
        b.cuda->free(b.cuda);
    if (b.cpu != nullptr)
        b.cpu->free(b.cpu);
    net_graph_free(b.graphs.detector);
    net_graph_free(b.graphs.landmarks);
}
