/* The queue, and the thread that commits what is in it.
 *
 * A turn: take what waits (at most 256), BEGIN, run each, COMMIT with its fsync, answer all, fold
 * the log when it has grown. Statements come from scripts and may fail in any way. One that fails
 * before its transaction wrote anything (a guard that is not met) leaves nothing to undo; else the
 * group is rolled back and runs again, each member in a savepoint. Some failures (a full disk, OR
 * ROLLBACK) make SQLite undo the whole group, which then runs again without that member. */
#include <assert.h>
#include <math.h>
#include <signal.h>
#include <time.h>

#include "core/log.h"
#include "core/metrics.h"
#include "store/db_internal.h"

enum {
    MAX_GROUP = 256,
    CHECKPOINT_PAGES = 1000, /* of the log, before it is folded into the file */
};

static const double max_patience = 0.002; /* seconds */

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

/* How a group's transaction goes on after one of its members. */
enum turn {
    GOES_ON,
    SPOILT, /* a member failed after it had written, and there is no savepoint to go back to */
    ENDED,  /* SQLite has rolled all of it back, as it does when a disk is full */
};

/* One member. Savepoints cost a copy of each page that is written, and hardly a member fails: the
 * first try does without. */
static enum turn run_member(struct db_conn *conn, struct db_transaction *transaction,
                            bool savepoint) {
    struct err *err = &transaction->err;
    conn->wrote = false;
    int code = savepoint ? db_conn_exec(conn, "SAVEPOINT member", err) : 0;
    if (code == 0)
        code = db_transaction_run(transaction, conn);
    if (code == 0 && savepoint)
        code = db_conn_exec(conn, "RELEASE member", err);
    if (code == 0)
        return GOES_ON;
    db_transaction_forget(transaction);
    if (sqlite3_get_autocommit(conn->sqlite))
        return ENDED;
    if (!savepoint)
        return conn->wrote ? SPOILT : GOES_ON;
    struct err ignored;
    code = db_conn_exec(conn, "ROLLBACK TO member; RELEASE member", &ignored);
    return code == 0 ? GOES_ON : ENDED;
}

/* Runs all members in one open transaction. Else it is rolled back, and what `turn` says came of
 * it; a member that has ended it is left out from now on. */
static enum turn run_members(struct db_conn *conn, struct group *group, bool savepoints) {
    for (struct db_transaction *t = group->first; t != NULL; t = t->next) {
        if (t->left_out)
            continue;
        t->err = (struct err){0};
        enum turn turn = run_member(conn, t, savepoints);
        if (turn == GOES_ON)
            continue;
        t->left_out = turn == ENDED;
        db_conn_roll_back(conn);
        return turn;
    }
    return GOES_ON;
}

/* Runs and commits a group. Each member then carries its outcome. */
static void run_group(struct db *db, struct group *group) {
    struct db_conn *conn = &db->writer;
    struct err err;
    enum turn turn;
    bool savepoints = false;
    do {
        if (db_conn_exec(conn, "BEGIN IMMEDIATE", &err) < 0) {
            fail_all(group, &err);
            return;
        }
        turn = run_members(conn, group, savepoints);
        savepoints = savepoints || turn == SPOILT;
    } while (turn != GOES_ON);
    double start = loop_seconds();
    if (db_conn_exec(conn, "COMMIT", &err) < 0) {
        db_conn_roll_back(conn);
        fail_all(group, &err);
        return;
    }
    metric_observe(db->metrics.sync, loop_seconds() - start);
    metric_observe(db->metrics.group, (double)group->count);
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

/* -- Answers -------------------------------------------------------------------------------------
 */

/* Who was answered often comes back at once. Without a little patience the writer would go on with
 * the few that wait already, and of N writers always one half would wait for the other. */
static void plan_next(struct db *db, const struct group *group, double seconds) {
    double now = loop_seconds();
    db->commit_seconds += (seconds - db->commit_seconds) / 4;
    double patience = db->commit_seconds / 4;
    db->gather_until = now + (patience < max_patience ? patience : max_patience);
    db->gather_count = group->count + db->stats.queued;
    if (db->gather_count > MAX_GROUP)
        db->gather_count = MAX_GROUP;
}

static void answer(struct db *db, struct group *group, double seconds) {
    struct group posted = group_new();
    size_t failed = 0;
    pthread_mutex_lock(&db->lock);
    plan_next(db, group, seconds);
    for (struct db_transaction *t = group->first, *next; t != NULL; t = next) {
        next = t->next; /* a waiter may free it as soon as the lock is open */
        failed += t->err.code < 0;
        if (t->done != NULL)
            group_add(&posted, t);
        else
            t->answered = true;
    }
    db->stats.failed += failed;
    db->stats.transactions += group->count - failed;
    pthread_cond_broadcast(&db->answered);
    pthread_mutex_unlock(&db->lock);
    metric_add(db->metrics.failed, (double)failed);
    metric_add(db->metrics.committed, (double)(group->count - failed));
    metric_observe(db->metrics.seconds, seconds);
    if (posted.count > 0)
        loop_post(db->loop, answer_posted, posted.first);
}

/* With the lock: until there is work, and then a little longer. */
static void await_work(struct db *db) {
    while (db->first == NULL && !db->stopping)
        pthread_cond_wait(&db->queued, &db->lock);
    struct timespec until = {
        .tv_sec = (time_t)db->gather_until,
        .tv_nsec = (long)((db->gather_until - floor(db->gather_until)) * 1e9),
    };
    while (db->stats.queued < db->gather_count && !db->stopping &&
           pthread_cond_timedwait(&db->queued, &db->lock, &until) == 0)
        ;
}

/* Waits for work. An empty group: it is time to stop. */
static struct group take_group(struct db *db) {
    struct group group = group_new();
    pthread_mutex_lock(&db->lock);
    await_work(db);
    while (db->first != NULL && group.count < MAX_GROUP) {
        struct db_transaction *t = db->first;
        db->first = t->next;
        group_add(&group, t);
    }
    if (db->first == NULL)
        db->last = &db->first;
    db->stats.queued -= group.count;
    pthread_mutex_unlock(&db->lock);
    double now = loop_seconds();
    for (struct db_transaction *t = group.first; t != NULL; t = t->next)
        metric_observe(db->metrics.wait, now - t->queued);
    return group;
}

static void *write_groups(void *arg) {
    struct db *db = arg;
    for (struct group group = take_group(db); group.count > 0; group = take_group(db)) {
        double start = loop_seconds();
        run_group(db, &group);
        answer(db, &group, loop_seconds() - start);
        checkpoint(db);
    }
    return NULL;
}

int db_writer_start(struct db *db, struct err *err) {
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

void db_writer_stop(struct db *db) {
    pthread_mutex_lock(&db->lock);
    db->stopping = true;
    pthread_cond_signal(&db->queued);
    pthread_mutex_unlock(&db->lock);
    if (db->thread_runs)
        pthread_join(db->thread, NULL);
    db->thread_runs = false;
}

/* -- Queueing ------------------------------------------------------------------------------------
 */

/* Says no in `transaction`, when it cannot be queued. */
static bool enqueue(struct db *db, struct db_transaction *transaction) {
    transaction->next = NULL;
    transaction->left_out = false;
    transaction->err = (struct err){0};
    transaction->queued = loop_seconds();
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
        if (db->stats.queued == 1 || db->stats.queued >= db->gather_count)
            pthread_cond_signal(&db->queued);
    } else {
        db->stats.failed++;
    }
    pthread_mutex_unlock(&db->lock);
    return taken;
}

void db_submit(struct db *db, struct db_transaction *transaction, db_done done, void *arg) {
    assert(done != NULL); /* it is how a submitted one differs from one that is waited for */
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
