/* lua_db.c - the Lua module `db`: the host's database for scripts. What each function takes and
 * gives: lua/stance/meta/db.lua.
 *
 * Reads run on pool threads, writes on the database's writer; both wait in their fiber. A write
 * whose fiber is cancelled meanwhile still happens. */
#include <stdlib.h>
#include <string.h>

#include "bind/lua_db.h"

static struct db *db_of(lua_State *L) {
    return services_of(L)->db;
}

static int fail_closed(lua_State *L) {
    return vm_failf(L, ERR_UNSUPPORTED, "db is open in the host process only, this is a %s",
                    services_of(L)->role);
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
    lua_db_push_rows(L, db_transaction_rows(reading->transaction, 0));
    return 1;
}

static int reading_push_results(lua_State *L, void *arg) {
    const struct reading *reading = arg;
    if (reading->err.code < 0)
        return lua_db_push_failure(L, reading->transaction, &reading->err);
    lua_db_push_results(L, reading->transaction);
    return 1;
}

static void reading_release(void *arg) {
    struct reading *reading = arg;
    db_transaction_free(reading->transaction);
    db_release(reading->db);
    free(reading);
}

static int start_reading(lua_State *L, struct lua_db_draft *draft,
                         int (*push)(lua_State *L, void *arg)) {
    struct reading *reading = calloc(1, sizeof *reading);
    if (reading == NULL)
        return luaL_error(L, "not enough memory");
    reading->db = db_of(L);
    db_retain(reading->db);
    reading->transaction = draft->transactions[0];
    draft->count = 0;
    return fiber_work(L, reading, reading_run, push, reading_release);
}

static int query(lua_State *L) {
    struct lua_db_draft *draft = lua_db_draft_arguments(L);
    return db_of(L) ? start_reading(L, draft, reading_push_rows) : fail_closed(L);
}

static int read_all(lua_State *L) {
    struct lua_db_draft *draft = lua_db_draft_list(L);
    return db_of(L) ? start_reading(L, draft, reading_push_results) : fail_closed(L);
}

/* -- Writing ----------------------------------------------------------------------------------- */

enum answer { ONE_RESULT, RESULTS, OUTCOMES };

struct member {
    struct commit *commit;
    struct db_transaction *transaction;
    const struct err *err; /* the transaction's; NULL: committed */
};

/* One wait for one or more transactions. */
struct commit {
    struct wait wait;
    enum answer answer;
    size_t count, open; /* open: not answered yet */
    bool abandoned;     /* nobody waits any more */
    bool freed;         /* the fiber let go of it */
    struct member members[];
};

static void commit_delete(struct commit *commit) {
    for (size_t i = 0; i < commit->count; i++)
        db_transaction_free(commit->members[i].transaction);
    free(commit);
}

static int push_outcomes(lua_State *L, const struct commit *commit) {
    lua_createtable(L, (int)commit->count, 0);
    for (size_t i = 0; i < commit->count; i++) {
        const struct member *member = &commit->members[i];
        if (member->err != NULL)
            lua_db_push_reason(L, member->transaction, member->err);
        else
            lua_pushboolean(L, 1);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int commit_push(lua_State *L, struct wait *wait) {
    const struct commit *commit = (struct commit *)wait;
    const struct member *first = commit->members;
    if (commit->answer == OUTCOMES)
        return push_outcomes(L, commit);
    if (first->err != NULL)
        return lua_db_push_failure(L, first->transaction, first->err);
    if (commit->answer == ONE_RESULT)
        lua_db_push_result(L, db_transaction_rows(first->transaction, 0));
    else
        lua_db_push_results(L, first->transaction);
    return 1;
}

static void commit_cancel(struct wait *wait) {
    ((struct commit *)wait)->abandoned = true;
}

/* The later of commit_free and the last answer deletes it. */
static void commit_free(struct wait *wait) {
    struct commit *commit = (struct commit *)wait;
    commit->freed = true;
    if (commit->open == 0)
        commit_delete(commit);
}

static const struct wait_ops commit_ops = {commit_push, commit_cancel, commit_free};

static void commit_done(struct db_transaction *transaction, const struct err *err, void *arg) {
    struct member *member = arg;
    struct commit *commit = member->commit;
    (void)transaction;
    member->err = err;
    if (--commit->open > 0)
        return;
    if (commit->freed)
        commit_delete(commit);
    else if (!commit->abandoned)
        wait_finish(&commit->wait);
}

static int start_commit(lua_State *L, struct lua_db_draft *draft, enum answer answer) {
    fiber_check(L);
    size_t count = draft->count;
    struct commit *commit = calloc(1, sizeof *commit + count * sizeof *commit->members);
    if (commit == NULL)
        return luaL_error(L, "not enough memory");
    commit->answer = answer;
    commit->count = commit->open = count;
    draft->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct member *member = &commit->members[i];
        member->commit = commit;
        member->transaction = draft->transactions[i];
        db_submit(db_of(L), member->transaction, commit_done, member);
    }
    return wait_begin(L, &commit->wait, &commit_ops);
}

static int exec(lua_State *L) {
    struct lua_db_draft *draft = lua_db_draft_arguments(L);
    return db_of(L) ? start_commit(L, draft, ONE_RESULT) : fail_closed(L);
}

static int transaction(lua_State *L) {
    struct lua_db_draft *draft = lua_db_draft_list(L);
    return db_of(L) ? start_commit(L, draft, RESULTS) : fail_closed(L);
}

static int transactions(lua_State *L) {
    struct lua_db_draft *draft = lua_db_draft_lists(L);
    luaL_argcheck(L, draft->count > 0, 1, "a list of transactions is needed");
    return db_of(L) ? start_commit(L, draft, OUTCOMES) : fail_closed(L);
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

static const luaL_Reg waiting[] = {
    {"query", query},
    {"read", read_all},
    {"exec", exec},
    {"transaction", transaction},
    {"transactions", transactions},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"blob", lua_db_new_blob},
    {"memory", lua_db_new_memory},
    {"stats", stats},
    {NULL, NULL},
};

int lua_open_db(lua_State *L) {
    lua_db_add_draft(L);
    lua_db_add_blob(L);
    lua_db_add_memory(L);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    fiber_register(L, waiting);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}
