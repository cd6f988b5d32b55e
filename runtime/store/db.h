/* db.h - the database of a host: SQLite in WAL mode, one writer thread, readers on pool threads.
 *
 * Writes are transactions of one or more statements. The writer takes all that wait (at most 256),
 * runs one after the other, and commits them together with one fsync; a transaction is
 * acknowledged after that commit. One that fails rolls back alone. When the commit itself fails
 * (disk full, read-only, I/O), every transaction of the group gets that error and none is visible;
 * the writer goes on with the next group. A read that starts after an acknowledgement sees the
 * write.
 *
 * A data folder belongs to one open database at a time: DATA/lock is held by flock and names the
 * holder's process. The folder is made with mode 0700, DATA/stance.db with 0600.
 *
 * db_open, db_submit, db_close: the loop thread (any one thread where there is no loop). db_write,
 * db_read: any thread but the loop thread, since they wait. */
#ifndef STANCE_STORE_DB_H
#define STANCE_STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/loop.h"

struct db;

struct db_migration; /* store/migrations.h */

struct db_options {
    const char *data_dir;
    bool quick_check; /* look through the whole file at opening; ERR_CORRUPT when it is damaged */
    double read_seconds; /* a read that takes longer fails with ERR_TIMEOUT; 0: 30 s */
    size_t queue_limit; /* waiting transactions beyond which further ones get ERR_BUSY; 0: 65,536 */
    size_t result_limit; /* bytes of one statement's rows, else ERR_TOO_LARGE; 0: 64 MiB */
    const struct db_migration *migrations; /* ends with version 0; NULL: the built-in ones */
};

/* Makes, locks, checks and migrates. `loop` may be NULL in a process that only calls db_write and
 * db_read. ERR_BUSY when another process holds the folder, ERR_UNSUPPORTED when the schema is newer
 * than this program. */
int db_open(struct loop *loop, const struct db_options *options, struct db **out, struct err *err);

/* Commits what is queued, ends running reads (ERR_CLOSED), folds the log into the file, unlocks.
 * The answers to what was queued are still posted to the loop. NULL-safe. */
void db_close(struct db *db);

/* A closed db answers every call with ERR_CLOSED, and is freed with the last reference: for who may
 * still call it from a pool thread. Any thread. */
void db_retain(struct db *db);
void db_release(struct db *db);

/* -- Values and rows --------------------------------------------------------------------------- */

enum db_type { DB_NULL, DB_INTEGER, DB_REAL, DB_TEXT, DB_BLOB };

struct db_value {
    enum db_type type;
    union {
        int64_t integer;
        double real;
        struct {
            const char *data; /* a zero byte follows in results */
            size_t size;
        } bytes; /* of DB_TEXT and DB_BLOB */
    };
};

/* What a statement gave. It belongs to its transaction, with all that is read off it. */
struct db_rows;

size_t db_rows_count(const struct db_rows *rows);
size_t db_rows_columns(const struct db_rows *rows);
const char *db_rows_name(const struct db_rows *rows, size_t column);
const struct db_value *db_rows_at(const struct db_rows *rows, size_t row, size_t column);
int64_t db_rows_changes(const struct db_rows *rows); /* rows that the statement wrote */
int64_t db_rows_last_id(
    const struct db_rows *rows); /* rowid of the last insert of this statement, else 0 */

/* -- Writing ----------------------------------------------------------------------------------- */

enum { DB_ANY = -1 };

struct db_transaction;

/* NULL when out of memory. */
struct db_transaction *db_transaction_new(void);

/* Copies all it is given. Parameters are bound in order; with `pad`, those that the statement has
 * beyond `count` are NULL. `expect`: how many rows it must write (return, when it only reads), else
 * the transaction fails with ERR_CONFLICT; DB_ANY: any number. Statements that begin or end
 * transactions, attach files, or set pragmas fail with ERR_DENIED. */
int db_transaction_add(struct db_transaction *transaction, const char *sql,
                       const struct db_value *values, size_t count, bool pad, int64_t expect,
                       struct err *err);

/* After success: what statement `index` did. It lives as long as the transaction. */
size_t db_transaction_count(const struct db_transaction *transaction);
const struct db_rows *db_transaction_rows(const struct db_transaction *transaction, size_t index);

/* After failure: the index of the statement that failed, or -1 when it was the commit. */
int db_transaction_failed_at(const struct db_transaction *transaction);

void db_transaction_free(struct db_transaction *transaction);

/* `err` is NULL when all is committed. Loop thread. The transaction is the callee's to free. */
typedef void (*db_done)(struct db_transaction *transaction, const struct err *err, void *arg);

/* Queues it; `done` is called from the loop, always, never from within. */
void db_submit(struct db *db, struct db_transaction *transaction, db_done done, void *arg);

/* Queues it and waits for its commit. The transaction stays the caller's. */
int db_write(struct db *db, struct db_transaction *transaction, struct err *err);

/* -- Reading ----------------------------------------------------------------------------------- */

/* Runs statements that only read, all on one snapshot, and waits for them. ERR_DENIED when one
 * would write. The transaction stays the caller's and holds the rows. */
int db_read(struct db *db, struct db_transaction *transaction, struct err *err);

/* -- About ------------------------------------------------------------------------------------- */

struct db_stats {
    uint64_t transactions;  /* acknowledged */
    uint64_t failed;        /* answered with an error */
    uint64_t commits;       /* groups committed */
    uint64_t largest_group; /* transactions in one commit */
    uint64_t queued;        /* waiting now */
    uint64_t reads;
    int readers; /* read connections open */
    int schema;  /* version */
};
void db_get_stats(struct db *db, struct db_stats *out); /* any thread */

const char *db_path(const struct db *db); /* the file */

#endif
