/* rig_words.c - reads the names that people give to bones: "upper_arm.L", "Bip01 L Thigh",
 * "J_Bip_R_LowerArm", "lShldrBend", "DEF-forearm.R", "finger3-1.L", "Left ankle" ...
 *
 * A name loses its namespace and is cut into words where the case changes and at digits and
 * punctuation. Words that tell the side or only the tool are taken out; what remains, joined, is
 * looked up. Words of controls, helpers and ends rule a joint out. The words come from a table
 * (lua/retarget/rigs/words.lua). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "media/rig_tables.h"

enum { MAX_WORDS = 16, WORD_SIZE = 32, FINGERS = 5 };

/* What a name says. */
struct reading {
    int bone; /* an enum rig_bone, of pairs the left one; -1: none */
    int kind; /* enum rig_word: a bone, or what is not clear, or a finger; -1: nothing */
    int side; /* 0 left, 1 right, -1 none */
    int rank; /* lower is better among the names for one bone */
};

static const struct reading nothing = {-1, -1, -1, 0};

static const struct rig_word_entry *find_word(const struct rig_tables *tables, int kind,
                                              const char *word) {
    for (size_t i = 0; i < tables->word_count; i++)
        if ((int)tables->words[i].kind == kind && strcmp(tables->words[i].text, word) == 0)
            return &tables->words[i];
    return NULL;
}

/* Cuts a name into lower-case words; digits are words of their own. */
static int cut_words(const char *name, char words[MAX_WORDS][WORD_SIZE]) {
    const char *colon = strrchr(name, ':'), *bar = strrchr(name, '|');
    const char *c = colon != NULL ? colon + 1 : bar != NULL ? bar + 1 : name;
    int count = 0, length = 0;
    for (; *c != '\0'; c++) {
        unsigned char now = (unsigned char)*c, before = length > 0 ? (unsigned char)c[-1] : 0;
        bool cut = !isalnum(now) && now < 128;
        bool turn = length > 0 &&
                    ((isupper(now) && islower(before)) || (!isdigit(now) != !isdigit(before)) ||
                     (isupper(now) && isupper(before) && islower((unsigned char)c[1])));
        if ((cut || turn) && length > 0) {
            words[count++][length] = '\0';
            length = 0;
            if (count == MAX_WORDS)
                return count;
        }
        if (!cut && length < WORD_SIZE - 1)
            words[count][length++] = (char)tolower(now);
    }
    if (length > 0)
        words[count++][length] = '\0';
    return count;
}

static int side_of(const struct rig_tables *tables, const char *word) {
    return find_word(tables, RIG_WORD_LEFT, word) != NULL    ? 0
           : find_word(tables, RIG_WORD_RIGHT, word) != NULL ? 1
                                                             : -1;
}

static bool look_up(const struct rig_tables *tables, const char *key, struct reading *out) {
    for (int kind = RIG_WORD_BONE; kind <= RIG_WORD_SHOULDER; kind++) {
        const struct rig_word_entry *entry = find_word(tables, kind, key);
        if (entry == NULL)
            continue;
        out->kind = kind;
        out->bone = entry->bone;
        out->rank = entry->rank;
        return true;
    }
    return false;
}

/* Which finger the words tell, 0 the thumb, or -1. Bip01 counts Finger0 to Finger4, MakeHuman
 * finger1-1 to finger5-3. */
static int finger_of(const struct rig_tables *tables, char words[MAX_WORDS][WORD_SIZE], int count) {
    int numbers = 0, first = -1;
    bool finger = false;
    for (int i = 0; i < count; i++) {
        for (size_t w = 0; w < tables->word_count; w++) {
            const struct rig_word_entry *entry = &tables->words[w];
            if (entry->kind >= RIG_WORD_THUMB && entry->kind <= RIG_WORD_LITTLE &&
                strstr(words[i], entry->text) != NULL && strstr(words[i], "string") == NULL)
                return (int)entry->kind - RIG_WORD_THUMB;
        }
        finger = finger || strcmp(words[i], "finger") == 0;
        if (finger && isdigit((unsigned char)words[i][0]) && numbers++ == 0)
            first = words[i][0] - '0';
    }
    if (!finger || first < 0)
        return -1;
    first = numbers > 1 ? first - 1 : first;
    return first < FINGERS ? first : -1;
}

/* "larm", "rightfoot": a side glued to a known word. */
static bool look_up_glued(const struct rig_tables *tables, const char *key, struct reading *out) {
    static const char *const prefixes[] = {"left", "right", "l", "r"};
    for (int i = 0; i < 4; i++) {
        size_t length = strlen(prefixes[i]);
        if (strncmp(key, prefixes[i], length) == 0 && look_up(tables, key + length, out)) {
            out->side = i % 2;
            return true;
        }
    }
    return false;
}

static struct reading read_name(const struct rig_tables *tables, const char *name) {
    char words[MAX_WORDS][WORD_SIZE], key[MAX_WORDS * WORD_SIZE] = "";
    struct reading out = nothing;
    int count = cut_words(name, words);
    int finger = finger_of(tables, words, count);
    for (int i = 0; i < count; i++) {
        const char *word = words[i];
        if (find_word(tables, RIG_WORD_HELPER, word) != NULL)
            return nothing;
        if (out.side < 0 && side_of(tables, word) >= 0)
            out.side = side_of(tables, word);
        else if (!isdigit((unsigned char)word[0]) &&
                 find_word(tables, RIG_WORD_NOISE, word) == NULL)
            strcat(key, word);
    }
    if (finger >= 0 && strstr(key, "palm") == NULL && strstr(key, "metacarpal") == NULL) {
        if (out.side < 0 && strncmp(key, "left", 4) == 0)
            out.side = 0;
        else if (out.side < 0 && strncmp(key, "right", 5) == 0)
            out.side = 1;
        out.kind = RIG_WORD_THUMB + finger;
        out.bone = RIG_FINGERS + 6 * finger;
        return out;
    }
    if (!look_up(tables, key, &out) && (out.side >= 0 || !look_up_glued(tables, key, &out)))
        return nothing;
    if (out.bone == RIG_HIPS && out.side >= 0)
        out.kind = RIG_WORD_SIDE_HIP;
    return out;
}

/* -- All names together ------------------------------------------------------------------------ */

struct naming {
    const struct rig_joint *joints;
    struct rig_map *map;
    int rank[RIG_BONES];
    int unclear[RIG_WORD_SIDE_HIP + 1][2]; /* joints whose meaning the others decide */
};

static void take(struct naming *naming, int bone, int joint, int rank) {
    if (naming->map->joint[bone] >= 0 && naming->rank[bone] <= rank)
        return;
    naming->map->joint[bone] = joint;
    naming->rank[bone] = rank;
}

/* A finger's joints as they come, each below the one before. */
static void take_finger(struct naming *naming, int joint, int first) {
    int *joints = naming->map->joint;
    for (int i = 0; i < 3; i++) {
        int bone = first + 2 * i;
        if (joints[bone] >= 0)
            continue;
        if (i == 0 || rig_below(naming->joints, joint, joints[bone - 2]))
            joints[bone] = joint;
        return;
    }
}

static void take_paired(struct naming *naming, int joint, struct reading said) {
    if (said.side < 0)
        return;
    if (said.kind >= RIG_WORD_THUMB) {
        take_finger(naming, joint, said.bone + said.side);
    } else if (said.kind != RIG_WORD_BONE) {
        int *first = &naming->unclear[said.kind][said.side];
        *first = *first < 0 ? joint : *first;
    } else {
        take(naming, said.bone + said.side, joint, said.rank);
    }
}

/* An arm is the upper one unless there is another; a leg is the lower one if there is an upper one.
 */
static void decide(struct naming *naming, int side) {
    int *joint = naming->map->joint + side;
    int hip = naming->unclear[RIG_WORD_SIDE_HIP][side], leg = naming->unclear[RIG_WORD_LEG][side];
    int arm = naming->unclear[RIG_WORD_ARM][side];
    int shoulder = naming->unclear[RIG_WORD_SHOULDER][side];
    if (hip >= 0 && joint[RIG_LEFT_UPPER_LEG] < 0 && (leg >= 0 || joint[RIG_LEFT_LOWER_LEG] >= 0))
        joint[RIG_LEFT_UPPER_LEG] = hip;
    if (leg >= 0 && joint[RIG_LEFT_UPPER_LEG] < 0)
        joint[RIG_LEFT_UPPER_LEG] = leg;
    else if (leg >= 0 && joint[RIG_LEFT_LOWER_LEG] < 0)
        joint[RIG_LEFT_LOWER_LEG] = leg;
    if (arm >= 0 && joint[RIG_LEFT_UPPER_ARM] < 0)
        joint[RIG_LEFT_UPPER_ARM] = arm;
    else if (arm >= 0 && joint[RIG_LEFT_LOWER_ARM] < 0)
        joint[RIG_LEFT_LOWER_ARM] = arm;
    if (shoulder >= 0 && joint[RIG_LEFT_UPPER_ARM] < 0)
        joint[RIG_LEFT_UPPER_ARM] = shoulder;
    else if (shoulder >= 0 && joint[RIG_LEFT_SHOULDER] < 0)
        joint[RIG_LEFT_SHOULDER] = shoulder;
    /* A thumb of fewer than three joints lacks the one in the palm. */
    int *thumb = joint + RIG_LEFT_THUMB_METACARPAL;
    if (thumb[0] >= 0 && thumb[4] < 0) {
        thumb[4] = thumb[2];
        thumb[2] = thumb[0];
        thumb[0] = -1;
    }
}

bool rig_recognise_words(const struct rig_tables *tables, const struct rig_joint *joints,
                         uint32_t count, struct rig_map *map) {
    struct naming naming = {.joints = joints, .map = map};
    memset(naming.unclear, -1, sizeof naming.unclear);
    rig_map_clear(map);
    if (tables == NULL)
        return false;
    snprintf(map->name, sizeof map->name, "names");
    for (uint32_t i = 0; i < count; i++) {
        struct reading said = read_name(tables, joints[i].name);
        if (said.kind < 0)
            continue;
        if (joints[i].mesh) /* meshes are often named after the bone that they belong to */
            said.rank += 100;
        if (said.kind != RIG_WORD_BONE || said.bone >= RIG_PAIRS)
            take_paired(&naming, (int)i, said);
        else if (said.side < 0)
            take(&naming, said.bone, (int)i, said.rank);
    }
    for (int side = 0; side < 2; side++) {
        decide(&naming, side);
        int ankle = map->joint[RIG_LEFT_FOOT + side]; /* some call the ball of the foot the foot */
        for (uint32_t i = 0; ankle >= 0 && map->joint[RIG_LEFT_TOES + side] < 0 && i < count; i++) {
            struct reading said = read_name(tables, joints[i].name);
            if (said.kind == RIG_WORD_BONE && said.bone == RIG_LEFT_FOOT && said.side == side &&
                (int)i != ankle && rig_below(joints, (int)i, ankle))
                map->joint[RIG_LEFT_TOES + side] = (int)i;
        }
    }
    for (int bone = 0; bone < RIG_BONES; bone++)
        map->how[bone] = map->joint[bone] >= 0 ? RIG_BY_WORDS : RIG_BY_NOTHING;
    return rig_map_has_limbs(map);
}
