/* people.c - see people.h. */
#include "pose/people.h"

#include <math.h>

static const float same_person = 0.07f; /* distance below which two poses are one person's */
static const float same_centre = 0.1f;  /* of two squares, in sides */
static const float same_size = 1.3f;    /* ratio of two squares' sides */

void pose_places_of(const struct gpu_pose_person *person, uint32_t width, uint32_t height,
                    struct pose_places *out) {
    for (uint32_t i = 0; i < GPU_POSE_LANDMARKS; i++) {
        out->at[i][0] = person->landmarks[i][0] * (float)width;
        out->at[i][1] = person->landmarks[i][1] * (float)height;
    }
    out->size = person->roi[2];
}

float pose_places_distance(const struct pose_places *a, const float shift[2],
                           const struct pose_places *b) {
    float sum = 0.0f;
    for (uint32_t i = 0; i < GPU_POSE_LANDMARKS; i++) {
        float right = a->at[i][0] + shift[0] - b->at[i][0];
        float down = a->at[i][1] + shift[1] - b->at[i][1];
        sum += sqrtf(right * right + down * down);
    }
    return sum / (float)GPU_POSE_LANDMARKS / fmaxf(a->size, b->size);
}

bool pose_places_same(const struct pose_places *a, const struct pose_places *b) {
    return pose_places_distance(a, (const float[2]){0.0f, 0.0f}, b) < same_person;
}

bool pose_roi_same(const struct pose_roi *a, const struct pose_roi *b) {
    float larger = fmaxf(a->size, b->size), smaller = fminf(a->size, b->size);
    float right = a->x - b->x, down = a->y - b->y;
    return sqrtf(right * right + down * down) < same_centre * larger &&
           larger < same_size * smaller;
}

/* -- Assignment ---------------------------------------------------------------------------------
 */

/* The Hungarian method by shortest paths (Jonker, Volgenant 1987). Each row has a column of its own
 * beyond the real ones, at the cost `limit`: to stay alone. Rows and columns count from 1; 0 is the
 * start of every path. */
struct assignment {
    const float *cost;
    uint32_t rows, columns, all; /* all: with those to stay alone */
    float limit;
    float row_price[POSE_ASSIGN_ROOM + 1], column_price[2 * POSE_ASSIGN_ROOM + 1];
    uint32_t row_of[2 * POSE_ASSIGN_ROOM + 1]; /* 0: free */
};

static float cost_of(const struct assignment *a, uint32_t row, uint32_t column) {
    if (column > a->columns)
        return column - a->columns == row ? a->limit : INFINITY;
    float cost = a->cost[(row - 1) * a->columns + column - 1];
    return cost < a->limit ? cost : INFINITY;
}

/* Gives `row` a column, moving others where that is cheaper in all. */
static void assign_row(struct assignment *a, uint32_t row) {
    float shortest[2 * POSE_ASSIGN_ROOM + 1];
    uint32_t before[2 * POSE_ASSIGN_ROOM + 1], column = 0;
    bool done[2 * POSE_ASSIGN_ROOM + 1] = {false};
    for (uint32_t c = 0; c <= a->all; c++) {
        shortest[c] = INFINITY;
        before[c] = 0;
    }
    a->row_of[0] = row;
    do {
        done[column] = true;
        uint32_t from = a->row_of[column], next = 0;
        float step = INFINITY;
        for (uint32_t c = 1; c <= a->all; c++) {
            if (done[c])
                continue;
            float length = cost_of(a, from, c) - a->row_price[from] - a->column_price[c];
            if (length < shortest[c]) {
                shortest[c] = length;
                before[c] = column;
            }
            if (shortest[c] < step) {
                step = shortest[c];
                next = c;
            }
        }
        for (uint32_t c = 0; c <= a->all; c++) {
            if (done[c]) {
                a->row_price[a->row_of[c]] += step;
                a->column_price[c] -= step;
            } else {
                shortest[c] -= step;
            }
        }
        column = next; /* there is always one: the row's own */
    } while (a->row_of[column] != 0);
    while (column != 0) {
        a->row_of[column] = a->row_of[before[column]];
        column = before[column];
    }
}

void pose_assign(const float *cost, uint32_t rows, uint32_t columns, float limit,
                 int32_t *column_of) {
    struct assignment a = {
        .cost = cost, .rows = rows, .columns = columns, .all = columns + rows, .limit = limit};
    for (uint32_t row = 1; row <= rows; row++)
        assign_row(&a, row);
    for (uint32_t row = 0; row < rows; row++)
        column_of[row] = -1;
    for (uint32_t column = 1; column <= columns; column++)
        if (a.row_of[column] != 0)
            column_of[a.row_of[column] - 1] = (int32_t)column - 1;
}
