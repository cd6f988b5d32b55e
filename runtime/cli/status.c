/* status.c - `stance status`: how the host, or one job, is doing. */
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/options.h"
#include "cli/output.h"

static void print_counts(const json_t *jobs) {
    static const char *const states[] = {"pending", "processing", "completed", "failed",
                                         "cancelled"};
    printf("jobs    ");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        long long count = json_integer_value(json_object_get(jobs, states[i]));
        printf("%s %lld %s", i ? "," : "", count, states[i]);
    }
    putchar('\n');
}

static void print_worker(const json_t *worker) {
    long long restarts = json_integer_value(json_object_get(worker, "restarts"));
    printf("worker   %s, process %lld", jobs_text(worker, "name"),
           (long long)json_integer_value(json_object_get(worker, "pid")));
    if (restarts > 0) {
        printf(", %lld restarts", restarts);
    }
    putchar('\n');
}

static void print_status(const json_t *status, const char *url) {
    char uptime[32], memory[32];
    out_duration(json_number_value(json_object_get(status, "uptime_s")), uptime, sizeof uptime);
    out_bytes(json_number_value(json_object_get(status, "memory_bytes")), memory, sizeof memory);
    printf("%shost%s     %s, stance %s, up %s, %s\n", out_color(stdout, OUT_GREEN),
           out_color(stdout, OUT_PLAIN), url, jobs_text(status, "version"), uptime, memory);
    printf("data     %s\nscripts  %s\n", jobs_text(status, "data_dir"),
           jobs_text(status, "generation"));
    size_t index;
    json_t *worker;
    json_array_foreach(json_object_get(status, "workers"), index, worker) {
        print_worker(worker);
    }
    print_counts(json_object_get(status, "jobs"));
}

static int show(struct client *client, const char *job, bool json) {
    json_t *reply = NULL;
    int code;
    if (job) {
        code = jobs_get(client, job, &reply);
    } else {
        code = client_get(client, "/api/status", &reply);
        code = code == EXIT_OK ? code : client_report(client, code);
    }
    if (code == EXIT_OK && json) {
        out_json(reply);
    } else if (code == EXIT_OK && job) {
        jobs_print(reply);
    } else if (code == EXIT_OK) {
        print_status(reply, client_url(client));
    }
    json_decref(reply);
    return code;
}

int cli_status(int argc, char **argv) {
    const char *url = NULL, *job = NULL;
    bool json = false;
    const struct option options[] = {
        {"job", 'j', OPTION_TEXT, &job, "ID", "this job instead of the host"},
        {"url", 0, OPTION_TEXT, &url, "URL",
         "the host (default: $STANCE_URL, " CLIENT_DEFAULT_URL ")"},
        {"json", 0, OPTION_FLAG, &json, NULL, "one JSON object"},
        {NULL, 0, OPTION_FLAG, NULL, NULL, NULL},
    };
    const struct usage usage = {
        "status", "  stance status\n  stance status --job render_20260101_120000_0a1b2c3d --json",
        NULL,     "How the host is doing: its workers, its jobs; or how one job is.",
        options,  0,
        0,
    };
    int code = options_parse(&usage, argc, argv, NULL);
    if (code != OPTIONS_GO_ON) {
        return code;
    }
    struct client *client = client_new(url);
    code = show(client, job, json);
    client_free(client);
    return code;
}
