/* core/fiber.h from C: ends, deadlines, cancelling, and a VM that closes while fibers wait. */
#include "core/fiber.h"

#include <unistd.h>

#include "vm_fixture.h"

/* -- A module that waits on pool threads ------------------------------------------------------- */

struct pool_job {
    double seconds;
    bool push_fails, ran;
};
static int jobs_run, jobs_pushed, jobs_released;

static void job_run(void *arg) {
    struct pool_job *job = arg;
    usleep((useconds_t)(job->seconds * 1e6));
    job->ran = true;
}

static int job_push(lua_State *L, void *arg) {
    struct pool_job *job = arg;
    jobs_pushed++;
    if (job->push_fails)
        return luaL_error(L, "push failed");
    lua_pushliteral(L, "done");
    lua_pushboolean(L, job->ran);
    return 2;
}

static void job_release(void *arg) {
    struct pool_job *job = arg;
    jobs_run += job->ran;
    jobs_released++;
    free(job);
}

/* work(seconds, push_fails) */
static int probe_work(lua_State *L) {
    double seconds = luaL_checknumber(L, 1);
    struct pool_job *job = calloc(1, sizeof *job);
    job->seconds = seconds;
    job->push_fails = lua_toboolean(L, 2);
    return fiber_work(L, job, job_run, job_push, job_release);
}

/* A wait that never ends by itself and counts how it ended. */
static int stuck_cancelled, stuck_freed;

static int stuck_push(lua_State *L, struct wait *wait) {
    (void)L, (void)wait;
    return 0;
}

static void stuck_cancel(struct wait *wait) {
    (void)wait;
    stuck_cancelled++;
}

static void stuck_free(struct wait *wait) {
    stuck_freed++;
    free(wait);
}

static int probe_stuck(lua_State *L) {
    static const struct wait_ops ops = {stuck_push, stuck_cancel, stuck_free};
    fiber_check(L);
    return wait_begin(L, calloc(1, sizeof(struct wait)), &ops);
}

static int open_probe(lua_State *L) {
    static const luaL_Reg waits[] = {{"work", probe_work}, {"stuck", probe_stuck}, {NULL, NULL}};
    lua_newtable(L);
    fiber_register(L, waits);
    return 1;
}

static const struct vm_module modules[] = {
    {"fiber", lua_open_fiber}, {"probe", open_probe}, {NULL, NULL}};

static void open_fixture(struct fixture *f) {
    jobs_run = jobs_pushed = jobs_released = stuck_cancelled = stuck_freed = 0;
    fixture_open(f, (struct vm_options){.modules = modules, .jit = true});
    fixture_call(f, "fiber, probe = require 'fiber', require 'probe'");
}

/* -- Ends -------------------------------------------------------------------------------------- */

static void an_end_comes_with_results_or_an_error(void) {
    struct fixture f;
    open_fixture(&f);
    CHECK_TEXT(fixture_fiber(&f, "return 'at once'"), "at once");
    CHECK_TEXT(fixture_fiber(&f, "fiber.sleep(0.001) return 'later'"), "later");
    CHECK(fixture_fiber(&f, "fiber.sleep(0.001) error {code = 'busy', message = 'no'}") == NULL);
    CHECK(f.err.code == ERR_BUSY);
    CHECK(fixture_fiber(&f, "local x fiber.sleep(0) return x.y") == NULL);
    CHECK(strstr(vm_traceback(f.vm), "in function <test:1>") != NULL ||
          strstr(vm_traceback(f.vm), "test:1:") != NULL);
    CHECK(fixture_fiber(&f, "coroutine.yield(1)") == NULL);
    CHECK(strstr(f.err.message, "test:1: a fiber must not call coroutine.yield") != NULL);
    CHECK(fiber_count(f.vm) == 0);
    fixture_close(&f);
}

static void first_run_goes_until_the_first_wait(void) {
    struct fixture f;
    open_fixture(&f);
    struct fiber *fiber = fixture_start(&f, "stage = 1 fiber.sleep(0.001) stage = 2");
    CHECK_TEXT(fixture_call(&f, "return stage"), "1");
    CHECK(fiber_status(fiber) == FIBER_WAITING);
    CHECK_TEXT(fiber_name(fiber), "test");
    fixture_wait(&f);
    CHECK_TEXT(fixture_call(&f, "return stage"), "2");
    fixture_close(&f);
}

/* More than a fresh stack holds. */
static void many_arguments_and_results_go_through(void) {
    struct fixture f;
    open_fixture(&f);
    CHECK_TEXT(fixture_fiber(&f, "local t = {} for i = 1, 5000 do t[i] = i end\n"
                                 "local one = fiber.spawn(function(...)\n"
                                 "  fiber.sleep(0) return select('#', ...), ... end, unpack(t))\n"
                                 "local a = {one:join()} local b = {one:join()}\n"
                                 "return #a + #b + a[5002] + b[2]"),
               "20004");
    fixture_close(&f);
}

static void a_run_away_recursion_ends_its_fiber_only(void) {
    struct fixture f;
    open_fixture(&f);
    CHECK_TEXT(fixture_fiber(&f, "local function f() return 1 + f() end\n"
                                 "local one = fiber.spawn(function() fiber.sleep(0) f() end)\n"
                                 "local ok, why = one:join()\n"
                                 "local again, same = one:join()\n"
                                 "return tostring(ok) .. tostring(why == same)"),
               "falsetrue");
    fixture_close(&f);
}

static void a_retained_fiber_outlives_its_end(void) {
    struct fixture f;
    open_fixture(&f);
    struct err err;
    fixture_load(&f, "fiber.sleep(0.001) return 'kept', 2");
    struct fiber *fiber = fiber_start_retained(vm_lua(f.vm), 0, "kept", &err);
    CHECK(fiber != NULL && fiber_status(fiber) == FIBER_WAITING);
    fixture_run_for(&f, 0.01);
    CHECK(fiber_status(fiber) == FIBER_ENDED);
    for (int i = 0; i < 2; i++) {
        CHECK(fiber_push_results(vm_lua(f.vm), fiber) == 3);
        CHECK_TEXT(lua_tostring(vm_lua(f.vm), -2), "kept");
        lua_pop(vm_lua(f.vm), 3);
    }
    fiber_release(fiber);
    CHECK(lua_gettop(vm_lua(f.vm)) == 0);
    fixture_close(&f);
}

static int watches_rung;
static void watch_rings(struct fiber_watch *watch) {
    (void)watch;
    watches_rung++;
}

static void watches_ring_once_unless_taken_away(void) {
    struct fixture f;
    open_fixture(&f);
    struct fiber_watch one = {.ended = watch_rings}, two = one, three = one;
    watches_rung = 0;
    struct fiber *fiber = fixture_start(&f, "fiber.sleep(0.001)");
    fiber_watch(fiber, &one);
    fiber_watch(fiber, &two);
    fiber_watch(fiber, &three);
    fiber_unwatch(&two);
    fiber_unwatch(&two);
    fixture_wait(&f);
    CHECK(watches_rung == 2);
    fixture_close(&f);
}

/* -- Deadlines and cancelling ------------------------------------------------------------------ */

static void a_deadline_ends_the_wait(void) {
    struct fixture f;
    open_fixture(&f);
    struct fiber *fiber = fixture_start(&f, "probe.stuck()");
    double began = loop_seconds();
    fiber_set_deadline(fiber, began + 0.02);
    CHECK(fixture_wait(&f) == NULL);
    CHECK(f.err.code == ERR_TIMEOUT);
    CHECK(loop_seconds() - began >= 0.02);
    CHECK(stuck_cancelled == 1 && stuck_freed == 1);

    fiber = fixture_start(&f, "fiber.sleep(0.02) return 'in time'");
    fiber_set_deadline(fiber, loop_seconds() + 0.001);
    fiber_set_deadline(fiber, 0); /* taken back */
    CHECK_TEXT(fixture_wait(&f), "in time");

    fiber = fixture_start(&f, "fiber.sleep(0.001) fiber.sleep(5)");
    fiber_set_deadline(fiber, loop_seconds() - 1); /* long past: the present wait ends at once */
    CHECK(fixture_wait(&f) == NULL);
    CHECK(f.err.code == ERR_TIMEOUT);
    fixture_close(&f);
}

static void a_deadline_goes_on_after_it_was_caught(void) {
    struct fixture f;
    open_fixture(&f);
    struct fiber *fiber =
        fixture_start(&f, "local a, one = pcall(probe.stuck) local b, two = pcall(probe.work, 0)\n"
                          "local c, three = pcall(fiber.sleep, 0)\n"
                          "return one.code .. two.code .. three.code");
    fiber_set_deadline(fiber, loop_seconds() + 0.01);
    CHECK_TEXT(fixture_wait(&f), "timeouttimeouttimeout");
    CHECK(jobs_released == 1 && jobs_pushed == 0);
    fixture_close(&f);
}

static void cancelling_ends_the_wait_with_its_reason(void) {
    struct fixture f;
    open_fixture(&f);
    struct fiber *fiber = fixture_start(&f, "probe.stuck()");
    fiber_cancel(fiber, "enough of it");
    CHECK(f.ended && f.err.code == ERR_CANCELLED);
    CHECK_TEXT(f.err.message, "enough of it");
    CHECK(stuck_cancelled == 1 && stuck_freed == 1);
    fixture_close(&f);
}

static void cancelled_pool_work_ends_in_peace(void) {
    struct fixture f;
    open_fixture(&f);
    struct fiber *fiber = fixture_start(&f, "probe.work(0.05)");
    fixture_run_for(&f, 0.01);
    fiber_cancel(fiber, NULL);
    CHECK(f.ended && f.err.code == ERR_CANCELLED);
    CHECK(jobs_released == 0); /* a pool thread still has it */
    fixture_run_for(&f, 0.1);
    CHECK(jobs_released == 1 && jobs_run == 1 && jobs_pushed == 0);
    fixture_close(&f);
}

/* The work has ended, but the fiber is cancelled before it gets to know. */
static void pool_work_that_ended_meanwhile_is_released_once(void) {
    struct fixture f;
    open_fixture(&f);
    CHECK_TEXT(fixture_fiber(&f, "local one = fiber.spawn(probe.work, 0)\n"
                                 "local started = os.clock() while os.clock() - started < 0.02 do "
                                 "end\n"
                                 "one:cancel() fiber.sleep(0.01)\n"
                                 "return one:status()"),
               "failed");
    CHECK(jobs_released == 1 && jobs_pushed == 0);
    fixture_close(&f);
}

/* -- Pool work --------------------------------------------------------------------------------- */

static void pool_work_gives_its_results(void) {
    struct fixture f;
    open_fixture(&f);
    CHECK_TEXT(fixture_fiber(&f, "local what, ran = probe.work(0.001) return what .. "
                                 "tostring(ran)"),
               "donetrue");
    CHECK(fixture_fiber(&f, "probe.work(0, true)") == NULL);
    CHECK_TEXT(f.err.message, "push failed");
    CHECK(fixture_call(&f, "probe.work(0)") == NULL); /* not in a fiber */
    CHECK(fixture_fiber(&f, "coroutine.wrap(function() probe.work(0) end)()") == NULL);
    CHECK(strstr(f.err.message, "coroutine of the script's own") != NULL);
    CHECK(fixture_fiber(&f, "probe.work 'x'") == NULL);
    CHECK(jobs_released == 4 && jobs_run == 2);
    fixture_close(&f);
}

static void many_fibers_share_the_pool(void) {
    struct fixture f;
    open_fixture(&f);
    CHECK_TEXT(fixture_fiber(&f,
                             "local all = {}\n"
                             "for i = 1, 300 do all[i] = fiber.spawn(probe.work, i % 7 / 1e4) "
                             "end\n"
                             "for i = 1, 300, 3 do all[i]:cancel() end\n"
                             "local ended = 0\n"
                             "for i = 1, 300 do if all[i]:join() then ended = ended + 1 end end\n"
                             "return ended"),
               "200");
    fixture_run_for(&f, 0.2);
    CHECK(jobs_released == 300);
    fixture_close(&f);
}

/* -- A VM that closes -------------------------------------------------------------------------- */

static const char everything[] =
    "local channel, full = fiber.channel(), fiber.channel(1)\n"
    "full:put(1)\n"
    "kept = {channel, full, fiber.timer(60)}\n"
    "local waits = {\n"
    "  function() fiber.sleep(60) end,\n"
    "  function() channel:get() end,\n"
    "  function() channel:get(60) end,\n"
    "  function() full:put {big = ('x'):rep(1e5)} end,\n"
    "  function() full:put(2, 60) end,\n"
    "  function() probe.stuck() end,\n"
    "  function() probe.work(0.03) end,\n"
    "  function() fiber.spawn(fiber.sleep, 60):join() end,\n"
    "  function() fiber.select {channel, fiber.timer(60), fiber.spawn(probe.work, 0.03)} end,\n"
    "  function() fiber.deadline(30, fiber.sleep, 60) end,\n"
    "  function() while true do pcall(fiber.sleep, 60) end end,\n"
    "  function() pcall(probe.stuck) error 'must not run when the vm closes' end,\n"
    "}\n"
    "for i, wait in ipairs(waits) do kept[#kept + 1] = fiber.spawn(wait) end\n";

static void close_is_clean_whatever_waits(void) {
    for (int turns = 0; turns < 2; turns++) {
        struct fixture f;
        open_fixture(&f);
        CHECK_TEXT(fixture_call(&f, everything), "nil");
        if (turns == 1)
            fixture_run_for(&f, 0.005);
        CHECK(fiber_count(f.vm) >= 12);
        vm_free(f.vm);
        f.vm = NULL;
        CHECK(stuck_cancelled == 2 && stuck_freed == 2);
        fixture_run_for(&f, 0.06);
        CHECK(jobs_released == 2 && jobs_pushed == 0);
        fixture_close(&f);
    }
}

/* Nobody turns the loop after the VM is gone: the loop's own end must wait for the pool. */
static void a_loop_that_ends_waits_for_pool_work(void) {
    struct fixture f;
    open_fixture(&f);
    fixture_start(&f, "probe.work(0.05)");
    fixture_close(&f);
    CHECK(!f.ended && jobs_released == 1 && jobs_run == 1 && jobs_pushed == 0);
}

static void fibers_that_are_ready_end_with_the_vm(void) {
    struct fixture f;
    open_fixture(&f);
    CHECK_TEXT(fixture_call(&f, "for i = 1, 1500 do fiber.spawn(fiber.yield) end"), "nil");
    CHECK(fiber_count(f.vm) > 0); /* more than one turn of the loop can do */
    fixture_close(&f);
}

/* What a fiber waits for may be forgotten by everyone else. */
static void sources_that_are_collected_leave_their_waiters(void) {
    struct fixture f;
    open_fixture(&f);
    CHECK_TEXT(fixture_fiber(&f, "local function make() return {fiber.channel(), fiber.timer(60), "
                                 "fiber.channel(), timeout = 0.02} end\n"
                                 "local sources = make()\n"
                                 "local one = fiber.spawn(fiber.select, sources)\n"
                                 "fiber.sleep(0)\n"
                                 "for i = 1, 3 do sources[i] = nil end\n"
                                 "for i = 1, 5 do collectgarbage() fiber.sleep(0) end\n"
                                 "for i = 1, 200 do kept = {fiber.channel(), ('x'):rep(i)} end\n"
                                 "local ok, index, why = one:join()\n"
                                 "return tostring(ok) .. tostring(index) .. why.code"),
               "trueniltimeout");
    fixture_close(&f);
}

/* -- Ids --------------------------------------------------------------------------------------- */

static void ids_go_to_the_fibers_that_are_spawned(void) {
    struct fixture f;
    open_fixture(&f);
    struct fiber *fiber = fixture_start(&f, "fiber.sleep(0.001)\n"
                                            "local one = fiber.spawn(function()\n"
                                            "  return fiber.self():job() .. '/' .. "
                                            "fiber.self():request() end)\n"
                                            "return (select(2, one:join()))");
    char long_id[100] = {0};
    memset(long_id, 'j', sizeof long_id - 1);
    fiber_set_request_id(fiber, "r1");
    fiber_set_job_id(fiber, long_id);
    CHECK(strlen(fiber_job_id(fiber)) == 63);
    fiber_set_job_id(fiber, "job_1");
    CHECK_TEXT(fixture_wait(&f), "job_1/r1");
    CHECK_TEXT(fiber_job_id(NULL), "");
    fixture_close(&f);
}

static int alarms_rung;
static void set_done(void *arg) {
    fixture_call(arg, "done = true");
}

/* What is posted comes by a descriptor, as requests do. */
static void fibers_that_yield_for_ever_do_not_starve_the_loop(void) {
    struct fixture f;
    open_fixture(&f);
    fixture_start(&f, "while not done do fiber.yield() end return done");
    loop_post(&f.loop, set_done, &f);
    CHECK_TEXT(fixture_wait(&f), "true");
    fixture_close(&f);
}

static void alarm_rings_here(void *arg) {
    (void)arg;
    alarms_rung++;
}

static void alarms_ring_once(void) {
    struct fixture f;
    open_fixture(&f);
    alarms_rung = 0;
    alarm_start(&f.loop, 0.001, alarm_rings_here, NULL);
    alarm_start(&f.loop, -5, alarm_rings_here, NULL);
    struct alarm *never = alarm_start(&f.loop, 1e300, alarm_rings_here, NULL);
    alarm_stop(alarm_start(&f.loop, 0.001, alarm_rings_here, NULL));
    alarm_stop(NULL);
    fixture_run_for(&f, 0.02);
    CHECK(alarms_rung == 2);
    alarm_stop(never);
    vm_free(f.vm);
    f.vm = NULL;
    fixture_close(&f);
}

int main(void) {
    static const struct test tests[] = {
        TEST(an_end_comes_with_results_or_an_error),
        TEST(first_run_goes_until_the_first_wait),
        TEST(many_arguments_and_results_go_through),
        TEST(a_run_away_recursion_ends_its_fiber_only),
        TEST(a_retained_fiber_outlives_its_end),
        TEST(watches_ring_once_unless_taken_away),
        TEST(a_deadline_ends_the_wait),
        TEST(a_deadline_goes_on_after_it_was_caught),
        TEST(cancelling_ends_the_wait_with_its_reason),
        TEST(cancelled_pool_work_ends_in_peace),
        TEST(pool_work_that_ended_meanwhile_is_released_once),
        TEST(pool_work_gives_its_results),
        TEST(many_fibers_share_the_pool),
        TEST(close_is_clean_whatever_waits),
        TEST(a_loop_that_ends_waits_for_pool_work),
        TEST(fibers_that_are_ready_end_with_the_vm),
        TEST(sources_that_are_collected_leave_their_waiters),
        TEST(ids_go_to_the_fibers_that_are_spawned),
        TEST(fibers_that_yield_for_ever_do_not_starve_the_loop),
        TEST(alarms_ring_once),
    };
    return RUN(tests);
}
