/* scene_cover.c - what a surface is, by what it is called.
 *
 * The names of material, mesh and node are asked in this order, and the first that tells decides. A
 * name is cut into words where the case changes and at all that is no letter; a word tells when it
 * is one of those below, or its plural, or holds one of four letters or more ("Ch31_Sweater",
 * "bodysuit"). Clothes go before skin, so that skinny jeans are clothes. "Body", "Head", "Arms" and
 * the like mean skin only in files where clothes are meshes of their own, a fifth of its triangles
 * or more: in others that mesh wears them. Eyes are on heads: elsewhere the name means a colour. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "media/scene_parts.h"

static const char *const cover_names[GPU_COVER_OTHER + 1] = {"unknown", "skin", "hair", "clothes",
                                                             "shoes",   "eyes", "other"};

const char *scene_cover_name(uint32_t cover) {
    return cover <= GPU_COVER_OTHER ? cover_names[cover] : NULL;
}

/* In the order in which they are asked. */
static const struct {
    uint8_t cover;
    const char *words;
} table[] = {
    {GPU_COVER_OTHER,
     " hat helmet helm cap hood glasses goggles eyewear mask weapon sword shield gun rifle pistol "
     "axe knife dagger staff wand bow arrow quiver spear spellbook crown earring jewel necklace "
     "bracelet watch backpack bag pouch mug teeth tooth tongue gum lantern "},
    {GPU_COVER_HAIR, " hair beard moustache mustache eyebrow brow eyelash lash fur ponytail "},
    {GPU_COVER_EYES, " eye iris pupil cornea sclera eyeball "},
    {GPU_COVER_SHOES, " shoe boot sneaker sandal footwear slipper loafer "},
    {GPU_COVER_CLOTHES,
     " cloth clothes clothing shirt tshirt pants trouser jean shorts dress skirt jacket coat suit "
     "hoodie sweater pullover vest top bottom outfit garment uniform robe cape cloak sock stocking "
     "tights leggings belt glove scarf tie underwear bra bikini swimsuit armor armour sleeve apron "
     "blouse kimono jersey "},
    {GPU_COVER_SKIN, " skin flesh face nude "},
    {SCENE_COVER_WEAK_SKIN, " body head arm leg hand torso foot feet neck "},
};

/* Whether one of the words is `word`, its singular, or, if long enough, a piece of it. */
static bool listed(const char *words, const char *word) {
    while (*words == ' ' && words[1] != '\0') {
        char key[32];
        size_t length = strcspn(words + 1, " "), have = strlen(word);
        memcpy(key, words + 1, length);
        key[length] = '\0';
        if (strncmp(word, key, length) == 0 &&
            (have == length || (have == length + 1 && word[length] == 's')))
            return true;
        if (length >= 4 && strstr(word, key) != NULL)
            return true;
        words += 1 + length;
    }
    return false;
}

/* The next word of a name in lower case; false at its end. */
static bool next_word(const char **at, char *word, size_t size) {
    const char *c = *at;
    size_t length = 0;
    while (*c != '\0' && !isalpha((unsigned char)*c))
        c++;
    for (; isalpha((unsigned char)*c); c++) {
        if (length > 0 && isupper((unsigned char)*c) && islower((unsigned char)c[-1]))
            break;
        if (length + 1 < size)
            word[length++] = (char)tolower((unsigned char)*c);
    }
    word[length] = '\0';
    *at = c;
    return length > 0;
}

static uint8_t cover_of(const char *name) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *at = name;
        char word[64];
        while (next_word(&at, word, sizeof word))
            if (listed(table[i].words, word))
                return table[i].cover;
    }
    return GPU_COVER_UNKNOWN;
}

uint8_t scene_cover_of(const char *material, const char *mesh, const char *node) {
    const char *const names[] = {material, mesh, node};
    uint8_t weak = GPU_COVER_UNKNOWN;
    for (int i = 0; i < 3; i++) {
        uint8_t cover = cover_of(names[i]);
        if (cover == SCENE_COVER_WEAK_SKIN)
            weak = cover;
        else if (cover != GPU_COVER_UNKNOWN)
            return cover;
    }
    return weak;
}

void scene_covers_settle(struct scene_mesh *mesh) {
    size_t clothes = 0, weak = 0;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        clothes += mesh->covers[t] == GPU_COVER_CLOTHES;
        weak += mesh->covers[t] == SCENE_COVER_WEAK_SKIN;
    }
    bool dressed = 5 * clothes >= weak; /* a cape over armour does not make it skin */
    for (size_t t = 0; t < mesh->triangle_count; t++)
        if (mesh->covers[t] == SCENE_COVER_WEAK_SKIN)
            mesh->covers[t] = dressed ? GPU_COVER_SKIN : GPU_COVER_UNKNOWN;
}

/* Covers belong to materials: where meshes of one material are covered differently, each gets a
 * copy of it. False without memory. */
static bool dress(struct scene_mesh *mesh) {
    enum { KINDS = GPU_COVER_OTHER + 1 };
    size_t base = mesh->material_count;
    uint16_t *now = calloc(base * KINDS, sizeof *now); /* 1 + material; 0: none yet */
    bool *taken = calloc(base, sizeof *taken);
    bool done = now != NULL && taken != NULL;
    for (size_t t = 0; done && t < mesh->triangle_count; t++) {
        size_t material = mesh->materials[t], cover = mesh->covers[t];
        uint16_t *entry = &now[material * KINDS + cover];
        if (*entry == 0 && !taken[material]) {
            taken[material] = true;
            mesh->material_table[material].cover = (enum gpu_cover)cover;
            *entry = (uint16_t)(material + 1);
        } else if (*entry == 0 && mesh->material_count < UINT16_MAX) {
            void *grown = realloc(mesh->material_table,
                                  (mesh->material_count + 1) * sizeof *mesh->material_table);
            if (grown == NULL) {
                done = false;
                break;
            }
            mesh->material_table = grown;
            mesh->material_table[mesh->material_count] = mesh->material_table[material];
            mesh->material_table[mesh->material_count].cover = (enum gpu_cover)cover;
            *entry = (uint16_t)++mesh->material_count;
        }
        mesh->materials[t] = *entry > 0 ? (uint16_t)(*entry - 1) : mesh->materials[t];
    }
    free(now);
    free(taken);
    return done;
}

int scene_covers_apply(struct scene_import *in) {
    return dress(&in->mesh)
               ? 0
               : err_set(in->err, ERR_NO_MEMORY, "%s: no memory to import it", in->file);
}
