/* lua_ws_group.c - ws.group: many WebSockets that are sent the same. */
#include "bind/lua_ws.h"
#include "bind/modules.h"
#include "net/ws_group.h"

static const char group_type[] = "stance.ws_group";

struct lua_group {
    struct ws_group *group; /* NULL: closed */
};

static struct lua_group *check_group(lua_State *L) {
    return luaL_checkudata(L, 1, group_type);
}

static struct ws_group *check_open(lua_State *L) {
    struct ws_group *group = check_group(L)->group;
    if (group == NULL)
        luaL_error(L, "the group is closed");
    return group;
}

/* ws.group() */
int lua_ws_group(lua_State *L) {
    struct lua_group *self = lua_newuserdata(L, sizeof *self);
    self->group = ws_group_new();
    if (self->group == NULL)
        return luaL_error(L, "out of memory");
    luaL_getmetatable(L, group_type);
    lua_setmetatable(L, -2);
    return 1;
}

static int fail(lua_State *L, int status) {
    switch (status) {
    case ERR_INVALID:
        return vm_failf(L, ERR_INVALID, "text must be UTF-8: send it as binary");
    case ERR_CLOSED:
        return vm_failf(L, ERR_CLOSED, "the WebSocket is closed");
    default:
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    }
}

/* group:add(socket) -> true | nil, err */
static int group_add(lua_State *L) {
    struct ws_group *group = check_open(L);
    struct ws *ws = lua_ws_check(L, 2);
    int status = ws != NULL ? ws_group_add(group, ws) : ERR_CLOSED;
    if (status < 0)
        return fail(L, status);
    lua_pushboolean(L, 1);
    return 1;
}

/* group:remove(socket) -> whether it was a member */
static int group_remove(lua_State *L) {
    struct ws_group *group = check_open(L);
    struct ws *ws = lua_ws_check(L, 2);
    lua_pushboolean(L, ws != NULL && ws_group_remove(group, ws));
    return 1;
}

/* group:send(message, [binary]) -> number of members | nil, err; does not wait */
static int group_send(lua_State *L) {
    struct ws_group *group = check_open(L);
    size_t size, reached;
    const char *bytes = luaL_checklstring(L, 2, &size);
    int status = ws_group_send(group, bytes, size, lua_toboolean(L, 3), &reached);
    if (status < 0)
        return fail(L, status);
    lua_pushinteger(L, (lua_Integer)reached);
    return 1;
}

static int group_count(lua_State *L) {
    const struct ws_group *group = check_group(L)->group;
    lua_pushinteger(L, group != NULL ? (lua_Integer)ws_group_count(group) : 0);
    return 1;
}

/* group:close([code], [reason]) */
static int group_close(lua_State *L) {
    struct lua_group *self = check_group(L);
    int code = lua_ws_check_code(L, 2);
    const char *reason = luaL_optstring(L, 3, "");
    struct ws_group *group = self->group;
    self->group = NULL;
    if (group != NULL)
        ws_group_close(group, code, reason);
    ws_group_free(group);
    return 0;
}

static int group_gc(lua_State *L) {
    struct lua_group *self = lua_touserdata(L, 1);
    ws_group_free(self->group);
    self->group = NULL;
    return 0;
}

static int group_tostring(lua_State *L) {
    const struct lua_group *self = check_group(L);
    if (self->group == NULL)
        lua_pushliteral(L, "websocket group (closed)");
    else
        lua_pushfstring(L, "websocket group (%d)", (int)ws_group_count(self->group));
    return 1;
}

static const luaL_Reg methods[] = {
    {"add", group_add},     {"remove", group_remove}, {"send", group_send},
    {"count", group_count}, {"close", group_close},   {NULL, NULL},
};

static const luaL_Reg meta[] = {
    {"__gc", group_gc},
    {"__tostring", group_tostring},
    {NULL, NULL},
};

void lua_ws_open_group_type(lua_State *L) {
    vm_new_type(L, group_type, methods, meta);
    lua_pop(L, 1);
}
