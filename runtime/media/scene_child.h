/* scene_child.h - the process that reads one hostile file: it loads the importer, gives up all
 * rights (sandbox/confine.h), and only then sees a byte of the file.
 *
 * Files that the scene refers to are asked for by name; who started the process opens them, in the
 * scene's folder and nowhere else. */
#ifndef STANCE_MEDIA_SCENE_CHILD_H
#define STANCE_MEDIA_SCENE_CHILD_H

#include <stdint.h>

#include "core/err.h"

/* Serves one query on the socket `fd`, after `confine` was called. Returns 0 when an answer was
 * given, a refusal included. */
int scene_child_serve(int fd, int (*confine)(void *arg, struct err *err), void *arg);

#endif
