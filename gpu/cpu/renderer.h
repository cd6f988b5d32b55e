/* renderer.h - gpu_renderer on the CPU, for the files that make it up: renderer.c walks a batch
 * frame by frame, people.c skins a frame's people, picture.c draws a view of a frame. One thread at
 * a time. */
#ifndef STANCE_GPU_RENDERER_H
#define STANCE_GPU_RENDERER_H

#include "actor.h"
#include "shadow.h"

#include "../render/backend.h"

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

/* Draws a view of the frame whose people are skinned and whose shadows are drawn. False: out of
 * memory. */
bool gpu_picture_draw(struct gpu_renderer *renderer, const struct gpu_view *view,
                      const struct gpu_batch *batch, const struct gpu_image *image,
                      struct gpu_timings *timings);

#endif
