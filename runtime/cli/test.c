/* test.c - `stance test`: specs of an operator's own scripts, on hosts in memory. */
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli/commands.h"
#include "cli/memory.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/tool.h"

static const char EXAMPLES[] =
    "  stance test                                  all specs of the workspace\n"
    "  stance test scripts/spec/workflows/turntable_spec.lua --filter 'after a kill'\n"
    "  stance test --output TAP\n";

/* What stance.testing.runner takes. */
static char *describe_run(const char *workspace, char **paths, int count,
                          const struct option_list *filters, const char *output) {
    json_t *list = json_array(), *patterns = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_string(paths[i]));
    for (size_t i = 0; i < filters->count; i++)
        json_array_append_new(patterns, json_string(filters->items[i]));
    json_t *run = json_pack("{s:s, s:o, s:o, s:s*}", "workspace", workspace, "paths", list,
                            "filters", patterns, "output", output);
    char *text = memory_need(json_dumps(run, 0));
    json_decref(run);
    return text;
}

static int run_specs(const struct config *config, const char *workspace, const char *argument) {
    struct tool tool;
    struct scripts *scripts = NULL;
    struct err err;
    char *result = NULL;
    int code = tool_open(&tool, config, workspace, &err);
    if (code == 0)
        code = tool_read_scripts(workspace, &scripts, &err);
    const struct tool_call call = {.scripts = scripts,
                                   .module = "stance.testing.runner",
                                   .function = "run",
                                   .argument = argument,
                                   .unrestricted = true};
    if (code == 0)
        code = tool_call(&tool, &call, &result, &err);
    scripts_free(scripts);
    tool_close(&tool);
    if (code != 0)
        return out_fail(EXIT_FAILED, "%s", err.message);
    json_t *answer = json_loads(result, 0, NULL);
    const char *message = json_string_value(json_object_get(answer, "message"));
    code = json_integer_value(json_object_get(answer, "code")) == 0 ? EXIT_OK : EXIT_FAILED;
    if (message != NULL)
        code = out_fail(EXIT_FAILED, "%s", message);
    json_decref(answer);
    free(result);
    return code;
}

/* The workspace of the settings, or the one that the first operand lies in; its specs are the
 * default operand. Returns an exit code. */
static int choose(const struct config *config, char **paths, int *count, char *workspace) {
    static char folder[PATH_MAX + 8];
    const char *settled = config_string(config, "workspace");
    char first[PATH_MAX];
    struct stat status;
    for (int i = 0; i < *count; i++)
        if (stat(paths[i], &status) < 0)
            return out_fail(EXIT_NOT_FOUND, "there is no file or folder %s", paths[i]);
    if (*count > 0 && realpath(paths[0], first) != NULL &&
        tool_find_workspace(first, settled, workspace))
        return EXIT_OK;
    if (settled == NULL || realpath(settled, workspace) == NULL)
        return out_fail(EXIT_NOT_FOUND,
                        "there is no workspace %s: give --workspace DIR, or begin with `stance "
                        "new workflow NAME`",
                        settled ? settled : "");
    if (*count > 0)
        return EXIT_OK;
    snprintf(folder, sizeof folder, "%s/spec", workspace);
    if (stat(folder, &status) < 0)
        return out_fail(EXIT_NOT_FOUND,
                        "there are no specs: no folder %s (`stance new test NAME` writes one)",
                        folder);
    paths[0] = folder;
    *count = 1;
    return EXIT_OK;
}

int cli_test(int argc, char **argv) {
    const char *file = NULL, *workspace = NULL, *output = NULL;
    struct option_list filters = {0};
    bool json = false;
    int count = 0;
    const struct option options[] = {
        {"filter", 0, OPTION_LIST, &filters, "PATTERN", "specs whose name matches (a Lua pattern)"},
        {"output", 'o', OPTION_TEXT, &output, "NAME",
         "Busted's output: utfTerminal, plainTerminal, TAP, junit, json"},
        {"json", 0, OPTION_FLAG, &json, NULL, "the same as --output json"},
        {"workspace", 0, OPTION_TEXT, &workspace, "DIR", "scripts laid over the built-in ones"},
        {"config", 'c', OPTION_TEXT, &file, "FILE", "the config file (default: $STANCE_CONFIG)"},
        {0},
    };
    const struct usage usage = {
        .command = "test",
        .examples = EXAMPLES,
        .operands = "[FILE|FOLDER...]",
        .about = "Runs Busted specs (*_spec.lua) of one's own scripts; without operands those in "
                 "WORKSPACE/spec.\n`require \"stance.testing\"` gives them a host in memory: the "
                 "real engine, a clock that jumps,\nworkers that can be killed at a chosen step. "
                 "Exit code 1 when a spec fails.",
        .options = options,
        .most = -1,
    };
    int code = options_parse(&usage, argc, argv, &count);
    if (code != OPTIONS_GO_ON)
        return code;
    struct config *config = NULL;
    code = tool_config(file, workspace, &config);
    if (code != EXIT_OK)
        return code;
    char folder[PATH_MAX], *own[1];
    char **paths = count > 0 ? argv + 1 : own;
    code = choose(config, paths, &count, folder);
    if (code == EXIT_OK) {
        char *argument = describe_run(folder, paths, count, &filters, json ? "json" : output);
        code = run_specs(config, folder, argument);
        free(argument);
    }
    config_free(config);
    return code;
}
