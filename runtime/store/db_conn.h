/* db_conn.h - one SQLite connection with its prepared statements, and rows taken from it. Internal
 * to db*.c, migrations.c.
 *
 * A connection is used by one thread at a time. */
#ifndef STANCE_STORE_DB_CONN_H
#define STANCE_STORE_DB_CONN_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "store/db.h"

enum { DB_CACHE_SLOTS = 256 };

struct db_statement {
    char *sql;
    struct db_value
        *values; /* and in the same block, when it is a transaction's, the bytes and the text */
    size_t count;
    bool pad; /* parameters beyond `count` are NULL */
    int64_t expect;
};

struct db_conn {
    sqlite3 *sqlite;
    bool writer;
    bool guarded;               /* a statement of our callers is being prepared or run */
    bool alters;                /* the statement being prepared changes the schema */
    bool wrote;                 /* a caller's statement has left something to be undone */
    const atomic_bool *closing; /* ends what runs; NULL: never */
    double seconds;             /* that a statement may run; 0: any */
    double deadline;            /* on loop_seconds, while one runs; 0: none */
    size_t result_limit;        /* bytes; 0: none */
    int wal_pages;              /* pages in the log after the last commit */
    sqlite3_stmt *cache[DB_CACHE_SLOTS];
};

/* As a path: a database that lives and dies with its one connection, a writer. */
#define DB_IN_MEMORY ":memory:"

/* Opens `path` (made by a writer only), sets pragmas and limits. On failure nothing is left open.
 */
int db_conn_open(struct db_conn *conn, const char *path, bool writer, struct err *err);
void db_conn_close(struct db_conn *conn);

/* Gives up its prepared statements. */
void db_conn_forget(struct db_conn *conn);

/* Our own statements, one or more, without results. */
int db_conn_exec(struct db_conn *conn, const char *sql, struct err *err);

/* A caller's single statement. `*out` is the caller's; NULL on failure. */
int db_conn_run(struct db_conn *conn, const struct db_statement *statement, struct db_rows **out,
                struct err *err);

/* Says why the last call failed, in the system's words where there are any: they tell more than
 * "disk I/O error". Returns the code. */
int db_conn_fail(struct db_conn *conn, int status, struct err *err);

/* Rolls back whatever is open. */
void db_conn_roll_back(struct db_conn *conn);

/* -- Rows (db_rows.c) -------------------------------------------------------------------------- */

struct db_rows *db_rows_new(sqlite3_stmt *statement); /* NULL: no memory */
int db_rows_add(struct db_rows *rows, sqlite3_stmt *statement, size_t limit, struct err *err);
void db_rows_free(struct db_rows *rows); /* NULL-safe */
void db_rows_set_effects(struct db_rows *rows, int64_t changes, int64_t last_id);

#endif
