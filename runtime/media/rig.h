/* rig.h - the bones that a human skeleton may have: VRM 1.0's humanoid, 55 of them, with VRM's
 * names. Bodies (media/scene.h) and motions tell by them what their joints are; which joint is
 * which bone is told by tables of names, which lua/retarget/rigs/ holds.
 *
 * Pairs stand together, left before right, so a right bone is its left one + 1. Left and right are
 * the person's.
 *
 * Ownership: tables are counted; the last rig_tables_release frees them. Threads: any may call;
 * tables are filled by one thread and not changed after they were handed on. */
#ifndef STANCE_MEDIA_RIG_H
#define STANCE_MEDIA_RIG_H

#include <stdbool.h>
#include <stdint.h>

enum rig_bone {
    RIG_HIPS,
    RIG_SPINE,
    RIG_CHEST,
    RIG_UPPER_CHEST,
    RIG_NECK,
    RIG_HEAD,
    RIG_JAW,
    RIG_LEFT_EYE, /* the first of the pairs */
    RIG_RIGHT_EYE,
    RIG_LEFT_SHOULDER, /* the collar bone */
    RIG_RIGHT_SHOULDER,
    RIG_LEFT_UPPER_ARM,
    RIG_RIGHT_UPPER_ARM,
    RIG_LEFT_LOWER_ARM,
    RIG_RIGHT_LOWER_ARM,
    RIG_LEFT_HAND,
    RIG_RIGHT_HAND,
    RIG_LEFT_UPPER_LEG,
    RIG_RIGHT_UPPER_LEG,
    RIG_LEFT_LOWER_LEG,
    RIG_RIGHT_LOWER_LEG,
    RIG_LEFT_FOOT,
    RIG_RIGHT_FOOT,
    RIG_LEFT_TOES,
    RIG_RIGHT_TOES,
    RIG_LEFT_THUMB_METACARPAL, /* the first of the fingers, each from the palm out */
    RIG_RIGHT_THUMB_METACARPAL,
    RIG_LEFT_THUMB_PROXIMAL,
    RIG_RIGHT_THUMB_PROXIMAL,
    RIG_LEFT_THUMB_DISTAL,
    RIG_RIGHT_THUMB_DISTAL,
    RIG_LEFT_INDEX_PROXIMAL,
    RIG_RIGHT_INDEX_PROXIMAL,
    RIG_LEFT_INDEX_INTERMEDIATE,
    RIG_RIGHT_INDEX_INTERMEDIATE,
    RIG_LEFT_INDEX_DISTAL,
    RIG_RIGHT_INDEX_DISTAL,
    RIG_LEFT_MIDDLE_PROXIMAL,
    RIG_RIGHT_MIDDLE_PROXIMAL,
    RIG_LEFT_MIDDLE_INTERMEDIATE,
    RIG_RIGHT_MIDDLE_INTERMEDIATE,
    RIG_LEFT_MIDDLE_DISTAL,
    RIG_RIGHT_MIDDLE_DISTAL,
    RIG_LEFT_RING_PROXIMAL,
    RIG_RIGHT_RING_PROXIMAL,
    RIG_LEFT_RING_INTERMEDIATE,
    RIG_RIGHT_RING_INTERMEDIATE,
    RIG_LEFT_RING_DISTAL,
    RIG_RIGHT_RING_DISTAL,
    RIG_LEFT_LITTLE_PROXIMAL,
    RIG_RIGHT_LITTLE_PROXIMAL,
    RIG_LEFT_LITTLE_INTERMEDIATE,
    RIG_RIGHT_LITTLE_INTERMEDIATE,
    RIG_LEFT_LITTLE_DISTAL,
    RIG_RIGHT_LITTLE_DISTAL,
    RIG_BONES,
    RIG_PAIRS = RIG_LEFT_EYE,
    RIG_FINGERS = RIG_LEFT_THUMB_METACARPAL,
};

/* "hips", "leftUpperArm", ... as VRM 1.0 names them; NULL past the last. */
const char *rig_bone_name(int bone);

/* The bone of that name, or -1. VRM 0's names of the thumb mean other bones and are not told apart
 * here. */
int rig_bone_find(const char *name);

/* The bone that it hangs on in VRM's tree; -1 of the hips. */
int rig_bone_parent(int bone);

/* Whether a humanoid must have it, by VRM 1.0: hips, spine, head, arms and legs to hand and foot.
 */
bool rig_bone_required(int bone);

/* -- Tables ------------------------------------------------------------------------------------ */

struct rig_tables;

struct rig_tables *rig_tables_new(void); /* empty; NULL: no memory */
struct rig_tables *rig_tables_retain(struct rig_tables *tables);
void rig_tables_release(struct rig_tables *tables); /* NULL is fine */

/* What a word among the names of bones means. */
enum rig_word {
    RIG_WORD_BONE, /* with a bone, of pairs the left one */
    RIG_WORD_ARM,  /* what these are the other names decide */
    RIG_WORD_LEG,
    RIG_WORD_SHOULDER,
    RIG_WORD_SIDE_HIP, /* hips with a side; never in a table */
    RIG_WORD_THUMB,    /* the fingers, in the order of their bones */
    RIG_WORD_INDEX,
    RIG_WORD_MIDDLE,
    RIG_WORD_RING,
    RIG_WORD_LITTLE,
    RIG_WORD_LEFT,
    RIG_WORD_RIGHT,
    RIG_WORD_NOISE,  /* tells the tool only */
    RIG_WORD_HELPER, /* its joint is no bone */
};

/* A new rig, which the next names and prefixes belong to. These return false without memory. Ranks:
 * of several names for one bone the lower one wins. */
bool rig_tables_add_rig(struct rig_tables *tables, const char *name);
bool rig_tables_add_prefix(struct rig_tables *tables, const char *prefix);
bool rig_tables_add_name(struct rig_tables *tables, int bone, int rank, const char *name);
bool rig_tables_add_word(struct rig_tables *tables, enum rig_word kind, int bone, int rank,
                         const char *word);

/* -- Recognition ------------------------------------------------------------------------------- */

/* How a bone was found. */
enum rig_how { RIG_BY_NOTHING, RIG_BY_FILE, RIG_BY_TABLE, RIG_BY_WORDS, RIG_BY_SHAPE };
const char *rig_how_name(int how); /* "file", "table", "words", "shape"; "" for nothing */

struct rig_joint {
    const char *name;
    int parent; /* before it; -1: none */
    bool mesh;  /* it holds a mesh and is no bone: often named after the bone it hangs on */
};

struct rig_map {
    int joint[RIG_BONES];   /* -1: not there */
    uint8_t how[RIG_BONES]; /* enum rig_how */
    char name[32];          /* the rig's */
};

void rig_map_clear(struct rig_map *map);

/* Whether arms and legs are there, both bones of each. */
bool rig_map_has_limbs(const struct rig_map *map);

/* By tables, and where none gives both arms and legs, by words; what a table leaves out is filled
 * in by words. Whether rig_map_has_limbs; what was found is in `map` either way. tables may be
 * NULL: nothing is found. */
bool rig_recognise(const struct rig_tables *tables, const struct rig_joint *joints, uint32_t count,
                   struct rig_map *map);

/* By words alone: the second half of rig_recognise. */
bool rig_recognise_words(const struct rig_tables *tables, const struct rig_joint *joints,
                         uint32_t count, struct rig_map *map);

#endif
