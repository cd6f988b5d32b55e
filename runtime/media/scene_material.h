/* scene_material.h - pictures as scene_material.c asks scene_texture.c for them. Private to
 * scene*.c. */
#ifndef STANCE_MEDIA_SCENE_MATERIAL_H
#define STANCE_MEDIA_SCENE_MATERIAL_H

#include <stdbool.h>
#include <stdint.h>

struct scene_import;

enum { SCENE_MAX_TEXTURES = 256 };

struct pictures {
    struct scene_import *in;
    char *keys[SCENE_MAX_TEXTURES]; /* what a picture was made of */
    int index[SCENE_MAX_TEXTURES];  /* in mesh->textures, or -1: could not be had */
    int count;
    uint64_t pixels;
};

/* Where a channel of a picture comes from. */
struct picture_channel {
    const char *path; /* NULL: white */
    int channel;      /* 0-3 RGBA; 4: alpha if the picture has any, else its brightness */
    bool inverted;
};

/* The texture of a path ("*3": the fourth inside the file), or -1: it could not be had, which was
 * told. `linear`: it holds data, not colours. */
int picture_find(struct pictures *pictures, const char *path, bool linear);

/* A texture whose channels come from several pictures; -1 when none could be had. */
int picture_compose(struct pictures *pictures, const struct picture_channel channels[4],
                    bool linear);

void pictures_deinit(struct pictures *pictures);

#endif
