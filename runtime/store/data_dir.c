#include "store/data_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes the entry of `path` durable: without it a power failure takes the folder and all in it. */
static int sync_parent(const char *path, struct err *err) {
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", path);
    for (size_t size = strlen(parent); size > 1 && parent[size - 1] == '/'; size--)
        parent[size - 1] = 0;
    char *slash = strrchr(parent, '/');
    if (slash == NULL)
        strcpy(parent, ".");
    else
        slash[slash == parent] = 0;
    /* One that may be passed but not read cannot be synced, and was not made by us. */
    return access(parent, R_OK) < 0 ? 0 : data_dir_sync(parent, err);
}

/* The folders above `path`, as far as they are missing. */
static int make_parents(const char *path, struct err *err) {
    char part[PATH_MAX];
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return err_set(err, ERR_INVALID, "the path of the data folder is too long");
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        bool made = mkdir(part, 0755) == 0;
        if (!made && errno != EEXIST)
            return err_set_errno(err, errno, "cannot make folder %s", part);
        int code = made ? sync_parent(part, err) : 0;
        if (code < 0)
            return code;
        *slash = '/';
    }
    return 0;
}

/* Is it empty, or has a host kept its state here before? */
static bool is_ours(const char *path) {
    DIR *folder = opendir(path);
    if (folder == NULL)
        return false;
    bool empty = true, marked = false;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        empty = false;
        marked = marked || strcmp(entry->d_name, "stance.db") == 0;
    }
    closedir(folder);
    return empty || marked;
}

int data_dir_make(const char *path, struct err *err) {
    int code = make_parents(path, err);
    if (code < 0)
        return code;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_set_errno(err, errno, "cannot make data folder %s", path);
    code = sync_parent(path, err); /* at each start: the last one may not have come to it */
    if (code < 0)
        return code;
    struct stat info;
    if (stat(path, &info) < 0)
        return err_set_errno(err, errno, "cannot look at data folder %s", path);
    if (!S_ISDIR(info.st_mode))
        return err_set(err, ERR_INVALID, "data folder %s is not a folder", path);
    if ((info.st_mode & 077) == 0)
        return 0;
    /* Somebody who says `--data /tmp` must not find /tmp closed. */
    if (!is_ours(path))
        return err_set(err, ERR_DENIED,
                       "folder %s is open to other users and holds other files: "
                       "choose an empty folder for data, or close it with chmod 700",
                       path);
    if (chmod(path, 0700) < 0)
        return err_set_errno(err, errno, "cannot close data folder %s to other users", path);
    return 0;
}

static long read_holder(int fd) {
    char text[32];
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = 0;
    return strtol(text, NULL, 10);
}

/* No such process, or only what waits for its parent. */
static bool has_ended(long pid) {
    char link[64], target[8];
    snprintf(link, sizeof link, "/proc/%ld/exe", pid);
    return readlink(link, target, sizeof target) < 0 && errno == ENOENT;
}

/* Of a process that was killed, threads may still be ending, and children that have not come to
 * their own program yet: they let go of the lock in a moment. 0, or errno. */
static int take_lock(int fd) {
    int status = EWOULDBLOCK;
    for (int tries = 0; tries < 500 && status == EWOULDBLOCK; tries++) {
        if (tries > 0)
            usleep(10000);
        status = flock(fd, LOCK_EX | LOCK_NB) < 0 ? errno : 0;
        if (status == EWOULDBLOCK && !has_ended(read_holder(fd)))
            break;
    }
    return status;
}

int data_dir_lock(const char *path, struct err *err) {
    char file[PATH_MAX];
    if (snprintf(file, sizeof file, "%s/lock", path) >= (int)sizeof file)
        return err_set(err, ERR_INVALID, "the path of the data folder is too long");
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open %s", file);
    int code;
    int status = take_lock(fd);
    if (status != 0) {
        code = status == EWOULDBLOCK
                   ? err_set(err, ERR_BUSY, "data folder %s is in use by process %ld", path,
                             read_holder(fd))
                   : err_set_errno(err, status, "cannot lock %s", file);
        close(fd);
        return code;
    }
    char text[32];
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)size, 0) != size) {
        code = err_set_errno(err, errno, "cannot write %s", file);
        close(fd);
        return code;
    }
    return fd;
}

int data_dir_sync(const char *path, struct err *err) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open folder %s", path);
    int status = fsync(fd) < 0 ? errno : 0;
    close(fd);
    /* Some file systems cannot sync folders, and say EINVAL: there the entry is durable, or nothing
     * helps. */
    return status == 0 || status == EINVAL
               ? 0
               : err_set_errno(err, status, "cannot sync folder %s", path);
}
