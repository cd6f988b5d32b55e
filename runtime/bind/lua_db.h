/* lua_db.h - what lua_db.c (the module) and lua_db_values.c (its values) share; nobody else
 * includes it. */
#ifndef STANCE_BIND_LUA_DB_H
#define STANCE_BIND_LUA_DB_H

#include "bind/modules.h"
#include "store/db.h"

/* Which parameter is spoken of: both count from 1; statement 0 where there is only one. */
struct lua_db_place {
    int parameter, statement;
};

/* Its bytes stay those of the Lua value. Raises for what a database cannot keep. */
struct db_value lua_db_to_value(lua_State *L, int index, struct lua_db_place place);

/* Pushes the list of rows of one statement; {rows, changes, last_id} of one; a list of these. */
void lua_db_push_rows(lua_State *L, const struct db_rows *rows);
void lua_db_push_result(lua_State *L, const struct db_rows *rows);
void lua_db_push_results(lua_State *L, const struct db_transaction *transaction);

/* Pushes why a transaction failed, with the statement; and nil before it, returning 2. */
void lua_db_push_reason(lua_State *L, const struct db_transaction *transaction,
                        const struct err *err);
int lua_db_push_failure(lua_State *L, const struct db_transaction *transaction,
                        const struct err *err);

/* Transactions that the collector owns until they are sent. Who takes them sets `count` to 0. */
struct lua_db_draft {
    size_t count;
    struct db_transaction *transactions[];
};

/* Push a draft: one transaction of the arguments (sql, ...); one of the list of statements at index
 * 1; those of the list of such lists at index 1. */
struct lua_db_draft *lua_db_draft_arguments(lua_State *L);
struct lua_db_draft *lua_db_draft_list(lua_State *L);
struct lua_db_draft *lua_db_draft_lists(lua_State *L);
void lua_db_drop_draft(struct lua_db_draft *draft); /* now, not when the collector comes */

/* db.blob, db.memory, and the types. */
int lua_db_new_blob(lua_State *L);
int lua_db_new_memory(lua_State *L);
void lua_db_add_blob(lua_State *L);
void lua_db_add_draft(lua_State *L);
void lua_db_add_memory(lua_State *L);

#endif
