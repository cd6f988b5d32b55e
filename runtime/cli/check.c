/* check.c - `stance check`: what is wrong with scripts, before a host has them.
 *
 * Each script is checked in a vm of its own, under a guard and a memory limit, so that one that is
 * broken in any way is one line of the report and no more. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/check_run.h"
#include "cli/commands.h"
#include "cli/memory.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/tool.h"

enum { MEMORY = 64 << 20, SLICE_SECONDS = 2, SECONDS = 3 };

struct check {
    struct tool tool;
    json_t *problems;
    bool json, strict;
    const struct config *config;
    const char *run; /* what a job is tried with, or NULL */
    bool ran;
    int run_code;
    int scripts, errors, warnings, hints;
    char folder[PATH_MAX]; /* where we are, for shorter paths */
};

/* -- Reporting --------------------------------------------------------------------------------- */

/* Relative to where we are when it lies there. */
static const char *short_path(const struct check *check, const char *path) {
    size_t length = strlen(check->folder);
    bool below = strncmp(path, check->folder, length) == 0 && path[length] == '/';
    return below ? path + length + 1 : path;
}

static void report(struct check *check, const json_t *problem) {
    static const enum out_color colors[] = {OUT_RED, OUT_YELLOW, OUT_DIM};
    const char *severity = out_text(problem, "severity");
    int kind = strcmp(severity, "error") == 0 ? 0 : strcmp(severity, "warning") == 0 ? 1 : 2;
    int *counts[] = {&check->errors, &check->warnings, &check->hints};
    (*counts[kind])++;
    json_array_append(check->problems, (json_t *)problem);
    if (check->json)
        return;
    printf("%s:%lld: %s%s:%s %s\n", short_path(check, out_text(problem, "origin")),
           (long long)json_integer_value(json_object_get(problem, "line")),
           out_color(stdout, colors[kind]), severity, out_color(stdout, OUT_PLAIN),
           out_text(problem, "message"));
}

static void report_failure(struct check *check, const char *path, const char *origin, long line,
                           const char *message) {
    json_t *problem = json_pack("{s:s, s:s, s:I, s:s, s:s}", "path", path, "origin", origin, "line",
                                (json_int_t)line, "message", message, "severity", "error");
    report(check, problem);
    json_decref(problem);
}

/* -- One script -------------------------------------------------------------------------------- */

/* Written before each script, for the signal handler to send off. */
static char last_words[2 * PATH_MAX];

static void hangs(void) {
    ssize_t sent = write(STDERR_FILENO, last_words, strlen(last_words));
    _exit(sent < 0 ? EXIT_UPSTREAM : EXIT_FAILED);
}

static void prepare_last_words(const struct check *check, const char *origin) {
    fflush(stdout);
    snprintf(last_words, sizeof last_words,
             "%s:1: error: hangs in a call that nothing can interrupt, such as string.find with a "
             "pattern that tries too much; what comes after it was not checked\n",
             short_path(check, origin));
}

/* The check itself was ended: "FILE:LINE: reason", or "not enough memory". */
static void report_end(struct check *check, const struct script *script, const struct err *err) {
    const char *message = err->message, *at = message;
    long line = 1;
    for (at = strchr(at, ':'); at != NULL; at = strchr(at + 1, ':')) {
        char *end;
        long number = strtol(at + 1, &end, 10);
        if (end > at + 1 && strncmp(end, ": ", 2) == 0 &&
            strncmp(message, script->path, (size_t)(at - message)) == 0 &&
            script->path[at - message] == 0) {
            line = number;
            message = end + 2;
            break;
        }
    }
    if (err->code == ERR_NO_MEMORY)
        message = "takes too much memory to load";
    report_failure(check, script->path, script->origin, line, message);
}

static void check_script(struct check *check, struct scripts *scripts,
                         const struct script *script) {
    json_t *argument = json_string(script->path);
    char *text = memory_need(json_dumps(argument, JSON_ENCODE_ANY)), *result = NULL;
    const struct tool_call call = {.scripts = scripts,
                                   .module = "stance.check",
                                   .function = "script",
                                   .argument = text,
                                   .memory = MEMORY,
                                   .slice = SLICE_SECONDS,
                                   .seconds = SECONDS,
                                   .hangs = hangs};
    struct err err;
    prepare_last_words(check, script->origin);
    check->scripts++;
    if (tool_call(&check->tool, &call, &result, &err) != 0) {
        report_end(check, script, &err);
    } else {
        json_t *problems = json_loads(result, 0, NULL), *problem;
        size_t i;
        json_array_foreach(problems, i, problem) report(check, problem);
        json_decref(problems);
    }
    free(result);
    free(text);
    json_decref(argument);
}

/* -- What is to be checked --------------------------------------------------------------------- */

/* "workflows/NAME.lua" -> NAME; false: it is no workflow. */
static bool workflow_name(const char *path, char name[80]) {
    int end = 0;
    return sscanf(path, "workflows/%79[a-zA-Z0-9_-].lua%n", name, &end) == 1 && end > 0 &&
           path[end] == 0;
}

/* Tries the workflow, when that is wanted and it is sound. */
static void try_workflow(struct check *check, struct scripts *scripts,
                         const struct script *script) {
    char type[80];
    if (check->run == NULL || check->errors > 0 || !workflow_name(script->path, type))
        return;
    fflush(stdout);
    check->ran = true;
    check->run_code =
        check_run(&check->tool, check->config, scripts, type, check->run, check->json);
}

/* All scripts with `workspace` over the built-in ones, or those of them at `only` or below. Returns
 * an exit code. */
static int check_scripts(struct check *check, const char *workspace, const char *only,
                         bool is_folder) {
    struct scripts *scripts = NULL;
    struct err err;
    int before = check->scripts;
    if (tool_read_scripts(workspace, &scripts, &err) != 0)
        return out_fail(EXIT_FAILED, "%s", err.message);
    for (size_t i = 0; i < scripts_count(scripts); i++) {
        const struct script *script = scripts_at(scripts, i);
        if (only != NULL && !tool_is_under(script->origin, only))
            continue;
        check_script(check, scripts, script);
        if (only != NULL && !is_folder)
            try_workflow(check, scripts, script);
    }
    scripts_free(scripts);
    if (check->scripts == before)
        return out_fail(EXIT_USAGE, "%s: the host would load no script from there", only);
    return EXIT_OK;
}

static int check_operand(struct check *check, const char *operand, const char *settled) {
    char path[PATH_MAX], workspace[PATH_MAX];
    struct stat status;
    if (realpath(operand, path) == NULL || stat(path, &status) < 0)
        return out_fail(EXIT_NOT_FOUND, "there is no file or folder %s", operand);
    const char *name = strrchr(path, '/') + 1;
    size_t length = strlen(name);
    if (length > 9 && strcmp(name + length - 9, "_spec.lua") == 0)
        return out_fail(EXIT_USAGE, "%s is a spec: `stance test %s`", operand, operand);
    if (!tool_find_workspace(path, settled, workspace))
        snprintf(workspace, sizeof workspace, "%.*s",
                 (int)(S_ISDIR(status.st_mode) ? sizeof path : (size_t)(name - 1 - path)), path);
    if (strcmp(path, workspace) == 0)
        return check_scripts(check, path, NULL, true);
    return check_scripts(check, workspace, path, S_ISDIR(status.st_mode));
}

/* -- The command ------------------------------------------------------------------------------- */

static void sum_up(const struct check *check, bool ok) {
    if (check->json) {
        json_t *all = json_pack("{s:b, s:i, s:O}", "ok", ok, "scripts", check->scripts, "problems",
                                check->problems);
        out_json(all);
        json_decref(all);
        return;
    }
    fflush(stdout);
    out_note("%d script%s: %d error%s, %d warning%s, %d hint%s", check->scripts,
             check->scripts == 1 ? "" : "s", check->errors, check->errors == 1 ? "" : "s",
             check->warnings, check->warnings == 1 ? "" : "s", check->hints,
             check->hints == 1 ? "" : "s");
}

static int run(struct check *check, const struct config *config, char **operands, int count) {
    struct err err;
    int code = EXIT_OK;
    if (tool_open(&check->tool, config, NULL, &err) != 0) {
        code = out_fail(EXIT_FAILED, "%s", err.message);
    } else if (count == 0) {
        const char *workspace = config_string(config, "workspace");
        code = check_scripts(check, workspace && *workspace ? workspace : NULL, NULL, true);
    }
    for (int i = 0; code == EXIT_OK && i < count; i++)
        code = check_operand(check, operands[i], config_string(config, "workspace"));
    tool_close(&check->tool);
    if (code != EXIT_OK)
        return code;
    bool ok = check->errors == 0 && (!check->strict || check->warnings == 0);
    if (!check->ran || !check->json) /* one object, that of the run */
        sum_up(check, ok);
    if (check->ran)
        return check->run_code;
    if (check->run != NULL && ok)
        return out_fail(EXIT_USAGE, "--run wants one workflow: stance check DIR/workflows/NAME.lua "
                                    "--run JSON");
    return ok ? EXIT_OK : EXIT_FAILED;
}

int cli_check(int argc, char **argv) {
    struct check check = {0};
    const char *file = NULL, *workspace = NULL;
    int count = 0;
    const struct option options[] = {
        {"workspace", 0, OPTION_TEXT, &workspace, "DIR", "scripts laid over the built-in ones"},
        {"config", 'c', OPTION_TEXT, &file, "FILE", "the config file (default: $STANCE_CONFIG)"},
        {"run", 0, OPTION_TEXT, &check.run, "JSON",
         "then run a job of it in memory: '{\"params\": {...}}'"},
        {"strict", 0, OPTION_FLAG, &check.strict, NULL, "warnings fail, too"},
        {"json", 0, OPTION_FLAG, &check.json, NULL, "one JSON object"},
        {0},
    };
    const struct usage usage = {
        .command = "check",
        .examples = "  stance check                            all scripts that a host would load\n"
                    "  stance check workspace                  the same of another workspace\n"
                    "  stance check workspace/workflows/turntable.lua\n"
                    "  stance check workspace/workflows/greet.lua --run '{\"params\": {\"names\": "
                    "[\"ann\"]}}'\n",
        .operands = "[FILE|FOLDER...]",
        .about = "Looks for what is wrong with scripts, as a host would load them, without one: "
                 "syntax, globals,\nmodules, workflows and their parameters, routes, policies. "
                 "Lines of PATH:LINE: SEVERITY: MESSAGE.\nExit code 1 when there are errors.\n"
                 "With --run a job of the workflow is done on virtual time, without network and "
                 "without files; exit\ncode 8 when it fails.",
        .options = options,
        .most = -1,
    };
    int code = options_parse(&usage, argc, argv, &count);
    if (code != OPTIONS_GO_ON)
        return code;
    if (check.run != NULL && count != 1)
        return options_misuse(&usage, "--run wants one workflow");
    struct config *config = NULL;
    code = tool_config(file, workspace, &config);
    if (code != EXIT_OK)
        return code;
    if (getcwd(check.folder, sizeof check.folder) == NULL)
        check.folder[0] = 0;
    check.config = config;
    check.problems = json_array();
    code = run(&check, config, argv + 1, count);
    json_decref(check.problems);
    config_free(config);
    return code;
}
