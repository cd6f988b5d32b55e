/* What a database keeps as Lua values, and back. */
#include <math.h>
#include <string.h>

#include "bind/lua_db.h"

static const char blob_type[] = "stance.blob";

struct blob {
    size_t size;
    char bytes[];
};

/* -- From Lua ---------------------------------------------------------------------------------- */

int lua_db_new_blob(lua_State *L) {
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    struct blob *blob = lua_newuserdata(L, sizeof *blob + size);
    blob->size = size;
    memcpy(blob->bytes, bytes, size);
    luaL_getmetatable(L, blob_type);
    lua_setmetatable(L, -2);
    return 1;
}

static int blob_tostring(lua_State *L) {
    const struct blob *blob = luaL_checkudata(L, 1, blob_type);
    lua_pushfstring(L, "blob of %d bytes", (int)blob->size);
    return 1;
}

/* Pushes "parameter 2 of statement 1". */
static const char *push_place(lua_State *L, struct lua_db_place place) {
    if (place.statement == 0)
        return lua_pushfstring(L, "parameter %d", place.parameter);
    return lua_pushfstring(L, "parameter %d of statement %d", place.parameter, place.statement);
}

static struct db_value number_value(lua_State *L, int index, struct lua_db_place place) {
    double number = lua_tonumber(L, index);
    if (isnan(number))
        luaL_error(L, "%s is not a number (NaN): a database cannot keep it", push_place(L, place));
    /* The inner bound keeps the conversion defined; beyond it doubles are no longer exact integers
     * anyway. */
    if (fabs(number) <= 9007199254740992.0 && number == floor(number))
        return (struct db_value){.type = DB_INTEGER, .integer = (int64_t)number};
    return (struct db_value){.type = DB_REAL, .real = number};
}

static bool is_blob(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return false;
    luaL_getmetatable(L, blob_type);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

struct db_value lua_db_to_value(lua_State *L, int index, struct lua_db_place place) {
    struct db_value value = {.type = DB_NULL};
    switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL:
        return value;
    case LUA_TBOOLEAN:
        return (struct db_value){.type = DB_INTEGER, .integer = lua_toboolean(L, index)};
    case LUA_TNUMBER:
        return number_value(L, index, place);
    case LUA_TSTRING:
        value.type = DB_TEXT;
        value.bytes.data = lua_tolstring(L, index, &value.bytes.size);
        return value;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index) == NULL) /* db.null, and JSON's null */
            return value;
        break;
    case LUA_TUSERDATA:
        if (is_blob(L, index)) {
            const struct blob *blob = lua_touserdata(L, index);
            value.type = DB_BLOB;
            value.bytes.data = blob->bytes;
            value.bytes.size = blob->size;
            return value;
        }
        break;
    default:
        break;
    }
    luaL_error(L, "%s is a %s: a database keeps numbers, strings, booleans, db.null and db.blob()",
               push_place(L, place), luaL_typename(L, index));
    return value;
}

/* -- To Lua ------------------------------------------------------------------------------------ */

static void push_value(lua_State *L, const struct db_value *value) {
    switch (value->type) {
    case DB_INTEGER:
        lua_pushnumber(L, (lua_Number)value->integer);
        break;
    case DB_REAL:
        lua_pushnumber(L, value->real);
        break;
    case DB_TEXT:
    case DB_BLOB:
        lua_pushlstring(L, value->bytes.data, value->bytes.size);
        break;
    default:
        lua_pushnil(L);
    }
}

void lua_db_push_rows(lua_State *L, const struct db_rows *rows) {
    size_t count = db_rows_count(rows), columns = db_rows_columns(rows);
    lua_createtable(L, (int)count, 0);
    int list = lua_gettop(L);
    luaL_checkstack(L, (int)columns + 4, "too many columns");
    for (size_t column = 0; column < columns; column++)
        lua_pushstring(L, db_rows_name(rows, column));
    for (size_t row = 0; row < count; row++) {
        lua_createtable(L, 0, (int)columns);
        for (size_t column = 0; column < columns; column++) {
            lua_pushvalue(L, list + 1 + (int)column);
            push_value(L, db_rows_at(rows, row, column));
            lua_rawset(L, -3);
        }
        lua_rawseti(L, list, (int)row + 1);
    }
    lua_settop(L, list);
}

void lua_db_push_result(lua_State *L, const struct db_rows *rows) {
    lua_createtable(L, 0, 3);
    lua_db_push_rows(L, rows);
    lua_setfield(L, -2, "rows");
    lua_pushnumber(L, (lua_Number)db_rows_changes(rows));
    lua_setfield(L, -2, "changes");
    lua_pushnumber(L, (lua_Number)db_rows_last_id(rows));
    lua_setfield(L, -2, "last_id");
}

void lua_db_push_results(lua_State *L, const struct db_transaction *transaction) {
    size_t count = db_transaction_count(transaction);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_db_push_result(L, db_transaction_rows(transaction, i));
        lua_rawseti(L, -2, (int)i + 1);
    }
}

void lua_db_push_reason(lua_State *L, const struct db_transaction *transaction,
                        const struct err *err) {
    vm_push_err(L, err);
    int failed_at = db_transaction_failed_at(transaction);
    if (failed_at >= 0) {
        lua_pushinteger(L, failed_at + 1);
        lua_setfield(L, -2, "statement");
    }
}

int lua_db_push_failure(lua_State *L, const struct db_transaction *transaction,
                        const struct err *err) {
    lua_pushnil(L);
    lua_db_push_reason(L, transaction, err);
    return 2;
}

/* -- Types ------------------------------------------------------------------------------------- */

static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg blob_meta[] = {{"__tostring", blob_tostring}, {NULL, NULL}};

void lua_db_add_blob(lua_State *L) {
    vm_new_type(L, blob_type, no_methods, blob_meta);
}
