/* motion_steps.c - when a motion's feet are on the floor: low and slow, with some patience. */
#include <stdlib.h>

#include "media/motion_parts.h"

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The height at which the lower of two points stands: the twentieth part of the heights. */
static double standing_height(const struct vec *left, const struct vec *right, uint32_t frames,
                              double *scratch) {
    for (uint32_t i = 0; i < frames; i++)
        scratch[i] = fmin(left[i].y, right[i].y);
    qsort(scratch, frames, sizeof *scratch, compare);
    return scratch[frames / 20];
}

struct patience {
    double height, rate;
    const struct motion_tuning *tuning;
    uint32_t frames;
};

/* Sets `bit` in the frames in which the point rests. It counts as resting from when it is low and
 * slow until it is high or fast, so noise does not lift it. */
static void find_rests(const struct vec *at, const struct patience *p, double size, uint8_t bit,
                       uint8_t *rests) {
    uint32_t step = (uint32_t)fmax(1, p->rate / 60 + 0.5);
    bool resting = false;
    for (uint32_t i = 0; i < p->frames; i++) {
        uint32_t before = i > step ? i - step : 0,
                 after = i + step < p->frames ? i + step : p->frames - 1;
        double seconds = (after - before) / p->rate, height = (at[i].y - p->height) / size,
               speed = seconds > 0 ? vec_distance(at[before], at[after]) / seconds / size : 0;
        const struct motion_tuning *t = p->tuning;
        resting = resting ? height < t->release_height && speed < t->release_speed
                          : height < t->contact_height && speed < t->contact_speed;
        if (resting)
            rests[i] |= bit;
    }
}

/* Fills gaps shorter than half of `shortest`, then drops rests that are shorter. */
static void tidy(uint8_t *rests, uint8_t bit, const struct patience *p) {
    for (int pass = 0; pass < 2; pass++) {
        double least = p->tuning->shortest * p->rate * (pass == 0 ? 0.5 : 1);
        for (uint32_t i = 0, start = 0; i <= p->frames; i++) {
            bool same = i < p->frames && i > 0 && ((rests[i] ^ rests[i - 1]) & bit) == 0;
            if (same || i == 0)
                continue;
            bool on = (rests[i - 1] & bit) != 0, edge = start == 0 || i == p->frames;
            if (i - start < least && on == (pass == 1) && !edge)
                for (uint32_t k = start; k < i; k++)
                    rests[k] ^= bit;
            start = i;
        }
    }
}

int motion_steps_find(const struct motion_steps *steps, uint32_t frames, double rate, double size,
                      const struct motion_tuning *tuning, uint8_t *rests[2], struct err *err) {
    double *scratch = malloc(frames * sizeof *scratch);
    if (scratch == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to find the steps of %u frames", frames);
    struct patience heel = {standing_height(steps->ankles[0], steps->ankles[1], frames, scratch),
                            rate, tuning, frames},
                    ball = heel;
    ball.height = standing_height(steps->balls[0], steps->balls[1], frames, scratch);
    free(scratch);
    for (int side = 0; side < 2; side++) {
        find_rests(steps->ankles[side], &heel, size, MOTION_HEEL, rests[side]);
        find_rests(steps->balls[side], &ball, size, MOTION_BALL, rests[side]);
        tidy(rests[side], MOTION_HEEL, &heel);
        tidy(rests[side], MOTION_BALL, &ball);
    }
    return 0;
}
