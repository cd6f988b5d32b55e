/* look.h - how a picture is lit and taken: lights, surroundings, sensor, and the pictures that this
 * needs.
 *
 * Environments are Radiance pictures (.hdr, media/hdr.h), or PNG, JPEG and WebP, whose sRGB is
 * turned into light; how they lie around the stage is told at gpu_environment_new. Backgrounds are
 * PNG, JPEG or WebP.
 *
 * Ownership: counted; look_release by the last holder frees all. Threads: immutable, any number of
 * threads may use, retain and release it. look_new takes a tenth of a second and more where there
 * are pictures: for pool threads. */
#ifndef STANCE_MEDIA_LOOK_H
#define STANCE_MEDIA_LOOK_H

#include <stdint.h>

#include "core/err.h"
#include "stance_gpu.h"

struct look;

enum { LOOK_MAX_FILE = 256 << 20, LOOK_PATH_SIZE = 1024 };

struct look_options {
    struct gpu_lighting lighting;     /* its environment is set by look_new */
    char environment[LOOK_PATH_SIZE]; /* a file; "": none */
    char background[LOOK_PATH_SIZE];
    struct gpu_sensor sensor; /* the seed of all views; each has noise of its own */
    int jpeg;                 /* quality 1..100 of a JPEG that the picture went through; 0: none */
};

/* The daylight studio that is used where nothing else is asked for. */
void look_options_default(struct look_options *options);

/* NULL: the defaults. Errors: ERR_NOT_FOUND, ERR_IO, ERR_TOO_LARGE, ERR_UNSUPPORTED, ERR_CORRUPT
 * (of a file, which the message names), ERR_INVALID, ERR_NO_MEMORY. */
int look_new(const struct look_options *options, struct look **out, struct err *err);
struct look *look_retain(struct look *look);
void look_release(struct look *look); /* NULL is fine */

const struct gpu_lighting *look_lighting(const struct look *look);
const struct gpu_texture *look_background(const struct look *look); /* NULL: none */
int look_jpeg(const struct look *look);

/* The sensor of a view; the same number has the same noise. */
struct gpu_sensor look_sensor(const struct look *look, uint64_t view);

#endif
