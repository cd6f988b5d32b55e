/* stage.h - who is in the pictures, where, in which movement, under which light.
 *
 * A stage has actors (or none: an empty one), each a body (media/scene.h) with its clip or a motion
 * that is bound to it (media/motion.h), at a place of its own, and one look (media/look.h). It has
 * a clock: at the time t of the stage an actor is at start + t x speed seconds of its clip; before
 * the clip's beginning it stands as at the beginning, after its end as at the end, unless it loops.
 * The stage lasts until all of each clip was shown.
 *
 * Places are in metres and radians on the common ground: yaw turns an actor to its left (it faces
 * +z at 0, +x at a quarter turn), then it is moved to `position`.
 *
 * Ownership: counted, and it holds its scenes, motions and look; stage_release by the last holder
 * frees all. Threads: immutable, any number of threads may use, retain and release it. */
#ifndef STANCE_MEDIA_STAGE_H
#define STANCE_MEDIA_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "media/scene.h"
#include "stance_gpu.h"

struct look;
struct scene_motion;
struct stage;

enum { STAGE_PERSON_SIZE = 64 };

struct stage_actor {
    struct scene *scene;
    int clip; /* of the scene, or SCENE_REST; not looked at where there is a motion */
    struct scene_motion *motion; /* bound to the scene; NULL: the clip */
    double start;                /* seconds in the clip when the stage's clock is at 0 */
    double speed; /* its seconds a second of the stage; 1: as it was made; 0: it stands still */
    bool loop;    /* begins again where it ends */
    float position[3], yaw;
    const float *morphs; /* [scene_morph_count], added to what the clip says; NULL: nothing is */
    enum gpu_skinning skinning;
    char person[STAGE_PERSON_SIZE]; /* who it is, for labels; "": the scene's name */
};

/* Copies the actors with their morphs and retains what they hold, and the look (NULL: the default
 * one). `rate` is the stage's frames a second, which tells when the next frame is (flow, motion
 * blur); 0: that of its quickest clip, 30 where nobody moves. Errors: ERR_INVALID, ERR_NO_MEMORY.
 */
int stage_new(const struct stage_actor *actors, uint32_t count, struct look *look, double rate,
              struct stage **out, struct err *err);
/* The stage of one body at the origin. */
int stage_of_body(struct scene *scene, int clip, struct look *look, double rate, struct stage **out,
                  struct err *err);
struct stage *stage_retain(struct stage *stage);
void stage_release(struct stage *stage);

uint32_t stage_actor_count(const struct stage *stage);
const struct stage_actor *stage_actor(const struct stage *stage, uint32_t actor);
const struct look *stage_look(const struct stage *stage);
double stage_rate(const struct stage *stage);    /* frames a second */
double stage_seconds(const struct stage *stage); /* how long it lasts; 0: nobody moves */

/* Where an actor is in its clip at a time of the stage: 0 to the clip's seconds. */
double stage_actor_time(const struct stage *stage, uint32_t actor, double time);

/* The clip's or the motion's name; NULL: the rest pose. */
const char *stage_actor_clip(const struct stage *stage, uint32_t actor);

/* Its keys a second; 0: the rest pose. */
double stage_actor_rate(const struct stage *stage, uint32_t actor);

/* palette[joint][12] of an actor at a time of the stage, its place included. */
void stage_pose(const struct stage *stage, uint32_t actor, double time, float *palette);

/* Where something of an actor is at a time of the stage, metres: a landmark ("nose"), a bone of a
 * human ("leftHand", media/rig.h), or a joint by the file's name. ERR_NOT_FOUND, ERR_NO_MEMORY. */
int stage_point(const struct stage *stage, uint32_t actor, const char *name, double time,
                float point[3], struct err *err);

/* -- Moments ----------------------------------------------------------------------------------- */

/* All actors at one time, ready to be drawn. */
struct stage_moment {
    double time;
    struct gpu_frame frame;
    struct gpu_actor *actors; /* [actor]: frame.actors */
    float *numbers;           /* what they point to */
};

/* `next`: with the poses of the next frame. */
int stage_moment_init(struct stage_moment *moment, const struct stage *stage, double time,
                      bool next, struct err *err);
void stage_moment_deinit(struct stage_moment *moment); /* may be repeated */

/* -- Boxes ------------------------------------------------------------------------------------- */

enum { STAGE_MAX_POSES = 240 };

/* The box [min xyz, max xyz] around the skinned meshes of all actors, or of one (-1: all), over all
 * frames of the stage (evenly spread ones where it has more than STAGE_MAX_POSES), each side moved
 * out from the middle by the factor `padding` (1: as it is). Costs tens of milliseconds: for pool
 * threads. ERR_NO_MEMORY. */
int stage_box(const struct stage *stage, int actor, double padding, float box[6], struct err *err);

/* The same at one time. */
int stage_box_at(const struct stage *stage, int actor, double time, float box[6], struct err *err);

#endif
