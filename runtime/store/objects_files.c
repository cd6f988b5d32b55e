/* Objects as files: DATA/objects/ab/cdef... and DATA/objects/tmp for what is being written.
 *
 * A writer holds its temporary file locked (flock), so that whoever opens the store can tell a dead
 * writer's remains from a file that is still growing. The same lock on an object settles who is
 * first, a sweep that removes it or a put that wants it kept. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/digest.h"
#include "store/objects.h"

enum { FOLDERS = 256 };

struct files {
    struct objects base;
    int root;      /* DATA/objects */
    int temporary; /* DATA/objects/tmp */
    atomic_uint counter;
    atomic_bool settled[FOLDERS]; /* the entry of folder "ab" is known to be durable */
};

struct files_put {
    struct object_put base;
    int fd;
    char name[64]; /* in tmp */
    struct digest *digest;
    int64_t size;
};

static const struct objects_backend backend;

/* -- Folders -------------------------------------------------------------------------------------
 */

static int sync_fd(int fd, const char *what, struct err *err) {
    /* EINVAL: a file system that cannot sync folders. */
    return fsync(fd) == 0 || errno == EINVAL ? 0
                                             : err_set_errno(err, errno, "cannot sync %s", what);
}

/* A descriptor of folder "ab", made when it is missing. The first use by a process syncs the root,
 * since another process may have made the folder and not synced it yet. */
static int open_folder(struct files *files, const char *hash, bool make, struct err *err) {
    char name[3] = {hash[0], hash[1], 0};
    int fd = openat(files->root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT && make) {
        if (mkdirat(files->root, name, 0700) < 0 && errno != EEXIST)
            return err_set_errno(err, errno, "cannot make a folder for objects");
        fd = openat(files->root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    }
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open the folder of object %s", hash);
    atomic_bool *settled = &files->settled[strtoul(name, NULL, 16)];
    if (make && !atomic_load(settled)) {
        int code = sync_fd(files->root, "the folder of objects", err);
        if (code < 0) {
            close(fd);
            return code;
        }
        atomic_store(settled, true);
    }
    return fd;
}

/* -- Putting -------------------------------------------------------------------------------------
 */

static int open_temporary(struct files *files, struct files_put *put, struct err *err) {
    for (int attempt = 0; attempt < 100; attempt++) {
        snprintf(put->name, sizeof put->name, "%ld.%u", (long)getpid(),
                 atomic_fetch_add(&files->counter, 1));
        put->fd = openat(files->temporary, put->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
        if (put->fd < 0 && errno == EEXIST)
            continue; /* a process of another namespace, or a dead one, had our number */
        if (put->fd < 0)
            break;
        struct stat info;
        if (flock(put->fd, LOCK_EX) == 0 && fstat(put->fd, &info) == 0 && info.st_nlink > 0)
            return 0;
        close(put->fd); /* taken for a dead writer's before it was locked */
    }
    return err_set_errno(err, errno, "cannot make a temporary file for an object");
}

static int files_begin(struct objects *objects, struct object_put **out, struct err *err) {
    struct files_put *put = calloc(1, sizeof *put);
    if (put == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory for an object");
    put->base.objects = objects;
    put->digest = digest_new(err);
    if (put->digest == NULL || open_temporary((struct files *)objects, put, err) < 0) {
        digest_free(put->digest);
        free(put);
        return err ? err->code : ERR_IO;
    }
    *out = &put->base;
    return 0;
}

static int files_write(struct object_put *base, const void *data, size_t size, struct err *err) {
    struct files_put *put = (struct files_put *)base;
    const char *at = data;
    digest_add(put->digest, data, size);
    while (size > 0) {
        ssize_t wrote = write(put->fd, at, size);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return err_set_errno(err, errno, "cannot write an object");
        at += wrote;
        size -= (size_t)wrote;
        put->size += wrote;
    }
    return 0;
}

static void put_free(struct files_put *put) {
    close(put->fd); /* unlocks */
    digest_free(put->digest);
    free(put);
}

static void files_abort(struct object_put *base) {
    struct files_put *put = (struct files_put *)base;
    unlinkat(((struct files *)base->objects)->temporary, put->name, 0);
    put_free(put);
}

static void fill_stat(struct object_info *out, const struct stat *stat) {
    out->size = (int64_t)stat->st_size;
    out->modified = (double)stat->st_mtim.tv_sec + (double)stat->st_mtim.tv_nsec / 1e9;
}

static void fill_info(struct object_info *out, const char *hash, const struct stat *stat) {
    memcpy(out->hash, hash, OBJECT_HASH_SIZE);
    fill_stat(out, stat);
}

static int touch_fd(int fd, const char *hash, int64_t size, struct object_info *out,
                    struct err *err) {
    struct stat info;
    if (flock(fd, LOCK_SH) < 0 || fstat(fd, &info) < 0)
        return err_set_errno(err, errno, "cannot lock object %s", hash);
    if (info.st_nlink == 0 || info.st_size != size)
        return err_set(err, ERR_NOT_FOUND, "object %s is not there", hash);
    if (futimens(fd, NULL) < 0 || fstat(fd, &info) < 0)
        return err_set_errno(err, errno, "cannot touch object %s", hash);
    fill_stat(out, &info);
    return 0;
}

/* Marks the object in `folder` as put now, and fills all of `out` but the hash. ERR_NOT_FOUND when
 * it is not there with that size. */
static int touch(int folder, const char *hash, int64_t size, struct object_info *out,
                 struct err *err) {
    int fd = openat(folder, hash + 2, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open object %s", hash);
    int code = touch_fd(fd, hash, size, out, err);
    close(fd); /* unlocks */
    return code;
}

static int files_refresh(struct objects *objects, const char *hash, int64_t size,
                         struct object_info *out, struct err *err) {
    int folder = open_folder((struct files *)objects, hash, false, err);
    if (folder < 0)
        return folder;
    memcpy(out->hash, hash, OBJECT_HASH_SIZE);
    int code = touch(folder, hash, size, out, err);
    /* Who wrote it may not have come to syncing its entry. */
    if (code == 0)
        code = sync_fd(folder, "a folder of objects", err);
    close(folder);
    return code;
}

/* The temporary file is whole and synced: gives it its name, unless the contents are there. */
static int place(struct files *files, struct files_put *put, struct object_info *out,
                 struct err *err) {
    int folder = open_folder(files, out->hash, true, err);
    if (folder < 0)
        return folder;
    struct stat info;
    struct err missing;
    int code = touch(folder, out->hash, put->size, out, &missing);
    if (code == 0)
        unlinkat(files->temporary, put->name, 0);
    else if (renameat(files->temporary, put->name, folder, out->hash + 2) < 0 ||
             fstat(put->fd, &info) < 0)
        code = err_set_errno(err, errno, "cannot give an object its name");
    else {
        code = 0;
        fill_stat(out, &info);
    }
    if (code == 0)
        code = sync_fd(folder, "a folder of objects", err);
    close(folder);
    return code;
}

static int files_commit(struct object_put *base, struct object_info *out, struct err *err) {
    struct files_put *put = (struct files_put *)base;
    struct files *files = (struct files *)base->objects;
    int code = 0;
    digest_end(put->digest, out->hash);
    if (fsync(put->fd) < 0)
        code = err_set_errno(err, errno, "cannot sync an object");
    if (code == 0)
        code = place(files, put, out, err);
    if (code < 0)
        unlinkat(files->temporary, put->name, 0);
    put_free(put);
    return code;
}

/* -- Reading -------------------------------------------------------------------------------------
 */

static int open_object(struct files *files, const char *hash, struct stat *info, struct err *err) {
    char path[OBJECT_HASH_SIZE + 1];
    snprintf(path, sizeof path, "%.2s/%s", hash, hash + 2);
    int fd = openat(files->root, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "object %s is not there", hash);
    if (fd < 0 || fstat(fd, info) < 0) {
        int code = err_set_errno(err, errno, "cannot open object %s", hash);
        if (fd >= 0)
            close(fd);
        return code;
    }
    return fd;
}

static int files_open(struct objects *objects, const char *hash, int64_t *size, struct err *err) {
    struct stat info;
    int fd = open_object((struct files *)objects, hash, &info, err);
    if (fd >= 0)
        *size = (int64_t)info.st_size;
    return fd;
}

static int files_stat(struct objects *objects, const char *hash, struct object_info *out,
                      struct err *err) {
    struct stat info;
    int fd = open_object((struct files *)objects, hash, &info, err);
    if (fd < 0)
        return fd;
    close(fd);
    fill_info(out, hash, &info);
    return 0;
}

static int files_remove(struct objects *objects, const char *hash, struct err *err) {
    char path[OBJECT_HASH_SIZE + 1];
    snprintf(path, sizeof path, "%.2s/%s", hash, hash + 2);
    if (unlinkat(((struct files *)objects)->root, path, 0) == 0)
        return 0;
    return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "object %s is not there", hash)
                           : err_set_errno(err, errno, "cannot remove object %s", hash);
}

/* -- Going through them --------------------------------------------------------------------------
 */

/* What is done with each object; false ends the walk. */
typedef bool (*walk_visit)(int folder, const struct object_info *info, void *arg);

static bool walk_folder(DIR *folder, const char *name, walk_visit visit, void *arg) {
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char hash[OBJECT_HASH_SIZE + 256];
        snprintf(hash, sizeof hash, "%s%s", name, entry->d_name);
        struct stat stat;
        if (!objects_hash_valid(hash) ||
            fstatat(dirfd(folder), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        struct object_info info;
        fill_info(&info, hash, &stat);
        if (!visit(dirfd(folder), &info, arg))
            return false;
    }
    return true;
}

static int walk(struct files *files, walk_visit visit, void *arg, struct err *err) {
    for (int i = 0; i < FOLDERS; i++) {
        char name[3];
        snprintf(name, sizeof name, "%02x", i);
        int fd = openat(files->root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 && errno == ENOENT)
            continue;
        DIR *folder = fd < 0 ? NULL : fdopendir(fd);
        if (folder == NULL) {
            int code = err_set_errno(err, errno, "cannot list a folder of objects");
            if (fd >= 0)
                close(fd);
            return code;
        }
        bool on = walk_folder(folder, name, visit, arg);
        closedir(folder);
        if (!on)
            break;
    }
    return 0;
}

struct listing {
    bool (*visit)(const struct object_info *info, void *arg);
    void *arg;
};

static bool list_one(int folder, const struct object_info *info, void *arg) {
    (void)folder;
    const struct listing *listing = arg;
    return listing->visit(info, listing->arg);
}

static int files_list(struct objects *objects, bool (*visit)(const struct object_info *, void *),
                      void *arg, struct err *err) {
    struct listing listing = {visit, arg};
    return walk((struct files *)objects, list_one, &listing, err);
}

struct sweep {
    double before;
    bool (*keep)(const char *hash, void *arg);
    void *arg;
    int64_t removed;
};

static bool sweep_one(int folder, const struct object_info *info, void *arg) {
    struct sweep *sweep = arg;
    if (info->modified >= sweep->before || sweep->keep(info->hash, sweep->arg))
        return true;
    int fd = openat(folder, info->hash + 2, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return true;
    struct stat stat;
    struct object_info now;
    /* Locked by a put of the same contents, or put again since: it stays. */
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &stat) == 0) {
        fill_info(&now, info->hash, &stat);
        if (now.modified < sweep->before && unlinkat(folder, info->hash + 2, 0) == 0)
            sweep->removed++;
    }
    close(fd);
    return true;
}

static int files_sweep(struct objects *objects, double before, bool (*keep)(const char *, void *),
                       void *arg, int64_t *removed, struct err *err) {
    struct sweep sweep = {before, keep, arg, 0};
    int code = walk((struct files *)objects, sweep_one, &sweep, err);
    *removed = sweep.removed;
    return code;
}

/* -- Opening -------------------------------------------------------------------------------------
 */

/* Removes the temporary files that no living writer holds. */
static int clean(struct files *files, struct err *err) {
    int fd = openat(files->temporary, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        int code = err_set_errno(err, errno, "cannot list the temporary objects");
        if (fd >= 0)
            close(fd);
        return code;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        int file = openat(fd, entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        struct stat info;
        if (file >= 0 && fstat(file, &info) == 0 && S_ISREG(info.st_mode) &&
            flock(file, LOCK_EX | LOCK_NB) == 0)
            unlinkat(fd, entry->d_name, 0);
        if (file >= 0)
            close(file);
    }
    closedir(folder);
    return 0;
}

static int make_folder(int parent, const char *name, const char *what, struct err *err) {
    if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
        return err_set_errno(err, errno, "cannot make folder %s", what);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? err_set_errno(err, errno, "cannot open folder %s", what) : fd;
}

static int bring_up(struct files *files, const char *data_dir, struct err *err) {
    int data = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (data < 0)
        return err_set_errno(err, errno, "cannot open data folder %s", data_dir);
    int code = files->root = make_folder(data, "objects", "objects", err);
    if (code >= 0)
        code = sync_fd(data, "the data folder", err);
    if (code >= 0)
        code = files->temporary = make_folder(files->root, "tmp", "objects/tmp", err);
    if (code >= 0)
        code = clean(files, err);
    close(data);
    return code < 0 ? code : 0;
}

static void files_close(struct objects *objects) {
    struct files *files = (struct files *)objects;
    if (files->root >= 0)
        close(files->root);
    if (files->temporary >= 0)
        close(files->temporary);
    free(files);
}

int objects_open_files(const char *data_dir, struct objects **out, struct err *err) {
    *out = NULL;
    objects_count_from_now();
    struct files *files = calloc(1, sizeof *files);
    if (files == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory for objects");
    files->base.backend = &backend;
    atomic_init(&files->base.references, 1);
    files->root = files->temporary = -1;
    int code = bring_up(files, data_dir, err);
    if (code < 0) {
        files_close(&files->base);
        return code;
    }
    *out = &files->base;
    return 0;
}

static const struct objects_backend backend = {
    .name = "files",
    .begin = files_begin,
    .write = files_write,
    .commit = files_commit,
    .abort = files_abort,
    .refresh = files_refresh,
    .open = files_open,
    .stat = files_stat,
    .remove = files_remove,
    .list = files_list,
    .sweep = files_sweep,
    .close = files_close,
};
