/* db_transaction.h - what a transaction is made of. Internal to db.c and db_transaction.c.
 *
 * It belongs to its maker until it is queued, to the writer until it is answered, then to its maker
 * again. */
#ifndef STANCE_STORE_DB_TRANSACTION_H
#define STANCE_STORE_DB_TRANSACTION_H

#include "store/db_conn.h"

struct db_transaction {
    struct db_transaction *next; /* in the queue, a group, or a posted answer */
    struct db_statement *statements;
    struct db_rows **rows; /* one a statement, after it ran */
    size_t count, capacity;
    int failed_at;
    bool left_out;  /* it ended its group's transaction, and the others went on without it */
    struct err err; /* the outcome */
    db_done done;   /* NULL: somebody waits in db_write */
    void *arg;
    bool answered; /* guarded by the db's lock */
    double queued; /* loop_seconds */
};

/* Runs the statements in order until one fails; `err` and `failed_at` say why and which. */
int db_transaction_run(struct db_transaction *transaction, struct db_conn *conn);

/* Drops the rows that a rolled back run has left. */
void db_transaction_forget(struct db_transaction *transaction);

#endif
