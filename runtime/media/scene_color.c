/* scene_color.c - colours of vertices, which glTF multiplies with the material's.
 *
 * The renderer knows colours of materials only. So each triangle takes the mean of its corners'
 * colours, and for each material and colour that occur together there is a material of its own.
 * Models that are coloured in this way are mostly flat: they lose nothing. Where there would be too
 * many, colours are rounded more coarsely. FBX colours of vertices are not shown: what they are
 * used for differs from maker to maker. */
#include <stdlib.h>

#include "media/scene_parts.h"

enum { MOST_MATERIALS = 16384, SLOTS = 65536, WHITE = 0xffffff };

struct tints {
    struct scene_mesh *mesh;
    uint32_t base_count; /* materials before */
    uint64_t *keys;      /* [SLOTS] 1 + material << 24 + colour; 0: free */
    uint16_t *values;    /* [SLOTS] the material made for it */
    uint32_t made;
    unsigned mask; /* of the bits of a channel that count */
};

/* The mean of the corners' colours, rounded; RGB in 8 bits a channel. */
static uint32_t triangle_color(const struct tints *tints, size_t triangle) {
    uint32_t out = 0;
    for (int shift = 0; shift < 24; shift += 8) {
        unsigned sum = 0;
        for (int k = 0; k < 3; k++)
            sum += tints->mesh->vertices[tints->mesh->indices[3 * triangle + (size_t)k]].color >>
                       shift &
                   255;
        unsigned mean = sum / 3;
        out |= (mean >= 252 ? 255 : mean & tints->mask) << shift;
    }
    return out;
}

static float to_linear(unsigned value) {
    return powf((float)value / 255, 2.2f);
}

/* The material of this colour; false when there are too many. */
static bool find_tint(struct tints *tints, uint16_t material, uint32_t color, uint16_t *out) {
    uint64_t key = 1 + ((uint64_t)material << 24 | color);
    size_t slot = (size_t)(key * 0x9e3779b97f4a7c15u >> 48) & (SLOTS - 1);
    while (tints->keys[slot] != 0 && tints->keys[slot] != key)
        slot = (slot + 1) & (SLOTS - 1);
    if (tints->keys[slot] == 0) {
        if (tints->base_count + tints->made >= MOST_MATERIALS)
            return false;
        struct gpu_material *made = &tints->mesh->material_table[tints->base_count + tints->made];
        *made = tints->mesh->material_table[material];
        for (int i = 0; i < 3; i++)
            made->base_color[i] *= to_linear(color >> (8 * i) & 255);
        tints->keys[slot] = key;
        tints->values[slot] = (uint16_t)(tints->base_count + tints->made++);
    }
    *out = tints->values[slot];
    return true;
}

/* Gives every triangle its material in `materials`; false when there are too many. */
static bool tint_all(struct tints *tints, uint16_t *materials) {
    const struct scene_mesh *mesh = tints->mesh;
    memset(tints->keys, 0, SLOTS * sizeof *tints->keys);
    tints->made = 0;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        uint32_t color = triangle_color(tints, t);
        materials[t] = mesh->materials[t];
        if (color != WHITE && !find_tint(tints, mesh->materials[t], color, &materials[t]))
            return false;
    }
    return true;
}

int scene_colors_apply(struct scene_import *in) {
    struct scene_mesh *mesh = &in->mesh;
    struct tints tints = {.mesh = mesh, .base_count = mesh->material_count, .mask = 0xfc};
    bool any = false;
    for (uint32_t v = 0; v < mesh->vertex_count && !any; v++)
        any = (mesh->vertices[v].color & WHITE) != WHITE;
    if (!any)
        return 0;
    void *grown = realloc(mesh->material_table, MOST_MATERIALS * sizeof *mesh->material_table);
    if (grown != NULL)
        mesh->material_table = grown;
    uint16_t *materials = malloc((mesh->triangle_count + 1) * sizeof *materials);
    tints.keys = malloc(SLOTS * sizeof *tints.keys);
    tints.values = malloc(SLOTS * sizeof *tints.values);
    int rc = 0;
    if (grown == NULL || materials == NULL || tints.keys == NULL || tints.values == NULL) {
        rc = err_set(in->err, ERR_NO_MEMORY, "%s: no memory to import it", in->file);
        goto end;
    }
    while (!tint_all(&tints, materials) && tints.mask != 0)
        tints.mask = tints.mask << 1 & 0xff;
    mesh->material_count = tints.base_count + tints.made;
    memcpy(mesh->materials, materials, mesh->triangle_count * sizeof *materials);
end:
    free(materials);
    free(tints.keys);
    free(tints.values);
    return rc;
}
