/* lua_file.c - the Lua type `stance.file`: a file to read, or one that is written aside and takes
 * its place at close.
 *
 * The descriptor lives in a counted `struct file`, since work on a pool thread may outlast both the
 * Lua value and its fiber. The count is touched on the loop thread only. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/lua_fs.h"
#include "bind/modules.h"
#include "store/replacement.h"

static const char file_type[] = "stance.file";

enum {
    READ_MAX = 64 << 20, /* bytes in one read */
    SLACK = 64 << 10,
};

struct file {
    int references;
    int fd; /* to read; -1 when it writes */
    int64_t size, offset;
    bool writes;
    bool closed; /* for the script */
    bool busy;   /* a call is at work */
    bool broken; /* a write failed: closing must not put it in place */
    struct replacement replacement;
};

static void file_release(struct file *file) {
    if (--file->references > 0)
        return;
    if (file->fd >= 0)
        close(file->fd);
    if (file->writes)
        replacement_abort(&file->replacement);
    free(file);
}

static int file_gc(lua_State *L) {
    struct file **box = lua_touserdata(L, 1);
    if (*box != NULL)
        file_release(*box);
    *box = NULL;
    return 0;
}

static struct file *to_file(lua_State *L, int index) {
    struct file **box = luaL_checkudata(L, index, file_type);
    return *box;
}

static struct file *check_open(lua_State *L) {
    struct file *file = to_file(L, 1);
    luaL_argcheck(L, file != NULL && !file->closed, 1, "the file is closed");
    return file;
}

static struct file *check_mode(lua_State *L, bool writes) {
    struct file *file = check_open(L);
    luaL_argcheck(L, file->writes == writes, 1,
                  writes ? "the file is open for reading" : "the file is open for writing");
    return file;
}

static int fail_busy(lua_State *L) {
    return vm_failf(L, ERR_BUSY, "another fiber is using the file");
}

/* -- Calls on a pool thread ----------------------------------------------------------------------
 */

/* While one is at work (`busy`) it may look at its file; what it changes waits for the loop thread.
 */
struct call {
    struct file *file;
    char *data;
    size_t size; /* wanted, then got */
    bool writes, closes;
    struct err err;
};

/* Raises where the call could not wait: release would take a call that never ran for one that did.
 */
static struct call *call_new(lua_State *L, struct file *file, size_t room) {
    fiber_check(L);
    struct call *call = calloc(1, sizeof *call);
    char *data = call == NULL ? NULL : malloc(room + 1);
    if (data == NULL) {
        free(call);
        luaL_error(L, "not enough memory");
        return NULL;
    }
    call->file = file;
    call->data = data;
    call->size = room;
    file->references++;
    file->busy = true;
    return call;
}

static void call_release(void *arg) {
    struct call *call = arg;
    struct file *file = call->file;
    file->busy = false;
    if (call->closes)
        file->writes = false; /* nothing is left to abort */
    else if (call->err.code < 0)
        file->broken = file->broken || call->writes;
    else if (call->writes)
        file->size += (int64_t)call->size;
    else
        file->offset += (int64_t)call->size;
    file_release(file);
    free(call->data);
    free(call);
}

static int push_true(lua_State *L, void *arg) {
    const struct call *call = arg;
    if (call->err.code < 0)
        return vm_fail(L, &call->err);
    lua_pushboolean(L, 1);
    return 1;
}

static void read_run(void *arg) {
    struct call *call = arg;
    struct file *file = call->file;
    size_t used = 0;
    while (used < call->size) {
        ssize_t got =
            pread(file->fd, call->data + used, call->size - used, file->offset + (off_t)used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            err_set_errno(&call->err, errno, "cannot read the file");
            return;
        }
        if (got == 0)
            break;
        used += (size_t)got;
    }
    call->size = used;
}

static int read_push(lua_State *L, void *arg) {
    const struct call *call = arg;
    if (call->err.code < 0)
        return vm_fail(L, &call->err);
    if (call->size == 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, call->data, call->size);
    return 1;
}

/* file:read([count]) */
static int file_read(lua_State *L) {
    struct file *file = check_mode(L, false);
    int64_t left = file->size > file->offset ? file->size - file->offset : 0;
    lua_Number wanted = luaL_optnumber(L, 2, (lua_Number)left);
    luaL_argcheck(L, wanted >= 0 && (wanted > 0 || left == 0 || lua_isnoneornil(L, 2)), 2,
                  "a count of bytes is needed");
    if (wanted > READ_MAX)
        return vm_failf(L, ERR_TOO_LARGE, "a read takes at most %d MiB: read it in pieces",
                        READ_MAX >> 20);
    if (file->busy)
        return fail_busy(L);
    /* The file may have grown since it was opened, but memory for all that was asked would be a
     * waste. */
    if (wanted > (lua_Number)left + SLACK)
        wanted = (lua_Number)left + SLACK;
    return fiber_work(L, call_new(L, file, (size_t)wanted), read_run, read_push, call_release);
}

static void write_run(void *arg) {
    struct call *call = arg;
    replacement_write(&call->file->replacement, call->data, call->size, &call->err);
}

/* file:write(bytes) */
static int file_write(lua_State *L) {
    struct file *file = check_mode(L, true);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    if (file->busy)
        return fail_busy(L);
    struct call *call = call_new(L, file, size);
    memcpy(call->data, bytes, size);
    call->writes = true;
    return fiber_work(L, call, write_run, push_true, call_release);
}

static void close_run(void *arg) {
    struct call *call = arg;
    struct file *file = call->file;
    if (file->broken) {
        replacement_abort(&file->replacement);
        err_set(&call->err, ERR_IO, "a write to the file failed: it was not put in place");
    } else {
        replacement_commit(&file->replacement, &call->err);
    }
}

/* file:close(): waits for a written file's place. */
static int file_close(lua_State *L) {
    struct file *file = to_file(L, 1);
    if (file == NULL || file->closed) {
        lua_pushboolean(L, 1);
        return 1;
    }
    if (file->busy)
        return fail_busy(L);
    if (!file->writes) {
        file_gc(L);
        lua_pushboolean(L, 1);
        return 1;
    }
    struct call *call = call_new(L, file, 0);
    call->closes = true;
    file->closed = true;
    return fiber_work(L, call, close_run, push_true, call_release);
}

/* -- Calls at once -------------------------------------------------------------------------------
 */

static int file_discard(lua_State *L) {
    struct file *file = to_file(L, 1);
    if (file != NULL && !file->closed) {
        file->closed = true;
        file_gc(L); /* goes with the last call at work */
    }
    return 0;
}

static int file_size(lua_State *L) {
    lua_pushnumber(L, (lua_Number)check_open(L)->size);
    return 1;
}

static int file_seek(lua_State *L) {
    struct file *file = check_mode(L, false);
    lua_Number offset = luaL_checknumber(L, 2);
    luaL_argcheck(L, offset >= 0 && offset <= 9007199254740992.0, 2,
                  "an offset in bytes is needed");
    if (file->busy)
        return fail_busy(L);
    file->offset = (int64_t)offset;
    lua_pushboolean(L, 1);
    return 1;
}

static int file_tostring(lua_State *L) {
    const struct file *file = to_file(L, 1);
    if (file == NULL || file->closed)
        lua_pushliteral(L, "file (closed)");
    else
        lua_pushfstring(L, "file (%s, %f bytes)", file->writes ? "writing" : "reading",
                        (lua_Number)file->size);
    return 1;
}

static const luaL_Reg waiting[] = {
    {"read", file_read},
    {"write", file_write},
    {"close", file_close},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"discard", file_discard},
    {"seek", file_seek},
    {"size", file_size},
    {NULL, NULL},
};

static const luaL_Reg meta[] = {
    {"__gc", file_gc},
    {"__tostring", file_tostring},
    {NULL, NULL},
};

/* -- For other bindings --------------------------------------------------------------------------
 */

static void push_file(lua_State *L, const struct file *contents) {
    struct file **box = lua_newuserdata(L, sizeof(struct file *));
    *box = NULL;
    luaL_getmetatable(L, file_type);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        vm_new_type(L, file_type, methods, meta);
        lua_getfield(L, -1, "__index");
        fiber_register(L, waiting);
        lua_pop(L, 1);
    }
    lua_setmetatable(L, -2);
    struct file *file = malloc(sizeof *file);
    if (file == NULL) {
        luaL_error(L, "not enough memory");
        return;
    }
    *file = *contents;
    file->references = 1;
    *box = file;
}

void lua_file_push(lua_State *L, int fd, int64_t size) {
    struct file file = {.fd = fd, .size = size};
    push_file(L, &file);
}

void lua_file_push_replacement(lua_State *L, const struct replacement *replacement) {
    struct file file = {.fd = -1, .writes = true, .replacement = *replacement};
    push_file(L, &file);
}

int lua_file_fd(lua_State *L, int index, int64_t *size) {
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return -1;
    luaL_getmetatable(L, file_type);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (!same)
        return -1;
    const struct file *file = to_file(L, index);
    luaL_argcheck(L, file != NULL && !file->closed, index, "the file is closed");
    luaL_argcheck(L, !file->writes, index, "the file is open for writing");
    if (size != NULL)
        *size = file->size;
    return file->fd;
}
