/* lua_fiber.h - the pieces of the Lua module `fiber` that live in files of their own, and fibers as
 * Lua values for other bindings. Loop thread. */
#ifndef STANCE_BIND_LUA_FIBER_H
#define STANCE_BIND_LUA_FIBER_H

#include "bind/modules.h"

/* "ready", "running", "waiting", "ended", "failed". */
const char *lua_fiber_status_name(const struct fiber *fiber);

int lua_fiber_inspect(lua_State *L); /* fiber.inspect (lua_fiber_look.c) */

/* The fiber at `index`; retain it to keep it beyond the call. Raises when the value is none. */
struct fiber *lua_fiber_check(lua_State *L, int index);

#endif
