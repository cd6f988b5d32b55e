/* disk.h - the file calls of a test program, its own and SQLite's, in the test's hand.
 *
 * They stand in place of the C library's (the linker prefers a program's symbols to those of any
 * shared library) and count what happens beneath one folder. Then either
 *   - the n-th call fails, once or from then on (disk_fail_at), or
 *   - the power fails at the n-th change (disk_cut_at): what a disk may hold at such a moment is
 *     written to another folder, and the process ends.
 *
 * After a power cut a file has what it had at its last sync and any of the sectors written since;
 * names that were made, removed or moved are as at the last sync of their folder, or as they were
 * meant to be. Whatever is mapped (SQLite's index of its log) is lost.
 *
 * For forked children with threads; the functions that set something up are called before those
 * start. */
#ifndef STANCE_SPEC_DISK_H
#define STANCE_SPEC_DISK_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum disk_call {
    DISK_OPEN,
    DISK_READ,
    DISK_WRITE,
    DISK_SYNC,
    DISK_TRUNCATE,
    DISK_RENAME,
    DISK_UNLINK,
    DISK_MKDIR,
    DISK_CALLS
};

static struct {
    char root[PATH_MAX]; /* "": nothing is counted */
    atomic_int calls;    /* that could have failed */
    int fail_at;         /* 0: none */
    bool for_good;
    atomic_bool failed;
    void (*on_failure)(const char *call); /* of the first */
    bool models;                          /* see below: what is durable is kept track of */
} disk;

static pthread_mutex_t disk_lock = PTHREAD_MUTEX_INITIALIZER;

/* -- Where a call goes ------------------------------------------------------------------------- */

static inline bool disk_path_of(int fd, char path[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long size = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    if (size <= 0)
        return false;
    path[size] = 0;
    return true;
}

static inline bool disk_holds(const char *path) {
    size_t size = strlen(disk.root);
    return size > 0 && strncmp(path, disk.root, size) == 0 &&
           (path[size] == '/' || path[size] == 0);
}

/* The whole path of `name`; false when it is none of ours. */
static inline bool disk_locate(int folder, const char *name, char path[2 * PATH_MAX]) {
    char base[PATH_MAX] = "";
    if (disk.root[0] == 0 || (name[0] != '/' && folder != AT_FDCWD && !disk_path_of(folder, base)))
        return false;
    snprintf(path, 2 * PATH_MAX, "%s%s%s", base, base[0] ? "/" : "", name);
    return disk_holds(path);
}

static inline bool disk_has(int fd) {
    char path[PATH_MAX];
    return disk.root[0] != 0 && disk_path_of(fd, path) && disk_holds(path);
}

/* -- Failing ----------------------------------------------------------------------------------- */

/* Of the calls beneath `root` the n-th fails, and with `for_good` all later ones. */
static inline void disk_fail_at(const char *root, int n, bool for_good,
                                void (*on_failure)(const char *call)) {
    snprintf(disk.root, sizeof disk.root, "%s", root);
    atomic_store(&disk.calls, 0);
    atomic_store(&disk.failed, false);
    disk.fail_at = n;
    disk.for_good = for_good;
    disk.on_failure = on_failure;
}

/* True, with errno set, when this call shall fail. */
static inline bool disk_fails(enum disk_call call) {
    static const int errors[DISK_CALLS][3] = {
        [DISK_OPEN] = {EMFILE, ENOSPC, EIO},  [DISK_READ] = {EIO, EIO, EIO},
        [DISK_WRITE] = {ENOSPC, EIO, EDQUOT}, [DISK_SYNC] = {EIO, ENOSPC, EIO},
        [DISK_TRUNCATE] = {EIO, ENOSPC, EIO}, [DISK_RENAME] = {ENOSPC, EIO, EIO},
        [DISK_UNLINK] = {EIO, EROFS, EIO},    [DISK_MKDIR] = {ENOSPC, EMFILE, EIO},
    };
    static const char *const names[DISK_CALLS] = {"open",     "read",   "write",  "sync",
                                                  "truncate", "rename", "unlink", "mkdir"};
    if (disk.fail_at == 0)
        return false;
    int number = atomic_fetch_add(&disk.calls, 1) + 1;
    if (number != disk.fail_at && !(disk.for_good && number > disk.fail_at))
        return false;
    if (!atomic_exchange(&disk.failed, true))
        disk.on_failure(names[call]);
    errno = errors[call][disk.fail_at % 3];
    return true;
}

/* -- The model of what is durable ---------------------------------------------------------------
 */

enum { DISK_FILES = 4096, DISK_NAMES = 8192 };

struct disk_change {
    struct disk_change *next;
    off_t at; /* of a write; the new size of a truncation, which has no data */
    size_t size;
    char *data;
};

struct disk_file {
    ino_t inode;
    bool folder;
    char *bytes; /* as of the last sync */
    size_t size;
    struct disk_change *first, **last; /* since */
};

/* A name in its folder: which file it will lead to, and which it led to at the folder's last sync.
 */
struct disk_name {
    char *path;
    struct disk_file *now, *durable; /* NULL: nothing */
};

static struct {
    struct disk_file files[DISK_FILES];
    struct disk_name names[DISK_NAMES];
    size_t file_count, name_count;
    int changes, cut_at;
    unsigned seed;
    char image[PATH_MAX]; /* where the disk is written to */
    void (*on_cut)(void);
} disk_model;

static inline struct disk_file *disk_file_of(ino_t inode) {
    for (size_t i = disk_model.file_count; i-- > 0;)
        if (disk_model.files[i].inode == inode)
            return &disk_model.files[i];
    return NULL;
}

static inline struct disk_file *disk_file_add(ino_t inode, bool folder) {
    if (disk_model.file_count == DISK_FILES)
        abort();
    struct disk_file *file = &disk_model.files[disk_model.file_count++];
    *file = (struct disk_file){.inode = inode, .folder = folder};
    file->last = &file->first;
    return file;
}

static inline struct disk_name *disk_name_of(const char *path) {
    for (size_t i = 0; i < disk_model.name_count; i++)
        if (strcmp(disk_model.names[i].path, path) == 0)
            return &disk_model.names[i];
    if (disk_model.name_count == DISK_NAMES)
        abort();
    struct disk_name *name = &disk_model.names[disk_model.name_count++];
    *name = (struct disk_name){.path = strdup(path)};
    return name;
}

static inline void disk_apply(struct disk_file *file, off_t at, const char *data, size_t size) {
    size_t end = (size_t)at + size;
    if (end > file->size) {
        file->bytes = realloc(file->bytes, end);
        memset(file->bytes + file->size, 0, end - file->size);
    }
    if (end > file->size || data == NULL)
        file->size = end;
    if (data != NULL)
        memcpy(file->bytes + at, data, size);
}

/* All that was written to it is durable now. */
static inline void disk_settle(struct disk_file *file) {
    while (file->first != NULL) {
        struct disk_change *change = file->first;
        file->first = change->next;
        disk_apply(file, change->at, change->data, change->size);
        free(change->data);
        free(change);
    }
    file->last = &file->first;
}

static inline void disk_settle_folder(const char *folder) {
    size_t size = strlen(folder);
    for (size_t i = 0; i < disk_model.name_count; i++) {
        struct disk_name *name = &disk_model.names[i];
        if (strncmp(name->path, folder, size) == 0 && name->path[size] == '/' &&
            strchr(name->path + size + 1, '/') == NULL)
            name->durable = name->now;
    }
}

static inline void disk_changed(struct disk_file *file, off_t at, const void *data, size_t size) {
    struct disk_change *change = malloc(sizeof *change);
    *change = (struct disk_change){.at = at, .size = size};
    if (data != NULL)
        change->data = memcpy(malloc(size + 1), data, size);
    *file->last = change;
    file->last = &change->next;
}

/* -- The cut ----------------------------------------------------------------------------------- */

static inline bool disk_chance(int percent) {
    return rand_r(&disk_model.seed) % 100 < percent;
}

/* Any of the sectors that were written since the last sync arrived. */
static inline void disk_tear(struct disk_file *file, int percent, size_t sector) {
    for (struct disk_change *change = file->first; change != NULL; change = change->next) {
        if (change->data == NULL) {
            if (disk_chance(percent))
                disk_apply(file, change->at, NULL, 0);
            continue;
        }
        for (size_t done = 0; done < change->size;) {
            size_t at = (size_t)change->at + done, step = sector - at % sector;
            if (step > change->size - done)
                step = change->size - done;
            if (disk_chance(percent))
                disk_apply(file, (off_t)at, change->data + done, step);
            done += step;
        }
    }
}

static inline void disk_write_out(const char *path, const struct disk_file *file) {
    if (file->folder) {
        syscall(SYS_mkdirat, AT_FDCWD, path, 0700);
        return;
    }
    /* Fails where the folder's own name is lost: so is what was in it. */
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (size_t done = 0; fd >= 0 && done < file->size;) {
        long wrote = syscall(SYS_write, (int)fd, file->bytes + done, file->size - done);
        if (wrote <= 0)
            abort();
        done += (size_t)wrote;
    }
    if (fd >= 0)
        syscall(SYS_close, (int)fd);
}

static int disk_by_length(const void *a, const void *b) {
    size_t left = strlen(((const struct disk_name *)a)->path);
    size_t right = strlen(((const struct disk_name *)b)->path);
    return (left > right) - (left < right);
}

/* With the lock, which is never opened again. */
static inline void disk_cut(void) {
    static const int shares[] = {0, 30, 70, 100};
    int percent = shares[rand_r(&disk_model.seed) % 4],
        names = shares[rand_r(&disk_model.seed) % 4];
    size_t sector = disk_chance(50) ? 512 : 4096;
    for (size_t i = 0; i < disk_model.file_count; i++)
        disk_tear(&disk_model.files[i], percent, sector);
    /* Folders before what is in them. */
    qsort(disk_model.names, disk_model.name_count, sizeof *disk_model.names, disk_by_length);
    for (size_t i = 0; i < disk_model.name_count; i++) {
        const struct disk_name *name = &disk_model.names[i];
        const struct disk_file *file = disk_chance(names) ? name->now : name->durable;
        char path[2 * PATH_MAX];
        snprintf(path, sizeof path, "%s%s", disk_model.image, name->path + strlen(disk.root));
        if (file != NULL)
            disk_write_out(path, file);
    }
    disk_model.on_cut();
    _exit(0);
}

/* Each change passes here first. */
static inline void disk_count_change(void) {
    if (disk.models && ++disk_model.changes == disk_model.cut_at)
        disk_cut();
}

/* What lies beneath `root`, a fresh folder, is kept track of, until the power fails at change
 * `n`: `on_cut` is called and the process ends with status 0. */
static inline void disk_cut_at(const char *root, const char *image, int n, unsigned seed,
                               void (*on_cut)(void)) {
    snprintf(disk.root, sizeof disk.root, "%s", root);
    snprintf(disk_model.image, sizeof disk_model.image, "%s", image);
    disk_model.cut_at = n;
    disk_model.seed = seed;
    disk_model.on_cut = on_cut;
    disk.models = true;
}

/* -- The calls --------------------------------------------------------------------------------- */

static inline void disk_enter(void) {
    if (disk.models)
        pthread_mutex_lock(&disk_lock);
}

static inline void disk_leave(void) {
    if (disk.models)
        pthread_mutex_unlock(&disk_lock);
}

static inline void disk_note_name(const char *path, bool folder) {
    struct stat info;
    struct disk_name *name = disk_name_of(path);
    if (lstat(path, &info) == 0)
        name->now = disk_file_add(info.st_ino, folder);
}

static inline int disk_open(int folder, const char *name, int flags, mode_t mode) {
    char path[2 * PATH_MAX];
    if (!disk_locate(folder, name, path))
        return (int)syscall(SYS_openat, folder, name, flags, mode);
    if (disk_fails(DISK_OPEN))
        return -1;
    disk_enter();
    struct stat info;
    bool makes = disk.models && flags & O_CREAT && lstat(path, &info) < 0;
    if (makes)
        disk_count_change();
    int fd = (int)syscall(SYS_openat, folder, name, flags, mode);
    if (fd >= 0 && makes)
        disk_note_name(path, false);
    disk_leave();
    return fd;
}

#define DISK_OPEN_LIKE(name)                                                                       \
    int name(const char *path, int flags, ...) {                                                   \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;                                  \
        va_end(args);                                                                              \
        return disk_open(AT_FDCWD, path, flags, mode);                                             \
    }
DISK_OPEN_LIKE(open)
DISK_OPEN_LIKE(open64)

int openat(int folder, const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return disk_open(folder, path, flags, mode);
}

ssize_t read(int fd, void *data, size_t size) {
    return disk.fail_at && disk_has(fd) && disk_fails(DISK_READ)
               ? -1
               : syscall(SYS_read, fd, data, size);
}

ssize_t pread64(int fd, void *data, size_t size, off_t at) {
    return disk.fail_at && disk_has(fd) && disk_fails(DISK_READ)
               ? -1
               : syscall(SYS_pread64, fd, data, size, at);
}

ssize_t pread(int fd, void *data, size_t size, off_t at) {
    return pread64(fd, data, size, at);
}

/* A write at `at`, or where the file stands. */
static inline ssize_t disk_put(int fd, const void *data, size_t size, const off_t *where) {
    if (disk_has(fd) && disk_fails(DISK_WRITE))
        return -1;
    bool models = disk.models && disk_has(fd);
    if (models) {
        disk_enter();
        disk_count_change();
    }
    off_t at = where ? *where : models ? (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR) : 0;
    ssize_t wrote =
        where ? syscall(SYS_pwrite64, fd, data, size, at) : syscall(SYS_write, fd, data, size);
    if (models) {
        struct stat info;
        if (wrote > 0 && fstat(fd, &info) == 0)
            disk_changed(disk_file_of(info.st_ino), at, data, (size_t)wrote);
        disk_leave();
    }
    return wrote;
}

ssize_t write(int fd, const void *data, size_t size) {
    return disk_put(fd, data, size, NULL);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) {
    return disk_put(fd, data, size, &at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return disk_put(fd, data, size, &at);
}

int ftruncate64(int fd, off_t size) {
    bool ours = disk_has(fd);
    if (ours && disk_fails(DISK_TRUNCATE))
        return -1;
    if (!ours || !disk.models)
        return (int)syscall(SYS_ftruncate, fd, size);
    disk_enter();
    disk_count_change();
    int status = (int)syscall(SYS_ftruncate, fd, size);
    struct stat info;
    if (status == 0 && fstat(fd, &info) == 0)
        disk_changed(disk_file_of(info.st_ino), size, NULL, 0);
    disk_leave();
    return status;
}

int ftruncate(int fd, off_t size) {
    return ftruncate64(fd, size);
}

static inline int disk_sync(int fd, long number) {
    bool ours = disk_has(fd);
    if (ours && disk_fails(DISK_SYNC))
        return -1;
    if (!ours || !disk.models)
        return (int)syscall(number, fd);
    disk_enter();
    disk_count_change();
    struct stat info;
    char path[PATH_MAX];
    if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode) && disk_path_of(fd, path))
        disk_settle_folder(path);
    else
        disk_settle(disk_file_of(info.st_ino));
    disk_leave();
    return 0;
}

int fsync(int fd) {
    return disk_sync(fd, SYS_fsync);
}

int fdatasync(int fd) {
    return disk_sync(fd, SYS_fdatasync);
}

int renameat(int from, const char *name, int to, const char *new_name) {
    char old[2 * PATH_MAX], new[2 * PATH_MAX];
    bool ours = disk_locate(from, name, old) && disk_locate(to, new_name, new);
    if (ours && disk_fails(DISK_RENAME))
        return -1;
    disk_enter();
    if (ours)
        disk_count_change();
    int status = (int)syscall(SYS_renameat2, from, name, to, new_name, 0);
    if (status == 0 && ours && disk.models) {
        struct disk_name *source = disk_name_of(old);
        disk_name_of(new)->now = source->now;
        source->now = NULL;
    }
    disk_leave();
    return status;
}

int unlinkat(int folder, const char *name, int flags) {
    char path[2 * PATH_MAX];
    bool ours = disk_locate(folder, name, path);
    if (ours && disk_fails(DISK_UNLINK))
        return -1;
    disk_enter();
    if (ours)
        disk_count_change();
    int status = (int)syscall(SYS_unlinkat, folder, name, flags);
    if (status == 0 && ours && disk.models)
        disk_name_of(path)->now = NULL;
    disk_leave();
    return status;
}

int unlink(const char *path) {
    return unlinkat(AT_FDCWD, path, 0);
}

int mkdirat(int folder, const char *name, mode_t mode) {
    char path[2 * PATH_MAX];
    bool ours = disk_locate(folder, name, path);
    if (ours && disk_fails(DISK_MKDIR))
        return -1;
    disk_enter();
    if (ours)
        disk_count_change();
    int status = (int)syscall(SYS_mkdirat, folder, name, mode);
    if (status == 0 && ours && disk.models)
        disk_note_name(path, true);
    disk_leave();
    return status;
}

int mkdir(const char *path, mode_t mode) {
    return mkdirat(AT_FDCWD, path, mode);
}

#endif
