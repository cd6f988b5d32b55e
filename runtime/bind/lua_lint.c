/* lua_lint.c - the Lua module `lint`: what a script would touch outside itself, told from its
 * bytecode. The text is compiled in a Lua state of its own and never run. */
#include <string.h>

#include "bind/modules.h"

/* Gets the text and the chunk's name; returns a flat list: kind, line, name, field or false, ...;
 * or nil and what is wrong with the text. The numbers of the instructions differ between releases
 * of LuaJIT, so they are looked up in chunks that hold them. */
static const char walker[] =
    "local text, name = ...\n"
    "local util, band, rshift = require 'jit.util', bit.band, bit.rshift\n"
    "local function opcode(sample, at) return band(util.funcbc(load(sample), at), 255) end\n"
    "local GGET, GSET = opcode('return x', 1), opcode('x = 1', 2)\n"
    "local TGETS, KSTR = opcode('return x.y', 2), opcode('return \"x\"', 1)\n"
    "local found = {}\n"
    "local function add(...)\n"
    "  for i = 1, 4 do found[#found + 1] = (select(i, ...)) end\n"
    "end\n"
    "-- Is what is loaded at pc called two instructions later, and no argument of another call?\n"
    "local function calls(fn, pc)\n"
    "  local target, call = util.funcbc(fn, pc), util.funcbc(fn, pc + 2)\n"
    "  return call and band(rshift(target, 8), 255) == band(rshift(call, 8), 255)\n"
    "end\n"
    "local function walk(fn)\n"
    "  local info = util.funcinfo(fn)\n"
    "  local function text_at(pc, op, shift, mask)\n"
    "    local ins = util.funcbc(fn, pc)\n"
    "    if not ins or band(ins, 255) ~= op then return false end\n"
    "    return util.funck(fn, -band(rshift(ins, shift), mask) - 1)\n"
    "  end\n"
    "  for pc = 1, info.bytecodes - 1 do\n"
    "    local op = band(util.funcbc(fn, pc), 255)\n"
    "    if op == GGET or op == GSET then\n"
    "      local global = text_at(pc, op, 16, 65535)\n"
    "      local line = util.funcinfo(fn, pc).currentline\n"
    "      add(op == GGET and 'read' or 'write', line, global,\n"
    "        op == GGET and text_at(pc + 1, TGETS, 16, 255))\n"
    "      local module = global == 'require' and op == GGET and text_at(pc + 1, KSTR, 16, 65535)\n"
    "      if module and calls(fn, pc) then add('require', line, module, false) end\n"
    "    end\n"
    "  end\n"
    "  for i = -1, -info.gcconsts, -1 do\n"
    "    local constant = util.funck(fn, i)\n"
    "    if type(constant) == 'proto' then walk(constant) end\n"
    "  end\n"
    "end\n"
    "local fn, why = load(text, name, 't')\n"
    "if not fn then return nil, why end\n"
    "walk(fn)\n"
    "return found\n";

struct scan {
    const char *text, *name;
    size_t size;
};

/* In the other state: leaves the walker's two results. */
static int run_walker(lua_State *other) {
    const struct scan *scan = lua_touserdata(other, 1);
    luaL_openlibs(other);
    if (luaL_loadbuffer(other, walker, sizeof walker - 1, "=lint") != 0)
        return lua_error(other);
    lua_pushlstring(other, scan->text, scan->size);
    lua_pushstring(other, scan->name);
    lua_call(other, 2, 2);
    return 2;
}

/* {kind=, line=, name=, field=} from the four values before `last`. */
static void push_finding(lua_State *L, lua_State *other, int list, int first) {
    static const char *const fields[] = {"kind", "line", "name", "field"};
    lua_createtable(L, 0, 4);
    for (int i = 0; i < 4; i++) {
        lua_rawgeti(other, list, first + i);
        if (lua_type(other, -1) == LUA_TNUMBER)
            lua_pushinteger(L, lua_tointeger(other, -1));
        else if (lua_type(other, -1) == LUA_TSTRING)
            lua_pushstring(L, lua_tostring(other, -1));
        else
            lua_pushnil(L);
        lua_setfield(L, -2, fields[i]);
        lua_pop(other, 1);
    }
}

static int push_findings(lua_State *L, lua_State *other) {
    if (lua_isnil(other, 1))
        return vm_failf(L, ERR_INVALID, "%s", lua_tostring(other, 2));
    int count = (int)lua_objlen(other, 1);
    lua_createtable(L, count / 4, 0);
    for (int i = 0; i < count / 4; i++) {
        push_finding(L, other, 1, 4 * i + 1);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* lint.scan(text, name) -> {{kind=, line=, name=, field=}, ...} | nil, err */
static int lint_scan(lua_State *L) {
    struct scan scan;
    scan.text = luaL_checklstring(L, 1, &scan.size);
    scan.name = luaL_checkstring(L, 2);
    lua_State **box = lua_newuserdata(L, sizeof *box); /* closes it when pushing raises */
    *box = NULL;
    luaL_getmetatable(L, "stance.lint.state");
    lua_setmetatable(L, -2);
    lua_State *other = *box = luaL_newstate();
    if (other == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "no memory for a Lua state");
    lua_pushcfunction(other, run_walker);
    lua_pushlightuserdata(other, &scan);
    int count = lua_pcall(other, 1, 2, 0) == 0 ? push_findings(L, other)
                                               : vm_failf(L, ERR_INTERNAL, "cannot scan %s: %s",
                                                          scan.name, lua_tostring(other, -1));
    lua_close(other);
    *box = NULL;
    return count;
}

/* lint.refused() -> {io=, os=, dofile=, loadfile=} */
static int lint_refused(lua_State *L) {
    vm_push_refused(L);
    return 1;
}

static int state_gc(lua_State *L) {
    lua_State **box = lua_touserdata(L, 1);
    if (*box != NULL)
        lua_close(*box);
    *box = NULL;
    return 0;
}

int lua_open_lint(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"scan", lint_scan}, {"refused", lint_refused}, {NULL, NULL}};
    luaL_newmetatable(L, "stance.lint.state");
    lua_pushcfunction(L, state_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
