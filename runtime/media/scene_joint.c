/* scene_joint.c - the points of a body that are no MediaPipe landmarks: what other skeletons name.
 *
 * Where the skeleton has the bone, the point is the bone's joint: spine1, spine2, spine3 (VRM's
 * spine, chest, upperChest), neck, head, collars (VRM's shoulders), balls of the feet (toes),
 * knuckles (the middle finger's first joint). Else, and for what is no bone:
 *
 * mid_hip, thorax   the middle of the hips, of the shoulders
 * pelvis            the hips' bone within an eighth of the stature of mid_hip, else mid_hip
 * spine1..3         at .21, .47 and .58 of the way from pelvis to neck, as in SMPL's mean body
 * neck, head        at .2 and .6 of the way from thorax to the middle of the ears
 * head_top          above the middle of the ears by .93 of their distance, or where the head's skin
 *                   ends before that (the mean head: 140 mm over 150 mm)
 * collars           at .35 of the way from thorax to the shoulder
 * balls             at .72 of the way from heel to foot_index
 * big, small toes   beside foot_index by .13 inwards and .19 outwards of the way from the heel, the
 *                   small one .2 behind it
 * knuckles          the middle of the index and the little finger's knuckles
 *
 * Bind space, like the landmarks; a point moves with one bone. Its radius is the depth under the
 * skin, as for landmarks. */
#include "media/scene_landmark.h"

static struct vec position(const struct scene *scene, int point) {
    const float *p = scene->anchors[point].position;
    return (struct vec){(double)p[0], (double)p[1], (double)p[2]};
}

static struct vec middle(const struct scene *scene, int a, int b) {
    return vec_mix(position(scene, a), position(scene, b), 0.5);
}

static bool both(const struct scene *scene, int a, int b) {
    return scene->known[a] && scene->known[b];
}

static int joint_of(const struct scene *scene, int point) {
    return scene->anchors[point].joint[0];
}

static struct vec place(const struct scene *scene, int node) {
    return mat_origin(&scene->joints[node].bind);
}

/* The first of two nodes that there is. */
static int either(int node, int other) {
    return node >= 0 ? node : other;
}

static void put(struct scene *scene, int point, struct vec at, int node, bool known) {
    landmark_set(scene, point, at, node);
    scene->known[point] = known;
}

/* -- The trunk --------------------------------------------------------------------------------- */

static void put_pelvis(struct scene *scene, int hips) {
    bool known = both(scene, LANDMARK_HIP, LANDMARK_HIP + 1);
    struct vec at = middle(scene, LANDMARK_HIP, LANDMARK_HIP + 1);
    int node = either(hips, joint_of(scene, LANDMARK_HIP));
    put(scene, SCENE_MID_HIP, at, node, known);
    if (hips >= 0 && vec_distance(place(scene, hips), at) < scene->report.stature / 8)
        at = place(scene, hips);
    put(scene, SCENE_PELVIS, at, node, known);
}

static void put_neck(struct scene *scene, int chest, const int *node) {
    struct vec thorax = middle(scene, LANDMARK_SHOULDER, LANDMARK_SHOULDER + 1);
    struct vec ears = middle(scene, LANDMARK_LEFT_EAR, LANDMARK_LEFT_EAR + 1);
    bool shoulders = both(scene, LANDMARK_SHOULDER, LANDMARK_SHOULDER + 1);
    bool face = both(scene, LANDMARK_LEFT_EAR, LANDMARK_LEFT_EAR + 1);
    int neck = node[RIG_NECK], head = node[RIG_HEAD];
    put(scene, SCENE_THORAX, thorax, chest, shoulders);
    put(scene, SCENE_NECK, neck >= 0 ? place(scene, neck) : vec_mix(thorax, ears, 0.2),
        either(neck, chest), neck >= 0 || (shoulders && face));
    put(scene, SCENE_HEAD, head >= 0 ? place(scene, head) : vec_mix(thorax, ears, 0.6),
        either(head, either(neck, chest)), head >= 0 || (shoulders && face));
}

static void put_spine(struct scene *scene, const int spine[3]) {
    static const double shares[3] = {0.21, 0.47, 0.58};
    int below = joint_of(scene, SCENE_PELVIS);
    bool known = scene->known[SCENE_PELVIS] && scene->known[SCENE_NECK];
    for (int i = 0; i < 3; i++) {
        struct vec at =
            vec_mix(position(scene, SCENE_PELVIS), position(scene, SCENE_NECK), shares[i]);
        if (spine[i] >= 0) {
            below = spine[i];
            at = place(scene, below);
        }
        put(scene, SCENE_SPINE1 + i, at, below, known || spine[i] >= 0);
    }
}

static bool put_head_top(struct scene *scene, const struct scene_mesh *mesh) {
    struct vec ears = middle(scene, LANDMARK_LEFT_EAR, LANDMARK_LEFT_EAR + 1);
    double up = 0.93 * vec_distance(position(scene, LANDMARK_LEFT_EAR),
                                    position(scene, LANDMARK_LEFT_EAR + 1));
    int node = joint_of(scene, SCENE_HEAD);
    struct probe skin;
    if (!probe_init(&skin, scene, mesh, node))
        return false;
    double way = probe_ray(&skin, ears, (struct vec){0, 1, 0}, true);
    probe_deinit(&skin);
    if (way > 0 && way < up)
        up = way;
    put(scene, SCENE_HEAD_TOP, vec_add(ears, (struct vec){0, up, 0}), node,
        both(scene, LANDMARK_LEFT_EAR, LANDMARK_LEFT_EAR + 1));
    return true;
}

/* -- The limbs --------------------------------------------------------------------------------- */

static void put_arm(struct scene *scene, int side, int chest, const int *node) {
    int collar = node[RIG_LEFT_SHOULDER + side], finger = node[RIG_LEFT_MIDDLE_PROXIMAL + side];
    int shoulder = LANDMARK_SHOULDER + side, index = LANDMARK_INDEX + side;
    int pinky = LANDMARK_PINKY + side;
    struct vec thorax = position(scene, SCENE_THORAX);
    put(scene, SCENE_LEFT_COLLAR + side,
        collar >= 0 ? place(scene, collar) : vec_mix(thorax, position(scene, shoulder), 0.35),
        either(collar, chest), collar >= 0 || scene->known[shoulder]);
    put(scene, SCENE_LEFT_KNUCKLES + side,
        finger >= 0 ? place(scene, finger) : middle(scene, index, pinky),
        joint_of(scene, LANDMARK_WRIST + side), finger >= 0 || both(scene, index, pinky));
}

static void put_foot(struct scene *scene, int side, const int *node) {
    int heel = LANDMARK_HEEL + side, tip = LANDMARK_FOOT_INDEX + side,
        toes = node[RIG_LEFT_TOES + side];
    bool known = both(scene, heel, tip);
    struct vec from = position(scene, heel), to = position(scene, tip);
    struct vec along = vec_sub(to, from), up = {0, 1, 0};
    struct vec outward =
        vec_scale(vec_unit(vec_cross(up, along)), (side == 0 ? 1 : -1) * vec_length(along));
    put(scene, SCENE_LEFT_BALL + side, toes >= 0 ? place(scene, toes) : vec_mix(from, to, 0.72),
        either(toes, joint_of(scene, heel)), toes >= 0 || known);
    put(scene, SCENE_LEFT_BIG_TOE + side, vec_sub(to, vec_scale(outward, 0.13)),
        joint_of(scene, tip), known);
    put(scene, SCENE_LEFT_SMALL_TOE + side,
        vec_sub(vec_add(to, vec_scale(outward, 0.19)), vec_scale(along, 0.2)), joint_of(scene, tip),
        known);
}

/* -- Own skin ---------------------------------------------------------------------------------- */

enum {
    TORSO = 1u << SCENE_PART_CHEST | 1u << SCENE_PART_PELVIS,
    SKULL = 1u << SCENE_PART_HEAD | 1u << SCENE_PART_NECK,
};

/* Which parts are the skin around a point; the pairs' left ones. */
static const struct {
    int first, last;
    uint32_t parts;
} skins[] = {
    {LANDMARK_NOSE, LANDMARK_MOUTH_LEFT + 1, SKULL},
    {LANDMARK_SHOULDER, LANDMARK_SHOULDER,
     1u << SCENE_PART_CHEST | 1u << SCENE_PART_NECK | 1u << SCENE_PART_LEFT_UPPER_ARM},
    {LANDMARK_ELBOW, LANDMARK_ELBOW,
     1u << SCENE_PART_LEFT_UPPER_ARM | 1u << SCENE_PART_LEFT_LOWER_ARM},
    {LANDMARK_WRIST, LANDMARK_WRIST, 1u << SCENE_PART_LEFT_LOWER_ARM | 1u << SCENE_PART_LEFT_HAND},
    {LANDMARK_PINKY, LANDMARK_PINKY, 1u << SCENE_PART_LEFT_HAND},
    {LANDMARK_INDEX, LANDMARK_INDEX, 1u << SCENE_PART_LEFT_HAND},
    {LANDMARK_THUMB, LANDMARK_THUMB, 1u << SCENE_PART_LEFT_HAND},
    {LANDMARK_HIP, LANDMARK_HIP, 1u << SCENE_PART_PELVIS | 1u << SCENE_PART_LEFT_UPPER_LEG},
    {LANDMARK_KNEE, LANDMARK_KNEE,
     1u << SCENE_PART_LEFT_UPPER_LEG | 1u << SCENE_PART_LEFT_LOWER_LEG},
    {LANDMARK_ANKLE, LANDMARK_ANKLE, 1u << SCENE_PART_LEFT_LOWER_LEG | 1u << SCENE_PART_LEFT_FOOT},
    {LANDMARK_HEEL, LANDMARK_HEEL, 1u << SCENE_PART_LEFT_FOOT | 1u << SCENE_PART_LEFT_LOWER_LEG},
    {LANDMARK_FOOT_INDEX, LANDMARK_FOOT_INDEX, 1u << SCENE_PART_LEFT_FOOT},
    {SCENE_MID_HIP, SCENE_PELVIS,
     TORSO | 1u << SCENE_PART_LEFT_UPPER_LEG | 1u << SCENE_PART_RIGHT_UPPER_LEG},
    {SCENE_SPINE1, SCENE_SPINE3, TORSO},
    {SCENE_THORAX, SCENE_NECK, 1u << SCENE_PART_CHEST | SKULL},
    {SCENE_HEAD, SCENE_HEAD, SKULL},
    {SCENE_LEFT_COLLAR, SCENE_LEFT_COLLAR,
     1u << SCENE_PART_CHEST | 1u << SCENE_PART_NECK | 1u << SCENE_PART_LEFT_UPPER_ARM},
    {SCENE_LEFT_KNUCKLES, SCENE_LEFT_KNUCKLES, 1u << SCENE_PART_LEFT_HAND},
    {SCENE_LEFT_BALL, SCENE_LEFT_BALL, 1u << SCENE_PART_LEFT_FOOT},
    {SCENE_HEAD_TOP, SCENE_HEAD_TOP, SKULL},
    {SCENE_LEFT_BIG_TOE, SCENE_LEFT_BIG_TOE, 1u << SCENE_PART_LEFT_FOOT},
    {SCENE_LEFT_SMALL_TOE, SCENE_LEFT_SMALL_TOE, 1u << SCENE_PART_LEFT_FOOT},
};

static void set_skins(struct scene *scene) {
    const uint32_t lefts = 0x55555555u << (SCENE_PART_LEFT_UPPER_ARM & 31);
    for (size_t i = 0; i < sizeof skins / sizeof *skins; i++) {
        uint32_t parts = skins[i].parts, limbs = parts >> SCENE_PART_LEFT_UPPER_ARM;
        for (int point = skins[i].first; point <= skins[i].last; point++)
            scene->anchors[point].parts = parts;
        if (skins[i].first != skins[i].last || limbs == 0)
            continue;
        uint32_t middle = parts & ((1u << SCENE_PART_LEFT_UPPER_ARM) - 1);
        scene->anchors[skins[i].first + 1].parts = middle | (parts & lefts) << 1;
    }
}

/* -- The whole --------------------------------------------------------------------------------- */

bool scene_joints_find(struct scene *scene, const struct scene_mesh *mesh) {
    const int *node = scene->rig.joint;
    const int spine[3] = {node[RIG_SPINE], node[RIG_CHEST], node[RIG_UPPER_CHEST]};
    put_pelvis(scene, node[RIG_HIPS]);
    int chest = either(spine[2], either(spine[1], either(spine[0], joint_of(scene, SCENE_PELVIS))));
    put_neck(scene, chest, node);
    put_spine(scene, spine);
    for (int side = 0; side < 2; side++) {
        put_arm(scene, side, chest, node);
        put_foot(scene, side, node);
    }
    bool done =
        put_head_top(scene, mesh) && landmark_depths(scene, mesh, SCENE_LANDMARKS, SCENE_HEAD_TOP);
    set_skins(scene);
    return done;
}
