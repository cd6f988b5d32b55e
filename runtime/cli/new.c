/* new.c - `stance new`: first versions of scripts, in the workspace. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/folders.h"
#include "cli/memory.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/process.h"
#include "cli/tool.h"

static const char *const kinds[] = {"workflow", "route", "policy", "doctor", "test"};

struct request {
    const char *kind, *name;
    bool force, show, json;
    char workspace[PATH_MAX];
    char flag[PATH_MAX + 32]; /* what other commands need to find the workspace */
};

/* Returns an exit code. */
static int choose_workspace(struct request *request, const struct config *config,
                            const char *given) {
    snprintf(request->workspace, PATH_MAX, "%s", config_string(config, "workspace"));
    if (given != NULL)
        snprintf(request->flag, sizeof request->flag, " --workspace %s", given);
    if (!request->show && folders_make(request->workspace, 0700) < 0)
        return out_fail(EXIT_FAILED, "cannot make the workspace %s: %s", request->workspace,
                        strerror(errno));
    return EXIT_OK;
}

static int exit_code(const struct err *err) {
    switch (err->code) {
    case ERR_EXISTS:
        return EXIT_REFUSED;
    case ERR_INVALID:
        return EXIT_USAGE;
    case ERR_NOT_FOUND:
        return EXIT_NOT_FOUND;
    default:
        return EXIT_FAILED;
    }
}

static void tell(const struct request *request, const char *result) {
    json_t *answer = json_loads(result, 0, NULL), *path;
    const char *text = json_string_value(json_object_get(answer, "text"));
    size_t i;
    if (text != NULL) {
        fputs(text, stdout);
    } else if (request->json) {
        json_object_set_new(answer, "workspace", json_string(request->workspace));
        out_json(answer);
    } else {
        json_array_foreach(json_object_get(answer, "written"), i, path)
            printf("wrote %s/%s\n", request->workspace, json_string_value(path));
        fflush(stdout);
        out_note("%s", json_string_value(json_object_get(answer, "hint")));
    }
    json_decref(answer);
}

static int make(const struct request *request, const struct config *config) {
    struct tool tool;
    struct scripts *scripts = NULL;
    struct err err;
    char lua_dir[PATH_MAX], *result = NULL;
    int code = tool_open(&tool, config, request->show ? NULL : request->workspace, &err);
    if (code == 0)
        code = process_lua_dir(lua_dir, sizeof lua_dir, &err);
    if (code == 0)
        code = tool_read_scripts(NULL, &scripts, &err);
    if (code == 0) {
        json_t *what = json_pack("{s:s, s:s, s:b, s:b, s:s, s:s}", "kind", request->kind, "name",
                                 request->name, "force", request->force, "show", request->show,
                                 "flag", request->flag, "lua_dir", lua_dir);
        char *argument = memory_need(json_dumps(what, 0));
        const struct tool_call call = {
            .scripts = scripts, .module = "stance.new", .function = "make", .argument = argument};
        code = tool_call(&tool, &call, &result, &err);
        free(argument);
        json_decref(what);
    }
    scripts_free(scripts);
    tool_close(&tool);
    if (code != 0)
        return out_fail(exit_code(&err), "%s", err.message);
    tell(request, result);
    free(result);
    return EXIT_OK;
}

static bool is_kind(const char *word) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i], word) == 0)
            return true;
    return false;
}

int cli_new(int argc, char **argv) {
    struct request request = {0};
    const char *file = NULL, *workspace = NULL;
    int count = 0;
    const struct option options[] = {
        {"workspace", 0, OPTION_TEXT, &workspace, "DIR",
         "where it goes; made when it is not there (default: the setting `workspace`)"},
        {"force", 'f', OPTION_FLAG, &request.force, NULL, "replace files that are there"},
        {"print", 0, OPTION_FLAG, &request.show, NULL, "print the script, write nothing"},
        {"json", 0, OPTION_FLAG, &request.json, NULL, "one JSON object"},
        {"config", 'c', OPTION_TEXT, &file, "FILE", "the config file (default: $STANCE_CONFIG)"},
        {0},
    };
    const struct usage usage = {
        .command = "new",
        .examples = "  stance new workflow greet              workflows/greet.lua, its spec, the "
                    "editor's set-up\n"
                    "  stance new route hello --workspace ./scripts\n"
                    "  stance new policy scopes               the shipped one, to be changed\n"
                    "  stance new workflow greet --print | less\n",
        .operands = "workflow|route|policy|doctor|test NAME",
        .about =
            "Writes a script that works at once, with comments and a spec, into the workspace.",
        .options = options,
        .least = 2,
        .most = 2,
    };
    int code = options_parse(&usage, argc, argv, &count);
    if (code != OPTIONS_GO_ON)
        return code;
    request.kind = argv[1];
    request.name = argv[2];
    if (!is_kind(request.kind)) {
        const char *meant =
            options_suggest(request.kind, kinds, sizeof kinds / sizeof *kinds, sizeof *kinds);
        return options_misuse(&usage, "there is no \"%s\" to make%s%s%s", request.kind,
                              meant ? "; did you mean \"" : "", meant ? meant : "",
                              meant ? "\"?" : "");
    }
    struct config *config = NULL;
    code = tool_config(file, workspace, &config);
    if (code != EXIT_OK)
        return code;
    code = choose_workspace(&request, config, workspace);
    if (code == EXIT_OK)
        code = make(&request, config);
    config_free(config);
    return code;
}
