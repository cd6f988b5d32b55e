/* track.c - gpu_pose_track: the next frames of several streams, in one batch. */
#include "fail.h"
#include "pose/engine.h"

#include <math.h>

static const double longest_time = 9e12; /* seconds: as microseconds still an int64_t */

static bool covers(const struct gpu_picture *picture, const struct pose_roi *roi) {
    uint32_t part[4];
    pose_roi_bounds(roi, picture->whole_width, picture->whole_height, part);
    return part[0] >= picture->x && part[0] + part[2] <= picture->x + picture->width &&
           part[1] >= picture->y && part[1] + part[3] <= picture->y + picture->height;
}

/* Asks for the squares of those who are followed into picture `item`. */
static int gather_followed(struct gpu_pose_engine *engine, const struct gpu_pose_session *session,
                           const struct gpu_picture *picture, uint32_t item, char *why) {
    if (pose_session_anew(session, picture->whole_width, picture->whole_height))
        return GPU_OK;
    for (uint32_t i = 0; i < session->track_count; i++) {
        const struct pose_track *track = &session->tracks[i];
        if (!track->followed)
            continue;
        if (!covers(picture, &track->roi))
            return gpu_fail(why, GPU_EINVAL,
                            "picture %u holds %u x %u at (%u, %u), but more of it is looked at: "
                            "ask gpu_pose_session_window",
                            item, picture->width, picture->height, picture->x, picture->y);
        pose_engine_crop(engine, picture, &track->roi,
                         (struct pose_crop){.item = item, .track = (int32_t)i});
    }
    return GPU_OK;
}

/* And those that the detector found, but where somebody is looked at already. */
static void gather_found(struct gpu_pose_engine *engine, const struct gpu_pose_session *session,
                         const struct gpu_picture *picture, uint32_t item) {
    const struct pose_look *look = &engine->looks[item];
    uint32_t asked = engine->crop_count, end = asked, room = session->options.people;
    while (asked > 0 && engine->crops[asked - 1].item == item)
        asked--;
    for (uint32_t i = 0; i < look->count && room > 0; i++) {
        uint32_t known = asked;
        while (known < end && !pose_roi_same(&engine->crop_rois[known], &look->rois[i]))
            known++;
        if (known < end)
            continue;
        pose_engine_crop(engine, picture, &look->rois[i],
                         (struct pose_crop){.item = item, .track = -1});
        room--;
    }
}

static int look(struct gpu_pose_engine *engine, struct gpu_pose_session *const *sessions,
                const struct gpu_picture *pictures, const double *times, uint32_t count,
                char *why) {
    for (uint32_t i = 0; i < count; i++) {
        engine->looks[i].wanted =
            pose_session_looks(sessions[i], pictures[i].whole_width, pictures[i].whole_height,
                               pose_microseconds(times[i]));
        engine->looks[i].least = sessions[i]->options.min_detection;
        engine->looks[i].count = 0;
        if (engine->looks[i].wanted && !pose_picture_whole(&pictures[i]))
            return gpu_fail(why, GPU_EINVAL,
                            "picture %u is a part, but the detector runs and needs the whole: "
                            "ask gpu_pose_session_window",
                            i);
    }
    int code = pose_engine_find(engine, pictures, count, why);
    for (uint32_t i = 0; i < count && code == GPU_OK; i++) {
        code = gather_followed(engine, sessions[i], &pictures[i], i, why);
        gather_found(engine, sessions[i], &pictures[i], i);
    }
    return code == GPU_OK ? pose_engine_landmarks(engine, why) : code;
}

/* All is known: no failure from here on. */
static void take(struct gpu_pose_engine *engine, struct gpu_pose_session *const *sessions,
                 const struct gpu_picture *pictures, const double *times, uint32_t count,
                 struct gpu_pose_people *people) {
    uint32_t crop = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t width = pictures[i].whole_width, height = pictures[i].whole_height, results = 0;
        for (; crop < engine->crop_count && engine->crops[crop].item == i; crop++) {
            struct pose_result *result = &engine->results[results++];
            result->track = engine->crops[crop].track;
            pose_project(&engine->raws[crop], &engine->crop_rois[crop], width, height,
                         &result->found);
        }
        pose_session_take(sessions[i], width, height, pose_microseconds(times[i]),
                          engine->looks[i].wanted, engine->results, results, &people[i]);
    }
}

int gpu_pose_track(struct gpu_pose_engine *engine, struct gpu_pose_session *const *sessions,
                   const struct gpu_picture *pictures, const double *times, uint32_t count,
                   struct gpu_pose_people *people, char *why) {
    uint32_t entered = 0, crops = 0;
    int code = GPU_OK;
    while (entered < count && code == GPU_OK) {
        uint32_t i = entered;
        if (sessions[i]->busy) {
            code = gpu_fail(why, GPU_EINVAL, "session %u is in this call twice", i);
            break;
        }
        sessions[i]->busy = true;
        entered++;
        crops += 2 * sessions[i]->options.people;
        code = pose_picture_check(&pictures[i], i, why);
        if (code == GPU_OK && !(fabs(times[i]) < longest_time))
            code =
                gpu_fail(why, GPU_EINVAL, "time %g of picture %u is not in seconds", times[i], i);
    }
    if (code == GPU_OK)
        code = pose_engine_begin(engine, count, crops, why);
    if (code == GPU_OK)
        code = look(engine, sessions, pictures, times, count, why);
    if (code == GPU_OK)
        take(engine, sessions, pictures, times, count, people);
    while (entered > 0)
        sessions[--entered]->busy = false;
    return code;
}
