/* One value: read from text, checked, and written as text again. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/config_internal.h"
#include "core/text.h"

struct unit {
    const char *name;
    double factor;
};

/* The first name of a factor is the one that is written. */
static const struct unit durations[] = {
    {"s", 1}, {"ms", 1e-3}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}, {NULL, 0},
};
static const struct unit sizes[] = {
    {"B", 1},       {"KiB", 1024},       {"K", 1024},       {"MiB", 1048576},
    {"M", 1048576}, {"GiB", 1073741824}, {"G", 1073741824}, {"TiB", 1099511627776.0},
    {NULL, 0},
};

void config_value_drop(struct config_value *value) {
    free(value->text);
    for (char **item = value->list; item != NULL && *item != NULL; item++) {
        free(*item);
    }
    free(value->list);
    *value = (struct config_value){0};
}

/* -- Numbers ----------------------------------------------------------------------------------- */

/* The number that the text begins with, in plain decimal; *rest is what follows it, without blanks.
 */
static bool read_decimal(const char *text, double *number, const char **rest) {
    size_t digits = strspn(text, "+-0123456789.eE");
    char *end;
    *number = strtod(text, &end);
    /* strtod also takes "inf", "nan" and "0x10", which nobody means. */
    if (end == text || end > text + digits || !isfinite(*number)) {
        return false;
    }
    *rest = end + strspn(end, " ");
    return true;
}

static int read_quantity(const struct unit *units, const char *what, const char *text, double *out,
                         struct err *err) {
    const char *rest;
    if (read_decimal(text, out, &rest)) {
        if (*rest == '\0') {
            return 0;
        }
        for (const struct unit *unit = units; unit->name != NULL; unit++) {
            if (strcasecmp(rest, unit->name) == 0) {
                *out *= unit->factor;
                return 0;
            }
        }
    }
    return err_set(err, ERR_INVALID, "\"%.80s\" is not a %s", text, what);
}

static int check_range(const struct config_setting *setting, double number, struct err *err) {
    bool whole = setting->type == CONFIG_INT || setting->type == CONFIG_SIZE;
    if (whole && (number != floor(number) || fabs(number) > 9e15)) {
        return err_set(err, ERR_INVALID, "%.17g is not a whole number", number);
    }
    if ((setting->least == 0 && setting->most == 0) ||
        (number >= setting->least && number <= setting->most)) {
        return 0;
    }
    struct config_value least = {true, setting->least, NULL, NULL};
    struct config_value most = {true, setting->most, NULL, NULL};
    struct config_value given = {true, number, NULL, NULL};
    char *low = config_value_text(setting, &least);
    char *high = config_value_text(setting, &most);
    char *text = config_value_text(setting, &given);
    err_set(err, ERR_INVALID, "%s is out of range: %s to %s", text != NULL ? text : "?",
            low != NULL ? low : "?", high != NULL ? high : "?");
    free(low);
    free(high);
    free(text);
    return ERR_INVALID;
}

static int read_bool(const char *text, double *out, struct err *err) {
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *out = i % 2;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "\"%.80s\" is neither true nor false", text);
}

static int read_number(const struct config_setting *setting, const char *text, double *out,
                       struct err *err) {
    static const struct unit none[] = {{NULL, 0}};
    int code;
    switch (setting->type) {
    case CONFIG_BOOL:
        return read_bool(text, out, err);
    case CONFIG_DURATION:
        code = read_quantity(durations, "duration (30s, 500ms, 5m)", text, out, err);
        break;
    case CONFIG_SIZE:
        code = read_quantity(sizes, "size (8 MiB, 512K)", text, out, err);
        break;
    default:
        code = read_quantity(none, "number", text, out, err);
    }
    return code < 0 ? code : check_range(setting, *out, err);
}

/* -- Texts ------------------------------------------------------------------------------------- */

static const char *home_folder(void) {
    const char *home = getenv("HOME");
    if (home != NULL && home[0] == '/') {
        return home;
    }
    const struct passwd *user = getpwuid(getuid());
    return user != NULL ? user->pw_dir : "/";
}

/* Drops "." and empty parts and a '/' at the end. ".." stays: what it means depends on links. */
static void tidy_path(char *path) {
    char *out = path;
    for (const char *in = path; *in != '\0';) {
        size_t size = strcspn(in + 1, "/") + 1; /* in stands on a '/' */
        bool empty = size == 1 || (size == 2 && in[1] == '.');
        if (!empty) {
            memmove(out, in, size);
            out += size;
        }
        in += size;
    }
    if (out == path) {
        *out++ = '/';
    }
    *out = '\0';
}

static char *absolute_path(const char *path, const char *folder) {
    struct text out = {0};
    if (strcmp(path, "~") == 0 || strncmp(path, "~/", 2) == 0) {
        text_printf(&out, "%s%s", home_folder(), path + 1);
    } else if (path[0] == '/') {
        text_printf(&out, "%s", path);
    } else {
        text_printf(&out, "%s/%s", folder, path);
    }
    char *absolute = text_take(&out, NULL);
    if (absolute != NULL && absolute[0] == '/') {
        tidy_path(absolute);
    }
    return absolute;
}

static bool is_choice(const char *choices, const char *text) {
    size_t size = strlen(text);
    for (const char *at = choices; size > 0 && *at != '\0';) {
        size_t word = strcspn(at, " ");
        if (word == size && strncmp(at, text, size) == 0) {
            return true;
        }
        at += word + strspn(at + word, " ");
    }
    return false;
}

int config_parse_address(const char *text, char *host, size_t host_size, int *port,
                         struct err *err) {
    const char *colon = strrchr(text, ':');
    const char *start = text;
    size_t size = colon != NULL ? (size_t)(colon - text) : 0;
    char *end = NULL;
    long number = colon != NULL ? strtol(colon + 1, &end, 10) : -1;
    bool good = colon != NULL && colon[1] >= '0' && colon[1] <= '9' && *end == '\0' &&
                number >= 0 && number <= 65535;
    if (good && size >= 2 && text[0] == '[' && text[size - 1] == ']') {
        start++;
        size -= 2;
    } else if (good && memchr(text, ':', size) != NULL) {
        good = false; /* an IPv6 address without brackets: which colon begins the port? */
    }
    if (!good || size == 0 || size >= host_size) {
        return err_set(err, ERR_INVALID, "\"%.80s\" is not HOST:PORT (127.0.0.1:5001, [::1]:5001)",
                       text);
    }
    memcpy(host, start, size);
    host[size] = '\0';
    *port = (int)number;
    return 0;
}

static int check_listen(const char *text, struct err *err) {
    char host[256];
    int port;
    struct in_addr v4;
    struct in6_addr v6;
    int code = config_parse_address(text, host, sizeof host, &port, err);
    if (code < 0) {
        return code;
    }
    bool loopback = strcmp(host, "localhost") == 0 ||
                    (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127) ||
                    (inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6));
    return loopback
               ? 0
               : err_set(err, ERR_INVALID,
                         "%s is not a loopback address: nobody would be asked who they are, so "
                         "the host serves this machine only (127.0.0.1, [::1], localhost); "
                         "reach it from elsewhere by ssh -L",
                         host);
}

/* scheme://rest, the rest being without blanks; `bare`: also without a path. */
static int check_url(const char *text, bool bare, struct err *err) {
    const char *rest = strstr(text, "://");
    bool good = rest != NULL && rest > text && rest[3] != '\0' && strpbrk(text, " \t\n") == NULL;
    if (good && bare) {
        good = strchr(rest + 3, '/') == NULL;
    } else if (good) {
        good = strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
    }
    return good ? 0
                : err_set(err, ERR_INVALID, "\"%.80s\" is not %s", text,
                          bare ? "an origin (https://example.org)" : "a URL (http://HOST:PORT)");
}

static int check_text(const struct config_setting *setting, const char *text, struct err *err) {
    if (setting->choices != NULL && !is_choice(setting->choices, text)) {
        return err_set(err, ERR_INVALID, "\"%.80s\" is none of: %s", text, setting->choices);
    }
    if (strcmp(setting->name, "listen") == 0) {
        return check_listen(text, err);
    }
    if (strcmp(setting->name, "url") == 0 || strcmp(setting->name, "origins") == 0) {
        return check_url(text, setting->type == CONFIG_LIST, err);
    }
    if (strcmp(setting->name, "hosts") == 0 && strpbrk(text, "/ \t\n") != NULL) {
        return err_set(err, ERR_INVALID, "\"%.80s\" is not a host name", text);
    }
    return 0;
}

static int read_text(const struct config_setting *setting, const char *text, const char *folder,
                     char **out, struct err *err) {
    bool is_path = setting->type == CONFIG_PATH || setting->type == CONFIG_PATHS;
    if (text[0] == '\0') {
        return err_set(err, ERR_INVALID, "is empty");
    }
    if (is_path && strlen(text) >= PATH_MAX) {
        return err_set(err, ERR_INVALID, "the path is too long");
    }
    int code = check_text(setting, text, err);
    if (code < 0) {
        return code;
    }
    *out = is_path ? absolute_path(text, folder) : strdup(text);
    return *out != NULL ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
}

/* -- Lists ------------------------------------------------------------------------------------- */

static int add_item(const struct config_setting *setting, const char *item, const char *folder,
                    struct config_value *out, size_t *count, struct err *err) {
    char **grown = realloc(out->list, (*count + 2) * sizeof *grown);
    if (grown == NULL) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    out->list = grown;
    grown[*count] = grown[*count + 1] = NULL;
    int code = read_text(setting, item, folder, &grown[*count], err);
    *count += code == 0;
    return code;
}

static int read_list(const struct config_setting *setting, const struct config_raw *raw,
                     const char *folder, struct config_value *out, struct err *err) {
    size_t count = 0;
    int code = 0;
    out->list = calloc(1, sizeof *out->list);
    if (out->list == NULL) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    if (raw->kind == RAW_LIST) {
        for (const char *const *item = raw->list; code == 0 && *item != NULL; item++) {
            code = add_item(setting, *item, folder, out, &count, err);
        }
        return code;
    }
    char *words = strdup(raw->text);
    char *rest = NULL;
    if (words == NULL) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    for (char *word = strtok_r(words, ",", &rest); code == 0 && word != NULL;
         word = strtok_r(NULL, ",", &rest)) {
        word += strspn(word, " ");
        size_t size = strlen(word);
        while (size > 0 && word[size - 1] == ' ') {
            word[--size] = '\0';
        }
        code = add_item(setting, word, folder, out, &count, err);
    }
    free(words);
    return code;
}

/* -- Both ways --------------------------------------------------------------------------------- */

static bool is_numeric(enum config_type type) {
    return type == CONFIG_INT || type == CONFIG_NUMBER || type == CONFIG_BOOL ||
           type == CONFIG_DURATION || type == CONFIG_SIZE;
}

/* In the config file values have types of their own, and a wrong one is more likely a slip than a
 * wish. */
static int check_type(const struct config_setting *setting, const struct config_raw *raw,
                      struct err *err) {
    static const char *const given[] = {"a string", "a number", "a boolean", "a list",
                                        "something else"};
    static const char *const wanted[] = {
        [CONFIG_STRING] = "a string",
        [CONFIG_INT] = "a number",
        [CONFIG_NUMBER] = "a number",
        [CONFIG_BOOL] = "true or false",
        [CONFIG_DURATION] = "seconds or a string like \"30s\"",
        [CONFIG_SIZE] = "bytes or a string like \"8 MiB\"",
        [CONFIG_LIST] = "a list of strings",
        [CONFIG_PATH] = "a string",
        [CONFIG_PATHS] = "a list of strings",
    };
    static const enum config_raw_kind kinds[] = {
        [CONFIG_STRING] = RAW_TEXT, [CONFIG_INT] = RAW_NUMBER,      [CONFIG_NUMBER] = RAW_NUMBER,
        [CONFIG_BOOL] = RAW_BOOL,   [CONFIG_DURATION] = RAW_NUMBER, [CONFIG_SIZE] = RAW_NUMBER,
        [CONFIG_LIST] = RAW_LIST,   [CONFIG_PATH] = RAW_TEXT,       [CONFIG_PATHS] = RAW_LIST,
    };
    bool has_unit = setting->type == CONFIG_DURATION || setting->type == CONFIG_SIZE;
    if (!raw->typed || raw->kind == kinds[setting->type] || (has_unit && raw->kind == RAW_TEXT)) {
        return 0;
    }
    return err_set(err, ERR_INVALID, "expected %s, got %s", wanted[setting->type],
                   given[raw->kind]);
}

int config_value_read(const struct config_setting *setting, const struct config_raw *raw,
                      const char *folder, struct config_value *out, struct err *err) {
    *out = (struct config_value){0};
    int code = check_type(setting, raw, err);
    if (code < 0) {
        return code;
    }
    if (is_numeric(setting->type)) {
        code = read_number(setting, raw->text, &out->number, err);
    } else if (setting->type == CONFIG_LIST || setting->type == CONFIG_PATHS) {
        code = read_list(setting, raw, folder, out, err);
    } else {
        code = read_text(setting, raw->text, folder, &out->text, err);
    }
    if (code < 0) {
        config_value_drop(out);
        return code;
    }
    out->is_set = true;
    return 0;
}

/* In the largest unit that leaves a whole number. */
static void put_quantity(struct text *out, const struct unit *units, const char *gap,
                         double number) {
    const struct unit *best = NULL;
    char text[TEXT_NUMBER_SIZE];
    for (const struct unit *unit = units; number != 0 && unit->name != NULL; unit++) {
        double count = number / unit->factor;
        if (count == floor(count) && (best == NULL || unit->factor > best->factor)) {
            best = unit;
        }
    }
    best = best != NULL ? best : &units[0];
    text_number(text, number / best->factor);
    text_printf(out, "%s%s%s", text, gap, best->name);
}

char *config_value_text(const struct config_setting *setting, const struct config_value *value) {
    struct text out = {0};
    char number[TEXT_NUMBER_SIZE];
    if (!value->is_set) {
        return strdup("");
    }
    switch (setting->type) {
    case CONFIG_STRING:
    case CONFIG_PATH:
        text_printf(&out, "%s", setting->secret ? "(set)" : value->text);
        break;
    case CONFIG_LIST:
    case CONFIG_PATHS:
        for (char **item = value->list; *item != NULL; item++) {
            text_printf(&out, "%s%s", item == value->list ? "" : ",", *item);
        }
        break;
    case CONFIG_BOOL:
        text_printf(&out, "%s", value->number != 0 ? "true" : "false");
        break;
    case CONFIG_DURATION:
        put_quantity(&out, durations, "", value->number);
        break;
    case CONFIG_SIZE:
        put_quantity(&out, sizes, " ", value->number);
        break;
    default:
        text_number(number, value->number);
        text_printf(&out, "%s", number);
    }
    return text_take(&out, NULL);
}
