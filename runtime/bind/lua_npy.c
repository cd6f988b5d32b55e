/* lua_npy.c - the Lua module `npy`: arrays of numbers for NumPy. */
#include "bind/modules.h"
#include "media/npy.h"

static const char npy_type[] = "stance.npy";

static struct npy *check_npy(lua_State *L) {
    return luaL_checkudata(L, 1, npy_type);
}

/* npy.new(shape) */
static int npy_new(lua_State *L) {
    uint32_t shape[NPY_DIMENSIONS], dimensions;
    struct err err;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argcheck(L, lua_objlen(L, 1) <= NPY_DIMENSIONS, 1, "a row has at most 8 dimensions");
    dimensions = (uint32_t)lua_objlen(L, 1);
    for (uint32_t i = 0; i < dimensions; i++) {
        lua_rawgeti(L, 1, (int)i + 1);
        lua_Number length = lua_tonumber(L, -1);
        luaL_argcheck(L, length >= 1 && length <= INT32_MAX, 1, "a length is 1 or more");
        shape[i] = (uint32_t)length;
        lua_pop(L, 1);
    }
    struct npy *npy = lua_newuserdata(L, sizeof *npy);
    *npy = (struct npy){0};
    luaL_getmetatable(L, npy_type);
    lua_setmetatable(L, -2);
    return npy_init(npy, shape, dimensions, &err) == 0 ? 1 : vm_fail(L, &err);
}

/* array:append(numbers) */
static int npy_append(lua_State *L) {
    struct npy *npy = check_npy(L);
    struct err err;
    float *row;
    luaL_checktype(L, 2, LUA_TTABLE);
    if (lua_objlen(L, 2) != npy->row_length)
        return luaL_error(L, "a row has %d numbers, not %d", (int)npy->row_length,
                          (int)lua_objlen(L, 2));
    if (npy_add(npy, &row, &err) != 0)
        return vm_fail(L, &err);
    for (size_t i = 0; i < npy->row_length; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        row[i] = (float)lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int npy_rows(lua_State *L) {
    lua_pushnumber(L, (lua_Number)check_npy(L)->rows);
    return 1;
}

static int npy_bytes(lua_State *L) {
    struct npy *npy = check_npy(L);
    char head[NPY_HEAD_SIZE];
    size_t size;
    const void *data = npy_data(npy, &size);
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    npy_head(npy, head);
    luaL_addlstring(&out, head, sizeof head);
    luaL_addlstring(&out, data ? data : "", size);
    luaL_pushresult(&out);
    return 1;
}

static int npy_gc(lua_State *L) {
    npy_deinit(check_npy(L));
    return 0;
}

static int npy_tostring(lua_State *L) {
    lua_pushfstring(L, "npy (%d rows)", (int)check_npy(L)->rows);
    return 1;
}

static const luaL_Reg methods[] = {
    {"append", npy_append},
    {"rows", npy_rows},
    {"bytes", npy_bytes},
    {NULL, NULL},
};
static const luaL_Reg meta[] = {
    {"__gc", npy_gc},
    {"__tostring", npy_tostring},
    {NULL, NULL},
};
static const luaL_Reg functions[] = {{"new", npy_new}, {NULL, NULL}};

int lua_open_npy(lua_State *L) {
    vm_new_type(L, npy_type, methods, meta);
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
