/* scene_texture.c - materials and their pictures. A picture that cannot be had is a warning, and
 * its material keeps its plain colour. Pictures with sides of more than MAX_SIDE are scaled down:
 * no view of a body shows more. */
#include <assimp/material.h>
#include <assimp/scene.h>
#include <assimp/texture.h>
#include <stdio.h>
#include <stdlib.h>

#include "media/image.h"
#include "media/scene_parts.h"

enum { MAX_SIDE = 4096, MAX_TEXTURES = 256, MAX_TOTAL_PIXELS = 256 << 20 };

struct pictures {
    struct scene_import *in;
    char *names[MAX_TEXTURES]; /* what was asked for: a path, or "*3" for the fourth inside the file
                                */
    int index[MAX_TEXTURES];   /* in mesh->textures, or -1: could not be had */
    int count;
    uint64_t pixels;
};

/* -- Pictures ---------------------------------------------------------------------------------- */

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/'), *back = strrchr(path, '\\');
    const char *last = slash > back ? slash : back;
    return last != NULL ? last + 1 : path;
}

/* The picture inside the file that goes by this name. */
static const struct aiTexture *find_embedded(const struct aiScene *tree, const char *name) {
    if (name[0] == '*') {
        unsigned long index = strtoul(name + 1, NULL, 10);
        return index < tree->mNumTextures ? tree->mTextures[index] : NULL;
    }
    for (unsigned i = 0; i < tree->mNumTextures; i++) {
        const char *other = base_name(tree->mTextures[i]->mFilename.data);
        if (*other != '\0' && strcmp(base_name(name), other) == 0)
            return tree->mTextures[i];
    }
    return NULL;
}

static int copy_texels(const struct aiTexture *from, struct image *out, struct err *err) {
    int rc = image_init(out, from->mWidth, from->mHeight, err);
    for (size_t i = 0; rc == 0 && i < (size_t)from->mWidth * from->mHeight; i++) {
        const struct aiTexel *texel = &from->pcData[i];
        uint8_t *rgba = out->rgba + 4 * i;
        rgba[0] = texel->r;
        rgba[1] = texel->g;
        rgba[2] = texel->b;
        rgba[3] = texel->a;
    }
    return rc;
}

static int get_picture(struct scene_import *in, const char *name, struct image *out,
                       struct err *err) {
    const struct aiTexture *inside = find_embedded(in->tree, name);
    if (inside != NULL && inside->mHeight > 0)
        return copy_texels(inside, out, err);
    if (inside != NULL)
        return image_decode(inside->pcData, inside->mWidth, out, err);
    size_t size;
    uint8_t *bytes = scene_read_beside(in->source, name, &size);
    if (bytes == NULL)
        return err_set(err, ERR_NOT_FOUND, "%s",
                       in->source->folder < 0 ? "it is not inside the file"
                                              : "it is not beside the file");
    int rc = image_decode(bytes, size, out, err);
    free(bytes);
    return rc;
}

static int shrink(struct image *image, struct err *err) {
    uint32_t longer = image->width > image->height ? image->width : image->height;
    if (longer <= MAX_SIDE)
        return 0;
    struct image small;
    double share = (double)MAX_SIDE / longer;
    uint32_t width = (uint32_t)fmax(1, image->width * share),
             height = (uint32_t)fmax(1, image->height * share);
    int rc = image_scale(image, width, height, &small, err);
    if (rc == 0) {
        image_deinit(image);
        *image = small;
    }
    return rc;
}

/* The texture's index, or -1 with a warning given. */
static int load_picture(struct pictures *pictures, const char *name) {
    struct scene_mesh *mesh = &pictures->in->mesh;
    struct image image = {0};
    struct err why = {0};
    int rc = get_picture(pictures->in, name, &image, &why);
    if (rc == 0)
        rc = shrink(&image, &why);
    pictures->pixels += (uint64_t)image.width * image.height;
    if (rc == 0 && pictures->pixels > MAX_TOTAL_PIXELS)
        rc = err_set(&why, ERR_TOO_LARGE, "all pictures together have more than %d megapixels",
                     MAX_TOTAL_PIXELS >> 20);
    if (rc != 0) {
        image_deinit(&image);
        scene_warn(pictures->in->scene, "texture %s is missing: %s", base_name(name), why.message);
        return -1;
    }
    mesh->textures[mesh->texture_count] =
        (struct gpu_texture){image.width, image.height, image.rgba, false};
    return (int)mesh->texture_count++;
}

static int find_picture(struct pictures *pictures, const char *name) {
    for (int i = 0; i < pictures->count; i++)
        if (strcmp(pictures->names[i], name) == 0)
            return pictures->index[i];
    if (pictures->count == MAX_TEXTURES)
        return -1;
    char *copy = strdup(name);
    if (copy == NULL)
        return -1;
    pictures->names[pictures->count] = copy;
    pictures->index[pictures->count] = load_picture(pictures, name);
    return pictures->index[pictures->count++];
}

/* -- Materials --------------------------------------------------------------------------------- */

static bool get_number(const struct aiMaterial *from, const char *key, float *out) {
    unsigned count = 1;
    return aiGetMaterialFloatArray(from, key, 0, 0, out, &count) == aiReturn_SUCCESS &&
           isfinite(*out);
}

static void read_color(const struct aiMaterial *from, bool gltf, float out[4]) {
    struct aiColor4D color = {1, 1, 1, 1};
    float factor = 1;
    if (!gltf || aiGetMaterialColor(from, "$clr.base", 0, 0, &color) != aiReturn_SUCCESS)
        if (aiGetMaterialColor(from, AI_MATKEY_COLOR_DIFFUSE, &color) != aiReturn_SUCCESS)
            color = (struct aiColor4D){0.8f, 0.8f, 0.8f, 1};
    if (!gltf && get_number(from, "$raw.DiffuseFactor", &factor) && factor >= 0 && factor <= 1) {
        color.r *= factor;
        color.g *= factor;
        color.b *= factor;
    }
    const float values[4] = {color.r, color.g, color.b, gltf ? color.a : 1};
    for (int i = 0; i < 4; i++)
        out[i] = isfinite(values[i]) ? fminf(1, fmaxf(0, values[i])) : 1;
}

/* Below which alpha a sample is a hole. FBX writers leave rubbish in opacities, so there only a map
 * of opacity counts. */
static float read_cutoff(const struct aiMaterial *from, bool gltf) {
    struct aiString mode;
    float cutoff = 0.5f;
    if (!gltf)
        return aiGetMaterialTextureCount(from, aiTextureType_OPACITY) > 0 ? 0.5f : 0;
    if (aiGetMaterialString(from, "$mat.gltf.alphaMode", 0, 0, &mode) != aiReturn_SUCCESS)
        return 0;
    if (strcmp(mode.data, "BLEND") == 0)
        return 0.5f;
    if (strcmp(mode.data, "MASK") != 0)
        return 0;
    get_number(from, "$mat.gltf.alphaCutoff", &cutoff);
    return fminf(1, fmaxf(0.004f, cutoff));
}

static void read_material(struct pictures *pictures, const struct aiMaterial *from,
                          struct gpu_material *out) {
    bool gltf = strcmp(pictures->in->source->format, "fbx") != 0;
    static const enum aiTextureType kinds[] = {aiTextureType_BASE_COLOR, aiTextureType_DIFFUSE};
    struct aiString path;
    unsigned count = 1;
    int sides = 0;
    gpu_material_default(out);
    read_color(from, gltf, out->base_color);
    out->alpha_cutoff = read_cutoff(from, gltf);
    out->double_sided = !gltf; /* FBX does not tell, and its readers draw both sides */
    if (aiGetMaterialIntegerArray(from, AI_MATKEY_TWOSIDED, &sides, &count) == aiReturn_SUCCESS &&
        sides != 0)
        out->double_sided = true;
    for (int i = 0; i < 2 && out->texture < 0; i++)
        if (aiGetMaterialTexture(from, kinds[i], 0, &path, NULL, NULL, NULL, NULL, NULL, NULL) ==
            aiReturn_SUCCESS)
            out->texture = find_picture(pictures, path.data);
    /* In FBX a texture takes the place of the colour; in glTF they are multiplied. */
    if (!gltf && out->texture >= 0)
        out->base_color[0] = out->base_color[1] = out->base_color[2] = 1;
}

int scene_materials_read(struct scene_import *in) {
    const struct aiScene *tree = in->tree;
    struct scene_mesh *mesh = &in->mesh;
    struct pictures pictures = {.in = in};
    if (tree->mNumMaterials > SCENE_MAX_MATERIALS)
        return err_set(in->err, ERR_TOO_LARGE, "%s: %u materials; at most %d are read", in->file,
                       tree->mNumMaterials, SCENE_MAX_MATERIALS);
    mesh->material_table = calloc(tree->mNumMaterials + 1, sizeof *mesh->material_table);
    mesh->textures = calloc(MAX_TEXTURES, sizeof *mesh->textures);
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
    for (int i = 0; i < pictures.count; i++)
        free(pictures.names[i]);
    return 0;
}
