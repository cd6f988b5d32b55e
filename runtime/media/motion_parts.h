/* motion_parts.h - what the files of motions share; nobody else includes it.
 *
 * motion.c opens files and answers questions; motion_bvh.c and motion_acclaim.c read text into a
 * skeleton of its own with tracks; motion_scene.c takes skeleton and clips from an open body;
 * motion_figure.c finds which joint is which bone and how the skeleton stands; motion_bind.c
 * retargets; motion_feet.c plants feet; motion_play.c plays what was bound. */
#ifndef STANCE_MEDIA_MOTION_PARTS_H
#define STANCE_MEDIA_MOTION_PARTS_H

#include <stdatomic.h>

#include "core/err.h"
#include "media/motion.h"
#include "media/motion_math.h"
#include "media/motion_text.h"

enum {
    FIGURE_CHAIN = 24, /* joints from hips to head */
    MOTION_MAX_CLIPS = 1024,
    MOTION_MAX_FRAMES = 1 << 20,
};

/* -- Skeletons --------------------------------------------------------------------------------- */

/* A skeleton at rest, upright and facing +z, and what it is made of. */
struct motion_figure {
    uint32_t count;
    const char **names;         /* [count] owned by whoever owns the joints */
    int *parents;               /* [count] -1: a root; parents stand before children */
    struct vec *places;         /* [count] at rest */
    int bones[RIG_BONES];       /* joints; -1: not there */
    int chain[FIGURE_CHAIN];    /* joints from the hips (first) to the head (last) */
    double share[FIGURE_CHAIN]; /* of the way: 0 hips, 1 where the arms branch off, 2 head */
    uint32_t chain_count;
    struct quat upright; /* that turned the file's rest places upright */
};

/* Room for `count` joints. Returns 0 or ERR_NO_MEMORY. */
int motion_figure_init(struct motion_figure *figure, uint32_t count, struct err *err);
void motion_figure_deinit(struct motion_figure *figure);

/* Names, parents and places are there (in the file's axes): finds the bones, turns the places
 * upright, finds the chain. ERR_INVALID: no human skeleton. */
int motion_figure_find(struct motion_figure *figure, const struct rig_tables *rigs,
                       const char *file, struct err *err);

/* Bones and places are there, upright: finds the chain. ERR_INVALID: limbs are missing. */
int motion_figure_chain(struct motion_figure *figure, const char *file, struct err *err);

/* The middle of the hip joints, and the length of a leg (thigh and shin, mean of both). */
struct vec motion_figure_hips(const struct motion_figure *figure, const struct vec *places);
double motion_figure_leg(const struct motion_figure *figure);

/* -- Motions ----------------------------------------------------------------------------------- */

struct motion_joint {
    char *name;
    int parent;
    struct vec offset; /* from the parent, at rest */
    struct quat rest;  /* its turn against the parent's at rest */
    int moving;        /* its row in the places of a track; -1: it keeps its offset */
};

struct motion_track {
    char *name;
    double rate;
    uint32_t frames;
    float *turns;  /* [frame][joint][4] against the parent */
    float *places; /* [frame][moving][3] from the parent */
};

struct motion {
    atomic_uint holders;
    char *name;
    char format[16];
    struct motion_figure figure;
    /* A skeleton of its own: */
    uint32_t joint_count, moving_count;
    struct motion_joint *joints;
    struct quat *rests; /* [joint] turns in the file's world at rest */
    struct quat world;  /* from the file's world to one whose y is up */
    /* Or a body's, whose clips are sampled when they are bound: */
    struct scene *scene;
    uint32_t first; /* the scene's clip that is our first */
    /* Both: */
    uint32_t track_count;
    struct motion_track *tracks; /* of a scene: names and lengths alone */
};

/* A motion with one holder and no joints; NULL: no memory. */
struct motion *motion_new(const char *name, const char *format);

/* Another joint, or NULL: no memory. `name` need not end with a zero. */
struct motion_joint *motion_joint_add(struct motion *motion, const char *name, size_t length,
                                      int parent);

/* Another track of `frames` frames with room for all turns and places. ERR_TOO_LARGE,
 * ERR_NO_MEMORY. */
int motion_track_add(struct motion *motion, const char *name, uint32_t frames, double rate,
                     struct err *err);

/* Joints and tracks are there: finds out how the skeleton stands. */
int motion_finish(struct motion *motion, const struct rig_tables *rigs, const char *file,
                  struct err *err);

/* The turn of every joint away from rest, and its place, in a world whose y is up. Lengths are the
 * file's. `scratch` holds 12 floats a joint. */
void motion_sample(const struct motion *motion, uint32_t clip, uint32_t frame, struct quat *turns,
                   struct vec *places, float *scratch);

int motion_read_bvh(struct motion *motion, struct motion_text *text);
/* An ASF file and its AMC file. */
int motion_read_acclaim(struct motion *motion, struct motion_text *skeleton,
                        struct motion_text *frames);

/* -- Bound motions ----------------------------------------------------------------------------- */

/* How a node of the body moves: it turns with a row of the frames or with the node above it, and
 * stays where it is on that one. */
struct motion_driver {
    int above;        /* -1: none: it keeps its height and goes along with the hips */
    int row;          /* of the frames; -1: it turns as the one above it */
    struct vec place; /* in bind space */
};

struct scene_motion {
    atomic_uint holders;
    char *name;
    struct scene *body;
    double rate;
    uint32_t frames, rows;
    float *turns;                  /* [frame][row][4] in the world, away from bind */
    float *places;                 /* [frame][3] of the hips */
    uint8_t *planted;              /* [frame] bit 0 left, bit 1 right */
    struct motion_figure figure;   /* of the body */
    struct motion_driver *drivers; /* [node] */
    uint32_t *order;               /* [node] each after the one above it */
    struct scene_motion_report report;
};

/* A body's skeleton in bind space. */
int motion_body_figure(const struct scene *body, struct motion_figure *figure, struct err *err);

/* Settles how the nodes of the body hang together; driven[node] are those with rows. */
int motion_drivers_make(struct scene_motion *bound, const bool *driven, struct err *err);

/* Turns [node] and places [node] at a time in frames. */
void motion_play(const struct scene_motion *bound, double frame, struct quat *turns,
                 struct vec *places);

/* Reads and writes a row of a frame. */
struct quat motion_row(const struct scene_motion *bound, uint32_t frame, int row);
void motion_set_row(struct scene_motion *bound, uint32_t frame, int row, struct quat turn);

/* What planting needs of the motion's feet: their places in the body's metres. */
struct motion_steps {
    struct vec *ankles[2], *balls[2]; /* [side][frame]; balls: of the toes, or the ankles again */
};

enum { MOTION_HEEL = 1, MOTION_BALL = 2 };

/* When they rest: rests[side][frame], all 0, become MOTION_HEEL and MOTION_BALL bits. `size` is how
 * large the body is beside the one that the tuning is for. */
int motion_steps_find(const struct motion_steps *steps, uint32_t frames, double rate, double size,
                      const struct motion_tuning *tuning, uint8_t *rests[2], struct err *err);

/* Plants the feet: changes turns of legs and feet and the places of the hips. */
int motion_feet_plant(struct scene_motion *bound, const struct motion_steps *steps, double rate,
                      const struct motion_tuning *tuning, struct err *err);

#endif
