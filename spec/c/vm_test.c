/* core/vm.h: memory caps, restricted libraries, scripts, errors, ownership. */
#include "core/vm.h"

#include "vm_fixture.h"

/* -- Memory ------------------------------------------------------------------------------------ */

static const char *const exhaustions[] = {
    "local t = {} for i = 1, 1e9 do t[i] = i end",
    "local t = {} for i = 1, 1e9 do t[i] = {} end",
    "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end",
    "local s = 'x' while true do s = s .. s end",
    "return ('x'):rep(2^30)",
    "local t = {} for i = 1, 1e9 do t[i] = function() return i end end",
    "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end",
    "local function f(...) return f(1, ...) end f()",
    "local t = {} for i = 1, 1e9 do t['k' .. i] = i end",
    "return table.concat(setmetatable({}, {}), 'x') .. ('%1000000s'):rep(100):format(1, 2, 3)",
    "local t = {} for i = 1, 1e9 do t[i] = i end",
};

static void memory_has_an_end(void) {
    for (size_t i = 0; i < sizeof exhaustions / sizeof *exhaustions; i++) {
        struct fixture f;
        fixture_open(&f, (struct vm_options){.memory_limit = 4 << 20, .jit = i % 2 == 0});
        CHECK(fixture_call(&f, exhaustions[i]) == NULL);
        CHECK(vm_memory(f.vm) <= 5 << 20);
        fixture_close(&f);
    }
}

static void memory_that_is_used_up_is_an_error_with_a_code(void) {
    struct fixture f;
    fixture_open(&f, (struct vm_options){.memory_limit = 4 << 20});
    for (int i = 0; i < 5; i++) {
        CHECK(fixture_call(&f, exhaustions[i % 4]) == NULL);
        CHECK(f.err.code == ERR_NO_MEMORY);
        CHECK_TEXT(f.err.message, "not enough memory");
        /* The next one finds what the last one left behind gone. */
        CHECK_TEXT(fixture_call(&f, "return #('x'):rep(2e6)"), "2000000");
    }
    fixture_close(&f);
}

static void memory_that_a_fiber_uses_up_ends_that_fiber_only(void) {
    struct fixture f;
    fixture_open(&f, (struct vm_options){.memory_limit = 4 << 20});
    fixture_call(&f, "fiber = require 'fiber' seen = 0\n"
                     "other = fiber.spawn(function() while true do fiber.sleep(0.001) seen = "
                     "seen + 1 end end)");
    for (int i = 0; i < 5; i++) {
        fixture_start(&f, "require('fiber').sleep(0) local t = {}\n"
                          "for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end");
        CHECK(fixture_wait(&f) == NULL);
        CHECK(f.err.code == ERR_NO_MEMORY);
        CHECK_TEXT(fixture_fiber(&f, "local fiber, before = require 'fiber', seen\n"
                                     "fiber.sleep(0.01) return seen > before"),
                   "true");
    }
    fixture_close(&f);
}

/* An error that comes when little is left: the host's own work on it must not fail. */
static void errors_near_the_end_of_memory_are_told(void) {
    struct fixture f;
    fixture_open(&f, (struct vm_options){.memory_limit = 2 << 20});
    static const char text[] = "local message = 'at the brink' kept = {} collectgarbage 'stop'\n"
                               "local function tables() for i = 1, 1e9 do kept[i] = {} end end\n"
                               "local function closures() for i = #kept, 1, -1 do kept[i] = "
                               "function() return i end end end\n"
                               "pcall(tables) pcall(closures)\n"
                               "error(message, 0)";
    int told = 0;
    for (int i = 0; i < 3; i++) {
        fixture_call(&f, "kept = nil collectgarbage 'restart' collectgarbage()");
        if (i == 0)
            fixture_call(&f, text);
        else
            fixture_fiber(&f, text);
        if (f.err.code == ERR_NO_MEMORY) /* something else of the script came first */
            continue;
        told++;
        CHECK_TEXT(f.err.message, "at the brink");
        CHECK(strstr(vm_traceback(f.vm), "at the brink") != NULL);
    }
    CHECK(told > 0);
    fixture_call(&f, "kept = nil");
    CHECK_TEXT(fixture_call(&f, "return 1"), "1");
    fixture_close(&f);
}

/* Garbage does not count: what lives is less than half of the limit. */
static void garbage_is_collected_before_memory_ends(void) {
    struct fixture f;
    fixture_open(&f, (struct vm_options){.memory_limit = 16 << 20});
    CHECK_TEXT(fixture_call(&f, "local live = {} for i = 1, 9000 do live[i] = ('x'):rep(1000) .. "
                                "i end\n"
                                "for i = 1, 2e5 do local s = ('y'):rep(2000) .. i end\n"
                                "for i = 1, 2e6 do local t = {i} end\n"
                                "return #live"),
               "9000");
    fixture_close(&f);
}

/* However little memory there is: a VM, or an error, never the end of the process. */
static void a_vm_with_hardly_any_memory_is_refused(void) {
    struct loop loop;
    struct err err;
    struct scripts *scripts = fixture_scripts(NULL);
    CHECK(loop_init(&loop, &err) == 0);
    int made = 0, refused = 0;
    for (size_t limit = 512; limit < 400000; limit += limit < 20000 ? 499 : 4999) {
        struct vm *vm = NULL;
        struct vm_options options = {.name = "small", .memory_limit = limit, .scripts = scripts};
        int code = vm_new(&loop, &options, &vm, &err);
        CHECK(code == 0 || code == ERR_NO_MEMORY);
        made += code == 0;
        refused += code != 0;
        if (code == 0)
            vm_free(vm);
    }
    CHECK(made > 0 && refused > 0);
    loop_deinit(&loop);
    scripts_free(scripts);
}

/* -- Libraries --------------------------------------------------------------------------------- */

static void restricted_libraries_lack_what_leaves_the_vm(void) {
    static const char *const absent[] = {
        "io.stdin",
        "newproxy",
        "getfenv",
        "debug.sethook",
        "debug.getregistry",
        "debug.setmetatable",
        "debug.getmetatable",
        "debug.setupvalue",
        "debug.getlocal",
        "debug.setlocal",
        "debug.upvaluejoin",
        "debug.debug",
        "string.dump",
        "package.loadlib",
        "package.searchpath",
        "ffi",
        "package.preload.ffi",
        "package.loaded.ffi",
        "package.loaded.io",
        "jit.util",
        "jit.attach",
        "package.preload['jit.util']",
        "package.preload['jit.profile']",
        "package.loaded.debug.sethook",
        "package.loaded.jit.util",
    };
    struct fixture f;
    fixture_open(&f, (struct vm_options){.jit = true});
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        char text[128];
        snprintf(text, sizeof text, "return %s == nil and '%s' or 'is there'", absent[i],
                 strchr(absent[i], '\'') ? "quoted" : absent[i]);
        CHECK_TEXT(fixture_call(&f, text), strchr(absent[i], '\'') ? "quoted" : absent[i]);
    }
    fixture_close(&f);
}

static void what_blocks_is_refused_with_a_word_on_what_to_use(void) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"io.open('/etc/passwd')",
         "test:1: io.open: blocks the loop; use fs.open, fs.read or fs.write"},
        {"for line in io.lines('x') do end", "test:1: io.lines: blocks the loop; use fs.read"},
        {"io.stdout:write('x')",
         "test:1: io.stdout: blocks the loop; use the module log, or job:log"},
        {"local run = os.execute run('true')",
         "test:1: os.execute: blocks the loop; scripts start no processes"},
        {"os.exit(1)", "test:1: os.exit: would end the process; return, or raise an error"},
        {"os.remove('x')", "test:1: os.remove: blocks the loop; use fs.remove"},
        {"os.rename('x', 'y')", "test:1: os.rename: blocks the loop; use fs.rename"},
        {"os.getenv 'HOME'",
         "test:1: os.getenv: the environment holds secrets; use host.config for settings"},
        {"package.loaded.os.exit(1)",
         "test:1: os.exit: would end the process; return, or raise an error"},
        {"dofile 'x.lua'",
         "test:1: dofile: blocks the loop; use require, which finds scripts of this generation"},
        {"loadfile 'x.lua'",
         "test:1: loadfile: blocks the loop; use require, which finds scripts of this generation"},
    };
    static const char *const modules[][2] = {
        {"io", "blocks the loop; use fs"},
        {"socket", "it blocks the loop; use http or ws"},
        {"lfs", "it blocks the loop; use fs.list"},
        {"posix", "it blocks the loop; use fs"},
        {"ffi", "it is for built-in code only"},
        {"jit.util", "it is for built-in code only"},
    };
    struct fixture f;
    fixture_open(&f, (struct vm_options){.jit = true});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(fixture_call(&f, cases[i].text) == NULL);
        CHECK_TEXT(f.err.message, cases[i].message);
    }
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        char text[64];
        snprintf(text, sizeof text, "return require '%s'", modules[i][0]);
        CHECK(fixture_call(&f, text) == NULL);
        CHECK(strstr(f.err.message, modules[i][1]) != NULL);
    }
    fixture_close(&f);
}

static void restricted_libraries_keep_what_scripts_need(void) {
    struct fixture f;
    fixture_open(&f, (struct vm_options){.jit = true});
    CHECK_TEXT(fixture_call(&f, "return type(os.time()) .. type(os.clock()) .. type(os.date())"),
               "numbernumberstring");
    CHECK_TEXT(fixture_call(&f, "return load('return ...', 'x')(7)"), "7");
    CHECK_TEXT(fixture_call(&f, "return loadstring('return y', 'x', 't', {y = 8})()"), "8");
    CHECK_TEXT(fixture_call(&f, "return (select(2, load('return +', '=x')))"),
               "x:1: unexpected symbol near '+'");
    CHECK_TEXT(fixture_call(&f, "return debug.getinfo(1, 'S').what"), "main");
    CHECK_TEXT(fixture_call(&f, "return require 'bit'.band(6, 3)"), "2");
    fixture_close(&f);
}

/* A VM without the compiler must stay so: compiled loops cannot be stopped. */
static void the_compiler_cannot_be_turned_on(void) {
    struct fixture f;
    fixture_open(&f, (struct vm_options){.jit = false});
    CHECK_TEXT(fixture_call(&f, "if jit.on then jit.on() end return jit.status and jit.status()"),
               "false");
    CHECK_TEXT(fixture_call(&f, "return require 'jit' == jit"), "true");
    fixture_close(&f);
    fixture_open(&f, (struct vm_options){.jit = true});
    CHECK_TEXT(fixture_call(&f, "return jit.status()"), "true");
    fixture_close(&f);
}

static void bytecode_is_refused(void) {
    struct fixture f;
    fixture_open(&f, (struct vm_options){.unrestricted = true});
    char code[512];
    CHECK(fixture_call(&f, "code = string.dump(function() return 1 end)") != NULL);
    lua_getglobal(vm_lua(f.vm), "code");
    size_t size;
    const char *bytes = lua_tolstring(vm_lua(f.vm), -1, &size);
    CHECK(bytes != NULL && size < sizeof code);
    memcpy(code, bytes, size);
    fixture_close(&f);

    static const char *const ways[] = {
        "return load(code, 'x')",
        "return load(code, 'x', 'b')",
        "return load(code, 'x', 'bt', {})",
        "return loadstring(code)",
        "return loadstring(code, 'x', 'b')",
        "local sent return load(function() if not sent then sent = true return code end end)",
        ("local sent return load(function() if not sent then sent = true return code end end, 'x', "
         "'b')"),
        "return load('\\239\\187\\191' .. code)",
        "return load('#!\\n' .. code)",
    };
    fixture_open(&f, (struct vm_options){.jit = true});
    lua_pushlstring(vm_lua(f.vm), code, size);
    lua_setglobal(vm_lua(f.vm), "code");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        CHECK_TEXT(fixture_call(&f, ways[i]), "nil");
    fixture_close(&f);
}

/* -- Scripts ----------------------------------------------------------------------------------- */

static const char *const some_scripts[] = {
    "lib/good.lua",
    "return {name = ..., twice = function(x) return 2 * x end}",
    "lib/broken.lua",
    "local a = 1\nlocal b = = 2\n",
    "lib/fails.lua",
    "local x = nil\nreturn x.y",
    "lib/loop.lua",
    "return require 'lib.loop'",
    "top.lua",
    "return require('lib.good').twice(21)",
    "ffi.lua",
    "return 'a script'",
    NULL,
};

static void require_finds_scripts_of_the_snapshot_only(void) {
    struct fixture f;
    fixture_open_scripts(&f, (struct vm_options){.jit = true}, some_scripts);
    CHECK_TEXT(fixture_call(&f, "return require 'top'"), "42");
    CHECK_TEXT(fixture_call(&f, "return require('lib.good').name"), "lib.good");
    CHECK_TEXT(fixture_call(&f, "return require 'lib.good' == require 'lib.good'"), "true");
    CHECK_TEXT(fixture_call(&f, "return require 'ffi'"), "a script");
    static const char *const nowhere[] = {"luacov",       "socket", "../lib/good", "/etc/passwd",
                                          "lib.good.lua", "",       "lib",         "stance.job"};
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        char text[128];
        snprintf(text, sizeof text, "package.path = '/?;/?.lua;./?.lua' return require '%s'",
                 nowhere[i]);
        CHECK(fixture_call(&f, text) == NULL);
        CHECK(strstr(f.err.message, "in this generation") != NULL);
        CHECK(strstr(f.err.message, "no file") == NULL);
    }
    CHECK(fixture_call(&f, "return require(('x'):rep(600))") == NULL);
    CHECK(fixture_call(&f, "return require 'lib.loop'") == NULL);
    CHECK(strstr(f.err.message, "loop") != NULL);
    fixture_close(&f);
}

static void a_script_that_does_not_load_is_told_by_file_and_line(void) {
    struct fixture f;
    fixture_open_scripts(&f, (struct vm_options){.jit = true}, some_scripts);
    CHECK(fixture_call(&f, "return require 'lib.broken'") == NULL);
    CHECK(strstr(f.err.message, "lib/broken.lua:2:") != NULL);
    CHECK(fixture_call(&f, "return require 'lib.fails'") == NULL);
    CHECK(strstr(f.err.message, "lib/fails.lua:2:") != NULL);
    CHECK(strstr(vm_traceback(f.vm), "lib/fails.lua:2: in main chunk") != NULL);
    CHECK(vm_load(vm_lua(f.vm), "lib/broken.lua", &f.err) == ERR_INVALID);
    CHECK(strstr(f.err.message, "lib/broken.lua:2:") != NULL);
    CHECK(vm_load(vm_lua(f.vm), "lib/none.lua", &f.err) == ERR_NOT_FOUND);
    CHECK(vm_load(vm_lua(f.vm), "lib/none.lua", NULL) == ERR_NOT_FOUND);
    CHECK(lua_gettop(vm_lua(f.vm)) == 0);
    CHECK(vm_load(vm_lua(f.vm), "lib/good.lua", &f.err) == 0);
    CHECK(lua_gettop(vm_lua(f.vm)) == 1);
    fixture_close(&f);
}

static void a_vm_without_scripts_finds_none(void) {
    struct loop loop;
    struct err err;
    struct vm *vm = NULL;
    CHECK(loop_init(&loop, &err) == 0);
    CHECK(vm_new(&loop, &(struct vm_options){.name = "bare"}, &vm, &err) == 0);
    CHECK(vm_load(vm_lua(vm), "boot.lua", &err) == ERR_NOT_FOUND);
    CHECK_TEXT(vm_name(vm), "bare");
    vm_free(vm);
    loop_deinit(&loop);
}

/* -- Errors ------------------------------------------------------------------------------------ */

static void errors_keep_their_codes(void) {
    static const struct {
        const char *text;
        int code;
        const char *message;
    } cases[] = {
        {"error(require 'stance.err'('not_found', 'no %s here', 'cat'))", ERR_NOT_FOUND,
         "no cat here"},
        {"error(require 'stance.err'('busy', '100 %'))", ERR_BUSY, "100 %"},
        {"error {code = 'timeout', message = 'late'}", ERR_TIMEOUT, "late"},
        {"error {code = 'of my own', message = 'mine'}", ERR_INTERNAL, "mine"},
        {"error {}", ERR_INTERNAL, "(a table was raised)"},
        {"error {code = 7, message = {}}", ERR_INTERNAL, "(a table was raised)"},
        {"error(setmetatable({}, {__index = function() error 'trap' end}))", ERR_INTERNAL,
         "(a table was raised)"},
        {"error 'plain'", ERR_INTERNAL, "test:1: plain"},
        {"error(nil)", ERR_INTERNAL, "(a nil was raised)"},
        {"error(print)", ERR_INTERNAL, "(a function was raised)"},
        {"error(12)", ERR_INTERNAL, "test:1: 12"},
        {"error(12, 0)", ERR_INTERNAL, "12"},
        {"local x = {} return x.y.z", ERR_INTERNAL,
         "test:1: attempt to index field 'y' (a nil "
         "value)"},
    };
    struct fixture f;
    fixture_open(&f, (struct vm_options){.jit = true});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(fixture_call(&f, cases[i].text) == NULL);
        CHECK(f.err.code == cases[i].code);
        CHECK_TEXT(f.err.message, cases[i].message);
        CHECK(fixture_fiber(&f, cases[i].text) == NULL);
        CHECK(f.err.code == cases[i].code);
        CHECK_TEXT(f.err.message, cases[i].message);
    }
    CHECK_TEXT(fixture_call(&f, "return tostring(require 'stance.err'('busy', 'wait'))"), "wait");
    CHECK_TEXT(fixture_call(&f, "return getmetatable(require 'stance.err'('busy', 'wait'))"),
               "locked");
    CHECK(fixture_call(&f, "require 'stance.err'('busy', '%d', 'x')") == NULL);
    CHECK(fixture_call(&f, "require 'stance.err'()") == NULL);
    fixture_close(&f);
}

static void long_messages_are_cut(void) {
    struct fixture f;
    fixture_open(&f, (struct vm_options){.jit = true});
    CHECK(fixture_call(&f, "error(('x'):rep(100000), 0)") == NULL);
    CHECK(strlen(f.err.message) == sizeof f.err.message - 1);
    CHECK(fixture_call(&f, "error {code = ('c'):rep(1000), message = ('x'):rep(100000)}") == NULL);
    CHECK(strlen(f.err.message) == sizeof f.err.message - 1);
    fixture_close(&f);
}

static void a_stack_that_overflows_is_an_error(void) {
    struct fixture f;
    fixture_open(&f, (struct vm_options){.jit = true});
    static const char *const texts[] = {
        "local function f() return 1 + f() end return f()",
        "local t = setmetatable({}, {}) getmetatable(t).__index = function(s, k) return s[k .. "
        "'x'] "
        "end return t.a",
        "local function f(n) return pcall(f, n + 1) end return f(1), error 'after'",
        ("return string.gsub('x', 'x', function() local function g() return (g()) end return g() "
         "end)"),
        "local f f = function(e) error(e) end return (select(2, xpcall(error, f, 'x'))), error 'x'",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CHECK(fixture_call(&f, texts[i]) == NULL);
        CHECK(f.err.message[0] != 0);
        CHECK(vm_traceback(f.vm)[0] != 0);
        CHECK(fixture_fiber(&f, texts[i]) == NULL);
        CHECK(f.err.message[0] != 0);
    }
    CHECK_TEXT(fixture_call(&f, "return 'well'"), "well");
    fixture_close(&f);
}

static int give_failure(lua_State *L) {
    return vm_failf(L, ERR_DENIED, "%s may not", "nobody");
}

static void failures_of_bindings_are_nil_and_an_error(void) {
    struct fixture f;
    fixture_open(&f, (struct vm_options){.jit = true});
    lua_pushcfunction(vm_lua(f.vm), give_failure);
    lua_setglobal(vm_lua(f.vm), "give");
    CHECK_TEXT(fixture_call(&f, "local ok, why = give() return tostring(ok) .. why.code .. "
                                "tostring(why)"),
               "nildeniednobody may not");
    CHECK(fixture_call(&f, "assert(give())") == NULL);
    CHECK(f.err.code == ERR_DENIED);
    fixture_close(&f);
}

/* -- Ownership --------------------------------------------------------------------------------- */

struct thing {
    struct vm_owned owned;
    char letter;
};
static char closed[16];

static void thing_close(struct vm_owned *owned) {
    closed[strlen(closed)] = ((struct thing *)owned)->letter;
}

static void what_a_vm_owns_is_closed_the_newest_first(void) {
    struct fixture f;
    struct thing things[5] = {
        {.letter = 'a'}, {.letter = 'b'}, {.letter = 'c'}, {.letter = 'd'}, {.letter = 'e'}};
    memset(closed, 0, sizeof closed);
    fixture_open(&f, (struct vm_options){.jit = true});
    for (int i = 0; i < 5; i++)
        vm_own(f.vm, &things[i].owned, thing_close);
    CHECK(vm_owned_count(f.vm) == 5);
    vm_disown(&things[2].owned);
    vm_disown(&things[2].owned);
    vm_disown(&things[4].owned);
    CHECK(vm_owned_count(f.vm) == 3);
    CHECK_TEXT(closed, "");
    fixture_close(&f);
    CHECK_TEXT(closed, "dba");
}

static void options_of_the_wrong_type_are_named(void) {
    struct fixture f;
    fixture_open(&f, (struct vm_options){.jit = true});
    lua_State *L = vm_lua(f.vm);
    CHECK(vm_opt_number(L, 1, "n", 3) == 3);
    fixture_load(&f, "return {n = 1.5, b = true, s = 'text', no = false}");
    CHECK(vm_call(L, 0, 1, &f.err) == 0);
    CHECK(vm_opt_number(L, 1, "n", 3) == 1.5 && vm_opt_number(L, 1, "other", 3) == 3);
    CHECK(vm_opt_boolean(L, 1, "b", false) && !vm_opt_boolean(L, 1, "no", true));
    CHECK_TEXT(vm_opt_string(L, 1, "s", "other"), "text");
    CHECK_TEXT(vm_opt_string(L, 1, "none", "other"), "other");
    lua_settop(L, 0);
    CHECK(fixture_call(&f, "require('fiber').select {timeout = 'soon'}") == NULL);
    CHECK(strstr(f.err.message, "option 'timeout' must be a number, not a string") != NULL);
    fixture_close(&f);
}

int main(void) {
    static const struct test tests[] = {
        TEST(memory_has_an_end),
        TEST(memory_that_is_used_up_is_an_error_with_a_code),
        TEST(memory_that_a_fiber_uses_up_ends_that_fiber_only),
        TEST(errors_near_the_end_of_memory_are_told),
        TEST(garbage_is_collected_before_memory_ends),
        TEST(a_vm_with_hardly_any_memory_is_refused),
        TEST(restricted_libraries_lack_what_leaves_the_vm),
        TEST(what_blocks_is_refused_with_a_word_on_what_to_use),
        TEST(restricted_libraries_keep_what_scripts_need),
        TEST(the_compiler_cannot_be_turned_on),
        TEST(bytecode_is_refused),
        TEST(require_finds_scripts_of_the_snapshot_only),
        TEST(a_script_that_does_not_load_is_told_by_file_and_line),
        TEST(a_vm_without_scripts_finds_none),
        TEST(errors_keep_their_codes),
        TEST(long_messages_are_cut),
        TEST(a_stack_that_overflows_is_an_error),
        TEST(failures_of_bindings_are_nil_and_an_error),
        TEST(what_a_vm_owns_is_closed_the_newest_first),
        TEST(options_of_the_wrong_type_are_named),
    };
    return RUN(tests);
}
