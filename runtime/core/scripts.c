#include "core/scripts.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/sha256.h"

enum { SCRIPT_SIZE_MAX = 4 << 20, SCRIPT_DEPTH_MAX = 16 };

struct scripts {
    char name[SCRIPTS_NAME_SIZE];
    struct script *list;
    size_t count, room;
    double touched; /* seconds since 1970: the last change of a file or folder that was read */
};

static void hex(const unsigned char *bytes, size_t count, char *out) {
    for (size_t i = 0; i < count; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

int scripts_begin(struct scripts **out, struct err *err) {
    *out = calloc(1, sizeof **out);
    return *out ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
}

void scripts_free(struct scripts *scripts) {
    if (scripts == NULL)
        return;
    for (size_t i = 0; i < scripts->count; i++) {
        free(scripts->list[i].path);
        free(scripts->list[i].text);
        free(scripts->list[i].origin);
    }
    free(scripts->list);
    free(scripts);
}

/* The place of `path`, or where it would stand. */
static size_t place(const struct scripts *scripts, const char *path, bool *found) {
    size_t low = 0, high = scripts->count;
    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(scripts->list[middle].path, path);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int grow(struct scripts *scripts, struct err *err) {
    if (scripts->count < scripts->room)
        return 0;
    size_t room = scripts->room ? 2 * scripts->room : 64;
    struct script *list = realloc(scripts->list, room * sizeof *list);
    if (list == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    scripts->list = list;
    scripts->room = room;
    return 0;
}

int scripts_add(struct scripts *scripts, const char *path, const char *text, size_t size,
                const char *origin, struct err *err) {
    assert(text != NULL);
    if (size > 0 && text[0] == '\x1b')
        return err_set(err, ERR_INVALID, "%s: compiled Lua is not accepted, only text", origin);
    struct script script = {
        .path = strdup(path), .text = malloc(size + 1), .size = size, .origin = strdup(origin)};
    if (script.path == NULL || script.text == NULL || script.origin == NULL || grow(scripts, err)) {
        free(script.path);
        free(script.text);
        free(script.origin);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    memcpy(script.text, text, size);
    script.text[size] = 0;
    unsigned char digest[SHA256_SIZE];
    sha256_of(text, size, digest);
    hex(digest, sizeof digest, script.hash);

    assert(scripts->list != NULL); /* grow has seen to it */
    bool found;
    size_t at = place(scripts, path, &found);
    if (found) { /* the workspace lies over what was read before */
        free(scripts->list[at].path);
        free(scripts->list[at].text);
        free(scripts->list[at].origin);
    } else {
        memmove(scripts->list + at + 1, scripts->list + at,
                (scripts->count - at) * sizeof *scripts->list);
        scripts->count++;
    }
    scripts->list[at] = script;
    return 0;
}

int scripts_seal(struct scripts *scripts, struct err *err) {
    (void)err;
    struct sha256 sha;
    unsigned char sum[SHA256_SIZE];
    sha256_begin(&sha);
    for (size_t i = 0; i < scripts->count; i++) {
        const struct script *script = &scripts->list[i];
        sha256_add(&sha, script->path, strlen(script->path) + 1);
        sha256_add(&sha, script->hash, SCRIPT_HASH_SIZE);
    }
    sha256_end(&sha, sum);
    hex(sum, (SCRIPTS_NAME_SIZE - 1) / 2, scripts->name);
    return 0;
}

void scripts_mark_known(struct scripts *scripts, const struct scripts *earlier) {
    for (size_t i = 0; i < scripts->count; i++) {
        const struct script *same = scripts_find(earlier, scripts->list[i].path);
        scripts->list[i].known = same != NULL && strcmp(same->hash, scripts->list[i].hash) == 0;
    }
}

/* -- Packed ------------------------------------------------------------------------------------ */

/* Of each: '=' when it is known, else '+', path and origin, ended by zero bytes, the text's size as
 * a size_t, the text. */

static size_t packed_size(const struct script *script) {
    return strlen(script->path) + strlen(script->origin) + 3 + sizeof script->size + script->size;
}

char *scripts_pack(const struct scripts *scripts, size_t *size) {
    size_t all = 0;
    for (size_t i = 0; i < scripts->count; i++)
        all += packed_size(&scripts->list[i]);
    char *packed = malloc(all + 1), *at = packed;
    if (packed == NULL)
        return NULL;
    for (size_t i = 0; i < scripts->count; i++) {
        const struct script *script = &scripts->list[i];
        *at++ = script->known ? '=' : '+';
        at = stpcpy(at, script->path) + 1;
        at = stpcpy(at, script->origin) + 1;
        memcpy(at, &script->size, sizeof script->size);
        memcpy(at + sizeof script->size, script->text, script->size);
        at += sizeof script->size + script->size;
    }
    *size = all;
    return packed;
}

static int unpack_one(struct scripts *scripts, const char **at, const char *end, struct err *err) {
    bool known = **at == '=';
    const char *path = *at + 1, *origin = memchr(path, 0, (size_t)(end - path));
    const char *text = origin ? memchr(origin + 1, 0, (size_t)(end - origin - 1)) : NULL;
    size_t size;
    if (text == NULL || (size_t)(end - ++text) < sizeof size)
        return err_set(err, ERR_CORRUPT, "the packed scripts are cut short");
    memcpy(&size, text, sizeof size);
    text += sizeof size;
    if ((size_t)(end - text) < size)
        return err_set(err, ERR_CORRUPT, "the packed scripts are cut short");
    *at = text + size;
    int code = scripts_add(scripts, path, text, size, origin + 1, err);
    if (code == 0) {
        bool found;
        scripts->list[place(scripts, path, &found)].known = known;
    }
    return code;
}

int scripts_unpack(const char *packed, size_t size, struct scripts **out, struct err *err) {
    struct scripts *scripts;
    int code = scripts_begin(&scripts, err);
    for (const char *at = packed; code == 0 && at < packed + size;)
        code = unpack_one(scripts, &at, packed + size, err);
    if (code == 0)
        code = scripts_seal(scripts, err);
    if (code == 0)
        *out = scripts;
    else
        scripts_free(scripts);
    return code;
}

/* -- From disk --------------------------------------------------------------------------------- */

static void note_touch(struct scripts *scripts, const struct stat *stat) {
    const struct timespec *times[] = {&stat->st_mtim, &stat->st_ctim};
    for (size_t i = 0; i < 2; i++) {
        double at = (double)times[i]->tv_sec + (double)times[i]->tv_nsec / 1e9;
        if (at > scripts->touched)
            scripts->touched = at;
    }
}

static int read_file(int folder, const char *name, const char *origin, char **text, size_t *size,
                     struct err *err) {
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "%s", origin);
    struct stat stat;
    int code = 0;
    *text = NULL;
    if (fstat(fd, &stat) < 0)
        code = err_set_errno(err, errno, "%s", origin);
    else if (!S_ISREG(stat.st_mode))
        code = err_set(err, ERR_INVALID, "%s: not a plain file", origin);
    else if (stat.st_size > SCRIPT_SIZE_MAX)
        code = err_set(err, ERR_TOO_LARGE, "%s: a script may have %d MiB at most", origin,
                       SCRIPT_SIZE_MAX >> 20);
    else if ((*text = malloc((size_t)stat.st_size + 1)) == NULL)
        code = err_set(err, ERR_NO_MEMORY, "out of memory");
    size_t got = 0;
    while (code == 0 && got < (size_t)stat.st_size) {
        ssize_t count = read(fd, *text + got, (size_t)stat.st_size - got);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            code = err_set_errno(err, errno, "%s", origin);
        if (count <= 0)
            break;
        got += (size_t)count;
    }
    close(fd);
    *size = got;
    if (code != 0) {
        free(*text);
        *text = NULL;
    }
    return code;
}

static bool is_script(const char *name) {
    size_t length = strlen(name);
    return name[0] != '.' && length > 4 && strcmp(name + length - 4, ".lua") == 0;
}

/* A folder that is being read, and those that it lies in. */
struct folder {
    const struct folder *above;
    int fd;
    dev_t device;
    ino_t inode;
    const char *origin, *prefix; /* its path on disk; that of its scripts, "" or with a '/' */
    int depth;
};

/* A link may lead back to where we came from. */
static bool is_inside(const struct folder *folder, const struct stat *stat) {
    while (folder && (folder->device != stat->st_dev || folder->inode != stat->st_ino))
        folder = folder->above;
    return folder != NULL;
}

static int read_folder(struct scripts *scripts, struct folder *folder, struct err *err);

static int read_child(struct scripts *scripts, const struct folder *folder, const char *name,
                      const char *origin, char *path, struct err *err) {
    if (folder->depth == SCRIPT_DEPTH_MAX)
        return err_set(err, ERR_INVALID, "%s: folders may lie %d deep at most", origin,
                       SCRIPT_DEPTH_MAX);
    strcat(path, "/");
    struct folder child = {folder, -1, 0, 0, origin, path, folder->depth + 1};
    child.fd = openat(folder->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (child.fd < 0)
        return err_set_errno(err, errno, "%s", origin);
    return read_folder(scripts, &child, err);
}

static int read_entry(struct scripts *scripts, const struct folder *folder, const char *name,
                      struct err *err) {
    char path[512], origin[4096];
    struct stat stat;
    if (name[0] == '.' || (folder->depth == 0 && strcmp(name, "spec") == 0) ||
        strcmp(name, "node_modules") == 0 || strcmp(name, "meta") == 0 ||
        fstatat(folder->fd, name, &stat, 0) < 0)
        return 0;
    bool is_folder = S_ISDIR(stat.st_mode) && !is_inside(folder, &stat);
    if (!is_folder && !(S_ISREG(stat.st_mode) && is_script(name)))
        return 0;
    if (snprintf(path, sizeof path, "%s%s", folder->prefix, name) >= (int)sizeof path - 1 ||
        snprintf(origin, sizeof origin, "%s/%s", folder->origin, name) >= (int)sizeof origin)
        return err_set(err, ERR_INVALID, "the path is too long: %s/%s", folder->origin, name);
    if (is_folder)
        return read_child(scripts, folder, name, origin, path, err);
    note_touch(scripts, &stat);
    char *text = NULL;
    size_t size = 0;
    int code = read_file(folder->fd, name, origin, &text, &size, err);
    if (code == 0)
        code = scripts_add(scripts, path, text, size, origin, err);
    free(text);
    return code;
}

/* Closes folder->fd. */
static int read_folder(struct scripts *scripts, struct folder *folder, struct err *err) {
    struct stat stat;
    DIR *dir = fstat(folder->fd, &stat) == 0 ? fdopendir(folder->fd) : NULL;
    if (dir == NULL) {
        int why = errno;
        close(folder->fd);
        return err_set_errno(err, why, "%s", folder->origin);
    }
    note_touch(scripts, &stat);
    folder->device = stat.st_dev;
    folder->inode = stat.st_ino;
    int code = 0;
    struct dirent *entry;
    while (code == 0 && (entry = readdir(dir)) != NULL)
        code = read_entry(scripts, folder, entry->d_name, err);
    closedir(dir);
    return code;
}

static int read_root(struct scripts *scripts, const char *root, const char *prefix,
                     struct err *err) {
    if (root == NULL)
        return 0;
    struct folder folder = {.origin = root, .prefix = prefix};
    folder.fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder.fd < 0)
        return err_set_errno(err, errno, "scripts folder %s", root);
    return read_folder(scripts, &folder, err);
}

int scripts_read(const char *lua_dir, const char *policies_dir, const char *workspace,
                 struct scripts **out, struct err *err) {
    struct scripts *scripts;
    int code = scripts_begin(&scripts, err);
    if (code != 0)
        return code;
    if ((code = read_root(scripts, lua_dir, "", err)) != 0 ||
        (code = read_root(scripts, policies_dir, "policies/", err)) != 0 ||
        (code = read_root(scripts, workspace, "", err)) != 0 ||
        (code = scripts_seal(scripts, err)) != 0) {
        scripts_free(scripts);
        return code;
    }
    *out = scripts;
    return 0;
}

/* The clock's time of files and ours may differ by a tick; a change in the future is none to wait
 * for. */
double scripts_untouched(const struct scripts *scripts) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double since = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - scripts->touched;
    return since < -1 ? 1 : since < 0 ? 0 : since;
}

const char *scripts_name(const struct scripts *scripts) {
    return scripts->name;
}

size_t scripts_count(const struct scripts *scripts) {
    return scripts->count;
}

const struct script *scripts_at(const struct scripts *scripts, size_t index) {
    return index < scripts->count ? &scripts->list[index] : NULL;
}

const struct script *scripts_find(const struct scripts *scripts, const char *path) {
    bool found;
    size_t at = place(scripts, path, &found);
    return found ? &scripts->list[at] : NULL;
}
