/* vm_fixture.h - a loop with a VM on it, for the tests of core/vm.h and core/fiber.h.
 *
 *     struct fixture f;
 *     fixture_open(&f, (struct vm_options){.memory_limit = 8 << 20});
 *     CHECK_TEXT(fixture_call(&f, "return 1 + 1"), "2");
 *     fixture_close(&f);
 *
 * The VM has the module `fiber` and a snapshot of scripts that f.scripts[] names; fixture_close
 * checks that nothing is left open on the loop. */
#ifndef STANCE_SPEC_VM_FIXTURE_H
#define STANCE_SPEC_VM_FIXTURE_H

#include <stdlib.h>

#include "check.h"
#include "core/fiber.h"
#include "core/log.h"
#include "core/scripts.h"

int lua_open_fiber(lua_State *L);

struct fixture {
    struct loop loop;
    struct scripts *scripts;
    struct vm *vm;
    struct err err;    /* of the last call or fiber; code 0: it was well */
    char result[1024]; /* what it returned, by tostring */
    bool ended, rang;
};

static const struct vm_module fixture_modules[] = {{"fiber", lua_open_fiber}, {NULL, NULL}};

/* The scripts of the next fixtures: path, text, path, text, ..., NULL. */
static inline struct scripts *fixture_scripts(const char *const *texts) {
    struct scripts *scripts = NULL;
    struct err err = {0};
    int code = scripts_begin(&scripts, &err);
    for (; code == 0 && texts != NULL && texts[0] != NULL; texts += 2)
        code = scripts_add(scripts, texts[0], texts[1], strlen(texts[1]), texts[0], &err);
    if (code != 0 || scripts_seal(scripts, &err) != 0) {
        fprintf(stderr, "fixture: %s\n", err.message);
        abort();
    }
    return scripts;
}

static inline void fixture_open_scripts(struct fixture *f, struct vm_options options,
                                        const char *const *texts) {
    memset(f, 0, sizeof *f);
    log_configure(LOG_ERROR, LOG_TEXT);
    f->scripts = fixture_scripts(texts);
    options.scripts = f->scripts;
    if (options.name == NULL)
        options.name = "test";
    if (options.modules == NULL)
        options.modules = fixture_modules;
    options.host = f;
    if (loop_init(&f->loop, &f->err) != 0 || vm_new(&f->loop, &options, &f->vm, &f->err) != 0) {
        fprintf(stderr, "fixture: %s\n", f->err.message);
        abort();
    }
}

static inline void fixture_open(struct fixture *f, struct vm_options options) {
    fixture_open_scripts(f, options, NULL);
}

static inline void fixture_close(struct fixture *f) {
    vm_free(f->vm);
    f->vm = NULL;
    loop_deinit(&f->loop);
    scripts_free(f->scripts);
    f->scripts = NULL;
}

/* Keeps the value on top of the stack (popped) as f->result. */
static inline void fixture_keep(struct fixture *f, lua_State *L) {
    lua_getglobal(vm_lua(f->vm), "tostring");
    if (L != vm_lua(f->vm))
        lua_xmove(L, vm_lua(f->vm), 1);
    else
        lua_insert(L, -2);
    L = vm_lua(f->vm);
    lua_call(L, 1, 1);
    snprintf(f->result, sizeof f->result, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
}

static inline void fixture_load(struct fixture *f, const char *text) {
    lua_State *L = vm_lua(f->vm);
    if (luaL_loadbuffer(L, text, strlen(text), "=test") != 0) {
        fprintf(stderr, "fixture: %s\n", lua_tostring(L, -1));
        abort();
    }
}

/* Runs `text` outside any fiber: its first result as text, or NULL and f->err. */
static inline const char *fixture_call(struct fixture *f, const char *text) {
    lua_State *L = vm_lua(f->vm);
    int top = lua_gettop(L);
    f->err.code = 0;
    fixture_load(f, text);
    if (vm_call(L, 0, 1, &f->err) == 0)
        fixture_keep(f, L);
    CHECK(lua_gettop(L) == top);
    return f->err.code == 0 ? f->result : NULL;
}

static inline void fixture_fiber_ended(struct fiber *fiber, lua_State *co, int count,
                                       const struct err *err, void *arg) {
    (void)fiber;
    struct fixture *f = arg;
    f->ended = true;
    f->err.code = 0;
    if (err != NULL)
        f->err = *err;
    else if (count > 0)
        lua_settop(co, lua_gettop(co) - count + 1), fixture_keep(f, co);
    loop_stop(&f->loop);
}

/* Starts a fiber on `text`; fixture_wait waits for its end. */
static inline struct fiber *fixture_start(struct fixture *f, const char *text) {
    struct fiber *fiber = NULL;
    struct err err;
    f->ended = false;
    fixture_load(f, text);
    CHECK(fiber_start(vm_lua(f->vm), 0, "test", fixture_fiber_ended, f, &fiber, &err) == 0);
    return fiber;
}

/* Its first result as text, or NULL and f->err. */
static inline const char *fixture_wait(struct fixture *f) {
    loop_run(&f->loop);
    CHECK(f->ended);
    return f->err.code == 0 ? f->result : NULL;
}

static inline const char *fixture_fiber(struct fixture *f, const char *text) {
    fixture_start(f, text);
    return fixture_wait(f);
}

/* Turns the loop for a while. */
static inline void fixture_stop_loop(void *arg) {
    struct fixture *f = arg;
    f->rang = true;
    loop_stop(&f->loop);
}

static inline void fixture_run_for(struct fixture *f, double seconds) {
    f->rang = false;
    alarm_start(&f->loop, seconds, fixture_stop_loop, f);
    while (!f->rang) /* a fiber that ends stops the loop too */
        loop_run(&f->loop);
}

#endif
