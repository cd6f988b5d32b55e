/* rig_tables.h - what rig_*.c share: how the tables of rig.h are kept. */
#ifndef STANCE_MEDIA_RIG_TABLES_H
#define STANCE_MEDIA_RIG_TABLES_H

#include <stdatomic.h>
#include <stddef.h>

#include "media/rig.h"

enum { RIG_NAME_SIZE = 64 };

struct rig_entry { /* a name of a bone, or a prefix (bone -1), of a rig */
    int rig, bone, rank;
    char text[RIG_NAME_SIZE]; /* folded */
};

struct rig_word_entry {
    enum rig_word kind;
    int bone, rank;
    char text[32];
};

struct rig_tables {
    atomic_uint holders;
    size_t rig_count, entry_count, word_count;
    char (*rigs)[32];
    struct rig_entry *entries; /* by rising rig */
    struct rig_word_entry *words;
};

/* A name without namespace, in lower case, letters and digits only. */
void rig_fold(const char *name, char out[RIG_NAME_SIZE]);

/* Whether a joint is another or below it. */
static inline bool rig_below(const struct rig_joint *joints, int joint, int ancestor) {
    while (joint >= 0 && joint != ancestor)
        joint = joints[joint].parent;
    return joint >= 0;
}

#endif
