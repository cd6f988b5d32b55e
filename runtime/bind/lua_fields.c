#include "bind/lua_fields.h"

#include <lauxlib.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lua_fields_fail(struct lua_fields *fields, enum err_code code, const char *format, ...) {
    char message[sizeof fields->err.message];
    va_list args;
    if (fields->rc != 0)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    fields->rc = err_set(&fields->err, code, "%s", message);
}

static bool is_word_of(const char *word, const char *words) {
    size_t length = strlen(word);
    for (const char *at = words; *at != '\0';) {
        size_t size = strcspn(at, " ");
        if (size == length && memcmp(at, word, size) == 0)
            return true;
        at += size + (at[size] == ' ');
    }
    return false;
}

void lua_fields_known(struct lua_fields *fields, int index, const char *path, const char *known) {
    lua_State *L = fields->L;
    if (fields->rc != 0)
        return;
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TSTRING && is_word_of(lua_tostring(L, -2), known))
            continue;
        if (lua_type(L, -2) == LUA_TSTRING)
            lua_fields_fail(fields, ERR_INVALID, "%s has no field %s; it may have: %s", path,
                            lua_tostring(L, -2), known);
        else
            lua_fields_fail(fields, ERR_INVALID, "%s is no list; it may have the fields: %s", path,
                            known);
        lua_pop(L, 2);
        return;
    }
}

void lua_fields_push(lua_State *L, int index, const char *field) {
    index = index < 0 ? lua_gettop(L) + index + 1 : index;
    lua_pushstring(L, field);
    lua_rawget(L, index);
}

/* Pushes the field and tells whether it is there and still to be read; else pushes nothing. */
static bool fetch(struct lua_fields *fields, int index, const char *field) {
    if (fields->rc != 0)
        return false;
    lua_fields_push(fields->L, index, field);
    if (!lua_isnil(fields->L, -1))
        return true;
    lua_pop(fields->L, 1);
    return false;
}

double lua_fields_number(struct lua_fields *fields, int index, const char *path, const char *field,
                         double least, double most, double otherwise) {
    if (!fetch(fields, index, field))
        return otherwise;
    double value = lua_tonumber(fields->L, -1);
    if (lua_type(fields->L, -1) != LUA_TNUMBER || !(value >= least && value <= most))
        lua_fields_fail(fields, ERR_INVALID, "%s.%s must be a number from %g to %g", path, field,
                        least, most);
    lua_pop(fields->L, 1);
    return fields->rc == 0 ? value : otherwise;
}

bool lua_fields_boolean(struct lua_fields *fields, int index, const char *path, const char *field,
                        bool otherwise) {
    if (!fetch(fields, index, field))
        return otherwise;
    bool value = lua_toboolean(fields->L, -1);
    if (!lua_isboolean(fields->L, -1))
        lua_fields_fail(fields, ERR_INVALID, "%s.%s must be true or false", path, field);
    lua_pop(fields->L, 1);
    return value;
}

const char *lua_fields_string(struct lua_fields *fields, int index, const char *path,
                              const char *field, const char *otherwise) {
    if (!fetch(fields, index, field))
        return otherwise;
    const char *value = lua_type(fields->L, -1) == LUA_TSTRING ? lua_tostring(fields->L, -1) : NULL;
    if (value == NULL)
        lua_fields_fail(fields, ERR_INVALID, "%s.%s must be a string", path, field);
    lua_pop(fields->L, 1);
    return value != NULL ? value : otherwise;
}

int lua_fields_choice(struct lua_fields *fields, int index, const char *path, const char *field,
                      const char *const *names, int otherwise) {
    const char *value = lua_fields_string(fields, index, path, field, NULL);
    char list[200] = "";
    if (value == NULL)
        return otherwise;
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], value) == 0)
            return i;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    lua_fields_fail(fields, ERR_INVALID, "%s.%s must be one of %s", path, field, list);
    return otherwise;
}

bool lua_fields_vector(struct lua_fields *fields, int index, const char *path, const char *field,
                       float *out, int count) {
    lua_State *L = fields->L;
    if (!fetch(fields, index, field))
        return false;
    bool good = lua_istable(L, -1) && (int)lua_objlen(L, -1) == count;
    for (int i = 0; good && i < count; i++) {
        lua_rawgeti(L, -1, i + 1);
        float value = (float)lua_tonumber(L, -1);
        good = lua_type(L, -1) == LUA_TNUMBER && isfinite(value);
        if (good)
            out[i] = value;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    if (!good)
        lua_fields_fail(fields, ERR_INVALID, "%s.%s must be a list of %d numbers", path, field,
                        count);
    return good;
}

static float light_of_byte(long byte) {
    double v = (double)byte / 255;
    return (float)(v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
}

bool lua_fields_color(struct lua_fields *fields, int index, const char *path, const char *field,
                      float out[3]) {
    lua_State *L = fields->L;
    if (!fetch(fields, index, field))
        return false;
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    if (text != NULL) {
        bool good =
            strlen(text) == 7 && text[0] == '#' && strspn(text + 1, "0123456789abcdefABCDEF") == 6;
        long value = good ? strtol(text + 1, NULL, 16) : 0;
        lua_pop(L, 1);
        for (int c = 0; good && c < 3; c++)
            out[c] = light_of_byte(value >> (16 - 8 * c) & 255);
        if (!good)
            lua_fields_fail(fields, ERR_INVALID, "%s.%s must be like \"#ff8800\", or three numbers",
                            path, field);
        return good;
    }
    lua_pop(L, 1);
    if (!lua_fields_vector(fields, index, path, field, out, 3))
        return false;
    for (int c = 0; c < 3; c++)
        if (out[c] < 0)
            lua_fields_fail(fields, ERR_INVALID, "%s.%s must be a list of numbers from 0 on", path,
                            field);
    return fields->rc == 0;
}

bool lua_fields_open(struct lua_fields *fields, int index, const char *path, const char *field) {
    if (!fetch(fields, index, field))
        return false;
    if (lua_istable(fields->L, -1))
        return true;
    lua_pop(fields->L, 1);
    lua_fields_fail(fields, ERR_INVALID, "%s.%s must be a table", path, field);
    return false;
}
