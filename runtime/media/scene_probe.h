/* scene_probe.h - questions to the skin of a scene in bind space: what follows a bone, where a ray
 * meets it. Private to scene*.c; used on import only. */
#ifndef STANCE_MEDIA_SCENE_PROBE_H
#define STANCE_MEDIA_SCENE_PROBE_H

#include "media/scene_parts.h"

/* The skin that follows one node and what is below it. */
struct probe {
    const struct scene_mesh *mesh;
    uint32_t vertex_count, triangle_count;
    uint32_t *vertices;   /* indices of mesh vertices */
    uint32_t *triangles;  /* indices of mesh triangles with such a vertex */
    struct vec low, high; /* the vertices' box */
};

/* Gathers the skin of `node`; things that it carries rigidly (hats, swords) only when there is
 * little else. node -1 gathers all. False without memory; an empty probe is fine. */
bool probe_init(struct probe *probe, const struct scene *scene, const struct scene_mesh *mesh,
                int node);
void probe_deinit(struct probe *probe);

struct vec probe_vertex(const struct probe *probe, uint32_t i);

/* The distance along a unit direction to the first (or the last) triangle met, or a negative
 * number. */
double probe_ray(const struct probe *probe, struct vec from, struct vec direction, bool last);

#endif
