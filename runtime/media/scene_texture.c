/* scene_texture.c - the pictures of materials, inside the file or beside it. A picture that cannot
 * be had is a warning, and its material keeps its plain colour. Pictures with sides of more than
 * MAX_SIDE are scaled down: no view of a body shows more. What materials want in one picture but
 * files keep in several is put together here. */
#include <assimp/material.h>
#include <assimp/scene.h>
#include <assimp/texture.h>
#include <stdio.h>
#include <stdlib.h>

#include "media/image.h"
#include "media/scene_material.h"
#include "media/scene_parts.h"

enum { MAX_SIDE = 4096, MAX_TOTAL_PIXELS = 256 << 20 };

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

/* The picture of a path, of at most MAX_SIDE; false with a warning given. */
static bool open_picture(struct pictures *pictures, const char *path, struct image *image) {
    struct err why = {0};
    int rc = get_picture(pictures->in, path, image, &why);
    if (rc == 0)
        rc = shrink(image, &why);
    pictures->pixels += (uint64_t)image->width * image->height;
    if (rc == 0 && pictures->pixels > MAX_TOTAL_PIXELS)
        rc = err_set(&why, ERR_TOO_LARGE, "all pictures together have more than %d megapixels",
                     MAX_TOTAL_PIXELS >> 20);
    if (rc == 0)
        return true;
    image_deinit(image);
    *image = (struct image){0};
    scene_warn(pictures->in->scene, "texture %s is missing: %s", base_name(path), why.message);
    return false;
}

/* -- Putting together -------------------------------------------------------------------------- */

static bool uniform_alpha(const struct image *image) {
    for (size_t i = 0; i < (size_t)image->width * image->height; i++)
        if (image->rgba[4 * i + 3] != 255)
            return false;
    return true;
}

static uint8_t sample(const struct image *image, const struct picture_channel *channel, bool alpha,
                      uint32_t x, uint32_t y, uint32_t width, uint32_t height) {
    size_t row = (size_t)y * image->height / height, column = (size_t)x * image->width / width;
    const uint8_t *p = image->rgba + 4 * (row * image->width + column);
    unsigned value = channel->channel < 4 ? p[channel->channel]
                     : alpha              ? p[3]
                                          : (p[0] * 54u + p[1] * 183u + p[2] * 19u + 128) >> 8;
    return (uint8_t)(channel->inverted ? 255 - value : value);
}

/* Each path once, at the size of the largest; a picture that is missing is white. False when there
 * is none at all. */
static bool put_together(struct pictures *pictures, const struct picture_channel channels[4],
                         struct image *out) {
    struct image images[4] = {{0}};
    bool alpha[4], any = false;
    uint32_t width = 0, height = 0;
    int from[4];
    for (int i = 0; i < 4; i++) {
        from[i] = i;
        for (int k = 0; k < i; k++)
            if (channels[i].path != NULL && channels[k].path != NULL &&
                strcmp(channels[i].path, channels[k].path) == 0)
                from[i] = from[k];
        if (from[i] != i || channels[i].path == NULL ||
            !open_picture(pictures, channels[i].path, &images[i]))
            continue;
        any = true;
        alpha[i] = !uniform_alpha(&images[i]);
        width = images[i].width > width ? images[i].width : width;
        height = images[i].height > height ? images[i].height : height;
    }
    any = any && image_init(out, width, height, NULL) == 0;
    for (uint32_t y = 0; any && y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (int i = 0; i < 4; i++) {
                const struct image *image = &images[from[i]];
                out->rgba[4 * ((size_t)y * width + x) + (size_t)i] =
                    image->rgba == NULL
                        ? 255
                        : sample(image, &channels[i], alpha[from[i]], x, y, width, height);
            }
    for (int i = 0; i < 4; i++)
        image_deinit(&images[i]);
    return any;
}

/* -- The table --------------------------------------------------------------------------------- */

static int keep(struct pictures *pictures, struct image *image, bool linear) {
    struct scene_mesh *mesh = &pictures->in->mesh;
    mesh->textures[mesh->texture_count] = (struct gpu_texture){
        .width = image->width, .height = image->height, .rgba = image->rgba, .linear = linear};
    return (int)mesh->texture_count++;
}

/* The number of a picture by its key, which says all that it is made of; -2: it is new, and its
 * entry was added; -1: there is no room. */
static int find_entry(struct pictures *pictures, const char *key) {
    for (int i = 0; i < pictures->count; i++)
        if (strcmp(pictures->keys[i], key) == 0)
            return pictures->index[i];
    char *copy = pictures->count < SCENE_MAX_TEXTURES ? strdup(key) : NULL;
    if (copy == NULL)
        return -1;
    pictures->keys[pictures->count] = copy;
    pictures->index[pictures->count++] = -1;
    return -2;
}

int picture_find(struct pictures *pictures, const char *path, bool linear) {
    char key[1100];
    struct image image = {0};
    snprintf(key, sizeof key, "%s%s", linear ? "data " : "colour ", path);
    int index = find_entry(pictures, key);
    if (index != -2)
        return index;
    if (!open_picture(pictures, path, &image))
        return -1;
    return pictures->index[pictures->count - 1] = keep(pictures, &image, linear);
}

int picture_compose(struct pictures *pictures, const struct picture_channel channels[4],
                    bool linear) {
    char key[4400];
    size_t length = (size_t)snprintf(key, sizeof key, "%s", linear ? "data" : "colour");
    struct image image = {0};
    for (int i = 0; i < 4 && length < sizeof key; i++)
        length += (size_t)snprintf(key + length, sizeof key - length, "|%s.%d%s",
                                   channels[i].path != NULL ? channels[i].path : "",
                                   channels[i].channel, channels[i].inverted ? "-" : "");
    int index = find_entry(pictures, key);
    if (index != -2)
        return index;
    if (!put_together(pictures, channels, &image))
        return -1;
    return pictures->index[pictures->count - 1] = keep(pictures, &image, linear);
}

void pictures_deinit(struct pictures *pictures) {
    for (int i = 0; i < pictures->count; i++)
        free(pictures->keys[i]);
}
