/* session.c - see session.h; the public functions are described in stance_gpu.h. */
#include "pose/session.h"

#include "fail.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t memory = 2000000;  /* microseconds that a lost person is remembered */
static const int64_t coasting = 700000; /* that a lost person is believed to go on moving */
static const float speed_time = 0.15f;  /* seconds over which speed is averaged */
static const float farthest = 0.5f;     /* distance of a person from where they should be */
static const float own_square = 0.1f;   /* the same, forgiven to what a person's own square shows */

/* -- Options and life ---------------------------------------------------------------------------
 */

void gpu_pose_options_default(struct gpu_pose_options *options) {
    *options = (struct gpu_pose_options){
        .people = 1, .min_detection = 0.5f, .min_tracking = 0.5f, .smooth = true, .redetect = 0.5};
}

int pose_options_check(const struct gpu_pose_options *options, char *why) {
    if (options->people < 1 || options->people > GPU_POSE_MAX_PEOPLE)
        return gpu_fail(why, GPU_EINVAL, "people is %u: 1 to %d can be followed", options->people,
                        GPU_POSE_MAX_PEOPLE);
    if (!(options->min_detection >= 0.0f && options->min_detection <= 1.0f))
        return gpu_fail(why, GPU_EINVAL, "min_detection is %g: 0 to 1",
                        (double)options->min_detection);
    if (!(options->min_tracking >= 0.0f && options->min_tracking <= 1.0f))
        return gpu_fail(why, GPU_EINVAL, "min_tracking is %g: 0 to 1",
                        (double)options->min_tracking);
    if (!(options->redetect >= 0.0 && options->redetect < 1e6))
        return gpu_fail(why, GPU_EINVAL, "redetect is %g: seconds, 0 to 1e6", options->redetect);
    return GPU_OK;
}

int gpu_pose_session_new(const struct gpu_pose_options *options, struct gpu_pose_session **out,
                         char *why) {
    *out = NULL;
    int code = pose_options_check(options, why);
    if (code != GPU_OK)
        return code;
    uint32_t tracks = options->people == 1 ? 1 : 2 * options->people;
    struct gpu_pose_session *session =
        calloc(1, sizeof *session + tracks * sizeof *session->tracks);
    if (session == NULL)
        return gpu_fail(why, GPU_ENOMEM, "no memory for a pose session");
    session->options = *options;
    session->track_count = tracks;
    *out = session;
    return GPU_OK;
}

void gpu_pose_session_free(struct gpu_pose_session *session) {
    free(session);
}

static void forget_all(struct gpu_pose_session *session) {
    memset(session->tracks, 0, session->track_count * sizeof *session->tracks);
}

void gpu_pose_session_reset(struct gpu_pose_session *session) {
    forget_all(session);
    session->width = session->height = session->last_id = 0;
}

/* -- Before a frame -----------------------------------------------------------------------------
 */

/* Cut, not rounded, as MediaPipe does; but what binary fractions left below a whole one is one. */
int64_t pose_microseconds(double seconds) {
    return (int64_t)floor(seconds * 1e6 + 0.01);
}

bool pose_session_anew(const struct gpu_pose_session *session, uint32_t width, uint32_t height) {
    return session->width != width || session->height != height;
}

static uint32_t followed(const struct gpu_pose_session *session) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < session->track_count; i++)
        count += session->tracks[i].followed;
    return count;
}

bool pose_session_looks(const struct gpu_pose_session *session, uint32_t width, uint32_t height,
                        int64_t time) {
    uint32_t count = followed(session);
    if (count == 0 || pose_session_anew(session, width, height))
        return true;
    return count < session->options.people &&
           (time < session->looked ||
            time - session->looked >= pose_microseconds(session->options.redetect));
}

void gpu_pose_session_window(const struct gpu_pose_session *session, uint32_t width,
                             uint32_t height, double time, uint32_t window[4]) {
    window[0] = window[1] = 0;
    window[2] = width;
    window[3] = height;
    if (width == 0 || height == 0 ||
        pose_session_looks(session, width, height, pose_microseconds(time)))
        return;
    uint32_t left = width, top = height, right = 0, bottom = 0;
    for (uint32_t i = 0; i < session->track_count; i++) {
        uint32_t part[4];
        if (!session->tracks[i].followed)
            continue;
        pose_roi_bounds(&session->tracks[i].roi, width, height, part);
        left = part[0] < left ? part[0] : left;
        top = part[1] < top ? part[1] : top;
        right = part[0] + part[2] > right ? part[0] + part[2] : right;
        bottom = part[1] + part[3] > bottom ? part[1] + part[3] : bottom;
    }
    window[0] = left;
    window[1] = top;
    window[2] = right - left;
    window[3] = bottom - top;
}

/* -- After a frame ------------------------------------------------------------------------------
 */

bool pose_found_holds(const struct pose_found *found, float least) {
    float sum = 0.0f;
    for (uint32_t i = 0; i < GPU_POSE_LANDMARKS; i++)
        for (int k = 0; k < 4; k++)
            sum += found->person.landmarks[i][k] + found->person.world[i][k];
    for (int i = 0; i < 4; i++)
        sum += found->circle[i / 2][i % 2];
    return found->person.score > least && isfinite(sum);
}

/* How far a person has moved since they were seen, if they went on as they did. */
static void motion(const struct pose_track *track, int64_t time, float shift[2]) {
    int64_t passed = time - track->seen;
    passed = passed < 0 ? 0 : passed > coasting ? coasting : passed;
    for (int axis = 0; axis < 2; axis++)
        shift[axis] = track->speed[axis] * (float)passed * 1e-6f;
}

/* The middle of the hips. */
static void middle(const struct pose_places *places, float out[2]) {
    for (int axis = 0; axis < 2; axis++)
        out[axis] = 0.5f * (places->at[23][axis] + places->at[24][axis]);
}

static void lose(struct gpu_pose_session *session, struct pose_track *track) {
    track->followed = false;
    pose_filters_lose(&track->filters, session->options.sane_reset);
}

/* `found` is the track's person at `time`; smooths it. */
static void follow(struct gpu_pose_session *session, struct pose_track *track, int64_t time,
                   struct pose_found *found) {
    struct pose_places places;
    pose_places_of(&found->person, session->width, session->height, &places);
    float seconds = (float)(time - track->seen) * 1e-6f;
    if (track->seen != 0 && seconds > 0.0f) {
        float before[2], now[2], part = 1.0f - expf(-seconds / speed_time);
        middle(&track->places, before);
        middle(&places, now);
        for (int axis = 0; axis < 2; axis++)
            track->speed[axis] +=
                part * ((now[axis] - before[axis]) / seconds - track->speed[axis]);
    }
    track->places = places;
    track->seen = time;
    pose_filters_apply(&track->filters, time, session->options.smooth, session->width,
                       session->height, found);
    track->roi =
        pose_roi_of_circle(found->circle[0], found->circle[1], session->width, session->height);
    track->followed = pose_roi_usable(&track->roi);
    if (!track->followed)
        lose(session, track);
    found->person.id = track->id;
}

/* A newcomer takes the place of nobody, or of who was lost longest ago. There is one: fewer than
 * half of the tracks are followed, or none of one. */
static struct pose_track *newcomer(struct gpu_pose_session *session) {
    struct pose_track *oldest = NULL;
    for (uint32_t i = 0; i < session->track_count; i++) {
        struct pose_track *track = &session->tracks[i];
        if (track->followed)
            continue;
        if (oldest == NULL || track->id == 0 || (oldest->id != 0 && track->seen < oldest->seen))
            oldest = track;
    }
    struct pose_filters kept = oldest->filters;
    memset(oldest, 0, sizeof *oldest);
    if (session->options.people == 1)
        oldest->filters = kept; /* what pose_filters_lose left: MediaPipe knows no persons */
    oldest->id = ++session->last_id;
    return oldest;
}

/* How unlike a track's person a result is. */
static float unlikeness(const struct gpu_pose_session *session, uint32_t index, int64_t time,
                        const struct pose_result *result, const struct pose_places *places) {
    const struct pose_track *track = &session->tracks[index];
    bool own = result->track == (int32_t)index;
    if (track->id == 0)
        return farthest;
    if (own && session->options.people == 1)
        return 0.0f; /* as far as they may jump: MediaPipe asks no further */
    float shift[2];
    motion(track, time, shift);
    float distance = pose_places_distance(&track->places, shift, places);
    return own ? fmaxf(distance - own_square, 0.0f) : distance;
}

static void forget_old(struct gpu_pose_session *session, int64_t time) {
    for (uint32_t i = 0; i < session->track_count; i++) {
        struct pose_track *track = &session->tracks[i];
        if (track->id != 0 && !track->followed && llabs(time - track->seen) > memory)
            track->id = 0;
    }
}

/* Drops what is no person, and second sights of one. What two followed persons' squares show is
 * nobody's by right: motion decides whom it is. */
static uint32_t sift(const struct gpu_pose_session *session, struct pose_result *results,
                     uint32_t count, struct pose_places *places) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct pose_result *result = &results[i];
        if (!pose_found_holds(&result->found, session->options.min_tracking))
            continue;
        pose_places_of(&result->found.person, session->width, session->height, &places[kept]);
        uint32_t twin = 0;
        while (twin < kept && !pose_places_same(&places[twin], &places[kept]))
            twin++;
        if (twin < kept) {
            if (result->track >= 0)
                results[twin].track = -1;
            continue;
        }
        results[kept++] = *result;
    }
    return kept;
}

static void present(struct gpu_pose_people *people, const struct gpu_pose_person *person) {
    uint32_t place = people->count++;
    for (; place > 0 && people->person[place - 1].id > person->id; place--)
        people->person[place] = people->person[place - 1];
    people->person[place] = *person;
}

/* Whose each result is: an index of a track, or -1 for somebody new. */
static void recognise(const struct gpu_pose_session *session, int64_t time,
                      const struct pose_result *results, const struct pose_places *places,
                      uint32_t count, int32_t *track_of) {
    float cost[POSE_ASSIGN_ROOM * POSE_ASSIGN_ROOM] = {0};
    for (uint32_t k = 0; k < count; k++)
        for (uint32_t i = 0; i < session->track_count; i++)
            cost[k * session->track_count + i] =
                unlikeness(session, i, time, &results[k], &places[k]);
    pose_assign(cost, count, session->track_count, farthest, track_of);
}

void pose_session_take(struct gpu_pose_session *session, uint32_t width, uint32_t height,
                       int64_t time, bool looked, struct pose_result *results, uint32_t count,
                       struct gpu_pose_people *people) {
    struct pose_places places[POSE_ASSIGN_ROOM];
    int32_t track_of[POSE_ASSIGN_ROOM];
    enum { FOLLOWED, REMEMBERED, NEW } right[POSE_ASSIGN_ROOM];
    if (pose_session_anew(session, width, height))
        forget_all(session);
    session->width = width;
    session->height = height;
    session->looked = looked ? time : session->looked;
    people->count = 0;
    people->detected = looked;
    forget_old(session, time);
    count = sift(session, results, count, places);
    recognise(session, time, results, places, count, track_of);
    bool seen[POSE_ASSIGN_ROOM] = {false};
    for (uint32_t k = 0; k < count; k++) {
        int32_t i = track_of[k];
        right[k] = i < 0 ? NEW : session->tracks[i].followed ? FOLLOWED : REMEMBERED;
        if (i >= 0)
            seen[i] = true;
    }
    for (uint32_t i = 0; i < session->track_count; i++)
        if (session->tracks[i].followed && !seen[i])
            lose(session, &session->tracks[i]);
    for (int turn = FOLLOWED; turn <= NEW; turn++) {
        for (uint32_t k = 0; k < count && people->count < session->options.people; k++) {
            if ((int)right[k] != turn)
                continue;
            follow(session, turn == NEW ? newcomer(session) : &session->tracks[track_of[k]], time,
                   &results[k].found);
            present(people, &results[k].found.person);
        }
    }
}
