/* pose_tracking.c - sessions and batches on a stage whose people are known: who is followed, who
 * keeps their number, and what a failure leaves behind. */
#include "check.h"
#include "pose_stage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct gpu_pose_session *session_of(uint32_t people, double redetect) {
    struct gpu_pose_options options;
    struct gpu_pose_session *session;
    gpu_pose_options_default(&options);
    options.people = people;
    options.redetect = redetect;
    options.smooth = false;
    if (gpu_pose_session_new(&options, &session, NULL) != GPU_OK)
        abort();
    return session;
}

static struct stage_person somebody(float x, float speed, int depth) {
    return (struct stage_person){.there = true,
                                 .x = x,
                                 .y = 400.0f + 3.0f * (float)depth,
                                 .size = 180.0f,
                                 .lean = 0.02f * speed,
                                 .step = x,
                                 .depth = depth};
}

/* One frame; counts a failure. */
static struct gpu_pose_people frame(struct gpu_pose_engine *engine,
                                    struct gpu_pose_session *session, const struct stage *stage,
                                    double time) {
    struct gpu_picture picture = stage_picture(stage);
    struct gpu_pose_people people = {0};
    char why[GPU_WHY_SIZE] = "";
    int code = gpu_pose_track(engine, &session, &picture, &time, 1, &people, why);
    check_that(code == GPU_OK, "a frame fails: %s", why);
    return people;
}

/* The number under which a person on the stage is seen; 0: not at all. */
static uint32_t id_of(const struct gpu_pose_people *people, const struct stage_person *person) {
    float places[POSE_POINTS][2];
    stage_landmarks(person, places);
    for (uint32_t i = 0; i < people->count; i++) {
        const float(*at)[4] = people->person[i].landmarks;
        if (fabsf(at[0][0] * STAGE_WIDTH - places[0][0]) < 1.0f &&
            fabsf(at[23][1] * STAGE_HEIGHT - places[23][1]) < 1.0f &&
            fabsf(at[15][0] * STAGE_WIDTH - places[15][0]) < 1.0f)
            return people->person[i].id;
    }
    return 0;
}

/* What must hold in every frame. */
static void check_frame(const struct gpu_pose_people *people, uint32_t most, int line) {
    bool ordered = people->count <= most, apart = true;
    for (uint32_t i = 0; i < people->count; i++) {
        struct pose_places a, b;
        pose_places_of(&people->person[i], STAGE_WIDTH, STAGE_HEIGHT, &a);
        ordered = ordered && people->person[i].id > (i > 0 ? people->person[i - 1].id : 0);
        for (uint32_t k = 0; k < i; k++) {
            pose_places_of(&people->person[k], STAGE_WIDTH, STAGE_HEIGHT, &b);
            apart = apart && !pose_places_same(&a, &b);
        }
    }
    check_that(ordered, "line %d: %u people out of order", line, people->count);
    check_that(apart, "line %d: somebody is seen twice", line);
}

/* -- One person ---------------------------------------------------------------------------------
 */

static void check_one(void) {
    struct stage_backend *backend;
    struct gpu_pose_engine *engine = stage_engine(&backend);
    struct gpu_pose_session *session = session_of(1, 0.5);
    struct stage stage = {0};
    struct gpu_pose_people people;
    double time = 1.0;
    stage.people[0] = somebody(300.0f, 2.0f, 0);
    stage.people[1] = somebody(900.0f, 0.0f, 1);
    for (int i = 0; i < 60; i++, time += 1.0 / 30.0) {
        stage.people[0].x += 3.0f;
        people = frame(engine, session, &stage, time);
        check_that(people.count == 1 && people.detected == (i == 0) &&
                       id_of(&people, &stage.people[0]) == 1,
                   "frame %d: %u people, detected: %d", i, people.count, people.detected);
    }
    check_that(backend->detections == 1 && backend->crops == 60, "%d looks, %d squares",
               backend->detections, backend->crops);

    /* Gone: one empty frame without the detector, then it looks each time. */
    stage.people[0].there = stage.people[1].there = false;
    for (int i = 0; i < 10; i++, time += 1.0 / 30.0) {
        people = frame(engine, session, &stage, time);
        check_that(people.count == 0 && people.detected == (i > 0), "gone for %d frames", i);
    }
    stage.people[0].there = true;
    people = frame(engine, session, &stage, time);
    check_that(people.count == 1 && people.person[0].id == 1, "back at the same place: number %u",
               people.person[0].id);
    stage.people[0].there = false;
    for (int i = 0; i < 100; i++, time += 1.0 / 30.0)
        people = frame(engine, session, &stage, time);
    stage.people[1].there = true;
    people = frame(engine, session, &stage, time);
    check_that(people.count == 1 && people.person[0].id == 2, "somebody else is number %u",
               people.person[0].id);

    gpu_pose_session_reset(session);
    people = frame(engine, session, &stage, 0.5);
    check_that(people.detected && people.person[0].id == 1, "after a reset: number %u",
               people.person[0].id);
    gpu_pose_session_free(session);
    gpu_pose_engine_free(engine);
}

/* Another size begins anew; times that go back are survived. */
static void check_breaks(void) {
    struct stage_backend *backend;
    struct gpu_pose_engine *engine = stage_engine(&backend);
    struct gpu_pose_session *session = session_of(3, 0.5);
    struct stage stage = {0};
    uint64_t state = 17;
    stage.people[0] = somebody(300.0f, 2.0f, 0);
    stage.people[1] = somebody(900.0f, 0.0f, 1);
    for (int i = 0; i < 200; i++) {
        double time = 10.0 * body_random(&state) - (i % 5 == 0 ? 5.0 : 0.0);
        struct gpu_pose_people people = frame(engine, session, &stage, time);
        check_frame(&people, 3, __LINE__);
        check_that(people.count == 2, "%u people at time %g", people.count, time);
    }
    struct gpu_picture picture = stage_picture(&stage);
    struct gpu_pose_people people;
    uint32_t window[4];
    picture.whole_width = picture.width = STAGE_WIDTH - 1;
    picture.stride = (size_t)STAGE_WIDTH * 3;
    gpu_pose_session_window(session, picture.width, picture.height, 20.0, window);
    check_that(window[2] == picture.width && window[3] == picture.height,
               "a part of a frame of another size");
    check_that(gpu_pose_track(engine, &session, &picture, (double[]){20.0}, 1, &people, NULL) ==
                       GPU_OK &&
                   people.detected,
               "a frame of another size is not looked at anew");
    gpu_pose_session_free(session);
    gpu_pose_engine_free(engine);
}

/* -- Several ------------------------------------------------------------------------------------
 */

/* Two walk past one another, at any speed and frame rate: both keep their numbers. */
static void check_crossing(void) {
    uint64_t state = 23;
    enum { HISTORIES = 200 };
    for (int history = 0; history < HISTORIES; history++) {
        struct stage_backend *backend;
        struct gpu_pose_engine *engine = stage_engine(&backend);
        struct gpu_pose_session *session = session_of(2, 0.3);
        struct stage stage = {0};
        float speed = 120.0f + 250.0f * (float)body_random(&state); /* pixels a second */
        float other = 120.0f + 250.0f * (float)body_random(&state);
        double rate = 10.0 + 20.0 * body_random(&state), time = 1.0;
        stage.people[0] = somebody(250.0f, 2.0f, (int)(2.0 * body_random(&state)));
        stage.people[1] = somebody(1000.0f, -2.0f, stage.people[0].depth ^ 1);
        uint32_t first[2] = {0}, last[2] = {0};
        float far = 0.0f;
        for (int i = 0; far < 350.0f && i < 300; i++, time += 1.0 / rate) {
            stage.people[0].x += speed / (float)rate;
            stage.people[1].x -= other / (float)rate;
            stage.people[0].step += 0.2f;
            stage.people[1].step -= 0.2f;
            far = stage.people[0].x - stage.people[1].x;
            struct gpu_pose_people people = frame(engine, session, &stage, time);
            check_frame(&people, 2, __LINE__);
            for (int k = 0; k < 2; k++) {
                last[k] = id_of(&people, &stage.people[k]);
                first[k] = i == 0 ? last[k] : first[k];
            }
        }
        bool same = first[0] == last[0] && first[1] == last[1] && first[0] != 0 && first[1] != 0;
        check_that(same, "history %d: %u and %u cross at %g and %g px/s, %g Hz, and are %u and %u",
                   history, first[0], first[1], (double)speed, (double)other, rate, last[0],
                   last[1]);
        gpu_pose_session_free(session);
        gpu_pose_engine_free(engine);
    }
}

/* People come, go, stand beside one another: everybody visible is found within the time budget,
 * and the detector keeps to it. */
static void check_crowd(void) {
    struct stage_backend *backend;
    struct gpu_pose_engine *engine = stage_engine(&backend);
    struct gpu_pose_session *session = session_of(4, 0.4);
    struct stage stage = {0};
    uint64_t state = 31;
    double time = 1.0, looked = -1.0, settled = 0.0;
    uint32_t before = 0;
    for (int i = 0; i < STAGE_PEOPLE; i++) {
        stage.people[i] = somebody(150.0f + 190.0f * (float)i, 0.0f, i);
        stage.people[i].there = false;
    }
    for (int i = 0; i < 3000; i++, time += 0.04) {
        if (body_random(&state) < 0.02) {
            int k = (int)(body_random(&state) * STAGE_PEOPLE), there = 0;
            for (int p = 0; p < STAGE_PEOPLE; p++)
                there += stage.people[p].there;
            stage.people[k].there = !stage.people[k].there && there < 4;
            settled = time;
        }
        struct gpu_pose_people people = frame(engine, session, &stage, time);
        check_frame(&people, 4, __LINE__);
        if (people.detected) {
            check_that(before == 0 || time - looked > 0.399, "the detector ran after %g s",
                       time - looked);
            looked = time;
        }
        before = people.count;
        for (int p = 0; p < STAGE_PEOPLE && time - settled > 0.5; p++)
            check_that((id_of(&people, &stage.people[p]) != 0) == stage.people[p].there,
                       "at %.2f s person %d is %s", time, p,
                       stage.people[p].there ? "not followed" : "still followed");
    }
    gpu_pose_session_free(session);
    gpu_pose_engine_free(engine);
}

/* Of still pictures, all people by the detector's score; one alone where one is asked for. */
static void check_still(void) {
    struct stage_backend *backend;
    struct gpu_pose_engine *engine = stage_engine(&backend);
    struct stage stages[40] = {0};
    struct gpu_picture pictures[40];
    static struct gpu_pose_people people[40];
    struct gpu_pose_options options;
    gpu_pose_options_default(&options);
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < i % 5; k++)
            stages[i].people[k] = somebody(200.0f + 200.0f * (float)k, 1.0f, k);
        pictures[i] = stage_picture(&stages[i]);
    }
    for (options.people = 1; options.people < 6; options.people += 2) {
        check_that(gpu_pose_detect(engine, &options, pictures, 40, people, NULL) == GPU_OK,
                   "still pictures fail");
        for (int i = 0; i < 40; i++) {
            uint32_t expected = (uint32_t)(i % 5);
            expected = expected < options.people ? expected : options.people;
            check_that(people[i].count == expected, "%u people, not %u", people[i].count, expected);
            for (uint32_t k = 0; k < people[i].count; k++)
                check_that(id_of(&people[i], &stages[i].people[k]) == k + 1,
                           "person %u of picture %d is another", k, i);
        }
    }
    gpu_pose_engine_free(engine);
}

/* -- Batches, failures, parts -------------------------------------------------------------------
 */

static void wander(struct stage *stage, uint64_t *state) {
    for (int k = 0; k < 3; k++) {
        stage->people[k].x += 12.0f * (float)(body_random(state) - 0.5);
        stage->people[k].step += (float)body_random(state);
        if (body_random(state) < 0.02)
            stage->people[k].there = !stage->people[k].there;
    }
}

static bool equal(const struct gpu_pose_people *a, const struct gpu_pose_people *b) {
    return a->count == b->count && a->detected == b->detected &&
           memcmp(a->person, b->person, a->count * sizeof *a->person) == 0;
}

/* Ten streams in one batch see what each sees alone, through parts of the pictures; and a call that
 * fails in between changes nothing. */
static void check_batches(void) {
    enum { STREAMS = 10 };
    struct stage_backend *backend, *lone_backend;
    struct gpu_pose_engine *engine = stage_engine(&backend), *lone = stage_engine(&lone_backend);
    struct gpu_pose_session *sessions[STREAMS], *alone[STREAMS];
    struct stage stages[STREAMS] = {0};
    struct gpu_picture pictures[STREAMS];
    static struct gpu_pose_people people[STREAMS], expected;
    double times[STREAMS];
    char why[GPU_WHY_SIZE];
    uint64_t state = 41;
    for (int i = 0; i < STREAMS; i++) {
        sessions[i] = session_of(1 + (uint32_t)i % 4, 0.2);
        alone[i] = session_of(1 + (uint32_t)i % 4, 0.2);
        for (int k = 0; k < 3; k++)
            stages[i].people[k] = somebody(300.0f + 250.0f * (float)k, 0.0f, k);
    }
    for (int turn = 1; turn < 300; turn++) {
        for (int i = 0; i < STREAMS; i++) {
            uint32_t window[4];
            wander(&stages[i], &state);
            pictures[i] = stage_picture(&stages[i]);
            times[i] = 0.04 * turn + 0.001 * i;
            gpu_pose_session_window(sessions[i], STAGE_WIDTH, STAGE_HEIGHT, times[i], window);
            pictures[i].x = window[0];
            pictures[i].y = window[1];
            pictures[i].width = window[2];
            pictures[i].height = window[3];
        }
        if (turn % 7 == 0) {
            backend->fail_in = turn % 2;
            backend->fail_with = GPU_EDEVICE;
            int code = gpu_pose_track(engine, sessions, pictures, times, STREAMS, people, why);
            check_that(code == GPU_EDEVICE || backend->fail_in >= 0, "a failure is %d", code);
            if (backend->fail_in >= 0) { /* nothing was left to fail: it went through */
                for (int i = 0; i < STREAMS; i++)
                    expected = frame(lone, alone[i], &stages[i], times[i]);
                backend->fail_in = -1;
                continue;
            }
        }
        check_that(gpu_pose_track(engine, sessions, pictures, times, STREAMS, people, why) ==
                       GPU_OK,
                   "a batch fails: %s", why);
        for (int i = 0; i < STREAMS; i++) {
            expected = frame(lone, alone[i], &stages[i], times[i]);
            check_that(equal(&people[i], &expected), "turn %d: stream %d differs in a batch", turn,
                       i);
        }
    }
    for (int i = 0; i < STREAMS; i++) {
        gpu_pose_session_free(sessions[i]);
        gpu_pose_session_free(alone[i]);
    }
    gpu_pose_engine_free(engine);
    gpu_pose_engine_free(lone);
}

static int spare(const struct pose_graphs *graphs, struct pose_backend **out, char *why) {
    (void)graphs, (void)why;
    *out = &stage_backend_new()->base;
    return GPU_OK;
}

/* A device that is lost in the middle of a call: another goes on, and says so. */
static void check_fallback(void) {
    struct stage_backend *backend = stage_backend_new();
    struct gpu_pose_engine *engine;
    struct gpu_pose_session *session = session_of(1, 0.5);
    struct stage stage = {0};
    stage.people[0] = somebody(300.0f, 0.0f, 0);
    check_that(pose_engine_new(&backend->base, (struct pose_graphs){0}, spare, &engine, NULL) ==
                   GPU_OK,
               "no engine");
    frame(engine, session, &stage, 1.0);
    check_that(gpu_pose_engine_fallback(engine) == NULL, "a fallback before any failure");
    backend->fail_in = 0;
    backend->fail_with = GPU_ENOMEM;
    struct gpu_pose_people people = frame(engine, session, &stage, 1.1);
    const char *reason = gpu_pose_engine_fallback(engine);
    check_that(people.count == 1 && people.person[0].id == 1 && !people.detected,
               "a lost device lost the person");
    check_that(reason != NULL && strcmp(reason, "stage: the stage is closed") == 0,
               "the reason of a fallback is \"%s\"", reason != NULL ? reason : "");
    gpu_pose_session_free(session);
    gpu_pose_engine_free(engine);
}

static void refused(struct gpu_pose_engine *engine, struct gpu_pose_session *session,
                    struct gpu_picture picture, double time, const char *what) {
    struct gpu_pose_people people = {.count = 77};
    char why[GPU_WHY_SIZE] = "";
    check_that(gpu_pose_track(engine, &session, &picture, &time, 1, &people, why) == GPU_EINVAL &&
                   why[0] != '\0' && people.count == 77,
               "%s is not refused", what);
}

static void check_refusals(void) {
    struct stage_backend *backend;
    struct gpu_pose_engine *engine = stage_engine(&backend);
    struct gpu_pose_session *session = session_of(1, 0.5), *twice[2] = {session, session};
    struct stage stage = {0};
    stage.people[0] = somebody(300.0f, 0.0f, 0);
    struct gpu_picture good = stage_picture(&stage), bad[6];
    struct gpu_pose_people people[2];
    char why[GPU_WHY_SIZE];
    for (int i = 0; i < 6; i++)
        bad[i] = good;
    bad[0].rgb = NULL;
    bad[1].channels = 2;
    bad[2].stride = 10;
    bad[3].x = 1;
    bad[4].whole_width = bad[4].width = 70000;
    bad[5].height = 0;
    for (int i = 0; i < 6; i++)
        refused(engine, session, bad[i], 1.0, "a bad picture");
    refused(engine, session, good, NAN, "a time that is no number");
    struct gpu_picture part = good;
    part.width = 100;
    refused(engine, session, part, 1.0, "a part for the detector");
    frame(engine, session, &stage, 1.0);
    refused(engine, session, part, 1.1, "a part without the person");
    check_that(gpu_pose_track(engine, twice, (struct gpu_picture[]){good, good},
                              (double[]){1.2, 1.2}, 2, people, why) == GPU_EINVAL,
               "a session twice in a call");
    check_that(frame(engine, session, &stage, 1.3).count == 1, "refusals broke the session");
    struct gpu_pose_options options;
    gpu_pose_options_default(&options);
    for (int i = 0; i < 5; i++) {
        struct gpu_pose_options wrong = options;
        struct gpu_pose_session *none;
        wrong.people = i == 0 ? 0 : i == 1 ? GPU_POSE_MAX_PEOPLE + 1 : 1;
        wrong.min_detection = i == 2 ? NAN : 0.5f;
        wrong.min_tracking = i == 3 ? 1.5f : 0.5f;
        wrong.redetect = i == 4 ? -1.0 : 0.5;
        check_that(gpu_pose_session_new(&wrong, &none, why) == GPU_EINVAL && none == NULL,
                   "options %d are not refused", i);
    }
    gpu_pose_session_free(session);
    gpu_pose_engine_free(engine);
}

void check_pose_tracking(void) {
    check_one();
    check_breaks();
    check_crossing();
    check_crowd();
    check_still();
    check_batches();
    check_fallback();
    check_refusals();
}
