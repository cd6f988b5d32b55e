/* check.h - the little that the C tests need: named tests in a table, checks that say where they
 * failed.
 *
 *     static void adds(void) { CHECK(1 + 1 == 2); }
 *     int main(void) { static const struct test tests[] = {TEST(adds)}; return RUN(tests); }
 *
 * Prints "N passed, N failed, N skipped"; the exit status is 1 when one failed. */
#ifndef STANCE_SPEC_CHECK_H
#define STANCE_SPEC_CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct test {
    const char *name;
    void (*run)(void);
};

static _Atomic int check_failures;
static bool check_skipped;

#define TEST(function)                                                                             \
    { #function, function }

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            check_failures++;                                                                      \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
        }                                                                                          \
    } while (0)

/* Prints both when they differ; NULL-safe. */
#define CHECK_TEXT(got, expected) check_text(__FILE__, __LINE__, (got), (expected))

/* Ends the test without an opinion. */
#define SKIP(reason)                                                                               \
    do {                                                                                           \
        check_skipped = true;                                                                      \
        printf("    skipped: %s\n", reason);                                                       \
        return;                                                                                    \
    } while (0)

static inline void check_text(const char *file, int line, const char *got, const char *expected) {
    if (got == NULL || expected == NULL || strcmp(got, expected) != 0) {
        check_failures += got != expected;
        if (got != expected) {
            fprintf(stderr, "%s:%d: got      %s\n%s:%d: expected %s\n", file, line,
                    got ? got : "NULL", file, line, expected ? expected : "NULL");
        }
    }
}

static inline int check_run(const struct test *tests, size_t count) {
    int passed = 0, failed = 0, skipped = 0;
    for (size_t i = 0; i < count; i++) {
        check_failures = 0;
        check_skipped = false;
        tests[i].run();
        if (check_failures > 0) {
            printf("FAILED  %s\n", tests[i].name);
            failed++;
        } else {
            passed += !check_skipped;
            skipped += check_skipped;
        }
        fflush(stdout);
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed > 0;
}

#define RUN(tests) check_run(tests, sizeof(tests) / sizeof *(tests))

#endif
