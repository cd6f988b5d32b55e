/* The config file: a Lua chunk that returns a table, run where it can do no harm. Beside the VM the
 * only place in core that knows the Lua stack; nothing of Lua leaves it. */
#include <ctype.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config_internal.h"
#include "core/text.h"

enum {
    FILE_MOST = 1 << 20,
    MEMORY_MOST = 16 << 20,
    INSTRUCTIONS_MOST = 2000000, /* some 20 ms */
    HOOK_STEP = 1000,
    LIST_MOST = 1000,
};

struct budget {
    size_t memory;
    int instructions;
};

struct reading {
    const char *path;
    const char *source;
    config_take take;
    void *arg;
};

/* -- A bare Lua state with limits -------------------------------------------------------------- */

static void *allocate(void *arg, void *block, size_t old_size, size_t size) {
    struct budget *budget = arg;
    old_size = block != NULL ? old_size : 0;
    if (size == 0) {
        free(block);
        budget->memory -= old_size;
        return NULL;
    }
    if (size > old_size && budget->memory + (size - old_size) > MEMORY_MOST) {
        return NULL;
    }
    void *moved = realloc(block, size);
    if (moved != NULL) {
        budget->memory += size - old_size;
    }
    return moved;
}

static const char budget_key = 0;

/* luaL_error would name the caller of the running function; in a hook level 0 is the place itself.
 */
static void give_up(lua_State *L, const char *reason) {
    luaL_where(L, 0);
    lua_pushstring(L, reason);
    lua_concat(L, 2);
    lua_error(L);
}

static void count_instructions(lua_State *L, lua_Debug *where) {
    (void)where;
    lua_pushlightuserdata(L, (void *)&budget_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    struct budget *budget = lua_touserdata(L, -1);
    lua_pop(L, 1);
    budget->instructions += HOOK_STEP;
    if (budget->instructions > INSTRUCTIONS_MOST) {
        give_up(L, "runs too long: a config file returns a table, it does not compute");
    }
    /* Where LuaJIT refuses our allocator (no GC64), this is what stops a file that hoards. */
    if (lua_gc(L, LUA_GCCOUNT, 0) > MEMORY_MOST / 1024) {
        give_up(L, "not enough memory");
    }
}

static lua_State *open_state(struct budget *budget) {
    lua_State *L = lua_newstate(allocate, budget);
    if (L == NULL) {
        L = luaL_newstate();
    }
    if (L != NULL) {
        luaJIT_setmode(L, 0,
                       LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF); /* compiled loops call no hook */
        lua_sethook(L, count_instructions, LUA_MASKCOUNT, HOOK_STEP);
    }
    return L;
}

/* -- Where a key stands ------------------------------------------------------------------------ */

/* The length of the comment or string that starts here, 0 when none does; a string's text is given
 * in *inner. */
static size_t skip_quoted(const char *at, const char **inner, size_t *inner_size) {
    const char *start = at;
    bool comment = at[0] == '-' && at[1] == '-';
    size_t level = 0;
    *inner = NULL;
    at += comment ? 2 : 0;
    if (at[0] == '[') {
        level = 1 + strspn(at + 1, "=");
    }
    if (level > 0 && at[level] == '[') {
        const char *end = at + level + 1;
        while (*end != '\0' &&
               (*end != ']' || strspn(end + 1, "=") != level - 1 || end[level] != ']')) {
            end++;
        }
        return (size_t)(end - start) + (*end != '\0' ? level + 1 : 0);
    }
    if (comment) {
        return strcspn(start, "\n");
    }
    if (at[0] != '"' && at[0] != '\'') {
        return 0;
    }
    const char *end = at + 1;
    while (*end != '\0' && *end != at[0] && *end != '\n') {
        end += end[0] == '\\' && end[1] != '\0' ? 2 : 1;
    }
    *inner = at + 1;
    *inner_size = (size_t)(end - at - 1);
    return (size_t)(end - start) + (*end == at[0]);
}

static bool is_assigned(const char *after) {
    after += strspn(after, " \t\r\n]");
    return after[0] == '=' && after[1] != '=';
}

/* The line where `key = ` or `["key"] = ` stands, or 0: Lua keeps no lines for table fields. */
static int line_of(const char *source, const char *key) {
    size_t key_size = strlen(key);
    int line = 1;
    for (const char *at = source; *at != '\0';) {
        const char *word = NULL;
        size_t word_size = 0;
        size_t size = skip_quoted(at, &word, &word_size);
        if (size == 0 && (isalpha((unsigned char)*at) || *at == '_')) {
            word = at;
            while (isalnum((unsigned char)at[size]) || at[size] == '_') {
                size++;
            }
            word_size = size;
        }
        size = size > 0 ? size : 1;
        if (word != NULL && word_size == key_size && memcmp(word, key, key_size) == 0 &&
            is_assigned(at + size)) {
            return line;
        }
        for (size_t i = 0; i < size; i++) {
            line += at[i] == '\n';
        }
        at += size;
    }
    return 0;
}

/* -- From Lua's values to ours ----------------------------------------------------------------- */

/* The strings and numbers of the list at the top, on the Lua stack's guard: valid while the table
 * lives. */
static int read_items(lua_State *L, const char **items, struct err *err) {
    size_t count = lua_objlen(L, -1);
    size_t fields = 0;
    if (count >= LIST_MOST) {
        return err_set(err, ERR_INVALID, "a list of more than %d", LIST_MOST - 1);
    }
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        fields++;
    }
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        items[i] = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        lua_pop(L, 1);
    }
    items[count] = NULL;
    for (size_t i = 0; i < count; i++) {
        if (items[i] == NULL) {
            fields = count + 1;
        }
    }
    return fields == count ? 0 : err_set(err, ERR_INVALID, "expected a list of strings");
}

static int take_value(lua_State *L, const struct reading *reading, const char *key,
                      struct err *err) {
    const char *items[LIST_MOST];
    char number[TEXT_NUMBER_SIZE];
    struct config_raw raw = {.kind = RAW_OTHER, .typed = true};
    int line = line_of(reading->source, key);
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        raw.kind = RAW_TEXT;
        raw.text = lua_tostring(L, -1);
        break;
    case LUA_TNUMBER:
        raw.kind = RAW_NUMBER;
        text_number(number, lua_tonumber(L, -1));
        raw.text = number;
        break;
    case LUA_TBOOLEAN:
        raw.kind = RAW_BOOL;
        raw.text = lua_toboolean(L, -1) ? "true" : "false";
        break;
    case LUA_TTABLE:
        raw.kind = RAW_LIST;
        raw.list = items;
        if (read_items(L, items, err) < 0) {
            struct err reason = *err;
            return err_set(err, ERR_INVALID, "%s:%d: %s: %s", reading->path, line, key,
                           reason.message);
        }
        break;
    default:
        break;
    }
    return reading->take(key, &raw, line, reading->arg, err);
}

static int take_table(lua_State *L, const struct reading *reading, struct err *err) {
    int code = 0;
    if (!lua_istable(L, -1)) {
        return err_set(err, ERR_INVALID, "%s: does not return a table (return { listen = ... })",
                       reading->path);
    }
    lua_pushnil(L);
    while (code == 0 && lua_next(L, -2) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            return err_set(err, ERR_INVALID, "%s: the table has a value without a name",
                           reading->path);
        }
        code = take_value(L, reading, lua_tostring(L, -2), err);
        lua_pop(L, 1);
    }
    return code;
}

/* -- The file ---------------------------------------------------------------------------------- */

static char *read_all(const char *path, size_t *size, struct err *err) {
    FILE *file = fopen(path, "re");
    char *bytes = NULL;
    if (file == NULL) {
        err_set_errno(err, errno, "%s", path);
        return NULL;
    }
    bytes = malloc(FILE_MOST + 1);
    *size = bytes != NULL ? fread(bytes, 1, FILE_MOST + 1, file) : 0;
    if (bytes == NULL) {
        err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
    } else if (ferror(file)) {
        err_set_errno(err, errno, "%s", path);
    } else if (*size > FILE_MOST) {
        err_set(err, ERR_INVALID, "%s: larger than 1 MiB", path);
    } else {
        fclose(file);
        bytes[*size] = '\0';
        return bytes;
    }
    free(bytes);
    fclose(file);
    return NULL;
}

struct evaluation {
    const struct reading *reading;
    size_t size;
    struct budget *budget;
    int code;
    struct err *err;
};

/* All of it runs under lua_cpcall: even pushing a string may run out of the memory that is allowed.
 */
static int evaluate(lua_State *L) {
    struct evaluation *evaluation = lua_touserdata(L, 1);
    const struct reading *reading = evaluation->reading;
    lua_pushlightuserdata(L, (void *)&budget_key);
    lua_pushlightuserdata(L, evaluation->budget);
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_pushfstring(L, "@%s", reading->path);
    if (luaL_loadbufferx(L, reading->source, evaluation->size, lua_tostring(L, -1), "t") != 0) {
        return lua_error(L);
    }
    lua_newtable(L);
    lua_setfenv(L, -2);
    lua_call(L, 0, 1);
    evaluation->code = take_table(L, reading, evaluation->err);
    return 0;
}

int config_file_read(const char *path, config_take take, void *arg, struct err *err) {
    struct budget budget = {0};
    struct err dropped;
    size_t size;
    err = err != NULL ? err : &dropped;
    char *source = read_all(path, &size, err);
    if (source == NULL) {
        return err->code;
    }
    struct reading reading = {path, source, take, arg};
    struct evaluation evaluation = {&reading, size, &budget, 0, err};
    lua_State *L = open_state(&budget);
    if (L == NULL) {
        evaluation.code = err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
    } else if (lua_cpcall(L, evaluate, &evaluation) != 0) {
        const char *reason = lua_tostring(L, -1);
        /* Errors of the chunk name file and line themselves; memory errors do not. */
        bool named = reason != NULL && strncmp(reason, path, strlen(path)) == 0;
        evaluation.code = err_set(err, ERR_INVALID, "%s%s%s", named ? "" : path, named ? "" : ": ",
                                  reason != NULL ? reason : "error without a message");
    }
    if (L != NULL) {
        lua_close(L);
    }
    free(source);
    return evaluation.code;
}
