#include "media/look.h"

#include <stdatomic.h>
#include <stdlib.h>

struct look {
    atomic_uint holders;
    struct gpu_lighting lighting;
    int jpeg;
};

void look_options_default(struct look_options *options) {
    *options = (struct look_options){0};
    gpu_lighting_default(&options->lighting);
}

int look_new(const struct look_options *options, struct look **out, struct err *err) {
    struct look_options defaults;
    if (options == NULL) {
        look_options_default(&defaults);
        options = &defaults;
    }
    if (options->jpeg < 0 || options->jpeg > 100)
        return err_set(err, ERR_INVALID, "a look's JPEG quality must be 1 to 100, not %d",
                       options->jpeg);
    struct look *look = calloc(1, sizeof *look);
    if (look == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a look");
    atomic_init(&look->holders, 1);
    look->lighting = options->lighting;
    look->jpeg = options->jpeg;
    *out = look;
    return 0;
}

struct look *look_retain(struct look *look) {
    atomic_fetch_add_explicit(&look->holders, 1, memory_order_relaxed);
    return look;
}

void look_release(struct look *look) {
    if (look == NULL || atomic_fetch_sub_explicit(&look->holders, 1, memory_order_acq_rel) > 1)
        return;
    free(look);
}

const struct gpu_lighting *look_lighting(const struct look *look) {
    return &look->lighting;
}

int look_jpeg(const struct look *look) {
    return look->jpeg;
}
