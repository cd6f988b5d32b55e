/* backend.cu - people by crops, networks and decoding on a device; see pose/backend.h, plugin.h.
 *
 * A call's crops go in batches through two slots: while the device works on one, the next is
 * gathered and copied. Everything that computes is on one stream, so the networks' memory and the
 * decoded results are safe between batches; what comes back lies in pinned memory of each slot. A
 * batch is filled up to a power of two, of which each has a recording of its own (net.h). */
#include "cuda/net.h"
#include "cuda/plugin.h"
#include "cuda/pose.h"
#include "cuda/upload.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

enum { SLOTS = 2 };

struct lane {
    upload_slot upload;
    cuda_room results; /* pinned: pose_raw, or numbers and candidates */
};

struct cuda_backend {
    struct pose_backend base;
    char name[96];
    cudaStream_t stream, copies;
    cuda_net *detector, *landmarks;
    lane lanes[SLOTS];
    cuda_room raws;          /* [batch] pose_raw */
    cuda_room found, counts; /* [batch][POSE_ANCHORS] pose_found; [batch], and what is least */
};

struct cuda_backend *cuda_of(struct pose_backend *base) {
    return reinterpret_cast<cuda_backend *>(base);
}

/* A call in the making: what each kind of it does with a batch. */
struct call {
    cuda_backend *cuda;
    cuda_net *net;
    cuda_tail tail;
    /* Asks for the results of the lane's batch to be copied back, */
    int (*fetch)(call *self, lane *from, char *why);
    /* and takes them, once they are here. */
    void (*collect)(call *self, const lane *from);
    struct pose_raw *raws;
    struct pose_candidate *candidates;
    uint32_t *counts, room;
};

/* -- What follows a network ---------------------------------------------------------------------
 */

int decode_points(void *context, uint32_t batch, cudaStream_t stream, char *why) {
    const cuda_backend *cuda = static_cast<const cuda_backend *>(context);
    const cuda_net *net = cuda->landmarks;
    const pose_points item = {cuda_net_output(net, 0), cuda_net_output(net, 1),
                              cuda_net_output(net, 3), cuda_net_output(net, 4),
                              static_cast<struct pose_raw *>(cuda->raws.at)};
    CUDA_TRY(items_launch(item, batch * POSE_POINTS, stream));
    return GPU_OK;
}

/* The least score lies behind the numbers of candidates. */
float *least_of(const cuda_backend *cuda) {
    return reinterpret_cast<float *>(static_cast<uint32_t *>(cuda->counts.at) + UPLOAD_MOST);
}

int decode_anchors(void *context, uint32_t batch, cudaStream_t stream, char *why) {
    const cuda_backend *cuda = static_cast<const cuda_backend *>(context);
    const cuda_net *net = cuda->detector;
    const pose_anchors item = {cuda_net_output(net, 0), cuda_net_output(net, 1), least_of(cuda),
                               static_cast<uint32_t *>(cuda->counts.at),
                               static_cast<struct pose_found *>(cuda->found.at)};
    CUDA_TRY(cudaMemsetAsync(item.counts, 0, UPLOAD_MOST * sizeof(uint32_t), stream));
    CUDA_TRY(items_launch(item, batch * POSE_ANCHORS, stream));
    return GPU_OK;
}

/* -- Batches ------------------------------------------------------------------------------------
 */

uint32_t filled_up(uint32_t count) {
    uint32_t out = 1;
    while (out < count)
        out *= 2;
    return out;
}

/* Room for the batches that `count` crops make. New places of results are not those that were
 * recorded. */
int reserve(cuda_backend *cuda, cuda_net *net, uint32_t count, char *why) {
    const size_t batch = filled_up(std::min(count, (uint32_t)UPLOAD_MOST));
    cuda_room *room = net == cuda->detector ? &cuda->found : &cuda->raws;
    const size_t size =
        net == cuda->detector ? POSE_ANCHORS * sizeof(struct pose_found) : sizeof(struct pose_raw);
    if (batch * size > room->size)
        cuda_net_forget(net);
    GPU_TRY(cuda_room_reserve(room, batch * size, "results", why));
    GPU_TRY(cuda_room_reserve(&cuda->counts, UPLOAD_MOST * sizeof(uint32_t) + sizeof(float),
                              "results", why));
    return cuda_net_reserve(net, (uint32_t)batch, why);
}

/* Enqueues a lane's batch: copies, crops, the network, decoding, and the copy back. */
int start(call *self, lane *to, char *why) {
    cuda_backend *cuda = self->cuda;
    const uint32_t count = to->upload.count;
    GPU_TRY(upload_send(&to->upload, cuda->copies, cuda->stream, why));
    const cuda_shape in = cuda_net_input_shape(self->net, count);
    const pose_crop item = {upload_jobs(&to->upload), cuda_net_input(self->net), in.width};
    CUDA_TRY(items_launch(item, count * in.width * in.width, cuda->stream));
    GPU_TRY(cuda_net_run(self->net, filled_up(count), &self->tail, why));
    GPU_TRY(self->fetch(self, to, why));
    CUDA_TRY(cudaEventRecord(to->upload.done, cuda->stream));
    to->upload.busy = true;
    return GPU_OK;
}

int finish(call *self, lane *from, char *why) {
    if (!from->upload.busy)
        return GPU_OK;
    from->upload.busy = false;
    CUDA_TRY(cudaEventSynchronize(from->upload.done));
    self->collect(self, from);
    return GPU_OK;
}

/* Crop i: of pictures[i], or of *places[i] where that is given with its square. */
int run_batches(call *self, const struct gpu_picture *pictures,
                const struct gpu_picture *const *places, const struct pose_roi *rois,
                uint32_t count, char *why) {
    cuda_backend *cuda = self->cuda;
    int turn = 0;
    for (uint32_t next = 0; next < count; turn = (turn + 1) % SLOTS) {
        lane *to = &cuda->lanes[turn];
        GPU_TRY(finish(self, to, why));
        upload_begin(&to->upload, next);
        while (next < count &&
               upload_add(&to->upload, places != nullptr ? places[next] : &pictures[next],
                          rois != nullptr ? &rois[next] : nullptr))
            next++;
        GPU_TRY(start(self, to, why));
    }
    for (int i = 0; i < SLOTS; i++, turn = (turn + 1) % SLOTS)
        GPU_TRY(finish(self, &cuda->lanes[turn], why));
    return GPU_OK;
}

/* After a failure nothing may be under way: the pictures are the caller's again. */
int settle(cuda_backend *cuda, int code) {
    if (code == GPU_OK)
        return code;
    (void)cudaStreamSynchronize(cuda->copies);
    (void)cudaStreamSynchronize(cuda->stream);
    (void)cudaGetLastError();
    for (lane &one : cuda->lanes)
        one.upload.busy = false;
    return code;
}

/* -- Landmarks ----------------------------------------------------------------------------------
 */

int fetch_raws(call *self, lane *from, char *why) {
    const size_t size = from->upload.count * sizeof(struct pose_raw);
    GPU_TRY(cuda_room_reserve(&from->results, size, "results", why));
    CUDA_TRY(cudaMemcpyAsync(from->results.at, self->cuda->raws.at, size, cudaMemcpyDeviceToHost,
                             self->cuda->stream));
    return GPU_OK;
}

void collect_raws(call *self, const lane *from) {
    memcpy(self->raws + from->upload.first, from->results.at,
           from->upload.count * sizeof(struct pose_raw));
}

int cuda_landmarks(struct pose_backend *base, const struct gpu_picture *const *pictures,
                   const struct pose_roi *rois, uint32_t count, struct pose_raw *out, char *why) {
    cuda_backend *cuda = cuda_of(base);
    call self = {};
    self.cuda = cuda;
    self.net = cuda->landmarks;
    self.tail = cuda_tail{decode_points, cuda};
    self.fetch = fetch_raws;
    self.collect = collect_raws;
    self.raws = out;
    int code = reserve(cuda, self.net, count, why);
    if (code == GPU_OK)
        code = run_batches(&self, nullptr, pictures, rois, count, why);
    return settle(cuda, code);
}

/* -- Detection ----------------------------------------------------------------------------------
 */

/* Numbers of candidates, then all that a picture can have, for each. */
int fetch_found(call *self, lane *from, char *why) {
    const size_t numbers = UPLOAD_MOST * sizeof(uint32_t);
    const size_t size = from->upload.count * POSE_ANCHORS * sizeof(struct pose_found);
    const cuda_backend *cuda = self->cuda;
    GPU_TRY(cuda_room_reserve(&from->results, numbers + size, "results", why));
    uint8_t *to = static_cast<uint8_t *>(from->results.at);
    CUDA_TRY(cudaMemcpyAsync(to, cuda->counts.at, numbers, cudaMemcpyDeviceToHost, cuda->stream));
    CUDA_TRY(
        cudaMemcpyAsync(to + numbers, cuda->found.at, size, cudaMemcpyDeviceToHost, cuda->stream));
    return GPU_OK;
}

bool comes_first(const struct pose_found &a, const struct pose_found &b) {
    if (a.candidate.score != b.candidate.score)
        return a.candidate.score > b.candidate.score;
    return a.anchor < b.anchor;
}

void collect_found(call *self, const lane *from) {
    const uint32_t *numbers = static_cast<const uint32_t *>(from->results.at);
    struct pose_found *found = reinterpret_cast<struct pose_found *>(
        static_cast<uint32_t *>(from->results.at) + UPLOAD_MOST);
    for (uint32_t i = 0; i < from->upload.count; i++, found += POSE_ANCHORS) {
        const uint32_t to = from->upload.first + i, many = std::min(numbers[i], self->room);
        std::sort(found, found + numbers[i], comes_first);
        for (uint32_t k = 0; k < many; k++)
            self->candidates[(size_t)to * self->room + k] = found[k].candidate;
        self->counts[to] = many;
    }
}

int cuda_detect(struct pose_backend *base, const struct gpu_picture *pictures, uint32_t count,
                float least, uint32_t room, struct pose_candidate *candidates, uint32_t *counts,
                char *why) {
    cuda_backend *cuda = cuda_of(base);
    call self = {};
    self.cuda = cuda;
    self.net = cuda->detector;
    self.tail = cuda_tail{decode_anchors, cuda};
    self.fetch = fetch_found;
    self.collect = collect_found;
    self.candidates = candidates;
    self.counts = counts;
    self.room = room;
    int code = reserve(cuda, self.net, count, why);
    if (code == GPU_OK)
        code = cuda_judge(cudaMemcpyAsync(least_of(cuda), &least, sizeof least,
                                          cudaMemcpyHostToDevice, cuda->stream),
                          "copying a score", __FILE__, __LINE__, why);
    if (code == GPU_OK)
        code = run_batches(&self, pictures, nullptr, nullptr, count, why);
    return settle(cuda, code);
}

/* -- Beginning and end --------------------------------------------------------------------------
 */

size_t cuda_memory(const struct pose_backend *base) {
    const cuda_backend *cuda = reinterpret_cast<const cuda_backend *>(base);
    size_t out = sizeof *cuda + cuda_net_memory(cuda->detector) + cuda_net_memory(cuda->landmarks) +
                 cuda->raws.size + cuda->found.size + cuda->counts.size;
    for (const lane &one : cuda->lanes)
        out += one.upload.pinned.size + one.upload.device.size + one.results.size;
    return out;
}

void cuda_free(struct pose_backend *base) {
    cuda_backend *cuda = cuda_of(base);
    if (cuda == nullptr)
        return;
    settle(cuda, GPU_EDEVICE);
    cuda_net_free(cuda->detector);
    cuda_net_free(cuda->landmarks);
    for (lane &one : cuda->lanes) {
        upload_deinit(&one.upload);
        cuda_room_free(&one.results);
    }
    cuda_room_free(&cuda->raws);
    cuda_room_free(&cuda->found);
    cuda_room_free(&cuda->counts);
    if (cuda->copies != nullptr)
        (void)cudaStreamDestroy(cuda->copies);
    if (cuda->stream != nullptr)
        (void)cudaStreamDestroy(cuda->stream);
    free(cuda);
}

/* The pipeline checks that the graphs are MediaPipe's; here only what the kernels would stumble
 * over. */
int check_outputs(const cuda_backend *cuda, char *why) {
    static const size_t detector[] = {(size_t)POSE_ANCHORS * POSE_BOX_FLOATS, POSE_ANCHORS};
    static const size_t landmarks[] = {POSE_POINTS * POSE_POINT_FLOATS, 1, 0,
                                       (size_t)POSE_HEATMAP * POSE_HEATMAP * POSE_POINTS,
                                       POSE_POINTS * 3};
    const plan *boxes = cuda_net_plan(cuda->detector), *points = cuda_net_plan(cuda->landmarks);
    const cuda_shape box_crop = cuda_net_input_shape(cuda->detector, 1);
    const cuda_shape point_crop = cuda_net_input_shape(cuda->landmarks, 1);
    bool fit = boxes->output_count == 2 && points->output_count == 5 &&
               box_crop.height == POSE_DETECTOR_CROP && box_crop.width == POSE_DETECTOR_CROP &&
               point_crop.height == POSE_CROP && point_crop.width == POSE_CROP &&
               box_crop.channels == CUDA_LANES && point_crop.channels == CUDA_LANES;
    for (int i = 0; fit && i < 2; i++)
        fit = boxes->outputs[i] == detector[i];
    for (int i = 0; fit && i < 5; i++)
        fit = landmarks[i] == 0 || points->outputs[i] == landmarks[i];
    return fit ? (int)GPU_OK : gpu_fail(why, GPU_EINVAL, "CUDA: these are not pose networks");
}

int fill(cuda_backend *cuda, const struct pose_graphs *graphs, char *why) {
    cudaDeviceProp device;
    GPU_TRY(cuda_open(&device, why));
    CUDA_TRY(cudaSetDevice(0));
    snprintf(cuda->name, sizeof cuda->name, "cuda (%.80s)", device.name);
    CUDA_TRY(cudaStreamCreateWithFlags(&cuda->stream, cudaStreamNonBlocking));
    CUDA_TRY(cudaStreamCreateWithFlags(&cuda->copies, cudaStreamNonBlocking));
    GPU_TRY(cuda_net_new(graphs->detector, cuda->stream, &cuda->detector, why));
    GPU_TRY(cuda_net_new(graphs->landmarks, cuda->stream, &cuda->landmarks, why));
    GPU_TRY(check_outputs(cuda, why));
    for (lane &one : cuda->lanes) {
        one.results.pinned = true;
        GPU_TRY(upload_init(&one.upload, why));
    }
    /* What a single picture needs is there from the start, and recorded. */
    const cuda_tail anchors = {decode_anchors, cuda}, points = {decode_points, cuda};
    const float none = 2.0f;
    GPU_TRY(reserve(cuda, cuda->detector, 1, why));
    GPU_TRY(reserve(cuda, cuda->landmarks, 1, why));
    CUDA_TRY(
        cudaMemcpyAsync(least_of(cuda), &none, sizeof none, cudaMemcpyHostToDevice, cuda->stream));
    GPU_TRY(cuda_net_run(cuda->detector, 1, &anchors, why));
    GPU_TRY(cuda_net_run(cuda->landmarks, 1, &points, why));
    CUDA_TRY(cudaStreamSynchronize(cuda->stream));
    return GPU_OK;
}

int backend_new(const struct pose_graphs *graphs, struct pose_backend **out, char *why) {
    *out = nullptr;
    cuda_backend *cuda = static_cast<cuda_backend *>(calloc(1, sizeof *cuda));
    if (cuda == nullptr)
        return gpu_fail(why, GPU_ENOMEM, "no memory for the CUDA backend");
    const int code = fill(cuda, graphs, why);
    if (code != GPU_OK) {
        cuda_free(&cuda->base);
        return code;
    }
    cuda->base.name = cuda->name;
    cuda->base.detect = cuda_detect;
    cuda->base.landmarks = cuda_landmarks;
    cuda->base.memory = cuda_memory;
    cuda->base.free = cuda_free;
    *out = &cuda->base;
    return GPU_OK;
}

int describe(char *line, char *why) {
    cudaDeviceProp device;
    GPU_TRY(cuda_open(&device, why));
    snprintf(line, GPU_WHY_SIZE, "%.100s, capability %d.%d, %zu MB", device.name, device.major,
             device.minor, device.totalGlobalMem >> 20);
    return GPU_OK;
}

} // namespace

/* render.cu */
int cuda_renderer_new(struct gpu_render_backend **out, char *why);

extern "C" __attribute__((visibility("default"))) const struct cuda_plugin *stance_cuda_plugin() {
    static const struct cuda_plugin plugin = {CUDA_PLUGIN_VERSION, CUDA_PLUGIN_LAYOUT, backend_new,
                                              cuda_renderer_new, describe};
    return &plugin;
}
