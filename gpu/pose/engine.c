/* engine.c - see engine.h; the public functions are described in stance_gpu.h. */
#include "pose/engine.h"

#include "fail.h"

#include <stdio.h>
#include <stdlib.h>

enum { LONGEST_SIDE = 65535 };

/* -- Life ---------------------------------------------------------------------------------------
 */

static void graphs_free(struct pose_graphs *graphs) {
    net_graph_free(graphs->detector);
    net_graph_free(graphs->landmarks);
    *graphs = (struct pose_graphs){0};
}

void gpu_pose_engine_free(struct gpu_pose_engine *engine) {
    if (engine == NULL)
        return;
    engine->backend->free(engine->backend);
    graphs_free(&engine->graphs);
    free(engine->looks);
    free(engine->crops);
    free(engine->crop_pictures);
    free(engine->crop_rois);
    free(engine->raws);
    free(engine);
}

int pose_engine_new(struct pose_backend *backend, struct pose_graphs graphs,
                    pose_backend_maker *spare, struct gpu_pose_engine **out, char *why) {
    struct gpu_pose_engine *engine = calloc(1, sizeof *engine);
    *out = NULL;
    if (engine == NULL) {
        graphs_free(&graphs);
        backend->free(backend);
        return gpu_fail(why, GPU_ENOMEM, "no memory for a pose engine");
    }
    engine->backend = backend;
    engine->graphs = graphs;
    engine->spare = spare;
    int code = pose_engine_begin(engine, 1, 2, why);
    if (code != GPU_OK) {
        gpu_pose_engine_free(engine);
        return code;
    }
    *out = engine;
    return GPU_OK;
}

const char *gpu_pose_engine_backend(const struct gpu_pose_engine *engine) {
    return engine->backend->name;
}

const char *gpu_pose_engine_fallback(const struct gpu_pose_engine *engine) {
    return engine->fallback[0] != '\0' ? engine->fallback : NULL;
}

size_t gpu_pose_engine_memory(const struct gpu_pose_engine *engine) {
    size_t crop = sizeof *engine->crops + sizeof *engine->crop_pictures +
                  sizeof *engine->crop_rois + sizeof *engine->raws;
    return sizeof *engine + engine->look_room * sizeof *engine->looks + engine->crop_room * crop +
           engine->backend->memory(engine->backend);
}

/* -- Scratch ------------------------------------------------------------------------------------
 */

/* An array that may be lost and made anew larger: what it holds is of the last call. */
static bool regrow(void *array, size_t count, size_t size) {
    void **at = array;
    free(*at);
    *at = calloc(count, size);
    return *at != NULL;
}

int pose_engine_begin(struct gpu_pose_engine *engine, uint32_t pictures, uint32_t crops,
                      char *why) {
    engine->crop_count = 0;
    if (pictures > engine->look_room) {
        engine->look_room = 0;
        if (!regrow(&engine->looks, pictures, sizeof *engine->looks))
            return gpu_fail(why, GPU_ENOMEM, "no memory to look at %u pictures at once", pictures);
        engine->look_room = pictures;
    }
    if (crops > engine->crop_room) {
        engine->crop_room = 0;
        if (!regrow(&engine->crops, crops, sizeof *engine->crops) ||
            !regrow(&engine->crop_pictures, crops, sizeof *engine->crop_pictures) ||
            !regrow(&engine->crop_rois, crops, sizeof *engine->crop_rois) ||
            !regrow(&engine->raws, crops, sizeof *engine->raws))
            return gpu_fail(why, GPU_ENOMEM, "no memory to look for %u people at once", crops);
        engine->crop_room = crops;
    }
    return GPU_OK;
}

/* -- Pictures -----------------------------------------------------------------------------------
 */

bool pose_picture_whole(const struct gpu_picture *picture) {
    return picture->x == 0 && picture->y == 0 && picture->width == picture->whole_width &&
           picture->height == picture->whole_height;
}

int pose_picture_check(const struct gpu_picture *picture, uint32_t index, char *why) {
    if (picture->rgb == NULL)
        return gpu_fail(why, GPU_EINVAL, "picture %u has no pixels", index);
    if (picture->channels != 3 && picture->channels != 4)
        return gpu_fail(why, GPU_EINVAL, "picture %u has %u bytes a pixel: 3 or 4", index,
                        picture->channels);
    if (picture->whole_width < 1 || picture->whole_width > LONGEST_SIDE ||
        picture->whole_height < 1 || picture->whole_height > LONGEST_SIDE)
        return gpu_fail(why, GPU_EINVAL, "picture %u is %u x %u: 1 to %d pixels a side", index,
                        picture->whole_width, picture->whole_height, LONGEST_SIDE);
    if (picture->width < 1 || picture->width > picture->whole_width ||
        picture->x > picture->whole_width - picture->width || picture->height < 1 ||
        picture->height > picture->whole_height ||
        picture->y > picture->whole_height - picture->height)
        return gpu_fail(why, GPU_EINVAL,
                        "picture %u: the part of %u x %u at (%u, %u) is not inside %u x %u", index,
                        picture->width, picture->height, picture->x, picture->y,
                        picture->whole_width, picture->whole_height);
    if (picture->stride < (size_t)picture->width * picture->channels)
        return gpu_fail(why, GPU_EINVAL, "picture %u: %zu bytes a row are too few for %u pixels",
                        index, picture->stride, picture->width);
    return GPU_OK;
}

/* -- Steps --------------------------------------------------------------------------------------
 */

/* After a failure of the GPU: true when there is another backend in its place. */
static bool fall_back(struct gpu_pose_engine *engine, int code, char *why) {
    struct pose_backend *spare;
    if (engine->spare == NULL || (code != GPU_EDEVICE && code != GPU_ENOMEM))
        return false;
    snprintf(engine->fallback, sizeof engine->fallback, "%s: %s", engine->backend->name, why);
    if (engine->spare(&engine->graphs, &spare, why) != GPU_OK) {
        engine->fallback[0] = '\0';
        return false;
    }
    engine->backend->free(engine->backend);
    engine->backend = spare;
    engine->spare = NULL;
    graphs_free(&engine->graphs);
    return true;
}

/* Makes squares of what the detector believes in. */
static void place(struct pose_look *look, const struct gpu_picture *picture,
                  struct pose_candidate *candidates, uint32_t count) {
    struct pose_candidate people[POSE_LOOK_ROOM];
    while (count > 0 && !(candidates[count - 1].score >= look->least))
        count--; /* another picture of the batch asked for less */
    count = pose_merge_candidates(candidates, count, POSE_LOOK_ROOM, people);
    look->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct pose_roi roi =
            pose_roi_of_candidate(&people[i], picture->whole_width, picture->whole_height);
        if (pose_roi_usable(&roi))
            look->rois[look->count++] = roi;
    }
}

static int find_batch(struct gpu_pose_engine *engine, uint32_t count, char *why) {
    float least = 1.0f;
    for (uint32_t i = 0; i < count; i++) {
        float wanted = engine->looks[engine->find_items[i]].least;
        least = wanted < least ? wanted : least;
    }
    int code;
    do {
        struct pose_backend *backend = engine->backend;
        code = backend->detect(backend, engine->find_pictures, count, least, POSE_CANDIDATES,
                               engine->candidates, engine->find_counts, why);
    } while (code != GPU_OK && fall_back(engine, code, why));
    for (uint32_t i = 0; i < count && code == GPU_OK; i++)
        place(&engine->looks[engine->find_items[i]], &engine->find_pictures[i],
              engine->candidates + (size_t)i * POSE_CANDIDATES, engine->find_counts[i]);
    return code;
}

int pose_engine_find(struct gpu_pose_engine *engine, const struct gpu_picture *pictures,
                     uint32_t count, char *why) {
    int code = GPU_OK;
    uint32_t batch = 0;
    for (uint32_t i = 0; i < count && code == GPU_OK; i++) {
        if (engine->looks[i].wanted) {
            engine->find_pictures[batch] = pictures[i];
            engine->find_items[batch++] = i;
        }
        if (batch == POSE_FIND_BATCH || (batch > 0 && i + 1 == count)) {
            code = find_batch(engine, batch, why);
            batch = 0;
        }
    }
    return code;
}

void pose_engine_crop(struct gpu_pose_engine *engine, const struct gpu_picture *picture,
                      const struct pose_roi *roi, struct pose_crop crop) {
    uint32_t at = engine->crop_count++;
    engine->crops[at] = crop;
    engine->crop_pictures[at] = picture;
    engine->crop_rois[at] = *roi;
}

int pose_engine_landmarks(struct gpu_pose_engine *engine, char *why) {
    if (engine->crop_count == 0)
        return GPU_OK;
    int code;
    do {
        struct pose_backend *backend = engine->backend;
        code = backend->landmarks(backend, engine->crop_pictures, engine->crop_rois,
                                  engine->crop_count, engine->raws, why);
    } while (code != GPU_OK && fall_back(engine, code, why));
    return code;
}
