/* `pairs` and `next` that keep their loops whole.
 *
 * LuaJIT gives loops over pairs() and next a bytecode of their own, ITERN. When such a loop cannot
 * be compiled and its attempts are given up (one loop in the other is enough), the LuaJIT of March
 * 2022, which Debian 12 has, ends it after its first entry from then on, and others lose an entry
 * as they are given up (LuaJIT issues 827 and 1510). A loop whose iterator is not LuaJIT's own
 * `next` loses that bytecode the first time it begins, before anything of it can be compiled; so
 * scripts get a `next` in Lua. An entry costs some 20 ns instead of 3 in compiled loops. */
#include "core/vm_internal.h"

/* Tail calls, so that what LuaJIT's own complain of lies in the caller's line. */
static const char chunk[] = "local type, own_next, own_pairs = type, next, pairs\n"
                            "local function next(object, key) return own_next(object, key) end\n"
                            "local function pairs(object)\n"
                            "  if type(object) ~= 'table' then return own_pairs(object) end\n"
                            "  return next, object, nil\n"
                            "end\n"
                            "_G.next, _G.pairs = next, pairs\n";

void vm_mend_pairs(lua_State *L) {
    if (luaL_loadbuffer(L, chunk, sizeof chunk - 1, "=pairs") != 0)
        lua_error(L);
    lua_call(L, 0, 0);
}
