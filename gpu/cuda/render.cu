/* render.cu - the renderer on a device: machines on two streams (render.h), and scenes that stay
 * there; see render/backend.h, plugin.h.
 *
 * What is sent and what comes back lies in pinned memory of each machine, so that one's copies run
 * while the other computes. A scene is copied when it is first drawn, and forgotten, the one
 * longest not drawn first, when all take more than their share of the device's memory. */
#include "cuda/plugin.h"
#include "cuda/render.h"

#include <cstdio>

namespace {

enum {
    SCENES = 256,
    COUNTED_BLOCKS = 2048,  /* for lists whose length the device knows */
    CHUNK_MEMORY = 1 << 30, /* bytes of a machine, unless a single view needs more */
    SCENE_SHARE = 4,
    CHUNK_SHARE = 8, /* parts of the device's free memory at first */
};

/* A scene on the device. */
struct kept_scene {
    uint64_t id;    /* 0: none */
    uint64_t drawn; /* when it was last used, as calls are counted */
    void *memory;
    size_t size;
    struct gpu_scene there; /* with the device's pointers; its own address on the device is `at` */
    const struct gpu_scene *at;
};

struct scene_store {
    kept_scene scenes[SCENES];
    size_t size, most;
    uint64_t calls;
};

void forget(scene_store *store, kept_scene *kept) {
    if (kept->id == 0)
        return;
    (void)cudaFree(kept->memory);
    store->size -= kept->size;
    *kept = kept_scene{};
}

/* The place of the scene that was longest not drawn, before this call; null: all were. */
kept_scene *oldest(scene_store *store) {
    kept_scene *found = nullptr;
    for (kept_scene &one : store->scenes)
        if (one.id != 0 && one.drawn != store->calls &&
            (found == nullptr || one.drawn < found->drawn))
            found = &one;
    return found;
}

kept_scene *make_place(scene_store *store, size_t size) {
    for (;;) {
        kept_scene *old = oldest(store);
        if (old != nullptr && store->size + size > store->most) {
            forget(store, old);
            continue;
        }
        for (kept_scene &one : store->scenes)
            if (one.id == 0)
                return &one;
        if (old == nullptr)
            return nullptr;
        forget(store, old);
    }
}

int copy_scene(const struct gpu_scene *scene, kept_scene *kept, char *why) {
    uint8_t *at = static_cast<uint8_t *>(kept->memory);
    kept->there = *scene;
    kept->at = reinterpret_cast<const struct gpu_scene *>(at);
    size_t used = pack_aligned(sizeof *scene);
    for (uint32_t i = 0; i < scene->array_count; i++) {
        const struct gpu_scene_array &array = scene->arrays[i];
        uint8_t *to = at + used;
        CUDA_TRY(cudaMemcpy(to, array.memory, array.bytes, cudaMemcpyHostToDevice));
        memcpy(reinterpret_cast<char *>(&kept->there) + array.slot, &to, sizeof to);
        used += pack_aligned(array.bytes);
    }
    CUDA_TRY(cudaMemcpy(at, &kept->there, sizeof kept->there, cudaMemcpyHostToDevice));
    /* Copies of pageable memory return before they are there, and no machine's stream waits. */
    CUDA_TRY(cudaStreamSynchronize(cudaStreamLegacy));
    return GPU_OK;
}

int keep_scene(scene_store *store, const struct gpu_scene *scene, const struct gpu_scene **out,
               char *why) {
    for (kept_scene &one : store->scenes)
        if (one.id == scene->id) {
            one.drawn = store->calls;
            *out = one.at;
            return GPU_OK;
        }
    size_t size = pack_aligned(sizeof *scene);
    for (uint32_t i = 0; i < scene->array_count; i++)
        size += pack_aligned(scene->arrays[i].bytes);
    kept_scene *kept = make_place(store, size);
    void *memory = nullptr;
    if (kept == nullptr)
        return gpu_fail(why, GPU_ENOMEM, "CUDA: more than %d scenes in one batch", (int)SCENES);
    cudaError_t error = cudaMalloc(&memory, size);
    while (error == cudaErrorMemoryAllocation && oldest(store) != nullptr) {
        (void)cudaGetLastError();
        forget(store, oldest(store));
        error = cudaMalloc(&memory, size);
    }
    CUDA_TRY(error);
    *kept = kept_scene{};
    kept->id = scene->id;
    kept->drawn = store->calls;
    kept->memory = memory;
    kept->size = size;
    store->size += size;
    const int code = copy_scene(scene, kept, why);
    if (code != GPU_OK) {
        forget(store, kept);
        return code;
    }
    *out = kept->at;
    return GPU_OK;
}

/* -- A machine ----------------------------------------------------------------------------------
 */

struct device_machine {
    cudaStream_t stream;
    cuda_room sent, own, back; /* the first and the last pinned */
    scene_store *store;
    struct render_times *times;            /* null: stages are not measured */
    cudaEvent_t events[RENDER_STAGES + 1]; /* where they are: the begins, and the end */
    size_t most;
    int error;

    size_t budget() const {
        return most;
    }
    uint8_t *reserve(cuda_room *room, size_t size, const char *purpose, char *why) {
        error = cuda_room_reserve(room, size, purpose, why);
        return error == GPU_OK ? static_cast<uint8_t *>(room->at) : nullptr;
    }
    uint8_t *staging(size_t size, char *why) {
        return reserve(&sent, size, "views that are sent", why);
    }
    uint8_t *memory(size_t size, char *why) {
        return reserve(&own, size, "views", why);
    }
    const struct gpu_scene *scene(const struct gpu_scene *scene, char *why) {
        const struct gpu_scene *out = nullptr;
        error = keep_scene(store, scene, &out, why);
        return out;
    }
    int begin(render_stage stage, char *why) {
        if (times == nullptr)
            return GPU_OK;
        if (events[stage] == nullptr)
            CUDA_TRY(cudaEventCreate(&events[stage]));
        CUDA_TRY(cudaEventRecord(events[stage], stream));
        return GPU_OK;
    }
    int send(size_t size, char *why) {
        CUDA_TRY(cudaMemcpyAsync(own.at, sent.at, size, cudaMemcpyHostToDevice, stream));
        return GPU_OK;
    }
    int clear(uint8_t *from, size_t size, char *why) {
        CUDA_TRY(cudaMemsetAsync(from, 0, size, stream));
        return GPU_OK;
    }
    template <class Item> int rows(const Item &item, uint32_t rows, uint32_t count, char *why) {
        CUDA_TRY(rows_launch(item, rows, count, stream));
        return GPU_OK;
    }
    template <class Item> int counted(const Item &item, char *why) {
        CUDA_TRY(counted_launch(item, COUNTED_BLOCKS, stream));
        return GPU_OK;
    }
    int fetch(const uint8_t *from, size_t size, char *why) {
        GPU_TRY(cuda_room_reserve(&back, size, "pictures that come back", why));
        CUDA_TRY(cudaMemcpyAsync(back.at, from, size, cudaMemcpyDeviceToHost, stream));
        return GPU_OK;
    }
    int finish(char *why) {
        CUDA_TRY(cudaStreamSynchronize(stream));
        for (int i = 0; times != nullptr && i < RENDER_STAGES; i++) {
            float ms = 0.0f;
            CUDA_TRY(cudaEventElapsedTime(&ms, events[i], events[i + 1]));
            times->stage[i] += 1e-3 * (double)ms;
        }
        return GPU_OK;
    }
    const uint8_t *fetched() const {
        return static_cast<const uint8_t *>(back.at);
    }
};

/* -- The backend --------------------------------------------------------------------------------
 */

struct cuda_renderer {
    struct gpu_render_backend base;
    char name[96];
    struct gpu_render_backend *cpu;
    scene_store store;
    device_machine machines[RENDER_MACHINES];
    render_chunk chunks[RENDER_MACHINES];
};

void renderer_free(struct gpu_render_backend *base) {
    cuda_renderer *renderer = reinterpret_cast<cuda_renderer *>(base);
    for (device_machine &machine : renderer->machines) {
        if (machine.stream != nullptr)
            (void)cudaStreamDestroy(machine.stream);
        for (cudaEvent_t event : machine.events)
            if (event != nullptr)
                (void)cudaEventDestroy(event);
        cuda_room_free(&machine.sent);
        cuda_room_free(&machine.own);
        cuda_room_free(&machine.back);
    }
    for (render_chunk &chunk : renderer->chunks)
        pack_free(&chunk.pack);
    for (kept_scene &kept : renderer->store.scenes)
        forget(&renderer->store, &kept);
    if (renderer->cpu != nullptr)
        renderer->cpu->free(renderer->cpu);
    free(renderer);
}

/* Where the device has no memory for chunks of this size, smaller ones are tried. */
int renderer_draw(struct gpu_render_backend *base, const struct gpu_batch *batch,
                  const struct gpu_image *images, struct gpu_timings *timings, char *why) {
    cuda_renderer *renderer = reinterpret_cast<cuda_renderer *>(base);
    CUDA_TRY(cudaSetDevice(0));
    for (int tries = 0;; tries++) {
        renderer->store.calls++;
        const int code = render_batch(renderer->machines, renderer->chunks,
                                      reinterpret_cast<struct gpu_renderer *>(renderer->cpu), batch,
                                      images, timings, why);
        if (code != GPU_ENOMEM || tries == 4)
            return code;
        for (device_machine &machine : renderer->machines) {
            cuda_room_free(&machine.own);
            machine.most /= 4;
        }
    }
}

int renderer_fill(cuda_renderer *renderer, char *why) {
    cudaDeviceProp device;
    size_t left = 0, all = 0;
    GPU_TRY(cuda_open(&device, why));
    CUDA_TRY(cudaSetDevice(0));
    CUDA_TRY(cudaMemGetInfo(&left, &all));
    GPU_TRY(gpu_render_backend_cpu(nullptr, &renderer->cpu, why));
    snprintf(renderer->name, sizeof renderer->name, "cuda (%.80s)", device.name);
    renderer->store.most = left / SCENE_SHARE;
    for (device_machine &machine : renderer->machines) {
        CUDA_TRY(cudaStreamCreateWithFlags(&machine.stream, cudaStreamNonBlocking));
        machine.sent.pinned = machine.back.pinned = true;
        machine.store = &renderer->store;
        machine.most = std::min((size_t)CHUNK_MEMORY, left / CHUNK_SHARE);
    }
    renderer->base.name = renderer->name;
    renderer->base.draw = renderer_draw;
    renderer->base.free = renderer_free;
    return GPU_OK;
}

} // namespace

int cuda_renderer_new(struct gpu_render_backend **out, char *why) {
    *out = nullptr;
    cuda_renderer *renderer = static_cast<cuda_renderer *>(calloc(1, sizeof *renderer));
    if (renderer == nullptr)
        return gpu_fail(why, GPU_ENOMEM, "no memory for the CUDA renderer");
    const int code = renderer_fill(renderer, why);
    if (code != GPU_OK) {
        renderer_free(&renderer->base);
        return code;
    }
    *out = &renderer->base;
    return GPU_OK;
}

void cuda_renderer_time(struct gpu_render_backend *base, struct render_times *times) {
    for (device_machine &machine : reinterpret_cast<cuda_renderer *>(base)->machines)
        machine.times = times;
}
