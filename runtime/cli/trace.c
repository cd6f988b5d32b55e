/* trace.c - `stance job trace`: a job's timeline as text. */
#include "cli/trace.h"

#include <string.h>

#include "cli/jobs.h"
#include "cli/output.h"

enum { BAR_CELLS = 32 };

static double number(const json_t *object, const char *field) {
    return json_number_value(json_object_get(object, field));
}

/* Where in the job's life it lies: a bar, or a point for a moment. */
static void print_bar(double at, double took, double all) {
    int from = all > 0 ? (int)(at / all * BAR_CELLS) : 0;
    int to = all > 0 ? (int)((at + took) / all * BAR_CELLS) : 0;
    from = from < 0 ? 0 : from >= BAR_CELLS ? BAR_CELLS - 1 : from;
    to = to < from ? from : to >= BAR_CELLS ? BAR_CELLS - 1 : to;
    for (int i = 0; i < BAR_CELLS; i++) {
        fputs(i < from || i > to ? " " : took > 0 ? "█" : "·", stdout);
    }
}

static void print_entry(const json_t *entry, double all) {
    double at = number(entry, "at_s"), took = number(entry, "seconds");
    bool failed = json_is_true(json_object_get(entry, "failed"));
    const char *name = jobs_text(entry, "name"), *detail = jobs_text(entry, "detail");
    char duration[32] = "";
    if (json_is_number(json_object_get(entry, "seconds"))) {
        snprintf(duration, sizeof duration, "%.3f s", took);
    }
    printf("%10.3f s  ", at);
    print_bar(at, took, all);
    printf("  %11s  %s%s%s%s%s%s%s\n", duration, out_color(stdout, failed ? OUT_RED : OUT_PLAIN),
           jobs_text(entry, "kind"), *name ? " " : "", name, *detail ? ": " : "", detail,
           out_color(stdout, OUT_PLAIN));
}

void trace_print(const json_t *trace) {
    size_t index;
    json_t *entry;
    double all = number(trace, "seconds");
    char duration[32];
    const char *id = jobs_text(trace, "trace_id");
    printf("%s  %s after %s%s%s\n", jobs_text(trace, "job_id"), jobs_text(trace, "status"),
           out_duration(all, duration, sizeof duration), *id ? "  trace " : "", id);
    json_array_foreach(json_object_get(trace, "entries"), index, entry) {
        print_entry(entry, all);
    }
}
