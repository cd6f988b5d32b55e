/* people.c - a frame's people into the world; see renderer.h. */
#include "renderer.h"

static size_t padded_vertices(const struct gpu_frame *frame, bool next) {
    size_t sum = 0;
    for (uint32_t i = 0; i < frame->actor_count; i++)
        if (!next || gpu_actor_moves(&frame->actors[i]))
            sum += frame->actors[i].scene->padded_vertices;
    return sum;
}

/* Lays the frame's people out in scratch memory. */
static bool place(struct gpu_renderer *renderer, const struct gpu_frame *frame, bool next) {
    size_t vertices = padded_vertices(frame, false), joints = 0, done = 0;
    size_t moving = next ? padded_vertices(frame, true) : 0;
    uint32_t triangles = 0;
    for (uint32_t i = 0; i < frame->actor_count; i++) {
        size_t scratch = gpu_posed_scratch(&frame->actors[i]);
        joints = scratch > joints ? scratch : joints;
    }
    if (!gpu_buffer_reserve(&renderer->vertices, (vertices + moving) * GPU_VERTEX_FLOATS,
                            sizeof(float)) ||
        !gpu_buffer_reserve(&renderer->moved, moving * GPU_VERTEX_FLOATS, sizeof(float)) ||
        !gpu_buffer_reserve(&renderer->projected, 3 * vertices, sizeof(float)) ||
        !gpu_buffer_reserve(&renderer->joints, joints, sizeof(float)))
        return false;
    float *world = renderer->vertices.memory, *w = renderer->projected.memory;
    float *later = world + vertices * GPU_VERTEX_FLOATS, *between = renderer->moved.memory;
    int32_t *x = (int32_t *)renderer->projected.memory + vertices, *y = x + vertices;
    for (uint32_t i = 0; i < frame->actor_count; i++) {
        const struct gpu_scene *scene = frame->actors[i].scene;
        struct gpu_skinned *person = &renderer->people[i];
        *person = (struct gpu_skinned){.scene = scene,
                                       .vertices = world + done * GPU_VERTEX_FLOATS,
                                       .first = triangles,
                                       .projected = {.x = x + done, .y = y + done, .w = w + done}};
        person->start = person->next = person->vertices;
        if (next && gpu_actor_moves(&frame->actors[i])) {
            person->next = later;
            person->moved = between;
            later += (size_t)scene->padded_vertices * GPU_VERTEX_FLOATS;
            between += (size_t)scene->padded_vertices * GPU_VERTEX_FLOATS;
        }
        renderer->casters[i] = (struct gpu_caster){scene, person->vertices};
        done += scene->padded_vertices;
        triangles += scene->triangle_count;
    }
    renderer->person_count = frame->actor_count;
    renderer->moving = moving > 0;
    renderer->lighting = frame->lighting;
    return true;
}

bool gpu_people_skin(struct gpu_renderer *renderer, const struct gpu_frame *frame, bool next) {
    if (!place(renderer, frame, next))
        return false;
    for (uint32_t i = 0; i < frame->actor_count; i++) {
        const struct gpu_skinned *person = &renderer->people[i];
        for (int later = 0; later < (person->next != person->vertices ? 2 : 1); later++) {
            struct gpu_posed posed =
                gpu_posed_make(&frame->actors[i], later != 0, renderer->joints.memory);
            gpu_posed_skin(&posed, renderer->kernels, 0, person->scene->padded_vertices,
                           later != 0 ? person->next : person->vertices);
        }
    }
    return true;
}

void gpu_people_move(struct gpu_renderer *renderer, float time) {
    for (uint32_t i = 0; i < renderer->person_count; i++) {
        struct gpu_skinned *person = &renderer->people[i];
        person->vertices = person->start;
        if (person->next == person->start || time <= 0.0f)
            continue;
        const float *from = person->start, *to = person->next;
        size_t count = (size_t)person->scene->padded_vertices * GPU_VERTEX_FLOATS;
        for (size_t k = 0; k < count; k++)
            person->moved[k] = from[k] + (to[k] - from[k]) * time;
        person->vertices = person->moved;
    }
}
