/* analyzer.h - what clang-tidy is told besides the sources (spec/lint.sh includes it before each
 * file): which calls never return, and that an error's code is the one that was given. Without it
 * the analyzer follows paths that cannot be. */
#include <lauxlib.h>
#include <lua.h>

#include "core/err.h"

int luaL_error(lua_State *L, const char *format, ...) __attribute__((noreturn));
int luaL_argerror(lua_State *L, int argument, const char *message) __attribute__((noreturn));
int luaL_typerror(lua_State *L, int argument, const char *name) __attribute__((noreturn));
int lua_error(lua_State *L) __attribute__((noreturn));

static inline int analyzer_negative(int code) {
    if (code >= 0) {
        __builtin_unreachable();
    }
    return code;
}

#define err_set(...)       analyzer_negative((err_set)(__VA_ARGS__))
#define err_set_errno(...) analyzer_negative((err_set_errno)(__VA_ARGS__))
#define err_set_uv(...)    analyzer_negative((err_set_uv)(__VA_ARGS__))
