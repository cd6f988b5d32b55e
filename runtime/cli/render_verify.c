/* render_verify.c - `stance render --verify`: are folders of pictures and labels whole and sound?
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/memory.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/tool.h"

enum { PROBLEMS_SHOWN = 50 };

static void print_report(const char *folder, const json_t *report) {
    const json_t *problems = json_object_get(report, "problems");
    size_t count = json_array_size(problems);
    for (size_t i = 0; i < count && i < PROBLEMS_SHOWN; i++) {
        const json_t *problem = json_array_get(problems, i);
        printf("%s/%s: %s\n", folder, out_text(problem, "file"), out_text(problem, "message"));
    }
    if (count > PROBLEMS_SHOWN)
        printf("and %zu more\n", count - PROBLEMS_SHOWN);
    printf("%s: %lld views, %lld people, %lld pictures, %zu problems\n", folder,
           (long long)json_integer_value(json_object_get(report, "views")),
           (long long)json_integer_value(json_object_get(report, "people")),
           (long long)json_integer_value(json_object_get(report, "pictures")), count);
}

/* EXIT_FAILED where something is wrong. */
static int verify(struct tool *tool, struct scripts *scripts, const char *folder, bool as_json) {
    char real[PATH_MAX], *result = NULL;
    struct err err;
    if (realpath(folder, real) == NULL)
        return out_fail(EXIT_NOT_FOUND, "%s: no such folder", folder);
    json_t *path = json_string(real);
    char *argument = memory_need(json_dumps(path, JSON_ENCODE_ANY));
    const struct tool_call call = {.scripts = scripts,
                                   .module = "stance.dataset_check",
                                   .function = "verify",
                                   .argument = argument,
                                   .interruptible = true};
    int code = tool_call(tool, &call, &result, &err);
    json_t *report = code == 0 ? json_loads(result, 0, NULL) : NULL;
    if (report == NULL) {
        code = out_fail(EXIT_FAILED, "%s: %s", folder, err.message);
    } else {
        code = json_array_size(json_object_get(report, "problems")) > 0 ? EXIT_FAILED : EXIT_OK;
        json_object_set_new(report, "folder", json_string(folder));
        if (as_json)
            out_json(report);
        else
            print_report(folder, report);
    }
    json_decref(report);
    json_decref(path);
    free(argument);
    free(result);
    return code;
}

int cli_render_verify(int argc, char **argv) {
    bool is_verify = false, as_json = false;
    const char *file = NULL;
    const struct option options[] = {
        {"verify", 0, OPTION_FLAG, &is_verify, NULL, "look at folders that render has filled"},
        {"config", 0, OPTION_TEXT, &file, "FILE", "the config file (default: $STANCE_CONFIG)"},
        {"json", 0, OPTION_FLAG, &as_json, NULL, "one JSON object a folder"},
        {0},
    };
    const struct usage usage = {
        .command = "render",
        .examples = "  stance render --verify out",
        .operands = "FOLDER...",
        .about =
            "Looks at folders of pictures and labels: whether pictures are there, readable and "
            "of their size, and\nboxes, masks, states and the COCO file agree with each "
            "other. Exit code 1: something is wrong.",
        .options = options,
        .least = 1,
        .most = -1,
    };
    struct config *config = NULL;
    struct scripts *scripts = NULL;
    struct tool tool;
    struct err err;
    int count, worst = EXIT_OK, code = options_parse(&usage, argc, argv, &count);
    if (code != OPTIONS_GO_ON)
        return code;
    code = tool_config(file, NULL, &config);
    if (code != EXIT_OK)
        return code;
    code = tool_open(&tool, config, NULL, &err);
    if (code == 0)
        code = tool_read_scripts(NULL, &scripts, &err);
    for (int i = 1; code == 0 && i <= count; i++) {
        int one = verify(&tool, scripts, argv[i], as_json);
        worst = one > worst ? one : worst;
    }
    if (code != 0)
        worst = out_fail(EXIT_FAILED, "%s", err.message);
    scripts_free(scripts);
    tool_close(&tool);
    config_free(config);
    return worst;
}
