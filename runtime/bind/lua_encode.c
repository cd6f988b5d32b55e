/* lua_encode.c - the Lua module `encode`: files of a view's maps and other arrays, and shards of
 * them. Encoding runs on the pool while the fiber waits. */
#include "media/encode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind/modules.h"
#include "media/png.h"
#include "media/shard.h"

static const char shard_type[] = "stance.shard";

/* -- Arrays ------------------------------------------------------------------------------------ */

enum format { FORMAT_PNG, FORMAT_DEPTH, FORMAT_JPEG, FORMAT_WEBP, FORMAT_NPY };

struct task {
    enum format format;
    struct encode_array array; /* of `bytes` */
    uint8_t *bytes, *file;
    size_t file_size;
    struct encode_png_options png;
    int quality;
    bool lossless;
    struct err err;
    int rc;
};

static void task_release(void *arg) {
    struct task *task = arg;
    free(task->bytes);
    free(task->file);
    free(task);
}

static void run(void *arg) {
    struct task *task = arg;
    uint8_t **file = &task->file;
    size_t *size = &task->file_size;
    switch (task->format) {
    case FORMAT_PNG:
        task->rc = encode_png(&task->array, &task->png, file, size, &task->err);
        break;
    case FORMAT_DEPTH:
        task->rc = encode_depth(&task->array, task->png.level, file, size, &task->err);
        break;
    case FORMAT_JPEG:
        task->rc = encode_jpeg(&task->array, task->quality, file, size, &task->err);
        break;
    case FORMAT_WEBP:
        task->rc =
            encode_webp(&task->array, task->lossless, (float)task->quality, file, size, &task->err);
        break;
    case FORMAT_NPY:
        task->rc = encode_npy(&task->array, file, size, &task->err);
        break;
    }
}

static int push_file(lua_State *L, void *arg) {
    struct task *task = arg;
    if (task->rc != 0)
        return vm_fail(L, &task->err);
    lua_pushlstring(L, (const char *)task->file, task->file_size);
    return 1;
}

/* { dtype = "uint8", shape = { height, width, channels } } at index 2, as view:map returns it. */
static struct encode_array check_array(lua_State *L) {
    struct encode_array array = {.dtype = ENCODE_UINT8};
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "dtype");
    const char *name = lua_tostring(L, -1);
    int dtype = name != NULL ? encode_dtype_find(name) : -1;
    if (dtype < 0)
        luaL_error(L, "dtype must be \"uint8\", \"uint16\", \"uint32\", \"int32\" or \"float32\"");
    array.dtype = (enum encode_dtype)dtype;
    lua_getfield(L, 2, "shape");
    if (!lua_istable(L, -1) || lua_objlen(L, -1) < 1 || lua_objlen(L, -1) > ENCODE_DIMENSIONS)
        luaL_error(L, "shape must be a list of 1 to %d lengths", ENCODE_DIMENSIONS);
    array.dimensions = (uint32_t)lua_objlen(L, -1);
    for (uint32_t i = 0; i < array.dimensions; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        double length = lua_tonumber(L, -1);
        if (!(length >= 1 && length <= 1 << 30) || length != floor(length))
            luaL_error(L, "shape must be a list of whole numbers from 1");
        array.shape[i] = (uint32_t)length;
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
    return array;
}

static int whole_option(lua_State *L, const char *field, int otherwise, int least, int most) {
    double value = vm_opt_number(L, 3, field, otherwise);
    if (!(value >= least && value <= most) || value != floor(value))
        return luaL_error(L, "%s must be a whole number from %d to %d", field, least, most);
    return (int)value;
}

static int encode(lua_State *L, enum format format) {
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    struct task wanted = {.format = format, .array = check_array(L)};
    if (!lua_isnoneornil(L, 3))
        luaL_checktype(L, 3, LUA_TTABLE);
    else
        lua_newtable(L), lua_replace(L, 3);
    size_t needed = encode_array_size(&wanted.array);
    if (needed != size)
        return luaL_error(L, "an array of this dtype and shape has %f bytes, not %f",
                          (double)needed, (double)size);
    wanted.png.level = whole_option(L, "level", PNG_LEVEL_RUNS, PNG_LEVEL_RUNS, PNG_LEVEL_MOST);
    wanted.png.palette = vm_opt_boolean(L, 3, "palette", false);
    wanted.lossless = vm_opt_boolean(L, 3, "lossless", false);
    wanted.quality = whole_option(L, "quality",
                                  format == FORMAT_JPEG ? 90
                                  : wanted.lossless     ? 0
                                                        : 85,
                                  0, 100);
    fiber_check(L);
    struct task *task = malloc(sizeof *task);
    if (task != NULL) {
        *task = wanted;
        task->bytes = malloc(size);
    }
    if (task == NULL || task->bytes == NULL) {
        free(task);
        return vm_failf(L, ERR_NO_MEMORY, "no memory to encode an array");
    }
    memcpy(task->bytes, bytes, size);
    task->array.values = task->bytes;
    return fiber_work(L, task, run, push_file, task_release);
}

static int encode_png_function(lua_State *L) {
    return encode(L, FORMAT_PNG);
}

static int encode_depth_function(lua_State *L) {
    return encode(L, FORMAT_DEPTH);
}

static int encode_jpeg_function(lua_State *L) {
    return encode(L, FORMAT_JPEG);
}

static int encode_webp_function(lua_State *L) {
    return encode(L, FORMAT_WEBP);
}

static int encode_npy_function(lua_State *L) {
    return encode(L, FORMAT_NPY);
}

/* -- Shards ------------------------------------------------------------------------------------ */

enum { SAMPLE_FILES = 64 };

static struct shard *check_shard(lua_State *L) {
    struct shard *shard = luaL_checkudata(L, 1, shard_type);
    luaL_argcheck(L, shard->bytes != NULL, 1, "the shard is closed");
    return shard;
}

static int new_shard(lua_State *L) {
    double most = luaL_optnumber(L, 1, 256 << 20);
    struct err err = {0};
    luaL_argcheck(L, most >= 1 && most <= (double)SHARD_MAX_SIZE, 1, "a shard has up to 1 GiB");
    struct shard *shard = lua_newuserdata(L, sizeof *shard);
    *shard = (struct shard){0};
    luaL_getmetatable(L, shard_type);
    lua_setmetatable(L, -2);
    return shard_init(shard, (size_t)most, &err) == 0 ? 1 : vm_fail(L, &err);
}

static int compare_endings(const void *a, const void *b) {
    const struct shard_file *x = a, *y = b;
    return strcmp(x->ending, y->ending);
}

/* shard:add(key, { png = bytes, json = bytes, ["depth.png"] = bytes }), in the order of the
 * endings, so that a table's order does not matter. */
static int add_sample(lua_State *L) {
    struct shard *shard = check_shard(L);
    struct shard_file files[SAMPLE_FILES];
    const char *key = luaL_checkstring(L, 2);
    uint32_t count = 0;
    struct err err = {0};
    luaL_checktype(L, 3, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 3) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            return luaL_error(L, "the files of a sample are bytes by their endings");
        if (count == SAMPLE_FILES)
            return luaL_error(L, "a sample has at most %d files", SAMPLE_FILES);
        struct shard_file *file = &files[count++];
        file->ending = lua_tostring(L, -2);
        file->bytes = lua_tolstring(L, -1, &file->size);
    }
    qsort(files, count, sizeof *files, compare_endings);
    if (shard_add(shard, key, files, count, &err) != 0)
        return vm_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static int shard_bytes(lua_State *L) {
    size_t size;
    const uint8_t *bytes = shard_finish(check_shard(L), &size);
    lua_pushlstring(L, (const char *)bytes, size);
    return 1;
}

static int shard_count(lua_State *L) {
    const struct shard *shard = check_shard(L);
    lua_pushinteger(L, (lua_Integer)shard->samples);
    lua_pushinteger(L, (lua_Integer)shard->files);
    return 2;
}

static int shard_empty(lua_State *L) {
    shard_clear(check_shard(L));
    return 0;
}

static int shard_close(lua_State *L) {
    shard_deinit(luaL_checkudata(L, 1, shard_type));
    return 0;
}

static int shard_tostring(lua_State *L) {
    const struct shard *shard = luaL_checkudata(L, 1, shard_type);
    if (shard->bytes == NULL)
        lua_pushliteral(L, "shard (closed)");
    else
        lua_pushfstring(L, "shard (%d samples)", (int)shard->samples);
    return 1;
}

/* -- The module -------------------------------------------------------------------------------- */

static const luaL_Reg methods[] = {
    {"add", add_sample},    {"bytes", shard_bytes}, {"count", shard_count},
    {"clear", shard_empty}, {"close", shard_close}, {NULL, NULL},
};

static const luaL_Reg meta[] = {
    {"__gc", shard_close},
    {"__tostring", shard_tostring},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {{"shard", new_shard}, {NULL, NULL}};

static const luaL_Reg waiting[] = {
    {"png", encode_png_function},   {"depth", encode_depth_function},
    {"jpeg", encode_jpeg_function}, {"webp", encode_webp_function},
    {"npy", encode_npy_function},   {NULL, NULL},
};

int lua_open_encode(lua_State *L) {
    vm_new_type(L, shard_type, methods, meta);
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    fiber_register(L, waiting);
    return 1;
}
