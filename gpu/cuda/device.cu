/* device.cu - see device.h. */
#include "cuda/device.h"

#include <cstring>

int cuda_judge(cudaError_t error, const char *what, const char *file, int line, char *why) {
    if (error == cudaSuccess)
        return GPU_OK;
    (void)cudaGetLastError();
    const char *name = strrchr(file, '/');
    return gpu_fail(why, error == cudaErrorMemoryAllocation ? GPU_ENOMEM : GPU_EDEVICE,
                    "CUDA: %.120s: %s (%s:%d)", what, cudaGetErrorString(error),
                    name == nullptr ? file : name + 1, line);
}

int cuda_open(cudaDeviceProp *properties, char *why) {
    int count = 0;
    cudaDeviceProp found = {};
    const cudaError_t error = cudaGetDeviceCount(&count);
    (void)cudaGetLastError();
    if (error == cudaErrorInsufficientDriver || error == cudaErrorStubLibrary)
        return gpu_fail(why, GPU_EDEVICE,
                        "CUDA: no NVIDIA driver, or one older than CUDA %d.%d: install it, or use "
                        "the backend cpu",
                        CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0))
        return gpu_fail(why, GPU_EDEVICE, "CUDA: there is a driver, but no device");
    CUDA_TRY(error);
    CUDA_TRY(cudaGetDeviceProperties(&found, 0));
    if (found.major < 7 || (found.major == 7 && found.minor < 5))
        return gpu_fail(why, GPU_EDEVICE,
                        "CUDA: %s has compute capability %d.%d, this build needs 7.5", found.name,
                        found.major, found.minor);
    if (properties != nullptr)
        *properties = found;
    return GPU_OK;
}

int cuda_room_reserve(cuda_room *room, size_t size, const char *purpose, char *why) {
    if (size <= room->size)
        return GPU_OK;
    const bool pinned = room->pinned;
    cuda_room_free(room);
    const cudaError_t error =
        pinned ? cudaMallocHost(&room->at, size) : cudaMalloc(&room->at, size);
    if (error == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        room->at = nullptr;
        return gpu_fail(why, GPU_ENOMEM, "CUDA: no %zu MB of %s for %s", size >> 20,
                        pinned ? "pinned memory" : "device memory", purpose);
    }
    CUDA_TRY(error);
    room->size = size;
    return GPU_OK;
}

void cuda_room_free(cuda_room *room) {
    if (room->at != nullptr)
        (void)(room->pinned ? cudaFreeHost(room->at) : cudaFree(room->at));
    room->at = nullptr;
    room->size = 0;
}
