/* data_dir.h - the folder that a host keeps its state in: made private, held by one process at a
 * time.
 *
 * The lock is flock(2) on DATA/lock, which holds the owner's process id as text. The kernel drops
 * it with the process, so that a killed host leaves nothing to clean up. Any thread. */
#ifndef STANCE_STORE_DATA_DIR_H
#define STANCE_STORE_DATA_DIR_H

#include "core/err.h"

/* Makes the folder and those above it that are missing, and closes it to other users (mode 0700). A
 * folder that is open to others and holds what is not ours is refused with ERR_DENIED, rather than
 * changed. */
int data_dir_make(const char *path, struct err *err);

/* Returns the descriptor that holds the lock (close it to unlock), or a negative code: ERR_BUSY,
 * naming the process, when another one holds it. */
int data_dir_lock(const char *path, struct err *err);

/* Makes the entries of a folder durable. */
int data_dir_sync(const char *path, struct err *err);

#endif
