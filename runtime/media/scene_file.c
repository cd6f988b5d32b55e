/* scene_file.c - from a path or bytes to a scene: reads the file, tells its format, runs assimp on
 * it.
 *
 * Assimp sees the file under an invented name through a file system of our own, which serves the
 * bytes in memory and, for a glTF's buffers, files of the scene's folder; nothing else of the disk
 * can be named by a hostile file. */
#include <assimp/cfileio.h>
#include <assimp/cimport.h>
#include <assimp/config.h>
#include <assimp/postprocess.h>
#include <assimp/scene.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "media/assimp_load.h"
#include "media/scene_parts.h"

/* What assimp believes the file to be called; its readers go by the ending. */
#define VIRTUAL_FOLDER "scene/"

/* -- Reading files ----------------------------------------------------------------------------- */

/* The whole of an open regular file, closed in any case. */
static int read_descriptor(int fd, const char *name, uint8_t **out, size_t *size, struct err *err) {
    struct stat info;
    int rc = 0;
    size_t at = 0;
    uint8_t *bytes = NULL;
    if (fstat(fd, &info) != 0) {
        rc = err_set_errno(err, errno, "%s", name);
        goto end;
    }
    if (!S_ISREG(info.st_mode)) {
        rc = err_set(err, ERR_INVALID, "%s: not a file", name);
        goto end;
    }
    if (info.st_size > SCENE_MAX_FILE) {
        rc = err_set(err, ERR_TOO_LARGE, "%s: %lld MiB; scenes up to %d MiB are read", name,
                     (long long)info.st_size >> 20, SCENE_MAX_FILE >> 20);
        goto end;
    }
    bytes = malloc((size_t)info.st_size + 1);
    if (bytes == NULL) {
        rc = err_set(err, ERR_NO_MEMORY, "%s: no memory to read it", name);
        goto end;
    }
    while (at < (size_t)info.st_size) {
        ssize_t n = read(fd, bytes + at, (size_t)info.st_size - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = err_set_errno(err, errno, "%s", name);
            goto end;
        }
        if (n == 0)
            break;
        at += (size_t)n;
    }
    *out = bytes;
    *size = at;
    bytes = NULL;
end:
    free(bytes);
    close(fd);
    return rc;
}

/* Opens a path that must stay below the folder; links may not lead out of it either. */
static int open_beneath(int folder, const char *path) {
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
}

/* Turns %20 into a blank and backslashes into slashes. */
static void clean_reference(const char *reference, char *out, size_t size) {
    size_t n = 0;
    for (const char *c = reference; *c != '\0' && n + 1 < size; c++) {
        unsigned value;
        if (*c == '%' && sscanf(c + 1, "%2x", &value) == 1 && value != 0 && c[1] && c[2]) {
            out[n++] = (char)value;
            c += 2;
        } else {
            out[n++] = *c == '\\' ? '/' : *c;
        }
    }
    out[n] = '\0';
}

uint8_t *scene_read_beside(const struct scene_source *source, const char *reference, size_t *size) {
    char path[1024], inner[1200];
    if (source->beside != NULL)
        return source->beside(source->beside_arg, reference, size);
    if (source->folder < 0)
        return NULL;
    clean_reference(reference, path, sizeof path);
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(source->name, '.');
    int stem = dot != NULL ? (int)(dot - source->name) : (int)strlen(source->name);
    static const char *const folders[] = {"", "textures/", "Textures/"};
    int fd = open_beneath(source->folder, path);
    for (size_t i = 0; fd < 0 && i < sizeof folders / sizeof *folders; i++) {
        snprintf(inner, sizeof inner, "%s%s", folders[i], base);
        fd = open_beneath(source->folder, inner);
    }
    if (fd < 0) { /* where the FBX SDK unpacks embedded files */
        snprintf(inner, sizeof inner, "%.*s.fbm/%s", stem, source->name, base);
        fd = open_beneath(source->folder, inner);
    }
    uint8_t *bytes = NULL;
    if (fd < 0 || read_descriptor(fd, reference, &bytes, size, NULL) != 0)
        return NULL;
    return bytes;
}

/* -- Assimp's file system ---------------------------------------------------------------------- */

struct memory_file {
    const uint8_t *bytes;
    uint8_t *owned;
    size_t size, at;
};

static size_t file_read(struct aiFile *file, char *out, size_t unit, size_t count) {
    struct memory_file *memory = (struct memory_file *)file->UserData;
    size_t left = memory->size - memory->at;
    if (unit == 0)
        return 0;
    if (count > left / unit)
        count = left / unit;
    memcpy(out, memory->bytes + memory->at, unit * count);
    memory->at += unit * count;
    return count;
}

static size_t file_write(struct aiFile *file, const char *bytes, size_t unit, size_t count) {
    (void)file, (void)bytes, (void)unit, (void)count;
    return 0;
}

static size_t file_tell(struct aiFile *file) {
    return ((struct memory_file *)file->UserData)->at;
}

static size_t file_size(struct aiFile *file) {
    return ((struct memory_file *)file->UserData)->size;
}

static void file_flush(struct aiFile *file) {
    (void)file;
}

static enum aiReturn file_seek(struct aiFile *file, size_t offset, enum aiOrigin origin) {
    struct memory_file *memory = (struct memory_file *)file->UserData;
    size_t from = origin == aiOrigin_CUR ? memory->at : origin == aiOrigin_END ? memory->size : 0;
    size_t to = origin == aiOrigin_END ? from - offset : from + offset;
    if (to > memory->size)
        return aiReturn_FAILURE;
    memory->at = to;
    return aiReturn_SUCCESS;
}

static struct aiFile *files_open(struct aiFileIO *io, const char *path, const char *mode) {
    const struct scene_source *source = (const struct scene_source *)io->UserData;
    if (mode[0] != 'r')
        return NULL;
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    size_t prefix = strlen(VIRTUAL_FOLDER);
    const char *inner = strncmp(path, VIRTUAL_FOLDER, prefix) == 0 ? path + prefix : path;
    struct memory_file *memory = calloc(1, sizeof *memory);
    struct aiFile *file = calloc(1, sizeof *file);
    if (memory == NULL || file == NULL)
        goto fail;
    if (strncmp(inner, "body.", 5) == 0 && strcmp(inner + 5, source->format) == 0) {
        memory->bytes = source->bytes;
        memory->size = source->size;
    } else {
        memory->bytes = memory->owned = scene_read_beside(source, inner, &memory->size);
        if (memory->owned == NULL)
            goto fail;
    }
    *file = (struct aiFile){file_read, file_write, file_tell,     file_size,
                            file_seek, file_flush, (char *)memory};
    return file;
fail:
    free(memory);
    free(file);
    return NULL;
}

static void files_close(struct aiFileIO *io, struct aiFile *file) {
    struct memory_file *memory = (struct memory_file *)file->UserData;
    (void)io;
    free(memory->owned);
    free(memory);
    free(file);
}

/* -- Formats ----------------------------------------------------------------------------------- */

static bool starts(const struct scene_source *source, const char *magic) {
    size_t n = strlen(magic);
    return source->size >= n && memcmp(source->bytes, magic, n) == 0;
}

static bool contains(const struct scene_source *source, const char *word) {
    size_t head = source->size < 4096 ? source->size : 4096;
    return memmem(source->bytes, head, word, strlen(word)) != NULL;
}

/* The format by the file's contents; its ending may lie, and VRM is GLB. */
static int tell_format(struct scene_source *source, struct err *err) {
    if (source->size == 0)
        return err_set(err, ERR_CORRUPT, "%s: the file is empty", source->name);
    if (starts(source, "Kaydara FBX Binary") || (starts(source, ";") && contains(source, "FBX")))
        source->format = "fbx";
    else if (starts(source, "glTF"))
        source->format = "glb";
    else if (contains(source, "{") && memmem(source->bytes, source->size, "\"asset\"", 7) != NULL)
        source->format = "gltf";
    else if (starts(source, "HIERARCHY"))
        return err_set(err, ERR_UNSUPPORTED, "%s: a BVH file is a motion without a body",
                       source->name);
    else
        return err_set(err, ERR_UNSUPPORTED, "%s: not FBX, glTF, GLB or VRM", source->name);
    return 0;
}

/* Assimp keeps the reason of the last failure in one string for all threads: so one import at a
 * time. */
static pthread_mutex_t assimp_lock = PTHREAD_MUTEX_INITIALIZER;

static const struct aiScene *import(const struct scene_source *source,
                                    const struct aiPropertyStore *properties) {
    char path[64];
    snprintf(path, sizeof path, VIRTUAL_FOLDER "body.%s", source->format);
    struct aiFileIO io = {files_open, files_close, (char *)(uintptr_t)source};
    return aiImportFileExWithProperties(
        path, aiProcess_Triangulate | aiProcess_GenSmoothNormals | aiProcess_TransformUVCoords, &io,
        properties);
}

static int run_assimp(const struct scene_source *source, const struct aiScene **out,
                      struct err *err) {
    int rc = assimp_load(err);
    if (rc < 0)
        return rc;
    struct aiPropertyStore *properties = aiCreatePropertyStore();
    if (properties == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory to import it", source->name);
    /* With pivots kept, assimp splits a joint in several nodes and animates Mixamo's twice. */
    aiSetImportPropertyInteger(properties, AI_CONFIG_IMPORT_FBX_PRESERVE_PIVOTS, 0);
    aiSetImportPropertyInteger(properties, AI_CONFIG_IMPORT_FBX_READ_LIGHTS, 0);
    aiSetImportPropertyInteger(properties, AI_CONFIG_IMPORT_FBX_READ_CAMERAS, 0);
    pthread_mutex_lock(&assimp_lock);
    *out = import(source, properties);
    if (*out == NULL) {
        const char *why = aiGetErrorString();
        if (why != NULL && strcmp(why, "std::bad_alloc") == 0)
            rc = err_set(err, ERR_NO_MEMORY, "%s: no memory to import it", source->name);
        else
            rc = err_set(err, ERR_CORRUPT, "%s: the file is damaged or truncated (%s)",
                         source->name, why != NULL && *why != '\0' ? why : "no reason given");
    }
    pthread_mutex_unlock(&assimp_lock);
    aiReleasePropertyStore(properties);
    return rc;
}

/* -- Opening ----------------------------------------------------------------------------------- */

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The name without folder and ending. */
static char *stem_of(const char *name) {
    const char *slash = strrchr(name, '/'), *base = slash != NULL ? slash + 1 : name;
    const char *dot = strrchr(base, '.');
    return dot != NULL && dot != base ? strndup(base, (size_t)(dot - base)) : strdup(base);
}

static int check_options(const struct scene_options *options, const char *name, struct err *err) {
    if (options == NULL || options->stature == 0)
        return 0;
    if (!(options->stature >= 0.1 && options->stature <= 10))
        return err_set(err, ERR_INVALID, "%s: stature must be 0.1 to 10 m, not %g", name,
                       options->stature);
    return 0;
}

int scene_read_source(struct scene_source *source, const struct scene_options *options,
                      struct scene **out, struct scene_mesh *mesh, struct err *err) {
    double start = seconds_now();
    const struct aiScene *tree = NULL;
    uint8_t *prepared = NULL;
    struct scene *scene = NULL;
    int rc = check_options(options, source->name, err);
    if (rc != 0)
        return rc;
    rc = tell_format(source, err);
    if (rc != 0)
        return rc;
    source->bare = options != NULL && options->bare;
    scene = scene_new();
    if (scene == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory to import it", source->name);
    scene->name = stem_of(source->name);
    if (scene->name == NULL) {
        rc = err_set(err, ERR_NO_MEMORY, "%s: no memory to import it", source->name);
        goto end;
    }
    if (strcmp(source->format, "fbx") != 0) {
        size_t size;
        rc = scene_gltf_prepare(source, &prepared, &size, err);
        if (rc != 0)
            goto end;
        if (prepared != NULL) {
            source->bytes = prepared;
            source->size = size;
        }
    }
    rc = run_assimp(source, &tree, err);
    if (rc == 0)
        rc = scene_import(scene, tree, source, options, mesh, err);
    if (rc != 0)
        goto end;
    scene->report.seconds = seconds_now() - start;
    *out = scene;
    scene = NULL;
end:
    if (tree != NULL) /* else the importer may not even be loaded */
        aiReleaseImport(tree);
    free(prepared);
    scene_gltf_release(source);
    scene_release(scene);
    return rc;
}

static int open_source(struct scene_source *source, const struct scene_options *options,
                       struct scene **out, struct err *err) {
    struct scene_mesh mesh = {0};
    struct scene *scene = NULL;
    int rc = scene_read_source(source, options, &scene, &mesh, err);
    if (rc == 0)
        rc = scene_upload(scene, &mesh, source->name, err);
    scene_mesh_deinit(&mesh);
    if (rc == 0)
        *out = scene;
    else
        scene_release(scene);
    return rc;
}

int scene_open_bytes(const void *bytes, size_t size, const char *name,
                     const struct scene_options *options, struct scene **out, struct err *err) {
    if (size > SCENE_MAX_FILE)
        return err_set(err, ERR_TOO_LARGE, "%s: %zu MiB; scenes up to %d MiB are read", name,
                       size >> 20, SCENE_MAX_FILE >> 20);
    struct scene_source source = {.name = name, .bytes = bytes, .size = size, .folder = -1};
    return open_source(&source, options, out, err);
}

int scene_read_file(const char *path, struct scene_source *source, uint8_t **out, struct err *err) {
    const char *slash = strrchr(path, '/');
    *source = (struct scene_source){.name = slash != NULL ? slash + 1 : path, .folder = -1};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set_errno(err, errno, "%s", path);
    int rc = read_descriptor(fd, source->name, out, &source->size, err);
    if (rc != 0)
        return rc;
    char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    source->bytes = *out;
    source->folder = folder != NULL ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    free(folder);
    return 0;
}

int scene_open(const char *path, const struct scene_options *options, struct scene **out,
               struct err *err) {
    struct scene_source source;
    uint8_t *bytes = NULL;
    int rc = scene_read_file(path, &source, &bytes, err);
    if (rc == 0)
        rc = open_source(&source, options, out, err);
    if (source.folder >= 0)
        close(source.folder);
    free(bytes);
    return rc;
}
