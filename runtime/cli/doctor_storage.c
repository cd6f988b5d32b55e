#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/output.h"
#include "cli/process.h"
#include "core/loop.h"
#include "store/migrations.h"

enum { FREE_WARN_MB = 2000, FREE_FAIL_MB = 100, SOCKET_PATH_MOST = 107 };

static const double quick_check_seconds = 5;

/* -- The folder -------------------------------------------------------------------------------- */

/* The folder itself, or the nearest above it that exists. */
static void nearest_folder(const char *path, char *found, size_t size) {
    snprintf(found, size, "%s", path);
    while (access(found, F_OK) < 0) {
        char *slash = strrchr(found, '/');
        if (!slash || slash == found) {
            snprintf(found, size, "/");
            return;
        }
        *slash = '\0';
    }
}

static void check_folder(struct report *report, const char *path) {
    static const char name[] = "data folder";
    char folder[PATH_MAX], room[32];
    struct stat status;
    struct statvfs space;
    nearest_folder(path, folder, sizeof folder);
    bool exists = strcmp(folder, path) == 0;
    if (stat(folder, &status) < 0 || statvfs(folder, &space) < 0) {
        doctor_tell(report, VERDICT_FAIL, name, "choose another with --data", "%s: %s", folder,
                    strerror(errno));
        return;
    }
    double free_bytes = (double)space.f_bavail * (double)space.f_frsize;
    out_bytes(free_bytes, room, sizeof room);
    if (!S_ISDIR(status.st_mode) || access(folder, W_OK | X_OK) < 0)
        doctor_tell(report, VERDICT_FAIL, name,
                    "choose another with --data, or give it to this user",
                    "%s is not a folder that we may write to", folder);
    else if (exists && (status.st_mode & 077) != 0)
        doctor_tell(report, VERDICT_FAIL, name, "chmod 700 it: it holds what is private",
                    "%s is open to other users (%03o)", path, (unsigned)status.st_mode & 0777);
    else if (free_bytes < FREE_FAIL_MB * 1e6)
        doctor_tell(report, VERDICT_FAIL, name, "make room, or choose another with --data",
                    "%s: %s free", path, room);
    else if (free_bytes < FREE_WARN_MB * 1e6)
        doctor_tell(report, VERDICT_WARN, name, "make room before long jobs", "%s: %s free", path,
                    room);
    else
        doctor_tell(report, VERDICT_OK, name, NULL, "%s%s, %s free", path,
                    exists ? "" : " (made at the first start)", room);
}

/* -- The database ------------------------------------------------------------------------------ */

static int past_deadline(void *arg) {
    return loop_seconds() > *(const double *)arg;
}

/* The first value of the first row as text; false with SQLite's words in it. */
static bool ask(sqlite3 *database, const char *sql, char *text, size_t size) {
    sqlite3_stmt *statement = NULL;
    bool got = sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK &&
               sqlite3_step(statement) == SQLITE_ROW;
    const char *value = got ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    snprintf(text, size, "%s", got ? (value ? value : "") : sqlite3_errmsg(database));
    sqlite3_finalize(statement);
    return got;
}

static int newest_schema(void) {
    int version = 0;
    for (const struct db_migration *step = db_migrations; step->version != 0; step++)
        version = step->version;
    return version;
}

/* A schema of our own version, whose pages are whole as far as a few seconds tell. */
static void look_through(struct report *report, sqlite3 *database, const char *path) {
    char text[300];
    if (!ask(database, "SELECT max(version) FROM schema_version", text, sizeof text)) {
        doctor_tell(report, VERDICT_FAIL, "database",
                    "put a backup of the data folder in its place", "%s: %s", path, text);
        return;
    }
    int version = (int)strtol(text, NULL, 10), newest = newest_schema();
    if (version > newest) {
        doctor_tell(report, VERDICT_FAIL, "database", "install the newer stance that made it",
                    "%s has schema %d, this program knows %d", path, version, newest);
        return;
    }
    double deadline = loop_seconds() + quick_check_seconds;
    sqlite3_progress_handler(database, 10000, past_deadline, &deadline);
    bool answered = ask(database, "PRAGMA quick_check(1)", text, sizeof text);
    bool too_large = !answered && sqlite3_errcode(database) == SQLITE_INTERRUPT;
    if (!too_large && strcmp(text, "ok") != 0)
        doctor_tell(report, VERDICT_FAIL, "database",
                    "stop the host and put a backup of the data folder in its place", "%s: %s",
                    path, text);
    else
        doctor_tell(report, VERDICT_OK, "database", NULL, "schema %d%s; %s", version,
                    version < newest ? " (brought up to date at the next start)" : "",
                    too_large ? "too large to look through in 5 s, what was seen is whole"
                              : "whole");
}

static void check_database(struct report *report, const char *data_dir) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/stance.db", data_dir);
    if (access(path, F_OK) < 0)
        return;
    sqlite3 *database = NULL;
    if (sqlite3_open_v2(path, &database, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK) {
        sqlite3_busy_timeout(database, 1000);
        look_through(report, database, path);
    } else {
        doctor_tell(report, VERDICT_FAIL, "database", "give it to this user",
                    "%s cannot be opened: %s", path, database ? sqlite3_errmsg(database) : "");
    }
    sqlite3_close(database);
}

/* The path of the console's socket has to fit into an address. */
static void check_socket(struct report *report, const struct config *config) {
    char path[PATH_MAX];
    process_socket_path(config, path, sizeof path);
    size_t length = strlen(path);
    if (length > SOCKET_PATH_MOST)
        doctor_tell(report, VERDICT_WARN, "socket", "choose a shorter --data, or --socket",
                    "%s is too long for a socket (%zu bytes, %d at most)", path, length,
                    (int)SOCKET_PATH_MOST);
}

void doctor_storage(struct report *report, const struct config *config) {
    const char *data_dir = config_string(config, "data");
    check_folder(report, data_dir);
    check_database(report, data_dir);
    check_socket(report, config);
}
