/* fetch.h - brings a job's artifacts into a folder: what `download`, `job download` and `render`
 * share.
 *
 * Each file is whole or absent: it is written under a temporary name beside its place, checked
 * against the host's SHA-256, synced and renamed. Names come from the host and are not trusted:
 * whatever would leave the folder is refused, and no symbolic link is followed below it. */
#ifndef STANCE_CLI_FETCH_H
#define STANCE_CLI_FETCH_H

#include <stdbool.h>

#include "cli/client.h"

struct fetched {
    long files;   /* fetched now */
    long kept;    /* that were there already, with the right content */
    double bytes; /* fetched now */
};

/* Makes `folder` when needed. The job's manifest, as the host shows it now, comes as manifest.json
 * unless the job made a file of that name; it replaces an earlier one. Files that are there with
 * other content are an error, before anything is fetched, unless `force`. Says on stderr what goes
 * wrong and returns an exit code. */
int fetch_artifacts(struct client *client, const char *job_id, const char *folder, bool force,
                    struct fetched *fetched);

#endif
