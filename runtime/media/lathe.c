/* lathe.c - see lathe.h. Surfaces are evaluated in double precision: normals come from differences
 * of nearby points, which float would make visibly rough. */
#include "media/lathe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double PI = 3.14159265358979323846;
static const double GRAIN_LENGTH = 0.5;    /* metres of wood along the picture's height */
static const double WRAPPED_RADIUS = 0.03; /* thicker parts wear the picture all around */

enum { COORDS = 6, SAMPLES = 16, MAX_ROWS = 16 };

/* -- Mesh -------------------------------------------------------------------------------------- */

void turned_mesh_deinit(struct turned_mesh *mesh) {
    free(mesh->positions);
    free(mesh->normals);
    free(mesh->uvs);
    free(mesh->joints);
    free(mesh->weights);
    free(mesh->indices);
    *mesh = (struct turned_mesh){0};
}

/* realloc that leaves the old block in place when it fails. */
static bool resize(void *field, size_t count, size_t row) {
    void *old;
    memcpy(&old, field, sizeof old);
    void *grown = realloc(old, count * row);
    if (!grown)
        return false;
    memcpy(field, &grown, sizeof grown);
    return true;
}

/* Makes room for more vertices and indices, or sets `failed`. */
static bool turned_mesh_reserve(struct turned_mesh *mesh, uint32_t vertices, uint32_t indices) {
    if (mesh->failed)
        return false;
    uint32_t need = mesh->vertex_count + vertices;
    if (need > mesh->vertex_room) {
        uint32_t room = need + need / 2;
        mesh->failed |= !resize(&mesh->positions, room, 3 * sizeof(float));
        mesh->failed |= !resize(&mesh->normals, room, 3 * sizeof(float));
        mesh->failed |= !resize(&mesh->uvs, room, 2 * sizeof(float));
        mesh->failed |= !resize(&mesh->joints, room, 4);
        mesh->failed |= !resize(&mesh->weights, room, 4 * sizeof(float));
        mesh->vertex_room = room;
    }
    need = mesh->index_count + indices;
    if (need > mesh->index_room) {
        uint32_t room = need + need / 2;
        mesh->failed |= !resize(&mesh->indices, room, sizeof(uint32_t));
        mesh->index_room = room;
    }
    return !mesh->failed;
}

void turned_mesh_mirror(struct turned_mesh *mesh, uint32_t first_vertex, uint32_t first_index,
                        int joint_offset) {
    uint32_t vertices = mesh->vertex_count - first_vertex,
             indices = mesh->index_count - first_index;
    if (!turned_mesh_reserve(mesh, vertices, indices))
        return;
    uint32_t to = mesh->vertex_count;
    memcpy(mesh->positions + 3 * to, mesh->positions + 3 * first_vertex,
           vertices * 3 * sizeof(float));
    memcpy(mesh->normals + 3 * to, mesh->normals + 3 * first_vertex, vertices * 3 * sizeof(float));
    memcpy(mesh->uvs + 2 * to, mesh->uvs + 2 * first_vertex, vertices * 2 * sizeof(float));
    memcpy(mesh->joints + 4 * to, mesh->joints + 4 * first_vertex, vertices * 4);
    memcpy(mesh->weights + 4 * to, mesh->weights + 4 * first_vertex, vertices * 4 * sizeof(float));
    for (uint32_t v = to; v < to + vertices; v++) {
        mesh->positions[3 * v] = -mesh->positions[3 * v];
        mesh->normals[3 * v] = -mesh->normals[3 * v];
        mesh->uvs[2 * v] += 0.37F;
        mesh->uvs[2 * v + 1] += 0.43F;
        for (int k = 0; k < 4; k++) {
            if (mesh->weights[4 * v + k] > 0)
                mesh->joints[4 * v + k] = (uint8_t)(mesh->joints[4 * v + k] + joint_offset);
        }
    }
    for (uint32_t i = 0; i < indices; i += 3) { /* a mirror turns triangles around */
        const uint32_t *from = mesh->indices + first_index + i;
        uint32_t *copy = mesh->indices + mesh->index_count + i;
        copy[0] = from[0] - first_vertex + to;
        copy[1] = from[2] - first_vertex + to;
        copy[2] = from[1] - first_vertex + to;
    }
    mesh->vertex_count += vertices;
    mesh->index_count += indices;
}

/* -- Profile ----------------------------------------------------------------------------------- */

/* The curve from one ring to the next, as a cubic in t = 0..1 for each of a ring's numbers. */
struct stretch {
    double p0[COORDS], p1[COORDS], m0[COORDS], m1[COORDS];
};

static void ring_coords(const struct lathe_ring *ring, double out[COORDS]) {
    double square = ring->square > 0 ? (double)ring->square : 2;
    const double values[COORDS] = {ring->at,   ring->side,  ring->front,
                                   ring->back, ring->shift, square};
    memcpy(out, values, sizeof values);
}

static double mean_radius(const double ring[COORDS]) {
    return (2 * ring[1] + ring[2] + ring[3]) / 4;
}

/* The knot distance of the centripetal parametrisation: the square root of the profile's chord. */
static double knot_distance(const double a[COORDS], const double b[COORDS]) {
    return sqrt(hypot(b[0] - a[0], mean_radius(b) - mean_radius(a)) + 1e-9);
}

/* The point that continues a smooth stretch past its end: through the axis where it is closed, else
 * straight on. */
static void phantom(const double end[COORDS], const double inner[COORDS], double out[COORDS]) {
    bool closed = mean_radius(end) < 1e-6;
    for (int c = 0; c < COORDS; c++)
        out[c] = closed ? inner[c] : 2 * end[c] - inner[c];
    for (int c = 1; closed && c <= 3; c++)
        out[c] = -inner[c];
}

static void stretch_init(struct stretch *s, const struct lathe_part *part, uint32_t k) {
    const struct lathe_ring *rings = part->rings;
    double before[COORDS], after[COORDS];
    ring_coords(&rings[k], s->p0);
    ring_coords(&rings[k + 1], s->p1);
    if (k == 0 || rings[k].crease)
        phantom(s->p0, s->p1, before);
    else
        ring_coords(&rings[k - 1], before);
    if (k + 2 == part->ring_count || rings[k + 1].crease)
        phantom(s->p1, s->p0, after);
    else
        ring_coords(&rings[k + 2], after);
    double d0 = knot_distance(before, s->p0), d1 = knot_distance(s->p0, s->p1),
           d2 = knot_distance(s->p1, after);
    for (int c = 0; c < COORDS; c++) {
        double slope = (s->p1[c] - s->p0[c]) / d1;
        s->m0[c] = d1 * ((s->p0[c] - before[c]) / d0 - (s->p1[c] - before[c]) / (d0 + d1) + slope);
        s->m1[c] = d1 * (slope - (after[c] - s->p0[c]) / (d1 + d2) + (after[c] - s->p1[c]) / d2);
    }
}

static void stretch_at(const struct stretch *s, double t, double ring[COORDS]) {
    double t2 = t * t, t3 = t2 * t;
    for (int c = 0; c < COORDS; c++)
        ring[c] = (2 * t3 - 3 * t2 + 1) * s->p0[c] + (t3 - 2 * t2 + t) * s->m0[c] +
                  (3 * t2 - 2 * t3) * s->p1[c] + (t3 - t2) * s->m1[c];
}

/* How many rows of faces a stretch needs so that none turns by more than the part's `turn`. */
static int stretch_rows(const struct stretch *s, double turn) {
    double total = 0, last_angle = 0, last[COORDS], here[COORDS];
    stretch_at(s, 0, last);
    for (int i = 1; i <= SAMPLES; i++) {
        stretch_at(s, (double)i / SAMPLES, here);
        double angle = atan2(mean_radius(here) - mean_radius(last), here[0] - last[0]);
        if (i > 1)
            total += fabs(remainder(angle - last_angle, 2 * PI));
        last_angle = angle;
        memcpy(last, here, sizeof last);
    }
    int rows = (int)ceil(total / turn - 1e-6);
    return rows < 1 ? 1 : rows > MAX_ROWS ? MAX_ROWS : rows;
}

/* -- Surface ----------------------------------------------------------------------------------- */

static void surface_at(const struct lathe_part *part, const struct stretch *s, double t,
                       double angle, double p[3]) {
    double ring[COORDS];
    stretch_at(s, t, ring);
    double c = cos(angle), d = sin(angle);
    double reach = pow(pow(fabs(c), ring[5]) + pow(fabs(d), ring[5]), -1 / ring[5]);
    double x = ring[1] * c * reach, z = (d > 0 ? ring[2] : ring[3]) * d * reach + ring[4];
    const struct lathe_frame *f = &part->frame;
    for (int i = 0; i < 3; i++)
        p[i] = f->origin[i] + f->axis[i] * ring[0] + f->side[i] * x + f->front[i] * z;
    if (part->shape)
        part->shape(p);
}

/* Adds the surface's normal, unit length, to `sum`. */
static void add_normal(const struct lathe_part *part, const struct stretch *s, double t,
                       double angle, double sum[3]) {
    const double h = 1e-4;
    double t0 = fmax(t - h, 0), t1 = fmin(t + h, 1);
    double a[3], b[3], along[3], around[3];
    surface_at(part, s, t0, angle, a);
    surface_at(part, s, t1, angle, b);
    for (int i = 0; i < 3; i++)
        along[i] = b[i] - a[i];
    surface_at(part, s, t, angle - h, a);
    surface_at(part, s, t, angle + h, b);
    for (int i = 0; i < 3; i++)
        around[i] = b[i] - a[i];
    double n[3] = {along[1] * around[2] - along[2] * around[1],
                   along[2] * around[0] - along[0] * around[2],
                   along[0] * around[1] - along[1] * around[0]};
    double length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    for (int i = 0; i < 3 && length > 0; i++)
        sum[i] += n[i] / length;
}

/* On the axis all directions meet: there the normal is the mean of those just beside it. */
static void surface_normal(const struct lathe_part *part, const struct stretch *s, double t,
                           double angle, float out[3]) {
    double ring[COORDS], n[3] = {0, 0, 0};
    stretch_at(s, t, ring);
    if (mean_radius(ring) > 1e-6) {
        add_normal(part, s, t, angle, n);
    } else {
        double beside = t < 0.5 ? t + 0.01 : t - 0.01;
        for (int i = 0; i < 8; i++)
            add_normal(part, s, beside, i * PI / 4, n);
    }
    double length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    for (int i = 0; i < 3; i++)
        out[i] = length > 0 ? (float)(n[i] / length) : i == 1;
}

/* -- Turning ----------------------------------------------------------------------------------- */

struct turning {
    struct turned_mesh *mesh;
    const struct lathe_part *part;
    double radius;   /* the part's largest */
    double distance; /* along the profile, for the grain */
    double last[COORDS];
};

static double grain_across(const struct turning *w, uint32_t column) {
    double around = (double)column / w->part->segments;
    if (w->radius >= WRAPPED_RADIUS)
        return w->part->grain[0] + around;
    /* a thin part shows few rings: a strip of the picture, there and back, so that the seam does
     * not show */
    return w->part->grain[0] + w->radius / WRAPPED_RADIUS * 0.4 * fabs(2 * around - 1);
}

static void turn_row(struct turning *w, const struct stretch *s, double t) {
    const struct lathe_part *part = w->part;
    struct turned_mesh *mesh = w->mesh;
    double ring[COORDS];
    stretch_at(s, t, ring);
    w->distance += hypot(ring[0] - w->last[0], mean_radius(ring) - mean_radius(w->last));
    memcpy(w->last, ring, sizeof ring);
    for (uint32_t j = 0; j <= part->segments; j++) {
        uint32_t v = mesh->vertex_count++;
        double angle = 2 * PI * (j % part->segments) / part->segments, p[3];
        surface_at(part, s, t, angle, p);
        for (int i = 0; i < 3; i++)
            mesh->positions[3 * v + i] = (float)p[i];
        surface_normal(part, s, t, angle, mesh->normals + 3 * v);
        mesh->uvs[2 * v] = (float)grain_across(w, j);
        mesh->uvs[2 * v + 1] = (float)(part->grain[1] + w->distance / GRAIN_LENGTH);
        memset(mesh->joints + 4 * v, 0, 4);
        memset(mesh->weights + 4 * v, 0, 4 * sizeof(float));
        for (int k = 0; k < 2; k++) {
            mesh->joints[4 * v + k] = part->frame.weight[k] > 0 ? part->frame.joint[k] : 0;
            mesh->weights[4 * v + k] = part->frame.weight[k];
        }
    }
}

static void add_triangle(struct turned_mesh *mesh, uint32_t a, uint32_t b, uint32_t c) {
    uint32_t *at = mesh->indices + mesh->index_count;
    at[0] = a;
    at[1] = b;
    at[2] = c;
    mesh->index_count += 3;
}

/* The faces between the last two rows. A row on the axis is one point: half of the faces fall away.
 */
static void turn_faces(struct turning *w, bool from_axis, bool to_axis) {
    uint32_t stride = w->part->segments + 1;
    uint32_t upper = w->mesh->vertex_count - stride, lower = upper - stride;
    for (uint32_t j = 0; j < w->part->segments; j++) {
        if (!from_axis)
            add_triangle(w->mesh, lower + j, upper + j, lower + j + 1);
        if (!to_axis)
            add_triangle(w->mesh, lower + j + 1, upper + j, upper + j + 1);
    }
}

static void turn_stretch(struct turning *w, uint32_t k) {
    const struct lathe_part *part = w->part;
    struct stretch s;
    stretch_init(&s, part, k);
    int rows = stretch_rows(&s, (double)part->turn);
    uint32_t stride = part->segments + 1;
    if (!turned_mesh_reserve(w->mesh, (uint32_t)(rows + 1) * stride,
                             (uint32_t)rows * part->segments * 6))
        return;
    bool from_axis = mean_radius(s.p0) < 1e-6, to_axis = mean_radius(s.p1) < 1e-6;
    if (k == 0 || part->rings[k].crease)
        turn_row(w, &s, 0); /* else the row is there already, with the same normals */
    for (int i = 1; i <= rows; i++) {
        turn_row(w, &s, (double)i / rows);
        turn_faces(w, from_axis && i == 1, to_axis && i == rows);
    }
}

void lathe_turn(struct turned_mesh *mesh, const struct lathe_part *part) {
    struct turning w = {.mesh = mesh, .part = part};
    for (uint32_t k = 0; k < part->ring_count; k++) {
        double ring[COORDS];
        ring_coords(&part->rings[k], ring);
        w.radius = fmax(w.radius, mean_radius(ring));
    }
    ring_coords(&part->rings[0], w.last);
    for (uint32_t k = 0; k + 1 < part->ring_count; k++)
        turn_stretch(&w, k);
}
