/* pose_models_test.c - the pose networks' files: found, checked, refused with a remedy. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "media/pose_models.h"
#include "scratch.h"

static const char detector[] = "pose_solution_packed_assets.data";
static const char lite[] = "pose_landmark_lite.tflite";

/* A fresh folder that $STANCE_MODELS names. */
static char folder[256];

static void begin(void) {
    const char *path = scratch("models");
    snprintf(folder, sizeof folder, "%s", path);
    CHECK(mkdir(folder, 0700) == 0);
    setenv("STANCE_MODELS", folder, 1);
}

static void write_file(const char *name, size_t size) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && ftruncate(fileno(file), (off_t)size) == 0);
    fclose(file);
}

/* Reading and finding fail in the same way; the message names both. */
static void refuse(const char *model, int code, const char *one, const char *other) {
    struct gpu_pose_files files;
    struct err err = {0};
    CHECK(pose_models_read(model, &files, &err) == code && err.code == code);
    CHECK(strstr(err.message, one) != NULL && strstr(err.message, other) != NULL);
    CHECK(files.detector == NULL && files.landmarks == NULL);
    pose_models_free(&files);
}

static void missing_files_are_named(void) {
    struct err err = {0};
    begin();
    refuse("full", ERR_NOT_FOUND, detector, "make models");
    CHECK(pose_models_find("full", &err) == ERR_NOT_FOUND && strstr(err.message, folder) != NULL);
    refuse("tiny", ERR_INVALID, "tiny", "lite, full or heavy");
    CHECK(pose_models_find("tiny", &err) == ERR_INVALID);
}

static void other_files_are_refused(void) {
    struct err err = {0};
    char path[512];
    begin();
    write_file(detector, 100);
    refuse("lite", ERR_CORRUPT, detector, "make models");
    write_file(detector, 2962288); /* the size is right, the bytes are not */
    refuse("lite", ERR_CORRUPT, detector, "@mediapipe/pose");
    CHECK(pose_models_find("lite", &err) == ERR_NOT_FOUND && strstr(err.message, lite) != NULL);
    snprintf(path, sizeof path, "%s/%s", folder, detector);
    CHECK(unlink(path) == 0 && mkfifo(path, 0600) == 0); /* nobody ever writes to it */
    refuse("lite", ERR_CORRUPT, detector, "remove it");
    CHECK(unlink(path) == 0 && mkdir(path, 0700) == 0);
    refuse("lite", ERR_CORRUPT, detector, "remove it");
}

static void what_was_found_may_change(void) {
    struct err err = {0};
    char path[512];
    begin();
    write_file(detector, 2962288);
    write_file(lite, 2819824);
    for (int i = 0; i < 2; i++)
        CHECK(pose_models_find("lite", &err) == 0);
    snprintf(path, sizeof path, "%s/%s", folder, lite);
    CHECK(truncate(path, 100) == 0 && pose_models_find("lite", &err) == ERR_CORRUPT);
    CHECK(strstr(err.message, lite) != NULL);
    CHECK(unlink(path) == 0 && pose_models_find("lite", &err) == ERR_NOT_FOUND);
    write_file(lite, 2819824);
    CHECK(pose_models_find("lite", &err) == 0);
    begin(); /* another, empty folder */
    CHECK(pose_models_find("lite", &err) == ERR_NOT_FOUND && strstr(err.message, folder) != NULL);
}

static void real_ones_are_read(void) {
    struct err err = {0};
    unsetenv("STANCE_MODELS");
    if (pose_models_find("lite", &err) != 0)
        SKIP(err.message);
    for (const char *const *name = pose_model_names; *name != NULL; name++) {
        struct gpu_pose_files files = {0};
        CHECK(pose_models_find(*name, &err) == 0 && pose_models_read(*name, &files, &err) == 0);
        CHECK(files.detector_size == 2962288 && memcmp((char *)files.detector + 4, "TFL3", 4) == 0);
        CHECK(files.landmarks_size > 0 && memcmp((char *)files.landmarks + 4, "TFL3", 4) == 0);
        pose_models_free(&files);
    }
}

/* What is fetched and what is believed are the same files. */
static void sums_agree(void) {
    FILE *sums = fopen("gpu/models/SHA256SUMS", "re");
    FILE *source = fopen("runtime/media/pose_models.c", "re");
    static char text[1 << 16];
    char sum[65], name[100];
    int count = 0;
    CHECK(sums != NULL && source != NULL);
    CHECK(fread(text, 1, sizeof text - 1, source) > 0);
    for (; fscanf(sums, "%64s %99s", sum, name) == 2; count++) {
        const char *at = strstr(text, name);
        CHECK(at != NULL && strstr(at, sum) != NULL && strstr(at, sum) - at < 120);
    }
    CHECK(count == 4);
    fclose(sums);
    fclose(source);
}

int main(void) {
    static const struct test tests[] = {
        TEST(real_ones_are_read),
        TEST(missing_files_are_named),
        TEST(other_files_are_refused),
        TEST(what_was_found_may_change),
        TEST(sums_agree),
    };
    return RUN(tests);
}
