/* scene_part.c - which part of the body each triangle is.
 *
 * A joint belongs to the nearest bone of the rig at or above it; one that has none above (controls
 * that hang beside the skeleton) to the bone that its skin is nearest to. A triangle is the part
 * that the weights of its corners speak most for. What hangs on a hand in a slot or is called a
 * weapon is no part of the body. */
#include <stdlib.h>
#include <strings.h>

#include "media/scene_parts.h"

static const char *const names[SCENE_BODY_PARTS] = {
    "other",           "head",           "neck",
    "chest",           "pelvis",         "left_upper_arm",
    "right_upper_arm", "left_lower_arm", "right_lower_arm",
    "left_hand",       "right_hand",     "left_upper_leg",
    "right_upper_leg", "left_lower_leg", "right_lower_leg",
    "left_foot",       "right_foot",
};

const char *scene_body_part_name(uint32_t part) {
    return part < SCENE_BODY_PARTS ? names[part] : NULL;
}

static enum scene_body_part part_of_bone(int bone) {
    int side = bone >= RIG_PAIRS ? (bone - RIG_PAIRS) % 2 : 0;
    if (bone >= RIG_FINGERS)
        return SCENE_PART_LEFT_HAND + side;
    switch (bone - side) {
    case RIG_HIPS:
        return SCENE_PART_PELVIS;
    case RIG_NECK:
        return SCENE_PART_NECK;
    case RIG_HEAD:
    case RIG_JAW:
    case RIG_LEFT_EYE:
        return SCENE_PART_HEAD;
    case RIG_LEFT_UPPER_ARM:
        return SCENE_PART_LEFT_UPPER_ARM + side;
    case RIG_LEFT_LOWER_ARM:
        return SCENE_PART_LEFT_LOWER_ARM + side;
    case RIG_LEFT_HAND:
        return SCENE_PART_LEFT_HAND + side;
    case RIG_LEFT_UPPER_LEG:
        return SCENE_PART_LEFT_UPPER_LEG + side;
    case RIG_LEFT_LOWER_LEG:
        return SCENE_PART_LEFT_LOWER_LEG + side;
    case RIG_LEFT_FOOT:
    case RIG_LEFT_TOES:
        return SCENE_PART_LEFT_FOOT + side;
    default: /* spine, chests, collar bones */
        return SCENE_PART_CHEST;
    }
}

/* -- Joints ------------------------------------------------------------------------------------ */

static struct vec place(const struct scene *scene, int node) {
    return mat_origin(&scene->joints[node].bind);
}

static double distance_to_segment(struct vec p, struct vec a, struct vec b) {
    struct vec ab = vec_sub(b, a);
    double length = vec_dot(ab, ab), t = length > 0 ? vec_dot(vec_sub(p, a), ab) / length : 0;
    return vec_distance(p, vec_add(a, vec_scale(ab, fmin(1, fmax(0, t)))));
}

/* The bone whose stretch, up to its children, is nearest to a point. */
static int nearest_bone(const struct scene *scene, struct vec p) {
    const int *node = scene->rig.joint;
    int best = RIG_HIPS;
    double least = INFINITY;
    for (int bone = 0; bone < RIG_BONES; bone++) {
        double distance = node[bone] >= 0 ? vec_distance(p, place(scene, node[bone])) : INFINITY;
        for (int child = 0; node[bone] >= 0 && child < RIG_BONES; child++) {
            int parent = rig_bone_parent(child);
            while (parent >= 0 && node[parent] < 0)
                parent = rig_bone_parent(parent);
            if (parent == bone && node[child] >= 0)
                distance = fmin(distance, distance_to_segment(p, place(scene, node[bone]),
                                                              place(scene, node[child])));
        }
        if (distance < least) {
            least = distance;
            best = bone;
        }
    }
    return best;
}

/* The middle of the skin that most follows a node; its own place when none does. */
static struct vec skin_of(const struct scene *scene, const struct scene_mesh *mesh, int node) {
    struct vec sum = {0, 0, 0};
    uint32_t count = 0;
    for (uint32_t v = 0; v < mesh->vertex_count; v++) {
        const float *p = mesh->vertices[v].position;
        if (scene->joints[mesh->vertices[v].joints[0]].node != node)
            continue;
        sum = vec_add(sum, (struct vec){(double)p[0], (double)p[1], (double)p[2]});
        count++;
    }
    return count > 0 ? vec_scale(sum, 1.0 / count) : place(scene, node);
}

static bool is_hand(int part) {
    return part == SCENE_PART_LEFT_HAND || part == SCENE_PART_RIGHT_HAND;
}

/* Some makers paint shoes with the colour that they call eyes. */
static void drop_false_eyes(struct scene_mesh *mesh, const uint8_t *parts) {
    for (size_t t = 0; t < mesh->triangle_count; t++)
        if (mesh->covers[t] == GPU_COVER_EYES && parts[t] != SCENE_PART_HEAD)
            mesh->covers[t] = GPU_COVER_UNKNOWN;
}

static void joint_parts(const struct scene *scene, const struct scene_mesh *mesh, int8_t *part) {
    for (uint32_t i = 0; i < scene->node_count; i++) {
        const struct scene_joint *joint = &scene->joints[i];
        part[i] = joint->parent >= 0 ? part[joint->parent] : -1;
        if (part[i] >= 0 && is_hand(part[i]) && scene_names_slot(joint->name))
            part[i] = SCENE_PART_OTHER;
        for (int bone = 0; bone < RIG_BONES; bone++)
            if (scene->rig.joint[bone] == (int)i)
                part[i] = (int8_t)part_of_bone(bone);
    }
    for (uint32_t i = 0; i < scene->node_count; i++)
        if (part[i] < 0)
            part[i] = (int8_t)part_of_bone(nearest_bone(scene, skin_of(scene, mesh, (int)i)));
    for (uint32_t i = scene->node_count; i < scene->joint_count; i++)
        part[i] = part[scene->joints[i].node];
}

/* -- Triangles --------------------------------------------------------------------------------- */

int scene_parts_find(struct scene_import *in) {
    struct scene *scene = in->scene;
    struct scene_mesh *mesh = &in->mesh;
    int8_t *part = malloc((scene->joint_count + 1) * sizeof *part);
    scene->parts = malloc((mesh->triangle_count + 1) * sizeof *scene->parts);
    if (part == NULL || scene->parts == NULL) {
        free(part);
        return err_set(in->err, ERR_NO_MEMORY, "%s: no memory to import it", in->file);
    }
    joint_parts(scene, mesh, part);
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        float votes[SCENE_BODY_PARTS] = {0};
        int best = 0;
        for (int k = 0; k < 3; k++) {
            const struct scene_vertex *vertex = &mesh->vertices[mesh->indices[3 * t + (size_t)k]];
            for (int i = 0; i < SCENE_INFLUENCES && vertex->weights[i] > 0; i++)
                votes[part[vertex->joints[i]]] += vertex->weights[i];
        }
        for (int i = 1; i < SCENE_BODY_PARTS; i++)
            if (votes[i] > votes[best])
                best = i;
        scene->parts[t] =
            (uint8_t)(is_hand(best) && mesh->covers[t] == GPU_COVER_OTHER ? SCENE_PART_OTHER
                                                                          : best);
    }
    drop_false_eyes(mesh, scene->parts);
    free(part);
    return 0;
}
