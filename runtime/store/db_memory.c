#include "store/db_memory.h"

#include <stdlib.h>
#include <string.h>

#include "store/db_transaction.h"
#include "store/migrations.h"

/* One connection with two sets of prepared statements: the reader's refuses those that write. */
struct db_memory {
    struct db_conn writer, reader;
};

int db_memory_open(struct db_memory **out, struct err *err) {
    struct db_memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int version, code = db_conn_open(&memory->writer, DB_IN_MEMORY, true, err);
    if (code == 0)
        code = db_migrate(&memory->writer, db_migrations, &version, err);
    if (code < 0) {
        db_memory_close(memory);
        return code;
    }
    memory->reader.sqlite = memory->writer.sqlite;
    *out = memory;
    return 0;
}

void db_memory_close(struct db_memory *memory) {
    if (memory == NULL)
        return;
    db_conn_forget(&memory->reader);
    db_conn_close(&memory->writer);
    free(memory);
}

/* Runs it inside a transaction of its own. */
static int run(struct db_conn *writer, struct db_conn *conn, struct db_transaction *transaction) {
    struct err *err = &transaction->err;
    *err = (struct err){0};
    int code = db_conn_exec(writer, "BEGIN", err);
    if (code == 0)
        code = db_transaction_run(transaction, conn);
    if (code == 0)
        code = db_conn_exec(writer, "COMMIT", err);
    if (code < 0) {
        db_conn_roll_back(writer);
        db_transaction_forget(transaction);
    }
    return code;
}

int db_memory_write(struct db_memory *memory, struct db_transaction *transaction, struct err *err) {
    int code = run(&memory->writer, &memory->writer, transaction);
    if (err != NULL)
        *err = transaction->err;
    return code;
}

int db_memory_read(struct db_memory *memory, struct db_transaction *transaction, struct err *err) {
    int code = run(&memory->writer, &memory->reader, transaction);
    if (err != NULL)
        *err = transaction->err;
    return code;
}
