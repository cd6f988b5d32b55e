#include "store/roots.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_ROOTS = 64, NAME_SIZE = 32 };

struct root {
    char name[NAME_SIZE];
    char *folder;  /* without links */
    char *spelled; /* as it was given */
    int fd;
    bool writable;
};

struct roots {
    atomic_int references;
    size_t count;
    struct root list[MAX_ROOTS];
};

struct roots *roots_new(void) {
    struct roots *roots = calloc(1, sizeof *roots);
    if (roots != NULL)
        atomic_init(&roots->references, 1);
    return roots;
}

void roots_retain(struct roots *roots) {
    atomic_fetch_add(&roots->references, 1);
}

void roots_release(struct roots *roots) {
    if (roots == NULL || atomic_fetch_sub(&roots->references, 1) > 1)
        return;
    for (size_t i = 0; i < roots->count; i++) {
        free(roots->list[i].folder);
        free(roots->list[i].spelled);
        close(roots->list[i].fd);
    }
    free(roots);
}

void roots_free(struct roots *roots) {
    roots_release(roots);
}

static bool name_valid(const char *name) {
    size_t size = strlen(name);
    return size > 0 && size < NAME_SIZE &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == size;
}

static const struct root *find(const struct roots *roots, const char *name, size_t size) {
    for (size_t i = 0; i < roots->count; i++)
        if (strncmp(roots->list[i].name, name, size) == 0 && roots->list[i].name[size] == 0)
            return &roots->list[i];
    return NULL;
}

int roots_add(struct roots *roots, const char *name, const char *folder, bool writable,
              struct err *err) {
    if (!name_valid(name))
        return err_set(err, ERR_INVALID, "'%s' cannot name a folder: letters, digits, _ and -",
                       name);
    if (find(roots, name, strlen(name)) != NULL)
        return err_set(err, ERR_EXISTS, "two folders are named '%s'", name);
    if (roots->count == MAX_ROOTS)
        return err_set(err, ERR_TOO_LARGE, "more than %d folders", MAX_ROOTS);
    struct root root = {.writable = writable};
    snprintf(root.name, sizeof root.name, "%s", name);
    root.fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root.fd < 0)
        return err_set_errno(err, errno, "cannot open folder %s", folder);
    root.folder = realpath(folder, NULL);
    root.spelled = strdup(folder);
    if (root.folder == NULL || root.spelled == NULL) {
        int code = err_set_errno(err, errno, "cannot resolve folder %s", folder);
        free(root.folder);
        free(root.spelled);
        close(root.fd);
        return code;
    }
    roots->list[roots->count++] = root;
    return 0;
}

size_t roots_count(const struct roots *roots) {
    return roots->count;
}

const char *roots_name(const struct roots *roots, size_t index) {
    return roots->list[index].name;
}

const char *roots_folder(const struct roots *roots, size_t index) {
    return roots->list[index].folder;
}

bool roots_writable(const struct roots *roots, size_t index) {
    return roots->list[index].writable;
}

/* -- Choosing a root -----------------------------------------------------------------------------
 */

/* How many bytes of `path` lead to `folder`, or 0 when it does not begin with it. */
static size_t match(const char *path, const char *folder) {
    size_t size = strlen(folder);
    while (size > 0 && folder[size - 1] == '/')
        size--;
    return strncmp(path, folder, size) == 0 && (path[size] == '/' || path[size] == 0) ? size + 1
                                                                                      : 0;
}

/* The root that an absolute path may lie in: the one whose folder is longest, a
 * writable one before one that is not. */
static const struct root *find_absolute(const struct roots *roots, const char *path,
                                        size_t *taken) {
    const struct root *best = NULL;
    *taken = 0;
    for (size_t i = 0; i < roots->count; i++) {
        const struct root *root = &roots->list[i];
        size_t real = match(path, root->folder), spelled = match(path, root->spelled);
        size_t size = real > spelled ? real : spelled;
        if (size > *taken || (size == *taken && size > 0 && root->writable)) {
            *taken = size;
            best = root;
        }
    }
    if (best != NULL)
        (*taken)--;
    return best;
}

/* Chooses the root and gives what follows in `rest`, never empty. */
static int choose(const struct roots *roots, const char *path, bool write, const struct root **out,
                  const char **rest, struct err *err) {
    size_t taken = 0;
    const struct root *root = NULL;
    const char *colon = strchr(path, ':');
    if (path[0] == '/') {
        root = find_absolute(roots, path, &taken);
        if (root == NULL)
            return err_set(err, ERR_DENIED, "%s lies in none of the granted folders", path);
    } else if (colon == NULL) {
        return err_set(err, ERR_INVALID,
                       "'%s' names no folder: write FOLDER:%s or an absolute path", path, path);
    } else {
        taken = (size_t)(colon - path) + 1;
        root = find(roots, path, taken - 1);
        if (root == NULL)
            return err_set(err, ERR_NOT_FOUND, "no folder is named '%.*s'", (int)taken - 1, path);
    }
    if (write && !root->writable)
        return err_set(err, ERR_DENIED, "%s: folder '%s' is read-only", path, root->name);
    *rest = path + taken + strspn(path + taken, "/");
    if (**rest == 0)
        *rest = ".";
    *out = root;
    return 0;
}

/* -- Resolving -----------------------------------------------------------------------------------
 */

static int fail_resolve(int errnum, const char *path, struct err *err) {
    if (errnum == EXDEV)
        return err_set(err, ERR_DENIED, "%s leads out of its folder", path);
    if (errnum == ELOOP)
        return err_set(err, ERR_DENIED, "%s holds a link that is not followed", path);
    if (errnum == ENOSYS)
        return err_set(err, ERR_UNSUPPORTED,
                       "this kernel cannot confine paths (no openat2): "
                       "Linux 5.6 or newer is needed");
    return err_set_errno(err, errnum, "cannot open %s", path);
}

/* The descriptor, or -1 with errno. */
static int open_beneath(int root, const char *rest, int flags, mode_t mode) {
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;
    /* EAGAIN: something was renamed on the way, and the kernel could not rule an escape out. */
    for (int attempt = 0; attempt < 64; attempt++) {
        fd = syscall(SYS_openat2, root, rest, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return (int)fd;
}

int roots_open(const struct roots *roots, const char *path, int flags, mode_t mode,
               struct err *err) {
    bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0;
    const struct root *root;
    const char *rest;
    int code = choose(roots, path, writes, &root, &rest, err);
    if (code < 0)
        return code;
    if (flags & O_PATH) {
        int fd = open_beneath(root->fd, rest, flags, 0);
        return fd < 0 ? fail_resolve(errno, path, err) : fd;
    }
    /* O_NONBLOCK: opening a pipe would wait for its other end. */
    int fd = open_beneath(root->fd, rest, flags | O_NONBLOCK | O_NOCTTY, mode);
    if (fd < 0)
        return errno == ENXIO ? err_set(err, ERR_INVALID, "%s is no regular file", path)
                              : fail_resolve(errno, path, err);
    struct stat info;
    if (fstat(fd, &info) == 0 && (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)))
        return fd;
    close(fd);
    return err_set(err, ERR_INVALID, "%s is no regular file", path);
}

/* `text` up to `size`, its folder and its last component apart. False: it has no component that can
 * be made or removed. */
static bool split(const char *rest, char folder[PATH_MAX], char name[NAME_MAX + 1]) {
    size_t size = strlen(rest);
    while (size > 0 && rest[size - 1] == '/')
        size--;
    size_t start = size;
    while (start > 0 && rest[start - 1] != '/')
        start--;
    size_t length = size - start;
    if (length == 0 || length > NAME_MAX || start >= PATH_MAX)
        return false;
    memcpy(name, rest + start, length);
    name[length] = 0;
    if (start == 0)
        strcpy(folder, ".");
    else {
        memcpy(folder, rest, start);
        folder[start] = 0;
    }
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int roots_open_entry(const struct roots *roots, const char *path, bool write,
                     struct roots_entry *out, struct err *err) {
    const struct root *root;
    const char *rest;
    int code = choose(roots, path, write, &root, &rest, err);
    if (code < 0)
        return code;
    char folder[PATH_MAX];
    if (!split(rest, folder, out->name))
        return err_set(err, ERR_INVALID, "%s names no entry of a folder", path);
    out->folder = open_beneath(root->fd, folder, O_RDONLY | O_DIRECTORY, 0);
    return out->folder < 0 ? fail_resolve(errno, path, err) : 0;
}

/* Makes `rest` when its parent is there. 0, or errno. */
static int make_one(int root, const char *rest) {
    char folder[PATH_MAX], name[NAME_MAX + 1];
    int fd = open_beneath(root, rest, O_PATH | O_DIRECTORY, 0);
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    if (errno != ENOENT)
        return errno == ENOTDIR ? EEXIST : errno;
    if (!split(rest, folder, name))
        return EXDEV; /* "..": of a folder that is not there */
    int parent = open_beneath(root, folder, O_RDONLY | O_DIRECTORY, 0);
    if (parent < 0)
        return errno;
    int status = mkdirat(parent, name, 0777) < 0 && errno != EEXIST ? errno : 0;
    if (status == 0 && fsync(parent) < 0 && errno != EINVAL)
        status = errno;
    close(parent);
    return status;
}

int roots_make_folder(const struct roots *roots, const char *path, struct err *err) {
    const struct root *root;
    const char *rest;
    int code = choose(roots, path, true, &root, &rest, err);
    if (code < 0)
        return code;
    char part[PATH_MAX];
    if (snprintf(part, sizeof part, "%s", rest) >= (int)sizeof part)
        return err_set(err, ERR_INVALID, "a path of more than %d bytes", PATH_MAX - 1);
    for (char *end = part + strcspn(part, "/");; end += 1 + strcspn(end + 1, "/")) {
        char kept = *end;
        *end = 0;
        int status = make_one(root->fd, part);
        if (status != 0)
            return status == EEXIST ? err_set(err, ERR_EXISTS, "%s: a file is in the way", path)
                                    : fail_resolve(status, path, err);
        if (kept == 0)
            return 0;
        *end = kept;
    }
}
