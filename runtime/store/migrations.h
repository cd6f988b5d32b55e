/* migrations.h - the numbered steps from an empty database to the present schema.
 *
 * Each runs once, in a transaction of its own together with its row in schema_version. A step that
 * was released is never changed: mend it with a further one. Constraints must not be DEFERRABLE:
 * one would fail a whole group at its commit, instead of the one transaction that broke it. */
#ifndef STANCE_STORE_MIGRATIONS_H
#define STANCE_STORE_MIGRATIONS_H

#include "core/err.h"

struct db_migration {
    int version; /* 1, 2, 3, ...; 0 ends the list */
    const char *name;
    const char *sql; /* one or more statements */
};

extern const struct db_migration db_migrations[];

struct db_conn;

/* Brings the database up to the last of `migrations` and says its version. ERR_UNSUPPORTED when it
 * is beyond that. */
int db_migrate(struct db_conn *conn, const struct db_migration *migrations, int *version,
               struct err *err);

#endif
