/* objects.h - bytes kept under the SHA-256 of their contents.
 *
 * An interface over backends; `files` keeps DATA/objects/ab/cdef..., one file an object. A put is
 * hashed while it is written under a temporary name, synced, renamed into place, and its folder
 * synced, so that an object is whole or absent. Contents that are there already are not written
 * again. Several processes may use one store at once; what a dead one left half-written is removed
 * at the next opening.
 *
 * All calls may wait for the disk: pool threads. An `objects` may be used by many threads; an
 * `object_put` by one at a time. */
#ifndef STANCE_STORE_OBJECTS_H
#define STANCE_STORE_OBJECTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum { OBJECT_HASH_SIZE = 65 }; /* 64 lower-case hex digits and a zero */

struct objects;
struct object_put;

struct object_info {
    char hash[OBJECT_HASH_SIZE];
    int64_t size;    /* bytes */
    double modified; /* seconds since 1970: when it was last put */
};

/* What a backend provides. It embeds `struct objects` and `struct object_put` as first members. */
struct objects_backend {
    const char *name;
    int (*begin)(struct objects *objects, struct object_put **out, struct err *err);
    int (*write)(struct object_put *put, const void *data, size_t size, struct err *err);
    int (*commit)(struct object_put *put, struct object_info *out,
                  struct err *err);        /* frees, always */
    void (*abort)(struct object_put *put); /* frees */
    /* Counts as a put of these contents: they are there, whole, and durable. Else ERR_NOT_FOUND. */
    int (*refresh)(struct objects *objects, const char *hash, int64_t size, struct object_info *out,
                   struct err *err);
    int (*open)(struct objects *objects, const char *hash, int64_t *size, struct err *err);
    int (*stat)(struct objects *objects, const char *hash, struct object_info *out,
                struct err *err);
    int (*remove)(struct objects *objects, const char *hash, struct err *err);
    int (*list)(struct objects *objects, bool (*visit)(const struct object_info *info, void *arg),
                void *arg, struct err *err);
    int (*sweep)(struct objects *objects, double before, bool (*keep)(const char *hash, void *arg),
                 void *arg, int64_t *removed, struct err *err);
    void (*close)(struct objects *objects);
};

void objects_count_from_now(void); /* for backends, when they open */

struct objects {
    const struct objects_backend *backend;
    atomic_int references;
};

struct object_put {
    struct objects *objects;
};

/* Opens DATA_DIR/objects, making it (mode 0700) when it is not there. */
int objects_open_files(const char *data_dir, struct objects **out, struct err *err);
void objects_close(struct objects *objects); /* gives back the opener's reference; NULL-safe */

/* It lives as long as anyone holds a reference, an open put included. Any thread. */
void objects_retain(struct objects *objects);
void objects_release(struct objects *objects);

/* A put in pieces. After a failed write only objects_abort is left. */
int objects_begin(struct objects *objects, struct object_put **out, struct err *err);
int objects_write(struct object_put *put, const void *data, size_t size, struct err *err);
int objects_commit(struct object_put *put, struct object_info *out,
                   struct err *err);        /* frees the put, always */
void objects_abort(struct object_put *put); /* NULL-safe */

/* A put in one piece: writes nothing when the contents are there. */
int objects_put(struct objects *objects, const void *data, size_t size, struct object_info *out,
                struct err *err);

/* A readable descriptor at offset 0, the caller's to close; negative code on failure. It stays good
 * when the object is removed. A backend without files fetches into an unlinked temporary one. */
int objects_open(struct objects *objects, const char *hash, int64_t *size, struct err *err);

int objects_stat(struct objects *objects, const char *hash, struct object_info *out,
                 struct err *err);
int objects_remove(struct objects *objects, const char *hash, struct err *err);

/* The whole object, malloc'ed, its hash verified (ERR_CORRUPT); ERR_TOO_LARGE above `limit` bytes.
 */
int objects_read(struct objects *objects, const char *hash, size_t limit, char **out, size_t *size,
                 struct err *err);

/* Reads it through and compares its hash: ERR_CORRUPT when the contents have changed. */
int objects_verify(struct objects *objects, const char *hash, struct err *err);

/* Every object, in no order, until `visit` returns false. */
int objects_list(struct objects *objects, bool (*visit)(const struct object_info *info, void *arg),
                 void *arg, struct err *err);

/* Removes the objects that were last put before `before` (seconds since 1970) and that `keep` does
 * not want. Safe beside puts of the same contents: such a put counts as new. */
int objects_sweep(struct objects *objects, double before, bool (*keep)(const char *hash, void *arg),
                  void *arg, int64_t *removed, struct err *err);

/* 64 lower-case hex digits? */
bool objects_hash_valid(const char *hash);

#endif
