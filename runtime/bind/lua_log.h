/* lua_log.h - the piece of the Lua module `log` that lives in a file of its own. */
#ifndef STANCE_BIND_LUA_LOG_H
#define STANCE_BIND_LUA_LOG_H

#include <lua.h>

/* log.follow (lua_log_follow.c): adds it to the table on top. */
void lua_log_add_follow(lua_State *L);

#endif
