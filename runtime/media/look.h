/* look.h - how a picture is lit and taken.
 *
 * Ownership: counted; look_release by the last holder frees all. Threads: immutable, any number of
 * threads may use, retain and release it. */
#ifndef STANCE_MEDIA_LOOK_H
#define STANCE_MEDIA_LOOK_H

#include "core/err.h"
#include "stance_gpu.h"

struct look;

struct look_options {
    struct gpu_lighting lighting;
    int jpeg; /* quality 1..100 of a JPEG that the picture went through; 0: none */
};

/* The daylight studio that is used where nothing else is asked for. */
void look_options_default(struct look_options *options);

/* NULL: the defaults. Errors: ERR_INVALID, ERR_NO_MEMORY. */
int look_new(const struct look_options *options, struct look **out, struct err *err);
struct look *look_retain(struct look *look);
void look_release(struct look *look); /* NULL is fine */

const struct gpu_lighting *look_lighting(const struct look *look);
int look_jpeg(const struct look *look);

#endif
