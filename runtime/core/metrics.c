#include "core/metrics.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/metrics_process.h"
#include "core/text.h"
#include "core/utf8.h"

enum {
    SERIES_MAX = 1000,
    LABELS_MAX = 8,
    SERIES_BUCKETS = 64, /* of a family's hash table */
    COLLECTORS_MAX = 64,
};

static const double default_buckets[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                         0.1,    0.25,  0.5,    1,     2.5,  5,     10};

/* A double that threads add to: its bits, since C11 has no addition on atomic doubles. */
typedef _Atomic uint64_t atomic_number;

struct metric {
    struct metric *next;    /* in its hash bucket */
    struct metric *younger; /* in order of birth, which is the order of the text */
    struct metric_family *family;
    char *labels;        /* rendered and escaped: `method="GET",code="200"`; "" for none */
    atomic_number value; /* histogram: the sum */
    _Atomic uint64_t *observations; /* histogram: a counter a bucket, not cumulative, +Inf last */
};

struct metric_family {
    struct metric_family *next;
    enum metric_type type;
    char *name;
    char *help;
    double *buckets;
    size_t bucket_count;
    bool labels_known;
    size_t label_count;
    char *label_names[LABELS_MAX];
    struct metric *table[SERIES_BUCKETS];
    struct metric *eldest, *youngest;
    size_t series_count;
    struct metric *lost; /* takes what cannot be counted: never rendered */
};

static struct {
    pthread_mutex_t lock; /* families, series, collectors; not the numbers */
    struct metric_family *first, *last;
    struct {
        void (*collect)(void *arg);
        void *arg;
    } collectors[COLLECTORS_MAX];
    size_t collector_count;
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* -- Numbers ----------------------------------------------------------------------------------- */

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double number_of(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void number_add(atomic_number *number, double delta) {
    uint64_t old = atomic_load_explicit(number, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(number, &old, bits_of(number_of(old) + delta),
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

struct metric *metrics_single(enum metric_type type, const char *name, const char *help) {
    return metrics_series(metrics_family(type, name, help, NULL, 0, NULL), NULL);
}

void metric_add(struct metric *metric, double delta) {
    if (metric == NULL) {
        return;
    }
    bool is_counter = metric->family->type == METRIC_COUNTER;
    assert(metric->family->type != METRIC_HISTOGRAM);
    assert(!is_counter || !(delta < 0));
    if (!is_counter || delta > 0) {
        number_add(&metric->value, delta);
    }
}

void metric_set(struct metric *metric, double value) {
    if (metric == NULL) {
        return;
    }
    assert(metric->family->type == METRIC_GAUGE);
    atomic_store_explicit(&metric->value, bits_of(value), memory_order_relaxed);
}

void metric_observe(struct metric *metric, double value) {
    if (metric == NULL) {
        return;
    }
    struct metric_family *family = metric->family;
    assert(family->type == METRIC_HISTOGRAM);
    if (isnan(value)) {
        return; /* it would make the sum NaN for ever */
    }
    size_t bucket = 0;
    while (bucket < family->bucket_count && value > family->buckets[bucket]) {
        bucket++;
    }
    atomic_fetch_add_explicit(&metric->observations[bucket], 1, memory_order_relaxed);
    number_add(&metric->value, value);
}

double metric_value(const struct metric *metric) {
    return number_of(atomic_load_explicit(&metric->value, memory_order_relaxed));
}

/* -- Families ---------------------------------------------------------------------------------- */

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(const char *name) {
    if (!is_letter(name[0])) {
        return false;
    }
    for (const char *c = name; *c != '\0'; c++) {
        if (!is_letter(*c) && !(*c >= '0' && *c <= '9')) {
            return false;
        }
    }
    return true;
}

static bool ends_with(const char *text, const char *tail) {
    size_t size = strlen(text), tail_size = strlen(tail);
    return size > tail_size && strcmp(text + size - tail_size, tail) == 0;
}

static int check_family(enum metric_type type, const char *name, const char *help,
                        const double *buckets, size_t bucket_count, struct err *err) {
    static const char *const taken[] = {"_count", "_sum", "_bucket"};
    if (!is_name(name)) {
        return err_set(err, ERR_INVALID, "metric name \"%s\": letters, digits and _ only", name);
    }
    if (ends_with(name, "_total") != (type == METRIC_COUNTER)) {
        return err_set(err, ERR_INVALID,
                       "metric %s: names of counters, and no others, end in _total", name);
    }
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        if (ends_with(name, taken[i])) {
            return err_set(err, ERR_INVALID, "metric %s: names in %s belong to histograms", name,
                           taken[i]);
        }
    }
    if (strncmp(name, "process_", 8) == 0) {
        return err_set(err, ERR_INVALID, "metric %s: process_ is the runtime's own prefix", name);
    }
    if (help == NULL || help[0] == '\0') {
        return err_set(err, ERR_INVALID, "metric %s has no help line", name);
    }
    if (bucket_count > METRIC_BUCKETS_MAX) {
        return err_set(err, ERR_INVALID, "metric %s: more than %d buckets", name,
                       METRIC_BUCKETS_MAX);
    }
    for (size_t i = 0; buckets != NULL && i < bucket_count; i++) {
        if (!isfinite(buckets[i]) || (i > 0 && buckets[i] <= buckets[i - 1])) {
            return err_set(err, ERR_INVALID, "metric %s: bucket bounds must be finite and rise",
                           name);
        }
    }
    return 0;
}

static struct metric *new_metric(struct metric_family *family, char *labels) {
    struct metric *metric = calloc(1, sizeof *metric);
    if (metric == NULL) {
        return NULL;
    }
    metric->family = family;
    metric->labels = labels;
    if (family->type == METRIC_HISTOGRAM) {
        metric->observations = calloc(family->bucket_count + 1, sizeof *metric->observations);
        if (metric->observations == NULL) {
            free(metric);
            return NULL;
        }
    }
    return metric;
}

static void free_family(struct metric_family *family) {
    free(family->lost);
    free(family->name);
    free(family->help);
    free(family->buckets);
    free(family);
}

static struct metric_family *new_family(enum metric_type type, const char *name, const char *help,
                                        const double *buckets, size_t bucket_count) {
    struct metric_family *family = calloc(1, sizeof *family);
    if (family == NULL) {
        return NULL;
    }
    family->type = type;
    family->name = strdup(name);
    family->help = strdup(help);
    bool ok = family->name != NULL && family->help != NULL;
    if (type == METRIC_HISTOGRAM) {
        if (buckets == NULL || bucket_count == 0) {
            buckets = default_buckets;
            bucket_count = sizeof default_buckets / sizeof *default_buckets;
        }
        family->bucket_count = bucket_count;
        family->buckets = malloc(bucket_count * sizeof *buckets);
        if (family->buckets != NULL) {
            memcpy(family->buckets, buckets, bucket_count * sizeof *buckets);
        }
        ok = ok && family->buckets != NULL;
    }
    if (ok) {
        family->lost = new_metric(family, NULL);
    }
    if (family->lost == NULL) {
        free_family(family);
        return NULL;
    }
    return family;
}

static struct metric_family *find_family(const char *name) {
    struct metric_family *family = registry.first;
    while (family != NULL && strcmp(family->name, name) != 0) {
        family = family->next;
    }
    return family;
}

struct metric_family *metrics_family(enum metric_type type, const char *name, const char *help,
                                     const double *buckets, size_t bucket_count, struct err *err) {
    if (check_family(type, name, help, buckets, bucket_count, err) < 0) {
        return NULL;
    }
    pthread_mutex_lock(&registry.lock);
    struct metric_family *family = find_family(name);
    if (family == NULL) {
        family = new_family(type, name, help, buckets, bucket_count);
        if (family == NULL) {
            err_set(err, ERR_NO_MEMORY, "no memory for metric %s", name);
        } else if (registry.last == NULL) {
            registry.first = registry.last = family;
        } else {
            registry.last = registry.last->next = family;
        }
    } else if (family->type != type) {
        err_set(err, ERR_EXISTS, "metric %s exists with another type", name);
        family = NULL;
    }
    pthread_mutex_unlock(&registry.lock);
    return family;
}

/* -- Labels ------------------------------------------------------------------------------------ */

static int check_labels(const struct metric_family *family, const char *const *names, size_t count,
                        struct err *err) {
    if (count > LABELS_MAX) {
        return err_set(err, ERR_INVALID, "metric %s: at most %d labels", family->name, LABELS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        bool is_bucket = family->type == METRIC_HISTOGRAM && strcmp(names[i], "le") == 0;
        if (!is_name(names[i]) || strncmp(names[i], "__", 2) == 0 || is_bucket) {
            return err_set(err, ERR_INVALID, "metric %s: \"%s\" cannot be a label's name",
                           family->name, names[i]);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(names[i], names[j]) == 0) {
                return err_set(err, ERR_INVALID, "metric %s: label %s is given twice", family->name,
                               names[i]);
            }
        }
    }
    return 0;
}

static size_t label_index(const struct metric_family *family, const char *name) {
    size_t i = 0;
    while (i < family->label_count && strcmp(family->label_names[i], name) != 0) {
        i++;
    }
    return i;
}

/* Under the lock: the first use of a family settles its labels, later ones must agree. */
static int settle_labels(struct metric_family *family, const char *const *names, size_t count,
                         struct err *err) {
    int code = check_labels(family, names, count, err);
    if (code < 0) {
        return code;
    }
    if (!family->labels_known) {
        for (size_t i = 0; i < count; i++) {
            free(family->label_names[i]); /* of a time when memory was short */
            family->label_names[i] = strdup(names[i]);
            if (family->label_names[i] == NULL) {
                return err_set(err, ERR_NO_MEMORY, "no memory for metric %s", family->name);
            }
        }
        family->label_count = count;
        family->labels_known = true;
        return 0;
    }
    bool same = family->label_count == count;
    for (size_t i = 0; same && i < count; i++) {
        same = label_index(family, names[i]) < count;
    }
    return same ? 0 : err_set(err, ERR_EXISTS, "metric %s exists with other labels", family->name);
}

int metrics_labels(struct metric_family *family, const char *const *names, size_t count,
                   struct err *err) {
    pthread_mutex_lock(&registry.lock);
    int code = settle_labels(family, names, count, err);
    pthread_mutex_unlock(&registry.lock);
    return code;
}

/* A label's value or a help line; the quote needs its backslash in a value only. */
static void put_escaped(struct text *out, const char *value, bool quoted) {
    size_t size = strlen(value);
    for (size_t at = 0; at < size;) {
        size_t step = utf8_step(value + at, size - at);
        if (value[at] == '\n') {
            text_add(out, "\\n", 2);
        } else if (value[at] == '\\' || (quoted && value[at] == '"')) {
            text_add(out, "\\", 1);
            text_add(out, value + at, 1);
        } else if (step == 0) {
            text_add(out, UTF8_REPLACEMENT, sizeof UTF8_REPLACEMENT - 1);
        } else {
            text_add(out, value + at, step);
        }
        at += step > 0 ? step : 1;
    }
}

/* `a="1",b="2"` in the family's order of labels; every value "other" when values is NULL. NULL: out
 * of memory. */
static char *render_labels(const struct metric_family *family, const char *const *values) {
    struct text out = {0};
    text_add(&out, "", 0);
    for (size_t i = 0; i < family->label_count; i++) {
        text_add(&out, ",", i > 0);
        text_add(&out, family->label_names[i], strlen(family->label_names[i]));
        text_add(&out, "=\"", 2);
        put_escaped(&out, values != NULL ? values[i] : "other", true);
        text_add(&out, "\"", 1);
    }
    return text_take(&out, NULL);
}

static size_t hash(const char *text) {
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *text != '\0'; text++) {
        h = (h ^ (unsigned char)*text) * 16777619u;
    }
    return h % SERIES_BUCKETS;
}

/* Under the lock. Takes over `labels`. */
static struct metric *find_or_add(struct metric_family *family, char *labels) {
    size_t slot = hash(labels);
    struct metric *metric = family->table[slot];
    while (metric != NULL && strcmp(metric->labels, labels) != 0) {
        metric = metric->next;
    }
    if (metric == NULL) {
        metric = new_metric(family, labels);
    } else {
        free(labels);
        return metric;
    }
    if (metric == NULL) {
        free(labels);
        return family->lost;
    }
    metric->next = family->table[slot];
    family->table[slot] = metric;
    if (family->youngest == NULL) {
        family->eldest = metric;
    } else {
        family->youngest->younger = metric;
    }
    family->youngest = metric;
    family->series_count++;
    return metric;
}

static bool is_known(const struct metric_family *family, const char *labels) {
    const struct metric *metric = family->table[hash(labels)];
    while (metric != NULL && strcmp(metric->labels, labels) != 0) {
        metric = metric->next;
    }
    return metric != NULL;
}

static struct metric *series_locked(struct metric_family *family, const char *const *names,
                                    const char *const *values, size_t count) {
    int code = settle_labels(family, names, count, NULL);
    if (code < 0) {
        assert(code == ERR_NO_MEMORY); /* else they are labels that the family does not have */
        return family->lost;
    }
    const char *ordered[LABELS_MAX] = {NULL};
    for (size_t i = 0; i < count; i++) {
        ordered[label_index(family, names[i])] = values[i];
    }
    char *labels = render_labels(family, ordered);
    if (labels != NULL && family->series_count >= SERIES_MAX - 1 && !is_known(family, labels)) {
        free(labels);
        labels = render_labels(family, NULL);
    }
    return labels != NULL ? find_or_add(family, labels) : family->lost;
}

struct metric *metrics_series(struct metric_family *family, const char *const *labels) {
    const char *names[LABELS_MAX + 1] = {NULL};
    const char *values[LABELS_MAX + 1] = {NULL};
    size_t count = 0;
    if (family == NULL) {
        return NULL;
    }
    while (labels != NULL && count <= LABELS_MAX && labels[2 * count] != NULL) {
        names[count] = labels[2 * count];
        values[count] = labels[2 * count + 1];
        count++;
    }
    pthread_mutex_lock(&registry.lock);
    struct metric *metric = series_locked(family, names, values, count);
    pthread_mutex_unlock(&registry.lock);
    return metric;
}

/* -- Text -------------------------------------------------------------------------------------- */

void metrics_on_collect(void (*collect)(void *arg), void *arg) {
    pthread_mutex_lock(&registry.lock);
    assert(registry.collector_count < COLLECTORS_MAX);
    registry.collectors[registry.collector_count].collect = collect;
    registry.collectors[registry.collector_count].arg = arg;
    registry.collector_count++;
    pthread_mutex_unlock(&registry.lock);
}

void metrics_off_collect(void (*collect)(void *arg), void *arg) {
    pthread_mutex_lock(&registry.lock);
    size_t kept = 0;
    for (size_t i = 0; i < registry.collector_count; i++) {
        if (registry.collectors[i].collect != collect || registry.collectors[i].arg != arg) {
            registry.collectors[kept++] = registry.collectors[i];
        }
    }
    registry.collector_count = kept;
    pthread_mutex_unlock(&registry.lock);
}

/* Collectors look up series, which takes the lock; they come and go on this thread only. */
void metrics_collect(void) {
    for (size_t i = 0; i < registry.collector_count; i++) {
        registry.collectors[i].collect(registry.collectors[i].arg);
    }
}

static void view_metric(const struct metric *metric, struct metric_view *view) {
    const struct metric_family *family = metric->family;
    *view = (struct metric_view){.type = family->type,
                                 .labels = metric->labels,
                                 .value = metric_value(metric),
                                 .buckets = family->buckets,
                                 .bucket_count = family->bucket_count};
    for (size_t i = 0; metric->observations != NULL && i <= family->bucket_count; i++) {
        view->counts[i] = atomic_load_explicit(&metric->observations[i], memory_order_relaxed);
    }
}

bool metrics_visit(const char *name, void (*visit)(const struct metric_view *view, void *arg),
                   void *arg) {
    pthread_mutex_lock(&registry.lock);
    const struct metric_family *family = find_family(name);
    const struct metric *metric = family != NULL ? family->eldest : NULL;
    while (metric != NULL) {
        struct metric_view view;
        view_metric(metric, &view);
        const struct metric *next = metric->younger;
        pthread_mutex_unlock(&registry.lock); /* `visit` may look up series */
        visit(&view, arg);
        pthread_mutex_lock(&registry.lock);
        metric = next;
    }
    pthread_mutex_unlock(&registry.lock);
    return family != NULL;
}

static void put_sample(struct text *out, const struct metric *metric, const char *suffix,
                       const char *le, double value) {
    const char *labels = metric->labels;
    bool braces = labels[0] != '\0' || le != NULL;
    char number[TEXT_NUMBER_SIZE];
    text_number(number, value);
    text_printf(out, "%s%s%s%s", metric->family->name, suffix, braces ? "{" : "", labels);
    if (le != NULL) {
        text_printf(out, "%sle=\"%s\"", labels[0] != '\0' ? "," : "", le);
    }
    text_printf(out, "%s %s\n", braces ? "}" : "", number);
}

static void put_histogram(struct text *out, const struct metric *metric) {
    const struct metric_family *family = metric->family;
    uint64_t count = 0;
    for (size_t i = 0; i <= family->bucket_count; i++) {
        char bound[TEXT_NUMBER_SIZE] = "+Inf";
        if (i < family->bucket_count) {
            text_number(bound, family->buckets[i]);
        }
        count += atomic_load_explicit(&metric->observations[i], memory_order_relaxed);
        put_sample(out, metric, "_bucket", bound, (double)count);
    }
    put_sample(out, metric, "_sum", NULL, metric_value(metric));
    put_sample(out, metric, "_count", NULL, (double)count);
}

static void put_family(struct text *out, const struct metric_family *family) {
    static const char *const types[] = {"counter", "gauge", "histogram"};
    if (family->eldest == NULL) {
        return; /* nothing to say yet; a bare TYPE line would only make readers ask */
    }
    text_printf(out, "# HELP %s ", family->name);
    put_escaped(out, family->help, false);
    text_printf(out, "\n# TYPE %s %s\n", family->name, types[family->type]);
    for (const struct metric *metric = family->eldest; metric != NULL; metric = metric->younger) {
        if (family->type == METRIC_HISTOGRAM) {
            put_histogram(out, metric);
        } else {
            put_sample(out, metric, "", NULL, metric_value(metric));
        }
    }
}

char *metrics_text(size_t *size) {
    struct text out = {0};
    metrics_collect();
    pthread_mutex_lock(&registry.lock);
    for (const struct metric_family *f = registry.first; f != NULL; f = f->next) {
        put_family(&out, f);
    }
    pthread_mutex_unlock(&registry.lock);
    metrics_put_process(&out);
    return text_take(&out, size);
}
