/* lua_host.c - the Lua module `host`: what process this is, its scripts and settings, and how it
 * ends. */
#include "bind/lua_host.h"

#include <string.h>
#include <unistd.h>

#include "core/config.h"
#include "core/generations.h"
#include "core/log.h"
#include "core/metrics_process.h"
#include "core/scripts.h"
#include "core/version.h"

static struct scripts *own_scripts(lua_State *L) {
    struct scripts *scripts = vm_scripts(vm_of(L));
    if (scripts == NULL)
        luaL_error(L, "this process has no generation of scripts");
    return scripts;
}

static int host_generation(lua_State *L) {
    lua_pushstring(L, scripts_name(own_scripts(L)));
    return 1;
}

/* host.scripts() -> { {path=, hash=, size=, origin=, known=}, ... } */
static int host_scripts(lua_State *L) {
    struct scripts *scripts = own_scripts(L);
    lua_createtable(L, (int)scripts_count(scripts), 0);
    for (size_t i = 0; i < scripts_count(scripts); i++) {
        const struct script *script = scripts_at(scripts, i);
        lua_createtable(L, 0, 5);
        lua_pushstring(L, script->path);
        lua_setfield(L, -2, "path");
        lua_pushstring(L, script->hash);
        lua_setfield(L, -2, "hash");
        lua_pushinteger(L, (lua_Integer)script->size);
        lua_setfield(L, -2, "size");
        lua_pushstring(L, script->origin);
        lua_setfield(L, -2, "origin");
        lua_pushboolean(L, script->known);
        lua_setfield(L, -2, "known");
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int host_script(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    const struct script *script = scripts_find(own_scripts(L), path);
    if (script == NULL)
        return vm_failf(L, ERR_NOT_FOUND, "there is no script %s in this generation", path);
    lua_pushlstring(L, script->text, script->size);
    return 1;
}

static int host_config(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    const struct config *config = services_of(L)->config;
    const struct config_setting *setting = config_setting_find(name);
    luaL_argcheck(L, setting != NULL, 1, "there is no such setting");
    luaL_argcheck(L, !setting->secret, 1, "secrets are not given to scripts");
    switch (setting->type) {
    case CONFIG_BOOL:
        lua_pushboolean(L, config_bool(config, name));
        return 1;
    case CONFIG_INT:
    case CONFIG_SIZE:
        lua_pushnumber(L, (lua_Number)config_int(config, name));
        return 1;
    case CONFIG_NUMBER:
    case CONFIG_DURATION:
        lua_pushnumber(L, config_number(config, name));
        return 1;
    case CONFIG_LIST:
    case CONFIG_PATHS:
        lua_newtable(L);
        const char *const *list = config_list(config, name);
        for (int i = 0; list && list[i]; i++) {
            lua_pushstring(L, list[i]);
            lua_rawseti(L, -2, i + 1);
        }
        return 1;
    default:
        lua_pushstring(L, config_string(config, name));
        return 1;
    }
}

static int host_uptime(lua_State *L) {
    lua_pushnumber(L, loop_seconds() - services_of(L)->started);
    return 1;
}

/* host.memory() -> {resident=bytes, vm=bytes} */
static int host_memory(lua_State *L) {
    size_t resident = 0;
    uv_resident_set_memory(&resident);
    lua_createtable(L, 0, 2);
    lua_pushnumber(L, (lua_Number)resident);
    lua_setfield(L, -2, "resident");
    lua_pushnumber(L, (lua_Number)vm_memory(vm_of(L)));
    lua_setfield(L, -2, "vm");
    return 1;
}

/* host.usage() -> {resident=bytes, cpu_seconds=, threads=} of this process */
static int host_usage(lua_State *L) {
    struct process_usage usage = {0};
    process_read_usage(getpid(), &usage);
    lua_createtable(L, 0, 3);
    lua_pushnumber(L, usage.resident);
    lua_setfield(L, -2, "resident");
    lua_pushnumber(L, usage.cpu_seconds);
    lua_setfield(L, -2, "cpu_seconds");
    lua_pushnumber(L, usage.threads);
    lua_setfield(L, -2, "threads");
    return 1;
}

static int host_lag(lua_State *L) {
    lua_pushnumber(L, loop_lag(services_of(L)->loop));
    return 1;
}

static int host_ready(lua_State *L) {
    const char *url = luaL_checkstring(L, 1);
    struct services *services = services_of(L);
    if (services->ready != NULL)
        services->ready(services, url);
    return 0;
}

static int host_on_stop(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    vm_set_hook(L, VM_ON_STOP);
    return 0;
}

/* host.stop([exit_code]): ends the process's loop after the present callback. */
static int host_stop(lua_State *L) {
    struct services *services = services_of(L);
    services->exit_code = luaL_optint(L, 1, 0);
    loop_stop(services->loop);
    return 0;
}

static void stop_ended(struct fiber *fiber, lua_State *co, int count, const struct err *err,
                       void *arg) {
    (void)fiber, (void)co, (void)count;
    struct services *services = arg;
    if (err != NULL)
        log_error("host", "stopping failed: %s", err->message);
    loop_stop(services->loop);
}

bool lua_host_begin_stop(struct vm *vm, const char *reason) {
    return vm_run_hook(vm, VM_ON_STOP, reason, stop_ended, vm_host(vm));
}

static const luaL_Reg functions[] = {
    {"generation", host_generation},
    {"scripts", host_scripts},
    {"script", host_script},
    {"config", host_config},
    {"uptime", host_uptime},
    {"memory", host_memory},
    {"lag", host_lag},
    {"usage", host_usage},
    {"ready", host_ready},
    {"on_stop", host_on_stop},
    {"stop", host_stop},
    {NULL, NULL},
};

int lua_open_host(lua_State *L) {
    struct services *services = services_of(L);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_pushstring(L, services->role);
    lua_setfield(L, -2, "role");
    lua_pushliteral(L, STANCE_VERSION);
    lua_setfield(L, -2, "version");
    lua_pushstring(L, services->data_dir);
    lua_setfield(L, -2, "data_dir");
    lua_pushinteger(L, services->worker_index);
    lua_setfield(L, -2, "worker_index");
    lua_pushinteger(L, getpid());
    lua_setfield(L, -2, "pid");
    lua_host_add_workers(L);
    lua_host_add_link(L);
    lua_host_add_generations(L);
    lua_host_add_signals(L);
    return 1;
}
