/* lua_scene.h - bodies of the Lua module `scene`, for bindings that draw them.
 *
 * Loop thread. */
#ifndef STANCE_BIND_LUA_SCENE_H
#define STANCE_BIND_LUA_SCENE_H

#include <lua.h>

struct scene;

/* The scene of the open body at `index`; retain it to keep it beyond the call. Raises when the
 * value is no body, or a closed one. */
struct scene *lua_scene_check(lua_State *L, int index);

/* The same without raising: NULL when the value is no body, or a closed one. */
struct scene *lua_scene_at(lua_State *L, int index);

#endif
