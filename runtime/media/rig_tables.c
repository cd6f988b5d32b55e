#include "media/rig_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rig_tables *rig_tables_new(void) {
    struct rig_tables *tables = calloc(1, sizeof *tables);
    if (tables != NULL)
        atomic_init(&tables->holders, 1);
    return tables;
}

struct rig_tables *rig_tables_retain(struct rig_tables *tables) {
    atomic_fetch_add_explicit(&tables->holders, 1, memory_order_relaxed);
    return tables;
}

void rig_tables_release(struct rig_tables *tables) {
    if (tables == NULL || atomic_fetch_sub_explicit(&tables->holders, 1, memory_order_acq_rel) > 1)
        return;
    free(tables->rigs);
    free(tables->entries);
    free(tables->words);
    free(tables);
}

/* Room for one more of `size` bytes, doubling at powers of two; NULL without memory. */
static void *grown(void *list, size_t count, size_t size) {
    if (count > 0 && (count & (count - 1)) != 0)
        return list;
    return realloc(list, (count > 0 ? count * 2 : 1) * size);
}

bool rig_tables_add_rig(struct rig_tables *tables, const char *name) {
    void *rigs = grown(tables->rigs, tables->rig_count, sizeof *tables->rigs);
    if (rigs == NULL)
        return false;
    tables->rigs = rigs;
    snprintf(tables->rigs[tables->rig_count++], sizeof *tables->rigs, "%s", name);
    return true;
}

static bool add_entry(struct rig_tables *tables, int bone, int rank, const char *text) {
    void *entries = grown(tables->entries, tables->entry_count, sizeof *tables->entries);
    if (entries == NULL)
        return false;
    tables->entries = entries;
    struct rig_entry *entry = &tables->entries[tables->entry_count++];
    *entry = (struct rig_entry){.rig = (int)tables->rig_count - 1, .bone = bone, .rank = rank};
    rig_fold(text, entry->text);
    return true;
}

bool rig_tables_add_prefix(struct rig_tables *tables, const char *prefix) {
    return add_entry(tables, -1, 0, prefix);
}

bool rig_tables_add_name(struct rig_tables *tables, int bone, int rank, const char *name) {
    return add_entry(tables, bone, rank, name);
}

bool rig_tables_add_word(struct rig_tables *tables, enum rig_word kind, int bone, int rank,
                         const char *word) {
    void *words = grown(tables->words, tables->word_count, sizeof *tables->words);
    if (words == NULL)
        return false;
    tables->words = words;
    struct rig_word_entry *entry = &tables->words[tables->word_count++];
    *entry = (struct rig_word_entry){.kind = kind, .bone = bone, .rank = rank};
    snprintf(entry->text, sizeof entry->text, "%s", word);
    return true;
}
