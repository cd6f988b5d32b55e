/* Granted folders: ways out of them, and files that replace others whole. */
#include "store/roots.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "scratch.h"
#include "store/replacement.h"

static char base[300]; /* holds in/ (granted), ro/ (granted, read-only), out/ (not) */
static struct roots *roots;

static const char *at(const char *format, const char *name) {
    static char paths[4][600];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], format, base, name);
    return path;
}

static void put(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    if (file == NULL)
        abort();
    fputs(text, file);
    fclose(file);
}

static void set_up(void) {
    snprintf(base, sizeof base, "%s", scratch(""));
    base[strlen(base) - 1] = 0;
    mkdir(at("%s/%s", "in"), 0700);
    mkdir(at("%s/%s", "in/sub"), 0700);
    mkdir(at("%s/%s", "inside"), 0700); /* begins with the name of a granted one */
    mkdir(at("%s/%s", "ro"), 0700);
    mkdir(at("%s/%s", "out"), 0700);
    put(at("%s/%s", "in/file"), "yes");
    put(at("%s/%s", "in/sub/deep"), "yes");
    put(at("%s/%s", "ro/file"), "yes");
    put(at("%s/%s", "inside/secret"), "no");
    put(at("%s/%s", "out/secret"), "no");
    int status = symlink("sub/deep", at("%s/%s", "in/good")) |
                 symlink("../file", at("%s/%s", "in/sub/up")) |
                 symlink("../out/secret", at("%s/%s", "in/bad")) |
                 symlink("../out", at("%s/%s", "in/baddir")) |
                 symlink(at("%s/%s", "in/file"), at("%s/%s", "in/absolute")) |
                 symlink("loop", at("%s/%s", "in/loop")) |
                 symlink("/proc/self/root", at("%s/%s", "in/magic")) |
                 symlink("in", at("%s/%s", "alias")) | mkfifo(at("%s/%s", "in/pipe"), 0600);
    CHECK(status == 0);
    roots = roots_new();
    CHECK(roots_add(roots, "in", at("%s/%s", "alias"), true, NULL) == 0);
    CHECK(roots_add(roots, "ro", at("%s/%s", "ro"), false, NULL) == 0);
    CHECK(roots_add(roots, "proc", "/proc", false, NULL) == 0);
}

static void tear_down(void) {
    roots_free(roots);
    roots = NULL;
}

/* "yes" for a file that is ours, "no" for a secret, else the error. */
static const char *try_read(const char *path) {
    static char text[16];
    struct err err;
    int fd = roots_open(roots, path, O_RDONLY, 0, &err);
    if (fd < 0)
        return err_name(err.code);
    ssize_t got = read(fd, text, sizeof text - 1);
    text[got > 0 ? got : 0] = 0;
    close(fd);
    return text;
}

static void stays_inside(void) {
    static const struct {
        const char *path, *expected;
    } cases[] = {
        {"in:file", "yes"},
        {"in:/file", "yes"},
        {"in:sub/../file", "yes"},
        {"in:./sub//deep", "yes"},
        {"in:good", "yes"},
        {"in:sub/up", "yes"},
        {"ro:file", "yes"},
        {"in:../out/secret", "denied"},
        {"in:..", "denied"},
        {"in:sub/../../out/secret", "denied"},
        {"in:bad", "denied"},
        {"in:baddir/secret", "denied"},
        {"in:absolute", "denied"},
        {"in:loop", "denied"},
        {"in:magic/etc/passwd", "denied"},
        {"in:magic", "denied"},
        {"proc:self/root/etc/passwd", "denied"},
        {"proc:self/cwd", "denied"},
        {"proc:self/fd/0", "denied"},
        {"proc:self/exe", "denied"},
        {"in:pipe", "invalid"},
        {"in:none", "not_found"},
        {"in:file/x", "not_found"},
        {"none:file", "not_found"},
        {"file", "invalid"},
        {"", "invalid"},
        {"/etc/passwd", "denied"},
        {"/", "denied"},
    };
    set_up();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = try_read(cases[i].path);
        if (strcmp(got, cases[i].expected) != 0)
            fprintf(stderr, "%s: ", cases[i].path);
        CHECK_TEXT(got, cases[i].expected);
    }
    CHECK_TEXT(try_read(at("%s/%s", "in/file")), "yes");    /* as the folder is really called */
    CHECK_TEXT(try_read(at("%s/%s", "alias/file")), "yes"); /* as it was given */
    CHECK_TEXT(try_read(at("%s/%s", "in/../out/secret")), "denied");
    CHECK_TEXT(try_read(at("%s/%s", "inside/secret")), "denied");
    CHECK_TEXT(try_read(at("%s/%s", "out/secret")), "denied");
    tear_down();
}

static void keeps_read_only_folders(void) {
    struct roots_entry entry;
    struct err err;
    set_up();
    CHECK(roots_open(roots, "ro:file", O_WRONLY, 0, &err) == ERR_DENIED);
    CHECK(roots_open(roots, "ro:new", O_RDONLY | O_CREAT, 0600, &err) == ERR_DENIED);
    CHECK(roots_open(roots, "ro:file", O_RDONLY | O_TRUNC, 0, &err) == ERR_DENIED);
    CHECK(roots_open_entry(roots, "ro:file", true, &entry, &err) == ERR_DENIED);
    CHECK(roots_make_folder(roots, "ro:new", &err) == ERR_DENIED);
    tear_down();
}

static void makes_folders(void) {
    struct stat info;
    struct err err;
    set_up();
    CHECK(roots_make_folder(roots, "in:a/b/c", NULL) == 0);
    CHECK(stat(at("%s/%s", "in/a/b/c"), &info) == 0 && S_ISDIR(info.st_mode));
    CHECK(roots_make_folder(roots, "in:a/b/c/", NULL) == 0);
    CHECK(roots_make_folder(roots, "in:", NULL) == 0);
    CHECK(roots_make_folder(roots, "in:file", &err) == ERR_EXISTS);
    CHECK(roots_make_folder(roots, "in:file/x", &err) == ERR_EXISTS);
    CHECK(roots_make_folder(roots, "in:../out/x", &err) == ERR_DENIED);
    CHECK(roots_make_folder(roots, "in:baddir/x", &err) == ERR_DENIED);
    CHECK(roots_make_folder(roots, "in:q/../../out/x", &err) == ERR_DENIED);
    CHECK(stat(at("%s/%s", "out/x"), &info) < 0);
    tear_down();
}

static void refuses_bad_grants(void) {
    struct err err;
    set_up();
    CHECK(roots_add(roots, "in", "/tmp", false, &err) == ERR_EXISTS);
    CHECK(roots_add(roots, "", "/tmp", false, &err) == ERR_INVALID);
    CHECK(roots_add(roots, "a:b", "/tmp", false, &err) == ERR_INVALID);
    CHECK(roots_add(roots, "none", at("%s/%s", "none"), false, &err) == ERR_NOT_FOUND);
    CHECK(roots_add(roots, "file", at("%s/%s", "in/file"), false, &err) == ERR_NOT_FOUND);
    CHECK(roots_count(roots) == 3);
    CHECK_TEXT(roots_folder(roots, 0), at("%s/%s", "in"));
    tear_down();
}

/* -- Replacing -----------------------------------------------------------------------------------
 */

static int write_whole(const char *path, const char *text, struct err *err) {
    struct replacement replacement;
    int code = replacement_begin(roots, path, &replacement, err);
    if (code < 0)
        return code;
    code = replacement_write(&replacement, text, strlen(text), err);
    if (code == 0)
        return replacement_commit(&replacement, err);
    replacement_abort(&replacement);
    return code;
}

static int count_temporaries(const char *folder) {
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        count += strncmp(entry->d_name, ".stance-", 8) == 0;
    closedir(dir);
    return count;
}

static void replaces_whole(void) {
    struct replacement replacement;
    struct stat info;
    struct err err;
    set_up();
    chmod(at("%s/%s", "in/file"), 0640);
    CHECK(replacement_begin(roots, "in:file", &replacement, NULL) == 0);
    CHECK(replacement_write(&replacement, "new", 3, NULL) == 0);
    CHECK_TEXT(try_read("in:file"), "yes");
    CHECK(replacement_commit(&replacement, NULL) == 0);
    CHECK_TEXT(try_read("in:file"), "new");
    CHECK(stat(at("%s/%s", "in/file"), &info) == 0 && (info.st_mode & 0777) == 0640);
    /* A link is replaced, not followed. */
    CHECK(write_whole("in:bad", "mine", NULL) == 0);
    CHECK_TEXT(try_read("in:bad"), "mine");
    CHECK(write_whole("in:sub", "x", &err) == ERR_EXISTS);
    CHECK(write_whole("in:none/x", "x", &err) == ERR_NOT_FOUND);
    CHECK(write_whole("in:baddir/x", "x", &err) == ERR_DENIED);
    CHECK(write_whole("in:..", "x", &err) == ERR_INVALID);
    CHECK(write_whole("in:", "x", &err) == ERR_INVALID);
    CHECK(replacement_begin(roots, "in:file", &replacement, NULL) == 0);
    replacement_abort(&replacement);
    CHECK_TEXT(try_read("in:file"), "new");
    CHECK(count_temporaries(at("%s/%s", "in")) == 0);
    tear_down();
}

static __thread int fail_after = -1;
static __thread bool failed;

static bool fails(void) {
    if (fail_after < 0 || fail_after-- > 0)
        return false;
    failed = true;
    errno = ENOSPC;
    return true;
}

/* In place of the C library's. */
ssize_t write(int fd, const void *data, size_t size) {
    return fails() ? -1 : syscall(SYS_write, fd, data, size);
}

int fsync(int fd) {
    return fails() ? -1 : (int)syscall(SYS_fsync, fd);
}

int renameat(int from, const char *name, int to, const char *new_name) {
    return fails() ? -1 : (int)syscall(SYS_renameat2, from, name, to, new_name, 0);
}

static void leaves_the_old_when_calls_fail(void) {
    set_up();
    int failures = 0;
    for (int nth = 0; nth < 6; nth++) {
        struct err err;
        put(at("%s/%s", "in/file"), "yes");
        failed = false;
        fail_after = nth;
        int code = write_whole("in:file", "new", &err);
        fail_after = -1;
        failures += failed;
        CHECK(code == (failed ? ERR_NO_SPACE : 0));
        CHECK(count_temporaries(at("%s/%s", "in")) == 0);
        CHECK_TEXT(try_read("in:file"), failed && nth < 3 ? "yes" : "new");
    }
    CHECK(failures == 4);
    tear_down();
}

/* -- A race --------------------------------------------------------------------------------------
 */

static atomic_bool over;

static void *swap(void *arg) {
    const char(*names)[600] = arg;
    while (!atomic_load(&over))
        syscall(SYS_renameat2, AT_FDCWD, names[0], AT_FDCWD, names[1], 2 /* RENAME_EXCHANGE */);
    return NULL;
}

static void stays_inside_while_links_move(void) {
    pthread_t thread;
    set_up();
    put(at("%s/%s", "out/deep"), "no");
    char names[2][600]; /* now a folder, now a link that leads out */
    snprintf(names[0], sizeof names[0], "%s", at("%s/%s", "in/sub"));
    snprintf(names[1], sizeof names[1], "%s", at("%s/%s", "in/baddir"));
    atomic_store(&over, false);
    pthread_create(&thread, NULL, swap, names);
    int inside = 0;
    for (int i = 0; i < 20000; i++) {
        const char *got = try_read("in:sub/deep");
        CHECK(strcmp(got, "no") != 0);
        inside += strcmp(got, "yes") == 0;
    }
    atomic_store(&over, true);
    pthread_join(thread, NULL);
    CHECK(inside > 0);
    tear_down();
}

int main(void) {
    static const struct test tests[] = {
        TEST(stays_inside),
        TEST(keeps_read_only_folders),
        TEST(makes_folders),
        TEST(refuses_bad_grants),
        TEST(replaces_whole),
        TEST(leaves_the_old_when_calls_fail),
        TEST(stays_inside_while_links_move),
    };
    return RUN(tests);
}
