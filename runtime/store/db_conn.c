#include "store/db_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* -- Errors ------------------------------------------------------------------------------------ */

static enum err_code code_of_constraint(int extended) {
    switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return ERR_EXISTS;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return ERR_CONFLICT;
    default:
        return ERR_INVALID;
    }
}

static enum err_code code_of(int status) {
    switch (status & 0xff) {
    case SQLITE_CONSTRAINT:
        return code_of_constraint(status);
    case SQLITE_FULL:
        return ERR_NO_SPACE;
    case SQLITE_NOMEM:
        return ERR_NO_MEMORY;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ERR_DENIED;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_TOOBIG:
        return ERR_TOO_LARGE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
        return ERR_IO;
    case SQLITE_ERROR:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
        return ERR_INVALID;
    default:
        return ERR_INTERNAL;
    }
}

int db_conn_fail(struct db_conn *conn, int status, struct err *err) {
    int errnum = conn->sqlite ? sqlite3_system_errno(conn->sqlite) : 0;
    int basic = status & 0xff;
    const char *words = conn->sqlite && basic == (sqlite3_errcode(conn->sqlite) & 0xff)
                            ? sqlite3_errmsg(conn->sqlite)
                            : sqlite3_errstr(status);
    if (basic == SQLITE_INTERRUPT)
        return conn->closing != NULL && atomic_load(conn->closing)
                   ? err_set(err, ERR_CLOSED, "the database is closed")
                   : err_set(err, ERR_TIMEOUT, "database: the statement took longer than %g s",
                             conn->seconds);
    if ((basic == SQLITE_IOERR || basic == SQLITE_CANTOPEN) && errnum != 0)
        return err_set_errno(err, errnum, "database: %s", words);
    return err_set(err, code_of(status), "database: %s", words);
}

/* -- Opening ----------------------------------------------------------------------------------- */

/* What our callers' statements may not do: end the group's transaction, reach other files, weaken
 * durability. */
static int authorize(void *arg, int action, const char *a, const char *b, const char *c,
                     const char *d) {
    (void)b, (void)c, (void)d;
    struct db_conn *conn = arg;
    if (!conn->guarded)
        return SQLITE_OK;
    switch (action) {
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
        return SQLITE_DENY;
    case SQLITE_PRAGMA:
        return conn->writer ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
        conn->alters = conn->alters || (a != NULL && strstr(a, "_master") != NULL);
        return a != NULL && strcmp(a, "schema_version") == 0 ? SQLITE_DENY : SQLITE_OK;
    default:
        return SQLITE_OK;
    }
}

static int interrupt(void *arg) {
    const struct db_conn *conn = arg;
    if (!conn->guarded)
        return 0;
    if (conn->closing != NULL && atomic_load(conn->closing))
        return 1;
    return conn->deadline > 0 && loop_seconds() > conn->deadline;
}

static int note_wal(void *arg, sqlite3 *sqlite, const char *schema, int pages) {
    (void)sqlite, (void)schema;
    struct db_conn *conn = arg;
    conn->wal_pages = pages;
    return SQLITE_OK;
}

/* A savepoint's old pages stay in memory: with them in a temporary file, a full /tmp would fail
 * transactions. */
static void configure_once(void) {
    sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, -1);
}

static const char common_pragmas[] = "PRAGMA foreign_keys = ON;"
                                     "PRAGMA trusted_schema = OFF;"
                                     "PRAGMA temp_store = MEMORY;"
                                     "PRAGMA cache_size = -2000;";
static const char writer_pragmas[] = "PRAGMA synchronous = FULL;"
                                     "PRAGMA wal_autocheckpoint = 0;" /* the writer does it */
                                     "PRAGMA journal_size_limit = 67108864;";

static int see_wal(void *arg, int columns, char **values, char **names) {
    (void)names;
    *(bool *)arg = columns == 1 && values[0] != NULL && strcmp(values[0], "wal") == 0;
    return 0;
}

static int set_wal(struct db_conn *conn, struct err *err) {
    bool is_wal = false;
    int status = sqlite3_exec(conn->sqlite, "PRAGMA journal_mode = WAL", see_wal, &is_wal, NULL);
    if (status != SQLITE_OK)
        return db_conn_fail(conn, status, err);
    return is_wal ? 0
                  : err_set(err, ERR_UNSUPPORTED,
                            "the file system of the data folder cannot hold a write-ahead log");
}

/* SQLite makes files with the umask's mode; its log and index take the database's. */
static int make_private(const char *path, struct err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open database %s", path);
    int status = fchmod(fd, 0600) < 0 ? errno : 0;
    close(fd);
    return status == 0 ? 0 : err_set_errno(err, status, "cannot protect database %s", path);
}

int db_conn_open(struct db_conn *conn, const char *path, bool writer, struct err *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure_once);
    memset(conn, 0, sizeof *conn);
    conn->writer = writer;
    bool in_memory = strcmp(path, DB_IN_MEMORY) == 0;
    if (writer && !in_memory) {
        int code = make_private(path, err);
        if (code < 0)
            return code;
    }
    int flags = SQLITE_OPEN_NOMUTEX | (writer ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    int status = sqlite3_open_v2(path, &conn->sqlite, flags, NULL);
    struct err reason = {0};
    if (status == SQLITE_OK) {
        sqlite3_extended_result_codes(conn->sqlite, 1);
        sqlite3_busy_timeout(conn->sqlite, 5000);
        sqlite3_set_authorizer(conn->sqlite, authorize, conn);
        sqlite3_progress_handler(conn->sqlite, 4000, interrupt, conn);
        sqlite3_wal_hook(conn->sqlite, note_wal, conn);
        status = db_conn_exec(conn, common_pragmas, &reason);
        if (status == 0 && writer && !in_memory)
            status = set_wal(conn, &reason);
        if (status == 0 && writer)
            status = db_conn_exec(conn, writer_pragmas, &reason);
    } else {
        db_conn_fail(conn, status, &reason);
    }
    if (status == 0)
        return 0;
    db_conn_close(conn);
    return err_set(err, reason.code, "cannot open %s: %s%s", path, reason.message,
                   reason.code == ERR_CORRUPT ? ": bring back a backup of the data folder" : "");
}

void db_conn_forget(struct db_conn *conn) {
    for (size_t i = 0; i < DB_CACHE_SLOTS; i++) {
        sqlite3_finalize(conn->cache[i]);
        conn->cache[i] = NULL;
    }
}

void db_conn_close(struct db_conn *conn) {
    db_conn_forget(conn);
    sqlite3_close(conn->sqlite);
    conn->sqlite = NULL;
}

/* -- Statements -------------------------------------------------------------------------------- */

int db_conn_exec(struct db_conn *conn, const char *sql, struct err *err) {
    int status = sqlite3_exec(conn->sqlite, sql, NULL, NULL, NULL);
    return status == SQLITE_OK ? 0 : db_conn_fail(conn, status, err);
}

void db_conn_roll_back(struct db_conn *conn) {
    if (!sqlite3_get_autocommit(conn->sqlite))
        sqlite3_exec(conn->sqlite, "ROLLBACK", NULL, NULL, NULL);
}

/* FNV-1a. */
static size_t slot_of(const char *sql) {
    uint32_t hash = 2166136261u;
    for (; *sql; sql++)
        hash = (hash ^ (unsigned char)*sql) * 16777619u;
    return (hash ^ hash >> 16) % DB_CACHE_SLOTS;
}

/* Is anything but blanks and comments left? */
static bool has_more(struct db_conn *conn, const char *tail) {
    sqlite3_stmt *next = NULL;
    bool more =
        *tail != 0 &&
        (sqlite3_prepare_v2(conn->sqlite, tail, -1, &next, NULL) != SQLITE_OK || next != NULL);
    sqlite3_finalize(next);
    return more;
}

/* From the cache or anew; `*out` is its place in the cache. */
static int prepare(struct db_conn *conn, const char *sql, sqlite3_stmt ***out, struct err *err) {
    sqlite3_stmt **slot = *out = &conn->cache[slot_of(sql)];
    conn->alters = false;
    if (*slot != NULL && strcmp(sqlite3_sql(*slot), sql) == 0)
        return 0;
    const char *tail = NULL;
    sqlite3_stmt *statement = NULL;
    int status =
        sqlite3_prepare_v3(conn->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, &tail);
    if (status != SQLITE_OK)
        return (status & 0xff) == SQLITE_AUTH
                   ? err_set(err, ERR_DENIED,
                             "statements may not begin or end transactions, attach files "
                             "or set pragmas")
                   : db_conn_fail(conn, status, err);
    if (statement == NULL)
        return err_set(err, ERR_INVALID, "an empty statement");
    bool tailed = has_more(conn, tail);
    bool writes = !conn->writer && !sqlite3_stmt_readonly(statement);
    if (tailed || writes) {
        sqlite3_finalize(statement);
        return tailed ? err_set(err, ERR_INVALID, "more than one statement in one text")
                      : err_set(err, ERR_DENIED, "a query only reads: this statement writes");
    }
    sqlite3_finalize(*slot);
    *slot = statement;
    return 0;
}

static int bind_one(sqlite3_stmt *statement, int index, const struct db_value *value) {
    /* The bytes outlive the run: no copy. A null pointer would bind NULL, hence the "". */
    const char *data = value->type >= DB_TEXT && value->bytes.size > 0 ? value->bytes.data : "";
    switch (value->type) {
    case DB_INTEGER:
        return sqlite3_bind_int64(statement, index, value->integer);
    case DB_REAL:
        return sqlite3_bind_double(statement, index, value->real);
    case DB_TEXT:
        return sqlite3_bind_text64(statement, index, data, value->bytes.size, SQLITE_STATIC,
                                   SQLITE_UTF8);
    case DB_BLOB:
        return sqlite3_bind_blob64(statement, index, data, value->bytes.size, SQLITE_STATIC);
    default:
        return sqlite3_bind_null(statement, index);
    }
}

static int bind_all(struct db_conn *conn, sqlite3_stmt *prepared,
                    const struct db_statement *statement, struct err *err) {
    size_t wanted = (size_t)sqlite3_bind_parameter_count(prepared);
    if (statement->count > wanted || (statement->count < wanted && !statement->pad))
        return err_set(err, ERR_INVALID, "the statement takes %zu parameters and got %zu", wanted,
                       statement->count);
    for (size_t i = 0; i < statement->count; i++) {
        int status = bind_one(prepared, (int)i + 1, &statement->values[i]);
        if (status != SQLITE_OK)
            return db_conn_fail(conn, status, err);
    }
    return 0;
}

static int step_all(struct db_conn *conn, sqlite3_stmt *prepared, struct db_rows *rows,
                    struct err *err) {
    for (;;) {
        int status = sqlite3_step(prepared);
        if (status == SQLITE_DONE)
            return 0;
        if (status != SQLITE_ROW)
            return db_conn_fail(conn, status, err);
        int code = db_rows_add(rows, prepared, conn->result_limit, err);
        if (code < 0)
            return code;
    }
}

static int check_expected(const struct db_statement *statement, sqlite3_stmt *prepared,
                          const struct db_rows *rows, struct err *err) {
    if (statement->expect < 0)
        return 0;
    bool reads = sqlite3_stmt_readonly(prepared);
    int64_t got = reads ? (int64_t)db_rows_count(rows) : db_rows_changes(rows);
    if (got == statement->expect)
        return 0;
    return err_set(err, ERR_CONFLICT, "%s %lld rows where %lld were expected",
                   reads ? "found" : "changed", (long long)got, (long long)statement->expect);
}

static int run(struct db_conn *conn, const struct db_statement *statement, struct db_rows **out,
               struct err *err) {
    sqlite3_stmt **slot;
    int code = prepare(conn, statement->sql, &slot, err);
    if (code < 0)
        return code;
    sqlite3_stmt *prepared = *slot;
    struct db_rows *rows = NULL;
    code = bind_all(conn, prepared, statement, err);
    if (code == 0 && (rows = db_rows_new(prepared)) == NULL)
        code = err_set(err, ERR_NO_MEMORY, "out of memory for rows");
    if (code == 0) {
        int before = sqlite3_total_changes(conn->sqlite);
        sqlite3_set_last_insert_rowid(conn->sqlite, 0);
        code = step_all(conn, prepared, rows, err);
        /* sqlite3_changes keeps what an earlier statement did, when this one is no write. */
        bool wrote = sqlite3_total_changes(conn->sqlite) != before;
        conn->wrote = conn->wrote || wrote || conn->alters;
        db_rows_set_effects(rows, wrote ? sqlite3_changes(conn->sqlite) : 0,
                            sqlite3_last_insert_rowid(conn->sqlite));
    }
    if (code == 0)
        code = check_expected(statement, prepared, rows, err);
    sqlite3_reset(prepared);
    sqlite3_clear_bindings(prepared);
    if (conn->alters) { /* only preparing it again would tell so again */
        sqlite3_finalize(prepared);
        *slot = NULL;
    }
    if (code < 0) {
        db_rows_free(rows);
        return code;
    }
    *out = rows;
    return 0;
}

int db_conn_run(struct db_conn *conn, const struct db_statement *statement, struct db_rows **out,
                struct err *err) {
    *out = NULL;
    conn->guarded = true;
    conn->deadline = conn->seconds > 0 ? loop_seconds() + conn->seconds : 0;
    int code = run(conn, statement, out, err);
    conn->guarded = false;
    return code;
}
