/* options.h - one command line: its options, its --help, and what to say about a mistake.
 *
 * A command describes itself in a `struct usage`; options_parse writes values straight where the
 * table points. Texts and operands are borrowed from argv. Options and operands may be mixed; `--`
 * ends the options; `--name=value`, `-n value`,
 * `-nvalue` and `-ab` (flags) all work. Every command has --help. */
#ifndef STANCE_CLI_OPTIONS_H
#define STANCE_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum option_kind {
    OPTION_FLAG,    /* bool */
    OPTION_SWITCH,  /* const char *: "true" for --name, else what stands in --name=VALUE */
    OPTION_TEXT,    /* const char * */
    OPTION_LIST,    /* struct option_list: may be given again */
    OPTION_INTEGER, /* long */
    OPTION_NUMBER,  /* double */
};

enum { OPTION_LIST_MAX = 64 };

struct option_list {
    const char *items[OPTION_LIST_MAX];
    size_t count;
};

struct option {
    const char *name; /* without dashes; NULL ends the table */
    char letter;      /* 0: none */
    enum option_kind kind;
    void *to;
    const char *value; /* what the value is called in --help; NULL for flags */
    const char *help;
};

struct usage {
    const char *command;  /* "job submit" */
    const char *examples; /* lines; --help begins with them */
    const char *operands; /* "FILE...", or NULL where none are taken */
    const char *about;    /* a paragraph */
    const struct option *options;
    int least, most; /* operands; most < 0: any number */
};

enum { OPTIONS_GO_ON = -1 };

/* Moves the operands to argv[1..*operand_count] (argv[*operand_count + 1] becomes NULL) and returns
 * OPTIONS_GO_ON, or the exit code to end with: EXIT_OK after --help, EXIT_USAGE after saying on
 * stderr what is wrong. */
int options_parse(const struct usage *usage, int argc, char **argv, int *operand_count);

/* Says `problem` and where help is; returns EXIT_USAGE. */
int options_misuse(const struct usage *usage, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The name among `count` that `word` was probably meant to be, or NULL. Names lie `stride` bytes
 * apart. */
const char *options_suggest(const char *word, const void *names, size_t count, size_t stride);

#endif
