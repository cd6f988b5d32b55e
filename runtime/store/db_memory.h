/* db_memory.h - a database in memory: the schema and the statements of db.h, without its file, its
 * threads and its queue.
 *
 * For tests, which make one in a millisecond: each call runs at once, on the thread that makes it.
 * Transactions behave as the writer's do: all or nothing, the same limits, the same errors. */
#ifndef STANCE_STORE_DB_MEMORY_H
#define STANCE_STORE_DB_MEMORY_H

#include "store/db.h"

struct db_memory;

/* With the built-in migrations applied. */
int db_memory_open(struct db_memory **out, struct err *err);
void db_memory_close(struct db_memory *memory); /* NULL-safe */

/* As db_write and db_read; the transaction stays the caller's and holds the rows. */
int db_memory_write(struct db_memory *memory, struct db_transaction *transaction, struct err *err);
int db_memory_read(struct db_memory *memory, struct db_transaction *transaction, struct err *err);

#endif
