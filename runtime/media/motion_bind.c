/* motion_bind.c - retargeting: the frames of a clip, as turns of a body's own joints.
 *
 * All turns are in the world and away from rest. A limb of the body turns by S A: A lays it as the
 * motion's limb lies at rest, S is what the motion's bone turned since. A follows the limb from the
 * shoulder out, each bone adding the shortest turn, so elbows and knees keep their planes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "media/motion_parts.h"
#include "media/scene.h"
#include "media/scene_parts.h"

enum { MAX_ROWS_IN_ALL = 24 << 20 }; /* 16 bytes each */

static const double usual_leg = 0.85; /* metres: whom the tuning's lengths are for */

const struct motion_tuning motion_tuning_default = {
    .contact_height = 0.035,
    .release_height = 0.06,
    .contact_speed = 0.3,
    .release_speed = 0.45,
    .blend = 0.16,
    .shortest = 0.07,
    .shuffle = 0.06,
    .slope = 0.1,
    .reach = 0.995,
    .sink = 0.12,
};

struct motion_options motion_options_default(void) {
    return (struct motion_options){.speed = 1, .root_scale = 1, .tuning = motion_tuning_default};
}

/* -- Work -------------------------------------------------------------------------------------- */

/* A motion's joint as a bone of the body sees it: sides exchanged when it is mirrored. */
struct follow {
    int source;        /* joint of the motion */
    int row;           /* of the body */
    struct quat align; /* A */
};

struct binding {
    const struct motion *motion;
    uint32_t clip;
    const struct motion_options *options;
    struct scene_motion *bound;
    struct follow limbs[RIG_BONES];
    uint32_t limb_count;
    double scale;       /* the body's metres a unit of the motion */
    double ankle;       /* height of a standing ankle, motion's units */
    float *floors;      /* [frame] the same where it stands then */
    struct vec start;   /* of the hips over the ground, motion's units, before turning */
    struct quat face;   /* the turn that `front` asks for */
    struct quat *turns; /* [motion's joint] of the frame that is worked on */
    struct vec *places;
    struct vec *rests; /* [motion's joint] at rest, mirrored when the motion is */
    float *scratch;
    struct motion_steps steps;
};

static int no_memory(const struct binding *b, struct err *err) {
    return err_set(err, ERR_NO_MEMORY, "%s: no memory for a motion of %u frames", b->motion->name,
                   b->motion->tracks[b->clip].frames);
}

static int other_side(int bone) {
    return bone < (int)RIG_PAIRS ? bone : ((bone - (int)RIG_PAIRS) ^ 1) + (int)RIG_PAIRS;
}

/* The motion's joint for a bone of the body; -1: it has none. */
static int source_bone(const struct binding *b, int bone) {
    return b->motion->figure.bones[b->options->mirror ? other_side(bone) : bone];
}

/* Turns and places of the motion's joints, mirrored and turned to the front as asked for, in its
 * units. */
static void sample(const struct binding *b, uint32_t frame) {
    motion_sample(b->motion, b->clip, frame, b->turns, b->places, b->scratch);
    for (uint32_t i = 0; i < b->motion->figure.count; i++) {
        struct quat *q = &b->turns[i];
        struct vec *p = &b->places[i];
        if (b->options->mirror) {
            *q = (struct quat){q->x, -q->y, -q->z, q->w};
            p->x = -p->x;
        }
        *q = quat_multiply(b->face, *q);
        *p = quat_turn(b->face, vec_sub(*p, b->start));
    }
}

/* -- Alignment at rest ------------------------------------------------------------------------- */

static struct vec level(struct vec a) {
    return vec_unit((struct vec){a.x, 0, a.z});
}

/* The bone that a limb's direction is taken to; -1: its own is not looked at. */
static int limb_end(const struct binding *b, int bone) {
    static const int ends[][2] = {
        {RIG_LEFT_UPPER_ARM, RIG_LEFT_LOWER_ARM},  {RIG_LEFT_LOWER_ARM, RIG_LEFT_HAND},
        {RIG_LEFT_HAND, RIG_LEFT_MIDDLE_PROXIMAL}, {RIG_LEFT_UPPER_LEG, RIG_LEFT_LOWER_LEG},
        {RIG_LEFT_LOWER_LEG, RIG_LEFT_FOOT},       {RIG_LEFT_FOOT, RIG_LEFT_TOES},
    };
    int side = bone >= (int)RIG_PAIRS ? (bone - (int)RIG_PAIRS) & 1 : 0, end = -1;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (bone == ends[i][0] + side)
            end = ends[i][1] + side;
    if (bone >= (int)RIG_FINGERS && rig_bone_parent(bone + 2) == bone)
        end = bone + 2;
    return end >= 0 && b->bound->figure.bones[end] >= 0 && source_bone(b, end) >= 0 ? end : -1;
}

static struct quat align(const struct binding *b, int bone, struct quat above) {
    int end = limb_end(b, bone);
    const int *bones = b->bound->figure.bones;
    if (end < 0)
        return above;
    struct vec own = vec_sub(b->bound->figure.places[bones[end]],
                             b->bound->figure.places[bones[bone]]),
               theirs = vec_sub(b->rests[source_bone(b, end)], b->rests[source_bone(b, bone)]);
    if (bone == RIG_LEFT_FOOT ||
        bone == RIG_RIGHT_FOOT) /* both stand flat, whatever their ankles */
        return quat_between(level(own), level(theirs));
    own = quat_turn(above, own);
    if (vec_length(own) < 1e-9 || vec_length(theirs) < 1e-9)
        return above;
    return quat_multiply(quat_between(own, theirs), above);
}

/* Which bones of the body follow which joints, and how they are laid first. */
static void follow_limbs(struct binding *b, bool *driven) {
    const struct motion_figure *figure = &b->bound->figure;
    struct quat aligned[RIG_BONES];
    for (int bone = 0; bone < RIG_BONES; bone++)
        aligned[bone] = quat_identity();
    for (int bone = RIG_LEFT_SHOULDER; bone < RIG_BONES; bone++) {
        int source = source_bone(b, bone), above = rig_bone_parent(bone);
        bool limb = bone > (int)RIG_RIGHT_SHOULDER && above != RIG_HIPS;
        aligned[bone] = limb ? aligned[above] : quat_identity();
        if (figure->bones[bone] < 0)
            continue;
        if (source < 0) {
            b->bound->report.skipped |= (uint64_t)1 << bone;
            continue;
        }
        if (bone > (int)RIG_RIGHT_SHOULDER)
            aligned[bone] = align(b, bone, aligned[bone]);
        b->limbs[b->limb_count++] = (struct follow){source, figure->bones[bone], aligned[bone]};
        driven[figure->bones[bone]] = true;
    }
    for (uint32_t i = 0; i < figure->chain_count; i++)
        driven[figure->chain[i]] = true;
    for (int side = 0; side < 2; side++) /* planting bends them, whether the motion does or not */
        if (figure->bones[RIG_LEFT_TOES + side] >= 0)
            driven[figure->bones[RIG_LEFT_TOES + side]] = true;
}

/* -- Frames ------------------------------------------------------------------------------------ */

/* The middle of a joint's piece of the chain. */
static double middle(const struct motion_figure *figure, uint32_t i) {
    return i + 1 < figure->chain_count ? (figure->share[i] + figure->share[i + 1]) / 2 : 2.5;
}

/* The spine's turn at a share of the way from hips to head. */
static struct quat spine_turn(const struct binding *b, double at) {
    const struct motion_figure *figure = &b->motion->figure;
    uint32_t i = 0;
    while (i + 1 < figure->chain_count && middle(figure, i + 1) < at)
        i++;
    struct quat turn = b->turns[figure->chain[i]];
    if (i + 1 == figure->chain_count || middle(figure, i) >= at)
        return turn;
    double from = middle(figure, i), to = middle(figure, i + 1);
    return quat_mix(turn, b->turns[figure->chain[i + 1]],
                    to > from ? (at - from) / (to - from) : 1);
}

static void write_spine(struct binding *b, uint32_t frame) {
    const struct motion_figure *figure = &b->bound->figure;
    uint32_t last = figure->chain_count - 1;
    for (uint32_t i = 0; i <= last; i++) {
        struct quat turn = spine_turn(b, middle(figure, i));
        if (i == 0 || i == last)
            turn = b->turns[i == 0 ? b->motion->figure.chain[0]
                                   : b->motion->figure.chain[b->motion->figure.chain_count - 1]];
        motion_set_row(b->bound, frame, b->bound->drivers[figure->chain[i]].row, turn);
    }
}

/* Where the motion has its hips, in the body's metres. */
static void write_hips(struct binding *b, uint32_t frame) {
    const struct motion_figure *figure = &b->bound->figure;
    struct vec middle_at = motion_figure_hips(&b->motion->figure, b->places),
               rest = motion_figure_hips(figure, figure->places);
    double path = b->scale * b->options->root_scale,
           ankle = (figure->places[figure->bones[RIG_LEFT_FOOT]].y +
                    figure->places[figure->bones[RIG_RIGHT_FOOT]].y) /
                   2;
    int hips = figure->chain[0];
    struct vec at = {middle_at.x * path,
                     ankle + (middle_at.y - (double)b->floors[frame]) * b->scale,
                     middle_at.z * path};
    struct quat turn = motion_row(b->bound, frame, b->bound->drivers[hips].row);
    at = vec_sub(at, quat_turn(turn, vec_sub(rest, figure->places[hips])));
    float *out = b->bound->places + 3 * (size_t)frame;
    out[0] = (float)at.x, out[1] = (float)at.y, out[2] = (float)at.z;
}

static void write_frame(struct binding *b, uint32_t frame) {
    const struct motion_figure *figure = &b->bound->figure;
    sample(b, frame);
    write_spine(b, frame);
    for (uint32_t i = 0; i < b->limb_count; i++)
        motion_set_row(b->bound, frame, b->bound->drivers[b->limbs[i].row].row,
                       quat_multiply(b->turns[b->limbs[i].source], b->limbs[i].align));
    write_hips(b, frame);
    for (int side = 0; side < 2; side++) {
        int toes = figure->bones[RIG_LEFT_TOES + side], foot = source_bone(b, RIG_LEFT_FOOT + side),
            ball = source_bone(b, RIG_LEFT_TOES + side);
        if (toes >= 0 && ball < 0) /* along with the foot */
            motion_set_row(b->bound, frame, b->bound->drivers[toes].row,
                           motion_row(b->bound, frame,
                                      b->bound->drivers[figure->bones[RIG_LEFT_FOOT + side]].row));
        struct vec floor = {0, (double)b->floors[frame], 0};
        b->steps.ankles[side][frame] = vec_scale(vec_sub(b->places[foot], floor), b->scale);
        b->steps.balls[side][frame] =
            vec_scale(vec_sub(b->places[ball >= 0 ? ball : foot], floor), b->scale);
    }
}

/* -- The ground -------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* Around each frame the mean of the heights that are no more than `thick` above the least one
 * there; `otherwise` where there are none. Heights of INFINITY do not count. */
static void low_means(const float *heights, float *means, int64_t count, int64_t reach, float thick,
                      float otherwise) {
    for (int64_t i = 0; i < count; i++) {
        int64_t first = i > reach ? i - reach : 0, last = i + reach < count ? i + reach : count - 1;
        float least = INFINITY, sum = 0, weight = 0;
        for (int64_t k = first; k <= last; k++)
            least = fminf(least, heights[k]);
        for (int64_t k = first; k <= last; k++) {
            bool counts = isfinite(heights[k]) && heights[k] <= least + thick;
            sum += counts ? heights[k] : 0;
            weight += counts ? 1 : 0;
        }
        means[i] = weight > 0 ? sum / weight : otherwise;
    }
}

/* Heights of the lower ankle while it is slow, others INFINITY. */
static void read_heights(struct binding *b, float *heights) {
    const struct motion_track *track = &b->motion->tracks[b->clip];
    double leg = motion_figure_leg(&b->motion->figure),
           slow = b->options->tuning.contact_speed * leg / usual_leg;
    struct vec before[2] = {{0, 0, 0}, {0, 0, 0}};
    for (uint32_t frame = 0; frame < b->bound->frames; frame++) {
        sample(b, frame);
        struct vec ankles[] = {b->places[source_bone(b, RIG_LEFT_FOOT)],
                               b->places[source_bone(b, RIG_RIGHT_FOOT)]};
        int low = ankles[1].y < ankles[0].y;
        bool stands = frame > 0 && vec_distance(ankles[low], before[low]) * track->rate < slow;
        heights[frame] = stands ? (float)ankles[low].y : INFINITY;
        memcpy(before, ankles, sizeof before);
    }
}

/* The height at which the motion's ankles stand: that of the lowest standing ones of the whole,
 * and, no further from it than `slope`, of those around each frame. */
static int find_floor(struct binding *b, struct err *err) {
    uint32_t frames = b->bound->frames, standing = 0;
    const struct motion_track *track = &b->motion->tracks[b->clip];
    int64_t reach = (int64_t)fmin(0.8 * track->rate, 400);
    double leg = motion_figure_leg(&b->motion->figure) / usual_leg;
    float *heights = malloc(2 * sizeof *heights * frames), *sorted = heights + frames,
          thick = (float)(0.7 * b->options->tuning.contact_height * leg),
          slope = (float)(b->options->tuning.slope * leg);
    b->floors = malloc(frames * sizeof *b->floors);
    if (heights == NULL || b->floors == NULL) {
        free(heights);
        return no_memory(b, err);
    }
    read_heights(b, heights);
    memcpy(sorted, heights, frames * sizeof *sorted);
    qsort(sorted, frames, sizeof *sorted, compare);
    while (standing < frames && isfinite(sorted[standing]))
        standing++;
    if (standing == 0) { /* nobody stands in a single picture, or in free fall */
        sample(b, 0);
        sorted[0] = (float)fmin(b->places[source_bone(b, RIG_LEFT_FOOT)].y,
                                b->places[source_bone(b, RIG_RIGHT_FOOT)].y);
    }
    float base = sorted[standing / 20];
    for (uint32_t frame = 0; frame < frames; frame++)
        if (fabsf(heights[frame] - base) > slope)
            heights[frame] = INFINITY;
    low_means(heights, sorted, frames, reach, thick, base);
    low_means(sorted, b->floors, frames, reach, INFINITY, base);
    b->ankle = (double)base;
    free(heights);
    return 0;
}

/* Where the first frame stands, and where it looks. */
static void find_start(struct binding *b) {
    b->start = (struct vec){0, 0, 0};
    b->face = quat_identity();
    sample(b, 0);
    struct vec hips = motion_figure_hips(&b->motion->figure, b->places);
    b->start = (struct vec){hips.x, 0, hips.z};
    if (b->options->front) {
        struct vec front = quat_turn(b->turns[b->motion->figure.chain[0]], (struct vec){0, 0, 1});
        b->face = quat_about((struct vec){0, 1, 0}, -atan2(front.x, front.z));
    }
}

/* Takes the way over the ground out, but for how the hips sway about it. */
static int stay(struct scene_motion *bound, double rate, struct err *err) {
    int64_t half = (int64_t)(0.5 * rate), frames = bound->frames;
    double *sum = malloc(2 * ((size_t)frames + 1) * sizeof *sum);
    if (sum == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory for a motion", bound->name);
    sum[0] = sum[1] = 0;
    for (int64_t i = 0; i < frames; i++)
        for (int k = 0; k < 2; k++)
            sum[2 * i + 2 + k] = sum[2 * i + k] + (double)bound->places[3 * i + 2 * k];
    for (int64_t i = 0; i < frames; i++) {
        int64_t reach = half < i ? half : i;
        reach = reach < frames - 1 - i ? reach : frames - 1 - i;
        for (int k = 0; k < 2; k++) {
            double mean =
                (sum[2 * (i + reach + 1) + k] - sum[2 * (i - reach) + k]) / (double)(2 * reach + 1);
            bound->places[3 * i + 2 * k] -= (float)mean;
        }
    }
    struct vec hips = bound->figure.places[bound->figure.chain[0]];
    for (int64_t i = 0; i < frames; i++) {
        bound->places[3 * i] += (float)hips.x;
        bound->places[3 * i + 2] += (float)hips.z;
    }
    free(sum);
    return 0;
}

/* -- The whole --------------------------------------------------------------------------------- */

static int check_options(const struct motion_options *options, const char *name, struct err *err) {
    const struct motion_tuning *t = &options->tuning;
    if (!(options->speed >= 0.01 && options->speed <= 100))
        return err_set(err, ERR_INVALID, "%s: speed must be 0.01 to 100, not %g", name,
                       options->speed);
    if (!(options->root_scale >= 0 && options->root_scale <= 100))
        return err_set(err, ERR_INVALID, "%s: root_scale must be 0 to 100, not %g", name,
                       options->root_scale);
    if (!(t->contact_height >= 0 && t->release_height >= t->contact_height &&
          t->contact_speed >= 0 && t->release_speed >= t->contact_speed && t->blend >= 0 &&
          t->blend <= 10 && t->shortest >= 0 && t->shuffle > 0 && t->slope >= 0 && t->reach > 0.5 &&
          t->reach <= 1 && t->sink >= 0))
        return err_set(err, ERR_INVALID,
                       "%s: tuning: release_height and release_speed may not be below those of "
                       "contact, reach is 0.5 to 1, nothing is negative",
                       name);
    return 0;
}

static int binding_init(struct binding *b, struct err *err) {
    const struct motion_figure *figure = &b->motion->figure;
    uint32_t frames = b->bound->frames;
    size_t joints = figure->count;
    if (b->motion->scene != NULL)
        joints = scene_joint_count(b->motion->scene);
    b->turns = malloc(joints * sizeof *b->turns);
    b->places = malloc(joints * sizeof *b->places);
    b->rests = malloc(joints * sizeof *b->rests);
    b->scratch = malloc(12 * joints * sizeof *b->scratch);
    bool ready = b->turns != NULL && b->places != NULL && b->rests != NULL && b->scratch != NULL;
    for (int side = 0; side < 2; side++) {
        b->steps.ankles[side] = malloc(frames * sizeof *b->steps.ankles[side]);
        b->steps.balls[side] = malloc(frames * sizeof *b->steps.balls[side]);
        ready = ready && b->steps.ankles[side] != NULL && b->steps.balls[side] != NULL;
    }
    for (uint32_t i = 0; ready && i < figure->count; i++) {
        b->rests[i] = figure->places[i];
        b->rests[i].x *= b->options->mirror ? -1 : 1;
    }
    return ready ? 0 : no_memory(b, err);
}

static void binding_deinit(struct binding *b) {
    free(b->turns);
    free(b->places);
    free(b->rests);
    free(b->scratch);
    free(b->floors);
    for (int side = 0; side < 2; side++) {
        free(b->steps.ankles[side]);
        free(b->steps.balls[side]);
    }
}

static int make_rows(struct binding *b, struct err *err) {
    struct scene_motion *bound = b->bound;
    bool *driven = calloc(bound->figure.count, sizeof *driven);
    int rc = driven != NULL ? 0 : no_memory(b, err);
    if (rc == 0) {
        follow_limbs(b, driven);
        rc = motion_drivers_make(bound, driven, err);
    }
    free(driven);
    if (rc != 0)
        return rc;
    if ((uint64_t)bound->frames * bound->rows > MAX_ROWS_IN_ALL)
        return err_set(err, ERR_TOO_LARGE, "%s: %u frames of %u bones; %d million turns are bound",
                       bound->name, bound->frames, bound->rows, MAX_ROWS_IN_ALL >> 20);
    bound->turns = malloc(4 * sizeof *bound->turns * bound->frames * bound->rows);
    bound->places = malloc(3 * sizeof *bound->places * bound->frames);
    bound->planted = calloc(bound->frames, 1);
    return bound->turns != NULL && bound->places != NULL && bound->planted != NULL
               ? 0
               : no_memory(b, err);
}

static char *name_of(const struct motion *motion, uint32_t clip) {
    char *name = NULL;
    const char *own = motion->tracks[clip].name;
    if (strcmp(own, motion->name) == 0)
        return strdup(own);
    return asprintf(&name, "%s#%s", motion->name, own) < 0 ? NULL : name;
}

static int bind_clip(struct binding *b, struct err *err) {
    struct scene_motion *bound = b->bound;
    double rate = b->motion->tracks[b->clip].rate;
    int rc = motion_body_figure(bound->body, &bound->figure, err);
    if (rc == 0)
        rc = binding_init(b, err);
    if (rc == 0)
        rc = make_rows(b, err);
    if (rc != 0)
        return rc;
    b->scale = motion_figure_leg(&bound->figure) / motion_figure_leg(&b->motion->figure);
    find_start(b);
    rc = find_floor(b, err);
    if (rc != 0)
        return rc;
    for (uint32_t frame = 0; frame < bound->frames; frame++)
        write_frame(b, frame);
    bound->report.scale = b->scale;
    bound->report.floor = b->ankle * b->scale;
    bound->report.bones = bound->rows;
    if (!b->options->loose_feet)
        rc = motion_feet_plant(bound, &b->steps, rate, &b->options->tuning, err);
    if (rc == 0 && b->options->in_place)
        rc = stay(bound, rate, err);
    return rc;
}

int scene_motion_new(const struct motion *motion, uint32_t clip, struct scene *body,
                     const struct motion_options *options, struct scene_motion **out,
                     struct err *err) {
    const struct motion_options usual = motion_options_default();
    struct binding b = {.motion = motion,
                        .clip = clip,
                        .options = options != NULL ? options : &usual,
                        .face = quat_identity()};
    if (clip >= motion->track_count)
        return err_set(err, ERR_NOT_FOUND, "%s has %u clips, there is no clip %u", motion->name,
                       motion->track_count, clip + 1);
    int rc = check_options(b.options, motion->name, err);
    if (rc != 0)
        return rc;
    struct scene_motion *bound = calloc(1, sizeof *bound);
    if (bound == NULL)
        return no_memory(&b, err);
    atomic_init(&bound->holders, 1);
    b.bound = bound;
    bound->body = scene_retain(body);
    bound->frames = motion->tracks[clip].frames;
    bound->rate = motion->tracks[clip].rate * b.options->speed;
    bound->name = name_of(motion, clip);
    rc = bound->name != NULL ? bind_clip(&b, err) : no_memory(&b, err);
    binding_deinit(&b);
    if (rc == 0)
        *out = bound;
    else
        scene_motion_release(bound);
    return rc;
}
