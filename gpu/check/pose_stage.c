/* pose_stage.c - see pose_stage.h. */
#include "pose_stage.h"

#include "fail.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gpu_picture stage_picture(const struct stage *stage) {
    return (struct gpu_picture){.rgb = stage->pixel,
                                .channels = 3,
                                .stride = (size_t)STAGE_WIDTH * 3,
                                .width = STAGE_WIDTH,
                                .height = STAGE_HEIGHT,
                                .whole_width = STAGE_WIDTH,
                                .whole_height = STAGE_HEIGHT};
}

static const struct stage *stage_of(const struct gpu_picture *picture) {
    return (const struct stage *)(picture->rgb - offsetof(struct stage, pixel));
}

void stage_landmarks(const struct stage_person *person, float landmarks[POSE_POINTS][2]) {
    float c = cosf(person->lean), s = sinf(person->lean);
    for (int i = 0; i < POSE_POINTS; i++) {
        float side = i % 2 == 0 ? -1.0f : 1.0f;
        float right = 0.25f * side + 0.1f * sinf(person->step + (float)i);
        float down = -0.8f + 1.7f * (float)i / 32.0f;
        if (i == 23 || i == 24) {
            right = 0.15f * side;
            down = 0.0f;
        } else if (i >= GPU_POSE_LANDMARKS) {
            right = 0.0f;
            down = i == 33 ? 0.0f : -1.0f;
        }
        landmarks[i][0] = person->x + person->size * (c * right - s * down);
        landmarks[i][1] = person->y + person->size * (s * right + c * down);
    }
}

static float apart(const struct stage_person *a, float x, float y) {
    return hypotf(a->x - x, a->y - y);
}

/* Somebody stands before most of this person. */
static bool hidden(const struct stage *stage, const struct stage_person *person) {
    for (int i = 0; i < STAGE_PEOPLE; i++) {
        const struct stage_person *other = &stage->people[i];
        if (other->there && other->depth < person->depth &&
            apart(other, person->x, person->y) < 0.35f * person->size)
            return true;
    }
    return false;
}

static bool failing(struct stage_backend *backend, char *why) {
    if (backend->fail_in < 0 || backend->fail_in-- > 0)
        return false;
    gpu_fail(why, backend->fail_with, "the stage is closed");
    return true;
}

/* Two boxes a person, one a little off, the best first. */
static int stage_detect(struct pose_backend *base, const struct gpu_picture *pictures,
                        uint32_t count, float least, uint32_t room,
                        struct pose_candidate *candidates, uint32_t *counts, char *why) {
    struct stage_backend *backend = (struct stage_backend *)base;
    if (failing(backend, why))
        return backend->fail_with;
    for (uint32_t i = 0; i < count; i++) {
        const struct stage *stage = stage_of(&pictures[i]);
        const float side = (float)STAGE_WIDTH, margin = (side - (float)STAGE_HEIGHT) / 2.0f;
        counts[i] = 0;
        backend->detections++;
        for (int k = 0; k < 2 * STAGE_PEOPLE && counts[i] < room; k++) {
            const struct stage_person *person = &stage->people[k % STAGE_PEOPLE];
            struct pose_candidate box = {.score = 0.9f - 0.01f * (float)k};
            if (!person->there || hidden(stage, person) || box.score < least)
                continue;
            float off = k < STAGE_PEOPLE ? 0.0f : 0.02f * person->size, s = person->size;
            float c = cosf(person->lean), sine = sinf(person->lean);
            const float place[4][2] = {
                {person->x, person->y}, {person->x + s * sine, person->y - s * c}, {0}, {0}};
            box.box[0] = (person->x - 0.2f * s + off) / side;
            box.box[1] = (person->y - 0.9f * s + margin) / side;
            box.box[2] = (person->x + 0.2f * s + off) / side;
            box.box[3] = (person->y - 0.5f * s + margin) / side;
            for (int p = 0; p < 4; p++) {
                box.points[p][0] = (place[p][0] + off) / side;
                box.points[p][1] = (place[p][1] + margin) / side;
            }
            candidates[(size_t)i * room + counts[i]++] = box;
        }
    }
    return GPU_OK;
}

/* Whom a square shows: the nearest to its middle, but who stands before them is what is seen. */
static const struct stage_person *shown(const struct stage *stage, const struct pose_roi *roi) {
    const struct stage_person *best = NULL;
    for (int i = 0; i < STAGE_PEOPLE; i++) {
        const struct stage_person *person = &stage->people[i];
        if (!person->there || hidden(stage, person) ||
            apart(person, roi->x, roi->y) > 0.35f * roi->size)
            continue;
        if (best == NULL || apart(person, roi->x, roi->y) < apart(best, roi->x, roi->y))
            best = person;
    }
    return best;
}

static int stage_look(struct pose_backend *base, const struct gpu_picture *const *pictures,
                      const struct pose_roi *rois, uint32_t count, struct pose_raw *out,
                      char *why) {
    struct stage_backend *backend = (struct stage_backend *)base;
    if (failing(backend, why))
        return backend->fail_with;
    for (uint32_t i = 0; i < count; i++) {
        const struct stage_person *person = shown(stage_of(pictures[i]), &rois[i]);
        float places[POSE_POINTS][2];
        memset(&out[i], 0, sizeof out[i]);
        backend->crops++;
        out[i].presence = person != NULL ? 0.95f : 0.05f;
        if (person == NULL)
            continue;
        stage_landmarks(person, places);
        float c = cosf(rois[i].rotation), s = sinf(rois[i].rotation);
        for (int k = 0; k < POSE_POINTS; k++) {
            float right = (places[k][0] - rois[i].x) / rois[i].size;
            float down = (places[k][1] - rois[i].y) / rois[i].size;
            out[i].points[k][0] = c * right + s * down + 0.5f;
            out[i].points[k][1] = c * down - s * right + 0.5f;
            out[i].points[k][3] = 0.9f;
        }
    }
    return GPU_OK;
}

static size_t stage_memory(const struct pose_backend *base) {
    (void)base;
    return sizeof(struct stage_backend);
}

static void stage_free(struct pose_backend *base) {
    free(base);
}

struct stage_backend *stage_backend_new(void) {
    struct stage_backend *backend = calloc(1, sizeof *backend);
    if (backend == NULL)
        abort();
    backend->fail_in = -1;
    backend->base = (struct pose_backend){.name = "stage",
                                          .detect = stage_detect,
                                          .landmarks = stage_look,
                                          .memory = stage_memory,
                                          .free = stage_free};
    return backend;
}

struct gpu_pose_engine *stage_engine(struct stage_backend **backend) {
    struct gpu_pose_engine *engine;
    char why[GPU_WHY_SIZE];
    *backend = stage_backend_new();
    if (pose_engine_new(&(*backend)->base, (struct pose_graphs){0}, NULL, &engine, why) != GPU_OK) {
        fprintf(stderr, "gpu_check: %s\n", why);
        exit(1);
    }
    return engine;
}
