/* log.h - structured log lines: one JSON object a line, or a readable line on a terminal.
 *
 * Every line has ts (ISO 8601 UTC, milliseconds), level, service (which part speaks: "net",
 * "store", "worker", a script's name), message, and the fields given; requestId and jobId come from
 * the running fiber. Goes to stderr. Any thread; a line is one write(2). */
#ifndef STANCE_CORE_LOG_H
#define STANCE_CORE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_AUTO, LOG_JSON, LOG_TEXT }; /* AUTO: text on a terminal */

struct log_field {
    const char *key;
    const char *value;
    bool
        literal; /* value is JSON already (a number, true, an object), else a string to be quoted */
};

void log_configure(enum log_level least, enum log_format format);
bool log_parse_level(const char *name, enum log_level *out);
bool log_enabled(enum log_level level);

/* What processes and tests may redirect: default stderr. */
void log_set_fd(int fd);

/* Somebody who is told every line from `least` on, whether it is written or not. Embed it. `line`
 * gets a readable line with its newline, in whichever thread writes it; it must not log. */
struct log_follower {
    struct log_follower *next;
    enum log_level least;
    bool colour;
    void (*line)(struct log_follower *follower, const char *text, size_t size);
};
void log_follow(struct log_follower *follower);
void log_unfollow(struct log_follower *follower); /* once it returns, `line` is called no more */

void log_write(enum log_level level, const char *service, const char *message,
               const struct log_field *fields, size_t field_count);
void log_printf(enum log_level level, const char *service, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(service, ...) log_printf(LOG_DEBUG, service, __VA_ARGS__)
#define log_info(service, ...)  log_printf(LOG_INFO, service, __VA_ARGS__)
#define log_warn(service, ...)  log_printf(LOG_WARN, service, __VA_ARGS__)
#define log_error(service, ...) log_printf(LOG_ERROR, service, __VA_ARGS__)

#endif
