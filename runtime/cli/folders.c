#include "cli/folders.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int folders_make(const char *path, mode_t mode) {
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(part, mode); /* what cannot be made is told by the last one */
        *slash = '/';
    }
    return mkdir(part, mode) < 0 && errno != EEXIST ? -1 : 0;
}
