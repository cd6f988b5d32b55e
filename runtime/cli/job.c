/* job.c - `stance job submit|list|show|logs|trace|wait|cancel|retry|download`. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/memory.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/params.h"
#include "cli/trace.h"

/* What the subcommands may be given; each takes the part it knows. */
struct job_options {
    const char *url, *params, *key, *status, *type, *after, *output;
    struct option_list param;
    long limit, priority;
    double timeout;
    bool json, follow, force, wait;
};

#define URL_OPTION                                                                                 \
    {                                                                                              \
        "url", 0, OPTION_TEXT, &given.url, "URL",                                                  \
            "the host (default: $STANCE_URL, " CLIENT_DEFAULT_URL ")"                              \
    }
#define JSON_OPTION(words)                                                                         \
    { "json", 0, OPTION_FLAG, &given.json, NULL, words }
#define LAST_OPTION                                                                                \
    { NULL, 0, OPTION_FLAG, NULL, NULL, NULL }

static struct job_options given;

/* -- submit ------------------------------------------------------------------------------------ */

static json_t *make_submission(const char *type) {
    json_t *params = given.params ? params_read(given.params) : json_object();
    for (size_t i = 0; params && i < given.param.count; i++) {
        if (params_add(params, given.param.items[i]) != EXIT_OK) {
            json_decref(params);
            return NULL;
        }
    }
    if (!params) {
        return NULL;
    }
    json_t *submission = json_pack("{s:s, s:o}", "job_type", type, "params", params);
    if (given.priority != 0) {
        json_object_set_new(submission, "priority", json_integer(given.priority));
    }
    return submission;
}

static int show_end(struct client *client, const char *job_id) {
    json_t *manifest = NULL;
    jobs_catch_interrupt(client);
    int code = jobs_follow(client, job_id, !given.json, given.timeout, &manifest);
    if (code == EXIT_OK) {
        if (given.json) {
            out_json(manifest);
        }
        code = jobs_verdict(manifest);
    }
    if (code == EXIT_OK && !given.json) {
        printf("%s %s\n", job_id, jobs_text(manifest, "status"));
    }
    json_decref(manifest);
    return code;
}

static int submit(struct client *client, char **operands) {
    json_t *manifest = NULL;
    json_t *submission = make_submission(operands[0]);
    if (!submission) {
        return EXIT_USAGE;
    }
    int code = jobs_submit(client, submission, given.key, &manifest);
    json_decref(submission);
    if (code != EXIT_OK) {
        return code;
    }
    if (given.wait) {
        out_note("%s", jobs_text(manifest, "job_id"));
        code = show_end(client, jobs_text(manifest, "job_id"));
    } else if (given.json) {
        out_json(manifest);
    } else {
        printf("%s\n", jobs_text(manifest, "job_id"));
    }
    json_decref(manifest);
    return code;
}

/* -- list -------------------------------------------------------------------------------------- */

static const char *progress_text(const json_t *manifest, char *buffer, size_t size) {
    const json_t *progress = json_object_get(manifest, "progress");
    double total = json_number_value(json_object_get(progress, "total"));
    double done = json_number_value(json_object_get(progress, "done"));
    snprintf(buffer, size, total > 0 ? "%.0f/%.0f" : "-", done, total);
    return buffer;
}

static void print_list(const json_t *jobs) {
    enum { COLUMNS = 5, CELL = 24 };
    size_t count = json_array_size(jobs);
    const char **cells = memory_need(calloc((count + 1) * COLUMNS, sizeof *cells));
    char(*progress)[CELL] = memory_need(calloc(count + 1, sizeof *progress));
    const char *const head[] = {"JOB", "STATUS", "DONE", "CREATED", "REASON"};
    memcpy(cells, head, sizeof head);
    for (size_t i = 0; i < count; i++) {
        const json_t *job = json_array_get(jobs, i);
        const char *const row[] = {
            jobs_text(job, "job_id"),
            jobs_text(job, "status"),
            progress_text(job, progress[i], CELL),
            jobs_text(job, "created_at"),
            jobs_text(job, "reason"),
        };
        memcpy(cells + (i + 1) * COLUMNS, row, sizeof row);
    }
    out_table(cells, count + 1, COLUMNS);
    free(progress);
    free(cells);
}

static void add_query(char **path, const char *name, const char *value) {
    if (value) {
        char *escaped = client_escape(value, false);
        char *longer =
            memory_printf("%s%c%s=%s", *path, strchr(*path, '?') ? '&' : '?', name, escaped);
        free(escaped);
        free(*path);
        *path = longer;
    }
}

static int list(struct client *client, char **operands) {
    (void)operands;
    char limit[24];
    char *path = memory_need(strdup("/api/jobs"));
    json_t *reply = NULL;
    snprintf(limit, sizeof limit, "%ld", given.limit);
    add_query(&path, "status", given.status);
    add_query(&path, "type", given.type);
    add_query(&path, "after", given.after);
    add_query(&path, "limit", given.limit > 0 ? limit : NULL);
    int code = client_get(client, path, &reply);
    free(path);
    if (code != EXIT_OK) {
        return client_report(client, code);
    }
    if (given.json) {
        out_json(reply);
    } else {
        print_list(json_object_get(reply, "jobs"));
        const json_t *next = json_object_get(reply, "next");
        if (json_is_integer(next)) {
            out_note("more: stance job list --after %lld", (long long)json_integer_value(next));
        }
    }
    json_decref(reply);
    return EXIT_OK;
}

/* -- show, wait, cancel, retry, download ------------------------------------------------------- */

static int show(struct client *client, char **operands) {
    json_t *manifest = NULL;
    int code = jobs_get(client, operands[0], &manifest);
    if (code == EXIT_OK && given.json) {
        out_json(manifest);
    } else if (code == EXIT_OK) {
        jobs_print(manifest);
    }
    json_decref(manifest);
    return code;
}

static int trace(struct client *client, char **operands) {
    json_t *reply = NULL;
    char *path = client_job_path(operands[0], "/trace");
    int code = client_get(client, path, &reply);
    free(path);
    if (code != EXIT_OK) {
        return client_report(client, code);
    }
    if (given.json) {
        out_json(reply);
    } else {
        trace_print(reply);
    }
    json_decref(reply);
    return EXIT_OK;
}

static int wait_for(struct client *client, char **operands) {
    return show_end(client, operands[0]);
}

static int act(struct client *client, const char *job_id, const char *action) {
    json_t *manifest = NULL;
    char *path = client_job_path(job_id, action);
    int code = client_call(client, "POST", path, NULL, NULL, &manifest);
    free(path);
    if (code != EXIT_OK) {
        return client_report(client, code);
    }
    if (given.json) {
        out_json(manifest);
    } else {
        printf("%s %s\n", job_id, jobs_text(manifest, "status"));
    }
    json_decref(manifest);
    return EXIT_OK;
}

static int cancel(struct client *client, char **operands) {
    return act(client, operands[0], "/cancel");
}

static int retry(struct client *client, char **operands) {
    return act(client, operands[0], "/retry");
}

static int download(struct client *client, char **operands) {
    return jobs_download(client, operands[0], given.output, given.force, given.json);
}

/* -- logs -------------------------------------------------------------------------------------- */

/* "12:00:01.123 info  message  key=value ..." */
static void print_entry(const json_t *entry) {
    const char *name;
    json_t *value;
    const char *clock = strchr(jobs_text(entry, "ts"), 'T');
    const char *level = jobs_text(entry, "level");
    enum out_color color = strcmp(level, "error") == 0  ? OUT_RED
                           : strcmp(level, "warn") == 0 ? OUT_YELLOW
                                                        : OUT_DIM;
    printf("%s%.12s %-5s%s %s", out_color(stdout, color), clock ? clock + 1 : "", level,
           out_color(stdout, OUT_PLAIN), jobs_text(entry, "message"));
    json_object_foreach(json_object_get(entry, "fields"), name, value) {
        char *text = memory_need(json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY));
        printf("  %s=%s", name, text);
        free(text);
    }
    putchar('\n');
}

enum { LOG_PAGE = 500 };

static bool on_entry(void *arg, const json_t *entry) {
    *(long long *)arg = json_integer_value(json_object_get(entry, "seq"));
    if (given.json) {
        out_json(entry);
    } else {
        print_entry(entry);
        fflush(stdout);
    }
    return true;
}

/* What there is, page by page; moves *cursor behind the last entry. */
static int print_pages(struct client *client, const char *job_id, long long *cursor) {
    for (;;) {
        char *tail = memory_printf("/logs?after=%lld&limit=%d", *cursor, (int)LOG_PAGE);
        char *path = client_job_path(job_id, tail);
        json_t *reply = NULL, *entry;
        int code = client_get(client, path, &reply);
        size_t index, count = json_array_size(json_object_get(reply, "entries"));
        json_array_foreach(json_object_get(reply, "entries"), index, entry) {
            on_entry(cursor, entry);
        }
        json_decref(reply);
        free(path);
        free(tail);
        if (code != EXIT_OK || count < LOG_PAGE) {
            return code;
        }
    }
}

static int logs(struct client *client, char **operands) {
    long long cursor = given.after ? strtoll(given.after, NULL, 10) : 0;
    int code = print_pages(client, operands[0], &cursor);
    /* A stream ends with its job, and before that when the host takes new scripts. */
    for (bool over = !given.follow; code == EXIT_OK && !over;) {
        char *tail = memory_printf("/logs?follow=1&after=%lld", cursor);
        char *path = client_job_path(operands[0], tail);
        json_t *manifest = NULL;
        code = client_lines(client, path, 0, on_entry, &cursor);
        free(path);
        free(tail);
        if (code == EXIT_OK && (code = jobs_get(client, operands[0], &manifest)) != EXIT_OK)
            return code; /* it has said why */
        over = jobs_ended(jobs_text(manifest, "status"));
        json_decref(manifest);
    }
    return code == EXIT_OK ? code : client_report(client, code);
}

/* -- The table --------------------------------------------------------------------------------- */

static const struct option submit_options[] = {
    {"param", 'p', OPTION_LIST, &given.param, "NAME=VALUE",
     "one parameter; VALUE is JSON or else text"},
    {"params", 0, OPTION_TEXT, &given.params, "FILE|-", "all parameters, a JSON object"},
    {"key", 'k', OPTION_TEXT, &given.key, "KEY", "idempotency key: the same key submits once"},
    {"priority", 0, OPTION_INTEGER, &given.priority, "N", "higher goes first (default 0)"},
    {"wait", 'w', OPTION_FLAG, &given.wait, NULL, "until it has ended; exit code 8 when it failed"},
    {"timeout", 't', OPTION_NUMBER, &given.timeout, "SECONDS", "with --wait: at most so long"},
    URL_OPTION,
    JSON_OPTION("the manifest"),
    LAST_OPTION,
};
static const struct option list_options[] = {
    {"status", 's', OPTION_TEXT, &given.status, "STATUS",
     "pending, processing, completed, failed or cancelled"},
    {"type", 0, OPTION_TEXT, &given.type, "TYPE", "only this job type"},
    {"limit", 'n', OPTION_INTEGER, &given.limit, "N", "at most so many"},
    {"after", 0, OPTION_TEXT, &given.after, "CURSOR",
     "the page after the one that gave this cursor"},
    URL_OPTION,
    JSON_OPTION("one JSON object"),
    LAST_OPTION,
};
static const struct option plain_options[] = {URL_OPTION, JSON_OPTION("the manifest"), LAST_OPTION};
static const struct option wait_options[] = {
    {"timeout", 't', OPTION_NUMBER, &given.timeout, "SECONDS", "at most so long, then exit code 7"},
    URL_OPTION,
    JSON_OPTION("the manifest"),
    LAST_OPTION,
};
static const struct option logs_options[] = {
    {"follow", 'f', OPTION_FLAG, &given.follow, NULL, "go on until the job has ended"},
    {"after", 0, OPTION_TEXT, &given.after, "SEQ", "only what came later"},
    URL_OPTION,
    JSON_OPTION("one JSON object a line"),
    LAST_OPTION,
};
static const struct option download_options[] = {
    {"output", 'o', OPTION_TEXT, &given.output, "DIR", "where to (default: stance-output/ID)"},
    {"force", 0, OPTION_FLAG, &given.force, NULL,
     "replace files that are there with other content"},
    URL_OPTION,
    JSON_OPTION("one JSON object"),
    LAST_OPTION,
};

static const struct subcommand {
    const char *name;
    int (*run)(struct client *client, char **operands);
    struct usage usage;
} subcommands[] = {
    {"submit",
     submit,
     {"job submit",
      "  stance job submit render -p 'characters=[\"mannequin\"]' -p angles=8 --wait\n"
      "  stance job submit render --params job.json --key nightly-2026-01-01",
      "TYPE", "Puts a job in the queue and prints its id: from then on it is safe.", submit_options,
      1, 1}},
    {"list",
     list,
     {"job list", "  stance job list\n  stance job list --status failed --limit 20", NULL,
      "The newest jobs first.", list_options, 0, 0}},
    {"show",
     show,
     {"job show", "  stance job show ID\n  stance job show ID --json", "ID",
      "All there is to know about a job.", plain_options, 1, 1}},
    {"logs",
     logs,
     {"job logs", "  stance job logs ID\n  stance job logs ID -f", "ID", "What the job said.",
      logs_options, 1, 1}},
    {"trace",
     trace,
     {"job trace", "  stance job trace ID\n  stance job trace ID --json", "ID",
      "What became of a job, in order: claims, steps, artifacts, children, deaths, and how long "
      "each took.",
      plain_options, 1, 1}},
    {"wait",
     wait_for,
     {"job wait", "  stance job wait ID && echo fine\n  stance job wait ID --timeout 60", "ID",
      "Until the job has ended: exit code 0 when it completed, 8 when not.", wait_options, 1, 1}},
    {"cancel",
     cancel,
     {"job cancel", "  stance job cancel ID", "ID", "Asks a pending or running job to end.",
      plain_options, 1, 1}},
    {"retry",
     retry,
     {"job retry", "  stance job retry ID", "ID",
      "Runs a failed or cancelled job again; finished steps are not repeated.", plain_options, 1,
      1}},
    {"download",
     download,
     {"job download", "  stance job download ID --output pictures", "ID",
      "The same as `stance download --job ID`.", download_options, 1, 1}},
};
enum { SUBCOMMAND_COUNT = sizeof subcommands / sizeof *subcommands };

static const char EXAMPLES[] = "  stance job submit render -p 'characters=[\"mannequin\"]' --wait\n"
                               "  stance job list --status failed\n"
                               "  stance job logs ID -f";

static int no_subcommand(int argc, char **argv) {
    const struct usage usage = {"job",
                                EXAMPLES,
                                "submit|list|show|logs|trace|wait|cancel|retry|download ...",
                                "`stance job submit --help` and so on tell more.",
                                NULL,
                                1,
                                -1};
    int code = options_parse(&usage, argc, argv, NULL);
    if (code != OPTIONS_GO_ON) {
        return code;
    }
    const char *meant =
        options_suggest(argv[1], subcommands, SUBCOMMAND_COUNT, sizeof *subcommands);
    return options_misuse(&usage, "no subcommand \"%s\"%s%s%s", argv[1],
                          meant ? "; did you mean \"" : "", meant ? meant : "", meant ? "\"?" : "");
}

int cli_job(int argc, char **argv) {
    const struct subcommand *chosen = NULL;
    for (size_t i = 0; argc > 1 && i < SUBCOMMAND_COUNT; i++) {
        if (strcmp(argv[1], subcommands[i].name) == 0) {
            chosen = &subcommands[i];
        }
    }
    if (!chosen) {
        return no_subcommand(argc, argv);
    }
    int code = options_parse(&chosen->usage, argc - 1, argv + 1, NULL);
    if (code != OPTIONS_GO_ON) {
        return code;
    }
    struct client *client = client_new(given.url);
    code = chosen->run(client, argv + 2);
    client_free(client);
    return code;
}
