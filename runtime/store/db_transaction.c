#include "store/db_transaction.h"

#include <stdlib.h>
#include <string.h>

struct db_transaction *db_transaction_new(void) {
    struct db_transaction *transaction = calloc(1, sizeof *transaction);
    if (transaction != NULL)
        transaction->failed_at = -1;
    return transaction;
}

static int grow(struct db_transaction *transaction) {
    if (transaction->count < transaction->capacity)
        return 0;
    size_t capacity = transaction->capacity ? transaction->capacity * 2 : 4;
    void *statements = realloc(transaction->statements, capacity * sizeof *transaction->statements);
    if (statements == NULL)
        return -1;
    transaction->statements = statements;
    void *rows = realloc(transaction->rows, capacity * sizeof *transaction->rows);
    if (rows == NULL)
        return -1;
    transaction->rows = rows;
    transaction->capacity = capacity;
    return 0;
}

/* Values, their bytes and the text in one block, which starts with the values. */
static struct db_value *copy_all(const char *sql, const struct db_value *values, size_t count,
                                 char **sql_copy) {
    size_t text = strlen(sql) + 1, bytes = count * sizeof *values + text;
    for (size_t i = 0; i < count; i++)
        if (values[i].type >= DB_TEXT)
            bytes += values[i].bytes.size;
    char *block = malloc(bytes);
    if (block == NULL)
        return NULL;
    struct db_value *copy = (struct db_value *)block;
    char *free_bytes = block + count * sizeof *values;
    *sql_copy = memcpy(free_bytes, sql, text);
    free_bytes += text;
    for (size_t i = 0; i < count; i++) {
        copy[i] = values[i];
        if (values[i].type < DB_TEXT || values[i].bytes.size == 0)
            continue;
        copy[i].bytes.data = memcpy(free_bytes, values[i].bytes.data, values[i].bytes.size);
        free_bytes += values[i].bytes.size;
    }
    return copy;
}

int db_transaction_add(struct db_transaction *transaction, const char *sql,
                       const struct db_value *values, size_t count, bool pad, int64_t expect,
                       struct err *err) {
    struct db_statement statement = {.count = count, .pad = pad, .expect = expect};
    if (grow(transaction) == 0)
        statement.values = copy_all(sql, values, count, &statement.sql);
    if (statement.values == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory for a transaction");
    transaction->rows[transaction->count] = NULL;
    transaction->statements[transaction->count++] = statement;
    return 0;
}

int db_transaction_run(struct db_transaction *transaction, struct db_conn *conn) {
    db_transaction_forget(transaction); /* it may have run before, in a group that was undone */
    for (size_t i = 0; i < transaction->count; i++) {
        int code = db_conn_run(conn, &transaction->statements[i], &transaction->rows[i],
                               &transaction->err);
        if (code < 0) {
            transaction->failed_at = (int)i;
            return code;
        }
    }
    transaction->failed_at = -1;
    return 0;
}

void db_transaction_forget(struct db_transaction *transaction) {
    for (size_t i = 0; i < transaction->count; i++) {
        db_rows_free(transaction->rows[i]);
        transaction->rows[i] = NULL;
    }
}

size_t db_transaction_count(const struct db_transaction *transaction) {
    return transaction->count;
}

const struct db_rows *db_transaction_rows(const struct db_transaction *transaction, size_t index) {
    return transaction->rows[index];
}

int db_transaction_failed_at(const struct db_transaction *transaction) {
    return transaction->failed_at;
}

void db_transaction_free(struct db_transaction *transaction) {
    if (transaction == NULL)
        return;
    db_transaction_forget(transaction);
    for (size_t i = 0; i < transaction->count; i++)
        free(transaction->statements[i].values);
    free(transaction->statements);
    free(transaction->rows);
    free(transaction);
}
