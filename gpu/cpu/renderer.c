/* renderer.c - gpu_renderer on the CPU: walks a batch frame by frame and view by view; see
 * stance_gpu.h. Scratch memory grows to what the largest batch needed and stays. */
#include "renderer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SHADOW_SIZE = 1024 };

double gpu_renderer_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* -- Life ---------------------------------------------------------------------------------------
 */

static void renderer_free(struct gpu_render_backend *backend) {
    struct gpu_renderer *renderer = (struct gpu_renderer *)backend;
    gpu_buffer_deinit(&renderer->row);
    gpu_buffer_deinit(&renderer->fragments);
    gpu_buffer_deinit(&renderer->triangle);
    gpu_buffer_deinit(&renderer->depth);
    gpu_buffer_deinit(&renderer->joints);
    gpu_buffer_deinit(&renderer->projected);
    gpu_buffer_deinit(&renderer->slab);
    gpu_buffer_deinit(&renderer->moved);
    gpu_buffer_deinit(&renderer->vertices);
    gpu_shadow_deinit(&renderer->maps);
    free(renderer);
}

/* -- Frames -------------------------------------------------------------------------------------
 */

/* What is to be drawn of a frame. */
static void find_views(const struct gpu_batch *batch, const struct gpu_image *images,
                       uint32_t frame, bool *any, bool *colors, bool *flow) {
    *any = *colors = *flow = false;
    for (uint32_t i = 0; i < batch->view_count; i++) {
        *any |= batch->views[i].frame == frame;
        *colors |= batch->views[i].frame == frame && images[i].rgb != NULL;
        *flow |= batch->views[i].frame == frame && images[i].flow != NULL;
    }
}

bool gpu_frame_prepare(struct gpu_renderer *renderer, const struct gpu_batch *batch, uint32_t index,
                       const struct gpu_image *images, struct gpu_timings *timings, bool *any) {
    const struct gpu_frame *frame = &batch->frames[index];
    bool colors, flow;
    find_views(batch, images, index, any, &colors, &flow);
    if (!*any)
        return true;
    double start = gpu_renderer_clock();
    if (!gpu_people_skin(renderer, frame, flow || batch->shutter > 0.0f))
        return false;
    double skinned = gpu_renderer_clock();
    uint32_t size = batch->shadow_size != 0 ? batch->shadow_size : SHADOW_SIZE;
    const struct gpu_projected *scratch = &renderer->people[0].projected; /* room for anybody */
    if (colors && !gpu_shadow_draw(&renderer->maps, renderer->kernels, renderer->casters,
                                   renderer->person_count, scratch, frame->lighting, size))
        return false;
    renderer->lit = colors;
    timings->skin += skinned - start;
    timings->shadow += gpu_renderer_clock() - skinned;
    return true;
}

static bool draw_frame(struct gpu_renderer *renderer, const struct gpu_batch *batch, uint32_t index,
                       const struct gpu_image *images, struct gpu_timings *timings) {
    bool any;
    if (!gpu_frame_prepare(renderer, batch, index, images, timings, &any))
        return false;
    for (uint32_t i = 0; any && i < batch->view_count; i++)
        if (batch->views[i].frame == index &&
            !gpu_picture_draw(renderer, &batch->views[i], batch, &images[i], timings))
            return false;
    return true;
}

static int draw(struct gpu_render_backend *backend, const struct gpu_batch *batch,
                const struct gpu_image *images, struct gpu_timings *timings, char *why) {
    struct gpu_renderer *renderer = (struct gpu_renderer *)backend;
    for (uint32_t i = 0; i < batch->frame_count; i++)
        if (!draw_frame(renderer, batch, i, images, timings))
            return gpu_fail(why, GPU_ENOMEM, "out of memory while drawing frame %u", i);
    return GPU_OK;
}

int gpu_render_backend_cpu(const char *width, struct gpu_render_backend **out, char *why) {
    const struct gpu_kernels *kernels = gpu_kernels_find(width);
    if (kernels == NULL)
        return gpu_fail(why, GPU_EDEVICE, "this processor does not run cpu:%.32s", width);
    struct gpu_renderer *renderer = calloc(1, sizeof *renderer);
    if (renderer == NULL)
        return gpu_fail(why, GPU_ENOMEM, "out of memory");
    renderer->kernels = kernels;
    snprintf(renderer->name, sizeof renderer->name, "cpu (%s)", kernels->name);
    renderer->base =
        (struct gpu_render_backend){.name = renderer->name, .draw = draw, .free = renderer_free};
    for (int i = 0; i < GPU_TONE_COUNT; i++)
        gpu_tone_table((enum gpu_tone)i, renderer->tone[i]);
    gpu_srgb_table(renderer->srgb);
    *out = &renderer->base;
    return GPU_OK;
}
