/* views.h - draws views of a scene in batches, labels them and encodes them: the engine behind the
 * Lua module `render`.
 *
 * A `struct views` is a list of cameras on one scene. All views of a batch are drawn by one call of
 * the renderer; what came out stays in memory until views_drop. Pictures are 8-bit sRGB.
 *
 * Ownership: counted; views_release by the last holder frees all. It holds its scene. Counting is
 * for the loop thread. Threads: views_draw and views_encode do the work and are meant for pool
 * threads: at most one call at a time a batch (views_draw) or a view (views_encode, after its batch
 * was drawn); different ones may run side by side. All else: loop thread, not on a batch or view
 * that is being worked on. */
#ifndef STANCE_MEDIA_VIEWS_H
#define STANCE_MEDIA_VIEWS_H

#include <stdint.h>

#include "core/err.h"
#include "media/ring.h"
#include "media/scene.h"
#include "stance_gpu.h"

struct views;

enum { VIEWS_MAX = 4096, VIEWS_MAX_BATCH = 64, VIEWS_BATCH_PIXELS = 32 << 20 };

struct views_options {
    int clip;         /* of the scene, or SCENE_REST */
    uint32_t samples; /* a pixel: 1, 4, 8 or 16; 0: 4 */
    uint32_t
        batch; /* views drawn at once; 0: 4. Fewer where they have more than VIEWS_BATCH_PIXELS */
    const char *backend; /* as gpu_renderer_new; NULL: "auto" */
};

/* What drawing and encoding made of a view. */
struct view_result {
    uint8_t *rgb; /* [height][width][3]; NULL: not drawn */
    float *depth; /* [height][width], metres along the camera's axis; infinity: no body */
    struct gpu_point points[SCENE_LANDMARKS];
    struct gpu_label label;
    char *labels; /* as labels_describe writes them */
    size_t labels_size;
    uint8_t *png; /* NULL: not encoded */
    size_t png_size;
};

/* CPU seconds by stage. */
struct views_timings {
    double skin, shadow, raster, shade, label, encode;
};

/* The clip to show where none is asked for: the one with the shortest name that has "idle" in it,
 * else "stand", else "walk", else the first; SCENE_REST where there is none. */
int views_calm_clip(const struct scene *scene);

/* Copies the specs, their times brought into the clip (before its start: its start, after its end:
 * its end), and retains the scene. Errors: ERR_INVALID, ERR_NO_MEMORY. */
int views_new(struct scene *scene, const struct view_spec *specs, uint32_t count,
              const struct views_options *options, struct views **out, struct err *err);
struct views *views_retain(struct views *views);
void views_release(struct views *views);

uint32_t views_count(const struct views *views);
uint32_t views_batch_size(const struct views *views);
struct scene *views_scene(const struct views *views);
int views_clip(const struct views *views);
const struct view_spec *views_spec(const struct views *views, uint32_t view);
const struct view_result *views_result(const struct views *views, uint32_t view);

/* Draws and labels the views batch * views_batch_size and on; what it took is added to *timings.
 * ERR_INVALID, ERR_NO_MEMORY, ERR_UNSUPPORTED (no such renderer here), ERR_INTERNAL (the renderer
 * failed). */
int views_draw(struct views *views, uint32_t batch, struct views_timings *timings, struct err *err);

/* Makes the PNG of a drawn view; what it took is added to *timings. */
int views_encode(struct views *views, uint32_t view, struct views_timings *timings,
                 struct err *err);

/* Frees the pictures of a batch; it can be drawn again. */
void views_drop(struct views *views, uint32_t batch);

#endif
