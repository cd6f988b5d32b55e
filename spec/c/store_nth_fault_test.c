/* Every file call of a host's life fails in turn, once and from then on: opening, submitting,
 * claiming, steps, artifacts, completing, reading back. After each: an error in words, no crash, no
 * leak, and once the disk is well again all that was accepted is there and comes to its end. */
#include "disk.h"

#include <time.h>

#include "engine.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STRIDE = 41 };
void __lsan_do_leak_check(void) __attribute__((weak));
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
#else
enum { STRIDE = 7 };
static int (*const __lsan_do_recoverable_leak_check)(void) = NULL;
#endif

enum { JOBS = 2 };

/* How a child ends. */
enum { MET = 10, UNTOUCHED = 11, LEFT_OPEN = 12, LEAKED = 13 };

static const char *folder; /* of all */
static char data[300], workspace[300];

struct life {
    int fail_at;
    bool for_good;
};

/* Of files of the data folder. */
static int open_descriptors(void) {
    int count = 0;
    for (int fd = 3; fd < 200; fd++)
        count += disk_has(fd);
    return count;
}

static void note_failure(const char *call) {
    engine_tell("failing", call);
}

static void live(void *arg) {
    struct life *life = arg;
    alarm(20); /* rather than hang */
    disk_fail_at(data, life->fail_at, life->for_good, note_failure);
    engine_live(data, workspace, JOBS, 1, 0.2);
    if (open_descriptors() > 0)
        _exit(LEFT_OPEN);
    if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check() != 0)
        _exit(LEAKED);
    _exit(atomic_load(&disk.failed) ? MET : UNTOUCHED);
}

static void recover(void *arg) {
    (void)arg;
    engine_recover(data, workspace);
}

/* Every complaint names what failed and why. */
static void check_words(const char *text) {
    CHECK(strchr(text, ':') != NULL && strlen(text) > 15);
    CHECK(strstr(text, "(null)") == NULL);
    if (strncmp(text, "internal", 8) == 0)
        CHECK_TEXT(text, "an error with a code of its own");
}

/* One life with the n-th call failing. False when there was no such call. */
static bool fail_one(int n, bool for_good) {
    struct life life = {.fail_at = n, .for_good = for_good};
    int before = check_failures;
    engine_remove(data);
    atomic_store(&engine_answers->count, 0);
    int status = engine_in_child(live, &life), answers = engine_answers->count;
    CHECK(status == MET || status == UNTOUCHED);
    for (int i = 0; i < answers; i++)
        if (strcmp(engine_answers->list[i].what, "error") == 0)
            check_words(engine_answers->list[i].text);
    CHECK(engine_in_child(recover, NULL) == 0);
    engine_check_answers(data, answers);
    if (check_failures > before) {
        fprintf(stderr, "    call %d failing %s (status %d):\n", n, for_good ? "for good" : "once",
                status);
        engine_print_answers();
    }
    return status != UNTOUCHED;
}

/* Each STRIDE-th call, beginning anywhere; STANCE_STRIDE=1 takes all. */
static void fail_all(bool for_good) {
    const char *given = getenv("STANCE_STRIDE");
    int stride = given ? atoi(given) : STRIDE, n = 1 + (int)(time(NULL) % stride), count = 0;
    for (; fail_one(n, for_good) && check_failures < 20; n += stride)
        count++;
    printf("    %d of %d file calls failed\n", count, n);
    CHECK(n > 300);
}

static void survives_any_file_call_failing_once(void) {
    fail_all(false);
}

static void survives_any_file_call_failing_for_good(void) {
    fail_all(true);
}

int main(void) {
    static const struct test tests[] = {
        TEST(survives_any_file_call_failing_once),
        TEST(survives_any_file_call_failing_for_good),
    };
    folder = engine_folder();
    snprintf(data, sizeof data, "%s/data", folder);
    snprintf(workspace, sizeof workspace, "%s/scripts", folder);
    int status = RUN(tests);
    engine_remove(folder);
    return status;
}
