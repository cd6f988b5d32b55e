/* lua_json.c - the Lua module `json`: lua-cjson with the limits that untrusted text needs. */
#include "bind/modules.h"

int luaopen_cjson(lua_State *L);

enum { DEPTH_MAX = 64 };

static void set(lua_State *L, const char *option, int count) {
    lua_getfield(L, -1 - count, option);
    lua_insert(L, -1 - count);
    lua_call(L, count, 0);
}

int lua_open_json(lua_State *L) {
    lua_pushcfunction(L, luaopen_cjson);
    lua_call(L, 0, 1);
    lua_pushinteger(L, DEPTH_MAX);
    set(L, "decode_max_depth", 1);
    lua_pushinteger(L, DEPTH_MAX);
    set(L, "encode_max_depth", 1);
    lua_pushboolean(L, 0); /* NaN and infinity are no JSON */
    set(L, "decode_invalid_numbers", 1);
    return 1;
}
