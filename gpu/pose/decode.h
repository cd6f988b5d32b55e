/* decode.h - what the networks' numbers mean: boxes around people, and the points of one.
 *
 * The formulas of a single anchor, point and cell stand here, for CUDA's kernels too; the loops
 * over them, as the CPU runs them, in decode.c. All are MediaPipe's, in its order of operations.
 *
 * Threads: any. Nothing is allocated, nothing fails: what is no number is no person. */
#ifndef STANCE_POSE_DECODE_H
#define STANCE_POSE_DECODE_H

#include "pose/backend.h"

#include <math.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __CUDACC__
#define POSE_FORMULA static inline __host__ __device__
#else
#define POSE_FORMULA static inline
#endif

enum {
    POSE_BOX_FLOATS = 12,  /* centre x y, width, height, four points x y; in detector pixels */
    POSE_POINT_FLOATS = 5, /* x y z in crop pixels, logits of visibility and presence */
    POSE_WINDOW = 3,       /* cells that refinement looks at, to each side */
    POSE_FINE_GRID = 28,   /* cells a side of the detector's three grids, with */
    POSE_MIDDLE_GRID = 14, /* 2, 2 and 6 anchors a cell: */
    POSE_COARSE_GRID = 7,  /* 1568 + 392 + 294 = POSE_ANCHORS */
    POSE_FINE_ANCHORS = 2 * POSE_FINE_GRID * POSE_FINE_GRID,
    POSE_MIDDLE_ANCHORS = 2 * POSE_MIDDLE_GRID * POSE_MIDDLE_GRID,
};

POSE_FORMULA float pose_sigmoid(float logit) {
    return 1.0f / (1.0f + expf(-logit));
}

/* The detector's confidence; its logits are cut first, so that one that runs away stays finite. */
POSE_FORMULA float pose_score(float logit) {
    return pose_sigmoid(logit < -100.0f ? -100.0f : logit > 100.0f ? 100.0f : logit);
}

/* The middle of anchor `index` (below POSE_ANCHORS), in 0..1 of the detector's square. */
POSE_FORMULA void pose_anchor(uint32_t index, float *x, float *y) {
    uint32_t grid = POSE_FINE_GRID, in_cell = 2;
    if (index >= POSE_FINE_ANCHORS + POSE_MIDDLE_ANCHORS) {
        index -= POSE_FINE_ANCHORS + POSE_MIDDLE_ANCHORS;
        grid = POSE_COARSE_GRID;
        in_cell = 6;
    } else if (index >= POSE_FINE_ANCHORS) {
        index -= POSE_FINE_ANCHORS;
        grid = POSE_MIDDLE_GRID;
    }
    uint32_t cell = index / in_cell;
    *x = ((float)(cell % grid) + 0.5f) / (float)grid;
    *y = ((float)(cell / grid) + 0.5f) / (float)grid;
}

/* The box of anchor `index`; false for one that is inside out or no number. The score is not
 * touched. */
POSE_FORMULA bool pose_decode_box(const float raw[POSE_BOX_FLOATS], uint32_t index,
                                  struct pose_candidate *out) {
    const float side = (float)POSE_DETECTOR_CROP;
    float x, y, sum = 0.0f;
    pose_anchor(index, &x, &y);
    float width = raw[2] / side, height = raw[3] / side;
    float left = raw[0] / side + x - width / 2.0f, top = raw[1] / side + y - height / 2.0f;
    out->box[0] = left;
    out->box[1] = top;
    out->box[2] = left + width;
    out->box[3] = top + height;
    for (int i = 0; i < 4; i++) {
        out->points[i][0] = raw[4 + 2 * i] / side + x;
        out->points[i][1] = raw[5 + 2 * i] / side + y;
        sum += out->points[i][0] + out->points[i][1];
    }
    return width >= 0.0f && height >= 0.0f && isfinite(left + top + width + height + sum);
}

/* Point `index` as the landmark network places it, before refinement. */
POSE_FORMULA void pose_decode_point(const float raw[POSE_POINT_FLOATS],
                                    float out[POSE_POINT_FLOATS]) {
    for (int axis = 0; axis < 3; axis++)
        out[axis] = raw[axis] / (float)POSE_CROP;
    out[3] = pose_sigmoid(raw[3]);
    out[4] = pose_sigmoid(raw[4]);
}

/* Moves a decoded point to the middle of what its heatmap believes in around it, where that is sure
 * of itself. heatmaps: [64][64][39], logits; point: x, y in 0..1 of the crop. */
POSE_FORMULA void pose_refine_point(const float *heatmaps, uint32_t index, float point[2]) {
    const float side = (float)POSE_HEATMAP;
    float x = point[0] * side, y = point[1] * side;
    if (!(x > -1.0f && x < side && y > -1.0f && y < side))
        return;
    int column = (int)x, row = (int)y; /* towards 0: just outside of the left and top edge counts */
    int first_column = column > POSE_WINDOW ? column - POSE_WINDOW : 0;
    int first_row = row > POSE_WINDOW ? row - POSE_WINDOW : 0;
    int end_column = column + POSE_WINDOW + 1, end_row = row + POSE_WINDOW + 1;
    end_column = end_column < POSE_HEATMAP ? end_column : POSE_HEATMAP;
    end_row = end_row < POSE_HEATMAP ? end_row : POSE_HEATMAP;
    float sum = 0.0f, sum_x = 0.0f, sum_y = 0.0f, most = 0.0f;
    for (int r = first_row; r < end_row; r++) {
        for (int c = first_column; c < end_column; c++) {
            float sure = pose_sigmoid(heatmaps[(r * POSE_HEATMAP + c) * POSE_POINTS + (int)index]);
            sum += sure;
            sum_x += sure * (float)c;
            sum_y += sure * (float)r;
            most = sure > most ? sure : most;
        }
    }
    if (most >= 0.5f) {
        point[0] = sum_x / side / sum;
        point[1] = sum_y / side / sum;
    }
}

/* The candidates whose score is at least `least`, best first, equals in the anchors' order; at most
 * `room`. boxes: [POSE_ANCHORS][12], logits: [POSE_ANCHORS], both as the detector writes them.
 * Returns how many. */
uint32_t pose_decode_candidates(const float *boxes, const float *logits, float least, uint32_t room,
                                struct pose_candidate *out);

/* One crop's outputs: points [39][5], the presence, heatmaps [64][64][39], world [39][3]. */
void pose_decode_landmarks(const float *points, float presence, const float *heatmaps,
                           const float *world, struct pose_raw *out);

#ifdef __cplusplus
}
#endif
#endif
