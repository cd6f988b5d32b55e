/* config.c - `stance config check` and `stance config show`. */
#include "core/config.h"

#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/memory.h"
#include "cli/options.h"
#include "cli/output.h"

static const char EXAMPLES[] = "  stance config check --config /etc/stance/config.lua\n"
                               "  stance config show --origin\n"
                               "  STANCE_LOG_LEVEL=debug stance config show log_level --origin";

static json_t *row_json(const struct config_row *row) {
    return json_pack("{s:s, s:s, s:s}", "name", row->name, "value", row->value, "origin",
                     row->origin);
}

/* Prints all rows, or those named. */
static int show(const struct config *config, char **names, int name_count, bool origin, bool json) {
    size_t count, printed = 0;
    size_t columns = origin ? 3 : 2;
    const struct config_row *rows = config_rows(config, &count);
    const char **cells = memory_need(calloc((count + 1) * columns, sizeof *cells));
    json_t *list = json_array();
    const char *const head[] = {"setting", "value", "from"};
    memcpy(cells, head, columns * sizeof *cells);
    for (size_t i = 0; i < count; i++) {
        bool wanted = name_count == 0;
        for (int j = 0; j < name_count; j++) {
            const struct config_setting *setting = config_setting_find(names[j]);
            wanted = wanted || (setting && strcmp(setting->name, rows[i].name) == 0);
        }
        if (wanted) {
            const char *const row[] = {rows[i].name, rows[i].value[0] ? rows[i].value : "-",
                                       rows[i].origin};
            memcpy(cells + ++printed * columns, row, columns * sizeof *cells);
            json_array_append_new(list, row_json(&rows[i]));
        }
    }
    if (json) {
        json_t *all = json_pack("{s:O, s:s?}", "settings", list, "file", config_file(config));
        out_json(all);
        json_decref(all);
    } else {
        out_table(cells, printed + 1, columns);
    }
    json_decref(list);
    free(cells);
    return EXIT_OK;
}

static int check_names(char **names, int count) {
    for (int i = 0; i < count; i++) {
        if (!config_setting_find(names[i])) {
            const char *near = config_nearest(names[i]);
            return out_fail(EXIT_USAGE, "no setting \"%s\"%s%s%s", names[i],
                            near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
        }
    }
    return EXIT_OK;
}

static void check_done(const struct config *config, bool json) {
    const char *file = config_file(config);
    if (json) {
        json_t *all = json_pack("{s:b, s:s?}", "ok", 1, "file", file);
        out_json(all);
        json_decref(all);
    } else {
        printf("OK: %s\n",
               file ? file : "no config file; flags, environment and defaults are sound");
    }
}

int cli_config(int argc, char **argv) {
    bool origin = false, json = false;
    const char *file = NULL;
    int count = 0;
    const struct option options[] = {
        {"config", 'c', OPTION_TEXT, &file, "FILE", "the config file (default: $STANCE_CONFIG)"},
        {"origin", 0, OPTION_FLAG, &origin, NULL, "show: where each value comes from"},
        {"json", 0, OPTION_FLAG, &json, NULL, "one JSON object"},
        {NULL, 0, OPTION_FLAG, NULL, NULL, NULL},
    };
    const struct usage usage = {
        "config",
        EXAMPLES,
        "check | show [SETTING...]",
        "A flag wins over the environment (STANCE_*), that over the config file, that over the "
        "default.\n"
        "Exit code 78 when the configuration is wrong.",
        options,
        1,
        -1,
    };
    int code = options_parse(&usage, argc, argv, &count);
    if (code != OPTIONS_GO_ON) {
        return code;
    }
    bool check = strcmp(argv[1], "check") == 0;
    if (!check && strcmp(argv[1], "show") != 0) {
        return options_misuse(&usage, "\"%s\" is neither check nor show", argv[1]);
    }
    if (check && count > 1) {
        return options_misuse(&usage, "check takes no settings");
    }
    code = check_names(argv + 2, count - 1);
    if (code != EXIT_OK) {
        return code;
    }
    struct config *config = NULL;
    struct err err;
    const struct config_flag flag = {"config", file};
    if (config_load(&config, &flag, file ? 1 : 0, &err) < 0) {
        return out_fail(EXIT_CONFIG, "%s", err.message);
    }
    if (check) {
        check_done(config, json);
    } else {
        code = show(config, argv + 2, count - 1, origin, json);
    }
    config_free(config);
    return code;
}
