/* motion_drivers.c - how the joints of a body hang together when a motion moves them.
 *
 * The file's tree is followed where it says what a body is. Where it does not (rigs whose feet hang
 * on a root that an IK solver moves, control bones that carry skin) a joint hangs on the bone that
 * it belongs to by anatomy, or else on the nearest joint that moves. */
#include <stdlib.h>

#include "media/motion_parts.h"
#include "media/scene_parts.h"

struct hanging {
    struct scene_motion *bound;
    const struct motion_figure *figure;
    const bool *driven;
};

static bool below(const struct motion_figure *figure, int joint, int ancestor) {
    while (joint >= 0 && joint != ancestor)
        joint = figure->parents[joint];
    return joint >= 0;
}

/* The joint that `joint` hangs on by anatomy; -1: it is no bone. */
static int anatomy(const struct motion_figure *figure, int joint) {
    for (uint32_t i = 1; i < figure->chain_count; i++)
        if (figure->chain[i] == joint)
            return figure->chain[i - 1];
    int chest = figure->chain[0];
    for (uint32_t i = 0; i < figure->chain_count && figure->share[i] <= 1; i++)
        chest = figure->chain[i];
    for (int bone = RIG_HEAD + 1; bone < RIG_BONES; bone++) {
        if (figure->bones[bone] != joint)
            continue;
        int above = rig_bone_parent(bone);
        while (above >= 0 && figure->bones[above] < 0)
            above = rig_bone_parent(above);
        return above < 0 || (above > RIG_HIPS && above <= RIG_NECK) ? chest : figure->bones[above];
    }
    return -1;
}

static int nearest(const struct hanging *h, int joint) {
    const struct motion_figure *figure = h->figure;
    int best = figure->chain[0];
    double least = INFINITY;
    for (uint32_t i = 0; i < figure->count; i++) {
        double distance = vec_distance(figure->places[i], figure->places[joint]);
        if (!h->driven[i] || distance >= least)
            continue;
        least = distance;
        best = (int)i;
    }
    return best;
}

static int find_above(const struct hanging *h, int joint) {
    const struct motion_figure *figure = h->figure;
    int hips = figure->chain[0], parent = figure->parents[joint];
    if (joint == hips || below(figure, hips, joint))
        return -1;
    if (h->driven[joint]) {
        int above = anatomy(figure, joint);
        return above < 0 || (parent >= 0 && below(figure, parent, above)) ? parent : above;
    }
    /* What hangs on a root beside the hips belongs to the nearest part of the body. */
    return parent < 0 || below(figure, hips, parent) ? (parent == hips ? hips : nearest(h, joint))
                                                     : parent;
}

/* Each joint after the one above it. Joints in a circle, which only a mad file has, hang on the
 * hips. */
static int sort(struct hanging *h) {
    struct scene_motion *bound = h->bound;
    uint32_t count = h->figure->count, done = 0;
    bool *placed = calloc(count, sizeof *placed);
    bound->order = malloc(count * sizeof *bound->order);
    if (placed == NULL || bound->order == NULL) {
        free(placed);
        return -1;
    }
    while (done < count) {
        uint32_t before = done;
        for (uint32_t i = 0; i < count; i++) {
            int above = bound->drivers[i].above;
            if (placed[i] || (above >= 0 && !placed[above]))
                continue;
            placed[i] = true;
            bound->order[done++] = i;
        }
        for (uint32_t i = 0; done == before && i < count; i++) {
            if (placed[i])
                continue;
            bound->drivers[i].above = h->figure->chain[0];
            break;
        }
    }
    free(placed);
    return 0;
}

int motion_drivers_make(struct scene_motion *bound, const bool *driven, struct err *err) {
    struct hanging h = {bound, &bound->figure, driven};
    uint32_t count = bound->figure.count;
    bound->drivers = malloc(count * sizeof *bound->drivers);
    for (uint32_t i = 0; bound->drivers != NULL && i < count; i++)
        bound->drivers[i] = (struct motion_driver){.above = find_above(&h, (int)i),
                                                   .row = driven[i] ? (int)bound->rows++ : -1,
                                                   .place = bound->figure.places[i]};
    if (bound->drivers == NULL || sort(&h) != 0)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory for a motion", bound->name);
    return 0;
}
