#include "media/scene_child.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "media/assimp_load.h"
#include "media/scene_pack.h"
#include "media/scene_wire.h"

static int read_all(int fd, void *to, size_t size, struct err *err) {
    for (size_t used = 0; used < size;) {
        ssize_t got = read(fd, (char *)to + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_set_errno(err, got < 0 ? errno : EPIPE, "cannot read the query");
        used += (size_t)got;
    }
    return 0;
}

static int write_all(void *arg, void *bytes, size_t size, struct err *err) {
    int fd = *(const int *)arg;
    for (size_t used = 0; used < size;) {
        ssize_t put = write(fd, (const char *)bytes + used, size - used);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_set_errno(err, errno, "cannot answer");
        used += (size_t)put;
    }
    return 0;
}

static int answer(int fd, enum scene_answer_kind kind, int code, const char *words) {
    static struct scene_answer out;
    out = (struct scene_answer){.kind = kind, .code = code};
    snprintf(out.words, sizeof out.words, "%s", words);
    return write_all(&fd, &out, sizeof out, NULL);
}

/* The next `size` bytes of the socket, malloc'ed. */
static uint8_t *take(int fd, uint64_t size, struct err *err) {
    uint8_t *bytes = size <= SCENE_MAX_FILE ? malloc((size_t)size + 1) : NULL;
    if (bytes == NULL)
        err_set(err, ERR_NO_MEMORY, "no memory to read %llu bytes", (unsigned long long)size);
    if (bytes == NULL || read_all(fd, bytes, (size_t)size, err) == 0)
        return bytes;
    free(bytes);
    return NULL;
}

/* A name that is cut is another file's: it is not asked for. */
static uint8_t *ask_beside(void *arg, const char *reference, size_t *size) {
    int fd = *(const int *)arg;
    uint64_t length;
    if (strlen(reference) >= SCENE_WORDS_SIZE || answer(fd, SCENE_NEEDS, 0, reference) != 0 ||
        read_all(fd, &length, sizeof length, NULL) != 0 || length == SCENE_NONE)
        return NULL;
    uint8_t *bytes = take(fd, length, NULL);
    if (bytes == NULL)
        _exit(1); /* what comes next on the socket would be misread */
    *size = (size_t)length;
    return bytes;
}

/* A list of the query, into `*list`. */
static int take_list(int fd, void *list, size_t count, size_t size, struct err *err) {
    void *bytes = take(fd, (uint64_t)count * size, err);
    memcpy(list, &bytes, sizeof bytes);
    return bytes != NULL ? 0 : err->code;
}

static struct rig_tables *take_rigs(int fd, const struct rig_tables *counts, struct err *err) {
    struct rig_tables *rigs = rig_tables_new();
    if (rigs == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for tables of rigs");
        return NULL;
    }
    rigs->rig_count = counts->rig_count;
    rigs->entry_count = counts->entry_count;
    rigs->word_count = counts->word_count;
    if (take_list(fd, &rigs->rigs, rigs->rig_count, sizeof *rigs->rigs, err) == 0 &&
        take_list(fd, &rigs->entries, rigs->entry_count, sizeof *rigs->entries, err) == 0 &&
        take_list(fd, &rigs->words, rigs->word_count, sizeof *rigs->words, err) == 0)
        return rigs;
    rig_tables_release(rigs);
    return NULL;
}

static int import(int fd, struct scene **scene, struct scene_mesh *mesh, struct err *err) {
    struct scene_query query;
    int rc = read_all(fd, &query, sizeof query, err);
    if (rc != 0)
        return rc;
    query.name[SCENE_NAME_SIZE - 1] = 0;
    struct scene_options options = {
        .stature = query.stature, .bare = query.bare, .rigs = take_rigs(fd, &query.rigs, err)};
    uint8_t *bytes = options.rigs != NULL ? take(fd, query.size, err) : NULL;
    if (bytes == NULL) {
        rig_tables_release(options.rigs);
        return err->code;
    }
    struct scene_source source = {.name = query.name,
                                  .bytes = bytes,
                                  .size = (size_t)query.size,
                                  .folder = -1,
                                  .beside = ask_beside,
                                  .beside_arg = &fd};
    rc = scene_read_source(&source, &options, scene, mesh, err);
    rig_tables_release(options.rigs);
    free(bytes);
    return rc;
}

int scene_child_serve(int fd, int (*confine)(void *arg, struct err *err), void *arg) {
    struct scene_mesh mesh = {0};
    struct scene *scene = NULL;
    struct err err;
    int rc = assimp_load(&err);
    if (rc == 0)
        rc = confine(arg, &err);
    if (rc == 0)
        rc = import(fd, &scene, &mesh, &err);
    if (rc != 0)
        rc = answer(fd, SCENE_FAILED, err.code, err.message);
    else if ((rc = answer(fd, SCENE_BODY, 0, "")) == 0)
        rc = scene_pack_send(scene, &mesh, write_all, &fd, &err);
    scene_mesh_deinit(&mesh);
    scene_release(scene);
    return rc;
}
