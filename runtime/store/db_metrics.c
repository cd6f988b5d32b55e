/* What /metrics tells of the database. */
#include <stdio.h>
#include <sys/stat.h>

#include "core/metrics.h"
#include "store/db_internal.h"

static struct metric *find_group(void) {
    static const double buckets[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};
    return metrics_series(metrics_family(METRIC_HISTOGRAM, "db_group_transactions",
                                         "Transactions that one commit made durable.", buckets,
                                         sizeof buckets / sizeof *buckets, NULL),
                          NULL);
}

/* Before each rendering. */
static void collect(void *arg) {
    struct db *db = arg;
    char wal[PATH_MAX + 8];
    struct stat found;
    struct db_stats stats;
    db_get_stats(db, &stats);
    metric_set(db->metrics.queued, (double)stats.queued);
    snprintf(wal, sizeof wal, "%s-wal", db->path);
    metric_set(db->metrics.wal, stat(wal, &found) == 0 ? (double)found.st_size : 0);
}

void db_find_metrics(struct db *db) {
    struct metric_family *family =
        metrics_family(METRIC_COUNTER, "db_transactions_total",
                       "Transactions answered, by outcome.", NULL, 0, NULL);
    db->metrics.committed =
        metrics_series(family, (const char *const[]){"outcome", "committed", NULL});
    db->metrics.failed = metrics_series(family, (const char *const[]){"outcome", "failed", NULL});
    db->metrics.wait = metrics_single(METRIC_HISTOGRAM, "db_wait_seconds",
                                      "Seconds that a transaction waited for the writer.");
    db->metrics.seconds = metrics_single(METRIC_HISTOGRAM, "db_commit_seconds",
                                         "Seconds to run and commit a group of transactions.");
    db->metrics.sync =
        metrics_single(METRIC_HISTOGRAM, "db_sync_seconds",
                       "Seconds of the commit alone: the log is written and synced.");
    db->metrics.group = find_group();
    db->metrics.reads = metrics_single(METRIC_COUNTER, "db_reads_total", "Reads of the database.");
    db->metrics.read_seconds = metrics_single(METRIC_HISTOGRAM, "db_read_seconds",
                                              "Seconds of a read, the wait for a reader too.");
    db->metrics.queued =
        metrics_single(METRIC_GAUGE, "db_queue_length", "Transactions that wait for the writer.");
    db->metrics.wal =
        metrics_single(METRIC_GAUGE, "db_wal_bytes", "Size of the database's write-ahead log.");
    metrics_on_collect(collect, db);
}

void db_forget_metrics(struct db *db) {
    metrics_off_collect(collect, db);
}
