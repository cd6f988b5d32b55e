/* scene_process.h - opens scenes in a process of their own, which can neither open files nor reach
 * anybody, has limited memory and time, and dies with its file: whatever a file does to the
 * importer, this process goes on and gets a reason.
 *
 * What the child answers is checked like a stranger's (media/scene_pack.h). External files are
 * opened here, in the scene's folder and below.
 *
 * Threads: the call blocks until the scene is there; pool threads. Metrics:
 * scene_imports_total{outcome="ok|refused|crashed|timeout"}, scene_import_seconds. */
#ifndef STANCE_MEDIA_SCENE_PROCESS_H
#define STANCE_MEDIA_SCENE_PROCESS_H

#include "media/scene.h"

struct scene_limits {
    uint64_t memory;     /* bytes, of the child; and of what it may send */
    double timeout;      /* seconds */
    const char *program; /* that plays the child; NULL: this one */
};

/* As scene_open and scene_open_bytes, and: ERR_TIMEOUT, ERR_CORRUPT when the file brought the
 * importer down. */
int scene_open_confined(const char *path, const struct scene_options *options,
                        const struct scene_limits *limits, struct scene **out, struct err *err);
int scene_open_bytes_confined(const void *bytes, size_t size, const char *name,
                              const struct scene_options *options,
                              const struct scene_limits *limits, struct scene **out,
                              struct err *err);

#endif
