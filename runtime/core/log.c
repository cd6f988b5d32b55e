#include "core/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "core/metrics.h"
#include "core/utf8.h"

enum {
    /* A pipe takes 4,096 bytes (PIPE_BUF) as one piece, so that lines of several processes on one
       pipe never mix. */
    JSON_LINE_MAX = 4096,
    TEXT_LINE_MAX = 16384,
    /* What a line keeps free for the fields when its message is very long. */
    FIELDS_ROOM = 1024,
    /* A field of which fewer bytes than this would be left is dropped, not cut. */
    FIELD_LEAST = 24,
};

static const char TRUNCATED_TAIL[] = ",\"truncated\":true}\n";
static const char ELLIPSIS[] = "\xe2\x80\xa6";

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static struct {
    atomic_int least;
    atomic_int least_of_all; /* the least that stderr or a follower wants */
    atomic_int format;
    atomic_int fd;
    atomic_bool is_text; /* worked out from format and fd */
    atomic_bool has_colours;
} state = {LOG_INFO, LOG_INFO, LOG_JSON, STDERR_FILENO, false, false};

static struct {
    pthread_mutex_t lock;
    struct log_follower *first;
} followers = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* -- Settings ---------------------------------------------------------------------------------- */

static void apply_format(void) {
    int fd = atomic_load(&state.fd);
    int format = atomic_load(&state.format);
    bool terminal = isatty(fd) == 1;
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    bool plain =
        (no_color != NULL && no_color[0] != '\0') || (term != NULL && strcmp(term, "dumb") == 0);
    atomic_store(&state.is_text, format == LOG_TEXT || (format == LOG_AUTO && terminal));
    atomic_store(&state.has_colours, terminal && !plain);
}

/* Under the followers' lock. */
static void apply_least(void) {
    int least = atomic_load(&state.least);
    for (struct log_follower *each = followers.first; each != NULL; each = each->next) {
        least = (int)each->least < least ? (int)each->least : least;
    }
    atomic_store(&state.least_of_all, least);
}

void log_configure(enum log_level least, enum log_format format) {
    pthread_mutex_lock(&followers.lock);
    atomic_store(&state.least, (int)least);
    apply_least();
    pthread_mutex_unlock(&followers.lock);
    atomic_store(&state.format, (int)format);
    apply_format();
}

void log_set_fd(int fd) {
    atomic_store(&state.fd, fd);
    apply_format();
}

bool log_parse_level(const char *name, enum log_level *out) {
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        if (strcasecmp(name, level_names[level]) == 0) {
            *out = (enum log_level)level;
            return true;
        }
    }
    return false;
}

bool log_enabled(enum log_level level) {
    return (int)level >= atomic_load_explicit(&state.least_of_all, memory_order_relaxed);
}

/* -- A line ------------------------------------------------------------------------------------ */

struct line {
    size_t used;
    size_t room; /* puts stop here; the tail has its own place behind it */
    bool truncated;
    char bytes[TEXT_LINE_MAX];
};

static bool put(struct line *line, const char *bytes, size_t size) {
    if (size > line->room - line->used) {
        line->truncated = true;
        return false;
    }
    memcpy(line->bytes + line->used, bytes, size);
    line->used += size;
    return true;
}

static bool put_text(struct line *line, const char *text) {
    return put(line, text, strlen(text));
}

/* One character of a JSON string, escaped; returns the bytes of input it took. */
static size_t escape_json(const char *in, size_t size, char out[8], size_t *out_size) {
    unsigned char byte = (unsigned char)in[0];
    const char *names = "\"\"\\\\\bb\ff\nn\rr\tt";
    if (byte > '"' && byte < 0x7f && byte != '\\') {
        out[0] = in[0];
        *out_size = 1;
        return 1;
    }
    for (const char *pair = names; *pair != '\0'; pair += 2) {
        if (in[0] == pair[0]) {
            out[0] = '\\';
            out[1] = pair[1];
            *out_size = 2;
            return 1;
        }
    }
    if (byte < 0x20 || byte == 0x7f) {
        *out_size = (size_t)snprintf(out, 8, "\\u%04x", byte);
        return 1;
    }
    size_t step = utf8_step(in, size);
    *out_size = step > 0 ? step : sizeof UTF8_REPLACEMENT - 1;
    memcpy(out, step > 0 ? in : UTF8_REPLACEMENT, *out_size);
    return step > 0 ? step : 1;
}

/* One character for a terminal: nothing that could move the cursor or change colours passes. */
static size_t escape_terminal(const char *in, size_t size, char out[8], size_t *out_size) {
    unsigned char byte = (unsigned char)in[0];
    size_t step = utf8_step(in, size);
    bool is_c1 = step == 2 && byte == 0xc2 && (unsigned char)in[1] < 0xa0;
    if (in[0] == '\n') {
        memcpy(out, "\n    ", *out_size = 5);
    } else if (byte == '\t') {
        memcpy(out, "    ", *out_size = 4);
    } else if (byte < 0x20 || byte == 0x7f) {
        *out_size = (size_t)snprintf(out, 8, "\\x%02x", byte);
    } else if (step == 0 || is_c1) {
        memcpy(out, UTF8_REPLACEMENT, *out_size = sizeof UTF8_REPLACEMENT - 1);
    } else {
        memcpy(out, in, *out_size = step);
    }
    return step > 0 ? step : 1;
}

typedef size_t (*escape_fn)(const char *in, size_t size, char out[8], size_t *out_size);

/* Puts what fits below `limit`; a text that does not fit ends with an ellipsis. */
static void put_escaped(struct line *line, const char *text, size_t limit, escape_fn escape) {
    size_t size = strlen(text);
    size_t at = 0;
    while (at < size) {
        char out[8];
        size_t out_size;
        size_t step = escape(text + at, size - at, out, &out_size);
        size_t reserve = at + step < size ? sizeof ELLIPSIS - 1 : 0;
        if (line->used + out_size + reserve > limit) {
            if (line->used + sizeof ELLIPSIS - 1 <= limit) {
                put_text(line, ELLIPSIS);
            }
            line->truncated = true;
            return;
        }
        put(line, out, out_size);
        at += step;
    }
}

static void put_json_string(struct line *line, const char *text, size_t limit) {
    put_text(line, "\"");
    put_escaped(line, text, limit - 1, escape_json);
    put_text(line, "\"");
}

/* What was given as JSON may not break the line. */
static bool is_literal(const struct log_field *field) {
    if (!field->literal || field->value == NULL || field->value[0] == '\0') {
        return false;
    }
    for (const char *c = field->value; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20) {
            return false;
        }
    }
    return true;
}

/* -- JSON form --------------------------------------------------------------------------------- */

static void stamp(char out[32], struct timespec *now, struct tm *utc) {
    clock_gettime(CLOCK_REALTIME, now);
    gmtime_r(&now->tv_sec, utc);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%S", utc);
}

static bool is_reserved(const char *key) {
    static const char *const reserved[] = {"ts", "level", "service", "message", "truncated"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (strcmp(key, reserved[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void put_json_field(struct line *line, const struct log_field *field) {
    size_t start = line->used;
    char key[80];
    /* A second "message" would hide the first from most readers: such a field gets another name. */
    snprintf(key, sizeof key, "%.64s%s", field->key, is_reserved(field->key) ? "_" : "");
    if (line->room - line->used < 6 * sizeof key) {
        line->truncated = true;
        return;
    }
    put_text(line, ",");
    put_json_string(line, key, line->room);
    put_text(line, ":");
    if (field->value == NULL) {
        put_text(line, "null");
    } else if (is_literal(field)) {
        if (!put_text(line, field->value)) {
            line->used = start;
        }
    } else if (line->room - line->used < FIELD_LEAST) {
        line->truncated = true;
        line->used = start;
    } else {
        put_json_string(line, field->value, line->room);
    }
}

static void format_json(struct line *line, enum log_level level, const char *service,
                        const char *message, const struct log_field *fields, size_t field_count) {
    struct timespec now;
    struct tm utc;
    char date[32];
    char head[96];
    stamp(date, &now, &utc);
    snprintf(head, sizeof head, "{\"ts\":\"%s.%03ldZ\",\"level\":\"%s\",\"service\":", date,
             now.tv_nsec / 1000000, level_names[level]);
    line->room = JSON_LINE_MAX - (sizeof TRUNCATED_TAIL - 1);
    put_text(line, head);
    put_json_string(line, service, 256);
    put_text(line, ",\"message\":");
    put_json_string(line, message, line->room - FIELDS_ROOM);
    for (size_t i = 0; i < field_count; i++) {
        put_json_field(line, &fields[i]);
    }
    const char *tail = line->truncated ? TRUNCATED_TAIL : "}\n";
    memcpy(line->bytes + line->used, tail, strlen(tail));
    line->used += strlen(tail);
}

/* -- Text form --------------------------------------------------------------------------------- */

static void format_text(struct line *line, bool colour, enum log_level level, const char *service,
                        const char *message, const struct log_field *fields, size_t field_count) {
    static const char *const colours[] = {"\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m"};
    static const char *const words[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
    const char *dim = colour ? "\x1b[2m" : "";
    const char *plain = colour ? "\x1b[0m" : "";
    struct timespec now;
    struct tm utc;
    char date[32];
    char head[128];
    stamp(date, &now, &utc);
    line->room = TEXT_LINE_MAX - 1;
    snprintf(head, sizeof head, "%s%s.%03ld%s %s%s%s ", dim, date + 11, now.tv_nsec / 1000000,
             plain, colour ? colours[level] : "", words[level], plain);
    put_text(line, head);
    put_escaped(line, service, 256, escape_terminal);
    put_text(line, ": ");
    put_escaped(line, message, line->room - FIELDS_ROOM, escape_terminal);
    for (size_t i = 0; i < field_count && line->room - line->used > 160; i++) {
        put_text(line, "  ");
        put_text(line, dim);
        put_escaped(line, fields[i].key, line->used + 64, escape_terminal);
        put_text(line, "=");
        put_text(line, plain);
        put_escaped(line, fields[i].value != NULL ? fields[i].value : "null", line->room - 16,
                    escape_terminal);
    }
    line->bytes[line->used++] = '\n';
}

/* -- Writing ----------------------------------------------------------------------------------- */

/* One write in all usual cases. Where stderr is a pipe that somebody made non-blocking and nobody
 * reads, the line is lost after a moment: a log must not stop the process. */
static void write_line(const struct line *line) {
    int fd = atomic_load(&state.fd);
    size_t at = 0;
    while (at < line->used) {
        ssize_t written = write(fd, line->bytes + at, line->used - at);
        if (written >= 0) {
            at += (size_t)written;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            struct pollfd waiting = {.fd = fd, .events = POLLOUT};
            if (poll(&waiting, 1, 20) <= 0) {
                return;
            }
        } else if (errno != EINTR) {
            return;
        }
    }
}

static struct metric *lines_total[LOG_ERROR + 1];

static void find_counters(void) {
    struct metric_family *family = metrics_family(METRIC_COUNTER, "log_lines_total",
                                                  "Log lines written, by level.", NULL, 0, NULL);
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        lines_total[level] =
            metrics_series(family, (const char *const[]){"level", level_names[level], NULL});
    }
}

void log_follow(struct log_follower *follower) {
    pthread_mutex_lock(&followers.lock);
    follower->next = followers.first;
    followers.first = follower;
    apply_least();
    pthread_mutex_unlock(&followers.lock);
}

void log_unfollow(struct log_follower *follower) {
    pthread_mutex_lock(&followers.lock);
    struct log_follower **at = &followers.first;
    while (*at != NULL && *at != follower) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = follower->next;
    }
    apply_least();
    pthread_mutex_unlock(&followers.lock);
}

/* `line` is room to write in. */
static void tell_followers(struct line *line, enum log_level level, const char *service,
                           const char *message, const struct log_field *fields,
                           size_t field_count) {
    pthread_mutex_lock(&followers.lock);
    for (struct log_follower *each = followers.first; each != NULL; each = each->next) {
        if (level >= each->least) {
            line->used = 0;
            format_text(line, each->colour, level, service, message, fields, field_count);
            each->line(each, line->bytes, line->used);
        }
    }
    pthread_mutex_unlock(&followers.lock);
}

void log_write(enum log_level level, const char *service, const char *message,
               const struct log_field *fields, size_t field_count) {
    static pthread_once_t counters = PTHREAD_ONCE_INIT;
    if (!log_enabled(level)) {
        return;
    }
    pthread_once(&counters, find_counters);
    int saved_errno = errno;
    struct line line;
    line.used = 0;
    line.truncated = false;
    bool is_written = (int)level >= atomic_load(&state.least);
    if (is_written && atomic_load(&state.is_text)) {
        format_text(&line, atomic_load(&state.has_colours), level, service, message, fields,
                    field_count);
    } else if (is_written) {
        format_json(&line, level, service, message, fields, field_count);
    }
    if (is_written) {
        metric_add(lines_total[level], 1);
        write_line(&line);
    }
    tell_followers(&line, level, service, message, fields, field_count);
    errno = saved_errno;
}

void log_printf(enum log_level level, const char *service, const char *format, ...) {
    if (!log_enabled(level)) {
        return;
    }
    char message[JSON_LINE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    log_write(level, service, message, NULL, 0);
}
