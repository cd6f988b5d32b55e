#include "core/watch.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fiber.h" /* alarms */
#include "core/log.h"

enum { ROOTS_MAX = 8, FOLDERS_MAX = 1024, DEPTH_MAX = 16 };

/* Seconds without a further event until a change counts. */
static const double quiet_changed = 0.15, quiet_vanished = 1.5;

struct folder {
    uv_fs_event_t event; /* first: handle and folder are freed as one */
    struct watch *watch; /* NULL: closing */
    struct folder *next;
    char path[];
};

/* What a pool thread finds: the folders below the roots. */
struct survey {
    struct watch *watch; /* NULL: nobody wants it any more */
    char *roots[ROOTS_MAX + 1];
    char *found[FOLDERS_MAX];
    size_t count;
};

struct watch {
    struct loop *loop;
    void (*changed)(void *arg);
    void *arg;
    char *roots[ROOTS_MAX + 1];
    struct folder *folders;
    struct survey *survey; /* under way */
    struct alarm *alarm;
    double due;
    bool complained;
};

/* -- Which folders there are ------------------------------------------------------------------- */

static bool is_passed_over(const char *name) {
    return name[0] == '.' || strcmp(name, "meta") == 0 || strcmp(name, "node_modules") == 0;
}

static void look_below(struct survey *survey, const char *path, int depth) {
    DIR *dir = depth < DEPTH_MAX && survey->count < FOLDERS_MAX ? opendir(path) : NULL;
    if (dir == NULL)
        return;
    survey->found[survey->count] = strdup(path);
    if (survey->found[survey->count] != NULL)
        survey->count++;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char child[PATH_MAX];
        struct stat stat;
        if (!is_passed_over(entry->d_name) &&
            snprintf(child, sizeof child, "%s/%s", path, entry->d_name) < PATH_MAX &&
            lstat(child, &stat) == 0 && S_ISDIR(stat.st_mode))
            look_below(survey, child, depth + 1);
    }
    closedir(dir);
}

static void look(void *arg) {
    struct survey *survey = arg;
    for (size_t i = 0; survey->roots[i] != NULL; i++)
        look_below(survey, survey->roots[i], 0);
}

static void survey_free(struct survey *survey) {
    for (size_t i = 0; survey->roots[i] != NULL; i++)
        free(survey->roots[i]);
    for (size_t i = 0; i < survey->count; i++)
        free(survey->found[i]);
    free(survey);
}

/* -- Events ------------------------------------------------------------------------------------ */

static void ring(void *arg) {
    struct watch *watch = arg;
    watch->alarm = NULL;
    watch->changed(watch->arg);
}

static void take_survey(struct watch *watch);

static bool is_script_name(const char *name) {
    size_t size = strlen(name);
    return size > 4 && strcmp(name + size - 4, ".lua") == 0;
}

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status) {
    struct folder *folder = (struct folder *)handle;
    struct watch *watch = folder->watch;
    char path[PATH_MAX];
    struct stat stat;
    (void)events;
    if (watch == NULL || status < 0 || name == NULL || is_passed_over(name) ||
        snprintf(path, sizeof path, "%s/%s", folder->path, name) >= PATH_MAX)
        return;
    bool exists = lstat(path, &stat) == 0;
    if (!is_script_name(name) && exists && !S_ISDIR(stat.st_mode))
        return;
    if (!is_script_name(name))
        take_survey(watch); /* a folder came or went */
    double quiet = exists ? quiet_changed : quiet_vanished;
    double due = loop_seconds() + quiet;
    if (watch->alarm != NULL && due < watch->due && !exists)
        return;
    alarm_stop(watch->alarm);
    watch->due = due;
    watch->alarm = alarm_start(watch->loop, quiet, ring, watch);
}

/* -- Folders ----------------------------------------------------------------------------------- */

static void folder_closed(uv_handle_t *handle) {
    free(handle);
}

static void close_folders(struct watch *watch) {
    for (struct folder *folder = watch->folders, *next; folder != NULL; folder = next) {
        next = folder->next;
        folder->watch = NULL;
        uv_close((uv_handle_t *)&folder->event, folder_closed);
    }
    watch->folders = NULL;
}

static void add_folder(struct watch *watch, const char *path) {
    struct folder *folder = calloc(1, sizeof *folder + strlen(path) + 1);
    if (folder == NULL)
        return;
    strcpy(folder->path, path);
    folder->watch = watch;
    uv_fs_event_init(&watch->loop->uv, &folder->event);
    uv_unref((uv_handle_t *)&folder->event);
    int status = uv_fs_event_start(&folder->event, on_event, path, 0);
    folder->next = watch->folders;
    watch->folders = folder;
    if (status < 0 && !watch->complained) {
        watch->complained = true;
        log_warn("host", "changes in %s are not noticed (%s): use `stance reload`", path,
                 uv_strerror(status));
    }
}

static void survey_done(void *arg) {
    struct survey *survey = arg;
    struct watch *watch = survey->watch;
    if (watch != NULL) {
        watch->survey = NULL;
        close_folders(watch);
        for (size_t i = 0; i < survey->count; i++)
            add_folder(watch, survey->found[i]);
    }
    survey_free(survey);
}

static void take_survey(struct watch *watch) {
    struct survey *survey = watch->survey == NULL ? calloc(1, sizeof *survey) : NULL;
    if (survey == NULL)
        return;
    survey->watch = watch;
    watch->survey = survey;
    for (size_t i = 0; watch->roots[i] != NULL; i++)
        if ((survey->roots[i] = strdup(watch->roots[i])) == NULL)
            break;
    loop_work(watch->loop, look, survey_done, survey);
}

/* -- Life -------------------------------------------------------------------------------------- */

int watch_new(struct loop *loop, const char *const *folders, void (*changed)(void *arg), void *arg,
              struct watch **out, struct err *err) {
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    watch->loop = loop;
    watch->changed = changed;
    watch->arg = arg;
    for (size_t i = 0; i < ROOTS_MAX && folders[i] != NULL; i++)
        if ((watch->roots[i] = strdup(folders[i])) == NULL) {
            watch_free(watch);
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        }
    take_survey(watch);
    *out = watch;
    return 0;
}

void watch_free(struct watch *watch) {
    if (watch == NULL)
        return;
    if (watch->survey != NULL)
        watch->survey->watch = NULL;
    alarm_stop(watch->alarm);
    close_folders(watch);
    for (size_t i = 0; i < ROOTS_MAX; i++)
        free(watch->roots[i]);
    free(watch);
}
