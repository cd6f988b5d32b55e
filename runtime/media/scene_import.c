/* scene_import.c - from assimp's tree to a scene: copies the nodes that matter, then calls the
 * other parts in order. */
#include <assimp/scene.h>
#include <stdio.h>
#include <stdlib.h>

#include "media/scene_parts.h"

enum { MAX_DEPTH = 512 };

struct tree_copy {
    struct scene_import *in;
    const char **bones; /* sorted */
    uint32_t bone_count;
};

static struct mat mat_of(const struct aiMatrix4x4 *a) {
    return (struct mat){
        {a->a1, a->a2, a->a3, a->a4, a->b1, a->b2, a->b3, a->b4, a->c1, a->c2, a->c3, a->c4}};
}

/* -- Which nodes matter ------------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int list_bones(struct tree_copy *copy) {
    const struct aiScene *tree = copy->in->tree;
    size_t count = 0;
    for (unsigned m = 0; m < tree->mNumMeshes; m++)
        count += tree->mMeshes[m]->mNumBones;
    copy->bones = malloc((count + 1) * sizeof *copy->bones);
    if (copy->bones == NULL)
        return err_set(copy->in->err, ERR_NO_MEMORY, "%s: no memory to import it", copy->in->file);
    for (unsigned m = 0; m < tree->mNumMeshes; m++)
        for (unsigned b = 0; b < tree->mMeshes[m]->mNumBones; b++)
            copy->bones[copy->bone_count++] = tree->mMeshes[m]->mBones[b]->mName.data;
    qsort(copy->bones, copy->bone_count, sizeof *copy->bones, compare_names);
    return 0;
}

static bool is_bone(const struct tree_copy *copy, const struct aiNode *node) {
    const char *name = node->mName.data;
    return bsearch(&name, copy->bones, copy->bone_count, sizeof *copy->bones, compare_names) !=
           NULL;
}

/* Whether the node or one below it is a bone or holds a mesh; lamps and cameras are not wanted. */
static bool matters(const struct tree_copy *copy, const struct aiNode *node, int depth) {
    if (node->mNumMeshes > 0 || is_bone(copy, node) || copy->in->tree->mNumMeshes == 0)
        return true;
    for (unsigned i = 0; depth < MAX_DEPTH && i < node->mNumChildren; i++)
        if (matters(copy, node->mChildren[i], depth + 1))
            return true;
    return false;
}

static int copy_node(struct tree_copy *copy, const struct aiNode *node, int parent, bool below_bone,
                     int depth) {
    struct scene *scene = copy->in->scene;
    below_bone = below_bone || is_bone(copy, node);
    if (!below_bone && parent >= 0 && !matters(copy, node, depth))
        return 0;
    if (depth >= MAX_DEPTH || scene->node_count >= SCENE_MAX_NODES)
        return err_set(copy->in->err, ERR_TOO_LARGE,
                       "%s: more than %d nodes, or nested deeper than %d", copy->in->file,
                       SCENE_MAX_NODES, MAX_DEPTH);
    struct scene_joint *joint = scene_joint_add(scene);
    if (joint == NULL)
        return err_set(copy->in->err, ERR_NO_MEMORY, "%s: no memory to import it", copy->in->file);
    int self = (int)scene->node_count++;
    copy->in->nodes[self] = node;
    joint->parent = parent;
    joint->node = self;
    joint->holder = node->mNumMeshes > 0 && !is_bone(copy, node);
    joint->rest = mat_of(&node->mTransformation);
    joint->bind = mat_identity();
    joint->name = strdup(node->mName.data);
    if (joint->name == NULL)
        return err_set(copy->in->err, ERR_NO_MEMORY, "%s: no memory to import it", copy->in->file);
    if (!mat_finite(&joint->rest))
        return err_set(copy->in->err, ERR_CORRUPT, "%s: node %s has no finite transform",
                       copy->in->file, joint->name);
    for (unsigned i = 0; i < node->mNumChildren; i++) {
        int rc = copy_node(copy, node->mChildren[i], self, below_bone, depth + 1);
        if (rc != 0)
            return rc;
    }
    return 0;
}

struct scene_joint *scene_joint_add(struct scene *scene) {
    uint32_t count = scene->joint_count;
    if ((count & (count - 1)) == 0) { /* a power of two: full */
        size_t room = count == 0 ? 64 : (size_t)count * 2;
        if (count == 0 || count >= 64) {
            struct scene_joint *grown = realloc(scene->joints, room * sizeof *grown);
            if (grown == NULL)
                return NULL;
            scene->joints = grown;
        }
    }
    struct scene_joint *joint = &scene->joints[scene->joint_count++];
    memset(joint, 0, sizeof *joint);
    return joint;
}

int scene_find_node(const struct scene *scene, const char *name) {
    for (uint32_t i = 0; i < scene->node_count; i++)
        if (strcmp(scene->joints[i].name, name) == 0)
            return (int)i;
    return -1;
}

void scene_rest_world(const struct scene *scene, struct mat *out) {
    for (uint32_t i = 0; i < scene->node_count; i++) {
        const struct scene_joint *joint = &scene->joints[i];
        out[i] = joint->parent < 0 ? joint->rest : mat_multiply(&out[joint->parent], &joint->rest);
    }
}

/* -- Units ------------------------------------------------------------------------------------- */

/* An FBX file tells how many centimetres its unit has; glTF is in metres. */
static double metres_per_unit(const struct aiScene *tree, const struct scene_source *source) {
    if (strcmp(source->format, "fbx") != 0)
        return 1;
    double centimetres = 1;
    const struct aiMetadata *meta = tree->mMetaData;
    for (unsigned i = 0; meta != NULL && i < meta->mNumProperties; i++) {
        const struct aiMetadataEntry *entry = &meta->mValues[i];
        if (strcmp(meta->mKeys[i].data, "UnitScaleFactor") != 0)
            continue;
        if (entry->mType == AI_DOUBLE)
            centimetres = *(const double *)entry->mData;
        else if (entry->mType == AI_FLOAT)
            centimetres = (double)*(const float *)entry->mData;
    }
    return isfinite(centimetres) && centimetres > 0 ? centimetres / 100 : 0.01;
}

/* -- The whole --------------------------------------------------------------------------------- */

static void set_format(struct scene *scene, const struct scene_source *source) {
    if (source->human != NULL)
        snprintf(scene->report.format, sizeof scene->report.format, "vrm%d", source->vrm);
    else
        snprintf(scene->report.format, sizeof scene->report.format, "%s", source->format);
}

int scene_import(struct scene *scene, const struct aiScene *tree, const struct scene_source *source,
                 const struct scene_options *options, struct scene_mesh *mesh, struct err *err) {
    struct scene_import in = {.scene = scene,
                              .tree = tree,
                              .source = source,
                              .file = source->name,
                              .rigs = options != NULL ? options->rigs : NULL,
                              .straight = mat_identity(),
                              .err = err};
    struct tree_copy copy = {.in = &in};
    int rc = 0;
    set_format(scene, source);
    if (tree->mRootNode == NULL || (tree->mNumMeshes == 0 && !source->bare))
        return err_set(err, ERR_INVALID, "%s: no mesh in it, so there is nothing to draw",
                       source->name);
    in.nodes = malloc(SCENE_MAX_NODES * sizeof *in.nodes);
    if (in.nodes == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory to import it", source->name);
    rc = list_bones(&copy);
    if (rc == 0)
        rc = copy_node(&copy, tree->mRootNode, -1, false, 0);
    int (*const parts[])(struct scene_import *) = {scene_mesh_read, scene_materials_read,
                                                   scene_colors_apply, scene_clips_read,
                                                   scene_rig_find};
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof *parts; i++)
        rc = parts[i](&in);
    if (rc == 0)
        rc = scene_fit(&in, options, metres_per_unit(tree, source));
    if (rc == 0)
        rc = scene_landmarks_find(&in);
    if (rc == 0)
        rc = scene_parts_find(&in);
    if (rc == 0)
        rc = scene_covers_apply(&in);
    *mesh = in.mesh;
    free(in.nodes);
    free(copy.bones);
    return rc;
}
