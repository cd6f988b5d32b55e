#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "store/data_dir.h"
#include "store/db_conn.h"
#include "store/db_transaction.h"
#include "store/migrations.h"

enum {
    MAX_GROUP = 256,
    MAX_READERS = 8,
    CHECKPOINT_PAGES = 1000, /* of the log, before it is folded into the file */
};

struct db {
    struct loop *loop;
    char path[PATH_MAX];
    int lock_fd;
    atomic_int references;
    size_t queue_limit, result_limit;
    double read_seconds;
    int schema;

    struct db_conn writer; /* the writer thread's, while it runs */
    pthread_t thread;
    bool thread_runs;
    bool checkpoint_failing;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t queued, answered, reader_free;
    struct db_transaction *first, **last;
    bool stopping;
    struct db_stats stats;
    struct db_conn *idle[MAX_READERS];
    int idle_count, reader_count;

    atomic_bool closing; /* ends reads */
};

/* -- The writer -------------------------------------------------------------------------------- */

struct group {
    struct db_transaction *first, **last;
    size_t count;
};

static struct group group_new(void) {
    return (struct group){.count = 0};
}

static void group_add(struct group *group, struct db_transaction *transaction) {
    if (group->count++ == 0)
        group->last = &group->first;
    transaction->next = NULL;
    *group->last = transaction;
    group->last = &transaction->next;
}

static void fail_all(struct group *group, const struct err *err) {
    for (struct db_transaction *t = group->first; t != NULL; t = t->next) {
        db_transaction_forget(t);
        if (!t->left_out) /* else it has an error of its own */
            t->err = *err;
    }
}

/* One member, in its savepoint. False: the whole group was rolled back by SQLite (as it does when a
 * disk is full). */
static bool run_member(struct db_conn *conn, struct db_transaction *transaction) {
    struct err *err = &transaction->err;
    int code = db_conn_exec(conn, "SAVEPOINT member", err);
    if (code == 0)
        code = db_transaction_run(transaction, conn);
    if (code == 0 && db_conn_exec(conn, "RELEASE member", err) == 0)
        return true;
    db_transaction_forget(transaction);
    if (sqlite3_get_autocommit(conn->sqlite))
        return false;
    struct err ignored;
    return db_conn_exec(conn, "ROLLBACK TO member; RELEASE member", &ignored) == 0;
}

/* Runs all members in one open transaction. False: one of them, now left out, has ended it. */
static bool run_members(struct db_conn *conn, struct group *group) {
    for (struct db_transaction *t = group->first; t != NULL; t = t->next) {
        if (t->left_out)
            continue;
        t->err = (struct err){0};
        if (run_member(conn, t))
            continue;
        t->left_out = true;
        db_conn_roll_back(conn);
        return false;
    }
    return true;
}

/* Runs and commits a group. Each member then carries its outcome. */
static void run_group(struct db *db, struct group *group) {
    struct db_conn *conn = &db->writer;
    struct err err;
    do {
        if (db_conn_exec(conn, "BEGIN IMMEDIATE", &err) < 0) {
            fail_all(group, &err);
            return;
        }
    } while (!run_members(conn, group));
    if (db_conn_exec(conn, "COMMIT", &err) < 0) {
        db_conn_roll_back(conn);
        fail_all(group, &err);
        return;
    }
    pthread_mutex_lock(&db->lock);
    db->stats.commits++;
    if (group->count > db->stats.largest_group)
        db->stats.largest_group = group->count;
    pthread_mutex_unlock(&db->lock);
}

/* Folds the log into the file between groups, where nobody waits for it. */
static void checkpoint(struct db *db) {
    if (db->writer.wal_pages < CHECKPOINT_PAGES)
        return;
    int status =
        sqlite3_wal_checkpoint_v2(db->writer.sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    db->writer.wal_pages = 0;
    bool failing = status != SQLITE_OK && status != SQLITE_BUSY;
    if (failing && !db->checkpoint_failing)
        log_warn("store", "cannot fold the log into %s (%s): the log grows until it works again",
                 db->path, sqlite3_errstr(status));
    db->checkpoint_failing = failing;
}

/* On the loop thread. */
static void answer_posted(void *arg) {
    struct db_transaction *t = arg;
    while (t != NULL) {
        struct db_transaction *next = t->next;
        t->done(t, t->err.code < 0 ? &t->err : NULL, t->arg);
        t = next;
    }
}

static void answer(struct db *db, struct group *group) {
    struct group posted = group_new();
    pthread_mutex_lock(&db->lock);
    for (struct db_transaction *t = group->first, *next; t != NULL; t = next) {
        next = t->next; /* a waiter may free it as soon as the lock is open */
        if (t->err.code < 0)
            db->stats.failed++;
        else
            db->stats.transactions++;
        if (t->done != NULL)
            group_add(&posted, t);
        else
            t->answered = true;
    }
    pthread_cond_broadcast(&db->answered);
    pthread_mutex_unlock(&db->lock);
    if (posted.count > 0)
        loop_post(db->loop, answer_posted, posted.first);
}

/* Waits for work. An empty group: it is time to stop. */
static struct group take_group(struct db *db) {
    struct group group = group_new();
    pthread_mutex_lock(&db->lock);
    while (db->first == NULL && !db->stopping)
        pthread_cond_wait(&db->queued, &db->lock);
    while (db->first != NULL && group.count < MAX_GROUP) {
        struct db_transaction *t = db->first;
        db->first = t->next;
        group_add(&group, t);
    }
    if (db->first == NULL)
        db->last = &db->first;
    db->stats.queued -= group.count;
    pthread_mutex_unlock(&db->lock);
    return group;
}

static void *write_groups(void *arg) {
    struct db *db = arg;
    for (struct group group = take_group(db); group.count > 0; group = take_group(db)) {
        run_group(db, &group);
        answer(db, &group);
        checkpoint(db);
    }
    return NULL;
}

static int start_writer(struct db *db, struct err *err) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    int status = pthread_create(&db->thread, NULL, write_groups, db);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status != 0)
        return err_set_errno(err, status, "cannot start the database's writer");
    pthread_setname_np(db->thread, "stance-writer");
    db->thread_runs = true;
    return 0;
}

/* Says no in `transaction`, when it cannot be queued. */
static bool enqueue(struct db *db, struct db_transaction *transaction) {
    transaction->next = NULL;
    transaction->left_out = false;
    transaction->err = (struct err){0};
    pthread_mutex_lock(&db->lock);
    if (db->stopping)
        err_set(&transaction->err, ERR_CLOSED, "the database is closed");
    else if (db->stats.queued >= db->queue_limit)
        err_set(&transaction->err, ERR_BUSY, "database: %zu transactions wait already",
                db->queue_limit);
    bool taken = transaction->err.code == 0;
    if (taken) {
        *db->last = transaction;
        db->last = &transaction->next;
        db->stats.queued++;
        pthread_cond_signal(&db->queued);
    } else {
        db->stats.failed++;
    }
    pthread_mutex_unlock(&db->lock);
    return taken;
}

void db_submit(struct db *db, struct db_transaction *transaction, db_done done, void *arg) {
    transaction->done = done;
    transaction->arg = arg;
    if (!enqueue(db, transaction))
        loop_post(db->loop, answer_posted, transaction);
}

int db_write(struct db *db, struct db_transaction *transaction, struct err *err) {
    transaction->done = NULL;
    transaction->answered = false;
    if (enqueue(db, transaction)) {
        pthread_mutex_lock(&db->lock);
        while (!transaction->answered)
            pthread_cond_wait(&db->answered, &db->lock);
        pthread_mutex_unlock(&db->lock);
    }
    if (err != NULL)
        *err = transaction->err;
    return transaction->err.code;
}

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
        if (!may_open || db->reader_count >= MAX_READERS) {
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
    return err_set(err, ERR_CORRUPT, "%s is damaged: %s", db->path,
                   status == SQLITE_OK ? words : sqlite3_errstr(status));
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
    pthread_cond_init(&db->queued, NULL);
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
    return start_writer(db, err);
}

int db_open(struct loop *loop, const struct db_options *options, struct db **out, struct err *err) {
    *out = NULL;
    struct db *db = allocate(loop, options);
    if (db == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory for the database");
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
    pthread_mutex_lock(&db->lock);
    db->stopping = true;
    pthread_cond_signal(&db->queued);
    pthread_mutex_unlock(&db->lock);
    if (db->thread_runs)
        pthread_join(db->thread, NULL);
    db->thread_runs = false;
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
