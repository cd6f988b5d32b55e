/* scene_rig.c - decides which node is which part of the body, and which side is left.
 *
 * VRM files tell it themselves. Otherwise names are tried (scene_names.c) and, where they do not
 * give two whole arms, two whole legs and a head, the shape (scene_shape.c). Then left and right
 * are proved by the feet, which point forward. */
#include <stdio.h>
#include <stdlib.h>

#include "media/scene_parts.h"

static bool below(const struct scene *scene, int node, int ancestor) {
    while (node >= 0 && node != ancestor)
        node = scene->joints[node].parent;
    return node >= 0;
}

static struct vec place(const struct scene *scene, int node) {
    return mat_origin(&scene->joints[node].bind);
}

static bool limbs_complete(const struct scene_rig *rig) {
    static const int needed[] = {RIG_LEFT_UPPER_ARM, RIG_LEFT_LOWER_ARM, RIG_LEFT_UPPER_LEG,
                                 RIG_LEFT_LOWER_LEG};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        for (int side = 0; side < 2; side++)
            if (rig->node[needed[i] + side] < 0)
                return false;
    return true;
}

/* -- Filling in -------------------------------------------------------------------------------- */

static int common_ancestor(const struct scene *scene, int a, int b) {
    while (a >= 0 && !below(scene, b, a))
        a = scene->joints[a].parent;
    return a;
}

/* The child on the way to the farthest joint below, or -1. */
static int farthest_child(const struct scene *scene, int node) {
    int best = -1;
    double reach = -1;
    for (uint32_t i = 0; i < scene->node_count; i++) {
        if ((int)i == node || !below(scene, (int)i, node))
            continue;
        double distance = vec_distance(place(scene, node), place(scene, (int)i));
        if (distance > reach) {
            reach = distance;
            best = (int)i;
        }
    }
    while (best >= 0 && scene->joints[best].parent != node)
        best = scene->joints[best].parent;
    return best;
}

/* The vertices that most follow a node or one below it: how many, and their middle. */
static uint32_t vertices_below(const struct scene *scene, const struct scene_mesh *mesh, int node,
                               struct vec *middle) {
    uint32_t count = 0;
    struct vec sum = {0, 0, 0};
    for (uint32_t v = 0; v < mesh->vertex_count; v++) {
        const float *p = mesh->vertices[v].position;
        if (!below(scene, scene->joints[mesh->vertices[v].joints[0]].node, node))
            continue;
        sum = vec_add(sum, (struct vec){(double)p[0], (double)p[1], (double)p[2]});
        count++;
    }
    *middle = count > 0 ? vec_scale(sum, 1.0 / count) : place(scene, node);
    return count;
}

/* A head that no name tells: of what hangs beside the arms, the node that most vertices follow. */
static int find_head(const struct scene *scene, const struct scene_mesh *mesh,
                     const struct scene_rig *rig) {
    const int *node = rig->node;
    int chest = common_ancestor(scene, node[RIG_LEFT_UPPER_ARM], node[RIG_LEFT_UPPER_ARM + 1]),
        arms[2], head = -1;
    uint32_t most = 0, *count = calloc(scene->node_count, sizeof *count);
    for (int side = 0; side < 2; side++) {
        arms[side] = node[RIG_LEFT_UPPER_ARM + side];
        while (arms[side] >= 0 && scene->joints[arms[side]].parent != chest)
            arms[side] = scene->joints[arms[side]].parent;
    }
    for (uint32_t v = 0; count != NULL && v < mesh->vertex_count; v++)
        count[scene->joints[mesh->vertices[v].joints[0]].node]++;
    for (uint32_t i = 0; count != NULL && chest >= 0 && i < scene->node_count; i++) {
        if ((int)i == chest || count[i] <= most || !below(scene, (int)i, chest) ||
            below(scene, (int)i, arms[0]) || below(scene, (int)i, arms[1]) ||
            below(scene, node[RIG_LEFT_UPPER_LEG], (int)i) ||
            below(scene, (int)i, node[RIG_LEFT_UPPER_LEG]) ||
            below(scene, (int)i, node[RIG_LEFT_UPPER_LEG + 1]))
            continue;
        most = count[i];
        head = (int)i;
    }
    free(count);
    return head;
}

static void fill_in(const struct scene *scene, const struct scene_mesh *mesh,
                    struct scene_rig *rig) {
    int *node = rig->node;
    int legs = common_ancestor(scene, node[RIG_LEFT_UPPER_LEG], node[RIG_LEFT_UPPER_LEG + 1]);
    if (node[RIG_HIPS] < 0 || !below(scene, node[RIG_LEFT_UPPER_LEG], node[RIG_HIPS]))
        node[RIG_HIPS] = legs;
    for (int side = 0; side < 2; side++) {
        if (node[RIG_LEFT_HAND + side] < 0)
            node[RIG_LEFT_HAND + side] = farthest_child(scene, node[RIG_LEFT_LOWER_ARM + side]);
        if (node[RIG_LEFT_FOOT + side] < 0)
            node[RIG_LEFT_FOOT + side] = farthest_child(scene, node[RIG_LEFT_LOWER_LEG + side]);
    }
    if (node[RIG_HEAD] < 0)
        node[RIG_HEAD] = find_head(scene, mesh, rig);
    if (node[RIG_HEAD] < 0)
        node[RIG_HEAD] = node[RIG_NECK];
}

/* -- Sides ------------------------------------------------------------------------------------- */

/* Up and left of a body as its joints say; false when they coincide. */
bool scene_body_axes(const struct scene_rig *rig, const struct vec *places, struct vec *up,
                     struct vec *left) {
    const int *node = rig->node;
    struct vec hips =
        vec_mix(places[node[RIG_LEFT_UPPER_LEG]], places[node[RIG_LEFT_UPPER_LEG + 1]], 0.5);
    struct vec chest =
        vec_mix(places[node[RIG_LEFT_UPPER_ARM]], places[node[RIG_LEFT_UPPER_ARM + 1]], 0.5);
    struct vec across =
        vec_sub(places[node[RIG_LEFT_UPPER_LEG]], places[node[RIG_LEFT_UPPER_LEG + 1]]);
    across = vec_add(
        across, vec_sub(places[node[RIG_LEFT_UPPER_ARM]], places[node[RIG_LEFT_UPPER_ARM + 1]]));
    *up = vec_unit(vec_sub(chest, hips));
    across = vec_sub(across, vec_scale(*up, vec_dot(*up, across)));
    *left = vec_unit(across);
    return vec_length(*up) > 0.5 && vec_length(*left) > 0.5;
}

/* How far the feet point to where `front` is, in leg lengths: ankle to toes, and ankle to the
 * middle of the foot's skin. */
static double feet_forward(const struct scene *scene, const struct scene_mesh *mesh,
                           struct vec front) {
    const int *node = scene->rig.node;
    double sum = 0;
    for (int side = 0; side < 2; side++) {
        int foot = node[RIG_LEFT_FOOT + side], toes = node[RIG_LEFT_TOES + side];
        struct vec middle;
        if (foot < 0)
            continue;
        struct vec ankle = place(scene, foot);
        double leg = vec_distance(place(scene, node[RIG_LEFT_UPPER_LEG + side]), ankle);
        if (toes >= 0)
            sum += vec_dot(vec_sub(place(scene, toes), ankle), front) / leg;
        if (vertices_below(scene, mesh, foot, &middle) > 0)
            sum += vec_dot(vec_sub(middle, ankle), front) / leg;
    }
    return sum;
}

static void swap_sides(struct scene_rig *rig) {
    for (int part = RIG_LEFT_EYE; part < RIG_BONES; part += 2) {
        int left = rig->node[part];
        rig->node[part] = rig->node[part + 1];
        rig->node[part + 1] = left;
    }
}

static int settle_sides(struct scene_import *in, bool named) {
    struct scene *scene = in->scene;
    struct vec up, left, *places = malloc(scene->node_count * sizeof *places);
    if (places == NULL)
        return err_set(in->err, ERR_NO_MEMORY, "%s: no memory to import it", in->file);
    for (uint32_t i = 0; i < scene->node_count; i++)
        places[i] = place(scene, (int)i);
    /* An arm crossed to the other side's shoulder: pair the arms with the legs by place. */
    int *node = scene->rig.node;
    if (!named) {
        double straight = vec_dot(
            vec_sub(places[node[RIG_LEFT_UPPER_LEG]], places[node[RIG_LEFT_UPPER_LEG + 1]]),
            vec_sub(places[node[RIG_LEFT_UPPER_ARM]], places[node[RIG_LEFT_UPPER_ARM + 1]]));
        for (int part = RIG_LEFT_UPPER_ARM; straight < 0 && part <= RIG_LEFT_HAND; part += 2) {
            int other = node[part];
            node[part] = node[part + 1];
            node[part + 1] = other;
        }
    }
    bool axes = scene_body_axes(&scene->rig, places, &up, &left);
    free(places);
    if (!axes)
        return err_set(in->err, ERR_INVALID,
                       "%s: the skeleton's shoulders and hips lie in one point", in->file);
    double forward = feet_forward(scene, &in->mesh, vec_cross(left, up));
    if (forward < (named ? -0.05 : 0)) {
        swap_sides(&scene->rig);
        if (named)
            scene_warn(
                scene,
                "the skeleton's left is the body's right, as its feet show; they were exchanged");
    }
    return 0;
}

/* -- The whole --------------------------------------------------------------------------------- */

static bool take_vrm(const struct scene_source *source, const struct scene *scene,
                     struct scene_rig *rig) {
    for (int i = 0; i < RIG_BONES; i++)
        rig->node[i] = source->human[i] != NULL ? scene_find_node(scene, source->human[i]) : -1;
    snprintf(rig->name, sizeof rig->name, "vrm");
    if (!limbs_complete(rig))
        return false;
    struct scene_rig named; /* for fingers, eyes and toes that the list leaves out */
    scene_rig_names(scene, &named);
    bool agreed = named.node[RIG_LEFT_LOWER_ARM] == rig->node[RIG_LEFT_LOWER_ARM] &&
                  named.node[RIG_LEFT_LOWER_LEG] == rig->node[RIG_LEFT_LOWER_LEG];
    for (int i = 0; agreed && i < RIG_BONES; i++)
        if (rig->node[i] < 0)
            rig->node[i] = named.node[i];
    return true;
}

static const char *naming_style(const struct scene *scene, const struct scene_rig *rig) {
    const char *thigh = scene->joints[rig->node[RIG_LEFT_UPPER_LEG]].name;
    static const struct {
        const char *part, *style;
    } styles[] = {{"mixamorig", "mixamo"},
                  {"LeftUpLeg", "mixamo names"},
                  {"J_Bip", "vroid"},
                  {"Bip0", "biped"},
                  {"CC_Base", "character creator"},
                  {"thigh_", "unreal"},
                  {"DEF-", "rigify"},
                  {"thigh.", "rigify"},
                  {"UpperLeg.", "quaternius"},
                  {"upperleg.", "kaykit"},
                  {"upperleg0", "makehuman"},
                  {"ThighBend", "daz"}};
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++)
        if (strstr(thigh, styles[i].part) != NULL)
            return styles[i].style;
    return "names";
}

int scene_rig_find(struct scene_import *in) {
    struct scene *scene = in->scene;
    struct scene_rig *rig = &scene->rig;
    bool named = in->source->human != NULL && take_vrm(in->source, scene, rig);
    if (!named) {
        scene_rig_names(scene, rig);
        named = limbs_complete(rig);
        if (named)
            snprintf(rig->name, sizeof rig->name, "%s", naming_style(scene, rig));
    }
    if (!named) {
        struct scene_rig shape;
        if (!scene_rig_shape(scene, &in->mesh, &shape))
            return err_set(in->err, ERR_INVALID,
                           "%s: no human skeleton: neither names nor shape of its %u nodes show "
                           "two arms and two legs",
                           in->file, scene->node_count);
        *rig = shape;
        snprintf(rig->name, sizeof rig->name, "shape");
    }
    fill_in(scene, &in->mesh, rig);
    if (rig->node[RIG_HEAD] < 0)
        scene_warn(scene, "no head was found in the skeleton");
    memcpy(scene->report.rig, rig->name, sizeof rig->name);
    return settle_sides(in, named);
}
