/* distort.h - lens distortion of a single point; see lens.h for vectors of lanes. */
#ifndef STANCE_GPU_DISTORT_H
#define STANCE_GPU_DISTORT_H

#include "any.h"
#include "view.h"

#include <math.h>

/* Brown-Conrady, as OpenCV has it. (x, y): camera x / z, y / z. What is farther out than the lens
 * has a picture of is taken to its rim. */
GPU_ANY void distort_point(const struct gpu_lens *lens, double *x, double *y) {
    double square = *x * *x + *y * *y, limit = (double)lens->limit;
    if (!lens->on)
        return;
    if (!(square <= limit)) {
        double scale = sqrt(limit / square);
        *x *= scale;
        *y *= scale;
        square = limit;
    }
    double k1 = (double)lens->k[0], k2 = (double)lens->k[1], p1 = (double)lens->k[2];
    double p2 = (double)lens->k[3], k3 = (double)lens->k[4], px = *x, py = *y;
    double radial = 1.0 + square * (k1 + square * (k2 + square * k3));
    *x = px * radial + 2.0 * p1 * px * py + p2 * (square + 2.0 * px * px);
    *y = py * radial + p1 * (square + 2.0 * py * py) + 2.0 * p2 * px * py;
}

#endif
