/* lua_ws.h - how the module `http` makes a `stance.ws` of a request, and groups find one. Loop
 * thread. */
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

/* The connection of the socket at `index`; NULL when it is closed. Raises when it is no socket. */
struct ws *lua_ws_check(lua_State *L, int index);

/* The argument at `index` as the code of a close frame, 1000 when it is absent. Raises when such a
 * frame may not carry it. */
int lua_ws_check_code(lua_State *L, int index);

/* The handler has ended: closes the socket when it is still open (1000). `socket` at `index`. */
void lua_ws_finish(lua_State *L, int index, int code, const char *reason);

/* lua_ws_group.c: ws.group, and its type. */
int lua_ws_group(lua_State *L);
void lua_ws_open_group_type(lua_State *L);

#endif
