/* The database: real files, real threads. What needs a crash, a full disk or few descriptors is in
 * store_db_fault_test.c.
 */
#include "store/db.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "scratch.h"
#include "store/migrations.h"
#include "store_db.h"

static struct loop loop;

/* -- Opening -------------------------------------------------------------------------------------
 */

static int mode_of(const char *folder, const char *name) {
    char path[300];
    struct stat info;
    snprintf(path, sizeof path, "%s%s", folder, name);
    return stat(path, &info) < 0 ? -1 : (int)(info.st_mode & 0777);
}

static void makes_a_private_database(void) {
    const char *folder = scratch("a/b");
    struct db *db = open_db(folder);
    CHECK(write_one(db, "INSERT INTO events (ts, type) VALUES (1, 'x')") == 0);
    CHECK(mode_of(folder, "") == 0700);
    CHECK(mode_of(folder, "/stance.db") == 0600);
    CHECK(mode_of(folder, "/stance.db-wal") == 0600);
    CHECK(mode_of(folder, "/lock") == 0600);
    struct db_stats stats;
    db_get_stats(db, &stats);
    CHECK(stats.schema >= 1);
    db_close(db);
    CHECK(mode_of(folder, "/stance.db-wal") == -1); /* folded into the file */
    db = open_db(folder);
    CHECK(read_int(db, "SELECT count(*) FROM events") == 1);
    CHECK(read_int(db, "SELECT count(*) FROM schema_version") == stats.schema);
    db_close(db);
}

static void refuses_a_second_holder(void) {
    const char *folder = scratch("data");
    struct db *db = open_db(folder), *second;
    struct db_options options = {.data_dir = folder};
    struct err err;
    char words[32];
    snprintf(words, sizeof words, "by process %ld", (long)getpid());
    CHECK(db_open(NULL, &options, &second, &err) == ERR_BUSY);
    CHECK(second == NULL);
    CHECK(strstr(err.message, words) != NULL);
    CHECK(write_one(db, "INSERT INTO events (ts, type) VALUES (1, 'x')") == 0);
    db_close(db);
    db = open_db(folder);
    CHECK(db != NULL);
    db_close(db);
}

static void refuses_folders_of_others(void) {
    const char *folder = scratch("");
    char path[300];
    struct db_options options = {.data_dir = folder};
    struct db *db;
    struct err err;
    snprintf(path, sizeof path, "%s/other", folder);
    fclose(fopen(path, "w"));
    chmod(folder, 0755);
    CHECK(db_open(NULL, &options, &db, &err) == ERR_DENIED);
    CHECK(mode_of(folder, "") == 0755);
    options.data_dir = path;
    CHECK(db_open(NULL, &options, &db, &err) < 0);
    CHECK(strstr(err.message, path) != NULL);
}

static void refuses_a_newer_schema(void) {
    const char *folder = scratch("data");
    static const struct db_migration newer[] = {
        {1, "first", "CREATE TABLE t (a)"}, {7, "later", "CREATE TABLE u (a)"}, {0, NULL, NULL}};
    struct db_options options = {.data_dir = folder, .migrations = newer};
    struct db *db;
    struct err err;
    CHECK(db_open(NULL, &options, &db, &err) == 0);
    db_close(db);
    options.migrations = NULL;
    CHECK(db_open(NULL, &options, &db, &err) == ERR_UNSUPPORTED);
    CHECK(strstr(err.message, "schema 7") != NULL);
    options.migrations = newer; /* and left it as it was, unlocked */
    CHECK(db_open(NULL, &options, &db, &err) == 0);
    CHECK(read_int(db, "SELECT max(version) FROM schema_version") == 7);
    db_close(db);
}

static void undoes_a_failed_migration(void) {
    const char *folder = scratch("data");
    static const struct db_migration good[] = {{1, "first", "CREATE TABLE t (a)"}, {0, NULL, NULL}};
    static const struct db_migration bad[] = {
        {1, "first", "CREATE TABLE t (a)"},
        {2, "second", "CREATE TABLE u (a); INSERT INTO u VALUES (1); CREATE TABLE t (a)"},
        {0, NULL, NULL}};
    struct db_options options = {.data_dir = folder, .migrations = good};
    struct db *db;
    struct err err;
    CHECK(db_open(NULL, &options, &db, &err) == 0);
    db_close(db);
    options.migrations = bad;
    CHECK(db_open(NULL, &options, &db, &err) == ERR_INVALID);
    CHECK(strstr(err.message, "schema step 2 (second)") != NULL);
    options.migrations = good;
    CHECK(db_open(NULL, &options, &db, &err) == 0);
    CHECK(read_int(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'u'") == 0);
    db_close(db);
}

static void refuses_what_is_no_database_of_ours(void) {
    const char *folder = scratch("");
    char path[300];
    struct db_options options = {.data_dir = folder};
    struct db *db;
    struct err err;
    sqlite3 *foreign;
    snprintf(path, sizeof path, "%s/stance.db", folder);
    sqlite3_open(path, &foreign);
    sqlite3_exec(foreign, "CREATE TABLE t (a)", NULL, NULL, NULL);
    sqlite3_close(foreign);
    CHECK(db_open(NULL, &options, &db, &err) == ERR_CORRUPT);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 2000; i++)
        fputs("not a database ", file);
    fclose(file);
    CHECK(db_open(NULL, &options, &db, &err) == ERR_CORRUPT);
}

static void finds_damage(void) {
    const char *folder = scratch("data");
    struct db *db = open_db(folder);
    for (int i = 0; i < 300; i++)
        CHECK(write_one(db, "INSERT INTO events (ts, type, data) VALUES (1, 'x', "
                            "hex(randomblob(200)))") == 0);
    char path[300];
    snprintf(path, sizeof path, "%s", db_path(db));
    db_close(db);
    FILE *file = fopen(path, "r+");
    fseek(file, -3 * 4096, SEEK_END);
    for (int i = 0; i < 2 * 4096; i++)
        fputc(0x5a, file);
    fclose(file);
    struct db_options options = {.data_dir = folder, .quick_check = true};
    struct err err;
    CHECK(db_open(NULL, &options, &db, &err) == ERR_CORRUPT);
    CHECK(strstr(err.message, "is damaged") != NULL);
}

/* -- Transactions --------------------------------------------------------------------------------
 */

static void gives_rows_and_effects(void) {
    struct db *db = open_db(scratch("data"));
    struct db_transaction *t = db_transaction_new();
    struct db_value values[] = {
        {.type = DB_REAL, .real = 1.5}, {.type = DB_TEXT, .bytes = {"a\0b", 3}}, {.type = DB_NULL}};
    struct err err;
    const char *insert = "INSERT INTO events (ts, type, data) VALUES (?, ?, ?)";
    CHECK(db_transaction_add(t, insert, values, 3, false, 1, &err) == 0);
    CHECK(db_transaction_add(t, insert, values, 2, true, 1, &err) == 0);
    CHECK(db_transaction_add(t, "SELECT seq, ts, type, data FROM events", NULL, 0, false, 2,
                             &err) == 0);
    CHECK(db_transaction_add(t, "DELETE FROM events WHERE seq < 100", NULL, 0, false, DB_ANY,
                             &err) == 0);
    CHECK(db_transaction_add(t, "SELECT 1 FROM events", NULL, 0, false, 0, &err) == 0);
    CHECK(db_write(db, t, &err) == 0);
    CHECK(db_rows_last_id(db_transaction_rows(t, 1)) == 2);
    CHECK(db_rows_changes(db_transaction_rows(t, 1)) == 1);
    const struct db_rows *rows = db_transaction_rows(t, 2);
    CHECK(db_rows_count(rows) == 2 && db_rows_columns(rows) == 4);
    CHECK_TEXT(db_rows_name(rows, 2), "type");
    CHECK(db_rows_at(rows, 1, 0)->integer == 2);
    CHECK(db_rows_at(rows, 0, 1)->type == DB_REAL && db_rows_at(rows, 0, 1)->real == 1.5);
    CHECK(db_rows_at(rows, 0, 2)->bytes.size == 3 &&
          memcmp(db_rows_at(rows, 0, 2)->bytes.data, "a\0b", 4) == 0);
    CHECK(db_rows_at(rows, 1, 3)->type == DB_NULL);
    CHECK(db_rows_changes(rows) == 0 && db_rows_last_id(rows) == 0);
    CHECK(db_rows_changes(db_transaction_rows(t, 3)) == 2);
    db_transaction_free(t);
    db_close(db);
}

static void says_why_a_statement_failed(void) {
    static const struct {
        const char *sql;
        enum err_code code;
    } cases[] = {
        {"INSERT INTO generations (name, created_at, manifest) VALUES ('a', 1, '{}')", ERR_EXISTS},
        {"INSERT INTO generations (name, created_at, manifest) VALUES (NULL, 1, '{}')",
         ERR_INVALID},
        {"INSERT INTO generations (name, created_at, manifest) VALUES ('b', 'text', '{}')",
         ERR_INVALID},
        {"INSERT INTO steps (job_id, key) VALUES ('none', 'k')", ERR_CONFLICT},
        {"INSERT INTO nowhere VALUES (1)", ERR_INVALID},
        {"INSERT INTO generations (name, created_at, manifest) VALUES (?, 1, '{}')", ERR_INVALID},
        {"SELECT 1; SELECT 2", ERR_INVALID},
        {"SELECT 1; COMMIT", ERR_INVALID},
        {" -- nothing", ERR_INVALID},
        {"COMMIT", ERR_DENIED},
        {"BEGIN", ERR_DENIED},
        {"ROLLBACK", ERR_DENIED},
        {"SAVEPOINT x", ERR_DENIED},
        {"RELEASE member", ERR_DENIED},
        {"ROLLBACK TO member", ERR_DENIED},
        {"PRAGMA synchronous = OFF", ERR_DENIED},
        {"ATTACH '/tmp/x' AS x", ERR_DENIED},
        {"DELETE FROM schema_version", ERR_DENIED},
        {"VACUUM", ERR_INVALID},
    };
    struct db *db = open_db(scratch("data"));
    CHECK(write_one(db,
                    "INSERT INTO generations (name, created_at, manifest) VALUES ('a', 1, '{}')") ==
          0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int code = write_one(db, cases[i].sql);
        if (code != (int)cases[i].code)
            fprintf(stderr, "%s: %s\n", cases[i].sql, err_name(code));
        CHECK(code == (int)cases[i].code);
    }
    CHECK(read_int(db, "SELECT count(*) FROM generations") == 1);
    CHECK(read_int(db, "SELECT 1; SELECT 2") == ERR_INVALID);
    CHECK(read_int(db, "DELETE FROM generations") == ERR_DENIED);
    db_close(db);
}

static void fails_whole(void) {
    struct db *db = open_db(scratch("data"));
    struct db_transaction *t = db_transaction_new();
    struct err err;
    db_transaction_add(t, "INSERT INTO events (ts, type) VALUES (1, 'x')", NULL, 0, false, DB_ANY,
                       NULL);
    db_transaction_add(t, "UPDATE events SET type = 'y'", NULL, 0, false, 5, NULL);
    CHECK(db_write(db, t, &err) == ERR_CONFLICT);
    CHECK(db_transaction_failed_at(t) == 1);
    CHECK_TEXT(err.message, "changed 1 rows where 5 were expected");
    db_transaction_free(t);
    CHECK(read_int(db, "SELECT count(*) FROM events") == 0);
    db_close(db);
}

/* What fails before anything was written needs no undoing; a new table does, though it changes no
 * row. */
static void undoes_new_tables_too(void) {
    struct db *db = open_db(scratch("data"));
    for (int again = 0; again < 2; again++) {
        struct db_transaction *t = db_transaction_new();
        db_transaction_add(t, "CREATE TABLE extra (a)", NULL, 0, false, DB_ANY, NULL);
        db_transaction_add(t, "SELECT 1 FROM events", NULL, 0, false, 1, NULL);
        CHECK(db_write(db, t, NULL) == ERR_CONFLICT);
        db_transaction_free(t);
        CHECK(read_int(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'extra'") == 0);
    }
    CHECK(write_one(db, "CREATE TABLE extra (a)") == 0);
    CHECK(write_one(db, "CREATE TABLE extra (a)") == ERR_INVALID);
    db_close(db);
}

/* -- Groups --------------------------------------------------------------------------------------
 */

static int answers, refusals;
static pthread_t loop_thread;

static void on_answer(struct db_transaction *t, const struct err *err, void *arg) {
    int expected = *(int *)arg;
    answers++;
    refusals += err != NULL;
    CHECK(pthread_equal(pthread_self(), loop_thread));
    CHECK(expected == (err ? err->code : 0));
    db_transaction_free(t);
    if (answers == 1000)
        loop_stop(&loop);
}

static void submit(struct db *db, const char *sql, int64_t expect, int *expected) {
    struct db_transaction *t = db_transaction_new();
    db_transaction_add(t, "INSERT INTO events (ts, type) VALUES (1, 'x')", NULL, 0, false, 1, NULL);
    db_transaction_add(t, sql, NULL, 0, false, expect, NULL);
    db_submit(db, t, on_answer, expected);
}

static void commits_in_groups_and_fails_alone(void) {
    static int fine = 0, conflict = ERR_CONFLICT, exists = ERR_EXISTS;
    const char *folder = scratch("data");
    struct db_options options = {.data_dir = folder};
    struct db *db;
    loop_init(&loop, NULL);
    loop_thread = pthread_self();
    answers = refusals = 0;
    CHECK(db_open(&loop, &options, &db, NULL) == 0);
    CHECK(write_one(db,
                    "INSERT INTO generations (name, created_at, manifest) VALUES ('a', 1, '{}')") ==
          0);
    for (int i = 0; i < 1000; i++)
        if (i % 10 == 3)
            submit(db, "UPDATE events SET ts = 2 WHERE seq = 0", 1, &conflict);
        else if (i % 100 == 50)
            /* This one ends the whole group's transaction: the others must be run again. */
            submit(db,
                   "INSERT OR ROLLBACK INTO generations (name, created_at, manifest) VALUES ('a', "
                   "1, '{}')",
                   1, &exists);
        else
            submit(db, "SELECT count(*) FROM events", 1, &fine);
    loop_run(&loop);
    CHECK(answers == 1000 && refusals == 110);
    CHECK(read_int(db, "SELECT count(*) FROM events") == 890);
    struct db_stats stats;
    db_get_stats(db, &stats);
    CHECK(stats.transactions == 891 && stats.failed == 110);
    CHECK(stats.largest_group > 1 && stats.largest_group <= 256);
    db_close(db);
    loop_deinit(&loop);
}

struct writer {
    struct db *db;
    pthread_t thread;
    int number, failures;
};

/* Each write must be visible at once to who made it. */
static void *write_and_read(void *arg) {
    struct writer *writer = arg;
    char sql[120];
    for (int i = 1; i <= 100; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO events (ts, type, job_id) VALUES (%d, 'x', %d)", i,
                 writer->number);
        writer->failures += write_one(writer->db, sql) < 0;
        snprintf(sql, sizeof sql, "SELECT max(ts) FROM events WHERE job_id = '%d'", writer->number);
        writer->failures += read_int(writer->db, sql) != i;
    }
    return NULL;
}

static void serves_threads(void) {
    struct db *db = open_db(scratch("data"));
    struct writer writers[12];
    for (int i = 0; i < 12; i++) {
        writers[i] = (struct writer){.db = db, .number = i};
        pthread_create(&writers[i].thread, NULL, write_and_read, &writers[i]);
    }
    for (int i = 0; i < 12; i++) {
        pthread_join(writers[i].thread, NULL);
        CHECK(writers[i].failures == 0);
    }
    struct db_stats stats;
    db_get_stats(db, &stats);
    CHECK(stats.transactions == 1200 && stats.failed == 0 && stats.commits <= 1200);
    CHECK(stats.readers <= 8);
    CHECK(read_int(db, "SELECT count(*) FROM events") == 1200);
    db_close(db);
}

static void reads_one_snapshot(void) {
    struct db *db = open_db(scratch("data"));
    struct db_transaction *t = db_transaction_new();
    struct err err;
    for (int i = 0; i < 3; i++)
        db_transaction_add(t, "SELECT count(*) AS n FROM events", NULL, 0, false, 1, NULL);
    CHECK(db_read(db, t, &err) == 0);
    CHECK(db_rows_at(db_transaction_rows(t, 2), 0, 0)->integer == 0);
    db_transaction_free(t);
    CHECK(write_one(db, "INSERT INTO events (ts, type) VALUES (1, 'x')") == 0);
    CHECK(read_int(db, "SELECT count(*) FROM events") == 1); /* the snapshot was given back */
    db_close(db);
}

/* -- Limits and the end --------------------------------------------------------------------------
 */

#define ENDLESS                                                                                    \
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT sum(n) FROM c"

static void limits_time_and_size(void) {
    struct db_options options = {
        .data_dir = scratch("data"), .read_seconds = 0.2, .result_limit = 100000};
    struct db *db;
    CHECK(db_open(NULL, &options, &db, NULL) == 0);
    CHECK(read_int(db, ENDLESS) == ERR_TIMEOUT);
    CHECK(write_one(db, ENDLESS) == ERR_TIMEOUT);
    CHECK(read_int(db, "SELECT zeroblob(200000)") == ERR_TOO_LARGE);
    CHECK(read_int(db, "SELECT 7") == 7);
    CHECK(write_one(db, "INSERT INTO events (ts, type) VALUES (1, 'x')") == 0);
    db_close(db);
}

static void *read_endless(void *arg) {
    int code = read_int(arg, ENDLESS);
    db_release(arg);
    return (void *)(intptr_t)code;
}

static void refuses_a_full_queue(void) {
    static int fine = 0, busy = ERR_BUSY;
    struct db_options options = {.data_dir = scratch("data"), .queue_limit = 1};
    struct db *db;
    loop_init(&loop, NULL);
    loop_thread = pthread_self();
    answers = refusals = 0;
    CHECK(db_open(&loop, &options, &db, NULL) == 0);
    sqlite3 *other; /* holds the writer up */
    sqlite3_open(db_path(db), &other);
    CHECK(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
    submit(db, "SELECT 1", 1, &fine);
    struct db_stats stats;
    do {
        usleep(1000);
        db_get_stats(db, &stats);
    } while (stats.queued > 0);
    submit(db, "SELECT 1", 1, &fine);
    submit(db, "SELECT 1", 1, &busy);
    sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(other);
    db_close(db);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    CHECK(answers == 3 && refusals == 1);
    loop_deinit(&loop);
}

static void closes_cleanly(void) {
    static int fine = 0, closed = ERR_CLOSED;
    struct db_options options = {.data_dir = scratch("data")};
    struct db *db;
    loop_init(&loop, NULL);
    loop_thread = pthread_self();
    answers = refusals = 0;
    CHECK(db_open(&loop, &options, &db, NULL) == 0);
    pthread_t reader;
    db_retain(db);
    db_retain(db);
    pthread_create(&reader, NULL, read_endless, db);
    for (int i = 0; i < 50; i++)
        submit(db, "SELECT 1", 1, &fine);
    usleep(20000);
    db_close(db); /* commits the fifty, ends the reader */
    void *code;
    pthread_join(reader, &code);
    CHECK((intptr_t)code == ERR_CLOSED);
    submit(db, "SELECT 1", 1, &closed);
    CHECK(read_int(db, "SELECT 1") == ERR_CLOSED);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    CHECK(answers == 51 && refusals == 1);
    db_release(db);
    db = open_db(options.data_dir);
    CHECK(read_int(db, "SELECT count(*) FROM events") == 50);
    db_close(db);
    db_close(NULL);
    loop_deinit(&loop);
}

int main(void) {
    static const struct test tests[] = {
        TEST(makes_a_private_database),
        TEST(refuses_a_second_holder),
        TEST(refuses_folders_of_others),
        TEST(refuses_a_newer_schema),
        TEST(undoes_a_failed_migration),
        TEST(refuses_what_is_no_database_of_ours),
        TEST(finds_damage),
        TEST(gives_rows_and_effects),
        TEST(says_why_a_statement_failed),
        TEST(fails_whole),
        TEST(undoes_new_tables_too),
        TEST(commits_in_groups_and_fails_alone),
        TEST(serves_threads),
        TEST(reads_one_snapshot),
        TEST(limits_time_and_size),
        TEST(refuses_a_full_queue),
        TEST(closes_cleanly),
    };
    return RUN(tests);
}
