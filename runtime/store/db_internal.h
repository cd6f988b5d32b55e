/* db_internal.h - what db.c (opening, reading, closing) and db_writer.c (the queue and its thread)
 * share; nobody else includes it. */
#ifndef STANCE_STORE_DB_INTERNAL_H
#define STANCE_STORE_DB_INTERNAL_H

#include <limits.h>
#include <pthread.h>

#include "store/db_conn.h"
#include "store/db_transaction.h"

enum { DB_MAX_READERS = 8 };

struct metric;

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
    struct {
        struct metric *committed, *failed, *seconds, *sync, *group, *wait, *reads, *read_seconds;
        struct metric *queued, *wal;
    } metrics;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t queued, answered, reader_free;
    struct db_transaction *first, **last;
    size_t gather_count;   /* the writer waits for as many, */
    double gather_until;   /* but no longer, on loop_seconds */
    double commit_seconds; /* that a group takes, smoothed */
    bool stopping;
    struct db_stats stats;
    struct db_conn *idle[DB_MAX_READERS];
    int idle_count, reader_count;

    atomic_bool closing; /* ends reads */
};

void db_find_metrics(struct db *db); /* db_metrics.c */
void db_forget_metrics(struct db *db);

int db_writer_start(struct db *db, struct err *err);

/* Refuses what comes from now on, and waits until what was queued is answered. Safe without a
 * start. */
void db_writer_stop(struct db *db);

#endif
