/* lua_console.h - the host's console, as the subcommand `serve` opens it (lua_console.c has the
 * Lua module). Loop thread. */
#ifndef STANCE_BIND_LUA_CONSOLE_H
#define STANCE_BIND_LUA_CONSOLE_H

#include <lua.h>

#include "core/err.h"

struct lua_console;
struct services;

/* Listens at `path` and puts the service into `services`; errors as console_open has them. */
int lua_console_open(struct services *services, const char *path, struct err *err);

/* After the vms have gone. NULL-safe; frees itself from the loop, at the latest in loop_deinit. */
void lua_console_close(struct services *services);

/* console.definitions (lua_console_meta.c): adds it to the table on top. */
void lua_console_add_definitions(lua_State *L);

#endif
