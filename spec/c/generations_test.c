/* core/generations.h: what is swapped in, what is kept out, what drains, and what a thousand of
 * them leave behind. Trials have a test of the real binary (spec/e2e/reload_spec.lua). */
#include "core/generations.h"

#include <dirent.h>
#include <malloc.h>

#include "vm_fixture.h"

/* -- A process with generations ---------------------------------------------------------------- */

static struct loop loop;
static struct generations *generations;
static char log_text[4096]; /* what the scripts said with note() */
static const struct load *last;
static struct err broken_err;

static int note(lua_State *L) {
    size_t size = strlen(log_text);
    snprintf(log_text + size, sizeof log_text - size, "%s ", luaL_checkstring(L, 1));
    return 0;
}

static int activate(lua_State *L) {
    struct err err;
    if (generations_activate(generations, vm_of(L), &err) != 0)
        return luaL_error(L, "%s", err.message);
    return 0;
}

static int on_retire(lua_State *L) {
    lua_settop(L, 1);
    vm_set_hook(L, VM_ON_RETIRE);
    return 0;
}

static int open_probe(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"note", note}, {"activate", activate}, {"on_retire", on_retire}, {NULL, NULL}};
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}

static const struct vm_module modules[] = {
    {"fiber", lua_open_fiber}, {"probe", open_probe}, {NULL, NULL}};

/* What a read of the disk finds. */
static const char *disk;

static struct scripts *scripts_of(const char *text) {
    char boot[4096];
    snprintf(boot, sizeof boot, "local probe, fiber = require 'probe', require 'fiber'\n%s", text);
    return fixture_scripts((const char *const[]){"boot.lua", boot, NULL});
}

static int read_disk(void *arg, struct scripts **out, struct err *err) {
    (void)arg;
    if (disk == NULL)
        return err_set(err, ERR_IO, "the disk is gone");
    *out = scripts_of(disk);
    return 0;
}

static void broken(void *arg, const struct err *err, const char *traceback) {
    (void)arg, (void)traceback;
    broken_err = *err;
}

static void open_all(double drain) {
    struct err err;
    log_configure(LOG_ERROR + 1, LOG_TEXT);
    log_text[0] = 0;
    broken_err.code = 0;
    struct generations_options options = {
        .loop = &loop,
        .vm = {.name = "test", .jit = true, .modules = modules},
        .read = read_disk,
        .broken = broken,
        .slice_seconds = 0.5,
        .load_seconds = 5,
        .load_memory = 8 << 20,
        .drain = drain,
    };
    if (loop_init(&loop, &err) != 0 || generations_new(&options, &generations, &err) != 0)
        abort();
}

static void close_all(void) {
    generations_free(generations);
    loop_deinit(&loop);
}

static void load_ended_then_stop(const struct load *load, void *arg) {
    (void)arg;
    last = load;
    loop_stop(&loop);
}

/* Loads what `text` says and waits for the outcome. */
static const char *load(const char *text) {
    struct err err;
    disk = text;
    struct load_request request = {
        .trigger = "command", .actor = "spec", .ended = load_ended_then_stop};
    last = NULL;
    if (generations_load(generations, &request, &err) != 0)
        return err_name(err.code);
    loop_run(&loop);
    return last->outcome;
}

static void stop_loop(void *arg) {
    (void)arg;
    loop_stop(&loop);
}

static void turn(double seconds) {
    alarm_start(&loop, seconds, stop_loop, NULL);
    loop_run(&loop);
}

static size_t count_generations(void) {
    struct generation_view view;
    size_t count = 0;
    while (generations_view(generations, count, &view))
        count++;
    return count;
}

/* -- Tests ------------------------------------------------------------------------------------- */

static void the_next_one_takes_over(void) {
    open_all(5);
    CHECK_TEXT(load("probe.on_retire(function() probe.note 'one-retires' end) probe.activate() "
                    "probe.note 'one'"),
               "active");
    struct vm *first = generations_vm(generations);
    CHECK_TEXT(load("probe.activate() probe.note 'two'"), "active");
    CHECK(generations_vm(generations) != first);
    turn(0.2);
    CHECK_TEXT(log_text, "one one-retires two ");
    CHECK(count_generations() == 1);
    CHECK_TEXT(load("probe.activate() probe.note 'two'"), "unchanged");
    CHECK_TEXT(generations_last(generations, 0)->actor, "spec");
    CHECK_TEXT(generations_last(generations, 2)->outcome, "active");
    CHECK(generations_last(generations, 3) == NULL);
    close_all();
}

static const struct {
    const char *name, *text, *reason;
} bad[] = {
    {"a syntax error", "local x = = 1", "boot.lua:2: unexpected symbol"},
    {"an error", "error 'no way'", "boot.lua:2: no way"},
    {"an error after a wait", "fiber.sleep(0.01) error 'later'", "boot.lua:2: later"},
    {"an endless loop", "while true do end", "boot.lua:2: ran for more than 0.5 s"},
    {"one inside pcall", "while true do pcall(function() while true do end end) end",
     "ran for more than 0.5 s"},
    {"one in a coroutine", "coroutine.wrap(function() while true do end end)()",
     "ran for more than 0.5 s"},
    {"too much memory", "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e5) .. i end",
     "not enough memory"},
    {"no activation", "probe.note 'idle'", "without a call of host.activate"},
    {"nothing at all", NULL, "the disk is gone"},
};

static void what_is_broken_changes_nothing(void) {
    open_all(5);
    load("probe.activate()");
    struct vm *first = generations_vm(generations);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *outcome = load(bad[i].text);
        CHECK_TEXT(outcome, "failed");
        if (last->reason == NULL || strstr(last->reason, bad[i].reason) == NULL) {
            printf("%s: '%s'\n", bad[i].name, last->reason ? last->reason : "(no reason)");
            CHECK(false);
        }
        CHECK(generations_vm(generations) == first && count_generations() == 1);
    }
    CHECK_TEXT(load("probe.activate() local fine"), "active");
    close_all();
}

static void what_was_begun_drains(void) {
    open_all(5);
    load("probe.activate() fiber.sleep(0.1) probe.note 'done'");
    load("probe.activate()");
    turn(0.02);
    CHECK(count_generations() == 2);
    turn(0.3);
    CHECK(count_generations() == 1);
    CHECK_TEXT(log_text, "done ");
    close_all();
}

static void a_drain_has_an_end(void) {
    open_all(0.05);
    load("probe.activate() fiber.sleep(100) probe.note 'never'");
    load("probe.activate() local other");
    turn(0.3);
    CHECK(count_generations() == 1);
    CHECK_TEXT(log_text, "");
    close_all();
}

static void one_load_at_a_time(void) {
    struct err err;
    open_all(5);
    disk = "probe.activate()";
    struct load_request waited = {.trigger = "command", .ended = load_ended_then_stop};
    struct load_request signal = {.trigger = "signal"};
    CHECK(generations_load(generations, &waited, &err) == 0);
    CHECK(generations_load(generations, &waited, &err) == ERR_BUSY);
    CHECK(generations_load(generations, &signal, &err) == 0); /* follows */
    loop_run(&loop);
    turn(0.2);
    CHECK_TEXT(generations_last(generations, 0)->trigger, "signal");
    CHECK_TEXT(generations_last(generations, 0)->outcome, "unchanged");
    close_all();
}

static void what_breaks_after_it_is_active_is_told(void) {
    open_all(5);
    CHECK_TEXT(load("probe.activate() error 'too late'"), "active");
    turn(0.05);
    CHECK(strstr(broken_err.message, "too late") != NULL);
    close_all();
}

static void only_the_candidate_can_be_activated(void) {
    open_all(5);
    load("probe.activate() local ok, why = pcall(probe.activate) probe.note(why)");
    CHECK(strstr(log_text, "only a generation that is being loaded") != NULL);
    close_all();
}

/* -- A thousand -------------------------------------------------------------------------------- */

static void count_handle(uv_handle_t *handle, void *arg) {
    *(size_t *)arg += !uv_is_closing(handle);
}

static size_t count_handles(void) {
    size_t count = 0;
    uv_walk(&loop.uv, count_handle, &count);
    return count;
}

static size_t count_descriptors(void) {
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        abort();
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

/* Each leaves fibers, timers and channels behind when it is closed. */
static const char untidy[] =
    "probe.activate()\n"
    "local keep = {}\n"
    "for i = 1, 10 do keep[i] = fiber.spawn(function() fiber.sleep(1000) end) end\n"
    "fiber.spawn(function() fiber.channel(1):get() end)\n"
    "probe.on_retire(function() for i = 1, 5 do keep[i]:cancel 'over' end end)\n"
    "_G.text = ('x'):rep(10000) .. %d\n";

static void a_thousand_leave_nothing_behind(void) {
    char text[1024];
    size_t handles = 0, descriptors = 0, memory = 0;
    open_all(0);
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, untidy, i);
        CHECK_TEXT(load(text), "active");
        if (i != 100)
            continue;
        turn(0.2);
        handles = count_handles();
        descriptors = count_descriptors();
        memory = mallinfo2().uordblks;
    }
    turn(0.2);
    CHECK(count_generations() == 1);
    CHECK(count_handles() == handles);
    CHECK(count_descriptors() == descriptors);
    size_t grown = mallinfo2().uordblks;
    if (grown > memory + (64 << 10)) {
        printf("memory in use grew from %zu to %zu bytes\n", memory, grown);
        CHECK(false);
    }
    close_all();
}

int main(void) {
    static const struct test tests[] = {
        TEST(the_next_one_takes_over),
        TEST(what_is_broken_changes_nothing),
        TEST(what_was_begun_drains),
        TEST(a_drain_has_an_end),
        TEST(one_load_at_a_time),
        TEST(what_breaks_after_it_is_active_is_told),
        TEST(only_the_candidate_can_be_activated),
        TEST(a_thousand_leave_nothing_behind),
    };
    return RUN(tests);
}
