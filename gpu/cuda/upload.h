/* upload.h - crops on their way to the device: what of each picture the networks will look at is
 * put into pinned memory and copied in the background.
 *
 * There are two slots, so that the next batch is gathered while one is under way. A slot is filled
 * (upload_begin, then upload_add for each crop while it says there is room, then upload_send),
 * used, and free again when its `done` event has passed.
 *
 * Threads: its owner's. */
#ifndef STANCE_CUDA_UPLOAD_H
#define STANCE_CUDA_UPLOAD_H

#include "cpu/net_kernels.h"
#include "cuda/device.h"

enum { UPLOAD_MOST = 64 }; /* crops in a slot */

/* A crop, and the window of its picture that is copied. */
struct upload_crop {
    const struct gpu_picture *picture;
    const struct pose_roi *roi;   /* null: letterboxed for the detector */
    uint32_t x, y, width, height; /* within the part that is there */
};

struct upload_slot {
    cuda_room pinned, device; /* UPLOAD_MOST jobs, then pixels */
    upload_crop crops[UPLOAD_MOST];
    uint32_t count;
    size_t bytes;
    cudaEvent_t sent, done;
    bool busy;      /* `done` was asked for */
    uint32_t first; /* its owner's number of the first crop */
};

int upload_init(upload_slot *slot, char *why);
void upload_deinit(upload_slot *slot);

void upload_begin(upload_slot *slot, uint32_t first);

/* False: it does not fit any more; the first crop always does. */
bool upload_add(upload_slot *slot, const struct gpu_picture *picture, const struct pose_roi *roi);

/* Copies a sound picture's window to `to` and makes its job, for pixels that will lie at `device`.
 */
int upload_gather(const upload_crop *crop, uint8_t *to, const uint8_t *device, struct gpu_crop *job,
                  char *why);

/* Gathers all and copies it on `copies`; what `stream` does next waits for it. */
int upload_send(upload_slot *slot, cudaStream_t copies, cudaStream_t stream, char *why);

/* The jobs on the device. */
static inline const struct gpu_crop *upload_jobs(const upload_slot *slot) {
    return static_cast<const struct gpu_crop *>(slot->device.at);
}

#endif
