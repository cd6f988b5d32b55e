#include "store/migrations.h"

#include <stdio.h>

#include "core/loop.h"
#include "store/db_conn.h"

/* Times are seconds since 1970, UTC. Columns of JSON are TEXT. jobs.seq is the order of submission;
 * the claiming index follows the order in which jobs are taken, so that a claim reads its first
 * entries only. */
static const char job_engine[] =
    "CREATE TABLE jobs ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  type TEXT NOT NULL,"
    "  params TEXT NOT NULL DEFAULT '{}',"
    "  status TEXT NOT NULL DEFAULT 'pending',"
    "  reason TEXT,"
    "  priority INTEGER NOT NULL DEFAULT 0,"
    "  attempt INTEGER NOT NULL DEFAULT 0,"
    "  max_attempts INTEGER,"
    "  epoch INTEGER NOT NULL DEFAULT 0,"
    "  generation TEXT,"
    "  created_at REAL NOT NULL,"
    "  started_at REAL,"
    "  ended_at REAL,"
    "  run_at REAL NOT NULL DEFAULT 0," /* not to be claimed before */
    "  lease_until REAL,"
    "  worker TEXT,"
    "  cancel_requested INTEGER NOT NULL DEFAULT 0,"
    "  result TEXT,"
    "  error TEXT,"
    "  progress TEXT,"
    "  idempotency_key TEXT,"
    "  request_hash TEXT,"
    "  principal TEXT,"
    "  parent TEXT,"
    "  deadline REAL,"
    "  traceparent TEXT,"
    "  poison INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE INDEX jobs_claim ON jobs(status, priority DESC, seq, run_at);"
    "CREATE INDEX jobs_due ON jobs(run_at) WHERE status = 'pending';"
    "CREATE INDEX jobs_lease ON jobs(lease_until) WHERE lease_until IS NOT NULL;"
    "CREATE INDEX jobs_status ON jobs(status, seq);"
    "CREATE INDEX jobs_type ON jobs(type, seq);"
    "CREATE INDEX jobs_parent ON jobs(parent, seq) WHERE parent IS NOT NULL;"
    /* In a unique index each NULL differs from each other NULL: an unnamed principal must still be
       one. */
    "CREATE UNIQUE INDEX jobs_idempotency ON jobs(idempotency_key, ifnull(principal, ''))"
    "  WHERE idempotency_key IS NOT NULL;"

    "CREATE TABLE steps ("
    "  job_id TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE,"
    "  key TEXT NOT NULL,"
    "  name TEXT,"
    "  attempt INTEGER NOT NULL DEFAULT 0,"
    "  result TEXT,"
    "  error TEXT,"
    "  started_at REAL,"
    "  ended_at REAL,"
    "  PRIMARY KEY (job_id, key)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE artifacts ("
    "  job_id TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE,"
    "  name TEXT NOT NULL,"
    "  hash TEXT NOT NULL,"
    "  size INTEGER NOT NULL,"
    "  media_type TEXT,"
    "  created_at REAL NOT NULL,"
    "  PRIMARY KEY (job_id, name)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX artifacts_hash ON artifacts(hash);"

    "CREATE TABLE events ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT," /* never given twice: clients keep it as their cursor
                                                */
    "  ts REAL NOT NULL,"
    "  type TEXT NOT NULL,"
    "  job_id TEXT,"
    "  data TEXT"
    ") STRICT;"
    "CREATE INDEX events_job ON events(job_id, seq);"

    "CREATE TABLE signals ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  job_id TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE,"
    "  name TEXT NOT NULL,"
    "  payload TEXT,"
    "  created_at REAL NOT NULL"
    ") STRICT;"
    "CREATE INDEX signals_job ON signals(job_id, name, seq);"

    "CREATE TABLE scripts (hash TEXT NOT NULL PRIMARY KEY, text ANY NOT NULL) STRICT;"
    "CREATE TABLE generations ("
    "  name TEXT NOT NULL PRIMARY KEY,"
    "  created_at REAL NOT NULL,"
    "  manifest TEXT NOT NULL" /* path -> hash of scripts */
    ") STRICT;"

    "CREATE TABLE audit ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  ts REAL NOT NULL,"
    "  actor TEXT,"
    "  action TEXT NOT NULL,"
    "  resource TEXT,"
    "  outcome TEXT,"
    "  detail TEXT"
    ") STRICT;";

/* run_at, deadline and lease_until are on a clock that does not jump while a host lives; queued_at
 * is the same clock when the job was put into the queue, so that a later host whose clock stands
 * further back sees how long it was to wait. */
static const char job_clock[] =
    "ALTER TABLE jobs ADD COLUMN queued_at REAL;"
    "ALTER TABLE jobs ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;"; /* runs that failed */

/* When a generation was last active: what `stance rollback` goes by. What `migrate` of a workflow
 * goes by. */
static const char rollback[] =
    "ALTER TABLE jobs ADD COLUMN version INTEGER;" /* of the workflow when it was submitted */
    "ALTER TABLE generations ADD COLUMN activated_at REAL NOT NULL DEFAULT 0;"
    "UPDATE generations SET activated_at = created_at;"
    "CREATE INDEX generations_activated ON generations(activated_at);";

/* Each change of a job's status moved it in three indexes over all jobs. What is looked for by
 * status is looked for among few: those that wait, that run, that wait for a time. Only the ended
 * ones are many, and they come there once. */
static const char fewer_moves[] =
    "DROP INDEX jobs_claim;"
    "CREATE INDEX jobs_claim ON jobs(generation, priority DESC, seq, run_at)"
    "  WHERE status = 'pending';"
    "DROP INDEX jobs_due;"
    "UPDATE jobs SET queued_at = created_at WHERE queued_at IS NULL;"
    "CREATE INDEX jobs_due ON jobs(run_at) WHERE status = 'pending' AND run_at > queued_at;"
    "DROP INDEX jobs_status;"
    "CREATE INDEX jobs_ended ON jobs(status, seq) WHERE ended_at IS NOT NULL;"
    "CREATE INDEX jobs_deadline ON jobs(deadline) WHERE status = 'pending' AND deadline IS NOT "
    "NULL;";

const struct db_migration db_migrations[] = {
    {1, "job engine", job_engine},
    {2, "job clock", job_clock},
    {3, "rollback", rollback},
    {4, "fewer moves in indexes", fewer_moves},
    {0, NULL, NULL},
};

/* -- Running them ------------------------------------------------------------------------------ */

static int query_int(struct db_conn *conn, const char *sql, int *out, struct err *err) {
    struct db_rows *rows;
    struct db_statement statement = {.sql = (char *)sql, .expect = DB_ANY};
    int code = db_conn_run(conn, &statement, &rows, err);
    if (code < 0)
        return code;
    *out = (int)db_rows_at(rows, 0, 0)->integer;
    db_rows_free(rows);
    return 0;
}

static int read_version(struct db_conn *conn, int *version, struct err *err) {
    int known = 0, tables = 0;
    int code = query_int(conn, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'",
                         &known, err);
    if (code == 0 && known)
        return query_int(conn, "SELECT ifnull(max(version), 0) FROM schema_version", version, err);
    if (code == 0)
        code = query_int(conn, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (code < 0)
        return code;
    if (tables > 0)
        return err_set(err, ERR_CORRUPT,
                       "this is not a database of stance: it has no schema_version");
    *version = 0;
    return 0;
}

static const char version_table[] =
    "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL PRIMARY KEY,"
    " name TEXT NOT NULL, applied_at REAL NOT NULL) STRICT";

static int apply(struct db_conn *conn, const struct db_migration *migration, struct err *err) {
    char note[160];
    snprintf(note, sizeof note, "INSERT INTO schema_version VALUES (%d, '%s', %.3f)",
             migration->version, migration->name, loop_wall_seconds());
    struct err reason;
    int code = db_conn_exec(conn, "BEGIN IMMEDIATE", &reason);
    if (code == 0)
        code = db_conn_exec(conn, version_table, &reason);
    if (code == 0)
        code = db_conn_exec(conn, migration->sql, &reason);
    if (code == 0)
        code = db_conn_exec(conn, note, &reason);
    if (code == 0)
        code = db_conn_exec(conn, "COMMIT", &reason);
    if (code == 0)
        return 0;
    db_conn_roll_back(conn);
    return err_set(err, code, "schema step %d (%s): %s", migration->version, migration->name,
                   reason.message);
}

int db_migrate(struct db_conn *conn, const struct db_migration *migrations, int *version,
               struct err *err) {
    int code = read_version(conn, version, err);
    if (code < 0)
        return code;
    int last = 0;
    for (const struct db_migration *m = migrations; m->version != 0; m++)
        last = m->version;
    if (*version > last)
        return err_set(err, ERR_UNSUPPORTED,
                       "the database has schema %d and this program knows %d: "
                       "run a newer one, or bring back a backup",
                       *version, last);
    for (const struct db_migration *m = migrations; m->version != 0; m++) {
        if (m->version <= *version)
            continue;
        code = apply(conn, m, err);
        if (code < 0)
            return code;
        *version = m->version;
    }
    return 0;
}
