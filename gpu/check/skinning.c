/* skinning.c - morph targets and skinning, linear and by dual quaternions, against double
 * precision, and boxes. */
#include "../cpu/actor.h"
#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERTICES = 333, JOINTS = 9, MORPHS = 3, MOVED = 90 };

static float positions[VERTICES * 3], normals[VERTICES * 3], uvs[VERTICES * 2];
static float weights[VERTICES * 8], pose[JOINTS * 12], morph_weights[MORPHS];
static uint16_t joints[VERTICES * 8];
static uint32_t moved[MORPHS][MOVED];
static float moves[MORPHS][2][MOVED * 3];

static void random_floats(float *out, int count, uint64_t *state) {
    for (int i = 0; i < count; i++)
        out[i] = (float)(body_random(state) * 2.0 - 1.0);
}

/* A rotation about a random axis by up to `angle`. */
static void random_rotation(double out[9], double angle, uint64_t *state) {
    double axis[3], length = 0.0, turn = angle * (body_random(state) * 2.0 - 1.0);
    for (int i = 0; i < 3; i++) {
        axis[i] = body_random(state) * 2.0 - 1.0;
        length += axis[i] * axis[i];
    }
    double c = cos(turn), s = sin(turn);
    for (int i = 0; i < 3; i++)
        axis[i] /= sqrt(length);
    for (int r = 0; r < 3; r++)
        for (int k = 0; k < 3; k++) {
            double side = r == k ? 0.0 : ((k - r + 3) % 3 == 1 ? -1.0 : 1.0) * axis[3 - r - k];
            out[3 * r + k] = (r == k ? c : 0.0) + s * side + (1.0 - c) * axis[r] * axis[k];
        }
}

/* Rotations with a scale, the same for all axes or one each. */
static void random_joint(float *out, double angle, double scale, bool even, uint64_t *state) {
    double turn[9], size = 1.0 + scale * body_random(state);
    random_rotation(turn, angle, state);
    for (int k = 0; k < 3; k++) {
        double own = even ? size : 1.0 + scale * body_random(state);
        for (int r = 0; r < 3; r++)
            out[4 * r + k] = (float)(turn[3 * r + k] * own);
        out[4 * k + 3] = (float)(body_random(state) * 2.0 - 1.0);
    }
}

static struct gpu_scene_desc make_desc(uint32_t influences, uint64_t *state) {
    static struct gpu_material material;
    static struct gpu_morph morphs[MORPHS];
    gpu_material_default(&material);
    random_floats(positions, VERTICES * 3, state);
    random_floats(normals, VERTICES * 3, state);
    for (int i = 0; i < VERTICES * 2; i++)
        uvs[i] = (float)i;
    for (uint32_t v = 0; v < VERTICES; v++) {
        float sum = 0.0f;
        for (uint32_t k = 0; k < influences; k++) {
            size_t i = (size_t)v * influences + k;
            joints[i] = (uint16_t)(body_random(state) * JOINTS);
            weights[i] = k > 0 && body_random(state) < 0.3 ? 0.0f : (float)body_random(state);
            sum += weights[i];
        }
        for (uint32_t k = 0; k < influences; k++)
            weights[(size_t)v * influences + k] /= sum;
    }
    for (uint32_t m = 0; m < MORPHS; m++) {
        for (uint32_t i = 0; i < MOVED;
             i++) /* the last one moves the last vertex, and its copies */
            moved[m][i] = VERTICES - 1 - (MOVED - 1 - i) * (m + 1);
        random_floats(moves[m][0], MOVED * 3, state);
        random_floats(moves[m][1], MOVED * 3, state);
        morphs[m] = (struct gpu_morph){MOVED, moved[m], moves[m][0], m == 1 ? NULL : moves[m][1]};
        morph_weights[m] = m == 2 ? 0.0f : (float)(body_random(state) * 2.0 - 0.5);
    }
    return (struct gpu_scene_desc){.vertex_count = VERTICES,
                                   .joint_count = JOINTS,
                                   .material_count = 1,
                                   .influences = influences,
                                   .positions = positions,
                                   .normals = normals,
                                   .uvs = uvs,
                                   .joints = joints,
                                   .weights = weights,
                                   .material_table = &material,
                                   .morph_count = MORPHS,
                                   .morphs = morphs};
}

/* -- The reference ------------------------------------------------------------------------------
 */

static void morph(uint32_t vertex, bool with_morphs, double position[3], double normal[3]) {
    for (int c = 0; c < 3; c++) {
        position[c] = (double)positions[3 * vertex + (uint32_t)c];
        normal[c] = (double)normals[3 * vertex + (uint32_t)c];
    }
    for (int m = 0; with_morphs && m < MORPHS; m++)
        for (int i = 0; i < MOVED; i++)
            for (int c = 0; moved[m][i] == vertex && c < 3; c++) {
                position[c] += (double)morph_weights[m] * (double)moves[m][0][3 * i + c];
                if (m != 1)
                    normal[c] += (double)morph_weights[m] * (double)moves[m][1][3 * i + c];
            }
}

static void multiply(const double m[12], const double p[3], double w, double out[3]) {
    for (int r = 0; r < 3; r++)
        out[r] = m[4 * r] * p[0] + m[4 * r + 1] * p[1] + m[4 * r + 2] * p[2] + w * m[4 * r + 3];
}

/* The normal's matrix: cofactors, but the matrix itself where all joints scale evenly. */
static void turn_normal(const double m[12], bool even, const double n[3], double out[3]) {
    double upright[12] = {0};
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) {
            const double *a = m + 4 * ((r + 1) % 3), *b = m + 4 * ((r + 2) % 3);
            int i = (c + 1) % 3, j = (c + 2) % 3;
            upright[4 * r + c] = even ? m[4 * r + c] : a[i] * b[j] - a[j] * b[i];
        }
    multiply(upright, n, 0.0, out);
}

static void skin_linear(uint32_t vertex, uint32_t influences, bool even, double position[3],
                        double normal[3]) {
    double sum[12] = {0}, p[3], n[3];
    for (uint32_t k = 0; k < influences; k++) {
        size_t slot = (size_t)vertex * influences + k;
        for (int i = 0; i < 12; i++)
            sum[i] += (double)weights[slot] * (double)pose[12 * joints[slot] + i];
    }
    memcpy(p, position, sizeof p);
    memcpy(n, normal, sizeof n);
    multiply(sum, p, 1.0, position);
    turn_normal(sum, even, n, normal);
}

/* -- Cases --------------------------------------------------------------------------------------
 */

/* One joint only, or all joints alike: then dual quaternions do what matrices do. */
static void check_like_matrices(const char *name, uint32_t influences, double scale, bool even,
                                enum gpu_skinning skinning, bool with_morphs, uint64_t *state) {
    struct gpu_scene_desc desc = make_desc(influences, state);
    struct gpu_scene *scene;
    char why[GPU_WHY_SIZE];
    for (int j = 0; j < JOINTS; j++) {
        random_joint(pose + 12 * j, 3.1, scale, even, state);
        if (skinning != GPU_SKIN_LINEAR && influences > 1)
            memcpy(pose + 12 * j, pose, 12 * sizeof(float));
    }
    if (gpu_scene_new(&desc, &scene, why) != GPU_OK)
        abort();
    const struct gpu_actor actor = {.scene = scene,
                                    .pose = pose,
                                    .morphs = with_morphs ? morph_weights : NULL,
                                    .skinning = skinning};
    float *out = malloc((size_t)scene->padded_vertices * GPU_VERTEX_FLOATS * sizeof(float));
    float *scratch = malloc(gpu_posed_scratch(&actor) * sizeof(float) + 1);
    for (int b = 0; check_backends()[b] != NULL; b++) {
        const struct gpu_kernels *kernels = gpu_kernels_find(check_backends()[b] + 4);
        struct gpu_posed posed = gpu_posed_make(&actor, false, scratch);
        gpu_posed_skin(&posed, kernels, 0, scene->padded_vertices, out);
        double worst = 0.0, crooked = 0.0;
        for (uint32_t v = 0; v < scene->padded_vertices; v++) {
            double p[3], n[3], length = 0.0, own = 0.0;
            const float *drawn = out + (size_t)v * GPU_VERTEX_FLOATS;
            uint32_t from = v < VERTICES ? v : VERTICES - 1;
            morph(from, with_morphs, p, n);
            skin_linear(from, influences, even, p, n);
            for (int c = 0; c < 3; c++) {
                length += n[c] * n[c];
                own += (double)drawn[4 + c] * (double)drawn[4 + c];
            }
            for (int c = 0; c < 3; c++) {
                worst = fmax(worst, fabs((double)drawn[c] - p[c]));
                crooked =
                    fmax(crooked, fabs((double)drawn[4 + c] / sqrt(own) - n[c] / sqrt(length)));
            }
        }
        check_that(worst < 6e-6 && crooked < 2e-3,
                   "%s, %u joints a vertex, by %s: off by %g m, normals by %g", name, influences,
                   kernels->name, worst, crooked);
        for (uint32_t v = 0; !with_morphs && influences <= 4 && v < VERTICES; v += 7) {
            struct gpu_anchor anchor = {.radius = 0.0f};
            float at[3];
            memcpy(anchor.position, positions + (size_t)3 * v, sizeof anchor.position);
            for (uint32_t k = 0; k < influences; k++) {
                anchor.joint[k] = joints[(size_t)v * influences + k];
                anchor.weight[k] = weights[(size_t)v * influences + k];
            }
            gpu_posed_anchor(&posed, kernels, &anchor, at);
            for (size_t c = 0; c < 3; c++)
                check_that(fabsf(at[c] - out[(size_t)v * GPU_VERTEX_FLOATS + c]) < 1e-6f,
                           "%s, by %s: an anchor is not at its vertex", name, kernels->name);
        }
        check_that(out[3] == 0.0f && out[GPU_VERTEX_FLOATS + 7] == 3.0f,
                   "%s does not keep texture coordinates", kernels->name);
    }
    free(scratch);
    free(out);
    gpu_scene_free(scene);
}

/* A tube half on one joint, half on another that is turned about its axis: in the middle linear
 * blending draws it together, dual quaternions do not, whichever of its two quaternions a joint
 * has. */
static void check_twist(void) {
    static const double turns[] = {0.5, 1.5, 2.5, 3.0, 3.3, 4.7, 6.0};
    uint64_t state = 9;
    struct gpu_scene_desc desc = make_desc(2, &state);
    desc.morph_count = 0;
    for (uint32_t v = 0; v < VERTICES; v++) {
        double around = 6.2831853 * body_random(&state);
        positions[3 * v] = (float)cos(around);
        positions[3 * v + 1] = (float)sin(around);
        weights[2 * v] = weights[2 * v + 1] = 0.5f;
        joints[2 * v] = 0;
        joints[2 * v + 1] = 1;
    }
    struct gpu_scene *scene;
    char why[GPU_WHY_SIZE];
    if (gpu_scene_new(&desc, &scene, why) != GPU_OK)
        abort();
    float *out = malloc((size_t)scene->padded_vertices * GPU_VERTEX_FLOATS * sizeof(float));
    float scratch[2 * 12 * JOINTS];
    for (size_t t = 0; t < sizeof turns / sizeof turns[0]; t++) {
        double thinnest[2] = {9.0, 9.0};
        memset(pose, 0, sizeof pose);
        for (int j = 0; j < JOINTS; j++) {
            double angle = j == 1 ? turns[t] : 0.0;
            pose[12 * j] = pose[12 * j + 5] = (float)cos(angle);
            pose[12 * j + 1] = -(pose[12 * j + 4] = (float)sin(angle));
            pose[12 * j + 10] = 1.0f;
        }
        for (int dual = 0; dual < 2; dual++) {
            const struct gpu_actor actor = {.scene = scene,
                                            .pose = pose,
                                            .skinning =
                                                dual ? GPU_SKIN_DUAL_QUATERNION : GPU_SKIN_LINEAR};
            struct gpu_posed posed = gpu_posed_make(&actor, false, scratch);
            gpu_posed_skin(&posed, gpu_kernels_find(NULL), 0, scene->padded_vertices, out);
            for (uint32_t v = 0; v < VERTICES; v++) {
                const float *p = out + (size_t)v * GPU_VERTEX_FLOATS;
                thinnest[dual] = fmin(thinnest[dual], hypot((double)p[0], (double)p[1]));
            }
        }
        check_that(fabs(thinnest[1] - 1.0) < 1e-5, "twisted by %g: dual quaternions leave %g",
                   turns[t], thinnest[1]);
        check_that(fabs(thinnest[0] - fabs(cos(0.5 * turns[t]))) < 1e-5,
                   "twisted by %g: matrices leave %g", turns[t], thinnest[0]);
    }
    free(out);
    gpu_scene_free(scene);
}

static void check_refusals(void) {
    uint64_t state = 4;
    struct gpu_scene *scene;
    char why[GPU_WHY_SIZE];
    struct gpu_scene_desc desc = make_desc(1, &state);
    moved[1][7] = moved[1][6];
    check_that(gpu_scene_new(&desc, &scene, why) == GPU_EINVAL, "a morph target out of order");
    moved[1][7] = VERTICES;
    check_that(gpu_scene_new(&desc, &scene, why) == GPU_EINVAL, "a morph target of no vertex");
    desc.morphs = NULL;
    check_that(gpu_scene_new(&desc, &scene, why) == GPU_EINVAL, "no morph targets");
}

static void check_box(void) {
    struct body body;
    struct gpu_scene *scene;
    char why[GPU_WHY_SIZE];
    float walk[BODY_JOINTS * 12], box[6];
    body_init_person(&body, 8000, false);
    body_pose(0.0f, walk);
    for (int j = 0; j < BODY_JOINTS; j++) /* bind pose, moved */
        for (int i = 0; i < 12; i++)
            walk[12 * j + i] = i % 5 == 0 ? 1.0f : i == 3 ? 10.0f : 0.0f;
    if (gpu_scene_new(&body.desc, &scene, why) != GPU_OK)
        abort();
    gpu_actor_box(&(struct gpu_actor){.scene = scene, .pose = walk}, box);
    float low = INFINITY, high = -INFINITY;
    for (uint32_t v = 0; v < body.desc.vertex_count; v++) {
        low = fminf(low, body.positions[3 * (size_t)v]);
        high = fmaxf(high, body.positions[3 * (size_t)v]);
    }
    check_that(fabsf(box[0] - low - 10.0f) < 1e-5f && fabsf(box[3] - high - 10.0f) < 1e-5f,
               "box x %g..%g instead of %g..%g", (double)box[0], (double)box[3], (double)low + 10.0,
               (double)high + 10.0);
    gpu_scene_free(scene);
    body_free(&body);
}

void check_skinning(void) {
    uint64_t state = 3;
    for (uint32_t influences = 1; influences <= GPU_MAX_INFLUENCES; influences++) {
        check_like_matrices("even joints", influences, 0.0, true, GPU_SKIN_LINEAR, false, &state);
        check_like_matrices("morphs", influences, 0.3, true, GPU_SKIN_LINEAR, true, &state);
        check_like_matrices("uneven joints", influences, 0.8, false, GPU_SKIN_LINEAR, true, &state);
        check_like_matrices("dual quaternions", influences, 0.0, true, GPU_SKIN_DUAL_QUATERNION,
                            true, &state);
        check_like_matrices("dual quaternions without morphs", influences, 0.0, true,
                            GPU_SKIN_DUAL_QUATERNION, false, &state);
        check_like_matrices("dual quaternions of uneven joints", influences, 0.8, false,
                            GPU_SKIN_DUAL_QUATERNION, true, &state);
    }
    check_twist();
    check_refusals();
    check_box();
}
