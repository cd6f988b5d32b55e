/* lua_json.c - the Lua module `json`: lua-cjson with the limits that untrusted text needs, and
 * empty lists.
 *
 * A Lua table that is empty says neither "list" nor "object"; cjson writes {}. json.array(list)
 * returns the list, or for an empty one a mark that encode turns into []. */
#include "bind/modules.h"

int luaopen_cjson(lua_State *L);

enum { DEPTH_MAX = 64 };

/* cjson escapes the zero bytes of the mark, so its encoded form begins with a rare character, which
 * makes the search cheap. A string of a client that is equal to the mark comes out as [] too: odd,
 * but valid JSON. */
static const char arrays_chunk[] =
    "local cjson = ...\n"
    "local mark, written = '\\0[]\\0', '\\\\u0000[]\\\\u0000'\n"
    "local encode, find, gsub = cjson.encode, string.find, string.gsub\n"
    "local json = {decode = cjson.decode, null = cjson.null}\n"
    "function json.encode(value)\n"
    "  local text = encode(value)\n"
    "  if not find(text, written, 1, true) then return text end\n"
    "  return (gsub(text, '\"\\\\u0000%[%]\\\\u0000\"', '[]'))\n"
    "end\n"
    "function json.array(list)\n"
    "  if list == nil then return {} end\n"
                                   "  if #list == 0 then return mark end\n"
    "  return list\n"
    "end\n"
    "return json\n";

static void set(lua_State *L, const char *option, int count) {
    lua_getfield(L, -1 - count, option);
    lua_insert(L, -1 - count);
    lua_call(L, count, 0);
}

int lua_open_json(lua_State *L) {
    if (luaL_loadbuffer(L, arrays_chunk, sizeof arrays_chunk - 1, "=json") != 0)
        return lua_error(L);
    lua_pushcfunction(L, luaopen_cjson);
    lua_call(L, 0, 1);
    lua_pushinteger(L, DEPTH_MAX);
    set(L, "decode_max_depth", 1);
    lua_pushinteger(L, DEPTH_MAX);
    set(L, "encode_max_depth", 1);
    lua_pushboolean(L, 0); /* NaN and infinity are no JSON */
    set(L, "decode_invalid_numbers", 1);
    lua_call(L, 1, 1);
    return 1;
}
