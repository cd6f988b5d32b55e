/* metrics.h - counters, gauges and histograms, rendered as Prometheus text 0.0.4.
 *
 * A family has a name, a help line and a type; a series is a family with label values. Families and
 * series live until the process ends. Looking one up takes a lock; adding to a series does not
 * (atomics). Any thread. */
#ifndef STANCE_CORE_METRICS_H
#define STANCE_CORE_METRICS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

enum { METRIC_BUCKETS_MAX = 100 };

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_family;
struct metric; /* a series */

/* The family, made on first use. Buckets (ascending upper bounds, without +Inf) for histograms
 * only: NULL takes 0.5 ms .. 10 s. A name that exists with another type, or that Prometheus would
 * refuse: NULL and `err`. */
struct metric_family *metrics_family(enum metric_type type, const char *name, const char *help,
                                     const double *buckets, size_t bucket_count, struct err *err);

/* Settles the names of the family's labels, which its first series does otherwise. ERR_INVALID for
 * names that Prometheus would refuse, ERR_EXISTS when it has others already. */
int metrics_labels(struct metric_family *family, const char *const *names, size_t count,
                   struct err *err);

/* The series with these label values, made on first use: names and values as alternating strings,
 * ended by NULL
 * ({"method", "GET", NULL}); NULL or empty: no labels. A family holds at most 1,000 series; beyond
 * that all further ones share the series with every value "other". What there is no memory for is
 * not counted: NULL as family gives NULL, and NULL as series is passed over below. */
struct metric *metrics_series(struct metric_family *family, const char *const *labels);

/* The only series of a family without labels; a histogram has the buckets of NULL. */
struct metric *metrics_single(enum metric_type type, const char *name, const char *help);

void metric_add(struct metric *metric, double delta);
void metric_set(struct metric *metric, double value);
void metric_observe(struct metric *metric, double value);
double metric_value(const struct metric *metric);

/* Called before each rendering, to set gauges that are read off something, until
 * metrics_off_collect with the same two. Loop thread. */
void metrics_on_collect(void (*collect)(void *arg), void *arg);
void metrics_off_collect(void (*collect)(void *arg), void *arg);
void metrics_collect(void); /* calls them all; metrics_text does so by itself. Loop thread. */

/* One series, as it stands. What is pointed to lives until the process ends. */
struct metric_view {
    enum metric_type type;
    const char *labels;    /* rendered: `method="GET",code="200"`; "" for none */
    double value;          /* histogram: the sum */
    const double *buckets; /* histogram: upper bounds */
    size_t bucket_count;
    unsigned long long counts[METRIC_BUCKETS_MAX + 1]; /* histogram: of each bucket, +Inf last */
};

/* Visits the series of a family, oldest first; false when there is no such family. Any thread. */
bool metrics_visit(const char *name, void (*visit)(const struct metric_view *view, void *arg),
                   void *arg);

/* The whole registry as text; malloc'ed, NULL when out of memory. Loop thread. */
char *metrics_text(size_t *size);

#endif
