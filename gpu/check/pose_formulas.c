/* pose_formulas.c - what the pose pipeline computes, against cases worked out by hand and against
 * plain double precision. */
#include "check.h"
#include "pose/decode.h"
#include "pose/geometry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double between(uint64_t *state, double low, double high) {
    return low + (high - low) * body_random(state);
}

static bool near(double got, double expected, double tolerance) {
    return fabs(got - expected) <= tolerance;
}

static double logistic(double x) {
    return 1.0 / (1.0 + exp(-x));
}

/* -- Anchors and boxes --------------------------------------------------------------------------
 */

static void check_anchors(void) {
    static const struct { int grid, in_cell; } layers[] = {{28, 2}, {14, 2}, {7, 6}};
    uint32_t index = 0;
    for (int l = 0; l < 3; l++)
        for (int row = 0; row < layers[l].grid; row++)
            for (int column = 0; column < layers[l].grid; column++)
                for (int k = 0; k < layers[l].in_cell; k++, index++) {
                    float x, y;
                    pose_anchor(index, &x, &y);
                    check_that(near((double)x, (column + 0.5) / layers[l].grid, 1e-7) &&
                                   near((double)y, (row + 0.5) / layers[l].grid, 1e-7),
                               "anchor %u is at %g %g", index, (double)x, (double)y);
                }
    check_that(index == POSE_ANCHORS, "%u anchors", index);
}

static void check_box(void) {
    /* The anchor of the middle grid's first cell stands at 8 pixels; 22.4 pixels are 0.1. */
    const float raw[12] = {22.4f, -22.4f, 44.8f, 67.2f, 0.0f, 224.0f, 2.24f, 0.0f};
    const double middle = 0.5 / 14.0;
    struct pose_candidate box;
    check_that(pose_decode_box(raw, 1568, &box), "a good box is refused");
    const double expected[4] = {middle + 0.1 - 0.1, middle - 0.1 - 0.15, middle + 0.1 + 0.1,
                                middle - 0.1 + 0.15};
    for (int i = 0; i < 4; i++)
        check_that(near((double)box.box[i], expected[i], 1e-6), "side %d of a box is %g, not %g", i,
                   (double)box.box[i], expected[i]);
    check_that(near((double)box.points[0][1], middle + 1.0, 1e-6) &&
                   near((double)box.points[1][0], middle + 0.01, 1e-6),
               "points of a box");
    static const float bad[] = {-1.0f, NAN, INFINITY};
    for (int i = 0; i < 3; i++)
        for (int k = 2; k < 4; k++) {
            float broken[12];
            memcpy(broken, raw, sizeof broken);
            broken[k] = bad[i];
            check_that(!pose_decode_box(broken, 0, &box), "a box of size %g", (double)bad[i]);
        }
    check_that(pose_score(1e30f) == 1.0f && pose_score(-1e30f) >= 0.0f &&
                   pose_score(-1e30f) < 1e-30f && pose_score(0.0f) == 0.5f,
               "scores at the ends");
    check_that(!(pose_score(NAN) >= 0.0f), "no number is no score");
}

/* Candidates come out sorted, complete, and the best where room is short. */
static void check_candidates(void) {
    static float boxes[POSE_ANCHORS * POSE_BOX_FLOATS], logits[POSE_ANCHORS];
    static struct pose_candidate all[POSE_ANCHORS], some[POSE_ANCHORS];
    uint64_t state = 7;
    for (int round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < POSE_ANCHORS * POSE_BOX_FLOATS; i++)
            boxes[i] = (float)between(&state, -10.0, 60.0);
        uint32_t expected = 0;
        for (uint32_t i = 0; i < POSE_ANCHORS; i++) {
            logits[i] = (float)between(&state, -8.0, round < 10 ? 1.0 : 8.0);
            logits[i] = body_random(&state) < 0.1 ? logits[i / 2] : logits[i]; /* equals */
            const float *box = boxes + (size_t)POSE_BOX_FLOATS * i;
            expected += pose_score(logits[i]) >= 0.5f && box[2] >= 0.0f && box[3] >= 0.0f;
        }
        uint32_t count = pose_decode_candidates(boxes, logits, 0.5f, POSE_ANCHORS, all);
        check_that(count == expected, "%u candidates, not %u", count, expected);
        bool sorted = true;
        for (uint32_t i = 1; i < count; i++)
            sorted = sorted && all[i - 1].score >= all[i].score;
        check_that(sorted, "candidates are not sorted");
        uint32_t room = (uint32_t)between(&state, 0.0, 40.0);
        memset(some, 0x55, sizeof some);
        uint32_t fewer = pose_decode_candidates(boxes, logits, 0.5f, room, some);
        check_that(fewer == (room < count ? room : count) &&
                       memcmp(some, all, fewer * sizeof *some) == 0,
                   "%u of %u candidates are not the best", fewer, count);
    }
}

/* -- Merging ------------------------------------------------------------------------------------
 */

static struct pose_candidate box_of(float score, float x0, float y0, float x1, float y1) {
    return (struct pose_candidate){.score = score,
                                   .box = {x0, y0, x1, y1},
                                   .points = {{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}}};
}

static void check_merge_by_hand(void) {
    /* The second shares 3 of 5 parts with the first; the third 1/3 with the first (more than 0.3)
     * but nothing with the rest; the fourth stands alone; the fifth has no area. */
    struct pose_candidate boxes[] = {
        box_of(0.9f, 0.0f, 0.0f, 0.4f, 0.4f), box_of(0.8f, 0.1f, 0.0f, 0.5f, 0.4f),
        box_of(0.7f, 0.0f, 0.2f, 0.4f, 0.6f), box_of(0.6f, 0.8f, 0.8f, 1.0f, 1.0f),
        box_of(0.5f, 0.7f, 0.1f, 0.7f, 0.3f)};
    struct pose_candidate out[5];
    uint32_t count = pose_merge_candidates(boxes, 5, 5, out);
    check_that(count == 2, "%u people of five boxes, not 2", count);
    const double left = (0.8 * 0.1) / 2.4, right = (0.9 * 0.4 + 0.8 * 0.5 + 0.7 * 0.4) / 2.4;
    const double top = (0.7 * 0.2) / 2.4, low = (0.9 * 0.4 + 0.8 * 0.4 + 0.7 * 0.6) / 2.4;
    check_that(near((double)out[0].box[0], left, 1e-6) && near((double)out[0].box[1], top, 1e-6) &&
                   near((double)out[0].box[2], right, 1e-6) &&
                   near((double)out[0].box[3], low, 1e-6) &&
                   near((double)out[0].points[2][0], right, 1e-6) && out[0].score == 0.9f,
               "the first merged box");
    check_that(out[1].score == 0.6f && near((double)out[1].box[0], 0.8, 1e-6), "the lone box");
    check_that(pose_merge_candidates(boxes, 0, 5, out) == 0, "nothing of nothing");
}

/* The same by flags and in double precision. */
static uint32_t merge_slowly(const struct pose_candidate *in, uint32_t count, double (*out)[5]) {
    bool used[64] = {false};
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        double weight = 0.0, sum[4] = {0.0};
        if (used[i])
            continue;
        for (uint32_t k = i; k < count; k++) {
            const float *a = in[i].box, *b = in[k].box;
            double w = fmin((double)a[2], (double)b[2]) - fmax((double)a[0], (double)b[0]);
            double h = fmin((double)a[3], (double)b[3]) - fmax((double)a[1], (double)b[1]);
            double both = fmax(w, 0.0) * fmax(h, 0.0);
            double either = (double)(a[2] - a[0]) * (double)(a[3] - a[1]) +
                            (double)(b[2] - b[0]) * (double)(b[3] - b[1]) - both;
            if (used[k] || !(both > 0.3 * either))
                continue;
            used[k] = true;
            weight += (double)in[k].score;
            for (int c = 0; c < 4; c++)
                sum[c] += (double)in[k].score * (double)b[c];
        }
        for (int c = 0; c < 4; c++)
            out[found][c] = sum[c] / weight;
        out[found++][4] = (double)in[i].score;
    }
    return found;
}

static void check_merge(void) {
    uint64_t state = 11;
    for (int round = 0; round < 200; round++) {
        struct pose_candidate boxes[64], out[64];
        double slow[64][5];
        uint32_t count = (uint32_t)between(&state, 1.0, 64.0);
        for (uint32_t i = 0; i < count; i++) {
            float x = (float)between(&state, 0.0, 1.0), y = (float)between(&state, 0.0, 1.0);
            boxes[i] = box_of(1.0f - (float)i / 100.0f, x, y, x + (float)between(&state, 0.05, 0.6),
                              y + (float)between(&state, 0.05, 0.6));
        }
        uint32_t expected = merge_slowly(boxes, count, slow);
        uint32_t found = pose_merge_candidates(boxes, count, 64, out);
        bool same = found == expected;
        for (uint32_t i = 0; i < found && same; i++)
            for (int c = 0; c < 5; c++)
                same = same &&
                       near(c < 4 ? (double)out[i].box[c] : (double)out[i].score, slow[i][c], 1e-5);
        check_that(same, "round %d: %u boxes merge to %u, not %u, or to others", round, count,
                   found, expected);
    }
}

/* -- Squares ------------------------------------------------------------------------------------
 */

static void check_square(const char *what, struct pose_roi roi, double x, double y, double size,
                         double rotation) {
    check_that(near((double)roi.x, x, 1e-3) && near((double)roi.y, y, 1e-3) &&
                   near((double)roi.size, size, 1e-3) && near((double)roi.rotation, rotation, 1e-5),
               "%s: (%g, %g) %g at %g", what, (double)roi.x, (double)roi.y, (double)roi.size,
               (double)roi.rotation);
}

static void check_squares(void) {
    const float c[2] = {100.0f, 200.0f};
    check_square("upright", pose_roi_of_circle(c, (const float[2]){100.0f, 120.0f}, 640, 480), 100,
                 200, 200, 0.0);
    check_square("lying to the right",
                 pose_roi_of_circle(c, (const float[2]){180.0f, 200.0f}, 640, 480), 100, 200, 200,
                 M_PI / 2);
    check_square("lying to the left",
                 pose_roi_of_circle(c, (const float[2]){20.0f, 200.0f}, 640, 480), 100, 200, 200,
                 -M_PI / 2);
    check_square("leaning", pose_roi_of_circle(c, (const float[2]){130.0f, 160.0f}, 640, 480), 100,
                 200, 125, atan2(30, 40));
    struct pose_roi down = pose_roi_of_circle(c, (const float[2]){100.0f, 240.0f}, 640, 480);
    check_that(near(fabs((double)down.rotation), M_PI, 1e-5) &&
                   near((double)down.size, 100.0, 1e-3),
               "head down");

    /* In a landscape picture of 400 x 200, the letterbox adds 100 rows above and below. */
    struct pose_candidate box = {.points = {{0.25f, 0.5f}, {0.25f, 0.375f}}};
    check_square("landscape", pose_roi_of_candidate(&box, 400, 200), 100, 100, 125, 0.0);
    check_square("portrait", pose_roi_of_candidate(&box, 200, 400), 0, 200, 125, 0.0);

    static const struct pose_roi bad[] = {{NAN, 0, 1, 0},      {0, INFINITY, 1, 0}, {0, 0, 0, 0},
                                          {0, 0, -5, 0},       {0, 0, NAN, 0},      {0, 0, 1, NAN},
                                          {2000000, 0, 50, 0}, {0, 0, 1e9f, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_that(!pose_roi_usable(&bad[i]), "square %zu can be used", i);
    check_that(pose_roi_usable(&(struct pose_roi){-50, 8000, 3, -3}), "a square cannot be used");
}

/* Every pixel that bilinear sampling of the square reads lies in its window, and little else. */
static void check_bounds(void) {
    uint64_t state = 5;
    for (int round = 0; round < 300; round++) {
        uint32_t width = (uint32_t)pow(2.0, between(&state, 0.0, 12.0));
        uint32_t height = (uint32_t)pow(2.0, between(&state, 0.0, 12.0)), window[4];
        struct pose_roi roi = {(float)between(&state, -0.5 * width, 1.5 * width),
                               (float)between(&state, -0.5 * height, 1.5 * height),
                               (float)pow(2.0, between(&state, 0.0, 12.0)),
                               (float)between(&state, -M_PI, M_PI)};
        pose_roi_bounds(&roi, width, height, window);
        double c = cos((double)roi.rotation), s = sin((double)roi.rotation);
        double low[2] = {1e9, 1e9}, high[2] = {-1e9, -1e9};
        for (int corner = 0; corner < 4; corner++) {
            double u = ((corner & 1 ? 255.5 : 0.5) / 256.0 - 0.5) * (double)roi.size;
            double v = ((corner & 2 ? 255.5 : 0.5) / 256.0 - 0.5) * (double)roi.size;
            double place[2] = {(double)roi.x + u * c - v * s - 0.5,
                               (double)roi.y + u * s + v * c - 0.5};
            for (int axis = 0; axis < 2; axis++) {
                double last = (double)(axis == 0 ? width : height) - 1.0;
                low[axis] = fmin(low[axis], fmin(fmax(floor(place[axis]), 0.0), last));
                high[axis] = fmax(high[axis], fmin(fmax(floor(place[axis]) + 1.0, 0.0), last));
            }
        }
        for (int axis = 0; axis < 2; axis++) {
            double first = window[axis], last = first + window[axis + 2] - 1.0;
            double slack = 4.0 + 0.02 * (double)roi.size;
            check_that(first <= low[axis] && last >= high[axis] && first >= low[axis] - slack &&
                           last <= high[axis] + slack &&
                           last < (double)(axis == 0 ? width : height),
                       "round %d: pixels %g to %g of axis %d, window %g to %g", round, low[axis],
                       high[axis], axis, first, last);
        }
    }
}

/* -- Points -------------------------------------------------------------------------------------
 */

static float heatmaps[POSE_HEATMAP * POSE_HEATMAP * POSE_POINTS];

static void heat(int column, int row, int point, float logit) {
    heatmaps[(row * POSE_HEATMAP + column) * POSE_POINTS + point] = logit;
}

static void cool(void) {
    for (size_t i = 0; i < sizeof heatmaps / sizeof *heatmaps; i++)
        heatmaps[i] = -200.0f;
}

static void refine_case(const char *what, float x, float y, double expected_x, double expected_y) {
    float point[2] = {x, y};
    pose_refine_point(heatmaps, 3, point);
    check_that(near((double)point[0], expected_x, 1e-6) && near((double)point[1], expected_y, 1e-6),
               "%s: a point goes to %g %g, not to %g %g", what, (double)point[0], (double)point[1],
               expected_x, expected_y);
}

static void check_refinement(void) {
    cool();
    refine_case("cold", 0.51f, 0.49f, 0.51f, 0.49f);
    heat(34, 30, 3, 5.0f); /* within three cells of cell 32 (0.51 * 64), 31 */
    refine_case("one cell", 0.51f, 0.49f, 34.0 / 64.0, 30.0 / 64.0);
    heat(33, 30, 3, 5.0f);
    refine_case("two cells", 0.51f, 0.49f, 33.5 / 64.0, 30.0 / 64.0);
    heat(34, 30, 3, -0.1f);
    heat(33, 30, 3, -0.1f);
    refine_case("unsure", 0.51f, 0.49f, 0.51f, 0.49f);
    cool();
    heat(36, 31, 3, 5.0f);
    refine_case("four cells away", 0.51f, 0.49f, 0.51f, 0.49f);
    heat(32, 31, 4, 5.0f);
    refine_case("another point's", 0.51f, 0.49f, 0.51f, 0.49f);
    cool();
    heat(0, 0, 3, 5.0f);
    refine_case("corner", 0.02f, 0.02f, 0.0, 0.0);
    refine_case("a little outside", -0.01f, 0.02f, 0.0, 0.0);
    refine_case("outside", -0.02f, 0.02f, -0.02f, 0.02f);
    heat(63, 63, 3, 5.0f);
    refine_case("last corner", 0.999f, 0.97f, 63.0 / 64.0, 63.0 / 64.0);
    refine_case("at the end", 1.0f, 0.97f, 1.0f, 0.97f);
    float lost[2] = {NAN, 0.5f};
    pose_refine_point(heatmaps, 3, lost);
    check_that(isnan(lost[0]) && lost[1] == 0.5f, "no number is moved");
}

static void check_points(void) {
    uint64_t state = 3;
    float points[POSE_POINTS * 5], world[POSE_POINTS * 3];
    struct pose_raw out;
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < sizeof heatmaps / sizeof *heatmaps; i++)
            heatmaps[i] = (float)between(&state, -9.0, 1.0);
        for (int i = 0; i < POSE_POINTS * 5; i++)
            points[i] = (float)between(&state, -20.0, 276.0) / (i % 5 < 3 ? 1.0f : 40.0f);
        for (int i = 0; i < POSE_POINTS * 3; i++)
            world[i] = (float)between(&state, -1.0, 1.0);
        pose_decode_landmarks(points, 0.75f, heatmaps, world, &out);
        for (int i = 0; i < POSE_POINTS; i++) {
            const float *raw = points + 5 * (size_t)i;
            double place[2] = {(double)raw[0] / 256.0, (double)raw[1] / 256.0};
            int column = (int)(place[0] * 64.0), row = (int)(place[1] * 64.0);
            double sum = 0.0, x = 0.0, y = 0.0, most = 0.0;
            bool inside =
                place[0] * 64.0 > -1.0 && column < 64 && place[1] * 64.0 > -1.0 && row < 64;
            for (int r = row - 3; r <= row + 3 && inside; r++)
                for (int c = column - 3; c <= column + 3; c++) {
                    if (r < 0 || r > 63 || c < 0 || c > 63)
                        continue;
                    double p = logistic((double)heatmaps[(r * 64 + c) * POSE_POINTS + i]);
                    sum += p;
                    x += p * c;
                    y += p * r;
                    most = fmax(most, p);
                }
            if (most >= 0.5) {
                place[0] = x / sum / 64.0;
                place[1] = y / sum / 64.0;
            }
            bool same = near((double)out.points[i][0], place[0], 1e-5) &&
                        near((double)out.points[i][1], place[1], 1e-5) &&
                        near((double)out.points[i][2], (double)raw[2] / 256.0, 1e-6) &&
                        near((double)out.points[i][3], logistic((double)raw[3]), 1e-6) &&
                        near((double)out.points[i][4], logistic((double)raw[4]), 1e-6);
            check_that(same && memcmp(out.world[i], world + 3 * (size_t)i, 12) == 0,
                       "round %d: point %d is decoded to %g %g", round, i, (double)out.points[i][0],
                       (double)out.points[i][1]);
        }
        check_that(out.presence == 0.75f, "presence is passed on");
    }
}

/* -- Projection ---------------------------------------------------------------------------------
 */

static void check_projection(void) {
    struct pose_raw raw = {.presence = 0.5f};
    struct pose_found found;
    for (int i = 0; i < POSE_POINTS; i++) /* the middle of the right side; a quarter deep */
        memcpy(raw.points[i], (const float[5]){1.0f, 0.5f, 0.25f, 0.9f, 0.1f}, 20);
    raw.world[7][0] = 1.0f;
    /* Turned a quarter clockwise, the crop's right side is the picture's lower one. */
    const struct pose_roi quarter = {300.0f, 100.0f, 80.0f, (float)(M_PI / 2)};
    pose_project(&raw, &quarter, 400, 200, &found);
    const float *nose = found.person.landmarks[0], *ear = found.person.world[7];
    check_that(
        near((double)nose[0], 300.0 / 400.0, 1e-6) && near((double)nose[1], 140.0 / 200.0, 1e-6) &&
            near((double)nose[2], 0.25 * 80.0 / 400.0, 1e-6) && nose[3] == 0.9f,
        "a projected landmark is at %g %g %g", (double)nose[0], (double)nose[1], (double)nose[2]);
    check_that(near((double)ear[0], 0.0, 1e-6) && near((double)ear[1], 1.0, 1e-6) && ear[3] == 0.9f,
               "a world landmark is at %g %g", (double)ear[0], (double)ear[1]);
    check_that(near((double)found.circle[1][0], 300.0, 1e-3) &&
                   near((double)found.circle[1][1], 140.0, 1e-3) && found.person.score == 0.5f &&
                   found.person.roi[2] == 80.0f,
               "the next square's points");

    uint64_t state = 9;
    for (int round = 0; round < 100; round++) {
        uint32_t width = (uint32_t)between(&state, 1.0, 4000.0);
        uint32_t height = (uint32_t)between(&state, 1.0, 4000.0);
        struct pose_roi roi = {
            (float)between(&state, 0.0, width), (float)between(&state, 0.0, height),
            (float)between(&state, 1.0, 3000.0), (float)between(&state, -M_PI, M_PI)};
        double c = cos((double)roi.rotation), s = sin((double)roi.rotation), worst = 0.0;
        for (int i = 0; i < POSE_POINTS; i++)
            for (int k = 0; k < 3; k++) {
                raw.points[i][k] = (float)between(&state, -0.3, 1.3);
                raw.world[i][k] = (float)between(&state, -1.0, 1.0);
            }
        pose_project(&raw, &roi, width, height, &found);
        for (int i = 0; i < GPU_POSE_LANDMARKS; i++) {
            const float *p = raw.points[i], *got = found.person.landmarks[i];
            double u = ((double)p[0] - 0.5) * (double)roi.size;
            double v = ((double)p[1] - 0.5) * (double)roi.size;
            worst = fmax(worst, fabs((double)got[0] * width - ((double)roi.x + c * u - s * v)));
            worst = fmax(worst, fabs((double)got[1] * height - ((double)roi.y + s * u + c * v)));
            worst = fmax(worst, fabs((double)got[2] * width - (double)p[2] * (double)roi.size));
        }
        check_that(worst < 0.005, "round %d: projected %g pixels off", round, worst);
    }
}

void check_pose_formulas(void) {
    check_anchors();
    check_box();
    check_candidates();
    check_merge_by_hand();
    check_merge();
    check_squares();
    check_bounds();
    check_refinement();
    check_points();
    check_projection();
}
