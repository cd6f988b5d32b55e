#include "cli/params.h"

#include <stdlib.h>
#include <string.h>

#include "cli/memory.h"
#include "cli/output.h"

json_t *params_value(const char *text) {
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    return value ? value : json_string(text);
}

int params_add(json_t *params, const char *pair) {
    const char *equals = strchr(pair, '=');
    if (!equals || equals == pair) {
        return out_fail(EXIT_USAGE, "--param takes name=value, not \"%s\"", pair);
    }
    char *name = memory_need(strndup(pair, (size_t)(equals - pair)));
    json_t *value = params_value(equals + 1);
    int result = value ? json_object_set_new(params, name, value) : -1;
    free(name);
    return result < 0 ? out_fail(EXIT_USAGE, "--param %s: not UTF-8", pair) : EXIT_OK;
}

json_t *params_read(const char *from) {
    json_error_t error;
    bool standard = strcmp(from, "-") == 0;
    json_t *params = standard ? json_loadf(stdin, 0, &error) : json_load_file(from, 0, &error);
    if (!params) {
        out_fail(EXIT_USAGE, "%s: %s (line %d)", standard ? "standard input" : from, error.text,
                 error.line);
    } else if (!json_is_object(params)) {
        out_fail(EXIT_USAGE, "%s: params are one JSON object", from);
        json_decref(params);
        params = NULL;
    }
    return params;
}
