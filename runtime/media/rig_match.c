/* rig_match.c - finds the table whose names a skeleton has.
 *
 * Each rig is tried with each of its prefixes and without any. Of those that give both arms and
 * both legs the one with the most bones wins; among equals the first. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/rig_tables.h"

const char *rig_how_name(int how) {
    static const char *const names[] = {"", "file", "table", "words", "shape"};
    return how >= 0 && how <= RIG_BY_SHAPE ? names[how] : "";
}

void rig_map_clear(struct rig_map *map) {
    for (int bone = 0; bone < RIG_BONES; bone++)
        map->joint[bone] = -1;
    memset(map->how, RIG_BY_NOTHING, sizeof map->how);
    map->name[0] = '\0';
}

bool rig_map_has_limbs(const struct rig_map *map) {
    static const int needed[] = {RIG_LEFT_UPPER_ARM, RIG_LEFT_LOWER_ARM, RIG_LEFT_UPPER_LEG,
                                 RIG_LEFT_LOWER_LEG};
    for (int i = 0; i < 8; i++)
        if (map->joint[needed[i / 2] + i % 2] < 0)
            return false;
    return true;
}

void rig_fold(const char *name, char out[RIG_NAME_SIZE]) {
    const char *colon = strrchr(name, ':'), *bar = strrchr(name, '|');
    const char *c = colon != NULL && colon[1] != '\0' ? colon + 1
                    : bar != NULL && bar[1] != '\0'   ? bar + 1
                                                      : name;
    size_t length = 0;
    for (; *c != '\0' && length + 1 < RIG_NAME_SIZE; c++)
        if (isalnum((unsigned char)*c))
            out[length++] = (char)tolower((unsigned char)*c);
    out[length] = '\0';
}

/* -- One table --------------------------------------------------------------------------------- */

struct folded {
    char text[RIG_NAME_SIZE];
};

/* The name after the prefix and its number; NULL when it has not this prefix. */
static const char *strip(const char *name, const char *prefix) {
    size_t length = strlen(prefix);
    if (length == 0)
        return name;
    if (strncmp(name, prefix, length) != 0)
        return NULL;
    name += length;
    while (isdigit((unsigned char)*name))
        name++;
    return name;
}

struct trial {
    const struct rig_tables *tables;
    const struct rig_joint *joints;
    const struct folded *folded;
    uint32_t count;
    const char *prefix;
    bool *used; /* [count] scratch */
};

/* The joint of that name which is no bone yet; meshes that are called like a bone come last. */
static int find_joint(const struct trial *trial, const char *name) {
    int mesh = -1;
    for (uint32_t i = 0; i < trial->count; i++) {
        const char *rest = strip(trial->folded[i].text, trial->prefix);
        if (rest == NULL || trial->used[i] || strcmp(rest, name) != 0)
            continue;
        if (!trial->joints[i].mesh)
            return (int)i;
        mesh = mesh < 0 ? (int)i : mesh;
    }
    return mesh;
}

/* Better names of all bones go before worse ones of any. Returns how many were found. */
static int try_rig(const struct trial *trial, const struct rig_entry *first,
                   const struct rig_entry *end, struct rig_map *map) {
    int found = 0, ranks = 1;
    memset(trial->used, 0, trial->count * sizeof *trial->used);
    rig_map_clear(map);
    for (int rank = 0; rank < ranks; rank++) {
        for (const struct rig_entry *entry = first; entry < end; entry++) {
            ranks = entry->rank >= ranks ? entry->rank + 1 : ranks;
            if (entry->bone < 0 || entry->rank != rank || map->joint[entry->bone] >= 0)
                continue;
            int joint = find_joint(trial, entry->text);
            if (joint < 0)
                continue;
            map->joint[entry->bone] = joint;
            map->how[entry->bone] = RIG_BY_TABLE;
            trial->used[joint] = true;
            found++;
        }
    }
    return found;
}

static int best_rig(struct trial *trial, struct rig_map *best) {
    const struct rig_tables *tables = trial->tables;
    const struct rig_entry *first = tables->entries, *all = first + tables->entry_count, *end;
    int most = 0;
    struct rig_map map;
    for (; first < all; first = end) {
        for (end = first; end < all && end->rig == first->rig;)
            end++;
        for (const struct rig_entry *prefix = first; prefix <= end; prefix++) {
            if (prefix < end && prefix->bone >= 0)
                continue;
            trial->prefix = prefix < end ? prefix->text : "";
            int found = try_rig(trial, first, end, &map);
            if (found <= most || !rig_map_has_limbs(&map))
                continue;
            most = found;
            *best = map;
            snprintf(best->name, sizeof best->name, "%s", tables->rigs[first->rig]);
        }
    }
    return most;
}

/* -- The whole --------------------------------------------------------------------------------- */

/* What a table leaves out may go by other names. */
static void fill_by_words(const struct rig_tables *tables, const struct rig_joint *joints,
                          uint32_t count, struct rig_map *map) {
    struct rig_map named;
    rig_recognise_words(tables, joints, count, &named);
    if (named.joint[RIG_LEFT_LOWER_ARM] != map->joint[RIG_LEFT_LOWER_ARM] ||
        named.joint[RIG_LEFT_LOWER_LEG] != map->joint[RIG_LEFT_LOWER_LEG])
        return; /* they mean another skeleton */
    for (int bone = 0; bone < RIG_BONES; bone++) {
        bool taken = named.joint[bone] < 0 || map->joint[bone] >= 0;
        for (int other = 0; other < RIG_BONES && !taken; other++)
            taken = map->joint[other] == named.joint[bone];
        if (taken)
            continue;
        map->joint[bone] = named.joint[bone];
        map->how[bone] = RIG_BY_WORDS;
    }
}

bool rig_recognise(const struct rig_tables *tables, const struct rig_joint *joints, uint32_t count,
                   struct rig_map *map) {
    rig_map_clear(map);
    if (tables == NULL || count == 0)
        return false;
    struct folded *folded = malloc(count * sizeof *folded);
    bool *used = malloc(count * sizeof *used);
    struct trial trial = {
        .tables = tables, .joints = joints, .folded = folded, .count = count, .used = used};
    int found = 0;
    for (uint32_t i = 0; folded != NULL && i < count; i++)
        rig_fold(joints[i].name, folded[i].text);
    if (folded != NULL && used != NULL)
        found = best_rig(&trial, map);
    free(folded);
    free(used);
    if (found == 0)
        return rig_recognise_words(tables, joints, count, map);
    fill_by_words(tables, joints, count, map);
    return true;
}
