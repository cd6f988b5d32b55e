/* output.c - messages, tables and progress bars of the commands. */
#include "cli/output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* -- Lines ------------------------------------------------------------------------------------- */

static void say(FILE *stream, const char *prefix, const char *format, va_list arguments) {
    fprintf(stream, "%s", prefix);
    vfprintf(stream, format, arguments);
    fputc('\n', stream);
}

int out_fail(int code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    say(stderr, "stance: ", format, arguments);
    va_end(arguments);
    return code;
}

void out_note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(stderr, "", format, arguments);
    va_end(arguments);
}

void out_json(const json_t *value) {
    json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    putchar('\n');
    fflush(stdout);
}

/* -- Colours and words ------------------------------------------------------------------------- */

const char *out_color(FILE *stream, enum out_color color) {
    static const char *const escapes[] = {"\033[0m",  "\033[1m",  "\033[2m",
                                          "\033[31m", "\033[32m", "\033[33m"};
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    bool plain = (no_color && *no_color) || (terminal && strcmp(terminal, "dumb") == 0);
    return !plain && isatty(fileno(stream)) ? escapes[color] : "";
}

int out_columns(int *rows) {
    struct winsize window = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0;
    if (rows != NULL)
        *rows = known && window.ws_row > 0 ? window.ws_row : 24;
    return known && window.ws_col > 0 ? window.ws_col : 80;
}

const char *out_text(const json_t *value, const char *field) {
    return json_string_value(json_object_get(value, field));
}

enum out_color out_status_color(const char *status) {
    if (strcmp(status, "completed") == 0) {
        return OUT_GREEN;
    }
    if (strcmp(status, "failed") == 0) {
        return OUT_RED;
    }
    return strcmp(status, "processing") == 0 ? OUT_YELLOW : OUT_DIM;
}

const char *out_duration(double seconds, char *buffer, size_t size) {
    long whole = (long)seconds;
    if (seconds < 60) {
        snprintf(buffer, size, "%.1f s", seconds);
    } else if (whole < 3600) {
        snprintf(buffer, size, "%ld min %ld s", whole / 60, whole % 60);
    } else {
        snprintf(buffer, size, "%ld h %ld min", whole / 3600, whole / 60 % 60);
    }
    return buffer;
}

const char *out_bytes(double bytes, char *buffer, size_t size) {
    static const char *const units[] = {"bytes", "KB", "MB", "GB", "TB"};
    size_t unit = 0;
    for (; bytes >= 1000 && unit + 1 < sizeof units / sizeof *units; unit++) {
        bytes /= 1000;
    }
    snprintf(buffer, size, unit && bytes < 10 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return buffer;
}

/* Columns that UTF-8 text takes, good enough for names and bars: bytes that begin a character. */
static size_t text_width(const char *text) {
    size_t width = 0;
    for (; *text; text++) {
        width += ((unsigned char)*text & 0xC0) != 0x80;
    }
    return width;
}

void out_table(const char *const *cells, size_t rows, size_t columns) {
    for (size_t row = 0; row < rows; row++) {
        printf("%s", row == 0 ? out_color(stdout, OUT_DIM) : "");
        for (size_t column = 0; column < columns; column++) {
            size_t width = 0;
            for (size_t other = 0; other < rows; other++) {
                size_t needed = text_width(cells[other * columns + column]);
                width = needed > width ? needed : width;
            }
            const char *cell = cells[row * columns + column];
            size_t padding = column + 1 < columns ? width - text_width(cell) + 2 : 0;
            printf("%s%*s", cell, (int)padding, "");
        }
        printf("%s\n", row == 0 ? out_color(stdout, OUT_PLAIN) : "");
    }
}

/* -- Bars -------------------------------------------------------------------------------------- */

enum { BAR_CELLS = 20, BAR_NAME = 24, BAR_SLOTS = 64 };

struct bar {
    char name[64];
    long done, total;
    double started, ended;
    bool printed; /* without a terminal: its line is out */
};

struct bars {
    FILE *stream;
    bool terminal;
    double since; /* when the last one ended, or the first began: when the next one's time begins */
    size_t count, drawn;
    struct bar slots[BAR_SLOTS];
};

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct bars *bars_new(FILE *stream) {
    struct bars *bars = calloc(1, sizeof *bars);
    if (bars) {
        bars->stream = stream;
        bars->terminal = isatty(fileno(stream));
        bars->since = seconds_now();
    }
    return bars;
}

static void draw(FILE *stream, const struct bar *bar) {
    long full = bar->total > 0 ? bar->done * BAR_CELLS / bar->total : 0;
    double end = bar->ended > 0 ? bar->ended : seconds_now();
    char counts[32], duration[32];
    snprintf(counts, sizeof counts, "%ld/%ld", bar->done, bar->total);
    int padding = BAR_NAME - (int)text_width(bar->name);
    fprintf(stream, "%s%*s %s%s ", bar->name, padding > 0 ? padding : 0, "", counts,
            out_color(stream, OUT_GREEN));
    for (int i = 0; i < BAR_CELLS; i++) {
        fputs(i < full ? "█" : " ", stream);
    }
    fprintf(stream, "%s  %s\n", out_color(stream, OUT_PLAIN),
            out_duration(end - bar->started, duration, sizeof duration));
}

static struct bar *find_bar(struct bars *bars, const char *name) {
    for (size_t i = 0; i < bars->count; i++) {
        if (strcmp(bars->slots[i].name, name) == 0) {
            return &bars->slots[i];
        }
    }
    if (bars->count == BAR_SLOTS) {
        return NULL;
    }
    struct bar *bar = &bars->slots[bars->count++];
    snprintf(bar->name, sizeof bar->name, "%s", name);
    bar->started = bars->since;
    return bar;
}

/* Goes up over what was drawn and draws all of it again. */
static void redraw(struct bars *bars) {
    if (bars->drawn > 0) {
        fprintf(bars->stream, "\033[%zuA", bars->drawn);
    }
    for (size_t i = 0; i < bars->count; i++) {
        fputs("\033[2K", bars->stream);
        draw(bars->stream, &bars->slots[i]);
    }
    bars->drawn = bars->count;
    fflush(bars->stream);
}

void bars_set(struct bars *bars, const char *name, long done, long total) {
    struct bar *bar = bars ? find_bar(bars, name) : NULL;
    if (!bar || (bar->done == done && bar->total == total)) {
        return;
    }
    bar->done = done;
    bar->total = total;
    if (done >= total && bar->ended == 0) {
        bar->ended = bars->since = seconds_now();
    }
    if (bars->terminal) {
        redraw(bars);
    } else if (done >= total && !bar->printed) {
        bar->printed = true;
        draw(bars->stream, bar);
        fflush(bars->stream);
    }
}

void bars_free(struct bars *bars) {
    free(bars);
}
