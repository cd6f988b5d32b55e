/* The database when things go wrong: processes that are killed, full disks, failing syncs, no
 * descriptors. Each in a forked child, which does not return. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "scratch.h"
#include "store_db.h"

/* Runs `part` in a child; its exit status, or 128 + the signal that ended it. */
static int in_child(int (*part)(void *arg), void *arg) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(part(arg));
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* -- Killed --------------------------------------------------------------------------------------
 */

enum { WRITERS = 4 };

struct killed {
    const char *folder;
    int acks; /* where acknowledged numbers are told */
    int round;
    struct db *db;
    atomic_int next;
};

static void *write_and_tell(void *arg) {
    struct killed *killed = arg;
    for (;;) {
        int number = atomic_fetch_add(&killed->next, 1);
        char sql[120];
        snprintf(sql, sizeof sql, "INSERT INTO events (ts, type, job_id) VALUES (%d, 'x', '%d')",
                 number, killed->round);
        if (write_one(killed->db, sql) < 0 ||
            write(killed->acks, &number, sizeof number) != sizeof number)
            return NULL;
    }
}

static int write_until_killed(void *arg) {
    struct killed *killed = arg;
    killed->db = open_db(killed->folder);
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, write_and_tell, killed);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    return 1;
}

/* How many of the acknowledged numbers are not there. */
static int count_lost(const char *folder, int round, int first, int acks) {
    struct db *db = open_db(folder);
    int lost = 0, number = first;
    do {
        char sql[120];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM events WHERE job_id = '%d' AND ts = %d",
                 round, number);
        lost += read_int(db, sql) != 1;
    } while (read(acks, &number, sizeof number) == sizeof number);
    db_close(db);
    return lost;
}

static void keeps_what_it_acknowledged_when_killed(void) {
    const char *folder = scratch("data");
    for (int round = 0; round < 10; round++) {
        int ends[2];
        CHECK(pipe2(ends, O_CLOEXEC) == 0);
        fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
        struct killed killed = {.folder = folder, .acks = ends[1], .round = round};
        pid_t child = fork();
        if (child == 0)
            _exit(write_until_killed(&killed));
        close(ends[1]);
        int first;
        CHECK(read(ends[0], &first, sizeof first) == sizeof first); /* it is under way */
        usleep((useconds_t)(2000 + round * 7919 % 60000));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        CHECK(count_lost(folder, round, first, ends[0]) == 0);
        close(ends[0]);
    }
}

static int leave_the_lock_to_a_child(void *arg) {
    open_db(arg);
    if (fork() == 0) {
        usleep(200000);
        _exit(0);
    }
    return 0;
}

static void waits_for_what_a_dead_holder_left(void) {
    char *folder = strdup(scratch("data"));
    CHECK(in_child(leave_the_lock_to_a_child, folder) == 0);
    struct db *db = open_db(folder);
    CHECK(db != NULL);
    db_close(db);
    free(folder);
}

/* -- Half a file --------------------------------------------------------------------------------
 */

struct end {
    const char *folder;
    bool killed; /* and leaves its log, else that is folded into the file */
};

static int write_and_end(void *arg) {
    const struct end *end = arg;
    struct db *db = open_db(end->folder);
    int failures = 0;
    for (int i = 0; i < 50; i++)
        failures += write_one(db, "INSERT INTO events (ts, type, data) VALUES (1, 'x', "
                                  "hex(randomblob(2000)))") < 0;
    if (!end->killed)
        db_close(db);
    return failures > 0;
}

/* What opening says, when `change` has been done to the file `name` of such a folder. */
static int open_after(const char *name, bool killed, int (*change)(const char *path),
                      struct err *err) {
    char *folder = strdup(scratch("data")), path[300];
    struct db_options options = {.data_dir = folder};
    struct db *db = NULL;
    CHECK(in_child(write_and_end, &(struct end){folder, killed}) == 0);
    snprintf(path, sizeof path, "%s/objects", folder); /* as a host that was up has made it */
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK(change(path) == 0);
    err->message[0] = 0;
    int code = db_open(NULL, &options, &db, err);
    if (code == 0 && read_int(db, "SELECT count(*) FROM events") != 50)
        code = 50;
    db_close(db);
    free(folder);
    return code;
}

static int write_garbage(const char *path) {
    FILE *file = fopen(path, "r+");
    for (int i = 0; i < 1000; i++)
        fputs("garbage ", file);
    return fclose(file);
}

static int cut_to_half(const char *path) {
    struct stat info;
    return stat(path, &info) < 0 ? -1 : truncate(path, info.st_size / 2);
}

static int empty(const char *path) {
    return truncate(path, 0);
}

static int leave(const char *path) {
    return access(path, R_OK);
}

static void says_what_to_do_with_half_a_file(void) {
    static const struct {
        const char *name;
        int (*change)(const char *path);
        int code;
        bool killed;
    } cases[] = {
        {"stance.db", leave, 0, false},
        {"stance.db-wal", leave, 0, true},
        {"stance.db-shm", write_garbage, 0, true}, /* made anew from the log */
        {"stance.db", write_garbage, ERR_CORRUPT, false},
        {"stance.db", cut_to_half, ERR_CORRUPT, false},
        {"stance.db", empty, ERR_CORRUPT, false},
        {"stance.db-wal", write_garbage, ERR_CORRUPT, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err;
        int code = open_after(cases[i].name, cases[i].killed, cases[i].change, &err);
        bool advised = code == 0 || strstr(err.message, "bring back a backup") != NULL;
        CHECK(code == cases[i].code);
        CHECK(advised);
        if (code != cases[i].code || !advised)
            fprintf(stderr, "    case %zu: %d %s\n", i, code, err.message);
    }
}

/* -- Full ----------------------------------------------------------------------------------------
 */

enum { NOT_ALLOWED = 77 };

static int fill(const char *folder, int *fd) {
    char path[300], block[4096] = {1};
    snprintf(path, sizeof path, "%s/filler", folder);
    *fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(*fd, block, sizeof block) > 0)
        ;
    return unlink(path);
}

static int write_to_a_full_disk(void *arg) {
    const char *folder = arg;
    if (scratch_mount(folder, "size=4m,mode=700") == 0)
        return NOT_ALLOWED;
    const char *insert = "INSERT INTO events (ts, type, data) VALUES (1, 'x', "
                         "hex(randomblob(20000)))";
    struct db *db = open_db(folder);
    int filler, kept = 0, refused = 0;
    for (; kept < 5; kept++)
        CHECK(write_one(db, insert) == 0);
    fill(folder, &filler);
    for (int i = 0; i < 50; i++) {
        int code = write_one(db, insert);
        kept += code == 0;
        refused += code == ERR_NO_SPACE;
        CHECK(code == 0 || code == ERR_NO_SPACE);
    }
    CHECK(refused > 0);
    CHECK(read_int(db, "SELECT count(*) FROM events") == kept);
    close(filler); /* there is room again */
    CHECK(write_one(db, insert) == 0);
    CHECK(read_int(db, "SELECT count(*) FROM events") == kept + 1);
    db_close(db);
    struct db_options options = {.data_dir = folder, .quick_check = true};
    CHECK(db_open(NULL, &options, &db, NULL) == 0);
    CHECK(read_int(db, "SELECT count(*) FROM events") == kept + 1);
    db_close(db);
    return check_failures > 0;
}

static void survives_a_full_disk(void) {
    char *folder = strdup(scratch(""));
    int status = in_child(write_to_a_full_disk, folder);
    free(folder);
    if (status == NOT_ALLOWED)
        SKIP("a small file system cannot be mounted (not root)");
    CHECK(status == 0);
}

static int open_on_read_only(void *arg) {
    const char *folder = arg;
    struct db_options options = {.data_dir = folder};
    struct db *db;
    struct err err;
    if (scratch_mount(folder, "size=1m,mode=700") == 0 ||
        mount(NULL, folder, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
        return NOT_ALLOWED;
    CHECK(db_open(NULL, &options, &db, &err) == ERR_DENIED);
    CHECK(strstr(err.message, "read-only file system") != NULL);
    return check_failures > 0;
}

static void says_that_a_disk_is_read_only(void) {
    char *folder = strdup(scratch(""));
    int status = in_child(open_on_read_only, folder);
    free(folder);
    if (status == NOT_ALLOWED)
        SKIP("a read-only file system cannot be mounted (not root)");
    CHECK(status == 0);
}

/* -- Failing syncs -------------------------------------------------------------------------------
 */

static atomic_bool syncs_fail;

/* In place of the C library's, for SQLite too. */
int fdatasync(int fd) {
    if (!atomic_load(&syncs_fail))
        return (int)syscall(SYS_fdatasync, fd);
    errno = EIO;
    return -1;
}

int fsync(int fd) {
    if (!atomic_load(&syncs_fail))
        return (int)syscall(SYS_fsync, fd);
    errno = EIO;
    return -1;
}

static struct loop loop;
static int answers;

static void on_failed(struct db_transaction *t, const struct err *err, void *arg) {
    (void)arg;
    CHECK(err != NULL && err->code == ERR_IO);
    CHECK(err != NULL && strstr(err->message, "database") != NULL);
    db_transaction_free(t);
    if (++answers == 20)
        loop_stop(&loop);
}

static void fails_the_group_when_its_commit_fails(void) {
    struct db_options options = {.data_dir = scratch("data")};
    struct db *db;
    loop_init(&loop, NULL);
    CHECK(db_open(&loop, &options, &db, NULL) == 0);
    CHECK(write_one(db, "INSERT INTO events (ts, type) VALUES (1, 'x')") == 0);
    atomic_store(&syncs_fail, true);
    for (int i = 0; i < 20; i++) {
        struct db_transaction *t = db_transaction_new();
        db_transaction_add(t, "INSERT INTO events (ts, type) VALUES (2, 'y')", NULL, 0, false, 1,
                           NULL);
        db_submit(db, t, on_failed, NULL);
    }
    loop_run(&loop);
    CHECK(read_int(db, "SELECT count(*) FROM events") == 1);
    atomic_store(&syncs_fail, false);
    CHECK(write_one(db, "INSERT INTO events (ts, type) VALUES (3, 'z')") == 0);
    CHECK(read_int(db, "SELECT count(*) FROM events") == 2);
    db_close(db);
    db = open_db(options.data_dir);
    CHECK(read_int(db, "SELECT count(*) FROM events") == 2);
    db_close(db);
    loop_deinit(&loop);
}

/* -- No descriptors ------------------------------------------------------------------------------
 */

static void *read_some(void *arg) {
    intptr_t failures = 0;
    for (int i = 0; i < 50; i++)
        failures += read_int(arg, "SELECT 7") != 7;
    return (void *)failures;
}

static int read_without_descriptors(void *arg) {
    struct db *db = open_db(arg);
    int highest = dup(0); /* the lowest that is free */
    struct rlimit limit = {.rlim_cur = (rlim_t)highest, .rlim_max = (rlim_t)highest};
    close(highest);
    setrlimit(RLIMIT_NOFILE, &limit);
    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        pthread_create(&threads[i], NULL, read_some, db);
    for (int i = 0; i < 6; i++) {
        void *failures;
        pthread_join(threads[i], &failures);
        CHECK((intptr_t)failures == 0);
    }
    CHECK(write_one(db, "INSERT INTO events (ts, type) VALUES (1, 'x')") == 0);
    struct db_stats stats;
    db_get_stats(db, &stats);
    CHECK(stats.readers == 1); /* no other could be opened */
    db_close(db);
    return check_failures > 0;
}

static void goes_on_without_descriptors(void) {
    char *folder = strdup(scratch("data"));
    CHECK(in_child(read_without_descriptors, folder) == 0);
    free(folder);
}

int main(void) {
    static const struct test tests[] = {
        TEST(keeps_what_it_acknowledged_when_killed),
        TEST(waits_for_what_a_dead_holder_left),
        TEST(says_what_to_do_with_half_a_file),
        TEST(survives_a_full_disk),
        TEST(says_that_a_disk_is_read_only),
        TEST(fails_the_group_when_its_commit_fails),
        TEST(goes_on_without_descriptors),
    };
    return RUN(tests);
}
