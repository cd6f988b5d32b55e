/* lua_host_generation.c - host.activate, host.on_retire, host.load, host.loads, host.generations,
 * and host.state: what scripts see of hot reload. */
#include "bind/lua_host.h"

#include <stdlib.h>
#include <string.h>

#include "core/generations.h"

static struct generations *own_generations(lua_State *L) {
    struct generations *generations = services_of(L)->generations;
    if (generations == NULL)
        luaL_error(L, "generations are the host's");
    return generations;
}

/* host.activate(): from here on this vm is the host. In any process but a host it does nothing. */
static int host_activate(lua_State *L) {
    struct generations *generations = services_of(L)->generations;
    struct err err;
    if (generations != NULL && generations_activate(generations, vm_of(L), &err) != 0)
        return luaL_error(L, "%s", err.message);
    return 0;
}

static int host_on_retire(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    vm_set_hook(L, VM_ON_RETIRE);
    return 0;
}

/* -- Loading ----------------------------------------------------------------------------------- */

struct load_wait {
    struct wait wait;
    struct generations *generations;
    struct load load; /* its reason is a copy */
};

static void push_load(lua_State *L, const struct load *load) {
    lua_createtable(L, 0, 7);
    lua_pushnumber(L, load->at);
    lua_setfield(L, -2, "at");
    lua_pushnumber(L, load->seconds);
    lua_setfield(L, -2, "seconds");
    lua_pushstring(L, load->trigger);
    lua_setfield(L, -2, "trigger");
    lua_pushstring(L, load->actor);
    lua_setfield(L, -2, "actor");
    if (load->generation[0] != 0)
        lua_pushstring(L, load->generation);
    else
        lua_pushnil(L);
    lua_setfield(L, -2, "generation");
    lua_pushstring(L, load->outcome);
    lua_setfield(L, -2, "outcome");
    if (load->reason != NULL) {
        lua_pushstring(L, load->reason);
        lua_setfield(L, -2, "reason");
    }
}

static void load_over(const struct load *load, void *arg) {
    struct load_wait *wait = arg;
    wait->load = *load;
    wait->load.reason = load->reason ? strdup(load->reason) : NULL;
    wait_finish(&wait->wait);
}

static int load_push(lua_State *L, struct wait *wait) {
    push_load(L, &((struct load_wait *)wait)->load);
    return 1;
}

static void load_cancel(struct wait *wait) {
    generations_forget(((struct load_wait *)wait)->generations, wait);
}

static void load_free(struct wait *wait) {
    free(((struct load_wait *)wait)->load.reason);
    free(wait);
}

/* The scripts of a list {path=, text=, origin=}; raises for a malformed one. */
static int read_list(lua_State *L, int index, struct scripts **out, struct err *err) {
    for (size_t i = 1; i <= lua_objlen(L, index); i++) { /* misuse first: it raises */
        lua_rawgeti(L, index, (int)i);
        luaL_checktype(L, -1, LUA_TTABLE);
        if (vm_opt_string(L, -1, "path", NULL) == NULL ||
            vm_opt_string(L, -1, "text", NULL) == NULL)
            luaL_error(L, "script %d has no path or no text", (int)i);
        lua_pop(L, 1);
    }
    struct scripts *scripts;
    int code = scripts_begin(&scripts, err);
    for (size_t i = 1; code == 0 && i <= lua_objlen(L, index); i++) {
        lua_rawgeti(L, index, (int)i);
        lua_getfield(L, -1, "text");
        size_t size;
        const char *text = lua_tolstring(L, -1, &size);
        const char *path = vm_opt_string(L, -2, "path", "");
        code = scripts_add(scripts, path, text, size, vm_opt_string(L, -2, "origin", path), err);
        lua_pop(L, 2);
    }
    if (code == 0)
        code = scripts_seal(scripts, err);
    if (code == 0)
        *out = scripts;
    else
        scripts_free(scripts);
    return code;
}

/* host.load{trigger=, actor=, scripts=} -> load | nil, err (code "busy") */
static int host_load(lua_State *L) {
    static const struct wait_ops ops = {load_push, load_cancel, load_free};
    struct generations *generations = own_generations(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    struct load_request request = {.trigger = vm_opt_string(L, 1, "trigger", "command"),
                                   .actor = vm_opt_string(L, 1, "actor", ""),
                                   .ended = load_over};
    struct err err;
    fiber_check(L);
    lua_getfield(L, 1, "scripts");
    if (lua_istable(L, -1) && read_list(L, lua_gettop(L), &request.scripts, &err) != 0)
        return vm_fail(L, &err);
    struct load_wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL) {
        scripts_free(request.scripts);
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    }
    wait->generations = generations;
    request.arg = wait;
    if (generations_load(generations, &request, &err) != 0) {
        free(wait);
        return vm_fail(L, &err);
    }
    return wait_begin(L, &wait->wait, &ops);
}

/* host.loads() -> { load, ... }, newest first */
static int host_loads(lua_State *L) {
    struct generations *generations = services_of(L)->generations;
    lua_newtable(L);
    const struct load *load;
    for (size_t i = 0; generations && (load = generations_last(generations, i)) != NULL; i++) {
        push_load(L, load);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* host.generations() -> { {name=, state=, since=, memory=, fibers=}, ... }, newest first */
static int host_generations(lua_State *L) {
    struct generations *generations = services_of(L)->generations;
    struct generation_view view;
    lua_newtable(L);
    for (size_t i = 0; generations && generations_view(generations, i, &view); i++) {
        lua_createtable(L, 0, 5);
        lua_pushstring(L, view.name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, view.state);
        lua_setfield(L, -2, "state");
        lua_pushnumber(L, loop_seconds() - view.since);
        lua_setfield(L, -2, "seconds");
        lua_pushnumber(L, (lua_Number)view.memory);
        lua_setfield(L, -2, "memory");
        lua_pushinteger(L, (lua_Integer)view.fibers);
        lua_setfield(L, -2, "fibers");
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* -- State that outlives a generation ---------------------------------------------------------- */

/* One process has one set: values as text, by name. */
static struct kept {
    struct kept *next;
    char *name, *text;
    size_t size;
} * kept_first;

static struct kept *find_kept(const char *name) {
    struct kept *kept = kept_first;
    while (kept != NULL && strcmp(kept->name, name) != 0)
        kept = kept->next;
    return kept;
}

/* host.kept(name) -> text | nil */
static int host_kept(lua_State *L) {
    const struct kept *kept = find_kept(luaL_checkstring(L, 1));
    if (kept == NULL || kept->text == NULL)
        return 0;
    lua_pushlstring(L, kept->text, kept->size);
    return 1;
}

/* host.keep(name, text | nil) */
static int host_keep(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    size_t size = 0;
    const char *text = lua_isnoneornil(L, 2) ? NULL : luaL_checklstring(L, 2, &size);
    struct kept *kept = find_kept(name);
    char *copy = text ? malloc(size + 1) : NULL;
    if (text != NULL && copy == NULL)
        return luaL_error(L, "out of memory");
    if (kept == NULL) {
        kept = calloc(1, sizeof *kept);
        if (kept == NULL || (kept->name = strdup(name)) == NULL) {
            free(kept);
            free(copy);
            return luaL_error(L, "out of memory");
        }
        kept->next = kept_first;
        kept_first = kept;
    }
    if (copy != NULL)
        memcpy(copy, text, size);
    free(kept->text);
    kept->text = copy;
    kept->size = size;
    return 0;
}

static const luaL_Reg functions[] = {
    {"activate", host_activate},
    {"on_retire", host_on_retire},
    {"loads", host_loads},
    {"generations", host_generations},
    {"kept", host_kept},
    {"keep", host_keep},
    {NULL, NULL},
};

static const luaL_Reg waits[] = {
    {"load", host_load},
    {NULL, NULL},
};

void lua_host_add_generations(lua_State *L) {
    luaL_register(L, NULL, functions);
    fiber_register(L, waits);
}
