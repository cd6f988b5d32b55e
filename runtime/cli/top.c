/* top.c - `stance top`: what the host does right now, on a screen that keeps itself up to date.
 *
 * A thread reads the host's views line by line (GET /api/top) and hands the newest over; the main
 * thread waits for it, for keys and for the window's size. Without a terminal there is one view. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/memory.h"
#include "cli/options.h"
#include "cli/output.h"

static double number(const json_t *object, const char *field) {
    return json_number_value(json_object_get(object, field));
}

/* -- A page of lines --------------------------------------------------------------------------- */

struct page {
    int columns, rows; /* of the window; 0: as many as there are */
    int row, column;
    bool escapes; /* colours, and the rest of each line is wiped */
};

static void set_color(const struct page *page, enum out_color color) {
    if (page->escapes)
        fputs(out_color(stdout, color), stdout);
}

static bool is_full(const struct page *page) {
    return page->rows > 0 && page->row >= page->rows;
}

/* Text up to the window's edge. */
static void put(struct page *page, enum out_color color, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void put(struct page *page, enum out_color color, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (is_full(page))
        return;
    if (color != OUT_PLAIN)
        set_color(page, color);
    for (const char *at = text; *at; at++) {
        bool begins = ((unsigned char)*at & 0xC0) != 0x80; /* a character, in UTF-8 */
        if (begins && page->columns > 0 && page->column >= page->columns)
            break;
        page->column += begins;
        putchar((unsigned char)*at < 32 ? ' ' : *at);
    }
    if (color != OUT_PLAIN)
        set_color(page, OUT_PLAIN);
}

static void end_line(struct page *page) {
    if (is_full(page))
        return;
    page->column = 0;
    page->row++;
    if (page->escapes)
        fputs("\033[K", stdout);
    if (!is_full(page))
        putchar('\n');
}

/* -- The parts --------------------------------------------------------------------------------- */

static void put_host(struct page *page, const json_t *view, const char *url, const char *state) {
    const json_t *host = json_object_get(view, "host");
    char uptime[32], memory[32];
    double lag = number(host, "lag_s") * 1000;
    put(page, OUT_BOLD, "stance %s", jobs_text(host, "version"));
    put(page, OUT_PLAIN, "  %s  generation %.8s  up %s", url, jobs_text(host, "generation"),
        out_duration(number(host, "uptime_s"), uptime, sizeof uptime));
    put(page, OUT_YELLOW, "%s%s", state[0] ? "  " : "", state);
    end_line(page);
    put(page, OUT_PLAIN, "cpu %5.1f %%   loop busy %5.1f %%   longest turn ",
        number(host, "cpu") * 100, number(host, "busy") * 100);
    put(page, lag >= 50 ? OUT_RED : OUT_PLAIN, "%.1f ms", lag);
    put(page, OUT_PLAIN, "   memory %s   threads %.0f",
        out_bytes(number(host, "memory_bytes"), memory, sizeof memory), number(host, "threads"));
    end_line(page);
}

static void put_rates(struct page *page, const json_t *view) {
    const json_t *rates = json_object_get(view, "rates"), *http = json_object_get(view, "http");
    const json_t *connections = json_object_get(http, "connections");
    char bytes[32];
    double failed = number(rates, "failed");
    put(page, OUT_PLAIN, "jobs/s    submitted %.1f   started %.1f   completed %.1f   ",
        number(rates, "submitted"), number(rates, "started"), number(rates, "completed"));
    put(page, failed > 0 ? OUT_RED : OUT_PLAIN, "failed %.1f", failed);
    put(page, OUT_PLAIN, "   steps %.1f   artifacts %s/s", number(rates, "steps"),
        out_bytes(number(rates, "artifact_bytes"), bytes, sizeof bytes));
    end_line(page);
    put(page, OUT_PLAIN, "http      %.1f requests/s", number(rates, "http_requests"));
    if (json_is_number(json_object_get(http, "p50_s")))
        put(page, OUT_PLAIN, "   p50 %.2f ms   p99 %.2f ms", number(http, "p50_s") * 1000,
            number(http, "p99_s") * 1000);
    put(page, OUT_PLAIN, "   connections %.0f   websockets %.0f",
        number(connections, "idle") + number(connections, "request"),
        number(connections, "websocket"));
    end_line(page);
    put(page, OUT_PLAIN, "database  %.1f transactions/s   waiting %.0f",
        number(rates, "transactions"), number(json_object_get(view, "db"), "queue"));
    put(page, number(rates, "errors") > 0 ? OUT_RED : OUT_PLAIN,
        "   log: %.1f warnings/s, %.1f errors/s", number(rates, "warnings"),
        number(rates, "errors"));
    end_line(page);
}

static void put_queues(struct page *page, const json_t *queues) {
    size_t index;
    json_t *queue;
    char oldest[32];
    end_line(page);
    put(page, OUT_DIM, "%-24s %8s %10s  %s", "QUEUE", "PENDING", "PROCESSING", "OLDEST");
    end_line(page);
    json_array_foreach(queues, index, queue) {
        double pending = number(queue, "pending");
        put(page, OUT_PLAIN, "%-24.24s %8.0f %10.0f  %s", jobs_text(queue, "type"), pending,
            number(queue, "processing"),
            pending > 0 ? out_duration(number(queue, "oldest_s"), oldest, sizeof oldest) : "-");
        end_line(page);
    }
    if (json_array_size(queues) == 0) {
        put(page, OUT_DIM, "no job is pending or running");
        end_line(page);
    }
}

static const char *const sort_fields[] = {"name", "cpu", "memory_bytes", "jobs"};
static const char *const sort_words[] = {"name", "CPU", "memory", "jobs"};
enum { SORT_COUNT = sizeof sort_fields / sizeof *sort_fields };
static size_t sort_by;

static int compare_workers(const void *a, const void *b) {
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    if (sort_by == 0)
        return strverscmp(jobs_text(x, "name"), jobs_text(y, "name"));
    double p = number(x, sort_fields[sort_by]), q = number(y, sort_fields[sort_by]);
    return p < q ? 1 : p > q ? -1 : strverscmp(jobs_text(x, "name"), jobs_text(y, "name"));
}

static void put_workers(struct page *page, const json_t *workers) {
    size_t count = json_array_size(workers);
    json_t **sorted = memory_need(calloc(count + 1, sizeof *sorted));
    for (size_t i = 0; i < count; i++)
        sorted[i] = json_array_get(workers, i);
    qsort(sorted, count, sizeof *sorted, compare_workers);
    end_line(page);
    put(page, OUT_DIM, "%-12s %8s %-9s %5s %7s %9s %9s", "WORKER", "PID", "SCRIPTS ", "JOBS",
        "CPU %", "MEMORY", "RESTARTS");
    end_line(page);
    for (size_t i = 0; i < count; i++) {
        char memory[32];
        bool up = number(sorted[i], "pid") > 0;
        double restarts = number(sorted[i], "restarts");
        put(page, up ? OUT_PLAIN : OUT_RED, "%-12.12s %8.0f %-9.8s %5.0f %7.1f %9s",
            jobs_text(sorted[i], "name"), number(sorted[i], "pid"),
            jobs_text(sorted[i], "generation"), number(sorted[i], "jobs"),
            number(sorted[i], "cpu") * 100,
            out_bytes(number(sorted[i], "memory_bytes"), memory, sizeof memory));
        put(page, restarts > 0 ? OUT_YELLOW : OUT_PLAIN, " %9.0f", restarts);
        end_line(page);
    }
    free(sorted);
}

/* "a 3, b 2, ..." of a list of {name, FIELD}. */
static void put_list(struct page *page, const char *title, const json_t *list, const char *field,
                     bool bytes) {
    size_t index;
    json_t *entry;
    char text[32];
    put(page, OUT_DIM, "%-10s", title);
    json_array_foreach(list, index, entry) {
        double value = number(entry, field);
        snprintf(text, sizeof text, "%.0f", value);
        put(page, OUT_PLAIN, "%s%s %s", index ? ", " : "", jobs_text(entry, "name"),
            bytes ? out_bytes(value, text, sizeof text) : text);
    }
    end_line(page);
}

static void draw(struct page *page, const json_t *view, const char *url, const char *state) {
    put_host(page, view, url, state);
    put_rates(page, view);
    put_queues(page, json_object_get(view, "queues"));
    put_workers(page, json_object_get(view, "workers"));
    end_line(page);
    put_list(page, "FIBERS", json_object_get(view, "fibers"), "count", false);
    put_list(page, "VMS", json_object_get(view, "vms"), "memory_bytes", true);
}

/* -- The screen -------------------------------------------------------------------------------- */

struct reader {
    struct client *client;
    double interval;
    int wake[2]; /* a pipe: a byte for each view, or for the end */
    pthread_mutex_t lock;
    json_t *newest; /* guarded by lock, as what follows */
    bool over;
    char why[256]; /* it is over */
};

static bool take_view(void *arg, const json_t *view) {
    struct reader *reader = arg;
    pthread_mutex_lock(&reader->lock);
    json_decref(reader->newest);
    reader->newest = json_incref((json_t *)(uintptr_t)view);
    reader->over = false;
    pthread_mutex_unlock(&reader->lock);
    return write(reader->wake[1], "", 1) == 1;
}

/* Comes back to a host that was restarted. */
static void *read_views(void *arg) {
    struct reader *reader = arg;
    char path[64];
    snprintf(path, sizeof path, "/api/top?follow=1&interval=%g", reader->interval);
    for (;;) {
        int code = client_lines(reader->client, path, 0, take_view, reader);
        pthread_mutex_lock(&reader->lock);
        reader->over = true;
        snprintf(reader->why, sizeof reader->why, "%s",
                 code == EXIT_OK ? "the host ended the stream" : client_message(reader->client));
        pthread_mutex_unlock(&reader->lock);
        if (write(reader->wake[1], "", 1) != 1)
            return NULL;
        sleep(1);
    }
}

static struct termios former;
static volatile sig_atomic_t ended;

static void restore_terminal(void) {
    tcsetattr(STDIN_FILENO, TCSANOW, &former);
    fputs("\033[?25h\033[?1049l", stdout); /* the cursor, and the screen that was there before */
    fflush(stdout);
}

static void on_signal(int signal_number) {
    if (signal_number != SIGWINCH) /* which only ends the wait, so that all is drawn again */
        ended = 1;
}

static void take_terminal(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGWINCH, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    tcgetattr(STDIN_FILENO, &former);
    struct termios raw = former;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    fputs("\033[?1049h\033[?25l", stdout);
}

/* `why` it goes on no more; "" while it does. */
static void draw_screen(const json_t *view, const char *url, bool paused, const char *why) {
    int rows, columns = out_columns(&rows);
    struct page page = {.columns = columns, .rows = rows > 1 ? rows - 1 : 1, .escapes = true};
    fputs("\033[H", stdout);
    if (view != NULL)
        draw(&page, view, url, *why ? why : paused ? "paused" : "");
    else
        put(&page, OUT_PLAIN, "%s%s", *why ? why : "waiting for ", *why ? "" : url);
    fputs("\033[J", stdout);
    page = (struct page){.columns = columns, .escapes = true};
    printf("\033[%d;1H", rows);
    put(&page, OUT_DIM, "q quit   p %s   s sort by %s", paused ? "go on" : "pause",
        sort_words[(sort_by + 1) % SORT_COUNT]);
    fputs("\033[K", stdout);
    fflush(stdout);
}

/* False: it is time to end. */
static bool obey(char key, bool *paused) {
    if (key == 'p' || key == ' ')
        *paused = !*paused;
    if (key == 's')
        sort_by = (sort_by + 1) % SORT_COUNT;
    return key != 'q' && key != 'Q' && key != 3;
}

static void run_screen(struct reader *reader, const char *url) {
    bool paused = false;
    char why[sizeof reader->why] = "";
    json_t *shown = NULL;
    while (!ended) {
        struct pollfd waits[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                 {.fd = reader->wake[0], .events = POLLIN}};
        char keys[16];
        draw_screen(shown, url, paused, why);
        if (poll(waits, 2, -1) < 0)
            continue; /* a signal: the window's size, or the end */
        ssize_t count = waits[0].revents ? read(STDIN_FILENO, keys, sizeof keys) : 0;
        if (waits[0].revents && count <= 0)
            break; /* the terminal is gone */
        for (ssize_t i = 0; i < count; i++)
            ended |= !obey(keys[i], &paused);
        if (waits[1].revents)
            (void)!read(reader->wake[0], keys, sizeof keys);
        pthread_mutex_lock(&reader->lock);
        snprintf(why, sizeof why, "%s", reader->over ? reader->why : "");
        if (!paused && reader->newest != NULL) {
            json_decref(shown);
            shown = json_incref(reader->newest);
        }
        pthread_mutex_unlock(&reader->lock);
    }
    json_decref(shown);
}

/* Ends the process without waiting for the reader, which may be waiting for the host. */
static int watch(struct client *client, double interval) {
    struct reader *reader = memory_need(calloc(1, sizeof *reader));
    pthread_t thread;
    *reader = (struct reader){.client = client, .interval = interval};
    pthread_mutex_init(&reader->lock, NULL);
    if (pipe(reader->wake) < 0 || pthread_create(&thread, NULL, read_views, reader) != 0)
        return out_fail(EXIT_FAILED, "cannot start: %s", strerror(errno));
    take_terminal();
    run_screen(reader, client_url(client));
    restore_terminal();
    _exit(EXIT_OK);
}

/* -- Without a screen -------------------------------------------------------------------------- */

static bool print_view(void *arg, const json_t *view) {
    (void)arg;
    out_json(view);
    return !ended;
}

static int once(struct client *client, double interval, bool json) {
    char path[64];
    json_t *view = NULL;
    snprintf(path, sizeof path, "/api/top?interval=%g", interval);
    int code = client_get(client, path, &view);
    if (code != EXIT_OK)
        return client_report(client, code);
    struct page page = {0};
    if (json)
        out_json(view);
    else
        draw(&page, view, client_url(client), "");
    json_decref(view);
    return EXIT_OK;
}

static int stream(struct client *client, double interval) {
    char path[64];
    snprintf(path, sizeof path, "/api/top?follow=1&interval=%g", interval);
    int code = client_lines(client, path, 0, print_view, NULL);
    return code == EXIT_OK ? code : client_report(client, code);
}

int cli_top(int argc, char **argv) {
    const char *url = NULL;
    double interval = 0;
    bool json = false, just_once = false;
    const struct option options[] = {
        {"interval", 'n', OPTION_NUMBER, &interval, "SECONDS",
         "between two views (default 1; 0.1 to 60); with --json: a line each"},
        {"once", '1', OPTION_FLAG, &just_once, NULL, "one view as text, then end"},
        {"url", 0, OPTION_TEXT, &url, "URL",
         "the host (default: $STANCE_URL, " CLIENT_DEFAULT_URL ")"},
        {"json", 0, OPTION_FLAG, &json, NULL, "one JSON object; with --interval a stream of them"},
        {NULL, 0, OPTION_FLAG, NULL, NULL, NULL},
    };
    const struct usage usage = {
        "top",
        "  stance top\n  stance top --once\n  stance top --json --interval 5 | jq .rates",
        NULL,
        "What the host does right now: load, rates, queues, workers. Keys: q quits, p pauses, s "
        "sorts\nthe workers. Without a terminal: one view.",
        options,
        0,
        0,
    };
    int code = options_parse(&usage, argc, argv, NULL);
    if (code != OPTIONS_GO_ON)
        return code;
    if (interval != 0 && !(interval >= 0.1 && interval <= 60))
        return options_misuse(&usage, "--interval takes 0.1 to 60 seconds");
    struct client *client = client_new(url);
    bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    double seconds = interval > 0 ? interval : 1;
    if (json && interval > 0 && !just_once)
        code = stream(client, seconds);
    else if (json || just_once || !terminal)
        code = once(client, seconds, json);
    else
        code = watch(client, seconds);
    client_free(client);
    return code;
}
