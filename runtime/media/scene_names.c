/* scene_names.c - reads the names that people give to bones: "mixamorig:LeftUpLeg", "upper_arm.L",
 * "Bip01 L Thigh", "J_Bip_R_LowerArm", "thigh_l", "lShldrBend", "DEF-forearm.R", "CC_Base_L_Calf",
 * "finger3-1.L", "Left ankle" ...
 *
 * A name loses its namespace and is cut into words where the case changes and at digits and
 * punctuation. Words that tell the side or only the tool are taken out; what remains, joined, is
 * looked up. Words of controls, helpers and ends rule a node out. */
#include <ctype.h>
#include <stdlib.h>

#include "media/scene_parts.h"

enum { MAX_WORDS = 16, WORD_SIZE = 32 };

/* What a name says. */
struct reading {
    int part; /* an enum rig_bone (left of a pair), or a NAME_ below; -1: nothing */
    int side; /* 0 left, 1 right, -1 none */
    int rank; /* lower is better among the names for one part */
};

/* Names that mean different parts in different rigs. */
enum { NAME_ARM = 100, NAME_LEG, NAME_SHOULDER, NAME_SIDE_HIP, NAME_END };

static const struct {
    const char *key;
    int part, rank;
} keys[] = {
    {"hips", RIG_HIPS, 0},
    {"hip", RIG_HIPS, 1},
    {"pelvis", RIG_HIPS, 2},
    {"cog", RIG_HIPS, 3},
    {"spine", RIG_SPINE, 0},
    {"abdomen", RIG_SPINE, 1},
    {"abdomenlower", RIG_SPINE, 1},
    {"belly", RIG_SPINE, 2},
    {"waist", RIG_SPINE, 2},
    {"upperchest", RIG_UPPER_CHEST, 0},
    {"chest", RIG_CHEST, 1},
    {"chestupper", RIG_UPPER_CHEST, 0},
    {"torso", RIG_CHEST, 2},
    {"ribcage", RIG_CHEST, 2},
    {"neck", RIG_NECK, 0},
    {"necklower", RIG_NECK, 0},
    {"head", RIG_HEAD, 0},
    {"skull", RIG_HEAD, 2},
    {"eye", RIG_LEFT_EYE, 0},
    {"faceeye", RIG_LEFT_EYE, 0},
    {"eyeball", RIG_LEFT_EYE, 1},
    {"shoulder", NAME_SHOULDER, 0},
    {"clavicle", RIG_LEFT_SHOULDER, 0},
    {"clav", RIG_LEFT_SHOULDER, 0},
    {"collar", RIG_LEFT_SHOULDER, 0},
    {"collarbone", RIG_LEFT_SHOULDER, 0},
    {"upperarm", RIG_LEFT_UPPER_ARM, 0},
    {"uparm", RIG_LEFT_UPPER_ARM, 0},
    {"armupper", RIG_LEFT_UPPER_ARM, 0},
    {"shldr", RIG_LEFT_UPPER_ARM, 0},
    {"shldrbend", RIG_LEFT_UPPER_ARM, 0},
    {"bicep", RIG_LEFT_UPPER_ARM, 1},
    {"humerus", RIG_LEFT_UPPER_ARM, 0},
    {"arm", NAME_ARM, 0},
    {"lowerarm", RIG_LEFT_LOWER_ARM, 0},
    {"lowarm", RIG_LEFT_LOWER_ARM, 0},
    {"armlower", RIG_LEFT_LOWER_ARM, 0},
    {"forearm", RIG_LEFT_LOWER_ARM, 0},
    {"forearmbend", RIG_LEFT_LOWER_ARM, 0},
    {"elbow", RIG_LEFT_LOWER_ARM, 1},
    {"wrist", RIG_LEFT_HAND, 0},
    {"hand", RIG_LEFT_HAND, 1},
    {"palm", RIG_LEFT_HAND, 2},
    {"fist", RIG_LEFT_HAND, 2},
    {"upperleg", RIG_LEFT_UPPER_LEG, 0},
    {"upleg", RIG_LEFT_UPPER_LEG, 0},
    {"legupper", RIG_LEFT_UPPER_LEG, 0},
    {"thigh", RIG_LEFT_UPPER_LEG, 0},
    {"thighbend", RIG_LEFT_UPPER_LEG, 0},
    {"femur", RIG_LEFT_UPPER_LEG, 0},
    {"leg", NAME_LEG, 0},
    {"lowerleg", RIG_LEFT_LOWER_LEG, 0},
    {"lowleg", RIG_LEFT_LOWER_LEG, 0},
    {"leglower", RIG_LEFT_LOWER_LEG, 0},
    {"shin", RIG_LEFT_LOWER_LEG, 0},
    {"shinbend", RIG_LEFT_LOWER_LEG, 0},
    {"calf", RIG_LEFT_LOWER_LEG, 0},
    {"knee", RIG_LEFT_LOWER_LEG, 1},
    {"tibia", RIG_LEFT_LOWER_LEG, 0},
    {"ankle", RIG_LEFT_FOOT, 0},
    {"foot", RIG_LEFT_FOOT, 1},
    {"toe", RIG_LEFT_TOES, 0},
    {"toes", RIG_LEFT_TOES, 0},
    {"toebase", RIG_LEFT_TOES, 0},
    {"ball", RIG_LEFT_TOES, 0},
};

/* Words that only tell the tool or the rig. */
static const char *const noise[] = {
    "mixamorig", "mixamo",    "rig", "bip", "biped", "valve", "def",     "org",   "cc",  "base",
    "j",         "c",         "b",   "bn",  "jnt",   "joint", "bone",    "bones", "sk",  "skeleton",
    "armature",  "character", "jt",  "adj", "human", "body",  "genesis", "bind",  "skin"};

/* Words of nodes that are not the bone itself. */
static const char *const helpers[] = {
    "ik",  "fk",     "ctrl", "control",  "pole",   "target", "twist",  "roll",  "mch",
    "wgt", "helper", "slot", "handslot", "socket", "weapon", "prop",   "tweak", "vis",
    "nub", "end",    "aux",  "attach",   "offset", "parent", "handle", "mesh",  "geo"};

static bool one_of(const char *word, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, list[i]) == 0)
            return true;
    return false;
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

static int side_of(const char *word) {
    static const char *const left[] = {"l", "left", "lft", "lf"}, *const right[] = {"r", "right",
                                                                                    "rgt", "rt"};
    return one_of(word, left, 4) ? 0 : one_of(word, right, 4) ? 1 : -1;
}

static bool look_up(const char *key, struct reading *out) {
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(key, keys[i].key) != 0)
            continue;
        out->part = keys[i].part;
        out->rank = keys[i].rank;
        return true;
    }
    return false;
}

/* Which finger the words tell, 0 the thumb, or -1. Bip01 counts Finger0 to Finger4, MakeHuman
 * finger1-1 to finger5-3. */
static int finger_of(char words[MAX_WORDS][WORD_SIZE], int count) {
    static const char *const names[] = {"thumb", "index", "middle", "ring", "pinky"};
    int numbers = 0, first = -1;
    bool finger = false;
    for (int i = 0; i < count; i++) {
        for (int f = 0; f < 5; f++)
            if (strstr(words[i], names[f]) != NULL)
                return f;
        if (strcmp(words[i], "little") == 0 || strcmp(words[i], "pinkie") == 0)
            return 4;
        finger = finger || strcmp(words[i], "finger") == 0;
        if (finger && isdigit((unsigned char)words[i][0]) && numbers++ == 0)
            first = words[i][0] - '0';
    }
    if (!finger || first < 0)
        return -1;
    return numbers > 1 ? first - 1 : first;
}

/* "larm", "rightfoot": a side glued to a known word. */
static bool look_up_glued(const char *key, struct reading *out) {
    static const char *const prefixes[] = {"left", "right", "l", "r"};
    for (int i = 0; i < 4; i++) {
        size_t length = strlen(prefixes[i]);
        if (strncmp(key, prefixes[i], length) == 0 && look_up(key + length, out)) {
            out->side = i % 2;
            return true;
        }
    }
    return false;
}

static struct reading read_name(const char *name) {
    char words[MAX_WORDS][WORD_SIZE], key[MAX_WORDS * WORD_SIZE] = "";
    struct reading out = {-1, -1, 0};
    int count = cut_words(name, words);
    int finger = finger_of(words, count);
    for (int i = 0; i < count; i++) {
        const char *word = words[i];
        if (one_of(word, helpers, sizeof helpers / sizeof *helpers))
            return (struct reading){-1, -1, 0};
        if (out.side < 0 && side_of(word) >= 0)
            out.side = side_of(word);
        else if (!isdigit((unsigned char)word[0]) &&
                 !one_of(word, noise, sizeof noise / sizeof *noise))
            strcat(key, word);
    }
    if (finger >= 0 && finger < 5 && strstr(key, "palm") == NULL &&
        strstr(key, "metacarpal") == NULL) {
        static const int parts[] = {RIG_LEFT_THUMB_PROXIMAL, RIG_LEFT_INDEX_PROXIMAL,
                                    RIG_LEFT_MIDDLE_PROXIMAL, RIG_LEFT_RING_PROXIMAL,
                                    RIG_LEFT_LITTLE_PROXIMAL};
        if (out.side < 0 && strncmp(key, "left", 4) == 0)
            out.side = 0;
        else if (out.side < 0 && strncmp(key, "right", 5) == 0)
            out.side = 1;
        out.part = parts[finger];
        return out;
    }
    if (!look_up(key, &out) && (out.side >= 0 || !look_up_glued(key, &out)))
        return (struct reading){-1, -1, 0};
    if (out.part == RIG_HIPS && out.side >= 0)
        out.part = NAME_SIDE_HIP;
    return out;
}

/* -- All names together ------------------------------------------------------------------------ */

struct naming {
    const struct scene *scene;
    struct scene_rig *rig;
    int rank[RIG_BONES];
    int unclear[NAME_END - NAME_ARM][2]; /* nodes whose meaning the others decide */
};

static bool below(const struct scene *scene, int node, int ancestor) {
    while (node >= 0 && node != ancestor)
        node = scene->joints[node].parent;
    return node >= 0;
}

static void take(struct naming *naming, int part, int node, int rank) {
    if (naming->rig->node[part] >= 0 && naming->rank[part] <= rank)
        return;
    naming->rig->node[part] = node;
    naming->rank[part] = rank;
}

static void take_paired(struct naming *naming, int node, struct reading said) {
    if (said.side < 0)
        return;
    if (said.part >= NAME_ARM) {
        int *first = &naming->unclear[said.part - NAME_ARM][said.side];
        if (*first < 0)
            *first = node;
        return;
    }
    int part = said.part + said.side, *thumb = &naming->rig->node[part];
    /* MediaPipe's thumb is the second joint of the thumb. */
    if (said.part == RIG_LEFT_THUMB_PROXIMAL && *thumb >= 0 && naming->rank[part] == 0 &&
        naming->scene->joints[node].parent == *thumb) {
        *thumb = node;
        naming->rank[part] = -1;
        return;
    }
    take(naming, part, node, said.rank);
}

/* An arm is the upper one unless there is another; a leg is the lower one if there is an upper one.
 */
static void decide(struct naming *naming, int side) {
    int *node = naming->rig->node;
    int hip = naming->unclear[NAME_SIDE_HIP - NAME_ARM][side];
    int leg = naming->unclear[NAME_LEG - NAME_ARM][side];
    int arm = naming->unclear[NAME_ARM - NAME_ARM][side];
    int shoulder = naming->unclear[NAME_SHOULDER - NAME_ARM][side];
    if (hip >= 0 && node[RIG_LEFT_UPPER_LEG + side] < 0 &&
        (leg >= 0 || node[RIG_LEFT_LOWER_LEG + side] >= 0))
        node[RIG_LEFT_UPPER_LEG + side] = hip;
    if (leg >= 0 && node[RIG_LEFT_UPPER_LEG + side] < 0)
        node[RIG_LEFT_UPPER_LEG + side] = leg;
    else if (leg >= 0 && node[RIG_LEFT_LOWER_LEG + side] < 0)
        node[RIG_LEFT_LOWER_LEG + side] = leg;
    if (arm >= 0 && node[RIG_LEFT_UPPER_ARM + side] < 0)
        node[RIG_LEFT_UPPER_ARM + side] = arm;
    else if (arm >= 0 && node[RIG_LEFT_LOWER_ARM + side] < 0)
        node[RIG_LEFT_LOWER_ARM + side] = arm;
    if (shoulder >= 0 && node[RIG_LEFT_UPPER_ARM + side] < 0)
        node[RIG_LEFT_UPPER_ARM + side] = shoulder;
    else if (shoulder >= 0 && node[RIG_LEFT_SHOULDER + side] < 0)
        node[RIG_LEFT_SHOULDER + side] = shoulder;
}

int scene_rig_names(const struct scene *scene, struct scene_rig *rig) {
    struct naming naming = {.scene = scene, .rig = rig};
    memset(naming.unclear, -1, sizeof naming.unclear);
    int found = 0;
    for (int i = 0; i < RIG_BONES; i++)
        rig->node[i] = -1;
    for (uint32_t i = 0; i < scene->node_count; i++) {
        struct reading said = read_name(scene->joints[i].name);
        if (said.part < 0)
            continue;
        if (scene->joints[i].holder) /* meshes are often named after the bone that they belong to */
            said.rank += 10;
        if (said.part >= RIG_LEFT_EYE)
            take_paired(&naming, (int)i, said);
        else if (said.side < 0)
            take(&naming, said.part, (int)i, said.rank);
    }
    decide(&naming, 0);
    decide(&naming, 1);
    for (int side = 0; side < 2; side++) { /* SMPL calls the ball of the foot the foot */
        int ankle = rig->node[RIG_LEFT_FOOT + side];
        for (uint32_t i = 0;
             ankle >= 0 && rig->node[RIG_LEFT_TOES + side] < 0 && i < scene->node_count; i++) {
            struct reading said = read_name(scene->joints[i].name);
            if (said.part == RIG_LEFT_FOOT && said.side == side && (int)i != ankle &&
                below(scene, (int)i, ankle))
                rig->node[RIG_LEFT_TOES + side] = (int)i;
        }
    }
    for (int i = 0; i < RIG_BONES; i++)
        found += rig->node[i] >= 0;
    return found;
}
