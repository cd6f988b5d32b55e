/* lua_motion.h - motions of the Lua module `motion`, for bindings that play them.
 *
 * Loop thread. */
#ifndef STANCE_BIND_LUA_MOTION_H
#define STANCE_BIND_LUA_MOTION_H

#include <lua.h>

struct scene_motion;

/* The bound motion at `index` (what motion:bind returns); retain it to keep it beyond the call.
 * Raises when the value is none, or a closed one. */
struct scene_motion *lua_motion_check(lua_State *L, int index);

/* The same without raising: NULL when the value is none, or a closed one. */
struct scene_motion *lua_motion_at(lua_State *L, int index);

#endif
