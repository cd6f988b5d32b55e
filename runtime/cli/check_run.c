/* check_run.c - `stance check FILE --run JSON`: one job of a workflow on a host in memory. */
#include <stdlib.h>
#include <string.h>

#include "cli/check_run.h"
#include "cli/memory.h"
#include "cli/output.h"

enum { SLICE_SECONDS = 60, VIRTUAL_SECONDS = 86400 };

static const char *text_of(const json_t *value, const char *field) {
    const char *text = json_string_value(json_object_get(value, field));
    return text ? text : "";
}

/* What stance.testing.dry_run takes, or NULL after saying what is wrong with `given`. */
static char *make_request(const char *type, const char *given) {
    json_error_t why;
    json_t *run = json_loads(given, 0, &why);
    json_t *params = json_object_get(run, "params");
    if (!json_is_object(run) || (params != NULL && !json_is_object(params))) {
        out_fail(EXIT_USAGE, "--run takes an object such as {\"params\": {\"name\": 1}}%s%s",
                 run ? "" : ": ", run ? "" : why.text);
        json_decref(run);
        return NULL;
    }
    json_t *request = json_pack("{s:s, s:i}", "type", type, "seconds", VIRTUAL_SECONDS);
    json_object_set(request, "params", params ? params : memory_need(json_object()));
    char *text = memory_need(json_dumps(request, 0));
    json_decref(request);
    json_decref(run);
    return text;
}

static void print_lines(const json_t *answer) {
    const json_t *line;
    size_t i;
    char size[32];
    json_array_foreach(json_object_get(answer, "steps"), i, line)
        printf("step      %s%s%s\n", text_of(line, "key"), *text_of(line, "error") ? ": " : "",
               text_of(line, "error"));
    json_array_foreach(json_object_get(answer, "artifacts"), i, line)
        printf("artifact  %s, %s\n", text_of(line, "name"),
               out_bytes(json_number_value(json_object_get(line, "size")), size, sizeof size));
    json_array_foreach(json_object_get(answer, "logs"), i, line) {
        char *fields = json_dumps(json_object_get(line, "fields"), JSON_COMPACT | JSON_ENCODE_ANY);
        printf("log       %s: %s%s%s\n", text_of(line, "level"), text_of(line, "message"),
               fields ? " " : "", fields ? fields : "");
        free(fields);
    }
    char *result = json_dumps(json_object_get(answer, "result"), JSON_COMPACT | JSON_ENCODE_ANY);
    if (result != NULL)
        printf("result    %s\n", result);
    free(result);
    const char *status = text_of(answer, "status");
    const char *message = text_of(json_object_get(answer, "error"), "message");
    printf("%s%s%s%s%s", out_color(stdout, out_status_color(status)), status,
           out_color(stdout, OUT_PLAIN), *message ? ": " : "", message);
    double seconds = json_number_value(json_object_get(answer, "seconds"));
    printf(" (after %s of virtual time)\n", out_duration(seconds, size, sizeof size));
}

static int judge(const json_t *answer, bool json) {
    const char *status = text_of(answer, "status");
    if (strcmp(status, "refused") == 0)
        return out_fail(EXIT_USAGE, "the job would be refused: %s",
                        text_of(json_object_get(answer, "error"), "message"));
    if (json)
        out_json(answer);
    else
        print_lines(answer);
    return strcmp(status, "completed") == 0 ? EXIT_OK : EXIT_JOB_FAILED;
}

int check_run(struct tool *tool, const struct config *config, struct scripts *scripts,
              const char *type, const char *given, bool json) {
    char *request = make_request(type, given), *result = NULL;
    if (request == NULL)
        return EXIT_USAGE;
    const struct tool_call call = {.scripts = scripts,
                                   .module = "stance.testing.dry_run",
                                   .function = "run",
                                   .argument = request,
                                   .memory = (size_t)config_int(config, "vm_memory"),
                                   .slice = SLICE_SECONDS};
    struct err err;
    int code = tool_call(tool, &call, &result, &err);
    free(request);
    if (code != 0)
        return out_fail(EXIT_JOB_FAILED, "%s", err.message);
    json_t *answer = json_loads(result, JSON_DECODE_ANY, NULL);
    code = judge(answer, json);
    json_decref(answer);
    free(result);
    return code;
}
