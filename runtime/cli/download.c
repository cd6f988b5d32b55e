/* download.c - `stance download --job ID`. */
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/fetch.h"
#include "cli/jobs.h"
#include "cli/options.h"
#include "cli/output.h"

int cli_download(int argc, char **argv) {
    const char *url = NULL, *job = NULL, *output = NULL;
    bool force = false, json = false;
    const struct option options[] = {
        {"job", 'j', OPTION_TEXT, &job, "ID", "which job"},
        {"output", 'o', OPTION_TEXT, &output, "DIR", "where to (default: stance-output/ID)"},
        {"force", 'f', OPTION_FLAG, &force, NULL,
         "replace files that are there with other content"},
        {"url", 0, OPTION_TEXT, &url, "URL",
         "the host (default: $STANCE_URL, " CLIENT_DEFAULT_URL ")"},
        {"json", 0, OPTION_FLAG, &json, NULL, "one JSON object"},
        {NULL, 0, OPTION_FLAG, NULL, NULL, NULL},
    };
    const struct usage usage = {
        "download",
        "  stance download --job render_20260101_120000_0a1b2c3d\n"
        "  stance download --job render_20260101_120000_0a1b2c3d --output pictures --force",
        NULL,
        "Fetches a job's artifacts. Each file is written whole or not at all and checked by its\n"
        "SHA-256; one that is there already is not fetched again.",
        options,
        0,
        0,
    };
    int code = options_parse(&usage, argc, argv, NULL);
    if (code != OPTIONS_GO_ON) {
        return code;
    }
    if (!job) {
        return options_misuse(&usage, "needs --job ID");
    }
    struct client *client = client_new(url);
    code = jobs_download(client, job, output, force, json);
    client_free(client);
    return code;
}
