/* scene_parts.h - what the files of the scene importer share; nobody else includes it.
 *
 * Files are read in a process of their own (scene_process.c, scene_child.c): what a struct scene
 * and a struct scene_mesh hold must travel from there, so whoever adds a field adds it to
 * scene_pack.c.
 *
 * An import goes: scene_file.c reads the file and runs assimp; scene_import.c copies nodes and
 * skins out of assimp's tree into a struct scene and a struct scene_mesh; scene_mesh.c merges the
 * meshes; scene_clip.c takes the clips; scene_texture.c the pictures; scene_rig.c finds out which
 * node is which limb; scene_fit.c turns and scales the body; scene_landmark.c places the landmarks;
 * gpu_scene_new takes the mesh, which is then freed.
 *
 * A struct scene is plain data behind pointers of its own: names, joints, clips with tracks and
 * keys, morphs, parts, warnings, and `gpu`. Nothing in it points into assimp or the file.
 *
 * Until scene_fit.c has run, bind space is the file's world; after it, metres, y up, facing +z. */
#ifndef STANCE_MEDIA_SCENE_PARTS_H
#define STANCE_MEDIA_SCENE_PARTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "media/rig.h"
#include "media/scene.h"
#include "media/scene_math.h"
#include "stance_gpu.h"

enum {
    SCENE_INFLUENCES = 8,
    SCENE_MAX_NODES = 8192,
    SCENE_MAX_VERTICES = 8 << 20,
    SCENE_MAX_TRIANGLES = 8 << 20,
    SCENE_MAX_MATERIALS = 4096,
    SCENE_MAX_CLIPS = 1024,
    SCENE_MAX_KEYS = 64 << 20,
    SCENE_MAX_MORPHS = 1024,
};

/* -- The skeleton ------------------------------------------------------------------------------ */

struct scene_joint {
    char *name;
    int parent;
    int node;            /* the node that moves it: itself, but for the extra joints at the end */
    struct mat rest;     /* local, of nodes without keys */
    struct mat bind;     /* bind space from the joint's own */
    float from_bind[12]; /* the inverse */
    bool holder;         /* a mesh hangs on it, and it is no bone */
    bool rigid;          /* a mesh hangs on it without skin */
};

/* -- Clips ------------------------------------------------------------------------------------- */

struct scene_keys {
    uint32_t count;
    float *times;  /* [count], seconds, not falling */
    float *values; /* [count][3 or 4] */
};

struct scene_track {
    uint32_t joint;
    struct scene_keys position, rotation, scale;
};

struct scene_morph_track {
    uint32_t morph;
    struct scene_keys keys; /* values [count] */
};

struct scene_clip {
    char *name;
    double seconds, rate;
    uint32_t track_count, morph_track_count;
    struct scene_track *tracks; /* by rising joint */
    struct scene_morph_track *morph_tracks;
};

struct scene_morph {
    char *name;
    float rest; /* its weight where no clip tells another */
};

/* -- The mesh, while it is imported ------------------------------------------------------------ */

/* Without padding, so that vertices can be compared as bytes. */
struct scene_vertex {
    float position[3], normal[3], uv[2];
    uint16_t joints[SCENE_INFLUENCES];
    float weights[SCENE_INFLUENCES]; /* falling */
    uint32_t color;                  /* RGB from the low byte up, sRGB */
    uint32_t eye;                    /* 1: its mesh, material or node is called an eye */
    uint32_t morph;                  /* a hash of what morph targets do to it; 0: nothing */
};

struct scene_deltas { /* a morph target: by rising vertex once the mesh is welded */
    uint32_t count, room;
    uint32_t *vertices;
    float (*values)[6]; /* position and normal, added at weight 1 */
};

struct scene_mesh {
    uint32_t vertex_count, triangle_count;
    struct scene_vertex *vertices;
    uint32_t *indices;
    uint16_t *materials;
    uint8_t *covers; /* [triangle] enum gpu_cover, by the names of material, mesh and node */
    uint32_t material_count, texture_count;
    struct gpu_material *material_table;
    struct gpu_texture *textures; /* owns the pixels */
    uint32_t morph_count;         /* as the scene's */
    struct scene_deltas *morphs;
};

struct scene {
    atomic_uint holders;
    char *name;
    uint32_t node_count, joint_count; /* joints past node_count are second binds of a node */
    struct scene_joint *joints;
    uint32_t clip_count;
    struct scene_clip *clips;
    struct mat world_from_file,
        rest_from_file; /* for clips and for the rest pose: they may stand at other heights */
    struct gpu_scene *gpu;
    uint32_t vertex_count, triangle_count;
    uint8_t *parts; /* [triangle] enum scene_body_part */
    uint32_t morph_count;
    struct scene_morph *morphs;
    struct gpu_anchor anchors[SCENE_POINTS];
    bool known[SCENE_POINTS];
    struct rig_map rig;
    struct scene_report report;
};

/* -- Between the files ------------------------------------------------------------------------- */

struct aiNode;
struct aiScene;

/* A file in memory and the folder that its textures may come from. */
struct scene_source {
    const char *name; /* as people know it, for messages */
    const uint8_t *bytes;
    size_t size;
    int folder; /* descriptor, or -1: no external files, but those that `beside` gives */
    uint8_t *(*beside)(void *arg, const char *reference, size_t *size); /* malloc'ed; may be NULL */
    void *beside_arg;
    const char *format;
    bool bare;    /* as scene_options.bare */
    char **human; /* VRM: [RIG_BONES] node names that the file itself gives, or NULL */
    int vrm;      /* with human: VRM 0 or 1 */
};

/* An import under way. */
struct scene_import {
    struct scene *scene;
    struct scene_mesh mesh;
    const struct aiScene *tree;
    const struct aiNode **nodes; /* [node] what it was copied from */
    const struct scene_source *source;
    const char *file; /* source->name, for messages */
    const struct rig_tables *rigs;
    struct mat straight; /* the turn from bind space, while it is the file's, to where the first
                            mesh was drawn upright */
    struct err *err;
};

/* An empty scene with one holder; NULL: no memory. */
struct scene *scene_new(void);

/* Adds a warning to the report; what does not fit is counted in the last one. */
void scene_warn(struct scene *scene, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Makes the scene from assimp's tree, all but its `gpu`, and the mesh that goes there; the caller
 * ends both, whatever comes of it. */
int scene_import(struct scene *scene, const struct aiScene *tree, const struct scene_source *source,
                 const struct scene_options *options, struct scene_mesh *mesh, struct err *err);

/* Reads a file in memory as far as scene_import goes: a new scene and its mesh. */
int scene_read_source(struct scene_source *source, const struct scene_options *options,
                      struct scene **out, struct scene_mesh *mesh, struct err *err);

/* Gives the mesh to the GPU library, which ends the making of a scene; `file` is for messages. */
int scene_upload(struct scene *scene, const struct scene_mesh *mesh, const char *file,
                 struct err *err);

/* A new joint, all zero, or NULL; joints move. */
struct scene_joint *scene_joint_add(struct scene *scene);

/* Opens a file that a scene refers to, in the scene's folder or below, whatever the reference looks
 * like. Returns malloc'ed bytes, or NULL. */
uint8_t *scene_read_beside(const struct scene_source *source, const char *reference, size_t *size);

/* A file by its path, malloc'ed, and `source` for it: name and folder, whose descriptor the caller
 * closes. */
int scene_read_file(const char *path, struct scene_source *source, uint8_t **out, struct err *err);

/* Gives glTF nodes unique names (assimp tells nodes apart by name alone) and reads VRM's list of
 * bones. `*out` is a new file (free()) or NULL when the old one will do. */
int scene_gltf_prepare(struct scene_source *source, uint8_t **out, size_t *size, struct err *err);
void scene_gltf_release(struct scene_source *source);

struct json_t;
/* Writes vertices in whole numbers out as floats, which is all that assimp reads. How many were;
 * -1: no memory. */
int scene_gltf_dequantise(const struct scene_source *source, struct json_t *root);

int scene_mesh_read(struct scene_import *in);
void scene_mesh_deinit(struct scene_mesh *mesh);
/* Makes equal vertices one; FBX files give each triangle its own three. */
int scene_mesh_weld(struct scene_mesh *mesh, struct err *err);

struct aiMesh;
struct aiAnimation;

/* Takes the targets of a mesh whose vertices were added from `first` on. */
int scene_morphs_read(struct scene_import *in, const struct aiMesh *mesh, const struct mat *to_bind,
                      uint32_t first);
/* After vertices became one: now[vertex] tells which. False without memory. */
bool scene_morphs_weld(struct scene_mesh *mesh, const uint32_t *now);
void scene_morphs_move(struct scene_mesh *mesh, const struct mat *move);
void scene_morphs_deinit(struct scene_mesh *mesh);
int scene_find_morph(const struct scene *scene, const char *name); /* -1: none */
/* The weights of a clip; raises *most to the most keys of a target. */
int scene_morph_tracks_read(const struct scene_import *in, struct scene_clip *clip,
                            const struct aiAnimation *from, double ticks, uint32_t *most);

/* What a surface is called: enum gpu_cover by the first of these names that tells it. */
enum { SCENE_COVER_WEAK_SKIN = 255 }; /* skin, if something else is clothes: scene_covers_settle */
uint8_t scene_cover_of(const char *material, const char *mesh, const char *node);

void scene_covers_settle(struct scene_mesh *mesh);
/* Gives each triangle a material that tells its cover. */
int scene_covers_apply(struct scene_import *in);

/* Whether a node's name says that things are held there. */
bool scene_names_slot(const char *name);

/* Gives every triangle its part of the body; the rig and bind space are final. */
int scene_parts_find(struct scene_import *in);

int scene_materials_read(struct scene_import *in);

/* Multiplies colours of vertices into the materials. */
int scene_colors_apply(struct scene_import *in);

int scene_clips_read(struct scene_import *in);
void scene_clip_deinit(struct scene_clip *clip);

float scene_keys_weight(const struct scene_keys *keys, double time);
/* The joint's local matrix at a time of the clip. */
struct mat scene_track_sample(const struct scene_track *track, const struct mat *rest, double time);

/* The node of that name, or -1. */
int scene_find_node(const struct scene *scene, const char *name);

/* Which node is which part: by VRM's list, by names, or by shape. */
int scene_rig_find(struct scene_import *in);
/* By shape: from the tree and the places of the joints. */
bool scene_rig_shape(const struct scene *scene, const struct scene_mesh *mesh, struct rig_map *rig);

/* Up and left of a body with its joints at places[node]; false when they lie in one point. */
bool scene_body_axes(const struct rig_map *rig, const struct vec *places, struct vec *up,
                     struct vec *left);

/* Turns, scales and places the body; bind space and world alike. */
int scene_fit(struct scene_import *in, const struct scene_options *options, double metres_per_unit);

/* Places the anchors; bind space is final. */
int scene_landmarks_find(struct scene_import *in);

/* Rest pose of every node in the file's world: out[node_count]. */
void scene_rest_world(const struct scene *scene, struct mat *out);

#endif
