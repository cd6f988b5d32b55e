#include "store/replacement.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void take_over_mode(const struct replacement *replacement) {
    struct stat info;
    if (fstatat(replacement->target.folder, replacement->target.name, &info, AT_SYMLINK_NOFOLLOW) ==
            0 &&
        S_ISREG(info.st_mode) && fchmod(replacement->fd, info.st_mode & 0777) < 0)
        return; /* the file is another user's: ours keeps the mode of a new one */
}

int replacement_begin(const struct roots *roots, const char *path, struct replacement *out,
                      struct err *err) {
    static atomic_uint counter;
    int code = roots_open_entry(roots, path, true, &out->target, err);
    if (code < 0)
        return code;
    struct stat info;
    if (fstatat(out->target.folder, out->target.name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(info.st_mode)) {
        close(out->target.folder);
        return err_set(err, ERR_EXISTS, "%s is a folder", path);
    }
    for (int attempt = 0; attempt < 100; attempt++) {
        snprintf(out->temporary, sizeof out->temporary, ".stance-%ld-%u.tmp", (long)getpid(),
                 atomic_fetch_add(&counter, 1));
        out->fd = openat(out->target.folder, out->temporary,
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (out->fd >= 0) {
            take_over_mode(out);
            return 0;
        }
        if (errno != EEXIST)
            break;
    }
    code = err_set_errno(err, errno, "cannot make a file beside %s", path);
    close(out->target.folder);
    return code;
}

static int fail(const struct replacement *replacement, int errnum, struct err *err) {
    return err_set_errno(err, errnum, "cannot write %s", replacement->target.name);
}

int replacement_write(struct replacement *replacement, const void *data, size_t size,
                      struct err *err) {
    const char *at = data;
    while (size > 0) {
        ssize_t wrote = write(replacement->fd, at, size);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return fail(replacement, errno, err);
        at += wrote;
        size -= (size_t)wrote;
    }
    return 0;
}

enum { PIECE = 256 << 10 };

static int copy_by_hand(struct replacement *replacement, int from, off_t offset, struct err *err) {
    char *piece = malloc(PIECE);
    if (piece == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory to copy a file");
    int code = 0;
    while (code == 0) {
        ssize_t got = pread(from, piece, PIECE, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            code = got < 0 ? fail(replacement, errno, err) : 0;
            break;
        }
        offset += got;
        code = replacement_write(replacement, piece, (size_t)got, err);
    }
    free(piece);
    return code;
}

int replacement_copy(struct replacement *replacement, int from, struct err *err) {
    off_t offset = 0;
    for (;;) {
        ssize_t got = copy_file_range(from, &offset, replacement->fd, NULL, 1 << 30, 0);
        if (got > 0)
            continue;
        if (got < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
            return fail(replacement, errno, err);
        /* At the end, or the kernel cannot do it between these two: the rest by hand, which finds
         * nothing left or all. */
        return copy_by_hand(replacement, from, offset, err);
    }
}

int replacement_commit(struct replacement *replacement, struct err *err) {
    int folder = replacement->target.folder;
    int code = 0;
    if (fsync(replacement->fd) < 0)
        code = fail(replacement, errno, err);
    if (close(replacement->fd) < 0 && code == 0) /* where quotas and networks report late */
        code = fail(replacement, errno, err);
    if (code == 0 && renameat(folder, replacement->temporary, folder, replacement->target.name) < 0)
        code = fail(replacement, errno, err);
    if (code < 0)
        unlinkat(folder, replacement->temporary, 0);
    else if (fsync(folder) < 0 && errno != EINVAL)
        code = fail(replacement, errno, err);
    close(folder);
    return code;
}

void replacement_abort(struct replacement *replacement) {
    unlinkat(replacement->target.folder, replacement->temporary, 0);
    close(replacement->fd);
    close(replacement->target.folder);
}
