/* scene.h - a character as the kernels want it: what gpu_scene_new makes of a gpu_scene_desc.
 *
 * A scene is immutable once made. Vertices and triangles are padded to GPU_PAD with copies of the
 * last vertex and with triangles of no area, so that kernels run over whole vectors. */
#ifndef STANCE_GPU_SCENE_H
#define STANCE_GPU_SCENE_H

#include "fail.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    GPU_PAD = 16,          /* the widest vector, in floats */
    GPU_VERTEX_FLOATS = 8, /* x y z u, nx ny nz v: one cache line holds two vertices */
    GPU_MAX_INFLUENCES = 8,
    GPU_MAX_LEVELS = 16,     /* of a texture's pyramid */
    GPU_MAX_TEXTURE = 16384, /* texels a side */
};

enum gpu_triangle_flag {
    GPU_TRIANGLE_DOUBLE_SIDED = 1,
    GPU_TRIANGLE_ALPHA_TEST = 2, /* some of it is a hole, or may be */
    GPU_TRIANGLE_HOLE = 4,       /* all of it is */
};

/* A texture's pyramid lies in gpu_scene.texels, level after level, rows from the top. A texel is R
 * | G << 8 | B << 16 | A << 24. Colours are square roots of linear light: that keeps eight bits
 * enough in the dark, and decoding is one product a channel. What is read as data alone (normals,
 * roughness) is as it came. */
struct gpu_texture_levels {
    uint32_t first, count; /* in gpu_scene.level_* */
};

/* A material's numbers, a cache line. */
enum gpu_material_slot {
    GPU_MATERIAL_RED, /* base colour, linear */
    GPU_MATERIAL_GREEN,
    GPU_MATERIAL_BLUE,
    GPU_MATERIAL_ALPHA,
    GPU_MATERIAL_EMISSIVE, /* red, green, blue */
    GPU_MATERIAL_METALLIC = GPU_MATERIAL_EMISSIVE + 3,
    GPU_MATERIAL_ROUGHNESS,
    GPU_MATERIAL_NORMAL_SCALE,
    GPU_MATERIAL_OCCLUSION,
    GPU_MATERIAL_CUTOFF,
    GPU_MATERIAL_ROW = 16,
};

enum gpu_map { GPU_MAP_COLOR, GPU_MAP_ROUGH, GPU_MAP_NORMAL, GPU_MAP_EMISSIVE, GPU_MAPS };

/* One of a scene's arrays, so that a backend with memory of its own can copy them all. */
struct gpu_scene_array {
    size_t slot, bytes; /* the pointer's place in struct gpu_scene; what it points to */
    void *memory;
};

enum { GPU_SCENE_ARRAYS = 32 };

struct gpu_scene {
    uint64_t id; /* no other scene of this process has, or will have, the same */
    struct gpu_scene_array arrays[GPU_SCENE_ARRAYS];
    uint32_t array_count;
    uint32_t vertex_count, triangle_count, joint_count, material_count, texture_count, morph_count;
    uint32_t padded_vertices, padded_triangles;
    uint32_t influences; /* 1..8, as many as any vertex needs */
    float *vertices;     /* [padded_vertices][GPU_VERTEX_FLOATS], bind space */
    float *weights;      /* [padded_vertices][influences], largest first */
    uint32_t *joints;    /* likewise; joint * 12: the offset in a pose's floats */
    uint8_t *used; /* [padded_vertices / GPU_PAD]: influences that some vertex of the group has */
    uint32_t *morph_first;    /* [morph_count + 1]: of a morph target's entries in what follows */
    uint32_t *morph_vertices; /* rising in each target; padding follows the last vertex */
    float *morph_deltas;      /* [entry][6]: of the position, of the normal */
    uint32_t *corners[3];     /* [padded_triangles] */
    uint32_t *materials, *flags; /* likewise; enum gpu_triangle_flag */
    uint8_t *parts, *covers;     /* likewise */
    float *material_rows;        /* [material][GPU_MATERIAL_ROW]; enum gpu_material_slot */
    int32_t *material_maps;      /* [material][GPU_MAPS]: textures; -1: none */
    bool has_map[GPU_MAPS];      /* whether any material has */
    struct gpu_texture_levels *textures;
    uint32_t level_count;
    int32_t *level_offset, *level_width, *level_height;
    uint32_t *texels;
};

/* -- texture.c ----------------------------------------------------------------------------------
 */

/* How many texels and levels a pyramid takes. */
void gpu_texture_measure(uint32_t width, uint32_t height, size_t *texels, uint32_t *levels);

/* Writes the pyramid of `texture` to the scene's tables, from `level` and `offset` on. */
void gpu_texture_store(struct gpu_scene *scene, const struct gpu_texture *texture, bool data,
                       uint32_t level, size_t offset);

/* Sets GPU_TRIANGLE_ALPHA_TEST and GPU_TRIANGLE_HOLE of every triangle whose material has a
 * cut-off. */
void gpu_texture_classify(struct gpu_scene *scene);

#ifdef __cplusplus
}
#endif
#endif
