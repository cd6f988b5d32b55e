/* pose_frame_bench.c - what a frame of a followed stream costs on one thread, from JPEG to
 * landmarks: `pose_frame PHOTO`. The photo of a person is put on frames of 1280 x 720, somewhat
 * elsewhere on each. Prints JSON: CPU milliseconds a frame, medians. */
#include "media/image.h"
#include "media/jpeg_window.h"
#include "media/jpeg_write.h"
#include "media/pose_models.h"
#include "stance_gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WIDTH = 1280, HEIGHT = 720, QUALITY = 70, FRAMES = 8, ROUNDS = 80, WARM_UP = 8, FPS = 30 };

struct frame {
    uint8_t *bytes;
    size_t size;
};

struct times {
    double decode[ROUNDS], track[ROUNDS], all[ROUNDS];
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double middle(double *values) {
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

/* The photo at full height, `shift` pixels right of the middle. */
static int make_frame(const struct image *photo, int32_t shift, struct frame *frame,
                      struct err *err) {
    struct image scaled = {0}, whole = {0};
    uint32_t width = photo->width * HEIGHT / photo->height;
    width = width > WIDTH - 100 ? WIDTH - 100 : width;
    int code = image_scale(photo, width, HEIGHT, &scaled, err);
    if (code == 0)
        code = image_init(&whole, WIDTH, HEIGHT, err);
    int32_t left = (int32_t)(WIDTH - width) / 2 + shift;
    for (uint32_t y = 0; y < HEIGHT && code == 0; y++)
        memcpy(whole.rgba + 4 * ((size_t)y * WIDTH + (size_t)left),
               scaled.rgba + 4 * (size_t)y * width, 4 * (size_t)width);
    if (code == 0)
        code = jpeg_encode(&whole, QUALITY, &frame->bytes, &frame->size, err);
    image_deinit(&scaled);
    image_deinit(&whole);
    return code;
}

static int read_photo(const char *path, struct image *photo, struct err *err) {
    static uint8_t bytes[32 << 20];
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return err_set(err, ERR_NOT_FOUND, "%s cannot be opened", path);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return image_decode(bytes, size, photo, err);
}

/* One frame after the other; the first ones are not counted. */
static int follow(struct gpu_pose_engine *engine, const struct frame *frames, struct times *times,
                  uint32_t *lost, struct err *err) {
    struct gpu_pose_options options;
    struct gpu_pose_session *session;
    struct jpeg_window *decoder;
    struct gpu_pose_people people;
    char why[GPU_WHY_SIZE] = "";
    int code = jpeg_window_new(&decoder, err);
    gpu_pose_options_default(&options);
    if (code != 0)
        return code;
    if (gpu_pose_session_new(&options, &session, why) != GPU_OK)
        code = err_set(err, ERR_NO_MEMORY, "%s", why);
    for (int i = -WARM_UP; i < ROUNDS && code == 0; i++) {
        const struct frame *frame = &frames[(i + WARM_UP) % FRAMES];
        const double time = (double)(i + WARM_UP) / FPS, began = now();
        struct gpu_picture picture;
        uint32_t size[2], window[4];
        code = jpeg_window_open(decoder, frame->bytes, frame->size, 0, size, err);
        if (code != 0)
            break;
        gpu_pose_session_window(session, size[0], size[1], time, window);
        code = jpeg_window_read(decoder, window, &picture, err);
        const double decoded = now();
        if (code == 0 && gpu_pose_track(engine, &session, &picture, &time, 1, &people, why) != 0)
            code = err_set(err, ERR_INVALID, "%s", why);
        const double tracked = now();
        if (i < 0)
            continue;
        times->decode[i] = decoded - began;
        times->track[i] = tracked - decoded;
        times->all[i] = tracked - began;
        *lost += people.count == 0 || people.detected;
    }
    gpu_pose_session_free(session);
    jpeg_window_free(decoder);
    return code;
}

static int measure(const char *model, const struct frame *frames, const char *separator,
                   struct err *err) {
    static struct times times;
    struct gpu_pose_files files;
    struct gpu_pose_engine *engine = NULL;
    char why[GPU_WHY_SIZE] = "";
    uint32_t lost = 0;
    int code = pose_models_read(model, &files, err);
    if (code != 0)
        return code;
    if (gpu_pose_engine_new(&files, "cpu", &engine, why) != GPU_OK)
        code = err_set(err, ERR_INVALID, "%s", why);
    pose_models_free(&files);
    if (code == 0)
        code = follow(engine, frames, &times, &lost, err);
    const double decode = middle(times.decode), track = middle(times.track);
    const double frame = middle(times.all); /* sorted now */
    if (code == 0)
        printf("%s{\"model\":\"%s\",\"backend\":\"%s\",\"decode\":%.2f,\"track\":%.2f,"
               "\"frame\":%.2f,\"frame_p95\":%.2f,\"memory_mb\":%.1f,\"not_followed\":%u}",
               separator, model, gpu_pose_engine_backend(engine), decode, track, frame,
               times.all[ROUNDS * 95 / 100], (double)gpu_pose_engine_memory(engine) / 1048576.0,
               lost);
    gpu_pose_engine_free(engine);
    return code;
}

int main(int argc, char **argv) {
    struct frame frames[FRAMES] = {0};
    struct image photo = {0};
    struct err err = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: pose_frame PHOTO\n");
        return 2;
    }
    int code = read_photo(argv[1], &photo, &err);
    for (int i = 0; i < FRAMES && code == 0; i++)
        code = make_frame(&photo, 5 * (i < FRAMES / 2 ? i : FRAMES - i), &frames[i], &err);
    image_deinit(&photo);
    printf("{\"width\":%d,\"height\":%d,\"models\":[", WIDTH, HEIGHT);
    for (int i = 0; pose_model_names[i] != NULL && code == 0; i++)
        code = measure(pose_model_names[i], frames, i == 0 ? "" : ",", &err);
    printf("]}\n");
    for (int i = 0; i < FRAMES; i++)
        free(frames[i].bytes);
    if (code != 0)
        fprintf(stderr, "pose_frame: %s\n", err.message);
    return code == 0 ? 0 : 1;
}
