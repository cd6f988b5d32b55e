/* lua_profile.c - the Lua module `profile`: where this process spends its CPU time. */
#include "core/profile.h"

#include <stdlib.h>
#include <string.h>

#include "bind/modules.h"

static const double look_seconds = 0.25; /* between looks for new threads */

struct run {
    struct wait wait;
    struct loop *loop;
    struct profile *profile;
    struct alarm *alarm;
    double until; /* loop_seconds */
    struct profile_result result;
    bool folding, detached;
};

static void end_run(struct run *run) {
    alarm_stop(run->alarm);
    profile_free(run->profile);
    free(run->result.folded);
    free(run);
}

static void fold(void *arg) {
    struct run *run = arg;
    profile_fold(run->profile, &run->result);
}

static void folded(void *arg) {
    struct run *run = arg;
    run->folding = false;
    if (run->detached)
        end_run(run);
    else
        wait_finish(&run->wait);
}

static void look(void *arg) {
    struct run *run = arg;
    double left = run->until - loop_seconds();
    run->alarm = NULL;
    if (left > 0) {
        profile_look(run->profile);
        run->alarm = alarm_start(run->loop, left < look_seconds ? left : look_seconds, look, run);
        return;
    }
    profile_stop(run->profile);
    run->folding = true;
    loop_work(run->loop, fold, folded, run);
}

static int run_push(lua_State *L, struct wait *wait) {
    const struct run *run = (struct run *)wait;
    if (run->result.folded == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "out of memory for a profile");
    lua_createtable(L, 0, 3);
    lua_pushlstring(L, run->result.folded, run->result.size);
    lua_setfield(L, -2, "folded");
    lua_pushnumber(L, (lua_Number)run->result.samples);
    lua_setfield(L, -2, "samples");
    lua_pushnumber(L, (lua_Number)run->result.lost);
    lua_setfield(L, -2, "lost");
    return 1;
}

static void run_cancel(struct wait *wait) {
    struct run *run = (struct run *)wait;
    alarm_stop(run->alarm);
    run->alarm = NULL;
    profile_stop(run->profile);
}

static void run_free(struct wait *wait) {
    struct run *run = (struct run *)wait;
    if (run->folding)
        run->detached = true;
    else
        end_run(run);
}

/* profile.run{seconds=, what="lua"|"c"|"all", hz=} -> {folded=, samples=, lost=} | nil, err */
static int profile_run(lua_State *L) {
    static const struct wait_ops ops = {run_push, run_cancel, run_free};
    const char *what = vm_opt_string(L, 1, "what", "all");
    bool all = strcmp(what, "all") == 0;
    struct profile_options options = {
        .vm = all || strcmp(what, "lua") == 0 ? vm_of(L) : NULL,
        .c = all || strcmp(what, "c") == 0,
        .hz = (int)vm_opt_number(L, 1, "hz", 99),
        .seconds = vm_opt_number(L, 1, "seconds", 10),
    };
    luaL_argcheck(L, options.vm != NULL || options.c, 1, "what is lua, c or all");
    luaL_argcheck(L, options.hz >= 1 && options.hz <= 1000, 1, "hz is 1 to 1000");
    luaL_argcheck(L, options.seconds > 0 && options.seconds <= 300, 1, "seconds are 0 to 300");
    fiber_check(L);
    struct err err;
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "out of memory for a profile");
    if (profile_start(&options, &run->profile, &err) != 0) {
        free(run);
        return vm_fail(L, &err);
    }
    run->loop = vm_loop(vm_of(L));
    run->until = loop_seconds() + options.seconds;
    run->alarm = alarm_start(
        run->loop, look_seconds < options.seconds ? look_seconds : options.seconds, look, run);
    return wait_begin(L, &run->wait, &ops);
}

static const luaL_Reg waits[] = {
    {"run", profile_run},
    {NULL, NULL},
};

int lua_open_profile(lua_State *L) {
    lua_newtable(L);
    fiber_register(L, waits);
    return 1;
}
