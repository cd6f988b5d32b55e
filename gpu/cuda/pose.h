/* pose.h - what is special to poses on a device: crops out of pictures, and what the networks'
 * numbers mean. The formulas are those of the CPU (cpu/crop.c, pose/decode.h).
 *
 * Floors: a crop writes 16 bytes a pixel and reads what of the picture lies under it; decoding
 * reads the outputs, of the heatmaps 49 cells a point. */
#ifndef STANCE_CUDA_POSE_H
#define STANCE_CUDA_POSE_H

#include "cpu/net_kernels.h"
#include "cuda/kernel.h"
#include "pose/decode.h"

/* One pixel of a network's input, sampled as a gpu_crop says. Item: a pixel of a crop. */
struct pose_crop {
    const struct gpu_crop *jobs; /* a crop each; `out` is not looked at, `rgb` is the device's */
    __half *out;                 /* [crop][side][side][CUDA_LANES] */
    uint32_t side;

    CUDA_ANY static float inside(float value, float least, float most) {
        return value > least ? (value < most ? value : most) : least; /* least, for no number */
    }

    CUDA_ANY static int nearest(int place, int size) {
        return place < 0 ? 0 : place < size ? place : size - 1;
    }

    CUDA_ANY void operator()(uint32_t i) const {
        const uint32_t column = i % side, row = i / side % side;
        const struct gpu_crop *job = jobs + i / side / side;
        const float step = 1.0f / (float)side;
        const float u = ((float)column + 0.5f) * step - 0.5f;
        const float v = ((float)row + 0.5f) * step - 0.5f;
        const float x = job->x + v * job->down[0] + u * job->across[0];
        const float y = job->y + v * job->down[1] + u * job->across[1];
        float8 value = {};
        if (!(x >= job->border[0] && x <= job->border[2] && y >= job->border[1] &&
              y <= job->border[3])) {
            value.v[0] = value.v[1] = value.v[2] = job->outside;
        } else {
            const float left =
                inside(x - 0.5f, (float)(job->left - 1), (float)(job->left + job->width));
            const float top =
                inside(y - 0.5f, (float)(job->top - 1), (float)(job->top + job->height));
            const float x0 = floorf(left), y0 = floorf(top), fx = left - x0, fy = top - y0;
            const int at_x = (int)x0 - job->left, at_y = (int)y0 - job->top;
            const uint8_t *above = job->rgb + (size_t)nearest(at_y, job->height) * job->stride;
            const uint8_t *below = job->rgb + (size_t)nearest(at_y + 1, job->height) * job->stride;
            const int first = nearest(at_x, job->width) * job->channels;
            const int second = nearest(at_x + 1, job->width) * job->channels;
#pragma unroll
            for (int c = 0; c < 3; c++) {
                const float a = above[first + c], b = above[second + c];
                const float d = below[first + c], e = below[second + c];
                const float upper = a + (b - a) * fx, lower = d + (e - d) * fx;
                value.v[c] = (upper + (lower - upper) * fy) * job->scale + job->bias;
            }
        }
        half8_store(out + (size_t)i * CUDA_LANES, value);
    }
};

/* Item: a point of a crop. */
struct pose_points {
    const float *points, *presence, *heatmaps, *world; /* the network's outputs */
    struct pose_raw *out;

    CUDA_ANY void operator()(uint32_t i) const {
        const uint32_t n = i / POSE_POINTS, index = i % POSE_POINTS;
        struct pose_raw *to = out + n;
        pose_decode_point(points + (size_t)i * POSE_POINT_FLOATS, to->points[index]);
        pose_refine_point(heatmaps + (size_t)n * POSE_HEATMAP * POSE_HEATMAP * POSE_POINTS, index,
                          to->points[index]);
        for (int axis = 0; axis < 3; axis++)
            to->world[index][axis] = world[(size_t)i * 3 + axis];
        if (index == 0)
            to->presence = presence[n];
    }
};

/* A candidate and its anchor, by which equals are ordered. */
struct pose_found {
    struct pose_candidate candidate;
    uint32_t anchor;
};

/* Collects a picture's candidates, in any order. Item: an anchor of a picture. */
struct pose_anchors {
    const float *boxes, *logits; /* the network's outputs */
    const float *least;
    uint32_t *counts;       /* [picture], 0 at first */
    struct pose_found *out; /* [picture][POSE_ANCHORS] */

    CUDA_ANY static uint32_t next(uint32_t *count) {
#ifdef __CUDA_ARCH__
        return atomicAdd(count, 1u);
#else
        return (*count)++;
#endif
    }

    CUDA_ANY void operator()(uint32_t i) const {
        const uint32_t n = i / POSE_ANCHORS, anchor = i % POSE_ANCHORS;
        struct pose_found found;
        found.anchor = anchor;
        found.candidate.score = pose_score(logits[i]);
        if (found.candidate.score >= *least &&
            pose_decode_box(boxes + (size_t)i * POSE_BOX_FLOATS, anchor, &found.candidate))
            out[(size_t)n * POSE_ANCHORS + next(counts + n)] = found;
    }
};

#endif
