/* views.h - draws views of a stage in batches, labels and encodes them: the engine behind the Lua
 * module `render`.
 *
 * A `struct views` is a list of cameras on one stage. All views of a batch are drawn by one call of
 * the renderer; what came out stays in memory until views_drop. Pictures are 8-bit sRGB.
 *
 * Ownership: counted; views_release by the last holder frees all. It holds its stage. Counting is
 * for the loop thread. Threads: views_draw and views_encode do the work and are meant for pool
 * threads: at most one call at a time a batch (views_draw) or a view (views_encode, after its batch
 * was drawn); different ones may run side by side. All else: loop thread, not on a batch or view
 * that is being worked on. */
#ifndef STANCE_MEDIA_VIEWS_H
#define STANCE_MEDIA_VIEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "media/labels.h"
#include "media/ring.h"
#include "media/scene.h"
#include "media/stage.h"
#include "stance_gpu.h"

struct views;

enum {
    VIEWS_MAX = 4096,
    VIEWS_MAX_BATCH = 64,
    VIEWS_MEMORY = 288 << 20, /* bytes of pictures and maps that are to be held at once */
};

/* -- Maps -------------------------------------------------------------------------------------- */

/* What can be known of each pixel; what the numbers mean is said at struct gpu_image. */
enum view_map {
    VIEW_MAP_DEPTH,
    VIEW_MAP_PERSON,
    VIEW_MAP_PART,
    VIEW_MAP_COVER,
    VIEW_MAP_TRIANGLE,
    VIEW_MAP_COVERAGE,
    VIEW_MAP_NORMAL,
    VIEW_MAP_FLOW,
    VIEW_MAPS,
};

enum { /* always drawn: what labels are made of */
       VIEW_MAPS_LABELS = 1 << VIEW_MAP_DEPTH | 1 << VIEW_MAP_PERSON | 1 << VIEW_MAP_PART
};

struct view_map_kind {
    const char *name;  /* "depth", ... */
    const char *dtype; /* as NumPy writes it: "<f4", "|u1", "<u4" */
    uint32_t channels; /* numbers a pixel */
    uint32_t size;     /* bytes a pixel */
};
extern const struct view_map_kind view_map_kinds[VIEW_MAPS];

/* -- Views ------------------------------------------------------------------------------------- */

struct views_options {
    uint32_t samples; /* a pixel: 1, 4, 8, 16, 32 or 64; 0: 4 */
    uint32_t
        batch; /* views drawn at once; 0: 4. Fewer where they would need more than VIEWS_MEMORY */
    const char *backend; /* as gpu_renderer_new; NULL: "auto" */
    unsigned maps;       /* further ones than VIEW_MAPS_LABELS: bits 1 << enum view_map */
    float shutter;       /* 0..1 of the time to the next frame that it is open; 0: no motion blur */
    bool no_picture;     /* labels and maps only, which costs less */
};

enum view_format {
    VIEW_PNG,
    VIEW_JPEG,
    VIEW_WEBP,
    VIEW_WEBP_LOSSLESS,
    VIEW_RGBA, /* no file: struct image's pixels */
};

struct view_encoding {
    enum view_format format;
    int quality; /* PNG: level 0..12; JPEG 1..100, WebP 0..100: quality, or the effort; encode.h */
};

/* What drawing and encoding made of a view. */
struct view_result {
    struct gpu_image image;       /* what was not asked for, or is not drawn, is NULL */
    struct labels_person *people; /* [actor of the stage], without poses; NULL: not drawn */
    char *labels;                 /* as labels_describe writes them */
    size_t labels_size;
    struct view_encoding encoding; /* of the file */
    uint8_t *file;                 /* NULL: not encoded */
    size_t file_size;
};

/* CPU seconds by stage. */
struct views_timings {
    double skin, shadow, raster, shade, label, encode;
};

/* The clip to show where none is asked for: the one with the shortest name that has "idle" in it,
 * else "stand", else "walk", else the first; SCENE_REST where there is none. */
int views_calm_clip(const struct scene *scene);

/* Copies the specs and retains the stage. Errors: ERR_INVALID, ERR_NO_MEMORY. */
int views_new(struct stage *stage, const struct view_spec *specs, uint32_t count,
              const struct views_options *options, struct views **out, struct err *err);
struct views *views_retain(struct views *views);
void views_release(struct views *views);

uint32_t views_count(const struct views *views);
uint32_t views_batch_size(const struct views *views);
const struct stage *views_stage(const struct views *views);
const struct view_spec *views_spec(const struct views *views, uint32_t view);
const struct view_result *views_result(const struct views *views, uint32_t view);

/* How many batches may be in memory at once, so that they need no more than VIEWS_MEMORY; at least
 * 1. */
uint32_t views_batches_that_fit(const struct views *views);

/* A map of a drawn view: kind.size bytes a pixel, rows from the top; NULL: not drawn. */
const void *views_map(const struct views *views, uint32_t view, enum view_map map);

/* Draws and labels the views batch * views_batch_size and on; what it took is added to *timings.
 * ERR_INVALID, ERR_NO_MEMORY, ERR_UNSUPPORTED (no such renderer here), ERR_INTERNAL (the renderer
 * failed). */
int views_draw(struct views *views, uint32_t batch, struct views_timings *timings, struct err *err);

/* Makes the file of a drawn view, instead of the one that it has; what it took is added to
 * *timings. ERR_INVALID (no picture was asked for), ERR_NO_MEMORY. */
int views_encode(struct views *views, uint32_t view, const struct view_encoding *encoding,
                 struct views_timings *timings, struct err *err);

/* Frees what was drawn of a batch; it can be drawn again. */
void views_drop(struct views *views, uint32_t batch);

#endif
