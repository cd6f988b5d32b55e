#include "media/look.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/hdr.h"
#include "media/image.h"

struct look {
    atomic_uint holders;
    struct gpu_lighting lighting;
    struct gpu_environment *environment;
    struct image background;
    struct gpu_texture background_texture;
    struct gpu_sensor sensor;
    int jpeg;
};

/* -- Pictures ---------------------------------------------------------------------------------- */

/* `what` is read: "environment", "background". */
static int read_file(const char *path, const char *what, uint8_t **bytes, size_t *size,
                     struct err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe that nobody writes to */
    FILE *file = fd >= 0 ? fdopen(fd, "rb") : NULL;
    if (file == NULL) {
        int reason = errno;
        if (fd >= 0)
            close(fd);
        return err_set_errno(err, reason, "%s %s", what, path);
    }
    int rc = 0;
    struct stat about;
    *bytes = NULL;
    *size = 0;
    if (fstat(fileno(file), &about) != 0 || !S_ISREG(about.st_mode))
        rc = err_set(err, ERR_IO, "%s %s is no file", what, path);
    else if (about.st_size > LOOK_MAX_FILE)
        rc = err_set(err, ERR_TOO_LARGE, "%s %s has more than %d MiB", what, path,
                     LOOK_MAX_FILE >> 20);
    else if ((*bytes = malloc((size_t)about.st_size + 1)) == NULL)
        rc = err_set(err, ERR_NO_MEMORY, "no memory for %s %s", what, path);
    else
        *size = fread(*bytes, 1, (size_t)about.st_size, file);
    if (rc == 0 && ferror(file))
        rc = err_set(err, ERR_IO, "%s %s cannot be read", what, path);
    fclose(file);
    if (rc != 0)
        free(*bytes);
    return rc;
}

/* What a picture is called goes before what is wrong with it. */
static int blame(const char *path, const char *what, int rc, struct err *err) {
    if (rc == 0 || err == NULL)
        return rc;
    struct err inner = *err;
    return err_set(err, rc, "%s %s: %.400s", what, path, inner.message);
}

static int decode_light(const uint8_t *bytes, size_t size, float **rgb, uint32_t *width,
                        uint32_t *height, struct err *err) {
    struct image image = {0};
    float light[256];
    if (hdr_is(bytes, size))
        return hdr_decode(bytes, size, rgb, width, height, err);
    int rc = image_decode(bytes, size, &image, err);
    if (rc != 0)
        return rc;
    for (int i = 0; i < 256; i++) {
        double v = i / 255.0;
        light[i] = (float)(v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
    }
    size_t pixels = (size_t)image.width * image.height;
    *rgb = malloc(pixels * 3 * sizeof **rgb);
    if (*rgb == NULL)
        rc = err_set(err, ERR_NO_MEMORY, "no memory for a picture of %u x %u pixels", image.width,
                     image.height);
    for (size_t i = 0; rc == 0 && i < pixels; i++)
        for (size_t c = 0; c < 3; c++)
            (*rgb)[i * 3 + c] = light[image.rgba[i * 4 + c]];
    *width = image.width;
    *height = image.height;
    image_deinit(&image);
    return rc;
}

static int read_environment(struct look *look, const char *path, struct err *err) {
    static const char what[] = "environment";
    uint8_t *bytes;
    size_t size;
    float *rgb = NULL;
    uint32_t width, height;
    char why[GPU_WHY_SIZE] = "";
    int rc = read_file(path, what, &bytes, &size, err);
    if (rc != 0)
        return rc;
    rc = decode_light(bytes, size, &rgb, &width, &height, err);
    free(bytes);
    if (rc == 0) {
        rc = gpu_environment_new(rgb, width, height, &look->environment, why);
        if (rc != 0)
            rc = err_set(err, rc == GPU_ENOMEM ? ERR_NO_MEMORY : ERR_INVALID, "%s", why);
    }
    free(rgb);
    look->lighting.environment = look->environment;
    return blame(path, what, rc, err);
}

static int read_background(struct look *look, const char *path, struct err *err) {
    static const char what[] = "background";
    uint8_t *bytes;
    size_t size;
    int rc = read_file(path, what, &bytes, &size, err);
    if (rc != 0)
        return rc;
    rc = image_decode(bytes, size, &look->background, err);
    free(bytes);
    look->background_texture = (struct gpu_texture){.width = look->background.width,
                                                    .height = look->background.height,
                                                    .rgba = look->background.rgba};
    return blame(path, what, rc, err);
}

/* -- Life -------------------------------------------------------------------------------------- */

void look_options_default(struct look_options *options) {
    *options = (struct look_options){0};
    gpu_lighting_default(&options->lighting);
}

static int check(const struct look_options *options, struct err *err) {
    const struct gpu_sensor *sensor = &options->sensor;
    if (options->jpeg < 0 || options->jpeg > 100)
        return err_set(err, ERR_INVALID, "a look's JPEG quality must be 1 to 100, not %d",
                       options->jpeg);
    if (!(sensor->shot_noise >= 0 && sensor->shot_noise <= 1 && sensor->read_noise >= 0 &&
          sensor->read_noise <= 1))
        return err_set(err, ERR_INVALID, "a sensor's noise must be 0 to 1 of full scale");
    return 0;
}

int look_new(const struct look_options *options, struct look **out, struct err *err) {
    struct look_options defaults;
    if (options == NULL) {
        look_options_default(&defaults);
        options = &defaults;
    }
    int rc = check(options, err);
    if (rc != 0)
        return rc;
    struct look *look = calloc(1, sizeof *look);
    if (look == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a look");
    atomic_init(&look->holders, 1);
    look->lighting = options->lighting;
    look->lighting.environment = NULL;
    look->sensor = options->sensor;
    look->jpeg = options->jpeg;
    if (options->environment[0] != '\0')
        rc = read_environment(look, options->environment, err);
    if (rc == 0 && options->background[0] != '\0')
        rc = read_background(look, options->background, err);
    if (rc != 0) {
        look_release(look);
        return rc;
    }
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
    gpu_environment_free(look->environment);
    image_deinit(&look->background);
    free(look);
}

const struct gpu_lighting *look_lighting(const struct look *look) {
    return &look->lighting;
}

const struct gpu_texture *look_background(const struct look *look) {
    return look->background.rgba != NULL ? &look->background_texture : NULL;
}

int look_jpeg(const struct look *look) {
    return look->jpeg;
}

struct gpu_sensor look_sensor(const struct look *look, uint64_t view) {
    struct gpu_sensor sensor = look->sensor;
    sensor.seed += view * 0x9e3779b97f4a7c15u; /* so that neighbours share no noise */
    return sensor;
}
