/* renderer.h - gpu_renderer on the CPU, for the files that make it up: renderer.c walks a batch
 * frame by frame, people.c skins a frame's people, picture.c draws a view of a frame. One thread at
 * a time. */
#ifndef STANCE_GPU_RENDERER_H
#define STANCE_GPU_RENDERER_H

#include "actor.h"
#include "shadow.h"

#include "../render/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gpu_renderer {
    struct gpu_render_backend base;
    const struct gpu_kernels *kernels;
    char name[32];
    uint8_t tone[GPU_TONE_COUNT][GPU_TONE_BYTES];
    float srgb[256]; /* gpu_srgb_table */
    struct gpu_shadow_maps maps;
    struct gpu_skinned people[GPU_MAX_ACTORS]; /* of the frame that is being drawn */
    struct gpu_caster casters[GPU_MAX_ACTORS];
    uint32_t person_count;
    bool lit;    /* maps are drawn: some view of the frame wants colours */
    bool moving; /* somebody is elsewhere one frame later, and it was asked for */
    const struct gpu_lighting *lighting;
    struct gpu_buffer vertices, moved, slab, joints, projected, depth, triangle, fragments, row;
};

/* CPU seconds of this thread. */
double gpu_renderer_clock(void);

/* Skins a frame's people; next: one frame later, too. False: out of memory. */
bool gpu_people_skin(struct gpu_renderer *renderer, const struct gpu_frame *frame, bool next);

/* Puts everybody where they are at `time`, 0 (now) to 1 (one frame later). */
void gpu_people_move(struct gpu_renderer *renderer, float time);

/* Skins the people of one of a batch's frames and, where a view wants colours, draws what they
 * cast. any: whether it has views at all. False: out of memory. */
bool gpu_frame_prepare(struct gpu_renderer *renderer, const struct gpu_batch *batch, uint32_t index,
                       const struct gpu_image *images, struct gpu_timings *timings, bool *any);

/* Which pictures a view is made of. */
struct gpu_exposure {
    bool sharp; /* one of passes of up to GPU_BLOCK samples: maps, and colours where not blurred */
    bool blurred;  /* one a sample, summed: colours and coverage */
    float shutter; /* of the blurred one; 0: nothing moves */
};

struct gpu_exposure gpu_picture_exposure(const struct gpu_renderer *renderer,
                                         const struct gpu_view *view, const struct gpu_batch *batch,
                                         const struct gpu_image *image);

/* The camera and the moment of sample `index` of a blurred picture. */
struct gpu_moment gpu_picture_moment(const struct gpu_view *view, uint32_t samples, uint32_t index,
                                     float shutter, struct gpu_camera *camera);

/* Looks from where a camera is, (x, y) metres from its lens' middle. */
void gpu_picture_aim(const struct gpu_camera *camera, float x, float y,
                     struct gpu_projection *projection, struct gpu_shade *shade);

/* What shading and development are told of a view; aiming is left. */
void gpu_picture_describe(const struct gpu_renderer *renderer, const struct gpu_view *view,
                          struct gpu_shade *shade, struct gpu_develop *develop);

/* Whether any map but coverage is wanted. */
bool gpu_picture_wants_maps(const struct gpu_image *image);

/* Draws a view of the frame whose people are skinned and whose shadows are drawn. False: out of
 * memory. */
bool gpu_picture_draw(struct gpu_renderer *renderer, const struct gpu_view *view,
                      const struct gpu_batch *batch, const struct gpu_image *image,
                      struct gpu_timings *timings);

#ifdef __cplusplus
}
#endif
#endif
