#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/memory.h"
#include "cli/output.h"
#include "cli/process.h"
#include "cli/tool.h"

enum { MEMORY = 64 << 20, SLICE_SECONDS = 2, SECONDS = 5 };

/* -- A call that may hang ---------------------------------------------------------------------- */

/* For the signal handler; what was told before has been flushed. */
static char last_words[PATH_MAX + 200];

static void hangs(void) {
    ssize_t sent = write(STDERR_FILENO, last_words, strlen(last_words));
    _exit(sent < 0 ? EXIT_UPSTREAM : EXIT_FAILED);
}

/* Calls it with the JSON text `argument`; the result, or NULL and `err`. */
static json_t *call(struct tool *tool, struct scripts *scripts, const char *module,
                    const char *function, const char *argument, struct err *err) {
    const struct tool_call call = {.scripts = scripts,
                                   .module = module,
                                   .function = function,
                                   .argument = argument,
                                   .memory = MEMORY,
                                   .slice = SLICE_SECONDS,
                                   .seconds = SECONDS,
                                   .hangs = hangs};
    char *result = NULL;
    fflush(stdout);
    if (tool_call(tool, &call, &result, err) != 0)
        return NULL;
    json_t *value = memory_need(json_loads(result, JSON_DECODE_ANY, NULL));
    free(result);
    return value;
}

/* -- Are they sound? --------------------------------------------------------------------------- */

static void tell_problems(struct report *report, const json_t *problems, size_t count,
                          const char *workspace) {
    static const char remedy[] = "`stance check` tells all";
    size_t i, errors = 0, warnings = 0;
    const json_t *problem, *first = NULL;
    json_array_foreach(problems, i, problem) {
        const char *severity = out_text(problem, "severity");
        errors += strcmp(severity, "error") == 0;
        warnings += strcmp(severity, "warning") == 0;
        if (first == NULL && strcmp(severity, errors ? "error" : "warning") == 0)
            first = problem;
    }
    if (first == NULL)
        doctor_tell(report, VERDICT_OK, "scripts", NULL, "%zu, sound; workspace %s%s", count,
                    workspace, access(workspace, F_OK) == 0 ? "" : " (not there)");
    else
        doctor_tell(report, errors ? VERDICT_FAIL : VERDICT_WARN, "scripts", remedy,
                    "%zu errors, %zu warnings: %s:%lld: %s", errors, warnings,
                    out_text(first, "origin"),
                    (long long)json_integer_value(json_object_get(first, "line")),
                    out_text(first, "message"));
}

static void check_scripts(struct report *report, struct tool *tool, struct scripts *scripts,
                          const char *workspace) {
    struct err err;
    snprintf(last_words, sizeof last_words,
             "stance doctor: a script hangs in a call that nothing can interrupt; `stance check` "
             "tells which\n");
    json_t *problems = call(tool, scripts, "stance.check", "generation", NULL, &err);
    if (problems == NULL)
        doctor_tell(report, VERDICT_FAIL, "scripts", "`stance check` tells all", "%s", err.message);
    else
        tell_problems(report, problems, scripts_count(scripts), workspace);
    json_decref(problems);
}

/* -- The operator's own checks ----------------------------------------------------------------- */

static void run_check(struct report *report, struct tool *tool, struct scripts *scripts,
                      const struct script *script) {
    static const char remedy[] = "mend it: `stance check`";
    struct err err;
    char argument[PATH_MAX];
    snprintf(argument, sizeof argument, "\"%s\"", script->path); /* such names hold no quotes */
    snprintf(last_words, sizeof last_words,
             "stance doctor: %s hangs in a call that nothing can interrupt\n", script->origin);
    json_t *answer = call(tool, scripts, "stance.doctor", "run", argument, &err), *line;
    if (answer == NULL) {
        doctor_tell(report, VERDICT_FAIL, script->path, remedy, "%s", err.message);
        return;
    }
    size_t i;
    json_array_foreach(json_object_get(answer, "lines"), i, line) {
        const char *status = out_text(line, "status");
        enum verdict verdict = strcmp(status, "ok") == 0     ? VERDICT_OK
                               : strcmp(status, "warn") == 0 ? VERDICT_WARN
                                                             : VERDICT_FAIL;
        doctor_tell(report, verdict, out_text(answer, "name"), out_text(line, "remedy"), "%s",
                    out_text(line, "text"));
    }
    json_decref(answer);
}

/* doctor/NAME.lua, in no further folder. */
static bool is_check(const struct script *script) {
    return strncmp(script->path, "doctor/", 7) == 0 && strchr(script->path + 7, '/') == NULL &&
           strpbrk(script->path, "\"\\") == NULL;
}

void doctor_scripts(struct report *report, const struct config *config) {
    struct tool tool;
    struct scripts *scripts = NULL;
    struct err err;
    const char *workspace = config_string(config, "workspace");
    int code = tool_open(&tool, config, NULL, &err);
    if (code == 0)
        code = tool_read_scripts(workspace, &scripts, &err);
    if (code != 0) {
        doctor_tell(report, VERDICT_FAIL, "scripts",
                    "`make install`, or set STANCE_LUA to the folder lua/ of the source", "%s",
                    err.message);
    } else {
        check_scripts(report, &tool, scripts, workspace);
        for (size_t i = 0; i < scripts_count(scripts); i++)
            if (is_check(scripts_at(scripts, i)))
                run_check(report, &tool, scripts, scripts_at(scripts, i));
    }
    scripts_free(scripts);
    tool_close(&tool);
}
