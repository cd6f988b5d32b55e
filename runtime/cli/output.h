/* output.h - what the commands print: data on stdout, progress and talk on stderr.
 *
 * Colours and bars appear on a terminal only, and no colours when NO_COLOR is set. One thread. */
#ifndef STANCE_CLI_OUTPUT_H
#define STANCE_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum cli_exit {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_NOT_ALLOWED = 4,
    EXIT_REFUSED = 5,
    EXIT_UPSTREAM = 6,
    EXIT_TIMEOUT = 7,
    EXIT_JOB_FAILED = 8,
    EXIT_CONFIG = 78,
};

/* "stance: ..." on stderr; returns `code`. */
int out_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Talk on stderr, a line. */
void out_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line of JSON on stdout. */
void out_json(const json_t *value);

enum out_color { OUT_PLAIN, OUT_BOLD, OUT_DIM, OUT_RED, OUT_GREEN, OUT_YELLOW };

/* The escape that begins `color` on `stream`, or "" where it has none. OUT_PLAIN ends a colour. */
const char *out_color(FILE *stream, enum out_color color);

/* Columns of the terminal on stdout, and its rows (may be NULL); 80 and 24 where it has no size. */
int out_columns(int *rows);

/* A text of an answer; NULL: it has none of that name. */
const char *out_text(const json_t *value, const char *field);

/* The colour a job status is shown in. */
enum out_color out_status_color(const char *status);

/* "1.5 s", "2 min 3 s", "4 h 5 min"; "12 KB", "3.4 MB". Returns `buffer`. */
const char *out_duration(double seconds, char *buffer, size_t size);
const char *out_bytes(double bytes, char *buffer, size_t size);

/* Rows of `columns` cells printed in columns as wide as their widest cell; the first row is the
 * head. */
void out_table(const char *const *cells, size_t rows, size_t columns);

/* Named bars, one a line: redrawn in place on a terminal, elsewhere a line when each is complete.
 */
struct bars;
struct bars *bars_new(FILE *stream);
void bars_set(struct bars *bars, const char *name, long done, long total);
void bars_free(struct bars *bars);

#endif
