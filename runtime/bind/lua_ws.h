/* lua_ws.h - how the module `http` makes a `stance.ws` of a request. Loop thread. */
#ifndef STANCE_BIND_LUA_WS_H
#define STANCE_BIND_LUA_WS_H

#include <lua.h>

#include "net/ws.h"

struct fiber;
struct lua_ws;

/* Makes the type known; cheap to repeat. */
void lua_ws_open_type(lua_State *L);

/* Pushes a socket that is not connected yet and fills `limits` for it from the options table at
 * `index` (may be absent). */
struct lua_ws *lua_ws_push(lua_State *L, int index, struct ws_limits *limits);

/* Gives it its connection. When that is closed, the handler is cancelled unless it waits on the
 * socket itself. */
void lua_ws_attach(struct lua_ws *socket, struct ws *ws, struct fiber *handler);

/* The handler has ended: closes the socket when it is still open (1000). `socket` at `index`. */
void lua_ws_finish(lua_State *L, int index, int code, const char *reason);

#endif
