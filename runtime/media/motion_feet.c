/* motion_feet.c - plants the feet of a bound motion.
 *
 * A plant is a run of frames in which heel or ball of a foot rests. It gets one place for the ball
 * and one heading, so that heel and ball stay where they are from the first touch to the last: the
 * foot lands on the heel, lies flat, and leaves over the ball, turning about the one that carries
 * it. What that changes against the foot as it came is faded out in the swings before and after.
 * Then the hips sink where a leg would be too short, and the two bones of each leg are bent to
 * reach the ankle in the plane in which they bend anyway. */
#include <stdlib.h>

#include "media/motion_parts.h"
#include "media/scene.h"
#include "media/scene_parts.h"
#include "stance_gpu.h"

enum { HEEL_LANDMARK = 29, TIP_LANDMARK = 31 };

static const double pi = 3.14159265358979;
static const double usual_leg = 0.85;   /* metres: whom the tuning's lengths are for */
static const double flat_enough = 0.07; /* radians of pitch of a standing foot that are not meant */
static const double heading_free = 0.15; /* radians that a planted foot turns before we follow */
static const double swing_clear = 0.004; /* metres that a swinging sole stays over the floor */
static const double steepest = 1.1;      /* radians that a heel is lifted so that the leg reaches */
static const double easy_lift = 0.35;    /* of these, what is done before the hips sink */

struct foot {
    int hip, knee, ankle, toes; /* nodes; toes: -1: none */
    struct vec heel, ball, tip; /* from the ankle, in bind space: under the sole; of the toes' joint
                                   at its own height, and without toes the tip */
    double give;                /* how far the tip's skin goes with the toes */
    struct vec across;          /* the axis that pitch turns about, to the left of the foot */
    double heading, length;     /* in bind space; heel to tip */
    double thigh, shin;
    double above;           /* height of the ball */
    double lean;            /* pitch of the standing foot as it came */
    uint8_t *rests;         /* [frame] MOTION_HEEL | MOTION_BALL */
    struct quat *turns;     /* [frame] of the foot: first as it came, then as it shall be */
    struct quat *toe_turns; /* [frame] */
    struct vec *ankles;     /* [frame] places, likewise */
    struct vec *hips;       /* [frame] places of the hip joint */
};

struct planting {
    struct scene_motion *bound;
    const struct motion_tuning *tuning;
    double rate, size; /* frames a second; the body's legs beside usual ones */
    struct foot feet[2];
    struct quat *turns; /* [node] */
    struct vec *places;
};

/* -- The foot ---------------------------------------------------------------------------------- */

static struct vec landmark(const struct scene *body, int which, bool *known) {
    const bool *all;
    const float *p = scene_landmarks(body, &all)[which].position;
    *known = all[which];
    return (struct vec){(double)p[0], 0, (double)p[2]};
}

static int foot_init(struct planting *p, int side, struct err *err) {
    const struct motion_figure *figure = &p->bound->figure;
    const struct vec *at = figure->places;
    struct foot *foot = &p->feet[side];
    size_t frames = p->bound->frames;
    bool heel_known, tip_known;
    foot->hip = figure->bones[RIG_LEFT_UPPER_LEG + side];
    foot->knee = figure->bones[RIG_LEFT_LOWER_LEG + side];
    foot->ankle = figure->bones[RIG_LEFT_FOOT + side];
    foot->toes = figure->bones[RIG_LEFT_TOES + side];
    foot->thigh = vec_distance(at[foot->hip], at[foot->knee]);
    foot->shin = vec_distance(at[foot->knee], at[foot->ankle]);
    struct vec ankle = at[foot->ankle],
               heel = landmark(p->bound->body, HEEL_LANDMARK + side, &heel_known),
               tip = landmark(p->bound->body, TIP_LANDMARK + side, &tip_known);
    double leg = foot->thigh + foot->shin;
    if (!heel_known)
        heel = (struct vec){ankle.x, 0, ankle.z - 0.05 * leg};
    if (!tip_known || vec_distance(heel, tip) < 0.05 * leg)
        tip = vec_add(heel, (struct vec){0, 0, 0.25 * leg});
    struct vec along = vec_unit(vec_sub(tip, heel)), ball = foot->toes >= 0 ? at[foot->toes] : tip;
    const struct gpu_anchor *anchor = &scene_landmarks(p->bound->body, NULL)[TIP_LANDMARK + side];
    for (int i = 0; foot->toes >= 0 && i < 4; i++) {
        int joint = p->bound->body->joints[anchor->joint[i]].node;
        while (joint >= 0 && joint != foot->toes)
            joint = figure->parents[joint];
        foot->give += joint >= 0 ? (double)anchor->weight[i] : 0;
    }
    foot->heel = vec_sub(heel, ankle);
    foot->ball = vec_sub(ball, ankle);
    foot->tip = vec_sub(tip, ankle);
    foot->above = ball.y;
    foot->across = (struct vec){along.z, 0, -along.x};
    foot->heading = atan2(along.x, along.z);
    foot->length = vec_distance(heel, tip);
    foot->rests = calloc(frames, sizeof *foot->rests);
    foot->turns = malloc(frames * sizeof *foot->turns);
    foot->toe_turns = malloc(frames * sizeof *foot->toe_turns);
    foot->ankles = malloc(frames * sizeof *foot->ankles);
    foot->hips = malloc(frames * sizeof *foot->hips);
    return foot->rests != NULL && foot->turns != NULL && foot->toe_turns != NULL &&
                   foot->ankles != NULL && foot->hips != NULL
               ? 0
               : err_set(err, ERR_NO_MEMORY, "%s: no memory to plant its feet", p->bound->name);
}

static void foot_deinit(struct foot *foot) {
    free(foot->rests);
    free(foot->turns);
    free(foot->toe_turns);
    free(foot->ankles);
    free(foot->hips);
}

static struct vec foot_direction(const struct foot *foot, struct quat turn) {
    return quat_turn(turn, vec_sub(foot->tip, foot->heel));
}

/* Radians that the toes are above the heel. */
static double pitch_of(const struct foot *foot, struct quat turn) {
    struct vec along = foot_direction(foot, turn);
    return atan2(along.y, hypot(along.x, along.z));
}

static double heading_of(const struct foot *foot, struct quat turn) {
    struct vec along = foot_direction(foot, turn);
    return atan2(along.x, along.z);
}

static struct quat foot_turn(const struct foot *foot, double heading, double pitch) {
    return quat_multiply(quat_about((struct vec){0, 1, 0}, heading - foot->heading),
                         quat_about(foot->across, -pitch));
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Feet as they came, and by how much a standing one leans, which rest poses differ in. */
static int read_feet(struct planting *p, struct err *err) {
    struct scene_motion *bound = p->bound;
    double *leans = malloc(bound->frames * sizeof *leans);
    if (leans == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory to plant its feet", bound->name);
    for (uint32_t frame = 0; frame < bound->frames; frame++) {
        motion_play(bound, frame, p->turns, p->places);
        for (int side = 0; side < 2; side++) {
            struct foot *foot = &p->feet[side];
            foot->turns[frame] = p->turns[foot->ankle];
            foot->toe_turns[frame] = p->turns[foot->toes >= 0 ? foot->toes : foot->ankle];
            foot->ankles[frame] = p->places[foot->ankle];
            foot->hips[frame] = p->places[foot->hip];
        }
    }
    for (int side = 0; side < 2; side++) {
        struct foot *foot = &p->feet[side];
        uint32_t count = 0;
        for (uint32_t frame = 0; frame < bound->frames; frame++)
            if (foot->rests[frame] == (MOTION_HEEL | MOTION_BALL))
                leans[count++] = pitch_of(foot, foot->turns[frame]);
        qsort(leans, count, sizeof *leans, compare);
        foot->lean = count > 0 ? leans[count / 2] : 0;
        if (fabs(foot->lean) > 0.6) /* that is no rest pose but a dance */
            foot->lean = 0;
        for (uint32_t frame = 0; frame < bound->frames; frame++) {
            struct quat level = quat_about(foot->across, foot->lean);
            foot->turns[frame] = quat_multiply(foot->turns[frame], level);
            foot->toe_turns[frame] = quat_multiply(foot->toe_turns[frame], level);
        }
    }
    free(leans);
    return 0;
}

/* -- Plants ------------------------------------------------------------------------------------ */

struct plant {
    uint32_t first, last;
    struct vec ball; /* where it stays */
    double heading;
};

static double beyond(double value, double free) {
    return fabs(value) <= free ? 0 : value > 0 ? value - free : value + free;
}

static double around(double angle) {
    return angle - 2 * pi * floor((angle + pi) / (2 * pi));
}

/* Where the ball would be if the foot as it came turned flat about what carries it. */
static struct vec ball_if_flat(const struct foot *foot, uint32_t frame) {
    struct quat turn = foot->turns[frame];
    double heading = heading_of(foot, turn);
    struct vec pivot = pitch_of(foot, turn) > 0 ? foot->heel : foot->ball;
    struct vec at = vec_add(foot->ankles[frame], quat_turn(turn, pivot));
    return vec_add(at, quat_turn(foot_turn(foot, heading, 0), vec_sub(foot->ball, pivot)));
}

/* One place and one heading: the means over the frames that count most. */
static void settle(const struct foot *foot, struct plant *plant) {
    struct vec sum = {0, 0, 0};
    double weights = 0, s = 0, c = 0;
    for (uint32_t i = plant->first; i <= plant->last; i++) {
        double weight = foot->rests[i] == (MOTION_HEEL | MOTION_BALL) ? 1
                        : foot->rests[i] == MOTION_BALL               ? 0.3
                                                                      : 0.05;
        struct vec ball = ball_if_flat(foot, i);
        double heading = heading_of(foot, foot->turns[i]);
        sum = vec_add(sum, vec_scale(ball, weight));
        s += weight * sin(heading);
        c += weight * cos(heading);
        weights += weight;
    }
    plant->ball = vec_scale(sum, 1 / weights);
    plant->ball.y = foot->above;
    plant->heading = atan2(s, c);
}

/* Raises a foot out of the floor. The tip's skin goes partly with the foot, partly with the toes.
 */
static void clear_floor(struct foot *foot, uint32_t frame, double over) {
    struct quat turn = foot->turns[frame], toes = foot->toe_turns[frame];
    double heel = quat_turn(turn, foot->heel).y, stiff = quat_turn(turn, foot->tip).y,
           bent = quat_turn(turn, foot->ball).y + quat_turn(toes, vec_sub(foot->tip, foot->ball)).y,
           sole =
               quat_turn(turn, (struct vec){foot->ball.x, foot->ball.y - foot->above, foot->ball.z})
                   .y,
           tip = stiff + (bent - stiff) * foot->give,
           low = foot->ankles[frame].y + fmin(fmin(heel, sole), tip);
    if (low < over)
        foot->ankles[frame].y += over - low;
}

/* The foot on the floor, at the pitch that it came with. */
static void put_down(struct foot *foot, const struct plant *plant, uint32_t frame, double pitch) {
    double off = around(heading_of(foot, foot->turns[frame]) - plant->heading),
           heading = plant->heading + beyond(off, heading_free);
    struct quat turn = foot_turn(foot, heading, pitch), flat = foot_turn(foot, plant->heading, 0),
                level = foot_turn(foot, heading, 0);
    /* The heel stands where the ball's heading has it; who spins on the ball, spins about it. */
    struct vec carrier = pitch > 0 ? foot->heel : foot->ball, at = plant->ball;
    if (pitch > 0)
        at = vec_add(at, quat_turn(flat, vec_sub(foot->heel, foot->ball)));
    foot->turns[frame] = turn;
    foot->toe_turns[frame] = pitch < 0 ? level : turn;
    foot->ankles[frame] = vec_sub(at, quat_turn(turn, carrier));
    clear_floor(foot, frame, 0);
}

/* What was changed at an end of a plant. */
struct change {
    struct quat turn, toes;
    struct vec place;
};

static struct change change_between(struct quat turn, struct quat toes, struct vec place,
                                    const struct foot *foot, uint32_t frame) {
    return (struct change){quat_multiply(foot->turns[frame], quat_inverse(turn)),
                           quat_multiply(foot->toe_turns[frame], quat_inverse(toes)),
                           vec_sub(foot->ankles[frame], place)};
}

static void apply(struct foot *foot, uint32_t frame, const struct change *change, double share) {
    share = share * share * (3 - 2 * share);
    foot->turns[frame] =
        quat_multiply(quat_mix(quat_identity(), change->turn, share), foot->turns[frame]);
    foot->toe_turns[frame] =
        quat_multiply(quat_mix(quat_identity(), change->toes, share), foot->toe_turns[frame]);
    foot->ankles[frame] = vec_add(foot->ankles[frame], vec_scale(change->place, share));
}

/* Fades a change out over the frames from `from` (exclusive) in steps of `step`, but for the other
 * half of the way to frame `stop`. */
static void fade(const struct planting *p, struct foot *foot, const struct change *change,
                 int64_t from, int step, int64_t stop, bool other) {
    double reach = fmax(1, p->tuning->blend * p->rate), gap = (double)llabs(stop - from);
    if (other)
        reach = fmin(reach, gap / 2);
    for (int64_t i = from + step; i != stop; i += step) {
        double share = 1 - (double)llabs(i - from) / (reach + 1);
        if (share <= 0)
            break;
        apply(foot, (uint32_t)i, change, share);
    }
}

/* The next plant: it ends where the foot lifts, or where it has been shuffled so far from its place
 * that holding it would show; then it is free to move for a moment. */
static bool next_plant(const struct planting *p, struct foot *foot, uint32_t from,
                       struct plant *out) {
    uint32_t frames = p->bound->frames, pause = (uint32_t)fmax(1, 0.5 * p->tuning->blend * p->rate);
    while (from < frames && foot->rests[from] == 0)
        from++;
    if (from >= frames)
        return false;
    struct vec mean = ball_if_flat(foot, from);
    out->first = from;
    while (from + 1 < frames && foot->rests[from + 1] != 0) {
        struct vec ball = ball_if_flat(foot, ++from), off = vec_sub(ball, mean);
        if (hypot(off.x, off.z) > p->tuning->shuffle * p->size) {
            uint32_t first = from > out->first + pause ? from - pause : out->first + 1;
            for (uint32_t i = first; i < frames && i < from + pause && foot->rests[i] != 0; i++)
                foot->rests[i] = 0;
            from = first - 1;
            break;
        }
        mean = vec_mix(mean, ball, 1.0 / (from - out->first + 1));
    }
    out->last = from;
    return true;
}

static void plant_foot(struct planting *p, struct foot *foot) {
    uint32_t frames = p->bound->frames;
    struct plant plant;
    struct change after = {quat_identity(), quat_identity(), {0, 0, 0}};
    int64_t ended = -1; /* the last frame of the plant before */
    for (uint32_t from = 0; next_plant(p, foot, from, &plant); from = plant.last + 1) {
        struct change before;
        settle(foot, &plant);
        for (uint32_t i = plant.first; i <= plant.last; i++) {
            struct quat turn = foot->turns[i], toes = foot->toe_turns[i];
            struct vec place = foot->ankles[i];
            put_down(foot, &plant, i, beyond(pitch_of(foot, turn), flat_enough));
            if (i == plant.first)
                before = change_between(turn, toes, place, foot, i);
            if (i == plant.first && ended >= 0) /* the way here still is as it came */
                fade(p, foot, &after, ended, 1, plant.first, true);
            if (i == plant.first)
                fade(p, foot, &before, plant.first, -1, ended, ended >= 0);
            if (i == plant.last)
                after = change_between(turn, toes, place, foot, i);
        }
        ended = plant.last;
    }
    if (ended >= 0)
        fade(p, foot, &after, ended, 1, frames, false);
    for (uint32_t i = 0; i < frames; i++)
        if (foot->rests[i] == 0)
            clear_floor(foot, i, swing_clear * p->size);
}

/* -- Hips -------------------------------------------------------------------------------------- */

/* How far a hip joint must sink for its leg to reach the ankle. */
static double needed_sink(const struct planting *p, const struct foot *foot, uint32_t frame) {
    double reach = p->tuning->reach * (foot->thigh + foot->shin);
    struct vec way = vec_sub(foot->hips[frame], foot->ankles[frame]);
    double across = hypot(way.x, way.z), high = reach * reach - across * across;
    if (foot->rests[frame] == 0 || vec_length(way) <= reach)
        return 0;
    return fmin(p->tuning->sink * p->size, high > 0 ? fmax(0, way.y - sqrt(high)) : INFINITY);
}

/* Sinks the hips by what is needed, so slowly that nobody sees it: the most of the frames around,
 * then the mean of those. */
static int sink_hips(struct planting *p, struct err *err) {
    int64_t frames = p->bound->frames, reach = (int64_t)fmax(1, 0.12 * p->rate);
    double *needed = malloc(2 * (size_t)frames * sizeof *needed), *most = needed + frames;
    if (needed == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory to plant its feet", p->bound->name);
    for (int64_t i = 0; i < frames; i++)
        needed[i] = fmax(needed_sink(p, &p->feet[0], (uint32_t)i),
                         needed_sink(p, &p->feet[1], (uint32_t)i));
    for (int64_t i = 0; i < frames; i++) {
        most[i] = 0;
        for (int64_t k = i - reach; k <= i + reach; k++)
            most[i] = fmax(most[i], needed[k < 0 ? 0 : k < frames ? k : frames - 1]);
    }
    for (int64_t i = 0; i < frames; i++) {
        double sum = 0;
        for (int64_t k = i - reach; k <= i + reach; k++)
            sum += most[k < 0 ? 0 : k < frames ? k : frames - 1];
        double sink = sum / (double)(2 * reach + 1);
        p->bound->places[3 * i + 1] -= (float)sink;
        p->feet[0].hips[i].y -= sink;
        p->feet[1].hips[i].y -= sink;
        p->bound->report.sunk = fmax(p->bound->report.sunk, sink);
    }
    free(needed);
    return 0;
}

/* A planted foot that the leg does not reach lifts its heel, about the ball. */
static void lift_heel(const struct planting *p, struct foot *foot, uint32_t frame, double most) {
    double reach = p->tuning->reach * (foot->thigh + foot->shin);
    if (foot->rests[frame] == 0 || vec_distance(foot->hips[frame], foot->ankles[frame]) <= reach)
        return;
    struct vec at = vec_add(foot->ankles[frame], quat_turn(foot->turns[frame], foot->ball));
    double heading = heading_of(foot, foot->turns[frame]),
           pitch = fmin(0, pitch_of(foot, foot->turns[frame])),
           steep = fmax(-steepest, pitch - most);
    at.y = foot->above;
    while (pitch > steep) {
        struct quat turn = foot_turn(foot, heading, pitch);
        foot->turns[frame] = turn;
        foot->toe_turns[frame] = foot_turn(foot, heading, 0);
        foot->ankles[frame] = vec_sub(at, quat_turn(turn, foot->ball));
        clear_floor(foot, frame, 0);
        if (vec_distance(foot->hips[frame], foot->ankles[frame]) <= reach)
            break;
        pitch -= 0.02;
    }
}

/* -- Legs -------------------------------------------------------------------------------------- */

/* Bends thigh and shin so that the ankle comes to its place. */
static void bend_leg(struct planting *p, struct foot *foot, uint32_t frame) {
    const struct motion_figure *figure = &p->bound->figure;
    const struct motion_driver *drivers = p->bound->drivers;
    struct quat thigh = motion_row(p->bound, frame, drivers[foot->hip].row),
                shin = motion_row(p->bound, frame, drivers[foot->knee].row);
    struct vec hip = foot->hips[frame], goal = foot->ankles[frame];
    struct vec to_knee = vec_sub(figure->places[foot->knee], figure->places[foot->hip]),
               to_ankle = vec_sub(figure->places[foot->ankle], figure->places[foot->knee]);
    struct vec knee = quat_turn(thigh, to_knee), end = vec_add(knee, quat_turn(shin, to_ankle));
    struct vec way = vec_sub(goal, hip);
    double longest = 0.9999 * (foot->thigh + foot->shin),
           least = fabs(foot->thigh - foot->shin) + 0.05 * foot->shin,
           length = fmin(fmax(vec_length(way), least), longest);
    way = vec_unit(way);
    /* The knee stays on its side of the line from hip to ankle; of a straight leg, before it. */
    struct quat swing = quat_between(end, way);
    struct vec side = quat_turn(swing, knee),
               ahead = quat_turn(quat_multiply(swing, thigh), (struct vec){0, 0, 1});
    side = vec_sub(side, vec_scale(way, vec_dot(side, way)));
    ahead = vec_sub(ahead, vec_scale(way, vec_dot(ahead, way)));
    side = vec_unit(vec_add(side, vec_scale(vec_unit(ahead), 0.02 * foot->thigh)));
    double along = (length * length + foot->thigh * foot->thigh - foot->shin * foot->shin) /
                   (2 * length),
           out = sqrt(fmax(0, foot->thigh * foot->thigh - along * along));
    struct vec bent = vec_add(vec_scale(way, along), vec_scale(side, out));
    struct quat turn = quat_multiply(quat_between(quat_turn(swing, knee), bent), swing);
    thigh = quat_unit(quat_multiply(turn, thigh));
    struct vec low = quat_turn(quat_multiply(turn, shin), to_ankle),
               wanted = vec_sub(vec_scale(way, length), bent);
    shin = quat_unit(quat_multiply(quat_between(low, wanted), quat_multiply(turn, shin)));
    motion_set_row(p->bound, frame, drivers[foot->hip].row, thigh);
    motion_set_row(p->bound, frame, drivers[foot->knee].row, shin);
    motion_set_row(p->bound, frame, drivers[foot->ankle].row, foot->turns[frame]);
    if (foot->toes >= 0)
        motion_set_row(p->bound, frame, drivers[foot->toes].row, foot->toe_turns[frame]);
}

/* -- The whole --------------------------------------------------------------------------------- */

static int plant_all(struct planting *p, const struct motion_steps *steps, struct err *err) {
    struct scene_motion *bound = p->bound;
    uint8_t *rests[] = {p->feet[0].rests, p->feet[1].rests};
    uint64_t planted = 0;
    int rc = motion_steps_find(steps, bound->frames, p->rate, p->size, p->tuning, rests, err);
    if (rc == 0)
        rc = read_feet(p, err);
    if (rc != 0)
        return rc;
    plant_foot(p, &p->feet[0]);
    plant_foot(p, &p->feet[1]);
    for (uint32_t i = 0; i < bound->frames; i++)
        for (int side = 0; side < 2; side++)
            if (p->feet[side].rests[i] == MOTION_BALL)
                lift_heel(p, &p->feet[side], i, easy_lift);
    rc = sink_hips(p, err);
    for (uint32_t i = 0; rc == 0 && i < bound->frames; i++)
        for (int side = 0; side < 2; side++) {
            struct foot *foot = &p->feet[side];
            lift_heel(p, foot, i, steepest);
            bend_leg(p, foot, i);
            bound->planted[i] |= (uint8_t)((foot->rests[i] != 0) << side);
            planted += foot->rests[i] != 0;
        }
    bound->report.planted = (double)planted / (2.0 * bound->frames);
    return rc;
}

int motion_feet_plant(struct scene_motion *bound, const struct motion_steps *steps, double rate,
                      const struct motion_tuning *tuning, struct err *err) {
    uint32_t nodes = bound->figure.count;
    struct planting p = {.bound = bound, .tuning = tuning, .rate = rate};
    p.size = motion_figure_leg(&bound->figure) / usual_leg;
    p.turns = malloc(nodes * sizeof *p.turns);
    p.places = malloc(nodes * sizeof *p.places);
    int rc = p.turns != NULL && p.places != NULL
                 ? 0
                 : err_set(err, ERR_NO_MEMORY, "%s: no memory to plant its feet", bound->name);
    for (int side = 0; rc == 0 && side < 2; side++)
        rc = foot_init(&p, side, err);
    if (rc == 0)
        rc = plant_all(&p, steps, err);
    foot_deinit(&p.feet[0]);
    foot_deinit(&p.feet[1]);
    free(p.turns);
    free(p.places);
    return rc;
}
