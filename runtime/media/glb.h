/* glb.h - writes one skinned, animated character as a binary glTF 2.0 file (GLB).
 *
 * The caller describes the whole file in a struct glb_document of plain arrays; glb_write lays them
 * out in one buffer, writes the JSON chunk that describes it and returns the bytes. It is a writer
 * only: models are read by scene.c.
 *
 * Units and axes are glTF's: metres, seconds, y up, right-handed, quaternions x,y,z,w, v = 0 at a
 * picture's top.
 *
 * Ownership: everything in the document stays the caller's and is only read; the bytes are the
 * caller's to free(). Threads: no state; any thread.
 *
 * Format: the Khronos glTF 2.0 specification, in particular "GLB File Format", "Accessors" and
 * "Skins". */
#ifndef STANCE_MEDIA_GLB_H
#define STANCE_MEDIA_GLB_H

#include <stddef.h>
#include <stdint.h>

struct err;

enum { GLB_INFLUENCES = 4 };

/* A piece of the mesh with one material. Vertex arrays have vertex_count rows. */
struct glb_primitive {
    uint32_t vertex_count, index_count;
    const float *positions;  /* [vertex][3], metres, in bind space */
    const float *normals;    /* [vertex][3], unit length */
    const float *uvs;        /* [vertex][2] */
    const uint8_t *joints;   /* [vertex][4], indices into the document's joints */
    const float *weights;    /* [vertex][4], sum 1 */
    const uint32_t *indices; /* [index], triangles, counter-clockwise seen from outside */
    uint32_t material;
};

struct glb_material {
    const char *name;
    float base_color[4]; /* linear RGBA, multiplied with the picture */
    float roughness;     /* 0..1 */
    int image;           /* index into the document's images, or -1 */
};

struct glb_image {
    const char *name;
    const uint8_t *png; /* a whole PNG file */
    size_t size;
};

/* A bone. Parents stand before their children; the first joint is the root (parent -1) and the only
 * one without parent. */
struct glb_joint {
    const char *name;
    int parent;
    float position[3]; /* metres, world, in the bind pose; all bind rotations are identity */
};

/* A clip holds a rotation for every joint and a translation for the root at every frame, linear in
 * between. */
struct glb_clip {
    const char *name;
    uint32_t frame_count;
    const float *times;     /* [frame], seconds, rising from 0 */
    const float *rotations; /* [joint][frame][4], local, unit quaternions */
    const float *root;      /* [frame][3], the root's position, metres */
};

struct glb_document {
    const char *name;      /* of the mesh and its node */
    const char *generator; /* who wrote it */
    uint32_t primitive_count, material_count, image_count, joint_count, clip_count;
    const struct glb_primitive *primitives;
    const struct glb_material *materials;
    const struct glb_image *images;
    const struct glb_joint *joints; /* at most 255 */
    const struct glb_clip *clips;
};

/* Writes the document. Names may hold any UTF-8. Returns 0 and the file in *out (free()) and *size,
 * or a negative code with err filled in: ERR_INVALID for a document that does not fit the rules
 * above, ERR_NO_MEMORY. */
int glb_write(const struct glb_document *document, uint8_t **out, size_t *size, struct err *err);

#endif
