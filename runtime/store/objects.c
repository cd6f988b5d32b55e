#include "store/objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/metrics.h"
#include "store/digest.h"

void objects_retain(struct objects *objects) {
    atomic_fetch_add(&objects->references, 1);
}

void objects_release(struct objects *objects) {
    if (objects != NULL && atomic_fetch_sub(&objects->references, 1) == 1)
        objects->backend->close(objects);
}

void objects_close(struct objects *objects) {
    objects_release(objects);
}

bool objects_hash_valid(const char *hash) {
    return strlen(hash) == OBJECT_HASH_SIZE - 1 &&
           strspn(hash, "0123456789abcdef") == OBJECT_HASH_SIZE - 1;
}

/* -- Counting ---------------------------------------------------------------------------------- */

static struct { struct metric *stored, *known, *written, *read; } counted;

static void find_metrics(void) {
    struct metric_family *family = metrics_family(
        METRIC_COUNTER, "objects_puts_total",
        "Puts of an object: stored, or known when the contents were there already.", NULL, 0, NULL);
    counted.stored = metrics_series(family, (const char *const[]){"outcome", "stored", NULL});
    counted.known = metrics_series(family, (const char *const[]){"outcome", "known", NULL});
    family = metrics_family(METRIC_COUNTER, "objects_written_bytes_total",
                            "Bytes written to the object store.", NULL, 0, NULL);
    counted.written = metrics_series(family, NULL);
    family = metrics_family(METRIC_COUNTER, "objects_opened_bytes_total",
                            "Bytes of the objects that were opened to be read.", NULL, 0, NULL);
    counted.read = metrics_series(family, NULL);
}

/* A store is opened before anything is counted, and opened on one thread. */
void objects_count_from_now(void) {
    if (counted.read == NULL)
        find_metrics();
}

static int check_hash(const char *hash, struct err *err) {
    return objects_hash_valid(hash)
               ? 0
               : err_set(err, ERR_INVALID, "an object's hash has 64 lower-case hex digits");
}

/* -- Putting -------------------------------------------------------------------------------------
 */

int objects_begin(struct objects *objects, struct object_put **out, struct err *err) {
    int code = objects->backend->begin(objects, out, err);
    if (code == 0)
        objects_retain(objects);
    return code;
}

int objects_write(struct object_put *put, const void *data, size_t size, struct err *err) {
    metric_add(counted.written, (double)size);
    return put->objects->backend->write(put, data, size, err);
}

int objects_commit(struct object_put *put, struct object_info *out, struct err *err) {
    struct objects *objects = put->objects;
    int code = objects->backend->commit(put, out, err);
    if (code >= 0)
        metric_add(counted.stored, 1);
    objects_release(objects);
    return code;
}

void objects_abort(struct object_put *put) {
    if (put == NULL)
        return;
    struct objects *objects = put->objects;
    objects->backend->abort(put);
    objects_release(objects);
}

int objects_put(struct objects *objects, const void *data, size_t size, struct object_info *out,
                struct err *err) {
    char hash[OBJECT_HASH_SIZE];
    digest_sha256(data, size, hash);
    struct err missing; /* kept from `err`, which is for failures */
    int code = objects->backend->refresh(objects, hash, (int64_t)size, out, &missing);
    if (code >= 0)
        metric_add(counted.known, 1);
    if (code != ERR_NOT_FOUND)
        return code < 0 ? err_set(err, missing.code, "%s", missing.message) : 0;
    struct object_put *put;
    code = objects_begin(objects, &put, err);
    if (code < 0)
        return code;
    code = objects_write(put, data, size, err);
    if (code < 0) {
        objects_abort(put);
        return code;
    }
    return objects_commit(put, out, err);
}

/* -- Reading -------------------------------------------------------------------------------------
 */

int objects_open(struct objects *objects, const char *hash, int64_t *size, struct err *err) {
    int code = check_hash(hash, err);
    code = code < 0 ? code : objects->backend->open(objects, hash, size, err);
    if (code >= 0)
        metric_add(counted.read, (double)*size);
    return code;
}

int objects_stat(struct objects *objects, const char *hash, struct object_info *out,
                 struct err *err) {
    int code = check_hash(hash, err);
    return code < 0 ? code : objects->backend->stat(objects, hash, out, err);
}

int objects_remove(struct objects *objects, const char *hash, struct err *err) {
    int code = check_hash(hash, err);
    return code < 0 ? code : objects->backend->remove(objects, hash, err);
}

static int fail_changed(const char *hash, struct err *err) {
    return err_set(err, ERR_CORRUPT, "object %s is damaged: its contents have another hash", hash);
}

/* Reads until `size` bytes or the end; the number of bytes, or a negative code. */
static ssize_t read_full(int fd, char *data, size_t size, struct err *err) {
    size_t used = 0;
    while (used < size) {
        ssize_t got = read(fd, data + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno(err, errno, "cannot read an object");
        if (got == 0)
            break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

static int read_whole(int fd, const char *hash, char **out, size_t size, struct err *err) {
    char found[OBJECT_HASH_SIZE];
    char *data = *out = malloc(size + 1);
    if (data == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory for an object of %zu bytes", size);
    ssize_t got = read_full(fd, data, size, err);
    if (got < 0)
        return (int)got;
    digest_sha256(data, (size_t)got, found);
    data[size] = 0;
    return strcmp(found, hash) == 0 ? 0 : fail_changed(hash, err);
}

int objects_read(struct objects *objects, const char *hash, size_t limit, char **out, size_t *size,
                 struct err *err) {
    int64_t found = 0;
    int fd = objects_open(objects, hash, &found, err);
    if (fd < 0)
        return fd;
    *out = NULL;
    *size = (size_t)found;
    int code = *size > limit ? err_set(err, ERR_TOO_LARGE,
                                       "object %s has %zu bytes, more than the limit of %zu", hash,
                                       *size, limit)
                             : read_whole(fd, hash, out, *size, err);
    close(fd);
    if (code < 0) {
        free(*out);
        *out = NULL;
    }
    return code;
}

int objects_verify(struct objects *objects, const char *hash, struct err *err) {
    int64_t size;
    int fd = objects_open(objects, hash, &size, err);
    if (fd < 0)
        return fd;
    char found[OBJECT_HASH_SIZE];
    int code = digest_sha256_fd(fd, found, err);
    close(fd);
    if (code < 0)
        return code;
    return strcmp(found, hash) == 0 ? 0 : fail_changed(hash, err);
}

int objects_list(struct objects *objects, bool (*visit)(const struct object_info *info, void *arg),
                 void *arg, struct err *err) {
    return objects->backend->list(objects, visit, arg, err);
}

int objects_sweep(struct objects *objects, double before, bool (*keep)(const char *hash, void *arg),
                  void *arg, int64_t *removed, struct err *err) {
    return objects->backend->sweep(objects, before, keep, arg, removed, err);
}
