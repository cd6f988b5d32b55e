#include "core/vm_internal.h"

#include <luajit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/metrics_vm.h"
#include "core/scripts.h"

static const char error_type[] = "stance.error";

static struct vm *vms; /* of this process, oldest first */

/* -- Memory ------------------------------------------------------------------------------------ */

/* By itself the collector waits until twice of what lives is in use, which may lie beyond the
 * limit. This only moves its thresholds, so it may be called while memory is handed out. */
static void hurry_collector(struct vm *vm, bool hurry) {
    vm->hurried = hurry;
    lua_gc(vm->L, LUA_GCSETPAUSE, hurry ? 110 : 200);
    lua_gc(vm->L, LUA_GCSETSTEPMUL, hurry ? 1000 : 200);
    if (hurry)
        lua_gc(vm->L, LUA_GCRESTART, 0);
}

/* The limit holds while scripts run. What the host itself does in the state (pushing arguments,
 * taking a traceback) is not protected: there a failure would be the end of the process. */
static void *allocate(void *ud, void *pointer, size_t old_size, size_t new_size) {
    struct vm *vm = ud;
    if (new_size == 0) {
        free(pointer);
        vm->memory -= old_size;
        return NULL;
    }
    size_t limit = vm->options.memory_limit;
    /* Shrinking must not fail: Lua relies on it. */
    size_t wanted = vm->memory + new_size - (pointer ? old_size : 0);
    if (limit > 0 && wanted > vm->memory) {
        if (vm->confined && wanted > limit)
            return NULL;
        if (vm->L != NULL && vm->hurried != (wanted > limit / 2))
            hurry_collector(vm, !vm->hurried);
    }
    void *grown = realloc(pointer, new_size);
    if (grown != NULL)
        vm->memory = wanted;
    return grown;
}

static int panic(lua_State *L) {
    log_error("vm", "unprotected Lua error: %s", lua_tostring(L, -1));
    abort();
}

/* -- Errors ------------------------------------------------------------------------------------ */

static int error_tostring(lua_State *L) {
    lua_getfield(L, 1, "message");
    if (!lua_isstring(L, -1))
        lua_pushliteral(L, "unknown error");
    return 1;
}

static void push_error(lua_State *L, const char *code, const char *message) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    luaL_getmetatable(L, error_type);
    lua_setmetatable(L, -2);
}

void vm_push_err(lua_State *L, const struct err *err) {
    push_error(L, err_name(err->code), err->message);
}

int vm_fail(lua_State *L, const struct err *err) {
    lua_pushnil(L);
    vm_push_err(L, err);
    return 2;
}

int vm_failf(lua_State *L, enum err_code code, const char *format, ...) {
    struct err err = {.code = code};
    va_list args;
    va_start(args, format);
    vsnprintf(err.message, sizeof err.message, format, args);
    va_end(args);
    return vm_fail(L, &err);
}

void vm_to_err(lua_State *L, int index, struct err *err) {
    if (err == NULL)
        return;
    err->code = ERR_INTERNAL;
    if (lua_type(L, index) == LUA_TTABLE) {
        lua_pushvalue(L, index);
        lua_pushliteral(L, "code");
        lua_rawget(L, -2);
        if (lua_type(L, -1) == LUA_TSTRING)
            err->code = err_from_name(lua_tostring(L, -1));
        lua_pop(L, 1);
        lua_pushliteral(L, "message");
        lua_rawget(L, -2);
        snprintf(err->message, sizeof err->message, "%s",
                 lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "(a table was raised)");
        lua_pop(L, 2);
    } else if (lua_isstring(L, index)) {
        lua_pushvalue(L, index);
        snprintf(err->message, sizeof err->message, "%s", lua_tostring(L, -1));
        lua_pop(L, 1);
        if (strcmp(err->message, "not enough memory") == 0)
            err->code = ERR_NO_MEMORY;
    } else {
        snprintf(err->message, sizeof err->message, "(a %s was raised)", luaL_typename(L, index));
    }
}

/* err(code, format, ...): the error table, for scripts (module "stance.err"). */
static int make_error(lua_State *L) {
    const char *code = luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    if (lua_gettop(L) > 2) {
        lua_getglobal(L, "string");
        lua_getfield(L, -1, "format");
        lua_replace(L, -2);
        lua_insert(L, 2);
        lua_call(L, lua_gettop(L) - 2, 1);
    }
    push_error(L, code, "");
    lua_pushvalue(L, 2); /* whole: it may hold a zero byte */
    lua_setfield(L, -2, "message");
    return 1;
}

static int open_err(lua_State *L) {
    lua_pushcfunction(L, make_error);
    return 1;
}

/* -- Calls ------------------------------------------------------------------------------------- */

/* Written on the main state: the stack of `co` may be what has run over. */
void vm_keep_traceback(struct vm *vm, lua_State *co) {
    const char *text = lua_type(co, -1) == LUA_TSTRING ? lua_tostring(co, -1) : NULL;
    luaL_traceback(vm->L, co, text, co == vm->L ? 1 : 0);
    free(vm->traceback);
    vm->traceback = strdup(lua_tostring(vm->L, -1));
    lua_pop(vm->L, 1);
}

static int on_error(lua_State *L) {
    struct vm *vm = vm_of(L);
    bool confined = vm_confine(vm, false);
    vm_keep_traceback(vm, L);
    vm_confine(vm, confined);
    return 1;
}

bool vm_confine(struct vm *vm, bool confined) {
    bool former = vm->confined;
    vm->confined = confined;
    return former;
}

int vm_call(lua_State *L, int argument_count, int result_count, struct err *err) {
    struct vm *vm = vm_of(L);
    int handler = lua_gettop(L) - argument_count;
    bool confined = vm_confine(vm, false);
    lua_pushcfunction(L, on_error);
    lua_insert(L, handler);
    vm_confine(vm, true);
    int status = lua_pcall(L, argument_count, result_count, handler);
    vm_confine(vm, confined);
    lua_remove(L, handler);
    if (status == 0)
        return 0;
    struct err local;
    if (err == NULL)
        err = &local;
    vm_to_err(L, -1, err);
    lua_pop(L, 1);
    if (status == LUA_ERRMEM) {
        err->code = ERR_NO_MEMORY;
        lua_gc(L, LUA_GCCOLLECT, 0); /* the next call must not stumble over this one's garbage */
    }
    return err->code;
}

const char *vm_traceback(const struct vm *vm) {
    return vm->traceback ? vm->traceback : "";
}

/* -- Scripts ----------------------------------------------------------------------------------- */

static int load_script(lua_State *L, const struct script *script) {
    char chunk[512];
    snprintf(chunk, sizeof chunk, "@%s",
             script->path); /* short enough to stand in messages whole */
    return luaL_loadbufferx(L, script->text, script->size, chunk, "t");
}

int vm_load(lua_State *L, const char *path, struct err *err) {
    struct scripts *scripts = vm_of(L)->options.scripts;
    const struct script *script = scripts ? scripts_find(scripts, path) : NULL;
    if (script == NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no script %s", path);
    if (load_script(L, script) == 0)
        return 0;
    err_set(err, ERR_INVALID, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    return ERR_INVALID;
}

/* package.loaders: require "stance.job" finds stance/job.lua of this generation. */
static int find_script(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    struct scripts *scripts = vm_of(L)->options.scripts;
    char path[512];
    size_t length = strlen(name);
    if (scripts == NULL || length + 5 > sizeof path) {
        lua_pushfstring(L, "\n\tno script for module '%s'", name);
        return 1;
    }
    for (size_t i = 0; i < length; i++)
        path[i] = name[i] == '.' ? '/' : name[i];
    memcpy(path + length, ".lua", 5);
    const struct script *script = scripts_find(scripts, path);
    if (script == NULL) {
        lua_pushfstring(L, "\n\tno script '%s' in this generation", path);
        return 1;
    }
    if (load_script(L, script) != 0)
        return lua_error(L);
    return 1;
}

/* package.loaders: the C modules of runtime/bind. */
static int find_module(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    for (const struct vm_module *module = vm_of(L)->options.modules; module && module->name;
         module++)
        if (strcmp(module->name, name) == 0) {
            lua_pushcfunction(L, module->open);
            return 1;
        }
    const char *why = vm_instead_of(name);
    lua_pushfstring(L, "\n\tno module '%s' in the runtime%s%s", name, why ? ": it " : "",
                    why ? why : "");
    return 1;
}

static void set_loaders(lua_State *L, bool keep_standard) {
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaders");
    int count = (int)lua_objlen(L, -1);
    if (!keep_standard)
        for (int i = count; i > 1; i--) { /* the first one is package.preload */
            lua_pushnil(L);
            lua_rawseti(L, -2, i);
        }
    else
        for (int i = count; i > 1; i--) {
            lua_rawgeti(L, -1, i);
            lua_rawseti(L, -2, i + 2);
        }
    lua_pushcfunction(L, find_module);
    lua_rawseti(L, -2, 2);
    lua_pushcfunction(L, find_script);
    lua_rawseti(L, -2, 3);
    lua_pop(L, 1);
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, open_err);
    lua_setfield(L, -2, "stance.err");
    lua_pop(L, 2);
}

/* -- Libraries --------------------------------------------------------------------------------- */

static int open_libraries(lua_State *L) {
    struct vm *vm = vm_of(L);
    luaL_openlibs(L);
    vm_mend_pairs(L);
    vm_new_type(L, error_type, (const luaL_Reg[]){{NULL, NULL}},
                (const luaL_Reg[]){{"__tostring", error_tostring}, {NULL, NULL}});
    lua_pop(L, 1);
    set_loaders(L, vm->options.unrestricted);
    if (!vm->options.jit) {
        lua_getglobal(L, "jit");
        lua_getfield(L, -1, "off");
        lua_call(L, 0, 0);
        lua_pop(L, 1);
    }
    if (!vm->options.unrestricted)
        vm_restrict(L);
    return 0;
}

/* Where a state with LuaJIT's own allocator keeps its vm: the registry, under this address. */
static const char vm_key;

/* LuaJIT without GC64 (Ubuntu 22.04) takes no allocator of ours on 64-bit machines: there the limit
 * cannot be kept. */
static lua_State *new_state(struct vm *vm) {
    lua_State *L = lua_newstate(allocate, vm);
    if (L != NULL || (L = luaL_newstate()) == NULL)
        return L;
    if (vm->options.memory_limit > 0)
        log_warn("vm",
                 "this LuaJIT takes no allocator, so the scripts of '%s' have no memory limit",
                 vm->name);
    lua_pushlightuserdata(L, (void *)&vm_key);
    lua_pushlightuserdata(L, vm);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return L;
}

int vm_new(struct loop *loop, const struct vm_options *options, struct vm **out, struct err *err) {
    struct vm *vm = calloc(1, sizeof *vm);
    if (vm == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    vm->options = *options;
    vm->loop = loop;
    vm->fetch_ref = LUA_NOREF;
    vm->ready.last = &vm->ready.first;
    vm->name = strdup(options->name ? options->name : "vm");
    vm->L = vm->name ? new_state(vm) : NULL;
    if (vm->L == NULL) {
        free(vm->name);
        free(vm);
        return err_set(err, ERR_NO_MEMORY, "no memory for a Lua state");
    }
    lua_atpanic(vm->L, panic);
    if (options->guard_seconds > 0)
        vm->guard = guard_new(options->guard_seconds);
    struct err why;
    lua_pushcfunction(vm->L, open_libraries);
    if (vm_call(vm->L, 0, 0, &why) != 0) {
        vm_free(vm);
        return err_set(err, why.code, "cannot open the Lua libraries: %.400s", why.message);
    }
    metrics_vm_start();
    struct vm **last = &vms;
    while (*last != NULL)
        last = &(*last)->next;
    *last = vm;
    *out = vm;
    return 0;
}

static void unlink_vm(const struct vm *vm) {
    struct vm **at = &vms;
    while (*at != NULL && *at != vm)
        at = &(*at)->next;
    if (*at != NULL)
        *at = vm->next;
}

void vm_free(struct vm *vm) {
    if (vm == NULL)
        return;
    unlink_vm(vm);
    vm->closing = true;
    fiber_close_all(vm);
    while (vm->owned != NULL) {
        struct vm_owned *owned = vm->owned;
        vm_disown(owned);
        owned->close(owned);
    }
    lua_close(vm->L);
    guard_release(vm->guard);
    free(vm->traceback);
    free(vm->name);
    free(vm);
}

/* -- What a vm knows --------------------------------------------------------------------------- */

lua_State *vm_lua(struct vm *vm) {
    return vm->L;
}

struct vm *vm_of(lua_State *L) {
    void *ud;
    if (lua_getallocf(L, &ud) == allocate)
        return ud;
    lua_pushlightuserdata(L, (void *)&vm_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    struct vm *vm = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return vm;
}

struct loop *vm_loop(struct vm *vm) {
    return vm->loop;
}

void *vm_host(struct vm *vm) {
    return vm->options.host;
}

struct scripts *vm_scripts(struct vm *vm) {
    return vm->options.scripts;
}

void vm_set_guard(struct vm *vm, struct guard *guard) {
    if (guard != NULL)
        guard_retain(guard);
    guard_release(vm->guard);
    vm->guard = guard;
}

void vm_set_memory_limit(struct vm *vm, size_t limit) {
    vm->options.memory_limit = limit;
    if (limit == 0 && vm->hurried)
        hurry_collector(vm, false);
}

void vm_set_jit(struct vm *vm, bool on) {
    vm->options.jit = on;
    luaJIT_setmode(vm->L, 0, LUAJIT_MODE_ENGINE | (on ? LUAJIT_MODE_ON : LUAJIT_MODE_OFF));
}

size_t vm_memory(const struct vm *vm) {
    void *ud;
    if (lua_getallocf(vm->L, &ud) == allocate)
        return vm->memory;
    return (size_t)lua_gc(vm->L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(vm->L, LUA_GCCOUNTB, 0);
}

const char *vm_name(const struct vm *vm) {
    return vm->name;
}

struct vm *vm_next(const struct vm *vm) {
    return vm ? vm->next : vms;
}

/* -- Ownership --------------------------------------------------------------------------------- */

void vm_own(struct vm *vm, struct vm_owned *owned, void (*close)(struct vm_owned *owned)) {
    owned->close = close;
    owned->next = vm->owned;
    owned->previous = &vm->owned;
    if (vm->owned != NULL)
        vm->owned->previous = &owned->next;
    vm->owned = owned;
}

void vm_disown(struct vm_owned *owned) {
    if (owned->previous == NULL)
        return;
    *owned->previous = owned->next;
    if (owned->next != NULL)
        owned->next->previous = owned->previous;
    owned->previous = NULL;
    owned->next = NULL;
}

size_t vm_owned_count(const struct vm *vm) {
    size_t count = 0;
    for (const struct vm_owned *owned = vm->owned; owned != NULL; owned = owned->next)
        count++;
    return count;
}

/* -- Helpers ----------------------------------------------------------------------------------- */

void vm_new_type(lua_State *L, const char *name, const luaL_Reg *methods, const luaL_Reg *meta) {
    if (!luaL_newmetatable(L, name))
        return;
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    luaL_register(L, NULL, meta);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushliteral(L, "locked");
    lua_setfield(L, -2, "__metatable");
}

void *vm_userdata_at(lua_State *L, int index, const char *name) {
    void *data = lua_touserdata(L, index);
    if (data == NULL || lua_getmetatable(L, index) == 0)
        return NULL;
    luaL_getmetatable(L, name);
    bool same = lua_rawequal(L, -1, -2) != 0;
    lua_pop(L, 2);
    return same ? data : NULL;
}

/* Pushes the field, or returns false when the table or the field is not there. */
static bool push_field(lua_State *L, int index, const char *field) {
    if (lua_isnoneornil(L, index))
        return false;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_getfield(L, index, field);
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

static void wrong_type(lua_State *L, const char *field, const char *wanted) {
    luaL_error(L, "option '%s' must be a %s, not a %s", field, wanted, luaL_typename(L, -1));
}

double vm_opt_number(lua_State *L, int index, const char *field, double otherwise) {
    if (!push_field(L, index, field))
        return otherwise;
    if (lua_type(L, -1) != LUA_TNUMBER)
        wrong_type(L, field, "number");
    double value = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

bool vm_opt_boolean(lua_State *L, int index, const char *field, bool otherwise) {
    if (!push_field(L, index, field))
        return otherwise;
    if (!lua_isboolean(L, -1))
        wrong_type(L, field, "boolean");
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

const char *vm_opt_string(lua_State *L, int index, const char *field, const char *otherwise) {
    if (!push_field(L, index, field))
        return otherwise;
    if (lua_type(L, -1) != LUA_TSTRING)
        wrong_type(L, field, "string");
    const char *value = lua_tostring(L, -1);
    lua_pushstring(L, field);
    lua_rawget(L, index < 0 ? index - 2 : index);
    if (lua_rawequal(L, -1, -2) == 0)
        luaL_error(L, "option '%s' must be in the table itself, not in its metatable", field);
    lua_pop(L, 2); /* the table still holds it */
    return value;
}
