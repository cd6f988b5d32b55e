/* jobs.c - one job, as seen from the command line. */
#include "cli/jobs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/fetch.h"
#include "cli/memory.h"
#include "cli/output.h"

/* -- Interrupts -------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

void jobs_catch_interrupt(struct client *client) {
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    client_watch_interrupt(client, &interrupted);
}

bool jobs_interrupted(void) {
    return interrupted != 0;
}

/* -- Requests ---------------------------------------------------------------------------------- */

const char *jobs_text(const json_t *manifest, const char *field) {
    const char *text = json_string_value(json_object_get(manifest, field));
    return text ? text : "";
}

int jobs_submit(struct client *client, const json_t *submission, const char *key,
                json_t **manifest) {
    int code = client_call(client, "POST", "/api/jobs", submission, key, manifest);
    if (code != EXIT_OK) {
        return client_report(client, code);
    }
    if (!*jobs_text(*manifest, "job_id")) {
        json_decref(*manifest);
        return out_fail(EXIT_UPSTREAM, "%s answered without a job_id: is it a stance host?",
                        client_url(client));
    }
    return EXIT_OK;
}

int jobs_get(struct client *client, const char *job_id, json_t **manifest) {
    char *path = client_job_path(job_id, "");
    int code = client_get(client, path, manifest);
    free(path);
    return code == EXIT_OK ? code : client_report(client, code);
}

/* -- Following --------------------------------------------------------------------------------- */

bool jobs_ended(const char *status) {
    return strcmp(status, "completed") == 0 || strcmp(status, "failed") == 0 ||
           strcmp(status, "cancelled") == 0;
}

enum { FOLDER_MAX = 64, FOLDER_NAME = 128 };

/* Pictures so far of one character: an artifact is named CHARACTER/VIEW.png. */
struct folder {
    char name[FOLDER_NAME];
    long pictures;
};

struct follower {
    struct bars *bars;
    size_t folders_made; /* by a job that draws: one a character; 0: one bar for all of it */
    long pictures;       /* in each, once it is known */
    long long seq;       /* of the last event seen */
    bool over;
    size_t folder_count;
    struct folder folders[FOLDER_MAX];
};

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* A view's own picture, not one with a skeleton drawn on it. */
static bool is_picture(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && !strstr(name, ".debug.") &&
           (strcmp(dot, ".png") == 0 || strcmp(dot, ".jpg") == 0 || strcmp(dot, ".webp") == 0);
}

static void count_picture(struct follower *follower, const char *name) {
    const char *slash = strchr(name, '/');
    size_t length = slash ? (size_t)(slash - name) : 0, i = 0;
    if (length == 0 || length >= FOLDER_NAME || !is_picture(slash)) {
        return;
    }
    while (i < follower->folder_count && (strncmp(follower->folders[i].name, name, length) != 0 ||
                                          follower->folders[i].name[length])) {
        i++;
    }
    if (i == FOLDER_MAX) {
        return;
    }
    struct folder *folder = &follower->folders[i];
    if (i == follower->folder_count) {
        snprintf(folder->name, sizeof folder->name, "%.*s", (int)length, name);
        follower->folder_count++;
    }
    folder->pictures++;
    if (follower->pictures > 0) {
        bars_set(follower->bars, folder->name, folder->pictures, follower->pictures);
    }
}

static void show_progress(struct follower *follower, const char *type, const json_t *data) {
    bool is_progress = strcmp(type, "job.progress") == 0;
    long total = lround(json_number_value(json_object_get(data, "total")));
    if (is_progress && follower->folders_made > 0) {
        follower->pictures = total / (long)follower->folders_made;
    } else if (is_progress) {
        bars_set(follower->bars, "progress",
                 lround(json_number_value(json_object_get(data, "done"))), total);
    } else if (follower->folders_made > 0 && strcmp(type, "job.artifact") == 0) {
        count_picture(follower, jobs_text(data, "name"));
    }
}

/* One event; the one with the job's end ends the stream. */
static bool on_event(void *arg, const json_t *event) {
    struct follower *follower = arg;
    const char *type = jobs_text(event, "type");
    follower->seq = json_integer_value(json_object_get(event, "seq"));
    if (follower->bars) {
        show_progress(follower, type, json_object_get(event, "data"));
    }
    follower->over = strncmp(type, "job.", 4) == 0 && jobs_ended(type + 4);
    return !follower->over;
}

/* Reads events until the job has ended, the time is up, or the host does not answer. */
static int follow(struct client *client, const char *job_id, struct follower *follower,
                  double deadline, json_t **manifest) {
    char *id = client_escape(job_id, false);
    int code = EXIT_OK;
    while (code == EXIT_OK && !jobs_ended(jobs_text(*manifest, "status"))) {
        double left = deadline > 0 ? deadline - seconds_now() : 0;
        char *events = memory_printf("/api/events?job=%s&after=%lld", id, follower->seq);
        code = left < 0 ? EXIT_TIMEOUT : client_lines(client, events, left, on_event, follower);
        free(events);
        if (code == EXIT_TIMEOUT) {
            code = out_fail(EXIT_TIMEOUT, "%s has not ended yet", job_id);
        } else if (code != EXIT_OK) {
            code = client_report(client, code);
        } else {
            json_decref(*manifest);
            *manifest = NULL;
            code = jobs_get(client, job_id, manifest);
        }
    }
    free(id);
    return code;
}

/* How many folders of pictures a job makes, where that can be told from its parameters. */
static size_t folders_of(const json_t *manifest) {
    const json_t *params = json_object_get(manifest, "params");
    if (strcmp(jobs_text(manifest, "job_type"), "render") != 0 ||
        strcmp(jobs_text(params, "image"), "none") == 0) {
        return 0;
    }
    return json_is_true(json_object_get(params, "together"))
               ? 1
               : json_array_size(json_object_get(params, "characters"));
}

int jobs_follow(struct client *client, const char *job_id, bool bars, double seconds,
                json_t **manifest) {
    struct follower follower = {0};
    double deadline = seconds > 0 ? seconds_now() + seconds : 0;
    int code = jobs_get(client, job_id, manifest);
    if (code != EXIT_OK) {
        return code;
    }
    follower.bars = bars ? bars_new(stderr) : NULL;
    follower.folders_made = folders_of(*manifest);
    code = follow(client, job_id, &follower, deadline, manifest);
    bars_free(follower.bars);
    return code;
}

/* -- Telling ----------------------------------------------------------------------------------- */

int jobs_verdict(const json_t *manifest) {
    const char *status = jobs_text(manifest, "status");
    const char *reason = jobs_text(manifest, "reason");
    const json_t *error = json_object_get(manifest, "error");
    const char *words =
        json_is_string(error) ? json_string_value(error) : jobs_text(error, "message");
    if (strcmp(status, "completed") != 0) {
        return out_fail(EXIT_JOB_FAILED, "%s %s%s%s%s%s", jobs_text(manifest, "job_id"), status,
                        *reason ? ": " : "", reason,
                        *words && strcmp(words, reason) != 0 ? ": " : "",
                        strcmp(words, reason) != 0 ? words : "");
    }
    const json_t *characters = json_object_get(json_object_get(manifest, "result"), "characters");
    size_t index;
    json_t *character;
    int code = EXIT_OK;
    json_array_foreach(characters, index, character) {
        if (json_is_false(json_object_get(character, "ok"))) {
            code = out_fail(EXIT_FAILED, "%s: %s", jobs_text(character, "file"),
                            jobs_text(json_object_get(character, "error"), "message"));
        }
    }
    return code;
}

static void print_field(const json_t *manifest, const char *field, const char *label) {
    const json_t *value = json_object_get(manifest, field);
    if (!value || json_is_null(value)) {
        return;
    }
    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        bool status = strcmp(field, "status") == 0;
        printf("%-11s %s%s%s\n", label, status ? out_color(stdout, out_status_color(text)) : "",
               text, status ? out_color(stdout, OUT_PLAIN) : "");
        return;
    }
    char *text = memory_need(json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY));
    printf("%-11s %s\n", label, text);
    free(text);
}

void jobs_print(const json_t *manifest) {
    static const char *const fields[][2] = {
        {"job_id", "job"},         {"job_type", "type"},       {"status", "status"},
        {"reason", "reason"},      {"error", "error"},         {"attempt", "attempt"},
        {"created_at", "created"}, {"started_at", "started"},  {"ended_at", "ended"},
        {"progress", "progress"},  {"artifacts", "artifacts"}, {"params", "params"},
        {"generation", "scripts"}, {"result", "result"},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        print_field(manifest, fields[i][0], fields[i][1]);
    }
}

/* -- Fetching ---------------------------------------------------------------------------------- */

char *jobs_folder(const char *job_id, const char *output) {
    if (!output && strchr(job_id, '/')) {
        out_fail(EXIT_USAGE, "\"%s\" is not a job id", job_id);
        return NULL;
    }
    return output ? memory_need(strdup(output)) : memory_printf("stance-output/%s", job_id);
}

int jobs_download(struct client *client, const char *job_id, const char *output, bool force,
                  bool json) {
    char *folder = jobs_folder(job_id, output);
    struct fetched fetched;
    char bytes[32];
    int code = folder ? fetch_artifacts(client, job_id, folder, force, &fetched) : EXIT_USAGE;
    if (code == EXIT_OK && json) {
        json_t *all = json_pack("{s:s, s:s, s:I, s:I, s:I}", "job_id", job_id, "output_dir", folder,
                                "files", (json_int_t)fetched.files, "kept",
                                (json_int_t)fetched.kept, "bytes", (json_int_t)fetched.bytes);
        out_json(all);
        json_decref(all);
    } else if (code == EXIT_OK) {
        printf("%ld files, %s in %s", fetched.files, out_bytes(fetched.bytes, bytes, sizeof bytes),
               folder);
        if (fetched.kept > 0) {
            printf(" (%ld more were there already)", fetched.kept);
        }
        putchar('\n');
    }
    free(folder);
    return code;
}
