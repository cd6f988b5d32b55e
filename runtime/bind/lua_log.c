/* lua_log.c - the Lua module `log`: structured log lines from scripts.
 *
 * The module is a logger whose service is the vm's name; `named` and `with` make further ones. A
 * logger is a table of closures over its service and its fixed fields, so that `log.info(...)`
 * reads the same everywhere. requestId, jobId and traceId come from the running fiber, unless the
 * fields name them; a traceId that is the requestId too is not said twice. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind/lua_log.h"
#include "bind/modules.h"
#include "core/log.h"
#include "core/text.h"

enum { FIELDS_MAX = 32 };

/* Upvalues of every function of a logger. */
enum { UP_SERVICE = 1, UP_FIELDS, UP_ENCODE, UP_COUNT = UP_ENCODE };

struct fields {
    size_t count;
    struct log_field items[FIELDS_MAX + 3];
};

/* -- From Lua's values to fields --------------------------------------------------------------- */

/* JSON of the table at the top, replacing it; false when it cannot be encoded (a function inside,
 * too deep). */
static bool encode_table(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(UP_ENCODE));
    lua_pushvalue(L, -2);
    bool ok = lua_pcall(L, 1, 1, 0) == 0 && lua_type(L, -1) == LUA_TSTRING;
    if (ok) {
        lua_replace(L, -2);
    } else {
        lua_pop(L, 1);
    }
    return ok;
}

static void name_type(lua_State *L) {
    lua_pushfstring(L, "(%s)", luaL_typename(L, -1));
    lua_replace(L, -2);
}

/* Turns the value at the top into text and says whether that is JSON already. An error table reads
 * as its message. */
static bool to_text(lua_State *L) {
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        return false;
    case LUA_TNUMBER: {
        char number[TEXT_NUMBER_SIZE]; /* lua_tostring would round to 14 digits */
        double value = lua_tonumber(L, -1);
        text_number(number, value);
        lua_pushstring(L, number);
        lua_replace(L, -2);
        return isfinite(value);
    }
    case LUA_TBOOLEAN:
        lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
        lua_replace(L, -2);
        return true;
    default:
        break;
    }
    if (luaL_callmeta(L, -1, "__tostring")) {
        lua_replace(L, -2);
        if (lua_type(L, -1) != LUA_TSTRING) {
            name_type(L);
        }
        return false;
    }
    if (lua_istable(L, -1) && encode_table(L)) {
        return true;
    }
    name_type(L);
    return false;
}

static struct log_field *find(struct fields *fields, const char *key) {
    for (size_t i = 0; i < fields->count; i++) {
        if (strcmp(fields->items[i].key, key) == 0) {
            return &fields->items[i];
        }
    }
    return NULL;
}

/* Adds what the table at `index` holds, over what is there; texts stay on the stack, so that they
 * live. */
static void take_fields(lua_State *L, int index, struct fields *fields) {
    luaL_checkstack(L, FIELDS_MAX + 8, "too many fields");
    for (lua_pushnil(L); lua_next(L, index) != 0;) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            luaL_error(L, "a log field needs a name, not a %s", luaL_typename(L, -2));
        }
        const char *key = lua_tostring(L, -2);
        struct log_field *field = find(fields, key);
        if (field == NULL && fields->count == FIELDS_MAX) {
            luaL_error(L, "more than %d log fields", FIELDS_MAX);
        }
        if (field == NULL) {
            field = &fields->items[fields->count++];
        }
        field->key = key; /* the table holds it */
        field->literal = to_text(L);
        field->value = lua_tostring(L, -1);
        lua_insert(L, -2); /* the text below the key, which lua_next takes away */
    }
}

static int compare_keys(const void *a, const void *b) {
    return strcmp(((const struct log_field *)a)->key, ((const struct log_field *)b)->key);
}

/* In an order of their own, since a table's is none; after the ids. */
static void add_ids(lua_State *L, struct fields *fields) {
    struct fiber *fiber = fiber_current(L);
    struct log_field ids[3];
    size_t count = 0;
    qsort(fields->items, fields->count, sizeof *fields->items, compare_keys);
    if (fiber == NULL) {
        return;
    }
    if (fiber_request_id(fiber)[0] != '\0' && find(fields, "requestId") == NULL) {
        ids[count++] = (struct log_field){"requestId", fiber_request_id(fiber), false};
    }
    if (fiber_job_id(fiber)[0] != '\0' && find(fields, "jobId") == NULL) {
        ids[count++] = (struct log_field){"jobId", fiber_job_id(fiber), false};
    }
    const char *trace = fiber_trace_id(fiber);
    bool same = strcmp(trace, fiber_request_id(fiber)) == 0; /* a request's id is its trace's */
    if (trace[0] != '\0' && !same && find(fields, "traceId") == NULL) {
        ids[count++] = (struct log_field){"traceId", trace, false};
    }
    memmove(fields->items + count, fields->items, fields->count * sizeof *fields->items);
    memcpy(fields->items, ids, count * sizeof *ids);
    fields->count += count;
}

/* -- Writing ----------------------------------------------------------------------------------- */

static int write_line(lua_State *L, enum log_level level) {
    struct fields fields = {0};
    lua_settop(L, 2);
    bool has_message = lua_type(L, 1) == LUA_TSTRING || lua_type(L, 1) == LUA_TNUMBER ||
                       luaL_getmetafield(L, 1, "__tostring");
    luaL_argcheck(L, has_message, 1, "a message is expected");
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
    }
    lua_settop(L, 2);
    if (!log_enabled(level)) {
        return 0;
    }
    take_fields(L, lua_upvalueindex(UP_FIELDS), &fields);
    if (!lua_isnil(L, 2)) {
        take_fields(L, 2, &fields);
    }
    add_ids(L, &fields);
    lua_pushvalue(L, 1);
    to_text(L);
    log_write(level, lua_tostring(L, lua_upvalueindex(UP_SERVICE)), lua_tostring(L, -1),
              fields.items, fields.count);
    return 0;
}

static int log_debug_line(lua_State *L) {
    return write_line(L, LOG_DEBUG);
}

static int log_info_line(lua_State *L) {
    return write_line(L, LOG_INFO);
}

static int log_warn_line(lua_State *L) {
    return write_line(L, LOG_WARN);
}

static int log_error_line(lua_State *L) {
    return write_line(L, LOG_ERROR);
}

static int log_is_enabled(lua_State *L) {
    enum log_level level;
    const char *name = luaL_checkstring(L, 1);
    luaL_argcheck(L, log_parse_level(name, &level), 1, "levels are debug, info, warn, error");
    lua_pushboolean(L, log_enabled(level));
    return 1;
}

/* -- Loggers ----------------------------------------------------------------------------------- */

static int log_with(lua_State *L);
static int log_named(lua_State *L);

static const luaL_Reg functions[] = {
    {"debug", log_debug_line},   {"info", log_info_line},
    {"warn", log_warn_line},     {"error", log_error_line},
    {"enabled", log_is_enabled}, {"with", log_with},
    {"named", log_named},        {NULL, NULL},
};

/* Takes service, fields and encoder off the stack, leaves the logger. */
static int push_logger(lua_State *L) {
    int service = lua_gettop(L) - UP_COUNT + 1;
    lua_newtable(L);
    for (const luaL_Reg *entry = functions; entry->name != NULL; entry++) {
        for (int i = 0; i < UP_COUNT; i++) {
            lua_pushvalue(L, service + i);
        }
        lua_pushcclosure(L, entry->func, UP_COUNT);
        lua_setfield(L, -2, entry->name);
    }
    lua_replace(L, service);
    lua_settop(L, service);
    return 1;
}

static int log_with(lua_State *L) {
    struct fields unused = {0};
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    take_fields(L, 1, &unused); /* complains here, not at the first line */
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(UP_SERVICE));
    lua_newtable(L);
    int sources[] = {lua_upvalueindex(UP_FIELDS), 1};
    for (int i = 0; i < 2; i++) {
        for (lua_pushnil(L); lua_next(L, sources[i]) != 0; lua_pop(L, 1)) {
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, 3);
        }
    }
    lua_pushvalue(L, lua_upvalueindex(UP_ENCODE));
    return push_logger(L);
}

static int log_named(lua_State *L) {
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(UP_FIELDS));
    lua_pushvalue(L, lua_upvalueindex(UP_ENCODE));
    return push_logger(L);
}

int lua_open_log(lua_State *L) {
    lua_pushstring(L, vm_name(vm_of(L)));
    lua_newtable(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "json");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "encode");
    lua_replace(L, -2);
    push_logger(L);
    lua_log_add_follow(L);
    return 1;
}
