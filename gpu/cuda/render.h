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
 *   int begin(stage, why)                        what follows is that; RENDER_STAGES: the end
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
    RENDER_DRAWS = 1 << 14,   /* likewise; a piece has one a layer and person, */
    RENDER_MOVES = 1 << 13,   /* and perhaps one of these */
    RENDER_OUTPUTS = 9,       /* maps of a piece */
    RENDER_PIXEL_BYTES = 38,  /* of all of them */
    RENDER_MESHES = 1 << 26,  /* triangles of all draws, but for the last piece's */
    RENDER_WAITING = 1 << 18, /* portions of large triangles */
};

/* What a chunk does on its machine, in this order. */
enum render_stage {
    RENDER_SEND,
    RENDER_CLEAR,
    RENDER_MOVE,
    RENDER_PROJECT,
    RENDER_TRIANGLES,
    RENDER_PORTIONS,
    RENDER_RESOLVE,
    RENDER_FETCH,
    RENDER_STAGES,
};

/* Seconds that stages took on the device, added to. */
struct render_times {
    double stage[RENDER_STAGES];
};

/* Lets a renderer of the plug-in's measure itself; null: no more. render.cu */
void cuda_renderer_time(struct gpu_render_backend *renderer, struct render_times *times);

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
    size_t vertices[GPU_MAX_ACTORS], next[GPU_MAX_ACTORS];
    size_t open[GPU_MAX_ACTORS]; /* 0: all is */
    const struct gpu_scene *scenes[GPU_MAX_ACTORS];
};

/* Some views' worth of work, from packing to its results. */
struct render_chunk {
    render_pack pack;
    size_t draws, moves, pieces, passes, singles; /* places; singles: 0 where there are none yet */
    size_t list, counts;                          /* in scratch; two among the zeros */
    uint64_t triangles;                           /* of all draws */
    uint32_t draw_count, move_count, piece_count, output_count;
    uint32_t most_vertices, most_triangles, most_pixels;
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
    pack_array_once(pack, PACK_SLOT(at, struct gpu_daylight, gloss_table), light->gloss_table,
                    GPU_GLOSS_TABLE * sizeof(float));
    if (light->environment != nullptr) {
        const struct gpu_environment *from = light->environment;
        const size_t environment = pack_add(pack, from, sizeof *from);
        pack_point(pack, PACK_SLOT(at, struct gpu_daylight, environment), environment);
        pack_array_once(pack, PACK_SLOT(environment, struct gpu_environment, texels), from->texels,
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
bool pack_frame(render_pack *pack, Machine &machine, const struct gpu_renderer *cpu,
                render_frame *out, char *why) {
    out->light = cpu->lit ? pack_daylight(pack, &cpu->maps.light) : 0;
    for (uint32_t i = 0; i < cpu->person_count; i++) {
        const struct gpu_skinned *person = &cpu->people[i];
        const size_t size =
            (size_t)person->scene->padded_vertices * GPU_VERTEX_FLOATS * sizeof(float);
        out->next[i] = out->vertices[i] = pack_add(pack, person->start, size);
        if (person->next != person->start)
            out->next[i] = pack_add(pack, person->next, size);
        const float *open = cpu->lit ? cpu->maps.light.casts[i].open : nullptr;
        out->open[i] = 0;
        if (open != nullptr)
            out->open[i] = pack_add(pack, open, person->scene->padded_vertices * sizeof(float));
        out->scenes[i] = machine.scene(person->scene, why);
        if (out->scenes[i] == nullptr)
            return false;
    }
    return true;
}

/* Packs what shading is told at `at`, but for a person's scene and vertices. */
static inline void pack_shade(render_pack *pack, size_t at, const struct gpu_shade &from,
                              const render_frame &frame) {
    const struct gpu_backdrop &behind = from.backdrop;
    struct gpu_shade *to = pack_at<struct gpu_shade>(pack, at);
    if (to == nullptr)
        return;
    *to = from;
    to->light = nullptr; /* none of the CPU's pointers must get through */
    to->open = nullptr;
    to->backdrop.rgba = nullptr;
    to->backdrop.linear = nullptr;
    if (from.light != nullptr)
        pack_point(pack, PACK_SLOT(at, struct gpu_shade, light), frame.light);
    pack_array_once(pack, PACK_SLOT(at, struct gpu_shade, backdrop.rgba), behind.rgba,
                    (size_t)behind.width * (size_t)behind.height * 4);
    pack_array_once(pack, PACK_SLOT(at, struct gpu_shade, backdrop.linear), behind.linear,
                    256 * sizeof(float));
}

/* -- Layers -------------------------------------------------------------------------------------
 */

/* A layer of a part, before it is packed. */
struct packed_layer {
    const render_part *part;
    const struct gpu_renderer *cpu;
    const render_frame *frame;
    struct gpu_projection projection;
    struct gpu_shade shade;
    size_t pattern, samples; /* places: in the contents, among the zeros */
    float time;
};

struct packed_place {
    size_t at;
    pack_region region;
};

/* Where a person's vertices are at the layer's time. */
static inline packed_place pack_moved(render_chunk *chunk, const packed_layer &layer,
                                      uint32_t index) {
    const struct gpu_skinned *person = &layer.cpu->people[index];
    const uint32_t floats = person->scene->padded_vertices * GPU_VERTEX_FLOATS;
    const size_t from = layer.frame->vertices[index];
    if (person->next == person->start || layer.time <= 0.0f)
        return packed_place{from, PACK_CONTENTS};
    render_pack *pack = &chunk->pack;
    const size_t out = pack_room(pack, PACK_SCRATCH, floats * sizeof(float));
    const size_t at = chunk->moves + chunk->move_count++ * sizeof(render_move);
    render_move *move = pack_at<render_move>(pack, at);
    if (move != nullptr) {
        move->count = floats;
        move->time = layer.time;
    }
    pack_point(pack, PACK_SLOT(at, render_move, from), from);
    pack_point(pack, PACK_SLOT(at, render_move, to), layer.frame->next[index]);
    pack_point(pack, PACK_SLOT(at, render_move, out), out, PACK_SCRATCH);
    return packed_place{out, PACK_SCRATCH};
}

/* One person of a layer, as triangles. */
static inline void pack_draw(render_chunk *chunk, const packed_layer &layer, uint32_t index,
                             packed_place place) {
    render_pack *pack = &chunk->pack;
    const struct gpu_skinned *person = &layer.cpu->people[index];
    const size_t at = pack_add(pack, nullptr, sizeof(render_draw));
    const size_t size = person->scene->padded_vertices * sizeof(float);
    render_draw *draw = pack_at<render_draw>(pack, at);
    if (draw == nullptr)
        return;
    draw->job.scene = layer.frame->scenes[index];
    draw->job.projection = layer.projection;
    draw->job.x1 = (int32_t)layer.part->view->camera.width;
    draw->job.y0 = layer.part->y0;
    draw->job.y1 = layer.part->y1;
    draw->job.first = person->first;
    pack_point(pack, chunk->draws + chunk->draw_count++ * sizeof(render_draw *), at);
    pack_point(pack, PACK_SLOT(at, render_draw, samples), layer.samples, PACK_ZEROS);
    pack_point(pack, PACK_SLOT(at, render_draw, job.vertices), place.at, place.region);
    pack_point(pack, PACK_SLOT(at, render_draw, job.pattern), layer.pattern);
    const size_t slots[3] = {PACK_SLOT(at, render_draw, job.projected.x),
                             PACK_SLOT(at, render_draw, job.projected.y),
                             PACK_SLOT(at, render_draw, job.projected.w)};
    for (size_t slot : slots)
        pack_point(pack, slot, pack_room(pack, PACK_SCRATCH, size), PACK_SCRATCH);
    chunk->most_vertices = std::max(chunk->most_vertices, person->scene->padded_vertices);
    chunk->most_triangles = std::max(chunk->most_triangles, person->scene->triangle_count);
    chunk->triangles += person->scene->triangle_count;
}

/* Packs a layer at `at`. */
static inline void pack_layer(render_chunk *chunk, size_t at, const packed_layer &layer) {
    render_pack *pack = &chunk->pack;
    const uint32_t count = layer.cpu->person_count;
    const size_t people = pack_add(pack, nullptr, count * sizeof(render_person));
    pack_point(pack, PACK_SLOT(at, render_layer, pattern), layer.pattern);
    pack_point(pack, PACK_SLOT(at, render_layer, samples), layer.samples, PACK_ZEROS);
    pack_point(pack, PACK_SLOT(at, render_layer, people), people);
    pack_shade(pack, PACK_SLOT(at, render_layer, shade), layer.shade, *layer.frame);
    for (uint32_t i = 0; i < count; i++) {
        const size_t slot = people + i * sizeof(render_person);
        const packed_place place = pack_moved(chunk, layer, i);
        pack_shade(pack, PACK_SLOT(slot, render_person, shade), layer.shade, *layer.frame);
        render_person *person = pack_at<render_person>(pack, slot);
        if (person == nullptr)
            return;
        person->first = layer.cpu->people[i].first;
        person->shade.scene = layer.frame->scenes[i];
        pack_point(pack, PACK_SLOT(slot, render_person, shade.vertices), place.at, place.region);
        pack_point(pack, PACK_SLOT(slot, render_person, next), layer.frame->next[i]);
        if (layer.frame->open[i] != 0)
            pack_point(pack, PACK_SLOT(slot, render_person, shade.open), layer.frame->open[i]);
        pack_draw(chunk, layer, i, place);
    }
}

/* -- Parts --------------------------------------------------------------------------------------
 */

/* What a part is made of. */
struct render_recipe {
    struct gpu_exposure exposure;
    uint32_t samples, sharp, blurred; /* layers */
};

static inline render_recipe find_recipe(const struct gpu_renderer *cpu,
                                        const struct gpu_batch *batch, const struct gpu_view *view,
                                        const struct gpu_image *image) {
    render_recipe out;
    out.exposure = gpu_picture_exposure(cpu, view, batch, image);
    out.samples = batch->samples;
    out.sharp = out.exposure.sharp ? gpu_pattern_passes(batch->samples) : 0;
    out.blurred = out.exposure.blurred ? batch->samples : 0;
    return out;
}

/* Bytes of a pixel there. */
static inline size_t recipe_pixel(const render_recipe &recipe) {
    const size_t samples = (recipe.sharp > 0 ? recipe.samples : 0) + recipe.blurred;
    return samples * sizeof(render_sample) + RENDER_PIXEL_BYTES;
}

/* Memory that a part takes there beside its frame, roughly. */
static inline size_t part_memory(const render_part &part, const render_recipe &recipe,
                                 const struct gpu_renderer *cpu) {
    size_t vertices = 0, triangles = 0, layers = recipe.sharp + recipe.blurred;
    for (uint32_t i = 0; i < cpu->person_count; i++) {
        vertices += cpu->people[i].scene->padded_vertices;
        triangles += cpu->people[i].scene->triangle_count;
    }
    return (size_t)(part.y1 - part.y0) * part.view->camera.width * recipe_pixel(recipe) +
           layers * (vertices * 3 * sizeof(float) + triangles * sizeof(render_waiting)) +
           recipe.blurred * vertices * (cpu->moving ? GPU_VERTEX_FLOATS * sizeof(float) : 0) +
           layers * (64 << 10);
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

/* Patterns of the passes, or of single samples, packed once a chunk. */
static inline size_t pack_pattern(render_chunk *chunk, uint32_t samples, bool single,
                                  uint32_t index) {
    size_t *place = single ? &chunk->singles : &chunk->passes;
    if (*place == 0) {
        const uint32_t count = single ? samples : gpu_pattern_passes(samples);
        *place = pack_add(&chunk->pack, nullptr, count * sizeof(struct gpu_pattern));
        struct gpu_pattern *patterns = pack_at<struct gpu_pattern>(&chunk->pack, *place);
        for (uint32_t i = 0; patterns != nullptr && i < count; i++)
            if (single)
                gpu_pattern_init_single(&patterns[i], samples, i);
            else
                gpu_pattern_init_pass(&patterns[i], samples, i);
    }
    return *place + index * sizeof(struct gpu_pattern);
}

static inline void pack_layers(render_chunk *chunk, size_t layers, const render_part &part,
                               const render_recipe &recipe, const struct gpu_renderer *cpu,
                               const render_frame &frame, const struct gpu_shade &shade) {
    const size_t pixels = (size_t)(part.y1 - part.y0) * part.view->camera.width;
    packed_layer layer = {};
    layer.part = &part;
    layer.cpu = cpu;
    layer.frame = &frame;
    for (uint32_t l = 0; l < recipe.sharp + recipe.blurred; l++) {
        const bool single = l >= recipe.sharp;
        const uint32_t index = single ? l - recipe.sharp : l;
        struct gpu_camera camera = part.view->camera;
        struct gpu_moment moment = {};
        if (single)
            moment = gpu_picture_moment(part.view, recipe.samples, index, recipe.exposure.shutter,
                                        &camera);
        layer.shade = shade;
        gpu_picture_aim(&camera, moment.x, moment.y, &layer.projection, &layer.shade);
        layer.time = moment.time;
        layer.pattern = pack_pattern(chunk, recipe.samples, single, index);
        const uint32_t samples = single ? 1 : recipe.samples / recipe.sharp;
        layer.samples =
            pack_room(&chunk->pack, PACK_ZEROS, pixels * samples * sizeof(render_sample));
        pack_layer(chunk, layers + l * sizeof(render_layer), layer);
    }
}

static inline void pack_part(render_chunk *chunk, const render_part &part,
                             const render_recipe &recipe, const struct gpu_renderer *cpu,
                             const render_frame &frame) {
    render_pack *pack = &chunk->pack;
    const struct gpu_view *view = part.view;
    const struct gpu_image *image = part.image;
    const size_t at = chunk->pieces + chunk->piece_count++ * sizeof(render_piece);
    const size_t layers =
        pack_add(pack, nullptr, (recipe.sharp + recipe.blurred) * sizeof(render_layer));
    struct gpu_shade shade;
    struct gpu_develop develop;
    gpu_picture_describe(cpu, view, &shade, &develop);
    if (!cpu->lit)
        shade.light = nullptr;
    render_piece *piece = pack_at<render_piece>(pack, at);
    if (piece == nullptr)
        return;
    piece->width = view->camera.width;
    piece->height = view->camera.height;
    piece->y0 = part.y0;
    piece->y1 = part.y1;
    piece->sharp = recipe.sharp;
    piece->blurred = recipe.blurred;
    piece->person_count = cpu->person_count;
    piece->view = gpu_camera_projection(&view->camera);
    piece->view_next =
        gpu_camera_projection(view->camera_next.width > 0 ? &view->camera_next : &view->camera);
    piece->develop = develop;
    pack_point(pack, PACK_SLOT(at, render_piece, layers), layers);
    pack_array_once(pack, PACK_SLOT(at, render_piece, develop.tone), develop.tone, GPU_TONE_BYTES);
    pack_layers(chunk, layers, part, recipe, cpu, frame, shade);
    pack_output(chunk, PACK_SLOT(at, render_piece, rgb), part, image->rgb, 3);
    pack_output(chunk, PACK_SLOT(at, render_piece, depth), part, image->depth, 4);
    pack_output(chunk, PACK_SLOT(at, render_piece, coverage), part, image->coverage, 4);
    pack_output(chunk, PACK_SLOT(at, render_piece, normal), part, image->normal, 12);
    pack_output(chunk, PACK_SLOT(at, render_piece, flow), part, image->flow, 8);
    pack_output(chunk, PACK_SLOT(at, render_piece, triangle), part, image->triangle, 4);
    pack_output(chunk, PACK_SLOT(at, render_piece, person), part, image->person, 1);
    pack_output(chunk, PACK_SLOT(at, render_piece, part), part, image->part, 1);
    pack_output(chunk, PACK_SLOT(at, render_piece, cover), part, image->cover, 1);
    chunk->most_pixels = std::max(chunk->most_pixels,
                                  (uint32_t)((uint32_t)(part.y1 - part.y0) * view->camera.width));
}

/* -- Chunks -------------------------------------------------------------------------------------
 */

static inline void chunk_begin(render_chunk *chunk) {
    render_pack *pack = &chunk->pack;
    pack_clear(pack);
    chunk->draw_count = chunk->move_count = chunk->piece_count = chunk->output_count = 0;
    chunk->most_vertices = chunk->most_triangles = chunk->most_pixels = 0;
    chunk->pieces = pack_add(pack, nullptr, RENDER_PIECES * sizeof(render_piece));
    chunk->draws = pack_add(pack, nullptr, RENDER_DRAWS * sizeof(render_draw *));
    chunk->moves = pack_add(pack, nullptr, RENDER_MOVES * sizeof(render_move));
    chunk->passes = chunk->singles = 0; /* where pieces are */
    chunk->counts = pack_room(pack, PACK_ZEROS, 2 * sizeof(uint32_t));
    chunk->triangles = 0;
    chunk->list = pack_room(pack, PACK_SCRATCH, RENDER_WAITING * sizeof(render_waiting));
}

template <class Machine> int chunk_enqueue(Machine &machine, render_chunk *chunk, char *why) {
    render_pack *pack = &chunk->pack;
    if (pack->failed)
        return gpu_fail(why, GPU_ENOMEM, "CUDA: no memory for the views that are sent");
    const size_t size = pack->used[PACK_CONTENTS];
    const size_t waiting =
        pack_room(pack, PACK_SCRATCH, (size_t)chunk->triangles * sizeof(render_waiting));
    uint8_t *staging = machine.staging(size, why);
    uint8_t *memory =
        staging != nullptr ? machine.memory(pack_begin(pack, PACK_REGIONS), why) : nullptr;
    if (memory == nullptr)
        return machine.error;
    pack_write(pack, staging, memory);
    GPU_TRY(machine.begin(RENDER_SEND, why));
    GPU_TRY(machine.send(size, why));
    GPU_TRY(machine.begin(RENDER_CLEAR, why));
    GPU_TRY(machine.clear(memory + pack_begin(pack, PACK_ZEROS), pack->used[PACK_ZEROS], why));
    const render_draw *const *draws =
        reinterpret_cast<const render_draw *const *>(memory + chunk->draws);
    const render_moves moves = {reinterpret_cast<const render_move *>(memory + chunk->moves)};
    uint8_t *const scratch = memory + pack_begin(pack, PACK_SCRATCH);
    uint32_t *const counts =
        reinterpret_cast<uint32_t *>(memory + pack_begin(pack, PACK_ZEROS) + chunk->counts);
    const render_list list = {counts, RENDER_WAITING,
                              reinterpret_cast<render_waiting *>(scratch + chunk->list)};
    const render_list slow = {counts + 1, (uint32_t)chunk->triangles,
                              reinterpret_cast<render_waiting *>(scratch + waiting)};
    chunk->busy = true;
    GPU_TRY(machine.begin(RENDER_MOVE, why));
    GPU_TRY(machine.rows(moves, chunk->move_count, chunk->most_vertices * GPU_VERTEX_FLOATS, why));
    GPU_TRY(machine.begin(RENDER_PROJECT, why));
    GPU_TRY(machine.rows(render_project{draws}, chunk->draw_count, chunk->most_vertices, why));
    GPU_TRY(machine.begin(RENDER_TRIANGLES, why));
    GPU_TRY(machine.rows(render_triangles{draws, list, slow}, chunk->draw_count,
                         chunk->most_triangles, why));
    GPU_TRY(machine.begin(RENDER_PORTIONS, why));
    GPU_TRY(machine.counted(render_slows{draws, list, slow}, why));
    GPU_TRY(machine.counted(render_portions{draws, list}, why));
    const render_piece *pieces = reinterpret_cast<const render_piece *>(memory + chunk->pieces);
    GPU_TRY(machine.begin(RENDER_RESOLVE, why));
    GPU_TRY(machine.rows(render_resolve{pieces}, chunk->piece_count, chunk->most_pixels, why));
    GPU_TRY(machine.begin(RENDER_FETCH, why));
    GPU_TRY(machine.fetch(memory + pack_begin(pack, PACK_RESULTS), pack->used[PACK_RESULTS], why));
    return machine.begin(RENDER_STAGES, why);
}

/* Sends the chunk and starts its kernels. */
template <class Machine> int chunk_launch(Machine &machine, render_chunk *chunk, char *why) {
    const int code = chunk_enqueue(machine, chunk, why);
    if (code != GPU_OK)
        chunk->output_count = 0; /* what has started is waited for, but nothing will come back */
    return code;
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

    bool fits(const render_chunk &chunk, const render_part &part,
              const render_recipe &recipe) const {
        const uint32_t draws = (recipe.sharp + recipe.blurred) * cpu->person_count;
        return chunk.piece_count < RENDER_PIECES && chunk.draw_count + draws <= RENDER_DRAWS &&
               chunk.move_count + draws <= RENDER_MOVES && chunk.triangles < RENDER_MESHES &&
               pack_begin(&chunk.pack, PACK_REGIONS) + part_memory(part, recipe, cpu) <=
                   machines[turn].budget();
    }

    int add(const render_part &part, const render_recipe &recipe) {
        if (open && !fits(chunks[turn], part, recipe))
            GPU_TRY(launch());
        render_chunk *chunk = &chunks[turn];
        if (!open) {
            GPU_TRY(chunk_collect(machines[turn], chunk, why));
            chunk_begin(chunk);
            open = true;
        }
        if (!packed && !pack_frame(&chunk->pack, machines[turn], cpu, &frame, why))
            return machines[turn].error;
        packed = true;
        pack_part(chunk, part, recipe, cpu, frame);
        return GPU_OK;
    }

    int view(uint32_t index) {
        const struct gpu_view *view = &batch->views[index];
        const render_recipe recipe = find_recipe(cpu, batch, view, &images[index]);
        const int32_t height = (int32_t)view->camera.height;
        const size_t row = view->camera.width * recipe_pixel(recipe);
        const size_t rows = std::max((size_t)1, machines[turn].budget() / 4 / row);
        const int32_t step = (int32_t)std::min((size_t)height, rows);
        for (int32_t y = 0; y < height; y += step)
            GPU_TRY(add({view, &images[index], y, std::min(y + step, height)}, recipe));
        return GPU_OK;
    }

    int all() {
        for (uint32_t f = 0; f < batch->frame_count; f++) {
            bool any = false;
            packed = false;
            if (!gpu_frame_prepare(cpu, batch, f, images, timings, &any))
                return gpu_fail(why, GPU_ENOMEM, "out of memory while preparing frame %u", f);
            for (uint32_t i = 0; any && i < batch->view_count; i++)
                if (batch->views[i].frame == f)
                    GPU_TRY(view(i));
        }
        return launch();
    }
};

/* Draws a batch that was checked. After a failure nothing of it is under way any more. */
template <class Machine>
int render_batch(Machine *machines, render_chunk *chunks, struct gpu_renderer *cpu,
                 const struct gpu_batch *batch, const struct gpu_image *images,
                 struct gpu_timings *timings, char *why) {
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
