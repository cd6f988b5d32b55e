/* detect.c - gpu_pose_detect: pictures that have nothing to do with each other. */
#include "fail.h"
#include "pose/engine.h"

#include <string.h>

/* Puts somebody found into the list, but one who is in it. */
static void accept(struct gpu_pose_people *people, const struct gpu_pose_options *options,
                   const struct gpu_picture *picture, const struct pose_found *found) {
    struct pose_places places, other;
    if (people->count == options->people || !pose_found_holds(found, options->min_tracking))
        return;
    pose_places_of(&found->person, picture->whole_width, picture->whole_height, &places);
    for (uint32_t i = 0; i < people->count; i++) {
        pose_places_of(&people->person[i], picture->whole_width, picture->whole_height, &other);
        if (pose_places_same(&places, &other))
            return;
    }
    people->person[people->count] = found->person;
    people->person[people->count].id = people->count + 1;
    people->count++;
}

/* The next best squares of each picture that lacks people. MediaPipe, which wants one person, looks
 * at the best square alone, whatever is in it. */
static void gather(struct gpu_pose_engine *engine, const struct gpu_pose_options *options,
                   const struct gpu_picture *pictures, uint32_t count,
                   const struct gpu_pose_people *people) {
    engine->crop_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct pose_look *look = &engine->looks[i];
        uint32_t lacking = options->people - people[i].count;
        uint32_t squares = lacking < look->count ? lacking : look->count;
        for (uint32_t k = 0; k < squares; k++)
            pose_engine_crop(engine, &pictures[i], &look->rois[k],
                             (struct pose_crop){.item = i, .track = -1});
        look->count = options->people == 1 ? 0 : look->count - squares;
        memmove(look->rois, look->rois + squares, look->count * sizeof *look->rois);
    }
}

int gpu_pose_detect(struct gpu_pose_engine *engine, const struct gpu_pose_options *options,
                    const struct gpu_picture *pictures, uint32_t count,
                    struct gpu_pose_people *people, char *why) {
    int code = pose_options_check(options, why);
    for (uint32_t i = 0; i < count && code == GPU_OK; i++) {
        code = pose_picture_check(&pictures[i], i, why);
        if (code == GPU_OK && !pose_picture_whole(&pictures[i]))
            code =
                gpu_fail(why, GPU_EINVAL, "picture %u is a part: the detector needs the whole", i);
    }
    if (code == GPU_OK)
        code = pose_engine_begin(engine, count, count * options->people, why);
    if (code != GPU_OK)
        return code;
    for (uint32_t i = 0; i < count; i++) {
        engine->looks[i].wanted = true;
        engine->looks[i].least = options->min_detection;
        people[i].count = 0;
        people[i].detected = true;
    }
    code = pose_engine_find(engine, pictures, count, why);
    while (code == GPU_OK) {
        gather(engine, options, pictures, count, people);
        if (engine->crop_count == 0)
            break;
        code = pose_engine_landmarks(engine, why);
        for (uint32_t i = 0; i < engine->crop_count && code == GPU_OK; i++) {
            const struct gpu_picture *picture = engine->crop_pictures[i];
            struct pose_found found;
            pose_project(&engine->raws[i], &engine->crop_rois[i], picture->whole_width,
                         picture->whole_height, &found);
            accept(&people[engine->crops[i].item], options, picture, &found);
        }
    }
    return code;
}
