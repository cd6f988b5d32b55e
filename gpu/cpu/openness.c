/* openness.c - the grid that open shares of sky are found in; see render/openness.h. */
#include "shadow.h"

#include <math.h>
#include <string.h>

enum {
    MOST = 56,        /* near cells along a body's longest side */
    MARGIN = 8,       /* of them around it: blurs end within, and looks beyond see nothing */
    MOST_POINTS = 24, /* along a triangle's side */
};

static size_t cells_of(const struct gpu_open_cells *cells) {
    return (size_t)cells->size[0] * (size_t)cells->size[1] * (size_t)cells->size[2];
}

/* Sizes are even, so that four near cells make two far ones. */
static void fit(struct gpu_open_cells *near, struct gpu_open_cells *far, const float box[6]) {
    float longest = 1e-3f;
    for (int c = 0; c < 3; c++)
        longest = fmaxf(longest, box[3 + c] - box[c]);
    near->scale = (float)MOST / longest;
    far->scale = 0.5f * near->scale;
    near->sheet = 1.0f / 243.0f; /* 9 of 27 cells of each of two boxes */
    far->sheet = 0.25f * near->sheet;
    for (int c = 0; c < 3; c++) {
        near->from[c] = box[c] - (float)MARGIN / near->scale;
        near->size[c] = (int32_t)((box[3 + c] - box[c]) * near->scale) / 2 * 2 + 2 + 2 * MARGIN;
        far->from[c] = near->from[c];
        far->size[c] = near->size[c] / 2;
    }
}

/* Sets the cells that a triangle touches to 1, point by point. */
static void touch(const struct gpu_open_cells *grid, const float *const corner[3], int32_t *cells) {
    float at[3][3], longest = 0.0f;
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 3; i++)
            at[i][c] = (corner[i][c] - grid->from[c]) * grid->scale;
    for (int i = 0; i < 3; i++) {
        const float *a = at[i], *b = at[(i + 1) % 3];
        float d[3] = {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
        longest = fmaxf(longest, d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    }
    int points = 1;
    while (points < MOST_POINTS && (float)(points * points) < longest)
        points++;
    float step = 1.0f / (float)points;
    for (int i = 0; i < points; i++) {
        for (int k = 0; k < points - i; k++) {
            float b = ((float)i + 1.0f / 3.0f) * step, c = ((float)k + 1.0f / 3.0f) * step;
            float p[3];
            for (int n = 0; n < 3; n++)
                p[n] = at[0][n] + (at[1][n] - at[0][n]) * b + (at[2][n] - at[0][n]) * c;
            const int32_t *size = grid->size;
            bool inside = true; /* else no number, or beyond what counts as the body */
            for (int n = 0; n < 3; n++)
                inside &= p[n] >= (float)MARGIN - 0.5f && p[n] < (float)(size[n] - MARGIN) + 0.5f;
            if (inside)
                cells[((int32_t)p[2] * size[1] + (int32_t)p[1]) * size[0] + (int32_t)p[0]] = 1;
        }
    }
}

/* Each far cell is the sum of its eight near ones. */
static void coarsen(const struct gpu_open_cells *near, const struct gpu_open_cells *far,
                    const int32_t *from, int32_t *to) {
    size_t wide = (size_t)near->size[0], plane = wide * (size_t)near->size[1];
    for (int32_t z = 0; z < far->size[2]; z++) {
        for (int32_t y = 0; y < far->size[1]; y++) {
            const int32_t *row = from + 2 * (size_t)z * plane + 2 * (size_t)y * wide;
            for (int32_t x = 0; x < far->size[0]; x++, row += 2)
                *to++ = row[0] + row[1] + row[wide] + row[wide + 1] + row[plane] + row[plane + 1] +
                        row[plane + wide] + row[plane + wide + 1];
        }
    }
}

/* Two boxes of three cells over each axis. The margin is 0, so rows and planes may be taken for one
 * line: what comes from beyond an end is 0. */
static void blur(const struct gpu_open_cells *grid, int32_t *cells, int32_t *other) {
    size_t count = cells_of(grid);
    size_t steps[3] = {1, (size_t)grid->size[0], (size_t)grid->size[0] * (size_t)grid->size[1]};
    for (int axis = 0; axis < 3; axis++) {
        size_t step = steps[axis], reach = 2 * step;
        memset(other, 0, reach * sizeof *other);
        memset(other + count - reach, 0, reach * sizeof *other);
        for (size_t i = reach; i + reach < count; i++)
            other[i] = cells[i - reach] + cells[i + reach] +
                       2 * (cells[i - step] + cells[i + step]) + 3 * cells[i];
        memcpy(cells, other, count * sizeof *cells);
    }
}

bool gpu_open_find(struct gpu_buffer *buffer, const struct gpu_kernels *kernels,
                   const struct gpu_caster *caster, const float box[6], float strength,
                   float *out) {
    const struct gpu_scene *scene = caster->scene;
    struct gpu_open_grid grid = {.strength = strength};
    struct gpu_open_cells *near = &grid.looks[0], *far = &grid.looks[1];
    fit(near, far, box);
    size_t cells = cells_of(near), fewer = cells_of(far);
    if (!gpu_buffer_reserve(buffer, 2 * cells + fewer, sizeof(int32_t)))
        return false;
    int32_t *fine = buffer->memory, *coarse = fine + cells, *scratch = coarse + fewer;
    memset(fine, 0, cells * sizeof *fine);
    for (uint32_t t = 0; t < scene->triangle_count; t++) {
        const float *corner[3];
        for (int c = 0; c < 3; c++)
            corner[c] = caster->vertices + (size_t)scene->corners[c][t] * GPU_VERTEX_FLOATS;
        touch(near, corner, fine);
    }
    coarsen(near, far, fine, coarse);
    blur(near, fine, scratch);
    blur(far, coarse, scratch);
    near->count = fine;
    far->count = coarse;
    kernels->open(&grid, caster->vertices, scene->padded_vertices, out);
    return true;
}
