/* Objects: real files, with every system call of a put made to fail in turn. */
#include "store/objects.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "scratch.h"

#define HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

/* -- Calls that fail: in place of the C library's ------------------------------------------------
 */

static __thread int fail_after = -1; /* calls until one fails; -1: none will */
static __thread int fail_with;
static __thread int failed_calls;

static bool fails(void) {
    if (fail_after < 0 || fail_after-- > 0)
        return false;
    failed_calls++;
    errno = fail_with;
    return true;
}

ssize_t write(int fd, const void *data, size_t size) {
    return fails() ? -1 : syscall(SYS_write, fd, data, size);
}

int fsync(int fd) {
    return fails() ? -1 : (int)syscall(SYS_fsync, fd);
}

int renameat(int from, const char *name, int to, const char *new_name) {
    return fails() ? -1 : (int)syscall(SYS_renameat2, from, name, to, new_name, 0);
}

int mkdirat(int folder, const char *name, mode_t mode) {
    return fails() ? -1 : (int)syscall(SYS_mkdirat, folder, name, mode);
}

/* -- Helpers -------------------------------------------------------------------------------------
 */

static struct objects *open_objects(const char *data) {
    struct objects *objects = NULL;
    struct err err;
    if (objects_open_files(data, &objects, &err) < 0)
        fprintf(stderr, "%s\n", err.message);
    return objects;
}

static int count_entries(const char *data, const char *folder) {
    char path[400];
    int count = 0;
    snprintf(path, sizeof path, "%s/objects/%s", data, folder);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return -1;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static ino_t inode_of(const char *data, const char *hash) {
    char path[400];
    struct stat info = {0};
    snprintf(path, sizeof path, "%s/objects/%.2s/%s", data, hash, hash + 2);
    stat(path, &info);
    return info.st_ino;
}

static bool is_whole(struct objects *objects, const char *hash, const char *expected) {
    char *data;
    size_t size;
    if (objects_read(objects, hash, 1 << 20, &data, &size, NULL) < 0)
        return false;
    bool same = size == strlen(expected) && memcmp(data, expected, size) == 0;
    free(data);
    return same;
}

/* -- Cases ---------------------------------------------------------------------------------------
 */

static void keeps_by_content(void) {
    const char *data = scratch("");
    struct objects *objects = open_objects(data);
    struct object_info first, again, empty, info;
    CHECK(objects_put(objects, "hello", 5, &first, NULL) == 0);
    CHECK_TEXT(first.hash, HELLO);
    CHECK(first.size == 5 && first.modified > 1e9);
    ino_t inode = inode_of(data, HELLO);
    CHECK(objects_put(objects, "hello", 5, &again, NULL) == 0);
    CHECK_TEXT(again.hash, HELLO);
    struct object_put *put;
    CHECK(objects_begin(objects, &put, NULL) == 0);
    CHECK(objects_write(put, "hel", 3, NULL) == 0);
    CHECK(count_entries(data, "tmp") == 1);
    CHECK(objects_write(put, "lo", 2, NULL) == 0);
    CHECK(objects_commit(put, &again, NULL) == 0);
    CHECK_TEXT(again.hash, HELLO);
    CHECK(inode_of(data, HELLO) == inode); /* not written again */
    CHECK(count_entries(data, "tmp") == 0);
    CHECK(objects_put(objects, NULL, 0, &empty, NULL) == 0);
    CHECK(empty.size == 0 && is_whole(objects, empty.hash, ""));
    CHECK(is_whole(objects, HELLO, "hello"));
    CHECK(objects_stat(objects, HELLO, &info, NULL) == 0 && info.size == 5);
    CHECK(objects_remove(objects, HELLO, NULL) == 0);
    CHECK(objects_remove(objects, HELLO, NULL) == ERR_NOT_FOUND);
    CHECK(objects_stat(objects, HELLO, &info, NULL) == ERR_NOT_FOUND);
    CHECK(objects_stat(objects, "../../etc/passwd", &info, NULL) == ERR_INVALID);
    objects_close(objects);
}

static void keeps_an_open_one_readable(void) {
    struct objects *objects = open_objects(scratch(""));
    struct object_info info;
    char text[8];
    int64_t size;
    objects_put(objects, "hello", 5, &info, NULL);
    int fd = objects_open(objects, HELLO, &size, NULL);
    CHECK(fd >= 0 && size == 5);
    objects_remove(objects, HELLO, NULL);
    CHECK(read(fd, text, sizeof text) == 5);
    close(fd);
    CHECK(objects_open(objects, HELLO, &size, NULL) == ERR_NOT_FOUND);
    objects_close(objects);
}

static void limits_and_verifies(void) {
    const char *data = scratch("");
    struct objects *objects = open_objects(data);
    struct object_info info;
    char path[400], *bytes;
    size_t size;
    struct err err;
    objects_put(objects, "hello", 5, &info, NULL);
    CHECK(objects_read(objects, HELLO, 4, &bytes, &size, &err) == ERR_TOO_LARGE);
    CHECK(objects_verify(objects, HELLO, NULL) == 0);
    snprintf(path, sizeof path, "%s/objects/2c/%s", data, &HELLO[2]);
    chmod(path, 0600);
    FILE *file = fopen(path, "r+");
    fputs("jello", file);
    fclose(file);
    CHECK(objects_verify(objects, HELLO, &err) == ERR_CORRUPT);
    CHECK(objects_read(objects, HELLO, 100, &bytes, &size, &err) == ERR_CORRUPT);
    CHECK(truncate(path, 3) == 0); /* of a wrong size: a put mends it */
    CHECK(objects_put(objects, "hello", 5, &info, NULL) == 0);
    CHECK(is_whole(objects, HELLO, "hello"));
    objects_close(objects);
}

static int write_half(const char *data) {
    struct objects *objects = open_objects(data);
    struct object_put *put;
    if (objects_begin(objects, &put, NULL) < 0 || objects_write(put, "half", 4, NULL) < 0)
        return 1;
    return raise(SIGKILL);
}

static void cleans_after_the_dead_only(void) {
    const char *data = scratch("");
    struct objects *objects = open_objects(data);
    struct object_put *alive;
    struct object_info info;
    CHECK(objects_begin(objects, &alive, NULL) == 0);
    CHECK(objects_write(alive, "he", 2, NULL) == 0);
    pid_t child = fork();
    if (child == 0)
        _exit(write_half(data));
    waitpid(child, NULL, 0);
    CHECK(count_entries(data, "tmp") == 2);
    struct objects *second = open_objects(data); /* as another process would */
    CHECK(count_entries(data, "tmp") == 1);
    CHECK(objects_write(alive, "llo", 3, NULL) == 0);
    CHECK(objects_commit(alive, &info, NULL) == 0);
    CHECK(is_whole(second, HELLO, "hello"));
    objects_close(objects);
    objects_close(second);
}

/* Whichever call fails: an error, nothing half-made, and the next put works. */
static void is_whole_or_absent_when_calls_fail(void) {
    static const int reasons[] = {EIO, ENOSPC, EMFILE};
    static const enum err_code codes[] = {ERR_IO, ERR_NO_SPACE, ERR_BUSY};
    int failures = 0;
    for (int reason = 0; reason < 3; reason++)
        for (int nth = 0; nth < 12; nth++) {
            const char *data = scratch("");
            struct objects *objects = open_objects(data);
            struct object_info info;
            struct err err = {0};
            failed_calls = 0;
            fail_with = reasons[reason];
            fail_after = nth;
            int code = objects_put(objects, "hello", 5, &info, &err);
            fail_after = -1;
            failures += failed_calls;
            CHECK(failed_calls == 0 ? code == 0 : code == (int)codes[reason]);
            CHECK(code == err.code);
            CHECK(count_entries(data, "tmp") == 0);
            struct object_info found;
            if (objects_stat(objects, HELLO, &found, NULL) == 0)
                CHECK(is_whole(objects, HELLO, "hello"));
            CHECK(objects_put(objects, "hello", 5, &info, NULL) == 0);
            CHECK(is_whole(objects, HELLO, "hello"));
            objects_close(objects);
        }
    CHECK(failures >= 3 * 6); /* write, sync, mkdir, sync of the root, rename, sync of the folder */
}

static bool keep_hello(const char *hash, void *arg) {
    (void)arg;
    return strcmp(hash, HELLO) == 0;
}

static bool keep_none(const char *hash, void *arg) {
    (void)hash, (void)arg;
    return false;
}

static bool count_one(const struct object_info *info, void *arg) {
    (void)info;
    ++*(int *)arg;
    return true;
}

static void sweeps_the_old_and_unwanted(void) {
    const char *data = scratch("");
    struct objects *objects = open_objects(data);
    struct object_info info, other;
    int64_t removed;
    int count = 0;
    objects_put(objects, "hello", 5, &info, NULL);
    objects_put(objects, "other", 5, &other, NULL);
    CHECK(objects_sweep(objects, info.modified - 60, keep_none, NULL, &removed, NULL) == 0);
    CHECK(removed == 0);
    CHECK(objects_sweep(objects, other.modified + 60, keep_hello, NULL, &removed, NULL) == 0);
    CHECK(removed == 1);
    CHECK(objects_list(objects, count_one, &count, NULL) == 0 && count == 1);
    CHECK(is_whole(objects, HELLO, "hello"));
    /* A put of what is there counts as new. */
    usleep(20000);
    CHECK(objects_put(objects, "hello", 5, &other, NULL) == 0);
    CHECK(other.modified > info.modified);
    CHECK(objects_sweep(objects, other.modified, keep_none, NULL, &removed, NULL) == 0);
    CHECK(removed == 0);
    objects_close(objects);
}

/* The sweep has found it old and asks: now somebody puts it again. */
static bool put_meanwhile(const char *hash, void *arg) {
    struct object_info info;
    (void)hash;
    usleep(20000);
    CHECK(objects_put(arg, "hello", 5, &info, NULL) == 0);
    return false;
}

/* The same, but the other's put has only come to locking it. */
static int locked_fd = -1;

static bool lock_meanwhile(const char *hash, void *arg) {
    char path[400];
    snprintf(path, sizeof path, "%s/objects/%.2s/%s", (const char *)arg, hash, hash + 2);
    locked_fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(flock(locked_fd, LOCK_SH) == 0);
    return false;
}

static void lets_a_put_win_over_the_sweep(void) {
    const char *data = scratch("");
    struct objects *objects = open_objects(data);
    struct object_info info;
    int64_t removed;
    objects_put(objects, "hello", 5, &info, NULL);
    CHECK(objects_sweep(objects, info.modified + 0.01, put_meanwhile, objects, &removed, NULL) ==
          0);
    CHECK(removed == 0 && is_whole(objects, HELLO, "hello"));
    objects_stat(objects, HELLO, &info, NULL);
    CHECK(objects_sweep(objects, info.modified + 1, lock_meanwhile, (void *)data, &removed, NULL) ==
          0);
    CHECK(removed == 0 && is_whole(objects, HELLO, "hello"));
    close(locked_fd);
    CHECK(objects_sweep(objects, info.modified + 1, keep_none, NULL, &removed, NULL) == 0);
    CHECK(removed == 1);
    objects_close(objects);
}

struct racer {
    pthread_t thread;
    struct objects *objects;
    atomic_bool *over;
    _Atomic double *bound; /* of the latest sweep */
    int failures;
};

/* What a put has acknowledged is there, unless a sweep of what is older came after it. */
static void *put_again_and_again(void *arg) {
    struct racer *racer = arg;
    struct object_info info = {.size = 0};
    struct err err;
    for (int i = 0; i < 300; i++)
        racer->failures += objects_put(racer->objects, "hello", 5, &info, &err) < 0 ||
                           (!is_whole(racer->objects, HELLO, "hello") &&
                            atomic_load(racer->bound) <= info.modified);
    return NULL;
}

static void *sweep_again_and_again(void *arg) {
    struct racer *racer = arg;
    int64_t removed;
    while (!atomic_load(racer->over)) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        double bound = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - 0.004;
        atomic_store(racer->bound, bound);
        racer->failures +=
            objects_sweep(racer->objects, bound, keep_none, NULL, &removed, NULL) < 0;
    }
    return NULL;
}

static void survives_a_race_with_the_sweep(void) {
    struct objects *objects = open_objects(scratch(""));
    atomic_bool over = false;
    _Atomic double bound = 0;
    struct racer racers[4];
    for (int i = 0; i < 4; i++) {
        racers[i] = (struct racer){.objects = objects, .over = &over, .bound = &bound};
        pthread_create(&racers[i].thread, NULL,
                       i == 0 ? sweep_again_and_again : put_again_and_again, &racers[i]);
    }
    for (int i = 3; i >= 0; i--) {
        if (i == 0)
            atomic_store(&over, true);
        pthread_join(racers[i].thread, NULL);
        CHECK(racers[i].failures == 0);
    }
    objects_close(objects);
}

int main(void) {
    static const struct test tests[] = {
        TEST(keeps_by_content),
        TEST(keeps_an_open_one_readable),
        TEST(limits_and_verifies),
        TEST(cleans_after_the_dead_only),
        TEST(is_whole_or_absent_when_calls_fail),
        TEST(sweeps_the_old_and_unwanted),
        TEST(lets_a_put_win_over_the_sweep),
        TEST(survives_a_race_with_the_sweep),
    };
    return RUN(tests);
}
