/* motion_play.c - plays a bound motion: looks up two frames, mixes them, hangs the joints on each
 * other. */
#include <assert.h>
#include <stdlib.h>

#include "media/motion_parts.h"
#include "media/scene.h"
#include "media/scene_parts.h"

enum { MAX_BOX_SAMPLES = 240 };

/* -- Frames ------------------------------------------------------------------------------------ */

struct quat motion_row(const struct scene_motion *bound, uint32_t frame, int row) {
    const float *q = bound->turns + 4 * ((size_t)frame * bound->rows + (size_t)row);
    return (struct quat){(double)q[0], (double)q[1], (double)q[2], (double)q[3]};
}

void motion_set_row(struct scene_motion *bound, uint32_t frame, int row, struct quat turn) {
    float *q = bound->turns + 4 * ((size_t)frame * bound->rows + (size_t)row);
    q[0] = (float)turn.x, q[1] = (float)turn.y, q[2] = (float)turn.z, q[3] = (float)turn.w;
}

/* The two frames around a moment, and how far the second one is reached. */
static uint32_t find_frames(const struct scene_motion *bound, double frame, uint32_t *next,
                            double *share) {
    frame = isfinite(frame) ? fmin(fmax(frame, 0), bound->frames - 1) : 0;
    uint32_t first = (uint32_t)frame;
    *next = first + 1 < bound->frames ? first + 1 : first;
    *share = frame - first;
    return first;
}

static struct vec hips_place(const struct scene_motion *bound, uint32_t frame) {
    const float *p = bound->places + 3 * (size_t)frame;
    return (struct vec){(double)p[0], (double)p[1], (double)p[2]};
}

void motion_play(const struct scene_motion *bound, double frame, struct quat *turns,
                 struct vec *places) {
    uint32_t next, first;
    double share;
    first = find_frames(bound, frame, &next, &share);
    int hips = bound->figure.chain[0];
    struct vec at = vec_mix(hips_place(bound, first), hips_place(bound, next), share);
    for (uint32_t k = 0; k < bound->figure.count; k++) {
        uint32_t i = bound->order[k];
        const struct motion_driver *driver = &bound->drivers[i];
        int above = driver->above;
        if (driver->row >= 0)
            turns[i] = quat_mix(motion_row(bound, first, driver->row),
                                motion_row(bound, next, driver->row), share);
        else
            turns[i] = above >= 0 ? turns[above] : quat_identity();
        if ((int)i == hips)
            places[i] = at;
        else if (above < 0)
            places[i] = vec_add(driver->place, (struct vec){at.x - bound->figure.places[hips].x, 0,
                                                            at.z - bound->figure.places[hips].z});
        else
            places[i] = vec_add(
                places[above],
                quat_turn(turns[above], vec_sub(driver->place, bound->drivers[above].place)));
    }
}

/* -- Questions --------------------------------------------------------------------------------- */

struct scene_motion *scene_motion_retain(struct scene_motion *motion) {
    atomic_fetch_add_explicit(&motion->holders, 1, memory_order_relaxed);
    return motion;
}

void scene_motion_release(struct scene_motion *motion) {
    if (motion == NULL || atomic_fetch_sub_explicit(&motion->holders, 1, memory_order_acq_rel) > 1)
        return;
    motion_figure_deinit(&motion->figure);
    scene_release(motion->body);
    free(motion->turns);
    free(motion->places);
    free(motion->planted);
    free(motion->drivers);
    free(motion->order);
    free(motion->name);
    free(motion);
}

struct scene *scene_motion_body(const struct scene_motion *motion) {
    return motion->body;
}

const char *scene_motion_name(const struct scene_motion *motion) {
    return motion->name;
}

double scene_motion_seconds(const struct scene_motion *motion) {
    return (motion->frames - 1) / motion->rate;
}

double scene_motion_rate(const struct scene_motion *motion) {
    return motion->rate;
}

double scene_motion_wrap(const struct scene_motion *motion, double time) {
    double seconds = scene_motion_seconds(motion);
    if (!(seconds > 0) || !isfinite(time))
        return 0;
    double rest = fmod(time, seconds);
    return rest < 0 ? rest + seconds : rest;
}

const struct scene_motion_report *scene_motion_report(const struct scene_motion *motion) {
    return &motion->report;
}

bool scene_motion_planted(const struct scene_motion *motion, int side, double time) {
    double frame = isfinite(time) ? fmin(fmax(time * motion->rate, 0), motion->frames - 1) : 0;
    return (motion->planted[(uint32_t)(frame + 0.5)] >> side & 1) != 0;
}

/* -- Poses ------------------------------------------------------------------------------------- */

/* Joints of the common bodies fit on the stack; the rest is taken from the heap, and without memory
 * the body stays as it is bound. */
enum { STACK_NODES = 256 };

/* turns, places: of each node of the body. */
static void fill_palette(const struct scene_motion *motion, const struct quat *turns,
                         const struct vec *places, float *palette) {
    const struct scene *body = motion->body;
    for (uint32_t i = 0; i < body->joint_count; i++) {
        const struct scene_joint *joint = &body->joints[i];
        uint32_t node = i < body->node_count ? i : (uint32_t)joint->node;
        assert(node < motion->figure.count);
        struct mat moved = quat_to_mat(turns[node]);
        struct vec from = quat_turn(turns[node], motion->drivers[node].place);
        moved.m[3] = places[node].x - from.x;
        moved.m[7] = places[node].y - from.y;
        moved.m[11] = places[node].z - from.z;
        if (i >= body->node_count) { /* another bind of the same node */
            struct mat back;
            for (int k = 0; k < 12; k++)
                back.m[k] = (double)joint->from_bind[k];
            struct mat own = mat_multiply(&body->joints[node].bind, &back);
            moved = mat_multiply(&moved, &own);
        }
        mat_to_float(&moved, palette + 12 * (size_t)i);
    }
}

void scene_motion_pose(const struct scene_motion *motion, double time, float *palette) {
    struct quat few_turns[STACK_NODES], *turns = few_turns;
    struct vec few_places[STACK_NODES] = {{0, 0, 0}}, *places = few_places;
    uint32_t count = motion->figure.count;
    void *heap = NULL;
    if (count > STACK_NODES) {
        heap = malloc(count * (sizeof *turns + sizeof *places));
        if (heap == NULL) {
            const struct mat still = mat_identity();
            for (uint32_t i = 0; i < motion->body->joint_count; i++)
                mat_to_float(&still, palette + 12 * (size_t)i);
            return;
        }
        turns = heap;
        places = (struct vec *)(turns + count);
    }
    motion_play(motion, time * motion->rate, turns, places);
    fill_palette(motion, turns, places, palette);
    free(heap);
}

int scene_motion_box(const struct scene_motion *motion, float box[6], struct err *err) {
    float *palette = malloc(12 * sizeof *palette * motion->body->joint_count), one[6];
    if (palette == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory for a pose", motion->name);
    uint32_t count = motion->frames < MAX_BOX_SAMPLES ? motion->frames : MAX_BOX_SAMPLES;
    for (uint32_t i = 0; i < count; i++) {
        scene_motion_pose(motion, count > 1 ? scene_motion_seconds(motion) * i / (count - 1) : 0,
                          palette);
        gpu_actor_box(&(struct gpu_actor){.scene = motion->body->gpu, .pose = palette}, one);
        for (int k = 0; k < 3; k++) {
            box[k] = i == 0 ? one[k] : fminf(box[k], one[k]);
            box[3 + k] = i == 0 ? one[3 + k] : fmaxf(box[3 + k], one[3 + k]);
        }
    }
    free(palette);
    return 0;
}
