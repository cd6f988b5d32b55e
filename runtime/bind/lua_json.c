/* lua_json.c - the Lua module `json`: lua-cjson reads, within the limits that untrusted text needs;
 * we write.
 *
 * Our own writer because lua-cjson's cannot tell an empty list from an empty object, cuts numbers
 * to 14 digits, and lets bytes through that are no UTF-8. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/modules.h"
#include "core/text.h"
#include "core/utf8.h"

int luaopen_cjson(lua_State *L);

enum {
    DEPTH_MAX = 128,
    SAFE_DIGITS = 300,  /* a number without exponent and not longer cannot be too large */
    KEEP_MAX = 1 << 20, /* a larger buffer is given back after use */
};

static const char array_type[] = "stance.json.array";
static const char buffer_type[] = "stance.json.buffer";

struct writer {
    lua_State *L;
    struct text *text;
    int array_meta; /* stack index of the metatable that marks lists */
};

/* -- Scalars ----------------------------------------------------------------------------------- */

/* Control characters, quotes and backslashes; 0 for what needs no short escape. */
static char short_escape(unsigned char c) {
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static void put_escaped(struct text *text, unsigned char c) {
    char letter = short_escape(c);
    if (letter != 0) {
        text_add(text, (char[]){'\\', letter}, 2);
    } else if (c < 128) {
        text_printf(text, "\\u%04x", c);
    } else {
        text_add(text, UTF8_REPLACEMENT, 3);
    }
}

static void put_string(struct text *text, const char *bytes, size_t size) {
    text_add(text, "\"", 1);
    size_t plain = 0; /* where what is copied as it stands begins */
    for (size_t at = 0; at < size;) {
        unsigned char c = (unsigned char)bytes[at];
        size_t step = c >= 128 ? utf8_step(bytes + at, size - at)
                               : (size_t)(c >= ' ' && c != 127 && c != '"' && c != '\\');
        if (step > 0) {
            at += step;
            continue;
        }
        text_add(text, bytes + plain, at - plain);
        put_escaped(text, c);
        plain = ++at;
    }
    text_add(text, bytes + plain, size - plain);
    text_add(text, "\"", 1);
}

static void put_number(struct writer *w, double number) {
    char digits[TEXT_NUMBER_SIZE];
    if (!isfinite(number))
        luaL_error(w->L, "cannot write %s as JSON", isnan(number) ? "NaN" : "infinity");
    if (number == floor(number) && fabs(number) <= 9007199254740992.0)
        snprintf(digits, sizeof digits, "%.0f", number == 0 ? 0.0 : number);
    else
        text_number(digits, number);
    text_add(w->text, digits, strlen(digits));
}

/* -- Tables ------------------------------------------------------------------------------------ */

static void put_value(struct writer *w, int depth);

/* Whether the table on top is a list, and its length: its keys are 1..n, or json.array marked it.
 */
static bool is_list(struct writer *w, size_t *length) {
    lua_State *L = w->L;
    *length = lua_objlen(L, -1);
    if (lua_getmetatable(L, -1)) {
        bool marked = lua_rawequal(L, -1, w->array_meta);
        lua_pop(L, 1);
        if (marked)
            return true;
    }
    if (*length == 0)
        return false;
    size_t count = 0;
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TNUMBER) {
            lua_pop(L, 1);
            return false;
        }
        count++;
    }
    return count == *length;
}

static void put_list(struct writer *w, size_t length, int depth) {
    text_add(w->text, "[", 1);
    for (size_t i = 1; i <= length; i++) {
        if (i > 1)
            text_add(w->text, ",", 1);
        lua_rawgeti(w->L, -1, (int)i);
        put_value(w, depth + 1);
        lua_pop(w->L, 1);
    }
    text_add(w->text, "]", 1);
}

static void put_key(struct writer *w) {
    lua_State *L = w->L;
    if (lua_type(L, -2) == LUA_TSTRING) {
        size_t size;
        const char *key = lua_tolstring(L, -2, &size);
        put_string(w->text, key, size);
    } else if (lua_type(L, -2) == LUA_TNUMBER) {
        text_add(w->text, "\"", 1);
        put_number(w, lua_tonumber(L, -2));
        text_add(w->text, "\"", 1);
    } else {
        luaL_error(L, "cannot write a key of type %s as JSON", luaL_typename(L, -2));
    }
}

static void put_object(struct writer *w, int depth) {
    bool first = true;
    text_add(w->text, "{", 1);
    lua_pushnil(w->L);
    while (lua_next(w->L, -2) != 0) {
        if (!first)
            text_add(w->text, ",", 1);
        first = false;
        put_key(w);
        text_add(w->text, ":", 1);
        put_value(w, depth + 1);
        lua_pop(w->L, 1);
    }
    text_add(w->text, "}", 1);
}

static void put_table(struct writer *w, int depth) {
    size_t length;
    if (depth > DEPTH_MAX)
        luaL_error(w->L, "cannot write more than %d levels as JSON", DEPTH_MAX);
    luaL_checkstack(w->L, 6, "too deep");
    if (is_list(w, &length))
        put_list(w, length, depth);
    else
        put_object(w, depth);
}

/* The value on top, which stays. */
static void put_value(struct writer *w, int depth) {
    lua_State *L = w->L;
    int type = lua_type(L, -1);
    if (type == LUA_TNIL || (type == LUA_TLIGHTUSERDATA && lua_touserdata(L, -1) == NULL)) {
        text_add(w->text, "null", 4);
    } else if (type == LUA_TBOOLEAN) {
        bool value = lua_toboolean(L, -1);
        text_add(w->text, value ? "true" : "false", value ? 4 : 5);
    } else if (type == LUA_TNUMBER) {
        put_number(w, lua_tonumber(L, -1));
    } else if (type == LUA_TSTRING) {
        size_t size;
        const char *bytes = lua_tolstring(L, -1, &size);
        put_string(w->text, bytes, size);
    } else if (type == LUA_TTABLE) {
        put_table(w, depth);
    } else {
        luaL_error(L, "cannot write a value of type %s as JSON", luaL_typename(L, -1));
    }
}

/* -- The module -------------------------------------------------------------------------------- */

/* json.encode(value). Upvalue 1: the buffer, kept from call to call. */
static int json_encode(lua_State *L) {
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    struct text *text = lua_touserdata(L, lua_upvalueindex(1));
    luaL_getmetatable(L, array_type);
    lua_insert(L, 1);
    struct writer writer = {L, text, 1};
    text->size = 0; /* what a failed call left */
    text->failed = false;
    put_value(&writer, 1);
    if (text->failed)
        return luaL_error(L, "out of memory");
    lua_pushlstring(L, text->bytes, text->size);
    if (text->room > KEEP_MAX)
        text_drop(text);
    return 1;
}

/* The number that begins at `at`; where it ends. One that is too large would become infinity, which
 * nothing can write as JSON again. */
static size_t scan_number(lua_State *L, const char *bytes, size_t at) {
    size_t begin = at;
    bool has_exponent = false;
    while ((bytes[at] >= '0' && bytes[at] <= '9') || strchr("+-.eE", bytes[at] ? bytes[at] : ' ')) {
        has_exponent |= bytes[at] == 'e' || bytes[at] == 'E';
        at++;
    }
    if ((has_exponent || at - begin > SAFE_DIGITS) && isinf(strtod(bytes + begin, NULL)))
        luaL_error(L, "a number is too large at byte %d", (int)begin + 1);
    return at;
}

/* What lua-cjson lets through: bytes that are no UTF-8, numbers beyond a double. And how deep it
 * goes. `bytes` ends with NUL. */
static void scan(lua_State *L, const char *bytes, size_t size, int levels) {
    bool in_string = false;
    int depth = 0;
    for (size_t at = 0; at < size;) {
        unsigned char c = (unsigned char)bytes[at];
        size_t step = c < 128 ? 1 : utf8_step(bytes + at, size - at);
        if (step == 0)
            luaL_error(L, "no UTF-8 at byte %d", (int)at + 1);
        if (c == '"') {
            in_string = !in_string;
        } else if (in_string) {
            step += c == '\\' && at + 1 < size && (unsigned char)bytes[at + 1] < 128;
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            step = scan_number(L, bytes, at) - at;
        } else if ((c == '[' || c == '{') && ++depth > levels) {
            luaL_error(L, "more than %d levels at byte %d", levels, (int)at + 1);
        } else if (c == ']' || c == '}') {
            depth--;
        }
        at += step;
    }
}

/* json.decode(text, [levels]). Upvalue 1: lua-cjson's. */
static int json_decode(lua_State *L) {
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    int levels = (int)luaL_optinteger(L, 2, DEPTH_MAX);
    scan(L, bytes, size, levels < DEPTH_MAX ? levels : DEPTH_MAX);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

/* json.array([list]): marks it, so that it is written as a list also when it is empty. */
static int json_array(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_getmetatable(L, array_type);
    lua_setmetatable(L, 1);
    return 1;
}

static int buffer_gc(lua_State *L) {
    text_drop(lua_touserdata(L, 1));
    return 0;
}

static void push_buffer(lua_State *L) {
    struct text *text = lua_newuserdata(L, sizeof *text);
    memset(text, 0, sizeof *text);
    luaL_newmetatable(L, buffer_type);
    lua_pushcfunction(L, buffer_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

/* Calls option(value) of the module on top; the value is above it. */
static void set(lua_State *L, const char *option) {
    lua_getfield(L, -2, option);
    lua_insert(L, -2);
    lua_call(L, 1, 0);
}

int lua_open_json(lua_State *L) {
    lua_pushcfunction(L, luaopen_cjson);
    lua_call(L, 0, 1);
    lua_pushinteger(L, DEPTH_MAX);
    set(L, "decode_max_depth");
    lua_pushboolean(L, 0); /* NaN and infinity are no JSON */
    set(L, "decode_invalid_numbers");
    luaL_newmetatable(L, array_type);
    lua_pop(L, 1);
    lua_newtable(L);
    push_buffer(L);
    lua_pushcclosure(L, json_encode, 1);
    lua_setfield(L, -2, "encode");
    lua_getfield(L, -2, "decode");
    lua_pushcclosure(L, json_decode, 1);
    lua_setfield(L, -2, "decode");
    lua_getfield(L, -2, "null");
    lua_setfield(L, -2, "null");
    lua_pushcfunction(L, json_array);
    lua_setfield(L, -2, "array");
    return 1;
}
