/* profile.c - `stance profile`: where the host, or a worker, spends its CPU time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/memory.h"
#include "cli/options.h"
#include "cli/output.h"
#include "core/text.h"

static bool keep(void *arg, const void *data, size_t size) {
    struct text *text = arg;
    text_add(text, data, size);
    return !text->failed;
}

/* "10s", "10", "500ms", "2m" as seconds; negative: none of these. */
static double parse_seconds(const char *text) {
    char *unit;
    double number = strtod(text, &unit);
    if (unit == text)
        return -1;
    return strcmp(unit, "") == 0 || strcmp(unit, "s") == 0 ? number
           : strcmp(unit, "ms") == 0                       ? number / 1000
           : strcmp(unit, "m") == 0                        ? number * 60
                                                           : -1;
}

static bool ends_with(const char *text, const char *end) {
    size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* Before the host works for it: whether the file can be written, or made. */
static bool may_write(const char *output) {
    if (access(output, W_OK) == 0)
        return true;
    if (errno != ENOENT)
        return false;
    const char *slash = strrchr(output, '/');
    char *folder = memory_printf("%.*s/.", slash ? (int)(slash - output) : 1, slash ? output : ".");
    bool may = access(folder, W_OK) == 0;
    free(folder);
    return may;
}

static int write_out(const char *output, const struct text *text) {
    FILE *file = output ? fopen(output, "we") : stdout;
    bool written = file != NULL && fwrite(text->bytes, 1, text->size, file) == text->size;
    if (file != NULL)
        written = (output ? fclose(file) : fflush(file)) == 0 && written;
    if (!written)
        return out_fail(EXIT_FAILED, "%s: %s", output ? output : "standard output",
                        strerror(errno));
    if (output)
        out_note("%s", output);
    return EXIT_OK;
}

/* A file that is there stays as it is until all has come. */
static int take(struct client *client, const char *path, const char *output) {
    struct text text = {0};
    if (output != NULL && !may_write(output))
        return out_fail(EXIT_FAILED, "%s: %s", output, strerror(errno));
    int code = client_post_bytes(client, path, keep, &text);
    code = code == EXIT_OK ? write_out(output, &text) : client_report(client, code);
    text_drop(&text);
    return code;
}

int cli_profile(int argc, char **argv) {
    const char *url = NULL, *output = NULL, *what = "all";
    long worker = 0, hz = 99;
    const struct option options[] = {
        {"output", 'o', OPTION_TEXT, &output, "FILE",
         "a flame graph when it ends in .svg, else folded stacks (default: stdout)"},
        {"what", 0, OPTION_TEXT, &what, "lua|c|all", "whose stacks (default all)"},
        {"worker", 'w', OPTION_INTEGER, &worker, "N", "of this worker instead of the host"},
        {"hz", 0, OPTION_INTEGER, &hz, "N", "samples a second of CPU time (default 99)"},
        {"url", 0, OPTION_TEXT, &url, "URL",
         "the host (default: $STANCE_URL, " CLIENT_DEFAULT_URL ")"},
        {NULL, 0, OPTION_FLAG, NULL, NULL, NULL},
    };
    const struct usage usage = {
        "profile",
        "  stance profile 10s --output host.svg\n"
        "  stance profile 5s --worker 1 --what lua | sort -k2 -nr | head",
        "[SECONDS]",
        "Samples the Lua and C stacks of the running host, or of a worker, and shows where the CPU "
        "time\ngoes. A host that is idle gives no samples.",
        options,
        0,
        1,
    };
    int operands;
    int code = options_parse(&usage, argc, argv, &operands);
    if (code != OPTIONS_GO_ON)
        return code;
    double seconds = operands > 0 ? parse_seconds(argv[1]) : 10;
    if (!(seconds >= 0.1 && seconds <= 300))
        return options_misuse(&usage, "a profile takes 0.1s to 300s");
    char *escaped = client_escape(what, false), index[32] = "";
    if (worker != 0)
        snprintf(index, sizeof index, "&worker=%ld", worker);
    char *path =
        memory_printf("/api/profile?seconds=%g&hz=%ld&what=%s%s&format=%s", seconds, hz, escaped,
                      index, output && ends_with(output, ".svg") ? "svg" : "folded");
    struct client *client = client_new(url);
    code = take(client, path, output);
    client_free(client);
    free(path);
    free(escaped);
    return code;
}
