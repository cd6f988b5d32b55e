/* store_db.h - short forms that the tests of the database share. */
#ifndef STANCE_SPEC_STORE_DB_H
#define STANCE_SPEC_STORE_DB_H

#include <stdio.h>

#include "store/db.h"

static inline struct db *open_db(const char *folder) {
    struct db_options options = {.data_dir = folder};
    struct db *db;
    struct err err;
    if (db_open(NULL, &options, &db, &err) < 0)
        fprintf(stderr, "cannot open %s: %s\n", folder, err.message);
    return db;
}

static inline int write_one(struct db *db, const char *sql) {
    struct db_transaction *t = db_transaction_new();
    db_transaction_add(t, sql, NULL, 0, false, DB_ANY, NULL);
    int code = db_write(db, t, NULL);
    db_transaction_free(t);
    return code;
}

/* The first value of the first row, or the error's code. */
static inline int read_int(struct db *db, const char *sql) {
    struct db_transaction *t = db_transaction_new();
    db_transaction_add(t, sql, NULL, 0, false, DB_ANY, NULL);
    int code = db_read(db, t, NULL);
    if (code == 0) {
        const struct db_value *value = db_rows_at(db_transaction_rows(t, 0), 0, 0);
        code = value->type == DB_INTEGER ? (int)value->integer : (int)value->real;
    }
    db_transaction_free(t);
    return code;
}

#endif
