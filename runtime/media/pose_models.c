#include "media/pose_models.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/sha256.h"

/* As in gpu/models/SHA256SUMS. */
static const struct file {
    const char *model; /* NULL: the detector, which all models share */
    const char *name;
    size_t size;
    const char *sha256;
} files[] = {
    {NULL, "pose_solution_packed_assets.data", 2962288,
     "a63c614bef30d35947f13be361820b1e4e3bec9cfeebf4d11216a18373108e85"},
    {"lite", "pose_landmark_lite.tflite", 2819824,
     "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61"},
    {"full", "pose_landmark_full.tflite", 6440512,
     "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"},
    {"heavy", "pose_landmark_heavy.tflite", 27709200,
     "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe"},
};
enum { DETECTOR = 0, FILE_COUNT = sizeof files / sizeof files[0] };

const char *const pose_model_names[] = {"lite", "full", "heavy", NULL};

/* -- Where they are ---------------------------------------------------------------------------- */

int pose_models_folder(char *folder, size_t size, struct err *err) {
    const char *given = getenv("STANCE_MODELS");
    if (given != NULL && *given != 0) {
        snprintf(folder, size, "%s", given);
        return 0;
    }
    /* Beside a build's programs or above them; in an installation. */
    static const char *const parents[] = {"../share/stance", ".", "..", "../.."};
    char exe[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (length < 0)
        return err_set_errno(err, errno, "cannot find this program's own file");
    exe[length] = 0;
    *strrchr(exe, '/') = 0;
    *folder = 0;
    for (size_t i = 0; i < sizeof parents / sizeof parents[0]; i++) {
        char parent[2 * PATH_MAX], real[PATH_MAX], models[2 * PATH_MAX];
        snprintf(parent, sizeof parent, "%s/%s", exe, parents[i]);
        if (realpath(parent, real) == NULL)
            continue;
        snprintf(models, sizeof models, "%s/models", real);
        bool is_there = access(models, F_OK) == 0;
        if (is_there || *folder == 0) /* where nothing is, the first is named */
            snprintf(folder, size, "%s", models);
        if (is_there)
            break;
    }
    return 0;
}

static const struct file *file_of(const char *model) {
    for (size_t i = DETECTOR + 1; i < FILE_COUNT; i++)
        if (strcmp(files[i].model, model) == 0)
            return &files[i];
    return NULL;
}

/* -- One file ---------------------------------------------------------------------------------- */

static int refuse_file(const char *path, struct err *err) {
    return err_set(err, ERR_CORRUPT,
                   "%s is not the file of that name from @mediapipe/pose; remove it and get it "
                   "anew (`make models` in stance's source)",
                   path);
}

static int path_of(const struct file *file, char *path, size_t size, struct err *err) {
    char folder[PATH_MAX];
    int code = pose_models_folder(folder, sizeof folder, err);
    if (code < 0)
        return code;
    snprintf(path, size, "%s/%s", folder, file->name);
    return 0;
}

/* Opens a file of the right size; its descriptor, or a negative code. */
static int open_file(const struct file *file, const char *path, struct err *err) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* not in a pipe */
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND,
                       "the pose networks are missing: there is no %s; `make models` in stance's "
                       "source gets them, STANCE_MODELS names a folder that has them",
                       path);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open %s", path);
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
        (size_t)status.st_size != file->size) {
        close(fd);
        return refuse_file(path, err);
    }
    return fd;
}

static bool is_known(const struct file *file, const void *bytes) {
    unsigned char digest[SHA256_SIZE];
    char text[2 * SHA256_SIZE + 1];
    sha256_of(bytes, file->size, digest);
    for (int i = 0; i < SHA256_SIZE; i++)
        snprintf(text + 2 * (size_t)i, 3, "%02x", digest[i]);
    return strcmp(text, file->sha256) == 0;
}

static int read_file(const struct file *file, const void **bytes, size_t *size, struct err *err) {
    char path[2 * PATH_MAX];
    int code = path_of(file, path, sizeof path, err);
    if (code < 0)
        return code;
    int fd = open_file(file, path, err);
    if (fd < 0)
        return fd;
    uint8_t *data = malloc(file->size);
    size_t have = 0;
    ssize_t got = 1;
    while (data != NULL && have < file->size && got > 0) {
        got = read(fd, data + have, file->size - have);
        have += got > 0 ? (size_t)got : 0;
        if (got < 0 && errno == EINTR)
            got = 1;
    }
    if (data == NULL)
        code = err_set(err, ERR_NO_MEMORY, "no memory for %s", path);
    else if (got < 0)
        code = err_set_errno(err, errno, "cannot read %s", path);
    else if (have < file->size || !is_known(file, data))
        code = refuse_file(path, err);
    close(fd);
    if (code < 0) {
        free(data);
        return code;
    }
    *bytes = data;
    *size = file->size;
    return 0;
}

/* -- A model ----------------------------------------------------------------------------------- */

static int refuse_model(const char *model, struct err *err) {
    return err_set(err, ERR_INVALID, "there is no pose model \"%s\": lite, full or heavy", model);
}

/* Opens the file, unless it has done so and nothing was done to it since: this is asked at each
 * request. */
static int find_file(const struct file *file, struct err *err) {
    static struct stat found[FILE_COUNT];
    struct stat *before = &found[file - files], now;
    char path[2 * PATH_MAX];
    int code = path_of(file, path, sizeof path, err);
    if (code < 0)
        return code;
    bool is_there = stat(path, &now) == 0;
    if (is_there && now.st_ino == before->st_ino && now.st_dev == before->st_dev &&
        now.st_size == before->st_size && now.st_ctim.tv_sec == before->st_ctim.tv_sec &&
        now.st_ctim.tv_nsec == before->st_ctim.tv_nsec)
        return 0;
    int fd = open_file(file, path, err);
    if (fd < 0)
        return fd;
    close(fd);
    if (is_there)
        *before = now;
    return 0;
}

int pose_models_find(const char *model, struct err *err) {
    const struct file *landmarks = file_of(model);
    if (landmarks == NULL)
        return refuse_model(model, err);
    int code = find_file(&files[DETECTOR], err);
    return code == 0 ? find_file(landmarks, err) : code;
}

int pose_models_read(const char *model, struct gpu_pose_files *out, struct err *err) {
    const struct file *landmarks = file_of(model);
    *out = (struct gpu_pose_files){0};
    if (landmarks == NULL)
        return refuse_model(model, err);
    int code = read_file(&files[DETECTOR], &out->detector, &out->detector_size, err);
    if (code == 0)
        code = read_file(landmarks, &out->landmarks, &out->landmarks_size, err);
    if (code < 0)
        pose_models_free(out);
    return code;
}

void pose_models_free(struct gpu_pose_files *out) {
    free((void *)out->detector);
    free((void *)out->landmarks);
    *out = (struct gpu_pose_files){0};
}
