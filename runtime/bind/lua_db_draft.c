/* Drafts: transactions that the collector owns until they are sent. */
#include <string.h>

#include "bind/lua_db.h"

static const char draft_type[] = "stance.db_draft";

enum {
    MAX_VALUES = 32766, /* what SQLite takes in one statement */
    FEW_VALUES = 24,    /* that are bound from the C stack */
};

/* -- Making them ------------------------------------------------------------------------------ */

/* Of `count` empty transactions, on top of the stack. */
static struct lua_db_draft *new_draft(lua_State *L, size_t count) {
    struct lua_db_draft *draft =
        lua_newuserdata(L, sizeof *draft + count * sizeof *draft->transactions);
    draft->count = 0;
    luaL_getmetatable(L, draft_type);
    lua_setmetatable(L, -2);
    for (; draft->count < count; draft->count++) {
        draft->transactions[draft->count] = db_transaction_new();
        if (draft->transactions[draft->count] == NULL)
            luaL_error(L, "not enough memory");
    }
    return draft;
}

void lua_db_drop_draft(struct lua_db_draft *draft) {
    for (size_t i = 0; i < draft->count; i++)
        db_transaction_free(draft->transactions[i]);
    draft->count = 0;
}

static int draft_gc(lua_State *L) {
    lua_db_drop_draft(lua_touserdata(L, 1));
    return 0;
}

/* Room for `count` values: `few`, or from the collector where those do not do (pushes one value
 * either way). */
static struct db_value *values_room(lua_State *L, struct db_value few[FEW_VALUES], int count) {
    if (count > FEW_VALUES)
        return lua_newuserdata(L, (size_t)count * sizeof *few);
    lua_pushnil(L);
    return few;
}

static void add(lua_State *L, struct db_transaction *transaction, const char *sql,
                const struct db_value *values, int count, bool pad, int64_t expect) {
    struct err err;
    if (db_transaction_add(transaction, sql, values, (size_t)count, pad, expect, &err) < 0)
        luaL_error(L, "%s", err.message);
}

/* A text with a zero byte inside would run cut short. */
static const char *check_sql(lua_State *L, int index) {
    size_t size;
    const char *sql = lua_tolstring(L, index, &size);
    if (strlen(sql) != size)
        luaL_error(L, "the statement holds a zero byte");
    return sql;
}

struct lua_db_draft *lua_db_draft_arguments(lua_State *L) {
    luaL_checktype(L, 1, LUA_TSTRING);
    const char *sql = check_sql(L, 1);
    int count = lua_gettop(L) - 1;
    struct lua_db_draft *draft = new_draft(L, 1);
    struct db_value few[FEW_VALUES], *values = values_room(L, few, count);
    for (int i = 0; i < count; i++)
        values[i] = lua_db_to_value(L, i + 2, (struct lua_db_place){i + 1, 0});
    add(L, draft->transactions[0], sql, values, count, false, DB_ANY);
    return draft;
}

/* How many values follow the text in the table on top: what `n` says, else up to the last that is
 * not nil. */
static int value_count(lua_State *L, int statement) {
    lua_getfield(L, -1, "n");
    lua_Number count = lua_tonumber(L, -1);
    bool given = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (!given) {
        for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
            if (lua_type(L, -2) == LUA_TNUMBER && lua_tonumber(L, -2) - 1 > count)
                count = lua_tonumber(L, -2) - 1;
    }
    if (!(count >= 0 && count <= MAX_VALUES))
        luaL_error(L, "statement %d has too many parameters (at most %d)", statement, MAX_VALUES);
    return (int)count;
}

/* The table {sql, p1, p2, ..., n = , expect = } on top. */
static void add_statement(lua_State *L, struct db_transaction *transaction, int statement) {
    if (!lua_istable(L, -1))
        luaL_error(L, "statement %d is a %s, not a table {sql, parameters...}", statement,
                   luaL_typename(L, -1));
    lua_rawgeti(L, -1, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "statement %d does not begin with its text", statement);
    const char *sql = check_sql(L, -1); /* the table keeps it alive */
    lua_pop(L, 1);
    int64_t expect = (int64_t)vm_opt_number(L, lua_gettop(L), "expect", DB_ANY);
    int count = value_count(L, statement);
    struct db_value few[FEW_VALUES], *values = values_room(L, few, count);
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, -2, i + 2);
        values[i] = lua_db_to_value(L, -1, (struct lua_db_place){i + 1, statement});
        lua_pop(L, 1); /* the table keeps its bytes alive */
    }
    add(L, transaction, sql, values, count, true, expect);
    lua_pop(L, 1);
}

/* The list of statements at `index`, which is positive. */
static void add_statements(lua_State *L, struct db_transaction *transaction, int index) {
    int count = lua_istable(L, index) ? (int)lua_objlen(L, index) : 0;
    luaL_argcheck(L, count > 0, 1, "a list of statements {{sql, parameters...}, ...} is needed");
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, index, i);
        add_statement(L, transaction, i);
        lua_pop(L, 1);
    }
}

struct lua_db_draft *lua_db_draft_list(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct lua_db_draft *draft = new_draft(L, 1);
    add_statements(L, draft->transactions[0], 1);
    return draft;
}

struct lua_db_draft *lua_db_draft_lists(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct lua_db_draft *draft = new_draft(L, lua_objlen(L, 1));
    for (size_t i = 0; i < draft->count; i++) {
        lua_rawgeti(L, 1, (int)i + 1);
        add_statements(L, draft->transactions[i], lua_gettop(L));
        lua_pop(L, 1);
    }
    return draft;
}

/* -- Type -------------------------------------------------------------------------------------- */

static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg draft_meta[] = {{"__gc", draft_gc}, {NULL, NULL}};

void lua_db_add_draft(lua_State *L) {
    vm_new_type(L, draft_type, no_methods, draft_meta);
}
