/* render.h - batches through the kernels: what is packed for the device, in which order its kernels
 * run, and how results come back; for whoever runs them.
 *
 * A Machine is a place where kernels run, with memory of its own: a device's stream (render.cu), or
 * the CPU in checks (check/cuda_render.cu). Several take turns: while one computes, the next is
 * filled. It has:
 *
 *   size_t budget()                              bytes that its memory should stay below
 *   uint8_t *staging(size, why)                  the CPU's memory for what is sent
 *   uint8_t *memory(size, why)                   its own
 *   const gpu_scene *scene(scene, why)           that scene there; null: no memory, or lost
 *   int send(size, why)                          staging to the begin of memory
 *   int clear(at, size, why)
 *   int rows(item, rows, count, why)             kernels, in order
 *   int counted(item, why)
 *   int fetch(at, size, why)                     memory from `at` on to the CPU's
 *   int finish(why)                              waits
 *   const uint8_t *fetched()                     what came back
 *   int error                                    after a null: GPU_ENOMEM or GPU_EDEVICE
 *
 * Skinning and shadows of a frame are the CPU's (cpu/renderer.h); everything that is done for each
 * view, triangle, sample and pixel is the kernels'. */
#ifndef STANCE_CUDA_RENDER_H
#define STANCE_CUDA_RENDER_H

#include "cpu/renderer.h"
#include "cuda/device.h"
#include "cuda/render_pack.h"
#include "cuda/render_pixels.h"
#include "render/environment.h"

#include <algorithm>

enum {
    RENDER_MACHINES = 2,
    RENDER_PIECES = 256,      /* in a chunk, at most */
    RENDER_DRAWS = 2048,      /* likewise; GPU_MAX_ACTORS and more */
    RENDER_OUTPUTS = 7,       /* maps of a piece */
    RENDER_PIXEL_BYTES = 18,  /* of all of them */
    RENDER_WAITING = 1 << 18, /* portions of large triangles */
};

/* A map that comes back: its place in the results, and where it goes. */
struct render_output {
    size_t at, size;
    void *to;
};

/* A part of a view that is to be drawn. */
struct render_part {
    const struct gpu_view *view;
    const struct gpu_image *image;
    int32_t y0, y1;
};

/* What all views of a frame share in a chunk: places in its pack, and the machine's scenes. */
struct render_frame {
    size_t light;
    size_t vertices[GPU_MAX_ACTORS];
    const struct gpu_scene *scenes[GPU_MAX_ACTORS];
};

/* Some views' worth of work, from packing to its results. */
struct render_chunk {
    render_pack pack;
    size_t draws, pieces, pattern; /* places */
    size_t list, count;            /* in scratch; among the zeros */
    uint32_t draw_count, piece_count, most_vertices, most_triangles, most_pixels, output_count;
    render_output outputs[RENDER_PIECES * RENDER_OUTPUTS];
    bool busy;
};

#define PACK_SLOT(place, type, field) ((place) + offsetof(type, field))

/* -- Packing ------------------------------------------------------------------------------------
 */

/* A frame's light, for use by the kernels. Returns its place. */
static inline size_t pack_daylight(render_pack *pack, const struct gpu_daylight *light) {
    const size_t at = pack_add(pack, light, sizeof *light);
    pack_array(pack, PACK_SLOT(at, struct gpu_daylight, lighting), light->lighting,
               sizeof *light->lighting);
    pack_array(pack, PACK_SLOT(at, struct gpu_daylight, gloss_table), light->gloss_table,
               GPU_GLOSS_TABLE * sizeof(float));
    if (light->environment != nullptr) {
        const struct gpu_environment *from = light->environment;
        const size_t environment = pack_add(pack, from, sizeof *from);
        pack_point(pack, PACK_SLOT(at, struct gpu_daylight, environment), environment);
        pack_array(pack, PACK_SLOT(environment, struct gpu_environment, texels), from->texels,
                   (size_t)from->texel_count * 3 * sizeof(float));
    }
    const size_t casts = pack_add(pack, light->casts, light->cast_count * sizeof *light->casts);
    pack_point(pack, PACK_SLOT(at, struct gpu_daylight, casts), casts);
    for (uint32_t i = 0; i < light->cast_count; i++) {
        const struct gpu_cast *cast = &light->casts[i];
        const size_t slot = casts + i * sizeof *cast;
        pack_array(pack, PACK_SLOT(slot, struct gpu_cast, sun.depth), cast->sun.depth,
                   (size_t)cast->sun.stride * (size_t)cast->sun.height * sizeof(float));
        const struct gpu_ground *ground = &cast->ground;
        if (!light->lighting->ground)
            continue;
        pack_array(pack, PACK_SLOT(slot, struct gpu_cast, ground.shadow), ground->shadow,
                   (size_t)ground->shadow_width * (size_t)ground->shadow_height * sizeof(float));
        pack_array(pack, PACK_SLOT(slot, struct gpu_cast, ground.contact), ground->contact,
                   (size_t)ground->contact_width * (size_t)ground->contact_height * sizeof(float));
    }
    return at;
}

/* False where the machine has no room for a scene. */
template <class Machine>
bool pack_frame(render_pack *pack, Machine &machine, const struct gpu_renderer *cpu, bool colors,
                render_frame *out, char *why) {
    out->light = colors ? pack_daylight(pack, &cpu->maps.light) : 0;
    for (uint32_t i = 0; i < cpu->person_count; i++) {
        const struct gpu_skinned *person = &cpu->people[i];
        const size_t floats = (size_t)person->scene->padded_vertices * GPU_VERTEX_FLOATS;
        out->vertices[i] = pack_add(pack, person->vertices, floats * sizeof(float));
        out->scenes[i] = machine.scene(person->scene, why);
        if (out->scenes[i] == nullptr)
            return false;
    }
    return true;
}

/* Packs a view's shading at `at`, for a person (gpu_renderer.people), or for nobody: UINT32_MAX. */
static inline void pack_shade(render_pack *pack, size_t at, const struct gpu_shade &from,
                              const render_frame &frame, uint32_t person) {
    const struct gpu_backdrop &behind = from.backdrop;
    struct gpu_shade *to = pack_at<struct gpu_shade>(pack, at);
    if (to == nullptr)
        return;
    *to = from;
    if (person != UINT32_MAX)
        to->scene = frame.scenes[person];
    if (from.light != nullptr)
        pack_point(pack, PACK_SLOT(at, struct gpu_shade, light), frame.light);
    pack_array_once(pack, PACK_SLOT(at, struct gpu_shade, backdrop.rgba), behind.rgba,
                    (size_t)behind.width * (size_t)behind.height * 4);
    pack_array_once(pack, PACK_SLOT(at, struct gpu_shade, backdrop.linear), behind.linear,
                    256 * sizeof(float));
    if (person != UINT32_MAX)
        pack_point(pack, PACK_SLOT(at, struct gpu_shade, vertices), frame.vertices[person]);
}

/* -- Parts --------------------------------------------------------------------------------------
 */

/* Memory that a part takes there beside its frame, roughly. */
static inline size_t part_memory(const render_part &part, const struct gpu_renderer *cpu) {
    size_t vertices = 0;
    for (uint32_t i = 0; i < cpu->person_count; i++)
        vertices += cpu->people[i].scene->padded_vertices;
    const size_t pixels = (size_t)(part.y1 - part.y0) * part.view->camera.width;
    return pixels * (cpu->pattern.samples * sizeof(render_sample) + RENDER_PIXEL_BYTES) +
           vertices * 3 * sizeof(float) + (64 << 10);
}

static inline void pack_output(render_chunk *chunk, size_t slot, const render_part &part, void *to,
                               size_t bytes) {
    if (to == nullptr)
        return;
    const size_t width = part.view->camera.width;
    render_output &out = chunk->outputs[chunk->output_count++];
    out.size = (size_t)(part.y1 - part.y0) * width * bytes;
    out.at = pack_room(&chunk->pack, PACK_RESULTS, out.size);
    out.to = static_cast<uint8_t *>(to) + (size_t)part.y0 * width * bytes;
    pack_point(&chunk->pack, slot, out.at, PACK_RESULTS);
}

/* One person of a part, as triangles. */
static inline void pack_draw(render_chunk *chunk, const render_part &part,
                             const struct gpu_skinned *person, const render_frame &frame,
                             uint32_t index, size_t samples) {
    render_pack *pack = &chunk->pack;
    const struct gpu_camera *camera = &part.view->camera;
    const size_t at = chunk->draws + chunk->draw_count++ * sizeof(render_draw);
    const size_t vertices = person->scene->padded_vertices;
    render_draw *draw = pack_at<render_draw>(pack, at);
    if (draw == nullptr)
        return;
    draw->job.scene = frame.scenes[index];
    draw->job.projection = gpu_camera_projection(camera);
    draw->job.x1 = (int32_t)camera->width;
    draw->job.y0 = part.y0;
    draw->job.y1 = part.y1;
    draw->job.first = person->first;
    pack_point(pack, PACK_SLOT(at, render_draw, samples), samples, PACK_ZEROS);
    pack_point(pack, PACK_SLOT(at, render_draw, job.vertices), frame.vertices[index]);
    pack_point(pack, PACK_SLOT(at, render_draw, job.pattern), chunk->pattern);
    const size_t slots[3] = {PACK_SLOT(at, render_draw, job.projected.x),
                             PACK_SLOT(at, render_draw, job.projected.y),
                             PACK_SLOT(at, render_draw, job.projected.w)};
    for (size_t slot : slots)
        pack_point(pack, slot, pack_room(pack, PACK_SCRATCH, vertices * sizeof(float)),
                   PACK_SCRATCH);
    chunk->most_vertices = std::max(chunk->most_vertices, person->scene->padded_vertices);
    chunk->most_triangles = std::max(chunk->most_triangles, person->scene->triangle_count);
}

static inline void pack_part(render_chunk *chunk, const render_part &part,
                             const struct gpu_renderer *cpu, const render_frame &frame) {
    render_pack *pack = &chunk->pack;
    const struct gpu_image *image = part.image;
    const size_t at = chunk->pieces + chunk->piece_count++ * sizeof(render_piece);
    const size_t pixels = (size_t)(part.y1 - part.y0) * part.view->camera.width;
    const size_t people = pack_add(pack, nullptr, cpu->person_count * sizeof(render_person));
    const size_t samples =
        pack_room(pack, PACK_ZEROS, pixels * cpu->pattern.samples * sizeof(render_sample));
    struct gpu_shade shade = {};
    struct gpu_develop develop = {};
    if (image->rgb != nullptr)
        gpu_picture_shade(cpu, part.view, &shade, &develop);
    render_piece *piece = pack_at<render_piece>(pack, at);
    if (piece == nullptr)
        return;
    piece->width = part.view->camera.width;
    piece->height = part.view->camera.height;
    piece->y0 = part.y0;
    piece->y1 = part.y1;
    piece->person_count = cpu->person_count;
    piece->develop = develop;
    pack_point(pack, PACK_SLOT(at, render_piece, pattern), chunk->pattern);
    pack_point(pack, PACK_SLOT(at, render_piece, samples), samples, PACK_ZEROS);
    pack_point(pack, PACK_SLOT(at, render_piece, people), people);
    pack_array_once(pack, PACK_SLOT(at, render_piece, develop.tone), develop.tone, GPU_TONE_BYTES);
    pack_shade(pack, PACK_SLOT(at, render_piece, shade), shade, frame, UINT32_MAX);
    for (uint32_t i = 0; i < cpu->person_count; i++) {
        const size_t slot = people + i * sizeof(render_person);
        pack_shade(pack, PACK_SLOT(slot, render_person, shade), shade, frame, i);
        render_person *person = pack_at<render_person>(pack, slot);
        if (person == nullptr)
            return;
        person->first = cpu->people[i].first;
        person->shade.scene = frame.scenes[i];
        pack_draw(chunk, part, &cpu->people[i], frame, i, samples);
    }
    pack_output(chunk, PACK_SLOT(at, render_piece, rgb), part, image->rgb, 3);
    pack_output(chunk, PACK_SLOT(at, render_piece, depth), part, image->depth, 4);
    pack_output(chunk, PACK_SLOT(at, render_piece, coverage), part, image->coverage, 4);
    pack_output(chunk, PACK_SLOT(at, render_piece, triangle), part, image->triangle, 4);
    pack_output(chunk, PACK_SLOT(at, render_piece, person), part, image->person, 1);
    pack_output(chunk, PACK_SLOT(at, render_piece, part), part, image->part, 1);
    pack_output(chunk, PACK_SLOT(at, render_piece, cover), part, image->cover, 1);
    chunk->most_pixels = std::max(chunk->most_pixels, (uint32_t)pixels);
}

/* -- Chunks -------------------------------------------------------------------------------------
 */

static inline void chunk_begin(render_chunk *chunk, const struct gpu_renderer *cpu) {
    render_pack *pack = &chunk->pack;
    pack_clear(pack);
    chunk->draw_count = chunk->piece_count = chunk->output_count = 0;
    chunk->most_vertices = chunk->most_triangles = chunk->most_pixels = 0;
    chunk->draws = pack_add(pack, nullptr, RENDER_DRAWS * sizeof(render_draw));
    chunk->pieces = pack_add(pack, nullptr, RENDER_PIECES * sizeof(render_piece));
    chunk->pattern = pack_add(pack, &cpu->pattern, sizeof cpu->pattern);
    chunk->count = pack_room(pack, PACK_ZEROS, sizeof(uint32_t));
    chunk->list = pack_room(pack, PACK_SCRATCH, RENDER_WAITING * sizeof(render_waiting));
}

/* Sends the chunk and starts its kernels. */
template <class Machine> int chunk_launch(Machine &machine, render_chunk *chunk, char *why) {
    render_pack *pack = &chunk->pack;
    if (pack->failed)
        return gpu_fail(why, GPU_ENOMEM, "CUDA: no memory for the views that are sent");
    const size_t size = pack->used[PACK_CONTENTS];
    uint8_t *staging = machine.staging(size, why);
    uint8_t *memory =
        staging != nullptr ? machine.memory(pack_begin(pack, PACK_REGIONS), why) : nullptr;
    if (memory == nullptr)
        return machine.error;
    pack_write(pack, staging, memory);
    GPU_TRY(machine.send(size, why));
    GPU_TRY(machine.clear(memory + pack_begin(pack, PACK_ZEROS), pack->used[PACK_ZEROS], why));
    const render_draw *draws = reinterpret_cast<const render_draw *>(memory + chunk->draws);
    uint8_t *const scratch = memory + pack_begin(pack, PACK_SCRATCH);
    const render_list list = {
        reinterpret_cast<uint32_t *>(memory + pack_begin(pack, PACK_ZEROS) + chunk->count),
        RENDER_WAITING, reinterpret_cast<render_waiting *>(scratch + chunk->list)};
    chunk->busy = true;
    GPU_TRY(machine.rows(render_project{draws}, chunk->draw_count, chunk->most_vertices, why));
    GPU_TRY(
        machine.rows(render_triangles{draws, list}, chunk->draw_count, chunk->most_triangles, why));
    GPU_TRY(machine.counted(render_portions{draws, list}, why));
    const render_piece *pieces = reinterpret_cast<const render_piece *>(memory + chunk->pieces);
    GPU_TRY(machine.rows(render_resolve{pieces}, chunk->piece_count, chunk->most_pixels, why));
    return machine.fetch(memory + pack_begin(pack, PACK_RESULTS), pack->used[PACK_RESULTS], why);
}

/* Waits for the chunk, if it was launched, and copies its maps to where they go. */
template <class Machine> int chunk_collect(Machine &machine, render_chunk *chunk, char *why) {
    if (!chunk->busy)
        return GPU_OK;
    chunk->busy = false;
    GPU_TRY(machine.finish(why));
    for (uint32_t i = 0; i < chunk->output_count; i++) {
        const render_output &out = chunk->outputs[i];
        memcpy(out.to, machine.fetched() + out.at, out.size);
    }
    return GPU_OK;
}

/* -- Batches ------------------------------------------------------------------------------------
 */

/* A batch on its way: views frame by frame, chunks by turns. */
template <class Machine> struct render_walk {
    Machine *machines; /* [RENDER_MACHINES] */
    render_chunk *chunks;
    struct gpu_renderer *cpu;
    const struct gpu_batch *batch;
    const struct gpu_image *images;
    struct gpu_timings *timings;
    char *why;
    int turn;
    bool open;          /* the turn's chunk is being filled */
    render_frame frame; /* in that chunk, */
    bool packed;        /* once it is */

    int launch() {
        if (!open)
            return GPU_OK;
        open = packed = false;
        const int now = turn;
        turn = (turn + 1) % RENDER_MACHINES;
        return chunk_launch(machines[now], &chunks[now], why);
    }

    int add(const render_part &part, bool colors) {
        render_chunk *chunk = &chunks[turn];
        if (open) {
            const size_t used = pack_begin(&chunk->pack, PACK_REGIONS);
            if (chunk->piece_count == RENDER_PIECES ||
                chunk->draw_count + cpu->person_count > RENDER_DRAWS ||
                used + part_memory(part, cpu) > machines[turn].budget())
                GPU_TRY(launch());
        }
        chunk = &chunks[turn];
        if (!open) {
            GPU_TRY(chunk_collect(machines[turn], chunk, why));
            chunk_begin(chunk, cpu);
            open = true;
        }
        if (!packed && !pack_frame(&chunk->pack, machines[turn], cpu, colors, &frame, why))
            return machines[turn].error;
        packed = true;
        pack_part(chunk, part, cpu, frame);
        return GPU_OK;
    }

    int view(uint32_t index, bool colors) {
        const struct gpu_camera *camera = &batch->views[index].camera;
        const int32_t height = (int32_t)camera->height;
        const size_t row =
            camera->width * (batch->samples * sizeof(render_sample) + RENDER_PIXEL_BYTES);
        const int32_t rows = (int32_t)std::min(
            (size_t)height, std::max((size_t)1, machines[turn].budget() / 4 / row));
        for (int32_t y = 0; y < height; y += rows)
            GPU_TRY(
                add({&batch->views[index], &images[index], y, std::min(y + rows, height)}, colors));
        return GPU_OK;
    }

    int all() {
        for (uint32_t f = 0; f < batch->frame_count; f++) {
            bool any = false, colors = false;
            for (uint32_t i = 0; i < batch->view_count; i++) {
                any |= batch->views[i].frame == f;
                colors |= batch->views[i].frame == f && images[i].rgb != nullptr;
            }
            packed = false;
            if (!any)
                continue;
            if (!gpu_frame_prepare(cpu, &batch->frames[f], colors, batch->shadow_size, timings))
                return gpu_fail(why, GPU_ENOMEM, "out of memory while preparing frame %u", f);
            for (uint32_t i = 0; i < batch->view_count; i++)
                if (batch->views[i].frame == f)
                    GPU_TRY(view(i, colors));
        }
        return launch();
    }
};

/* Draws a batch that was checked. After a failure nothing of it is under way any more. */
template <class Machine>
int render_batch(Machine *machines, render_chunk *chunks, struct gpu_renderer *cpu,
                 const struct gpu_batch *batch, const struct gpu_image *images,
                 struct gpu_timings *timings, char *why) {
    gpu_pattern_init(&cpu->pattern, batch->samples);
    render_walk<Machine> walk = {};
    walk.machines = machines;
    walk.chunks = chunks;
    walk.cpu = cpu;
    walk.batch = batch;
    walk.images = images;
    walk.timings = timings;
    walk.why = why;
    int code = walk.all();
    for (int i = 0; i < RENDER_MACHINES; i++) {
        const int next = (walk.turn + i) % RENDER_MACHINES;
        char ignored[GPU_WHY_SIZE];
        const int ended =
            chunk_collect(machines[next], &chunks[next], code == GPU_OK ? why : ignored);
        code = code == GPU_OK ? ended : code;
    }
    return code;
}

#endif
