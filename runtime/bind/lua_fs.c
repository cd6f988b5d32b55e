/* lua_fs.c - the Lua module `fs`: files under granted folders (store/roots.h). What each function
 * takes and gives: lua/stance/meta/fs.lua. Every call runs on a pool thread while its fiber waits.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bind/lua_fs.h"
#include "bind/modules.h"
#include "store/objects.h"
#include "store/replacement.h"

enum { READ_LIMIT = 64 << 20, LIST_LIMIT = 100000 };

/* One entry of a folder, or what stat found. */
struct entry {
    char *name;
    struct stat stat;
};

/* What one call takes to the pool thread and brings back. */
struct call {
    struct roots *roots;
    struct objects *objects; /* copy_object only */
    char *path, *target;
    char hash[OBJECT_HASH_SIZE];
    char *data;
    size_t size, limit;
    struct entry *entries;
    size_t count;
    int fd;
    bool writes; /* replacement is open */
    struct replacement replacement;
    struct err err;
};

static void call_release(void *arg) {
    struct call *call = arg;
    if (call->fd >= 0)
        close(call->fd);
    if (call->writes)
        replacement_abort(&call->replacement);
    for (size_t i = 0; i < call->count; i++)
        free(call->entries[i].name);
    free(call->entries);
    free(call->path);
    free(call->target);
    free(call->data);
    objects_release(call->objects);
    roots_release(call->roots);
    free(call);
}

static const char *check_path(lua_State *L, int index) {
    size_t size;
    const char *path = luaL_checklstring(L, index, &size);
    luaL_argcheck(L, strlen(path) == size, index, "the path holds a zero byte");
    return path;
}

/* NULL when this process grants no folders: the error is on the stack. */
static struct call *call_new(lua_State *L, const char *path) {
    struct roots *roots = services_of(L)->roots;
    if (roots == NULL) {
        vm_failf(L, ERR_UNSUPPORTED, "no folders are granted in this process (a %s)",
                 services_of(L)->role);
        return NULL;
    }
    struct call *call = calloc(1, sizeof *call);
    if (call != NULL && (call->path = strdup(path)) == NULL) {
        free(call);
        call = NULL;
    }
    if (call == NULL) {
        luaL_error(L, "not enough memory");
        return NULL;
    }
    call->fd = -1;
    call->roots = roots;
    roots_retain(roots);
    return call;
}

static int push_true(lua_State *L, void *arg) {
    const struct call *call = arg;
    if (call->err.code < 0)
        return vm_fail(L, &call->err);
    lua_pushboolean(L, 1);
    return 1;
}

/* -- Reading -------------------------------------------------------------------------------------
 */

/* A regular file, and its size. */
static int open_file(struct call *call, struct stat *info) {
    int fd = roots_open(call->roots, call->path, O_RDONLY, 0, &call->err);
    if (fd < 0)
        return fd;
    if (fstat(fd, info) == 0 && S_ISREG(info->st_mode))
        return fd;
    close(fd);
    return err_set(&call->err, ERR_INVALID, "%s is a folder", call->path);
}

/* To its end, which may move while it is read. */
static void read_all(struct call *call, int fd, size_t expected) {
    size_t room = expected + 1;
    call->data = malloc(room);
    while (call->data != NULL) {
        ssize_t got = read(fd, call->data + call->size, room - call->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            err_set_errno(&call->err, errno, "cannot read %s", call->path);
        if (got <= 0)
            return;
        call->size += (size_t)got;
        if (call->size > call->limit) {
            err_set(&call->err, ERR_TOO_LARGE, "%s has more than %zu bytes", call->path,
                    call->limit);
            return;
        }
        if (call->size < room)
            continue;
        room *= 2;
        char *grown = realloc(call->data, room);
        if (grown == NULL)
            break;
        call->data = grown;
    }
    err_set(&call->err, ERR_NO_MEMORY, "out of memory for %s", call->path);
}

static void read_run(void *arg) {
    struct call *call = arg;
    struct stat info;
    int fd = open_file(call, &info);
    if (fd < 0)
        return;
    if ((uint64_t)info.st_size > call->limit)
        err_set(&call->err, ERR_TOO_LARGE, "%s has %lld bytes, more than the limit of %zu",
                call->path, (long long)info.st_size, call->limit);
    else
        read_all(call, fd, (size_t)info.st_size);
    close(fd);
}

static int read_push(lua_State *L, void *arg) {
    const struct call *call = arg;
    if (call->err.code < 0)
        return vm_fail(L, &call->err);
    lua_pushlstring(L, call->data, call->size);
    return 1;
}

static int fs_read(lua_State *L) {
    const char *path = check_path(L, 1);
    lua_Number limit = luaL_optnumber(L, 2, READ_LIMIT);
    luaL_argcheck(L, limit >= 0 && limit <= 1e15, 2, "a limit in bytes is needed");
    struct call *call = call_new(L, path);
    if (call == NULL)
        return 2;
    call->limit = (size_t)limit;
    return fiber_work(L, call, read_run, read_push, call_release);
}

/* -- Writing -------------------------------------------------------------------------------------
 */

static void write_run(void *arg) {
    struct call *call = arg;
    struct replacement replacement;
    if (replacement_begin(call->roots, call->path, &replacement, &call->err) < 0)
        return;
    if (replacement_write(&replacement, call->data, call->size, &call->err) < 0)
        replacement_abort(&replacement);
    else
        replacement_commit(&replacement, &call->err);
}

static int fs_write(lua_State *L) {
    const char *path = check_path(L, 1);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    struct call *call = call_new(L, path);
    if (call == NULL)
        return 2;
    call->size = size;
    call->data = malloc(size + 1);
    if (call->data == NULL) {
        call_release(call);
        return luaL_error(L, "not enough memory");
    }
    memcpy(call->data, bytes, size);
    return fiber_work(L, call, write_run, push_true, call_release);
}

static void copy_object_run(void *arg) {
    struct call *call = arg;
    int64_t size;
    call->fd = objects_open(call->objects, call->hash, &size, &call->err);
    if (call->fd < 0)
        return;
    struct replacement replacement;
    if (replacement_begin(call->roots, call->path, &replacement, &call->err) < 0)
        return;
    if (replacement_copy(&replacement, call->fd, &call->err) < 0)
        replacement_abort(&replacement);
    else
        replacement_commit(&replacement, &call->err);
}

static int fs_copy_object(lua_State *L) {
    const char *hash = luaL_checkstring(L, 1);
    luaL_argcheck(L, objects_hash_valid(hash), 1, "an object's hash has 64 lower-case hex digits");
    const char *path = check_path(L, 2);
    struct objects *objects = services_of(L)->objects;
    if (objects == NULL)
        return vm_failf(L, ERR_UNSUPPORTED, "objects are not open in this process (a %s)",
                        services_of(L)->role);
    struct call *call = call_new(L, path);
    if (call == NULL)
        return 2;
    memcpy(call->hash, hash, OBJECT_HASH_SIZE);
    call->objects = objects;
    objects_retain(objects);
    return fiber_work(L, call, copy_object_run, push_true, call_release);
}

/* -- Opening -------------------------------------------------------------------------------------
 */

static void open_run(void *arg) {
    struct call *call = arg;
    struct stat info;
    call->fd = open_file(call, &info);
    if (call->fd >= 0)
        call->size = (size_t)info.st_size;
}

static int open_push(lua_State *L, void *arg) {
    struct call *call = arg;
    if (call->err.code < 0)
        return vm_fail(L, &call->err);
    lua_file_push(L, call->fd, (int64_t)call->size);
    call->fd = -1;
    return 1;
}

static void create_run(void *arg) {
    struct call *call = arg;
    call->writes = replacement_begin(call->roots, call->path, &call->replacement, &call->err) == 0;
}

static int create_push(lua_State *L, void *arg) {
    struct call *call = arg;
    if (call->err.code < 0)
        return vm_fail(L, &call->err);
    lua_file_push_replacement(L, &call->replacement);
    call->writes = false;
    return 1;
}

static int fs_open(lua_State *L) {
    static const char *const modes[] = {"r", "w", NULL};
    const char *path = check_path(L, 1);
    bool writes = luaL_checkoption(L, 2, "r", modes) == 1;
    struct call *call = call_new(L, path);
    if (call == NULL)
        return 2;
    return writes ? fiber_work(L, call, create_run, create_push, call_release)
                  : fiber_work(L, call, open_run, open_push, call_release);
}

/* -- Looking -------------------------------------------------------------------------------------
 */

static const char *kind_of(mode_t mode) {
    if (S_ISREG(mode))
        return "file";
    if (S_ISDIR(mode))
        return "folder";
    return S_ISLNK(mode) ? "link" : "other";
}

static void push_entry(lua_State *L, const struct entry *entry) {
    lua_createtable(L, 0, 4);
    if (entry->name != NULL) {
        lua_pushstring(L, entry->name);
        lua_setfield(L, -2, "name");
    }
    lua_pushstring(L, kind_of(entry->stat.st_mode));
    lua_setfield(L, -2, "kind");
    lua_pushnumber(L, (lua_Number)entry->stat.st_size);
    lua_setfield(L, -2, "size");
    lua_pushnumber(L, (lua_Number)entry->stat.st_mtim.tv_sec +
                          (lua_Number)entry->stat.st_mtim.tv_nsec / 1e9);
    lua_setfield(L, -2, "modified");
}

static struct entry *add_entry(struct call *call) {
    if ((call->count & (call->count - 1)) == 0) { /* a power of two: full */
        size_t room = call->count ? call->count * 2 : 1;
        struct entry *grown = realloc(call->entries, room * sizeof *grown);
        if (grown == NULL)
            return NULL;
        call->entries = grown;
    }
    struct entry *entry = &call->entries[call->count++];
    memset(entry, 0, sizeof *entry);
    return entry;
}

static void stat_run(void *arg) {
    struct call *call = arg;
    call->fd = roots_open(call->roots, call->path, O_PATH, 0, &call->err);
    struct entry *entry = call->fd < 0 ? NULL : add_entry(call);
    if (call->fd >= 0 && (entry == NULL || fstat(call->fd, &entry->stat) < 0))
        err_set_errno(&call->err, entry ? errno : ENOMEM, "cannot look at %s", call->path);
}

static int stat_push(lua_State *L, void *arg) {
    const struct call *call = arg;
    if (call->err.code < 0)
        return vm_fail(L, &call->err);
    push_entry(L, call->entries);
    return 1;
}

static int fs_stat(lua_State *L) {
    struct call *call = call_new(L, check_path(L, 1));
    return call == NULL ? 2 : fiber_work(L, call, stat_run, stat_push, call_release);
}

static int compare(const void *a, const void *b) {
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static void list_all(struct call *call, DIR *folder) {
    for (struct dirent *next = readdir(folder); next != NULL; next = readdir(folder)) {
        struct stat info;
        if (strcmp(next->d_name, ".") == 0 || strcmp(next->d_name, "..") == 0 ||
            fstatat(dirfd(folder), next->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (call->count == LIST_LIMIT) {
            err_set(&call->err, ERR_TOO_LARGE, "%s has more than %d entries", call->path,
                    LIST_LIMIT);
            return;
        }
        struct entry *entry = add_entry(call);
        if (entry == NULL || (entry->name = strdup(next->d_name)) == NULL) {
            err_set(&call->err, ERR_NO_MEMORY, "out of memory to list %s", call->path);
            return;
        }
        entry->stat = info;
    }
    if (call->count > 1)
        qsort(call->entries, call->count, sizeof *call->entries, compare);
}

static void list_run(void *arg) {
    struct call *call = arg;
    int fd = roots_open(call->roots, call->path, O_RDONLY | O_DIRECTORY, 0, &call->err);
    if (fd < 0)
        return;
    DIR *folder = fdopendir(fd);
    if (folder == NULL) {
        err_set_errno(&call->err, errno, "cannot list %s", call->path);
        close(fd);
        return;
    }
    list_all(call, folder);
    closedir(folder);
}

static int list_push(lua_State *L, void *arg) {
    const struct call *call = arg;
    if (call->err.code < 0)
        return vm_fail(L, &call->err);
    lua_createtable(L, (int)call->count, 0);
    for (size_t i = 0; i < call->count; i++) {
        push_entry(L, &call->entries[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int fs_list(lua_State *L) {
    struct call *call = call_new(L, check_path(L, 1));
    return call == NULL ? 2 : fiber_work(L, call, list_run, list_push, call_release);
}

static int fs_roots(lua_State *L) {
    const struct roots *roots = services_of(L)->roots;
    size_t count = roots == NULL ? 0 : roots_count(roots);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_createtable(L, 0, 3);
        lua_pushstring(L, roots_name(roots, i));
        lua_setfield(L, -2, "name");
        lua_pushstring(L, roots_folder(roots, i));
        lua_setfield(L, -2, "folder");
        lua_pushboolean(L, roots_writable(roots, i));
        lua_setfield(L, -2, "writable");
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* -- Changing ------------------------------------------------------------------------------------
 */

static void mkdir_run(void *arg) {
    struct call *call = arg;
    roots_make_folder(call->roots, call->path, &call->err);
}

static int fs_mkdir(lua_State *L) {
    struct call *call = call_new(L, check_path(L, 1));
    return call == NULL ? 2 : fiber_work(L, call, mkdir_run, push_true, call_release);
}

static void remove_run(void *arg) {
    struct call *call = arg;
    struct roots_entry entry;
    if (roots_open_entry(call->roots, call->path, true, &entry, &call->err) < 0)
        return;
    int status = unlinkat(entry.folder, entry.name, 0);
    if (status < 0 && errno == EISDIR)
        status = unlinkat(entry.folder, entry.name, AT_REMOVEDIR);
    if (status < 0)
        err_set_errno(&call->err, errno, "cannot remove %s", call->path);
    close(entry.folder);
}

static int fs_remove(lua_State *L) {
    struct call *call = call_new(L, check_path(L, 1));
    return call == NULL ? 2 : fiber_work(L, call, remove_run, push_true, call_release);
}

static void rename_run(void *arg) {
    struct call *call = arg;
    struct roots_entry from, to;
    if (roots_open_entry(call->roots, call->path, true, &from, &call->err) < 0)
        return;
    if (roots_open_entry(call->roots, call->target, true, &to, &call->err) < 0) {
        close(from.folder);
        return;
    }
    int failed = renameat(from.folder, from.name, to.folder, to.name) < 0 ? errno : 0;
    if (failed == EXDEV)
        err_set(&call->err, ERR_UNSUPPORTED, "cannot rename %s to %s: they are on two file systems",
                call->path, call->target);
    else if (failed != 0)
        err_set_errno(&call->err, failed, "cannot rename %s to %s", call->path, call->target);
    if (failed == 0 && fsync(to.folder) < 0 && errno != EINVAL)
        err_set_errno(&call->err, errno, "cannot sync the folder of %s", call->target);
    close(from.folder);
    close(to.folder);
}

static int fs_rename(lua_State *L) {
    const char *path = check_path(L, 1), *target = check_path(L, 2);
    struct call *call = call_new(L, path);
    if (call == NULL)
        return 2;
    call->target = strdup(target);
    if (call->target == NULL) {
        call_release(call);
        return luaL_error(L, "not enough memory");
    }
    return fiber_work(L, call, rename_run, push_true, call_release);
}

static const luaL_Reg waiting[] = {
    {"read", fs_read},     {"write", fs_write},
    {"open", fs_open},     {"copy_object", fs_copy_object},
    {"stat", fs_stat},     {"list", fs_list},
    {"mkdir", fs_mkdir},   {"remove", fs_remove},
    {"rename", fs_rename}, {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"roots", fs_roots},
    {NULL, NULL},
};

int lua_open_fs(lua_State *L) {
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    fiber_register(L, waiting);
    return 1;
}
