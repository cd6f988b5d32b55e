/* scene.h - a character from a file: one skinned mesh, its skeleton, its clips, and where a
 * person's landmarks sit in it.
 *
 * Reads FBX, glTF, GLB and VRM (0 and 1). Whatever units and axes a file uses, a scene is in
 * metres, y up, facing +z, its left at +x, standing on y = 0. What was changed to get there is told
 * in the report.
 *
 * Mesh: all meshes of the file become one, in a shared bind space. A mesh without skin follows its
 * node, so swords and robots work too. Joints are the file's nodes that move something, parents
 * before children.
 *
 * Orientation comes from the skeleton (hips to head is up; the left side is where the left limbs
 * are), not from the file's axes. Size: the stature in the file's own units is kept when it is
 * between 0.3 m and 2.4 m; else the unit is taken to be wrong, and the first of x 0.01, x 100, x
 * 0.0254, x 0.1 that gives 1.3 to 2.2 m is used; else the body is scaled to 1.7 m (a body of 4.8 m
 * becomes one of 1.7 m). The stature reaches from the soles to the top of the head, hat and hair
 * included. scene_options.stature overrides the rule.
 *
 * Ground: the rest pose stands on y = 0, and so do the clips, all lifted alike by the middle one of
 * their lowest points; what is within a fiftieth of the stature is left as it is. A body far from
 * the origin is fetched.
 *
 * Materials: see media/scene_material.c. Pictures are PNG, JPEG or WebP, inside the file or beside
 * it. Colours of vertices become one colour a triangle (glTF only: makers of FBX use them for many
 * things). Draco and meshopt compression are refused.
 *
 * Clips: time is in seconds from the clip's start as the file tells it, clamped to 0..seconds;
 * scene_clip_wrap turns any time into one inside the clip, for loops. Rotations are slerped and
 * positions and scales lerped between keys. A joint without keys keeps its rest pose. Clip -1 is
 * the rest pose.
 *
 * Ownership: a scene is counted; scene_retain adds a holder and scene_release (NULL is fine) takes
 * one away, and the last one frees everything, pointers returned by the functions below included.
 * Threads: immutable after opening, any number of threads may read it at once. Opening takes tens
 * of milliseconds and much memory, and a hostile file may bring the importer down: it is for
 * processes that may die. All others open scenes by media/scene_process.h. */
#ifndef STANCE_MEDIA_SCENE_H
#define STANCE_MEDIA_SCENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/rig.h"

struct err;
struct gpu_anchor;
struct gpu_scene;
struct scene;

enum {
    SCENE_LANDMARKS = 33, /* MediaPipe's, in its order */
    SCENE_REST = -1,      /* the clip number that means: no clip, the rest pose */
    SCENE_MAX_FILE = 512 << 20,
};

struct scene_options {
    double stature; /* metres, 0.1 to 10: scale the body to this; 0: the rule above */
    bool bare;      /* a skeleton without mesh will do: its bones get sticks to be seen by */
    struct rig_tables *rigs; /* names of bones, read only while it opens; NULL: only what the file
                                itself tells, and the skeleton's shape */
};

/* Opens a file by path, or by its bytes, where `name` says what it is called (its ending tells the
 * format). External textures are looked for in the file's own folder and below, nowhere else.
 * options may be NULL. Errors: ERR_NOT_FOUND, ERR_IO, ERR_TOO_LARGE, ERR_UNSUPPORTED (no format we
 * know), ERR_CORRUPT (damaged), ERR_INVALID (no skeleton, no mesh, bad options), ERR_NO_MEMORY; the
 * message starts with the file's name. */
int scene_open(const char *path, const struct scene_options *options, struct scene **out,
               struct err *err);
int scene_open_bytes(const void *bytes, size_t size, const char *name,
                     const struct scene_options *options, struct scene **out, struct err *err);

struct scene *scene_retain(struct scene *scene);
void scene_release(struct scene *scene);

/* The file's name without folder and ending. */
const char *scene_name(const struct scene *scene);

/* The mesh, ready to draw; lives as long as the scene. */
const struct gpu_scene *scene_gpu(const struct scene *scene);
uint32_t scene_triangle_count(const struct scene *scene);
uint32_t scene_vertex_count(const struct scene *scene);

/* -- Skeleton and clips ------------------------------------------------------------------------ */

uint32_t scene_joint_count(const struct scene *scene);
const char *scene_joint_name(const struct scene *scene, uint32_t joint);
int scene_joint_parent(const struct scene *scene, uint32_t joint); /* -1: none */
/* Whether meshes hang on the joint and none of them moves with it: they have a skin, or are not
 * drawn, as a spare sword. */
bool scene_joint_idle(const struct scene *scene, uint32_t joint);

/* Which joint is that bone of a human; -1: there is none. */
int scene_bone(const struct scene *scene, enum rig_bone bone);
enum rig_how scene_bone_how(const struct scene *scene, enum rig_bone bone); /* how it was told */

/* The joint's bind matrix: bind space (metres, y up, facing +z, standing upright) from the joint's
 * own. Where the body was drawn in a T or A pose this is it. Row-major 3x4. */
void scene_joint_bind(const struct scene *scene, uint32_t joint, float bind[12]);

uint32_t scene_clip_count(const struct scene *scene);
const char *scene_clip_name(const struct scene *scene, uint32_t clip);
double scene_clip_seconds(const struct scene *scene, uint32_t clip);
double scene_clip_rate(const struct scene *scene, uint32_t clip); /* keys a second, 1 to 120 */
int scene_find_clip(const struct scene *scene,
                    const char *name); /* exact, then ignoring case; -1: none */

/* `time` brought into the clip by whole repetitions. */
double scene_clip_wrap(const struct scene *scene, int clip, double time);

/* Fills palette[joint][12] with row-major world-from-bind matrices, metres: what gpu_actor.pose
 * takes. */
void scene_pose(const struct scene *scene, int clip, double time, float *palette);

/* The same in steps, for those who change a pose on the way. Matrices are [joint][12], row-major.
 * Locals: the parent's space from the joint's own (the world's, of joints without parent, with the
 * file's units and axes taken out, so it may hold a scale). Worlds: world space from the joint's
 * own; `worlds` may be `locals`. Palette: world space from bind space; may be `worlds`. Joints that
 * are second binds of another follow that one, whatever their own matrix says. */
void scene_locals(const struct scene *scene, int clip, double time, float *locals);
void scene_worlds(const struct scene *scene, const float *locals, float *worlds);
void scene_palette(const struct scene *scene, const float *worlds, float *palette);

/* The box [min xyz, max xyz] of the skinned mesh over the whole clip, sampled at its key rate (at
 * most 240 samples). The box of SCENE_REST is that of one pose. Metres. Allocates scratch: 0, or
 * ERR_NO_MEMORY. */
int scene_box(const struct scene *scene, int clip, float box[6], struct err *err);

/* -- Morph targets ----------------------------------------------------------------------------- */

/* Targets of one name in several meshes are one. */
uint32_t scene_morph_count(const struct scene *scene);
const char *scene_morph_name(const struct scene *scene, uint32_t morph);

/* Fills weights[morph] with what the clip tells; what it does not tell is at its weight at rest. */
void scene_morphs(const struct scene *scene, int clip, double time, float *weights);

/* -- Parts of the body ------------------------------------------------------------------------- */

enum scene_body_part {
    SCENE_PART_OTHER, /* what is held, and what no bone is near */
    SCENE_PART_HEAD,
    SCENE_PART_NECK,
    SCENE_PART_CHEST, /* from the waist up, with the collar bones */
    SCENE_PART_PELVIS,
    SCENE_PART_LEFT_UPPER_ARM, /* pairs: left before right */
    SCENE_PART_RIGHT_UPPER_ARM,
    SCENE_PART_LEFT_LOWER_ARM,
    SCENE_PART_RIGHT_LOWER_ARM,
    SCENE_PART_LEFT_HAND,
    SCENE_PART_RIGHT_HAND,
    SCENE_PART_LEFT_UPPER_LEG,
    SCENE_PART_RIGHT_UPPER_LEG,
    SCENE_PART_LEFT_LOWER_LEG,
    SCENE_PART_RIGHT_LOWER_LEG,
    SCENE_PART_LEFT_FOOT,
    SCENE_PART_RIGHT_FOOT,
    SCENE_BODY_PARTS,
};

/* "other", "head", "left_upper_arm", ...; NULL past the last. */
const char *scene_body_part_name(uint32_t part);

/* [triangle] enum scene_body_part: that of the bones which its corners follow most. Lives as long
 * as the scene; what the renderer writes as gpu_image.part. */
const uint8_t *scene_parts(const struct scene *scene);

/* What a surface is (enum gpu_cover: gpu_image.cover), told by the names of material, mesh and
 * node: "unknown", "skin", "hair", "clothes", "shoes", "eyes", "other" (what is worn or held: hats,
 * glasses, weapons; teeth, lashes); NULL past the last. */
const char *scene_cover_name(uint32_t cover);

/* -- Landmarks --------------------------------------------------------------------------------- */

/* The points behind the landmarks: what other skeletons name; scene_joint.c says where they are. */
enum scene_point {
    SCENE_MID_HIP = SCENE_LANDMARKS,
    SCENE_PELVIS,
    SCENE_SPINE1,
    SCENE_SPINE2,
    SCENE_SPINE3,
    SCENE_THORAX, /* the middle of the shoulders */
    SCENE_NECK,
    SCENE_HEAD,        /* the joint */
    SCENE_LEFT_COLLAR, /* pairs: left before right */
    SCENE_RIGHT_COLLAR,
    SCENE_LEFT_KNUCKLES,
    SCENE_RIGHT_KNUCKLES,
    SCENE_LEFT_BALL, /* of the foot */
    SCENE_RIGHT_BALL,
    SCENE_HEAD_TOP, /* from here on they lie on the skin */
    SCENE_LEFT_BIG_TOE,
    SCENE_RIGHT_BIG_TOE,
    SCENE_LEFT_SMALL_TOE,
    SCENE_RIGHT_SMALL_TOE,
    SCENE_POINTS,
};

/* SCENE_POINTS anchors: the 33 in MediaPipe's order ("left" is the body's own left), then enum
 * scene_point; known[i] tells whether the i-th was found. Limb joints are the skeleton's; face,
 * heels, toes and missing fingers are found on the mesh around their bone in bind pose. An anchor's
 * radius is the distance to the skin around it. An unknown anchor lies at its nearest known
 * relative. */
const struct gpu_anchor *scene_landmarks(const struct scene *scene, const bool **known);

/* "nose", "left_eye_inner", ... as MediaPipe names them; then "mid_hip", "pelvis", ... */
const char *scene_landmark_name(uint32_t landmark);

/* -- Report ------------------------------------------------------------------------------------ */

enum { SCENE_MAX_WARNINGS = 24 };

struct scene_report {
    char format[16]; /* "fbx", "gltf", "glb", "vrm0", "vrm1" */
    char rig[32];    /* how the skeleton was understood: a table's name ("mixamo", ...), "vrm",
                        "names", "shape" */
    uint32_t bones;  /* how many of a human's 55 were found: see scene_bone */
    double
        file_stature; /* the body's height in metres if the file's units were taken at their word */
    double stature;   /* the body's height in metres */
    double scale;     /* stature / file_stature: 1 when the file was believed */
    bool turned;      /* the file's axes were wrong, and the body was turned upright or round */
    double lifted;    /* metres the body was moved up (or down) to stand on the ground */
    uint32_t landmarks;     /* how many of the 33 are known */
    uint32_t textures;      /* how many pictures were decoded */
    double seconds;         /* wall time of the import */
    uint32_t warning_count; /* at most SCENE_MAX_WARNINGS; what else there was is in the last one */
    const char *warnings[SCENE_MAX_WARNINGS];
};

const struct scene_report *scene_report(const struct scene *scene);

#endif
