/* lua_objects.c - the Lua module `objects`: bytes by the hash of their contents. What each function
 * takes and gives: lua/stance/meta/objects.lua. Every call runs on a pool thread while its fiber
 * waits. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/lua_fs.h"
#include "bind/modules.h"
#include "store/objects.h"

static const char writer_type[] = "stance.object_writer";

enum { READ_LIMIT = 64 << 20 };

/* What one call takes to the pool thread and brings back. */
struct call {
    struct objects *objects;
    struct writer *writer;
    char hash[OBJECT_HASH_SIZE];
    char *data; /* given or got */
    size_t size;
    size_t limit;
    double before;
    int fd;
    int64_t count;
    struct object_info info;
    struct err err;
};

/* -- Writers: counted, since a call may outlast the Lua value; the count is the loop thread's ----
 */

struct writer {
    int references;
    struct object_put *put; /* NULL: ended */
    bool busy;
    bool abandoned; /* nothing will be committed */
};

static void writer_release(struct writer *writer) {
    if (--writer->references > 0)
        return;
    objects_abort(writer->put);
    free(writer);
}

/* -- Calls ---------------------------------------------------------------------------------------
 */

static struct call *call_new(lua_State *L, struct objects *objects, const char *bytes,
                             size_t size) {
    fiber_check(L);
    struct call *call = calloc(1, sizeof *call);
    if (call != NULL && bytes != NULL && (call->data = malloc(size + 1)) == NULL) {
        free(call);
        call = NULL;
    }
    if (call == NULL)
        luaL_error(L, "not enough memory");
    if (bytes != NULL)
        memcpy(call->data, bytes, size);
    call->size = size;
    call->fd = -1;
    call->objects = objects;
    objects_retain(objects);
    return call;
}

static void call_release(void *arg) {
    struct call *call = arg;
    if (call->writer != NULL) {
        call->writer->busy = false;
        if (call->err.code < 0)
            call->writer->abandoned = true;
        writer_release(call->writer);
    }
    if (call->fd >= 0)
        close(call->fd);
    objects_release(call->objects);
    free(call->data);
    free(call);
}

static struct objects *objects_of(lua_State *L) {
    return services_of(L)->objects;
}

static int fail_closed(lua_State *L) {
    return vm_failf(L, ERR_UNSUPPORTED, "objects are not open in this process (a %s)",
                    services_of(L)->role);
}

static int push_true(lua_State *L, void *arg) {
    const struct call *call = arg;
    if (call->err.code < 0)
        return vm_fail(L, &call->err);
    lua_pushboolean(L, 1);
    return 1;
}

static void push_info(lua_State *L, const struct object_info *info) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, info->hash);
    lua_setfield(L, -2, "hash");
    lua_pushnumber(L, (lua_Number)info->size);
    lua_setfield(L, -2, "size");
    lua_pushnumber(L, info->modified);
    lua_setfield(L, -2, "modified");
}

static int push_info_or_fail(lua_State *L, void *arg) {
    const struct call *call = arg;
    if (call->err.code < 0)
        return vm_fail(L, &call->err);
    push_info(L, &call->info);
    return 1;
}

/* -- Whole objects -------------------------------------------------------------------------------
 */

static void put_run(void *arg) {
    struct call *call = arg;
    objects_put(call->objects, call->data, call->size, &call->info, &call->err);
}

static int put(lua_State *L) {
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    if (objects_of(L) == NULL)
        return fail_closed(L);
    return fiber_work(L, call_new(L, objects_of(L), bytes, size), put_run, push_info_or_fail,
                      call_release);
}

/* A call about the object that argument 1 names. */
static struct call *call_for_hash(lua_State *L) {
    size_t size;
    const char *hash = luaL_checklstring(L, 1, &size);
    luaL_argcheck(L, size == strlen(hash) && objects_hash_valid(hash), 1,
                  "an object's hash has 64 lower-case hex digits");
    struct call *call = call_new(L, objects_of(L), NULL, 0);
    memcpy(call->hash, hash, OBJECT_HASH_SIZE);
    return call;
}

static void open_run(void *arg) {
    struct call *call = arg;
    call->fd = objects_open(call->objects, call->hash, &call->count, &call->err);
}

static int open_push(lua_State *L, void *arg) {
    struct call *call = arg;
    if (call->err.code < 0)
        return vm_fail(L, &call->err);
    lua_file_push(L, call->fd, call->count);
    call->fd = -1;
    return 1;
}

static int open_object(lua_State *L) {
    if (objects_of(L) == NULL)
        return fail_closed(L);
    return fiber_work(L, call_for_hash(L), open_run, open_push, call_release);
}

static void read_run(void *arg) {
    struct call *call = arg;
    objects_read(call->objects, call->hash, call->limit, &call->data, &call->size, &call->err);
}

static int read_push(lua_State *L, void *arg) {
    const struct call *call = arg;
    if (call->err.code < 0)
        return vm_fail(L, &call->err);
    lua_pushlstring(L, call->data, call->size);
    return 1;
}

static int read_object(lua_State *L) {
    lua_Number limit = luaL_optnumber(L, 2, READ_LIMIT);
    luaL_argcheck(L, limit >= 0 && limit <= 1e15, 2, "a limit in bytes is needed");
    if (objects_of(L) == NULL)
        return fail_closed(L);
    struct call *call = call_for_hash(L);
    call->limit = (size_t)limit;
    return fiber_work(L, call, read_run, read_push, call_release);
}

static void stat_run(void *arg) {
    struct call *call = arg;
    objects_stat(call->objects, call->hash, &call->info, &call->err);
}

static int stat_object(lua_State *L) {
    if (objects_of(L) == NULL)
        return fail_closed(L);
    return fiber_work(L, call_for_hash(L), stat_run, push_info_or_fail, call_release);
}

static int exists_push(lua_State *L, void *arg) {
    const struct call *call = arg;
    if (call->err.code < 0 && call->err.code != ERR_NOT_FOUND)
        return vm_fail(L, &call->err);
    lua_pushboolean(L, call->err.code == 0);
    return 1;
}

static int exists(lua_State *L) {
    if (objects_of(L) == NULL)
        return fail_closed(L);
    return fiber_work(L, call_for_hash(L), stat_run, exists_push, call_release);
}

static void verify_run(void *arg) {
    struct call *call = arg;
    objects_verify(call->objects, call->hash, &call->err);
}

static int verify(lua_State *L) {
    if (objects_of(L) == NULL)
        return fail_closed(L);
    return fiber_work(L, call_for_hash(L), verify_run, push_true, call_release);
}

static void remove_run(void *arg) {
    struct call *call = arg;
    objects_remove(call->objects, call->hash, &call->err);
}

static int remove_object(lua_State *L) {
    if (objects_of(L) == NULL)
        return fail_closed(L);
    return fiber_work(L, call_for_hash(L), remove_run, push_true, call_release);
}

/* -- Sweeping ------------------------------------------------------------------------------------
 */

static int compare(const void *a, const void *b) {
    return strcmp(a, b);
}

static bool is_kept(const char *hash, void *arg) {
    const struct call *call = arg;
    return bsearch(hash, call->data, call->size / OBJECT_HASH_SIZE, OBJECT_HASH_SIZE, compare) !=
           NULL;
}

static void sweep_run(void *arg) {
    struct call *call = arg;
    qsort(call->data, call->size / OBJECT_HASH_SIZE, OBJECT_HASH_SIZE, compare);
    objects_sweep(call->objects, call->before, is_kept, call, &call->count, &call->err);
}

static int sweep_push(lua_State *L, void *arg) {
    const struct call *call = arg;
    if (call->err.code < 0)
        return vm_fail(L, &call->err);
    lua_pushnumber(L, (lua_Number)call->count);
    return 1;
}

/* sweep(before, kept): kept is a list of hashes. */
static int sweep(lua_State *L) {
    lua_Number before = luaL_checknumber(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    if (objects_of(L) == NULL)
        return fail_closed(L);
    int count = (int)lua_objlen(L, 2);
    size_t size = (size_t)count * OBJECT_HASH_SIZE;
    char *kept = lua_newuserdata(L, size + 1); /* the collector's, should an entry be none */
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, 2, i + 1);
        const char *hash = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
        if (!objects_hash_valid(hash))
            return luaL_argerror(L, 2, "every entry must be an object's hash");
        memcpy(kept + (size_t)i * OBJECT_HASH_SIZE, hash, OBJECT_HASH_SIZE);
        lua_pop(L, 1);
    }
    struct call *call = call_new(L, objects_of(L), kept, size);
    call->before = before;
    return fiber_work(L, call, sweep_run, sweep_push, call_release);
}

/* -- Writers -------------------------------------------------------------------------------------
 */

static void begin_run(void *arg) {
    struct call *call = arg;
    objects_begin(call->objects, &call->writer->put, &call->err);
}

static int begin_push(lua_State *L, void *arg) {
    struct call *call = arg;
    if (call->err.code < 0)
        return vm_fail(L, &call->err);
    struct writer **box = lua_newuserdata(L, sizeof(struct writer *));
    *box = NULL;
    luaL_getmetatable(L, writer_type);
    lua_setmetatable(L, -2);
    *box = call->writer;
    call->writer->references++;
    return 1;
}

static int new_writer(lua_State *L) {
    if (objects_of(L) == NULL)
        return fail_closed(L);
    struct call *call = call_new(L, objects_of(L), NULL, 0);
    call->writer = calloc(1, sizeof *call->writer);
    if (call->writer == NULL) {
        call_release(call);
        return luaL_error(L, "not enough memory");
    }
    call->writer->references = 1;
    return fiber_work(L, call, begin_run, begin_push, call_release);
}

static int writer_gc(lua_State *L) {
    struct writer **box = lua_touserdata(L, 1);
    if (*box != NULL)
        writer_release(*box);
    *box = NULL;
    return 0;
}

static struct writer *to_writer(lua_State *L) {
    return *(struct writer **)luaL_checkudata(L, 1, writer_type);
}

/* One that may be written to, or raises. */
static struct writer *check_writer(lua_State *L) {
    struct writer *writer = to_writer(L);
    luaL_argcheck(L, writer != NULL && !writer->abandoned, 1, "the writer has ended");
    return writer;
}

static int fail_busy(lua_State *L) {
    return vm_failf(L, ERR_BUSY, "another fiber is using the writer");
}

static struct call *call_for_writer(lua_State *L, struct writer *writer, const char *bytes,
                                    size_t size) {
    struct call *call = call_new(L, writer->put->objects, bytes, size);
    call->writer = writer;
    writer->references++;
    writer->busy = true;
    return call;
}

static void write_run(void *arg) {
    struct call *call = arg;
    objects_write(call->writer->put, call->data, call->size, &call->err);
}

static int writer_write(lua_State *L) {
    struct writer *writer = check_writer(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    if (writer->busy)
        return fail_busy(L);
    return fiber_work(L, call_for_writer(L, writer, bytes, size), write_run, push_true,
                      call_release);
}

static void commit_run(void *arg) {
    struct call *call = arg;
    struct object_put *ending = call->writer->put;
    call->writer->put = NULL;
    objects_commit(ending, &call->info, &call->err);
}

static int writer_commit(lua_State *L) {
    struct writer *writer = check_writer(L);
    if (writer->busy)
        return fail_busy(L);
    struct call *call = call_for_writer(L, writer, NULL, 0);
    writer->abandoned = true;
    return fiber_work(L, call, commit_run, push_info_or_fail, call_release);
}

static int writer_abort(lua_State *L) {
    struct writer *writer = to_writer(L);
    if (writer != NULL) {
        writer->abandoned = true;
        writer_gc(L); /* goes with the last call at work */
    }
    return 0;
}

static int writer_tostring(lua_State *L) {
    const struct writer *writer = to_writer(L);
    bool open = writer != NULL && !writer->abandoned;
    lua_pushstring(L, open ? "object writer" : "object writer (ended)");
    return 1;
}

static const luaL_Reg writer_waiting[] = {
    {"write", writer_write},
    {"commit", writer_commit},
    {NULL, NULL},
};

static const luaL_Reg writer_methods[] = {
    {"abort", writer_abort},
    {NULL, NULL},
};

static const luaL_Reg writer_meta[] = {
    {"__gc", writer_gc},
    {"__tostring", writer_tostring},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"put", put},          {"writer", new_writer}, {"open", open_object}, {"read", read_object},
    {"stat", stat_object}, {"exists", exists},     {"verify", verify},    {"remove", remove_object},
    {"sweep", sweep},      {NULL, NULL},
};

int lua_open_objects(lua_State *L) {
    vm_new_type(L, writer_type, writer_methods, writer_meta);
    lua_getfield(L, -1, "__index");
    fiber_register(L, writer_waiting);
    lua_newtable(L);
    fiber_register(L, functions);
    return 1;
}
