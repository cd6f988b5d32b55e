/* scene_upload.c - hands the finished mesh to the renderer. */
#include <stdlib.h>

#include "media/scene_parts.h"

/* -- Morph targets ----------------------------------------------------------------------------- */

static void free_morphs(struct gpu_morph *morphs, uint32_t count) {
    for (uint32_t m = 0; morphs != NULL && m < count; m++)
        free((void *)(uintptr_t)morphs[m].positions);
    free(morphs);
}

/* Positions and normals apart; NULL without memory. */
static struct gpu_morph *list_morphs(const struct scene_mesh *mesh) {
    struct gpu_morph *morphs = calloc((size_t)mesh->morph_count + 1, sizeof *morphs);
    for (uint32_t m = 0; morphs != NULL && m < mesh->morph_count; m++) {
        const struct scene_deltas *deltas = &mesh->morphs[m];
        size_t count = deltas->count;
        float *values = malloc((6 * count + 1) * sizeof *values);
        if (values == NULL) {
            free_morphs(morphs, m);
            return NULL;
        }
        for (size_t i = 0; i < count; i++) {
            memcpy(values + 3 * i, deltas->values[i], 3 * sizeof *values);
            memcpy(values + 3 * (count + i), deltas->values[i] + 3, 3 * sizeof *values);
        }
        morphs[m] =
            (struct gpu_morph){(uint32_t)count, deltas->vertices, values, values + 3 * count};
    }
    return morphs;
}

/* -- The whole --------------------------------------------------------------------------------- */

int scene_upload(struct scene *scene, const struct scene_mesh *mesh, const char *file,
                 struct err *err) {
    size_t n = mesh->vertex_count;
    uint32_t used = 1;
    for (size_t v = 0; v < n; v++)
        while (used < SCENE_INFLUENCES && mesh->vertices[v].weights[used] > 0)
            used++;
    float *floats = malloc(n * (8 + used) * sizeof *floats);
    uint16_t *joints = malloc(n * used * sizeof *joints);
    struct gpu_morph *morphs = list_morphs(mesh);
    int rc = 0;
    char why[GPU_WHY_SIZE] = "";
    if (floats == NULL || joints == NULL || morphs == NULL) {
        rc = err_set(err, ERR_NO_MEMORY, "%s: no memory to import it", file);
        goto end;
    }
    float *normals = floats + 3 * n, *uvs = normals + 3 * n, *weights = uvs + 2 * n;
    for (size_t v = 0; v < n; v++) {
        const struct scene_vertex *vertex = &mesh->vertices[v];
        memcpy(floats + 3 * v, vertex->position, sizeof vertex->position);
        memcpy(normals + 3 * v, vertex->normal, sizeof vertex->normal);
        memcpy(uvs + 2 * v, vertex->uv, sizeof vertex->uv);
        memcpy(weights + used * v, vertex->weights, used * sizeof *weights);
        memcpy(joints + used * v, vertex->joints, used * sizeof *joints);
    }
    struct gpu_scene_desc desc = {
        .vertex_count = mesh->vertex_count,
        .triangle_count = mesh->triangle_count,
        .joint_count = scene->joint_count,
        .material_count = mesh->material_count,
        .texture_count = mesh->texture_count,
        .influences = used,
        .positions = floats,
        .normals = normals,
        .uvs = mesh->texture_count > 0 ? uvs : NULL,
        .joints = joints,
        .weights = weights,
        .indices = mesh->indices,
        .materials = mesh->materials,
        .material_table = mesh->material_table,
        .textures = mesh->textures,
        .parts = scene->parts,
        .morph_count = mesh->morph_count,
        .morphs = morphs,
    };
    int code = gpu_scene_new(&desc, &scene->gpu, why);
    if (code != 0)
        rc = err_set(err, code == GPU_ENOMEM ? ERR_NO_MEMORY : ERR_INVALID, "%s: %s", file, why);
    scene->vertex_count = mesh->vertex_count;
    scene->triangle_count = mesh->triangle_count;
end:
    free(floats);
    free(joints);
    free_morphs(morphs, mesh->morph_count);
    return rc;
}
