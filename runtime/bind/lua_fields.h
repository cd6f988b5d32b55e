/* lua_fields.h - reads options out of Lua tables, with errors that name the field.
 *
 * Whoever reads keeps a `struct lua_fields`; the first thing that is wrong is remembered there
 * ("look.sun.elevation must be a number from -90 to 90"), what follows is not read any more, and
 * nothing is raised, so that what was acquired meanwhile is not lost: metatables are not asked,
 * whose functions may raise, and may give strings that nothing holds. `path` is what the table is
 * called in messages. A field that is missing is its default.
 *
 * Loop thread. */
#ifndef STANCE_BIND_LUA_FIELDS_H
#define STANCE_BIND_LUA_FIELDS_H

#include <lua.h>
#include <stdbool.h>

#include "core/err.h"

struct lua_fields {
    lua_State *L;
    int rc; /* of the first error; 0: all is well so far */
    struct err err;
};

/* Remembers an error, unless there is one already. */
void lua_fields_fail(struct lua_fields *fields, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Pushes what the table at `index` itself has there. */
void lua_fields_push(lua_State *L, int index, const char *field);

/* Fails for a key that is not in `known`, names with blanks between them. */
void lua_fields_known(struct lua_fields *fields, int index, const char *path, const char *known);

double lua_fields_number(struct lua_fields *fields, int index, const char *path, const char *field,
                         double least, double most, double otherwise);
bool lua_fields_boolean(struct lua_fields *fields, int index, const char *path, const char *field,
                        bool otherwise);

/* Valid while the table is on the stack and unchanged. */
const char *lua_fields_string(struct lua_fields *fields, int index, const char *path,
                              const char *field, const char *otherwise);

/* Which of `names` (ends with NULL) the field is; `otherwise` when it is missing. */
int lua_fields_choice(struct lua_fields *fields, int index, const char *path, const char *field,
                      const char *const *names, int otherwise);

/* A list of `count` finite numbers. False: missing (or wrong), and `out` is as it was. */
bool lua_fields_vector(struct lua_fields *fields, int index, const char *path, const char *field,
                       float *out, int count);

/* A colour as linear light: "#rrggbb" in sRGB, or a list of three numbers from 0 on, linear. False:
 * missing. */
bool lua_fields_color(struct lua_fields *fields, int index, const char *path, const char *field,
                      float out[3]);

/* Pushes the field; true when it is a table. Else nothing is pushed. */
bool lua_fields_open(struct lua_fields *fields, int index, const char *path, const char *field);

#endif
