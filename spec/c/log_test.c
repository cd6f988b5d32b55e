/* Lines go through a pipe and are read back; jansson, which the build needs anyway, says whether
 * they are JSON. */
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"

static int ends[2];
static char line[65536];

static const char *read_line(void) {
    ssize_t size = read(ends[0], line, sizeof line - 1);
    line[size > 0 ? size : 0] = '\0';
    return line;
}

/* Parses the one line that was written. */
static json_t *read_json(void) {
    json_error_t error;
    const char *text = read_line();
    size_t size = strlen(text);
    CHECK(size > 0 && size <= 4096 && text[size - 1] == '\n');
    CHECK(size == 0 || memchr(text, '\n', size - 1) == NULL);
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL) {
        check_text(__FILE__, __LINE__, error.text, NULL);
    }
    return object;
}

static const char *text_of(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

static void writes_the_usual_line(void) {
    struct log_field fields[] = {{"requestId", "r-1", false},
                                 {"n", "4.5", true},
                                 {"list", "[1,{\"a\":null}]", true},
                                 {"none", NULL, false}};
    log_write(LOG_WARN, "net", "hello", fields, 4);
    json_t *object = read_json();
    const char *ts = text_of(object, "ts");
    CHECK(ts != NULL && strlen(ts) == 24 && ts[10] == 'T' && ts[19] == '.' && ts[23] == 'Z');
    CHECK_TEXT(text_of(object, "level"), "warn");
    CHECK_TEXT(text_of(object, "service"), "net");
    CHECK_TEXT(text_of(object, "message"), "hello");
    CHECK_TEXT(text_of(object, "requestId"), "r-1");
    CHECK(json_number_value(json_object_get(object, "n")) == 4.5);
    CHECK(json_array_size(json_object_get(object, "list")) == 2);
    CHECK(json_is_null(json_object_get(object, "none")));
    CHECK(strstr(line, "\"service\":\"net\",\"message\":\"hello\",\"requestId\"") != NULL);
    json_decref(object);
}

static void leaves_errno_alone(void) {
    errno = EXDEV;
    log_info("x", "y");
    CHECK(errno == EXDEV);
    json_decref(read_json());
}

static void escapes_what_json_forbids(void) {
    static const struct {
        const char *given, *read;
    } cases[] = {
        {"\"\\/\b\f\n\r\t", "\"\\/\b\f\n\r\t"},
        {"\1\33\37\177", "\1\33\37\177"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x99\x82",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x99\x82"},
        {"\xff", "\xef\xbf\xbd"},
        {"a\xc3", "a\xef\xbf\xbd"},                               /* cut short */
        {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
        {"\xf4\x90\x80\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct log_field field = {cases[i].given, cases[i].given, false};
        log_write(LOG_INFO, cases[i].given, cases[i].given, &field, 1);
        json_t *object = read_json();
        CHECK_TEXT(text_of(object, "message"), cases[i].read);
        CHECK_TEXT(text_of(object, cases[i].read), cases[i].read);
        json_decref(object);
    }
}

static void keeps_its_own_names(void) {
    struct log_field fields[] = {
        {"message", "other", false}, {"ts", "1", true}, {"x", "1\n2", true}};
    log_write(LOG_INFO, "s", "mine", fields, 3);
    json_t *object = read_json();
    CHECK_TEXT(text_of(object, "message"), "mine");
    CHECK_TEXT(text_of(object, "message_"), "other");
    CHECK_TEXT(text_of(object, "x"), "1\n2"); /* no line break gets in as "JSON" */
    json_decref(object);
}

static void cuts_long_lines_where_they_stay_json(void) {
    static char big[20000];
    for (size_t size = 2000; size < 5000; size += 7) {
        memset(big, 'x', size);
        memcpy(big + size, "\xf0\x9f\x99\x82\n\xff", 7);
        struct log_field fields[] = {{"first", "1", true}, {big, big, false}, {"last", big, true}};
        log_write(LOG_INFO, big, big, fields, 3);
        json_t *object = read_json();
        CHECK(json_is_true(json_object_get(object, "truncated")));
        CHECK(strlen(text_of(object, "message")) > 1000);
        CHECK(json_number_value(json_object_get(object, "first")) == 1);
        json_decref(object);
    }
}

static void fuzzes(void) {
    unsigned state = 7;
    static char message[6000], value[3000];
    for (int round = 0; round < 2000; round++) {
        for (size_t i = 0; i < sizeof message; i++) {
            state = state * 1664525u + 1013904223u;
            message[i] = (char)(state >> 24);
        }
        message[(state >> 3) % sizeof message] = '\0';
        memcpy(value, message + 1000, sizeof value - 1);
        struct log_field fields[] = {
            {value, value, false}, {"k", "[1]", true}, {"z", message, false}};
        log_write(LOG_ERROR, value + 100, message, fields, 3);
        json_decref(read_json());
    }
}

static void heeds_the_level(void) {
    enum log_level level;
    log_configure(LOG_WARN, LOG_JSON);
    CHECK(!log_enabled(LOG_INFO) && log_enabled(LOG_WARN));
    log_info("s", "not written");
    log_error("s", "number %d", 4);
    json_t *object = read_json();
    CHECK_TEXT(text_of(object, "message"), "number 4");
    json_decref(object);
    CHECK(log_parse_level("WARN", &level) && level == LOG_WARN && !log_parse_level("w", &level));
    log_configure(LOG_DEBUG, LOG_JSON);
}

static void writes_text_without_surprises(void) {
    struct log_field field = {"key", "va\33[31ml\xc2\x9b", false};
    log_configure(LOG_DEBUG, LOG_TEXT);
    log_write(LOG_WARN, "net", "one\ntwo\33[2J", &field, 1);
    CHECK_TEXT(read_line() + 12,
               " WARN  net: one\n    two\\x1b[2J  key=va\\x1b[31ml\xef\xbf\xbd\n");
    log_configure(LOG_DEBUG, LOG_JSON);
}

/* A terminal hands over what was written to it in pieces of its own choice. */
static void read_terminal_line(int master, char *text, size_t size) {
    size_t used = 0;
    ssize_t more;
    do {
        more = read(master, text + used, size - 1 - used);
        used += more > 0 ? (size_t)more : 0;
        text[used] = '\0';
    } while (more > 0 && strchr(text, '\n') == NULL);
}

static void colours_terminals_only(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) {
        SKIP("no pseudo terminals here");
    }
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    char text[512];
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
    for (int round = 0; round < 2; round++) {
        log_configure(LOG_DEBUG, LOG_AUTO);
        log_set_fd(terminal);
        log_warn("net", "careful");
        read_terminal_line(master, text, sizeof text);
        CHECK(strstr(text, "net: careful") != NULL);
        CHECK((strchr(text, '\33') != NULL) == (round == 0));
        setenv("NO_COLOR", "1", 1);
    }
    log_configure(LOG_DEBUG, LOG_JSON);
    log_set_fd(ends[1]);
    close(terminal);
    close(master);
}

static void *write_many(void *arg) {
    for (int i = 0; i < 500; i++) {
        log_info(arg, "line %d", i);
    }
    return NULL;
}

static void keeps_lines_whole_between_threads(void) {
    pthread_t threads[4];
    char path[] = "/tmp/log_testXXXXXX";
    int fd = mkstemp(path), count = 0;
    unlink(path);
    log_set_fd(fd);
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, write_many, i % 2 ? "odd" : "even");
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    log_set_fd(ends[1]);
    FILE *file = fdopen(fd, "r");
    rewind(file);
    while (fgets(line, sizeof line, file) != NULL) {
        json_t *object = json_loads(line, 0, NULL);
        count += object != NULL;
        json_decref(object);
    }
    CHECK(count == 2000);
    fclose(file);
}

static void gives_up_on_a_full_pipe(void) {
    static char filler[4096];
    int full[2];
    CHECK(pipe2(full, O_NONBLOCK) == 0);
    while (write(full[1], filler, sizeof filler) > 0) {
    }
    log_set_fd(full[1]);
    log_info("s", "lost");
    log_set_fd(ends[1]);
    close(full[0]);
    close(full[1]);
}

int main(void) {
    static const struct test tests[] = {
        TEST(writes_the_usual_line),
        TEST(leaves_errno_alone),
        TEST(escapes_what_json_forbids),
        TEST(keeps_its_own_names),
        TEST(cuts_long_lines_where_they_stay_json),
        TEST(fuzzes),
        TEST(heeds_the_level),
        TEST(writes_text_without_surprises),
        TEST(colours_terminals_only),
        TEST(keeps_lines_whole_between_threads),
        TEST(gives_up_on_a_full_pipe),
    };
    CHECK(pipe(ends) == 0);
    log_set_fd(ends[1]);
    log_configure(LOG_DEBUG, LOG_JSON);
    return RUN(tests);
}
