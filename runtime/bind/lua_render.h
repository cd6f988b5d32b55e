/* lua_render.h - what the files of the Lua module `render` share: the module and its options
 * (lua_render.c), cameras (lua_render_camera.c), stages (lua_render_stage.c), looks
 * (lua_render_look.c), views (lua_render_view.c) and how they are drawn (lua_render_draw.c). Loop
 * thread. */
#ifndef STANCE_BIND_LUA_RENDER_H
#define STANCE_BIND_LUA_RENDER_H

#include "bind/lua_fields.h"
#include "bind/modules.h"
#include "media/look.h"
#include "media/views.h"

/* -- Options ----------------------------------------------------------------------------------- */

/* Reads the camera at `index`, the `number`-th from 1; `time` is its time where it tells none. */
void lua_camera_read(struct lua_fields *fields, int index, const char *path, int number,
                     double time, struct view_spec *spec);
void lua_camera_push(lua_State *L, const struct view_spec *spec);

/* The options of a ring. */
void lua_ring_read(struct lua_fields *fields, int index, const char *path,
                   struct ring_options *options);

/* "clip" of the table at `index`: a name, a number from 1 on (as a string too, for command lines),
 * 0 or "rest" for the rest pose, nil for a calm one. SCENE_REST when it fails. */
int lua_clip_read(struct lua_fields *fields, int index, const char *path,
                  const struct scene *scene);

/* The look at `index`, a table. */
void lua_look_read(struct lua_fields *fields, int index, const char *path,
                   struct look_options *options);

/* -- Types ------------------------------------------------------------------------------------- */

/* The look or the stage at `index`; NULL when it is none. A closed one raises. */
struct look *lua_look_at(lua_State *L, int index);
struct stage *lua_stage_at(lua_State *L, int index);

/* The functions `look` and `stage`, which wait. */
int lua_look_new(lua_State *L);
int lua_stage_new(lua_State *L);

/* Pushes a `stance.views` of what views_new makes of the arguments; or returns nil and the error.
 * Takes the stage over, in any case. `parallel`: batches drawn at once, at most. */
int lua_views_push(lua_State *L, struct stage *stage, const struct view_spec *specs, uint32_t count,
                   const struct views_options *options, uint32_t parallel);

/* The views of the `stance.views` at `index`, which must be one. */
struct views *lua_views_check(lua_State *L, int index);

/* Make the types; may be repeated. */
void lua_views_open(lua_State *L);
void lua_stage_open(lua_State *L);
void lua_look_open(lua_State *L);

#endif
