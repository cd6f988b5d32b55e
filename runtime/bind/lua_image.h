/* lua_image.h - pictures of the Lua module `image`, for bindings that make or read them.
 *
 * Loop thread. */
#ifndef STANCE_BIND_LUA_IMAGE_H
#define STANCE_BIND_LUA_IMAGE_H

#include <lua.h>

struct image;

/* Pushes a picture, which takes the pixels over, and returns 1; or nil and an error, and returns 2.
 * The module `image` must have been loaded. */
int lua_image_push(lua_State *L, struct image *image);

/* The picture at `index` of the stack, valid while it is there and nobody draws on it; NULL when
 * there is none. */
const struct image *lua_image_at(lua_State *L, int index);

#endif
