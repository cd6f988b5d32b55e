/* The power fails at random moments of a running queue: each job that was accepted is there, each
 * artifact that was committed is whole, and the database is sound. See disk.h for what a disk may
 * hold then.
 *
 * STANCE_SEED repeats a run. */
#include "disk.h"

#include <sys/prctl.h>
#include <time.h>

#include "engine.h"
#include "store/objects.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CUTS = 12 };
#else
enum { CUTS = 60 };
#endif

static const char *folder; /* of all */

struct life {
    char root[300], image[300];
    int cut_at, jobs;
    unsigned seed;
};

static void nothing(void) {
}

/* A child: the host lives in root/data until the power fails. */
static void live(void *arg) {
    struct life *life = arg;
    char data[400], workspace[400];
    snprintf(data, sizeof data, "%s/data", life->root);
    snprintf(workspace, sizeof workspace, "%s/scripts", folder);
    if (life->cut_at > 0)
        disk_cut_at(life->root, life->image, life->cut_at, life->seed, nothing);
    engine_live(data, workspace, life->jobs, 4, 0);
    _exit(3); /* it was through before the cut */
}

static bool has_text(struct db *db, const char *format, const char *text) {
    char sql[600];
    snprintf(sql, sizeof sql, format, text);
    return read_int(db, sql) == 1;
}

static int check_objects(struct db *db, const char *data) {
    struct objects *objects;
    struct err err;
    CHECK(objects_open_files(data, &objects, &err) == 0);
    struct db_transaction *t = db_transaction_new();
    db_transaction_add(t, "SELECT DISTINCT hash FROM artifacts", NULL, 0, false, DB_ANY, NULL);
    CHECK(db_read(db, t, &err) == 0);
    const struct db_rows *rows = db_transaction_rows(t, 0);
    int count = (int)db_rows_count(rows);
    for (int i = 0; i < count; i++) {
        const char *hash = db_rows_at(rows, (size_t)i, 0)->bytes.data;
        int code = objects_verify(objects, hash, &err);
        CHECK_TEXT(code < 0 ? err.message : "whole", "whole");
    }
    db_transaction_free(t);
    objects_close(objects);
    return count;
}

/* What the disk holds, as the next host finds it. Returns how many artifacts were listed. */
static int check_image(const char *data) {
    struct db_options options = {.data_dir = data, .quick_check = true};
    struct db *db;
    struct err err = {0};
    int artifacts = 0;
    if (db_open(NULL, &options, &db, &err) == 0) {
        CHECK(has_text(db, "SELECT count(*) = 1 AND max(integrity_check) = 'ok' FROM %s",
                       "pragma_integrity_check"));
        for (int i = 0; i < engine_answers->count; i++) {
            const struct engine_answer *answer = &engine_answers->list[i];
            if (strcmp(answer->what, "accepted") == 0)
                CHECK(has_text(db, "SELECT count(*) FROM jobs WHERE id = '%s'", answer->text));
            else if (strcmp(answer->what, "completed") == 0)
                CHECK(has_text(db,
                               "SELECT count(*) FROM jobs WHERE id = '%s' AND status = 'completed' "
                               "AND (SELECT count(*) FROM artifacts WHERE job_id = id) = 2",
                               answer->text));
            else
                CHECK_TEXT(answer->text, "no error");
        }
        artifacts = check_objects(db, data);
        db_close(db);
    } else {
        CHECK_TEXT(err.message, "opened");
    }
    return artifacts;
}

static void make_folder(const char *path) {
    if (mkdir(path, 0700) < 0)
        abort();
}

/* A host from its first start to the cut, then what a host makes of the rest. */
static bool cut_one(int index, unsigned seed, int *accepted, int *artifacts) {
    struct life life = {.cut_at = (int)(seed % 1500) + 1, .jobs = 24, .seed = seed};
    snprintf(life.root, sizeof life.root, "%s/%d", folder, index);
    snprintf(life.image, sizeof life.image, "%s/%d.image", folder, index);
    make_folder(life.root);
    make_folder(life.image);
    atomic_store(&engine_answers->count, 0);
    int status = engine_in_child(live, &life), before = check_failures;
    CHECK(status == 0 || status == 3);
    char data[400];
    snprintf(data, sizeof data, "%s/data", life.image);
    if (status == 0) {
        for (int i = 0; i < engine_answers->count; i++)
            *accepted += strcmp(engine_answers->list[i].what, "accepted") == 0;
        *artifacts += check_image(data);
        /* And the queue goes on. */
        struct life rest = {.jobs = 4};
        snprintf(rest.root, sizeof rest.root, "%s", life.image);
        CHECK(engine_in_child(live, &rest) == 3);
        struct db *db = open_db(data);
        CHECK(read_int(db, "SELECT count(*) FROM jobs WHERE status <> 'completed'") == 0);
        db_close(db);
        check_image(data);
    }
    if (check_failures > before)
        fprintf(stderr, "    the cut at change %d, STANCE_SEED=%u\n", life.cut_at, seed);
    engine_remove(life.root);
    engine_remove(life.image);
    return status == 0;
}

static void keeps_what_it_answered_when_the_power_fails(void) {
    const char *given = getenv("STANCE_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    int cuts = 0, accepted = 0, artifacts = 0;
    for (int i = 0; i < (given ? 1 : CUTS); i++, seed = seed * 1103515245u + 12345u)
        cuts += cut_one(i, seed, &accepted, &artifacts);
    printf("    %d cuts met a running queue; %d jobs had been accepted, %d artifacts were listed\n",
           cuts, accepted, artifacts);
    CHECK(given || (cuts > CUTS / 2 && artifacts > CUTS));
}

int main(void) {
    static const struct test tests[] = {TEST(keeps_what_it_answered_when_the_power_fails)};
    folder = engine_folder();
    int status = RUN(tests);
    engine_remove(folder);
    return status;
}
