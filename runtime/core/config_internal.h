/* config_internal.h - what the files of core/config.h share: a setting's value, and how it is read
 * from text or from Lua. */
#ifndef STANCE_CORE_CONFIG_INTERNAL_H
#define STANCE_CORE_CONFIG_INTERNAL_H

#include "core/config.h"

/* A value as somebody gave it: text, or a list of texts. */
struct config_raw {
    enum config_raw_kind { RAW_TEXT, RAW_NUMBER, RAW_BOOL, RAW_LIST, RAW_OTHER } kind;
    const char *text;        /* all but RAW_LIST and RAW_OTHER */
    const char *const *list; /* RAW_LIST: ends with NULL */
    bool typed; /* from the config file, where "4" is no number; elsewhere all is text */
};

/* A value as it was understood. Strings and paths have `text`, lists have `list`, the others have
 * `number`. */
struct config_value {
    bool is_set;
    double number;
    char *text;
    char **list; /* ends with NULL */
};

/* `folder`: what relative paths start from. The message does not say which setting. */
int config_value_read(const struct config_setting *setting, const struct config_raw *raw,
                      const char *folder, struct config_value *out, struct err *err);
void config_value_drop(struct config_value *value);

/* As the user would write it; malloc'ed, NULL when out of memory. */
char *config_value_text(const struct config_setting *setting, const struct config_value *value);

/* Evaluates the file and gives each key in turn, with the line where it stands (0: unknown). */
typedef int (*config_take)(const char *key, const struct config_raw *raw, int line, void *arg,
                           struct err *err);
int config_file_read(const char *path, config_take take, void *arg, struct err *err);

#endif
