/* shadow.h - what a pose casts: the sun's depth map of the body, and the dark on the ground. Done
 * once a pose and used by all of its views. A shadow owns its buffers, which only grow; it belongs
 * to one thread at a time. */
#ifndef STANCE_GPU_SHADOW_H
#define STANCE_GPU_SHADOW_H

#include "kernels.h"

struct gpu_buffer {
    void *memory;
    size_t size;
};

/* Makes room for at least count * size bytes, aligned to 64; what was there is lost. False: out of
 * memory. */
bool gpu_buffer_reserve(struct gpu_buffer *buffer, size_t count, size_t size);
void gpu_buffer_deinit(struct gpu_buffer *buffer);

struct gpu_shadow_maps {
    struct gpu_shadow sun;
    struct gpu_ground ground;
    struct gpu_buffer depth, cells, scratch, contact;
};

/* Draws the maps of skinned `vertices`; `projected` is scratch. False: out of memory. */
bool gpu_shadow_draw(struct gpu_shadow_maps *maps, const struct gpu_kernels *kernels,
                     const struct gpu_scene *scene, const float *vertices,
                     const struct gpu_projected *projected, const struct gpu_lighting *lighting,
                     uint32_t size);

void gpu_shadow_deinit(struct gpu_shadow_maps *maps);

#endif
