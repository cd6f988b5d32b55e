/* The registry is the process's own, so that every test declares names of its own. */
#include "core/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static char *text;

static const char *render(void) {
    size_t size;
    free(text);
    text = metrics_text(&size);
    CHECK(text != NULL && strlen(text) == size);
    return text;
}

static bool has(const char *lines) {
    return strstr(render(), lines) != NULL;
}

static struct metric_family *family(enum metric_type type, const char *name) {
    struct err err = {0};
    struct metric_family *made = metrics_family(type, name, "For the test.", NULL, 0, &err);
    CHECK_TEXT(made != NULL ? NULL : err.message, NULL);
    return made;
}

static void counts(void) {
    const char *const labels[] = {"method", "GET", "code", "200", NULL};
    const char *const turned[] = {"code", "200", "method", "GET", NULL};
    struct metric_family *requests = family(METRIC_COUNTER, "requests_total");
    struct metric *series = metrics_series(requests, labels);
    CHECK(family(METRIC_COUNTER, "requests_total") == requests);
    CHECK(metrics_series(requests, turned) == series);
    metric_add(series, 2);
    metric_add(series, 0.5);
    CHECK(metric_value(series) == 2.5);
    CHECK(has("# HELP requests_total For the test.\n# TYPE requests_total counter\n"
              "requests_total{method=\"GET\",code=\"200\"} 2.5\n"));
}

static void gauges(void) {
    struct metric *series = metrics_series(family(METRIC_GAUGE, "depth"), NULL);
    metric_set(series, 7);
    metric_add(series, -9);
    CHECK(has("# TYPE depth gauge\ndepth -2\n"));
    metric_set(series, INFINITY);
    CHECK(has("\ndepth +Inf\n"));
    metric_set(series, 0.1);
    CHECK(has("\ndepth 0.1\n"));
    metric_set(series, 1e15 + 0.5);
    CHECK(has("\ndepth 1000000000000000.5\n"));
}

static void fills_histograms(void) {
    static const double bounds[] = {0.1, 1};
    struct metric_family *sizes =
        metrics_family(METRIC_HISTOGRAM, "took_seconds", "Time.", bounds, 2, NULL);
    const char *const labels[] = {"route", "/", NULL};
    struct metric *series = metrics_series(sizes, labels);
    static const double values[] = {0.05, 0.1, 0.5, 4, NAN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        metric_observe(series, values[i]);
    }
    CHECK(has("# TYPE took_seconds histogram\n"
              "took_seconds_bucket{route=\"/\",le=\"0.1\"} 2\n"
              "took_seconds_bucket{route=\"/\",le=\"1\"} 3\n"
              "took_seconds_bucket{route=\"/\",le=\"+Inf\"} 4\n"
              "took_seconds_sum{route=\"/\"} 4.65\n"
              "took_seconds_count{route=\"/\"} 4\n"));
    metric_observe(metrics_series(family(METRIC_HISTOGRAM, "other_seconds"), NULL), 0.002);
    CHECK(has("other_seconds_bucket{le=\"0.001\"} 0\nother_seconds_bucket{le=\"0.0025\"} 1\n"));
}

static void escapes_labels_and_help(void) {
    const char *const labels[] = {"path", "a\"b\\c\nd\xff\xe2\x82\xac", NULL};
    struct metric_family *odd =
        metrics_family(METRIC_GAUGE, "odd", "Back\\slash, \"quote\",\nline.", NULL, 0, NULL);
    metric_set(metrics_series(odd, labels), 1);
    CHECK(has("# HELP odd Back\\\\slash, \"quote\",\\nline.\n"));
    CHECK(has("odd{path=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\xe2\x82\xac\"} 1\n"));
}

static void refuses_what_prometheus_would(void) {
    static const struct {
        enum metric_type type;
        const char *name;
    } cases[] = {
        {METRIC_GAUGE, ""},         {METRIC_GAUGE, "1st"},          {METRIC_GAUGE, "a-b"},
        {METRIC_COUNTER, "clicks"}, {METRIC_GAUGE, "clicks_total"}, {METRIC_GAUGE, "x_sum"},
        {METRIC_GAUGE, "x_bucket"}, {METRIC_GAUGE, "process_x"},    {METRIC_GAUGE, "gr\xc3\xbc"},
    };
    static const double falling[] = {2, 1};
    struct err err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(metrics_family(cases[i].type, cases[i].name, "Help.", NULL, 0, &err) == NULL);
        CHECK(err.code == ERR_INVALID);
    }
    CHECK(metrics_family(METRIC_GAUGE, "fine", "", NULL, 0, &err) == NULL);
    CHECK(metrics_family(METRIC_HISTOGRAM, "fine", "Help.", falling, 2, &err) == NULL);
    family(METRIC_GAUGE, "taken");
    CHECK(metrics_family(METRIC_HISTOGRAM, "taken", "Help.", NULL, 0, &err) == NULL);
    CHECK(err.code == ERR_EXISTS);
}

static void settles_labels(void) {
    static const char *const good[] = {"a", "b"}, *const turned[] = {"b", "a"};
    static const char *const other[] = {"a", "c"}, *const twice[] = {"a", "a"};
    static const char *const bad[] = {"a-b"}, *const internal[] = {"__x"}, *const le[] = {"le"};
    struct err err = {0};
    struct metric_family *gauge = family(METRIC_GAUGE, "settled");
    CHECK(metrics_labels(gauge, bad, 1, &err) == ERR_INVALID);
    CHECK(metrics_labels(gauge, internal, 1, &err) == ERR_INVALID);
    CHECK(metrics_labels(gauge, twice, 2, &err) == ERR_INVALID);
    CHECK(metrics_labels(family(METRIC_HISTOGRAM, "settled_too"), le, 1, &err) == ERR_INVALID);
    CHECK(metrics_labels(gauge, good, 2, &err) == 0);
    CHECK(metrics_labels(gauge, turned, 2, &err) == 0);
    CHECK(metrics_labels(gauge, other, 2, &err) == ERR_EXISTS);
    CHECK(metrics_labels(gauge, good, 1, &err) == ERR_EXISTS);
}

static void limits_the_series(void) {
    struct metric_family *many = family(METRIC_COUNTER, "many_total");
    char user[16];
    const char *labels[] = {"user", user, NULL};
    for (int i = 0; i < 3000; i++) {
        snprintf(user, sizeof user, "u%d", i);
        metric_add(metrics_series(many, labels), 1);
    }
    CHECK(has("many_total{user=\"u998\"} 1\nmany_total{user=\"other\"} 2001\n"));
    snprintf(user, sizeof user, "u5");
    metric_add(metrics_series(many, labels), 1);
    CHECK(has("many_total{user=\"u5\"} 2\n"));
}

static void collect(void *arg) {
    metric_set(metrics_series(family(METRIC_GAUGE, "collected"), NULL), ++*(int *)arg);
}

static void asks_collectors(void) {
    static int count;
    metrics_on_collect(collect, &count);
    CHECK(has("\ncollected 1\n"));
    CHECK(has("\ncollected 2\n"));
    metrics_off_collect(collect, &count);
    CHECK(has("\ncollected 2\n"));
}

static void sum_views(const struct metric_view *view, void *arg) {
    double *sums = arg;
    sums[0] += view->value;
    for (size_t i = 0; i <= view->bucket_count && view->type == METRIC_HISTOGRAM; i++)
        sums[i + 1] += (double)view->counts[i];
}

static void shows_its_series(void) {
    static const double bounds[] = {1, 2};
    struct metric_family *took =
        metrics_family(METRIC_HISTOGRAM, "seen_seconds", "Seen.", bounds, 2, NULL);
    for (int i = 0; i < 4; i++) {
        const char *label[] = {"a", i % 2 ? "x" : "y", NULL};
        metric_observe(metrics_series(took, label), i);
    }
    double sums[4] = {0};
    CHECK(metrics_visit("seen_seconds", sum_views, sums));
    CHECK(sums[0] == 6 && sums[1] == 2 && sums[2] == 1 && sums[3] == 1);
    CHECK(!metrics_visit("nobody_knows_it", sum_views, sums));
}

static void *count_many(void *arg) {
    static const char *const labels[] = {"thread", "any", NULL};
    struct metric_family *counter = family(METRIC_COUNTER, "threads_total");
    for (int i = 0; i < 20000; i++) {
        metric_add(metrics_series(counter, labels), 1);
        metric_observe(arg, 1);
    }
    return NULL;
}

static void loses_nothing_between_threads(void) {
    static const char *const labels[] = {"thread", "any", NULL};
    struct metric *histogram = metrics_series(family(METRIC_HISTOGRAM, "threads_seconds"), NULL);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, count_many, histogram);
    }
    render();
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(metric_value(metrics_series(family(METRIC_COUNTER, "threads_total"), labels)) == 60000);
    CHECK(has("threads_seconds_count 60000\n") && metric_value(histogram) == 60000);
}

static double sample(const char *name) {
    const char *at = strstr(text, name);
    return at != NULL ? strtod(at + strlen(name), NULL) : -1;
}

static void tells_of_the_process(void) {
    render();
    CHECK(sample("\nprocess_resident_memory_bytes ") > 1e6);
    CHECK(sample("\nprocess_virtual_memory_bytes ") > 1e6);
    CHECK(sample("\nprocess_cpu_seconds_total ") > 0);
    CHECK(sample("\nprocess_threads ") >= 1);
    CHECK(fabs(sample("\nprocess_start_time_seconds ") - (double)time(NULL)) < 600);
    CHECK(sample("\nprocess_open_fds ") >= 3);
    CHECK(sample("\nprocess_max_fds ") >= 64);
}

static void pleases_promtool(void) {
    if (system("command -v promtool >/dev/null") != 0) {
        SKIP("promtool is not installed");
    }
    FILE *promtool = popen("promtool check metrics", "w");
    fputs(render(), promtool);
    CHECK(pclose(promtool) == 0);
}

int main(void) {
    static const struct test tests[] = {
        TEST(counts),
        TEST(gauges),
        TEST(fills_histograms),
        TEST(escapes_labels_and_help),
        TEST(refuses_what_prometheus_would),
        TEST(settles_labels),
        TEST(limits_the_series),
        TEST(asks_collectors),
        TEST(shows_its_series),
        TEST(loses_nothing_between_threads),
        TEST(tells_of_the_process),
        TEST(pleases_promtool),
    };
    int status = RUN(tests);
    free(text);
    return status;
}
