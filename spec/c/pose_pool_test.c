/* The pool with processes that misbehave in every way, which this program plays itself (the model's
 * name says how), and with a real one. */
#include "media/pose_pool.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/child.h"
#include "core/log.h"
#include "media/pose_child.h"
#include "media/pose_models.h"
#include "media/pose_wire.h"

static struct loop loop;

/* -- The processes' side ----------------------------------------------------------------------- */

static const char *role;

enum { MANY = 4 };

static void say(struct link *link, uint32_t kind, uint32_t version) {
    bool on_gpu = (strcmp(role, "many") == 0 && kind == POSE_READY) || strcmp(role, "eager") == 0;
    bool lies = strcmp(role, "lies") == 0;
    struct pose_news news = {.version = version,
                             .kind = kind,
                             .code = ERR_NOT_FOUND,
                             .batch = lies     ? 1u << 31
                                      : on_gpu ? MANY
                                               : 1,
                             .words = "no such\xc2\x9bmodel\033here"};
    strcpy(news.backend, on_gpu ? "cuda (played)" : "cpu (played)");
    link_send_event(link, &news, sizeof news, NULL);
}

/* As a GPU does that waits for a whole batch ("eager" waits for none): true when there is one,
 * which is answered. */
static bool play_batch(struct link *link, uint64_t id) {
    static uint64_t ids[MANY];
    static int count;
    struct pose_sight sight = {.width = 4, .height = 3};
    ids[count++] = id;
    for (int i = 0; count == MANY && i < MANY; i++)
        link_reply(link, ids[i], true, &sight, POSE_SIGHT_HEAD, NULL);
    count %= MANY;
    return count == 0;
}

static struct link *later_link;
static uint64_t later_id;

static void play_later(uv_timer_t *timer) {
    struct pose_sight sight = {.width = 4, .height = 3};
    (void)timer;
    link_reply(later_link, later_id, true, &sight, POSE_SIGHT_HEAD, NULL);
}

/* What it is asked is in the picture's first byte: e(xit), h(ang), m(alformed), w(ild numbers),
 * c(ount too high), r(efused), l(ater than what comes with it); else a person of that id. */
static void play_answer(struct link *link, uint64_t id, const char *payload, size_t size,
                        void *arg) {
    static uint64_t last_session;
    struct pose_query query;
    (void)arg;
    memcpy(&query, payload, sizeof query);
    char what = size > sizeof query ? payload[sizeof query] : 0;
    struct pose_sight sight = {.width = 4, .height = 3, .count = 1};
    struct pose_refusal refusal = {.code = ERR_CORRUPT, .words = "half\na\x7fpicture \xc3\xa9"};
    sight.fresh = query.op == POSE_PUSH && query.session != last_session;
    last_session = query.session;
    if (strcmp(role, "many") == 0) {
        if (play_batch(link, id) && what == 'f')
            say(link, POSE_FALLBACK, POSE_WIRE_VERSION);
        return;
    }
    sight.person[0].id = (uint32_t)what;
    if (what == 'l') {
        static uv_timer_t timer;
        later_link = link;
        later_id = id;
        uv_timer_init(&loop.uv, &timer);
        uv_timer_start(&timer, play_later, 100, 0);
        return;
    }
    if (what == 'e')
        _exit(7);
    if (what == 'h')
        sleep(1000);
    if (what == 'w')
        sight.person[0].world[3][1] = NAN;
    if (what == 'c')
        sight.count = 1000;
    if (what == 'r')
        link_reply(link, id, false, &refusal, sizeof refusal, NULL);
    else
        link_reply(link, id, true, &sight, what == 'm' ? 5 : POSE_SIGHT_HEAD + sizeof *sight.person,
                   NULL);
}

static void end_process(struct link *link, const struct err *err, void *arg) {
    (void)link, (void)err, (void)arg;
    _exit(0);
}

static int play(void) {
    struct link *link;
    struct link_options options = {.callbacks = {.request = play_answer, .closed = end_process}};
    if (strcmp(role, "dies") == 0)
        return 3;
    if (loop_init(&loop, NULL) != 0 || link_new(&loop, CHILD_LINK_FD, &options, &link, NULL) != 0)
        return 99;
    if (strcmp(role, "sorry") == 0)
        say(link, POSE_FAILED, POSE_WIRE_VERSION);
    else if (strcmp(role, "asleep") != 0)
        say(link, POSE_READY, strcmp(role, "other") == 0 ? 77 : POSE_WIRE_VERSION);
    loop_run(&loop);
    return 0;
}

static int play_real(void) {
    struct pose_child *child;
    struct gpu_pose_engine *engine;
    struct gpu_pose_files files;
    char why[GPU_WHY_SIZE];
    if (loop_init(&loop, NULL) != 0 || pose_child_new(&loop, CHILD_LINK_FD, &child, NULL) != 0 ||
        pose_models_read(role, &files, NULL) != 0 ||
        gpu_pose_engine_new(&files, "cpu", &engine, why) != 0)
        return 99;
    pose_models_free(&files);
    pose_child_begin(child, engine, "");
    loop_run(&loop);
    pose_child_free(child);
    gpu_pose_engine_free(engine);
    loop_deinit(&loop);
    return 0;
}

/* -- Asking ------------------------------------------------------------------------------------ */

struct asked {
    struct pose_call *call;
    int answers;
    int place;      /* in the order of all answers, from 1 */
    struct err err; /* code 0: none */
    struct pose_found found;
};

static struct pose_pools *pools;
static struct pose_pool *pool;
static int missing; /* answers that are still to come */
static int places;  /* answers so far */
static bool too_late;

static void on_answer(const struct err *err, const struct pose_found *found, void *arg) {
    struct asked *asked = arg;
    asked->answers++;
    asked->place = ++places;
    if (err != NULL)
        asked->err = *err;
    if (found != NULL)
        asked->found = *found;
    if (--missing == 0)
        loop_stop(&loop);
}

static void give_up(uv_timer_t *timer) {
    (void)timer;
    too_late = true;
    loop_stop(&loop);
}

/* Runs the loop until all is answered, or for so long. */
static void run(double seconds) {
    uv_timer_t timer;
    uv_timer_init(&loop.uv, &timer);
    uv_timer_start(&timer, give_up, (uint64_t)(seconds * 1000), 0);
    too_late = false;
    loop_run(&loop);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static void wait_all(void) {
    too_late = false;
    while (missing > 0 && !too_late) /* a stop from before this makes the first run end at once */
        run(30);
    CHECK(missing == 0);
}

static void begin(const char *model, struct pose_pools_options options) {
    struct err err = {0};
    options.program = "/proc/self/exe";
    options.timeout = options.timeout > 0 ? options.timeout : 10;
    options.idle = options.idle > 0 ? options.idle : 60;
    missing = places = 0;
    CHECK(loop_init(&loop, &err) == 0);
    CHECK(pose_pools_new(&loop, &options, &pools, &err) == 0);
    CHECK(pose_pools_get(pools, model, "cpu", &pool, &err) == 0);
}

static void end(void) {
    pose_pools_free(pools);
    loop_deinit(&loop);
}

static int detect_for(pose_answer answer, struct asked *asked, const char *bytes) {
    struct gpu_pose_options options;
    struct pose_picture picture = {.bytes = bytes, .size = strlen(bytes)};
    gpu_pose_options_default(&options);
    *asked = (struct asked){0};
    return pose_pool_detect(pool, &options, &picture, answer, asked, &asked->call, &asked->err);
}

static int detect(struct asked *asked, const char *bytes) {
    int code = detect_for(on_answer, asked, bytes);
    missing += code == 0;
    return code;
}

static int push(struct pose_track *track, struct asked *asked, const char *bytes) {
    static double now;
    struct pose_picture picture = {.bytes = bytes, .size = strlen(bytes)};
    *asked = (struct asked){0};
    int code =
        pose_track_push(track, now += 0.1, &picture, on_answer, asked, &asked->call, &asked->err);
    missing += code == 0;
    return code;
}

static struct pose_track *new_track(void) {
    struct gpu_pose_options options;
    gpu_pose_options_default(&options);
    return pose_track_new(pool, &options);
}

static int ask(const char *bytes, struct asked *asked) {
    CHECK(detect(asked, bytes) == 0);
    wait_all();
    CHECK(asked->answers == 1);
    return asked->err.code;
}

/* -- Tests ------------------------------------------------------------------------------------- */

static void starts_nothing_before_it_is_asked(void) {
    struct pose_pool_view view;
    begin("good", (struct pose_pools_options){.processes = 2});
    run(0.05);
    pose_pool_look(pool, &view);
    CHECK(view.pid_count == 0);
    end();
}

static void answers_each_picture_with_its_own_people(void) {
    struct asked asked[40];
    begin("good", (struct pose_pools_options){.processes = 2});
    for (int i = 0; i < 40; i++)
        CHECK(detect(&asked[i], (char[]){(char)('A' + i % 26), 0}) == 0);
    wait_all();
    for (int i = 0; i < 40; i++) {
        CHECK(asked[i].answers == 1 && asked[i].err.code == 0);
        CHECK(asked[i].found.people.person[0].id == (uint32_t)('A' + i % 26));
        CHECK(asked[i].found.width == 4 && asked[i].found.height == 3);
    }
    end();
}

static void waits_for_the_first_process(void) {
    struct asked asked = {0};
    begin("good", (struct pose_pools_options){.processes = 1});
    CHECK(pose_pool_start(pool, on_answer, &asked, &asked.call, &asked.err) == 0);
    CHECK(asked.call != NULL);
    missing = 1;
    wait_all();
    CHECK(asked.answers == 1 && asked.err.code == 0);
    CHECK(pose_pool_start(pool, on_answer, &asked, &asked.call, &asked.err) == 0);
    CHECK(asked.call == NULL);
    end();
}

static void believes_no_answer_unseen(void) {
    struct asked asked;
    begin("good", (struct pose_pools_options){.processes = 1});
    for (const char *what = "mwc"; *what != 0; what++)
        CHECK(ask((char[]){*what, 0}, &asked) == ERR_UPSTREAM);
    CHECK(ask("r", &asked) == ERR_CORRUPT);
    CHECK_TEXT(asked.err.message, "half a picture \xc3\xa9");
    CHECK(ask("A", &asked) == 0);
    end();
}

static void loses_only_the_picture_that_a_process_died_of(void) {
    struct asked asked[7];
    begin("good", (struct pose_pools_options){.processes = 2});
    for (int i = 0; i < 7; i++)
        CHECK(detect(&asked[i], i % 3 == 1 ? "e" : "A") == 0);
    wait_all();
    for (int i = 0; i < 7; i++)
        CHECK(asked[i].err.code == (i % 3 == 1 ? ERR_UPSTREAM : 0));
    CHECK(strstr(asked[1].err.message, "status 7") != NULL);
    end();
}

static void ends_a_process_that_takes_too_long(void) {
    struct asked hangs = {0}, other = {0};
    begin("good", (struct pose_pools_options){.processes = 1, .timeout = 0.2});
    CHECK(detect(&hangs, "h") == 0 && detect(&other, "A") == 0);
    wait_all();
    CHECK(hangs.err.code == ERR_TIMEOUT && strstr(hangs.err.message, "0.2 s") != NULL);
    CHECK(other.err.code == 0);
    end();
}

static void survives_kills(void) {
    struct asked asked[60];
    int lost = 0;
    begin("good", (struct pose_pools_options){.processes = 2});
    CHECK(ask("A", &asked[0]) == 0);
    for (int i = 0; i < 60; i++) {
        struct pose_pool_view view;
        CHECK(detect(&asked[i], "A") == 0);
        pose_pool_look(pool, &view);
        if (i % 20 == 10 && view.pid_count > 0)
            kill(view.pids[0], SIGKILL);
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    }
    wait_all();
    for (int i = 0; i < 60; i++) {
        CHECK(asked[i].answers == 1);
        CHECK(asked[i].err.code == 0 || asked[i].err.code == ERR_UPSTREAM);
        lost += asked[i].err.code != 0;
    }
    CHECK(lost <= 6);
    CHECK(ask("A", &asked[0]) == 0);
    end();
}

static void gives_up_when_processes_die_at_their_start(void) {
    struct asked asked;
    begin("dies", (struct pose_pools_options){.processes = 2});
    CHECK(ask("A", &asked) == ERR_UPSTREAM);
    CHECK(strstr(asked.err.message, "status 3") != NULL);
    end();
    begin("asleep", (struct pose_pools_options){.processes = 2, .start = 0.05});
    CHECK(ask("A", &asked) == ERR_UPSTREAM);
    CHECK(strstr(asked.err.message, "signal 9") != NULL);
    end();
}

static unsigned turns; /* of the loop */

static void count_turn(uv_prepare_t *handle) {
    (void)handle;
    turns++;
}

/* Asks again from within the answer, as a fiber does that has no patience. */
static void ask_again(const struct err *err, const struct pose_found *found, void *arg) {
    static unsigned last_turn, answers;
    CHECK(turns != last_turn); /* else the loop would never go on */
    last_turn = turns;
    if (++answers < 3)
        CHECK(detect_for(ask_again, arg, "A") == 0);
    else
        on_answer(err, found, arg);
}

static void fails_only_what_waits(void) {
    uv_prepare_t counter;
    struct asked asked;
    begin("sorry", (struct pose_pools_options){.processes = 1});
    uv_prepare_init(&loop.uv, &counter);
    uv_prepare_start(&counter, count_turn);
    CHECK(detect_for(ask_again, &asked, "A") == 0);
    missing = 1;
    wait_all();
    CHECK(asked.answers == 1);
    uv_close((uv_handle_t *)&counter, NULL);
    end();
}

static void says_why_a_process_cannot_work(void) {
    struct asked asked;
    begin("sorry", (struct pose_pools_options){.processes = 2});
    CHECK(ask("A", &asked) == ERR_NOT_FOUND);
    CHECK_TEXT(asked.err.message, "no such  model here");
    end();
    begin("other", (struct pose_pools_options){.processes = 2});
    CHECK(ask("A", &asked) == ERR_UPSTREAM);
    CHECK(strstr(asked.err.message, "another version") != NULL);
    end();
    begin("lies", (struct pose_pools_options){.processes = 2});
    CHECK(ask("A", &asked) == ERR_UPSTREAM);
    CHECK(strstr(asked.err.message, "names no backend") != NULL);
    end();
}

static void says_when_there_is_no_program(void) {
    struct asked asked;
    begin("good", (struct pose_pools_options){.processes = 1});
    pose_pools_free(pools);
    struct pose_pools_options options = {.program = "/nowhere/stance", .timeout = 1, .idle = 1};
    struct err err;
    CHECK(pose_pools_new(&loop, &options, &pools, &err) == 0);
    CHECK(pose_pools_get(pools, "good", "cpu", &pool, &err) == 0);
    CHECK(ask("A", &asked) == ERR_NOT_FOUND);
    end();
}

static void refuses_what_is_too_much(void) {
    static struct asked asked[POOL_WAITING_MAX + 1];
    begin("good", (struct pose_pools_options){.processes = 1});
    for (int i = 0; i < POOL_WAITING_MAX; i++)
        CHECK(detect(&asked[i], "A") == 0);
    CHECK(detect(&asked[POOL_WAITING_MAX], "A") == ERR_BUSY);
    wait_all();
    CHECK(ask("A", &asked[0]) == 0);
    struct pose_track *track = new_track();
    for (int i = 0; i < POOL_TRACK_WAITING; i++)
        CHECK(push(track, &asked[i], "A") == 0);
    CHECK(push(track, &asked[8], "A") == ERR_BUSY);
    wait_all();
    CHECK(push(track, &asked[8], "A") == 0);
    wait_all();
    pose_track_free(track);
    end();
}

static void counts_waiting_bytes_over_all_pools(void) {
    enum { SIZE = 60 << 20, FIT = POOL_WAITING_BYTES / SIZE };
    struct asked asked[FIT + 1] = {0};
    struct gpu_pose_options options;
    struct pose_picture picture = {.bytes = calloc(SIZE, 1), .size = SIZE};
    gpu_pose_options_default(&options);
    begin("good", (struct pose_pools_options){.processes = 1});
    for (int i = 0; i <= FIT; i++) {
        CHECK(pose_pools_get(pools, i % 2 ? "other" : "good", "cpu", &pool, &asked[i].err) == 0);
        CHECK(pose_pool_detect(pool, &options, &picture, on_answer, &asked[i], &asked[i].call,
                               &asked[i].err) == (i < FIT ? 0 : ERR_BUSY));
    }
    CHECK(strstr(asked[FIT].err.message, "256 MiB") != NULL);
    for (int i = 0; i < FIT; i++)
        pose_call_cancel(asked[i].call);
    CHECK(pose_pools_get(pools, "good", "cpu", &pool, &asked[0].err) == 0);
    CHECK(ask("A", &asked[0]) == 0);
    free((void *)picture.bytes);
    end();
}

/* Waits until so many processes of the model "good" take pictures, and no other is up. */
static bool has_processes(const char *backend, unsigned count) {
    struct pose_pool_view view = {0};
    struct err err;
    CHECK(pose_pools_get(pools, "good", backend, &pool, &err) == 0);
    for (int i = 0; i < 200; i++) {
        pose_pool_look(pool, &view);
        if (view.ready == count && view.pid_count == count)
            return true;
        run(0.05);
    }
    return false;
}

static void counts_processes_over_all_pools(void) {
    struct asked asked[100];
    begin("good", (struct pose_pools_options){.processes = 3});
    for (int round = 0; round < 2; round++) {
        CHECK(has_processes(round ? "auto" : "cpu", 0));
        for (int i = 0; i < 100; i++) /* that want all there may be */
            CHECK(detect(&asked[i], "A") == 0);
        wait_all();
        for (int i = 0; i < 100; i++)
            CHECK(asked[i].err.code == 0);
        CHECK(has_processes("cpu", round ? 1 : 3));
    }
    CHECK(has_processes("auto", 3)); /* what is idle is not counted */
    end();
}

static void refuses_tracks_that_no_process_can_follow(void) {
    enum { MOST = POSE_SESSIONS_MAX };
    static struct asked asked[MOST + 2];
    static struct pose_track *tracks[MOST + 2];
    begin("good", (struct pose_pools_options){.processes = 1});
    for (int i = 0; i < MOST + 2; i++) {
        tracks[i] = new_track();
        CHECK(push(tracks[i], &asked[i], "A") == 0);
    }
    wait_all();
    for (int i = 0; i < MOST + 2; i++)
        CHECK(asked[i].answers == 1 && asked[i].err.code == (i < MOST ? 0 : ERR_BUSY));
    CHECK(strstr(asked[MOST].err.message, "256 sessions") != NULL);
    pose_track_free(tracks[0]);
    for (int i = 1; i < 3; i++) {
        CHECK(push(tracks[MOST - 1 + i], &asked[i], "A") == 0);
        wait_all();
        CHECK(asked[i].err.code == (i == 1 ? 0 : ERR_BUSY));
    }
    for (int i = 1; i < MOST + 2; i++)
        pose_track_free(tracks[i]);
    end();
}

static void forgets_what_nobody_wants(void) {
    struct asked asked[6];
    begin("good", (struct pose_pools_options){.processes = 1});
    struct pose_track *track = new_track();
    CHECK(ask("A", &asked[0]) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(push(track, &asked[i], "B") == 0 && detect(&asked[3 + i], "A") == 0);
    uv_run(&loop.uv, UV_RUN_NOWAIT); /* some are under way, some are not */
    for (int i = 0; i < 5; i++) {
        if (asked[i].answers == 0) {
            pose_call_cancel(asked[i].call);
            missing--;
        }
    }
    pose_track_free(track);
    wait_all();
    CHECK(asked[5].answers == 1 && asked[5].err.code == 0);
    run(0.05);
    CHECK(asked[0].answers + asked[3].answers <= 2);
    end();
}

static void keeps_a_track_with_its_process(void) {
    struct asked asked[3];
    struct pose_pool_view view;
    begin("good", (struct pose_pools_options){.processes = 2});
    struct pose_track *track = new_track();
    for (int i = 0; i < 3; i++)
        CHECK(push(track, &asked[i], (char[]){(char)('A' + i), 0}) == 0);
    wait_all();
    for (int i = 0; i < 3; i++)
        CHECK(asked[i].found.people.person[0].id == (uint32_t)('A' + i) && !asked[i].found.reset);
    CHECK(push(track, &asked[0], "e") == 0);
    wait_all();
    CHECK(asked[0].err.code == ERR_UPSTREAM);
    CHECK(push(track, &asked[0], "A") == 0 && push(track, &asked[1], "B") == 0);
    wait_all();
    CHECK(asked[0].err.code == 0 && asked[0].found.reset && !asked[1].found.reset);
    pose_pool_look(pool, &view);
    CHECK(view.tracks == 1);
    pose_track_free(track);
    end();
}

static void spreads_tracks_over_processes(void) {
    struct asked asked[4];
    struct pose_track *tracks[4];
    struct pose_pool_view view;
    begin("good", (struct pose_pools_options){.processes = 2});
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 4; i++) {
            tracks[i] = round == 0 ? new_track() : tracks[i];
            CHECK(push(tracks[i], &asked[i], "A") == 0);
        }
        wait_all();
    }
    pose_pool_look(pool, &view);
    CHECK(view.ready == 2 && view.tracks == 4);
    for (int i = 0; i < 4; i++)
        pose_track_free(tracks[i]);
    end();
}

static void lets_tracks_and_other_pictures_take_turns(void) {
    struct asked flood[200], frames[POOL_TRACK_WAITING];
    begin("good", (struct pose_pools_options){.processes = 1});
    struct pose_track *track = new_track();
    for (int i = 0; i < 200; i++)
        CHECK(detect(&flood[i], "A") == 0);
    for (int i = 0; i < POOL_TRACK_WAITING; i++)
        CHECK(push(track, &frames[i], "B") == 0);
    wait_all();
    for (int i = 0; i < POOL_TRACK_WAITING; i++) {
        CHECK(frames[i].err.code == 0 && frames[i].place <= 2 * (i + 1));
        CHECK(flood[i].err.code == 0 && flood[i].place <= 2 * (i + 1));
    }
    pose_track_free(track);
    end();
}

static void gives_a_gpu_whole_batches(void) {
    struct asked asked[4 * MANY];
    struct pose_pool_view view;
    begin("many", (struct pose_pools_options){.processes = 8});
    for (int i = 0; i < 4 * MANY; i++)
        CHECK(detect(&asked[i], i == 4 * MANY - 1 ? "f" : "A") == 0);
    wait_all();
    for (int i = 0; i < 4 * MANY; i++)
        CHECK(asked[i].answers == 1 && asked[i].err.code == 0);
    run(0.05);
    pose_pool_look(pool, &view);
    CHECK(view.ready == 1);
    CHECK_TEXT(view.backend, "cpu (played)"); /* it fell back with the last */
    end();
}

static void looks_again_at_what_a_batch_died_with(void) {
    struct asked asked[2 * MANY], frames[3];
    begin("eager", (struct pose_pools_options){.processes = 8});
    struct pose_track *track = new_track();
    CHECK(detect(&asked[0], "l") == 0); /* the first, and innocent */
    CHECK(detect(&asked[1], "e") == 0 && detect(&asked[2], "e") == 0);
    for (int i = 0; i < 3; i++)
        CHECK(push(track, &frames[i], "B") == 0);
    for (int i = 3; i < 2 * MANY; i++)
        CHECK(detect(&asked[i], "A") == 0);
    wait_all();
    for (int i = 0; i < 2 * MANY; i++)
        CHECK(asked[i].answers == 1 && asked[i].err.code == (i == 1 || i == 2 ? ERR_UPSTREAM : 0));
    for (int i = 0; i < 3; i++)
        CHECK(frames[i].answers == 1 && frames[i].err.code == 0);
    CHECK(frames[0].place < frames[1].place && frames[1].place < frames[2].place);
    CHECK(ask("e", &asked[0]) == ERR_UPSTREAM && ask("A", &asked[0]) == 0);
    pose_track_free(track);
    end();
}

static void spares_processes_that_know_tracks(void) {
    struct asked asked[2];
    struct pose_track *tracks[2];
    begin("good", (struct pose_pools_options){.processes = 2});
    for (int i = 0; i < 2; i++) { /* the second starts another process */
        tracks[i] = new_track();
        CHECK(push(tracks[i], &asked[i], "A") == 0);
        wait_all();
    }
    for (int i = 0; i < 2; i++) {
        pose_track_free(tracks[i]); /* its process has none now, the other still has one */
        CHECK(ask("e", &asked[0]) == ERR_UPSTREAM);
        tracks[i] = new_track();
        for (int j = 0; j < 2; j++) {
            CHECK(push(tracks[j], &asked[j], "A") == 0);
            wait_all();
            CHECK(asked[j].err.code == 0 && !asked[j].found.reset);
        }
    }
    for (int i = 0; i < 2; i++)
        pose_track_free(tracks[i]);
    end();
}

static void stops_what_nobody_needs(void) {
    struct asked asked;
    struct pose_pool_view view;
    begin("good", (struct pose_pools_options){.processes = 1, .idle = 0.1});
    CHECK(ask("A", &asked) == 0);
    pose_pool_look(pool, &view);
    CHECK(view.pid_count == 1);
    for (int i = 0; i < 100 && view.pid_count > 0; i++) {
        run(0.05);
        pose_pool_look(pool, &view);
    }
    CHECK(view.pid_count == 0);
    struct pose_track *track = new_track();
    CHECK(push(track, &asked, "A") == 0);
    wait_all();
    run(0.3);
    pose_pool_look(pool, &view);
    CHECK(view.pid_count == 1); /* it knows a track */
    pose_track_free(track);
    end();
}

static void looks_at_pictures_with_the_real_networks(void) {
    struct asked asked;
    struct err err;
    if (pose_models_find("lite", &err) != 0)
        SKIP(err.message);
    begin("lite", (struct pose_pools_options){.processes = 1});
    CHECK(ask("letters", &asked) == ERR_UNSUPPORTED);
    struct gpu_pose_options options;
    gpu_pose_options_default(&options);
    unsigned char *grey = calloc(320 * 240, 3);
    struct pose_picture picture = {
        .bytes = grey, .size = 320 * 240 * 3, .width = 320, .height = 240, .channels = 3};
    asked = (struct asked){0};
    CHECK(pose_pool_detect(pool, &options, &picture, on_answer, &asked, &asked.call, &err) == 0);
    missing++;
    wait_all();
    CHECK(asked.err.code == 0 && asked.found.people.count == 0 && asked.found.width == 320);
    picture.size--;
    CHECK(pose_pool_detect(pool, &options, &picture, on_answer, &asked, &asked.call, &err) == 0);
    missing++;
    wait_all();
    CHECK(asked.err.code == ERR_INVALID);
    free(grey);
    end();
}

int main(int argc, char **argv) {
    if (argc > 4 && strcmp(argv[1], "pose") == 0) {
        role = argv[4];
        return strcmp(role, "lite") == 0 ? play_real() : play();
    }
    log_configure(LOG_ERROR, LOG_AUTO);
    static const struct test tests[] = {
        TEST(starts_nothing_before_it_is_asked),
        TEST(answers_each_picture_with_its_own_people),
        TEST(waits_for_the_first_process),
        TEST(believes_no_answer_unseen),
        TEST(loses_only_the_picture_that_a_process_died_of),
        TEST(ends_a_process_that_takes_too_long),
        TEST(survives_kills),
        TEST(gives_up_when_processes_die_at_their_start),
        TEST(fails_only_what_waits),
        TEST(says_why_a_process_cannot_work),
        TEST(says_when_there_is_no_program),
        TEST(refuses_what_is_too_much),
        TEST(counts_waiting_bytes_over_all_pools),
        TEST(counts_processes_over_all_pools),
        TEST(refuses_tracks_that_no_process_can_follow),
        TEST(forgets_what_nobody_wants),
        TEST(keeps_a_track_with_its_process),
        TEST(spreads_tracks_over_processes),
        TEST(lets_tracks_and_other_pictures_take_turns),
        TEST(gives_a_gpu_whole_batches),
        TEST(looks_again_at_what_a_batch_died_with),
        TEST(spares_processes_that_know_tracks),
        TEST(stops_what_nobody_needs),
        TEST(looks_at_pictures_with_the_real_networks),
    };
    return RUN(tests);
}
