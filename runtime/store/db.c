#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/metrics.h"
#include "store/data_dir.h"
#include "store/db_internal.h"
#include "store/migrations.h"

/* -- Readers ----------------------------------------------------------------------------------- */

static struct db_conn *reader_new(struct db *db, struct err *err) {
    struct db_conn *conn = malloc(sizeof *conn);
    if (conn == NULL) {
        err_set(err, ERR_NO_MEMORY, "out of memory for a database connection");
        return NULL;
    }
    if (db_conn_open(conn, db->path, false, err) < 0) {
        free(conn);
        return NULL;
    }
    conn->closing = &db->closing;
    conn->seconds = db->read_seconds;
    conn->result_limit = db->result_limit;
    return conn;
}

/* With the lock. Opens one more where all are in use; when that fails (too many open files) the
 * others must do. */
static struct db_conn *take_reader(struct db *db, struct err *err) {
    bool may_open = true;
    for (;;) {
        if (db->stopping) {
            err_set(err, ERR_CLOSED, "the database is closed");
            return NULL;
        }
        if (db->idle_count > 0)
            return db->idle[--db->idle_count];
        if (!may_open || db->reader_count >= DB_MAX_READERS) {
            pthread_cond_wait(&db->reader_free, &db->lock);
            continue;
        }
        db->reader_count++;
        pthread_mutex_unlock(&db->lock);
        struct db_conn *conn = reader_new(db, err);
        pthread_mutex_lock(&db->lock);
        if (conn != NULL)
            return conn;
        pthread_cond_broadcast(&db->reader_free);
        if (--db->reader_count == 0)
            return NULL;
        may_open = false;
    }
}

static int run_on(struct db_conn *conn, struct db_transaction *transaction) {
    if (transaction->count == 1)
        return db_transaction_run(transaction, conn);
    int code = db_conn_exec(conn, "BEGIN", &transaction->err);
    if (code == 0)
        code = db_transaction_run(transaction, conn);
    db_conn_roll_back(conn);
    return code;
}

int db_read(struct db *db, struct db_transaction *transaction, struct err *err) {
    transaction->err = (struct err){0};
    double start = loop_seconds();
    pthread_mutex_lock(&db->lock);
    struct db_conn *conn = take_reader(db, &transaction->err);
    db->stats.reads++;
    pthread_mutex_unlock(&db->lock);
    if (conn != NULL) {
        transaction->err = (struct err){0}; /* of a reader that could not be opened */
        if (run_on(conn, transaction) < 0)
            db_transaction_forget(transaction);
        pthread_mutex_lock(&db->lock);
        db->idle[db->idle_count++] = conn;
        pthread_cond_broadcast(&db->reader_free);
        pthread_mutex_unlock(&db->lock);
    }
    metric_add(db->metrics.reads, 1);
    metric_observe(db->metrics.read_seconds, loop_seconds() - start);
    if (err != NULL)
        *err = transaction->err;
    return transaction->err.code;
}

/* -- Opening and closing ----------------------------------------------------------------------- */

static int see_check(void *arg, int columns, char **values, char **names) {
    (void)names;
    if (columns == 1 && values[0] != NULL)
        snprintf(arg, 200, "%s", values[0]);
    return 0;
}

static int quick_check(struct db *db, struct err *err) {
    char words[200] = "";
    int status = sqlite3_exec(db->writer.sqlite, "PRAGMA quick_check(1)", see_check, words, NULL);
    if (status == SQLITE_OK && strcmp(words, "ok") == 0)
        return 0;
    struct err reason = {.code = ERR_CORRUPT};
    if (status != SQLITE_OK)
        db_conn_fail(&db->writer, status, &reason);
    if (reason.code != ERR_CORRUPT) /* nothing is known of the file */
        return err_set(err, reason.code, "cannot check %s: %s", db->path, reason.message);
    return err_set(err, ERR_CORRUPT, "%s is damaged (%s): bring back a backup of the data folder",
                   db->path, status == SQLITE_OK ? words : reason.message);
}

static uint32_t big_endian(const unsigned char *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* SQLite takes a log that does not begin like one for an empty one: the commits in it would be gone
 * without a word. After a power failure it may begin with zeros; nothing was acknowledged then. */
static int check_log(const struct db *db, struct err *err) {
    char path[PATH_MAX + 8];
    unsigned char head[4];
    snprintf(path, sizeof path, "%s-wal", db->path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_set_errno(err, errno, "cannot open %s", path);
    ssize_t got = pread(fd, head, sizeof head, 0);
    close(fd);
    uint32_t magic = got == sizeof head ? big_endian(head) : 0;
    if (got < 0 || magic == 0 || (magic | 1) == 0x377f0683)
        return 0; /* what cannot be read SQLite will say */
    return err_set(err, ERR_CORRUPT,
                   "%s is damaged, and the newest jobs were in it: bring back a backup of the data "
                   "folder, or move that file away to go on without them",
                   path);
}

/* A host that was up has made the folder of objects; what it left is never an empty file. */
static int check_emptied(const struct db *db, const char *data_dir, struct err *err) {
    char objects[PATH_MAX + 8];
    struct stat info;
    snprintf(objects, sizeof objects, "%s/objects", data_dir);
    if (stat(db->path, &info) < 0 || info.st_size > 0 || stat(objects, &info) < 0)
        return 0;
    return err_set(
        err, ERR_CORRUPT,
        "%s is empty, but there are objects of its jobs: bring back a backup of the data "
        "folder, or remove the file to begin without jobs",
        db->path);
}

static struct db *allocate(struct loop *loop, const struct db_options *options) {
    struct db *db = calloc(1, sizeof *db);
    if (db == NULL)
        return NULL;
    db->loop = loop;
    db->lock_fd = -1;
    db->last = &db->first;
    atomic_init(&db->references, 1);
    db->queue_limit = options->queue_limit ? options->queue_limit : 65536;
    db->result_limit = options->result_limit ? options->result_limit : 64u << 20;
    db->read_seconds = options->read_seconds > 0 ? options->read_seconds : 30;
    pthread_mutex_init(&db->lock, NULL);
    pthread_condattr_t monotonic; /* as loop_seconds */
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&db->queued, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&db->answered, NULL);
    pthread_cond_init(&db->reader_free, NULL);
    return db;
}

/* The parts that can fail, in order. */
static int bring_up(struct db *db, const struct db_options *options, struct err *err) {
    int code = data_dir_make(options->data_dir, err);
    if (code < 0)
        return code;
    if (snprintf(db->path, sizeof db->path, "%s/stance.db", options->data_dir) >=
        (int)sizeof db->path)
        return err_set(err, ERR_INVALID, "the path of the data folder is too long");
    db->lock_fd = data_dir_lock(options->data_dir, err);
    if (db->lock_fd < 0)
        return db->lock_fd;
    code = check_emptied(db, options->data_dir, err);
    if (code == 0)
        code = check_log(db, err);
    if (code == 0)
        code = db_conn_open(&db->writer, db->path, true, err);
    if (code == 0 && options->quick_check)
        code = quick_check(db, err);
    if (code == 0)
        code = db_migrate(&db->writer, options->migrations ? options->migrations : db_migrations,
                          &db->schema, err);
    if (code == 0)
        code = data_dir_sync(options->data_dir, err);
    if (code < 0)
        return code;
    db->writer.seconds = db->read_seconds;
    db->writer.result_limit = db->result_limit;
    db->idle[0] = reader_new(db, err); /* one at least is there, when descriptors run out */
    if (db->idle[0] == NULL)
        return err ? err->code : ERR_IO;
    db->idle_count = db->reader_count = 1;
    return db_writer_start(db, err);
}

int db_open(struct loop *loop, const struct db_options *options, struct db **out, struct err *err) {
    *out = NULL;
    struct db *db = allocate(loop, options);
    if (db == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory for the database");
    db_find_metrics(db);
    int code = bring_up(db, options, err);
    if (code < 0) {
        db_close(db);
        return code;
    }
    *out = db;
    return 0;
}

static void close_readers(struct db *db) {
    pthread_mutex_lock(&db->lock);
    pthread_cond_broadcast(&db->reader_free);
    while (db->idle_count < db->reader_count)
        pthread_cond_wait(&db->reader_free, &db->lock);
    for (int i = 0; i < db->idle_count; i++) {
        db_conn_close(db->idle[i]);
        free(db->idle[i]);
    }
    db->idle_count = db->reader_count = 0;
    pthread_mutex_unlock(&db->lock);
}

void db_close(struct db *db) {
    if (db == NULL)
        return;
    db_forget_metrics(db);
    db_writer_stop(db);
    atomic_store(&db->closing, true);
    close_readers(db);
    db_conn_close(&db->writer); /* the last connection folds the log into the file and removes it */
    if (db->lock_fd >= 0)
        close(db->lock_fd);
    db->lock_fd = -1;
    db_release(db);
}

void db_retain(struct db *db) {
    atomic_fetch_add(&db->references, 1);
}

void db_release(struct db *db) {
    if (db == NULL || atomic_fetch_sub(&db->references, 1) > 1)
        return;
    pthread_cond_destroy(&db->queued);
    pthread_cond_destroy(&db->answered);
    pthread_cond_destroy(&db->reader_free);
    pthread_mutex_destroy(&db->lock);
    free(db);
}

void db_get_stats(struct db *db, struct db_stats *out) {
    pthread_mutex_lock(&db->lock);
    *out = db->stats;
    out->readers = db->reader_count;
    out->schema = db->schema;
    pthread_mutex_unlock(&db->lock);
}

const char *db_path(const struct db *db) {
    return db->path;
}
