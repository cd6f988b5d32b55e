/* lua_render.h - what the two halves of the Lua module `render` share: options in lua_render.c,
 * views in lua_render_view.c. Loop thread. */
#ifndef STANCE_BIND_LUA_RENDER_H
#define STANCE_BIND_LUA_RENDER_H

#include "bind/modules.h"
#include "media/views.h"

/* Pushes a `stance.views` of what views_new makes of the arguments; or returns nil and the error.
 * Takes the stage over, in any case. */
int lua_views_push(lua_State *L, struct stage *stage, const struct view_spec *specs, uint32_t count,
                   const struct views_options *options);

/* Makes the types of views; may be repeated. */
void lua_views_open(lua_State *L);

#endif
