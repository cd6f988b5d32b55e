/* reload.c - `stance reload`, `stance rollback`, `stance generations`: which scripts the host runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/options.h"
#include "cli/output.h"

static const struct option common[] = {
    {"url", 0, OPTION_TEXT, NULL, "URL", "the host (default: $STANCE_URL, " CLIENT_DEFAULT_URL ")"},
    {"json", 0, OPTION_FLAG, NULL, NULL, "one JSON object"},
};

struct given {
    const char *url;
    bool json;
};

/* Parses the options that all three have. */
static int parse(struct usage usage, int argc, char **argv, struct given *given, int *operands) {
    struct option options[3] = {common[0], common[1]};
    options[0].to = &given->url;
    options[1].to = &given->json;
    usage.options = options;
    return options_parse(&usage, argc, argv, operands);
}

static void print_load(const json_t *load) {
    const char *outcome = jobs_text(load, "outcome");
    bool unchanged = strcmp(outcome, "unchanged") == 0;
    printf("%s%s%s %s in %.0f ms\n", out_color(stdout, OUT_GREEN), outcome,
           out_color(stdout, OUT_PLAIN), jobs_text(load, "generation"),
           json_number_value(json_object_get(load, "seconds")) * 1000);
    if (unchanged)
        out_note("these scripts are active already; is the file in the workspace?");
}

/* Every line of what is wrong is worth reading. */
static int post(struct client *client, const char *path, const json_t *body, bool json) {
    json_t *reply = NULL;
    int code = client_call(client, "POST", path, body, NULL, &reply);
    if (code != EXIT_OK)
        return client_report(client, code);
    if (json)
        out_json(reply);
    else
        print_load(reply);
    json_decref(reply);
    return EXIT_OK;
}

int cli_reload(int argc, char **argv) {
    struct given given = {0};
    const struct usage usage = {
        .command = "reload",
        .examples =
            "  stance reload\n  kill -HUP $(pidof -s stance)     the same, without an answer\n",
        .about = "Loads the scripts on disk into the running host. Running jobs go on with the "
                 "scripts they began\nwith; new ones take the new. Scripts that are broken change "
                 "nothing: the reasons are printed, and\nthe exit code is 1.",
    };
    int code = parse(usage, argc, argv, &given, NULL);
    if (code != OPTIONS_GO_ON)
        return code;
    struct client *client = client_new(given.url);
    code = post(client, "/api/reload", NULL, given.json);
    client_free(client);
    if (code != EXIT_USAGE) /* what the host calls unprocessable is the scripts, not this line */
        return code;
    out_note("nothing has changed: the host goes on with the scripts it has");
    return EXIT_FAILED;
}

int cli_rollback(int argc, char **argv) {
    struct given given = {0};
    int operands;
    const struct usage usage = {
        .command = "rollback",
        .examples = "  stance rollback\n  stance rollback 3c2f2ebb\n",
        .operands = "[HASH]",
        .about =
            "Goes back to an earlier generation of scripts: to the one before, or to HASH (its "
            "first 4 or more\ndigits; `stance generations` lists them). The files on disk stay "
            "as they are; the next change\nof them, or `stance reload`, loads them again.",
        .most = 1,
    };
    int code = parse(usage, argc, argv, &given, &operands);
    if (code != OPTIONS_GO_ON)
        return code;
    json_t *body = json_object();
    if (operands > 0)
        json_object_set_new(body, "generation", json_string(argv[1]));
    struct client *client = client_new(given.url);
    code = post(client, "/api/rollback", body, given.json);
    client_free(client);
    json_decref(body);
    return code;
}

/* -- Generations ------------------------------------------------------------------------------- */

static void print_generations(const json_t *list) {
    size_t count = json_array_size(list), i;
    const char **cells = calloc((count + 1) * 4, sizeof *cells);
    char(*jobs)[24] = calloc(count + 1, sizeof *jobs);
    json_t *item;
    if (cells == NULL || jobs == NULL)
        abort();
    const char *const head[] = {"generation", "state", "last active", "open jobs"};
    memcpy(cells, head, sizeof head);
    json_array_foreach(list, i, item) {
        snprintf(jobs[i], sizeof *jobs, "%lld",
                 (long long)json_integer_value(json_object_get(item, "open_jobs")));
        const char **row = cells + (i + 1) * 4;
        row[0] = jobs_text(item, "name");
        row[1] = jobs_text(item, "state");
        row[2] = jobs_text(item, "activated_at");
        row[3] = jobs[i];
    }
    out_table(cells, count + 1, 4);
    free(cells);
    free(jobs);
}

/* The newest few attempts; of those that failed, why. */
static void print_loads(const json_t *list) {
    size_t i;
    json_t *load;
    printf("\nlast loads\n");
    json_array_foreach(list, i, load) {
        if (i == 10)
            break;
        const char *outcome = jobs_text(load, "outcome");
        bool failed = strcmp(outcome, "failed") == 0;
        printf("  %s  %-8s %s%s%s %s\n", jobs_text(load, "at"), jobs_text(load, "trigger"),
               out_color(stdout, failed ? OUT_RED : OUT_GREEN), outcome,
               out_color(stdout, OUT_PLAIN),
               failed ? jobs_text(load, "reason") : jobs_text(load, "generation"));
    }
}

int cli_generations(int argc, char **argv) {
    struct given given = {0};
    const struct usage usage = {
        .command = "generations",
        .examples = "  stance generations\n  stance generations --json\n",
        .about =
            "The generations of scripts: which is active, which still drain or have open jobs, "
            "which were\nactive before; and how the last attempts to load others went.",
    };
    int code = parse(usage, argc, argv, &given, NULL);
    if (code != OPTIONS_GO_ON)
        return code;
    struct client *client = client_new(given.url);
    json_t *reply = NULL;
    code = client_get(client, "/api/generations", &reply);
    if (code != EXIT_OK) {
        client_report(client, code);
    } else if (given.json) {
        out_json(reply);
    } else {
        print_generations(json_object_get(reply, "generations"));
        print_loads(json_object_get(reply, "loads"));
    }
    json_decref(reply);
    client_free(client);
    return code;
}
