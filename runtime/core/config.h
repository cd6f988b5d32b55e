/* config.h - the settings of a process, each with its value and where that came from.
 *
 * Flag over environment (STANCE_<NAME>) over config file over default. The file is a Lua chunk that
 * returns a table; it runs as text, in an empty environment, under a limit of instructions and
 * memory. Unknown names, wrong types and values out of range are errors that name the flag, the
 * variable, or the file and line. Secrets are read from STANCE_<NAME> or from the file that
 * STANCE_<NAME>_FILE names, never from a flag or the config file, and are never shown.
 *
 * Immutable after it is loaded: any thread may read. The caller of config_load owns it. */
#ifndef STANCE_CORE_CONFIG_H
#define STANCE_CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum config_type {
    CONFIG_STRING,
    CONFIG_INT,
    CONFIG_NUMBER,
    CONFIG_BOOL,     /* true, false, yes, no, on, off, 1, 0 */
    CONFIG_DURATION, /* seconds, or "500ms", "30s", "5m", "2h", "7d" */
    CONFIG_SIZE,     /* bytes, or "64 KiB", "8MiB", "1G" (powers of 1024) */
    CONFIG_LIST,     /* a Lua list, or words separated by commas */
    CONFIG_PATH,     /* made absolute, from the working folder or the file's; "~/" is home */
    CONFIG_PATHS,    /* a list of paths */
};

/* What can be set: for --help and for parsing the command line. */
struct config_setting {
    const char *name; /* "log_level"; the flag is --log-level, the variable STANCE_LOG_LEVEL */
    enum config_type type;
    const char *fallback; /* the default as text; NULL: none, or worked out (doc says how) */
    const char *doc;      /* one line */
    double least, most;   /* for the numeric types; both 0: any */
    const char *choices;  /* "debug info warn error"; NULL: any */
    bool secret;
};
const struct config_setting *config_settings(size_t *count);

/* By name or flag: "log_level", "log-level", "--log-level". NULL when there is none. */
const struct config_setting *config_setting_find(const char *name);

/* Words that help after a wrong name: the nearest setting, or NULL when none is near. */
const char *config_nearest(const char *name);

struct config_flag {
    const char *name;  /* as config_setting_find takes it */
    const char *value; /* NULL: "true" */
};

struct config;

/* ERR_INVALID for what the user got wrong (exit code 78), ERR_NOT_FOUND for a config file that was
 * named and is not there. */
int config_load(struct config **out, const struct config_flag *flags, size_t flag_count,
                struct err *err);
void config_free(struct config *config);

/* Getters by name. A name that does not exist or is of another type is a bug: the process ends. */

/* Strings and paths; NULL: not set. */
const char *config_string(const struct config *config, const char *name);
/* Ints, and sizes in bytes. */
int64_t config_int(const struct config *config, const char *name);
/* Numbers, and durations in seconds. */
double config_number(const struct config *config, const char *name);
bool config_bool(const struct config *config, const char *name);
/* Lists and lists of paths; ends with NULL, never NULL itself. */
const char *const *config_list(const struct config *config, const char *name);

/* What `stance config show` prints, in the order of config_settings. */
struct config_row {
    const char *name;
    const char *value; /* as text; secrets "(set)"; "" when not set */
    /* "default", "flag --listen", "env STANCE_LISTEN", "/etc/stance/config.lua:4" */
    const char *origin;
    bool is_default;
};
const struct config_row *config_rows(const struct config *config, size_t *count);

/* Appends a flag for each setting that is not its default to argv, which has `count` entries and
 * `room` for all; ends with NULL. Those texts are malloc'ed and stand in `texts` too (same room),
 * ended by NULL. Secrets are left out. */
void config_to_flags(const struct config *config, const char **argv, size_t count, size_t room,
                     char **texts);

/* Takes HOST:PORT apart, as the setting `listen` is written; [::1]:5001 gives the host ::1. */
int config_parse_address(const char *text, char *host, size_t host_size, int *port,
                         struct err *err);

/* The config file that was read, or NULL. */
const char *config_file(const struct config *config);

#endif
