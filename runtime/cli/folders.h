/* folders.h - folders that a command needs. Any thread. */
#ifndef STANCE_CLI_FOLDERS_H
#define STANCE_CLI_FOLDERS_H

#include <sys/types.h>

/* Makes a folder, and those above it that are missing, each with `mode`. 0, also when it is there
 * already, or -1 with errno. */
int folders_make(const char *path, mode_t mode);

#endif
