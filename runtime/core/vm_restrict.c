/* What scripts may not do: the part of a vm's libraries that blocks the loop, leaves the process or
 * reads bytecode. What people are used to is refused with a word on what to use instead; the rest
 * is gone. */
#include <string.h>

#include "core/vm_internal.h"

static const struct refusal {
    const char *table; /* NULL: a global function */
    const char *name;
    const char *why;
} refusals[] = {
    {"io", "open", "blocks the loop; use fs.open, fs.read or fs.write"},
    {"io", "lines", "blocks the loop; use fs.read"},
    {"io", "read", "blocks the loop; a script has no input but its parameters"},
    {"io", "write", "blocks the loop; use the module log, or job:log"},
    {"io", "close", "there are no files of io; use the close of what fs.open gave"},
    {"io", "input", "blocks the loop; use fs.open"},
    {"io", "output", "blocks the loop; use fs.open"},
    {"io", "popen", "blocks the loop; scripts start no processes"},
    {"io", "tmpfile", "blocks the loop; use step:artifact, or fs.write in a folder of fs.roots()"},
    {"io", "type", "there are no files of io; use fs.open"},
    {"os", "execute", "blocks the loop; scripts start no processes"},
    {"os", "exit", "would end the process; return, or raise an error"},
    {"os", "remove", "blocks the loop; use fs.remove"},
    {"os", "rename", "blocks the loop; use fs.rename"},
    {"os", "tmpname", "blocks the loop; use step:artifact, or fs.write in a folder of fs.roots()"},
    {"os", "getenv", "the environment holds secrets; use host.config for settings"},
    {"os", "setlocale", "would change the whole process; use string.format and time.format"},
    {NULL, "dofile", "blocks the loop; use require, which finds scripts of this generation"},
    {NULL, "loadfile", "blocks the loop; use require, which finds scripts of this generation"},
};

static const struct {
    const char *module, *why;
} foreign[] = {
    {"ffi", "is for built-in code only"},
    {"jit.util", "is for built-in code only"},
    {"jit.opt", "is for built-in code only"},
    {"jit.profile", "is for built-in code only"},
    {"socket", "blocks the loop; use http or ws"},
    {"socket.http", "blocks the loop; use http"},
    {"ssl.https", "blocks the loop; use http"},
    {"copas", "runs a loop of its own; use fiber, http and ws"},
    {"luv", "runs a loop of its own; use fiber, fs and http"},
    {"lfs", "blocks the loop; use fs.list, fs.stat and fs.mkdir"},
    {"posix", "blocks the loop; use fs, fiber and time"},
    {"cjson", "is called json here"},
    {"cjson.safe", "is called json here"},
    {"lsqlite3", "blocks the loop; use db in the host, objects and artifacts in a workflow"},
    {"io", "blocks the loop; use fs"},
};

const char *vm_instead_of(const char *module) {
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (strcmp(foreign[i].module, module) == 0)
            return foreign[i].why;
    return NULL;
}

static int refuse(lua_State *L) {
    const struct refusal *refusal = lua_touserdata(L, lua_upvalueindex(1));
    return luaL_error(L, "%s%s%s: %s", refusal->table ? refusal->table : "",
                      refusal->table ? "." : "", refusal->name, refusal->why);
}

/* io.stdout:write(...) and its like. */
static int refuse_stream(lua_State *L) {
    return luaL_error(L, "io.%s: blocks the loop; use the module log, or job:log",
                      lua_tostring(L, lua_upvalueindex(1)));
}

static void add_stream(lua_State *L, const char *name) {
    lua_newtable(L);
    lua_pushstring(L, name);
    lua_pushcclosure(L, refuse_stream, 1);
    lua_setfield(L, -2, "write");
    lua_setfield(L, -2, name);
}

void vm_push_refused(lua_State *L) {
    static const char *const harmless[] = {"clock", "date", "difftime", "time"};
    lua_newtable(L);
    lua_newtable(L);
    lua_setfield(L, -2, "io");
    lua_newtable(L);
    lua_getglobal(L, "os");
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
        lua_getfield(L, -1, harmless[i]);
        lua_setfield(L, -3, harmless[i]);
    }
    lua_pop(L, 1);
    lua_setfield(L, -2, "os");
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        lua_pushvalue(L, -1);
        if (refusals[i].table != NULL)
            lua_getfield(L, -1, refusals[i].table);
        lua_pushlightuserdata(L, (void *)&refusals[i]);
        lua_pushcclosure(L, refuse, 1);
        lua_setfield(L, -2, refusals[i].name);
        lua_pop(L, refusals[i].table != NULL ? 2 : 1);
    }
    lua_getfield(L, -1, "io");
    add_stream(L, "stdout");
    add_stream(L, "stderr");
    lua_pop(L, 1);
}

/* Gets what vm_push_refused pushes. */
static const char chunk[] =
    "local load_any = load\n"
    "local function load_text(chunk, name, _, env)\n"
    "  if env ~= nil then return load_any(chunk, name, 't', env) end\n"
    "  return load_any(chunk, name, 't')\n"
    "end\n"
    "load, loadstring = load_text, load_text\n"
    "for name, value in pairs(...) do _G[name] = value end\n"
    "newproxy, getfenv, gcinfo = nil\n"
    "debug = {traceback = debug.traceback, getinfo = debug.getinfo}\n"
    "package.loadlib, package.searchpath, package.cpath, package.path = nil, nil, '', ''\n"
    "jit = {os = jit.os, arch = jit.arch, version = jit.version, version_num = jit.version_num,\n"
    "  status = jit.status}\n"
    "package.loaded.io, package.loaded.os, package.loaded.debug = nil, os, debug\n"
    "package.loaded.jit = jit\n"
    "for _, name in ipairs {'ffi', 'jit.opt', 'jit.util', 'jit.profile'} do\n"
    "  package.loaded[name], package.preload[name] = nil, nil\n"
    "end\n"
    "string.dump = nil\n";

void vm_restrict(lua_State *L) {
    if (luaL_loadbuffer(L, chunk, sizeof chunk - 1, "=restrict") != 0)
        lua_error(L);
    vm_push_refused(L);
    lua_call(L, 1, 0);
}
