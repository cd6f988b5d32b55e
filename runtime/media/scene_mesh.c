/* scene_mesh.c - merges the meshes of a file into one, in one bind space.
 *
 * Each skinned mesh has a space of its own, and for each of its bones an offset O, from that space
 * to the bone's. Meshes agree on a bind space when each has a matrix M into it such that B = M *
 * inverse(O), the bone's bind matrix, is the same for all meshes that share the bone. The first
 * mesh is laid where its heaviest bone is at rest; the next follow by the bones that they share.
 * Where two meshes disagree about a bone, it gets a second joint: same motion, other bind. */
#include <assimp/scene.h>
#include <stdlib.h>
#include <strings.h>

#include "media/scene_parts.h"

struct reading {
    struct scene *scene;
    struct scene_mesh *mesh;
    const struct aiScene *tree;
    bool colored; /* colours of vertices count */
    const char *file;
    struct err *err;
    struct mat to_bind; /* of the mesh that was added last */
    struct mat *rest;   /* [node] in the file's world */
    bool *bound;        /* [node] its bind matrix is settled */
    bool *done;         /* [mesh] */
    uint32_t *held;     /* [node] 1 + the node of what it holds; 0: nothing yet */
    uint32_t crowded;   /* vertices that follow more joints than are kept */
    bool any_skin;
    size_t vertex_room, triangle_room;
};

static struct mat mat_of(const struct aiMatrix4x4 *a) {
    return (struct mat){
        {a->a1, a->a2, a->a3, a->a4, a->b1, a->b2, a->b3, a->b4, a->c1, a->c2, a->c3, a->c4}};
}

static int no_memory(const struct reading *r) {
    return err_set(r->err, ERR_NO_MEMORY, "%s: no memory to import it", r->file);
}

/* -- Binds ------------------------------------------------------------------------------------- */

static bool same_bind(const struct mat *a, const struct mat *b) {
    double turn = 0, move = 0, size = 0;
    for (int i = 0; i < 12; i++) {
        double d = fabs(a->m[i] - b->m[i]);
        if (i % 4 == 3) {
            move = fmax(move, d);
        } else {
            turn = fmax(turn, d);
            size = fmax(size, fabs(a->m[i]));
        }
    }
    double reach = fmax(1e-9, vec_length(mat_origin(a)));
    return turn <= 2e-3 * size && move <= 2e-3 * reach;
}

/* The joint that moves as `node` does and has this bind; -1 without memory. */
static int joint_for(struct reading *r, uint32_t node, const struct mat *bind) {
    struct scene *scene = r->scene;
    if (!r->bound[node]) {
        r->bound[node] = true;
        scene->joints[node].bind = *bind;
        return (int)node;
    }
    if (same_bind(&scene->joints[node].bind, bind))
        return (int)node;
    for (uint32_t j = scene->node_count; j < scene->joint_count; j++)
        if (scene->joints[j].node == (int)node && same_bind(&scene->joints[j].bind, bind))
            return (int)j;
    if (scene->joint_count >= UINT16_MAX)
        return -1;
    struct scene_joint *extra = scene_joint_add(scene);
    if (extra == NULL)
        return -1;
    extra->name = strdup(scene->joints[node].name);
    extra->parent = scene->joints[node].parent;
    extra->node = (int)node;
    extra->rest = scene->joints[node].rest;
    extra->bind = *bind;
    return extra->name != NULL ? (int)scene->joint_count - 1 : -1;
}

static double bone_weight(const struct aiBone *bone) {
    double sum = 0;
    for (unsigned i = 0; i < bone->mNumWeights; i++)
        sum += (double)bone->mWeights[i].mWeight;
    return sum;
}

/* The matrix from a skinned mesh's own space to bind space. */
static struct mat mesh_to_bind(const struct reading *r, const struct aiMesh *mesh,
                               const int *nodes) {
    double best[2] = {-1, -1};
    int chosen[2] = {-1, -1}; /* of the bones settled before, and of all */
    for (unsigned b = 0; b < mesh->mNumBones; b++) {
        double weight = bone_weight(mesh->mBones[b]);
        if (nodes[b] < 0)
            continue;
        for (int kind = r->bound[nodes[b]] ? 0 : 1; kind < 2; kind++) {
            if (weight > best[kind]) {
                best[kind] = weight;
                chosen[kind] = (int)b;
            }
        }
    }
    bool settled = chosen[0] >= 0;
    int bone = settled ? chosen[0] : chosen[1];
    if (bone < 0)
        return mat_identity();
    struct mat offset = mat_of(&mesh->mBones[bone]->mOffsetMatrix);
    const struct mat *place = settled ? &r->scene->joints[nodes[bone]].bind : &r->rest[nodes[bone]];
    return mat_multiply(place, &offset);
}

/* -- Vertices ---------------------------------------------------------------------------------- */

static int make_room(struct reading *r, size_t vertices, size_t triangles) {
    struct scene_mesh *mesh = r->mesh;
    if (mesh->vertex_count + vertices > SCENE_MAX_VERTICES ||
        mesh->triangle_count + triangles > SCENE_MAX_TRIANGLES)
        return err_set(r->err, ERR_TOO_LARGE, "%s: more than %d million vertices or triangles",
                       r->file, SCENE_MAX_VERTICES >> 20);
    if (mesh->vertex_count + vertices > r->vertex_room) {
        r->vertex_room = (mesh->vertex_count + vertices) * 3 / 2;
        void *grown = realloc(mesh->vertices, r->vertex_room * sizeof *mesh->vertices);
        if (grown == NULL)
            return no_memory(r);
        mesh->vertices = grown;
    }
    if (mesh->triangle_count + triangles > r->triangle_room) {
        r->triangle_room = (mesh->triangle_count + triangles) * 3 / 2;
        void *indices = realloc(mesh->indices, r->triangle_room * 3 * sizeof *mesh->indices);
        if (indices != NULL)
            mesh->indices = indices;
        void *materials = realloc(mesh->materials, r->triangle_room * sizeof *mesh->materials);
        if (materials != NULL)
            mesh->materials = materials;
        void *covers = realloc(mesh->covers, r->triangle_room * sizeof *mesh->covers);
        if (covers != NULL)
            mesh->covers = covers;
        if (indices == NULL || materials == NULL || covers == NULL)
            return no_memory(r);
    }
    return 0;
}

/* The set of texture coordinates that the mesh's base colour uses. */
static unsigned uv_channel(const struct reading *r, const struct aiMesh *mesh) {
    static const enum aiTextureType kinds[] = {aiTextureType_BASE_COLOR, aiTextureType_DIFFUSE};
    struct aiString path;
    unsigned channel = 0;
    if (mesh->mMaterialIndex >= r->tree->mNumMaterials)
        return 0;
    const struct aiMaterial *material = r->tree->mMaterials[mesh->mMaterialIndex];
    for (int i = 0; i < 2; i++)
        if (aiGetMaterialTexture(material, kinds[i], 0, &path, NULL, &channel, NULL, NULL, NULL,
                                 NULL) == aiReturn_SUCCESS)
            break;
    return channel < AI_MAX_NUMBER_OF_TEXTURECOORDS && mesh->mTextureCoords[channel] != NULL
               ? channel
               : 0;
}

static uint32_t pack_color(const struct aiColor4D *color) {
    const float channels[3] = {color->r, color->g, color->b};
    uint32_t out = 0;
    for (int i = 0; i < 3; i++) {
        float value = channels[i] >= 0 ? fminf(1, channels[i]) : 0; /* NaN is black */
        out |= (uint32_t)(powf(value, 1 / 2.2f) * 255 + 0.5f) << (8 * i);
    }
    return out;
}

static int add_vertices(struct reading *r, const struct aiMesh *from, const struct mat *to_bind) {
    double c[9], flip = mat_determinant(to_bind) < 0 ? -1 : 1;
    mat_cofactors(to_bind, c);
    unsigned channel = uv_channel(r, from);
    for (unsigned v = 0; v < from->mNumVertices; v++) {
        struct scene_vertex *vertex = &r->mesh->vertices[r->mesh->vertex_count + v];
        memset(vertex, 0, sizeof *vertex);
        const struct aiVector3D *p = &from->mVertices[v];
        struct vec at = mat_point(to_bind, (struct vec){p->x, p->y, p->z});
        /* Beyond that, squares of floats overflow. */
        if (!(fabs(at.x) < 1e15 && fabs(at.y) < 1e15 && fabs(at.z) < 1e15))
            return err_set(r->err, ERR_CORRUPT, "%s: vertex %u of mesh %s is not a finite point",
                           r->file, v, from->mName.data);
        vertex->position[0] = (float)at.x;
        vertex->position[1] = (float)at.y;
        vertex->position[2] = (float)at.z;
        struct vec normal = {0, 1, 0};
        if (from->mNormals != NULL) {
            const struct aiVector3D *n = &from->mNormals[v];
            normal = vec_unit((struct vec){flip * (c[0] * n->x + c[1] * n->y + c[2] * n->z),
                                           flip * (c[3] * n->x + c[4] * n->y + c[5] * n->z),
                                           flip * (c[6] * n->x + c[7] * n->y + c[8] * n->z)});
            if (!(vec_length(normal) > 0.5))
                normal = (struct vec){0, 1, 0};
        }
        vertex->normal[0] = (float)normal.x;
        vertex->normal[1] = (float)normal.y;
        vertex->normal[2] = (float)normal.z;
        vertex->color =
            r->colored && from->mColors[0] != NULL ? pack_color(&from->mColors[0][v]) : 0xffffff;
        if (from->mTextureCoords[channel] != NULL) {
            const struct aiVector3D *uv = &from->mTextureCoords[channel][v];
            vertex->uv[0] = isfinite(uv->x) ? uv->x : 0;
            vertex->uv[1] = isfinite(uv->y) ? 1 - uv->y : 0;
        }
    }
    return 0;
}

static void add_triangles(struct reading *r, const struct aiMesh *from, bool mirrored) {
    struct scene_mesh *mesh = r->mesh;
    for (unsigned f = 0; f < from->mNumFaces; f++) {
        const struct aiFace *face = &from->mFaces[f];
        if (face->mNumIndices != 3)
            continue; /* points and lines */
        const unsigned *i = face->mIndices;
        if (i[0] >= from->mNumVertices || i[1] >= from->mNumVertices || i[2] >= from->mNumVertices)
            continue;
        uint32_t *out = &mesh->indices[3 * (size_t)mesh->triangle_count];
        out[0] = mesh->vertex_count + i[0];
        out[1] = mesh->vertex_count + i[mirrored ? 2 : 1];
        out[2] = mesh->vertex_count + i[mirrored ? 1 : 2];
        mesh->materials[mesh->triangle_count++] = (uint16_t)from->mMaterialIndex;
    }
}

/* Keeps the eight heaviest, sorted. */
static float add_influence(struct scene_vertex *vertex, uint16_t joint, float weight) {
    for (int i = 0; i < SCENE_INFLUENCES; i++) {
        if (weight <= vertex->weights[i])
            continue;
        float lighter = vertex->weights[i];
        uint16_t other = vertex->joints[i];
        vertex->weights[i] = weight;
        vertex->joints[i] = joint;
        weight = lighter;
        joint = other;
    }
    return weight; /* of what had no room */
}

static void normalise_influences(struct scene_vertex *vertex, uint16_t otherwise) {
    float sum = 0;
    for (int i = 0; i < SCENE_INFLUENCES; i++)
        sum += vertex->weights[i];
    if (!(sum > 1e-6f)) {
        memset(vertex->weights, 0, sizeof vertex->weights);
        vertex->joints[0] = otherwise;
        vertex->weights[0] = 1;
        return;
    }
    for (int i = 0; i < SCENE_INFLUENCES; i++)
        vertex->weights[i] /= sum;
}

static int add_skin(struct reading *r, const struct aiMesh *from, const int *nodes,
                    const struct mat *to_bind, uint32_t holder) {
    struct scene_vertex *vertices = &r->mesh->vertices[r->mesh->vertex_count];
    for (unsigned b = 0; b < from->mNumBones; b++) {
        const struct aiBone *bone = from->mBones[b];
        struct mat offset = mat_of(&bone->mOffsetMatrix), back;
        if (nodes[b] < 0)
            continue;
        /* A bone of no size shows nothing; its bind does not matter. */
        struct mat bind =
            mat_invert(&offset, &back) ? mat_multiply(to_bind, &back) : r->rest[nodes[b]];
        int joint = mat_finite(&bind) ? joint_for(r, (uint32_t)nodes[b], &bind) : -1;
        if (joint < 0)
            return mat_finite(&bind)
                       ? no_memory(r)
                       : err_set(r->err, ERR_CORRUPT, "%s: bone %s has no finite bind matrix",
                                 r->file, bone->mName.data);
        for (unsigned w = 0; w < bone->mNumWeights; w++) {
            const struct aiVertexWeight *weight = &bone->mWeights[w];
            if (weight->mVertexId < from->mNumVertices && weight->mWeight > 0 &&
                isfinite(weight->mWeight))
                r->crowded += add_influence(&vertices[weight->mVertexId], (uint16_t)joint,
                                            weight->mWeight) > 0.01f;
        }
    }
    int loose = -1;
    for (unsigned v = 0; v < from->mNumVertices; v++) {
        if (vertices[v].weights[0] <= 0 && loose < 0) {
            loose = joint_for(r, holder, to_bind);
            if (loose < 0)
                return no_memory(r);
        }
        normalise_influences(&vertices[v], loose < 0 ? 0 : (uint16_t)loose);
    }
    return 0;
}

/* -- Meshes ------------------------------------------------------------------------------------ */

/* The first mesh is laid where its heaviest bone is at rest, which may be in the middle of a step.
 * In FBX the mesh's node, in glTF the mesh's own space shows how its maker had it stand: keeps the
 * turn between the two. */
static void find_straight(struct scene_import *in, const struct reading *r, uint32_t holder,
                          const struct mat *to_bind) {
    struct mat drawn = strcmp(in->source->format, "fbx") == 0 ? r->rest[holder] : mat_identity();
    struct mat back;
    if (!mat_invert(to_bind, &back))
        return;
    struct mat turn = mat_multiply(&drawn, &back);
    double scale = mat_scale(&turn);
    if (!(mat_determinant(&turn) > 0) || !isfinite(scale))
        return;
    for (int i = 0; i < 12; i++)
        turn.m[i] = i % 4 == 3 ? 0 : turn.m[i] / scale;
    in->straight = turn;
}

static int add_skinned(struct scene_import *in, struct reading *r, const struct aiMesh *from,
                       uint32_t holder) {
    int *nodes = malloc((from->mNumBones + 1) * sizeof *nodes);
    if (nodes == NULL)
        return no_memory(r);
    for (unsigned b = 0; b < from->mNumBones; b++)
        nodes[b] = scene_find_node(r->scene, from->mBones[b]->mName.data);
    struct mat to_bind = r->to_bind = mesh_to_bind(r, from, nodes);
    if (r->mesh->vertex_count == 0)
        find_straight(in, r, holder, &to_bind);
    int rc = make_room(r, from->mNumVertices, from->mNumFaces);
    if (rc == 0)
        rc = add_vertices(r, from, &to_bind);
    if (rc == 0)
        rc = add_skin(r, from, nodes, &to_bind, holder);
    if (rc == 0) {
        add_triangles(r, from, mat_determinant(&to_bind) < 0);
        r->mesh->vertex_count += from->mNumVertices;
    }
    free(nodes);
    return rc;
}

/* A mesh without skin follows the node that holds it. */
static int add_rigid(struct reading *r, const struct aiMesh *from, uint32_t holder) {
    const struct mat *bind = &r->scene->joints[holder].bind;
    r->to_bind = *bind;
    int rc = make_room(r, from->mNumVertices, from->mNumFaces);
    if (rc == 0)
        rc = add_vertices(r, from, bind);
    if (rc != 0)
        return rc;
    for (unsigned v = 0; v < from->mNumVertices; v++) {
        struct scene_vertex *vertex = &r->mesh->vertices[r->mesh->vertex_count + v];
        vertex->joints[0] = (uint16_t)holder;
        vertex->weights[0] = 1;
    }
    r->scene->joints[holder].rigid = true;
    add_triangles(r, from, mat_determinant(bind) < 0);
    r->mesh->vertex_count += from->mNumVertices;
    return 0;
}

/* Whether a name tells an eyeball: "EyeLeft", "eyes", "Wolf3D_Eye", but no brow, lash or glasses.
 */
static bool names_eye(const char *name) {
    static const char *const others[] = {"brow", "lash", "lid", "line", "wear", "glass", "shadow"};
    if (strcasestr(name, "eye") == NULL)
        return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcasestr(name, others[i]) != NULL)
            return false;
    return true;
}

/* What the names of mesh, material and node tell of the vertices and triangles from the first on.
 */
static void mark_surface(const struct reading *r, const struct scene_import *in,
                         const struct aiMesh *mesh, uint32_t holder, uint32_t first,
                         uint32_t first_triangle) {
    struct aiString material = {.length = 0};
    if (mesh->mMaterialIndex < in->tree->mNumMaterials)
        aiGetMaterialString(in->tree->mMaterials[mesh->mMaterialIndex], AI_MATKEY_NAME, &material);
    memset(r->mesh->covers + first_triangle,
           scene_cover_of(material.data, mesh->mName.data, r->scene->joints[holder].name),
           r->mesh->triangle_count - first_triangle);
    if (!names_eye(mesh->mName.data) && !names_eye(material.data) &&
        !names_eye(r->scene->joints[holder].name))
        return;
    for (uint32_t v = first; v < r->mesh->vertex_count; v++)
        r->mesh->vertices[v].eye = 1;
}

/* Shapes that draw a rig's controls, and the usual furniture of a modelling scene. */
static bool is_furniture(const struct reading *r, uint32_t holder, const char *mesh_name) {
    static const char *const words[] = {"Icosphere", "WGT-", "WGT_", "cs_", "Ground", "Floor"};
    int parent = r->scene->joints[holder].parent;
    for (; parent >= 0; parent = r->scene->joints[parent].parent)
        if (r->bound[parent])
            return false; /* something that a bone carries */
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(r->scene->joints[holder].name, words[i], strlen(words[i])) == 0 ||
            strncmp(mesh_name, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

bool scene_names_slot(const char *name) {
    static const char *const words[] = {"slot", "weapon", "prop_", "socket", "attach", "holster"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(name, words[i]) != NULL)
            return true;
    return false;
}

/* Files that are made for games keep all that a hand may hold in it. Of several things in one slot
 * the first is drawn. */
static bool is_spare(struct reading *r, uint32_t node) {
    int slot = r->scene->joints[node].parent;
    if (slot < 0 || !scene_names_slot(r->scene->joints[slot].name))
        return false;
    if (r->held[slot] == 0)
        r->held[slot] = node + 1;
    return r->held[slot] != node + 1;
}

static int add_node(struct reading *r, struct scene_import *in, uint32_t node, bool skinned) {
    const struct aiNode *from = in->nodes[node];
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < from->mNumMeshes; i++) {
        const struct aiMesh *mesh = in->tree->mMeshes[from->mMeshes[i]];
        bool *done = &r->done[from->mMeshes[i]];
        if ((mesh->mNumBones > 0) != skinned || mesh->mNumVertices == 0 || (skinned && *done))
            continue;
        *done = true;
        uint32_t first = r->mesh->vertex_count, first_triangle = r->mesh->triangle_count;
        if (skinned)
            rc = add_skinned(in, r, mesh, node);
        else if (r->any_skin && is_furniture(r, node, mesh->mName.data))
            scene_warn(r->scene, "mesh %s is no part of the body and was left out",
                       mesh->mName.data);
        else if (r->any_skin && is_spare(r, node))
            scene_warn(r->scene, "%s is not drawn: the hand holds something else",
                       r->scene->joints[node].name);
        else
            rc = add_rigid(r, mesh, node);
        if (rc == 0 && r->mesh->vertex_count > first) {
            mark_surface(r, in, mesh, node, first, first_triangle);
            rc = scene_morphs_read(in, mesh, &r->to_bind, first);
        }
    }
    return rc;
}

/* Nodes without skin keep their rest place beside the nearest bone above them. */
static void bind_others(struct reading *r) {
    struct scene *scene = r->scene;
    struct mat back, shift = mat_identity(); /* bind space from the world, by the first bone */
    for (uint32_t i = 0; i < scene->node_count; i++) {
        if (r->bound[i] && mat_invert(&r->rest[i], &back)) {
            shift = mat_multiply(&scene->joints[i].bind, &back);
            break;
        }
    }
    for (uint32_t i = 0; i < scene->node_count; i++) {
        struct scene_joint *joint = &scene->joints[i];
        if (r->bound[i])
            continue;
        int above = joint->parent;
        while (above >= 0 && !r->bound[above])
            above = scene->joints[above].parent;
        if (above >= 0 && mat_invert(&r->rest[above], &back)) {
            struct mat inside = mat_multiply(&back, &r->rest[i]);
            joint->bind = mat_multiply(&scene->joints[above].bind, &inside);
        } else {
            joint->bind = mat_multiply(&shift, &r->rest[i]);
        }
    }
}

/* -- Sticks ------------------------------------------------------------------------------------ */

/* A spindle from a bone to the one below it, which moves with the upper one. */
static void add_stick(struct reading *r, uint32_t joint, struct vec from, struct vec to) {
    static const uint8_t faces[8][3] = {{0, 1, 2}, {0, 2, 3}, {0, 3, 4}, {0, 4, 1},
                                        {5, 2, 1}, {5, 3, 2}, {5, 4, 3}, {5, 1, 4}};
    struct scene_mesh *mesh = r->mesh;
    uint32_t first = mesh->vertex_count;
    struct vec along = vec_unit(vec_sub(to, from)), side = {1, 0, 0};
    if (fabs(along.x) > 0.8)
        side = (struct vec){0, 0, 1};
    side = vec_unit(vec_cross(along, side));
    struct vec other = vec_cross(side, along), belt = vec_mix(from, to, 0.15);
    double thick = 0.08 * vec_distance(from, to);
    const struct vec out[6] = {vec_scale(along, -1), side, other, vec_scale(side, -1),
                               vec_scale(other, -1), along};
    for (int i = 0; i < 6; i++) {
        struct vec at = i == 0 ? from : i == 5 ? to : vec_add(belt, vec_scale(out[i], thick));
        struct scene_vertex *vertex = &mesh->vertices[mesh->vertex_count++];
        *vertex = (struct scene_vertex){
            .position = {(float)at.x, (float)at.y, (float)at.z},
            .normal = {(float)out[i].x, (float)out[i].y, (float)out[i].z},
            .joints = {(uint16_t)joint},
            .weights = {1},
            .color = 0xffffff,
        };
    }
    for (int f = 0; f < 8; f++, mesh->triangle_count++) {
        for (int k = 0; k < 3; k++)
            mesh->indices[3 * (size_t)mesh->triangle_count + (size_t)k] = first + faces[f][k];
        mesh->materials[mesh->triangle_count] = 0;
        mesh->covers[mesh->triangle_count] = GPU_COVER_UNKNOWN;
    }
}

/* What a skeleton without mesh is seen by. */
static int add_sticks(struct reading *r) {
    for (uint32_t i = 0; i < r->scene->node_count; i++) {
        int above = r->scene->joints[i].parent;
        /* What hangs on the file's root is no bone. */
        if (above < 0 || r->scene->joints[above].parent < 0)
            continue;
        struct vec from = mat_origin(&r->rest[above]), to = mat_origin(&r->rest[i]);
        if (!(vec_distance(from, to) > 0))
            continue;
        int rc = make_room(r, 6, 8);
        if (rc != 0)
            return rc;
        add_stick(r, (uint32_t)above, from, to);
    }
    return 0;
}

static int read_all(struct reading *r, struct scene_import *in) {
    int rc = 0;
    uint32_t count = r->scene->node_count;
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = add_node(r, in, i, true);
    r->any_skin = r->mesh->triangle_count > 0;
    bind_others(r);
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = add_node(r, in, i, false);
    if (rc == 0 && in->tree->mNumMeshes == 0)
        rc = add_sticks(r);
    if (r->crowded > 0)
        scene_warn(r->scene, "%u times a vertex follows more than %d joints; the heaviest count",
                   r->crowded, SCENE_INFLUENCES);
    if (rc == 0 && r->mesh->triangle_count == 0)
        rc =
            err_set(r->err, ERR_INVALID, "%s: no mesh in it, so there is nothing to draw", r->file);
    return rc;
}

int scene_mesh_read(struct scene_import *in) {
    struct scene *scene = in->scene;
    size_t nodes = scene->node_count;
    struct reading r = {
        .scene = scene, .mesh = &in->mesh, .tree = in->tree, .file = in->file, .err = in->err};
    r.colored = strcmp(in->source->format, "fbx") != 0;
    r.rest = malloc(nodes * sizeof *r.rest);
    r.bound = calloc(nodes, sizeof *r.bound);
    r.done = calloc(in->tree->mNumMeshes, sizeof *r.done);
    r.held = calloc(nodes, sizeof *r.held);
    int rc = 0;
    if (r.rest == NULL || r.bound == NULL || r.done == NULL || r.held == NULL) {
        rc = no_memory(&r);
        goto end;
    }
    scene_rest_world(scene, r.rest);
    rc = read_all(&r, in);
    if (rc == 0)
        rc = scene_mesh_weld(&in->mesh, in->err);
    if (rc == 0)
        scene_covers_settle(&in->mesh);
end:
    free(r.rest);
    free(r.bound);
    free(r.done);
    free(r.held);
    return rc;
}

void scene_mesh_deinit(struct scene_mesh *mesh) {
    for (uint32_t i = 0; i < mesh->texture_count; i++)
        free((void *)(uintptr_t)mesh->textures[i].rgba);
    scene_morphs_deinit(mesh);
    free(mesh->covers);
    free(mesh->textures);
    free(mesh->material_table);
    free(mesh->vertices);
    free(mesh->indices);
    free(mesh->materials);
    *mesh = (struct scene_mesh){0};
}

/* -- Welding ----------------------------------------------------------------------------------- */

static uint32_t hash_vertex(const struct scene_vertex *vertex) {
    uint32_t words[sizeof *vertex / 4], hash = 2166136261u;
    memcpy(words, vertex, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        hash = (hash ^ words[i]) * 0x9e3779b1u + (hash >> 15);
    return hash ^ hash >> 13;
}

/* Bytes, not numbers: 0 and -0 may stay apart. */
static bool same_bytes(const struct scene_vertex *a, const struct scene_vertex *b) {
    return memcmp((const unsigned char *)a, (const unsigned char *)b, sizeof *a) == 0;
}

int scene_mesh_weld(struct scene_mesh *mesh, struct err *err) {
    size_t slots = 16;
    while (slots < (size_t)mesh->vertex_count * 2)
        slots *= 2;
    uint32_t *table = calloc(slots, sizeof *table), *now = malloc(mesh->vertex_count * sizeof *now);
    if (table == NULL || now == NULL) {
        free(table);
        free(now);
        return err_set(err, ERR_NO_MEMORY, "no memory to import the scene");
    }
    uint32_t kept = 0;
    for (uint32_t v = 0; v < mesh->vertex_count; v++) {
        const struct scene_vertex *vertex = &mesh->vertices[v];
        size_t slot = hash_vertex(vertex) & (slots - 1);
        while (table[slot] != 0 && !same_bytes(&mesh->vertices[table[slot] - 1], vertex))
            slot = (slot + 1) & (slots - 1);
        if (table[slot] == 0) {
            mesh->vertices[kept++] = *vertex;
            table[slot] = kept;
        }
        now[v] = table[slot] - 1;
    }
    for (size_t i = 0; i < 3 * (size_t)mesh->triangle_count; i++)
        mesh->indices[i] = now[mesh->indices[i]];
    mesh->vertex_count = kept;
    bool ready = scene_morphs_weld(mesh, now);
    free(table);
    free(now);
    return ready ? 0 : err_set(err, ERR_NO_MEMORY, "no memory to import the scene");
}
