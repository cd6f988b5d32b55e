/* motion_math.h - quaternions beside scene_math.h's vectors. Private to motion*.c.
 *
 * A struct quat is a unit x,y,z,w that turns vectors: quat_turn(q, v). quat_multiply(a, b) turns by
 * b first. */
#ifndef STANCE_MEDIA_MOTION_MATH_H
#define STANCE_MEDIA_MOTION_MATH_H

#include "media/scene_math.h"

struct quat {
    double x, y, z, w;
};

static inline struct quat quat_identity(void) {
    return (struct quat){0, 0, 0, 1};
}

static inline struct quat quat_multiply(struct quat a, struct quat b) {
    return (struct quat){
        a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
        a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x,
        a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w,
        a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z,
    };
}

static inline struct quat quat_inverse(struct quat a) {
    return (struct quat){-a.x, -a.y, -a.z, a.w};
}

static inline double quat_dot(struct quat a, struct quat b) {
    return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
}

/* No turn stays none. */
static inline struct quat quat_unit(struct quat a) {
    double length = sqrt(quat_dot(a, a));
    if (!(length > 1e-12))
        return quat_identity();
    return (struct quat){a.x / length, a.y / length, a.z / length, a.w / length};
}

static inline struct vec quat_turn(struct quat q, struct vec v) {
    struct vec axis = {q.x, q.y, q.z}, t = vec_scale(vec_cross(axis, v), 2);
    return vec_add(vec_add(v, vec_scale(t, q.w)), vec_cross(axis, t));
}

/* By `angle` radians about a unit axis. */
static inline struct quat quat_about(struct vec axis, double angle) {
    double s = sin(angle / 2);
    return (struct quat){axis.x * s, axis.y * s, axis.z * s, cos(angle / 2)};
}

/* The shortest turn from one direction to another; about any axis between opposite ones. */
static inline struct quat quat_between(struct vec from, struct vec to) {
    from = vec_unit(from);
    to = vec_unit(to);
    struct vec axis = vec_cross(from, to);
    double dot = vec_dot(from, to);
    if (vec_length(from) < 0.5 || vec_length(to) < 0.5)
        return quat_identity();
    if (dot < -0.999999) {
        struct vec side = fabs(from.x) < 0.9 ? (struct vec){1, 0, 0} : (struct vec){0, 1, 0};
        return quat_about(vec_unit(vec_cross(from, side)), 3.14159265358979);
    }
    return quat_unit((struct quat){axis.x, axis.y, axis.z, 1 + dot});
}

/* The straight way from a (0) to b (1), made a turn again: as good as the arc for neighbours. */
static inline struct quat quat_mix(struct quat a, struct quat b, double t) {
    double sign = quat_dot(a, b) < 0 ? -t : t, rest = 1 - t;
    return quat_unit((struct quat){rest * a.x + sign * b.x, rest * a.y + sign * b.y,
                                   rest * a.z + sign * b.z, rest * a.w + sign * b.w});
}

/* The turn of a matrix whose columns are nearly at right angles; scale is dropped. */
static inline struct quat quat_of_mat(const struct mat *a) {
    double r[9];
    for (int c = 0; c < 3; c++) {
        double n = sqrt(a->m[c] * a->m[c] + a->m[4 + c] * a->m[4 + c] + a->m[8 + c] * a->m[8 + c]);
        for (int k = 0; k < 3; k++)
            r[3 * k + c] = n > 0 ? a->m[4 * k + c] / n : (k == c);
    }
    double x = r[0] - r[4] - r[8], y = r[4] - r[0] - r[8], z = r[8] - r[0] - r[4],
           w = r[0] + r[4] + r[8];
    if (w >= x && w >= y && w >= z)
        return quat_unit((struct quat){r[7] - r[5], r[2] - r[6], r[3] - r[1], 1 + w});
    if (x >= y && x >= z)
        return quat_unit((struct quat){1 + x, r[1] + r[3], r[2] + r[6], r[7] - r[5]});
    if (y >= z)
        return quat_unit((struct quat){r[1] + r[3], 1 + y, r[5] + r[7], r[2] - r[6]});
    return quat_unit((struct quat){r[2] + r[6], r[5] + r[7], 1 + z, r[3] - r[1]});
}

static inline struct mat quat_to_mat(struct quat q) {
    const double none[3] = {0, 0, 0}, one[3] = {1, 1, 1}, turn[4] = {q.x, q.y, q.z, q.w};
    return mat_compose(none, turn, one);
}

#endif
