/* scene_material.c - materials as glTF's metallic-roughness model has them.
 *
 * glTF: base colour, metallic and roughness, normal, occlusion and emissive factors and maps, alpha
 * MASK and BLEND as holes, KHR_materials_emissive_strength; unlit materials (MToon's, too) are
 * rough and no metal, for the light of the scene falls on them like on all; specular-glossiness
 * ones have the roughness 1 - glossiness and no metal.
 *
 * FBX knows Phong and Lambert. Roughness is 1 - sqrt(shininess) / 10 and metal the reflection
 * factor (where the reflection has a colour), as Blender has it (which writes them so, too);
 * Lambert has no gloss: roughness 1. A picture takes the place of the colour. Pictures of shininess
 * are taken for roughness, as Blender does, but where their name says gloss: then inverted. Bump
 * maps count where their name says that they are normals. Opacities of FBX are often rubbish: only
 * a map makes holes. */
#include <assimp/material.h>
#include <assimp/scene.h>
#include <stdlib.h>
#include <strings.h>

#include "media/scene_material.h"
#include "media/scene_parts.h"

enum { LUMINANCE = 4 };

struct maps { /* paths; "" where there is none */
    struct aiString color, metal_rough, metal, rough, occlusion, normal, emissive, opacity;
};

static bool get_number(const struct aiMaterial *from, const char *key, float *out) {
    unsigned count = 1;
    float value;
    if (aiGetMaterialFloatArray(from, key, 0, 0, &value, &count) != aiReturn_SUCCESS ||
        !isfinite(value))
        return false;
    *out = value;
    return true;
}

static float clamp(float value, float least, float most) {
    return value >= least ? fminf(value, most) : least; /* NaN is the least */
}

static bool get_map(const struct aiMaterial *from, enum aiTextureType kind, struct aiString *out) {
    struct aiString path;
    if (out->length > 0 || aiGetMaterialTexture(from, kind, 0, &path, NULL, NULL, NULL, NULL, NULL,
                                                NULL) != aiReturn_SUCCESS)
        return false;
    *out = path;
    return true;
}

static const char *path_of(const struct aiString *map) {
    return map->length > 0 ? map->data : NULL;
}

/* -- Factors ----------------------------------------------------------------------------------- */

static void read_color(const struct aiMaterial *from, bool gltf, float out[4]) {
    struct aiColor4D color = {1, 1, 1, 1};
    float factor = 1;
    if (!gltf || aiGetMaterialColor(from, AI_MATKEY_BASE_COLOR, &color) != aiReturn_SUCCESS)
        if (aiGetMaterialColor(from, AI_MATKEY_COLOR_DIFFUSE, &color) != aiReturn_SUCCESS)
            color = (struct aiColor4D){0.8f, 0.8f, 0.8f, 1};
    if (!gltf && get_number(from, "$raw.DiffuseFactor", &factor) && factor >= 0 && factor <= 1) {
        color.r *= factor;
        color.g *= factor;
        color.b *= factor;
    }
    const float values[4] = {color.r, color.g, color.b, gltf ? color.a : 1};
    for (int i = 0; i < 4; i++)
        out[i] = isfinite(values[i]) ? clamp(values[i], 0, 1) : 1;
}

static void read_emissive(const struct aiMaterial *from, bool gltf, float out[3]) {
    struct aiColor4D color = {0, 0, 0, 1};
    float strength = 1;
    if (aiGetMaterialColor(from, AI_MATKEY_COLOR_EMISSIVE, &color) != aiReturn_SUCCESS)
        return;
    if (gltf)
        get_number(from, "$mat.emissiveIntensity", &strength);
    else
        get_number(from, "$raw.EmissiveFactor", &strength);
    const float values[3] = {color.r, color.g, color.b};
    for (int i = 0; i < 3; i++)
        out[i] = clamp(values[i] * clamp(strength, 0, 1000), 0, 1000);
}

static void read_gloss(const struct aiMaterial *from, bool gltf, struct gpu_material *out) {
    float value = 1;
    int model = 0;
    unsigned count = 1;
    if (aiGetMaterialIntegerArray(from, AI_MATKEY_SHADING_MODEL, &model, &count) !=
        aiReturn_SUCCESS)
        model = 0;
    if (!gltf) {
        float shininess = 20;
        if (!get_number(from, "$raw.Shininess", &shininess))
            get_number(from, "$mat.shininess", &shininess);
        out->roughness =
            model == aiShadingMode_Gouraud ? 1 : 1 - sqrtf(clamp(shininess, 0, 100)) / 10;
        struct aiColor4D reflects = {1, 1, 1, 1};
        aiGetMaterialColor(from, AI_MATKEY_COLOR_REFLECTIVE, &reflects);
        if (reflects.r + reflects.g + reflects.b > 0 &&
            get_number(from, "$mat.reflectivity", &value))
            out->metallic = clamp(value, 0, 1);
        return;
    }
    if (model == aiShadingMode_Unlit || get_number(from, "$mat.gltf.unlit", &value))
        return; /* rough, no metal */
    if (get_number(from, "$mat.glossinessFactor", &value)) {
        out->roughness = 1 - clamp(value, 0, 1);
        return;
    }
    out->metallic = get_number(from, "$mat.metallicFactor", &value) ? clamp(value, 0, 1) : 1;
    out->roughness = get_number(from, "$mat.roughnessFactor", &value) ? clamp(value, 0, 1) : 1;
}

/* Below which alpha a sample is a hole. */
static float read_cutoff(const struct aiMaterial *from, bool gltf, const struct maps *maps) {
    struct aiString mode;
    float cutoff = 0.5f;
    if (!gltf)
        return maps->opacity.length > 0 ? 0.5f : 0;
    if (aiGetMaterialString(from, "$mat.gltf.alphaMode", 0, 0, &mode) != aiReturn_SUCCESS)
        return 0;
    if (strcmp(mode.data, "BLEND") == 0)
        return 0.5f;
    if (strcmp(mode.data, "MASK") != 0)
        return 0;
    get_number(from, "$mat.gltf.alphaCutoff", &cutoff);
    return clamp(cutoff, 0.004f, 1);
}

/* -- Maps -------------------------------------------------------------------------------------- */

static void find_maps(const struct aiMaterial *from, bool gltf, struct maps *maps) {
    struct aiString bump = {.length = 0};
    get_map(from, aiTextureType_BASE_COLOR, &maps->color);
    get_map(from, aiTextureType_DIFFUSE, &maps->color);
    get_map(from, aiTextureType_NORMALS, &maps->normal);
    get_map(from, aiTextureType_NORMAL_CAMERA, &maps->normal);
    get_map(from, aiTextureType_EMISSIVE, &maps->emissive);
    get_map(from, aiTextureType_EMISSION_COLOR, &maps->emissive);
    if (gltf) {
        get_map(from, aiTextureType_UNKNOWN, &maps->metal_rough);
        get_map(from, aiTextureType_METALNESS, &maps->metal_rough);
        get_map(from, aiTextureType_DIFFUSE_ROUGHNESS, &maps->metal_rough);
        get_map(from, aiTextureType_LIGHTMAP, &maps->occlusion);
        return;
    }
    get_map(from, aiTextureType_METALNESS, &maps->metal);
    get_map(from, aiTextureType_DIFFUSE_ROUGHNESS, &maps->rough);
    get_map(from, aiTextureType_SHININESS, &maps->rough);
    get_map(from, aiTextureType_AMBIENT_OCCLUSION, &maps->occlusion);
    get_map(from, aiTextureType_OPACITY, &maps->opacity);
    if (get_map(from, aiTextureType_HEIGHT, &bump) && strcasestr(bump.data, "norm") != NULL &&
        maps->normal.length == 0)
        maps->normal = bump;
}

/* Colours, with the alpha of another picture where opacity has one of its own. */
static void set_color(struct pictures *pictures, const struct maps *maps,
                      struct gpu_material *out) {
    const char *color = path_of(&maps->color), *opacity = path_of(&maps->opacity);
    if (color != NULL && (opacity == NULL || strcmp(color, opacity) == 0)) {
        out->texture = picture_find(pictures, color, false);
    } else if (opacity != NULL) {
        const struct picture_channel channels[4] = {
            {color, 0, false}, {color, 1, false}, {color, 2, false}, {opacity, LUMINANCE, false}};
        out->texture = picture_compose(pictures, channels, false);
    }
}

/* Occlusion, roughness and metal in the channels of one picture. */
static void set_metal_rough(struct pictures *pictures, const struct maps *maps,
                            struct gpu_material *out) {
    const char *both = path_of(&maps->metal_rough), *metal = path_of(&maps->metal),
               *rough = path_of(&maps->rough), *occlusion = path_of(&maps->occlusion);
    if (occlusion == NULL)
        out->occlusion_strength = 0;
    if (both != NULL && (occlusion == NULL || strcmp(both, occlusion) == 0)) {
        out->metal_rough_texture = picture_find(pictures, both, true);
        return;
    }
    bool gloss = rough != NULL && strcasestr(rough, "gloss") != NULL;
    const struct picture_channel channels[4] = {
        {occlusion, both != NULL ? 0 : LUMINANCE, false},
        {both != NULL ? both : rough, both != NULL ? 1 : LUMINANCE, gloss},
        {both != NULL ? both : metal, both != NULL ? 2 : LUMINANCE, false},
        {NULL, 0, false}};
    if (channels[0].path == NULL && channels[1].path == NULL && channels[2].path == NULL)
        return;
    out->metal_rough_texture = picture_compose(pictures, channels, true);
    /* In FBX a picture takes the place of the number. */
    if (out->metal_rough_texture >= 0 && rough != NULL)
        out->roughness = 1;
    if (out->metal_rough_texture >= 0 && metal != NULL)
        out->metallic = 1;
}

static void set_detail(struct pictures *pictures, const struct aiMaterial *from,
                       const struct maps *maps, struct gpu_material *out) {
    unsigned count = 1;
    float value;
    if (maps->normal.length > 0)
        out->normal_texture = picture_find(pictures, maps->normal.data, true);
    if (aiGetMaterialFloatArray(from, "$tex.scale", aiTextureType_NORMALS, 0, &value, &count) ==
        aiReturn_SUCCESS)
        out->normal_scale = clamp(value, -10, 10);
    count = 1;
    if (maps->occlusion.length > 0 &&
        aiGetMaterialFloatArray(from, "$tex.strength", aiTextureType_LIGHTMAP, 0, &value, &count) ==
            aiReturn_SUCCESS)
        out->occlusion_strength = clamp(value, 0, 1);
    if (maps->emissive.length > 0)
        out->emissive_texture = picture_find(pictures, maps->emissive.data, false);
}

/* -- All --------------------------------------------------------------------------------------- */

static void read_material(struct pictures *pictures, const struct aiMaterial *from,
                          struct gpu_material *out) {
    bool gltf = strcmp(pictures->in->source->format, "fbx") != 0;
    struct maps maps = {.color = {.length = 0}};
    unsigned count = 1;
    int sides = 0;
    gpu_material_default(out);
    find_maps(from, gltf, &maps);
    read_color(from, gltf, out->base_color);
    read_emissive(from, gltf, out->emissive);
    read_gloss(from, gltf, out);
    out->alpha_cutoff = read_cutoff(from, gltf, &maps);
    out->double_sided = !gltf; /* FBX does not tell, and its readers draw both sides */
    if (aiGetMaterialIntegerArray(from, AI_MATKEY_TWOSIDED, &sides, &count) == aiReturn_SUCCESS &&
        sides != 0)
        out->double_sided = true;
    set_color(pictures, &maps, out);
    set_metal_rough(pictures, &maps, out);
    set_detail(pictures, from, &maps, out);
    if (!gltf && out->texture >= 0 && maps.color.length > 0)
        out->base_color[0] = out->base_color[1] = out->base_color[2] = 1;
    if (!gltf && out->emissive_texture >= 0)
        out->emissive[0] = out->emissive[1] = out->emissive[2] = 1;
}

int scene_materials_read(struct scene_import *in) {
    const struct aiScene *tree = in->tree;
    struct scene_mesh *mesh = &in->mesh;
    struct pictures pictures = {.in = in};
    if (tree->mNumMaterials > SCENE_MAX_MATERIALS)
        return err_set(in->err, ERR_TOO_LARGE, "%s: %u materials; at most %d are read", in->file,
                       tree->mNumMaterials, SCENE_MAX_MATERIALS);
    mesh->material_table = calloc(tree->mNumMaterials + 1, sizeof *mesh->material_table);
    mesh->textures = calloc(SCENE_MAX_TEXTURES, sizeof *mesh->textures);
    if (mesh->material_table == NULL || mesh->textures == NULL)
        return err_set(in->err, ERR_NO_MEMORY, "%s: no memory to import it", in->file);
    mesh->material_count = tree->mNumMaterials;
    for (unsigned i = 0; i < tree->mNumMaterials; i++)
        read_material(&pictures, tree->mMaterials[i], &mesh->material_table[i]);
    if (mesh->material_count == 0) {
        struct gpu_material *material = &mesh->material_table[0];
        gpu_material_default(material);
        material->base_color[0] = material->base_color[1] = material->base_color[2] = 0.8f;
        material->double_sided = true;
        mesh->material_count = 1;
    }
    for (size_t t = 0; t < mesh->triangle_count; t++)
        if (mesh->materials[t] >= mesh->material_count)
            mesh->materials[t] = 0;
    in->scene->report.textures = mesh->texture_count;
    pictures_deinit(&pictures);
    return 0;
}
