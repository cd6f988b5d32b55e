/* lua_db.c - the Lua module `db`: the host's database for scripts. What each function takes and
 * gives: lua/stance/meta/db.lua.
 *
 * Reads run on pool threads, writes on the database's writer; both wait in their fiber. A write
 * whose fiber is cancelled meanwhile still happens. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/modules.h"
#include "store/db.h"
#include "store/db_memory.h"

static const char draft_type[] = "stance.db_draft";
static const char memory_type[] = "stance.db_memory";
static const char blob_type[] = "stance.blob";

enum { MAX_VALUES = 32766 }; /* what SQLite takes in one statement */

struct blob {
    size_t size;
    char bytes[];
};

static struct db *db_of(lua_State *L) {
    return services_of(L)->db;
}

static int fail_closed(lua_State *L) {
    return vm_failf(L, ERR_UNSUPPORTED, "db is open in the host process only, this is a %s",
                    services_of(L)->role);
}

/* -- Values ------------------------------------------------------------------------------------ */

static int new_blob(lua_State *L) {
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

static struct db_value number_value(lua_State *L, int index, const char *what) {
    double number = lua_tonumber(L, index);
    if (isnan(number))
        luaL_error(L, "%s is not a number (NaN): a database cannot keep it", what);
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

/* Its bytes stay those of the Lua value. Raises for what a database cannot keep. */
static struct db_value to_value(lua_State *L, int index, const char *what) {
    struct db_value value = {.type = DB_NULL};
    switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL:
        return value;
    case LUA_TBOOLEAN:
        return (struct db_value){.type = DB_INTEGER, .integer = lua_toboolean(L, index)};
    case LUA_TNUMBER:
        return number_value(L, index, what);
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
               what, luaL_typename(L, index));
    return value;
}

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

static void push_rows(lua_State *L, const struct db_rows *rows) {
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

static void push_result(lua_State *L, const struct db_rows *rows) {
    lua_createtable(L, 0, 3);
    push_rows(L, rows);
    lua_setfield(L, -2, "rows");
    lua_pushnumber(L, (lua_Number)db_rows_changes(rows));
    lua_setfield(L, -2, "changes");
    lua_pushnumber(L, (lua_Number)db_rows_last_id(rows));
    lua_setfield(L, -2, "last_id");
}

static void push_results(lua_State *L, const struct db_transaction *transaction) {
    size_t count = db_transaction_count(transaction);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        push_result(L, db_transaction_rows(transaction, i));
        lua_rawseti(L, -2, (int)i + 1);
    }
}

static int push_failure(lua_State *L, const struct db_transaction *transaction,
                        const struct err *err) {
    vm_fail(L, err);
    int failed_at = db_transaction_failed_at(transaction);
    if (failed_at >= 0) {
        lua_pushinteger(L, failed_at + 1);
        lua_setfield(L, -2, "statement");
    }
    return 2;
}

/* -- Drafts: transactions that the collector owns until they are sent -------------------------- */

static struct db_transaction **new_draft(lua_State *L) {
    struct db_transaction **draft = lua_newuserdata(L, sizeof(struct db_transaction *));
    *draft = NULL;
    luaL_getmetatable(L, draft_type);
    lua_setmetatable(L, -2);
    *draft = db_transaction_new();
    if (*draft == NULL)
        luaL_error(L, "not enough memory");
    return draft;
}

static int draft_gc(lua_State *L) {
    struct db_transaction **draft = lua_touserdata(L, 1);
    db_transaction_free(*draft);
    *draft = NULL;
    return 0;
}

static struct db_transaction *take_draft(struct db_transaction **draft) {
    struct db_transaction *transaction = *draft;
    *draft = NULL;
    return transaction;
}

static void add(lua_State *L, struct db_transaction *transaction, const char *sql,
                const struct db_value *values, size_t count, bool pad, int64_t expect) {
    struct err err;
    if (db_transaction_add(transaction, sql, values, count, pad, expect, &err) < 0)
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

/* From the arguments (sql, ...). */
static struct db_transaction **draft_arguments(lua_State *L) {
    luaL_checktype(L, 1, LUA_TSTRING);
    const char *sql = check_sql(L, 1);
    int count = lua_gettop(L) - 1;
    struct db_transaction **draft = new_draft(L);
    struct db_value *values = lua_newuserdata(L, ((size_t)count + 1) * sizeof *values);
    for (int i = 0; i < count; i++) {
        char what[40];
        snprintf(what, sizeof what, "parameter %d", i + 1);
        values[i] = to_value(L, i + 2, what);
    }
    add(L, *draft, sql, values, (size_t)count, false, DB_ANY);
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
    struct db_value *values = lua_newuserdata(L, ((size_t)count + 1) * sizeof *values);
    for (int i = 0; i < count; i++) {
        char what[64];
        snprintf(what, sizeof what, "parameter %d of statement %d", i + 1, statement);
        lua_rawgeti(L, -2, i + 2);
        values[i] = to_value(L, -1, what);
        lua_pop(L, 1);
    }
    add(L, transaction, sql, values, (size_t)count, true, expect);
    lua_pop(L, 1);
}

/* From a list of statements at index 1. */
static struct db_transaction **draft_list(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    int count = (int)lua_objlen(L, 1);
    luaL_argcheck(L, count > 0, 1, "a list of statements {{sql, parameters...}, ...} is needed");
    struct db_transaction **draft = new_draft(L);
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, i);
        add_statement(L, *draft, i);
        lua_pop(L, 1);
    }
    return draft;
}

/* -- Reading ----------------------------------------------------------------------------------- */

struct reading {
    struct db *db;
    struct db_transaction *transaction;
    struct err err;
};

static void reading_run(void *arg) {
    struct reading *reading = arg;
    db_read(reading->db, reading->transaction, &reading->err);
}

static int reading_push_rows(lua_State *L, void *arg) {
    const struct reading *reading = arg;
    if (reading->err.code < 0)
        return vm_fail(L, &reading->err);
    push_rows(L, db_transaction_rows(reading->transaction, 0));
    return 1;
}

static int reading_push_results(lua_State *L, void *arg) {
    const struct reading *reading = arg;
    if (reading->err.code < 0)
        return push_failure(L, reading->transaction, &reading->err);
    push_results(L, reading->transaction);
    return 1;
}

static void reading_release(void *arg) {
    struct reading *reading = arg;
    db_transaction_free(reading->transaction);
    db_release(reading->db);
    free(reading);
}

static int start_reading(lua_State *L, struct db_transaction **draft,
                         int (*push)(lua_State *L, void *arg)) {
    struct reading *reading = calloc(1, sizeof *reading);
    if (reading == NULL)
        return luaL_error(L, "not enough memory");
    reading->db = db_of(L);
    db_retain(reading->db);
    reading->transaction = take_draft(draft);
    return fiber_work(L, reading, reading_run, push, reading_release);
}

static int query(lua_State *L) {
    struct db_transaction **draft = draft_arguments(L);
    return db_of(L) ? start_reading(L, draft, reading_push_rows) : fail_closed(L);
}

static int read_all(lua_State *L) {
    struct db_transaction **draft = draft_list(L);
    return db_of(L) ? start_reading(L, draft, reading_push_results) : fail_closed(L);
}

/* -- Writing ----------------------------------------------------------------------------------- */

struct commit {
    struct wait wait;
    struct db_transaction *transaction;
    struct err err; /* code 0: committed */
    bool single;    /* push one result, not a list */
    bool answered;
    bool abandoned; /* the fiber waits no more; the answer frees */
};

static void commit_delete(struct commit *commit) {
    db_transaction_free(commit->transaction);
    free(commit);
}

static int commit_push(lua_State *L, struct wait *wait) {
    struct commit *commit = (struct commit *)wait;
    if (commit->err.code < 0)
        return push_failure(L, commit->transaction, &commit->err);
    if (commit->single)
        push_result(L, db_transaction_rows(commit->transaction, 0));
    else
        push_results(L, commit->transaction);
    return 1;
}

static void commit_cancel(struct wait *wait) {
    ((struct commit *)wait)->abandoned = true;
}

static void commit_free(struct wait *wait) {
    struct commit *commit = (struct commit *)wait;
    if (commit->answered)
        commit_delete(commit);
}

static const struct wait_ops commit_ops = {commit_push, commit_cancel, commit_free};

static void commit_done(struct db_transaction *transaction, const struct err *err, void *arg) {
    struct commit *commit = arg;
    (void)transaction;
    if (commit->abandoned) {
        commit_delete(commit);
        return;
    }
    commit->answered = true;
    if (err != NULL)
        commit->err = *err;
    wait_finish(&commit->wait);
}

static int start_commit(lua_State *L, struct db_transaction **draft, bool single) {
    fiber_check(L);
    struct commit *commit = calloc(1, sizeof *commit);
    if (commit == NULL)
        return luaL_error(L, "not enough memory");
    commit->transaction = take_draft(draft);
    commit->single = single;
    db_submit(db_of(L), commit->transaction, commit_done, commit);
    return wait_begin(L, &commit->wait, &commit_ops);
}

static int exec(lua_State *L) {
    struct db_transaction **draft = draft_arguments(L);
    return db_of(L) ? start_commit(L, draft, true) : fail_closed(L);
}

static int transaction(lua_State *L) {
    struct db_transaction **draft = draft_list(L);
    return db_of(L) ? start_commit(L, draft, false) : fail_closed(L);
}

/* -- A database in memory ---------------------------------------------------------------------- */

/* What db.memory() returns is a table of functions; each holds the database as its upvalue. */
static struct db_memory *memory_of(lua_State *L) {
    return *(struct db_memory **)lua_touserdata(L, lua_upvalueindex(1));
}

static int memory_run(lua_State *L, struct db_transaction **draft, bool writes, bool single) {
    struct err err;
    int code = writes ? db_memory_write(memory_of(L), *draft, &err)
                      : db_memory_read(memory_of(L), *draft, &err);
    int count = 1;
    if (code < 0)
        count = writes || !single ? push_failure(L, *draft, &err) : vm_fail(L, &err);
    else if (!single)
        push_results(L, *draft);
    else if (writes)
        push_result(L, db_transaction_rows(*draft, 0));
    else
        push_rows(L, db_transaction_rows(*draft, 0));
    db_transaction_free(take_draft(draft)); /* the collector does not know how large it is */
    return count;
}

static int memory_query(lua_State *L) {
    return memory_run(L, draft_arguments(L), false, true);
}

static int memory_read(lua_State *L) {
    return memory_run(L, draft_list(L), false, false);
}

static int memory_exec(lua_State *L) {
    return memory_run(L, draft_arguments(L), true, true);
}

static int memory_transaction(lua_State *L) {
    return memory_run(L, draft_list(L), true, false);
}

static int memory_gc(lua_State *L) {
    struct db_memory **memory = lua_touserdata(L, 1);
    db_memory_close(*memory);
    *memory = NULL;
    return 0;
}

static int new_memory(lua_State *L) {
    static const luaL_Reg calls[] = {
        {"query", memory_query},
        {"read", memory_read},
        {"exec", memory_exec},
        {"transaction", memory_transaction},
        {NULL, NULL},
    };
    lua_settop(L, 0);
    lua_createtable(L, 0, 6);
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
    lua_pushcfunction(L, new_blob);
    lua_setfield(L, 1, "blob");
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, 1, "null");
    lua_settop(L, 1);
    return 1;
}

/* -- About ------------------------------------------------------------------------------------- */

static void set_count(lua_State *L, const char *name, uint64_t count) {
    lua_pushnumber(L, (lua_Number)count);
    lua_setfield(L, -2, name);
}

static int stats(lua_State *L) {
    if (db_of(L) == NULL)
        return fail_closed(L);
    struct db_stats stats_now;
    db_get_stats(db_of(L), &stats_now);
    lua_createtable(L, 0, 9);
    set_count(L, "transactions", stats_now.transactions);
    set_count(L, "failed", stats_now.failed);
    set_count(L, "commits", stats_now.commits);
    set_count(L, "largest_group", stats_now.largest_group);
    set_count(L, "queued", stats_now.queued);
    set_count(L, "reads", stats_now.reads);
    set_count(L, "readers", (uint64_t)stats_now.readers);
    set_count(L, "schema", (uint64_t)stats_now.schema);
    lua_pushstring(L, db_path(db_of(L)));
    lua_setfield(L, -2, "path");
    return 1;
}

static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg draft_meta[] = {{"__gc", draft_gc}, {NULL, NULL}};
static const luaL_Reg memory_meta[] = {
    {"__gc", memory_gc},
    {NULL, NULL},
};

static const luaL_Reg blob_meta[] = {{"__tostring", blob_tostring}, {NULL, NULL}};

static const luaL_Reg waiting[] = {
    {"query", query}, {"read", read_all}, {"exec", exec}, {"transaction", transaction},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"blob", new_blob},
    {"memory", new_memory},
    {"stats", stats},
    {NULL, NULL},
};

int lua_open_db(lua_State *L) {
    vm_new_type(L, draft_type, no_methods, draft_meta);
    vm_new_type(L, blob_type, no_methods, blob_meta);
    vm_new_type(L, memory_type, no_methods, memory_meta);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    fiber_register(L, waiting);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}
