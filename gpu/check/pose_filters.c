/* pose_filters.c - the filters of followed people against the published equations in double
 * precision, and what they forget when. */
#include "check.h"
#include "pose/filter.h"

#include <math.h>
#include <string.h>

/* One number's One-Euro filter as its authors write it: seconds, all in double. */
struct euro {
    double least, beta, time, raw, smooth, slope;
    bool started;
};

static double mix(double value, double last, double cutoff, double seconds) {
    double tau = 1.0 / (2.0 * M_PI * cutoff), alpha = 1.0 / (1.0 + tau / seconds);
    return alpha * value + (1.0 - alpha) * last;
}

static double euro(struct euro *f, double time, double scale, double value) {
    if (!f->started) {
        *f = (struct euro){f->least, f->beta, time, value, value, 0.0, true};
        return value;
    }
    double seconds = time - f->time;
    f->slope = mix((value - f->raw) * scale / seconds, f->slope, 1.0, seconds);
    f->smooth = mix(value, f->smooth, f->least + f->beta * fabs(f->slope), seconds);
    f->raw = value;
    f->time = time;
    return f->smooth;
}

/* A person at random near where they were. */
static void wander(struct pose_found *found, uint64_t *state) {
    for (int i = 0; i < GPU_POSE_LANDMARKS; i++)
        for (int k = 0; k < 4; k++) {
            float by = (float)(body_random(state) - 0.5) * 0.02f;
            found->person.landmarks[i][k] += by;
            found->person.world[i][k] += k < 3 ? 3.0f * by : by;
        }
    for (int k = 0; k < 4; k++)
        found->circle[k / 2][k % 2] += (float)(body_random(state) - 0.5) * 4.0f;
}

static struct pose_found somebody(void) {
    struct pose_found found = {.circle = {{300.0f, 200.0f}, {300.0f, 80.0f}}};
    for (int i = 0; i < GPU_POSE_LANDMARKS; i++)
        for (int k = 0; k < 4; k++)
            found.person.landmarks[i][k] = found.person.world[i][k] = 0.01f * (float)(i + k);
    return found;
}

enum { WIDTH = 640, HEIGHT = 480 };

/* Nose x and y, wrist z, world x of a knee, circle point y, visibility. */
struct watched {
    struct euro image[3], world, circle;
    double visibility;
};

static void start(struct watched *watched, bool all) {
    for (int i = 0; i < 3; i++)
        watched->image[i] = (struct euro){.least = 0.05, .beta = 80.0};
    watched->circle = (struct euro){.least = 0.01, .beta = 10.0};
    if (!all)
        return;
    watched->world = (struct euro){.least = 0.1, .beta = 40.0};
    watched->visibility = NAN;
}

static double watch(struct watched *watched, double time, const struct pose_found *raw,
                    const struct pose_found *got) {
    double size = 2.0 * hypot((double)(raw->circle[1][0] - raw->circle[0][0]),
                              (double)(raw->circle[1][1] - raw->circle[0][1]));
    static const int points[3] = {0, 0, 15}, axes[3] = {0, 1, 2};
    static const double units[3] = {WIDTH, HEIGHT, WIDTH};
    double worst = 0.0;
    for (int i = 0; i < 3; i++) {
        double value = (double)raw->person.landmarks[points[i]][axes[i]] * units[i];
        double expected = euro(&watched->image[i], time, 1.0 / size, value);
        worst = fmax(worst,
                     fabs((double)got->person.landmarks[points[i]][axes[i]] * units[i] - expected));
    }
    double knee = euro(&watched->world, time, 1.0, (double)raw->person.world[25][0]);
    worst = fmax(worst, 100.0 * fabs((double)got->person.world[25][0] - knee));
    double top = euro(&watched->circle, time, 1.0 / size, (double)raw->circle[1][1]);
    worst = fmax(worst, fabs((double)got->circle[1][1] - top));
    double seen = (double)raw->person.landmarks[4][3];
    watched->visibility =
        isnan(watched->visibility) ? seen : 0.1 * seen + 0.9 * watched->visibility;
    worst = fmax(worst, fabs((double)got->person.landmarks[4][3] - watched->visibility));
    return fmax(worst, fabs((double)got->person.world[4][3] - watched->visibility));
}

/* Random walks with losses, at a rate that changes. */
static void check_equations(bool sane) {
    struct pose_filters filters;
    struct watched watched;
    struct pose_found person = somebody();
    uint64_t state = 21;
    double time = 1.0, worst = 0.0;
    pose_filters_reset(&filters);
    start(&watched, true);
    for (int frame = 0; frame < 2000; frame++) {
        time = (double)llround(1e6 * (time + 0.01 + 0.09 * floor(body_random(&state) * 4.0))) / 1e6;
        wander(&person, &state);
        if (frame % 97 == 96) {
            pose_filters_lose(&filters, sane);
            start(&watched, sane);
            continue;
        }
        struct pose_found found = person;
        pose_filters_apply(&filters, llround(time * 1e6), true, WIDTH, HEIGHT, &found);
        worst = fmax(worst, watch(&watched, time, &person, &found));
    }
    check_that(worst < 0.01, "filters are %g pixels off, %s resets", worst,
               sane ? "with sane" : "with MediaPipe's");
}

/* By hand: a point at rest that jumps by 30 pixels, with a person of 240 pixels, after 0.1 s. */
static void check_jump(void) {
    struct pose_filters filters;
    struct pose_found before = somebody(), after = before;
    after.person.landmarks[0][0] += 30.0f / (float)WIDTH;
    double from = (double)before.person.landmarks[0][0] * WIDTH;
    pose_filters_reset(&filters);
    pose_filters_apply(&filters, 1000000, true, WIDTH, HEIGHT, &before);
    pose_filters_apply(&filters, 1100000, true, WIDTH, HEIGHT, &after);
    double speed = 30.0 / 240.0 * 10.0;                         /* 1.25 sizes a second */
    double slope = speed / (1.0 + 10.0 / (2.0 * M_PI));         /* 0.4823 */
    double cutoff = 0.05 + 80.0 * slope;                        /* 38.63 Hz */
    double moved = 30.0 / (1.0 + 10.0 / (2.0 * M_PI * cutoff)); /* 28.81 of 30 pixels */
    double got = (double)after.person.landmarks[0][0] * WIDTH - from;
    check_that(fabs(moved - 28.81) < 0.01, "the case by hand is %g", moved);
    check_that(fabs(got - moved) < 1e-3, "a jump is followed by %g pixels, not %g", got, moved);
}

static void check_clock(void) {
    struct pose_filters filters, kept;
    struct pose_found first = somebody(), second;
    uint64_t state = 4;
    pose_filters_reset(&filters);
    pose_filters_apply(&filters, 5000000, true, WIDTH, HEIGHT, &first);
    kept = filters;
    static const int64_t times[] = {5000000, 4999999, 0, -7};
    for (int i = 0; i < 4; i++) {
        struct pose_found raw = somebody();
        wander(&raw, &state);
        second = raw;
        pose_filters_apply(&filters, times[i], true, WIDTH, HEIGHT, &second);
        for (int k = 0; k < GPU_POSE_LANDMARKS; k++)
            second.person.landmarks[k][3] = raw.person.landmarks[k][3];
        for (int k = 0; k < GPU_POSE_LANDMARKS; k++)
            second.person.world[k][3] = raw.person.world[k][3];
        check_that(memcmp(&second, &raw, sizeof raw) == 0,
                   "places are smoothed though time went to %lld", (long long)times[i]);
        memcpy(filters.visibility, kept.visibility, sizeof kept.visibility);
        check_that(memcmp(&filters, &kept, sizeof kept) == 0,
                   "filters remember a time that went to %lld", (long long)times[i]);
    }
}

/* Without smoothing only the next square is smoothed; a person of no size is left alone. */
static void check_options(void) {
    struct pose_filters filters;
    uint64_t state = 8;
    struct pose_found raw = somebody();
    pose_filters_reset(&filters);
    bool moved = false, same = true;
    for (int frame = 1; frame < 20; frame++) {
        wander(&raw, &state);
        struct pose_found found = raw;
        pose_filters_apply(&filters, frame * 33333, false, WIDTH, HEIGHT, &found);
        same = same && memcmp(&found.person, &raw.person, sizeof raw.person) == 0;
        moved = moved || memcmp(found.circle, raw.circle, sizeof raw.circle) != 0;
    }
    check_that(same, "landmarks are smoothed without being asked");
    check_that(moved, "the next square is not smoothed");
    struct pose_found dot = somebody(), found;
    memcpy(dot.circle[1], dot.circle[0], sizeof dot.circle[0]);
    found = dot;
    pose_filters_apply(&filters, 2000000, true, WIDTH, HEIGHT, &found);
    check_that(memcmp(found.person.landmarks[9], dot.person.landmarks[9], 12) == 0 &&
                   memcmp(found.circle, dot.circle, sizeof dot.circle) == 0,
               "a person of no size is smoothed");
}

void check_pose_filters(void) {
    check_equations(false);
    check_equations(true);
    check_jump();
    check_clock();
    check_options();
}
