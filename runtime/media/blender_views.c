#include "media/blender_views.h"

#include <stdlib.h>

#include "media/look.h"
#include "media/stage.h"

/* The batch of all views: a frame for each time that they show. */
struct whole {
    uint32_t moment_count;
    struct stage_moment *moments;
    struct gpu_frame *frames;
    struct gpu_view *views;
    struct blender_body *bodies;
};

static void whole_deinit(struct whole *whole) {
    for (uint32_t i = 0; i < whole->moment_count; i++)
        stage_moment_deinit(&whole->moments[i]);
    free(whole->moments);
    free(whole->frames);
    free(whole->views);
    free(whole->bodies);
}

/* The frame at that time, which is made when there is none; or a negative code. */
static int frame_at(struct whole *whole, const struct stage *stage, double time, struct err *err) {
    uint32_t i = 0;
    while (i < whole->moment_count && whole->moments[i].time != time)
        i++;
    if (i < whole->moment_count)
        return (int)i;
    int rc = stage_moment_init(&whole->moments[i], stage, time, false, err);
    if (rc != 0)
        return rc;
    whole->frames[i] = whole->moments[i].frame;
    whole->moment_count++;
    return (int)i;
}

static int whole_init(struct whole *whole, const struct views *views,
                      const struct blender_file *files, struct err *err) {
    const struct stage *stage = views_stage(views);
    uint32_t count = views_count(views), actors = stage_actor_count(stage);
    whole->moments = calloc(count, sizeof *whole->moments);
    whole->frames = calloc(count, sizeof *whole->frames);
    whole->views = calloc(count, sizeof *whole->views);
    whole->bodies = calloc(actors + 1, sizeof *whole->bodies);
    if (whole->moments == NULL || whole->frames == NULL || whole->views == NULL ||
        whole->bodies == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %u views", count);
    for (uint32_t i = 0; i < actors; i++)
        whole->bodies[i] = (struct blender_body){stage_actor(stage, i)->scene, files[i].path,
                                                 files[i].bytes, files[i].size};
    for (uint32_t i = 0; i < count; i++) {
        const struct view_spec *spec = views_spec(views, i);
        int frame = frame_at(whole, stage, spec->time, err);
        if (frame < 0)
            return frame;
        whole->views[i] = (struct gpu_view){.camera = spec->camera,
                                            .frame = (uint32_t)frame,
                                            .background = look_background(stage_look(stage))};
    }
    return 0;
}

int blender_views_new(const struct views *views, const struct blender_job *job,
                      const struct blender_file *files, uint32_t file_count, struct blender **out,
                      struct err *err) {
    struct whole whole = {0};
    uint32_t actors = stage_actor_count(views_stage(views));
    if (file_count != actors)
        return err_set(err, ERR_INVALID, "%u bodies are drawn, and %u files are given for them",
                       actors, file_count);
    int rc = whole_init(&whole, views, files, err);
    if (rc == 0) {
        const struct gpu_batch batch = {.view_count = views_count(views),
                                        .frame_count = whole.moment_count,
                                        .views = whole.views,
                                        .frames = whole.frames};
        struct blender_job all = *job;
        all.bodies = whole.bodies;
        all.body_count = actors;
        all.batch = &batch;
        rc = blender_new(&all, out, err);
    }
    whole_deinit(&whole);
    return rc;
}
