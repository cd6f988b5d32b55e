/* actor.c - see actor.h. */
#include "actor.h"

#include <string.h>

size_t gpu_posed_scratch(const struct gpu_actor *actor) {
    bool dual = actor->skinning == GPU_SKIN_DUAL_QUATERNION;
    return dual ? (size_t)2 * GPU_JOINT_FLOATS * actor->scene->joint_count : 0;
}

static const float *useful(const struct gpu_scene *scene, const float *weights) {
    for (uint32_t m = 0; weights != NULL && m < scene->morph_count; m++)
        if (weights[m] != 0.0f)
            return weights;
    return NULL;
}

struct gpu_posed gpu_posed_make(const struct gpu_actor *actor, bool next, float *scratch) {
    const float *pose = next && actor->pose_next != NULL ? actor->pose_next : actor->pose;
    const float *morphs = next && actor->morphs_next != NULL ? actor->morphs_next : actor->morphs;
    return (struct gpu_posed){.scene = actor->scene,
                              .palette =
                                  gpu_palette_make(actor->scene, pose, actor->skinning, scratch),
                              .morphs = useful(actor->scene, morphs)};
}

bool gpu_actor_moves(const struct gpu_actor *actor) {
    return actor->pose_next != NULL || actor->morphs_next != NULL;
}

/* The first of a morph target's entries whose vertex is not below `vertex`. */
static uint32_t find_entry(const struct gpu_scene *scene, uint32_t morph, uint32_t vertex) {
    uint32_t low = scene->morph_first[morph], high = scene->morph_first[morph + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (scene->morph_vertices[middle] < vertex)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add_morph(const struct gpu_scene *scene, uint32_t morph, float weight, uint32_t first,
                      uint32_t count, float *bind) {
    uint32_t end = scene->morph_first[morph + 1];
    for (uint32_t i = find_entry(scene, morph, first); i < end; i++) {
        uint32_t vertex = scene->morph_vertices[i];
        if (vertex >= first + count)
            return;
        const float *delta = scene->morph_deltas + (size_t)6 * i;
        float *to = bind + (size_t)(vertex - first) * GPU_VERTEX_FLOATS;
        for (int c = 0; c < 3; c++) {
            to[c] += weight * delta[c];
            to[4 + c] += weight * delta[3 + c];
        }
    }
}

void gpu_posed_skin(const struct gpu_posed *posed, const struct gpu_kernels *kernels,
                    uint32_t first, uint32_t count, float *out) {
    const struct gpu_scene *scene = posed->scene;
    const float *vertices = scene->vertices + (size_t)first * GPU_VERTEX_FLOATS;
    if (posed->morphs == NULL) {
        kernels->skin(scene, &posed->palette, vertices, first, count, out);
        return;
    }
    float bind[GPU_ACTOR_PORTION * GPU_VERTEX_FLOATS];
    for (uint32_t done = 0; done < count; done += GPU_ACTOR_PORTION) {
        uint32_t part = count - done < GPU_ACTOR_PORTION ? count - done : GPU_ACTOR_PORTION;
        size_t at = (size_t)done * GPU_VERTEX_FLOATS;
        memcpy(bind, vertices + at, (size_t)part * GPU_VERTEX_FLOATS * sizeof(float));
        for (uint32_t m = 0; m < scene->morph_count; m++)
            if (posed->morphs[m] != 0.0f)
                add_morph(scene, m, posed->morphs[m], first + done, part, bind);
        kernels->skin(scene, &posed->palette, bind, first + done, part, out + at);
    }
}

void gpu_posed_anchor(const struct gpu_posed *posed, const struct gpu_kernels *kernels,
                      const struct gpu_anchor *anchor, float world[3]) {
    float weights[4 * GPU_PAD] = {0}, bind[GPU_PAD * GPU_VERTEX_FLOATS] = {0};
    float out[GPU_PAD * GPU_VERTEX_FLOATS];
    uint32_t joints[4 * GPU_PAD] = {0};
    uint8_t used = 4;
    const struct gpu_scene point = {
        .influences = 4, .weights = weights, .joints = joints, .used = &used};
    for (uint32_t k = 0; k < 4; k++) {
        float weight = anchor->joint[k] < posed->scene->joint_count ? anchor->weight[k] : 0.0f;
        uint32_t at = k;
        for (; at > 0 && weights[at - 1] < weight; at--) { /* the heaviest first, as in scenes */
            weights[at] = weights[at - 1];
            joints[at] = joints[at - 1];
        }
        weights[at] = weight;
        joints[at] = weight != 0.0f ? (uint32_t)anchor->joint[k] * GPU_JOINT_FLOATS : 0;
    }
    for (uint32_t k = 1; k < 4; k++) /* weight 0, but no stranger's NaN */
        joints[k] = weights[k] != 0.0f ? joints[k] : joints[0];
    memcpy(bind, anchor->position, sizeof anchor->position);
    kernels->skin(&point, &posed->palette, bind, 0, GPU_PAD, out);
    memcpy(world, out, 3 * sizeof *world);
}
