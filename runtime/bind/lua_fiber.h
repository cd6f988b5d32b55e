/* lua_fiber.h - the pieces of the Lua module `fiber` that live in files of their own. */
#ifndef STANCE_BIND_LUA_FIBER_H
#define STANCE_BIND_LUA_FIBER_H

#include "bind/modules.h"

/* "ready", "running", "waiting", "ended", "failed". */
const char *lua_fiber_status_name(const struct fiber *fiber);

int lua_fiber_inspect(lua_State *L); /* fiber.inspect (lua_fiber_look.c) */

#endif
