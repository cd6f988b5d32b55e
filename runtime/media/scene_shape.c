/* scene_shape.c - finds hips, limbs and head of a skeleton whose names tell nothing, from its tree
 * and the places of its joints.
 *
 * Two pairs of branches of like length make the legs and the arms: the arms hang, with a head, on a
 * branch that is neither leg. Of all such choices the one with the longest limbs is right: fingers
 * and hair are shorter. Where the legs do not go on from the trunk it is no human: the spine of an
 * animal on four legs lies across them. Within a limb the two longest neighbouring bones are the
 * upper and the lower one. The head is, of what hangs beside the arms, the joint that most vertices
 * follow. Left and right are guesses here; scene_rig.c sees to them. */
#include <stdio.h>
#include <stdlib.h>

#include "media/scene_parts.h"

enum { MAX_CHAIN = 64, MAX_PAIRS = 512 };

struct pair {
    int top, a, b; /* the branching node and its two branches */
    double length;
};

struct shape {
    const struct scene *scene;
    uint32_t count;
    struct vec *at;     /* [node] bind place */
    double *reach;      /* [node] the longest way from it to a leaf */
    int *next;          /* [node] the child on that way, or -1 */
    uint32_t *vertices; /* [node] that follow it most */
    bool *live;         /* [node] it or one below it moves vertices */
    struct pair *pairs;
    int pair_count;
};

static bool below(const struct scene *scene, int node, int ancestor) {
    while (node >= 0 && node != ancestor)
        node = scene->joints[node].parent;
    return node >= 0;
}

static void measure(struct shape *shape, const struct scene_mesh *mesh) {
    const struct scene_joint *joints = shape->scene->joints;
    for (uint32_t v = 0; v < mesh->vertex_count; v++)
        shape->vertices[joints[mesh->vertices[v].joints[0]].node]++;
    for (uint32_t i = 0; i < shape->count; i++) {
        shape->at[i] = mat_origin(&joints[i].bind);
        shape->next[i] = -1;
        shape->live[i] = shape->vertices[i] > 0;
    }
    for (uint32_t i = shape->count; i-- > 1;) {
        int parent = joints[i].parent;
        if (parent < 0 || !shape->live[i])
            continue;
        double reach = shape->reach[i] + vec_distance(shape->at[i], shape->at[parent]);
        shape->live[parent] = true;
        if (shape->next[parent] < 0 || reach > shape->reach[parent]) {
            shape->reach[parent] = reach;
            shape->next[parent] = (int)i;
        }
    }
}

static int chain_length(const struct shape *shape, int node) {
    int count = 0;
    for (; node >= 0 && count < MAX_CHAIN; node = shape->next[node])
        count++;
    return count;
}

static void list_pairs(struct shape *shape) {
    const struct scene_joint *joints = shape->scene->joints;
    for (int a = 1; a < (int)shape->count; a++) {
        if (!shape->live[a] || chain_length(shape, a) < 3)
            continue;
        for (int b = a + 1; b < (int)shape->count && shape->pair_count < MAX_PAIRS; b++) {
            if (joints[b].parent != joints[a].parent || !shape->live[b] ||
                chain_length(shape, b) < 3)
                continue;
            double longer = fmax(shape->reach[a], shape->reach[b]),
                   shorter = fmin(shape->reach[a], shape->reach[b]);
            if (shorter > 0.8 * longer && longer > 0)
                shape->pairs[shape->pair_count++] =
                    (struct pair){joints[a].parent, a, b, longer + shorter};
        }
    }
}

/* The best legs and arms: arms on a branch that is no leg. */
static bool choose_limbs(const struct shape *shape, const struct pair **legs,
                         const struct pair **arms) {
    double best = 0;
    for (int l = 0; l < shape->pair_count; l++) {
        for (int a = 0; a < shape->pair_count; a++) {
            const struct pair *leg = &shape->pairs[l], *arm = &shape->pairs[a];
            if (arm->top == leg->top || !below(shape->scene, arm->top, leg->top) ||
                below(shape->scene, arm->top, leg->a) || below(shape->scene, arm->top, leg->b))
                continue;
            if (leg->length + arm->length > best) {
                best = leg->length + arm->length;
                *legs = leg;
                *arms = arm;
            }
        }
    }
    return best > 0;
}

/* Names the joints of a limb: upper, lower, end and, for legs, toes; `toes` may be NULL. */
static void name_limb(const struct shape *shape, int start, int *upper, int *lower, int *end,
                      int *toes) {
    int chain[MAX_CHAIN] = {0}, count = 0, first = 0;
    double best = -1;
    for (int node = start; node >= 0 && count < MAX_CHAIN; node = shape->next[node])
        chain[count++] = node;
    for (int i = 0; i + 2 < count; i++) {
        double length = vec_distance(shape->at[chain[i]], shape->at[chain[i + 1]]) +
                        vec_distance(shape->at[chain[i + 1]], shape->at[chain[i + 2]]);
        if (length > best * 1.05) {
            best = length;
            first = i;
        }
    }
    *upper = chain[first];
    *lower = chain[first + 1];
    *end = chain[first + 2];
    if (toes != NULL && first + 3 < count)
        *toes = chain[first + 3];
}

/* Of what hangs on the arms' node beside the arms, the joint that most vertices follow. */
static int find_head(const struct shape *shape, const struct pair *arms) {
    int head = -1;
    for (uint32_t i = 0; i < shape->count; i++) {
        if ((int)i == arms->top || !below(shape->scene, (int)i, arms->top) ||
            below(shape->scene, (int)i, arms->a) || below(shape->scene, (int)i, arms->b))
            continue;
        if (head < 0 || shape->vertices[i] > shape->vertices[head])
            head = (int)i;
    }
    return head;
}

static bool name_parts(const struct shape *shape, struct rig_map *rig) {
    const struct pair *legs = NULL, *arms = NULL;
    if (!choose_limbs(shape, &legs, &arms) || legs == NULL || arms == NULL)
        return false;
    rig_map_clear(rig);
    snprintf(rig->name, sizeof rig->name, "shape");
    rig->joint[RIG_HIPS] = legs->top;
    rig->joint[RIG_CHEST] = arms->top;
    rig->joint[RIG_HEAD] = find_head(shape, arms);
    int head = rig->joint[RIG_HEAD];
    if (head >= 0 && shape->scene->joints[head].parent != arms->top)
        rig->joint[RIG_NECK] = shape->scene->joints[head].parent;
    for (int side = 0; side < 2; side++) {
        int *node = rig->joint + side;
        name_limb(shape, side == 0 ? legs->a : legs->b, &node[RIG_LEFT_UPPER_LEG],
                  &node[RIG_LEFT_LOWER_LEG], &node[RIG_LEFT_FOOT], &node[RIG_LEFT_TOES]);
        name_limb(shape, side == 0 ? arms->a : arms->b, &node[RIG_LEFT_UPPER_ARM],
                  &node[RIG_LEFT_LOWER_ARM], &node[RIG_LEFT_HAND], NULL);
    }
    return true;
}

/* Whether the legs point away from the trunk, as at least a sitting human's do. */
static bool stands(const struct shape *shape, const struct rig_map *rig) {
    const int *joint = rig->joint;
    struct vec hips =
        vec_mix(shape->at[joint[RIG_LEFT_UPPER_LEG]], shape->at[joint[RIG_RIGHT_UPPER_LEG]], 0.5);
    struct vec chest =
        vec_mix(shape->at[joint[RIG_LEFT_UPPER_ARM]], shape->at[joint[RIG_RIGHT_UPPER_ARM]], 0.5);
    struct vec feet =
        vec_mix(shape->at[joint[RIG_LEFT_FOOT]], shape->at[joint[RIG_RIGHT_FOOT]], 0.5);
    struct vec trunk = vec_unit(vec_sub(chest, hips)), legs = vec_unit(vec_sub(feet, hips));
    return vec_dot(trunk, legs) < -0.4;
}

bool scene_rig_shape(const struct scene *scene, const struct scene_mesh *mesh,
                     struct rig_map *rig) {
    size_t n = scene->node_count;
    struct shape shape = {.scene = scene, .count = scene->node_count};
    shape.at = calloc(n, sizeof *shape.at);
    shape.reach = calloc(n, sizeof *shape.reach);
    shape.next = calloc(n, sizeof *shape.next);
    shape.vertices = calloc(n, sizeof *shape.vertices);
    shape.live = calloc(n, sizeof *shape.live);
    shape.pairs = calloc(MAX_PAIRS, sizeof *shape.pairs);
    bool found = false;
    if (shape.at != NULL && shape.reach != NULL && shape.next != NULL && shape.vertices != NULL &&
        shape.live != NULL && shape.pairs != NULL) {
        measure(&shape, mesh);
        list_pairs(&shape);
        found = name_parts(&shape, rig) && stands(&shape, rig);
    }
    free(shape.at);
    free(shape.reach);
    free(shape.next);
    free(shape.vertices);
    free(shape.live);
    free(shape.pairs);
    return found;
}
