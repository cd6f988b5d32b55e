/* mannequin_file.h - the mannequin's GLB taken apart, changed and put together again, and what
 * specs of scenes measure on it. */
#ifndef SPEC_MANNEQUIN_FILE_H
#define SPEC_MANNEQUIN_FILE_H

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/err.h"
#include "media/mannequin.h"
#include "media/scene.h"
#include "rigs.h"
#include "stance_gpu.h"

/* -- The mannequin's file, taken apart --------------------------------------------------------- */

struct file {
    json_t *json;
    uint8_t *binary; /* the binary chunk with its header */
    size_t binary_size;
};

static inline uint32_t u32(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline void put_u32(uint8_t *at, size_t value) {
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static inline struct file file_take(void) {
    static uint8_t *glb; /* made once, read by all tests */
    static size_t size;
    const struct mannequin_options options = {.detail = 1};
    struct file file = {0};
    if (glb == NULL && mannequin_write_glb(&options, &glb, &size, NULL) != 0)
        abort();
    size_t json_size = u32(glb + 12);
    file.json = json_loadb((const char *)glb + 20, json_size, 0, NULL);
    file.binary_size = size - 20 - json_size;
    file.binary = malloc(file.binary_size);
    memcpy(file.binary, glb + 20 + json_size, file.binary_size);
    return file;
}

/* The whole file again; ends the taken one. */
static inline uint8_t *file_join(struct file *file, size_t *size) {
    size_t length = json_dumpb(file->json, NULL, 0, JSON_COMPACT);
    size_t padded = (length + 3) & ~(size_t)3;
    *size = 20 + padded + file->binary_size;
    uint8_t *out = malloc(*size);
    put_u32(out, 0x46546c67); /* glTF */
    put_u32(out + 4, 2);
    put_u32(out + 8, *size);
    put_u32(out + 12, padded);
    put_u32(out + 16, 0x4e4f534a); /* JSON */
    memset(out + 20, ' ', padded);
    json_dumpb(file->json, (char *)out + 20, length, JSON_COMPACT);
    memcpy(out + 20 + padded, file->binary, file->binary_size);
    free(file->binary);
    json_decref(file->json);
    return out;
}

static inline int file_open(struct file *file, const struct scene_options *options,
                            struct scene **scene, struct err *err) {
    size_t size;
    uint8_t *bytes = file_join(file, &size);
    *scene = NULL;
    struct scene_options all = options != NULL ? *options : (struct scene_options){0};
    all.rigs = rigs();
    int rc = scene_open_bytes(bytes, size, "wood.glb", &all, scene, err);
    free(bytes);
    return rc;
}

static inline struct scene *open_plain(void) {
    struct file file = file_take();
    struct scene *scene;
    struct err err = {0};
    CHECK(file_open(&file, NULL, &scene, &err) == 0);
    CHECK_TEXT(err.message, "");
    return scene;
}

static inline bool warned(const struct scene *scene, const char *words) {
    const struct scene_report *report = scene_report(scene);
    for (uint32_t i = 0; i < report->warning_count; i++)
        if (strstr(report->warnings[i], words) != NULL)
            return true;
    return false;
}

/* The farthest that a landmark of one body lies from the other's, metres. */
static inline double farthest(const struct scene *a, const struct scene *b) {
    const struct gpu_anchor *x = scene_landmarks(a, NULL), *y = scene_landmarks(b, NULL);
    double far = 0;
    for (int i = 0; i < SCENE_LANDMARKS; i++)
        for (int k = 0; k < 3; k++)
            far = fmax(far, fabs((double)(x[i].position[k] - y[i].position[k])));
    return far;
}

/* Where a landmark is in a pose. */
static inline void place(const struct scene *scene, int clip, double time, int landmark,
                         double out[3]) {
    const struct gpu_anchor *anchor = &scene_landmarks(scene, NULL)[landmark];
    float *palette = malloc(12 * sizeof *palette * scene_joint_count(scene));
    scene_pose(scene, clip, time, palette);
    const float *m = palette + 12 * (size_t)anchor->joint[0], *p = anchor->position;
    for (int i = 0; i < 3; i++)
        out[i] =
            (double)(m[4 * i] * p[0] + m[4 * i + 1] * p[1] + m[4 * i + 2] * p[2] + m[4 * i + 3]);
    free(palette);
}

#endif
