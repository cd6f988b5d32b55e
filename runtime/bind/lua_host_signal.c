/* lua_host_signal.c - host.signal: something happened, for all vms of the process.
 *
 * A named signal is a count and a list of fibers that wait for it to grow. It lives as long as the
 * process, so that a generation's fibers hear of what another generation's have done. */
#include <stdlib.h>
#include <string.h>

#include "bind/lua_host.h"

static const char signal_type[] = "stance.signal";

struct signal {
    struct signal *next;
    double count;
    struct signal_wait *waiting;
    char name[];
};

struct signal_wait {
    struct wait wait;
    struct signal_wait *next, **previous; /* of the signal's list; NULL: taken out */
    struct alarm *alarm;
    bool happened;
};

static struct signal *signals; /* one list a process */

static void take_out(struct signal_wait *wait) {
    if (wait->previous == NULL)
        return;
    *wait->previous = wait->next;
    if (wait->next != NULL)
        wait->next->previous = wait->previous;
    wait->previous = NULL;
    alarm_stop(wait->alarm);
    wait->alarm = NULL;
}

static struct signal *check_signal(lua_State *L) {
    return *(struct signal **)luaL_checkudata(L, 1, signal_type);
}

/* -- Waiting ----------------------------------------------------------------------------------- */

static int signal_push(lua_State *L, struct wait *wait) {
    lua_pushboolean(L, ((struct signal_wait *)wait)->happened);
    return 1;
}

static void signal_cancel(struct wait *wait) {
    take_out((struct signal_wait *)wait);
}

static void signal_free(struct wait *wait) {
    free(wait);
}

static void time_is_up(void *arg) {
    struct signal_wait *wait = arg;
    wait->alarm = NULL;
    take_out(wait);
    wait_finish(&wait->wait);
}

/* signal:wait([timeout], [since]) -> happened */
static int signal_wait(lua_State *L) {
    static const struct wait_ops ops = {signal_push, signal_cancel, signal_free};
    struct signal *signal = check_signal(L);
    double timeout = lua_isnoneornil(L, 2) ? -1 : luaL_checknumber(L, 2);
    if (!lua_isnoneornil(L, 3) && luaL_checknumber(L, 3) != signal->count) {
        lua_pushboolean(L, true);
        return 1;
    }
    fiber_check(L);
    struct signal_wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL)
        return luaL_error(L, "out of memory");
    wait->next = signal->waiting;
    wait->previous = &signal->waiting;
    if (wait->next != NULL)
        wait->next->previous = &wait->next;
    signal->waiting = wait;
    if (timeout >= 0)
        wait->alarm = alarm_start(vm_loop(vm_of(L)), timeout, time_is_up, wait);
    return wait_begin(L, &wait->wait, &ops);
}

/* signal:notify(): wakes all that wait now, those of other vms too. */
static int signal_notify(lua_State *L) {
    struct signal *signal = check_signal(L);
    signal->count++;
    struct signal_wait *waiting = signal->waiting;
    signal->waiting = NULL;
    if (waiting != NULL)
        waiting->previous = &waiting;
    while (waiting != NULL) {
        struct signal_wait *wait = waiting;
        take_out(wait);
        wait->happened = true;
        wait_finish(&wait->wait);
    }
    return 0;
}

/* signal.count, or a method */
static int signal_index(lua_State *L) {
    const char *key = lua_tostring(L, 2);
    if (key != NULL && strcmp(key, "count") == 0) {
        lua_pushnumber(L, check_signal(L)->count);
        return 1;
    }
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
}

static int signal_tostring(lua_State *L) {
    lua_pushfstring(L, "signal '%s'", check_signal(L)->name);
    return 1;
}

/* -- Module ------------------------------------------------------------------------------------ */

/* host.signal(name) -> signal */
static int host_signal(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    struct signal *signal = signals;
    while (signal != NULL && strcmp(signal->name, name) != 0)
        signal = signal->next;
    struct signal **handle = lua_newuserdata(L, sizeof *handle);
    if (signal == NULL) {
        signal = calloc(1, sizeof *signal + strlen(name) + 1);
        if (signal == NULL)
            return luaL_error(L, "out of memory");
        strcpy(signal->name, name);
        signal->next = signals;
        signals = signal;
    }
    *handle = signal;
    luaL_getmetatable(L, signal_type);
    lua_setmetatable(L, -2);
    return 1;
}

void lua_host_add_signals(lua_State *L) {
    static const luaL_Reg none[] = {{NULL, NULL}};
    static const luaL_Reg meta[] = {{"__tostring", signal_tostring}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"notify", signal_notify}, {NULL, NULL}};
    static const luaL_Reg waits[] = {{"wait", signal_wait}, {NULL, NULL}};
    vm_new_type(L, signal_type, none, meta);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    fiber_register(L, waits);
    lua_pushcclosure(L, signal_index, 1);
    lua_setfield(L, -2, "__index");
    lua_settop(L, -2); /* the metatable */
    lua_pushcfunction(L, host_signal);
    lua_setfield(L, -2, "signal");
}
