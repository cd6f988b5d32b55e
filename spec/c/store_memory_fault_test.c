/* Every allocation fails in turn, once and from then on: ours, SQLite's, and what Lua's scripts ask
 * for. After each: an error in words, no crash, no leak (the sanitizer looks), and all that was
 * acknowledged is there.
 *
 * Our own calls are wrapped by the linker (Makefile), SQLite's by its configuration; Lua's are ours
 * (core/vm.c), told apart by whether a script runs: what the host itself needs of a state is not
 * to fail. */
#include <sqlite3.h>
#include <stdatomic.h>
#include <time.h>

#include "core/vm_internal.h"
#include "engine.h"
#include "store/digest.h"
#include "store/objects.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STRIDE = 61, LUA_FAILURES = 12 };
#else
enum { STRIDE = 7, LUA_FAILURES = 60 };
#endif

/* -- Allocations ------------------------------------------------------------------------------- */

static atomic_int calls;
static int fail_at; /* 0: none */
static bool for_good;
static atomic_bool failed;
static struct vm *script_vm; /* when not NULL, only its scripts' allocations count */

static bool fails(void) {
    if (fail_at == 0 || (script_vm != NULL && !script_vm->confined))
        return false;
    int number = atomic_fetch_add(&calls, 1) + 1;
    if (number != fail_at && !(for_good && number > fail_at))
        return false;
    atomic_store(&failed, true);
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *pointer, size_t size);
char *__real_strdup(const char *text);

void *__wrap_malloc(size_t size) {
    return script_vm == NULL && fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return script_vm == NULL && fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *pointer, size_t size) {
    return fails() ? NULL : __real_realloc(pointer, size);
}

char *__wrap_strdup(const char *text) {
    return script_vm == NULL && fails() ? NULL : __real_strdup(text);
}

static sqlite3_mem_methods sqlite_real;

static void *sqlite_malloc(int size) {
    return script_vm == NULL && fails() ? NULL : sqlite_real.xMalloc(size);
}

static void *sqlite_realloc(void *pointer, int size) {
    return script_vm == NULL && fails() ? NULL : sqlite_real.xRealloc(pointer, size);
}

static void wrap_sqlite(void) {
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_real);
    sqlite3_mem_methods methods = sqlite_real;
    methods.xMalloc = sqlite_malloc;
    methods.xRealloc = sqlite_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK)
        abort();
}

static void fail_from(int n, bool good) {
    atomic_store(&calls, 0);
    atomic_store(&failed, false);
    for_good = good;
    fail_at = n;
}

/* -- The store --------------------------------------------------------------------------------- */

enum { ROWS = 4 };

static const char *folder; /* of all */
static char data[300];

/* What was acknowledged in a walk. */
struct acknowledged {
    bool rows[ROWS];
    char object[OBJECT_HASH_SIZE];
};

static void check_error(int code, const struct err *err) {
    if (code >= 0)
        return;
    CHECK(err->code == code && strlen(err->message) > 10);
    /* SQLite opens its files by their names, which it copies. */
    if (code != ERR_NO_MEMORY && code != ERR_IO)
        CHECK_TEXT(err->message, "an error of memory");
}

static int write_row(struct db *db, int number) {
    char sql[200];
    struct err err;
    snprintf(sql, sizeof sql, "INSERT INTO events (ts, type, data) VALUES (%d, 'x', '%s')", number,
             "some text");
    struct db_transaction *t = db_transaction_new();
    if (t == NULL)
        return ERR_NO_MEMORY;
    int code = db_transaction_add(t, sql, NULL, 0, false, 1, &err);
    if (code == 0)
        code = db_write(db, t, &err);
    check_error(code, &err);
    db_transaction_free(t);
    return code;
}

static void read_rows(struct db *db) {
    struct err err;
    struct db_transaction *t = db_transaction_new();
    if (t == NULL)
        return;
    int code = db_transaction_add(t, "SELECT * FROM events", NULL, 0, false, DB_ANY, &err);
    if (code == 0)
        code = db_read(db, t, &err);
    check_error(code, &err);
    db_transaction_free(t);
}

static bool use_database(struct acknowledged *acknowledged) {
    struct db_options options = {.data_dir = data, .quick_check = true};
    struct db *db;
    struct err err;
    int code = db_open(NULL, &options, &db, &err);
    check_error(code, &err);
    if (code < 0)
        return false;
    for (int i = 0; i < ROWS; i++)
        acknowledged->rows[i] = write_row(db, i) == 0;
    read_rows(db);
    db_close(db);
    return true;
}

static void use_objects(struct acknowledged *acknowledged) {
    static const char text[] = "what is kept";
    struct objects *objects;
    struct object_info info;
    struct err err;
    int code = objects_open_files(data, &objects, &err);
    check_error(code, &err);
    if (code < 0)
        return;
    code = objects_put(objects, text, sizeof text, &info, &err);
    check_error(code, &err);
    if (code == 0) {
        char *bytes;
        size_t size;
        memcpy(acknowledged->object, info.hash, sizeof info.hash);
        code = objects_read(objects, info.hash, 1000, &bytes, &size, &err);
        check_error(code, &err);
        if (code == 0)
            free(bytes);
    }
    objects_close(objects);
}

static void check_acknowledged(const struct acknowledged *acknowledged) {
    struct db *db = open_db(data);
    char sql[100];
    for (int i = 0; i < ROWS; i++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM events WHERE ts = %d", i);
        CHECK(!acknowledged->rows[i] || read_int(db, sql) == 1);
    }
    db_close(db);
    struct objects *objects;
    CHECK(objects_open_files(data, &objects, NULL) == 0);
    CHECK(acknowledged->object[0] == 0 || objects_verify(objects, acknowledged->object, NULL) == 0);
    objects_close(objects);
}

/* One walk with the n-th allocation failing. False when there was none. */
static bool fail_one(int n, bool good) {
    struct acknowledged acknowledged = {0};
    int before = check_failures;
    engine_remove(data);
    fail_from(n, good);
    if (use_database(&acknowledged))
        use_objects(&acknowledged);
    fail_at = 0;
    check_acknowledged(&acknowledged);
    CHECK(sqlite3_memory_used() == 0);
    if (check_failures > before)
        fprintf(stderr, "    allocation %d failing %s\n", n, good ? "for good" : "once");
    return atomic_load(&failed);
}

/* Each STRIDE-th allocation, beginning anywhere; STANCE_STRIDE=1 takes all. */
static void fail_all(bool good) {
    const char *given = getenv("STANCE_STRIDE");
    int stride = given ? atoi(given) : STRIDE, n = 1 + (int)(time(NULL) % stride);
    int count = 0;
    for (; fail_one(n, good) && check_failures < 20; n += stride)
        count++;
    printf("    %d of %d allocations failed\n", count, n);
    CHECK(n > 1000);
}

static void survives_any_allocation_failing_once(void) {
    fail_all(false);
}

static void survives_all_allocations_failing_from_one_on(void) {
    fail_all(true);
}

/* -- The scripts ------------------------------------------------------------------------------- */

enum { MET = 10 };

static char workspace[300];

static void watch_vm(struct vm *vm) {
    script_vm = vm;
}

static void live(void *arg) {
    alarm(90); /* longer than a report is waited for */
    engine_on_vm = watch_vm;
    fail_from(*(int *)arg, for_good);
    engine_live(data, workspace, 2, 1, 0.2);
    engine_tell("allocations", "");
    snprintf(engine_answers->list[engine_answers->count - 1].text, ENGINE_TEXT, "%d",
             atomic_load(&calls));
    _exit(atomic_load(&failed) ? MET : 0);
}

static void recover(void *arg) {
    (void)arg;
    engine_recover(data, workspace);
}

/* How many allocations the walk made. */
static int fail_script(int n) {
    int before = check_failures;
    engine_remove(data);
    atomic_store(&engine_answers->count, 0);
    int status = engine_in_child(live, &n), answers = engine_answers->count;
    CHECK(status == 0 || status == MET);
    int count = answers > 0 ? atoi(engine_answers->list[answers - 1].text) : 0;
    CHECK(engine_in_child(recover, NULL) == 0);
    engine_check_answers(data, answers);
    if (check_failures > before) {
        fprintf(stderr, "    a script's allocation %d failing %s (status %d)\n", n,
                for_good ? "for good" : "once", status);
        engine_print_answers();
    }
    return count;
}

/* STANCE_SCRIPT_FAILURES=10000 takes nearly all. */
static void survives_scripts_without_memory(void) {
    const char *given = getenv("STANCE_SCRIPT_FAILURES");
    int total = fail_script(INT_MAX), failures = 0, most = given ? atoi(given) : LUA_FAILURES;
    for (; failures < most && check_failures < 10; failures++) {
        for_good = failures % 2;
        fail_script(1 + (int)((long)total * failures / most));
    }
    printf("    %d of %d allocations of the scripts failed\n", failures, total);
    CHECK(total > 1000);
}

int main(void) {
    static const struct test tests[] = {
        TEST(survives_any_allocation_failing_once),
        TEST(survives_all_allocations_failing_from_one_on),
        TEST(survives_scripts_without_memory),
    };
    wrap_sqlite();
    folder = engine_folder();
    snprintf(data, sizeof data, "%s/data", folder);
    snprintf(workspace, sizeof workspace, "%s/scripts", folder);
    int status = RUN(tests);
    engine_remove(folder);
    return status;
}
