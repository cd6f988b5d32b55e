/* scene.c - checks a description and lays it out for the kernels; see scene.h. */
#include "scene.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COUNT = 1 << 26 }; /* of vertices and of triangles: byte offsets stay below 2^31 lanes */

/* -- Checks -------------------------------------------------------------------------------------
 */

static int check_counts(const struct gpu_scene_desc *desc, char *why) {
    if (desc->vertex_count > MAX_COUNT || desc->triangle_count > MAX_COUNT)
        return gpu_fail(why, GPU_EINVAL, "%u vertices and %u triangles: at most %d of each",
                        desc->vertex_count, desc->triangle_count, MAX_COUNT);
    if (desc->joint_count == 0 || desc->joint_count > UINT16_MAX + 1)
        return gpu_fail(why, GPU_EINVAL, "%u joints: a scene has 1 to 65536", desc->joint_count);
    if (desc->material_count == 0 || desc->material_count > UINT16_MAX + 1)
        return gpu_fail(why, GPU_EINVAL, "%u materials: a scene has 1 to 65536",
                        desc->material_count);
    if (desc->texture_count > UINT16_MAX + 1)
        return gpu_fail(why, GPU_EINVAL, "%u textures: at most 65536", desc->texture_count);
    if (desc->influences < 1 || desc->influences > GPU_MAX_INFLUENCES)
        return gpu_fail(why, GPU_EINVAL, "%u joints a vertex: 1 to %d", desc->influences,
                        GPU_MAX_INFLUENCES);
    if (desc->vertex_count > 0 && (desc->positions == NULL || desc->normals == NULL ||
                                   desc->joints == NULL || desc->weights == NULL))
        return gpu_fail(why, GPU_EINVAL, "positions, normals, joints or weights are missing");
    if (desc->triangle_count > 0 && (desc->indices == NULL || desc->materials == NULL))
        return gpu_fail(why, GPU_EINVAL, "indices or materials are missing");
    if (desc->material_table == NULL || (desc->texture_count > 0 && desc->textures == NULL))
        return gpu_fail(why, GPU_EINVAL, "the material table or the textures are missing");
    return GPU_OK;
}

static int check_references(const struct gpu_scene_desc *desc, char *why) {
    for (uint32_t t = 0; t < desc->triangle_count; t++) {
        for (int c = 0; c < 3; c++) {
            uint32_t vertex = desc->indices[3 * (size_t)t + c];
            if (vertex >= desc->vertex_count)
                return gpu_fail(why, GPU_EINVAL, "triangle %u names vertex %u of %u", t, vertex,
                                desc->vertex_count);
        }
        if (desc->materials[t] >= desc->material_count)
            return gpu_fail(why, GPU_EINVAL, "triangle %u names material %u of %u", t,
                            desc->materials[t], desc->material_count);
    }
    size_t slots = (size_t)desc->vertex_count * desc->influences;
    for (size_t i = 0; i < slots; i++)
        if (desc->joints[i] >= desc->joint_count)
            return gpu_fail(why, GPU_EINVAL, "vertex %zu names joint %u of %u",
                            i / desc->influences, desc->joints[i], desc->joint_count);
    return GPU_OK;
}

static int check_materials(const struct gpu_scene_desc *desc, char *why) {
    for (uint32_t m = 0; m < desc->material_count; m++) {
        const struct gpu_material *material = &desc->material_table[m];
        const int32_t named[] = {material->texture, material->metal_rough_texture,
                                 material->normal_texture, material->emissive_texture};
        for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
            if (named[i] < -1 || named[i] >= (int64_t)desc->texture_count)
                return gpu_fail(why, GPU_EINVAL, "material %u names texture %d of %u", m, named[i],
                                desc->texture_count);
        for (int c = 0; c < 4; c++)
            if (!isfinite(material->base_color[c]))
                return gpu_fail(why, GPU_EINVAL, "material %u has a colour that is no number", m);
        const float numbers[] = {material->alpha_cutoff, material->metallic,
                                 material->roughness,    material->normal_scale,
                                 material->emissive[0],  material->emissive[1],
                                 material->emissive[2],  material->occlusion_strength};
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
            if (!(fabsf(numbers[i]) < 1e6f))
                return gpu_fail(why, GPU_EINVAL,
                                "material %u: a cut-off, factor or glow is not within 1e6", m);
    }
    for (uint32_t i = 0; i < desc->texture_count; i++) {
        const struct gpu_texture *texture = &desc->textures[i];
        if (texture->width < 1 || texture->width > GPU_MAX_TEXTURE || texture->height < 1 ||
            texture->height > GPU_MAX_TEXTURE)
            return gpu_fail(why, GPU_EINVAL, "texture %u is %u x %u: 1 to %d texels a side", i,
                            texture->width, texture->height, GPU_MAX_TEXTURE);
        if (texture->rgba == NULL)
            return gpu_fail(why, GPU_EINVAL, "texture %u has no texels", i);
    }
    return GPU_OK;
}

static int check_morphs(const struct gpu_scene_desc *desc, char *why) {
    uint64_t entries = 0;
    if (desc->morph_count > UINT16_MAX || (desc->morph_count > 0 && desc->morphs == NULL))
        return gpu_fail(why, GPU_EINVAL, "%u morph targets: at most 65535, and they must be there",
                        desc->morph_count);
    for (uint32_t m = 0; m < desc->morph_count; m++) {
        const struct gpu_morph *morph = &desc->morphs[m];
        if (morph->count > 0 && (morph->vertices == NULL || morph->positions == NULL))
            return gpu_fail(why, GPU_EINVAL, "morph target %u has no vertices or positions", m);
        for (uint32_t i = 0; i < morph->count; i++)
            if (morph->vertices[i] >= desc->vertex_count ||
                (i > 0 && morph->vertices[i] <= morph->vertices[i - 1]))
                return gpu_fail(why, GPU_EINVAL,
                                "morph target %u names vertex %u of %u, or not in rising order", m,
                                morph->vertices[i], desc->vertex_count);
        entries += morph->count + GPU_PAD;
    }
    if (entries > MAX_COUNT)
        return gpu_fail(why, GPU_EINVAL, "morph targets of %llu vertices in all: at most %d",
                        (unsigned long long)entries, MAX_COUNT);
    return GPU_OK;
}

/* -- Layout -------------------------------------------------------------------------------------
 */

static uint32_t padded(uint32_t count) {
    return (count + GPU_PAD - 1) / GPU_PAD * GPU_PAD;
}

/* Room for an array of the scene's, whose slot in the struct is `slot`; zeros. */
static bool allocate(struct gpu_scene *scene, void *slot, size_t count, size_t size) {
    size_t bytes = (count * size + 63) / 64 * 64;
    bytes = bytes > 0 ? bytes : 64;
    void *memory = aligned_alloc(64, bytes);
    if (memory == NULL)
        return false;
    assert(scene->array_count < GPU_SCENE_ARRAYS);
    memset(memory, 0, bytes);
    memcpy(slot, &memory, sizeof memory);
    scene->arrays[scene->array_count++] =
        (struct gpu_scene_array){(size_t)((char *)slot - (char *)scene), bytes, memory};
    return true;
}

/* How many entries a morph target takes: the padding moves with the last vertex. */
static uint32_t count_morph(const struct gpu_scene_desc *desc, const struct gpu_morph *morph) {
    bool last = morph->count > 0 && morph->vertices[morph->count - 1] == desc->vertex_count - 1;
    return morph->count + (last ? padded(desc->vertex_count) - desc->vertex_count : 0);
}

static bool copy_morphs(struct gpu_scene *scene, const struct gpu_scene_desc *desc) {
    size_t entries = 0;
    for (uint32_t m = 0; m < desc->morph_count; m++)
        entries += count_morph(desc, &desc->morphs[m]);
    if (!allocate(scene, &scene->morph_first, desc->morph_count + 1, sizeof(uint32_t)) ||
        !allocate(scene, &scene->morph_vertices, entries, sizeof(uint32_t)) ||
        !allocate(scene, &scene->morph_deltas, 6 * entries, sizeof(float)))
        return false;
    uint32_t at = 0;
    for (uint32_t m = 0; m < desc->morph_count; m++) {
        const struct gpu_morph *morph = &desc->morphs[m];
        uint32_t count = count_morph(desc, morph);
        for (uint32_t i = 0; i < count; i++, at++) {
            size_t from = i < morph->count ? i : morph->count - 1;
            float *delta = scene->morph_deltas + (size_t)6 * at;
            scene->morph_vertices[at] = morph->vertices[from] + (i - (uint32_t)from);
            memcpy(delta, morph->positions + 3 * from, 3 * sizeof(float));
            if (morph->normals != NULL)
                memcpy(delta + 3, morph->normals + 3 * from, 3 * sizeof(float));
        }
        scene->morph_first[m + 1] = at;
    }
    return true;
}

static bool allocate_all(struct gpu_scene *scene, uint32_t levels, size_t texels) {
    size_t vertices = scene->padded_vertices, triangles = scene->padded_triangles;
    size_t slots = vertices * scene->influences, materials = scene->material_count;
    bool ok = allocate(scene, &scene->vertices, vertices * GPU_VERTEX_FLOATS, sizeof(float)) &&
              allocate(scene, &scene->weights, slots, sizeof(float)) &&
              allocate(scene, &scene->joints, slots, sizeof(uint32_t)) &&
              allocate(scene, &scene->used, vertices / GPU_PAD, 1) &&
              allocate(scene, &scene->materials, triangles, sizeof(uint32_t)) &&
              allocate(scene, &scene->flags, triangles, sizeof(uint32_t)) &&
              allocate(scene, &scene->parts, triangles, 1) &&
              allocate(scene, &scene->covers, triangles, 1) &&
              allocate(scene, &scene->material_rows, materials * GPU_MATERIAL_ROW, sizeof(float)) &&
              allocate(scene, &scene->material_maps, materials * GPU_MAPS, sizeof(int32_t)) &&
              allocate(scene, &scene->textures, scene->texture_count, sizeof *scene->textures) &&
              allocate(scene, &scene->level_offset, levels, sizeof(int32_t)) &&
              allocate(scene, &scene->level_width, levels, sizeof(int32_t)) &&
              allocate(scene, &scene->level_height, levels, sizeof(int32_t)) &&
              allocate(scene, &scene->texels, texels, sizeof(uint32_t));
    for (int c = 0; ok && c < 3; c++)
        ok = allocate(scene, &scene->corners[c], triangles, sizeof(uint32_t));
    return ok;
}

/* Largest weight first, so that a group of vertices can stop at the last one that counts. */
static uint32_t copy_influences(struct gpu_scene *scene, const struct gpu_scene_desc *desc,
                                uint32_t to, uint32_t from) {
    const float *weights = desc->weights + (size_t)from * desc->influences;
    const uint16_t *joints = desc->joints + (size_t)from * desc->influences;
    float *out_weights = scene->weights + (size_t)to * scene->influences;
    uint32_t *out_joints = scene->joints + (size_t)to * scene->influences;
    uint32_t used = 0;
    for (uint32_t k = 0; k < desc->influences; k++) {
        if (weights[k] == 0.0f)
            continue;
        uint32_t at = used++;
        for (; at > 0 && out_weights[at - 1] < weights[k]; at--) {
            out_weights[at] = out_weights[at - 1];
            out_joints[at] = out_joints[at - 1];
        }
        out_weights[at] = weights[k];
        out_joints[at] = joints[k] * 12u;
    }
    for (uint32_t k = used; k < scene->influences; k++)
        out_joints[k] = used > 0 ? out_joints[0] : 0; /* weight 0, but no stranger's NaN */
    return used;
}

static void copy_vertices(struct gpu_scene *scene, const struct gpu_scene_desc *desc) {
    for (uint32_t i = 0; i < scene->padded_vertices; i++) {
        size_t from = i < desc->vertex_count ? i : desc->vertex_count - 1;
        float *out = scene->vertices + (size_t)i * GPU_VERTEX_FLOATS;
        for (int c = 0; c < 3; c++) {
            out[c] = desc->positions[3 * from + c];
            out[4 + c] = desc->normals[3 * from + c];
        }
        out[3] = desc->uvs != NULL ? desc->uvs[2 * from] : 0.0f;
        out[7] = desc->uvs != NULL ? desc->uvs[2 * from + 1] : 0.0f;
        uint32_t used = copy_influences(scene, desc, i, (uint32_t)from);
        uint8_t *group = &scene->used[i / GPU_PAD];
        if (used > *group)
            *group = (uint8_t)used;
    }
}

static void copy_triangles(struct gpu_scene *scene, const struct gpu_scene_desc *desc) {
    for (uint32_t t = 0; t < desc->triangle_count; t++) {
        for (int c = 0; c < 3; c++)
            scene->corners[c][t] = desc->indices[3 * (size_t)t + c];
        const struct gpu_material *material = &desc->material_table[desc->materials[t]];
        scene->materials[t] = desc->materials[t];
        scene->parts[t] = desc->parts != NULL ? desc->parts[t] : 0;
        scene->covers[t] = (uint8_t)material->cover;
        if (material->double_sided)
            scene->flags[t] |= GPU_TRIANGLE_DOUBLE_SIDED;
    }
}

static void copy_material(struct gpu_scene *scene, const struct gpu_material *material,
                          uint32_t index, bool mapped) {
    float *row = scene->material_rows + (size_t)index * GPU_MATERIAL_ROW;
    int32_t *maps = scene->material_maps + (size_t)index * GPU_MAPS;
    memcpy(row + GPU_MATERIAL_RED, material->base_color, sizeof material->base_color);
    memcpy(row + GPU_MATERIAL_EMISSIVE, material->emissive, sizeof material->emissive);
    row[GPU_MATERIAL_METALLIC] = material->metallic;
    row[GPU_MATERIAL_ROUGHNESS] = material->roughness;
    row[GPU_MATERIAL_NORMAL_SCALE] = material->normal_scale;
    row[GPU_MATERIAL_OCCLUSION] = material->occlusion_strength;
    row[GPU_MATERIAL_CUTOFF] = material->alpha_cutoff;
    maps[GPU_MAP_COLOR] = mapped ? material->texture : -1;
    maps[GPU_MAP_ROUGH] = mapped ? material->metal_rough_texture : -1;
    maps[GPU_MAP_NORMAL] = mapped ? material->normal_texture : -1;
    maps[GPU_MAP_EMISSIVE] = mapped ? material->emissive_texture : -1;
    for (int i = 0; i < GPU_MAPS; i++)
        scene->has_map[i] |= maps[i] >= 0;
}

/* Whether materials read a texture as data, and never as colours. */
static bool is_data(const struct gpu_scene_desc *desc, int32_t texture) {
    bool data = false;
    for (uint32_t m = 0; m < desc->material_count; m++) {
        const struct gpu_material *material = &desc->material_table[m];
        if (material->texture == texture || material->emissive_texture == texture)
            return false;
        data |= material->metal_rough_texture == texture || material->normal_texture == texture;
    }
    return data;
}

static void copy_materials(struct gpu_scene *scene, const struct gpu_scene_desc *desc) {
    uint32_t level = 0;
    size_t offset = 0;
    for (uint32_t i = 0; i < desc->texture_count; i++) {
        size_t texels;
        uint32_t levels;
        gpu_texture_measure(desc->textures[i].width, desc->textures[i].height, &texels, &levels);
        scene->textures[i] = (struct gpu_texture_levels){level, levels};
        gpu_texture_store(scene, &desc->textures[i], is_data(desc, (int32_t)i), level, offset);
        level += levels;
        offset += texels;
    }
    for (uint32_t m = 0; m < desc->material_count; m++)
        copy_material(scene, &desc->material_table[m], m, desc->uvs != NULL);
}

void gpu_material_default(struct gpu_material *material) {
    *material = (struct gpu_material){.base_color = {1.0f, 1.0f, 1.0f, 1.0f},
                                      .texture = -1,
                                      .roughness = 1.0f,
                                      .normal_scale = 1.0f,
                                      .occlusion_strength = 1.0f,
                                      .metal_rough_texture = -1,
                                      .normal_texture = -1,
                                      .emissive_texture = -1};
}

static uint64_t last_id;

int gpu_scene_new(const struct gpu_scene_desc *desc, struct gpu_scene **out, char *why) {
    *out = NULL;
    int code = check_counts(desc, why);
    if (code == GPU_OK)
        code = check_references(desc, why);
    if (code == GPU_OK)
        code = check_materials(desc, why);
    if (code == GPU_OK)
        code = check_morphs(desc, why);
    if (code != GPU_OK)
        return code;
    size_t texels = 0;
    uint32_t levels = 0;
    for (uint32_t i = 0; i < desc->texture_count; i++) {
        size_t more;
        uint32_t more_levels;
        gpu_texture_measure(desc->textures[i].width, desc->textures[i].height, &more, &more_levels);
        texels += more;
        levels += more_levels;
    }
    if (texels > INT32_MAX)
        return gpu_fail(why, GPU_EINVAL, "textures of %zu texels in all: at most %d", texels,
                        INT32_MAX);
    struct gpu_scene *scene = calloc(1, sizeof *scene);
    if (scene == NULL)
        return gpu_fail(why, GPU_ENOMEM, "out of memory");
    scene->id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
    scene->vertex_count = desc->vertex_count;
    scene->triangle_count = desc->triangle_count;
    scene->joint_count = desc->joint_count;
    scene->material_count = desc->material_count;
    scene->texture_count = desc->texture_count;
    scene->influences = desc->influences;
    scene->morph_count = desc->morph_count;
    scene->padded_vertices = padded(desc->vertex_count);
    scene->padded_triangles = padded(desc->triangle_count);
    scene->level_count = levels;
    if (!allocate_all(scene, levels, texels) || !copy_morphs(scene, desc)) {
        gpu_scene_free(scene);
        return gpu_fail(why, GPU_ENOMEM, "out of memory: %u vertices, %u triangles, %zu texels",
                        desc->vertex_count, desc->triangle_count, texels);
    }
    copy_vertices(scene, desc);
    copy_triangles(scene, desc);
    copy_materials(scene, desc);
    gpu_texture_classify(scene);
    *out = scene;
    return GPU_OK;
}

void gpu_scene_free(struct gpu_scene *scene) {
    if (scene == NULL)
        return;
    for (uint32_t i = 0; i < scene->array_count; i++)
        free(scene->arrays[i].memory);
    free(scene);
}
