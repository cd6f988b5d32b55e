/* confined.c - `stance confined`: becomes another program, confined (sandbox/confine.h).
 *
 * A step between fork and exec that has a process of its own, since none of it is safe between the
 * two in a process with threads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "sandbox/confine.h"

enum { PATHS_MAX = 64, KINDS = 3 };

struct request {
    const char *paths[KINDS][PATHS_MAX + 1];
    size_t count[KINDS];
    struct confine_program what;
};

/* Takes one option with its value; false when it is none. */
static bool take(struct request *request, const char *option, const char *value) {
    static const char *const kinds[KINDS] = {"--run", "--read", "--write"};
    for (int kind = 0; kind < KINDS; kind++) {
        if (strcmp(option, kinds[kind]) == 0 && request->count[kind] < PATHS_MAX) {
            request->paths[kind][request->count[kind]++] = value;
            return true;
        }
    }
    if (strcmp(option, "--memory") == 0)
        request->what.memory = strtoull(value, NULL, 10);
    else if (strcmp(option, "--file-size") == 0)
        request->what.file_size = strtoull(value, NULL, 10);
    else
        return false;
    return true;
}

int cli_confined(int argc, char **argv) {
    struct request request = {.what = {.file_size = 1ull << 30}};
    struct confine_warning warning;
    int at = 1;
    while (at + 1 < argc && take(&request, argv[at], argv[at + 1]))
        at += 2;
    if (at + 1 >= argc || strcmp(argv[at], "--") != 0)
        return out_fail(EXIT_USAGE, "usage: stance confined [--run PATH] [--read PATH] "
                                    "[--write PATH] [--memory BYTES] [--file-size BYTES] "
                                    "-- PROGRAM ...");
    request.what.run = request.paths[0];
    request.what.read = request.paths[1];
    request.what.write = request.paths[2];
    confine_program(&request.what, &warning);
    if (warning.text[0] != '\0')
        out_fail(EXIT_OK, "%s is confined without: %s", argv[at + 1], warning.text);
    execv(argv[at + 1], argv + at + 1);
    return out_fail(EXIT_FAILED, "cannot run %s: %s", argv[at + 1], strerror(errno));
}
