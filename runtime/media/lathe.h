/* lathe.h - turned wood: surfaces of revolution with sections that need not be round, and the mesh
 * they are put in.
 *
 * A part is a profile of rings along an axis. Between rings the profile is a smooth curve; where a
 * ring is marked as a crease it has a sharp corner. Each section is a superellipse with its own
 * half width and its own depths before and behind the axis; a shape function may then carve the
 * result (a sole, a face). Normals follow the carved surface.
 *
 * Profiles run from the start to the end of the axis on the outside, so that a part which is closed
 * at its ends begins and ends with a ring of no width.
 *
 * Ownership: a mesh owns its arrays (turned_mesh_deinit); parts are only read. Threads: no shared
 * state. Curves: centripetal Catmull-Rom (Yuksel, Schaefer, Keyser: On the parameterization of
 * Catmull-Rom curves, 2009). */
#ifndef STANCE_MEDIA_LATHE_H
#define STANCE_MEDIA_LATHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct turned_mesh {
    uint32_t vertex_count, index_count;
    uint32_t vertex_room, index_room;
    float *positions, *normals; /* [vertex][3] */
    float *uvs;                 /* [vertex][2] */
    uint8_t *joints;            /* [vertex][4] */
    float *weights;             /* [vertex][4], sum 1 */
    uint32_t *indices;          /* counter-clockwise seen from outside */
    bool failed;                /* memory ran out; nothing more is added */
};

void turned_mesh_deinit(struct turned_mesh *mesh);

/* A station of a profile. Lengths in metres. */
struct lathe_ring {
    float at;          /* along the axis, from the part's origin */
    float side;        /* half width */
    float front, back; /* depths */
    float shift;       /* of the section's centre towards the front */
    float square;      /* the superellipse's exponent; 0: 2, an ellipse */
    bool crease;
};

/* How a part sits in the body and moves with it. side x axis = front, all unit length and square to
 * each other. */
struct lathe_frame {
    float origin[3], axis[3], side[3], front[3];
    uint8_t joint[2];
    float weight[2]; /* sum 1 */
};

struct lathe_part {
    struct lathe_frame frame;
    const struct lathe_ring *rings;
    uint32_t ring_count;
    uint32_t segments;          /* around, even */
    float turn;                 /* radians of profile that one row of faces may turn by */
    float grain[2];             /* where in the wood's picture the part was cut */
    void (*shape)(double p[3]); /* carves a point in body space; NULL: nothing */
};

/* Adds the part to the mesh. When memory runs out the mesh says so in `failed`. */
void lathe_turn(struct turned_mesh *mesh, const struct lathe_part *part);

/* Adds the mirror image in the plane x = 0 of everything from vertex `first_vertex` and index
 * `first_index` on; each joint j becomes j + joint_offset. The copy is cut from another place of
 * the wood. */
void turned_mesh_mirror(struct turned_mesh *mesh, uint32_t first_vertex, uint32_t first_index,
                        int joint_offset);

#endif
