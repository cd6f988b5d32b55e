/* motion.h - how people move: clips of a file, played by any body.
 *
 * struct motion is a file's clips on its own skeleton: BVH, Acclaim (AMC with its ASF), or the
 * clips of a body's file (FBX, glTF, GLB, VRM) or of a file that holds a skeleton alone (VRMA, FBX
 * without skin). struct scene_motion is one of its clips bound to a body: every pose is computed
 * when it is bound, so playing is a look-up.
 *
 * Retargeting works on turns in the world, away from rest. Both skeletons stand upright at rest and
 * face +z; limbs of the body are first turned to lie as the motion's do at rest (a body in A pose
 * raises its arms for a motion in T pose), then turned as the motion's bones turn. So limbs of both
 * point the same way at all times, whatever the proportions. Spine and neck are compared by their
 * share of the way from hips to head, so chains of other lengths fit; bones that one side lacks go
 * with the bone above them. The path of the hips is scaled by the length of the legs.
 *
 * Feet: the floor is where the motion's feet stand when they stand lowest, and follows them a
 * little where a recording's floor is not level. A foot that is low and slow is planted: it stays
 * in its place, sole on the floor, until it leaves; the leg's two bones are bent to reach it in the
 * plane in which the knee bends anyway, and the hips sink where a leg is too short. No sole goes
 * below the floor.
 *
 * Space: metres, y up; time 0 starts with the hips over the origin, facing as the file says.
 *
 * Ownership: both are counted, as scenes are; a bound motion holds its body. Threads: immutable
 * once made; any number may read at once. Opening and binding take milliseconds to seconds and as
 * many megabytes: pool threads; files are hostile (BVH and AMC are read by code of our own, the
 * others by the scene importer). */
#ifndef STANCE_MEDIA_MOTION_H
#define STANCE_MEDIA_MOTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/rig.h"

struct err;
struct motion;
struct scene;
struct scene_motion;

enum {
    MOTION_MAX_FILE = 256 << 20,
    MOTION_MAX_JOINTS = 1024,
    MOTION_MAX_TURNS = 16 << 20, /* frames x joints of a file */
};

/* -- Files ------------------------------------------------------------------------------------- */

struct scene_limits;

struct motion_source {
    const char *skeleton; /* of an AMC file: the path of its ASF file; NULL: looked for */
    const void *bones;    /* the same, as bytes; NULL: none */
    size_t bones_size;
    struct rig_tables *rigs;           /* the names of bones (lua_rigs), read only while opening */
    const struct scene_limits *limits; /* of the process that reads scenes; NULL: this one does */
};

/* Opens a file by path, or by its bytes, where `name` says what it is called. The path may end in
 * #CLIP, a clip's name or its number from 1: then the motion has this clip alone. The skeleton of
 * an AMC file, when none is named, is the file beside it whose name is the same up to the last
 * underscore: walk_01.amc goes with walk_01.asf or walk.asf. Errors: ERR_NOT_FOUND (the file, its
 * skeleton or the clip), ERR_IO, ERR_TOO_LARGE, ERR_UNSUPPORTED, ERR_CORRUPT (the message names the
 * line), ERR_INVALID (no human skeleton: the message names the bones that were not found),
 * ERR_NO_MEMORY; for scenes also what scene_open_confined has. */
int motion_open(const char *path, const struct motion_source *source, struct motion **out,
                struct err *err);
int motion_open_bytes(const void *bytes, size_t size, const char *name,
                      const struct motion_source *source, struct motion **out, struct err *err);

/* The clips of a body that is open already. */
int motion_of_scene(struct scene *scene, struct motion **out, struct err *err);

struct motion *motion_retain(struct motion *motion);
void motion_release(struct motion *motion); /* NULL is fine */

const char *motion_name(const struct motion *motion);   /* the file's, without folder and ending */
const char *motion_format(const struct motion *motion); /* "bvh", "acclaim", "glb", ... */
uint32_t motion_clip_count(const struct motion *motion);
const char *motion_clip_name(const struct motion *motion, uint32_t clip);
double motion_clip_seconds(const struct motion *motion, uint32_t clip);
double motion_clip_rate(const struct motion *motion, uint32_t clip); /* frames a second */
/* A name, exact, then ignoring case, then a number from 1; -1: there is none. */
int motion_find_clip(const struct motion *motion, const char *name);
/* What the joint of this bone is called; NULL: the skeleton has none. */
const char *motion_bone(const struct motion *motion, enum rig_bone bone);

/* -- Binding ----------------------------------------------------------------------------------- */

/* When a foot counts as planted, and what its leg may do: lua/retarget/tuning.lua. Lengths are
 * those of a person whose legs are 0.85 m long, and are scaled to the body's. */
struct motion_tuning {
    double contact_height, release_height; /* metres above where that point of the foot stands */
    double contact_speed, release_speed;   /* metres a second */
    double blend;                          /* seconds in which a foot comes to its place */
    double shortest;                       /* seconds; contacts that are shorter do not count */
    double shuffle;                        /* metres that a foot may drift and still be held */
    double slope;                          /* metres that the floor may rise and fall on the way */
    double reach;                          /* how far a leg may stretch, as a share of its length */
    double sink;                           /* metres that the hips may sink to reach the floor */
};

extern const struct motion_tuning motion_tuning_default;

struct motion_options {
    double speed;      /* 1; 2: twice as fast */
    double root_scale; /* of the path over the ground, times what the legs say; 1 */
    bool in_place;     /* stays where it is: the way over the ground is taken out */
    bool mirror;       /* left and right exchanged */
    bool front;        /* turned so that the first frame faces +z */
    bool loose_feet;   /* feet as they come, without floor and planting */
    struct motion_tuning tuning;
};

/* What is used when binding with options NULL; a start for others. */
struct motion_options motion_options_default(void);

/* Binds a clip to a body. Errors: ERR_INVALID (bad options, or the body lacks limbs: the message
 * names them), ERR_NO_MEMORY. */
int scene_motion_new(const struct motion *motion, uint32_t clip, struct scene *body,
                     const struct motion_options *options, struct scene_motion **out,
                     struct err *err);
struct scene_motion *scene_motion_retain(struct scene_motion *motion);
void scene_motion_release(struct scene_motion *motion); /* NULL is fine */

struct scene *scene_motion_body(const struct scene_motion *motion);
const char *scene_motion_name(const struct scene_motion *motion); /* "walk", or "moves#walk" */
double scene_motion_seconds(const struct scene_motion *motion);
double scene_motion_rate(const struct scene_motion *motion); /* frames a second */

/* `time` brought into the motion by whole repetitions. */
double scene_motion_wrap(const struct scene_motion *motion, double time);

/* As scene_pose: fills palette[joint][12] with row-major world-from-bind matrices. `time` is
 * clamped to 0..seconds. */
void scene_motion_pose(const struct scene_motion *motion, double time, float *palette);

/* The box [min xyz, max xyz] of the body's skin over the whole motion, at its rate, at most 240
 * samples. 0 or ERR_NO_MEMORY. */
int scene_motion_box(const struct scene_motion *motion, float box[6], struct err *err);

/* What was made of it. */
struct scene_motion_report {
    double scale;     /* the body's legs beside the motion's, in the motion's units */
    double floor;     /* the height of the motion's floor, metres on the body, before planting */
    double planted;   /* share of the time that a foot is planted, mean of both */
    double sunk;      /* metres that the hips sank at most */
    uint32_t bones;   /* bones that follow the motion */
    uint64_t skipped; /* bit an enum rig_bone: the body has it, the motion has not */
};

const struct scene_motion_report *scene_motion_report(const struct scene_motion *motion);

/* Whether a foot (0 left, 1 right) is planted at a time: its ball, or else its heel, rests. */
bool scene_motion_planted(const struct scene_motion *motion, int side, double time);

#endif
