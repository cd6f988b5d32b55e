/* device.h - how every call to CUDA is judged, and memory.
 *
 * Errors: GPU_ENOMEM for memory, GPU_EDEVICE for all else; the message has the call, CUDA's words
 * for it, and the place in the source. An error that is not the device's end is forgotten by CUDA
 * then, so that the next call is judged by itself. Threads: any. */
#ifndef STANCE_CUDA_DEVICE_H
#define STANCE_CUDA_DEVICE_H

#include "fail.h"

#include <cuda_runtime_api.h>

/* The code for what a call returned; GPU_OK leaves `why` alone. */
int cuda_judge(cudaError_t error, const char *what, const char *file, int line, char *why);

/* Leaves the function with the call's code where it failed. Needs `why`. */
#define CUDA_TRY(call)                                                                             \
    do {                                                                                           \
        const int try_code = cuda_judge((call), #call, __FILE__, __LINE__, why);                   \
        if (try_code != GPU_OK)                                                                    \
            return try_code;                                                                       \
    } while (0)

/* The same for functions of our own. */
#define GPU_TRY(call)                                                                              \
    do {                                                                                           \
        const int try_code = (call);                                                               \
        if (try_code != GPU_OK)                                                                    \
            return try_code;                                                                       \
    } while (0)

/* GPU_OK where there is a driver that this build can talk to, and a device that it was built for.
 * `properties` may be null. */
int cuda_open(cudaDeviceProp *properties, char *why);

/* A piece of memory that grows and never shrinks; what was in it is lost when it does. Zero it
 * first. */
struct cuda_room {
    void *at;
    size_t size;
    bool pinned; /* of the CPU, reachable for copies in the background; else of the device */
};
int cuda_room_reserve(cuda_room *room, size_t size, const char *purpose, char *why);
void cuda_room_free(cuda_room *room);

#endif
