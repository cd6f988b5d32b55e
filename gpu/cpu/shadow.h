/* shadow.h - what the bodies of a frame cast: the sun's depth maps of them, and the dark on the
 * ground. Done once a frame and used by all of its views. The maps own their buffers, which only
 * grow; they belong to one thread at a time. */
#ifndef STANCE_GPU_SHADOW_H
#define STANCE_GPU_SHADOW_H

#include "kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gpu_buffer {
    void *memory;
    size_t size;
};

/* Makes room for at least count * size bytes, aligned to 64; what was there is lost. False: out of
 * memory. */
bool gpu_buffer_reserve(struct gpu_buffer *buffer, size_t count, size_t size);
void gpu_buffer_deinit(struct gpu_buffer *buffer);

/* A body that casts shadows. */
struct gpu_caster {
    const struct gpu_scene *scene;
    const float *vertices; /* skinned */
};

struct gpu_shadow_maps {
    struct gpu_daylight light;
    struct gpu_buffer casts, depth, cells, scratch, contact, gloss, open, grid;
};

/* Finds the open share of sky of a body's vertices: `out` [padded_vertices]; `buffer` is scratch.
 * False: out of memory. openness.c */
bool gpu_open_find(struct gpu_buffer *buffer, const struct gpu_kernels *kernels,
                   const struct gpu_caster *caster, const float box[6], float strength, float *out);

/* Draws the maps of a frame's bodies and fills maps->light with them; it points to `lighting`.
 * `projected` is scratch, as large as the largest body. size: texels a side of a body's map; many
 * bodies share the memory of four. False: out of memory. */
bool gpu_shadow_draw(struct gpu_shadow_maps *maps, const struct gpu_kernels *kernels,
                     const struct gpu_caster *casters, uint32_t count,
                     const struct gpu_projected *projected, const struct gpu_lighting *lighting,
                     uint32_t size);

void gpu_shadow_deinit(struct gpu_shadow_maps *maps);

#ifdef __cplusplus
}
#endif
#endif
