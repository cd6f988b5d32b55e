/* Settings for a process that we start. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"

void config_to_flags(const struct config *config, const char **argv, size_t count, size_t room,
                     char **texts) {
    size_t rows, made = 0;
    const struct config_row *row = config_rows(config, &rows);
    for (size_t i = 0; i < rows && count + 1 < room; i++) {
        const struct config_setting *setting = config_setting_find(row[i].name);
        if (row[i].is_default || setting->secret || strcmp(row[i].name, "config") == 0 ||
            strcmp(row[i].name, "url") == 0)
            continue;
        char *text;
        int size = setting->type == CONFIG_BOOL /* not the default: true */
                       ? asprintf(&text, "--%s", row[i].name)
                       : asprintf(&text, "--%s=%s", row[i].name, row[i].value);
        if (size < 0)
            abort();
        for (char *at = text; *at != 0 && *at != '='; at++)
            if (*at == '_')
                *at = '-';
        argv[count++] = texts[made++] = text;
    }
    argv[count] = NULL;
    texts[made] = NULL;
}
