/* palette.c - joint matrices taken apart for skinning; see palette.h.
 *
 * A joint's matrix is a rotation after a symmetric stretch (its polar decomposition): rotations and
 * places are blended as dual quaternions, which keeps elbows from collapsing, and stretches
 * linearly before them (Kavan et al., "Geometric Skinning with Approximate Dual Quaternion
 * Blending", 2008). */
#include "palette.h"

#include <math.h>
#include <string.h>

static const double even_enough = 1e-4; /* of squared lengths */
static const float no_stretch = 1e-5f;

static double determinant(const double m[9]) {
    return m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) +
           m[2] * (m[3] * m[7] - m[4] * m[6]);
}

static void cofactors(const double m[9], double out[9]) {
    for (int r = 0; r < 3; r++) {
        const double *a = m + 3 * ((r + 1) % 3), *b = m + 3 * ((r + 2) % 3);
        for (int c = 0; c < 3; c++) {
            int i = (c + 1) % 3, j = (c + 2) % 3;
            out[3 * r + c] = a[i] * b[j] - a[j] * b[i];
        }
    }
}

/* The rotation nearest to m, by Higham's iteration: the mean of a matrix and its inverse's
 * transpose, again and again. What has no inverse, or is no number, gets the identity. */
static void nearest_rotation(const double m[9], double out[9]) {
    static const double identity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    double size = 0.0, now[9], cofactor[9];
    for (int i = 0; i < 9; i++)
        size = fmax(size, fabs(m[i]));
    memcpy(out, identity, sizeof identity);
    if (!(size > 1e-12 && size < 1e12))
        return;
    for (int i = 0; i < 9; i++)
        now[i] = m[i] / size;
    double mirror = determinant(now) < 0.0 ? -1.0 : 1.0;
    for (int i = 0; i < 9; i++)
        now[i] *= mirror;
    for (int step = 0; step < 32; step++) {
        double volume = determinant(now), change = 0.0;
        if (!(volume > 1e-9))
            return;
        cofactors(now, cofactor);
        for (int i = 0; i < 9; i++) {
            double next = 0.5 * (now[i] + cofactor[i] / volume);
            change = fmax(change, fabs(next - now[i]));
            now[i] = next;
        }
        if (change < 1e-12)
            break;
    }
    memcpy(out, now, sizeof now);
}

/* x y z w of a rotation, from its largest part, so that no precision is lost. */
static void to_quaternion(const double r[9], double q[4]) {
    double trace = r[0] + r[4] + r[8];
    if (trace > 0.0) {
        double s = sqrt(trace + 1.0) * 2.0;
        q[0] = (r[7] - r[5]) / s;
        q[1] = (r[2] - r[6]) / s;
        q[2] = (r[3] - r[1]) / s;
        q[3] = 0.25 * s;
        return;
    }
    int i = r[4] > r[0] ? 1 : 0;
    i = r[8] > r[4 * i] ? 2 : i;
    int j = (i + 1) % 3, k = (i + 2) % 3;
    double s = sqrt(1.0 + r[4 * i] - r[4 * j] - r[4 * k]) * 2.0;
    q[i] = 0.25 * s;
    q[j] = (r[3 * i + j] + r[3 * j + i]) / s;
    q[k] = (r[3 * i + k] + r[3 * k + i]) / s;
    q[3] = (r[3 * k + j] - r[3 * j + k]) / s;
}

/* Returns whether the stretch does anything. */
static bool split_joint(const float *matrix, float *dual, float *stretch) {
    double m[9], r[9], q[4], t[3];
    bool any = false;
    for (int i = 0; i < 9; i++)
        m[i] = (double)matrix[4 * (i / 3) + i % 3];
    for (int i = 0; i < 3; i++)
        t[i] = 0.5 * (double)matrix[4 * i + 3];
    nearest_rotation(m, r);
    to_quaternion(r, q);
    for (int i = 0; i < 4; i++)
        dual[i] = (float)q[i];
    dual[4] = (float)(t[0] * q[3] + t[1] * q[2] - t[2] * q[1]);
    dual[5] = (float)(t[1] * q[3] + t[2] * q[0] - t[0] * q[2]);
    dual[6] = (float)(t[2] * q[3] + t[0] * q[1] - t[1] * q[0]);
    dual[7] = (float)(-t[0] * q[0] - t[1] * q[1] - t[2] * q[2]);
    for (int i = 0; i < 9; i++) {
        int row = i / 3, column = i % 3;
        double sum = r[row] * m[column] + r[3 + row] * m[3 + column] + r[6 + row] * m[6 + column];
        stretch[i] = (float)sum;
        any |= !(fabsf(stretch[i] - (row == column ? 1.0f : 0.0f)) <= no_stretch);
    }
    return any;
}

/* Whether a matrix is more than a rotation and one scale. */
static bool is_uneven(const float *m) {
    double columns[9], dots[6];
    for (int i = 0; i < 9; i++)
        columns[i] = (double)m[4 * (i % 3) + i / 3];
    for (int i = 0; i < 6; i++) {
        const double *a = columns + 3 * (i % 3), *b = i < 3 ? a : columns + 3 * ((i + 1) % 3);
        dots[i] = a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    }
    double size = dots[0] * even_enough;
    bool even = fabs(dots[1] - dots[0]) <= size && fabs(dots[2] - dots[0]) <= size &&
                fabs(dots[3]) <= size && fabs(dots[4]) <= size && fabs(dots[5]) <= size;
    return !even || !(determinant(columns) > 0.0);
}

struct gpu_palette gpu_palette_make(const struct gpu_scene *scene, const float *pose,
                                    enum gpu_skinning skinning, float *scratch) {
    struct gpu_palette out = {.pose = pose};
    size_t size = (size_t)scene->joint_count * GPU_JOINT_FLOATS;
    if (skinning != GPU_SKIN_DUAL_QUATERNION) {
        for (size_t at = 0; at < size; at += GPU_JOINT_FLOATS)
            out.uneven |= is_uneven(pose + at);
        return out;
    }
    out.dual = scratch;
    for (size_t at = 0; at < size; at += GPU_JOINT_FLOATS)
        if (split_joint(pose + at, scratch + at, scratch + size + at))
            out.stretch = scratch + size;
    return out;
}
