/* scene_math.h - the few vectors, quaternions and affine matrices that importing a scene needs.
 * Private to scene*.c.
 *
 * A struct mat is a row-major 3x4 whose fourth row is 0 0 0 1; it maps column vectors. Doubles:
 * file units may be a hundred times too large or small, and inverse binds cancel large numbers. */
#ifndef STANCE_MEDIA_SCENE_MATH_H
#define STANCE_MEDIA_SCENE_MATH_H

#include <math.h>
#include <stdbool.h>
#include <string.h>

struct vec {
    double x, y, z;
};

struct mat {
    double m[12];
};

static inline struct vec vec_add(struct vec a, struct vec b) {
    return (struct vec){a.x + b.x, a.y + b.y, a.z + b.z};
}

static inline struct vec vec_sub(struct vec a, struct vec b) {
    return (struct vec){a.x - b.x, a.y - b.y, a.z - b.z};
}

static inline struct vec vec_scale(struct vec a, double s) {
    return (struct vec){a.x * s, a.y * s, a.z * s};
}

static inline struct vec vec_mix(struct vec a, struct vec b, double t) {
    return vec_add(vec_scale(a, 1 - t), vec_scale(b, t));
}

static inline double vec_dot(struct vec a, struct vec b) {
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

static inline struct vec vec_cross(struct vec a, struct vec b) {
    return (struct vec){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

static inline double vec_length(struct vec a) {
    return sqrt(vec_dot(a, a));
}

static inline double vec_distance(struct vec a, struct vec b) {
    return vec_length(vec_sub(a, b));
}

/* The zero vector stays zero. */
static inline struct vec vec_unit(struct vec a) {
    double length = vec_length(a);
    return length > 0 ? vec_scale(a, 1 / length) : a;
}

static inline struct mat mat_identity(void) {
    return (struct mat){{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0}};
}

static inline struct mat mat_multiply(const struct mat *a, const struct mat *b) {
    struct mat out;
    for (int r = 0; r < 3; r++) {
        const double *row = a->m + 4 * r;
        for (int c = 0; c < 4; c++)
            out.m[4 * r + c] = row[0] * b->m[c] + row[1] * b->m[4 + c] + row[2] * b->m[8 + c] +
                               (c == 3 ? row[3] : 0);
    }
    return out;
}

static inline struct vec mat_point(const struct mat *a, struct vec p) {
    const double *m = a->m;
    return (struct vec){m[0] * p.x + m[1] * p.y + m[2] * p.z + m[3],
                        m[4] * p.x + m[5] * p.y + m[6] * p.z + m[7],
                        m[8] * p.x + m[9] * p.y + m[10] * p.z + m[11]};
}

static inline struct vec mat_origin(const struct mat *a) {
    return (struct vec){a->m[3], a->m[7], a->m[11]};
}

static inline double mat_determinant(const struct mat *a) {
    const double *m = a->m;
    return m[0] * (m[5] * m[10] - m[6] * m[9]) - m[1] * (m[4] * m[10] - m[6] * m[8]) +
           m[2] * (m[4] * m[9] - m[5] * m[8]);
}

/* The cofactor matrix's rows, in c[9]: it turns normals as the inverse transpose does, but for a
 * factor. */
static inline void mat_cofactors(const struct mat *a, double *c) {
    const double *m = a->m;
    c[0] = m[5] * m[10] - m[6] * m[9];
    c[1] = m[6] * m[8] - m[4] * m[10];
    c[2] = m[4] * m[9] - m[5] * m[8];
    c[3] = m[2] * m[9] - m[1] * m[10];
    c[4] = m[0] * m[10] - m[2] * m[8];
    c[5] = m[1] * m[8] - m[0] * m[9];
    c[6] = m[1] * m[6] - m[2] * m[5];
    c[7] = m[2] * m[4] - m[0] * m[6];
    c[8] = m[0] * m[5] - m[1] * m[4];
}

/* False, and the identity, when there is none. */
static inline bool mat_invert(const struct mat *a, struct mat *out) {
    double c[9], det = mat_determinant(a);
    *out = mat_identity();
    if (!isfinite(det) || fabs(det) < 1e-30)
        return false;
    mat_cofactors(a, c);
    for (int r = 0; r < 3; r++) {
        for (int k = 0; k < 3; k++)
            out->m[4 * r + k] = c[3 * k + r] / det;
        out->m[4 * r + 3] = 0;
    }
    struct vec t = mat_point(out, mat_origin(a));
    out->m[3] = -t.x;
    out->m[7] = -t.y;
    out->m[11] = -t.z;
    return true;
}

static inline bool mat_finite(const struct mat *a) {
    for (int i = 0; i < 12; i++)
        if (!isfinite(a->m[i]))
            return false;
    return true;
}

/* How much lengths grow: the cube root of the volume's growth. */
static inline double mat_scale(const struct mat *a) {
    return cbrt(fabs(mat_determinant(a)));
}

/* q is x,y,z,w of unit length. */
static inline struct mat mat_compose(const double t[3], const double q[4], const double s[3]) {
    double x = q[0], y = q[1], z = q[2], w = q[3];
    return (struct mat){{
        (1 - 2 * (y * y + z * z)) * s[0],
        2 * (x * y - z * w) * s[1],
        2 * (x * z + y * w) * s[2],
        t[0],
        2 * (x * y + z * w) * s[0],
        (1 - 2 * (x * x + z * z)) * s[1],
        2 * (y * z - x * w) * s[2],
        t[1],
        2 * (x * z - y * w) * s[0],
        2 * (y * z + x * w) * s[1],
        (1 - 2 * (x * x + y * y)) * s[2],
        t[2],
    }};
}

static inline void mat_to_float(const struct mat *a, float *out) {
    for (int i = 0; i < 12; i++)
        out[i] = (float)a->m[i];
}

#endif
