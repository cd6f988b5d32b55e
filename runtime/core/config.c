#include "core/config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config_internal.h"
#include "core/text.h"

extern char **environ;

enum {
    SETTINGS_MOST = 64,
    WORKERS_MOST = 8, /* by default; more is a wish that somebody has to have */
    SECRET_MOST = 64 << 10,
};

static const char PREFIX[] = "STANCE_";

struct config {
    size_t count;
    struct config_value values[SETTINGS_MOST];
    struct config_row rows[SETTINGS_MOST];
    char *origins[SETTINGS_MOST];
    char *texts[SETTINGS_MOST];
    char *file;
};

/* -- Setting one ------------------------------------------------------------------------------- */

/* Who gives a value. */
struct source {
    const char *origin; /* as config_row tells it */
    const char *what;   /* what messages begin with */
    const char *folder; /* where relative paths start */
    bool overruled;     /* the value is only checked: somebody who goes first has spoken */
};

static size_t index_of(const struct config_setting *setting) {
    size_t count;
    return (size_t)(setting - config_settings(&count));
}

static int set(struct config *config, const struct config_setting *setting,
               const struct config_raw *raw, const struct source *source, struct err *err) {
    size_t i = index_of(setting);
    struct config_value value;
    struct err reason = {0};
    int code = config_value_read(setting, raw, source->folder, &value, &reason);
    if (code < 0) {
        return err_set(err, code, "%s: %s", source->what, reason.message);
    }
    char *origin = source->overruled ? NULL : strdup(source->origin);
    if (origin == NULL) {
        config_value_drop(&value);
        return source->overruled ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    config_value_drop(&config->values[i]);
    free(config->origins[i]);
    config->values[i] = value;
    config->origins[i] = origin;
    return 0;
}

static int set_text(struct config *config, const struct config_setting *setting, const char *text,
                    const struct source *source, struct err *err) {
    struct config_raw raw = {.kind = RAW_TEXT, .text = text};
    return set(config, setting, &raw, source, err);
}

static int set_default(struct config *config, const char *name, const char *text, struct err *err) {
    struct source source = {.origin = "default", .what = name, .folder = "/"};
    return set_text(config, config_setting_find(name), text, &source, err);
}

static bool is_set(const struct config *config, const char *name) {
    return config->values[index_of(config_setting_find(name))].is_set;
}

static int unknown(const char *what, const char *name, const char *nearest, struct err *err) {
    return err_set(err, ERR_INVALID, "%s: no such setting%s%s%s", what,
                   nearest != NULL ? "; did you mean " : "", nearest != NULL ? name : "",
                   nearest != NULL ? "?" : "");
}

/* -- Flags ------------------------------------------------------------------------------------- */

static void flag_name(char out[80], const char *setting) {
    snprintf(out, 80, "--%s", setting);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c == '_' ? '-' : *c;
    }
}

static void variable_name(char out[80], const char *setting) {
    snprintf(out, 80, "%s%s", PREFIX, setting);
    for (char *c = out; *c != '\0'; c++) {
        *c = (char)toupper((unsigned char)*c);
    }
}

static int apply_flag(struct config *config, const struct config_flag *flag, const char *folder,
                      struct err *err) {
    const struct config_setting *setting = config_setting_find(flag->name);
    char name[80], origin[96];
    if (setting == NULL) {
        const char *nearest = config_nearest(flag->name);
        flag_name(name, nearest != NULL ? nearest : "");
        return unknown(flag->name, name, nearest, err);
    }
    flag_name(name, setting->name);
    if (setting->secret) {
        variable_name(origin, setting->name);
        return err_set(err, ERR_INVALID,
                       "%s: secrets do not go on command lines, which others can read; set %s or "
                       "%s_FILE",
                       name, origin, origin);
    }
    if (flag->value == NULL && setting->type != CONFIG_BOOL) {
        return err_set(err, ERR_INVALID, "%s: needs a value", name);
    }
    snprintf(origin, sizeof origin, "flag %s", name);
    struct source source = {.origin = origin, .what = name, .folder = folder};
    return set_text(config, setting, flag->value != NULL ? flag->value : "true", &source, err);
}

/* -- Environment ------------------------------------------------------------------------------- */

/* Set and not empty: `STANCE_LISTEN=` in a compose file means that nobody has filled it in. */
static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static int read_secret(const char *path, char **out, const char *origin, struct err *err) {
    FILE *file = fopen(path, "re");
    char *text = calloc(1, SECRET_MOST + 1);
    int code = 0;
    if (file == NULL) {
        code = err_set_errno(err, errno, "%s: %s", origin, path);
    } else if (text == NULL) {
        code = err_set(err, ERR_NO_MEMORY, "out of memory");
    } else {
        size_t size = fread(text, 1, SECRET_MOST, file);
        text[strcspn(text, "\r\n")] =
            '\0'; /* editors end files with a newline that is no part of it */
        if (size == 0 || size == SECRET_MOST || text[0] == '\0') {
            code =
                err_set(err, ERR_INVALID, "%s: %s holds no secret in its first line", origin, path);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    if (code != 0) {
        free(text);
        text = NULL;
    }
    *out = text;
    return code;
}

static int apply_secret_file(struct config *config, const struct config_setting *setting,
                             const char *folder, struct err *err) {
    char name[80], file_name[88], origin[96];
    char *secret;
    variable_name(name, setting->name);
    snprintf(file_name, sizeof file_name, "%s_FILE", name);
    const char *path = setting->secret ? variable(file_name) : NULL;
    if (path == NULL) {
        return 0;
    }
    snprintf(origin, sizeof origin, "env %s", file_name);
    int code = read_secret(path, &secret, file_name, err);
    if (code == 0) {
        struct source source = {.origin = origin, .what = file_name, .folder = folder};
        code = set_text(config, setting, secret, &source, err);
    }
    free(secret);
    return code;
}

static int apply_variable(struct config *config, const struct config_setting *setting,
                          const char *folder, struct err *err) {
    char name[80], origin[96];
    variable_name(name, setting->name);
    const char *value = variable(name);
    int code = apply_secret_file(config, setting, folder, err);
    if (code < 0 || value == NULL) {
        return code;
    }
    if (is_set(config, setting->name)) {
        return err_set(err, ERR_INVALID, "%s and %s_FILE are both set: which one counts?", name,
                       name);
    }
    snprintf(origin, sizeof origin, "env %s", name);
    struct source source = {.origin = origin, .what = name, .folder = folder};
    return set_text(config, setting, value, &source, err);
}

/* A variable that nearly has the name of a setting was meant to be it. Others are left alone: the
 * prefix is not ours alone (Kubernetes sets STANCE_PORT where a service is called "stance"). */
static int check_variables(struct err *err) {
    static const char *const others[] = {"STANCE_LUA", "STANCE_ASSETS", "STANCE_MODELS"};
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        char name[80], nearest_name[80];
        size_t size = strcspn(*entry, "=");
        if (strncmp(*entry, PREFIX, sizeof PREFIX - 1) != 0 || size >= sizeof name) {
            continue;
        }
        memcpy(name, *entry, size);
        name[size] = '\0';
        bool known = config_setting_find(name + sizeof PREFIX - 1) != NULL;
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
            known = known || strcmp(name, others[i]) == 0;
        }
        const char *nearest = known ? NULL : config_nearest(name + sizeof PREFIX - 1);
        variable_name(nearest_name, nearest != NULL ? nearest : "");
        /* Only a slip of the pen: one that merely begins like a setting may be somebody else's. */
        if (nearest != NULL && strlen(nearest_name) <= size + 2) {
            return unknown(name, nearest_name, nearest, err);
        }
    }
    return 0;
}

/* -- File -------------------------------------------------------------------------------------- */

struct file_reading {
    struct config *config;
    const char *folder;
};

static int apply_key(const char *key, const struct config_raw *raw, int line, void *arg,
                     struct err *err) {
    struct file_reading *reading = arg;
    struct config *config = reading->config;
    const struct config_setting *setting = config_setting_find(key);
    char origin[PATH_MAX + 16];
    char what[PATH_MAX + 96];
    snprintf(origin, sizeof origin, line > 0 ? "%s:%d" : "%s", config->file, line);
    snprintf(what, sizeof what, "%s: %.64s", origin, key);
    if (setting == NULL || strcmp(setting->name, key) != 0) {
        const char *nearest = setting != NULL ? setting->name : config_nearest(key);
        return unknown(what, nearest, nearest, err);
    }
    if (setting->secret || strcmp(key, "config") == 0) {
        return err_set(err, ERR_INVALID, "%s: cannot be set in a config file%s", what,
                       setting->secret ? "; secrets come from the environment" : "");
    }
    struct source source = {origin, what, reading->folder, is_set(config, key)};
    return set(config, setting, raw, &source, err);
}

static bool is_file(const char *path) {
    struct stat info;
    return path != NULL && stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* Below $`variable_name`, or ~/`otherwise`, as the XDG base directory specification has it. */
static int set_below_home(struct config *config, const char *name, const char *xdg,
                          const char *otherwise, const char *tail, struct err *err) {
    char path[PATH_MAX];
    const char *base = getenv(xdg);
    bool has_base =
        base != NULL && base[0] == '/'; /* the specification: relative ones are ignored */
    snprintf(path, sizeof path, "%s/%s", has_base ? base : otherwise, tail);
    return set_default(config, name, path, err);
}

static int find_file(struct config *config, struct err *err) {
    size_t i = index_of(config_setting_find("config"));
    if (config->values[i].is_set) {
        return 0;
    }
    int code =
        set_below_home(config, "config", "XDG_CONFIG_HOME", "~/.config", "stance/config.lua", err);
    if (code == 0 && !is_file(config->values[i].text)) {
        code = set_default(config, "config", "/etc/stance/config.lua", err);
    }
    if (code == 0 && !is_file(config->values[i].text)) {
        config_value_drop(&config->values[i]);
    }
    return code;
}

static int apply_file(struct config *config, struct err *err) {
    const struct config_value *path = &config->values[index_of(config_setting_find("config"))];
    char folder[PATH_MAX];
    int code = find_file(config, err);
    if (code < 0 || !path->is_set) {
        return code;
    }
    config->file = strdup(path->text);
    if (config->file == NULL) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    snprintf(folder, sizeof folder, "%s", config->file);
    *strrchr(folder, '/') = '\0';
    struct file_reading reading = {config, folder};
    return config_file_read(config->file, apply_key, &reading, err);
}

/* -- Defaults ---------------------------------------------------------------------------------- */

static int apply_fallbacks(struct config *config, struct err *err) {
    const struct config_setting *settings = config_settings(&config->count);
    for (size_t i = 0; i < config->count; i++) {
        if (!config->values[i].is_set && settings[i].fallback != NULL) {
            int code = set_default(config, settings[i].name, settings[i].fallback, err);
            if (code < 0) {
                return code;
            }
        }
    }
    return 0;
}

static int count_cores(void) {
    cpu_set_t cores;
    int count = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
    return count > 0 ? count : 1;
}

/* `start` and `tail` in one, unless somebody has set it. */
static int set_joined(struct config *config, const char *name, const char *start, const char *tail,
                      struct err *err) {
    char text[PATH_MAX + 32];
    snprintf(text, sizeof text, "%s%s", start, tail);
    return is_set(config, name) ? 0 : set_default(config, name, text, err);
}

static int apply_worked_out(struct config *config, struct err *err) {
    char text[PATH_MAX + 32];
    int code = 0;
    if (!is_set(config, "data")) {
        code = set_below_home(config, "data", "XDG_DATA_HOME", "~/.local/share", "stance", err);
    }
    if (code < 0) {
        return code;
    }
    const char *data = config_string(config, "data");
    code = set_joined(config, "workspace", data, "/workspace", err);
    int cores = count_cores();
    snprintf(text, sizeof text, "%d", cores < WORKERS_MOST ? cores : WORKERS_MOST);
    code = code < 0 ? code : set_joined(config, "workers", text, "", err);
    code = code < 0 ? code : set_joined(config, "output_roots", data, "/output", err);
    code = code < 0 ? code : set_joined(config, "characters_dir", data, "/characters", err);
    snprintf(text, sizeof text, "http://%s", config_string(config, "listen"));
    return code < 0 ? code : set_joined(config, "url", text, "", err);
}

static int fill_rows(struct config *config, struct err *err) {
    const struct config_setting *settings = config_settings(&config->count);
    for (size_t i = 0; i < config->count; i++) {
        const char *origin = config->origins[i] != NULL ? config->origins[i] : "default";
        config->texts[i] = config_value_text(&settings[i], &config->values[i]);
        if (config->texts[i] == NULL) {
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        }
        config->rows[i] = (struct config_row){settings[i].name, config->texts[i], origin,
                                              strcmp(origin, "default") == 0};
    }
    return 0;
}

/* -- Loading ----------------------------------------------------------------------------------- */

/* Flags after the environment, so that they win; the file last, for it gives way to both. */
static int load(struct config *config, const struct config_flag *flags, size_t flag_count,
                struct err *err) {
    char folder[PATH_MAX];
    const struct config_setting *settings = config_settings(&config->count);
    assert(config->count <= SETTINGS_MOST);
    if (getcwd(folder, sizeof folder) == NULL) {
        return err_set_errno(err, errno, "the working folder cannot be told");
    }
    int code = check_variables(err);
    for (size_t i = 0; code == 0 && i < config->count; i++) {
        code = apply_variable(config, &settings[i], folder, err);
    }
    for (size_t i = 0; code == 0 && i < flag_count; i++) {
        code = apply_flag(config, &flags[i], folder, err);
    }
    code = code < 0 ? code : apply_file(config, err);
    code = code < 0 ? code : apply_fallbacks(config, err);
    code = code < 0 ? code : apply_worked_out(config, err);
    return code < 0 ? code : fill_rows(config, err);
}

int config_load(struct config **out, const struct config_flag *flags, size_t flag_count,
                struct err *err) {
    struct err dropped;
    err = err != NULL ? err : &dropped;
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    int code = load(*out, flags, flag_count, err);
    if (code < 0) {
        config_free(*out);
        *out = NULL;
    }
    return code;
}

void config_free(struct config *config) {
    if (config == NULL) {
        return;
    }
    for (size_t i = 0; i < SETTINGS_MOST; i++) {
        config_value_drop(&config->values[i]);
        free(config->origins[i]);
        free(config->texts[i]);
    }
    free(config->file);
    free(config);
}

/* -- Getters ----------------------------------------------------------------------------------- */

static const struct config_value *get(const struct config *config, const char *name,
                                      enum config_type a, enum config_type b) {
    const struct config_setting *setting = config_setting_find(name);
    if (setting == NULL || (setting->type != a && setting->type != b)) {
        fprintf(stderr, "config: \"%s\" is not a setting of the type that was asked for\n", name);
        abort();
    }
    return &config->values[index_of(setting)];
}

const char *config_string(const struct config *config, const char *name) {
    return get(config, name, CONFIG_STRING, CONFIG_PATH)->text;
}

int64_t config_int(const struct config *config, const char *name) {
    return (int64_t)get(config, name, CONFIG_INT, CONFIG_SIZE)->number;
}

double config_number(const struct config *config, const char *name) {
    return get(config, name, CONFIG_NUMBER, CONFIG_DURATION)->number;
}

bool config_bool(const struct config *config, const char *name) {
    return get(config, name, CONFIG_BOOL, CONFIG_BOOL)->number != 0;
}

const char *const *config_list(const struct config *config, const char *name) {
    static const char *const empty[] = {NULL};
    const struct config_value *value = get(config, name, CONFIG_LIST, CONFIG_PATHS);
    return value->list != NULL ? (const char *const *)value->list : empty;
}

const struct config_row *config_rows(const struct config *config, size_t *count) {
    *count = config->count;
    return config->rows;
}

const char *config_file(const struct config *config) {
    return config->file;
}
