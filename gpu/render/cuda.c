/* cuda.c - the renderer on CUDA, where its plug-in is (cuda/plugin.h), with the CPU's behind it.
 *
 * A batch that the device has no memory for is drawn by the CPU, to the same bytes, and so is all
 * that follows one that failed there: a device that is lost does not come back to this process. */
#include "backend.h"

#include "cuda/plugin.h"
#include "fail.h"

#include <stdio.h>
#include <stdlib.h>

struct cuda_renderer {
    struct gpu_render_backend base;
    struct gpu_render_backend *device, *cpu; /* device: NULL once it is lost */
    char fallback[GPU_WHY_SIZE];
};

static void cuda_free(struct gpu_render_backend *base) {
    struct cuda_renderer *renderer = (struct cuda_renderer *)base;
    if (renderer->device != NULL)
        renderer->device->free(renderer->device);
    if (renderer->cpu != NULL)
        renderer->cpu->free(renderer->cpu);
    free(renderer);
}

static int cuda_draw(struct gpu_render_backend *base, const struct gpu_batch *batch,
                     const struct gpu_image *images, struct gpu_timings *timings, char *why) {
    struct cuda_renderer *renderer = (struct cuda_renderer *)base;
    if (renderer->device != NULL) {
        int code =
            renderer->device->draw(renderer->device, batch, images, timings, renderer->fallback);
        if (code == GPU_OK)
            return GPU_OK;
        base->fallback = renderer->fallback;
        if (code == GPU_EDEVICE) {
            renderer->device->free(renderer->device);
            renderer->device = NULL;
            base->name = renderer->cpu->name;
        }
    }
    return renderer->cpu->draw(renderer->cpu, batch, images, timings, why);
}

int gpu_render_backend_cuda(struct gpu_render_backend **out, char *why) {
    const struct cuda_plugin *plugin;
    *out = NULL;
    int code = cuda_plugin_open(&plugin, why);
    if (code != GPU_OK)
        return code;
    struct cuda_renderer *renderer = calloc(1, sizeof *renderer);
    if (renderer == NULL)
        return gpu_fail(why, GPU_ENOMEM, "out of memory");
    renderer->base.draw = cuda_draw;
    renderer->base.free = cuda_free;
    code = plugin->renderer_new(&renderer->device, why);
    if (code == GPU_OK)
        code = gpu_render_backend_cpu(NULL, &renderer->cpu, why);
    if (code != GPU_OK) {
        cuda_free(&renderer->base);
        return code;
    }
    renderer->base.name = renderer->device->name;
    *out = &renderer->base;
    return GPU_OK;
}
