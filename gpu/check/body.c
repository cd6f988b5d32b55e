/* body.c - scenes for the checks; see body.h. */
#include "body.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- The person ---------------------------------------------------------------------------------
 */

struct limb {
    int parent;
    float from[3], to[3]; /* bind space, metres */
    float radius[2];
    float flat; /* depth as a share of width */
    int material;
    float swing; /* radians that a walk turns it about x */
    float phase; /* of the walk */
};

static const struct limb limbs[BODY_JOINTS] = {
    {-1, {0, 0.93f, 0}, {0, 1.05f, 0}, {0.15f, 0.14f}, 0.75f, 1, 0.0f, 0},
    {0, {0, 1.05f, 0}, {0, 1.22f, 0}, {0.135f, 0.15f}, 0.72f, 0, 0.03f, 0},
    {1, {0, 1.22f, 0}, {0, 1.40f, 0}, {0.15f, 0.13f}, 0.7f, 0, 0.03f, 0.5f},
    {2, {0, 1.42f, 0}, {0, 1.52f, 0.01f}, {0.055f, 0.05f}, 1, 2, 0.0f, 0},
    {3, {0, 1.58f, 0.01f}, {0, 1.66f, 0.02f}, {0.085f, 0.095f}, 1.1f, 2, 0.05f, 0},
    {2, {0.17f, 1.40f, 0}, {0.26f, 1.14f, 0}, {0.055f, 0.045f}, 1, 0, 0.5f, 0.5f},
    {5, {0.26f, 1.12f, 0}, {0.30f, 0.90f, 0.03f}, {0.043f, 0.033f}, 1, 2, 0.3f, 0.45f},
    {6, {0.305f, 0.86f, 0.03f}, {0.31f, 0.76f, 0.05f}, {0.04f, 0.03f}, 0.6f, 2, 0.1f, 0},
    {2, {-0.17f, 1.40f, 0}, {-0.26f, 1.14f, 0}, {0.055f, 0.045f}, 1, 0, 0.5f, 0},
    {8, {-0.26f, 1.12f, 0}, {-0.30f, 0.90f, 0.03f}, {0.043f, 0.033f}, 1, 2, 0.3f, 0.95f},
    {9, {-0.305f, 0.86f, 0.03f}, {-0.31f, 0.76f, 0.05f}, {0.04f, 0.03f}, 0.6f, 2, 0.1f, 0},
    {0, {0.10f, 0.90f, 0}, {0.11f, 0.52f, 0}, {0.085f, 0.06f}, 1, 1, 0.45f, 0},
    {11, {0.11f, 0.48f, 0}, {0.115f, 0.12f, -0.02f}, {0.058f, 0.04f}, 1, 1, 0.35f, 0.2f},
    {12, {0.12f, 0.045f, -0.03f}, {0.13f, 0.04f, 0.14f}, {0.042f, 0.036f}, 1, 3, 0.1f, 0},
    {0, {-0.10f, 0.90f, 0}, {-0.11f, 0.52f, 0}, {0.085f, 0.06f}, 1, 1, 0.45f, 0.5f},
    {14, {-0.11f, 0.48f, 0}, {-0.115f, 0.12f, -0.02f}, {0.058f, 0.04f}, 1, 1, 0.35f, 0.7f},
    {15, {-0.12f, 0.045f, -0.03f}, {-0.13f, 0.04f, 0.14f}, {0.042f, 0.036f}, 1, 3, 0.1f, 0},
};

static void unit(float v[3]) {
    float length = sqrtf(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    for (int i = 0; i < 3; i++)
        v[i] /= length;
}

static void allocate(struct body *body, uint32_t vertices, uint32_t triangles,
                     uint32_t influences) {
    memset(body, 0, sizeof *body);
    body->positions = calloc((size_t)vertices * 3, sizeof(float));
    body->normals = calloc((size_t)vertices * 3, sizeof(float));
    body->uvs = calloc((size_t)vertices * 2, sizeof(float));
    body->weights = calloc((size_t)vertices * influences, sizeof(float));
    body->joints = calloc((size_t)vertices * influences, sizeof(uint16_t));
    body->materials = calloc(triangles, sizeof(uint16_t));
    body->parts = calloc(triangles, 1);
    body->indices = calloc((size_t)triangles * 3, sizeof(uint32_t));
    if (body->positions == NULL || body->normals == NULL || body->uvs == NULL ||
        body->weights == NULL || body->joints == NULL || body->materials == NULL ||
        body->indices == NULL || body->parts == NULL)
        abort();
    body->desc = (struct gpu_scene_desc){.vertex_count = vertices,
                                         .triangle_count = triangles,
                                         .influences = influences,
                                         .positions = body->positions,
                                         .normals = body->normals,
                                         .uvs = body->uvs,
                                         .joints = body->joints,
                                         .weights = body->weights,
                                         .indices = body->indices,
                                         .materials = body->materials,
                                         .material_table = body->table,
                                         .textures = body->textures,
                                         .parts = body->parts};
}

static void make_textures(struct body *body) {
    enum { SIDE = 512 };
    for (int t = 0; t < 2; t++) {
        body->texels[t] = malloc((size_t)4 * SIDE * SIDE);
        if (body->texels[t] == NULL)
            abort();
        for (int i = 0; i < SIDE * SIDE; i++) {
            int x = i % SIDE, y = i / SIDE;
            uint8_t *rgba = body->texels[t] + 4 * (size_t)i;
            bool dark = t == 0 ? ((x >> 5) + (y >> 5)) % 2 == 0 : (x >> 4) % 2 == 0;
            rgba[0] = dark ? 60 : 230;
            rgba[1] = dark ? 90 : 225;
            rgba[2] = dark ? 150 : 215;
            int cx = x % 64 - 32, cy = y % 64 - 32;
            rgba[3] = t == 1 && cx * cx + cy * cy < 300 ? 0 : 255;
        }
        body->textures[t] = (struct gpu_texture){SIDE, SIDE, body->texels[t], false};
    }
    body->desc.texture_count = 2;
}

/* Point (i, j) of a capsule's grid: rings around its axis, both ends round. */
static void capsule_point(const struct limb *limb, float around, float along, float position[3],
                          float normal[3]) {
    float axis[3], side[3], front[3], help[3] = {0, 0, 1};
    for (int c = 0; c < 3; c++)
        axis[c] = limb->to[c] - limb->from[c];
    float length = sqrtf(axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2]);
    unit(axis);
    if (fabsf(axis[2]) > 0.9f) {
        help[1] = 1;
        help[2] = 0;
    }
    side[0] = axis[1] * help[2] - axis[2] * help[1];
    side[1] = axis[2] * help[0] - axis[0] * help[2];
    side[2] = axis[0] * help[1] - axis[1] * help[0];
    unit(side);
    front[0] = side[1] * axis[2] - side[2] * axis[1];
    front[1] = side[2] * axis[0] - side[0] * axis[2];
    front[2] = side[0] * axis[1] - side[1] * axis[0];
    float tilt, at, radius;
    if (along < 0.25f) {
        tilt = (along * 4.0f - 1.0f) * 1.5707963f;
        at = 0.0f;
        radius = limb->radius[0];
    } else if (along > 0.75f) {
        tilt = (along * 4.0f - 3.0f) * 1.5707963f;
        at = length;
        radius = limb->radius[1];
    } else {
        tilt = 0.0f;
        at = length * (along - 0.25f) * 2.0f;
        radius = limb->radius[0] + (limb->radius[1] - limb->radius[0]) * (along - 0.25f) * 2.0f;
    }
    float c = cosf(around * 6.2831853f), s = sinf(around * 6.2831853f);
    for (int i = 0; i < 3; i++) {
        float out = side[i] * c + front[i] * s * limb->flat;
        position[i] =
            limb->from[i] + axis[i] * (at + radius * sinf(tilt)) + out * radius * cosf(tilt);
        normal[i] = (side[i] * c + front[i] * s / limb->flat) * cosf(tilt) + axis[i] * sinf(tilt);
    }
    unit(normal);
}

static void make_limb(struct body *body, uint32_t joint, uint32_t rings, uint32_t sides,
                      uint32_t first_vertex, uint32_t first_triangle) {
    const struct limb *limb = &limbs[joint];
    for (uint32_t j = 0; j <= rings; j++) {
        for (uint32_t i = 0; i <= sides; i++) {
            size_t v = first_vertex + j * (sides + 1) + i;
            float along = (float)j / (float)rings, around = (float)i / (float)sides;
            capsule_point(limb, around, along, body->positions + 3 * v, body->normals + 3 * v);
            body->uvs[2 * v] = around * 2.0f;
            body->uvs[2 * v + 1] = along * 2.0f;
            float own = along < 0.25f && limb->parent >= 0 ? 0.5f + 2.0f * along : 1.0f;
            body->joints[2 * v] = (uint16_t)joint;
            body->weights[2 * v] = own;
            body->joints[2 * v + 1] = limb->parent >= 0 ? (uint16_t)limb->parent : 0;
            body->weights[2 * v + 1] = 1.0f - own;
        }
    }
    memset(body->parts + first_triangle, (int)joint + 1, (size_t)rings * sides * 2);
    uint32_t t = first_triangle;
    for (uint32_t j = 0; j < rings; j++) {
        for (uint32_t i = 0; i < sides; i++) {
            uint32_t a = first_vertex + j * (sides + 1) + i, b = a + 1, c = a + sides + 1,
                     d = c + 1;
            const uint32_t corners[6] = {a, c, b, b, c, d};
            memcpy(body->indices + 3 * (size_t)t, corners, sizeof corners);
            body->materials[t] = body->materials[t + 1] = (uint16_t)limb->material;
            t += 2;
        }
    }
}

void body_init_person(struct body *body, uint32_t triangles, bool textured) {
    uint32_t a_limb = triangles / BODY_JOINTS;
    uint32_t sides = (uint32_t)sqrtf((float)a_limb / 2.0f / 1.5f);
    sides = sides < 3 ? 3 : sides;
    uint32_t rings = sides + sides / 2;
    uint32_t vertices = (rings + 1) * (sides + 1), faces = rings * sides * 2;
    allocate(body, vertices * BODY_JOINTS, faces * BODY_JOINTS, 2);
    static const float colors[4][3] = {
        {0.18f, 0.30f, 0.42f}, {0.09f, 0.10f, 0.13f}, {0.56f, 0.34f, 0.24f}, {0.30f, 0.08f, 0.06f}};
    for (int m = 0; m < 4; m++) {
        static const float light[2][3] = {{0.9f, 0.9f, 0.9f}, {0.8f, 0.6f, 0.4f}};
        struct gpu_material *material = &body->table[m];
        gpu_material_default(material);
        memcpy(material->base_color, textured && m < 2 ? light[m] : colors[m], 3 * sizeof(float));
        material->texture = textured && m < 2 ? m : -1;
        material->cover = m == 2 ? GPU_COVER_SKIN : GPU_COVER_CLOTHES;
        if (textured && m == 1) {
            material->alpha_cutoff = 0.5f;
            material->double_sided = true;
        }
    }
    body->desc.material_count = 4;
    body->desc.joint_count = BODY_JOINTS;
    if (textured)
        make_textures(body);
    for (uint32_t joint = 0; joint < BODY_JOINTS; joint++)
        make_limb(body, joint, rings, sides, joint * vertices, joint * faces);
}

void body_pose(float phase, float *pose) {
    for (int j = 0; j < BODY_JOINTS; j++) {
        const struct limb *limb = &limbs[j];
        float angle = limb->swing * sinf(6.2831853f * (phase + limb->phase));
        float c = cosf(angle), s = sinf(angle), y = limb->from[1], z = limb->from[2];
        const float turn[12] = {
            1, 0, 0, 0, 0, c, -s, y - c * y + s * z, 0, s, c, z - s * y - c * z};
        float *out = pose + 12 * (size_t)j;
        if (limb->parent < 0) {
            memcpy(out, turn, sizeof turn);
            continue;
        }
        const float *up = pose + 12 * (size_t)limb->parent;
        for (int r = 0; r < 3; r++)
            for (int k = 0; k < 4; k++)
                out[4 * r + k] = up[4 * r] * turn[k] + up[4 * r + 1] * turn[4 + k] +
                                 up[4 * r + 2] * turn[8 + k] + (k == 3 ? up[4 * r + 3] : 0.0f);
    }
}

struct gpu_anchor body_anchor(uint32_t joint) {
    const struct limb *limb = &limbs[joint];
    struct gpu_anchor anchor = {.joint = {(uint16_t)joint}, .weight = {1.0f}};
    for (int c = 0; c < 3; c++)
        anchor.position[c] = 0.5f * (limb->from[c] + limb->to[c]);
    anchor.radius = 0.5f * (limb->radius[0] + limb->radius[1]);
    return anchor;
}

/* -- Random triangles ---------------------------------------------------------------------------
 */

double body_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (double)(*state >> 11) / 9007199254740992.0;
}

void body_init_random(struct body *body, uint32_t triangles, uint64_t seed) {
    allocate(body, triangles * 3, triangles, 1);
    make_textures(body);
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (uint32_t t = 0; t < triangles; t++) {
        float middle[3], size = (float)pow(10.0, -2.2 + 2.4 * body_random(&state));
        for (int c = 0; c < 3; c++)
            middle[c] = (float)(body_random(&state) * 2.0 - 1.0);
        float thin = body_random(&state) < 0.2 ? 0.02f : 1.0f;
        for (uint32_t v = 3 * t; v < 3 * t + 3; v++) {
            for (int c = 0; c < 3; c++) {
                float way = (float)(body_random(&state) * 2.0 - 1.0) * size;
                body->positions[3 * (size_t)v + c] = middle[c] + way * (c == 1 ? thin : 1.0f);
                body->normals[3 * (size_t)v + c] = c == 1 ? 1.0f : 0.0f;
            }
            body->uvs[2 * (size_t)v] = (float)(body_random(&state) * 3.0 - 1.0);
            body->uvs[2 * (size_t)v + 1] = (float)(body_random(&state) * 3.0 - 1.0);
            body->weights[v] = 1.0f;
            body->indices[v] = v;
        }
        body->materials[t] = (uint16_t)(body_random(&state) * 3.0);
    }
    for (int m = 0; m < 3; m++) {
        const float color[4] = {0.7f, 0.5f, 0.3f + 0.1f * (float)m, 1.0f};
        struct gpu_material *material = &body->table[m];
        gpu_material_default(material);
        memcpy(material->base_color, color, sizeof color);
        material->texture = m - 1;
        material->double_sided = m > 0;
        material->alpha_cutoff = m == 2 ? 0.5f : 0.0f;
    }
    body->desc.material_count = 3;
    body->desc.joint_count = 1;
}

void body_free(struct body *body) {
    free(body->texels[1]);
    free(body->texels[0]);
    free(body->indices);
    free(body->parts);
    free(body->materials);
    free(body->joints);
    free(body->weights);
    free(body->uvs);
    free(body->normals);
    free(body->positions);
    memset(body, 0, sizeof *body);
}
