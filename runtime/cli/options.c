/* options.c - the table-driven option parser behind every subcommand. */
#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "core/words.h"

/* -- Mistakes ---------------------------------------------------------------------------------- */

int options_misuse(const struct usage *usage, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "stance %s: ", usage->command);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nSee `stance %s --help`.\n", usage->command);
    return EXIT_USAGE;
}

const char *options_suggest(const char *word, const void *names, size_t count, size_t stride) {
    const char *found = NULL;
    size_t least = strlen(word) / 3 + 2;
    for (size_t i = 0; i < count; i++) {
        const char *name;
        memcpy(&name, (const char *)names + i * stride, sizeof name);
        size_t distance = words_distance(word, name);
        if (strlen(word) >= 3 && strncmp(name, word, strlen(word)) == 0) {
            distance = 1;
        }
        if (distance < least) {
            least = distance;
            found = name;
        }
    }
    return found;
}

/* -- Help -------------------------------------------------------------------------------------- */

static int option_count(const struct usage *usage) {
    int count = 0;
    while (usage->options && usage->options[count].name) {
        count++;
    }
    return count;
}

static void print_option(const struct option *option) {
    char left[64];
    char letter[8] = "    ";
    if (option->letter) {
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    }
    snprintf(left, sizeof left, "%s--%s%s%s", letter, option->name,
             option->value && option->kind != OPTION_SWITCH ? " " : "",
             option->value ? option->value : "");
    printf("  %-28s %s\n", left, option->help);
}

static void print_help(const struct usage *usage) {
    printf("%s\n\n", usage->examples);
    printf("Usage: stance %s%s%s%s\n", usage->command, option_count(usage) ? " [options]" : "",
           usage->operands ? " " : "", usage->operands ? usage->operands : "");
    if (usage->about) {
        printf("\n%s\n", usage->about);
    }
    printf("\nOptions:\n");
    for (int i = 0; i < option_count(usage); i++) {
        print_option(&usage->options[i]);
    }
    static const struct option help = {"help", 'h', OPTION_FLAG, NULL, NULL, "this page"};
    print_option(&help);
}

/* -- Parsing ----------------------------------------------------------------------------------- */

struct parser {
    const struct usage *usage;
    char **argv;
    int argc, at;
};

static const struct option *find_long(const struct usage *usage, const char *name, size_t length) {
    for (int i = 0; i < option_count(usage); i++) {
        const struct option *option = &usage->options[i];
        if (strlen(option->name) == length && strncmp(option->name, name, length) == 0) {
            return option;
        }
    }
    return NULL;
}

static const struct option *find_letter(const struct usage *usage, char letter) {
    for (int i = 0; i < option_count(usage); i++) {
        if (usage->options[i].letter == letter) {
            return &usage->options[i];
        }
    }
    return NULL;
}

/* Stores `value` (NULL for flags). */
static int store(const struct usage *usage, const struct option *option, const char *value) {
    char *end = NULL;
    errno = 0;
    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)option->to = true;
        return OPTIONS_GO_ON;
    case OPTION_SWITCH:
    case OPTION_TEXT:
        *(const char **)option->to = value;
        return OPTIONS_GO_ON;
    case OPTION_LIST: {
        struct option_list *list = option->to;
        if (list->count == OPTION_LIST_MAX) {
            return options_misuse(usage, "--%s may be given %d times at most", option->name,
                                  (int)OPTION_LIST_MAX);
        }
        list->items[list->count++] = value;
        return OPTIONS_GO_ON;
    }
    case OPTION_INTEGER:
        *(long *)option->to = strtol(value, &end, 10);
        break;
    case OPTION_NUMBER:
        *(double *)option->to = strtod(value, &end);
        if (end != value && !isfinite(*(double *)option->to)) {
            errno = ERANGE;
        }
        break;
    }
    if (end == value || *end || errno) {
        return options_misuse(usage, "--%s takes %s number, not \"%s\"", option->name,
                              option->kind == OPTION_INTEGER ? "a whole" : "a", value);
    }
    return OPTIONS_GO_ON;
}

/* `inline_value`: what stood behind "=" or directly behind the letter, or NULL. */
static int take(struct parser *parser, const struct option *option, const char *inline_value) {
    if (option->kind == OPTION_FLAG) {
        if (inline_value) {
            return options_misuse(parser->usage, "--%s takes no value", option->name);
        }
        return store(parser->usage, option, ""); /* a flag reads none */
    }
    if (option->kind == OPTION_SWITCH) {
        return store(parser->usage, option, inline_value ? inline_value : "true");
    }
    if (!inline_value) {
        if (parser->at + 1 >= parser->argc) {
            return options_misuse(parser->usage, "--%s needs a value (%s)", option->name,
                                  option->value);
        }
        inline_value = parser->argv[++parser->at];
    }
    return store(parser->usage, option, inline_value);
}

static int take_long(struct parser *parser, const char *word) {
    const struct usage *usage = parser->usage;
    size_t length = strcspn(word, "=");
    const struct option *option = find_long(usage, word, length);
    if (option) {
        return take(parser, option, word[length] ? word + length + 1 : NULL);
    }
    char name[WORDS_MAX];
    snprintf(name, sizeof name, "%.*s", (int)length, word);
    const char *meant =
        options_suggest(name, usage->options, (size_t)option_count(usage), sizeof *usage->options);
    if (meant) {
        return options_misuse(usage, "no option --%s; did you mean --%s?", name, meant);
    }
    return options_misuse(usage, "no option --%s", name);
}

static int take_letters(struct parser *parser, const char *letters) {
    for (const char *letter = letters; *letter; letter++) {
        const struct option *option = find_letter(parser->usage, *letter);
        if (!option) {
            return options_misuse(parser->usage, "no option -%c", *letter);
        }
        bool flag = option->kind == OPTION_FLAG || option->kind == OPTION_SWITCH;
        int code = take(parser, option, !flag && letter[1] ? letter + 1 : NULL);
        if (code != OPTIONS_GO_ON || !flag) {
            return code;
        }
    }
    return OPTIONS_GO_ON;
}

static int check_operands(const struct usage *usage, int count, char **argv) {
    if (count < usage->least) {
        return options_misuse(usage, "needs %s", usage->operands);
    }
    if (usage->most >= 0 && count > usage->most) {
        return options_misuse(usage, "what is \"%s\"?%s", argv[usage->most + 1],
                              usage->operands ? "" : " No operands are taken");
    }
    return OPTIONS_GO_ON;
}

int options_parse(const struct usage *usage, int argc, char **argv, int *operand_count) {
    struct parser parser = {usage, argv, argc, 1};
    int count = 0;
    bool options_over = false;
    for (; parser.at < argc; parser.at++) {
        char *word = argv[parser.at];
        int code = OPTIONS_GO_ON;
        if (options_over || word[0] != '-' || !word[1]) {
            argv[1 + count++] = word;
        } else if (strcmp(word, "--") == 0) {
            options_over = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            print_help(usage);
            return EXIT_OK;
        } else if (word[1] == '-') {
            code = take_long(&parser, word + 2);
        } else {
            code = take_letters(&parser, word + 1);
        }
        if (code != OPTIONS_GO_ON) {
            return code;
        }
    }
    int code = check_operands(usage, count, argv);
    argv[count + 1] = NULL;
    if (operand_count) {
        *operand_count = count;
    }
    return code;
}
