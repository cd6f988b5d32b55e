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
                     const struct rig_map *rig) {
    const int *node = rig->joint;
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

static void fill_in(const struct scene *scene, const struct scene_mesh *mesh, struct rig_map *rig) {
    int *node = rig->joint;
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
bool scene_body_axes(const struct rig_map *rig, const struct vec *places, struct vec *up,
                     struct vec *left) {
    const int *node = rig->joint;
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
    const int *node = scene->rig.joint;
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

static void swap_sides(struct rig_map *rig) {
    for (int part = RIG_PAIRS; part < RIG_BONES; part += 2) {
        int left = rig->joint[part];
        uint8_t how = rig->how[part];
        rig->joint[part] = rig->joint[part + 1];
        rig->how[part] = rig->how[part + 1];
        rig->joint[part + 1] = left;
        rig->how[part + 1] = how;
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
    int *node = scene->rig.joint;
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

static struct rig_joint *list_joints(const struct scene *scene) {
    struct rig_joint *joints = malloc((scene->node_count + 1) * sizeof *joints);
    for (uint32_t i = 0; joints != NULL && i < scene->node_count; i++)
        joints[i] = (struct rig_joint){scene->joints[i].name, scene->joints[i].parent,
                                       scene->joints[i].holder};
    return joints;
}

/* What the file itself tells; names give what its list leaves out. */
static bool take_vrm(const struct scene_source *source, const struct scene *scene,
                     const struct rig_map *named, struct rig_map *rig) {
    rig_map_clear(rig);
    for (int i = 0; i < RIG_BONES; i++) {
        rig->joint[i] = source->human[i] != NULL ? scene_find_node(scene, source->human[i]) : -1;
        rig->how[i] = rig->joint[i] >= 0 ? RIG_BY_FILE : RIG_BY_NOTHING;
    }
    if (!rig_map_has_limbs(rig))
        return false;
    snprintf(rig->name, sizeof rig->name, "vrm");
    bool agreed = named->joint[RIG_LEFT_LOWER_ARM] == rig->joint[RIG_LEFT_LOWER_ARM] &&
                  named->joint[RIG_LEFT_LOWER_LEG] == rig->joint[RIG_LEFT_LOWER_LEG];
    for (int i = 0; agreed && i < RIG_BONES; i++) {
        if (rig->joint[i] >= 0 || named->joint[i] < 0)
            continue;
        rig->joint[i] = named->joint[i];
        rig->how[i] = named->how[i];
    }
    return true;
}

/* Says which bones of a human no name tells. */
static int refuse(const struct scene_import *in, const struct rig_map *named) {
    char missing[400] = "";
    size_t length = 0;
    int found = 0, wanted = 0;
    for (int bone = 0; bone < RIG_BONES; bone++) {
        bool needed = rig_bone_required(bone);
        wanted += needed;
        found += needed && named->joint[bone] >= 0;
        if (needed && named->joint[bone] < 0 && length < sizeof missing - 40)
            length += (size_t)snprintf(missing + length, sizeof missing - length, "%s%s",
                                       length > 0 ? ", " : "", rig_bone_name(bone));
    }
    return err_set(in->err, ERR_INVALID,
                   "%s: no human skeleton: of its %u nodes names tell %d of the %d bones that a "
                   "human needs (not %s), and their shape does not show two arms and two legs. A "
                   "table in retarget/rigs/ can teach another rig's names",
                   in->file, in->scene->node_count, found, wanted, missing);
}

/* Bones that were found from others, by the tree and the places of the joints. */
static void note_filled(struct rig_map *rig) {
    for (int bone = 0; bone < RIG_BONES; bone++) {
        if (rig->joint[bone] < 0)
            rig->how[bone] = RIG_BY_NOTHING;
        else if (rig->how[bone] == RIG_BY_NOTHING)
            rig->how[bone] = RIG_BY_SHAPE;
    }
}

int scene_rig_find(struct scene_import *in) {
    struct scene *scene = in->scene;
    struct rig_map *rig = &scene->rig, named;
    struct rig_joint *joints = list_joints(scene);
    if (joints == NULL)
        return err_set(in->err, ERR_NO_MEMORY, "%s: no memory to import it", in->file);
    bool told = rig_recognise(in->rigs, joints, scene->node_count, &named);
    free(joints);
    if (in->source->human != NULL && take_vrm(in->source, scene, &named, rig))
        told = true;
    else if (told)
        *rig = named;
    else if (!scene_rig_shape(scene, &in->mesh, rig))
        return refuse(in, &named);
    fill_in(scene, &in->mesh, rig);
    note_filled(rig);
    if (rig->joint[RIG_HEAD] < 0)
        scene_warn(scene, "no head was found in the skeleton");
    for (int bone = 0; bone < RIG_BONES; bone++)
        scene->report.bones += rig->joint[bone] >= 0;
    memcpy(scene->report.rig, rig->name, sizeof scene->report.rig);
    return settle_sides(in, told);
}
