/* renderer.c - gpu_renderer: which backend draws, and what every batch is asked before it is drawn;
 * see stance_gpu.h. */
#include "backend.h"
#include "scene.h"
#include "view.h"

#include <string.h>

enum {
    MIN_SHADOW_SIZE = 16,
    MAX_SHADOW_SIZE = 8192,
};

static struct gpu_render_backend *backend_of(struct gpu_renderer *renderer) {
    return (struct gpu_render_backend *)renderer;
}

/* -- Life ---------------------------------------------------------------------------------------
 */

int gpu_renderer_new(const char *backend, struct gpu_renderer **out, char *why) {
    struct gpu_render_backend *found = NULL;
    *out = NULL;
    if (backend == NULL)
        return gpu_fail(why, GPU_EINVAL, "no backend named: cpu, cuda or auto");
    int code = GPU_EDEVICE;
    if (strcmp(backend, "cuda") == 0 || strcmp(backend, "auto") == 0)
        code = gpu_render_backend_cuda(&found, why);
    else if (strncmp(backend, "cpu:", 4) == 0)
        code = gpu_render_backend_cpu(backend + 4, &found, why);
    else if (strcmp(backend, "cpu") != 0)
        return gpu_fail(why, GPU_EINVAL, "no backend is named %.32s: cpu, cuda or auto", backend);
    if (strcmp(backend, "cpu") == 0 || (strcmp(backend, "auto") == 0 && code == GPU_EDEVICE))
        code = gpu_render_backend_cpu(NULL, &found, why);
    *out = (struct gpu_renderer *)found;
    return code;
}

void gpu_renderer_free(struct gpu_renderer *renderer) {
    if (renderer != NULL)
        backend_of(renderer)->free(backend_of(renderer));
}

const char *gpu_renderer_backend(const struct gpu_renderer *renderer) {
    return ((const struct gpu_render_backend *)renderer)->name;
}

const char *gpu_renderer_fallback(const struct gpu_renderer *renderer) {
    return ((const struct gpu_render_backend *)renderer)->fallback;
}

/* -- Checks -------------------------------------------------------------------------------------
 */

static int check_frame(const struct gpu_frame *frame, uint32_t index, char *why) {
    if (frame->actor_count > GPU_MAX_ACTORS)
        return gpu_fail(why, GPU_EINVAL, "frame %u has %u actors: at most %d", index,
                        frame->actor_count, GPU_MAX_ACTORS);
    if (frame->lighting == NULL || (frame->actor_count > 0 && frame->actors == NULL))
        return gpu_fail(why, GPU_EINVAL, "frame %u: actors or lighting are missing", index);
    uint64_t triangles = 0;
    for (uint32_t i = 0; i < frame->actor_count; i++) {
        if (frame->actors[i].scene == NULL || frame->actors[i].pose == NULL)
            return gpu_fail(why, GPU_EINVAL, "frame %u: actor %u has no scene or no pose", index,
                            i);
        triangles += frame->actors[i].scene->padded_triangles;
    }
    if (triangles >= INT32_MAX)
        return gpu_fail(why, GPU_EINVAL, "frame %u has %llu triangles: at most %d", index,
                        (unsigned long long)triangles, INT32_MAX);
    char reason[GPU_WHY_SIZE];
    if (gpu_lighting_check(frame->lighting, reason) != GPU_OK)
        return gpu_fail(why, GPU_EINVAL, "frame %u: %.200s", index, reason);
    return GPU_OK;
}

static int check_batch(const struct gpu_batch *batch, const struct gpu_image *images, char *why) {
    if (batch->view_count > 0 && (batch->views == NULL || images == NULL || batch->frames == NULL))
        return gpu_fail(why, GPU_EINVAL, "views, frames or images are missing");
    for (uint32_t i = 0; i < batch->view_count; i++) {
        if (batch->views[i].frame >= batch->frame_count)
            return gpu_fail(why, GPU_EINVAL, "view %u names frame %u of %u", i,
                            batch->views[i].frame, batch->frame_count);
        int code = gpu_view_check(&batch->views[i], i, why);
        if (code != GPU_OK)
            return code;
    }
    for (uint32_t i = 0; batch->view_count > 0 && i < batch->frame_count; i++) {
        int code = check_frame(&batch->frames[i], i, why);
        if (code != GPU_OK)
            return code;
    }
    if (gpu_pattern_passes(batch->samples) == 0)
        return gpu_fail(why, GPU_EINVAL, "%u samples a pixel: 1, 4, 8, 16, 32 or 64",
                        batch->samples);
    if (!(batch->shutter >= 0.0f && batch->shutter <= 1.0f))
        return gpu_fail(why, GPU_EINVAL, "a shutter that is open for %g of a frame: 0 to 1",
                        (double)batch->shutter);
    uint32_t shadow = batch->shadow_size;
    if (shadow != 0 && (shadow < MIN_SHADOW_SIZE || shadow > MAX_SHADOW_SIZE))
        return gpu_fail(why, GPU_EINVAL, "shadow_size %u: 0 or %d to %d", shadow, MIN_SHADOW_SIZE,
                        MAX_SHADOW_SIZE);
    return GPU_OK;
}

int gpu_render(struct gpu_renderer *renderer, const struct gpu_batch *batch,
               const struct gpu_image *images, struct gpu_timings *timings, char *why) {
    struct gpu_timings unused = {0};
    int code = check_batch(batch, images, why);
    if (code != GPU_OK)
        return code;
    return backend_of(renderer)->draw(backend_of(renderer), batch, images,
                                      timings != NULL ? timings : &unused, why);
}
