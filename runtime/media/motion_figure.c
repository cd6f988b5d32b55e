/* motion_figure.c - what a skeleton looks like to retargeting: which joint is which bone, how it
 * stands at rest, and the chain of joints from hips to head.
 *
 * A skeleton at rest is turned upright by its own hips, shoulders and sides, by whole quarters
 * where it stands within 30 degrees of one: files have y or z up and face any side, and small leans
 * are meant. */
#include <stdio.h>
#include <stdlib.h>

#include "media/motion_parts.h"
#include "media/scene_parts.h"

int motion_figure_init(struct motion_figure *figure, uint32_t count, struct err *err) {
    *figure = (struct motion_figure){.count = count, .upright = quat_identity()};
    figure->names = calloc(count, sizeof *figure->names);
    figure->parents = malloc(count * sizeof *figure->parents);
    figure->places = malloc(count * sizeof *figure->places);
    for (int bone = 0; bone < RIG_BONES; bone++)
        figure->bones[bone] = -1;
    if (figure->names != NULL && figure->parents != NULL && figure->places != NULL)
        return 0;
    motion_figure_deinit(figure);
    return err_set(err, ERR_NO_MEMORY, "no memory for a skeleton of %u joints", count);
}

void motion_figure_deinit(struct motion_figure *figure) {
    free(figure->names);
    free(figure->parents);
    free(figure->places);
    *figure = (struct motion_figure){0};
}

static bool below(const struct motion_figure *figure, int joint, int ancestor) {
    while (joint >= 0 && joint != ancestor)
        joint = figure->parents[joint];
    return joint >= 0;
}

struct vec motion_figure_hips(const struct motion_figure *figure, const struct vec *places) {
    return vec_mix(places[figure->bones[RIG_LEFT_UPPER_LEG]],
                   places[figure->bones[RIG_RIGHT_UPPER_LEG]], 0.5);
}

double motion_figure_leg(const struct motion_figure *figure) {
    double sum = 0;
    for (int side = 0; side < 2; side++) {
        struct vec knee = figure->places[figure->bones[RIG_LEFT_LOWER_LEG + side]];
        sum += vec_distance(figure->places[figure->bones[RIG_LEFT_UPPER_LEG + side]], knee);
        sum += vec_distance(figure->places[figure->bones[RIG_LEFT_FOOT + side]], knee);
    }
    return sum / 2;
}

/* -- Bones ------------------------------------------------------------------------------------- */

/* The joint below `joint` on the way to its farthest leaf, or -1. */
static int next_joint(const struct motion_figure *figure, int joint) {
    int best = -1;
    double reach = -1;
    for (uint32_t i = 0; i < figure->count; i++) {
        double distance = vec_distance(figure->places[joint], figure->places[i]);
        if ((int)i == joint || distance <= reach || !below(figure, (int)i, joint))
            continue;
        reach = distance;
        best = (int)i;
    }
    while (best >= 0 && figure->parents[best] != joint)
        best = figure->parents[best];
    /* Joints in the same place are one to us. */
    if (best >= 0 && vec_distance(figure->places[best], figure->places[joint]) < 1e-6 * reach)
        return next_joint(figure, best);
    return best;
}

/* Thighs do not start in one point: then these are joints of the pelvis, and thighs come next. */
static void leave_hips(struct motion_figure *figure) {
    int *left = &figure->bones[RIG_LEFT_UPPER_LEG], *right = &figure->bones[RIG_RIGHT_UPPER_LEG];
    int knees[] = {figure->bones[RIG_LEFT_LOWER_LEG], figure->bones[RIG_RIGHT_LOWER_LEG]};
    if (*left < 0 || *right < 0 || knees[0] < 0 || knees[1] < 0)
        return;
    const struct vec *at = figure->places;
    if (vec_distance(at[*left], at[*right]) > 0.05 * vec_distance(at[*left], at[knees[0]]))
        return;
    int below_left = knees[0], below_right = knees[1];
    while (below_left >= 0 && figure->parents[below_left] != *left)
        below_left = figure->parents[below_left];
    while (below_right >= 0 && figure->parents[below_right] != *right)
        below_right = figure->parents[below_right];
    if (below_left < 0 || below_left == knees[0] || below_right < 0 || below_right == knees[1])
        return;
    *left = below_left;
    *right = below_right;
}

/* Limbs go on as the tree does, whatever their joints are called. */
static void fill_in(struct motion_figure *figure) {
    static const int limbs[][3] = {
        {RIG_LEFT_UPPER_ARM, RIG_LEFT_LOWER_ARM, RIG_LEFT_HAND},
        {RIG_LEFT_UPPER_LEG, RIG_LEFT_LOWER_LEG, RIG_LEFT_FOOT},
    };
    int *bones = figure->bones;
    for (int side = 0; side < 2; side++)
        for (int limb = 0; limb < 2; limb++)
            for (int i = 1; i < 3; i++) {
                int above = bones[limbs[limb][i - 1] + side], *bone = &bones[limbs[limb][i] + side];
                if (*bone < 0 && above >= 0)
                    *bone = next_joint(figure, above);
            }
    leave_hips(figure);
    int left = bones[RIG_LEFT_UPPER_LEG], right = bones[RIG_RIGHT_UPPER_LEG], hips = left;
    while (hips >= 0 && right >= 0 && !below(figure, right, hips))
        hips = figure->parents[hips];
    if (right >= 0 && (bones[RIG_HIPS] < 0 || !below(figure, left, bones[RIG_HIPS])))
        bones[RIG_HIPS] = hips;
    if (bones[RIG_HEAD] < 0)
        bones[RIG_HEAD] = bones[RIG_NECK];
}

static int find_bones(struct motion_figure *figure, const struct rig_tables *rigs,
                      struct err *err) {
    struct rig_map map;
    struct rig_joint *joints = malloc((figure->count + 1) * sizeof *joints);
    if (joints == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to recognise a skeleton");
    for (uint32_t i = 0; i < figure->count; i++)
        joints[i] = (struct rig_joint){figure->names[i], figure->parents[i], false};
    rig_recognise(rigs, joints, figure->count, &map);
    memcpy(figure->bones, map.joint, sizeof map.joint);
    free(joints);
    return 0;
}

static int check_limbs(const struct motion_figure *figure, const char *file, struct err *err) {
    static const int needed[] = {RIG_HEAD,
                                 RIG_LEFT_UPPER_ARM,
                                 RIG_LEFT_LOWER_ARM,
                                 RIG_RIGHT_UPPER_ARM,
                                 RIG_RIGHT_LOWER_ARM,
                                 RIG_LEFT_UPPER_LEG,
                                 RIG_LEFT_LOWER_LEG,
                                 RIG_LEFT_FOOT,
                                 RIG_RIGHT_UPPER_LEG,
                                 RIG_RIGHT_LOWER_LEG,
                                 RIG_RIGHT_FOOT,
                                 RIG_HIPS};
    char missing[300] = "";
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        size_t length = strlen(missing);
        if (figure->bones[needed[i]] < 0)
            snprintf(missing + length, sizeof missing - length, "%s%s", length > 0 ? ", " : "",
                     rig_bone_name(needed[i]));
    }
    if (missing[0] != '\0')
        return err_set(err, ERR_INVALID, "%s: no human skeleton: its %u joints show no %s", file,
                       figure->count, missing);
    if (!(motion_figure_leg(figure) > 0))
        return err_set(err, ERR_INVALID, "%s: the legs have no length", file);
    return 0;
}

/* -- Standing ---------------------------------------------------------------------------------- */

/* The turn whose rows are these, or the nearest of the 24 by quarters within 30 degrees. */
static struct quat stand(struct vec left, struct vec up) {
    static const struct vec axes[] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    struct vec front = vec_cross(left, up);
    struct mat turn = {
        {left.x, left.y, left.z, 0, up.x, up.y, up.z, 0, front.x, front.y, front.z, 0}};
    struct quat exact = quat_of_mat(&turn), best = exact;
    double most = cos(15 * 3.14159265358979 / 180); /* a turn's w is the cosine of its half */
    for (int l = 0; l < 6; l++) {
        for (int u = 0; u < 6; u++) {
            struct vec x = vec_scale(axes[l / 2], l % 2 == 0 ? 1 : -1),
                       y = vec_scale(axes[u / 2], u % 2 == 0 ? 1 : -1), z = vec_cross(x, y);
            if (l / 2 == u / 2)
                continue;
            turn = (struct mat){{x.x, x.y, x.z, 0, y.x, y.y, y.z, 0, z.x, z.y, z.z, 0}};
            struct quat try = quat_of_mat(&turn);
            if (fabs(quat_dot(try, exact)) > most) {
                most = fabs(quat_dot(try, exact));
                best = try;
            }
        }
    }
    return best;
}

static int stand_up(struct motion_figure *figure, const char *file, struct err *err) {
    const int *bones = figure->bones;
    const struct vec *at = figure->places;
    struct vec hips = motion_figure_hips(figure, at);
    struct vec chest = vec_mix(at[bones[RIG_LEFT_UPPER_ARM]], at[bones[RIG_RIGHT_UPPER_ARM]], 0.5);
    struct vec up = vec_unit(vec_sub(chest, hips));
    struct vec left =
        vec_add(vec_sub(at[bones[RIG_LEFT_UPPER_LEG]], at[bones[RIG_RIGHT_UPPER_LEG]]),
                vec_sub(at[bones[RIG_LEFT_UPPER_ARM]], at[bones[RIG_RIGHT_UPPER_ARM]]));
    left = vec_unit(vec_sub(left, vec_scale(up, vec_dot(up, left))));
    if (vec_length(up) < 0.5 || vec_length(left) < 0.5)
        return err_set(err, ERR_INVALID, "%s: the skeleton's shoulders and hips lie in one point",
                       file);
    figure->upright = stand(left, up);
    for (uint32_t i = 0; i < figure->count; i++)
        figure->places[i] = quat_turn(figure->upright, figure->places[i]);
    return 0;
}

/* -- The chain --------------------------------------------------------------------------------- */

/* Joints from the hips to the head by the tree; where the head hangs elsewhere, by the bones. */
static void list_chain(struct motion_figure *figure) {
    int way[MOTION_MAX_JOINTS], count = 0, joint = figure->bones[RIG_HEAD],
                                hips = figure->bones[RIG_HIPS];
    static const int bones[] = {RIG_HEAD, RIG_NECK, RIG_UPPER_CHEST, RIG_CHEST, RIG_SPINE};
    for (; joint >= 0 && joint != hips && count < MOTION_MAX_JOINTS - 1;
         joint = figure->parents[joint])
        way[count++] = joint;
    if (joint != hips || count >= FIGURE_CHAIN) {
        count = 0;
        for (size_t i = 0; i < sizeof bones / sizeof *bones; i++)
            if (figure->bones[bones[i]] >= 0 && figure->bones[bones[i]] != hips)
                way[count++] = figure->bones[bones[i]];
    }
    way[count++] = hips;
    figure->chain_count = 0;
    while (count > 0)
        figure->chain[figure->chain_count++] = way[--count];
}

int motion_figure_chain(struct motion_figure *figure, const char *file, struct err *err) {
    fill_in(figure);
    int rc = check_limbs(figure, file, err);
    if (rc != 0)
        return rc;
    list_chain(figure);
    uint32_t count = figure->chain_count, chest = 0;
    for (uint32_t i = 0; i < count; i++)
        if (below(figure, figure->bones[RIG_LEFT_UPPER_ARM], figure->chain[i]))
            chest = i;
    /* Arms that hang on the hips, or nowhere: the neck starts where the shoulders are. */
    if (chest == 0 && count > 2)
        chest = count - 2;
    double length[FIGURE_CHAIN] = {0};
    for (uint32_t i = 1; i < count; i++)
        length[i] = length[i - 1] + vec_distance(figure->places[figure->chain[i - 1]],
                                                 figure->places[figure->chain[i]]);
    for (uint32_t i = 0; i < count; i++) {
        double trunk = length[chest], neck = length[count - 1] - trunk;
        if (i <= chest)
            figure->share[i] = trunk > 0 ? length[i] / trunk : i > 0;
        else
            figure->share[i] = neck > 0 ? 1 + (length[i] - trunk) / neck : 2;
    }
    return 0;
}

int motion_figure_find(struct motion_figure *figure, const struct rig_tables *rigs,
                       const char *file, struct err *err) {
    int rc = find_bones(figure, rigs, err);
    if (rc == 0)
        fill_in(figure);
    if (rc == 0)
        rc = check_limbs(figure, file, err);
    if (rc == 0)
        rc = stand_up(figure, file, err);
    return rc != 0 ? rc : motion_figure_chain(figure, file, err);
}

int motion_body_figure(const struct scene *body, struct motion_figure *figure, struct err *err) {
    int rc = motion_figure_init(figure, body->node_count, err);
    if (rc != 0)
        return rc;
    memcpy(figure->bones, body->rig.joint, sizeof body->rig.joint);
    for (uint32_t i = 0; i < body->node_count; i++) {
        figure->names[i] = body->joints[i].name;
        figure->parents[i] = body->joints[i].parent;
        figure->places[i] = mat_origin(&body->joints[i].bind);
    }
    rc = motion_figure_chain(figure, body->name, err);
    if (rc != 0)
        motion_figure_deinit(figure);
    return rc;
}
