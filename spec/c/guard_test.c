/* core/guard.h: scripts that do not end by themselves, and what they cannot do about it. */
#include "core/guard.h"

#include "vm_fixture.h"

static struct guard *guard_or_abort(double seconds) {
    struct guard *guard = guard_new(seconds);
    if (guard == NULL)
        abort();
    return guard;
}

/* Runs `text` as a fiber under a guard of 0.05 s; with the compiler on. */
static void run_guarded(struct fixture *f, const char *text) {
    struct guard *guard = guard_or_abort(0.05);
    vm_set_guard(f->vm, guard);
    guard_release(guard);
    fixture_call(f, "for i = 1, 200 do local x = i * 2 end"); /* there are traces to flush */
    fixture_fiber(f, text);
}

static const struct {
    const char *name, *text;
} endless[] = {
    {"a loop", "while true do end"},
    {"inside pcall", "pcall(function() while true do end end) return 'went on'"},
    {"pcall in a loop", "while true do pcall(function() while true do end end) end"},
    {"a coroutine", "coroutine.wrap(function() while true do end end)()"},
    {"a coroutine under pcall",
     "while true do pcall(coroutine.wrap(function() while true do end end)) end"},
    {"an error handler",
     "xpcall(function() error 'x' end, function() while true do end end) return 'went on'"},
    {"numbers", "local x = 0 for i = 1, 1e18 do x = x + i end"},
    {"a metamethod",
     "local t = setmetatable({}, {__index = function() while true do end end}) return t.x"},
    {"tail calls", "local function f() return f() end return f()"},
    {"goto", "::again:: goto again"},
    {"a called loop that was compiled", "local function spin(n) local i = 0 while i ~= n do i = i "
                                        "+ 1 end end for _ = 1, 100 do spin(100) end spin(-1)"},
};

static void endless_scripts_end(void) {
    for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
        struct fixture f;
        fixture_open(&f, (struct vm_options){.jit = true});
        run_guarded(&f, endless[i].text);
        if (f.err.code != ERR_TIMEOUT ||
            strstr(f.err.message, "ran for more than 0.05 s") == NULL) {
            printf("not so: %s ended with '%s'\n", endless[i].name, f.err.message);
            CHECK(false);
        }
        CHECK(strstr(f.err.message, "test:1: ") != NULL);
        vm_set_guard(f.vm, NULL);
        CHECK_TEXT(fixture_call(&f, "local x = 0 for i = 1, 1000 do x = x + i end return x"),
                   "500500");
        fixture_close(&f);
    }
}

/* Errors write the flags that the interrupting thread writes too: whose is lost must come again. */
static void errors_do_not_outrun_it(void) {
    for (int i = 0; i < 150; i++) {
        struct fixture f;
        fixture_open(&f, (struct vm_options){.jit = true});
        struct guard *guard = guard_or_abort(0.003);
        vm_set_guard(f.vm, guard);
        guard_release(guard);
        fixture_fiber(&f, "while true do pcall(error) end");
        CHECK(f.err.code == ERR_TIMEOUT);
        vm_set_guard(f.vm, NULL);
        fixture_close(&f);
    }
}

static void short_slices_go_on(void) {
    struct fixture f;
    fixture_open(&f, (struct vm_options){.jit = true});
    run_guarded(
        &f, "local fiber = require 'fiber' for _ = 1, 20 do fiber.sleep(0.005) end return 'whole'");
    CHECK_TEXT(f.result, "whole");
    fixture_close(&f);
}

static void spawned_fibers_are_guarded(void) {
    struct fixture f;
    fixture_open(&f, (struct vm_options){.jit = true});
    run_guarded(&f, "local fiber = require 'fiber'\n"
                    "local child = fiber.spawn(function() while true do end end)\n"
                    "local ok, why = child:join() return why.message");
    CHECK(strstr(f.result, "ran for more than 0.05 s") != NULL || f.err.code == ERR_TIMEOUT);
    fixture_close(&f);
}

/* -- guard_stop from another thread ------------------------------------------------------------ */

static void stop_later(void *arg) {
    uv_sleep(30);
    guard_stop(arg, ERR_CANCELLED, "interrupted");
}

static void another_thread_stops(void) {
    struct fixture f;
    struct guard *guard = guard_or_abort(0);
    fixture_open(&f, (struct vm_options){.jit = true});
    vm_set_guard(f.vm, guard);
    uv_thread_t thread;
    uv_thread_create(&thread, stop_later, guard);
    fixture_fiber(&f, "while true do end");
    uv_thread_join(&thread);
    CHECK(f.err.code == ERR_CANCELLED);
    CHECK(strstr(f.err.message, ":1: interrupted") != NULL);
    CHECK(guard_stopped(guard));
    fixture_fiber(&f, "return 'never'"); /* it stays stopped */
    CHECK(f.err.code == ERR_CANCELLED);
    vm_set_guard(f.vm, NULL);
    guard_release(guard);
    fixture_close(&f);
}

int main(void) {
    static const struct test tests[] = {
        TEST(endless_scripts_end),        TEST(errors_do_not_outrun_it), TEST(short_slices_go_on),
        TEST(spawned_fibers_are_guarded), TEST(another_thread_stops),
    };
    return RUN(tests);
}
