/* blender.h - Blender as another engine for the same pictures: a child process that draws views.
 *
 * A job is what gpu_render takes (frames of actors, views with cameras), with the file that each
 * actor's body came from. Blender imports the file; runtime/media/blender.py poses what it found by
 * our own matrices, sets our cameras, and compares the body's box with ours, so that the pictures
 * fit the labels of the same views. What Blender cannot do, or does otherwise, is refused: lens
 * distortion, bodies that it imports differently.
 *
 * The process is `stance confined` (sandbox/confine.h), which becomes Blender: it reads the system,
 * its own folder, and the bodies' files (for FBX and glTF the folder they lie in, for textures),
 * writes to its scratch folder alone, and has no network, no display and a limit of memory. It dies
 * with us, and when it is silent for too long.
 *
 * Blender 3.0 and newer, as `blender` in PATH or where the setting `blender` says.
 *
 * Threads: blender_new writes files: pool threads. blender_start on a thread that lives as long as
 * the process (core/launch.h says why). Then one thread at a time calls blender_next, which waits;
 * blender_stop may be called meanwhile, by any. */
#ifndef STANCE_MEDIA_BLENDER_H
#define STANCE_MEDIA_BLENDER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "stance_gpu.h"

struct blender;
struct scene;

/* Where a body came from: a path, or the bytes of a GLB. */
struct blender_body {
    const struct scene *scene;
    const char *path; /* NULL: the bytes */
    const void *bytes;
    size_t size;
};

/* All that is pointed to is only read by blender_new. */
struct blender_job {
    const char *program; /* Blender's path, from blender_find */
    const char *stance;  /* the program that confines it; NULL: this one */
    const char *folder;  /* a folder for files while it runs is made in here; NULL: $TMPDIR, /tmp */
    const char *engine;  /* "eevee", "cycles", "workbench" */
    uint32_t samples;    /* a pixel, 1 to 4096 */
    uint32_t threads;    /* 0: one a core */
    uint32_t seed;       /* of Cycles' noise */
    bool transparent;    /* no ground, no sky; the people's coverage as alpha */
    double timeout;      /* seconds that may pass until the next picture; 0: 300 */
    uint64_t memory;     /* bytes of its own data; 0: any */
    const struct blender_body *bodies; /* [actor], the same in each frame */
    uint32_t body_count;
    const struct gpu_batch *batch; /* its samples and shadow_size are not looked at */
};

/* Writes Blender's path. `setting`: a path, or a name to look for in PATH; NULL: "blender".
 * ERR_UNSUPPORTED: there is none; the message says what to do. */
int blender_find(const char *setting, char path[PATH_MAX], struct err *err);

/* ERR_INVALID, ERR_UNSUPPORTED (what Blender cannot do), ERR_IO, ERR_NO_SPACE, ERR_NO_MEMORY. */
int blender_new(const struct blender_job *job, struct blender **out, struct err *err);
int blender_start(struct blender *blender, struct err *err);

/* Waits for the next picture, a PNG (the caller's to free), and the number of its view. Returns 1,
 * 0 after the last one, or a negative code: ERR_UNSUPPORTED (a refusal, which the message tells),
 * ERR_UPSTREAM (Blender failed or was killed; with its last words), ERR_TIMEOUT, ERR_NO_SPACE,
 * ERR_CANCELLED after blender_stop. */
int blender_next(struct blender *blender, uint32_t *view, uint8_t **png, size_t *size,
                 struct err *err);

/* "3.4.1" once the first picture is there; else "". */
const char *blender_version(const struct blender *blender);

/* Kills the process, which ends a blender_next that waits. */
void blender_stop(struct blender *blender);

/* Kills it and removes its files. NULL-safe. */
void blender_free(struct blender *blender);

#endif
