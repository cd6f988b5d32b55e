/* watch.h - tells when scripts below some folders have changed, once they are left alone again.
 *
 * Looks at names that end in .lua and at folders, hidden ones, meta/ and node_modules/ aside. A
 * file that vanished may be half of a save, so its coming back is awaited for longer. Where the
 * system has no watches left (fs.inotify.max_user_watches) the log says so once and what is not
 * watched needs `stance reload`. Loop thread. */
#ifndef STANCE_CORE_WATCH_H
#define STANCE_CORE_WATCH_H

#include "core/loop.h"

struct watch;

/* `folders` ends with NULL and is copied. */
int watch_new(struct loop *loop, const char *const *folders, void (*changed)(void *arg), void *arg,
              struct watch **out, struct err *err);
void watch_free(struct watch *watch); /* NULL-safe */

#endif
