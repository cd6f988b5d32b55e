#include "media/scene_probe.h"

#include <stdlib.h>

enum { FEW = 24 };

static struct vec vertex_at(const struct scene_mesh *mesh, uint32_t v) {
    const float *p = mesh->vertices[v].position;
    return (struct vec){(double)p[0], (double)p[1], (double)p[2]};
}

/* Marks the nodes whose skin is wanted. */
static void mark_nodes(const struct scene *scene, int node, bool rigid_too, bool *wanted) {
    for (uint32_t i = 0; i < scene->node_count; i++) {
        const struct scene_joint *joint = &scene->joints[i];
        wanted[i] = node < 0 || (int)i == node || (joint->parent >= 0 && wanted[joint->parent]);
    }
    for (uint32_t i = 0; i < scene->node_count && !rigid_too && node >= 0; i++)
        if (scene->joints[i].rigid)
            wanted[i] = false;
}

static uint32_t gather_vertices(struct probe *probe, const struct scene *scene,
                                const bool *wanted) {
    const struct scene_mesh *mesh = probe->mesh;
    probe->vertex_count = 0;
    for (uint32_t v = 0; v < mesh->vertex_count; v++)
        if (wanted[scene->joints[mesh->vertices[v].joints[0]].node])
            probe->vertices[probe->vertex_count++] = v;
    return probe->vertex_count;
}

static void gather_triangles(struct probe *probe, const struct scene *scene, const bool *wanted) {
    const struct scene_mesh *mesh = probe->mesh;
    for (uint32_t t = 0; t < mesh->triangle_count; t++) {
        for (int k = 0; k < 3; k++) {
            uint32_t v = mesh->indices[3 * (size_t)t + (size_t)k];
            if (wanted[scene->joints[mesh->vertices[v].joints[0]].node]) {
                probe->triangles[probe->triangle_count++] = t;
                break;
            }
        }
    }
}

bool probe_init(struct probe *probe, const struct scene *scene, const struct scene_mesh *mesh,
                int node) {
    *probe = (struct probe){.mesh = mesh};
    bool *wanted = calloc(scene->node_count, sizeof *wanted);
    probe->vertices = malloc((mesh->vertex_count + 1) * sizeof *probe->vertices);
    probe->triangles = malloc((mesh->triangle_count + 1) * sizeof *probe->triangles);
    bool ready = wanted != NULL && probe->vertices != NULL && probe->triangles != NULL;
    if (ready) {
        mark_nodes(scene, node, false, wanted);
        if (gather_vertices(probe, scene, wanted) < FEW) {
            mark_nodes(scene, node, true, wanted);
            gather_vertices(probe, scene, wanted);
        }
        gather_triangles(probe, scene, wanted);
        probe->low = (struct vec){INFINITY, INFINITY, INFINITY};
        probe->high = (struct vec){-INFINITY, -INFINITY, -INFINITY};
        for (uint32_t i = 0; i < probe->vertex_count; i++) {
            struct vec p = probe_vertex(probe, i);
            probe->low = (struct vec){fmin(probe->low.x, p.x), fmin(probe->low.y, p.y),
                                      fmin(probe->low.z, p.z)};
            probe->high = (struct vec){fmax(probe->high.x, p.x), fmax(probe->high.y, p.y),
                                       fmax(probe->high.z, p.z)};
        }
    }
    free(wanted);
    if (!ready)
        probe_deinit(probe);
    return ready;
}

void probe_deinit(struct probe *probe) {
    free(probe->vertices);
    free(probe->triangles);
    *probe = (struct probe){0};
}

struct vec probe_vertex(const struct probe *probe, uint32_t i) {
    return vertex_at(probe->mesh, probe->vertices[i]);
}

/* Möller and Trumbore, "Fast, Minimum Storage Ray/Triangle Intersection", 1997; both sides count.
 */
static double meet(struct vec from, struct vec direction, struct vec a, struct vec b,
                   struct vec c) {
    struct vec ab = vec_sub(b, a), ac = vec_sub(c, a), p = vec_cross(direction, ac);
    double det = vec_dot(ab, p);
    if (fabs(det) < 1e-14)
        return -1;
    struct vec s = vec_sub(from, a), q = vec_cross(s, ab);
    double u = vec_dot(s, p) / det, v = vec_dot(direction, q) / det;
    if (u < 0 || v < 0 || u + v > 1)
        return -1;
    return vec_dot(ac, q) / det;
}

double probe_ray(const struct probe *probe, struct vec from, struct vec direction, bool last) {
    double best = -1;
    for (uint32_t i = 0; i < probe->triangle_count; i++) {
        const uint32_t *index = probe->mesh->indices + 3 * (size_t)probe->triangles[i];
        double t = meet(from, direction, vertex_at(probe->mesh, index[0]),
                        vertex_at(probe->mesh, index[1]), vertex_at(probe->mesh, index[2]));
        if (t >= 0 && (best < 0 || (last ? t > best : t < best)))
            best = t;
    }
    return best;
}
