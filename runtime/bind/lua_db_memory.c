/* db.memory: a database of its own, which answers at once. */
#include "bind/lua_db.h"
#include "store/db_memory.h"

static const char memory_type[] = "stance.db_memory";

/* What db.memory() returns is a table of functions; each holds the database as its upvalue. */
static struct db_memory *memory_of(lua_State *L) {
    return *(struct db_memory **)lua_touserdata(L, lua_upvalueindex(1));
}

static int memory_run(lua_State *L, struct lua_db_draft *draft, bool writes, bool single) {
    struct db_transaction *transaction = draft->transactions[0];
    struct err err;
    int code = writes ? db_memory_write(memory_of(L), transaction, &err)
                      : db_memory_read(memory_of(L), transaction, &err);
    int count = 1;
    if (code < 0)
        count = writes || !single ? lua_db_push_failure(L, transaction, &err) : vm_fail(L, &err);
    else if (!single)
        lua_db_push_results(L, transaction);
    else if (writes)
        lua_db_push_result(L, db_transaction_rows(transaction, 0));
    else
        lua_db_push_rows(L, db_transaction_rows(transaction, 0));
    lua_db_drop_draft(draft); /* the collector does not know how large it is */
    return count;
}

static int memory_query(lua_State *L) {
    return memory_run(L, lua_db_draft_arguments(L), false, true);
}

static int memory_read(lua_State *L) {
    return memory_run(L, lua_db_draft_list(L), false, false);
}

static int memory_exec(lua_State *L) {
    return memory_run(L, lua_db_draft_arguments(L), true, true);
}

static int memory_transaction(lua_State *L) {
    return memory_run(L, lua_db_draft_list(L), true, false);
}

static int memory_transactions(lua_State *L) {
    struct lua_db_draft *draft = lua_db_draft_lists(L);
    lua_createtable(L, (int)draft->count, 0);
    for (size_t i = 0; i < draft->count; i++) {
        struct err err;
        if (db_memory_write(memory_of(L), draft->transactions[i], &err) < 0)
            lua_db_push_reason(L, draft->transactions[i], &err);
        else
            lua_pushboolean(L, 1);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_db_drop_draft(draft);
    return 1;
}

static int memory_gc(lua_State *L) {
    struct db_memory **memory = lua_touserdata(L, 1);
    db_memory_close(*memory);
    *memory = NULL;
    return 0;
}

int lua_db_new_memory(lua_State *L) {
    static const luaL_Reg calls[] = {
        {"query", memory_query},
        {"read", memory_read},
        {"exec", memory_exec},
        {"transaction", memory_transaction},
        {"transactions", memory_transactions},
        {NULL, NULL},
    };
    lua_settop(L, 0);
    lua_createtable(L, 0, 7);
    struct db_memory **memory = lua_newuserdata(L, sizeof(struct db_memory *));
    *memory = NULL;
    luaL_getmetatable(L, memory_type);
    lua_setmetatable(L, 2);
    struct err err;
    if (db_memory_open(memory, &err) < 0)
        return vm_fail(L, &err);
    for (const luaL_Reg *call = calls; call->name != NULL; call++) {
        lua_pushvalue(L, 2);
        lua_pushcclosure(L, call->func, 1);
        lua_setfield(L, 1, call->name);
    }
    lua_pushcfunction(L, lua_db_new_blob);
    lua_setfield(L, 1, "blob");
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, 1, "null");
    lua_settop(L, 1);
    return 1;
}

/* -- Type -------------------------------------------------------------------------------------- */

static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg memory_meta[] = {{"__gc", memory_gc}, {NULL, NULL}};

void lua_db_add_memory(lua_State *L) {
    vm_new_type(L, memory_type, no_methods, memory_meta);
}
