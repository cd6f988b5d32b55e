/* upload.cu - see upload.h. */
#include "cuda/upload.h"

#include <algorithm>
#include <cmath>
#include <cstring>

enum { ENOUGH_BYTES = 64 << 20, MARGIN = 2 };
static const size_t jobs_size = UPLOAD_MOST * sizeof(struct gpu_crop);

int upload_init(upload_slot *slot, char *why) {
    slot->pinned.pinned = true;
    CUDA_TRY(cudaEventCreateWithFlags(&slot->sent, cudaEventDisableTiming));
    CUDA_TRY(cudaEventCreateWithFlags(&slot->done, cudaEventDisableTiming));
    return GPU_OK;
}

void upload_deinit(upload_slot *slot) {
    if (slot->sent != nullptr)
        (void)cudaEventDestroy(slot->sent);
    if (slot->done != nullptr)
        (void)cudaEventDestroy(slot->done);
    cuda_room_free(&slot->pinned);
    cuda_room_free(&slot->device);
}

void upload_begin(upload_slot *slot, uint32_t first) {
    slot->count = 0;
    slot->bytes = 0;
    slot->first = first;
}

/* From the pixel before `middle - reach` to the one behind, as far as there are any; for what is
 * no number, all. */
static void span(double middle, double reach, uint32_t size, uint32_t *first, uint32_t *count) {
    const double most = size - 1.0;
    double from = std::floor(middle - reach) - MARGIN, to = std::ceil(middle + reach) + MARGIN;
    if (!std::isfinite(from) || !std::isfinite(to)) {
        from = 0.0;
        to = most;
    }
    *first = (uint32_t)std::min(std::max(from, 0.0), most);
    *count = (uint32_t)std::min(std::max(to, 0.0), most) - *first + 1;
}

bool upload_add(upload_slot *slot, const struct gpu_picture *picture, const struct pose_roi *roi) {
    if (slot->count == UPLOAD_MOST)
        return false;
    upload_crop crop = {picture, roi, 0, 0, picture->width, picture->height};
    if (roi != nullptr && picture->width > 0 && picture->height > 0) {
        const double reach = std::fabs((double)roi->size) / 2.0 *
                             (std::fabs(std::cos((double)roi->rotation)) +
                              std::fabs(std::sin((double)roi->rotation)));
        span((double)roi->x - picture->x, reach, picture->width, &crop.x, &crop.width);
        span((double)roi->y - picture->y, reach, picture->height, &crop.y, &crop.height);
    }
    const size_t bytes = (size_t)crop.width * crop.height * picture->channels;
    if (slot->count > 0 && slot->bytes + bytes > ENOUGH_BYTES)
        return false;
    slot->crops[slot->count++] = crop;
    slot->bytes += (bytes + 15) / 16 * 16;
    return true;
}

int upload_gather(const upload_crop *crop, uint8_t *to, const uint8_t *device, struct gpu_crop *job,
                  char *why) {
    struct gpu_picture window = *crop->picture;
    const size_t row = (size_t)crop->width * window.channels;
    const uint8_t *from = window.rgb + crop->y * window.stride + (size_t)crop->x * window.channels;
    for (uint32_t y = 0; y < crop->height; y++)
        memcpy(to + y * row, from + y * window.stride, row);
    window.rgb = to;
    window.stride = row;
    window.x += crop->x;
    window.y += crop->y;
    window.width = crop->width;
    window.height = crop->height;
    GPU_TRY(crop->roi != nullptr ? gpu_crop_roi(job, &window, crop->roi, nullptr, why)
                                 : gpu_crop_letterbox(job, &window, nullptr, why));
    job->rgb = device;
    return GPU_OK;
}

int upload_send(upload_slot *slot, cudaStream_t copies, cudaStream_t stream, char *why) {
    struct gpu_crop job; /* judges the pictures as they came, before anything is done for them */
    for (uint32_t i = 0; i < slot->count; i++)
        GPU_TRY(gpu_crop_letterbox(&job, slot->crops[i].picture, nullptr, why));
    const size_t size = jobs_size + slot->bytes;
    /* Squares change from frame to frame: room for a little more than this time. */
    const size_t room = size <= slot->device.size ? size : size + size / 4;
    GPU_TRY(cuda_room_reserve(&slot->pinned, room, "pictures", why));
    GPU_TRY(cuda_room_reserve(&slot->device, room, "pictures", why));
    struct gpu_crop *jobs = static_cast<struct gpu_crop *>(slot->pinned.at);
    uint8_t *here = static_cast<uint8_t *>(slot->pinned.at) + jobs_size;
    const uint8_t *there = static_cast<const uint8_t *>(slot->device.at) + jobs_size;
    for (uint32_t i = 0; i < slot->count; i++) {
        const upload_crop *crop = &slot->crops[i];
        GPU_TRY(upload_gather(crop, here, there, &jobs[i], why));
        const size_t bytes = (size_t)crop->width * crop->height * crop->picture->channels;
        here += (bytes + 15) / 16 * 16;
        there += (bytes + 15) / 16 * 16;
    }
    CUDA_TRY(
        cudaMemcpyAsync(slot->device.at, slot->pinned.at, size, cudaMemcpyHostToDevice, copies));
    CUDA_TRY(cudaEventRecord(slot->sent, copies));
    CUDA_TRY(cudaStreamWaitEvent(stream, slot->sent, 0));
    return GPU_OK;
}
