/* scene_morph.c - morph targets (blend shapes) and the clips' weights for them.
 *
 * A face is often several meshes whose targets have the same names: targets of one name become one.
 * Assimp gives whole meshes for targets; what differs from the mesh is kept, as differences in bind
 * space. */
#include <assimp/scene.h>
#include <stdio.h>
#include <stdlib.h>

#include "media/scene_parts.h"

static int no_memory(const struct scene_import *in) {
    return err_set(in->err, ERR_NO_MEMORY, "%s: no memory to import it", in->file);
}

/* -- Reading ----------------------------------------------------------------------------------- */

/* The morph of that name, made when it is new; -1 without memory, -2 when there are too many. */
static int find_morph(struct scene_import *in, const char *name) {
    struct scene *scene = in->scene;
    for (uint32_t i = 0; i < scene->morph_count; i++)
        if (strcmp(scene->morphs[i].name, name) == 0)
            return (int)i;
    if (scene->morph_count == SCENE_MAX_MORPHS)
        return -2;
    size_t count = scene->morph_count + 1;
    void *morphs = realloc(scene->morphs, count * sizeof *scene->morphs);
    if (morphs != NULL)
        scene->morphs = morphs;
    void *deltas = realloc(in->mesh.morphs, count * sizeof *in->mesh.morphs);
    if (deltas != NULL)
        in->mesh.morphs = deltas;
    char *copy = strdup(name);
    if (morphs == NULL || deltas == NULL || copy == NULL) {
        free(copy);
        return -1;
    }
    in->mesh.morphs[count - 1] = (struct scene_deltas){0};
    scene->morphs[count - 1] = (struct scene_morph){.name = copy};
    in->mesh.morph_count = scene->morph_count = (uint32_t)count;
    return (int)count - 1;
}

static bool add_delta(struct scene_deltas *deltas, uint32_t vertex, const float delta[6]) {
    if (deltas->count == deltas->room) {
        size_t room = deltas->room == 0 ? 256 : (size_t)deltas->room * 2;
        void *vertices = realloc(deltas->vertices, room * sizeof *deltas->vertices);
        if (vertices != NULL)
            deltas->vertices = vertices;
        void *values = realloc(deltas->values, room * sizeof *deltas->values);
        if (values != NULL)
            deltas->values = values;
        if (vertices == NULL || values == NULL)
            return false;
        deltas->room = (uint32_t)room;
    }
    deltas->vertices[deltas->count] = vertex;
    memcpy(deltas->values[deltas->count++], delta, sizeof deltas->values[0]);
    return true;
}

/* The turn of a matrix that maps points, for normals; c as mat_cofactors gives it. */
static struct vec turned_normal(const double *c, const struct aiVector3D *n) {
    return vec_unit((struct vec){c[0] * n->x + c[1] * n->y + c[2] * n->z,
                                 c[3] * n->x + c[4] * n->y + c[5] * n->z,
                                 c[6] * n->x + c[7] * n->y + c[8] * n->z});
}

static int read_target(struct scene_import *in, const struct aiMesh *mesh,
                       const struct aiAnimMesh *target, const struct mat *to_bind, uint32_t first,
                       uint32_t morph) {
    double c[9], flip = mat_determinant(to_bind) < 0 ? -1 : 1;
    mat_cofactors(to_bind, c);
    if (target->mVertices == NULL || target->mNumVertices != mesh->mNumVertices)
        return 0;
    for (unsigned v = 0; v < mesh->mNumVertices; v++) {
        const struct aiVector3D *a = &mesh->mVertices[v], *b = &target->mVertices[v];
        struct vec d = {(double)b->x - (double)a->x, (double)b->y - (double)a->y,
                        (double)b->z - (double)a->z},
                   n = {0, 0, 0};
        struct mat turn = *to_bind;
        turn.m[3] = turn.m[7] = turn.m[11] = 0;
        d = mat_point(&turn, d);
        if (target->mNormals != NULL && mesh->mNormals != NULL) {
            struct vec from = turned_normal(c, &mesh->mNormals[v]);
            n = vec_scale(vec_sub(turned_normal(c, &target->mNormals[v]), from), flip);
        }
        const float delta[6] = {(float)d.x, (float)d.y, (float)d.z,
                                (float)n.x, (float)n.y, (float)n.z};
        bool finite = true;
        float most = 0;
        for (int i = 0; i < 6; i++) {
            finite = finite && isfinite(delta[i]) && fabsf(delta[i]) < 1e15f;
            most = fmaxf(most, fabsf(delta[i]));
        }
        if (!finite || most == 0 || vec_length(d) == 0)
            continue;
        if (!add_delta(&in->mesh.morphs[morph], first + v, delta))
            return no_memory(in);
        uint32_t key = in->mesh.vertices[first + v].morph, words[6];
        memcpy(words, delta, sizeof words);
        key = (key ^ (morph + 1)) * 0x9e3779b1u;
        for (int i = 0; i < 6; i++)
            key = ((key ^ words[i]) + (key >> 15)) * 0x85ebca6bu;
        in->mesh.vertices[first + v].morph = key;
    }
    return 0;
}

int scene_morphs_read(struct scene_import *in, const struct aiMesh *mesh, const struct mat *to_bind,
                      uint32_t first) {
    bool gltf = strcmp(in->source->format, "fbx") != 0;
    for (unsigned i = 0; i < mesh->mNumAnimMeshes; i++) {
        const struct aiAnimMesh *target = mesh->mAnimMeshes[i];
        char unnamed[32];
        snprintf(unnamed, sizeof unnamed, "target_%u", i);
        int morph = find_morph(in, target->mName.length > 0 ? target->mName.data : unnamed);
        if (morph == -1)
            return no_memory(in);
        if (morph < 0) {
            scene_warn(in->scene, "more than %d morph targets; the rest were left out",
                       SCENE_MAX_MORPHS);
            return 0;
        }
        /* Of FBX assimp does not tell the weight at rest. */
        if (gltf && isfinite(target->mWeight))
            in->scene->morphs[morph].rest = target->mWeight;
        int rc = read_target(in, mesh, target, to_bind, first, (uint32_t)morph);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* -- With the mesh ----------------------------------------------------------------------------- */

struct order {
    uint32_t vertex, index;
};

static int compare_orders(const void *a, const void *b) {
    const struct order *x = a, *y = b;
    return x->vertex != y->vertex ? (x->vertex < y->vertex ? -1 : 1)
                                  : (x->index < y->index ? -1 : x->index > y->index);
}

bool scene_morphs_weld(struct scene_mesh *mesh, const uint32_t *now) {
    for (uint32_t m = 0; m < mesh->morph_count; m++) {
        struct scene_deltas *deltas = &mesh->morphs[m];
        size_t count = deltas->count;
        struct order *order = malloc((count + 1) * sizeof *order);
        uint32_t *vertices = malloc((count + 1) * sizeof *vertices);
        float(*values)[6] = malloc((count + 1) * sizeof *values);
        uint32_t kept = 0;
        bool ready = order != NULL && vertices != NULL && values != NULL;
        for (size_t i = 0; ready && i < count; i++)
            order[i] = (struct order){now[deltas->vertices[i]], (uint32_t)i};
        if (ready)
            qsort(order, count, sizeof *order, compare_orders);
        for (size_t i = 0; ready && i < count; i++) {
            if (kept > 0 && vertices[kept - 1] == order[i].vertex)
                continue;
            vertices[kept] = order[i].vertex;
            memcpy(values[kept++], deltas->values[order[i].index], sizeof *values);
        }
        free(order);
        free(ready ? deltas->vertices : vertices);
        free(ready ? (void *)deltas->values : (void *)values);
        if (!ready)
            return false;
        *deltas = (struct scene_deltas){kept, kept, vertices, values};
    }
    return true;
}

void scene_morphs_move(struct scene_mesh *mesh, const struct mat *move) {
    struct mat turn = *move;
    double scale = mat_scale(move);
    turn.m[3] = turn.m[7] = turn.m[11] = 0;
    for (uint32_t m = 0; m < mesh->morph_count; m++) {
        for (uint32_t i = 0; i < mesh->morphs[m].count; i++) {
            float *d = mesh->morphs[m].values[i];
            struct vec at =
                mat_point(&turn, (struct vec){(double)d[0], (double)d[1], (double)d[2]});
            struct vec normal =
                mat_point(&turn, (struct vec){(double)d[3], (double)d[4], (double)d[5]});
            d[0] = (float)at.x, d[1] = (float)at.y, d[2] = (float)at.z;
            d[3] = (float)(normal.x / scale), d[4] = (float)(normal.y / scale);
            d[5] = (float)(normal.z / scale);
        }
    }
}

void scene_morphs_deinit(struct scene_mesh *mesh) {
    for (uint32_t m = 0; m < mesh->morph_count; m++) {
        free(mesh->morphs[m].vertices);
        free(mesh->morphs[m].values);
    }
    free(mesh->morphs);
    mesh->morphs = NULL;
    mesh->morph_count = 0;
}

/* -- Clips ------------------------------------------------------------------------------------- */

/* The mesh that a channel moves. FBX channels are named after their mesh, with an asterisk and a
 * number, glTF's after the node that holds it. */
static const struct aiMesh *find_mesh(const struct scene_import *in, const char *channel) {
    const char *star = strrchr(channel, '*');
    size_t length = star != NULL ? (size_t)(star - channel) : strlen(channel);
    const struct aiScene *tree = in->tree;
    for (uint32_t i = 0; i < in->scene->node_count; i++) {
        const struct aiNode *node = in->nodes[i];
        if (node->mName.length != length || strncmp(node->mName.data, channel, length) != 0)
            continue;
        for (unsigned m = 0; m < node->mNumMeshes; m++)
            if (tree->mMeshes[node->mMeshes[m]]->mNumAnimMeshes > 0)
                return tree->mMeshes[node->mMeshes[m]];
    }
    for (unsigned m = 0; m < tree->mNumMeshes; m++) {
        const struct aiMesh *mesh = tree->mMeshes[m];
        if (mesh->mNumAnimMeshes > 0 && mesh->mName.length == length &&
            strncmp(mesh->mName.data, channel, length) == 0)
            return mesh;
    }
    return NULL;
}

static int read_weights(struct scene_keys *keys, const struct aiMeshMorphAnim *from,
                        unsigned target, double ticks) {
    keys->times = malloc((from->mNumKeys + 1) * sizeof *keys->times);
    keys->values = malloc((from->mNumKeys + 1) * sizeof *keys->values);
    if (keys->times == NULL || keys->values == NULL)
        return -1;
    for (unsigned k = 0; k < from->mNumKeys; k++) {
        const struct aiMeshMorphKey *key = &from->mKeys[k];
        float time = (float)(key->mTime / ticks);
        for (unsigned i = 0; i < key->mNumValuesAndWeights; i++) {
            float weight = (float)key->mWeights[i];
            if (key->mValues[i] != target || !isfinite(time) || !isfinite(weight) ||
                (keys->count > 0 && time < keys->times[keys->count - 1]))
                continue;
            keys->times[keys->count] = time;
            keys->values[keys->count++] = weight;
            break;
        }
    }
    return 0;
}

static bool has_track(const struct scene_clip *clip, uint32_t morph) {
    for (uint32_t i = 0; i < clip->morph_track_count; i++)
        if (clip->morph_tracks[i].morph == morph)
            return true;
    return false;
}

int scene_morph_tracks_read(const struct scene_import *in, struct scene_clip *clip,
                            const struct aiAnimation *from, double ticks, uint32_t *most) {
    struct scene *scene = in->scene;
    clip->morph_tracks = calloc(scene->morph_count + 1, sizeof *clip->morph_tracks);
    if (clip->morph_tracks == NULL)
        return no_memory(in);
    for (unsigned i = 0; i < from->mNumMorphMeshChannels; i++) {
        const struct aiMeshMorphAnim *channel = from->mMorphMeshChannels[i];
        const struct aiMesh *mesh = find_mesh(in, channel->mName.data);
        for (unsigned t = 0; mesh != NULL && t < mesh->mNumAnimMeshes; t++) {
            char unnamed[32];
            snprintf(unnamed, sizeof unnamed, "target_%u", t);
            const char *name =
                mesh->mAnimMeshes[t]->mName.length > 0 ? mesh->mAnimMeshes[t]->mName.data : unnamed;
            int morph = scene_find_morph(scene, name);
            if (morph < 0 || has_track(clip, (uint32_t)morph))
                continue;
            struct scene_morph_track *track = &clip->morph_tracks[clip->morph_track_count++];
            track->morph = (uint32_t)morph;
            if (read_weights(&track->keys, channel, t, ticks) != 0)
                return no_memory(in);
            if (track->keys.count > 0)
                clip->seconds =
                    fmax(clip->seconds, (double)track->keys.times[track->keys.count - 1]);
            if (track->keys.count > *most)
                *most = track->keys.count;
        }
    }
    return 0;
}
